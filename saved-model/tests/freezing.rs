//! Graphs are cut down to what TensorFlow cuts them down to.
#![allow(clippy::unwrap_used)] // a test may

use crate::support::{array, case, difference, json};
use checkpoint::CheckpointReader;
use embedded_engine::EmbeddedEngine;
use graph_def::proto::{FunctionDef, GraphDef, NodeDef};
use graph_def::{read_graph_file, to_graph_def, write_graph};
use ops::array::placeholder;
use ops::variables::{VariableExt, global_variables_initializer, variable};
use saved_model::graph_util::{
    FreezeOptions, VariableValues, convert_variables_to_constants, extract_sub_graph, fold_batch_norms,
    optimize_for_inference, remove_training_nodes, strip_unused,
};
use saved_model::{FrozenGraph, SavedModel, SavedModelFolder};
use session_core::{
    Code, DType, Engine, ErrorKind, Graph, Result, Session, SessionConfig, SessionExt, Tensor,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

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
fn freezing_a_checkpoint_writes_tensorflows_graph() {
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
    // Constants are found through the Identity operations of frozen variables.
    let folded = fold_batch_norms(&whole).unwrap();
    assert!(!folded.node.iter().any(|node| node.op.starts_with("FusedBatchNorm")));
    plays(&folded, "frozen_conv_bn", "folded.pb");
}

#[test]
fn cyclic_identities_are_not_constants() {
    let mut whole = graph("frozen_conv_bn/trimmed.pb");
    let circle = |name: &str, input: &str| NodeDef {
        name: name.to_owned(),
        op: "Identity".to_owned(),
        input: vec![input.to_owned()],
        ..NodeDef::default()
    };
    whole.node.extend([circle("a", "b"), circle("b", "a")]);
    let convolution = whole.node.iter_mut().find(|node| node.name == "conv").unwrap();
    convolution.input[1] = "a".to_owned();
    let folded = fold_batch_norms(&whole).unwrap();
    let norm = folded.node.iter().find(|node| node.name == "bn").unwrap();
    assert_eq!(norm.op, "FusedBatchNormV3");
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
fn numeric_checks_are_removed_and_their_edges_kept() {
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
fn the_inputs_of_a_subgraph_become_placeholders() {
    let whole = graph("frozen_conv_bn/graph.pb");
    let part = strip_unused(&whole, &["act"], &["out"]).unwrap();
    let names = nodes(&part);
    assert_eq!(names["act"].0, "Placeholder");
    assert!(!names.contains_key("conv") && names.contains_key("dw"));
    let sub = extract_sub_graph(&whole, &["act:0"]).unwrap();
    assert!(nodes(&sub).contains_key("conv") && !nodes(&sub).contains_key("dw"));
    assert!(strip_unused(&whole, &["nowhere"], &["out"]).is_err());
}

/// Freezes a signature of a recorded model from its session, and plays the recorded calls of it.
fn freezes_through_functions(name: &str, signature: &str) -> GraphDef {
    let folder = case(name);
    let model = SavedModel::load(folder.join("model"), ["serve"]).unwrap();
    let expected = json(&folder.join("expected.json"));
    let named = &expected["meta_graphs"][0]["signatures"][signature];
    let tensor = |side: &str, key: &str| named[side][key]["name"].as_str().unwrap().to_owned();
    let outputs: Vec<(String, String)> = named["outputs"]
        .as_object()
        .unwrap()
        .keys()
        .map(|key| (key.clone(), tensor("outputs", key)))
        .collect();
    let message = SavedModelFolder::open(folder.join("model")).unwrap().message().meta_graphs[0].clone();
    let names: Vec<&str> = outputs.iter().map(|(_, name)| name.as_str()).collect();
    let session: &dyn Session = &**model.session();
    let graph = message.graph_def.unwrap();
    let frozen = convert_variables_to_constants(session, &graph, &names, &FreezeOptions::new()).unwrap();
    let target = tempfile::tempdir().unwrap();
    let path = target.path().join("graph.pb");
    write_graph(&path, &frozen).unwrap();
    let graph = FrozenGraph::load(&path).unwrap();
    let mut played = 0;
    for call in expected["calls"].as_array().unwrap().iter().filter(|call| call["signature"] == signature) {
        let inputs = call["inputs"].as_object().unwrap().iter();
        let inputs = inputs.map(|(key, value)| (tensor("inputs", key), array(&folder, value)));
        let values = graph.run(inputs, &names).unwrap();
        for ((key, _), value) in outputs.iter().zip(&values) {
            assert_eq!(difference(value, &array(&folder, &call["outputs"][key])), None, "{key}");
        }
        played += 1;
    }
    assert!(played > 0);
    frozen
}

#[test]
fn variables_are_frozen_through_calls_of_functions() {
    let frozen = freezes_through_functions("module_v2", "serving_default");
    assert!(frozen.node.iter().all(|node| node.op != "VarHandleOp"));
    let functions = &frozen.library.as_ref().unwrap().function;
    let name = |function: &FunctionDef| function.signature.as_ref().unwrap().name.clone();
    // Those of the saver and of other signatures are gone, and so are the originals of the copies.
    assert!(
        functions.iter().all(|function| name(function).contains("_frozen_")),
        "{:?}",
        functions.iter().map(name)
    );
    let ops = functions.iter().flat_map(|function| &function.node_def).map(|node| node.op.as_str());
    assert!(!ops.clone().any(|op| op == "ReadVariableOp") && ops.clone().any(|op| op == "MatMul"));
}

#[test]
fn variables_are_frozen_through_loops_and_conditionals() {
    let text = r#"
node { name: "w" op: "VarHandleOp" attr { key: "dtype" value { type: DT_FLOAT } } attr { key: "shape" value { shape { } } }
  attr { key: "shared_name" value { s: "w" } } }
node { name: "x" op: "Placeholder" attr { key: "dtype" value { type: DT_FLOAT } } attr { key: "shape" value { shape { } } } }
node { name: "zero" op: "Const" attr { key: "dtype" value { type: DT_INT32 } }
  attr { key: "value" value { tensor { dtype: DT_INT32 tensor_shape { } int_val: 0 } } } }
node { name: "loop" op: "While" input: "zero" input: "x" input: "w"
  attr { key: "T" value { list { type: [DT_INT32, DT_FLOAT, DT_RESOURCE] } } }
  attr { key: "output_shapes" value { list { shape { } shape { } shape { } } } }
  attr { key: "cond" value { func { name: "less" } } } attr { key: "body" value { func { name: "times" } } } }
node { name: "after" op: "ReadVariableOp" input: "loop:2" attr { key: "dtype" value { type: DT_FLOAT } } }
node { name: "positive" op: "Greater" input: "x" input: "after" attr { key: "T" value { type: DT_FLOAT } } }
node { name: "chosen" op: "If" input: "positive" input: "w" input: "loop:1"
  attr { key: "Tcond" value { type: DT_BOOL } } attr { key: "Tin" value { list { type: [DT_RESOURCE, DT_FLOAT] } } }
  attr { key: "Tout" value { list { type: DT_FLOAT } } } attr { key: "output_shapes" value { list { shape { } } } }
  attr { key: "then_branch" value { func { name: "plus" } } } attr { key: "else_branch" value { func { name: "minus" } } } }
library {
  function {
    signature { name: "less" input_arg { name: "i" type: DT_INT32 } input_arg { name: "y" type: DT_FLOAT }
      input_arg { name: "w" type: DT_RESOURCE } output_arg { name: "more" type: DT_BOOL } }
    node_def { name: "three" op: "Const" attr { key: "dtype" value { type: DT_INT32 } }
      attr { key: "value" value { tensor { dtype: DT_INT32 tensor_shape { } int_val: 3 } } } }
    node_def { name: "compare" op: "Less" input: "i" input: "three:output:0" attr { key: "T" value { type: DT_INT32 } } }
    ret { key: "more" value: "compare:z:0" }
  }
  function {
    signature { name: "times" input_arg { name: "i" type: DT_INT32 } input_arg { name: "y" type: DT_FLOAT }
      input_arg { name: "w" type: DT_RESOURCE } output_arg { name: "i_1" type: DT_INT32 }
      output_arg { name: "y_1" type: DT_FLOAT } output_arg { name: "w_1" type: DT_RESOURCE } }
    node_def { name: "one" op: "Const" attr { key: "dtype" value { type: DT_INT32 } }
      attr { key: "value" value { tensor { dtype: DT_INT32 tensor_shape { } int_val: 1 } } } }
    node_def { name: "next" op: "AddV2" input: "i" input: "one:output:0" attr { key: "T" value { type: DT_INT32 } } }
    node_def { name: "read" op: "ReadVariableOp" input: "w" attr { key: "dtype" value { type: DT_FLOAT } } }
    node_def { name: "mul" op: "Mul" input: "y" input: "read:value:0" attr { key: "T" value { type: DT_FLOAT } } }
    node_def { name: "same" op: "Identity" input: "w" attr { key: "T" value { type: DT_RESOURCE } } }
    ret { key: "i_1" value: "next:z:0" } ret { key: "y_1" value: "mul:z:0" } ret { key: "w_1" value: "same:output:0" }
  }
  function {
    signature { name: "plus" input_arg { name: "w" type: DT_RESOURCE } input_arg { name: "y" type: DT_FLOAT }
      output_arg { name: "z" type: DT_FLOAT } }
    node_def { name: "read" op: "ReadVariableOp" input: "w" attr { key: "dtype" value { type: DT_FLOAT } } }
    node_def { name: "sum" op: "AddV2" input: "y" input: "read:value:0" attr { key: "T" value { type: DT_FLOAT } } }
    ret { key: "z" value: "sum:z:0" }
  }
  function {
    signature { name: "minus" input_arg { name: "w" type: DT_RESOURCE } input_arg { name: "y" type: DT_FLOAT }
      output_arg { name: "z" type: DT_FLOAT } }
    node_def { name: "read" op: "ReadVariableOp" input: "w" attr { key: "dtype" value { type: DT_FLOAT } } }
    ret { key: "z" value: "read:value:0" }
  }
}
versions { producer: 1395 }"#;
    let graph = GraphDef::from_text(text).unwrap();
    let frozen =
        convert_variables_to_constants(&Twos(0), &graph, &["chosen", "after"], &FreezeOptions::new())
            .unwrap();
    let target = tempfile::tempdir().unwrap();
    let path = target.path().join("graph.pb");
    write_graph(&path, &frozen).unwrap();
    let graph = FrozenGraph::load(&path).unwrap();
    let run = |x: f32| graph.run([("x", Tensor::scalar(x))], ["chosen", "after"]).unwrap();
    // x w w w + w, or w where x is not above w.
    assert_eq!(run(3.0), [Tensor::scalar(26f32), Tensor::scalar(2f32)]);
    assert_eq!(run(1.0), [Tensor::scalar(2f32), Tensor::scalar(2f32)]);
    let bodies: Vec<&str> = frozen
        .library
        .as_ref()
        .unwrap()
        .function
        .iter()
        .map(|function| function.signature.as_ref().unwrap().name.as_str())
        .collect();
    assert_eq!(bodies.len(), 4, "{bodies:?}");
    if let Some(python) = crate::support::python() {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/run_frozen.py");
        let output = Command::new(python).arg(script).arg(&path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let answers: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answers, serde_json::json!([26.0, 2.0]));
    }

    let assigns = text.replace(
        r#"node_def { name: "sum""#,
        r#"node_def { name: "assign" op: "AssignAddVariableOp" input: "w" input: "y" attr { key: "dtype" value { type: DT_FLOAT } } }
    node_def { name: "sum""#,
    );
    let graph = GraphDef::from_text(&assigns).unwrap();
    let error =
        convert_variables_to_constants(&Twos(0), &graph, &["chosen"], &FreezeOptions::new()).unwrap_err();
    let chain = error.chain();
    for part in ["'plus'", "'assign'", "AssignAddVariableOp", "'chosen'"] {
        assert!(chain.contains(part), "{part}: {chain}");
    }
}

/// Gives each variable the value 2; or this many bytes of zeros.
struct Twos(usize);

impl VariableValues for Twos {
    fn values(&self, names: &[String]) -> Result<Vec<Tensor>> {
        let value = match self.0 {
            0 => Tensor::scalar(2f32),
            // Untouched pages of zeros take no memory.
            bytes => Tensor::from_vec(vec![0u8; bytes], [bytes])?,
        };
        Ok(vec![value; names.len()])
    }
}

#[test]
fn oversized_constants_are_refused_before_they_are_created() {
    let graph = graph("frozen_dense/source.pb");
    // Each of the two would fit.
    let gigabytes = Twos(3 << 29);
    let error =
        convert_variables_to_constants(&gigabytes, &graph, &["relu"], &FreezeOptions::new()).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.to_string().contains("3221225472 bytes"), "{error}");
    let one = FreezeOptions::new().only(["a"]);
    let too_large = Twos(1 << 31);
    let error = convert_variables_to_constants(&too_large, &graph, &["relu"], &one).unwrap_err();
    assert!(error.to_string().contains("'a'") && error.to_string().contains("2147483648"), "{error}");
}

/// A graph of one product and what follows it, in text form.
fn of_text(text: &str) -> GraphDef {
    GraphDef::from_text(&text.replace('\'', "\"")).unwrap()
}

fn vector(name: &str, sizes: &[usize], values: &[f32]) -> String {
    let dims: String = sizes.iter().map(|size| format!("dim {{ size: {size} }} ")).collect();
    let values: String = values.iter().map(|value| format!("float_val: {value} ")).collect();
    format!(
        "node {{ name: '{name}' op: 'Const' attr {{ key: 'dtype' value {{ type: DT_FLOAT }} }} attr {{ key: 'value' value \
         {{ tensor {{ dtype: DT_FLOAT tensor_shape {{ {dims} }} {values} }} }} }} }}\n"
    )
}

const T: &str = "attr { key: 'T' value { type: DT_FLOAT } }";

/// Fetches a node of a graph that takes `x`.
fn value_of(graph: &GraphDef, name: &str, x: &Tensor) -> Tensor {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("graph.pb");
    write_graph(&path, graph).unwrap();
    FrozenGraph::load(&path).unwrap().run([("x", x.clone())], [name]).unwrap().remove(0)
}

#[test]
fn a_batch_norm_of_several_operations_is_folded_into_a_matrix_product() {
    for (transposed, sizes) in [(false, [3, 2]), (true, [2, 3])] {
        let text = "node { name: 'x' op: 'Placeholder' attr { key: 'dtype' value { type: DT_FLOAT } } }".to_owned()
            + &vector("w", &sizes, &[1.0, -2.0, 3.0, 0.5, 0.25, 4.0])
            + &vector("gamma", &[2], &[1.5, -2.0])
            + &vector("variance", &[2], &[0.25, 4.0])
            + &vector("epsilon", &[], &[0.001])
            + &vector("offset", &[2], &[7.0, 8.0])
            + &format!(
                "node {{ name: 'w/read' op: 'Identity' input: 'w' {T} }}
                 node {{ name: 'product' op: 'MatMul' input: 'x' input: 'w/read' {T} attr {{ key: 'transpose_b' value {{ b: {transposed} }} }} }}
                 node {{ name: 'add' op: 'AddV2' input: 'variance' input: 'epsilon' {T} }}
                 node {{ name: 'rsqrt' op: 'Rsqrt' input: 'add' {T} }}
                 node {{ name: 'scale' op: 'Mul' input: 'rsqrt' input: 'gamma' {T} }}
                 node {{ name: 'scaled' op: 'Mul' input: 'scale' input: 'product' {T} }}
                 node {{ name: 'norm' op: 'AddV2' input: 'scaled' input: 'offset' {T} }}"
            );
        let graph = of_text(&text);
        let folded = fold_batch_norms(&graph).unwrap();
        let after = nodes(&folded);
        assert_eq!(after["scaled"], ("MatMul", vec!["x", "product_weights"]));
        assert!(!after.contains_key("product"), "{after:?}");
        let x = Tensor::from([[1.0f32, 2.0, -1.0], [0.5, -3.0, 2.0]]);
        assert_eq!(difference(&value_of(&folded, "norm", &x), &value_of(&graph, "norm", &x)), None);
    }
}

#[test]
fn factors_that_are_not_of_channels_are_not_folded() {
    let product = |factor: &str, more: &str| {
        of_text(
            &("node { name: 'x' op: 'Placeholder' attr { key: 'dtype' value { type: DT_FLOAT } } }"
                .to_owned()
                + &vector("w", &[2, 2], &[1.0, 2.0, 3.0, 4.0])
                + factor
                + &format!(
                    "node {{ name: 'product' op: 'MatMul' input: 'x' input: 'w' {T} }}
                     node {{ name: 'scaled' op: 'Mul' input: 'product' input: 'factor' {T} }} {more}"
                )),
        )
    };
    let rows = product(&vector("factor", &[2, 1], &[2.0, 3.0]), "");
    let deep = product(&vector("factor", &[1, 1, 2], &[2.0, 3.0]), "");
    let fed = product(
        "node { name: 'factor' op: 'Placeholder' attr { key: 'dtype' value { type: DT_FLOAT } } }",
        "",
    );
    let shared = product(
        &vector("factor", &[2], &[2.0, 3.0]),
        &format!("node {{ name: 'other' op: 'Neg' input: 'product' {T} }}"),
    );
    for graph in [rows, deep, fed, shared] {
        assert_eq!(nodes(&fold_batch_norms(&graph).unwrap()), nodes(&graph));
    }
    // A single number is a factor of every channel.
    let single = product(&vector("factor", &[], &[2.0]), "");
    let folded = fold_batch_norms(&single).unwrap();
    assert_eq!(nodes(&folded)["scaled"].0, "MatMul");
    let x = Tensor::from([[1.0f32, 2.0]]);
    assert_eq!(value_of(&folded, "scaled", &x), Tensor::from([[14.0f32, 20.0]]));
}
