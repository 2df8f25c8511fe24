//! Trains on the UCI digits from TFRecord files, through queues filled by threads, to the end of the input.
//!
//! ```text
//! cargo run --release --example tfrecord -- [--dir D] [--seed S] [--steps N]
//! ```
//!
//! The first run writes the files to the folder. A queue holds the file names, in a new order in each epoch; a thread reads and
//! parses their records into another queue, from which each step takes a shuffled batch. After the last epoch the queue is empty
//! and closed, which ends the loop. A run that is interrupted, even by SIGKILL, and started again with the same `--dir` takes
//! the same batches as an uninterrupted one.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic reports the failure, and the output is meant to be read

mod support;

use monitored_session::ops::io::{Compression, Reader};
use monitored_session::ops::layers::{self, LayerOptions};
use monitored_session::ops::optimizers::{AdamOptimizer, Optimizer};
use monitored_session::ops::parsing::{FeatureSpec, parse_single_example};
use monitored_session::ops::{array, global_step, math, nn};
use monitored_session::prelude::*;
use monitored_session::queue_runner::input::{
    BatchOptions, ProducerOptions, shuffle_batch, string_input_producer,
};
use std::error::Error;
use std::path::PathBuf;
use support::{Args, PIXELS, digits, write_records};

const BATCH: usize = 64;
const EPOCHS: u64 = 20;

/// Batches of images and labels out of the files.
fn input(graph: &Graph, files: &[PathBuf]) -> (Output, Output) {
    let names: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
    let input = graph.scope("input");
    let names = string_input_producer(&input, names, &ProducerOptions::default().num_epochs(EPOCHS));
    let (_, record) = Reader::tf_record(&input, Compression::None).read(&names);
    let features = [
        ("image", FeatureSpec::fixed([PIXELS], DType::Float32)),
        ("label", FeatureSpec::fixed([], DType::Int64)),
    ];
    let example = parse_single_example(&record, &features);
    let element = [example.dense("image"), example.dense("label")];
    let options = BatchOptions::default().exact_resume().allow_smaller_final_batch(true);
    let batch = shuffle_batch(&input, element, BATCH, 1000, &options.clone().capacity(2000));
    (batch[0].clone(), batch[1].clone())
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let args = Args::parse(i64::MAX)?;
    // Without --dir everything goes into a folder that is removed at the end.
    let temporary = tempfile::tempdir()?;
    let dir = args.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&dir)?;
    let (train, test) = digits()?;
    let files = write_records(&dir, &train)?;

    let graph = Graph::new();
    graph.set_random_seed(args.seed as i64);
    let (images, labels) = input(&graph, &files);
    let relu = LayerOptions::default().activation(|x| nn::relu(x));
    // The test images are fed instead of a batch.
    let images = array::placeholder_with_default(images.named("images"), [None, Some(PIXELS)]);
    let labels = array::placeholder_with_default(labels.named("labels"), [None]);
    let h = layers::dense(images.named("hidden"), 128, &relu);
    let logits = layers::dense(h.named("logits"), 10, &LayerOptions::default());
    let losses = nn::sparse_softmax_cross_entropy_with_logits(&labels, &logits);
    let loss = math::reduce_mean(losses.named("loss"), ..);
    let correct = math::equal(math::argmax(&logits, 1), &labels);
    let accuracy = math::reduce_mean(math::cast(correct, DType::Float32), ..);
    let step = global_step::get_or_create_global_step(&graph);
    let train_op = AdamOptimizer::new(1e-3).minimize(&loss, Some(&step));

    let mut session = SingularMonitoredSession::builder(&graph)
        .checkpoint_dir(&dir)
        .hook(CheckpointSaverHook::every_steps(&dir, 100))
        .hook(StopAtStepHook::last_step(args.steps))
        .build()?;
    let begin = session.run_without_hooks(&step, ())?.value::<i64>()?;
    if begin > 0 {
        println!("resumed at step {begin} from {}", dir.display());
    }
    let mut last = None;
    while !session.should_stop() {
        match session.run((&loss, &train_op), ()) {
            Ok((value, ())) => last = Some(value.value::<f32>()?),
            Err(error) if error.is_end_of_input() => {
                println!("end of the input: {}", error.message());
                break;
            }
            Err(error) => return Err(error.into()),
        }
    }
    let end = session.run_without_hooks(&step, ())?.value::<i64>()?;
    if let Some(loss) = last {
        println!("step {end}: loss {loss:.4}");
    }
    let (rows, classes) = test.all()?;
    let classes = Tensor::from(classes.to_vec::<i32>()?.into_iter().map(i64::from).collect::<Vec<_>>());
    let accuracy = session.run_without_hooks(&accuracy, [(&images, rows), (&labels, classes)])?;
    println!("test accuracy: {:.1} %", accuracy.value::<f32>()? * 100.0);
    session.close()?;
    Ok(())
}
