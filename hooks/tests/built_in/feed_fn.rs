//! FeedFnHook.

use crate::support::{Program, output};
use hooks::{FeedFnHook, SessionRunArgs};
use session_core::{DType, Error, Tensor};

#[test]
fn s_363_feeds_the_values_that_the_function_returns() {
    let program = Program::new();
    let x = output(&program.graph, "x", DType::Float32);
    let mut batches = [1f32, 2.0].into_iter();
    let mut driver = program.start(FeedFnHook::new(move || batches.next().map(|value| (x.clone(), value))));
    driver.runs(3);
    let fed: Vec<_> = program.session.runs().into_iter().map(|run| run.feeds).collect();
    let feed = |value: f32| vec![("x:0".to_owned(), Tensor::from(value))];
    assert_eq!(fed, [feed(1.0), feed(2.0), Vec::new()], "absent is fine");
    assert_eq!(driver.hooks[0].name(), "FeedFnHook");
}

#[test]
fn a_function_may_fail() {
    let program = Program::new();
    let mut driver = program.start(FeedFnHook::with_args(|| Err(Error::stop_iteration("no more batches"))));
    assert!(driver.run().unwrap_err().is_end_of_input());
    let mut driver = program.start(FeedFnHook::with_args(|| Ok(SessionRunArgs::new())));
    driver.run().unwrap();
}

#[test]
fn an_incompatible_value_is_rejected() {
    let program = Program::new();
    let x = output(&program.graph, "x", DType::Float32);
    let mut driver = program.start(FeedFnHook::new(move || [(x.clone(), 1i32)]));
    assert!(driver.run().unwrap_err().message().contains("'x:0'"));
}
