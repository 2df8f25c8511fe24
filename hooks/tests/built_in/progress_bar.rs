//! ProgressBarHook.

use crate::support::{HandClock, Lines, Program};
use hooks::{ProgressBarHook, SessionRunHook, StopAtStepHook};
use session_core::{Error, Graph};

#[test]
fn lines_are_printed_without_a_terminal() {
    let (program, lines, clock) = (Program::new().at(100), Lines::default(), HandClock::new());
    program.set(&program.loss, 0.123456f32);
    let hook = ProgressBarHook::new().total(1000).tensor("loss", "loss").sink(lines.sink());
    let mut driver = program.start(hook.clock(clock.clone()));
    for _ in 0..25 {
        clock.advance(1000);
        driver.run().unwrap();
    }
    driver.end().unwrap();
    let expected = [
        "step 101/1000 10%  loss 0.1235",
        "step 111/1000 11%  ETA 14:49  1.00 steps/s  loss 0.1235",
        "step 121/1000 12%  ETA 14:39  1.00 steps/s  loss 0.1235",
        "step 125/1000 12%  ETA 14:35  1.00 steps/s  loss 0.1235 (of step 121)",
    ];
    assert_eq!(lines.take(), expected, "the first, each ten seconds, the last");
    assert_eq!(program.fetched(&program.loss), 3, "fetched only when shown");
}

#[test]
fn the_bar_ends_at_the_target_of_the_stop_hook() {
    for first in [true, false] {
        let (program, lines, clock) = (Program::new().at(2), Lines::default(), HandClock::new());
        let progress = ProgressBarHook::new().sink(lines.sink()).clock(clock.clone());
        let stop = StopAtStepHook::num_steps(8);
        let mut hooks: Vec<Box<dyn SessionRunHook>> = vec![Box::new(progress), Box::new(stop)];
        if first {
            hooks.reverse();
        }
        let mut driver = program.drive(hooks);
        driver.begin().unwrap();
        driver.create(&[]).unwrap();
        driver.run().unwrap();
        clock.advance(10_000);
        driver.run().unwrap();
        assert_eq!(lines.take(), ["step 3/10 30%", "step 4/10 40%  ETA 1:00  0.10 steps/s"]);
        drop(driver);
        // The target is dropped with its hook, although the graph remains.
        program.start(ProgressBarHook::new().sink(lines.sink()).clock(clock)).run().unwrap();
        assert_eq!(lines.take(), ["step 5"]);
    }
}

#[test]
fn the_last_line_has_the_values_of_the_last_run() {
    let (program, lines, clock) = (Program::new(), Lines::default(), HandClock::new());
    let hook = ProgressBarHook::new().total(5).tensor("loss", "loss").sink(lines.sink()).clock(clock.clone());
    let mut driver = program.start(hook);
    for run in 1..=5 {
        program.set(&program.loss, run as f32);
        clock.advance(1);
        driver.run().unwrap();
    }
    driver.end().unwrap();
    let lines = lines.take();
    assert_eq!(lines, ["step 1/5 20%  loss 1", "step 5/5 100%  ETA 0:00  1000 steps/s  loss 5"]);
    assert_eq!(program.fetched(&program.loss), 2);
}

#[test]
fn the_bar_survives_errors_and_recoveries() {
    let (program, lines, clock) = (Program::new(), Lines::default(), HandClock::new());
    let hook = ProgressBarHook::default().sink(lines.sink()).clock(clock.clone());
    let mut driver = program.start(hook);
    driver.runs(5);
    driver.hooks[0].on_error(&Error::value("lost"));
    program.set_step(2);
    driver.create(&[]).unwrap();
    driver.run().unwrap();
    driver.end().unwrap();
    assert_eq!(lines.take(), ["step 1", "step 3"], "no line twice");
}

#[test]
fn a_global_step_is_needed() {
    let error = ProgressBarHook::new().begin(&Graph::new()).unwrap_err();
    assert!(error.message().contains("global step should be created to use ProgressBarHook"), "{error}");
}
