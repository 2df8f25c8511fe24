//! The recovery of lost sessions.

use hooks::Milestone;
use scaffold::{SystemWaiter, Waiter};
use session_core::Error;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tensor::text::escaped;

/// Decides how often, and after which pauses, a session that was lost to a preemption is recreated. TensorFlow tries without
/// limit and without pause (S-144, S-147).
///
/// ```
/// use monitored::RecoveryPolicy;
/// use std::time::Duration;
///
/// let policy = RecoveryPolicy::new().max_attempts(3).pause(Duration::from_secs(1), Duration::from_secs(60));
/// assert_eq!(policy.pause_before(1), Duration::ZERO); // the first time at once
/// assert_eq!(policy.pause_before(2), Duration::from_secs(1));
/// assert_eq!(policy.pause_before(9), Duration::from_secs(60));
/// ```
#[derive(Clone, Debug)]
pub struct RecoveryPolicy {
    max_attempts: Option<u32>,
    first_pause: Duration,
    longest_pause: Duration,
    waiter: Arc<dyn Waiter>,
}

impl RecoveryPolicy {
    /// Creates a policy of ten attempts: the first at once, the next after 1 s, 2 s, 4 s and so on, at most 60 s.
    ///
    /// ```
    /// use monitored::RecoveryPolicy;
    /// let policy = RecoveryPolicy::new();
    /// assert_eq!(policy.pause_before(2), std::time::Duration::from_secs(1));
    /// ```
    #[must_use]
    pub fn new() -> RecoveryPolicy {
        RecoveryPolicy {
            max_attempts: Some(10),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
            waiter: Arc::new(SystemWaiter::new()),
        }
    }

    /// Sets the number of consecutive attempts, without a successful run between them, before the error is returned. Zero
    /// disables recovery.
    ///
    /// ```
    /// use monitored::RecoveryPolicy;
    /// let policy = RecoveryPolicy::new().max_attempts(0); // no recovery
    /// ```
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> RecoveryPolicy {
        self.max_attempts = Some(attempts);
        self
    }

    /// Removes the limit of attempts, as in TensorFlow.
    ///
    /// ```
    /// use monitored::RecoveryPolicy;
    /// let policy = RecoveryPolicy::new().unlimited();
    /// ```
    #[must_use]
    pub fn unlimited(mut self) -> RecoveryPolicy {
        self.max_attempts = None;
        self
    }

    /// Sets the pause before the second attempt in a row, which doubles up to the longest.
    ///
    /// ```
    /// use monitored::RecoveryPolicy;
    /// use std::time::Duration;
    /// let policy = RecoveryPolicy::new().pause(Duration::from_millis(100), Duration::from_secs(5));
    /// assert_eq!(policy.pause_before(2), Duration::from_millis(100));
    /// ```
    #[must_use]
    pub fn pause(mut self, first: Duration, longest: Duration) -> RecoveryPolicy {
        self.first_pause = first;
        self.longest_pause = longest;
        self
    }

    /// Sets the source of time.
    #[must_use]
    pub fn waiter(mut self, waiter: Arc<dyn Waiter>) -> RecoveryPolicy {
        self.waiter = waiter;
        self
    }

    /// Returns the pause before the attempt of this number, counted from 1.
    ///
    /// ```
    /// use monitored::RecoveryPolicy;
    /// use std::time::Duration;
    /// let policy = RecoveryPolicy::new();
    /// assert_eq!(policy.pause_before(1), Duration::ZERO);
    /// assert_eq!(policy.pause_before(3), Duration::from_secs(2));
    /// ```
    #[must_use]
    pub fn pause_before(&self, attempt: u32) -> Duration {
        // The first attempt needs no pause: most lost peers are back when the next session is created.
        match attempt.checked_sub(2) {
            None => Duration::ZERO,
            Some(doublings) => {
                // Shifts beyond 31 bits would overflow; by then the longest pause has been reached.
                let factor = 1u32.checked_shl(doublings.min(31)).unwrap_or(u32::MAX);
                self.first_pause.saturating_mul(factor).min(self.longest_pause)
            }
        }
    }

    pub(crate) fn allows(&self, attempt: u32) -> bool {
        self.max_attempts.is_none_or(|most| attempt <= most)
    }

    pub(crate) fn waiting(&self) -> &dyn Waiter {
        &*self.waiter
    }
}

impl Default for RecoveryPolicy {
    fn default() -> RecoveryPolicy {
        RecoveryPolicy::new()
    }
}

/// The report of one recovery.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Recovery {
    /// The error that lost the session.
    pub cause: Error,
    /// The number of attempts.
    pub attempts: u32,
    /// The checkpoint that the new session was restored from; `None` if the model was initialized again, or made ready by the
    /// chief.
    pub checkpoint: Option<PathBuf>,
    /// The global step of the lost session: as read from it if that was still possible, otherwise as seen by the last run in which
    /// hooks fetched it. `None` if neither is known.
    pub step_before: Option<i64>,
    /// The global step of the new session.
    pub step_after: Option<i64>,
}

impl Recovery {
    /// Returns the milestone that hooks receive.
    pub(crate) fn milestone(&self) -> Milestone<'_> {
        let Recovery { cause, attempts, checkpoint, step_before, step_after } = self;
        Milestone::Recovered {
            cause,
            attempts: *attempts,
            checkpoint: checkpoint.as_deref(),
            step_before: *step_before,
            step_after: *step_after,
        }
    }

    /// Returns the number of steps that have to be repeated, if it is known.
    #[must_use]
    pub fn lost_steps(&self) -> Option<i64> {
        Some(self.step_before? - self.step_after?)
    }
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attempts = self.attempts;
        write!(f, "recovered after {attempts} attempt(s) from {}", self.cause)?;
        match &self.checkpoint {
            Some(prefix) => write!(f, "; restored {}", escaped(prefix.display()))?,
            None => f.write_str("; without a checkpoint")?,
        }
        match self.lost_steps() {
            Some(lost) => write!(f, "; {lost} step(s) lost"),
            None => Ok(()),
        }
    }
}
