//! The view of a run that hooks get.

use queue_runner::{StopReason, StopSource};
use session_core::{Endpoint, OpId, Session, Tensor};
use std::borrow::Cow;

/// One run as hooks see it (S-117). All hooks of a run share the context, so a later hook sees the stop that an earlier one
/// requested.
///
/// ```
/// use hooks::{OriginalArgs, SessionRunContext};
/// use session_core::{Graph, mock::MockSession};
/// let session = MockSession::new(&Graph::new());
/// let mut context = SessionRunContext::new(&session, OriginalArgs::default());
/// context.request_stop("the loss is small enough");
/// assert!(context.stop_requested());
/// ```
pub struct SessionRunContext<'a> {
    session: &'a dyn Session,
    original: OriginalArgs<'a>,
    /// The hook whose callback is running.
    hook: &'a str,
    stop: Option<StopReason>,
}

/// The user's own fetches, operations and feeds, without those of hooks.
#[derive(Clone, Copy, Debug, Default)]
pub struct OriginalArgs<'a> {
    /// The outputs to deliver, without duplicates.
    pub fetches: &'a [Endpoint],
    /// The operations to run.
    pub targets: &'a [OpId],
    /// The values fed.
    pub feeds: &'a [(Endpoint, Tensor)],
}

impl<'a> SessionRunContext<'a> {
    /// Creates a context for one run. For code that drives hooks, and for tests of hooks.
    #[must_use]
    #[inline]
    pub fn new(session: &'a dyn Session, original: OriginalArgs<'a>) -> SessionRunContext<'a> {
        SessionRunContext { session, original, hook: "", stop: None }
    }

    /// Sets the name of the hook that is called next, which a stop request records. For code that drives hooks.
    #[inline]
    pub fn enter(&mut self, hook: &'a str) {
        self.hook = hook;
    }

    /// Returns the user's own fetches, operations and feeds.
    #[must_use]
    #[inline]
    pub fn original_args(&self) -> &OriginalArgs<'a> {
        &self.original
    }

    /// Returns the raw session. A run on it is separate and calls no hooks: in `before_run` it sees the state before the
    /// step, in `after_run` the state after the step.
    #[must_use]
    #[inline]
    pub fn session(&self) -> &'a dyn Session {
        self.session
    }

    /// Returns the name of the running hook, which is unique in its session.
    #[must_use]
    pub fn hook_name(&self) -> &'a str {
        self.hook
    }

    /// Requests that the loop stop after this run, for the given reason. The first reason of a run is kept. The run itself
    /// and all `after_run` still happen; if one of them fails, the request is lost (S-123).
    pub fn request_stop(&mut self, reason: impl Into<Cow<'static, str>>) {
        let hook = self.hook;
        // The first reason wins: later hooks often stop because of what the first one did.
        self.stop.get_or_insert_with(|| StopReason::new(StopSource::Hook(hook.to_owned()), reason));
    }

    /// Returns true if a hook requested a stop in this run.
    #[must_use]
    #[inline]
    pub fn stop_requested(&self) -> bool {
        self.stop.is_some()
    }

    /// Returns which hook requested a stop in this run, and its reason.
    #[must_use]
    pub fn stop_reason(&self) -> Option<&StopReason> {
        self.stop.as_ref()
    }

    /// Takes the stop request out of the context. For code that drives hooks.
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
