//! The engine: what makes sessions.

use crate::session::EmbeddedSession;
use session_core::{Code, Engine, Error, Graph, Result, Session, SessionConfig};
use std::sync::Arc;

/// Runs graphs in this process, in Rust alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct EmbeddedEngine;

impl EmbeddedEngine {
    /// Returns the engine. It has no state: sessions share nothing (S-57).
    #[must_use]
    pub fn new() -> EmbeddedEngine {
        EmbeddedEngine
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
