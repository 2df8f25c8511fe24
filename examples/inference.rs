//! Loads a checkpoint into a graph for inference, and classifies the test images of the UCI digits from many threads.
//!
//! ```text
//! cargo run --release --example digits -- --dir D
//! cargo run --release --example inference -- --dir D
//! ```
//!
//! Without `--dir` it trains a model for a moment first.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic reports the failure, and the output is meant to be read

mod support;

use monitored_session::checkpoint::latest_checkpoint;
use monitored_session::ops::{array, math};
use monitored_session::prelude::*;
use monitored_session::saved_model::load_variables;
use std::error::Error;
use std::path::Path;
use support::model::{logits, model};
use support::{Args, Digits, PIXELS, digits};

const THREADS: usize = 4;

/// Trains the model of the example `digits`.
fn train(dir: &Path, steps: i64, data: &Digits) -> Result<()> {
    let graph = Graph::new();
    let model = model(&graph);
    let builder = SingularMonitoredSession::builder(&graph)
        .hook(CheckpointSaverHook::every_steps(dir, 1000))
        .hook(StopAtStepHook::last_step(steps));
    let mut step = 0;
    builder.scoped(|session| {
        while !session.should_stop() {
            let (images, labels) = data.batch_of_step(1, step, 64)?;
            session.run(&model.train_op, [(&model.images, images), (&model.labels, labels)])?;
            step += 1;
        }
        Ok(())
    })?;
    Ok(())
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let args = Args::parse(300)?;
    let (training, test) = digits()?;
    let temporary = tempfile::tempdir()?;
    let dir = match args.dir {
        Some(dir) => dir,
        None => {
            train(temporary.path(), args.steps, &training)?;
            temporary.path().to_owned()
        }
    };
    let checkpoint = latest_checkpoint(&dir)?.ok_or("there is no checkpoint in the folder")?;

    // The part of the model that returns answers: no loss, no optimizer.
    let graph = Graph::new();
    let images = array::placeholder(&graph.named("images"), DType::Float32, [None, Some(PIXELS)]);
    let digit = math::argmax(logits(&images), 1);

    // A raw session: no hooks, no threads of its own, nothing to stop.
    let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::default())?;
    // Names differ between graphs? `RestoreOptions::rename` maps them; `allow_missing` lets variables keep what they have.
    let report = load_variables(&*session, None, &checkpoint, &RestoreOptions::new())?;
    println!(
        "{}: {} variables loaded, {} tensors of the training left",
        checkpoint.display(),
        report.restored.len(),
        report.unexpected.len()
    );

    // Compiled once, called by any thread.
    let classify = session.make_callable(&digit, &[&images])?;
    let right = std::thread::scope(|scope| {
        let threads = (0..THREADS).map(|thread| {
            let (classify, test) = (&classify, &test);
            scope.spawn(move || -> Result<usize> {
                let mut right = 0;
                for row in (thread..test.rows()).step_by(THREADS) {
                    let (image, label) = test.batch(&[row])?;
                    let found = classify.call(&[image])?;
                    right +=
                        usize::from(found[0].to_vec::<i64>()?[0] == i64::from(label.to_vec::<i32>()?[0]));
                }
                Ok(right)
            })
        });
        let threads: Vec<_> = threads.collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum::<Result<usize>>()
    })?;
    println!("{right} of {} images by {THREADS} threads", test.rows());
    session.close()?;
    Ok(())
}
