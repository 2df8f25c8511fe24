//! Saving of summaries.

use crate::cadence::Cadence;
use crate::events::{EventTarget, flush, flush_before_checkpoint};
use crate::metric::number;
use crate::{
    Clock, SecondOrStepTimer, SessionRunArgs, SessionRunContext, SessionRunHook, SessionRunValues, TensorRef,
};
use queue_runner::Coordinator;
use session_core::{Error, Graph, Output, Result, Session, Tensor, keys};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use summary::{EventWriter, SessionLog, Summary, Value};

const NAME: &str = "SummarySaverHook";

/// Writes summaries every `n` steps or seconds (S-356 to S-359).
///
/// The first run fetches the summaries, and then each run whose expected step (the last plus one) is due: with an interval of
/// 3 steps, those are 1, 4 and 7. The summaries are fetched in the same execution as the step, and written with the step
/// after it. If a summary depends on placeholders, a run that does not feed them fails (S-359).
///
/// The hook writes the tensors given to [`summary`](SummarySaverHook::summary), which are strings that hold one or many
/// serialized summaries, and those given to [`scalar`](SummarySaverHook::scalar), which are single numbers such as a learning
/// rate and need no summary operation. Without tensors of summaries it also writes the content of the graph's
/// collection `summary_op`, in which a scaffold merges all summaries (see
/// [`graph_summaries`](SummarySaverHook::graph_summaries)). For a graph without summaries it writes only the start of the
/// session (S-358).
///
/// At the first run after the creation of a session the hook writes an event that a session starts with this step, so that
/// viewers drop the events of an earlier session for this step and later ones. TensorFlow does this once, not after a
/// recovery.
///
/// # Resuming
///
/// The step of the last summary is stored in the checkpoint, so a resumed run writes at the same steps as an uninterrupted
/// one. When a checkpoint is saved, all earlier events are flushed.
///
/// ```
/// use hooks::SummarySaverHook;
/// let hook = SummarySaverHook::every_steps(100).output_dir("run").scalar("learning_rate", "rate:0");
/// ```
///
/// # Errors
///
/// `begin`: a runtime error if the graph has no global step; the errors of [`TensorRef::resolve`] and of the event file. When
/// a session is created: a runtime error if `summary_op` has several items. Runs: the errors of the event file; an error for
/// tensors that hold no summaries.
#[derive(Debug)]
pub struct SummarySaverHook {
    cadence: Cadence,
    target: EventTarget,
    summaries: Vec<TensorRef>,
    scalars: Vec<(String, TensorRef)>,
    /// True if the graph's summaries are written; `None` if they are written only without others.
    of_graph: Option<bool>,
    /// The outputs of `summaries` and `scalars` in the graph.
    serialized: Vec<Output>,
    numbers: Vec<Output>,
    writer: Option<Arc<EventWriter>>,
    /// True if the start of the session is still to be written.
    start: bool,
}

impl SummarySaverHook {
    /// Writes every `steps` steps.
    ///
    /// ```
    /// use hooks::SummarySaverHook;
    /// let hook = SummarySaverHook::every_steps(100).output_dir("run");
    /// ```
    #[must_use]
    pub fn every_steps(steps: u64) -> SummarySaverHook {
        SummarySaverHook::of(SecondOrStepTimer::every_steps(steps))
    }

    /// Writes each time this much time has passed.
    ///
    /// ```
    /// use hooks::SummarySaverHook;
    /// use std::time::Duration;
    /// let hook = SummarySaverHook::every_secs(Duration::from_secs(30)).output_dir("run");
    /// ```
    #[must_use]
    pub fn every_secs(time: Duration) -> SummarySaverHook {
        SummarySaverHook::of(SecondOrStepTimer::every_secs(time))
    }

    /// Writes whenever the timer is due.
    ///
    /// ```
    /// use hooks::{SecondOrStepTimer, SummarySaverHook};
    /// use std::time::Duration;
    /// let timer = SecondOrStepTimer::every_steps_or_secs(1000, Duration::from_secs(60));
    /// let hook = SummarySaverHook::with_timer(timer).output_dir("run");
    /// ```
    #[must_use]
    pub fn with_timer(timer: SecondOrStepTimer) -> SummarySaverHook {
        SummarySaverHook::of(timer)
    }

    fn of(timer: SecondOrStepTimer) -> SummarySaverHook {
        SummarySaverHook {
            cadence: Cadence::new(NAME, timer),
            target: EventTarget::None,
            summaries: Vec::new(),
            scalars: Vec::new(),
            of_graph: None,
            serialized: Vec::new(),
            numbers: Vec::new(),
            writer: None,
            start: true,
        }
    }

    /// Adds a tensor of serialized summaries.
    #[must_use]
    pub fn summary(mut self, summary: impl Into<TensorRef>) -> SummarySaverHook {
        self.summaries.push(summary.into());
        self
    }

    /// Adds a tensor with a single number, which is written under this tag along with the summaries. Beyond TensorFlow.
    ///
    /// ```
    /// use hooks::SummarySaverHook;
    /// let hook = SummarySaverHook::every_steps(100).output_dir("run").scalar("learning_rate", "rate:0");
    /// ```
    #[must_use]
    pub fn scalar(mut self, tag: impl Into<String>, value: impl Into<TensorRef>) -> SummarySaverHook {
        self.scalars.push((tag.into(), value.into()));
        self
    }

    /// Sets whether the graph's summaries are written, alone or along with the given ones. Default: they are, unless tensors of
    /// summaries are given.
    ///
    /// ```
    /// use hooks::SummarySaverHook;
    /// let hook = SummarySaverHook::every_steps(100).output_dir("run").graph_summaries(false).scalar("loss", "loss:0");
    /// ```
    #[must_use]
    pub fn graph_summaries(mut self, write: bool) -> SummarySaverHook {
        self.of_graph = Some(write);
        self
    }

    /// Writes into this directory. Without a directory or writer the hook does nothing (S-358).
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

    /// Measures time with this clock. Default: the system's monotonic clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> SummarySaverHook {
        self.cadence = self.cadence.clock(clock);
        self
    }

    /// Finds the outputs to fetch, except for the graph's summaries: serialized summaries, then the numbers.
    fn resolve(&mut self, graph: &Graph) -> Result<Vec<Output>> {
        let found = |tensor: &TensorRef| tensor.resolve(graph);
        self.serialized = self.summaries.iter().map(found).collect::<Result<_>>()?;
        self.numbers = self.scalars.iter().map(|(_, tensor)| found(tensor)).collect::<Result<_>>()?;
        Ok(self.serialized.iter().chain(&self.numbers).cloned().collect())
    }

    #[cold]
    fn write(&mut self, session: &dyn Session, values: &SessionRunValues<'_>) -> Result<()> {
        let step = self.cadence.reached(session)?;
        let Some(writer) = &self.writer else { return Ok(()) };
        // Written before the first summary of the session, so that viewers drop the overlap before they
        // read it.
        if std::mem::take(&mut self.start) {
            writer.add_session_log(SessionLog::start(), step)?;
        }
        if !self.cadence.was_due() {
            return Ok(());
        }
        // In the order of the fetches: serialized summaries, those of the graph, then the numbers.
        let mut values = Cadence::values(values);
        let serialised = values.len() - self.scalars.len();
        values.by_ref().take(serialised).try_for_each(|value| add(writer, value, step))?;
        let scalars = self.scalars.iter().zip(values);
        let summary = scalars.map(|((tag, _), value)| Ok(Value::scalar(tag, number(value)? as f32)));
        let summary = summary.collect::<Result<Summary>>()?;
        if summary.values.is_empty() {
            return Ok(());
        }
        Ok(writer.add_summary(summary, step)?)
    }
}

pub(crate) fn add(writer: &EventWriter, value: &Tensor, step: i64) -> Result<()> {
    for bytes in value.as_strings()? {
        writer.add_summary_bytes(bytes.clone(), step)?;
    }
    Ok(())
}

/// Returns the summaries of the graph, which a scaffold merges only after `begin`.
pub(crate) fn of_graph(graph: &Graph) -> Result<Vec<Output>> {
    let summaries = graph.collection(&keys::SUMMARY_OP);
    if summaries.len() > 1 {
        let text = format!("More than one item in collection '{}'", keys::SUMMARY_OP.name());
        return Err(Error::runtime(text));
    }
    Ok(summaries)
}

impl SessionRunHook for SummarySaverHook {
    fn dry_run(&mut self) {
        self.target.discard();
    }

    fn begin(&mut self, graph: &Graph) -> Result<()> {
        self.writer = self.target.open()?;
        let outputs = self.resolve(graph);
        self.cadence.begin(graph, outputs)
    }

    fn after_create_session(&mut self, session: &dyn Session, _: &Coordinator) -> Result<()> {
        self.start = true;
        // Without a destination nothing is fetched either.
        if self.writer.is_none() {
            return Ok(());
        }
        // Here and not in `begin`: the scaffold merges the summaries when the graph is finalized.
        if self.of_graph.unwrap_or(self.summaries.is_empty()) {
            let mut outputs = self.serialized.clone();
            outputs.extend(of_graph(session.graph())?);
            outputs.extend_from_slice(&self.numbers);
            self.cadence.fetch(outputs);
        }
        self.cadence.session_created(session)
    }

    #[inline]
    fn before_run(&mut self, _: &mut SessionRunContext<'_>) -> Result<Option<SessionRunArgs>> {
        Ok(if self.writer.is_some() { self.cadence.before_run() } else { None })
    }

    #[inline]
    fn after_run(
        &mut self,
        context: &mut SessionRunContext<'_>,
        values: &SessionRunValues<'_>,
    ) -> Result<()> {
        let due = self.cadence.after_run(values)?;
        if (due || self.start) && self.writer.is_some() {
            self.write(context.session(), values)
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
