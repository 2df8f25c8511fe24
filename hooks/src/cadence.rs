//! Every so many steps, also across interruptions.

use crate::step::{GlobalStep, begun};
use crate::{Clock, SecondOrStepTimer, SessionRunArgs, SessionRunValues};
use session_core::{Error, Graph, Output, Result, Session, Tensor};
use std::sync::Arc;

/// Which runs something is done with: those whose step, expected to be the last plus one, is due; the first one, too,
/// unless that is skipped. Each run fetches the global step, and those that are due what else is wanted, after it.
///
/// With an interval of steps, the step at which it was done last belongs into the checkpoint, so that a resumed run does
/// it at the steps at which an uninterrupted one would.
#[derive(Debug)]
pub(crate) struct Cadence {
    /// Whose it is.
    hook: &'static str,
    timer: SecondOrStepTimer,
    /// Whether the first run counts as one at which it was done.
    skips_first: bool,
    found: Option<Found>,
    /// The step that the coming run is expected to reach; `None` before the first.
    next: Option<i64>,
    due: bool,
    /// The last time in the run that was restored.
    restored: Option<i64>,
}

#[derive(Debug)]
struct Found {
    step: GlobalStep,
    /// What is fetched with the runs that are due.
    outputs: Vec<Output>,
}

impl Cadence {
    pub(crate) fn new(hook: &'static str, timer: SecondOrStepTimer) -> Cadence {
        Cadence { hook, timer, skips_first: false, found: None, next: None, due: false, restored: None }
    }

    /// Begins counting with the step that the session has when it is created.
    pub(crate) fn skipping_first(hook: &'static str, timer: SecondOrStepTimer) -> Cadence {
        Cadence { skips_first: true, ..Cadence::new(hook, timer) }
    }

    pub(crate) fn clock(self, clock: Arc<dyn Clock>) -> Cadence {
        Cadence { timer: self.timer.clock(clock), ..self }
    }

    /// `outputs` are fetched with the runs that are due. That there is no global step is said before what is wrong with them.
    pub(crate) fn begin(&mut self, graph: &Graph, outputs: Result<Vec<Output>>) -> Result<()> {
        let step = GlobalStep::of(graph, self.hook)?;
        self.found = Some(Found { step, outputs: outputs? });
        self.timer.reset();
        self.next = None;
        self.restored = None;
        Ok(())
    }

    /// Changes what is fetched with the runs that are due.
    pub(crate) fn fetch(&mut self, outputs: Vec<Output>) {
        if let Some(found) = &mut self.found {
            found.outputs = outputs;
        }
    }

    /// The step as it is now: a run of its own.
    pub(crate) fn now(&self, session: &dyn Session) -> Result<i64> {
        begun(&self.found, self.hook)?.step.now(session)
    }

    pub(crate) fn session_created(&mut self, session: &dyn Session) -> Result<()> {
        let last = match self.restored.take() {
            Some(last) => last,
            None if self.skips_first => self.now(session)?,
            None => return Ok(()),
        };
        self.timer.update(last);
        self.next = Some(self.now(session)?.saturating_add(1));
        Ok(())
    }

    /// To be asked once before each run: what it fetches.
    #[inline]
    pub(crate) fn before_run(&mut self) -> Option<SessionRunArgs> {
        let found = self.found.as_ref()?;
        self.due = self.next.is_none_or(|next| self.timer.should_trigger(next));
        let args = SessionRunArgs::new().fetch(found.step.read());
        Some(if self.due { args.fetch_all(&found.outputs) } else { args })
    }

    /// The run is over; whether it was due. Then [`reached`](Cadence::reached) is to be called.
    #[inline]
    pub(crate) fn after_run(&mut self, values: &SessionRunValues<'_>) -> Result<bool> {
        let Some(before) = values.get(0) else { return Ok(false) };
        self.next = Some(before.as_scalar_i64()?.saturating_add(2));
        Ok(self.due)
    }

    /// The values of what was fetched, if the run was due.
    pub(crate) fn values<'a>(
        values: &SessionRunValues<'a>,
    ) -> impl ExactSizeIterator<Item = &'a Tensor> + use<'a> {
        values.iter().skip(1)
    }

    /// The step that the run came to; if it was due, it is done now.
    pub(crate) fn reached(&mut self, session: &dyn Session) -> Result<i64> {
        let step = self.now(session)?;
        if self.due {
            self.timer.update(step);
        }
        self.next = Some(step.saturating_add(1));
        Ok(step)
    }

    /// Whether the last run was due.
    pub(crate) fn was_due(&self) -> bool {
        self.due
    }

    /// When it was done last, if that is to be kept.
    pub(crate) fn last(&self) -> Option<i64> {
        if self.timer.counts_steps() { self.timer.last_triggered_step() } else { None }
    }

    /// Goes on from what [`last`](Cadence::last) gave.
    pub(crate) fn restore(&mut self, last: Option<i64>) {
        self.restored = last;
    }

    /// The state of a hook that has no other.
    pub(crate) fn save_state(&self) -> Option<Vec<u8>> {
        self.last().map(encode_step)
    }

    /// Goes on from what [`save_state`](Cadence::save_state) gave.
    ///
    /// # Errors
    /// As [`decode_step`].
    pub(crate) fn load_state(&mut self, state: &[u8]) -> Result<()> {
        self.restore(Some(decode_step(state, self.hook)?));
        Ok(())
    }
}

/// The state of a hook that has nothing else.
pub(crate) fn encode_step(step: i64) -> Vec<u8> {
    step.to_le_bytes().to_vec()
}

/// # Errors
/// For bytes that are none, naming the hook.
pub(crate) fn decode_step(state: &[u8], hook: &str) -> Result<i64> {
    let bytes = state.try_into();
    bytes.map(i64::from_le_bytes).map_err(|_| Error::value(format!("the state of a {hook} has 8 bytes")))
}
