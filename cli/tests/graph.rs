//! The program `monitored graph`, run as a user runs it.
#![allow(clippy::unwrap_used)] // a test may

mod support;

use serde_json::Value as Json;
use std::path::Path;
use support::{fixture, run_in};

#[test]
fn a_meta_graph_is_described() {
    let file = fixture("mlp_ref/model.meta");
    let answer = run_in(Path::new("."), &[&"graph", &"show", &file, &"--json"]);
    assert_eq!((answer.code, answer.errors.as_str()), (0, ""));
    let json: Json = serde_json::from_str(&answer.out).unwrap();
    assert_eq!(json["ops"]["ApplyAdam"], 4);
    assert_eq!(json["producer"], 2474);
    assert_eq!(json["inputs"][0]["name"], "x");
    assert_eq!(json["inputs"][0]["shape"], serde_json::json!([-1, 784]));
    let variables = json["variables"].as_array().unwrap();
    assert_eq!(variables.len(), 15);
    assert_eq!(variables[0]["resource"], false);
    assert_eq!(json["collections"]["train_op"]["items"], 1);
    assert_eq!(json["saver"]["restore_op"], "save/restore_all");
    assert_eq!(json["embedded_engine_lacks"], serde_json::json!({}));

    let answer = run_in(Path::new("."), &[&"graph", &"show", &fixture("queues_epochs/model.meta")]);
    assert_eq!(answer.code, 0);
    for text in ["queue runner: ", "local", "files/", "collections:", "the embedded engine"] {
        assert!(answer.out.contains(text), "{text}: {}", answer.out);
    }
}

#[test]
fn a_plain_graph_is_described_and_other_files_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    // A meta graph's graph alone: its field 2, with a length of three bytes or fewer before it.
    let meta = monitored_session::graph_def::read_meta_graph(fixture("mlp_resource/model.meta")).unwrap();
    let file = folder.path().join("graph.pb");
    std::fs::write(&file, meta.graph_def.unwrap().to_bytes()).unwrap();
    let answer = run_in(folder.path(), &[&"graph", &"show", &"graph.pb", &"--json"]);
    let json: Json = serde_json::from_str(&answer.out).unwrap();
    assert_eq!(json["variables"].as_array().unwrap().len(), 15, "found by their nodes");
    assert_eq!(json["collections"], serde_json::json!({}));

    std::fs::write(folder.path().join("x.meta"), "no graph").unwrap();
    let answer = run_in(folder.path(), &[&"graph", &"show", &"x.meta"]);
    assert_eq!(answer.code, 1);
    assert!(
        answer.errors.contains("'x.meta' holds neither a MetaGraphDef nor a GraphDef"),
        "{}",
        answer.errors
    );
}

#[test]
fn a_pipeline_is_shown_as_a_chain() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../embedded-engine/tests/data");
    for (name, expected) in [
        ("slices_oneshot", "TensorSlice"),
        ("read_records", "TensorSlice > FlatMap[TFRecord]"),
        ("feedable", "Range"),
    ] {
        let file = data.join(name).join("pipeline.meta");
        let answer = run_in(Path::new("."), &[&"graph", &"show", &file]);
        assert_eq!(answer.code, 0);
        assert!(answer.out.contains("\npipelines:\n"), "{}", answer.out);
        assert!(answer.out.contains(expected), "{name}: {}", answer.out);
        let answer = run_in(Path::new("."), &[&"graph", &"show", &file, &"--json"]);
        let json: Json = serde_json::from_str(&answer.out).unwrap();
        assert!(json["pipelines"][0]["iterator"].is_string(), "{json}");
    }
}
