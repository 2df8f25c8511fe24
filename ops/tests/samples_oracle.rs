//! Every sample in TensorFlow: shapes as it infers them, gradients as it builds them and as differences give them.
//!
//! Needs a Python with TensorFlow: the one that the environment variable `MONITORED_SESSION_TF_PYTHON` names, or
//! `target/tensorflow/venv/bin/python` below the workspace's root. Without one the test reports that it was skipped.
#![allow(clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen
#![allow(clippy::unwrap_used)] // in a test a panic is the report

#[path = "../../tests/support/python.rs"]
mod python;

use ops::gradients;
use ops::samples::{Known, is_differentiable, samples};
use python::python;
use serde_json::{Map, Value as Json, json};
use session_core::{AttrValue, DType, Graph, Operation, Output, PartialShape, Tensor};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

fn shape(shape: &PartialShape) -> Json {
    json!(shape.sizes())
}

fn tensor(tensor: &Tensor) -> Json {
    let values = match tensor.dtype() {
        DType::String => {
            json!(tensor.as_strings().unwrap().iter().map(|s| String::from_utf8_lossy(s)).collect::<Vec<_>>())
        }
        // Bytes in the machine's order, which NumPy reads as they are.
        _ => json!(tensor.as_bytes().unwrap()),
    };
    json!({"dtype": tensor.dtype().number(), "shape": tensor.shape().dims(), "values": values})
}

/// Kind and value of an attribute.
fn attr(value: &AttrValue) -> Json {
    match value {
        AttrValue::Int(value) => json!(["i", value]),
        AttrValue::Float(value) => json!(["f", f64::from(*value)]),
        AttrValue::Bool(value) => json!(["b", value]),
        AttrValue::String(value) => json!(["s", String::from_utf8_lossy(value)]),
        AttrValue::Type(value) => json!(["type", value.number()]),
        AttrValue::Shape(value) => json!(["shape", shape(value)]),
        AttrValue::Tensor(value) => json!(["tensor", tensor(value)]),
        AttrValue::List(values) => json!(["list", values.iter().map(attr).collect::<Vec<_>>()]),
        other => panic!("no sample has such an attribute: {other:?}"),
    }
}

fn node(operation: &Operation) -> Json {
    let attrs: Map<String, Json> =
        operation.attrs().iter().map(|(name, value)| (name.to_owned(), attr(value))).collect();
    let control = operation.control_inputs();
    let control = control.iter().map(|before| format!("^{}", before.name()));
    let inputs: Vec<String> = operation.inputs().iter().map(Output::name).chain(control).collect();
    let shapes: Vec<Json> = operation.output_infos().iter().map(|info| shape(&info.shape)).collect();
    json!({
        "name": operation.name(), "op": operation.op_type(), "inputs": inputs, "attrs": attrs, "shapes": shapes,
    })
}

fn fed(placeholders: &[(Output, Tensor)]) -> Json {
    placeholders.iter().map(|(output, value)| json!([output.name(), tensor(value)])).collect()
}

fn cases() -> Vec<Json> {
    let mut cases = Vec::new();
    for sample in samples() {
        for known in [Known::Shapes, Known::Ranks, Known::Nothing] {
            if !sample.builds_with(known) {
                continue;
            }
            let graph = Graph::new();
            let built = sample.build(&graph, known);
            let ys: Vec<&Output> = built.outputs.iter().filter(|y| is_differentiable(y.dtype())).collect();
            let xs: Vec<&Output> = built.inputs.iter().map(|(x, _)| x).collect();
            let grads = if ys.is_empty() || xs.is_empty() { vec![] } else { gradients(&ys, &xs).unwrap() };
            graph.finalize().unwrap();
            let names = |outputs: &[&Output]| outputs.iter().map(|output| output.name()).collect::<Vec<_>>();
            cases.push(json!({
                "name": sample.name, "known": format!("{known:?}"), "numerical": sample.is_numerical(),
                "nodes": graph.operations().iter().map(node).collect::<Vec<_>>(),
                "inputs": fed(&built.inputs), "others": fed(&built.others),
                "outputs": names(&built.outputs.iter().collect::<Vec<_>>()), "ys": names(&ys),
                "grads": grads.iter().map(|grad| grad.as_ref().map(Output::name)).collect::<Vec<_>>(),
            }));
        }
    }
    cases
}

#[test]
fn shapes_and_gradients_are_tensorflows() {
    let Some(python) = python() else {
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/samples.py");
    let mut command = Command::new(python);
    command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(serde_json::to_string(&cases()).unwrap().as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{report}");
    println!("{report}");
}
