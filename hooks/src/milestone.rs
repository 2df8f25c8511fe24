//! The turns in a session's life that no other callback conveys.

use checkpoint::RestoreReport;
use queue_runner::StopReason;
use session_core::Error;
use std::path::Path;
use std::time::Duration;

/// A turn in a session's life, as [`SessionRunHook::on_milestone`](crate::SessionRunHook::on_milestone) is called with.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Milestone<'a> {
    /// The model was restored from a checkpoint. All hooks' `load_state` and `after_create_session` follow.
    Restored(&'a RestoreReport),
    /// A lost session was replaced by a new one, for which all hooks had `after_create_session`.
    Recovered {
        /// The error that the session was lost to.
        cause: &'a Error,
        /// How many attempts it took.
        attempts: u32,
        /// The checkpoint that the new session was restored from, if there was one.
        checkpoint: Option<&'a Path>,
        /// The global step of the lost session, if it could still be read.
        step_before: Option<i64>,
        /// The global step of the new session.
        step_after: Option<i64>,
    },
    /// The session ends cleanly for this reason; [`Moment::End`](crate::Moment::End) and `end` follow.
    Ending {
        /// Why it ends.
        reason: &'a StopReason,
        /// How long each hook took; empty before a run was measured.
        timings: &'a [HookTiming],
    },
}

/// How long a hook takes of each run.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct HookTiming {
    /// The name under which the hook runs.
    pub hook: String,
    /// The mean over the measured runs: `before_run`, `after_run` and `at_save_point` together.
    pub per_run: Duration,
    /// Which share of the runs that was, from 0 to 1.
    pub share: f64,
}

impl HookTiming {
    /// Makes a timing. For what drives hooks, and for tests of hooks.
    #[must_use]
    pub fn new(hook: impl Into<String>, per_run: Duration, share: f64) -> HookTiming {
        HookTiming { hook: hook.into(), per_run, share }
    }
}
