//! InputSummaryHook.

use crate::support::{HandClock, Program};
use hooks::{InputSummaryHook, SessionRunHook};
use session_core::{ErrorKind, Graph, QueueStats, RunMetadata};
use std::path::Path;
use std::time::Duration;
use summary::EventAccumulator;

fn points(directory: &Path, tag: &str) -> Vec<(i64, f64)> {
    let points = EventAccumulator::open(directory).unwrap();
    points.scalars(tag).iter().map(|point| (point.step, f64::from(point.value as f32))).collect()
}

fn input() -> RunMetadata {
    let filled = |name: &str, size, capacity| QueueStats {
        name: name.to_owned(),
        size,
        capacity,
        ..QueueStats::default()
    };
    RunMetadata {
        elapsed: Duration::from_secs(4),
        input_wait: Duration::from_secs(1),
        queues: vec![filled("batch", 8, Some(32)), filled("records", 3, Some(4)), filled("open", 5, None)],
        ..RunMetadata::default()
    }
}

#[test]
fn fills_and_waits_are_written_at_their_steps() {
    let (program, folder) = (Program::new(), tempfile::tempdir().unwrap());
    let mut driver = program.start(InputSummaryHook::every_n_steps(&folder, 3));
    driver.metadata = input();
    driver.runs(7);
    driver.end().unwrap();
    let points = |tag: &str| points(folder.path(), tag);
    assert_eq!(points("input/batch/fraction_of_32_full"), [(1, 0.25), (4, 0.25), (7, 0.25)]);
    assert_eq!(points("input/records/fraction_of_4_full"), [(1, 0.75), (4, 0.75), (7, 0.75)]);
    assert_eq!(points("input/wait_fraction"), [(1, 0.25), (4, 0.25), (7, 0.25)]);
    let tags = EventAccumulator::open(folder.path()).unwrap().tags().count();
    assert_eq!(tags, 3, "a queue without a capacity has no fraction");
}

#[test]
fn a_run_that_took_no_time_waited_for_nothing() {
    let (program, folder, clock) = (Program::new(), tempfile::tempdir().unwrap(), HandClock::new());
    let hook = InputSummaryHook::every_n_secs(&folder, Duration::from_secs(1)).clock(clock.clone());
    let mut driver = program.start(hook);
    driver.runs(2);
    clock.advance(1000);
    driver.runs(2);
    driver.end().unwrap();
    assert_eq!(points(folder.path(), "input/wait_fraction"), [(1, 0.0), (3, 0.0)]);
}

#[test]
fn a_graph_without_a_step_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = InputSummaryHook::every_n_steps(&folder, 1).begin(&Graph::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Runtime);
}
