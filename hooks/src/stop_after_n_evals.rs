//! Stopping an evaluation after a number of runs.

use crate::{Moment, SavePoint, SessionRunContext, SessionRunHook, SessionRunValues};
use queue_runner::Coordinator;
use session_core::{Result, Session};

/// Requests a stop after `n` runs of a session: an evaluation over `n` batches.
///
/// The runs are counted from the creation of the session, so that an evaluation that starts over sees all its batches. Each
/// run is logged at level info, as `evaluation 3 of 10`. TensorFlow counts in a local variable `eval_step` of the graph; here
/// the graph stays as it is.
///
/// ```
/// use hooks::StopAfterNEvalsHook;
/// let hook = StopAfterNEvalsHook::new(10).log_progress(false);
/// ```
#[derive(Debug)]
pub struct StopAfterNEvalsHook {
    evals: u64,
    log_progress: bool,
    done: u64,
}

impl StopAfterNEvalsHook {
    /// Stops after this many runs; with 0 before the first one.
    ///
    /// ```
    /// use hooks::StopAfterNEvalsHook;
    /// let hook = StopAfterNEvalsHook::new(10);
    /// ```
    #[must_use]
    pub fn new(evals: u64) -> StopAfterNEvalsHook {
        StopAfterNEvalsHook { evals, log_progress: true, done: 0 }
    }

    /// Sets whether each run is logged. Default: `true`.
    ///
    /// ```
    /// use hooks::StopAfterNEvalsHook;
    /// let hook = StopAfterNEvalsHook::new(1000).log_progress(false);
    /// ```
    #[must_use]
    pub fn log_progress(mut self, log: bool) -> StopAfterNEvalsHook {
        self.log_progress = log;
        self
    }

    fn reason(&self) -> String {
        format!("{} evaluations were completed", self.done)
    }
}

impl SessionRunHook for StopAfterNEvalsHook {
    fn after_create_session(&mut self, _: &dyn Session, _: &Coordinator) -> Result<()> {
        self.done = 0;
        Ok(())
    }

    fn at_save_point(&mut self, point: &mut SavePoint<'_>) -> Result<()> {
        // Before the first run, which `after_run` could not prevent.
        if point.moment() == Moment::Created && self.evals == 0 {
            point.request_stop(self.reason());
        }
        Ok(())
    }

    fn after_run(&mut self, context: &mut SessionRunContext<'_>, _: &SessionRunValues<'_>) -> Result<()> {
        self.done += 1;
        if self.log_progress {
            log::info!("evaluation {} of {}", self.done, self.evals);
        }
        if self.done >= self.evals {
            context.request_stop(self.reason());
        }
        Ok(())
    }
}
