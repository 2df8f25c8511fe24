//! Waiting for other threads: the calling thread parks until one of the step's waits is complete or a limit
//! of the run is reached.
//!
//! # No missed wakeup
//!
//! A completed wait unparks this thread after it made `ready` true, and a cancellation does so through the
//! guards that are registered before the first check in the loop. A token that sits in the thread from an
//! earlier `unpark` only causes one more look. Hence the order *register, check, park*: whatever happens
//! after the check leaves a token, and `park` returns at once.

use crate::limits::Limits;
use session_core::{CancellationGuard, Code, Error, Result};
use std::thread;
use std::time::{Duration, Instant};

/// The number of checks before the thread sleeps: a few microseconds, less than falling asleep and waking up.
const LOOKS: u32 = 100;

/// Waits until `ready` holds, or something ends the run. `describe` names what it waits for.
///
/// `ready` is called often and must be cheap and free of effects. `describe` is called only for an error, for
/// example `dequeue of 1 element from FIFOQueue 'q' (size 0, capacity 10)`.
///
/// # Errors
/// `Cancelled` or `DeadlineExceeded` with the description, as soon as the session closes, the run is
/// cancelled, or its time is up. A result that is ready at that moment wins.
pub(crate) fn wait_until(
    limits: &Limits<'_>,
    ready: impl Fn() -> bool,
    describe: impl Fn() -> String,
) -> Result<()> {
    for _ in 0..LOOKS {
        if ready() {
            return Ok(());
        }
        std::hint::spin_loop();
    }
    // Only a thread that will sleep pays for the registration.
    let _guards = Waker::watch(limits);
    loop {
        if ready() {
            return Ok(());
        }
        limits.check_wait(&describe)?;
        match limits.remaining() {
            None => thread::park(),
            Some(left) => thread::park_timeout(left),
        }
    }
}

/// A namespace for the registration of wakeups; it holds nothing.
struct Waker;

impl Waker {
    /// Registers this thread to be unparked when the run or the session is cancelled. Dropping the guards
    /// removes the registration.
    fn watch(limits: &Limits<'_>) -> [Option<CancellationGuard>; 2] {
        let wake = || {
            let thread = thread::current();
            move || thread.unpark()
        };
        [Some(limits.session.on_cancel(wake())), limits.run.map(|run| run.on_cancel(wake()))]
    }
}

impl Limits<'_> {
    /// Returns the time left for the run, zero once it is over, or `None` if it has no limit.
    fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Works as `check`, with an error that names the awaited event (S-55, S-63).
    fn check_wait(&self, describe: &impl Fn() -> String) -> Result<()> {
        if self.session.is_cancelled() {
            let text = format!("{}: operation was cancelled: the session has been closed", describe());
            return Err(Error::new(Code::Cancelled, text));
        }
        if self.run.is_some_and(|run| run.is_cancelled()) {
            let text = format!("{}: operation was cancelled: the run was cancelled", describe());
            return Err(Error::new(Code::Cancelled, text));
        }
        if self.remaining().is_some_and(|left| left.is_zero()) {
            let text = format!("Timed out waiting: {}", describe());
            return Err(Error::new(Code::DeadlineExceeded, text));
        }
        Ok(())
    }
}
