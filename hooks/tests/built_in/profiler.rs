//! ProfilerHook.

use crate::support::{HandClock, Program};
use hooks::{ProfilerHook, TraceOptions, chrome_trace};
use serde_json::Value;
use session_core::{DType, Graph, OpStats, OutputInfo, PartialShape, RunMetadata, TraceLevel};
use std::path::Path;
use std::time::Duration;
use summary::EventData;

fn files(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.starts_with("timeline")).collect();
    names.sort();
    names
}

fn tags(directory: &Path) -> Vec<(i64, String, usize)> {
    let events = summary::read_events(directory).unwrap().map(|event| event.unwrap());
    let tag = |event: summary::Event| match event.data {
        Some(EventData::RunMetadata { tag, metadata }) => Some((event.step, tag, metadata.len())),
        _ => None,
    };
    events.filter_map(tag).collect()
}

#[test]
fn s_364_the_first_run_sets_the_timer() {
    let (program, folder) = (Program::new(), tempfile::tempdir().unwrap());
    let mut driver = program.start(ProfilerHook::every_steps(&folder, 3));
    driver.metadata = traced().0;
    driver.runs(7);
    driver.end().unwrap();
    assert_eq!(files(folder.path()), ["timeline-3.json", "timeline-6.json"]);
    let tags = tags(folder.path());
    assert_eq!(
        tags.iter().map(|(step, tag, _)| (*step, &**tag)).collect::<Vec<_>>(),
        [(3, "step_3"), (6, "step_6")]
    );
    assert!(tags[0].2 > 50, "the operations are in it");
    let levels: Vec<_> = program
        .session
        .runs()
        .iter()
        .filter(|run| !run.targets.is_empty())
        .map(|run| run.options.trace_level)
        .collect();
    let (off, on) = (TraceLevel::None, TraceLevel::Full);
    assert_eq!(levels, [off, off, on, off, off, on, off]);
}

#[test]
fn s_364_time_can_trigger_a_profile() {
    let (program, folder, clock) = (Program::new(), tempfile::tempdir().unwrap(), HandClock::new());
    let hook = ProfilerHook::every_secs(&folder, Duration::from_secs(1)).clock(clock.clone());
    let mut driver = program.start(hook);
    driver.runs(2);
    clock.advance(1000);
    driver.runs(2);
    assert_eq!(files(folder.path()), ["timeline-3.json"]);
}

#[test]
fn s_365_q_62_a_step_may_be_profiled_again() {
    let (program, folder) = (Program::new(), tempfile::tempdir().unwrap());
    let mut driver = program.start(ProfilerHook::every_steps(&folder, 2));
    driver.runs(2);
    program.set_step(0); // a recovery went back
    driver.begin().unwrap();
    driver.create(&[]).unwrap();
    driver.runs(2);
    driver.end().unwrap();
    let tags: Vec<_> = tags(folder.path()).into_iter().map(|(_, tag, _)| tag).collect();
    assert_eq!(tags, ["step_2", "step_2_1"]);
}

#[test]
fn a_directory_that_cannot_be_written_is_an_error() {
    let (program, folder) = (Program::new(), tempfile::tempdir().unwrap());
    let mut driver = program.start(ProfilerHook::every_steps(&folder, 2));
    std::fs::create_dir(folder.path().join("timeline-2.json")).unwrap();
    driver.run().unwrap();
    let error = driver.run().unwrap_err();
    assert!(error.message().contains("timeline-2.json"), "{error}");
    assert!(std::error::Error::source(&error).is_some());
}

/// Two operations, the second using the first, and one that an engine made of two.
fn traced() -> (RunMetadata, Graph) {
    let graph = Graph::new();
    let info = || OutputInfo { dtype: DType::Float32, shape: PartialShape::scalar(), is_ref: false };
    let a = graph.undefined_op("A").name("a").described_output(info()).finish_output();
    let b = graph.undefined_op("B").name("b").described_output(info()).input(&a).finish_output();
    graph.undefined_op("C").name("c").described_output(info()).input(&b).input(&a).finish_output();
    let stats = |node: &str, start: u64, elapsed: u64, thread: usize, output_bytes: usize| OpStats {
        node: node.to_owned(),
        op_type: node.to_uppercase(),
        device: "/cpu:0".to_owned(),
        start: Duration::from_micros(start),
        elapsed: Duration::from_micros(elapsed),
        thread,
        output_bytes,
    };
    let step_stats = vec![stats("a", 0, 10, 0, 100), stats("b+c", 12, 8, 1, 50)];
    (RunMetadata { step_stats, ..RunMetadata::default() }, graph)
}

fn events(options: TraceOptions, phase: &str) -> Vec<Value> {
    let (metadata, graph) = traced();
    let trace: Value = serde_json::from_str(&chrome_trace(&metadata, &graph, options)).unwrap();
    let events = trace["traceEvents"].as_array().unwrap().clone();
    events.into_iter().filter(|event| event["ph"] == phase).collect()
}

#[test]
fn a_trace_has_devices_and_operations() {
    let options = TraceOptions::default().dataflow(false);
    let process = &events(options, "M")[0];
    assert_eq!((&process["name"], &process["args"]["name"]), (&"process_name".into(), &"/cpu:0".into()));
    let operations = events(options, "X");
    let reported: Vec<_> = operations
        .iter()
        .map(|event| {
            (event["ts"].as_f64().unwrap(), event["dur"].as_f64().unwrap(), event["tid"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(reported, [(0.0, 10.0, 0), (12.0, 8.0, 1)]);
    assert_eq!(operations[1]["args"]["name"], "b+c");
    assert!(events(options, "s").is_empty() && events(options, "C").is_empty());
}

#[test]
fn arrows_go_from_an_operation_to_its_users() {
    let options = TraceOptions::default();
    let (starts, ends) = (events(options, "s"), events(options, "f"));
    assert_eq!((starts.len(), ends.len()), (1, 1), "one operation of the engine uses the other");
    assert_eq!(starts[0]["id"], ends[0]["id"]);
    assert_eq!((starts[0]["ts"].as_f64(), ends[0]["ts"].as_f64()), (Some(10.0), Some(12.0)));
}

#[test]
fn the_profile_shows_memory_rise_and_fall() {
    let counters = events(TraceOptions::default().dataflow(false).memory(true), "C");
    let held: Vec<_> = counters
        .iter()
        .map(|event| (event["ts"].as_f64().unwrap(), event["args"]["bytes"].as_i64().unwrap()))
        .collect();
    assert_eq!(held.first(), Some(&(10.0, 100)));
    assert_eq!(held.iter().map(|(_, bytes)| *bytes).max(), Some(150));
    assert_eq!(held.last(), Some(&(20.0, 0)));
}
