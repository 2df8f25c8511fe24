//! StepCounterHook.

use crate::support::{HandClock, Program, logged};
use hooks::{SessionRunHook, StepCounterHook};
use session_core::{ErrorKind, Graph};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use summary::{EventAccumulator, EventData, EventWriter, SessionStatus};

/// Step and rate of each summary.
fn rates(directory: &Path) -> Vec<(i64, f64)> {
    let points = EventAccumulator::open(directory).unwrap();
    points
        .scalars("global_step/sec")
        .iter()
        .map(|point| (point.step, f64::from(point.value as f32)))
        .collect()
}

#[test]
fn s_352_exactly_one_interval_must_be_given() {
    for wrong in [(None, None), (Some(1), Some(Duration::ZERO))] {
        let error = StepCounterHook::new(wrong.0, wrong.1).unwrap_err();
        assert!(error.message().contains("exactly one of every_n_steps"), "{error}");
    }
    StepCounterHook::new(None, Some(Duration::from_secs(1))).unwrap();
    let error = StepCounterHook::default().begin(&Graph::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Runtime);
}

#[test]
fn s_353_the_first_time_starts_the_interval() {
    let (program, folder, clock) = (Program::new(), tempfile::tempdir().unwrap(), HandClock::new());
    let hook = StepCounterHook::every_n_steps(3).output_dir(&folder).clock(clock.clone());
    let mut driver = program.start(hook);
    logged();
    for _ in 0..7 {
        clock.advance(250);
        driver.run().unwrap();
    }
    assert_eq!(logged(), ["INFO global_step/sec: 4", "INFO global_step/sec: 4"]);
    drop(driver);
    assert_eq!(rates(folder.path()), [(4, 4.0), (7, 4.0)]);
}

#[test]
fn s_353_rates_are_logged_by_time_and_are_infinite_without_time() {
    let (program, clock) = (Program::new(), HandClock::new());
    let hook = StepCounterHook::every_n_secs(Duration::from_secs(1)).clock(clock.clone());
    let mut driver = program.start(hook);
    logged();
    driver.runs(3);
    assert!(logged().is_empty());
    clock.advance(1500);
    driver.run().unwrap();
    assert_eq!(logged(), ["INFO global_step/sec: 2"]);
    let mut driver = program.start(StepCounterHook::every_n_steps(1).clock(clock));
    logged();
    driver.runs(2);
    assert_eq!(logged(), ["INFO global_step/sec: inf"]);
}

#[test]
fn s_354_a_step_that_does_not_change_is_reported_at_most_five_times() {
    let program = Program::new();
    let mut driver = program.start(StepCounterHook::every_n_steps(100));
    logged();
    for _ in 0..9 {
        driver.run_target(None).unwrap();
    }
    let warnings = logged();
    assert_eq!(warnings.len(), 5);
    assert!(warnings[0].starts_with("WARN It seems that global step"), "{}", warnings[0]);
}

#[test]
fn s_355_a_given_writer_is_used() {
    let (program, folder) = (Program::new(), tempfile::tempdir().unwrap());
    let writer = Arc::new(EventWriter::open(&folder).unwrap());
    let hook = StepCounterHook::every_n_steps(1).writer(writer.clone()).clock(HandClock::new());
    program.start(hook).runs(2);
    writer.close().unwrap();
    assert_eq!(rates(folder.path()), [(2, f64::INFINITY)]);
}

#[test]
fn a_session_start_is_written_for_viewers() {
    let (program, folder) = (Program::new().at(6), tempfile::tempdir().unwrap());
    let hook = StepCounterHook::every_n_steps(100).output_dir(&folder);
    let mut driver = program.start(hook);
    driver.runs(5);
    program.set_step(2);
    driver.create(&[]).unwrap(); // a recovery
    drop(driver);
    let events = summary::read_events(folder.path()).unwrap().map(|event| event.unwrap());
    let starts: Vec<i64> = events
        .filter(|event| {
            matches!(&event.data, Some(EventData::SessionLog(log)) if log.status == SessionStatus::Start)
        })
        .map(|event| event.step)
        .collect();
    assert_eq!(starts, [7, 3]);
}

#[test]
fn s_351_runs_of_many_steps_are_counted_without_delay() {
    let count = |steps_per_run: i64| {
        let (program, folder, clock) = (Program::new(), tempfile::tempdir().unwrap(), HandClock::new());
        program.world.lock().unwrap().advance = 10;
        let hook = StepCounterHook::every_n_steps(20).steps_per_run(steps_per_run).output_dir(&folder);
        let mut driver = program.start(hook.clock(clock.clone()));
        for _ in 0..5 {
            clock.advance(1000);
            driver.run().unwrap();
        }
        drop(driver);
        rates(folder.path())
    };
    assert_eq!(count(10), [(30, 10.0), (50, 10.0)]);
    assert_eq!(count(1), [(40, 10.0)], "one run late");
    assert_eq!(count(-3), count(1));
}
