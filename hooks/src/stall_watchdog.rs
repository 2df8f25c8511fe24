//! Detection of stalled trainings.

use crate::sink::LineSink;
use crate::{SessionRunArgs, SessionRunContext, SessionRunHook, SessionRunValues};
use queue_runner::{Coordinator, StopHandle};
use session_core::{Code, Error, Graph, Result, Session};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The number of checks per limit: a stall is reported at most one such interval late.
const CHECKS: u32 = 4;

/// The least time between two checks, so that a very short limit does not occupy a processor.
const MIN_PAUSE: Duration = Duration::from_millis(1);

/// Reports a stalled training: one in which no run has begun or ended for some time, for example because its input does not
/// arrive. On request it also ends the training.
///
/// The hook watches from its own thread, from the creation of the session to its end. It reports each stall once. Limits
/// below 4 ms count as 4 ms.
///
/// # Errors
///
/// `begin`: a value error for a limit of zero, by which every training would be stalled. When a session is created: if
/// the thread cannot be started.
///
/// ```
/// use hooks::StallWatchdogHook;
/// use std::time::Duration;
/// let hook = StallWatchdogHook::new(Duration::from_secs(300)).interrupt(true);
/// ```
pub struct StallWatchdogHook {
    limit: Duration,
    interrupt: bool,
    message: Option<LineSink>,
    stop: StopHandle,
    watch: Option<Watch>,
    /// Changes with every start and end of a run.
    pulse: Arc<AtomicU64>,
}

/// The watching thread.
struct Watch {
    closed: Option<Sender<()>>,
    thread: Option<JoinHandle<Option<LineSink>>>,
}

impl StallWatchdogHook {
    /// Watches for stalls of this length or longer.
    ///
    /// ```
    /// use hooks::StallWatchdogHook;
    /// use std::time::Duration;
    /// let hook = StallWatchdogHook::new(Duration::from_secs(300));
    /// ```
    #[must_use]
    pub fn new(limit: Duration) -> StallWatchdogHook {
        StallWatchdogHook {
            limit,
            interrupt: false,
            message: None,
            stop: StopHandle::new(),
            watch: None,
            pulse: Arc::default(),
        }
    }

    /// Sets whether a stall ends the training by cancelling the running step. Default: `false`.
    ///
    /// ```
    /// use hooks::StallWatchdogHook;
    /// use std::time::Duration;
    /// let hook = StallWatchdogHook::new(Duration::from_secs(300)).interrupt(true);
    /// ```
    #[must_use]
    pub fn interrupt(mut self, interrupt: bool) -> StallWatchdogHook {
        self.interrupt = interrupt;
        self
    }

    /// Passes the report of a stall to a function. Default: to the log, at level warn.
    ///
    /// ```
    /// use hooks::StallWatchdogHook;
    /// use std::time::Duration;
    /// let hook = StallWatchdogHook::new(Duration::from_secs(300)).message(|text| eprintln!("{text}"));
    /// ```
    #[must_use]
    pub fn message(mut self, message: impl FnMut(&str) + Send + 'static) -> StallWatchdogHook {
        self.message = Some(Box::new(message));
        self
    }

    fn start(&mut self) -> Result<Watch> {
        let (closed, when_closed) = mpsc::channel();
        let patrol = Patrol {
            limit: self.limit,
            // The closure moves into the thread and comes back when it ends, so that the watch of a
            // recovered session has it too.
            message: self.message.take(),
            stop: self.interrupt.then(|| self.stop.clone()),
            pulse: self.pulse.clone(),
        };
        let thread = thread::Builder::new().name("stall-watchdog".to_owned());
        let thread = thread.spawn(move || patrol.run(&when_closed)).map_err(|error| {
            Error::new(Code::Internal, "could not start the thread of a stall watchdog").with_source(error)
        })?;
        Ok(Watch { closed: Some(closed), thread: Some(thread) })
    }

    fn rest(&mut self) {
        if let Some(message) = self.watch.take().and_then(|mut watch| watch.end()) {
            self.message = Some(message);
        }
    }

    #[inline]
    fn beat(&self) {
        // One writer, and the watch only needs to see that the number changes: no other data is published by
        // it, so `Relaxed` is enough.
        self.pulse.store(self.pulse.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
}

impl Watch {
    fn end(&mut self) -> Option<LineSink> {
        self.closed = None;
        self.thread.take()?.join().unwrap_or_else(|_| {
            log::error!("the thread of a stall watchdog panicked");
            None
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end();
    }
}

/// The work of the thread.
struct Patrol {
    limit: Duration,
    message: Option<LineSink>,
    stop: Option<StopHandle>,
    pulse: Arc<AtomicU64>,
}

impl Patrol {
    fn run(mut self, closed: &Receiver<()>) -> Option<LineSink> {
        let mut still = Stillness::default();
        // The wait for the end of the session is also the timer, so `end` wakes the thread at once.
        while closed.recv_timeout(pause(self.limit)) == Err(RecvTimeoutError::Timeout) {
            if still.check(self.pulse.load(Ordering::Relaxed)) {
                self.report();
            }
        }
        self.message
    }

    fn report(&mut self) {
        let text = format!("no run has begun or ended for {} s", self.limit.as_secs_f64());
        match &mut self.message {
            Some(message) => message(&text),
            None => log::warn!(
                "The training is stalled: {text}. Check its input, and the operation that the step is waiting for."
            ),
        }
        if let Some(stop) = &self.stop {
            stop.interrupt(text);
        }
    }
}

/// Returns the time between two checks.
fn pause(limit: Duration) -> Duration {
    (limit / CHECKS).max(MIN_PAUSE)
}

/// Counts the checks in a row that saw no change.
#[derive(Debug, Default)]
struct Stillness {
    seen: Option<u64>,
    checks: u32,
}

impl Stillness {
    /// Returns true if the limit is reached by this check.
    fn check(&mut self, pulse: u64) -> bool {
        if self.seen == Some(pulse) {
            self.checks = self.checks.saturating_add(1);
        } else {
            // The first look only records; a stall is measured from then on.
            *self = Stillness { seen: Some(pulse), checks: 0 };
        }
        // `==` and not `>=`: each stall is reported once.
        self.checks == CHECKS
    }
}

impl SessionRunHook for StallWatchdogHook {
    fn attach(&mut self, stop: &StopHandle) {
        self.stop = stop.clone();
    }

    fn begin(&mut self, _: &Graph) -> Result<()> {
        if self.limit.is_zero() {
            let text = "the limit of a StallWatchdogHook is zero, by which every training would be stalled";
            return Err(Error::value(text));
        }
        Ok(())
    }

    fn after_create_session(&mut self, _: &dyn Session, _: &Coordinator) -> Result<()> {
        // The time of a recovery is no stall: the watch of the lost session ended with its error.
        self.rest();
        self.watch = Some(self.start()?);
        Ok(())
    }

    #[inline]
    fn before_run(&mut self, _: &mut SessionRunContext<'_>) -> Result<Option<SessionRunArgs>> {
        self.beat();
        Ok(None)
    }

    #[inline]
    fn after_run(&mut self, _: &mut SessionRunContext<'_>, _: &SessionRunValues<'_>) -> Result<()> {
        self.beat();
        Ok(())
    }

    fn end(&mut self, _: &dyn Session) -> Result<()> {
        self.rest();
        Ok(())
    }

    fn on_error(&mut self, _: &Error) {
        self.rest();
    }
}

impl fmt::Debug for StallWatchdogHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StallWatchdogHook")
            .field("limit", &self.limit)
            .field("interrupt", &self.interrupt)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_limit_leaves_a_pause_between_checks() {
        assert_eq!(pause(Duration::from_secs(8)), Duration::from_secs(2));
        assert_eq!(pause(Duration::from_nanos(3)), MIN_PAUSE);
    }

    #[test]
    fn a_stall_is_reported_once() {
        let mut still = Stillness::default();
        let reported: Vec<bool> = [7, 7, 7, 8, 8, 8, 8, 8, 8, 9].map(|pulse| still.check(pulse)).to_vec();
        assert_eq!(
            reported.iter().position(|&reported| reported),
            Some(7),
            "four checks after the last change"
        );
        assert_eq!(reported.iter().filter(|&&reported| reported).count(), 1);
    }
}
