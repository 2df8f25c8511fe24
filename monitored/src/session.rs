//! The monitored session that recovers.

use crate::builder::{
    SessionBuilder,
    sealed::{Inside, Sealed},
};
use crate::methods::monitored_methods;
use crate::recovery::Recovery;
use session_core::Graph;
use std::fmt;

/// A session as [`SingularMonitoredSession`](crate::SingularMonitoredSession), which besides survives the loss of a peer: an
/// error with code `Aborted` or `Unavailable` closes the session and makes a new one, restored from the newest
/// checkpoint, in which the run is made again (S-147, S-148).
///
/// Unlike TensorFlow's it gives up after a number of attempts, pauses between them, and
/// [reports](MonitoredSession::recoveries) what happened; see [`RecoveryPolicy`](crate::RecoveryPolicy).
///
/// ```
/// use monitored::MonitoredSession;
/// # use session_core::{Code, Error, Graph, Tensor, mock::{MockEngine, MockSession}};
/// # use std::sync::Arc;
/// # let graph = Graph::new();
/// # let train_op = graph.undefined_op("NoOp").name("train").finish();
/// # let engine = MockEngine::new();
/// # for lost in [true, false] {
/// #     let mock = MockSession::new(&graph);
/// #     mock.otherwise(move |run| match run.targets.first() {
/// #         Some(target) if lost && target == "train" => Err(Error::new(Code::Unavailable, "the server is gone")),
/// #         _ => Ok(vec![Tensor::from(Vec::<String>::new()); run.fetches.len()]),
/// #     });
/// #     engine.supply(Ok(mock));
/// # }
/// # let engine = Arc::new(engine);
/// let mut session = MonitoredSession::builder(&graph).engine(engine).build()?;
/// session.run(&train_op, ())?; // the first session is lost here, the second one makes the step
/// assert_eq!(session.recoveries().len(), 1);
/// session.close()?;
/// # Ok::<(), session_core::Error>(())
/// ```
pub struct MonitoredSession {
    inside: Inside,
}

impl MonitoredSession {
    /// Builds a session on a graph.
    pub fn builder(graph: &Graph) -> SessionBuilder<MonitoredSession> {
        SessionBuilder::new(graph)
    }

    monitored_methods!();

    /// The recoveries so far: cause, attempts, checkpoint, steps lost.
    #[must_use]
    pub fn recoveries(&self) -> &[Recovery] {
        self.inside.0.recoveries()
    }
}

impl Sealed for MonitoredSession {
    const RECOVERS: bool = true;

    fn of(inside: Inside) -> Self {
        MonitoredSession { inside }
    }

    fn inside(&mut self) -> &mut Inside {
        &mut self.inside
    }
}

impl fmt::Debug for MonitoredSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MonitoredSession").field("monitor", &self.inside.0).finish()
    }
}
