//! StopAtStepHook.

use crate::support::Program;
use hooks::StopAtStepHook;
use session_core::{ErrorKind, Graph};

#[test]
fn s_331_exactly_one_target_and_a_global_step_are_needed() {
    let text = |hook: session_core::Result<StopAtStepHook>| hook.unwrap_err().message().to_owned();
    assert!(text(StopAtStepHook::new(None, None)).contains("one of num_steps or last_step"));
    assert!(text(StopAtStepHook::new(Some(1), Some(1))).contains("only one of"));
    let mut hook = StopAtStepHook::new(Some(1), None).unwrap();
    let error = hooks::SessionRunHook::begin(&mut hook, &Graph::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Runtime);
    assert_eq!(error.message(), "global step should be created to use StopAtStepHook");
}

#[test]
fn s_332_num_steps_are_counted_from_the_first_session() {
    let program = Program::new().at(5);
    let mut driver = program.start(StopAtStepHook::num_steps(3));
    driver.run().unwrap();
    program.set_step(5); // a recovery went back
    driver.create(&[]).unwrap();
    assert_eq!(driver.runs(10), 3);
    assert_eq!(driver.stop.unwrap().to_string(), "hook 'StopAtStepHook': step 8 was reached");
}

#[test]
fn s_333_runs_until_the_step_reaches_the_target() {
    for (advance, target, runs) in [(1, 4, 4), (9, 7, 2), (3, 7, 3), (2, 8, 5)] {
        let program = Program::new();
        program.world.lock().unwrap().advance = advance;
        let mut driver = program.start(StopAtStepHook::last_step(target));
        assert_eq!(driver.runs(10), runs, "advance {advance}, target {target}");
    }
}

#[test]
fn s_333_a_run_that_does_not_advance_does_not_stop() {
    let program = Program::new().at(6);
    let mut driver = program.start(StopAtStepHook::last_step(7));
    for _ in 0..5 {
        driver.run_target(None).unwrap();
        assert!(driver.stop.is_none());
    }
    driver.run().unwrap();
    assert!(driver.stop.is_some());
}

#[test]
fn s_333_a_known_advance_stops_in_time() {
    for (advance, target, runs) in [(2, 8, 4), (3, 7, 3), (9, 7, 1)] {
        let program = Program::new();
        program.world.lock().unwrap().advance = advance;
        let mut driver = program.start(StopAtStepHook::last_step(target).steps_per_run(advance));
        assert_eq!(driver.runs(10), runs, "advance {advance}, target {target}");
    }
}

#[test]
fn q_35_a_target_reached_at_the_start_prevents_the_first_run() {
    let program = Program::new().at(7);
    for hook in [StopAtStepHook::last_step(7), StopAtStepHook::last_step(3), StopAtStepHook::num_steps(0)] {
        let driver = program.start(hook);
        assert_eq!(driver.created.unwrap().text(), "step 7 was reached");
    }
    let driver = program.start(StopAtStepHook::num_steps(1));
    assert!(driver.created.is_none());
}

#[test]
fn s_333_at_least_one_run_is_made_if_configured() {
    for target in [7, 3] {
        let program = Program::new().at(7);
        let mut driver = program.start(StopAtStepHook::last_step(target).at_least_one_run(true));
        assert!(driver.created.is_none());
        assert_eq!(driver.runs(10), 1);
    }
}

#[test]
fn the_step_is_read_again_only_near_the_target() {
    let program = Program::new();
    let mut driver = program.start(StopAtStepHook::last_step(5));
    let before = program.fetched(program.step.snapshot());
    for _ in 0..4 {
        driver.run().unwrap();
    }
    assert_eq!(program.fetched(program.step.snapshot()), before, "far away");
    driver.run().unwrap();
    assert_eq!(program.fetched(program.step.snapshot()), before + 1);
}
