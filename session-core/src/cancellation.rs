//! Cancellation of runs and waits.

use crate::{Code, Error, Result};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A request to stop that many parties can observe. Clones are cheap and share one token.
///
/// ```
/// use session_core::CancellationToken;
/// let token = CancellationToken::new();
/// let seen = token.clone();
/// assert!(seen.check().is_ok());
/// token.cancel();
/// assert!(seen.check().is_err());
/// ```
#[derive(Clone, Default)]
pub struct CancellationToken(Arc<Inner>);

#[derive(Default)]
struct Inner {
    cancelled: AtomicBool,
    /// The registered callbacks. None is called while the lock is held.
    callbacks: Mutex<Callbacks>,
}

type Callback = Arc<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct Callbacks {
    next: u64,
    by_id: BTreeMap<u64, Callback>,
}

impl CancellationToken {
    /// Creates a token that is not cancelled.
    ///
    /// ```
    /// assert!(!session_core::CancellationToken::new().is_cancelled());
    /// ```
    #[must_use]
    pub fn new() -> CancellationToken {
        CancellationToken::default()
    }

    /// Cancels the token and calls the registered callbacks on this thread. Further calls do nothing.
    ///
    /// ```
    /// use session_core::CancellationToken;
    /// let token = CancellationToken::new();
    /// token.cancel();
    /// assert!(token.is_cancelled());
    /// ```
    pub fn cancel(&self) {
        if self.0.cancelled.swap(true, Ordering::AcqRel) {
            return;
        }
        // Copied out, because a callback may register or drop a guard, which takes the lock.
        let callbacks: Vec<Callback> = self.callbacks().by_id.values().cloned().collect();
        for callback in callbacks {
            callback();
        }
    }

    /// Returns true if the token was cancelled.
    ///
    /// ```
    /// let token = session_core::CancellationToken::new();
    /// let clone = token.clone();
    /// clone.cancel();
    /// assert!(token.is_cancelled());
    /// ```
    #[must_use]
    #[inline]
    pub fn is_cancelled(&self) -> bool {
        // Pairs with the swap in `cancel`: a thread that sees the flag also sees everything done before.
        self.0.cancelled.load(Ordering::Acquire)
    }

    /// Returns an error if the token was cancelled, for use with `?` in loops.
    ///
    ///
    /// ```
    /// # use session_core::{CancellationToken, Code};
    /// let token = CancellationToken::new();
    /// token.cancel();
    /// assert_eq!(token.check().unwrap_err().code(), Code::Cancelled);
    /// ```
    ///
    /// # Errors
    /// Fails with `Cancelled` after [`cancel`](Self::cancel).
    #[inline]
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::new(Code::Cancelled, "the run was cancelled")) } else { Ok(()) }
    }

    /// Registers a callback for the moment of cancellation, which stays registered for as long as the
    /// returned guard exists. If the token is already cancelled, the callback runs at once. It must not block:
    /// it typically wakes a waiting thread.
    ///
    /// ```
    /// use session_core::CancellationToken;
    /// use std::sync::mpsc::channel;
    /// let token = CancellationToken::new();
    /// let (sender, receiver) = channel();
    /// let guard = token.on_cancel(move || drop(sender.send("cancelled")));
    /// token.cancel();
    /// assert_eq!(receiver.recv(), Ok("cancelled"));
    /// ```
    pub fn on_cancel(&self, callback: impl Fn() + Send + Sync + 'static) -> CancellationGuard {
        let callback: Callback = Arc::new(callback);
        let id = {
            let mut callbacks = self.callbacks();
            // Never reused, so a guard that is dropped late cannot remove the callback of another.
            let id = callbacks.next;
            callbacks.next += 1;
            callbacks.by_id.insert(id, callback.clone());
            id
        };
        // A cancellation in between is seen here; an earlier one did not know of this callback. A second call
        // is harmless, because callbacks only wake threads.
        if self.is_cancelled() {
            callback();
        }
        CancellationGuard { token: self.clone(), id }
    }

    fn callbacks(&self) -> std::sync::MutexGuard<'_, Callbacks> {
        self.0.callbacks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CancellationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancellationToken").field("cancelled", &self.is_cancelled()).finish()
    }
}

/// Keeps a callback registered. See [`CancellationToken::on_cancel`].
#[derive(Debug)]
#[must_use = "the callback is removed when the guard is dropped"]
pub struct CancellationGuard {
    token: CancellationToken,
    id: u64,
}

impl Drop for CancellationGuard {
    fn drop(&mut self) {
        self.token.callbacks().by_id.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn callbacks_are_called_while_registered() {
        let token = CancellationToken::new();
        let calls = Arc::new(AtomicUsize::new(0));
        let count = |calls: &Arc<AtomicUsize>| {
            let calls = calls.clone();
            move || {
                calls.fetch_add(1, Ordering::Relaxed);
            }
        };
        drop(token.on_cancel(count(&calls)));
        let _kept = token.on_cancel(count(&calls));
        token.cancel();
        token.cancel();
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        let _late = token.on_cancel(count(&calls));
        assert_eq!(calls.load(Ordering::Relaxed), 2, "registered after the cancel: called at once");
        assert_eq!(token.check().unwrap_err().code(), Code::Cancelled);
    }
}
