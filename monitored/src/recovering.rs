//! The monitored session that recovers.

use crate::recovery::Recovery;
use crate::session::{Monitored, sealed};

/// The kind of [`Monitored`] sessions that recover from the loss of a peer.
#[derive(Debug)]
pub enum Recovering {}

impl sealed::Kind for Recovering {
    const NAME: &'static str = "MonitoredSession";
    const RECOVERS: bool = true;
}

/// A monitored session that survives the loss of a peer: an error with code `Aborted` or `Unavailable` closes the session and
/// creates a new one, which is restored from the newest checkpoint and repeats the run (S-147, S-148). Otherwise it is the
/// same as [`SingularMonitoredSession`](crate::SingularMonitoredSession).
///
/// Unlike TensorFlow, it gives up after a number of attempts, pauses between them, and
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
/// session.run(&train_op, ())?; // the first session is lost here, the second one repeats the step
/// assert_eq!(session.recoveries().len(), 1);
/// session.close()?;
/// # Ok::<(), session_core::Error>(())
/// ```
pub type MonitoredSession = Monitored<Recovering>;

impl Monitored<Recovering> {
    /// Returns the recoveries so far: cause, attempts, checkpoint, lost steps.
    #[must_use]
    pub fn recoveries(&self) -> &[Recovery] {
        self.inside.0.recoveries()
    }
}
