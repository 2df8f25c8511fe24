//! The primitives of the queues' concurrency. Nothing beside them names `std::sync` or `std::thread`, so that a model
//! checker takes their place in one spot.

pub(crate) use std::sync::atomic::{AtomicBool, Ordering};
pub(crate) use std::sync::{Arc, Mutex, MutexGuard};
pub(crate) use std::thread::{Thread, current};

use std::sync::PoisonError;

/// Locks a mutex whose holder may have panicked: every state guarded here is whole between two statements.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
