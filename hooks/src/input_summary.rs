//! The fill of queues and iterators.

use crate::cadence::Cadence;
use crate::events::{EventTarget, flush, flush_before_checkpoint};
use crate::{Clock, SecondOrStepTimer, SessionRunArgs, SessionRunContext, SessionRunHook, SessionRunValues};
use session_core::{Graph, Result, RunMetadata, Session};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use summary::{EventWriter, Summary, Value};

const NAME: &str = "InputSummaryHook";

/// Writes summaries of the input of a run: how full queues and the buffers of iterators are, and how long the run waited for them.
///
/// `input/<name>/fraction_of_<capacity>_full` is between 0 and 1 for each queue with a capacity and for each iterator that makes elements
/// ahead of the steps; `input/wait_fraction` is the part of the run's time for which it waited. A buffer that is mostly empty starves the
/// training: its input needs more threads, or less work.
/// [`Queue::summarize_fullness`](https://docs.rs/monitored-ops) adds the summary of one queue to the graph instead.
///
/// ```
/// use hooks::InputSummaryHook;
/// let hook = InputSummaryHook::every_n_steps("run", 100);
/// ```
///
/// # Errors
///
/// `begin`: a runtime error if the graph has no global step; the errors of the event file. Runs: the errors of the event file.
#[derive(Debug)]
pub struct InputSummaryHook {
    cadence: Cadence,
    target: EventTarget,
    writer: Option<Arc<EventWriter>>,
}

impl InputSummaryHook {
    /// Writes into a directory every `steps` steps.
    #[must_use]
    pub fn every_n_steps(directory: impl AsRef<Path>, steps: u64) -> InputSummaryHook {
        InputSummaryHook::of(directory.as_ref(), SecondOrStepTimer::every_steps(steps))
    }

    /// Writes into a directory each time this much time has passed.
    ///
    /// ```
    /// use hooks::InputSummaryHook;
    /// use std::time::Duration;
    /// let hook = InputSummaryHook::every_n_secs("run", Duration::from_secs(10));
    /// ```
    #[must_use]
    pub fn every_n_secs(directory: impl AsRef<Path>, time: Duration) -> InputSummaryHook {
        InputSummaryHook::of(directory.as_ref(), SecondOrStepTimer::every_secs(time))
    }

    fn of(directory: &Path, timer: SecondOrStepTimer) -> InputSummaryHook {
        let target = EventTarget::Directory(directory.to_path_buf());
        InputSummaryHook { cadence: Cadence::new(NAME, timer), target, writer: None }
    }

    /// Measures time with this clock. Default: the system's monotonic clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> InputSummaryHook {
        self.cadence = self.cadence.clock(clock);
        self
    }

    #[cold]
    fn write(&mut self, session: &dyn Session, metadata: &RunMetadata) -> Result<()> {
        let step = self.cadence.reached(session)?;
        if let Some(writer) = &self.writer {
            writer.add_summary(summary_of(metadata), step)?;
        }
        Ok(())
    }
}

fn summary_of(metadata: &RunMetadata) -> Summary {
    // A run too short for the clock gives NaN or infinity, which no chart can show.
    let waited = metadata.input_wait.as_secs_f64() / metadata.elapsed.as_secs_f64();
    let waited = if waited.is_finite() { waited } else { 0.0 };
    let mut summary = Summary::scalar("input/wait_fraction", waited as f32);
    for queue in &metadata.queues {
        // A queue without a limit has no fullness.
        if let Some(capacity) = queue.capacity.filter(|&capacity| capacity > 0) {
            let tag = format!("input/{}/fraction_of_{capacity}_full", queue.name);
            summary.values.push(Value::scalar(tag, queue.size as f32 / capacity as f32));
        }
    }
    summary
}

impl SessionRunHook for InputSummaryHook {
    fn dry_run(&mut self) {
        self.target.discard();
    }

    fn begin(&mut self, graph: &Graph) -> Result<()> {
        self.writer = self.target.open()?;
        self.cadence.begin(graph, Ok(Vec::new()))
    }

    fn before_run(&mut self, _: &mut SessionRunContext<'_>) -> Result<Option<SessionRunArgs>> {
        let args = self.cadence.before_run();
        // Metadata costs time in the engine, so only runs that write request it.
        Ok(if self.cadence.was_due() { args.map(SessionRunArgs::with_metadata) } else { args })
    }

    fn after_run(
        &mut self,
        context: &mut SessionRunContext<'_>,
        values: &SessionRunValues<'_>,
    ) -> Result<()> {
        if self.cadence.after_run(values)? {
            self.write(context.session(), values.metadata())
        } else {
            Ok(())
        }
    }

    fn end(&mut self, _: &dyn Session) -> Result<()> {
        flush(self.writer.as_deref())
    }

    fn save_state(&self) -> Option<Vec<u8>> {
        flush_before_checkpoint(self.writer.as_deref());
        self.cadence.save_state()
    }

    fn load_state(&mut self, state: &[u8]) -> Result<()> {
        self.cadence.load_state(state)
    }
}
