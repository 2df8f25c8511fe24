//! Evaluates the checkpoints of a training as they appear, in a separate process.
//!
//! ```text
//! cargo run --release --example digits -- --dir D &
//! cargo run --release --example evaluator -- --dir D [--steps N]
//! ```
//!
//! It ends after the checkpoint of step N (4000 by default), or if there is no new checkpoint for a minute. TensorBoard shows the
//! accuracy as the run `eval` of the folder. The training does not wait for this program, and loses nothing if it is killed.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic reports the failure, and the output is meant to be read

mod support;

use monitored_session::checkpoint::WatchOptions;
use monitored_session::monitored::Evaluation;
use monitored_session::prelude::*;
use std::error::Error;
use std::time::Duration;
use support::model::{Model, model};
use support::{Args, digits};

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let args = Args::parse(4000)?;
    let dir = args.dir.ok_or("--dir D is missing: the folder of the training")?;
    let (_, test) = digits()?;
    let graph = Graph::new();
    let Model { images, labels, accuracy, .. } = model(&graph);
    let (test_images, test_labels) = test.all()?;
    let evaluation = Evaluation::new(&graph)
        .final_ops(accuracy)
        .final_feed(&images, test_images)
        .final_feed(&labels, test_labels)
        .summary_dir(dir.join("eval"));

    let watch = WatchOptions::new().poll(Duration::from_millis(200)).timeout(Duration::from_secs(60));
    for evaluated in evaluation.evaluate_repeatedly(&dir, watch) {
        let evaluated = evaluated?;
        let (step, accuracy) = (evaluated.step.unwrap(), evaluated.values.value::<f32>()?);
        println!("step {step}: test accuracy {:.1} %", accuracy * 100.0);
        if step >= args.steps {
            break;
        }
    }
    Ok(())
}
