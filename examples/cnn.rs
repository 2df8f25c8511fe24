//! A small convolutional net on the digits, the shortest way: layers, a monitored session in its scoped form.
//!
//! ```text
//! cargo run --release --example cnn -- [--steps N] [--dir D] [--seed S]
//! ```
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic reports the failure, and the output is meant to be read

mod support;

use monitored_session::ops::layers::{self, LayerOptions};
use monitored_session::ops::nn::{ConvOptions, Padding};
use monitored_session::ops::{array, global_step, math, nn, optimizers::*};
use monitored_session::prelude::*;
use std::error::Error;
use support::{Args, PIXELS, digits};

const BATCH: usize = 64;

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let args = Args::parse(600)?;
    let (train, test) = digits()?;

    let graph = Graph::new();
    graph.set_random_seed(args.seed as i64);
    let images = array::placeholder(&graph.named("images"), DType::Float32, [None, Some(PIXELS)]);
    let labels = array::placeholder(&graph.named("labels"), DType::Int32, [None]);
    let relu = LayerOptions::default().activation(|x| nn::relu(x));
    let same = ConvOptions::default;
    let h = array::reshape(&images, [-1, 8, 8, 1]);
    let h = layers::conv2d(&h, 16, [3, 3], same(), &relu);
    let h = layers::max_pooling2d(&h, [2, 2], [2, 2], Padding::Valid);
    let h = layers::conv2d(&h, 32, [3, 3], same(), &relu);
    let h = layers::max_pooling2d(&h, [2, 2], [2, 2], Padding::Valid);
    let h = layers::dense(layers::flatten(&h), 64, &relu);
    let logits = layers::dense(&h, 10, &LayerOptions::default());
    let loss = math::reduce_mean(nn::sparse_softmax_cross_entropy_with_logits(&labels, &logits), ..);
    let correct =
        math::cast(math::equal(math::cast(math::argmax(&logits, 1), DType::Int32), &labels), DType::Float32);
    let accuracy = math::reduce_mean(&correct, ..);
    let step = global_step::get_or_create_global_step(&graph);
    let train_op = AdamOptimizer::new(2e-3).minimize(&loss, Some(&step));

    let mut builder = SingularMonitoredSession::builder(&graph)
        .hook(NanTensorHook::new(&loss))
        .hook(ProgressBarHook::new().total(args.steps).tensor("loss", &loss))
        .hook(StopAtStepHook::last_step(args.steps));
    if let Some(dir) = &args.dir {
        builder = builder.checkpoint_dir(dir).hook(CheckpointSaverHook::every_steps(dir, 100));
    }
    // The scoped form closes the session on every way out.
    let accuracy = builder.scoped(|session| {
        let first = session.run_without_hooks(&step, ())?.value::<i64>()?;
        for step in first..args.steps {
            if session.should_stop() {
                break;
            }
            let (pixels, classes) = train.batch_of_step(args.seed, step as usize, BATCH)?;
            session.run(&train_op, [(&images, pixels), (&labels, classes)])?;
        }
        let (pixels, classes) = test.all()?;
        session.run_without_hooks(&accuracy, [(&images, pixels), (&labels, classes)])
    })?;
    if let Some(accuracy) = accuracy.value {
        println!("test accuracy: {:.1} %", accuracy.value::<f32>()? * 100.0);
    }
    Ok(())
}
