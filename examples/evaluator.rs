//! Evaluates the checkpoints of a training as they appear, in a process of its own.
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

use monitored_session::checkpoint::{WatchOptions, checkpoints_iterator};
use monitored_session::ops::global_step;
use monitored_session::prelude::*;
use monitored_session::summary::{EventWriter, Summary};
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
    let step = global_step::get_or_create_global_step(&graph);
    let writer = EventWriter::open(dir.join("eval"))?;

    let watch = WatchOptions::new().poll(Duration::from_millis(200)).timeout(Duration::from_secs(60));
    for prefix in checkpoints_iterator(&dir, watch) {
        let prefix = prefix?;
        let session = SingularMonitoredSession::builder(&graph).checkpoint_filename_with_path(&prefix);
        let (fed_images, fed_labels) = test.all()?;
        let evaluated = session.scoped(|session| {
            session.run((&step, &accuracy), [(&images, fed_images), (&labels, fed_labels)])
        });
        let (step, accuracy) = match evaluated {
            Ok(finished) => finished.value.unwrap(),
            // The training keeps a few checkpoints; this one was overtaken meanwhile.
            Err(error) if error.code() == Code::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        let (step, accuracy) = (step.value::<i64>()?, accuracy.value::<f32>()?);
        writer.add_summary(Summary::scalar("accuracy", accuracy), step)?;
        writer.flush()?;
        println!("step {step}: test accuracy {:.1} %", accuracy * 100.0);
        if step >= args.steps {
            break;
        }
    }
    Ok(())
}
