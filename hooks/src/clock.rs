//! Time as hooks measure it.

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Tells how much time has gone by, and waits. Tests bring their own.
pub trait Clock: Send + Sync {
    /// The time since some fixed moment. Never runs backwards.
    fn now(&self) -> Duration;

    /// Waits.
    fn sleep(&self, time: Duration) {
        thread::sleep(time);
    }
}

/// The system's monotonic clock: a changed time of day does not disturb it, unlike TensorFlow's timers.
#[derive(Clone, Copy, Debug)]
pub struct MonotonicClock {
    origin: Instant,
}

impl MonotonicClock {
    /// A clock that begins now.
    #[must_use]
    pub fn new() -> MonotonicClock {
        MonotonicClock { origin: Instant::now() }
    }

    /// A clock that begins now, ready to be shared.
    #[must_use]
    pub fn shared() -> Arc<dyn Clock> {
        Arc::new(MonotonicClock::new())
    }
}

impl Default for MonotonicClock {
    fn default() -> MonotonicClock {
        MonotonicClock::new()
    }
}

impl Clock for MonotonicClock {
    #[inline]
    fn now(&self) -> Duration {
        self.origin.elapsed()
    }
}

impl fmt::Debug for dyn Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}
