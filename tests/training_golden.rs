//! Training here and in TensorFlow is the same: equal initial values and data, 100 steps of each optimizer, equal losses
//! and final variables, slots and global step included. The golden files come from `golden/make_training_golden.py`.
#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic reports the failure, and the output is meant to be read

#[path = "../benches/support/mod.rs"]
mod support;

use monitored_session::checkpoint::CheckpointReader;
use monitored_session::ops::optimizers::{
    AdagradOptimizer, AdamOptimizer, GradientDescentOptimizer, MomentumOptimizer, Optimizer, RMSPropOptimizer,
};
use monitored_session::ops::{array, global_step, math, nn, variables};
use monitored_session::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use support::{glorot, labels, uniform};

const STEPS: usize = 100;
const BATCH: usize = 32;
const ROWS: usize = 1024;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join("golden").join(name)
}

fn expected_losses(optimizer: &str) -> Vec<f32> {
    let text = std::fs::read_to_string(golden("losses.json")).unwrap();
    let losses: BTreeMap<String, Vec<f32>> = serde_json::from_str(&text).unwrap();
    losses[optimizer].clone()
}

fn parameter(graph: &Graph, name: &str, values: Vec<f32>, shape: &[usize]) -> Variable {
    variables::variable(&graph.named(name), Tensor::from_vec(values, shape).unwrap())
}

/// Trains like the golden run, and returns the losses and the values of all variables.
fn train(optimizer: &dyn Optimizer) -> (Vec<f32>, BTreeMap<String, Tensor>) {
    let graph = Graph::new();
    let x = array::placeholder(&graph, DType::Float32, [BATCH, 64]);
    let y = array::placeholder(&graph, DType::Int32, [BATCH]);
    let w1 = parameter(&graph, "w1", glorot(10, 64 * 32, 64, 32), &[64, 32]);
    let b1 = parameter(&graph, "b1", vec![0.0; 32], &[32]);
    let w2 = parameter(&graph, "w2", glorot(11, 32 * 10, 32, 10), &[32, 10]);
    let b2 = parameter(&graph, "b2", vec![0.0; 10], &[10]);
    let initial = CheckpointReader::open(golden("initial")).unwrap();
    let h = nn::relu(nn::bias_add(math::matmul(&x, &w1), &b1));
    let logits = nn::bias_add(math::matmul(&h, &w2), &b2);
    let loss = math::reduce_mean(nn::sparse_softmax_cross_entropy_with_logits(&y, &logits), ..);
    let step = global_step::get_or_create_global_step(&graph);
    let train_op = optimizer.minimize(&loss, Some(&step));
    let init = variables::global_variables_initializer(&graph);

    let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::with_threads(1)).unwrap();
    session.run(&init, ()).unwrap();
    for variable in [&w1, &b1, &w2, &b2] {
        assert_eq!(
            session.run(variable, ()).unwrap(),
            initial.read(variable.name()).unwrap(),
            "{}",
            variable.name()
        );
    }
    let images = Tensor::from_vec(uniform(1, ROWS * 64), [ROWS, 64]).unwrap();
    let classes = Tensor::from(labels(2, ROWS, 10));
    let mut losses = Vec::new();
    for i in 0..STEPS {
        let first = i * BATCH % ROWS;
        let feeds = [
            (&x, images.rows(first, first + BATCH).unwrap()),
            (&y, classes.rows(first, first + BATCH).unwrap()),
        ];
        let (value, ()) = session.run((&loss, &train_op), feeds).unwrap();
        losses.push(value.value::<f32>().unwrap());
    }
    let all = variables::global_variables(&graph);
    let values = session.run(&all, ()).unwrap();
    (losses, all.iter().map(|variable| variable.name().to_owned()).zip(values).collect())
}

fn close(found: &Tensor, expected: &Tensor, what: &str, tolerance: f32) {
    assert_eq!((found.dtype(), found.shape()), (expected.dtype(), expected.shape()), "{what}");
    if found.dtype() == DType::Int64 {
        assert_eq!(found, expected, "{what}");
        return;
    }
    let (found, expected) = (found.as_slice::<f32>().unwrap(), expected.as_slice::<f32>().unwrap());
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance * (1.0 + b.abs()), "{what}[{i}]: {a}, TensorFlow has {b}");
    }
}

/// The tolerance for float32 rounding with another order of additions, over 100 steps.
const TOLERANCE: f32 = 2e-4;

fn agrees(name: &str, optimizer: &dyn Optimizer) {
    let (losses, values) = train(optimizer);
    let expected = expected_losses(name);
    assert_eq!(losses.len(), expected.len());
    for (i, (found, expected)) in losses.iter().zip(&expected).enumerate() {
        assert!((found - expected).abs() <= 2e-5, "{name}: loss {i} is {found}, TensorFlow has {expected}");
    }
    let golden = CheckpointReader::open(golden(name)).unwrap();
    let expected: Vec<String> = golden.variables().iter().map(|entry| entry.name.clone()).collect();
    let found: Vec<String> = values.keys().cloned().collect();
    assert_eq!(found, expected, "{name}: variables and slots have TensorFlow's names");
    for (variable, value) in &values {
        close(value, &golden.read(variable).unwrap(), &format!("{name}: {variable}"), TOLERANCE);
    }
}

#[test]
fn gradient_descent_trains_as_in_tensorflow() {
    agrees("sgd", &GradientDescentOptimizer::new(0.1));
}

#[test]
fn momentum_trains_as_in_tensorflow() {
    agrees("momentum", &MomentumOptimizer::new(0.05, 0.9));
}

#[test]
fn nesterov_momentum_trains_as_in_tensorflow() {
    agrees("nesterov", &MomentumOptimizer::new(0.05, 0.9).use_nesterov(true));
}

#[test]
fn adam_trains_as_in_tensorflow() {
    agrees("adam", &AdamOptimizer::new(0.01));
}

#[test]
fn rms_prop_trains_as_in_tensorflow() {
    agrees("rmsprop", &RMSPropOptimizer::new(0.005).decay(0.9).momentum(0.5).epsilon(1e-6));
}

#[test]
fn centered_rms_prop_trains_as_in_tensorflow() {
    agrees(
        "rmsprop_centered",
        &RMSPropOptimizer::new(0.005).decay(0.9).momentum(0.5).epsilon(1e-6).centered(true),
    );
}

#[test]
fn adagrad_trains_as_in_tensorflow() {
    agrees("adagrad", &AdagradOptimizer::new(0.1));
}
