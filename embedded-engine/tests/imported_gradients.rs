//! Gradients that are built here through imported graphs, whose own gradients TensorFlow built, agree with these: loops and
//! conditionals of TensorFlow 1, functional ones, arrays and recurrent nets.
#![allow(clippy::unwrap_used)] // a panic is the report

use crate::graphs;
use embedded_engine::EmbeddedEngine;
use ops::gradients;
use session_core::{Code, DType, Engine, Graph, Output, Session, SessionConfig, SessionExt, Tensor};
use std::sync::Arc;

/// A graph of `graphs/`, what is differentiated, with respect to what, and TensorFlow's gradient in the same graph.
const CASES: &[(&str, &[&str], &str, &str)] = &[
    ("cond_of_values", &["cond/Merge:0"], "x:0", "gradients/AddN:0"),
    ("while_of_captured", &["Sum:0"], "x:0", "gradients/AddN_1:0"),
    ("while_of_captured", &["Sum:0"], "w:0", "gradients/while/MatMul/Enter_grad/b_acc_3:0"),
    ("nested_while", &["while/Exit_1:0"], "x:0", "gradients/AddN_1:0"),
    ("while_in_cond", &["cond/Merge:0"], "x:0", "gradients/AddN_1:0"),
    ("cond_in_while", &["while/Exit_1:0"], "w:0", "gradients/while/cond/mul/Enter_grad/b_acc_3:0"),
    (
        "tensor_arrays",
        &["TensorArrayStack/TensorArrayGatherV3:0", "while/Exit_1:0", "TensorArrayConcatV3:0"],
        "x:0",
        "gradients/AddN_1:0",
    ),
    (
        "tensor_arrays_of_strings",
        &["TensorArrayStack/TensorArrayGatherV3:0", "while/Exit_1:0", "TensorArrayConcatV3:0"],
        "x:0",
        "gradients/AddN_1:0",
    ),
    (
        "tensor_arrays_of_references",
        &["TensorArrayStack/TensorArrayGatherV3:0", "while/Exit_1:0", "TensorArrayConcatV3:0"],
        "x:0",
        "gradients/AddN_1:0",
    ),
    ("higher_order", &["add_1:0"], "x:0", "gradients/AddN_5:0"),
    (
        "dynamic_lstm",
        &["rnn/add_2:0"],
        "rnn/lstm_cell/lstm/kernel:0",
        "gradients/rnn/while/lstm_cell/MatMul/Enter_grad/b_acc_3:0",
    ),
    (
        "dynamic_lstm",
        &["rnn/add_2:0"],
        "rnn/lstm_cell/lstm/bias:0",
        "gradients/rnn/while/lstm_cell/BiasAdd/Enter_grad/b_acc_3:0",
    ),
    (
        "dynamic_gru",
        &["rnn/add_1:0"],
        "rnn/gru_cell/gates/kernel:0",
        "gradients/rnn/while/gru_cell/MatMul/Enter_grad/b_acc_3:0",
    ),
    (
        "dynamic_gru",
        &["rnn/add_1:0"],
        "rnn/gru_cell/candidate/kernel:0",
        "gradients/rnn/while/gru_cell/MatMul_1/Enter_grad/b_acc_3:0",
    ),
    ("functional_control_flow", &["Sum_2:0"], "x:0", "gradients/AddN_2:0"),
    ("functional_control_flow", &["Sum_2:0"], "w:0", "gradients/AddN_1:0"),
    ("functional_map", &["add_1:0"], "x:0", "gradients/AddN_3:0"),
    (
        "functional_rnn",
        &["rnn/add_2:0"],
        "rnn/lstm_cell/lstm/kernel:0",
        "gradients/rnn/while_grad/tuple/control_dependency_4:0",
    ),
    (
        "functional_rnn",
        &["rnn/add_2:0"],
        "rnn/lstm_cell/lstm/bias:0",
        "gradients/rnn/while_grad/tuple/control_dependency_5:0",
    ),
];

fn session(graph: &Graph) -> Arc<dyn Session> {
    let session = EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(1)).unwrap();
    session.run(&graph.operation("initialize_all").unwrap(), ()).unwrap();
    session
}

/// A value for each placeholder.
fn feeds(graph: &Graph) -> Vec<(Output, Tensor)> {
    let placeholders = graph.operations().into_iter().filter(|op| op.op_type() == "Placeholder");
    let value = |output: &Output| match (output.operation().name(), output.dtype()) {
        ("n", _) => Tensor::from(5i32),
        ("p", _) => Tensor::from(true),
        ("lengths", _) => Tensor::from([5i32, 3]),
        (_, DType::Float32) => {
            let sizes: Vec<usize> =
                output.shape().sizes().unwrap().iter().map(|&d| d.try_into().unwrap_or(2)).collect();
            let count: usize = sizes.iter().product();
            Tensor::from_vec((0..count).map(|i| (i as f32 * 0.7).sin() * 0.8 + 0.1).collect(), sizes).unwrap()
        }
        (name, dtype) => panic!("no value for '{name}' of {dtype}"),
    };
    placeholders.map(|op| (op.output(0), value(&op.output(0)))).collect()
}

fn difference(ours: &Tensor, theirs: &Tensor) -> Option<String> {
    let (a, b) = (ours.to_vec::<f32>().unwrap(), theirs.to_vec::<f32>().unwrap());
    let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 2e-5 * b.abs().max(1.0);
    let same = ours.shape() == theirs.shape() && a.iter().zip(&b).all(close);
    (!same).then(|| format!("{ours:?}, TensorFlow's {theirs:?}"))
}

fn check(name: &str, ys: &[&str], x: &str, theirs: &str) -> session_core::Result<Option<String>> {
    let graph = graphs::import(name)?;
    let ys: Vec<Output> = ys.iter().map(|y| graph.output(y).unwrap()).collect();
    let x = graph.output(x)?;
    let theirs = graph.output(theirs)?;
    let values = feeds(&graph);
    // Theirs first: what is imported is not to change.
    let before = session(&graph).run(&(&theirs, &ys), &values)?;
    let ours = gradients(&ys, &[&x])?.remove(0).unwrap();
    let session = session(&graph);
    let found = session.run(&ours, &values)?;
    let after = session.run(&(&theirs, &ys), &values)?;
    let both = session.run(&(&ours, &theirs), &values)?;
    if after.1 != before.1 {
        return Ok(Some("the results changed".to_owned()));
    }
    let pairs = [(&found, &before.0), (&after.0, &before.0), (&both.0, &before.0), (&both.1, &before.0)];
    Ok(pairs.into_iter().find_map(|(a, b)| difference(a, b)))
}

#[test]
fn gradients_built_here_are_tensorflows() {
    let mut wrong = Vec::new();
    for (name, ys, x, theirs) in CASES {
        match check(name, ys, x, theirs) {
            Ok(None) => {}
            Ok(Some(text)) => wrong.push(format!("{name}, {x}: {text}")),
            Err(error) => wrong.push(format!("{name}, {x}: {}", error.chain())),
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), CASES.len(), wrong.join("\n"));
}

/// TensorFlow refuses them, too: "Second-order gradient for while loops not supported."
#[test]
fn gradients_of_the_gradients_of_a_loop_are_refused() {
    for (name, y, x) in [
        ("while_of_captured", "gradients/AddN_1:0", "x:0"),
        (
            "dynamic_gru",
            "gradients/rnn/while/gru_cell/MatMul/Enter_grad/b_acc_3:0",
            "rnn/gru_cell/gates/kernel:0",
        ),
    ] {
        let graph = graphs::import(name).unwrap();
        let error = gradients(&[graph.output(y).unwrap()], &[graph.output(x).unwrap()]).unwrap_err();
        assert_eq!(error.code(), Code::Unimplemented, "{name}: {}", error.chain());
        assert!(error.chain().to_string().contains("stacks"), "{name}: {}", error.chain());
    }
}
