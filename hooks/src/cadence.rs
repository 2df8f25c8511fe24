//! Every so many steps, also across interruptions.

use crate::step::GlobalStep;
use crate::{Clock, SecondOrStepTimer};
use session_core::{Error, Result, Session};
use std::sync::Arc;

/// Which runs something is done with: those whose step, expected to be the last plus one, is due; the first one, too,
/// unless that is skipped.
///
/// With an interval of steps, the step at which it was done last belongs into the checkpoint, so that a resumed run does
/// it at the steps at which an uninterrupted one would.
#[derive(Debug)]
pub(crate) struct Cadence {
    timer: SecondOrStepTimer,
    /// Whether the first run counts as one at which it was done.
    skips_first: bool,
    /// The step that the coming run is expected to reach; `None` before the first.
    next: Option<i64>,
    due: bool,
    /// The last time in the run that was restored.
    restored: Option<i64>,
}

impl Cadence {
    pub(crate) fn new(timer: SecondOrStepTimer) -> Cadence {
        Cadence { timer, skips_first: false, next: None, due: false, restored: None }
    }

    /// Begins counting with the step that the session has when it is created.
    pub(crate) fn skipping_first(timer: SecondOrStepTimer) -> Cadence {
        Cadence { skips_first: true, ..Cadence::new(timer) }
    }

    pub(crate) fn clock(self, clock: Arc<dyn Clock>) -> Cadence {
        Cadence { timer: self.timer.clock(clock), ..self }
    }

    pub(crate) fn begin(&mut self) {
        self.timer.reset();
        self.next = None;
        self.restored = None;
    }

    pub(crate) fn session_created(&mut self, session: &dyn Session, step: &GlobalStep) -> Result<()> {
        let last = match self.restored.take() {
            Some(last) => last,
            None if self.skips_first => step.now(session)?,
            None => return Ok(()),
        };
        self.timer.update(last);
        self.next = Some(step.now(session)?.saturating_add(1));
        Ok(())
    }

    /// To be asked once before each run.
    #[inline]
    pub(crate) fn before_run(&mut self) -> bool {
        self.due = self.next.is_none_or(|next| self.timer.should_trigger(next));
        self.due
    }

    /// Whether it is done with this run.
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        self.due
    }

    /// The run is over, and began with this step.
    #[inline]
    pub(crate) fn ran(&mut self, before: i64) {
        self.next = Some(before.saturating_add(2));
    }

    /// The run is over and came to this step; if it was due, it is done now.
    pub(crate) fn reached(&mut self, step: i64) {
        if self.due {
            self.timer.update(step);
        }
        self.next = Some(step.saturating_add(1));
    }

    /// When it was done last, if that is to be kept.
    pub(crate) fn last(&self) -> Option<i64> {
        if self.timer.counts_steps() { self.timer.last_triggered_step() } else { None }
    }

    /// Goes on from what [`last`](Cadence::last) gave.
    pub(crate) fn restore(&mut self, last: Option<i64>) {
        self.restored = last;
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
