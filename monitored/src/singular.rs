//! The monitored session that does not recover.

use crate::session::{Monitored, sealed};
use session_core::Session;
use std::sync::Arc;

/// The kind of [`Monitored`] sessions that do not recover.
#[derive(Debug)]
pub enum Singular {}

impl sealed::Kind for Singular {
    const NAME: &'static str = "SingularMonitoredSession";
    const RECOVERS: bool = false;
}

/// A session that initializes or restores its model, starts the graph's input threads, calls hooks around every run, and
/// ends everything in order. It does not recover from preemptions, and it provides the raw session (S-139).
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
/// A session that is dropped without [`close`](SingularMonitoredSession::close) is closed, but counts as failed: hooks receive
/// an error and their `end` is not called. [`scoped`](crate::SessionBuilder::scoped) closes the session on every way out,
/// cleanly if the body succeeded.
pub type SingularMonitoredSession = Monitored<Singular>;

impl Monitored<Singular> {
    /// Returns the raw session; `None` after [`close`](SingularMonitoredSession::close).
    ///
    /// ```
    /// # #[cfg(feature = "embedded")] {
    /// use monitored::SingularMonitoredSession;
    /// # use ops::variables::VariableExt as _;
    /// # let graph = session_core::Graph::new();
    /// # let step = ops::global_step::get_or_create_global_step(&graph);
    /// # let train_op = step.assign_add(1i64);
    /// let mut session = SingularMonitoredSession::builder(&graph).build()?;
    /// assert!(session.raw_session().is_some());
    /// session.close()?;
    /// assert!(session.raw_session().is_none());
    /// # }
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn raw_session(&self) -> Option<&Arc<dyn Session>> {
        self.inside.0.session().map(|session| session.raw())
    }
}
