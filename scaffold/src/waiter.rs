//! Time for code that waits.

use session_core::{CancellationToken, Result};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A source of time that also waits. Tests use their own.
pub trait Waiter: Send + Sync + fmt::Debug {
    /// Returns the time since some fixed moment.
    fn now(&self) -> Duration;

    /// Blocks until the time has passed or the token is cancelled.
    ///
    /// # Errors
    /// `Cancelled`.
    fn wait(&self, time: Duration, cancellation: &CancellationToken) -> Result<()>;
}

/// The system's time.
///
/// ```
/// use scaffold::{SystemWaiter, Waiter};
/// let waiter = SystemWaiter::new();
/// assert!(waiter.now() <= waiter.now());
/// ```
#[derive(Debug)]
pub struct SystemWaiter {
    start: Instant,
}

impl SystemWaiter {
    /// Creates a waiter that counts from now.
    ///
    /// ```
    /// use scaffold::{SystemWaiter, Waiter};
    /// let waiter = SystemWaiter::new();
    /// let start = waiter.now();
    /// assert!(waiter.now() >= start);
    /// ```
    #[must_use]
    pub fn new() -> SystemWaiter {
        SystemWaiter { start: Instant::now() }
    }
}

impl Default for SystemWaiter {
    fn default() -> SystemWaiter {
        SystemWaiter::new()
    }
}

impl Waiter for SystemWaiter {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn wait(&self, time: Duration, cancellation: &CancellationToken) -> Result<()> {
        // A time longer than the system can represent means forever.
        let deadline = Instant::now().checked_add(time);
        // Guards only the sleep; the token itself knows whether it was cancelled.
        let bell = Arc::new((Mutex::new(()), Condvar::new()));
        let ring = bell.clone();
        let _guard = cancellation.on_cancel(move || {
            let _sleeper_is_waiting_or_has_not_looked = ring.0.lock().unwrap_or_else(PoisonError::into_inner);
            ring.1.notify_all();
        });
        let mut sleep = bell.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            // Threads may wake up without a reason, so each round looks at the token and at the time.
            cancellation.check()?;
            sleep = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                Some(left) if left.is_zero() => return Ok(()),
                Some(left) => bell.1.wait_timeout(sleep, left).unwrap_or_else(PoisonError::into_inner).0,
                None => bell.1.wait(sleep).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use session_core::Code;

    #[test]
    fn a_wait_ends_when_cancelled() {
        let token = CancellationToken::new();
        let waiting = {
            let token = token.clone();
            std::thread::spawn(move || SystemWaiter::new().wait(Duration::from_secs(3600), &token))
        };
        token.cancel();
        assert_eq!(waiting.join().unwrap().unwrap_err().code(), Code::Cancelled);
    }

    #[test]
    fn a_wait_times_out() {
        let waiter = SystemWaiter::new();
        let before = waiter.now();
        waiter.wait(Duration::from_millis(2), &CancellationToken::new()).unwrap();
        assert!(waiter.now() - before >= Duration::from_millis(2));
    }
}
