//! Stop reasons, and a handle that requests a stop.

use crate::sync::{Arc, AtomicBool, Mutex, Ordering, lock};
use session_core::CancellationToken;
use std::borrow::Cow;
use std::fmt;
use tensor::text::escaped;

/// The party that requested a stop.
///
/// ```
/// use queue_runner::{StopReason, StopSource};
/// let reason = StopReason::new(StopSource::Handle, "enough steps");
/// assert_eq!(*reason.source(), StopSource::Handle);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopSource {
    /// A hook, by its name.
    Hook(String),
    /// A thread, through the coordinator.
    Coordinator,
    /// A holder of a [`StopHandle`]: a signal handler, another thread, a supervisor.
    Handle,
    /// The step function.
    StepFn,
    /// The input ended.
    EndOfInput,
    /// An error.
    Failure,
    /// The session was closed by its owner.
    Closed,
}

impl fmt::Display for StopSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StopSource::Hook(name) => write!(f, "hook '{}'", escaped(name)),
            StopSource::Coordinator => f.write_str("coordinator"),
            StopSource::Handle => f.write_str("outside"),
            StopSource::StepFn => f.write_str("step function"),
            StopSource::EndOfInput => f.write_str("end of input"),
            StopSource::Failure => f.write_str("failure"),
            StopSource::Closed => f.write_str("closed"),
        }
    }
}

/// The reason why a session or coordinator stops. TensorFlow has no equivalent.
///
/// ```
/// use queue_runner::{StopReason, StopSource};
/// let reason = StopReason::new(StopSource::Hook("StopAtStep".into()), "step 100 was reached");
/// assert_eq!(reason.to_string(), "hook 'StopAtStep': step 100 was reached");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopReason {
    source: StopSource,
    text: Cow<'static, str>,
}

impl StopReason {
    /// Creates a reason; the text may be empty.
    ///
    /// ```
    /// use queue_runner::{StopReason, StopSource};
    /// assert_eq!(StopReason::new(StopSource::Handle, "done").text(), "done");
    /// ```
    #[must_use]
    pub fn new(source: StopSource, text: impl Into<Cow<'static, str>>) -> StopReason {
        StopReason { source, text: text.into() }
    }

    /// Returns the party that requested the stop.
    ///
    /// ```
    /// use queue_runner::{StopReason, StopSource};
    /// assert_eq!(*StopReason::new(StopSource::Handle, "done").source(), StopSource::Handle);
    /// ```
    #[must_use]
    pub fn source(&self) -> &StopSource {
        &self.source
    }

    /// Returns the reason in words. Empty if none was given.
    ///
    /// ```
    /// use queue_runner::{StopReason, StopSource};
    /// assert_eq!(StopReason::new(StopSource::Handle, "done").text(), "done");
    /// ```
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.text.is_empty() {
            write!(f, "{}", self.source)
        } else {
            write!(f, "{}: {}", self.source, escaped(&self.text))
        }
    }
}

/// Stops a monitored session from outside: from a signal handler's thread, a watchdog, a user interface. Cheap to
/// clone; all clones stop the same session, whatever phase it is in, also after a recovery.
///
/// [`request_stop`](StopHandle::request_stop) lets the step in flight finish: the session's `should_stop` is true from
/// now on. [`interrupt`](StopHandle::interrupt) also cancels whatever the session waits for (the step in flight, its
/// input, the creation of the session), which then ends with `Cancelled`; runs of hooks on the raw session, such as
/// the saving of the last checkpoint, are not touched.
///
/// ```
/// use queue_runner::StopHandle;
/// let stop = StopHandle::new();
/// stop.request_stop("enough");
/// assert!(stop.is_stop_requested());
/// assert_eq!(stop.reason().unwrap().text(), "enough");
/// assert!(!stop.cancellation().is_cancelled());
/// ```
#[derive(Clone, Default)]
pub struct StopHandle(Arc<Shared>);

#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    cancellation: CancellationToken,
    /// Guards the reason alone; nothing is called under it.
    reason: Mutex<Option<StopReason>>,
}

impl StopHandle {
    /// Creates a new handle.
    ///
    /// ```
    /// assert!(!queue_runner::StopHandle::new().is_stop_requested());
    /// ```
    #[must_use]
    pub fn new() -> StopHandle {
        StopHandle::default()
    }

    /// Returns a number that is the same for all clones, and another for handles of other sessions that exist at the
    /// same time.
    ///
    /// ```
    /// use queue_runner::StopHandle;
    /// let handle = StopHandle::new();
    /// assert_eq!(handle.id(), handle.clone().id());
    /// ```
    #[must_use]
    pub fn id(&self) -> usize {
        // The address of the shared part, which clones have in common.
        std::ptr::from_ref::<Shared>(&self.0).addr()
    }

    /// Requests a stop after the current step. The first reason is kept.
    ///
    /// ```
    /// let handle = queue_runner::StopHandle::new();
    /// handle.request_stop("the user pressed a key");
    /// assert!(handle.is_stop_requested() && !handle.is_interrupted());
    /// ```
    pub fn request_stop(&self, reason: impl Into<Cow<'static, str>>) {
        let mut known = lock(&self.0.reason);
        known.get_or_insert_with(|| StopReason::new(StopSource::Handle, reason));
        // Under the lock, so that a thread that sees the flag finds the reason.
        self.0.stopped.store(true, Ordering::Release);
    }

    /// Requests a stop and cancels whatever the session is waiting for. The first reason is kept.
    ///
    /// ```
    /// let handle = queue_runner::StopHandle::new();
    /// handle.interrupt("the machine shuts down");
    /// assert!(handle.is_interrupted() && handle.cancellation().is_cancelled());
    /// ```
    pub fn interrupt(&self, reason: impl Into<Cow<'static, str>>) {
        // First the request, so that whatever is cancelled finds the reason.
        self.request_stop(reason);
        self.0.cancellation.cancel();
    }

    /// Returns true if a stop was requested.
    ///
    /// ```
    /// let handle = queue_runner::StopHandle::new();
    /// assert!(!handle.is_stop_requested());
    /// ```
    #[must_use]
    #[inline]
    pub fn is_stop_requested(&self) -> bool {
        // Pairs with the store in `request_stop`.
        self.0.stopped.load(Ordering::Acquire)
    }

    /// Returns true if the work in flight was cancelled too.
    ///
    /// ```
    /// let handle = queue_runner::StopHandle::new();
    /// handle.request_stop("done");
    /// assert!(!handle.is_interrupted());
    /// ```
    #[must_use]
    #[inline]
    pub fn is_interrupted(&self) -> bool {
        self.0.cancellation.is_cancelled()
    }

    /// Returns the reason, if a stop was requested.
    ///
    /// ```
    /// let handle = queue_runner::StopHandle::new();
    /// handle.request_stop("done");
    /// assert_eq!(handle.reason().unwrap().text(), "done");
    /// ```
    #[must_use]
    pub fn reason(&self) -> Option<StopReason> {
        lock(&self.0.reason).clone()
    }

    /// Returns the token that [`interrupt`](StopHandle::interrupt) cancels.
    ///
    /// ```
    /// let handle = queue_runner::StopHandle::new();
    /// assert!(!handle.cancellation().is_cancelled());
    /// ```
    #[must_use]
    pub fn cancellation(&self) -> &CancellationToken {
        &self.0.cancellation
    }
}

impl fmt::Debug for StopHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StopHandle")
            .field("reason", &self.reason())
            .field("interrupted", &self.is_interrupted())
            .finish()
    }
}
