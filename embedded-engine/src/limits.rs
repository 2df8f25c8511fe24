//! The conditions that end a run early: a time limit, a cancellation, the end of the session.
//!
//! They are checked before every operation, in every iteration, and within long kernels. Reading the clock is avoided unless the run has a time
//! limit.

use session_core::{CancellationToken, Code, Error, Result, RunOptions};
use std::time::{Duration, Instant};

/// The conditions that end a run early.
pub(crate) struct Limits<'a> {
    /// Cancelled when the session closes.
    pub(crate) session: &'a CancellationToken,
    /// Cancelled by the caller of the run.
    pub(crate) run: Option<&'a CancellationToken>,
    /// The moment at which the run ends with `DeadlineExceeded`.
    pub(crate) deadline: Option<Instant>,
}

impl<'a> Limits<'a> {
    /// Combines the limits of the session and of the run: the earlier deadline counts, and either cancellation.
    pub(crate) fn new(
        session: &'a CancellationToken,
        options: &'a RunOptions,
        default_timeout: Option<Duration>,
    ) -> Limits<'a> {
        let timeout = options.timeout.filter(|timeout| !timeout.is_zero()).or(default_timeout);
        Limits {
            session,
            run: options.cancellation.as_ref(),
            deadline: timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
        }
    }

    /// Returns true if the run may end while the session continues.
    pub(crate) fn may_end_early(&self) -> bool {
        self.run.is_some() || self.deadline.is_some()
    }

    /// Asked before every operation.
    #[inline]
    pub(crate) fn check(&self) -> Result<()> {
        if self.session.is_cancelled() {
            return Err(Error::new(Code::Cancelled, "the step was cancelled: the session has been closed"));
        }
        if let Some(run) = self.run {
            run.check()?;
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => {
                Err(Error::new(Code::DeadlineExceeded, "Timed out waiting for the step to finish"))
            }
            _ => Ok(()),
        }
    }
}
