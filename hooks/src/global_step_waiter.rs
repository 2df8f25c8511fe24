//! Waiting for others.

use crate::step::{GlobalStep, begun};
use crate::{Clock, MonotonicClock, SessionRunArgs, SessionRunContext, SessionRunHook};
use queue_runner::StopHandle;
use session_core::{Graph, Result, Session};
use std::sync::Arc;
use std::time::Duration;

const NAME: &str = "GlobalStepWaiterHook";
const POLL: Duration = Duration::from_millis(500);
/// After how many steps it says again that it waits.
const NEWS: i64 = 1000;

/// Lets the first run wait until the global step has come to a value: workers that begin late keep the first steps of
/// an asynchronous training stable (S-361).
///
/// It looks every half second, and says again that it waits whenever the step moved on by more than 1000. It waits once
/// in a monitored session, also if the session is recovered. A stop from outside ends the waiting; TensorFlow waits on.
///
/// # Errors
///
/// `begin`: a runtime error without a global step. The first run: of the session.
#[derive(Debug)]
pub struct GlobalStepWaiterHook {
    until: i64,
    clock: Arc<dyn Clock>,
    stop: StopHandle,
    step: Option<GlobalStep>,
    done: bool,
}

impl GlobalStepWaiterHook {
    /// Waits until the step is this or larger. 0 or less does not wait.
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

    /// Waits with this clock. Default: the system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> GlobalStepWaiterHook {
        self.clock = clock;
        self
    }

    #[cold]
    fn wait(&self, session: &dyn Session) -> Result<()> {
        let reader = begun(&self.step, NAME)?;
        log::info!("Waiting for global step {} before starting training.", self.until);
        let mut told = 0;
        while !self.stop.is_stop_requested() {
            let step = reader.now(session)?;
            if step >= self.until {
                log::info!("Done waiting for global step {}.", self.until);
                break;
            }
            if step.saturating_sub(told) > NEWS {
                log::info!(
                    "Waiting for global step {} before starting training. It is {step} now.",
                    self.until
                );
                told = step;
            }
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
            self.done = true;
            if self.until > 0 {
                self.wait(context.session())?;
            }
        }
        Ok(None)
    }
}
