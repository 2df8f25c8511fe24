//! Waiting for other workers.

use crate::step::{GlobalStep, begun};
use crate::{Clock, MonotonicClock, SessionRunArgs, SessionRunContext, SessionRunHook};
use queue_runner::StopHandle;
use session_core::{Graph, Result, Session};
use std::sync::Arc;
use std::time::Duration;

const NAME: &str = "GlobalStepWaiterHook";
const POLL: Duration = Duration::from_millis(500);
/// The advance of the step after which the hook reports again that it waits.
const REPORT_INTERVAL: i64 = 1000;

/// Delays the first run until the global step has reached a value. In asynchronous training, workers that join late keep
/// the first steps stable (S-361).
///
/// The hook checks the step every half second, and reports again that it waits whenever the step has advanced by more than
/// 1000. It waits once in a monitored session, even if the session is recovered. A stop request ends the wait; TensorFlow
/// keeps waiting.
///
/// ```
/// use hooks::GlobalStepWaiterHook;
/// let (worker_index, steps_between_workers) = (3, 100);
/// let hook = GlobalStepWaiterHook::new(worker_index * steps_between_workers);
/// ```
///
/// `begin`: a runtime error if the graph has no global step. The first run: the errors of the session.
#[derive(Debug)]
pub struct GlobalStepWaiterHook {
    until: i64,
    clock: Arc<dyn Clock>,
    stop: StopHandle,
    step: Option<GlobalStep>,
    done: bool,
}

impl GlobalStepWaiterHook {
    /// Waits until the step is `wait_until_step` or larger. With 0 or less the hook does not wait.
    #[must_use]
    pub fn new(wait_until_step: i64) -> GlobalStepWaiterHook {
        GlobalStepWaiterHook {
            until: wait_until_step,
            clock: MonotonicClock::shared(),
            stop: StopHandle::new(),
            step: None,
            done: false,
        }
    }

    /// Measures time with this clock. Default: the system's monotonic clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> GlobalStepWaiterHook {
        self.clock = clock;
        self
    }

    #[cold]
    fn wait(&self, session: &dyn Session) -> Result<()> {
        let reader = begun(&self.step, NAME)?;
        log::info!("Waiting for global step {} before starting training.", self.until);
        let mut reported = 0;
        // Checked before each sleep, so a stop request ends the wait after at most one interval. The run
        // that follows ends the loop.
        while !self.stop.is_stop_requested() {
            let step = reader.now(session)?;
            if step >= self.until {
                log::info!("Done waiting for global step {}.", self.until);
                break;
            }
            if step.saturating_sub(reported) > REPORT_INTERVAL {
                log::info!(
                    "Waiting for global step {} before starting training. It is {step} now.",
                    self.until
                );
                reported = step;
            }
            // Polling, because other workers change the variable and no session is notified of it.
            self.clock.sleep(POLL);
        }
        Ok(())
    }
}

impl SessionRunHook for GlobalStepWaiterHook {
    fn attach(&mut self, stop: &StopHandle) {
        self.stop = stop.clone();
    }

    fn begin(&mut self, graph: &Graph) -> Result<()> {
        self.step = Some(GlobalStep::of(graph, NAME)?);
        self.done = false;
        Ok(())
    }

    #[inline]
    fn before_run(&mut self, context: &mut SessionRunContext<'_>) -> Result<Option<SessionRunArgs>> {
        if !self.done {
            // Before the wait: a run that is repeated after a recovery must not wait again.
            self.done = true;
            if self.until > 0 {
                self.wait(context.session())?;
            }
        }
        Ok(None)
    }
}
