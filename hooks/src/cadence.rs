//! Work that is due every `n` steps, also across interruptions.

use crate::step::{GlobalStep, begun};
use crate::{Clock, SecondOrStepTimer, SessionRunArgs, SessionRunValues};
use session_core::{Error, Graph, Output, Result, Session, Tensor};
use std::sync::Arc;

/// Decides for which runs work is due: for those whose expected step (the last plus one) is due, and for the first one
/// unless that is skipped. Each run fetches the global step; a run that is due also fetches the requested outputs.
///
/// With an interval of steps, the step of the last work belongs in the checkpoint, so that a resumed run does the work at
/// the same steps as an uninterrupted one.
#[derive(Debug)]
pub(crate) struct Cadence {
    /// The name of the hook, for messages.
    hook: &'static str,
    timer: SecondOrStepTimer,
    /// True if the first run only starts the interval.
    skips_first: bool,
    found: Option<Found>,
    /// The step that the next run is expected to reach; `None` before the first run.
    next: Option<i64>,
    due: bool,
    /// The step of the last work in the run that was restored.
    restored: Option<i64>,
}

#[derive(Debug)]
struct Found {
    step: GlobalStep,
    /// The outputs to fetch with the runs that are due.
    outputs: Vec<Output>,
}

impl Cadence {
    pub(crate) fn new(hook: &'static str, timer: SecondOrStepTimer) -> Cadence {
        Cadence { hook, timer, skips_first: false, found: None, next: None, due: false, restored: None }
    }

    /// Starts the interval with the step of the session when it is created.
    pub(crate) fn skipping_first(hook: &'static str, timer: SecondOrStepTimer) -> Cadence {
        Cadence { skips_first: true, ..Cadence::new(hook, timer) }
    }

    pub(crate) fn clock(self, clock: Arc<dyn Clock>) -> Cadence {
        Cadence { timer: self.timer.clock(clock), ..self }
    }

    /// Finds the global step. `outputs` are fetched with the runs that are due; a missing global step is reported before
    /// their errors.
    pub(crate) fn begin(&mut self, graph: &Graph, outputs: Result<Vec<Output>>) -> Result<()> {
        let step = GlobalStep::of(graph, self.hook)?;
        self.found = Some(Found { step, outputs: outputs? });
        // The timer would otherwise continue from an earlier training of the same process, whose steps
        // may be larger.
        self.timer.reset();
        self.next = None;
        self.restored = None;
        Ok(())
    }

    /// Replaces the outputs that are fetched with the runs that are due.
    pub(crate) fn fetch(&mut self, outputs: Vec<Output>) {
        if let Some(found) = &mut self.found {
            found.outputs = outputs;
        }
    }

    /// Reads the current step in a separate run.
    pub(crate) fn now(&self, session: &dyn Session) -> Result<i64> {
        begun(&self.found, self.hook)?.step.now(session)
    }

    pub(crate) fn session_created(&mut self, session: &dyn Session) -> Result<()> {
        let last = match self.restored.take() {
            Some(last) => last,
            // TensorFlow's timers trigger at the first run. Evaluations and similar hooks do not: nothing
            // has been trained yet.
            None if self.skips_first => self.now(session)?,
            // Without a last step the timer is due at once, so the step need not be read: that would cost
            // one run per session.
            None => return Ok(()),
        };
        self.timer.update(last);
        // Steps are predicted rather than read before the run, because reading costs a run of its own. A
        // wrong prediction, for example by a run that does not train, only moves the work to a
        // neighboring run.
        self.next = Some(self.now(session)?.saturating_add(1));
        Ok(())
    }

    /// Returns the fetches of the next run. To be called once before each run.
    #[inline]
    pub(crate) fn before_run(&mut self) -> Option<SessionRunArgs> {
        let found = self.found.as_ref()?;
        self.due = self.next.is_none_or(|next| self.timer.should_trigger(next));
        let args = SessionRunArgs::new().fetch(found.step.read());
        Some(if self.due { args.fetch_all(&found.outputs) } else { args })
    }

    /// Returns true if the completed run was due. A call of [`reached`](Cadence::reached) must follow.
    #[inline]
    pub(crate) fn after_run(&mut self, values: &SessionRunValues<'_>) -> Result<bool> {
        let Some(before) = values.get(0) else { return Ok(false) };
        // The fetched step is taken for the one before the update: this run adds one, and the next run
        // one more. If the run was due, `reached` replaces this guess by the real step.
        self.next = Some(before.as_scalar_i64()?.saturating_add(2));
        Ok(self.due)
    }

    /// Returns the values of the fetched outputs, if the run was due.
    pub(crate) fn values<'a>(
        values: &SessionRunValues<'a>,
    ) -> impl ExactSizeIterator<Item = &'a Tensor> + use<'a> {
        values.iter().skip(1)
    }

    /// Returns the step that the run reached. If the run was due, its work counts as done.
    pub(crate) fn reached(&mut self, session: &dyn Session) -> Result<i64> {
        // The value that was fetched with the run does not tell whether it was read before or after the
        // update. A separate run after the step does.
        let step = self.now(session)?;
        if self.due {
            self.timer.update(step);
        }
        self.next = Some(step.saturating_add(1));
        Ok(step)
    }

    /// Returns true if the last run was due.
    pub(crate) fn was_due(&self) -> bool {
        self.due
    }

    /// Returns the step of the last work, if it belongs in the checkpoint.
    pub(crate) fn last(&self) -> Option<i64> {
        // A time belongs to the process that measured it, so an interval of time starts again in a
        // resumed run.
        if self.timer.counts_steps() { self.timer.last_triggered_step() } else { None }
    }

    /// Continues from the result of [`last`](Cadence::last).
    pub(crate) fn restore(&mut self, last: Option<i64>) {
        self.restored = last;
    }

    /// Encodes the state of a hook that has no other state.
    pub(crate) fn save_state(&self) -> Option<Vec<u8>> {
        self.last().map(encode_step)
    }

    /// Continues from the result of [`save_state`](Cadence::save_state).
    ///
    /// # Errors
    /// Returns the errors of [`decode_step`].
    pub(crate) fn load_state(&mut self, state: &[u8]) -> Result<()> {
        self.restore(Some(decode_step(state, self.hook)?));
        Ok(())
    }
}

/// Encodes the state of a hook whose only state is a step.
pub(crate) fn encode_step(step: i64) -> Vec<u8> {
    step.to_le_bytes().to_vec()
}

/// Decodes the result of [`encode_step`].
///
/// # Errors
/// Returns a value error that names the hook if there are not exactly 8 bytes.
pub(crate) fn decode_step(state: &[u8], hook: &str) -> Result<i64> {
    let wrong_length =
        |_| Error::value(format!("the saved state of {hook} has {} bytes instead of 8", state.len()));
    state.try_into().map(i64::from_le_bytes).map_err(wrong_length)
}
