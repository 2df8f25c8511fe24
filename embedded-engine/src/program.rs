//! Plans with conditionals and loops, and how they run.
//!
//! The operations of a frame stand in an order that fits all its rounds, and a loop is one step of the frame around it.
//! So a round costs a look at the inputs of each step and no bookkeeping beside; rounds run one after another. Where
//! something may wait for another thread, or for another part of the same step, see `suspended.rs`.

use crate::execute::Limits;
use crate::kernel::Environment;
use crate::late::Waited;
use crate::plan::{Frame, PlanStep};
use crate::suspended::Block;
use session_core::{Error, OpStats, Operation, Result};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// The steps of a plan that has conditionals or loops.
pub(crate) struct Program {
    pub(crate) steps: Vec<Step>,
    pub(crate) before: Before,
    /// Whether a step in it, or in its loops, may have to wait for another thread.
    pub(crate) waits: bool,
    /// How many steps others wait for without needing a value of theirs.
    pub(crate) flags: usize,
}

/// For each step of a block the steps of it that must have run before.
pub(crate) type Before = Vec<Vec<u32>>;

/// Whether one of the steps, or of those in their loops, may have to wait for another thread.
pub(crate) fn may_wait(steps: &[Step]) -> bool {
    steps.iter().any(|step| match &step.action {
        Action::Run(planned) => planned.waits,
        Action::Nothing => false,
        Action::Loop(body) => body.waits,
    })
}

/// A step that nobody waits for without needing a value.
pub(crate) const NO_FLAG: u32 = u32::MAX;

/// One operation, or a loop.
pub(crate) struct Step {
    pub(crate) action: Action,
    /// The flags of the steps that must have run.
    pub(crate) controls: Vec<u32>,
    /// Tells whether this step ran.
    pub(crate) flag: u32,
    /// Whether one input is enough.
    pub(crate) any: bool,
    /// Where its outputs are kept when it does not run: an `Exit`'s are those of the last round.
    pub(crate) keeps: bool,
}

pub(crate) enum Action {
    /// An operation.
    Run(PlanStep),
    /// An operation that only orders others.
    Nothing,
    /// A loop.
    Loop(Box<Loop>),
}

/// A frame: what enters it, what begins each round, and a round.
pub(crate) struct Loop {
    /// The slots that it needs of the frame around it: first one for each of `enters`.
    pub(crate) inputs: Vec<crate::kernel::Input>,
    /// Slots whose values nobody needs after it.
    pub(crate) release: Vec<u32>,
    pub(crate) enters: Vec<Step>,
    /// The merges of what enters with what comes round.
    pub(crate) heads: Vec<Step>,
    pub(crate) body: Vec<Step>,
    pub(crate) before: Before,
    /// Whether a step of the body may have to wait for another thread.
    pub(crate) waits: bool,
    /// The slots of what goes round: as long as one of them is filled, there is a next round.
    pub(crate) nexts: Vec<u32>,
    /// The slots that only the first round sees.
    pub(crate) first_only: Vec<u32>,
    /// The slots to be cleared behind the last round.
    pub(crate) entered: Vec<u32>,
    /// The slots and flags of what leaves.
    pub(crate) exits: Vec<(u32, u32)>,
}

/// What a run of a program carries along.
pub(crate) struct Run<'r> {
    pub(crate) environment: &'r Environment,
    pub(crate) limits: &'r Limits<'r>,
    pub(crate) recorder: Option<(&'r mut Vec<OpStats>, Instant)>,
    pub(crate) waited: &'r mut Waited,
}

impl Program {
    /// Runs all steps in a frame.
    pub(crate) fn run(
        &self,
        frame: &mut Frame,
        environment: &Environment,
        limits: &Limits<'_>,
        waited: &mut Waited,
        recorder: Option<(&mut Vec<OpStats>, Instant)>,
    ) -> Result<()> {
        frame.flags.clear();
        frame.flags.resize(self.flags, false);
        let current = Cell::new(None);
        let mut run = Run { environment, limits, recorder, waited };
        // One catch for all steps, as for plans without branches.
        let ran = catch_unwind(AssertUnwindSafe(|| {
            if self.waits {
                return run.finish_block(Block::new(&self.steps, &self.before), frame, &current);
            }
            run.steps(&self.steps, frame, &current)
        }));
        let place = |error: Error| match current.get() {
            Some(operation) => Operation::place(operation, error),
            None => error,
        };
        match ran {
            Ok(result) => result.map_err(place),
            Err(payload) => Err(place(Error::from_panic("a kernel", &*payload))),
        }
    }
}

impl Step {
    /// Whether all, or for a merge one, of the inputs are there, and what it waits for has run.
    #[inline]
    pub(crate) fn is_alive(&self, step: &PlanStep, frame: &Frame) -> bool {
        let there = |input: &crate::kernel::Input| frame.slots[input.slot as usize].is_some();
        let inputs = if self.any { step.inputs.iter().any(there) } else { step.inputs.iter().all(there) };
        inputs && self.waited_for(frame)
    }

    #[inline]
    pub(crate) fn waited_for(&self, frame: &Frame) -> bool {
        self.controls.iter().all(|&flag| frame.flags[flag as usize])
    }

    #[inline]
    pub(crate) fn note(&self, frame: &mut Frame, alive: bool) {
        if self.flag != NO_FLAG && (alive || !self.keeps) {
            frame.flags[self.flag as usize] = alive;
        }
    }
}

impl<'r> Run<'r> {
    pub(crate) fn steps<'s>(
        &mut self,
        steps: &'s [Step],
        frame: &mut Frame,
        current: &Cell<Option<&'s Operation>>,
    ) -> Result<()> {
        steps.iter().try_for_each(|step| self.step(step, frame, current).map(drop))
    }

    /// Runs a step if it is alive, and tells whether it was.
    pub(crate) fn step<'s>(
        &mut self,
        step: &'s Step,
        frame: &mut Frame,
        current: &Cell<Option<&'s Operation>>,
    ) -> Result<bool> {
        let alive = match &step.action {
            Action::Run(planned) => {
                let alive = step.is_alive(planned, frame);
                if alive {
                    current.set(planned.operations.first());
                    self.limits.check()?;
                    match &mut self.recorder {
                        None => planned.run(frame, self.environment, self.limits)?,
                        Some((stats, start)) => {
                            planned.run_traced(frame, self.environment, self.limits, stats, *start)?;
                        }
                    }
                } else {
                    planned.release.iter().for_each(|&slot| frame.slots[slot as usize] = None);
                }
                alive
            }
            Action::Nothing => step.waited_for(frame),
            Action::Loop(body) => {
                self.run_loop(body, frame, current)?;
                true
            }
        };
        step.note(frame, alive);
        Ok(alive)
    }

    fn run_loop<'s>(
        &mut self,
        body: &'s Loop,
        frame: &mut Frame,
        current: &Cell<Option<&'s Operation>>,
    ) -> Result<()> {
        self.enter(body, frame, current)?;
        let mut round = 0u64;
        while self.begin_round(body, frame, current)? {
            self.steps(&body.body, frame, current)?;
            if !body.end_round(&mut round, frame) {
                break;
            }
        }
        body.leave(frame);
        Ok(())
    }

    /// What happens before the first round of a loop.
    pub(crate) fn enter<'s>(
        &mut self,
        body: &'s Loop,
        frame: &mut Frame,
        current: &Cell<Option<&'s Operation>>,
    ) -> Result<()> {
        for &(slot, flag) in &body.exits {
            clear(frame, slot);
            if flag != NO_FLAG {
                frame.flags[flag as usize] = false;
            }
        }
        self.steps(&body.enters, frame, current)
    }

    /// Begins a round, if there is one.
    pub(crate) fn begin_round<'s>(
        &mut self,
        body: &'s Loop,
        frame: &mut Frame,
        current: &Cell<Option<&'s Operation>>,
    ) -> Result<bool> {
        let mut begins = body.heads.is_empty();
        for head in &body.heads {
            begins |= self.step(head, frame, current)?;
        }
        if begins {
            self.limits.check()?;
        }
        Ok(begins)
    }
}

impl Loop {
    /// Whether there may be another round after this one.
    pub(crate) fn end_round(&self, round: &mut u64, frame: &mut Frame) -> bool {
        if *round == 0 {
            self.first_only.iter().for_each(|&slot| clear(frame, slot));
        }
        *round += 1;
        self.nexts.iter().any(|&slot| frame.slots[slot as usize].is_some())
    }

    /// What happens after the last round.
    pub(crate) fn leave(&self, frame: &mut Frame) {
        self.entered.iter().chain(&self.release).for_each(|&slot| clear(frame, slot));
    }
}

fn clear(frame: &mut Frame, slot: u32) {
    if let Some(slot) = frame.slots.get_mut(slot as usize) {
        *slot = None;
    }
}
