//! The engine: what makes sessions.

use crate::compile::is_compiled;
use crate::kernel::Registry;
use crate::session::EmbeddedSession;
use session_core::{Code, Engine, Error, Graph, Result, Session, SessionConfig};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Runs graphs in this process, in Rust alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct EmbeddedEngine;

impl EmbeddedEngine {
    /// The engine. It has no state: sessions share nothing (S-57).
    #[must_use]
    pub fn new() -> EmbeddedEngine {
        EmbeddedEngine
    }

    /// Whether it runs operations of this type.
    ///
    /// ```
    /// use embedded_engine::EmbeddedEngine;
    /// assert!(EmbeddedEngine::new().supports("MatMul"));
    /// assert!(!EmbeddedEngine::new().supports("TPUReplicate"));
    /// ```
    #[must_use]
    pub fn supports(&self, op_type: &str) -> bool {
        is_compiled(op_type) || Registry::get().find(op_type).is_some()
    }

    /// The op types of a graph, and of its functions, that it does not run, each with the names of the operations. A graph
    /// that has some can be run all the same where no fetch needs them.
    #[must_use]
    pub fn lacks(&self, graph: &Graph) -> BTreeMap<String, Vec<String>> {
        let mut lacks: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut look = |operations: Vec<session_core::Operation>, place: &str| {
            for operation in operations {
                let op_type = operation.op_type();
                if !self.supports(op_type) && graph.function(op_type).is_none() {
                    lacks.entry(op_type.to_owned()).or_default().push(format!("{place}{}", operation.name()));
                }
            }
        };
        look(graph.operations(), "");
        for function in graph.functions() {
            look(function.body().operations(), &format!("{}: ", function.name()));
        }
        lacks
    }
}

impl Engine for EmbeddedEngine {
    fn new_session(&self, graph: &Graph, target: &str, config: &SessionConfig) -> Result<Arc<dyn Session>> {
        if !target.is_empty() && target != "local" {
            let text = format!("the embedded engine runs in this process and knows no target '{target}'");
            return Err(Error::new(Code::NotFound, text));
        }
        graph.check()?;
        Ok(Arc::new(EmbeddedSession::new(graph, config)?))
    }

    fn name(&self) -> &str {
        "embedded"
    }
}
