//! The points at which a whole training is consistent and can be saved.

use crate::SessionRunHook;
use checkpoint::GraphSaver;
use queue_runner::{StopReason, StopSource};
use session_core::Session;
use std::borrow::Cow;
use std::fmt;

/// The kind of a [`SavePoint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Moment {
    /// A session was created, at the start or in a recovery, and `after_create_session` of all hooks was called.
    Created,
    /// A step ended and all hooks have seen its results.
    Step,
    /// The session is about to end cleanly; `end` of all hooks follows.
    End,
    /// An error ends the session, which is still open. `on_error` of all hooks was called; `end` of this hook will not be, or has
    /// failed. The last step may have failed halfway. An error that a hook returns now is only logged.
    Failed,
}

/// The state of one hook, as returned by [`SessionRunHook::save_state`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookState {
    /// The name under which the hook runs, unique in its session.
    pub name: String,
    /// The state, in the hook's own format.
    pub bytes: Vec<u8>,
}

/// A point between two steps at which variables, input and hooks all belong to the same step, so that a training can resume
/// exactly from what is saved here. See [`SessionRunHook::at_save_point`].
///
/// ```
/// use hooks::{Moment, SavePoint, SessionRunHook};
/// use session_core::Result;
///
/// /// Counts the steps of its session.
/// struct Steps(u64);
/// impl SessionRunHook for Steps {
///     fn at_save_point(&mut self, point: &mut SavePoint<'_>) -> Result<()> {
///         if point.moment() == Moment::Step {
///             self.0 += 1;
///         }
///         Ok(())
///     }
/// }
/// ```
pub struct SavePoint<'a> {
    session: &'a dyn Session,
    moment: Moment,
    hook: &'a str,
    peers: &'a dyn Fn() -> Vec<HookState>,
    saver: Option<&'a GraphSaver>,
    stop: Option<StopReason>,
}

impl<'a> SavePoint<'a> {
    /// Creates a save point for the hook of this name. `peers` returns the states of all other hooks. For code that drives hooks,
    /// and for tests of hooks.
    #[must_use]
    #[inline]
    pub fn new(
        session: &'a dyn Session,
        moment: Moment,
        hook: &'a str,
        peers: &'a dyn Fn() -> Vec<HookState>,
    ) -> SavePoint<'a> {
        SavePoint { session, moment, hook, peers, saver: None, stop: None }
    }

    /// Sets the result of [`saver`](SavePoint::saver). For code that drives hooks.
    #[must_use]
    #[inline]
    pub fn with_saver(mut self, saver: Option<&'a GraphSaver>) -> SavePoint<'a> {
        self.saver = saver;
        self
    }

    /// Returns the raw session.
    #[must_use]
    pub fn session(&self) -> &'a dyn Session {
        self.session
    }

    /// Returns the kind of this save point.
    #[must_use]
    #[inline]
    pub fn moment(&self) -> Moment {
        self.moment
    }

    /// Returns the name of this hook, which is unique in its session.
    #[must_use]
    pub fn hook_name(&self) -> &'a str {
        self.hook
    }

    /// Returns the saver of the session's scaffold, which also restores the session. It can restore everything that it saves.
    #[must_use]
    pub fn saver(&self) -> Option<&'a GraphSaver> {
        self.saver
    }

    /// Returns the states of all hooks that have one: those of the other hooks, and that of the caller, which passes itself.
    #[must_use]
    pub fn hook_states<H: SessionRunHook + ?Sized>(&self, own: &H) -> Vec<HookState> {
        // `peers` cannot include the caller, which is borrowed mutably during its callback; it passes
        // itself instead.
        let mut states = (self.peers)();
        if let Some(bytes) = own.save_state() {
            states.push(HookState { name: self.hook.to_owned(), bytes });
        }
        states
    }

    /// Requests that the loop stop. Has no effect at the end.
    pub fn request_stop(&mut self, reason: impl Into<Cow<'static, str>>) {
        let hook = self.hook;
        self.stop.get_or_insert_with(|| StopReason::new(StopSource::Hook(hook.to_owned()), reason));
    }

    /// Takes the stop request out of the save point. For code that drives hooks.
    #[must_use]
    #[inline]
    pub fn take_stop(&mut self) -> Option<StopReason> {
        self.stop.take()
    }
}

impl fmt::Debug for SavePoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SavePoint")
            .field("moment", &self.moment)
            .field("hook", &self.hook)
            .field("stop", &self.stop)
            .finish_non_exhaustive()
    }
}
