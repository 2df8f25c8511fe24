//! What a hook sees of a run.

use queue_runner::{StopReason, StopSource};
use session_core::{Endpoint, OpId, Session, Tensor};
use std::borrow::Cow;

/// One run as hooks see it (S-117): one object for all hooks of the run, so that a later hook sees the stop that an
/// earlier one asked for.
pub struct SessionRunContext<'a> {
    session: &'a dyn Session,
    original: OriginalArgs<'a>,
    /// The hook whose callback runs.
    hook: &'a str,
    stop: Option<StopReason>,
}

/// What the user asked the run for, before hooks added theirs.
#[derive(Clone, Copy, Debug, Default)]
pub struct OriginalArgs<'a> {
    /// The outputs to deliver, each once.
    pub fetches: &'a [Endpoint],
    /// The operations to run.
    pub targets: &'a [OpId],
    /// The values fed.
    pub feeds: &'a [(Endpoint, Tensor)],
}

impl<'a> SessionRunContext<'a> {
    /// A context for one run. For what drives hooks, and for tests of hooks.
    #[must_use]
    #[inline]
    pub fn new(session: &'a dyn Session, original: OriginalArgs<'a>) -> SessionRunContext<'a> {
        SessionRunContext { session, original, hook: "", stop: None }
    }

    /// Says which hook is called next, so that a stop bears its name. For what drives hooks.
    #[inline]
    pub fn enter(&mut self, hook: &'a str) {
        self.hook = hook;
    }

    /// What the user asked for.
    #[must_use]
    #[inline]
    pub fn original_args(&self) -> &OriginalArgs<'a> {
        &self.original
    }

    /// The raw session. A run on it is a run of its own, without hooks: it sees the state before the step in
    /// `before_run`, and after the step in `after_run`.
    #[must_use]
    #[inline]
    pub fn session(&self) -> &'a dyn Session {
        self.session
    }

    /// The name under which the hook that is called runs, unique in its session.
    #[must_use]
    pub fn hook_name(&self) -> &'a str {
        self.hook
    }

    /// Asks the loop to stop after this run, and says why; the first reason of the run stays. The run itself and all
    /// `after_run` still happen; when one of them fails the request is lost (S-123).
    pub fn request_stop(&mut self, reason: impl Into<Cow<'static, str>>) {
        let hook = self.hook;
        self.stop.get_or_insert_with(|| StopReason::new(StopSource::Hook(hook.to_owned()), reason));
    }

    /// Whether a hook asked for a stop in this run.
    #[must_use]
    #[inline]
    pub fn stop_requested(&self) -> bool {
        self.stop.is_some()
    }

    /// Which hook asked for a stop in this run, and why.
    #[must_use]
    pub fn stop_reason(&self) -> Option<&StopReason> {
        self.stop.as_ref()
    }

    /// Takes the stop out. For what drives hooks.
    #[must_use]
    #[inline]
    pub fn take_stop(&mut self) -> Option<StopReason> {
        self.stop.take()
    }
}

impl std::fmt::Debug for SessionRunContext<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionRunContext")
            .field("original", &self.original)
            .field("hook", &self.hook)
            .field("stop", &self.stop)
            .finish_non_exhaustive()
    }
}
