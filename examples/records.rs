//! Trains on the UCI digits from sharded gzip records, through a dataset, to the end of the input.
//!
//! ```text
//! cargo run --release --example records -- [--dir D] [--seed S] [--steps N]
//! ```
//!
//! The first run writes the files to the folder. In each epoch the files come in a new order, records of all of them take turns,
//! and a buffer mixes them. The position of the iterator is in the checkpoint: a run that is interrupted, even by SIGKILL, and
//! started again with the same `--dir` continues with the very next batch.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic reports the failure, and the output is meant to be read

mod support;

use monitored_session::dataset::{Compression, Dataset, Remainder};
use monitored_session::ops::parsing::{FeatureSpec, parse_single_example};
use monitored_session::ops::{array, global_step, math};
use monitored_session::prelude::*;
use std::error::Error;
use std::path::Path;
use support::{Args, FILES, PIXELS, digits, model, write_gzip_records};

const BATCH: u64 = 64;
const EPOCHS: u64 = 20;

/// Batches of images and labels out of the files of a folder.
fn batches(graph: &Graph, dir: &Path) -> Dataset {
    let features = [
        ("image", FeatureSpec::fixed([PIXELS], DType::Float32)),
        ("label", FeatureSpec::fixed([], DType::Int64)),
    ];
    let files = dir.join("digits-*.tfrecord.gz").display().to_string();
    Dataset::list_files(graph, &files)
        .shuffle(FILES as u64, None)
        .interleave(FILES as u64, 16, |_, file| Dataset::tf_record_of(&file[0], Compression::Gzip))
        .shuffle(1000, None)
        .repeat(EPOCHS)
        .map(|_, record| {
            let example = parse_single_example(&record[0], &features);
            vec![example.dense("image"), math::cast(example.dense("label"), DType::Int32)]
        })
        .batch(BATCH, Remainder::Keep)
        .prefetch(2)
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let args = Args::parse(i64::MAX)?;
    // Without --dir everything goes into a folder that is removed at the end.
    let temporary = tempfile::tempdir()?;
    let dir = args.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&dir)?;
    let (train, test) = digits()?;
    write_gzip_records(&dir, &train)?;

    let graph = Graph::new();
    graph.set_random_seed(args.seed as i64);
    let next = batches(&graph, &dir).make_initializable_iterator().get_next();
    // The test images are fed instead of a batch.
    let images = array::placeholder_with_default(next[0].named("images"), [None, Some(PIXELS)]);
    let labels = array::placeholder_with_default(next[1].named("labels"), [None]);
    let model = model::model_of(&graph, images, labels);
    let step = global_step::get_or_create_global_step(&graph);

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
        match session.run((&model.loss, &model.train_op), ()) {
            Ok((value, ())) => last = Some(value.value::<f32>()?),
            Err(error) if error.is_end_of_input() => break,
            Err(error) => return Err(error.into()),
        }
    }
    let end = session.run_without_hooks(&step, ())?.value::<i64>()?;
    if let Some(loss) = last {
        println!("step {end}: loss {loss:.4}");
    }
    let (rows, classes) = test.all()?;
    let feeds = [(&model.images, rows), (&model.labels, classes)];
    let accuracy = session.run_without_hooks(&model.accuracy, feeds)?.value::<f32>()?;
    println!("test accuracy: {:.1} %", accuracy * 100.0);
    session.close()?;
    Ok(())
}
