//! What several tests of single operations need.
#![allow(clippy::unwrap_used)] // in a test a panic is the report

use embedded_engine::EmbeddedEngine;
use ops::{array, library};
use session_core::{Engine, Graph, OpBuilder, OpLibrary as _, Output, Session, SessionConfig, Tensor};
use std::sync::Arc;

/// A session of one thread over a graph without errors.
pub(crate) fn session(graph: &Graph) -> Arc<dyn Session> {
    graph.check().unwrap();
    EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(1)).unwrap()
}

/// The builder of an operation of a type.
pub(crate) fn op(graph: &Graph, op_type: &str) -> OpBuilder {
    graph.op(library().find(op_type).unwrap())
}

/// A constant.
pub(crate) fn constant(graph: &Graph, value: impl Into<Tensor>) -> Output {
    array::constant(graph, value.into())
}
