//! A small transformer that learns to write the text of a license, character by character.
//!
//! ```text
//! cargo run --release --example transformer -- [--steps N] [--dir D] [--seed S]
//! ```
//!
//! With `--dir` it continues from the newest checkpoint there as if it had not been interrupted, with the windows of the text that would
//! have come next. `cargo run -p monitored-cli -- events plot D --svg loss.svg` draws the loss.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic reports the failure, and the output is meant to be read

mod support;
#[path = "support/text.rs"]
mod text;
#[path = "support/transformer.rs"]
mod transformer;

use monitored_session::prelude::*;
use std::error::Error;
use support::Args;
use text::{Encoded, TEXT};
use transformer::{Sizes, model};

const SIZES: Sizes = Sizes { batch: 16, positions: 64, width: 64, heads: 4, layers: 2 };

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let args = Args::parse(1000)?;
    let text = Encoded::new(TEXT);
    let graph = Graph::new();
    graph.set_random_seed(args.seed as i64);
    let model = model(&graph, &text, SIZES, args.steps);

    let temporary = tempfile::tempdir()?;
    let dir = args.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    let mut session = SingularMonitoredSession::builder(&graph)
        .checkpoint_dir(&dir)
        .hook(CheckpointSaverHook::every_steps(&dir, 200))
        .hook(SummarySaverHook::every_steps(10).output_dir(&dir))
        .hook(NanTensorHook::new(&model.loss))
        .hook(ProgressBarHook::new().total(args.steps).tensor("loss", &model.loss))
        .hook(StopAtStepHook::last_step(args.steps))
        .build()?;
    while !session.should_stop() {
        session.run(&model.train_op, ())?;
    }

    // Writes the likeliest character each time, given the characters of a window.
    let mut written = text.encode("The License");
    for _ in 0..200 {
        let from = written.len().saturating_sub(SIZES.positions);
        let mut window = written[from..].to_vec();
        let last = window.len() - 1;
        window.resize(SIZES.positions, 0); // what comes later is not looked at
        let feed = Tensor::from_vec(window, [1, SIZES.positions])?;
        let scores = session.run_without_hooks(&model.scores, [(&model.window, feed)])?.to_vec::<f32>()?;
        let scores = &scores[last * text.characters.len()..(last + 1) * text.characters.len()];
        let best = (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap_or(0);
        written.push(best as i32);
    }
    session.close()?;
    println!("{}", text.decode(&written));
    Ok(())
}
