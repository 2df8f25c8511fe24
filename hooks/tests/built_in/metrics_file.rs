//! MetricsFileHook.

use crate::support::{Program, borrowed};
use hooks::{MetricsFileHook, SessionRunHook};
use session_core::{ErrorKind, Tensor};
use std::fs::read_to_string;

/// A training whose loss is half its step.
fn run(program: &Program, driver: &mut crate::support::Driver<'_>, steps: usize) {
    for _ in 0..steps {
        let step = program.world.lock().unwrap().step;
        program.set(&program.loss, step as f32 / 2.0);
        driver.run().unwrap();
    }
}

#[test]
fn rows_are_written_in_both_forms() {
    let (program, folder) = (Program::new(), tempfile::tempdir().unwrap());
    let (csv, json) = (folder.path().join("new/m.csv"), folder.path().join("other/m.jsonl"));
    let hooks: Vec<Box<dyn SessionRunHook>> = vec![
        Box::new(MetricsFileHook::csv(&csv, 2).tensor("loss", "loss").tensor("before", &program.step)),
        Box::new(MetricsFileHook::json_lines(&json, 3).tensor("loss", "loss")),
    ];
    let mut driver = program.drive(hooks);
    driver.begin().unwrap();
    driver.create(&[]).unwrap();
    run(&program, &mut driver, 5);
    // The hooks still exist: rows are written without delay.
    assert_eq!(read_to_string(&csv).unwrap(), "step,loss,before\n1,0,0\n3,1,2\n5,2,4\n");
    assert_eq!(read_to_string(&json).unwrap(), "{\"step\":1,\"loss\":0}\n{\"step\":4,\"loss\":1.5}\n");
}

#[test]
fn an_interrupted_training_leaves_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let hook = |name: &str| MetricsFileHook::csv(folder.path().join(name), 3).tensor("loss", "loss");
    let whole = Program::new();
    run(&whole, &mut whole.start(hook("whole.csv")), 12);
    let first = Program::new();
    let mut driver = first.start(hook("m.csv"));
    run(&first, &mut driver, 5);
    let states = driver.states();
    run(&first, &mut driver, 4); // lost
    drop(driver);
    let cut = read_to_string(folder.path().join("m.csv")).unwrap() + "10,4.";
    std::fs::write(folder.path().join("m.csv"), cut).unwrap();

    let second = Program::new().at(5);
    let mut driver = second.drive(vec![Box::new(hook("m.csv"))]);
    driver.begin().unwrap();
    driver.create(&borrowed(&states)).unwrap();
    run(&second, &mut driver, 7);
    let read = |name: &str| read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(read("m.csv"), read("whole.csv"));
}

#[test]
fn invalid_configurations_are_errors() {
    let (program, folder) = (Program::new(), tempfile::tempdir().unwrap());
    let path = folder.path().join("m.csv");
    std::fs::write(&path, "step,accuracy\n1,0.5\n").unwrap();
    let create = |hook: MetricsFileHook| {
        let mut driver = program.drive(vec![Box::new(hook)]);
        driver.begin().unwrap();
        driver.create(&[])
    };
    let error = create(MetricsFileHook::csv(&path, 1).tensor("loss", "loss")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Value);
    assert!(error.message().ends_with("m.csv has other columns"), "{error}");
    assert_eq!(read_to_string(&path).unwrap(), "step,accuracy\n1,0.5\n", "and is left alone");

    let error = MetricsFileHook::csv(folder.path(), 1).begin(&program.graph).unwrap_err();
    assert!(error.message().contains("is a folder, but a file is to be written there"), "{error}");

    program.set(&program.loss, Tensor::from([1f32, 2.0]));
    let hook = MetricsFileHook::csv(folder.path().join("n.csv"), 1).tensor("loss", "loss");
    let error = program.start(hook).run().unwrap_err();
    assert!(error.message().starts_with("'loss' is not one number"), "{error}");
}
