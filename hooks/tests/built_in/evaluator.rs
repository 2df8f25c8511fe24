//! EvaluatorHook.

use crate::support::{Lines, Program, borrowed, logged};
use hooks::EvaluatorHook;
use session_core::Error;
use summary::EventAccumulator;

#[test]
fn evaluates_every_n_steps_and_at_the_end() {
    let (program, folder) = (Program::new(), tempfile::tempdir().unwrap());
    let world = program.world.clone();
    let hook = EvaluatorHook::every_steps(3, move |_| {
        Ok(vec![("accuracy".to_owned(), world.lock().unwrap().step as f64 / 8.0)])
    });
    let mut driver = program.start(hook.output_dir(&folder));
    logged();
    driver.runs(7);
    driver.end().unwrap();
    let expected = [(3, 0.375), (6, 0.75), (7, 0.875)];
    let lines: Vec<String> = expected
        .iter()
        .map(|(step, accuracy)| format!("INFO evaluation at step {step}: accuracy = {accuracy}"))
        .collect();
    assert_eq!(logged(), lines);
    let run = EventAccumulator::open(folder.path()).unwrap();
    let points: Vec<_> =
        run.scalars("accuracy").iter().map(|p| (p.step, f64::from(p.value as f32))).collect();
    assert_eq!(points, expected);
    driver.end().unwrap();
    assert!(logged().is_empty(), "a step is evaluated once");
}

#[test]
fn a_dry_run_evaluates_without_writing() {
    let (program, folder) = (Program::new(), tempfile::tempdir().unwrap());
    let hook = EvaluatorHook::every_steps(1, |_| Ok(vec![("accuracy".to_owned(), 0.5)]));
    let mut driver = program.drive(vec![Box::new(hook.output_dir(folder.path().join("events")))]);
    driver.hooks[0].dry_run();
    driver.begin().unwrap();
    driver.create(&[]).unwrap();
    driver.runs(2);
    driver.end().unwrap();
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn a_resumed_training_evaluates_at_the_same_steps() {
    let lines = Lines::default();
    let hook = |program: &Program| {
        let (lines, world) = (lines.clone(), program.world.clone());
        EvaluatorHook::every_steps(3, move |_| {
            lines.push(world.lock().unwrap().step.to_string());
            Ok(Vec::new())
        })
        .at_end(false)
    };
    let first = Program::new();
    let mut driver = first.start(hook(&first));
    driver.runs(5);
    let states = driver.states();
    let second = Program::new().at(5);
    let mut driver = second.drive(vec![Box::new(hook(&second))]);
    driver.begin().unwrap();
    driver.create(&borrowed(&states)).unwrap();
    driver.runs(5);
    driver.end().unwrap();
    assert_eq!(lines.take(), ["3", "6", "9"]);
}

#[test]
fn errors_of_the_function_are_returned_by_run() {
    let program = Program::new();
    let mut driver = program.start(EvaluatorHook::every_steps(1, |_| Err(Error::value("no data"))));
    assert_eq!(driver.run().unwrap_err().message(), "no data");
}
