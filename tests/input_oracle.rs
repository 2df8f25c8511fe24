//! The same input graph in TensorFlow: built here, exported, and run there by its own queue runners.
//!
//! Needs a Python with TensorFlow: the one in the environment variable `MONITORED_SESSION_TF_PYTHON`, or
//! `target/tensorflow/venv/bin/python`. Without one, the test reports that it was skipped.
#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic reports the failure, and the output is meant to be read

use crate::python::python;
use graph_def::{export_meta_graph, write_meta_graph};
use monitored_session::ops::array::constant;
use monitored_session::ops::io::{Compression, Reader};
use monitored_session::ops::parsing::{
    CsvOptions, FeatureSpec, decode_csv, parse_example, parse_single_example,
};
use monitored_session::ops::variables::local_variables_initializer;
use monitored_session::prelude::*;
use monitored_session::queue_runner::input::*;
use monitored_session::queue_runner::{JoinOptions, start_queue_runners};
use monitored_session::summary::example::Example;
use monitored_session::summary::record::RecordWriter;
use serde_json::{Value as Json, json};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Runs the exported graph and prints every batch.
const SCRIPT: &str = r#"
import json, os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow.compat.v1 as tf
tf.disable_v2_behavior()
tf.train.import_meta_graph(sys.argv[1])
graph = tf.get_default_graph()
fetches = [graph.get_tensor_by_name(name) for name in sys.argv[3:]]
batches = []
with tf.Session() as session:
    session.run(graph.get_operation_by_name(sys.argv[2]))
    coordinator = tf.train.Coordinator()
    threads = tf.train.start_queue_runners(session, coordinator)
    try:
        while True:
            values = session.run(fetches)
            batches.append([[x.decode() if isinstance(x, bytes) else x for x in v.reshape(-1).tolist()] for v in values])
    except tf.errors.OutOfRangeError:
        pass
    coordinator.request_stop()
    coordinator.join(threads)
print(json.dumps(batches))
"#;

fn values(tensor: &Tensor) -> Json {
    match tensor.dtype() {
        DType::String => {
            json!(tensor.as_strings().unwrap().iter().map(|s| String::from_utf8_lossy(s)).collect::<Vec<_>>())
        }
        DType::Float32 => {
            json!(tensor.to_vec::<f32>().unwrap().iter().map(|&x| f64::from(x)).collect::<Vec<_>>())
        }
        DType::Int32 => json!(tensor.to_vec::<i32>().unwrap()),
        _ => json!(tensor.to_vec::<i64>().unwrap()),
    }
}

/// Compares the results of both, batch by batch.
fn both(python: &Path, build: impl FnOnce(&Graph) -> Vec<Output>) -> [Vec<Json>; 2] {
    let graph = Graph::new();
    let fetches = build(&graph);
    let init = local_variables_initializer(&graph.named("init_local"));
    graph.check().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("input.meta");
    write_meta_graph(&file, &export_meta_graph(&graph, None).unwrap()).unwrap();
    let script = folder.path().join("run.py");
    std::fs::write(&script, SCRIPT).unwrap();
    let names = fetches.iter().map(Output::name);
    let output = Command::new(python).arg(&script).arg(&file).arg(init.name()).args(names).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let there: Vec<Json> = serde_json::from_slice(&output.stdout).unwrap();

    graph.finalize().unwrap();
    let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::default()).unwrap();
    session.run(&init, ()).unwrap();
    let coordinator = Coordinator::new();
    let threads = start_queue_runners(&session, Some(&coordinator)).unwrap();
    let mut here = Vec::new();
    let error = loop {
        match session.run(&fetches, ()) {
            Ok(batch) => here.push(Json::Array(batch.iter().map(values).collect())),
            Err(error) => break error,
        }
    };
    assert!(error.is_end_of_input(), "{error}");
    coordinator.request_stop();
    coordinator
        .join_with(&threads, &JoinOptions::default().stop_grace_period(Duration::from_secs(20)))
        .unwrap();
    [here, there]
}

/// Returns all elements of the first tensor, sorted.
fn multiset(batches: &[Json]) -> Vec<String> {
    let mut all: Vec<String> =
        batches.iter().flat_map(|batch| batch[0].as_array().unwrap()).map(Json::to_string).collect();
    all.sort();
    all
}

fn files(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for file in 0..3i64 {
        let mut writer = RecordWriter::new(Vec::new());
        let mut text = String::from("id,x\n");
        for row in 0..(5 + file) {
            let id = file * 100 + row;
            let example = Example::new().with("id", [id]).with("x", [id as f32 / 2.0, -1.0]).with("s", ["t"]);
            let example = example.with("w", (0..row).map(|i| id + i).collect::<Vec<i64>>());
            writer.write(&example.encode()).unwrap();
            text += &format!("{id},{}\n", id as f32 / 4.0);
        }
        let name = folder.join(file.to_string()).to_str().unwrap().to_owned();
        std::fs::write(format!("{name}.tfrecord"), writer.into_inner()).unwrap();
        std::fs::write(format!("{name}.csv"), text).unwrap();
        names.push(name);
    }
    names
}

#[test]
fn tensorflow_yields_the_same_elements() {
    let Some(python) = python() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let names = files(folder.path());
    let records: Vec<String> = names.iter().map(|name| format!("{name}.tfrecord")).collect();
    let tables: Vec<String> = names.iter().map(|name| format!("{name}.csv")).collect();
    let plain = ProducerOptions::default().shuffle(false).num_epochs(2);
    let features = [
        ("id", FeatureSpec::fixed([], DType::Int64)),
        ("x", FeatureSpec::fixed([2], DType::Float32)),
        ("s", FeatureSpec::fixed([], DType::String).default_value("none")),
    ];

    // One by one, unshuffled: equal batch for batch.
    let [here, there] = both(&python, |graph| {
        let queue = string_input_producer(graph, records.clone(), &plain);
        let (key, record) = Reader::tf_record(graph, Compression::None).read(&queue);
        let parsed = parse_single_example(&record, &features);
        let element = [parsed.dense("id"), parsed.dense("x"), parsed.dense("s"), key];
        batch(graph, element, 4, &BatchOptions::default().allow_smaller_final_batch(true)).to_vec()
    });
    assert_eq!(here, there);
    assert_eq!(here.len(), 9);

    // S-267: sparse tensors, one by one, several at once and from several ways to read.
    let features_and_words =
        [features[0].clone(), features[1].clone(), ("w", FeatureSpec::var_len(DType::Int64))];
    let parts = |batch: &Batch, place: usize| {
        let sparse = batch.sparse(place);
        vec![batch[1 - place].clone(), sparse.indices, sparse.values, sparse.dense_shape]
    };
    let smaller = BatchOptions::default().allow_smaller_final_batch(true);
    let one = |graph: &Graph, names: &[String]| {
        let queue = string_input_producer(graph, names.to_vec(), &plain);
        let (_, record) = Reader::tf_record(graph, Compression::None).read(&queue);
        let parsed = parse_single_example(&record, &features_and_words);
        (parsed.dense("id"), parsed.sparse("w"))
    };
    let [here, there] = both(&python, |graph| parts(&batch(graph, one(graph, &records), 4, &smaller), 1));
    assert_eq!(here, there);
    assert_eq!(here.len(), 9);
    assert!(here.iter().any(|batch| batch[2].as_array().unwrap().len() > 8), "{here:?}");
    let [here, there] = both(&python, |graph| {
        let queue = string_input_producer(graph, records.clone(), &plain);
        let (_, some) = Reader::tf_record(graph, Compression::None).read_up_to(&queue, 4);
        let parsed = parse_example(&some, &features_and_words);
        let elements = (parsed.sparse("w"), parsed.dense("id"));
        parts(&batch(graph, elements, 5, &BatchOptions::default().enqueue_many(true)), 0)
    });
    assert_eq!(here, there);
    assert_eq!(here.len(), 7);
    let sparse_multiset = |batches: &[Json]| {
        let mut all: Vec<String> =
            batches.iter().flat_map(|batch| batch[2].as_array().unwrap()).map(Json::to_string).collect();
        all.sort();
        all
    };
    let [here, there] = both(&python, |graph| {
        let ways = [one(graph, &records[..1]), one(graph, &records[1..])];
        parts(&shuffle_batch_join(graph, ways, 4, 8, &smaller.clone().capacity(20)), 1)
    });
    assert_eq!(multiset(&here), multiset(&there));
    assert_eq!(sparse_multiset(&here), sparse_multiset(&there));
    assert_eq!(multiset(&here).len(), 36);

    // Several at once, the same.
    let [here, there] = both(&python, |graph| {
        let queue = string_input_producer(graph, records.clone(), &plain);
        let (_, some) = Reader::tf_record(graph, Compression::None).read_up_to(&queue, 4);
        let parsed = parse_example(&some, &features);
        let elements = [parsed.dense("id"), parsed.dense("x")];
        batch(graph, elements, 5, &BatchOptions::default().enqueue_many(true)).to_vec()
    });
    assert_eq!(here, there);
    assert_eq!(here.len(), 7);

    // Lines of CSV, elements of different sizes.
    let [here, there] = both(&python, |graph| {
        let queue = string_input_producer(graph, tables.clone(), &plain);
        let (_, line) = Reader::text_line(graph, 1).read(&queue);
        let defaults = [Tensor::from([0i32]), Tensor::from([0.0f32])];
        let columns = decode_csv(&line, &defaults, &CsvOptions::default());
        let tail = monitored_session::ops::math::floor_mod(&columns[0], constant(graph, 4i32));
        let run = monitored_session::ops::array::range(constant(graph, 0i32), tail, constant(graph, 1i32));
        batch(
            graph,
            [columns[0].clone(), columns[1].clone(), run],
            3,
            &BatchOptions::default().dynamic_pad(true),
        )
        .to_vec()
    });
    assert_eq!(here, there);
    assert_eq!(here.len(), 12);

    // Shuffled: the same elements, in whatever order.
    let [here, there] = both(&python, |graph| {
        let queue = string_input_producer(graph, records.clone(), &plain.clone().shuffle(true).seed(1));
        let (_, record) = Reader::tf_record(graph, Compression::None).read(&queue);
        let element = parse_single_example(&record, &features).dense("id");
        let options = BatchOptions::default().seed(2).allow_smaller_final_batch(true);
        shuffle_batch(graph, &element, 4, 8, &options.clone().capacity(20)).to_vec()
    });
    assert_eq!(multiset(&here), multiset(&there));
    assert_ne!(here.iter().map(|batch| batch[0].clone()).collect::<Vec<_>>(), Vec::<Json>::new());

    // A seeded order of slices is TensorFlow's own.
    let [here, there] = both(&python, |graph| {
        let rows = constant(graph, Tensor::from((0..10i32).collect::<Vec<_>>()));
        let slices = slice_input_producer(graph, &[rows], &ProducerOptions::default().num_epochs(2).seed(5));
        batch(graph, &slices, 5, &BatchOptions::default()).to_vec()
    });
    assert_eq!(here, there);
    assert_eq!(here.len(), 4);
}
