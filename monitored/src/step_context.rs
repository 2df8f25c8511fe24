//! The context of a step function.

use crate::monitor::Monitor;
use crate::session::run_resolved;
use queue_runner::StopReason;
use session_core::{Error, Feeds, Fetch, Result, RunMetadata, RunOptions, Session};
use std::fmt;
use std::sync::Arc;

/// Runs operations from within a step function, with or without hooks (S-170); see
/// [`SingularMonitoredSession::run_step_fn`](crate::SingularMonitoredSession::run_step_fn).
///
/// After a recovery the step function is called again with a new context, which has the new session (unlike S-174).
///
/// ```
/// use monitored::{SingularMonitoredSession, StepContext};
/// use session_core::SessionExt;
/// # use session_core::{Graph, Tensor, mock::{MockEngine, MockSession}};
/// # use std::sync::Arc;
/// # let graph = Graph::new();
/// # let prepare_op = graph.undefined_op("NoOp").name("prepare").finish();
/// # let train_op = graph.undefined_op("NoOp").name("train").finish();
/// # let mock = MockSession::new(&graph);
/// # mock.otherwise(|run| Ok(vec![Tensor::from(Vec::<String>::new()); run.fetches.len()]));
/// # let engine = MockEngine::new();
/// # engine.supply(Ok(mock));
/// # let engine = Arc::new(engine);
/// let mut session = SingularMonitoredSession::builder(&graph).engine(engine).build()?;
/// session.run_step_fn(|context: &mut StepContext<'_>| {
///     context.session().run(&prepare_op, ())?; // no hooks are called
///     context.run_with_hooks(&train_op, ())
/// })?;
/// session.close()?;
/// # Ok::<(), session_core::Error>(())
/// ```
pub struct StepContext<'m> {
    monitor: &'m mut Monitor,
    raw: Arc<dyn Session>,
}

impl<'m> StepContext<'m> {
    pub(crate) fn new(monitor: &'m mut Monitor, raw: Arc<dyn Session>) -> StepContext<'m> {
        StepContext { monitor, raw }
    }

    /// Returns the raw session. Runs on it call no hooks. If a run fails because a background thread has failed, return its error
    /// from the step function: it is replaced by the cause, and a preemption is recovered from (unlike S-175).
    #[must_use]
    pub fn session(&self) -> &Arc<dyn Session> {
        &self.raw
    }

    /// Runs once with all hooks, like [`run`](crate::SingularMonitoredSession::run) but without recovery: a preemption leaves the
    /// step function, which is then called again (S-173).
    ///
    /// # Errors
    /// Returns the errors of `run`.
    pub fn run_with_hooks<F: Fetch>(&mut self, fetch: F, feeds: impl Feeds) -> Result<F::Value> {
        // Without recovery: the new session would continue in the middle of a step function that saw the lost
        // one.
        run_resolved(self.monitor, &fetch, feeds, None, None, Monitor::run_once)
    }

    /// Runs like [`run_with_hooks`](StepContext::run_with_hooks), with options, and fills in metadata.
    ///
    /// # Errors
    /// Returns the errors of `run`.
    pub fn run_with_hooks_and_options<F: Fetch>(
        &mut self,
        fetch: F,
        feeds: impl Feeds,
        options: &RunOptions,
        metadata: Option<&mut RunMetadata>,
    ) -> Result<F::Value> {
        run_resolved(self.monitor, &fetch, feeds, Some(options), metadata, Monitor::run_once)
    }

    /// Ends the loop from within the step function: returns an error that the step function should return, and that the scoped
    /// form treats as a clean end (S-171). Without the scoped form it only ends `run_step_fn`, and the session remains usable.
    ///
    /// # Errors
    /// Always.
    pub fn request_stop<T>(&self) -> Result<T> {
        Err(Error::stop_iteration("step_fn has requested the iterations to stop"))
    }

    /// Returns true if the loop should end, as [`should_stop`](crate::SingularMonitoredSession::should_stop) of the session.
    #[must_use]
    pub fn should_stop(&self) -> bool {
        self.monitor.should_stop()
    }

    /// Returns the reason why the loop should end.
    #[must_use]
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.monitor.stop_reason()
    }
}

impl fmt::Debug for StepContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepContext").field("should_stop", &self.should_stop()).finish_non_exhaustive()
    }
}
