//! Recurrent cells and nets: variables, outputs, states and gradients are those of TensorFlow 1 (`oracle/rnn.py`).
#![allow(clippy::unwrap_used)] // a panic is the report

use crate::python::python;
use embedded_engine::EmbeddedEngine;
use ops::array::{concat, constant, stack, unstack};
use ops::control_flow::Structure;
use ops::rnn::{
    BasicLstmCell, BasicRnnCell, DropoutWrapper, GruCell, LayerNormBasicLstmCell, LstmCell, MultiRnnCell,
    ResidualWrapper, RnnCell, RnnOptions, bidirectional_dynamic_rnn, dynamic_rnn, dynamic_rnn_from,
    static_rnn,
};
use ops::{gradients, math};
use serde_json::Value;
use session_core::{Engine, Graph, Output, Session, SessionConfig, SessionExt, Tensor, Variable, keys};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// As in the script.
fn values(name: &str, shape: &[usize]) -> Tensor {
    let count: usize = shape.iter().product();
    let value = |i: usize| (i as f64 * 0.7 + name.len() as f64).sin() * 0.4;
    Tensor::from_vec((0..count).map(value).collect(), shape.to_vec()).unwrap()
}

fn session(graph: &Graph) -> Arc<dyn Session> {
    graph.check().unwrap();
    let session = EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(1)).unwrap();
    for variable in graph.collection(&keys::VARIABLES) {
        let shape = variable.shape().to_shape().unwrap();
        let feeds = [(variable.initial_value(), values(variable.name(), shape.dims()))];
        session.run(variable.initializer(), feeds).unwrap();
    }
    session
}

/// A net: its outputs, and the parts of its state.
type Build = fn(&Output) -> (Output, Vec<Output>);

fn plain() -> RnnOptions {
    RnnOptions::new()
}

fn with_lengths(x: &Output) -> RnnOptions {
    plain().sequence_length(constant(&x.graph(), [5i32, 2]))
}

fn flat<S: Structure>((outputs, state): (Output, S)) -> (Output, Vec<Output>) {
    (outputs, state.outputs())
}

fn unrolled<C: RnnCell>(cell: &C, x: &Output, options: &RnnOptions) -> (Output, Vec<Output>) {
    let (outputs, state) = static_rnn(cell, &unstack(x, 1), options);
    (stack(&outputs, 1), state.outputs())
}

fn both(x: &Output, options: &RnnOptions) -> (Output, Vec<Output>) {
    let ((fw, bw), state) = bidirectional_dynamic_rnn(&GruCell::new(4), &GruCell::new(4), x, options);
    (concat(&[fw, bw], 2), state.outputs())
}

const MODELS: &[(&str, Build)] = &[
    ("basic_rnn", |x| flat(dynamic_rnn(&BasicRnnCell::new(4), x, &plain()))),
    ("gru", |x| flat(dynamic_rnn(&GruCell::new(4), x, &with_lengths(x)))),
    ("basic_lstm", |x| flat(dynamic_rnn(&BasicLstmCell::new(4), x, &plain()))),
    ("basic_lstm_lengths", |x| {
        flat(dynamic_rnn(&BasicLstmCell::new(4).forget_bias(0.5), x, &with_lengths(x)))
    }),
    ("lstm", |x| {
        let cell = LstmCell::new(4).use_peepholes(true).cell_clip(0.3).num_proj(3).proj_clip(0.2);
        flat(dynamic_rnn(&cell, x, &with_lengths(x)))
    }),
    ("stack", |x| {
        let cell = MultiRnnCell::new([BasicLstmCell::new(4), BasicLstmCell::new(4)]);
        flat(dynamic_rnn(&cell, x, &plain()))
    }),
    ("static_gru", |x| unrolled(&GruCell::new(4), x, &with_lengths(x))),
    ("static_lstm", |x| unrolled(&LstmCell::new(4), x, &plain())),
    ("bidirectional", |x| both(x, &plain())),
    ("bidirectional_lengths", |x| both(x, &with_lengths(x))),
];

/// Outputs, states, loss, and the variables with their gradients.
fn run(build: Build) -> (Vec<f64>, Vec<Vec<f64>>, f64, Vec<(Variable, Vec<f64>)>) {
    let graph = Graph::new();
    let x = constant(&graph.named("x"), values("input", &[2, 5, 3]));
    let (outputs, states) = build(&x);
    let sum = |output: &Output| math::reduce_sum(output, ..);
    let parts: Vec<Output> = states.iter().map(sum).chain([sum(&math::square(&outputs))]).collect();
    let loss = math::add_n(&parts);
    let variables = graph.collection(&keys::VARIABLES);
    let found = gradients(&[&loss], &variables).unwrap();
    let grads: Vec<Output> = found.into_iter().map(Option::unwrap).collect();
    let session = session(&graph);
    let numbers = |tensor: &Tensor| tensor.to_vec::<f64>().unwrap();
    let values = session.run(&(&outputs, &states, &loss, &grads), ()).unwrap();
    let states = values.1.iter().map(numbers).collect();
    let grads = variables.into_iter().zip(values.3.iter().map(numbers)).collect();
    (numbers(&values.0), states, values.2.value::<f64>().unwrap(), grads)
}

fn close(found: &[f64], expected: &Value, what: &str) {
    let expected: Vec<f64> = expected.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
    let same =
        found.len() == expected.len() && found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-9);
    assert!(same, "{what}: {found:?}, TensorFlow {expected:?}");
}

#[test]
fn cells_and_nets_are_tensorflows() {
    let Some(python) = python() else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/rnn.py");
    let output = Command::new(python).arg(script).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer.as_object().unwrap().len(), MODELS.len());
    for (name, build) in MODELS {
        let expected = &answer[name];
        let (outputs, states, loss, grads) = run(*build);
        let shapes = expected["variables"].as_object().unwrap();
        assert_eq!(grads.len(), shapes.len(), "{name}");
        for (variable, grad) in &grads {
            let shape = shapes.get(variable.name()).unwrap_or_else(|| panic!("{name}: {}", variable.name()));
            assert_eq!(shape, &serde_json::json!(variable.shape().sizes().unwrap()), "{name}");
            close(grad, &expected["gradients"][variable.name()], &format!("{name}, {}", variable.name()));
        }
        close(&outputs, &expected["outputs"], name);
        for (found, expected) in states.iter().zip(expected["states"].as_array().unwrap()) {
            close(found, expected, name);
        }
        assert!((loss - expected["loss"].as_f64().unwrap()).abs() < 1e-9, "{name}");
    }
}

#[test]
fn operations_on_the_results_of_a_network_are_outside_its_scope() {
    let graph = Graph::new();
    let x = constant(&graph.named("x"), values("input", &[2, 5, 3]));
    let options = plain();
    let cells = [(); 4].map(|()| GruCell::new(4));
    let (outputs, state) = dynamic_rnn(&cells[0], &x, &options);
    let (unrolled, _) = static_rnn(&cells[1], &unstack(&x, 1), &plain().scope("static"));
    let ((forward, _), _) = bidirectional_dynamic_rnn(&cells[2], &cells[3], &x, &options);
    for (number, output) in [outputs, state, unrolled[0].clone(), forward].iter().enumerate() {
        let _ = ops::layers::dense(output, 2, &ops::layers::LayerOptions::default());
        let name = if number == 0 { "dense".to_owned() } else { format!("dense_{number}") };
        assert!(graph.operation(&format!("{name}/kernel")).is_ok(), "{name}");
    }
    graph.check().unwrap();
}

#[test]
fn a_sequence_in_pieces_is_the_sequence() {
    let graph = Graph::new();
    let x = constant(&graph.named("x"), values("input", &[2, 6, 3]));
    let cell = BasicLstmCell::new(4);
    let (whole, last) = dynamic_rnn(&cell, &x, &plain());
    let halves = ops::array::split(&x, 2, 1);
    let (first, state) = dynamic_rnn(&cell, &halves[0], &plain());
    let (second, state) = dynamic_rnn_from(&cell, &halves[1], state, &plain());
    let joined = concat(&[first, second], 1);
    let values = session(&graph).run(&(&whole, &joined, &last.c, &state.c), ()).unwrap();
    assert_eq!((values.0, values.2), (values.1, values.3));
    assert_eq!(graph.collection(&keys::VARIABLES).len(), 2, "the cell has its variables once");
}

#[test]
fn cells_that_wrap_cells() {
    let graph = Graph::new();
    let x = constant(&graph.named("x"), values("input", &[2, 3, 4]));
    let inner = BasicRnnCell::new(4);
    let (whole, _) = dynamic_rnn(&inner, &x, &plain());
    let (residual, _) = dynamic_rnn(&ResidualWrapper::new(&inner), &x, &plain());
    let (kept, _) = dynamic_rnn(&DropoutWrapper::new(&inner, 1.0, 1.0, None), &x, &plain());
    let first = |output: &Output| ops::array::slice(output, [0, 0, 0], [-1, 1, -1]);
    let sum = &first(&whole) + &first(&x);
    let norm = LayerNormBasicLstmCell::new(4);
    let (normed, _) = dynamic_rnn(&norm, &x, &RnnOptions::new().scope("normed"));
    assert!(graph.operation("normed/layer_norm_basic_lstm_cell/state/gamma").is_ok());
    let values = session(&graph).run(&(&whole, &kept, &sum, &first(&residual), &normed), ()).unwrap();
    assert_eq!((&values.0, &values.2), (&values.1, &values.3));
    assert!(values.4.to_vec::<f64>().unwrap().iter().all(|x| x.is_finite()));
}

#[test]
fn inputs_of_unknown_depth_and_cells_of_other_graphs_are_refused() {
    let graph = Graph::new();
    let unknown = ops::array::placeholder(&graph, session_core::DType::Float32, [None, None, None]);
    let cell = GruCell::new(2);
    let _ = dynamic_rnn(&cell, &unknown, &plain());
    let error = graph.check().unwrap_err();
    assert!(error.message().contains("must be known") && error.location().is_some(), "{error}");
    let other = Graph::new();
    let x = constant(&other, values("input", &[2, 3, 1]));
    let _ = dynamic_rnn(&cell, &x, &plain());
    let error = other.check().unwrap_err();
    assert!(error.message().contains("another graph"), "{error}");
}
