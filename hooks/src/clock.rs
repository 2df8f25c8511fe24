//! The clock of hooks.

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// A source of time for hooks. Tests use clocks of their own.
///
/// ```
/// use hooks::{Clock, TimeLimitHook};
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// /// Always reads the same time.
/// struct Stopped;
///
/// impl Clock for Stopped {
///     fn now(&self) -> Duration {
///         Duration::ZERO
///     }
/// }
/// let hook = TimeLimitHook::new(Duration::from_secs(60)).clock(Arc::new(Stopped));
/// ```
pub trait Clock: Send + Sync {
    /// Returns the time since some fixed moment. It never decreases.
    fn now(&self) -> Duration;

    /// Blocks for this much time.
    fn sleep(&self, time: Duration) {
        // In the trait, so that a test with its own clock passes the time without waiting for it.
        thread::sleep(time);
    }
}

/// The system's monotonic clock. A change of the time of day does not affect it, unlike TensorFlow's timers (Q-39).
///
/// ```
/// use hooks::{Clock, MonotonicClock};
/// let clock = MonotonicClock::new();
/// assert!(clock.now() <= clock.now());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MonotonicClock {
    origin: Instant,
}

impl MonotonicClock {
    /// Creates a clock that starts now.
    #[must_use]
    pub fn new() -> MonotonicClock {
        // Only differences matter to hooks, so any origin serves; a recent one keeps the numbers in messages
        // small.
        MonotonicClock { origin: Instant::now() }
    }

    /// Creates a clock that starts now, ready to be shared.
    ///
    /// ```
    /// use hooks::{LoggingTensorHook, MonotonicClock};
    /// let clock = MonotonicClock::shared();
    /// let hook = LoggingTensorHook::every_n_iter(10).clock(clock);
    /// ```
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
