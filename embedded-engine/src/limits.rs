//! The conditions that end a run early: a time limit, a cancellation, the end of the session.
//!
//! They are checked before every operation, in every iteration, and within long kernels. Reading the clock is
//! avoided unless the run has a time limit.
//!
//! # Order of the checks
//!
//! The end of the session comes first, then the token of the run, then the clock: a step that a close
//! interrupted reports `Cancelled` even if its time was up as well. The two tokens are one atomic load each;
//! the clock is read only for runs with a deadline.

use session_core::{CancellationToken, Code, Error, Result, RunOptions};
use std::time::{Duration, Instant};

/// The conditions that end a run early. One value lives for the duration of a run and is shared by its
/// kernels, functions and waits.
pub(crate) struct Limits<'a> {
    /// Cancelled when the session closes.
    pub(crate) session: &'a CancellationToken,
    /// Cancelled by the caller of the run; `None` if its options have no token.
    pub(crate) run: Option<&'a CancellationToken>,
    /// The moment at which the run ends with `DeadlineExceeded`; `None` for a run without a time limit.
    pub(crate) deadline: Option<Instant>,
}

impl<'a> Limits<'a> {
    /// Combines the limits of the session and of a run. The time limit of the run's options replaces
    /// `default_timeout`, which is that of the session; a limit of zero means that the options set none, and
    /// one too large for the clock means no limit.
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

    /// Returns true if the run may end while the session continues, so that work must be undone rather than
    /// abandoned.
    pub(crate) fn may_end_early(&self) -> bool {
        self.run.is_some() || self.deadline.is_some()
    }

    /// Returns an error if the run must end. Called before every operation, in every iteration, and from
    /// time to time within long kernels.
    ///
    /// # Errors
    /// `Cancelled` after the session was closed or the run's token cancelled, `DeadlineExceeded` after the
    /// deadline (S-63).
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
