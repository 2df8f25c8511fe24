//! Milestones in a session's life that no other callback reports.

use checkpoint::RestoreReport;
use queue_runner::StopReason;
use session_core::Error;
use std::path::Path;
use std::time::Duration;

/// A milestone in a session's life, the argument of [`SessionRunHook::on_milestone`](crate::SessionRunHook::on_milestone).
///
/// ```
/// use hooks::{Milestone, SessionRunHook};
///
/// struct Announcer;
/// impl SessionRunHook for Announcer {
///     fn on_milestone(&mut self, milestone: &Milestone<'_>) {
///         if let Milestone::Recovered { cause, attempts, .. } = milestone {
///             println!("recovered from '{cause}' after {attempts} attempts");
///         }
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Milestone<'a> {
    /// The model was restored from a checkpoint. All hooks' `load_state` and `after_create_session` follow.
    Restored(&'a RestoreReport),
    /// A lost session was replaced by a new one, and `after_create_session` of all hooks was called for it.
    Recovered {
        /// The error that lost the session.
        cause: &'a Error,
        /// The number of attempts.
        attempts: u32,
        /// The checkpoint that the new session was restored from, if any.
        checkpoint: Option<&'a Path>,
        /// The global step of the lost session, if it could still be read.
        step_before: Option<i64>,
        /// The global step of the new session.
        step_after: Option<i64>,
    },
    /// The session ends cleanly for this reason; [`Moment::End`](crate::Moment::End) and `end` follow.
    Ending {
        /// The reason of the end.
        reason: &'a StopReason,
        /// The time that each hook took; empty if no run was measured.
        timings: &'a [HookTiming],
    },
    /// The session was closed without a clean end, and `end` of this hook was not called or failed. No callback follows, so a
    /// hook releases what it holds.
    Abandoned,
}

/// The time that a hook takes in each run.
///
/// ```
/// use hooks::HookTiming;
/// use std::time::Duration;
/// let timing = HookTiming::new("StepCounterHook", Duration::from_nanos(40), 0.001);
/// assert_eq!(timing.hook, "StepCounterHook");
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct HookTiming {
    /// The name under which the hook runs.
    pub hook: String,
    /// The mean over the measured runs, of `before_run`, `after_run` and `at_save_point` together.
    pub per_run: Duration,
    /// The fraction of the run's time, from 0 to 1.
    pub share: f64,
}

impl HookTiming {
    /// Creates a timing. For code that drives hooks, and for tests of hooks.
    #[must_use]
    pub fn new(hook: impl Into<String>, per_run: Duration, share: f64) -> HookTiming {
        HookTiming { hook: hook.into(), per_run, share }
    }
}
