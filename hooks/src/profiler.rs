//! Profiles of runs.

use crate::chrome_trace::{TraceOptions, chrome_trace};
use crate::events::{EventTarget, flush};
use crate::step::{GlobalStep, begun};
use crate::{Clock, SecondOrStepTimer, SessionRunArgs, SessionRunContext, SessionRunHook, SessionRunValues};
use checkpoint::storage::{LocalStorage, check_folder, replace_file};
use graph_def::encode_run_metadata;
use session_core::{Graph, Result, RunOptions, Session};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use summary::EventWriter;
use tensor::text::escaped;

const NAME: &str = "ProfilerHook";

/// Records a run every `n` steps or seconds, as `timeline-<step>.json`, which `chrome://tracing` and Perfetto open, and in the
/// event file under the tag `step_<step>` (S-364).
///
/// The first run is never profiled; it starts the interval. After that, a run is profiled if its expected step (the last
/// plus one) is due. It runs with full trace, and its files are named after the step that it reached. If a step is profiled
/// a second time after a recovery, its tag gets a number and its file is replaced; TensorFlow fails (S-365, Q-62).
///
/// ```
/// use hooks::ProfilerHook;
/// let hook = ProfilerHook::every_steps("run", 1000).show_memory(true);
/// ```
///
/// # Errors
///
/// `begin`: a runtime error if the graph has no global step; the errors of the event file. Runs: if the files cannot be
/// written.
#[derive(Debug)]
pub struct ProfilerHook {
    timer: SecondOrStepTimer,
    directory: PathBuf,
    options: TraceOptions,
    dry: bool,
    found: Option<Found>,
    /// The step that the next run is expected to reach; `None` before the first run.
    next: Option<i64>,
    due: bool,
}

#[derive(Debug)]
struct Found {
    step: GlobalStep,
    writer: Arc<EventWriter>,
}

impl ProfilerHook {
    /// Profiles a run every `steps` steps, into a directory.
    #[must_use]
    pub fn every_steps(directory: impl AsRef<Path>, steps: u64) -> ProfilerHook {
        ProfilerHook::of(directory.as_ref(), SecondOrStepTimer::every_steps(steps))
    }

    /// Profiles a run each time this much time has passed, into a directory.
    ///
    /// ```
    /// use hooks::ProfilerHook;
    /// use std::time::Duration;
    /// let hook = ProfilerHook::every_secs("run", Duration::from_secs(60)).show_dataflow(false);
    /// ```
    #[must_use]
    pub fn every_secs(directory: impl AsRef<Path>, time: Duration) -> ProfilerHook {
        ProfilerHook::of(directory.as_ref(), SecondOrStepTimer::every_secs(time))
    }

    fn of(directory: &Path, timer: SecondOrStepTimer) -> ProfilerHook {
        let directory = directory.to_path_buf();
        ProfilerHook {
            timer,
            directory,
            options: TraceOptions::default(),
            dry: false,
            found: None,
            next: None,
            due: false,
        }
    }

    /// Sets whether arrows show which operation uses which outputs. Default: `true`.
    #[must_use]
    pub fn show_dataflow(mut self, show: bool) -> ProfilerHook {
        self.options = self.options.dataflow(show);
        self
    }

    /// Sets whether the trace shows the bytes held by outputs. Default: `false`.
    #[must_use]
    pub fn show_memory(mut self, show: bool) -> ProfilerHook {
        self.options = self.options.memory(show);
        self
    }

    /// Measures time with this clock. Default: the system's monotonic clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> ProfilerHook {
        self.timer = self.timer.clock(clock);
        self
    }

    #[cold]
    fn write(&mut self, session: &dyn Session, values: &SessionRunValues<'_>) -> Result<i64> {
        let Found { step, writer } = begun(&self.found, NAME)?;
        let step = step.now(session)?;
        self.timer.update(step);
        let path = self.directory.join(format!("timeline-{step}.json"));
        let trace = chrome_trace(values.metadata(), session.graph(), self.options);
        if !self.dry {
            log::info!("Saving timeline for {step} into '{}'.", escaped(path.display()));
            // Replaced atomically: the file of a step that is profiled again after a recovery is never
            // half of each.
            replace_file(&path, trace.as_bytes())?;
        }
        let metadata = encode_run_metadata(values.metadata());
        writer.add_run_metadata(&format!("step_{step}"), metadata, step)?;
        Ok(step)
    }
}

impl SessionRunHook for ProfilerHook {
    fn dry_run(&mut self) {
        self.dry = true;
    }

    fn begin(&mut self, graph: &Graph) -> Result<()> {
        let mut target = EventTarget::Directory(self.directory.clone());
        if self.dry {
            target.discard();
        }
        let writer = target.open()?;
        if !self.dry {
            // Any earlier timeline may be replaced by a new one, so each of them must be a regular file.
            let is_timeline = |name: &str| name.starts_with("timeline-") && name.ends_with(".json");
            check_folder(&LocalStorage, &self.directory, is_timeline)?;
        }
        let step = GlobalStep::of(graph, NAME)?;
        self.found = writer.map(|writer| Found { step, writer });
        self.timer.reset();
        self.next = None;
        Ok(())
    }

    fn before_run(&mut self, _: &mut SessionRunContext<'_>) -> Result<Option<SessionRunArgs>> {
        let Some(found) = &self.found else { return Ok(None) };
        // Unlike in other hooks, the first run is not due: it compiles the plan, which would hide the
        // cost of a step.
        self.due = self.next.is_some_and(|next| self.timer.should_trigger(next));
        let args = SessionRunArgs::new().fetch(found.step.read());
        Ok(Some(if self.due { args.options(RunOptions::with_full_trace()).with_metadata() } else { args }))
    }

    fn after_run(
        &mut self,
        context: &mut SessionRunContext<'_>,
        values: &SessionRunValues<'_>,
    ) -> Result<()> {
        let Some(before) = values.get(0) else { return Ok(()) };
        let before = before.as_scalar_i64()?;
        if self.next.is_none() {
            self.timer.update(before);
        }
        // The step of a profiled run is read anyway; for the others a guess is enough, which the next run
        // corrects.
        let step = if self.due { self.write(context.session(), values)? } else { before.saturating_add(1) };
        self.next = Some(step.saturating_add(1));
        Ok(())
    }

    fn end(&mut self, _: &dyn Session) -> Result<()> {
        flush(self.found.as_ref().map(|found| &*found.writer))
    }
}
