//! Summaries of an evaluation.

use crate::events::{EventTarget, flush};
use crate::metric::number;
use crate::step::{GlobalStep, begun};
use crate::summary_saver::{add, of_graph};
use crate::tensor_ref::resolve_all;
use crate::{SessionRunHook, TensorRef};
use session_core::{AsOutput, Graph, Output, Result, Session, SessionExt, Tensor};
use std::path::Path;
use std::sync::Arc;
use summary::{EventWriter, Summary, Value};

const NAME: &str = "SummaryAtEndHook";

/// Writes summaries once, at a clean end: those of an evaluation over many batches.
///
/// The hook writes the content of the graph's collection `summary_op`, in which a scaffold merges all summaries, and the
/// tensors given to [`scalar`](SummaryAtEndHook::scalar). The run uses the raw session and calls no hooks; the events have
/// the global step of the session, which is that of the evaluated checkpoint. After an error nothing is written.
///
/// # Errors
///
/// `begin`: a runtime error if the graph has no global step; the errors of [`TensorRef::resolve`] and of the event file.
/// `end`: a runtime error if `summary_op` has several items; the errors of the run and of the event file.
///
/// ```
/// use hooks::SummaryAtEndHook;
/// let hook = SummaryAtEndHook::new().output_dir("run/eval").scalar("accuracy", "accuracy/value:0");
/// ```
#[derive(Debug)]
pub struct SummaryAtEndHook {
    target: EventTarget,
    graph_summaries: bool,
    scalars: Vec<(String, TensorRef)>,
    feeds: Vec<(Output, Tensor)>,
    writer: Option<Arc<EventWriter>>,
    found: Option<(GlobalStep, Vec<Output>)>,
}

impl SummaryAtEndHook {
    /// Creates a hook that writes the graph's summaries.
    ///
    /// ```
    /// use hooks::SummaryAtEndHook;
    /// let hook = SummaryAtEndHook::new().output_dir("run/eval");
    /// ```
    #[must_use]
    pub fn new() -> SummaryAtEndHook {
        SummaryAtEndHook {
            target: EventTarget::None,
            graph_summaries: true,
            scalars: Vec::new(),
            feeds: Vec::new(),
            writer: None,
            found: None,
        }
    }

    /// Writes into this directory. Without a directory or writer the hook does nothing.
    #[must_use]
    pub fn output_dir(mut self, directory: impl AsRef<Path>) -> SummaryAtEndHook {
        self.target = EventTarget::Directory(directory.as_ref().to_path_buf());
        self
    }

    /// Writes to this writer.
    #[must_use]
    pub fn writer(mut self, writer: Arc<EventWriter>) -> SummaryAtEndHook {
        self.target = EventTarget::Writer(writer);
        self
    }

    /// Sets whether the graph's summaries are written. Default: `true`.
    #[must_use]
    pub fn graph_summaries(mut self, write: bool) -> SummaryAtEndHook {
        self.graph_summaries = write;
        self
    }

    /// Also writes a tensor with a single number, under this tag.
    #[must_use]
    pub fn scalar(mut self, tag: impl Into<String>, value: impl Into<TensorRef>) -> SummaryAtEndHook {
        self.scalars.push((tag.into(), value.into()));
        self
    }

    /// Feeds a value to the run.
    #[must_use]
    pub fn feed(mut self, output: &impl AsOutput, value: impl Into<Tensor>) -> SummaryAtEndHook {
        self.feeds.push((output.as_output().clone(), value.into()));
        self
    }
}

impl Default for SummaryAtEndHook {
    fn default() -> SummaryAtEndHook {
        SummaryAtEndHook::new()
    }
}

impl SessionRunHook for SummaryAtEndHook {
    fn dry_run(&mut self) {
        self.target.discard();
    }

    fn begin(&mut self, graph: &Graph) -> Result<()> {
        self.writer = self.target.open()?;
        self.found = Some((GlobalStep::of(graph, NAME)?, resolve_all(&self.scalars, graph)?));
        Ok(())
    }

    fn end(&mut self, session: &dyn Session) -> Result<()> {
        let (step, numbers) = begun(&self.found, NAME)?;
        let Some(writer) = &self.writer else { return Ok(()) };
        let summaries = if self.graph_summaries { of_graph(session.graph())? } else { Vec::new() };
        // One run for all, so that summaries and numbers belong to the same state.
        let (summaries, numbers) = session.run((&summaries, numbers), self.feeds.clone())?;
        let step = step.now(session)?;
        summaries.iter().try_for_each(|value| add(writer, value, step))?;
        let scalars = self.scalars.iter().zip(&numbers);
        let summary = scalars.map(|((tag, _), value)| Ok(Value::scalar(tag, number(value)? as f32)));
        let summary = summary.collect::<Result<Summary>>()?;
        if !summary.values.is_empty() {
            writer.add_summary(summary, step)?;
        }
        flush(Some(writer))
    }
}
