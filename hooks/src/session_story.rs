//! The session's story in the event files.

use crate::events::{EventTarget, flush};
use crate::step::GlobalStep;
use crate::{
    Clock, HookTiming, Milestone, MonotonicClock, SessionRunArgs, SessionRunContext, SessionRunHook,
    SessionRunValues,
};
use ops::global_step;
use queue_runner::Coordinator;
use serde_json::{Value as Json, json};
use session_core::{Error, Graph, Result, Session};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use summary::{EventWriter, SessionLog};

const NAME: &str = "SessionStoryHook";

/// The first interval between two entries of the pace. It doubles up to the longest interval.
const FIRST_INTERVAL: Duration = Duration::from_secs(1);
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);

/// Among fast runs, only one in this number measures its wait for input, because reading clocks costs time. Every slow run does.
const SAMPLED: u64 = 16;
const SLOW_RUN: Duration = Duration::from_millis(1);

/// Writes the story of a session to its event files: when sessions started and from which checkpoint, which errors lost them
/// and how they were recovered, how fast they ran and how long their steps waited for input, the cost of each hook, and why
/// they ended. `monitored board` shows the story as a timeline. Beyond TensorFlow.
///
/// # Format
///
/// Each entry is a `SessionLog` without a status, which TensorBoard skips, at the global step. Its message is a JSON object
/// with the kind of the entry in the member `story`:
///
/// | `story` | other members |
/// | --- | --- |
/// | `started` | `step` |
/// | `restored` | `checkpoint`, `variables`, `rejected`: a list of `checkpoint` and `error` |
/// | `failed` | `error` |
/// | `recovered` | `cause`, `attempts`, `checkpoint`, `step_before`, `step_after` |
/// | `pace` | since the last entry of this kind: `seconds`, `runs`, `in_runs` and `between_runs` (seconds), `input_wait` (the fraction of the runs' time, from 0 to 1, or `null` if no run was measured) |
/// | `hooks` | `timings`: a list of `hook`, `seconds` per run, `share` |
/// | `ended` | `source`, `reason` |
///
/// The pace is written after one second, then at intervals that double up to one minute, and at the end.
///
/// # Errors
///
/// `begin`, the creation of a session, runs and `end`: the errors of the event file.
///
/// ```
/// use hooks::SessionStoryHook;
/// # let directory = tempfile::tempdir().unwrap();
/// let hook = SessionStoryHook::new(directory.path());
/// ```
#[derive(Debug)]
pub struct SessionStoryHook {
    target: EventTarget,
    clock: Arc<dyn Clock>,
    writer: Option<Arc<EventWriter>>,
    /// Absent in a graph without a global step. All its entries are at step 0.
    global_step: Option<GlobalStep>,
    step: i64,
    /// The restore report of the session that is being created.
    restored: Option<(PathBuf, Json)>,
    pace: Pace,
}

/// The measurements between two entries.
#[derive(Debug, Default)]
struct Pace {
    interval: Duration,
    since: Duration,
    runs: u64,
    in_runs: Duration,
    between_runs: Duration,
    measured: Duration,
    waited: Duration,
    /// The start of the current run, and the end of the last one.
    begun: Duration,
    ended: Option<Duration>,
    last_was_slow: bool,
}

impl Pace {
    fn from(now: Duration) -> Pace {
        Pace { interval: FIRST_INTERVAL, since: now, ..Pace::default() }
    }

    /// Starts the next period.
    fn next(&mut self, now: Duration) {
        *self = Pace {
            interval: (self.interval * 2).min(LONGEST_INTERVAL),
            since: now,
            // The end of the last run and its speed carry over, so that no pause between runs is lost at the
            // border of two periods.
            ended: self.ended,
            last_was_slow: self.last_was_slow,
            ..Pace::default()
        };
    }

    fn as_json(&self, now: Duration) -> Json {
        let wait = self.waited.as_secs_f64() / self.measured.as_secs_f64();
        json!({
            "story": "pace", "seconds": now.saturating_sub(self.since).as_secs_f64(), "runs": self.runs,
            "in_runs": self.in_runs.as_secs_f64(), "between_runs": self.between_runs.as_secs_f64(),
            // JSON has no NaN, which 0/0 is if no run was measured.
            "input_wait": wait.is_finite().then_some(wait),
        })
    }
}

impl SessionStoryHook {
    /// Writes into this directory, through the writer that all hooks of the directory share.
    ///
    /// ```
    /// use hooks::SessionStoryHook;
    /// let hook = SessionStoryHook::new("run");
    /// ```
    #[must_use]
    pub fn new(directory: impl AsRef<Path>) -> SessionStoryHook {
        SessionStoryHook::of(EventTarget::Directory(directory.as_ref().to_path_buf()))
    }

    /// Writes to this writer.
    #[must_use]
    pub fn with_writer(writer: Arc<EventWriter>) -> SessionStoryHook {
        SessionStoryHook::of(EventTarget::Writer(writer))
    }

    fn of(target: EventTarget) -> SessionStoryHook {
        let clock = MonotonicClock::shared();
        let pace = Pace::default();
        SessionStoryHook { target, clock, writer: None, global_step: None, step: 0, restored: None, pace }
    }

    /// Measures time with this clock. Default: the system's monotonic clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> SessionStoryHook {
        self.clock = clock;
        self
    }

    fn write(&self, entry: &Json, checkpoint: Option<&Path>) -> Result<()> {
        let Some(writer) = &self.writer else { return Ok(()) };
        let checkpoint_path = checkpoint.map(text).unwrap_or_default();
        let log = SessionLog { checkpoint_path, message: entry.to_string(), ..SessionLog::default() };
        Ok(writer.add_session_log(log, self.step)?)
    }

    /// Does the same as `write`, but logs errors because none can be returned.
    fn write_or_log(&self, entry: &Json, checkpoint: Option<&Path>) {
        if let Err(error) = self.write(entry, checkpoint) {
            log::error!(
                "could not write an entry of the session's story to the event file: {}",
                error.chain()
            );
        }
    }

    #[cold]
    fn write_pace(&mut self, now: Duration) -> Result<()> {
        let entry = self.pace.as_json(now);
        self.pace.next(now);
        self.write(&entry, None)
    }

    fn write_hooks(&self, timings: &[HookTiming]) {
        let timing = |timing: &HookTiming| json!({"hook": timing.hook, "seconds": timing.per_run.as_secs_f64(), "share": timing.share});
        if !timings.is_empty() {
            let timings: Vec<Json> = timings.iter().map(timing).collect();
            self.write_or_log(&json!({"story": "hooks", "timings": timings}), None);
        }
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

impl SessionRunHook for SessionStoryHook {
    fn dry_run(&mut self) {
        self.target.discard();
    }

    fn begin(&mut self, graph: &Graph) -> Result<()> {
        self.writer = self.target.open()?;
        // Not every graph has a global step, for example that of an evaluation; the story is worth having
        // nevertheless.
        let exists = global_step::global_step(graph)?.is_some();
        self.global_step = exists.then(|| GlobalStep::of(graph, NAME)).transpose()?;
        Ok(())
    }

    fn after_create_session(&mut self, session: &dyn Session, _: &Coordinator) -> Result<()> {
        if let Some(step) = &self.global_step {
            self.step = step.now(session)?;
        }
        self.pace = Pace::from(self.clock.now());
        self.write(&json!({"story": "started", "step": self.step}), None)?;
        // Only now the step of the restored session is known.
        match self.restored.take() {
            Some((prefix, entry)) => self.write(&entry, Some(&prefix)),
            None => Ok(()),
        }
    }

    #[inline]
    fn before_run(&mut self, _: &mut SessionRunContext<'_>) -> Result<Option<SessionRunArgs>> {
        let pace = &mut self.pace;
        pace.begun = self.clock.now();
        if let Some(ended) = pace.ended {
            pace.between_runs += pace.begun.saturating_sub(ended);
        }
        let args = SessionRunArgs::new();
        // A wait for input makes a run slow, so every slow run is measured; the clock costs little
        // compared to it.
        let args =
            if pace.last_was_slow || pace.runs.is_multiple_of(SAMPLED) { args.with_metadata() } else { args };
        Ok(Some(match &self.global_step {
            Some(step) => args.fetch(step.read()),
            None => args,
        }))
    }

    #[inline]
    fn after_run(&mut self, _: &mut SessionRunContext<'_>, values: &SessionRunValues<'_>) -> Result<()> {
        if let Some(before) = values.get(0) {
            self.step = before.as_scalar_i64()?.saturating_add(1);
        }
        let (now, pace) = (self.clock.now(), &mut self.pace);
        let took = now.saturating_sub(pace.begun);
        pace.runs += 1;
        pace.in_runs += took;
        pace.ended = Some(now);
        pace.last_was_slow = took >= SLOW_RUN;
        // The metadata is empty unless this hook or another one requested it.
        let metadata = values.metadata();
        pace.measured += metadata.elapsed;
        pace.waited += metadata.input_wait;
        if now.saturating_sub(pace.since) >= pace.interval { self.write_pace(now) } else { Ok(()) }
    }

    fn end(&mut self, _: &dyn Session) -> Result<()> {
        flush(self.writer.as_deref())
    }

    fn on_error(&mut self, error: &Error) {
        self.write_or_log(&json!({"story": "failed", "error": error.chain()}), None);
        // At once: after an error the process may end without dropping the writer.
        if let Err(error) = flush(self.writer.as_deref()) {
            log::error!("could not flush the session's story to the event file: {}", error.chain());
        }
    }

    fn on_milestone(&mut self, milestone: &Milestone<'_>) {
        match milestone {
            Milestone::Restored(report) => {
                let rejected = report.rejected.iter();
                let rejected = rejected
                    .map(|(prefix, error)| json!({"checkpoint": text(prefix), "error": error.to_string()}));
                let entry = json!({
                    "story": "restored", "checkpoint": text(&report.prefix), "variables": report.restored.len(),
                    "rejected": rejected.collect::<Vec<_>>(),
                });
                // Kept until the step of the new session is known.
                self.restored = Some((report.prefix.clone(), entry));
            }
            Milestone::Recovered { cause, attempts, checkpoint, step_before, step_after } => {
                let entry = json!({
                    "story": "recovered", "cause": cause.chain(), "attempts": attempts,
                    "checkpoint": checkpoint.map(text), "step_before": step_before, "step_after": step_after,
                });
                self.write_or_log(&entry, *checkpoint);
            }
            Milestone::Ending { reason, timings } => {
                if self.pace.runs > 0
                    && let Err(error) = self.write_pace(self.clock.now())
                {
                    log::error!("could not write the session's pace to the event file: {}", error.chain());
                }
                self.write_hooks(timings);
                let (source, why) = (reason.source().to_string(), reason.text());
                self.write_or_log(&json!({"story": "ended", "source": source, "reason": why}), None);
            }
            // The story has the error that led to it.
            Milestone::Abandoned => {}
        }
    }
}
