//! The engine, which creates sessions.

use crate::session::EmbeddedSession;
use session_core::{Code, Engine, Error, Graph, Result, Session, SessionConfig};
use std::sync::Arc;

/// Runs graphs in this process, in Rust alone.
///
/// ```
/// use embedded_engine::EmbeddedEngine;
/// use session_core::{Engine, Graph, SessionConfig, SessionExt};
///
/// let graph = Graph::new();
/// let sum = ops::array::constant(&graph, 2.0f32) + 3.0f32;
/// let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::default())?;
/// assert_eq!(session.run(&sum, ())?.value::<f32>()?, 5.0);
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// The target of a session is empty or `local`. Another one, such as `grpc://host:port`, is a `NotFound`
/// error; the crate `tensorflow-engine` has sessions on other machines.
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
            let text = format!("the embedded engine runs in this process and has no target '{target}'");
            return Err(Error::new(Code::NotFound, text));
        }
        graph.check()?;
        Ok(Arc::new(EmbeddedSession::new(graph, config)?))
    }

    fn name(&self) -> &str {
        "embedded"
    }
}
