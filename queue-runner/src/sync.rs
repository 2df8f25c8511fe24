//! The primitives of this crate's concurrency. Nothing else here names `std::sync` or `std::thread`, so that a model
//! checker takes their place in one spot.

pub use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
pub use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
pub use std::thread::{self, JoinHandle};

/// Locks a mutex whose holder may have panicked: every state guarded here is whole between two statements.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns true if a thread's body has returned.
pub fn is_finished<T>(handle: &JoinHandle<T>) -> bool {
    handle.is_finished()
}

/// Starts a named thread in a scope.
///
/// # Errors
/// When the system cannot start a thread.
pub fn spawn_scoped<'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    name: String,
    body: impl FnOnce() + Send + 'scope,
) -> std::io::Result<()> {
    thread::Builder::new().name(name).spawn_scoped(scope, body).map(drop)
}
