//! The engine, which creates sessions.

use crate::host::check_closures;
use crate::session::TensorFlowSession;
use crate::{Library, ReplicaDeviceSetter};
use session_core::{Code, Engine, Error, Graph, Result, Session, SessionConfig};
use std::sync::Arc;
use std::time::Duration;

/// Runs graphs with TensorFlow's runtime, in this process or on a server.
///
/// ```no_run
/// use tensorflow_engine::TensorFlowEngine;
/// # fn main() -> session_core::Result<()> {
/// let engine = TensorFlowEngine::new()?;
/// println!("TensorFlow {}", engine.library().version());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TensorFlowEngine {
    /// The library whose runtime executes the graphs.
    library: Library,
    /// The time limit of calls to a server for sessions that set none.
    remote_timeout: Option<Duration>,
    /// The placement of operations without a device.
    device_setter: Option<ReplicaDeviceSetter>,
}

impl TensorFlowEngine {
    /// Creates an engine with the library that [`Library::find`] finds.
    ///
    /// # Errors
    /// Returns the errors of [`Library::find`].
    pub fn new() -> Result<TensorFlowEngine> {
        Library::find().map(TensorFlowEngine::with_library)
    }

    /// Creates an engine with this library.
    #[must_use]
    pub fn with_library(library: Library) -> TensorFlowEngine {
        TensorFlowEngine { library, remote_timeout: Some(Duration::from_secs(60)), device_setter: None }
    }

    /// Sets the time that a session on a server waits for each call if neither its configuration nor the options of the run set a limit;
    /// `None` waits forever. Default: 60 s.
    ///
    /// Without a limit a client waits forever if its master dies. A call that takes longer than this limit, or than that of the
    /// configuration, fails with `Unavailable`, which a monitored session recovers from. Only a limit in the options of a run
    /// results in `DeadlineExceeded`.
    #[must_use]
    pub fn remote_timeout(mut self, timeout: Option<Duration>) -> TensorFlowEngine {
        self.remote_timeout = timeout;
        self
    }

    /// Places operations without a device on the tasks of a cluster. Default: they keep no device, which means the master's own.
    #[must_use]
    pub fn device_setter(mut self, setter: ReplicaDeviceSetter) -> TensorFlowEngine {
        self.device_setter = Some(setter);
        self
    }

    /// Returns the library.
    #[must_use]
    pub fn library(&self) -> &Library {
        &self.library
    }

    /// Creates a session like [`Engine::new_session`], with its concrete type.
    ///
    /// # Errors
    /// Returns the errors of [`Engine::new_session`].
    pub fn open(&self, graph: &Graph, target: &str, config: &SessionConfig) -> Result<TensorFlowSession> {
        graph.check()?;
        check_closures(graph, is_remote(target))?;
        if let Some(bytes) = config.memory_limit {
            let text = format!(
                "memory_limit: {bytes}: TensorFlow's runtime takes no limit of a session's memory; leave it out, or use \
                 the embedded engine"
            );
            return Err(Error::new(Code::Unimplemented, text));
        }
        let mut config = config.clone();
        if config.operation_timeout.is_none() && is_remote(target) {
            config.operation_timeout = self.remote_timeout;
        }
        TensorFlowSession::new(&self.library, graph, target, &config, self.device_setter.clone())
    }
}

/// Returns true if a target names a server.
pub(crate) fn is_remote(target: &str) -> bool {
    !target.is_empty() && target != "local"
}

impl Engine for TensorFlowEngine {
    fn new_session(&self, graph: &Graph, target: &str, config: &SessionConfig) -> Result<Arc<dyn Session>> {
        Ok(Arc::new(self.open(graph, target, config)?))
    }

    fn name(&self) -> &str {
        "tensorflow"
    }
}
