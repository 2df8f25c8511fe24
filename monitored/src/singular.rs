//! The monitored session that does not recover.

use crate::builder::{
    SessionBuilder,
    sealed::{Inside, Sealed},
};
use crate::methods::monitored_methods;
use session_core::{Graph, Session};
use std::fmt;
use std::sync::Arc;

/// A session that initialises or restores its model, starts the graph's input threads, calls hooks around every run, and
/// ends everything in order. It does not recover from preemptions, and gives access to the raw session (S-139).
///
/// ```
/// use monitored::SingularMonitoredSession;
/// # use session_core::{Graph, Tensor, mock::{MockEngine, MockSession}};
/// # use std::sync::Arc;
/// # let graph = Graph::new();
/// # let train_op = graph.undefined_op("NoOp").name("train").finish();
/// # let mock = MockSession::new(&graph);
/// # mock.otherwise(|run| Ok(vec![Tensor::from(Vec::<String>::new()); run.fetches.len()]));
/// # let engine = MockEngine::new();
/// # engine.supply(Ok(mock));
/// # let engine = Arc::new(engine);
/// let mut session = SingularMonitoredSession::builder(&graph).engine(engine).build()?;
/// for _ in 0..3 {
///     if session.should_stop() {
///         break;
///     }
///     session.run(&train_op, ())?;
/// }
/// session.close()?;
/// assert!(session.run(&train_op, ()).is_err());
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Dropping
///
/// A session that is dropped without having been closed is closed, but counts as one that failed: hooks hear of an error
/// and their `end` is not called. [`scoped`](SessionBuilder::scoped) closes on every way out, as the occasion demands.
pub struct SingularMonitoredSession {
    inside: Inside,
}

impl SingularMonitoredSession {
    /// Builds a session on a graph.
    pub fn builder(graph: &Graph) -> SessionBuilder<SingularMonitoredSession> {
        SessionBuilder::new(graph)
    }

    monitored_methods!();

    /// The raw session; `None` after [`close`](SingularMonitoredSession::close).
    #[must_use]
    pub fn raw_session(&self) -> Option<&Arc<dyn Session>> {
        self.inside.0.session().map(|session| session.raw())
    }
}

impl Sealed for SingularMonitoredSession {
    const RECOVERS: bool = false;

    fn of(inside: Inside) -> Self {
        SingularMonitoredSession { inside }
    }

    fn inside(&mut self) -> &mut Inside {
        &mut self.inside
    }
}

impl fmt::Debug for SingularMonitoredSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingularMonitoredSession").field("monitor", &self.inside.0).finish()
    }
}
