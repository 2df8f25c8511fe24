//! FinalOpsHook.

use crate::support::{Program, logged, output};
use hooks::FinalOpsHook;
use session_core::{Code, DType, Error, Tensor};

#[test]
fn s_362_runs_at_the_end_and_keeps_the_values() {
    let program = Program::new();
    program.set(&program.loss, 0.5f32);
    let x = output(&program.graph, "x", DType::Float32);
    let hook = FinalOpsHook::new((program.loss.clone(), program.train.clone())).feed(&x, 2f32);
    let values = hook.values();
    let mut driver = program.start(hook);
    driver.runs(2);
    assert!(values.get().is_none());
    driver.end().unwrap();
    drop(driver);
    let (loss, ()) = values.take().unwrap();
    assert_eq!(loss, Tensor::from(0.5f32));
    let run = program.session.runs().pop().unwrap();
    assert_eq!((run.targets.as_slice(), run.feeds.len()), (&["train".to_owned()][..], 1));
}

#[test]
fn s_362_an_end_of_input_is_logged_and_returned() {
    let program = Program::new();
    let hook = FinalOpsHook::new(program.loss.clone());
    let values = hook.values();
    let mut driver = program.start(hook);
    program.session.expect_error(Error::new(Code::OutOfRange, "queue is closed"));
    logged();
    assert!(driver.end().unwrap_err().is_end_of_input());
    assert!(logged()[0].starts_with("WARN An end of input was reported"));
    assert!(values.get().is_none());
}
