//! The output of a training, as lines for people or as JSON for programs.
//!
//! Each line is written when its event happens, and checkpoints are printed before the next step. With `--json-lines`
//! the first key names the event: `step`, `restored`, `rejected`, `recovered`, `saved` or `ended`
//! (`docs/json-output.md` describes them). The training writes its own log to standard error, so the lines on
//! standard output can be parsed.
//!
//! Values that a file or graph named are escaped in lines for people. An error of the output, such as a closed pipe,
//! is returned to the loop, which then ends the training cleanly.

use crate::model::json;
use crate::output::write_json;
use monitored_session::hooks::{
    CheckpointSaverListener, SessionRunContext, SessionRunHook, SessionRunValues,
};
use monitored_session::monitored::Recovery;
use monitored_session::ops::global_step::evaluate;
use monitored_session::session_core::{Result, Session, Tensor, Variable};
use serde_json::{Value as Json, json};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tensor::text::escaped;

/// Prints lines, for people or for programs.
pub(crate) struct Reporter<'o> {
    /// The standard output.
    pub(crate) out: &'o mut dyn Write,
    /// True to print one JSON object per line.
    pub(crate) json_lines: bool,
}

impl Reporter<'_> {
    /// Prints one step with the fetched values.
    pub(crate) fn step(&mut self, step: i64, names: &[String], values: &[Tensor]) -> io::Result<()> {
        let pairs = names.iter().zip(values);
        // Fetches first: a value that cannot be written must not leave half a line.
        if self.json_lines {
            let fetches = json::from_tensors(pairs).map_err(io::Error::other)?;
            return self.line(&json!({"step": step, "fetches": fetches}));
        }
        write!(self.out, "step {step}")?;
        for (name, value) in pairs {
            write!(self.out, "  {} {}", escaped(name), escaped(value))?;
        }
        writeln!(self.out)
    }

    /// Prints the checkpoint from which the training continues.
    pub(crate) fn restored(&mut self, prefix: &std::path::Path, step: i64) -> io::Result<()> {
        if self.json_lines {
            return self.line(&json!({"restored": prefix.to_string_lossy(), "step": step}));
        }
        writeln!(self.out, "continuing from {} at step {step}", escaped(prefix.display()))
    }

    /// Prints a checkpoint that was not restored, and the reason.
    pub(crate) fn rejected(&mut self, prefix: &std::path::Path, reason: &str) -> io::Result<()> {
        if self.json_lines {
            return self.line(&json!({"rejected": prefix.to_string_lossy(), "reason": reason}));
        }
        writeln!(self.out, "rejected {}: {}", escaped(prefix.display()), escaped(reason))
    }

    /// Prints a recovery.
    pub(crate) fn recovered(&mut self, recovery: &Recovery) -> io::Result<()> {
        if self.json_lines {
            let checkpoint = recovery.checkpoint.as_ref().map(|prefix| prefix.to_string_lossy());
            let (cause, step) = (recovery.cause.to_string(), recovery.step_after);
            let entry = json!({"recovered": cause, "checkpoint": checkpoint, "step": step});
            return self.line(&entry);
        }
        writeln!(self.out, "{}", escaped(recovery))
    }

    /// Prints the checkpoints that were saved since the last call.
    pub(crate) fn saved(&mut self, saves: &Saves) -> io::Result<()> {
        for (prefix, step) in saves.take() {
            if self.json_lines {
                self.line(&json!({"saved": prefix.to_string_lossy(), "step": step}))?;
            } else {
                writeln!(self.out, "saved {}", escaped(prefix.display()))?;
            }
        }
        Ok(())
    }

    /// Prints the end of the training and its reason.
    pub(crate) fn ended(&mut self, why: &str, step: i64, runs: u64) -> io::Result<()> {
        if self.json_lines {
            return self.line(&json!({"ended": why, "step": step, "runs": runs}));
        }
        writeln!(self.out, "ended at step {step} after {runs} runs: {}", escaped(why))
    }

    /// Prints a JSON object as a line.
    fn line(&mut self, value: &Json) -> io::Result<()> {
        write_json(self.out, value, false)?;
        // Readers of the lines should get them as they occur.
        self.out.flush()
    }
}

/// The saved checkpoints that were not printed yet. The listener, which the session owns, collects them for the loop, which owns the output.
#[derive(Clone, Debug, Default)]
pub(crate) struct Saves {
    /// The prefix of all checkpoints, without their step.
    base: PathBuf,
    /// Guards the list only.
    steps: Arc<Mutex<Vec<i64>>>,
}

impl Saves {
    /// Creates a listener for saves under a prefix.
    pub(crate) fn into(base: PathBuf) -> Saves {
        Saves { base, steps: Arc::default() }
    }

    /// Removes and returns the new checkpoints with their steps.
    fn take(&self) -> Vec<(PathBuf, i64)> {
        let steps = std::mem::take(&mut *self.steps.lock().unwrap_or_else(PoisonError::into_inner));
        let prefix = |step| PathBuf::from(format!("{}-{step}", self.base.display()));
        steps.into_iter().map(|step| (prefix(step), step)).collect()
    }
}

impl CheckpointSaverListener for Saves {
    fn after_save(&mut self, _: &dyn Session, step: i64) -> Result<bool> {
        // Only recorded here: the output belongs to the loop, and this runs within a save.
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).push(step);
        Ok(false)
    }
}

/// A hook that knows the global step after the last run. It is shared: the session owns one clone and the loop
/// another.
#[derive(Clone, Debug)]
pub(crate) struct StepWatch {
    /// The variable that counts the steps.
    variable: Variable,
    /// The last value that was read.
    step: Arc<AtomicI64>,
}

impl StepWatch {
    /// Creates a hook that follows a variable.
    pub(crate) fn new(variable: &Variable) -> StepWatch {
        StepWatch { variable: variable.clone(), step: Arc::default() }
    }

    /// Returns the step after the last run.
    pub(crate) fn step(&self) -> i64 {
        // Relaxed: the loop and the hook run in one thread, and the atomic is for `Send` only.
        self.step.load(Ordering::Relaxed)
    }

    /// Reads the step in a separate run, in which hooks are not called.
    fn look(&self, session: &dyn Session) -> Result<()> {
        self.step.store(evaluate(session, &self.variable)?, Ordering::Relaxed);
        Ok(())
    }
}

impl SessionRunHook for StepWatch {
    fn after_create_session(
        &mut self,
        session: &dyn Session,
        _: &monitored_session::queue_runner::Coordinator,
    ) -> Result<()> {
        self.look(session)
    }

    fn after_run(&mut self, context: &mut SessionRunContext<'_>, _: &SessionRunValues<'_>) -> Result<()> {
        self.look(context.session())
    }
}
