//! What a step function is given.

use crate::methods::run_resolved;
use crate::monitor::Monitor;
use queue_runner::StopReason;
use session_core::{Error, Feeds, Fetch, Result, RunMetadata, RunOptions, Session};
use std::fmt;
use std::sync::Arc;

/// The two ways to run things from within a step function (S-170): see
/// [`SingularMonitoredSession::run_step_fn`](crate::SingularMonitoredSession::run_step_fn).
///
/// After a recovery the step function is called again with a new context, whose session is the new one (unlike S-174).
pub struct StepContext<'m> {
    monitor: &'m mut Monitor,
    raw: Arc<dyn Session>,
}

impl<'m> StepContext<'m> {
    pub(crate) fn new(monitor: &'m mut Monitor, raw: Arc<dyn Session>) -> StepContext<'m> {
        StepContext { monitor, raw }
    }

    /// The raw session. Runs on it call no hooks. When one fails because a background thread has failed, return its error
    /// from the step function: the cause takes its place, and a preemption is recovered from (unlike S-175).
    #[must_use]
    pub fn session(&self) -> &Arc<dyn Session> {
        &self.raw
    }

    /// One run with all hooks, as [`run`](crate::SingularMonitoredSession::run) does it, but without recovery: a
    /// preemption leaves the step function, which is then called again (S-173).
    ///
    /// # Errors
    /// As `run`.
    pub fn run_with_hooks<F: Fetch>(&mut self, fetch: F, feeds: impl Feeds) -> Result<F::Value> {
        run_resolved(self.monitor, &fetch, feeds, None, None, Monitor::run_once)
    }

    /// As [`run_with_hooks`](StepContext::run_with_hooks), with options, recording metadata.
    ///
    /// # Errors
    /// As `run`.
    pub fn run_with_hooks_with<F: Fetch>(
        &mut self,
        fetch: F,
        feeds: impl Feeds,
        options: &RunOptions,
        metadata: Option<&mut RunMetadata>,
    ) -> Result<F::Value> {
        run_resolved(self.monitor, &fetch, feeds, Some(options), metadata, Monitor::run_once)
    }

    /// Ends the loop from within the step function: gives an error to be returned from it, which the scoped form takes for
    /// a clean end (S-171). Otherwise it just leaves `run_step_fn`, and the session can be used on.
    ///
    /// # Errors
    /// Always.
    pub fn request_stop<T>(&self) -> Result<T> {
        Err(Error::stop_iteration("step_fn has requested the iterations to stop"))
    }

    /// Whether the loop should end, as told by the session.
    #[must_use]
    pub fn should_stop(&self) -> bool {
        self.monitor.should_stop()
    }

    /// Why, if it should.
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
