//! Saving summaries.

use crate::events::{EventTarget, event_error};
use crate::step::{GlobalStep, begun};
use crate::{
    Clock, SecondOrStepTimer, SessionRunArgs, SessionRunContext, SessionRunHook, SessionRunValues, TensorRef,
};
use queue_runner::Coordinator;
use session_core::{Error, Graph, Output, Result, Session, Tensor, keys};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use summary::{EventWriter, SessionLog};

const NAME: &str = "SummarySaverHook";

/// Writes summaries every so many steps or every so much time (S-356 to S-359).
///
/// The first run fetches the summaries, then each run whose step, expected to be the last plus one, is due: every 3
/// steps means 1, 4, 7. They are fetched in the same execution as the step, and written at the step after it. So a
/// summary that depends on placeholders makes a run fail that does not feed them (S-359).
///
/// What is written are the tensors given to [`summary`](SummarySaverHook::summary): strings that hold serialised
/// summaries, one or many. Without any, it is what the graph's collection `summary_op` holds, where a scaffold puts all
/// summaries merged; a graph without summaries gets nothing but the beginning of the session (S-358).
///
/// At the first run after a session was created it writes that a session starts with this step, so that viewers drop
/// what an earlier session wrote for this step and later ones; TensorFlow does it once, not after a recovery.
///
/// # Resuming
///
/// The step of the last summary is kept in the checkpoint, so that a resumed run writes at the steps at which it would
/// have written without the interruption. When a checkpoint is saved, all earlier events are flushed.
///
/// # Errors
///
/// `begin`: a runtime error without a global step; as [`TensorRef::resolve`]; of the event file. When a session is
/// created: a runtime error for several items in `summary_op`. Runs: of the event file; for tensors that hold no
/// summaries.
#[derive(Debug)]
pub struct SummarySaverHook {
    timer: SecondOrStepTimer,
    target: EventTarget,
    summaries: Vec<TensorRef>,
    found: Option<Found>,
    /// The step that the coming run is expected to reach; `None` before the first.
    next: Option<i64>,
    /// Whether the beginning of the session is still to be written.
    start: bool,
    /// Whether this run's summaries are written.
    due: bool,
    /// The step of the last summaries of the run that was restored.
    restored: Option<i64>,
}

#[derive(Debug)]
struct Found {
    step: GlobalStep,
    summaries: Vec<Output>,
    writer: Arc<EventWriter>,
}

impl SummarySaverHook {
    /// Writes every so many steps.
    #[must_use]
    pub fn every_steps(steps: u64) -> SummarySaverHook {
        SummarySaverHook::of(SecondOrStepTimer::every_steps(steps))
    }

    /// Writes every so much time.
    #[must_use]
    pub fn every_secs(time: Duration) -> SummarySaverHook {
        SummarySaverHook::of(SecondOrStepTimer::every_secs(time))
    }

    fn of(timer: SecondOrStepTimer) -> SummarySaverHook {
        SummarySaverHook {
            timer,
            target: EventTarget::None,
            summaries: Vec::new(),
            found: None,
            next: None,
            start: true,
            due: false,
            restored: None,
        }
    }

    /// Adds a tensor of serialised summaries.
    #[must_use]
    pub fn summary(mut self, summary: impl Into<TensorRef>) -> SummarySaverHook {
        self.summaries.push(summary.into());
        self
    }

    /// Writes into this directory. Default: with neither directory nor writer the hook does nothing (S-358).
    #[must_use]
    pub fn output_dir(mut self, directory: impl AsRef<Path>) -> SummarySaverHook {
        self.target = EventTarget::Directory(directory.as_ref().to_path_buf());
        self
    }

    /// Writes to this writer.
    #[must_use]
    pub fn writer(mut self, writer: Arc<EventWriter>) -> SummarySaverHook {
        self.target = EventTarget::Writer(writer);
        self
    }

    /// Measures time with this clock. Default: the system's monotonic one.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> SummarySaverHook {
        self.timer = self.timer.clock(clock);
        self
    }

    #[cold]
    fn write(&mut self, session: &dyn Session, values: &SessionRunValues<'_>) -> Result<i64> {
        let Found { step, writer, .. } = begun(&self.found, NAME)?;
        let step = step.now(session)?;
        if std::mem::take(&mut self.start) {
            writer.add_session_log(SessionLog::start(), step).map_err(event_error)?;
        }
        if self.due {
            self.timer.update(step);
            values.iter().skip(1).try_for_each(|value| add(writer, value, step))?;
        }
        Ok(step)
    }
}

fn add(writer: &EventWriter, value: &Tensor, step: i64) -> Result<()> {
    for bytes in value.as_strings()? {
        writer.add_summary_bytes(bytes.clone(), step).map_err(event_error)?;
    }
    Ok(())
}

/// The summaries of the graph, which a scaffold merges only after `begin`.
fn of_graph(graph: &Graph) -> Result<Vec<Output>> {
    let summaries = graph.collection(&keys::SUMMARY_OP);
    if summaries.len() > 1 {
        let text = format!("More than one item in collection '{}'", keys::SUMMARY_OP.name());
        return Err(Error::runtime(text));
    }
    Ok(summaries)
}

impl SessionRunHook for SummarySaverHook {
    fn begin(&mut self, graph: &Graph) -> Result<()> {
        let writer = self.target.open()?;
        let step = GlobalStep::of(graph, NAME)?;
        let summaries = self.summaries.iter().map(|summary| summary.resolve(graph)).collect::<Result<_>>()?;
        self.found = writer.map(|writer| Found { step, summaries, writer });
        self.timer.reset();
        self.next = None;
        self.restored = None;
        Ok(())
    }

    fn after_create_session(&mut self, session: &dyn Session, _: &Coordinator) -> Result<()> {
        self.start = true;
        let Some(found) = &mut self.found else { return Ok(()) };
        if self.summaries.is_empty() {
            found.summaries = of_graph(session.graph())?;
        }
        if let Some(last) = self.restored.take() {
            self.timer.update(last);
            self.next = Some(found.step.now(session)?.saturating_add(1));
        }
        Ok(())
    }

    #[inline]
    fn before_run(&mut self, _: &mut SessionRunContext<'_>) -> Result<Option<SessionRunArgs>> {
        let Some(found) = &self.found else { return Ok(None) };
        self.due = self.next.is_none_or(|next| self.timer.should_trigger(next));
        let args = SessionRunArgs::new().fetch(found.step.read());
        let summaries = if self.due { found.summaries.as_slice() } else { &[] };
        Ok(Some(summaries.iter().fold(args, SessionRunArgs::fetch)))
    }

    #[inline]
    fn after_run(
        &mut self,
        context: &mut SessionRunContext<'_>,
        values: &SessionRunValues<'_>,
    ) -> Result<()> {
        let Some(before) = values.get(0) else { return Ok(()) };
        let mut step = before.as_scalar_i64()?.saturating_add(1);
        if self.due || self.start {
            step = self.write(context.session(), values)?;
        }
        self.next = Some(step.saturating_add(1));
        Ok(())
    }

    fn end(&mut self, _: &dyn Session) -> Result<()> {
        self.found.as_ref().map_or(Ok(()), |found| found.writer.flush().map_err(event_error))
    }

    fn save_state(&self) -> Option<Vec<u8>> {
        let found = self.found.as_ref()?;
        // What was written before the checkpoint will not be written again by a run that resumes from it.
        if let Err(error) = found.writer.flush() {
            log::error!("could not flush events before a checkpoint: {error}");
        }
        let last = self.timer.counts_steps().then(|| self.timer.last_triggered_step())?;
        last.map(|step| step.to_le_bytes().to_vec())
    }

    fn load_state(&mut self, state: &[u8]) -> Result<()> {
        let bytes = state.try_into().map_err(|_| Error::value("the state of a summary hook has 8 bytes"))?;
        self.restored = Some(i64::from_le_bytes(bytes));
        Ok(())
    }
}
