//! The moments at which a whole training run is consistent and can be saved.

use crate::SessionRunHook;
use checkpoint::GraphSaver;
use queue_runner::{StopReason, StopSource};
use session_core::Session;
use std::borrow::Cow;
use std::fmt;

/// Which moment a [`SavePoint`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Moment {
    /// A session was created, at the start or in a recovery, and all hooks know of it.
    Created,
    /// A step ended and all hooks have seen its results.
    Step,
    /// The session is about to end cleanly; `end` follows.
    End,
    /// An error ends the session, which is still open; hooks' `on_error` was called, `end` will not be. The last step may
    /// have failed half-way. What a hook fails with now is only logged.
    Failed,
}

/// The state of one hook, as [`SessionRunHook::save_state`] gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookState {
    /// The name under which the hook runs, unique in its session.
    pub name: String,
    /// The state, in the hook's own format.
    pub bytes: Vec<u8>,
}

/// A moment between two steps: variables, input and hooks all stand at the same step, so that what is saved now can be
/// resumed exactly. See [`SessionRunHook::at_save_point`].
pub struct SavePoint<'a> {
    session: &'a dyn Session,
    moment: Moment,
    hook: &'a str,
    peers: &'a dyn Fn() -> Vec<HookState>,
    saver: Option<&'a GraphSaver>,
    stop: Option<StopReason>,
}

impl<'a> SavePoint<'a> {
    /// A moment, for the hook of this name; `peers` gives the states of all other hooks. For what drives hooks, and for
    /// tests of hooks.
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

    /// Sets what [`saver`](SavePoint::saver) returns. For what drives hooks.
    #[must_use]
    #[inline]
    pub fn with_saver(mut self, saver: Option<&'a GraphSaver>) -> SavePoint<'a> {
        self.saver = saver;
        self
    }

    /// The raw session.
    #[must_use]
    pub fn session(&self) -> &'a dyn Session {
        self.session
    }

    /// Which moment it is.
    #[must_use]
    #[inline]
    pub fn moment(&self) -> Moment {
        self.moment
    }

    /// The name under which this hook runs, unique in its session.
    #[must_use]
    pub fn hook_name(&self) -> &'a str {
        self.hook
    }

    /// Returns the saver that restores the session: that of its scaffold. What is saved with it can be restored with it.
    #[must_use]
    pub fn saver(&self) -> Option<&'a GraphSaver> {
        self.saver
    }

    /// The states of all hooks that have one: the others' and that of the caller, which passes itself.
    #[must_use]
    pub fn hook_states<H: SessionRunHook + ?Sized>(&self, own: &H) -> Vec<HookState> {
        let mut states = (self.peers)();
        if let Some(bytes) = own.save_state() {
            states.push(HookState { name: self.hook.to_owned(), bytes });
        }
        states
    }

    /// Asks the loop to stop. Has no effect at the end.
    pub fn request_stop(&mut self, reason: impl Into<Cow<'static, str>>) {
        let hook = self.hook;
        self.stop.get_or_insert_with(|| StopReason::new(StopSource::Hook(hook.to_owned()), reason));
    }

    /// Takes the stop out. For what drives hooks.
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
