//! The life cycle of sessions.

use super::{fails, list, open};
use crate::array::{constant, placeholder};
use crate::math::matmul;
use crate::variables::{VariableExt, global_variables_initializer, variable};
use session_core::{Code, DType, Engine, ErrorKind, Graph, PartialShape, SessionConfig, SessionExt, Tensor};

list! {
    s_51_unknown_targets s_52_an_empty_graph_cannot_run s_53_closed_sessions_run_nothing
    s_54_callables_of_closed_sessions s_56_the_graph_can_grow s_57_sessions_keep_their_state_apart
    s_13_frozen_graphs_keep_running build_errors_are_returned
}

/// S-51: a target of an unknown kind.
pub fn s_51_unknown_targets(engine: &dyn Engine) {
    let graph = Graph::new();
    let _ = constant(&graph, 1i32);
    let session = engine.new_session(&graph, "carrier-pigeon://loft:1", &SessionConfig::default());
    assert_eq!(fails(session.map(|_| ()), "carrier-pigeon").code(), Code::NotFound);
}

/// S-52: a graph without operations cannot run.
pub fn s_52_an_empty_graph_cannot_run(engine: &dyn Engine) {
    let session = open(engine, &Graph::new());
    let nothing: Vec<session_core::Output> = Vec::new();
    let error = fails(session.run(&nothing, ()), "graph is empty");
    assert_eq!(error.kind(), ErrorKind::Runtime);
}

/// S-53: a closed session runs nothing, not even nothing; closing again is allowed.
pub fn s_53_closed_sessions_run_nothing(engine: &dyn Engine) {
    let graph = Graph::new();
    let c = constant(&graph, 1i32);
    let session = open(engine, &graph);
    assert!(!session.is_closed());
    session.close().unwrap();
    session.close().unwrap();
    assert!(session.is_closed());
    assert_eq!(fails(session.run(&c, ()), "a closed Session").kind(), ErrorKind::Runtime);
    fails(session.run((), ()), "a closed Session");
    fails(session.make_callable(&c, &[]), "a closed Session");
}

/// S-54: a callable of a closed session is cancelled.
pub fn s_54_callables_of_closed_sessions(engine: &dyn Engine) {
    let graph = Graph::new();
    let c = constant(&graph, 1i32);
    let session = open(engine, &graph);
    let callable = session.make_callable(&c, &[]).unwrap();
    assert_eq!(callable.call(&[]).unwrap(), [Tensor::from(1i32)]);
    session.close().unwrap();
    assert_eq!(fails(callable.call(&[]), "has been closed").code(), Code::Cancelled);
}

/// S-56: operations that are made while a session is open are available to it.
pub fn s_56_the_graph_can_grow(engine: &dyn Engine) {
    let graph = Graph::new();
    let a = constant(&graph, 2.0f32);
    let session = open(engine, &graph);
    assert_eq!(session.run(&a, ()).unwrap(), Tensor::from(2.0f32));
    let b = &a * 3.0;
    let late = variable(&graph.named("late"), &b);
    assert_eq!(session.run(&b, ()).unwrap(), Tensor::from(6.0f32));
    session.run(late.initializer(), ()).unwrap();
    assert_eq!(session.run(&late, ()).unwrap(), Tensor::from(6.0f32));
}

/// S-57: sessions of this process do not share variables.
pub fn s_57_sessions_keep_their_state_apart(engine: &dyn Engine) {
    let graph = Graph::new();
    let count = variable(&graph.named("count"), 0i64);
    let increment = count.assign_add(1);
    let init = global_variables_initializer(&graph);
    let (first, second) = (open(engine, &graph), open(engine, &graph));
    first.run(&init, ()).unwrap();
    fails(second.run(&count, ()), "count");
    second.run(&init, ()).unwrap();
    for _ in 0..3 {
        first.run(&increment, ()).unwrap();
    }
    assert_eq!(first.run(&count, ()).unwrap(), Tensor::from(3i64));
    assert_eq!(second.run(&count, ()).unwrap(), Tensor::from(0i64));
    first.close().unwrap();
    assert_eq!(second.run(&count, ()).unwrap(), Tensor::from(0i64));
}

/// S-13: freezing a graph does not touch what runs it.
pub fn s_13_frozen_graphs_keep_running(engine: &dyn Engine) {
    let graph = Graph::new();
    let a = constant(&graph, 2.0f32);
    let session = open(engine, &graph);
    graph.finalize().unwrap();
    assert_eq!(session.run(&a, ()).unwrap(), Tensor::from(2.0f32));
    let late = &a * 2.0;
    fails(session.run(&late, ()), "Graph is finalized");
    assert_eq!(session.run(&a, ()).unwrap(), Tensor::from(2.0f32));
}

/// A build error is returned, with its source location, by whatever would run the graph.
pub fn build_errors_are_returned(engine: &dyn Engine) {
    let graph = Graph::new();
    let a = placeholder(&graph.named("a"), DType::Float32, [2, 3]);
    let product = matmul(&a, &a).within(&graph.named("further"));
    let result = &product + 1.0;
    let opened = engine.new_session(&graph, "", &SessionConfig::default());
    let error = fails(opened.and_then(|session| session.run(&result, ()).map(drop)), "MatMul");
    assert_eq!(error.location().map(|place| place.file()), Some(file!()));
    assert_eq!(PartialShape::from([2, 3]), *a.shape());
}
