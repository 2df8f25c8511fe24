//! Steps per second.

use crate::events::EventTarget;
use crate::number::significant;
use crate::step::{GlobalStep, begun};
use crate::{
    Clock, Elapsed, SecondOrStepTimer, SessionRunArgs, SessionRunContext, SessionRunHook, SessionRunValues,
};
use queue_runner::Coordinator;
use session_core::{Error, Graph, Result, Session};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use summary::{EventWriter, SessionLog, Summary};

const NAME: &str = "StepCounterHook";

/// The number of warnings left in this process about a step that does not change (S-354).
static WARNINGS_LEFT: AtomicU32 = AtomicU32::new(5);

/// Logs the number of steps per second, and writes it as a summary (S-352 to S-355).
///
/// The first time only starts the interval. Each later time logs `global_step/sec: 123.4` at level info, and adds a summary
/// with that tag if there is a directory or writer. With an interval of 3 steps, the interval starts at step 1 and summaries
/// follow at 4 and 7 (S-353).
///
/// If the global step is the same before two consecutive runs, the hook warns that the step does not change, at most 5 times
/// per process: in such a training nothing that depends on steps is saved or logged (Q-40).
///
/// After each creation of a session the hook writes an event that a session starts with the next step, so that viewers drop
/// the events of an earlier session for this step and later ones. TensorFlow writes that event only in its summary hook.
///
/// ```
/// use hooks::StepCounterHook;
/// let hook = StepCounterHook::every_n_steps(100).output_dir("run");
/// ```
///
/// # Errors
///
/// `begin`: a runtime error if the graph has no global step; the errors of the event file. An interval of 0 steps counts
/// every step. Runs: the errors of the event file.
#[derive(Debug)]
pub struct StepCounterHook {
    timer: SecondOrStepTimer,
    target: EventTarget,
    found: Option<Found>,
    before: Option<i64>,
    /// The advance of the step in one run.
    advance: i64,
}

#[derive(Debug)]
struct Found {
    step: GlobalStep,
    tag: String,
    writer: Option<Arc<EventWriter>>,
}

impl Default for StepCounterHook {
    /// Counts over 100 steps (S-352).
    fn default() -> StepCounterHook {
        StepCounterHook::every_n_steps(100)
    }
}

impl StepCounterHook {
    /// Counts over `steps` steps.
    ///
    /// ```
    /// use hooks::StepCounterHook;
    /// let hook = StepCounterHook::every_n_steps(500);
    /// ```
    #[must_use]
    pub fn every_n_steps(steps: u64) -> StepCounterHook {
        StepCounterHook::of(SecondOrStepTimer::every_steps(steps))
    }

    /// Counts over this much time. TensorFlow requires an explicit `None` for the steps here (Q-38).
    ///
    /// ```
    /// use hooks::StepCounterHook;
    /// use std::time::Duration;
    /// let hook = StepCounterHook::every_n_secs(Duration::from_secs(10));
    /// ```
    #[must_use]
    pub fn every_n_secs(time: Duration) -> StepCounterHook {
        StepCounterHook::of(SecondOrStepTimer::every_secs(time))
    }

    /// Creates a hook with exactly one of the two intervals, for programs that receive them as options.
    ///
    /// # Errors
    /// A value error for both or none (S-352).
    ///
    /// ```
    /// use hooks::StepCounterHook;
    /// assert!(StepCounterHook::new(Some(10), None).is_ok());
    /// assert!(StepCounterHook::new(None, None).is_err());
    /// ```
    pub fn new(every_n_steps: Option<u64>, every_n_secs: Option<Duration>) -> Result<StepCounterHook> {
        let timer = SecondOrStepTimer::new(every_n_steps, every_n_secs)
            .map_err(|_| Error::value("exactly one of every_n_steps and every_n_secs should be provided"))?;
        Ok(StepCounterHook::of(timer))
    }

    fn of(timer: SecondOrStepTimer) -> StepCounterHook {
        StepCounterHook { timer, target: EventTarget::None, found: None, before: None, advance: 1 }
    }

    /// Writes summaries into this directory. Default: none are written (S-355).
    ///
    /// ```
    /// use hooks::StepCounterHook;
    /// let hook = StepCounterHook::every_n_steps(500).output_dir("run");
    /// ```
    #[must_use]
    pub fn output_dir(mut self, directory: impl AsRef<Path>) -> StepCounterHook {
        self.target = EventTarget::Directory(directory.as_ref().to_path_buf());
        self
    }

    /// Writes summaries to this writer. Default: none are written.
    #[must_use]
    pub fn writer(mut self, writer: Arc<EventWriter>) -> StepCounterHook {
        self.target = EventTarget::Writer(writer);
        self
    }

    /// Sets by how much a run advances the step, for loops that make many steps in one run (S-351): an interval that ends inside
    /// a run is counted after that run, not one run late. Default: 1. Values below 1 count as 1.
    #[must_use]
    pub fn steps_per_run(mut self, steps: i64) -> StepCounterHook {
        self.advance = steps.max(1);
        self
    }

    /// Measures time with this clock. Default: the system's monotonic clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> StepCounterHook {
        self.timer = self.timer.clock(clock);
        self
    }

    #[cold]
    fn count(&mut self, session: &dyn Session) -> Result<()> {
        let Found { step, tag, writer } = begun(&self.found, NAME)?;
        let step = step.now(session)?;
        if !self.timer.should_trigger(step) {
            return Ok(());
        }
        let Some(elapsed) = self.timer.update(step) else { return Ok(()) };
        report(tag, writer.as_deref(), elapsed, step)
    }
}

fn report(tag: &str, writer: Option<&EventWriter>, elapsed: Elapsed, step: i64) -> Result<()> {
    let rate = elapsed.steps_per_sec();
    if let Some(writer) = writer {
        writer.add_summary(Summary::scalar(tag, rate as f32), step)?;
    }
    log::info!("{tag}: {}", significant(rate, 6));
    Ok(())
}

#[cold]
fn warn_of_standstill(step: i64) {
    // Fails once nothing is left; a plain decrement would wrap around after the last warning.
    let left = WARNINGS_LEFT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
    if left.is_ok() {
        log::warn!(
            "It seems that global step has not been increased. Its value was {step} before this run and before the last one. \
            Make sure that session.run fetches the training operation."
        );
    }
}

impl SessionRunHook for StepCounterHook {
    fn dry_run(&mut self) {
        self.target.discard();
    }

    fn begin(&mut self, graph: &Graph) -> Result<()> {
        let writer = self.target.open()?;
        let step = GlobalStep::of(graph, NAME)?;
        let tag = format!("{}/sec", step.name());
        self.found = Some(Found { step, tag, writer });
        self.timer.reset();
        Ok(())
    }

    fn after_create_session(&mut self, session: &dyn Session, _: &Coordinator) -> Result<()> {
        self.before = None;
        // The time of the recovery or the creation is not training time.
        self.timer.reset();
        let Found { step, writer: Some(writer), .. } = begun(&self.found, NAME)? else { return Ok(()) };
        // The event names the step of the first run to come: viewers drop what an interrupted session
        // wrote for it and later.
        let next = step.now(session)?.saturating_add(1);
        Ok(writer.add_session_log(SessionLog::start(), next)?)
    }

    #[inline]
    fn before_run(&mut self, _: &mut SessionRunContext<'_>) -> Result<Option<SessionRunArgs>> {
        Ok(self.found.as_ref().map(|found| SessionRunArgs::new().fetch(found.step.read())))
    }

    #[inline]
    fn after_run(
        &mut self,
        context: &mut SessionRunContext<'_>,
        values: &SessionRunValues<'_>,
    ) -> Result<()> {
        let step = values[0].as_scalar_i64()?;
        let still = self.before == Some(step);
        self.before = Some(step);
        if self.timer.should_trigger(step.saturating_add(self.advance)) {
            self.count(context.session())?;
        }
        if still {
            warn_of_standstill(step);
        }
        Ok(())
    }
}
