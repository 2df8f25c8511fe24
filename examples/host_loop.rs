//! Trains a model of plain arrays on the UCI digits: a loop without a graph, with everything that a monitored session offers.
//!
//! ```text
//! cargo run --release --example host_loop -- [--steps N] [--dir D] [--seed S]
//! ```
//!
//! With `--dir` it resumes exactly from the newest checkpoint there, after any interruption; Ctrl-C saves first. The model,
//! `support/perceptron.rs`, uses no library: arrays, a forward and a backward pass, Adam.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic reports the failure, and the output is meant to be read

mod support;

use monitored_session::prelude::*;
use std::error::Error;
use std::sync::{Arc, Mutex};
use support::perceptron::Perceptron;
use support::{Args, digits};

const BATCH: usize = 64;

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let args = Args::parse(2000)?;
    let (train, test) = digits()?;
    let temporary = tempfile::tempdir()?;
    let dir = args.dir.clone().unwrap_or_else(|| temporary.path().to_owned());

    let model = Arc::new(Mutex::new(Perceptron::new(args.seed)));
    let (trained, evaluated) = (model.clone(), model.clone());
    let finished = HostTraining::new()
        .saved_object("perceptron", &model) // restored, and saved with Adam's moments
        .metrics(["loss"]) // known to hooks by name
        .seed(args.seed)
        .checkpoint_dir(&dir)
        .save_checkpoint_steps(500)
        .hook(SignalHook::new())
        .hook(NanTensorHook::new("loss"))
        .hook(ProgressBarHook::new().total(args.steps).tensor("loss", "loss"))
        .hook(EvaluatorHook::every_steps(500, move |_| {
            Ok(vec![("accuracy".to_owned(), evaluated.lock().unwrap().accuracy(&test))])
        }))
        .hook(StopAtStepHook::last_step(args.steps))
        .run(move |step| {
            let rows = step.batch(train.rows(), BATCH);
            Ok([("loss", trained.lock().unwrap().train(&train, &rows, step))])
        })?;

    let test = digits()?.1;
    println!(
        "step {}: test accuracy {:.1} %",
        finished.value.unwrap_or_default(),
        model.lock().unwrap().accuracy(&test) * 100.0
    );
    Ok(())
}
