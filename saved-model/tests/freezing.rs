//! Graphs are cut down to what TensorFlow cuts them down to.
#![allow(clippy::unwrap_used)] // a test may

mod support;

use checkpoint::CheckpointReader;
use embedded_engine::EmbeddedEngine;
use graph_def::proto::GraphDef;
use graph_def::{read_graph_file, to_graph_def, write_graph};
use ops::array::placeholder;
use ops::variables::{VariableExt, global_variables_initializer, variable};
use saved_model::FrozenGraph;
use saved_model::graph_util::{
    FreezeOptions, convert_variables_to_constants, extract_sub_graph, fold_batch_norms,
    optimize_for_inference, remove_training_nodes, strip_unused,
};
use session_core::{Code, DType, Engine, ErrorKind, Graph, SessionConfig, SessionExt, Tensor};
use std::collections::BTreeMap;
use support::{array, case, difference, json};

fn graph(name: &str) -> GraphDef {
    read_graph_file(case(name)).unwrap().graph_def.unwrap()
}

/// The nodes as they compare: types and inputs by name.
fn nodes(graph: &GraphDef) -> BTreeMap<&str, (&str, Vec<&str>)> {
    graph
        .node
        .iter()
        .map(|node| {
            let input = node.input.iter().map(|input| input.strip_suffix(":0").unwrap_or(input)).collect();
            (node.name.as_str(), (node.op.as_str(), input))
        })
        .collect()
}

/// Plays the first recorded call of a case with another graph.
fn plays(graph: &GraphDef, name: &str, file: &str) {
    let folder = case(name);
    let expected = json(&folder.join("expected.json"));
    let call = expected["calls"].as_array().unwrap().iter().find(|call| call["graph"] == file).unwrap();
    let target = tempfile::tempdir().unwrap();
    let path = target.path().join("graph.pb");
    write_graph(&path, graph).unwrap();
    let arrays = |side: &str| -> Vec<(String, Tensor)> {
        let recorded = call[side].as_object().unwrap().iter();
        recorded.map(|(name, recorded)| (name.clone(), array(&folder, recorded))).collect()
    };
    let names: Vec<String> = arrays("outputs").into_iter().map(|(name, _)| name).collect();
    let names: Vec<String> =
        names.into_iter().filter(|name| graph.node.iter().any(|node| name.starts_with(&node.name))).collect();
    let values = FrozenGraph::load(&path).unwrap().run(arrays("inputs"), &names).unwrap();
    for (name, expected) in arrays("outputs") {
        let Some(place) = names.iter().position(|known| *known == name) else { continue };
        assert_eq!(difference(&values[place], &expected), None, "{name}");
    }
}

#[test]
fn a_checkpoint_freezes_to_what_tensorflow_makes_of_it() {
    let values = CheckpointReader::open(case("frozen_dense/source")).unwrap();
    let source = graph("frozen_dense/source.pb");
    let frozen = convert_variables_to_constants(&values, &source, &["relu"], &FreezeOptions::new()).unwrap();
    assert_eq!(nodes(&frozen), nodes(&graph("frozen_dense/graph.pb")));
    plays(&frozen, "frozen_dense", "graph.pb");

    let kept = FreezeOptions::new().except(["b"]);
    let kept = convert_variables_to_constants(&values, &source, &["relu"], &kept).unwrap();
    assert_eq!(nodes(&kept), nodes(&graph("frozen_dense/kept.pb")));
}

#[test]
fn a_live_session_is_frozen_and_updates_are_refused() {
    let model = Graph::new();
    let x = placeholder(&model.named("x"), DType::Float32, [None]);
    let w = variable(&model.named("w"), 3.0f32);
    let _y = &x.named("y") * &w;
    let update = w.assign_add(1.0f32);
    let init = global_variables_initializer(&model);
    let session = EmbeddedEngine::new().new_session(&model, "", &SessionConfig::default()).unwrap();
    let message = to_graph_def(&model).unwrap();
    let freeze = |outputs: &[&str]| {
        convert_variables_to_constants(&*session, &message, outputs, &FreezeOptions::new())
    };
    let early = freeze(&["y"]).unwrap_err();
    assert_eq!(early.code(), Code::FailedPrecondition, "{early}");
    session.run(&init, ()).unwrap();
    let frozen = freeze(&["y"]).unwrap();
    assert!(frozen.node.iter().all(|node| !node.op.contains("Var") && !node.op.contains("Assign")));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("y.pbtxt");
    write_graph(&path, &frozen).unwrap();
    let values = FrozenGraph::load(&path).unwrap().run([("x", vec![2.0f32])], ["y"]).unwrap();
    assert_eq!(values[0], Tensor::from([6.0f32]));

    let error = freeze(&[update.name()]).unwrap_err();
    assert_eq!((error.kind(), error.node()), (ErrorKind::Value, Some(update.name())), "{error}");
    let unknown = freeze(&["Y"]).unwrap_err();
    assert!(unknown.to_string().contains("'Y' is not in the graph; is 'y' meant?"), "{unknown}");
}

#[test]
fn batch_norms_fold_as_in_tensorflow() {
    let whole = graph("frozen_conv_bn/graph.pb");
    let trimmed = remove_training_nodes(&whole, &["out"]);
    assert_eq!(nodes(&trimmed), nodes(&graph("frozen_conv_bn/trimmed.pb")));
    plays(&trimmed, "frozen_conv_bn", "trimmed.pb");
    let folded = fold_batch_norms(&trimmed).unwrap();
    assert_eq!(nodes(&folded), nodes(&graph("frozen_conv_bn/folded.pb")));
    plays(&folded, "frozen_conv_bn", "folded.pb");
    let inference = optimize_for_inference(&whole, &["x"], &["out"]).unwrap();
    assert_eq!(nodes(&inference), nodes(&graph("frozen_conv_bn/inference.pb")));
    plays(&inference, "frozen_conv_bn", "inference.pb");
    // Weights behind an Identity are left alone.
    assert_eq!(nodes(&fold_batch_norms(&whole).unwrap()), nodes(&whole));
}

#[test]
fn a_convolution_that_is_read_elsewhere_is_not_folded() {
    let mut trimmed = graph("frozen_conv_bn/trimmed.pb");
    let mut reader = trimmed.node.iter().find(|node| node.name == "Relu").unwrap().clone();
    (reader.name, reader.input) = ("other".to_owned(), vec!["conv".to_owned()]);
    trimmed.node.push(reader);
    let folded = fold_batch_norms(&trimmed).unwrap();
    let of = |name: &str| folded.node.iter().find(|node| node.name == name).unwrap();
    assert_eq!((of("bn").op.as_str(), of("bn2").op.as_str()), ("FusedBatchNormV3", "BiasAdd"));
    assert_eq!(of("conv").input[1], "k");
}

#[test]
fn checks_of_numbers_are_taken_out_with_their_edges_kept() {
    let text = r#"node { name: "x" op: "Placeholder" } node { name: "check" op: "CheckNumerics" input: "x" }
        node { name: "stop" op: "StopGradient" input: "check" } node { name: "first" op: "Identity" input: "stop:0" }
        node { name: "y" op: "Relu" input: "first" } node { name: "kept" op: "Identity" input: "x" }
        node { name: "z" op: "Relu" input: "y" input: "^kept" }"#;
    let graph = GraphDef::from_text(text).unwrap();
    let trimmed = remove_training_nodes(&graph, &[]);
    let names: Vec<&str> = trimmed.node.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["x", "y", "kept", "z"]);
    assert_eq!(trimmed.node[1].input, ["x"]);
}

#[test]
fn a_part_of_a_graph_begins_with_placeholders() {
    let whole = graph("frozen_conv_bn/graph.pb");
    let part = strip_unused(&whole, &["act"], &["out"]).unwrap();
    let names = nodes(&part);
    assert_eq!(names["act"].0, "Placeholder");
    assert!(!names.contains_key("conv") && names.contains_key("dw"));
    let sub = extract_sub_graph(&whole, &["act:0"]).unwrap();
    assert!(nodes(&sub).contains_key("conv") && !nodes(&sub).contains_key("dw"));
    assert!(strip_unused(&whole, &["nowhere"], &["out"]).is_err());
}
