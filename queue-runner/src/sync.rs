//! The primitives of this crate's concurrency. Nothing else here names `std::sync` or `std::thread`, so that a model
//! checker takes their place in one spot.

pub use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
pub use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
pub use std::thread::{self, JoinHandle};

/// Locks a mutex whose holder may have panicked: every state guarded here is whole between two statements.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
