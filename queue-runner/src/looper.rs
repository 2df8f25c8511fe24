//! A thread that calls a function repeatedly until its coordinator stops.

use crate::Coordinator;
use crate::thread::ManagedThread;
use session_core::Result;
use std::time::{Duration, Instant};

/// The work of a looper thread (S-204). A closure is a body that only has [`run_loop`](LooperBody::run_loop).
pub trait LooperBody: Send {
    /// Called once, before anything else.
    ///
    /// # Errors
    /// Stop the coordinator; nothing else is called.
    fn start_loop(&mut self) -> Result<()> {
        Ok(())
    }

    /// Called again and again.
    ///
    /// # Errors
    /// Stop the coordinator; nothing else is called.
    fn run_loop(&mut self) -> Result<()>;

    /// Called once after the coordinator stopped; not after an error of this body.
    ///
    /// # Errors
    /// Are reported to the coordinator.
    fn stop_loop(&mut self) -> Result<()> {
        Ok(())
    }
}

impl<F: FnMut() -> Result<()> + Send> LooperBody for F {
    fn run_loop(&mut self) -> Result<()> {
        self()
    }
}

/// Makes and starts a thread, registered with the coordinator, that calls the body until the coordinator stops (S-203,
/// S-206): back to back without an interval, else at once and then at whole intervals after that (S-205). The wait
/// between two calls ends early when the coordinator stops.
///
/// A call that takes longer than the interval makes the missed ones fall out; TensorFlow makes up for them in a burst
/// (Q-60).
///
/// ```
/// use queue_runner::{Coordinator, loop_until_stop};
/// use std::time::Duration;
///
/// let coordinator = Coordinator::new();
/// let mut count = 0;
/// let stop = coordinator.clone();
/// loop_until_stop(&coordinator, "counter", Some(Duration::from_millis(1)), move || {
///     count += 1;
///     if count == 3 {
///         stop.request_stop();
///     }
///     Ok(())
/// })?;
/// coordinator.join(&[])?;
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// When the system cannot start a thread.
pub fn loop_until_stop(
    coordinator: &Coordinator,
    name: impl Into<String>,
    interval: Option<Duration>,
    body: impl LooperBody + 'static,
) -> Result<ManagedThread> {
    let thread = looper_thread(coordinator, name, interval, body);
    thread.start()?;
    Ok(thread)
}

/// Works as [`loop_until_stop`], to be started later.
#[must_use]
pub fn looper_thread(
    coordinator: &Coordinator,
    name: impl Into<String>,
    interval: Option<Duration>,
    mut body: impl LooperBody + 'static,
) -> ManagedThread {
    let owner = coordinator.clone();
    // An interval of zero means back to back, as no interval does; the remainder by zero would panic.
    let interval = interval.filter(|interval| !interval.is_zero());
    let thread = ManagedThread::new(name, move || run(&owner, interval, &mut body));
    coordinator.register(&thread);
    thread
}

fn run(coordinator: &Coordinator, interval: Option<Duration>, body: &mut dyn LooperBody) -> Result<()> {
    body.start_loop()?;
    match interval {
        None => {
            while !coordinator.should_stop() {
                body.run_loop()?;
            }
        }
        Some(interval) => {
            // Ticks are multiples from one start, so a slow call does not shift all later ones.
            let start = Instant::now();
            let mut wait = Duration::ZERO;
            while !coordinator.wait_for_stop(Some(wait)) {
                body.run_loop()?;
                wait = until_next_tick(start.elapsed(), interval);
            }
        }
    }
    body.stop_loop()
}

/// Returns the time until the next multiple of the interval, strictly after now.
fn until_next_tick(elapsed: Duration, interval: Duration) -> Duration {
    let into = elapsed.as_nanos() % interval.as_nanos();
    interval - Duration::from_nanos(u64::try_from(into).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::{Arc, Mutex, lock};
    use session_core::{Code, Error};

    #[test]
    fn s_205_missed_ticks_are_skipped() {
        let ms = Duration::from_millis;
        assert_eq!(until_next_tick(ms(0), ms(10)), ms(10));
        assert_eq!(until_next_tick(ms(3), ms(10)), ms(7));
        assert_eq!(until_next_tick(ms(37), ms(10)), ms(3), "20 and 30 were missed and are not made up for");
    }

    struct Recorder {
        calls: Arc<Mutex<Vec<&'static str>>>,
        coordinator: Coordinator,
        fail: bool,
    }

    impl LooperBody for Recorder {
        fn start_loop(&mut self) -> Result<()> {
            lock(&self.calls).push("start");
            Ok(())
        }
        fn run_loop(&mut self) -> Result<()> {
            lock(&self.calls).push("run");
            if self.fail {
                return Err(Error::new(Code::Internal, "broken"));
            }
            self.coordinator.request_stop();
            Ok(())
        }
        fn stop_loop(&mut self) -> Result<()> {
            lock(&self.calls).push("stop");
            Ok(())
        }
    }

    fn record(fail: bool, interval: Option<Duration>) -> (Vec<&'static str>, Result<()>) {
        let coordinator = Coordinator::new();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let body = Recorder { calls: calls.clone(), coordinator: coordinator.clone(), fail };
        loop_until_stop(&coordinator, "looper", interval, body).unwrap();
        let outcome = coordinator.join(&[]);
        let calls = lock(&calls).clone();
        (calls, outcome)
    }

    #[test]
    fn s_204_a_looper_starts_runs_and_stops() {
        for interval in [None, Some(Duration::ZERO), Some(Duration::from_secs(3600))] {
            let (calls, outcome) = record(false, interval);
            outcome.unwrap();
            assert_eq!(calls, ["start", "run", "stop"], "{interval:?}");
        }
    }

    #[test]
    fn s_204_an_error_goes_to_the_coordinator_and_skips_the_rest() {
        let (calls, outcome) = record(true, None);
        assert_eq!(outcome.unwrap_err().message(), "broken");
        assert_eq!(calls, ["start", "run"]);
    }

    #[test]
    fn s_203_a_looper_registers_itself_and_starts_on_request() {
        let coordinator = Coordinator::new();
        let stop = coordinator.clone();
        let thread = looper_thread(&coordinator, "looper", None, move || {
            stop.request_stop();
            Ok(())
        });
        assert!(coordinator.registered()[0].is_same(&thread));
        assert!(!thread.is_alive());
        thread.start().unwrap();
        coordinator.join(&[]).unwrap();
    }

    #[test]
    fn s_205_s_206_the_first_call_is_at_once_and_a_stop_ends_the_wait() {
        let coordinator = Coordinator::new();
        let (called, calls) = std::sync::mpsc::channel();
        let hour = Some(Duration::from_secs(3600));
        let thread = loop_until_stop(&coordinator, "looper", hour, move || {
            called.send(()).map_err(|_| Error::new(Code::Internal, "the receiver is gone"))
        });
        calls.recv().unwrap();
        coordinator.request_stop();
        thread.unwrap().join().unwrap();
        assert!(calls.recv().is_err(), "called once");
    }
}
