//! Stopping what runs or waits, from outside.

use crate::{Code, Error, Result};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A request to stop that many parties can watch. Cheap to clone; clones are one token.
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
    /// Guards the callbacks; none is called while it is held.
    callbacks: Mutex<Callbacks>,
}

type Callback = Arc<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct Callbacks {
    next: u64,
    by_id: BTreeMap<u64, Callback>,
}

impl CancellationToken {
    /// A token that nobody has cancelled.
    #[must_use]
    pub fn new() -> CancellationToken {
        CancellationToken::default()
    }

    /// Cancels, and calls what was registered, on this thread. Doing it again does nothing.
    pub fn cancel(&self) {
        if self.0.cancelled.swap(true, Ordering::AcqRel) {
            return;
        }
        let callbacks: Vec<Callback> = self.callbacks().by_id.values().cloned().collect();
        for callback in callbacks {
            callback();
        }
    }

    /// Whether it was cancelled.
    #[must_use]
    #[inline]
    pub fn is_cancelled(&self) -> bool {
        // Pairs with the swap in `cancel`: who sees the flag sees what was done before.
        self.0.cancelled.load(Ordering::Acquire)
    }

    /// # Errors
    /// `Cancelled` after [`cancel`](Self::cancel).
    #[inline]
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::new(Code::Cancelled, "the run was cancelled")) } else { Ok(()) }
    }

    /// Calls back at the moment of cancelling, for as long as the returned guard lives; at once if that moment
    /// is past. The callback wakes a waiting thread or the like; it must not block.
    pub fn on_cancel(&self, callback: impl Fn() + Send + Sync + 'static) -> CancellationGuard {
        let callback: Callback = Arc::new(callback);
        let id = {
            let mut callbacks = self.callbacks();
            let id = callbacks.next;
            callbacks.next += 1;
            callbacks.by_id.insert(id, callback.clone());
            id
        };
        // A cancel that came between is seen here; one that came before has listed nothing of ours. Being
        // called twice does no harm to something that only wakes.
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

/// Keeps a callback registered; see [`CancellationToken::on_cancel`].
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
