//! LoggingTensorHook.

use crate::support::{HandClock, Lines, Program, logged, output};
use hooks::{LoggingTensorHook, SessionRunHook};
use session_core::{Code, DType, Error, ErrorKind, Tensor};
use std::collections::HashMap;
use std::time::Duration;

#[test]
fn s_335_exactly_one_interval_must_be_given() {
    let second = Some(Duration::from_secs(1));
    for wrong in [LoggingTensorHook::new(None, None), LoggingTensorHook::new(Some(1), second)] {
        assert!(wrong.unwrap_err().message().contains("must be provided"));
    }
    LoggingTensorHook::new(Some(1), None).unwrap();
    LoggingTensorHook::new(None, second).unwrap();
    LoggingTensorHook::only_at_end().begin(&Program::new().graph).unwrap();
    let zero = LoggingTensorHook::new(Some(0), None).unwrap_err();
    assert_eq!(zero.message(), "invalid every_n_iter=0");
    let program = Program::new();
    let error = LoggingTensorHook::every_n_iter(0).begin(&program.graph).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Value);
}

#[test]
fn s_337_counts_its_own_runs_and_fetches_when_due() {
    let (program, lines, clock) = (Program::new().at(1000), Lines::default(), HandClock::new());
    let hook = LoggingTensorHook::every_n_iter(3).tensor("loss", &program.loss);
    let mut driver = program.start(hook.sink(lines.sink()).clock(clock.clone()));
    for run in 0..7 {
        program.set(&program.loss, run as f32);
        driver.run().unwrap();
        clock.advance(41);
    }
    assert_eq!(lines.take(), ["loss = 0.0", "loss = 3.0 (0.123 sec)", "loss = 6.0 (0.123 sec)"]);
    assert_eq!(program.fetched(&program.loss), 3);
}

#[test]
fn s_337_time_can_trigger_a_line() {
    let (program, lines, clock) = (Program::new(), Lines::default(), HandClock::new());
    let hook = LoggingTensorHook::every_n_secs(Duration::from_secs(2)).tensor("loss", "loss:0");
    let mut driver = program.start(hook.sink(lines.sink()).clock(clock.clone()));
    for _ in 0..5 {
        driver.run().unwrap();
        clock.advance(1000);
    }
    assert_eq!(lines.take(), ["loss = 0.0", "loss = 0.0 (2.000 sec)", "loss = 0.0 (2.000 sec)"]);
}

#[test]
fn s_337_tags_are_printed_in_order() {
    let (program, lines) = (Program::new(), Lines::default());
    let [b, a] = ["b", "a"].map(|name| output(&program.graph, name, DType::Float32));
    let logs = |hook: LoggingTensorHook| {
        program.start(hook.sink(lines.sink())).run().unwrap();
        lines.take().remove(0)
    };
    assert_eq!(logs(LoggingTensorHook::every_n_iter(1).named([&b, &a])), "b:0 = 0.0, a:0 = 0.0");
    assert_eq!(logs(LoggingTensorHook::every_n_iter(1).named(["b", "a"])), "b = 0.0, a = 0.0");
    let map = HashMap::from([("y", &b), ("x", &a), ("z", &b)]);
    assert_eq!(logs(LoggingTensorHook::every_n_iter(1).tensors(map)), "x = 0.0, y = 0.0, z = 0.0");
}

#[test]
fn s_337_the_log_is_at_level_info() {
    let program = Program::new();
    let mut driver = program.start(LoggingTensorHook::every_n_iter(1).tensor("loss", &program.loss));
    logged();
    driver.run().unwrap();
    assert_eq!(logged(), ["INFO loss = 0.0"]);
}

#[test]
fn s_336_begin_resets_the_hook() {
    let (program, lines) = (Program::new(), Lines::default());
    let hook = LoggingTensorHook::every_n_iter(5).tensor("loss", &program.loss).sink(lines.sink());
    let mut driver = program.start(hook);
    driver.runs(3);
    driver.begin().unwrap();
    driver.run().unwrap();
    assert_eq!(lines.take(), ["loss = 0.0", "loss = 0.0"], "first runs, without time");
}

#[test]
fn s_338_a_formatter_returns_the_text() {
    let (program, lines) = (Program::new(), Lines::default());
    program.set(&program.loss, 0.5f32);
    let hook = LoggingTensorHook::every_n_iter(1).tensor("loss", &program.loss).sink(lines.sink());
    let hook = hook.formatter(|values| {
        let (tag, value) = values[0];
        format!("{tag} is {:.2}", value.value::<f32>().unwrap())
    });
    program.start(hook).runs(2);
    assert_eq!(lines.take(), ["loss is 0.50", "loss is 0.50"]);
}

#[test]
fn s_339_at_end_it_runs_once_more_without_feeds() {
    let (program, lines) = (Program::new(), Lines::default());
    let hook = LoggingTensorHook::only_at_end().tensor("loss", &program.loss).sink(lines.sink());
    let mut driver = program.start(hook);
    driver.runs(2);
    assert!(lines.take().is_empty());
    driver.end().unwrap();
    assert_eq!(lines.take(), ["loss = 0.0"]);
    let last = program.session.runs().pop().unwrap();
    assert_eq!((last.fetches.len(), last.feeds.len(), last.targets.len()), (1, 0, 0));
    program.session.expect_error(Error::invalid_argument("you must feed a value"));
    assert_eq!(driver.end().unwrap_err().code(), Code::InvalidArgument);
}

#[test]
fn values_of_any_kind_are_logged() {
    let (program, lines) = (Program::new(), Lines::default());
    program.set(&program.loss, Tensor::from(["a", "b"]));
    let hook = LoggingTensorHook::every_n_iter(1).tensor("words", &program.loss).sink(lines.sink());
    program.start(hook).run().unwrap();
    assert_eq!(lines.take(), [format!("words = {}", Tensor::from(["a", "b"]))]);
}
