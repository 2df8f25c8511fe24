//! Synchronous training: several threads on one session, one replica that computes several batches for each step, and the same in
//! TensorFlow.
#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic reports the failure, and the output is meant to be read

use crate::python::python;
use monitored_session::ops::data_flow::FifoQueue;
use monitored_session::ops::optimizers::{
    AdamOptimizer, ExponentialMovingAverage, GradientDescentOptimizer, Optimizer, SyncReplicasOptimizer,
};
use monitored_session::ops::{array, global_step, math, nn, variables};
use monitored_session::prelude::*;
use monitored_session::session_core::keys;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A linear function of an example, so that the example is the gradient.
struct Model {
    graph: Graph,
    w: Variable,
    step: Variable,
    /// Adds an example to the queue from which each run of the loss takes one.
    add: Operation,
    example: Output,
    loss: Output,
}

fn model() -> Model {
    let graph = Graph::new();
    let step = global_step::get_or_create_global_step(&graph);
    let w = variables::variable(&graph.named("w"), [1f32, 2.0]);
    let examples = FifoQueue::new(&graph.named("examples"), -1, DType::Float32);
    let examples = examples.shapes([PartialShape::from([2])]).build();
    let example = array::placeholder(&graph.named("example"), DType::Float32, [Some(2)]);
    let add = examples.enqueue(&example);
    let loss = math::reduce_sum(math::mul(&w, examples.dequeue().output()), ..);
    Model { graph, w, step, add, example, loss }
}

impl Model {
    fn fill(&self, session: &dyn Session, examples: usize) {
        for i in 0..examples {
            session.run(&self.add, [(&self.example, [i as f32, 1.0])]).unwrap();
        }
    }

    fn value(&self, session: &dyn Session) -> (Vec<f32>, i64) {
        let (w, step) = session.run((&self.w, &self.step), ()).unwrap();
        (w.to_vec().unwrap(), step.value().unwrap())
    }
}

#[test]
fn replicas_in_threads_take_each_step_together() {
    let model = model();
    let optimizer = SyncReplicasOptimizer::new(GradientDescentOptimizer::new(0.5), 3);
    let train_op = optimizer.minimize(&model.loss, Some(&model.step));
    // Without tokens at the beginning no replica runs ahead, so that each step has the next three examples.
    let hook = optimizer.make_session_run_hook().num_tokens(0);
    let mut session = SingularMonitoredSession::builder(&model.graph).hook(hook).build().unwrap();
    let raw = Arc::clone(session.raw_session().unwrap());
    model.fill(&*raw, 12);
    let taken = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            // Who is first takes the next example, so that no replica waits for one that is done.
            scope.spawn(|| {
                while taken.fetch_add(1, Ordering::Relaxed) < 12 {
                    raw.run(&train_op, ()).unwrap();
                }
            });
        }
    });
    // The means are 1, 4, 7 and 10.
    assert_eq!(model.value(&*raw), (vec![1.0 - 0.5 * 22.0, 2.0 - 0.5 * 4.0], 4));
    session.close().unwrap();
}

#[test]
fn gradients_of_an_earlier_step_are_dropped() {
    let model = model();
    let averages = Arc::new(ExponentialMovingAverage::new(0.5));
    let optimizer = SyncReplicasOptimizer::new(GradientDescentOptimizer::new(1.0), 1)
        .total_num_replicas(2)
        .variable_averages(&averages, std::slice::from_ref(&model.w));
    let train_op = optimizer.minimize(&model.loss, Some(&model.step));
    let synchronization = optimizer.synchronization();
    let (init, sync) = (synchronization.chief_init_op().unwrap(), synchronization.sync_op().unwrap());
    let tokens = synchronization.init_tokens_op(Some(2)).unwrap();
    let graph = &model.graph;
    let all = [variables::global_variables_initializer(graph), variables::local_variables_initializer(graph)];
    let session = EmbeddedEngine::new().new_session(graph, "", &SessionConfig::default()).unwrap();
    session.run(&all[..], ()).unwrap();
    session.run(&init, ()).unwrap();
    session.run(&tokens, ()).unwrap();
    model.fill(&*session, 3);
    session.run(&train_op, ()).unwrap(); // example 0, then the token of step 0
    session.run(&sync, ()).unwrap();
    let average = session.run(&averages.average(&model.w).unwrap(), ()).unwrap();
    assert_eq!(average.to_vec::<f32>().unwrap(), [1.0, 1.5]);
    session.run(&train_op, ()).unwrap(); // example 1 for step 0, which is over; the second token of step 0
    session.run(&train_op, ()).unwrap(); // example 2 for step 0 as well; the first token of step 1
    assert_eq!(model.value(&*session), (vec![1.0, 1.0], 1));
    let limit = RunOptions::default().timeout(std::time::Duration::from_millis(20));
    let error = session.run_with(&sync, (), &limit, None).unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded, "there is no gradient for step 1: {error}");
}

/// Names and shared names are those of TensorFlow, which Python workers of the same cluster use.
#[test]
fn operations_have_the_names_of_tensorflow() {
    let graph = Graph::new();
    let step = global_step::get_or_create_global_step(&graph);
    let w = variables::variable(&graph.named("w"), [1f32, 2.0]);
    let e = variables::variable(&graph.named("e"), [[1f32, 2.0], [3.0, 4.0]]);
    let rows = nn::embedding_lookup(&e, array::constant(&graph, [1i32, 1]));
    let loss = math::reduce_sum(math::square(&w), ..) + math::reduce_sum(rows, ..);
    let optimizer = SyncReplicasOptimizer::new(GradientDescentOptimizer::new(0.1), 2);
    let train_op = optimizer.minimize(&loss, Some(&step));
    let of = optimizer.synchronization();
    let names = [
        (train_op.name().to_owned(), "AssignVariableOp_1"),
        (of.local_step_init_op().unwrap().name().to_owned(), "AssignVariableOp"),
        (of.chief_init_op().unwrap().name().to_owned(), "sync_replicas/group_deps"),
        (of.sync_op().unwrap().name().to_owned(), "sync_token_q_EnqueueMany"),
        (of.token_queue().unwrap().name().to_owned(), "sync_token_q"),
        (
            of.ready_for_local_init_op().unwrap().operation().name().to_owned(),
            "report_uninitialized_variables/boolean_mask/GatherV2",
        ),
        (of.init_tokens_op(None).unwrap().name().to_owned(), "sync_token_q_EnqueueMany_1"),
    ];
    for (found, expected) in names {
        assert_eq!(found, expected);
    }
    let attr = |name: &str, key: &str| {
        let attr = graph.operation(name).unwrap().attr(key).cloned().unwrap();
        attr.as_str().map(str::to_owned).unwrap_or_else(|| format!("{attr:?}"))
    };
    assert_eq!(attr("sync_token_q", "shared_name"), "sync_token_q");
    assert!(attr("sync_token_q", "_class").contains("loc:@global_step"));
    for (accumulator, op_type, of) in [
        ("sync_replicas/conditional_accumulator", "ResourceConditionalAccumulator", "w"),
        ("sync_replicas/sparse_conditional_accumulator", "SparseConditionalAccumulator", "e"),
    ] {
        assert_eq!(graph.operation(accumulator).unwrap().op_type(), op_type);
        assert_eq!(attr(accumulator, "shared_name"), format!("{of}:0/grad_accum"));
        assert!(attr(accumulator, "_class").contains(&format!("loc:@{of}")));
    }
    for name in [
        "sync_replicas/ResourceAccumulatorApplyGradient",
        "sync_replicas/ResourceAccumulatorTakeGradient",
        "sync_replicas/SparseAccumulatorApplyGradient",
        "sync_replicas/SparseAccumulatorTakeGradient",
        "sync_replicas/SetGlobalStep",
        "sync_replicas/SetGlobalStep_1",
        "sync_token_q_Dequeue",
        "Fill",
    ] {
        assert!(graph.operation(name).is_ok(), "{name}");
    }
    assert_eq!(graph.collection(&keys::TRAIN_OP)[0].name(), "GradientDescent");
    assert_eq!(variables::local_variables(&graph)[0].name(), "sync_rep_local_step");
    assert!(attr("sync_rep_local_step", "_class").contains("loc:@NoOp"));
    graph.check().unwrap();
}

#[test]
fn misuse_is_reported_at_its_place() {
    let made = |aggregate: usize, with_step: bool| {
        let model = model();
        let optimizer = SyncReplicasOptimizer::new(GradientDescentOptimizer::new(0.5), aggregate);
        let _ = optimizer.minimize(&model.loss, with_step.then_some(&model.step));
        model.graph.check().unwrap_err().to_string()
    };
    let error = made(2, false);
    assert!(error.contains("the global step is required") && error.contains("sync_replicas.rs"), "{error}");
    let error = made(0, true);
    assert!(error.contains("at least one replica"), "{error}");

    let optimizer = SyncReplicasOptimizer::new(GradientDescentOptimizer::new(0.5), 3).total_num_replicas(1);
    let error = optimizer.chief_queue_runner().unwrap_err().to_string();
    assert!(error.contains("was not applied yet"), "{error}");
    let model = model();
    let early = optimizer.make_session_run_hook();
    let built = SingularMonitoredSession::builder(&model.graph).hook(early).build();
    let error = built.err().unwrap().to_string();
    assert!(error.contains("SyncReplicasHook") && error.contains("was not applied yet"), "{error}");
    let model = self::model();
    let _ = optimizer.minimize(&model.loss, Some(&model.step));
    let error = optimizer.synchronization().init_tokens_op(Some(1)).unwrap_err().to_string();
    assert!(error.contains("Too few tokens to finish the first step: 1 (given) vs 2 (needed)"), "{error}");
}

const SCRIPT: &str = r#"
import json, os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow.compat.v1 as tf
tf.disable_v2_behavior()
tf.enable_resource_variables()
step = tf.train.get_or_create_global_step()
w = tf.get_variable("w", initializer=[1.0, 2.0])
e = tf.get_variable("e", initializer=[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
x = tf.placeholder(tf.float32, [2])
ids = tf.placeholder(tf.int32, [None])
loss = tf.reduce_sum(w * w * x) + tf.reduce_sum(tf.square(tf.nn.embedding_lookup(e, ids)))
optimizer = tf.train.SyncReplicasOptimizer(tf.train.AdamOptimizer(0.1), 2, total_num_replicas=1)
train = optimizer.minimize(loss, global_step=step)
hook = optimizer.make_session_run_hook(True, num_tokens=1)
found = []
raw = tf.train.SingularMonitoredSession(hooks=[hook]).raw_session()
for i in range(6):
    raw.run(train, {x: [i, 1.0], ids: [0, 1] if i % 2 else [1, 2]})
    values = raw.run([w, e, step])
    found.append(values[0].tolist() + values[1].ravel().tolist() + [float(values[2])])
print(json.dumps(found), flush=True)
os._exit(0)  # without waiting for the thread that waits for more gradients
"#;

/// Takes six batches, two for each step: with one replica and one token at the beginning, the order of everything is fixed.
fn trained(engine: Arc<dyn Engine>) -> Vec<Vec<f32>> {
    let graph = Graph::new();
    let step = global_step::get_or_create_global_step(&graph);
    let w = variables::variable(&graph.named("w"), [1f32, 2.0]);
    let e = variables::variable(&graph.named("e"), [[1f32, 2.0], [3.0, 4.0], [5.0, 6.0]]);
    let x = array::placeholder(&graph.named("x"), DType::Float32, [Some(2)]);
    let ids = array::placeholder(&graph.named("ids"), DType::Int32, [None]);
    let rows = nn::embedding_lookup(&e, &ids);
    let loss = math::reduce_sum(&w * &w * &x, ..) + math::reduce_sum(math::square(rows), ..);
    let optimizer = SyncReplicasOptimizer::new(AdamOptimizer::new(0.1), 2).total_num_replicas(1);
    let train_op = optimizer.minimize(&loss, Some(&step));
    let hook = optimizer.make_session_run_hook().num_tokens(1);
    let mut session = SingularMonitoredSession::builder(&graph).engine(engine).hook(hook).build().unwrap();
    let raw = Arc::clone(session.raw_session().unwrap());
    let limit = RunOptions::default().timeout(std::time::Duration::from_secs(20));
    let mut found = Vec::new();
    for i in 0..6 {
        let used = if i % 2 == 1 { [0i32, 1] } else { [1, 2] };
        let feeds = [(&x, Tensor::from([i as f32, 1.0])), (&ids, Tensor::from(used))];
        if let Err(error) = raw.run_with(&train_op, feeds, &limit, None) {
            panic!("{error}; {:?}", session.close());
        }
        let (w, e, step) = raw.run((&w, &e, &step), ()).unwrap();
        let mut row = w.to_vec::<f32>().unwrap();
        row.extend(e.to_vec::<f32>().unwrap());
        row.push(step.value::<i64>().unwrap() as f32);
        found.push(row);
    }
    session.close().unwrap();
    found
}

fn assert_close(found: &[Vec<f32>], expected: &[Vec<f32>]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-5, "{found:?} for {expected:?}");
        }
    }
}

#[test]
fn the_numbers_are_those_of_tensorflow() {
    let found = trained(Arc::new(EmbeddedEngine::new()));
    assert_eq!(found.iter().map(|row| row[8]).collect::<Vec<_>>(), [0.0, 1.0, 1.0, 2.0, 2.0, 3.0]);
    #[cfg(feature = "tensorflow")]
    match TensorFlowEngine::new() {
        Ok(engine) => assert_close(&trained(Arc::new(engine)), &found),
        Err(error) => crate::python::skipped(error),
    }
    let Some(python) = python() else { return };
    let output = Command::new(python).args(["-c", SCRIPT]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected: Vec<Vec<f32>> = serde_json::from_slice(&output.stdout).unwrap();
    assert_close(&found, &expected);
}
