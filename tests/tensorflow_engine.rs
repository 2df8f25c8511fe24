//! The monitored sessions on TensorFlow's runtime: the same program, the same files, the same numbers as on the embedded
//! engine.
#![cfg(all(feature = "tensorflow", feature = "embedded"))]
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic reports the failure, and the output is meant to be read

use crate::python::skipped;
use monitored_session::checkpoint::CheckpointReader;
use monitored_session::ops::{array, data_flow, global_step, math, nn, optimizers::*, variables};
use monitored_session::prelude::*;
use monitored_session::session_core::Output;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

fn tensorflow() -> Option<Arc<dyn Engine>> {
    match TensorFlowEngine::new() {
        Ok(engine) => Some(Arc::new(engine)),
        Err(error) => {
            skipped(error);
            None
        }
    }
}

fn embedded() -> Arc<dyn Engine> {
    Arc::new(EmbeddedEngine::new())
}

struct Model {
    graph: Graph,
    x: Output,
    y: Output,
    loss: Output,
    train_op: Operation,
}

fn numbers(count: usize, seed: f64) -> Vec<f32> {
    (0..count).map(|i| (((i as f64 + 1.0) * 0.618_033_988_75 + seed).fract() - 0.5) as f32).collect()
}

fn model() -> Model {
    let graph = Graph::new();
    let x = array::placeholder(&graph.named("x"), DType::Float32, [None, Some(6)]);
    let y = array::placeholder(&graph.named("y"), DType::Int32, [None]);
    let weights = Tensor::from_vec(numbers(18, 0.1), [6, 3]).unwrap();
    let w = variables::variable(&graph.named("w"), weights);
    let b = variables::variable(&graph.named("b"), [0.0f32, 0.0, 0.0]);
    let logits = nn::bias_add(math::matmul(&x, &w), &b);
    let loss = math::reduce_mean(nn::sparse_softmax_cross_entropy_with_logits(&y, &logits), ..);
    let step = global_step::get_or_create_global_step(&graph);
    let train_op = MomentumOptimizer::new(0.5, 0.9).minimize(&loss, Some(&step));
    Model { graph, x, y, loss, train_op }
}

/// Trains up to a step with checkpoints on the way, and returns the losses.
fn train(engine: Arc<dyn Engine>, folder: &Path, last_step: i64) -> Vec<f32> {
    let model = model();
    let mut session = SingularMonitoredSession::builder(&model.graph)
        .engine(engine)
        .checkpoint_dir(folder)
        .hook(CheckpointSaverHook::every_steps(folder, 3))
        .hook(StepCounterHook::every_n_steps(2).output_dir(folder))
        .hook(NanTensorHook::new(&model.loss))
        .hook(StopAtStepHook::last_step(last_step))
        .build()
        .unwrap();
    let mut losses = Vec::new();
    while !session.should_stop() {
        let step = losses.len();
        let x = Tensor::from_vec(numbers(5 * 6, 0.3), [5, 6]).unwrap();
        let y = Tensor::from([0i32, 1, 2, 1, 0]);
        let (loss, ()) = session.run((&model.loss, &model.train_op), [(&model.x, x), (&model.y, y)]).unwrap();
        losses.push(loss.value::<f32>().unwrap());
        assert!(step < 100);
    }
    session.close().unwrap();
    losses
}

fn checkpoint(folder: &Path, step: i64) -> BTreeMap<String, Tensor> {
    let reader = CheckpointReader::open(folder.join(format!("model.ckpt-{step}"))).unwrap();
    let names = reader.variables().into_iter().map(|info| info.name);
    names.map(|name| (name.clone(), reader.read(&name).unwrap())).collect()
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() <= 1e-5 * expected.abs().max(1.0),
            "{what}: {found}, not {expected}"
        );
    }
}

/// A run is begun on one engine, continued on the other, and ended on the first: each restores what the other saved,
/// and the numbers are those of a run on one engine.
#[test]
fn runs_move_between_engines() {
    let Some(tensorflow) = tensorflow() else { return };
    let (mixed, whole) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut losses = train(tensorflow.clone(), mixed.path(), 7);
    losses.extend(train(embedded(), mixed.path(), 12));
    losses.extend(train(tensorflow, mixed.path(), 15));
    let expected = train(embedded(), whole.path(), 15);
    assert_close(&losses, &expected, "losses");
    let (found, expected) = (checkpoint(mixed.path(), 15), checkpoint(whole.path(), 15));
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    assert!(found.contains_key("w/Momentum") && found["global_step"] == Tensor::from(15i64), "{found:?}");
    for (name, value) in &expected {
        if value.dtype() == DType::Float32 {
            assert_close(&found[name].to_vec::<f32>().unwrap(), &value.to_vec::<f32>().unwrap(), name);
        }
    }
}

/// A stop from outside interrupts a step that would never end.
#[test]
fn an_interruption_ends_a_run_that_waits() {
    let Some(tensorflow) = tensorflow() else { return };
    let graph = Graph::new();
    let _ = global_step::get_or_create_global_step(&graph);
    let queue = data_flow::FifoQueue::new(&graph, 1, [DType::Float32]).build();
    let item = queue.dequeue().output();
    let mut session = SingularMonitoredSession::builder(&graph).engine(tensorflow).build().unwrap();
    let stop = session.stop_handle();
    let error = std::thread::scope(|scope| {
        // The result is the same whether it comes before, during or just after the start of the run.
        scope.spawn(move || stop.interrupt("enough"));
        session.run(&item, ()).unwrap_err()
    });
    assert_eq!(error.code(), Code::Cancelled);
    session.close().unwrap();
}
