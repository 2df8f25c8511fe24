//! SummarySaverHook.

use crate::support::{HandClock, Program, borrowed, output};
use hooks::{SessionRunHook, SummarySaverHook};
use session_core::{Code, DType, Error, Graph, Output, Tensor, keys};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use summary::{EventAccumulator, EventData, EventWriter, Summary};

/// A program with a summary.
fn program() -> (Program, Output) {
    let program = Program::new();
    let summary = output(&program.graph, "summary", DType::String);
    program.set(&summary, Tensor::string(Summary::scalar("loss", 0.5).encode()));
    let again = output(&program.graph, "loss_again", DType::String);
    program.set(&again, Tensor::string(Summary::scalar("again", 0.5).encode()));
    (program, summary)
}

fn steps(directory: &Path) -> Vec<i64> {
    EventAccumulator::open(directory).unwrap().scalars("loss").iter().map(|point| point.step).collect()
}

fn starts(directory: &Path) -> Vec<i64> {
    let events = summary::read_events(directory).unwrap().map(|event| event.unwrap());
    events.filter(|event| event.is_session_start()).map(|event| event.step).collect()
}

#[test]
fn s_357_s_358_writes_the_first_run_and_then_the_due_ones() {
    let ((program, summary), folder) = (program(), tempfile::tempdir().unwrap());
    let hook = SummarySaverHook::every_steps(3).summary(&summary).output_dir(&folder);
    let mut driver = program.start(hook);
    driver.runs(8);
    driver.end().unwrap();
    assert_eq!(steps(folder.path()), [1, 4, 7]);
    assert_eq!(starts(folder.path()), [1]);
    assert_eq!(program.fetched(&summary), 3, "fetched only when due");
}

#[test]
fn s_357_summaries_are_fetched_with_the_step_itself() {
    let ((program, summary), folder) = (program(), tempfile::tempdir().unwrap());
    let mut driver = program.start(SummarySaverHook::every_steps(1).summary(&summary).output_dir(&folder));
    driver.run().unwrap();
    let runs = program.session.runs();
    let run = runs.iter().find(|run| run.fetches.contains(&"summary:0".to_owned())).unwrap();
    assert_eq!(run.targets, ["train"]);
}

#[test]
fn s_357_time_can_trigger_summaries() {
    let ((program, summary), folder, clock) = (program(), tempfile::tempdir().unwrap(), HandClock::new());
    let hook = SummarySaverHook::every_secs(Duration::from_secs(1)).summary(&summary).output_dir(&folder);
    let mut driver = program.start(hook.clock(clock.clone()));
    driver.runs(3);
    clock.advance(1000);
    driver.runs(2);
    driver.end().unwrap();
    assert_eq!(steps(folder.path()), [1, 4]);
}

#[test]
fn s_356_several_summaries_and_a_given_writer_are_used() {
    let ((program, summary), folder) = (program(), tempfile::tempdir().unwrap());
    let other = output(&program.graph, "other", DType::String);
    let two = [Summary::scalar("a", 1.0).encode(), Summary::scalar("b", 2.0).encode()];
    program.set(&other, Tensor::from_strings(two.to_vec(), [2]).unwrap());
    let writer = Arc::new(EventWriter::open(&folder).unwrap());
    let hook = SummarySaverHook::every_steps(1).summary(&summary).summary(&other).writer(writer);
    let mut driver = program.start(hook);
    driver.run().unwrap();
    driver.end().unwrap();
    let run = EventAccumulator::open(folder.path()).unwrap();
    let tags: Vec<_> = run.tags().map(|tag| tag.tag.to_owned()).collect();
    assert_eq!(tags, ["a", "b", "loss"]);
}

#[test]
fn s_356_the_summaries_of_the_graph_are_the_default() {
    let ((program, summary), folder) = (program(), tempfile::tempdir().unwrap());
    let mut driver = program.drive(vec![Box::new(SummarySaverHook::every_steps(1).output_dir(&folder))]);
    driver.begin().unwrap();
    program.graph.add_to_collection(&keys::SUMMARY_OP, summary.clone()).unwrap(); // a scaffold, after `begin`
    driver.create(&[]).unwrap();
    driver.run().unwrap();
    driver.end().unwrap();
    assert_eq!(steps(folder.path()), [1]);
    program.graph.add_to_collection(&keys::SUMMARY_OP, summary).unwrap();
    let error = driver.create(&[]).unwrap_err();
    assert!(error.message().contains("More than one item in collection 'summary_op'"), "{error}");
}

#[test]
fn s_358_without_summaries_only_the_start_is_written() {
    let (program, folder) = (Program::new(), tempfile::tempdir().unwrap());
    let mut driver = program.start(SummarySaverHook::every_steps(1).output_dir(&folder));
    driver.runs(3);
    driver.end().unwrap();
    let events: Vec<_> = summary::read_events(folder.path()).unwrap().map(|event| event.unwrap()).collect();
    assert_eq!(events.len(), 2);
    assert!(matches!(events[0].data, Some(EventData::FileVersion(_))));
    assert!(events[1].is_session_start());
}

#[test]
fn s_358_without_writer_it_does_nothing() {
    let (program, summary) = program();
    let mut driver = program.start(SummarySaverHook::every_steps(1).summary(&summary));
    driver.run().unwrap();
    driver.end().unwrap();
    assert_eq!(program.fetched(&summary), 0);
}

#[test]
fn s_359_a_summary_that_cannot_be_computed_fails_the_run() {
    let ((program, summary), folder) = (program(), tempfile::tempdir().unwrap());
    let mut driver = program.start(SummarySaverHook::every_steps(1).summary(&summary).output_dir(&folder));
    program.session.expect_error(Error::invalid_argument("you must feed a value for placeholder 'x'"));
    assert_eq!(driver.run().unwrap_err().code(), Code::InvalidArgument);
}

#[test]
fn tensors_without_summaries_are_errors() {
    let ((program, summary), folder) = (program(), tempfile::tempdir().unwrap());
    let mut driver = program.start(SummarySaverHook::every_steps(1).summary(&summary).output_dir(&folder));
    program.set(&summary, 1f32);
    assert!(driver.run().unwrap_err().message().contains("string"));
    program.set(&summary, Tensor::string(&b"\xff\xff"[..]));
    let error = driver.run().unwrap_err();
    assert!(error.chain().contains("malformed summary"), "{}", error.chain());
    let error = SummarySaverHook::every_steps(1).begin(&Graph::new()).unwrap_err();
    assert!(error.message().contains("global step should be created"), "{error}");
}

#[test]
fn a_resumed_run_writes_at_the_steps_of_an_uninterrupted_one() {
    let folder = tempfile::tempdir().unwrap();
    let (first, summary) = program();
    let hook = |summary: &Output| SummarySaverHook::every_steps(3).summary(summary).output_dir(&folder);
    let mut driver = first.start(hook(&summary));
    driver.runs(5);
    let states = driver.states(); // the checkpoint of step 5
    assert_eq!(steps(folder.path()), [1, 4], "flushed with the checkpoint");
    driver.runs(3); // lost
    drop(driver);

    let (second, summary) = program();
    second.set_step(5);
    let mut driver = second.drive(vec![Box::new(hook(&summary))]);
    driver.begin().unwrap();
    driver.create(&borrowed(&states)).unwrap();
    driver.runs(6);
    driver.end().unwrap();
    assert_eq!(steps(folder.path()), [1, 4, 7, 10], "a viewer sees each step once");
    assert_eq!(starts(folder.path()), [1, 6]);
}

#[test]
fn a_recovery_writes_a_session_start_again() {
    let ((program, summary), folder) = (program(), tempfile::tempdir().unwrap());
    let mut driver = program.start(SummarySaverHook::every_steps(1).summary(&summary).output_dir(&folder));
    driver.runs(4);
    program.set_step(2);
    driver.create(&[("SummarySaverHook", 2i64.to_le_bytes().to_vec())]).unwrap();
    driver.runs(2);
    driver.end().unwrap();
    assert_eq!(starts(folder.path()), [1, 3]);
    assert_eq!(steps(folder.path()), [1, 2, 3, 4]);
    assert!(driver.create(&[("SummarySaverHook", vec![1])]).is_err(), "a state of another kind");
}

#[test]
fn numbers_need_no_summary_operation() {
    let ((program, summary), folder) = (program(), tempfile::tempdir().unwrap());
    let rate = output(&program.graph, "rate", DType::Float64);
    program.set(&rate, 0.125f64);
    let hook = SummarySaverHook::every_steps(2).scalar("learning_rate", &rate).output_dir(&folder);
    let mut driver = program.start(hook.scalar("step", &program.step).summary(&summary));
    driver.runs(3);
    driver.end().unwrap();
    let run = EventAccumulator::open(folder.path()).unwrap();
    let points = |tag: &str| run.scalars(tag).iter().map(|p| (p.step, p.value as f32)).collect::<Vec<_>>();
    assert_eq!(points("learning_rate"), [(1, 0.125), (3, 0.125)]);
    assert_eq!(points("step"), [(1, 0.0), (3, 2.0)], "fetched with the run, from before the step");
    assert_eq!(points("loss").len(), 2);
    program.set(&rate, Tensor::from([1f64, 2.0]));
    driver.run().unwrap();
    assert!(driver.run().is_err(), "not one number");
}

#[test]
fn numbers_are_written_with_the_summaries_of_the_graph() {
    let tags = |with: fn(SummarySaverHook) -> SummarySaverHook| {
        let ((program, summary), folder) = (program(), tempfile::tempdir().unwrap());
        let rate = output(&program.graph, "rate", DType::Float32);
        let hook = with(SummarySaverHook::every_steps(1).scalar("rate", &rate)).output_dir(&folder);
        let mut driver = program.drive(vec![Box::new(hook)]);
        driver.begin().unwrap();
        program.graph.add_to_collection(&keys::SUMMARY_OP, summary).unwrap();
        driver.create(&[]).unwrap();
        driver.run().unwrap();
        driver.end().unwrap();
        let run = EventAccumulator::open(folder.path()).unwrap();
        run.tags().map(|tag| tag.tag.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(tags(|hook| hook), ["loss", "rate"]);
    assert_eq!(tags(|hook| hook.graph_summaries(false)), ["rate"]);
    assert_eq!(tags(|hook| hook.summary("loss_again").graph_summaries(true)), ["again", "loss", "rate"]);
    assert_eq!(tags(|hook| hook.summary("loss_again")), ["again", "rate"], "those given take their place");
}
