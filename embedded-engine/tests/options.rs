//! Options of sessions and runs: what is requested is done, or refused.
#![allow(clippy::unwrap_used)] // a panic is the report

use embedded_engine::EmbeddedEngine;
use session_core::{
    Code, Engine, Graph, Output, RunMetadata, RunOptions, Session, SessionConfig, SessionExt, Tensor,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

fn on(device: &str) -> (Graph, Output) {
    let graph = Graph::new();
    let there = graph.device(device);
    let x = ops::array::constant(&there, 1f32);
    let y = ops::math::add(&x, &x);
    (graph, y)
}

fn new_session(graph: &Graph, config: &SessionConfig) -> session_core::Result<Arc<dyn Session>> {
    EmbeddedEngine::new().new_session(graph, "", config)
}

fn strict(processors: Option<i32>) -> SessionConfig {
    let device_count = processors.map(|count| ("CPU", count));
    SessionConfig::with_threads(1).allow_soft_placement(false).device_count(device_count)
}

#[test]
fn without_soft_placement_devices_must_exist() {
    for device in ["/gpu:0", "/cpu:1", "/job:localhost/gpu:1", "/device:CPU:x", "nonsense"] {
        let (graph, y) = on(device);
        let error = new_session(&graph, &strict(None)).unwrap().run(&y, ()).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{device}: {error}");
        assert!(error.message().contains(device) && error.message().contains("CPU:0"), "{error}");
        assert!(error.node().is_some(), "{error}");
        let anywhere = new_session(&graph, &SessionConfig::with_threads(1)).unwrap();
        assert_eq!(anywhere.run(&y, ()).unwrap(), Tensor::from(2f32), "{device}");
    }
    for device in
        ["", "/cpu:0", "/device:CPU:0", "/device:CPU:*", "/job:localhost/replica:0/task:0/device:CPU:0"]
    {
        let (graph, y) = on(device);
        let session = new_session(&graph, &strict(None)).unwrap();
        assert_eq!(session.run(&y, ()).unwrap(), Tensor::from(2f32), "{device}");
    }
}

/// As in TensorFlow, soft placement chooses among the devices of one task.
#[test]
fn tasks_must_exist_even_with_soft_placement() {
    for device in [
        "/job:ps/cpu:0",
        "/job:ps/task:0",
        "/job:worker/gpu:0",
        "/job:localhost/task:1",
        "/replica:1",
        "/task:3",
    ] {
        let (graph, y) = on(device);
        for config in [strict(None), SessionConfig::with_threads(1)] {
            let error = new_session(&graph, &config).unwrap().run(&y, ()).unwrap_err();
            assert_eq!(error.code(), Code::InvalidArgument, "{device}: {error}");
            assert!(error.message().contains(device) && error.message().contains("clear_devices"), "{error}");
        }
    }
}

#[test]
fn device_count_sets_the_number_of_cpus() {
    let (graph, y) = on("/cpu:1");
    let session = new_session(&graph, &strict(Some(2))).unwrap();
    assert_eq!(session.run(&y, ()).unwrap(), Tensor::from(2f32));
    for none in [0, -1] {
        let error = new_session(&graph, &strict(Some(none))).err().unwrap();
        assert_eq!(error.code(), Code::NotFound, "{error}");
    }
    // The most that may be used of what there is none of.
    let device_count = BTreeMap::from([("GPU".to_owned(), 3)]);
    let config = SessionConfig::with_threads(1).device_count(device_count);
    assert!(new_session(&graph, &config).is_ok());
}

/// Keeps what is logged.
struct Logged(Mutex<Vec<String>>);

impl log::Log for Logged {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.0.lock().unwrap().push(record.args().to_string());
    }

    fn flush(&self) {}
}

static LOGGED: Logged = Logged(Mutex::new(Vec::new()));

#[test]
fn log_device_placement_logs_where_operations_run() {
    log::set_logger(&LOGGED).unwrap();
    log::set_max_level(log::LevelFilter::Info);
    let (graph, y) = on("/cpu:0");
    new_session(&graph, &SessionConfig::with_threads(1)).unwrap().run(&y, ()).unwrap();
    assert!(LOGGED.0.lock().unwrap().iter().all(|line| !line.contains("device:CPU:0")));
    let config = SessionConfig::with_threads(1).log_device_placement(true);
    new_session(&graph, &config).unwrap().run(&y, ()).unwrap();
    let line = format!("{}: (AddV2): /job:localhost/replica:0/task:0/device:CPU:0", y.operation().name());
    assert!(LOGGED.0.lock().unwrap().contains(&line), "{line}");
}

#[test]
fn partition_graphs_are_refused() {
    let (graph, y) = on("");
    let options = RunOptions::default().output_partition_graphs(true);
    let session = new_session(&graph, &SessionConfig::with_threads(1)).unwrap();
    let mut metadata = RunMetadata::default();
    let error = session.run_with(&y, (), &options, Some(&mut metadata)).unwrap_err();
    assert_eq!(error.code(), Code::Unimplemented, "{error}");
    assert!(error.message().contains("output_partition_graphs"), "{error}");
}

#[test]
fn a_full_trace_includes_constants() {
    let (graph, y) = on("");
    let session = new_session(&graph, &SessionConfig::with_threads(1)).unwrap();
    let mut metadata = RunMetadata::default();
    session.run_with(&y, (), &RunOptions::with_full_trace(), Some(&mut metadata)).unwrap();
    let nodes: Vec<&str> = metadata.step_stats.iter().map(|stats| stats.node.as_str()).collect();
    assert_eq!(nodes, [y.operation().name()]);
    assert_eq!(metadata.step_stats[0].output_bytes, 4);
}
