//! The synchronization primitives of queues. Nothing else there names `std::sync` or `std::thread`, so that a
//! model checker replaces them in one place.

pub(crate) use std::sync::atomic::{AtomicBool, Ordering};
pub(crate) use std::sync::{Arc, Mutex, MutexGuard};
pub(crate) use std::thread::{Thread, current};

use std::sync::{PoisonError, TryLockError};

/// The pauses between the attempts to take a lock that another thread holds, a microsecond or two in all.
///
/// The guarded work takes less time than an attempt: a thread that tries again at once only takes the memory of the lock away from
/// the thread that works. With two threads on two processors this is worth a factor of three.
const PAUSES: [u32; 6] = [8, 16, 32, 64, 64, 64];

/// Locks a mutex whose holder may have panicked: every state guarded here is whole between two statements.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Short pauses at first: the guarded work is short. The list ends soon, because a holder without a
    // processor is not worth spinning for.
    for pauses in PAUSES {
        match mutex.try_lock() {
            Ok(guard) => return guard,
            Err(TryLockError::Poisoned(error)) => return error.into_inner(),
            Err(TryLockError::WouldBlock) => (0..pauses).for_each(|_| std::hint::spin_loop()),
        }
    }
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
