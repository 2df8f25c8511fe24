//! Graphs that grow while a session is open, and the errors of TensorFlow.

use crate::support;
use ops::array::{constant, identity};
use ops::control_flow::group;
use ops::variables::{VariableExt, variable};
use session_core::{Code, Engine, Graph, RunMetadata, RunOptions, SessionConfig, SessionExt, Tensor};
use std::sync::Barrier;

#[test]
fn s_56_new_nodes_use_any_output_and_control_input() {
    let Some(engine) = support::engine() else { return };
    let graph = Graph::new();
    let x = constant(&graph.named("x"), [1.0f32, 2.0, 3.0, 4.0]);
    let v = variable(&graph.named("v"), 1i64);
    let grow = v.assign_add(1);
    let session = engine.new_session(&graph, "", &SessionConfig::default()).unwrap();
    session.run(v.initializer(), ()).unwrap();
    for round in 0..20i64 {
        let after = graph.control_dependencies([&grow]);
        let read = v.read(&after);
        let sum = identity(&x) + 1.0;
        let both = group(&graph, [sum.operation(), read.operation()]);
        session.run(&both, ()).unwrap();
        assert_eq!(session.run(&read, ()).unwrap(), Tensor::from(3 + 2 * round));
        assert_eq!(session.run(&sum, ()).unwrap(), Tensor::from([2.0f32, 3.0, 4.0, 5.0]));
    }
}

#[test]
fn s_56_threads_can_extend_one_graph_at_once() {
    const THREADS: usize = 4;
    let Some(engine) = support::engine() else { return };
    let graph = Graph::new();
    let x = constant(&graph.named("x"), 1.0f32);
    let session = engine.new_session(&graph, "", &SessionConfig::default()).unwrap();
    let barrier = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (session, x, barrier) = (&session, &x, &barrier);
            scope.spawn(move || {
                barrier.wait();
                let mut y = x.clone();
                for step in 0..25 {
                    y = &y + thread as f64;
                    let found: f32 = session.run(&y, ()).unwrap().value().unwrap();
                    assert_eq!(found, 1.0 + (thread * (step + 1)) as f32);
                }
            });
        }
    });
}

#[test]
fn errors_of_tensorflow_name_the_node() {
    let Some(engine) = support::engine() else { return };
    let graph = Graph::new();
    let fine = constant(&graph.named("fine"), 1.0f32);
    let odd = graph.named("odd").undefined_op("NoSuchOperation").finish();
    let session = engine.new_session(&graph, "", &SessionConfig::default()).unwrap();
    let error = session.run(&fine, ()).unwrap_err();
    assert!(error.message().contains("NoSuchOperation"), "{error}");
    assert_eq!(odd.op_type(), "NoSuchOperation");
    assert_ne!(error.code(), Code::Internal);
}

#[test]
fn s_64_metadata_has_tensorflows_own_record() {
    let Some(engine) = support::engine() else { return };
    let graph = Graph::new();
    let v = variable(&graph.named("v"), Tensor::full(1.0f32, [8, 8]));
    let product = ops::math::matmul(&v, &v);
    let session = engine.new_session(&graph, "", &SessionConfig::default()).unwrap();
    session.run(v.initializer(), ()).unwrap();
    let mut metadata = RunMetadata::default();
    session.run_with(&product, (), &RunOptions::with_full_trace(), Some(&mut metadata)).unwrap();
    assert!(!metadata.raw.is_empty() && metadata.started.is_some());
    let stats = metadata.step_stats.iter().find(|stats| stats.node == "MatMul").unwrap();
    assert!(stats.op_type.ends_with("MatMul"), "{stats:?}"); // or a rewritten one, such as `_MklMatMul`
    assert!(stats.device.contains("CPU:0"), "{stats:?}");
}
