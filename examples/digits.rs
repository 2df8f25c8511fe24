//! Trains a multi-layer perceptron on the UCI digits, with checkpoints, summaries, progress and evaluation.
//!
//! ```text
//! cargo run --release --example digits -- [--steps N] [--dir D] [--seed S]
//! ```
//!
//! With `--dir` it continues from the newest checkpoint there, after any interruption; Ctrl-C saves first. The example
//! `evaluator` evaluates the checkpoints of `D` in another process. `cargo run -p monitored-cli -- board D` and TensorBoard
//! (`tensorboard --logdir D`) show the folder.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic reports the failure, and the output is meant to be read

mod support;

use monitored_session::ops::global_step;
use monitored_session::prelude::*;
use std::error::Error;
use std::process::ExitCode;
use support::model::model;
use support::{Args, digits};

const BATCH: usize = 64;

fn main() -> std::result::Result<ExitCode, Box<dyn Error>> {
    let args = Args::parse(4000)?;
    let (train, test) = digits()?;
    let graph = Graph::new();
    graph.set_random_seed(args.seed as i64);
    let model = model(&graph);
    let step = global_step::get_or_create_global_step(&graph);

    // Without --dir everything goes into a folder that is removed at the end.
    let temporary = tempfile::tempdir()?;
    let dir = args.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&dir)?;

    let progress = ProgressBarHook::new().total(args.steps).tensor("loss", &model.loss);
    // Log lines, with RUST_LOG=info, are printed above the bar.
    let target = env_logger::Target::Pipe(Box::new(progress.printer()));
    env_logger::Builder::from_default_env().target(target).init();
    let signals = SignalHook::new();
    let receipt = signals.receipt();
    let mut session = SingularMonitoredSession::builder(&graph)
        .checkpoint_dir(&dir)
        .hook(signals)
        .hook(CheckpointSaverHook::every_steps(&dir, 500))
        .hook(SummarySaverHook::every_steps(100).output_dir(&dir))
        .hook(StepCounterHook::every_n_steps(500).output_dir(&dir))
        .hook(SessionStoryHook::new(&dir))
        .hook(NanTensorHook::new(&model.loss))
        .hook(progress)
        .hook(StopAtStepHook::last_step(args.steps))
        .build()?;

    let mut next = session.run_without_hooks(&step, ())?.value::<i64>()?;
    if next > 0 {
        println!("resumed at step {next} from {}", dir.display());
    }
    while !session.should_stop() && next < args.steps {
        let (images, labels) = train.batch_of_step(args.seed, next as usize, BATCH)?;
        session.run(&model.train_op, [(&model.images, images), (&model.labels, labels)])?;
        next += 1;
    }

    let (images, labels) = test.all()?;
    let accuracy =
        session.run_without_hooks(&model.accuracy, [(&model.images, images), (&model.labels, labels)])?;
    session.close()?;
    if let Some(code) = receipt.exit_code() {
        println!("stopped by a signal at step {next}; checkpoint saved in {}", dir.display());
        return Ok(ExitCode::from(u8::try_from(code)?));
    }
    println!("test accuracy: {:.1} %", accuracy.value::<f32>()? * 100.0);
    match &args.dir {
        Some(dir) => println!("to see the run: cargo run -p monitored-cli -- board {}", dir.display()),
        None => {
            println!("to see a run, pass a folder, `--dir D`, then cargo run -p monitored-cli -- board D")
        }
    }
    Ok(ExitCode::SUCCESS)
}
