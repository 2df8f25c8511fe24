//! A language model of characters: two LSTM cells, truncated back-propagation, a state that continues from step to step.
//!
//! ```text
//! cargo run --release --example char_rnn -- [--steps N] [--dir D] [--seed S]
//! ```
//!
//! It learns the text of a license. With `--dir` it continues from the newest checkpoint there as if it had not been interrupted: the
//! state of the cells is in the checkpoint, and the place in the text follows from the step. `cargo run -p monitored-cli -- events plot
//! D --svg loss.svg` draws the loss.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic reports the failure, and the output is meant to be read

#[path = "support/char_rnn.rs"]
mod char_rnn;
mod support;
#[path = "support/text.rs"]
mod text;

use char_rnn::{Sizes, model};
use monitored_session::prelude::*;
use std::error::Error;
use support::Args;
use text::{Encoded, TEXT};

const SIZES: Sizes = Sizes { streams: 16, steps: 32, embedding: 32, units: 128 };

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let args = Args::parse(1000)?;
    let text = Encoded::new(TEXT);
    let graph = Graph::new();
    graph.set_random_seed(args.seed as i64);
    let model = model(&graph, &text, SIZES, 200);

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
    let prompt = "The License";
    let found = session.run_without_hooks(&model.sample, [(&model.prompt, text.encode(prompt))])?;
    session.close()?;
    println!("{prompt}{}", text.decode(&found.to_vec::<i32>()?));
    Ok(())
}
