//! A disk that becomes full during a save ends a training with an error that names the full disk, for graphs and for plain loops alike. The last
//! checkpoint stays intact, and the next run continues from it. An event file that cannot be written ends nothing. The training is a child
//! process whose files have a size limit.
#![cfg(all(unix, feature = "embedded"))]
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic is the report; parent and child talk through stdout

use monitored_session::checkpoint::{CheckpointReader, latest_checkpoint, read_all};
use monitored_session::ops::variables::{VariableExt as _, variable};
use monitored_session::ops::{array, global_step};
use monitored_session::prelude::*;
use monitored_session::summary::{
    Event, EventData, EventReader, EventWriterCache, SessionStatus, Summary, Value, event_files,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output as ChildOutput};
use std::sync::{Arc, Mutex};

const LOOP: &str = "MONITORED_SESSION_TEST_LOOP";
const FOLDER: &str = "MONITORED_SESSION_TEST_FOLDER";
const LAST: &str = "MONITORED_SESSION_TEST_LAST";

/// The number of weights: more than the limited child may write to one file.
const WEIGHTS: usize = 1 << 19;

fn train_graph(folder: &Path, last: i64) -> Result<()> {
    let graph = Graph::new();
    let step = global_step::create_global_step(&graph);
    let w = variable(&graph.named("model/w"), Tensor::full(0.0f32, [WEIGHTS]));
    let grow = w.assign_add(Tensor::full(1.0f32, [WEIGHTS]));
    let train_op = step.assign_add(array::constant(&graph.control_dependencies(&[grow]), 1i64));
    let session = MonitoredTrainingSession::builder(&graph)
        .checkpoint_dir(folder)
        .save_checkpoint_steps(3)
        .save_graph_def(false) // the constants are larger than the limit
        .hook(StopAtStepHook::last_step(last));
    let finished = session.scoped(|session| {
        while !session.should_stop() {
            session.run(&train_op, ())?;
        }
        Ok(())
    });
    finished.map(drop)
}

fn train_host(folder: &Path, last: i64) -> Result<()> {
    let model = BTreeMap::from([("w".to_owned(), Tensor::full(0.0f32, [WEIGHTS]))]);
    let model = Arc::new(Mutex::new(model));
    let training = HostTraining::new()
        .saved_object("model", &model)
        .checkpoint_dir(folder)
        .save_checkpoint_steps(3)
        .hook(StopAtStepHook::last_step(last));
    let finished = training.run(move |step| {
        let value = Tensor::full((step.number() + 1) as f32, [WEIGHTS]);
        model.lock().unwrap().insert("w".to_owned(), value);
        Ok(())
    });
    finished.map(drop)
}

/// Trains a small model, and adds more events in its second run than the limited child may write to one file.
fn train_with_events(folder: &Path, last: i64) -> Result<()> {
    let graph = Graph::new();
    let step = global_step::create_global_step(&graph);
    let train_op = step.assign_add(1i64);
    let session = MonitoredTrainingSession::builder(&graph)
        .checkpoint_dir(folder)
        .save_checkpoint_steps(1)
        .save_summaries_steps(None)
        .log_step_count_steps(None)
        .hook(StopAtStepHook::last_step(last));
    // The writer that the session's hooks share.
    let writer = EventWriterCache::shared().get(folder)?;
    let mut runs = 0;
    let finished = session.scoped(|session| {
        while !session.should_stop() {
            runs += 1;
            if runs == 2 {
                let text = "x".repeat(2 << 20);
                writer.add_summary(Summary::from(Value::text("long", text.as_str())), runs)?;
            }
            session.run(&train_op, ())?;
        }
        Ok(())
    });
    finished.map(drop)
}

#[test]
fn child() {
    let (Ok(kind), Some(folder)) = (std::env::var(LOOP), std::env::var_os(FOLDER)) else { return };
    let last = std::env::var(LAST).unwrap().parse().unwrap();
    let train = match kind.as_str() {
        "host" => train_host,
        "events" => train_with_events,
        _ => train_graph,
    };
    match train(Path::new(&folder), last) {
        Ok(()) => println!("\ntrained"),
        Err(error) => println!("\nfailed: {}", error.chain()),
    }
}

/// Trains in a child whose files may have any size, or at most 1 MiB (the units of `ulimit` are at most 1 KiB).
fn train(kind: &str, folder: &Path, last: i64, limited: bool) -> ChildOutput {
    // A write beyond the limit is an error only if the signal for it is ignored.
    let limit = if limited { "trap '' XFSZ; ulimit -f 1024; " } else { "" };
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{limit}exec \"$@\"")).arg("sh").arg(std::env::current_exe().unwrap());
    command.args(["--exact", "full_disk::child", "--nocapture", "--test-threads", "1"]);
    command.env(LOOP, kind).env(FOLDER, folder).env(LAST, last.to_string()).output().unwrap()
}

/// Returns the line that a child printed about its end.
fn outcome(output: &ChildOutput) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find(|line| line.starts_with("failed: ") || *line == "trained");
    line.unwrap_or_else(|| panic!("the child did not end: {text}")).to_owned()
}

#[test]
fn a_full_disk_ends_the_training_and_loses_no_checkpoint() {
    let messages = ["graph", "host"].map(|kind| {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(outcome(&train(kind, folder.path(), 2, false)), "trained", "{kind}");
        let failed = outcome(&train(kind, folder.path(), 9, true));
        let newest = latest_checkpoint(folder.path()).unwrap().unwrap();
        let reader = CheckpointReader::open(&newest).unwrap();
        assert_eq!(reader.step(), Some(2), "{kind}: {failed}");
        assert!(reader.verify().is_empty(), "{kind}");

        assert_eq!(outcome(&train(kind, folder.path(), 9, false)), "trained", "{kind}");
        let newest = latest_checkpoint(folder.path()).unwrap().unwrap();
        let values = read_all(&newest).unwrap()["model/w"].to_vec::<f32>().unwrap();
        assert!(newest.ends_with("model.ckpt-9") && values.iter().all(|&value| value == 9.0), "{kind}");
        failed.replace(&folder.path().display().to_string(), "FOLDER")
    });
    let [graph, host] = &messages;
    assert!(graph.contains("FOLDER") && graph.contains("File too large"), "{graph}");
    assert_eq!(graph, host);
}

/// Returns the steps of the checkpoints that an event file names, up to its end or its first damage.
fn announced(file: &Path) -> Vec<i64> {
    let mut reader = EventReader::open(file).unwrap();
    let events = std::iter::from_fn(|| reader.next_whole_event().ok().flatten());
    let is_checkpoint = |event: &Event| match &event.data {
        Some(EventData::SessionLog(log)) => log.status == SessionStatus::Checkpoint,
        _ => false,
    };
    events.filter(is_checkpoint).map(|event| event.step).collect()
}

#[test]
fn an_event_file_that_cannot_be_written_prevents_no_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(outcome(&train("events", folder.path(), 4, true)), "trained");
    let newest = latest_checkpoint(folder.path()).unwrap().unwrap();
    assert!(newest.ends_with("model.ckpt-4"), "{newest:?}");
    // The event of the second step found the first file broken; the next file has it, since it begins before the save.
    let announced: Vec<_> = event_files(folder.path()).unwrap().iter().map(|file| announced(file)).collect();
    assert_eq!(announced, [vec![0, 1], vec![2, 3, 4]]);
}
