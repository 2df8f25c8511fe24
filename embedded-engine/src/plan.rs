//! The compiled form of a step.
//!
//! A plan is a block: steps in a fixed order. A step is an operation, or it contains its own block: the iterations of a loop, which run in
//! the frame of the plan, or the plan of a function, which has its own frame.
//!
//! ```text
//! Plan ── Block ── Step: kernel          reads and writes slots of the frame
//!                  Step: call ── Plan    a frame of its own
//!                  Step: loop ── Block   enters, heads, body; the same frame
//! ```
//!
//! **Slots.** Every value of a run has a numbered slot in the `Frame`. An empty slot of a value that should exist is a *dead* value: its branch
//! was not taken. Steps that may be dead have a `Guard`, which decides at run time whether they run.
//!
//! **Frames are reused.** A finished run leaves its frame to the next one, with all slots empty except those of constants. This holds because
//! every slot is emptied at its last use. Steps that ran out of order (see `suspend.rs`) may leave values behind; their frame is dropped.
//!
//! **Plans are shared.** Several threads may run one plan at the same time, each with its own frame. Nothing in a plan changes after it
//! was emitted, except for the list of frames.

use crate::kernel::{Body, Input, Kernel, UNUSED, scratch};
use crate::kernels::referenced;
use crate::registry;
use compute::Scratch;
use session_core::{Error, OpId, Operation, Output, Phase, Result};
use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use tensor::Tensor;

/// The compiled form of one step, or of one function, for a set of fetches, targets, and feeds.
pub(crate) struct Plan {
    /// The steps.
    pub(crate) block: Block,
    /// Values that are the same in every run.
    pub(crate) constants: Vec<(u32, Tensor)>,
    /// The slot of each feed, or nothing where no operation needs it.
    pub(crate) feeds: Vec<Option<u32>>,
    /// The fed outputs, for checking values.
    pub(crate) fed: Vec<Output>,
    /// The slot of each fetch, and whether the value may be moved out.
    pub(crate) fetches: Vec<Input>,
    /// The fetches that are references, read when the step is over, with their operations.
    pub(crate) late: Vec<(usize, Operation)>,
    /// The fetched values of operations that need no step, for traces.
    pub(crate) known: Vec<(Operation, Tensor)>,
    /// The number of slots.
    pub(crate) slots: usize,
    /// The number of steps that record whether they ran.
    pub(crate) flags: usize,
    /// The size in bytes of the constants that were computed when the plan was compiled.
    pub(crate) folded: usize,
    /// The nesting depth of function plans, including this one.
    pub(crate) depth: usize,
    /// True if the results depend only on the feeds and nothing else changes.
    pub(crate) pure: bool,
    /// Frames of finished runs.
    pub(crate) frames: Frames,
}

/// Steps in an order that is right for all runs.
pub(crate) struct Block {
    /// The steps in the order in which they run.
    pub(crate) steps: Vec<Step>,
    /// For each step, the steps that depend on it, if some step may wait.
    pub(crate) dependents: Option<Vec<Vec<Dependent>>>,
}

/// A step that must wait for another one.
#[derive(Clone, Copy)]
pub(crate) struct Dependent {
    pub(crate) step: u32,
    /// The slot of the value that it needs; [`UNUSED`] where only the order counts.
    pub(crate) slot: u32,
}

/// One operation of a plan, or a loop.
pub(crate) struct Step {
    /// The work of the step.
    pub(crate) action: Action,
    /// The slots of the inputs.
    pub(crate) inputs: Vec<Input>,
    /// The slots of the outputs.
    pub(crate) outputs: Vec<u32>,
    /// Slots whose values nothing needs after this operation.
    pub(crate) release: Vec<u32>,
    /// The operations of the step, for messages and traces: several if they were fused, none for a loop.
    pub(crate) operations: Vec<Operation>,
    /// The condition under which the step runs; `None` if it always runs.
    pub(crate) guard: Option<Guard>,
    /// True if the step may have to wait for another thread.
    pub(crate) waits: bool,
}

/// The work of a step.
pub(crate) enum Action {
    /// An operation.
    Kernel(Box<dyn Kernel>),
    /// An operation whose kernel keeps functions.
    Holder(Box<Holder>),
    /// The step only orders others.
    Order,
    /// An operation that runs functions.
    Call(Box<Call>),
    /// A loop.
    Loop(Box<Loop>),
}

/// The condition under which a step runs: its inputs exist, and the steps that it waits for have run.
#[derive(Default)]
pub(crate) struct Guard {
    /// The flags of the steps that must have run.
    pub(crate) controls: Vec<u32>,
    /// The flag that records whether this step ran.
    pub(crate) flag: Option<u32>,
    /// True if one existing input is enough, as for a `Merge`.
    pub(crate) any: bool,
    /// True if the flag is kept when the step does not run. The outputs of an `Exit` are those of the last iteration.
    pub(crate) keeps: bool,
}

/// A kernel with the functions that it keeps.
pub(crate) struct Holder {
    /// The kernel.
    pub(crate) kernel: Box<dyn Kernel>,
    /// The functions that the kernel holds, such as that of a dataset.
    pub(crate) functions: Vec<Arc<dyn Body>>,
}

/// The functions that a step runs.
pub(crate) struct Call {
    /// The kind of the call: once, conditional, or a loop.
    pub(crate) kind: registry::Call,
    /// The plans of the functions.
    pub(crate) bodies: Vec<Arc<Plan>>,
}

/// A frame of TensorFlow 1: the values that enter it, the merges at its head, and one iteration.
///
/// The first inputs of its step are the values that enter, and its outputs are the values that leave.
pub(crate) struct Loop {
    /// The steps that bring values into the loop.
    pub(crate) enters: Vec<Step>,
    /// The merges of the initial values with the loop-carried ones.
    pub(crate) heads: Vec<Step>,
    /// The steps of one iteration.
    pub(crate) body: Block,
    /// The slots of the loop-carried values. If any of them is filled after an iteration, there is another one.
    pub(crate) nexts: Vec<u32>,
    /// The slots that only the first round sees.
    pub(crate) first_only: Vec<u32>,
    /// The slots that are emptied after the last iteration.
    pub(crate) entered: Vec<u32>,
    /// The flags of the operations whose values leave the loop.
    pub(crate) exits: Vec<u32>,
}

/// The values of one run, and the working memory of its kernels.
pub(crate) struct Frame {
    /// The values. An empty slot is a value that was not computed yet, was used up, or is dead.
    pub(crate) slots: Vec<Option<Tensor>>,
    /// Working memory of kernels, kept from run to run.
    pub(crate) scratch: Scratch,
    /// For each step that others wait for: true if it has run.
    pub(crate) flags: Vec<bool>,
    /// True if steps ran out of order, so that some slots may still be filled at the end.
    pub(crate) reordered: bool,
}

/// Frames of finished runs, for reuse.
#[derive(Default)]
pub(crate) struct Frames {
    /// Guards the list; nothing runs under the lock.
    used: Mutex<Vec<Frame>>,
}

impl Plan {
    /// Returns a frame in which all slots are empty except those of constants.
    pub(crate) fn frame(&self) -> Frame {
        let used = self.frames.used.lock().unwrap_or_else(PoisonError::into_inner).pop();
        used.unwrap_or_else(|| {
            let mut slots = vec![None; self.slots];
            for (slot, value) in &self.constants {
                slots[*slot as usize] = Some(value.clone());
            }
            Frame { slots, scratch: scratch(), flags: vec![false; self.flags], reordered: false }
        })
    }

    /// Prepares a frame of the plan for a run with these values of its feeds.
    pub(crate) fn fill<'t>(&self, frame: &mut Frame, feeds: impl Iterator<Item = Cow<'t, Tensor>>) {
        frame.flags.fill(false);
        for (slot, value) in self.feeds.iter().zip(feeds) {
            if let Some(slot) = slot {
                frame.slots[*slot as usize] = Some(value.into_owned());
            }
        }
    }

    /// Returns a frame that is prepared for a run with these values of the feeds.
    pub(crate) fn fed<'t>(&self, feeds: impl Iterator<Item = Cow<'t, Tensor>>) -> Frame {
        let mut frame = self.frame();
        self.fill(&mut frame, feeds);
        frame
    }

    /// Appends the fetched values of a completed run, which leaves the frame ready for another one.
    pub(crate) fn take_results(&self, frame: &mut Frame, results: &mut Vec<Tensor>) -> Result<()> {
        let first = results.len();
        results.reserve(self.fetches.len());
        for (index, fetch) in self.fetches.iter().enumerate() {
            let slot = &mut frame.slots[fetch.slot as usize];
            let value = if fetch.last { slot.take() } else { slot.clone() };
            // Computed, fed or constant, unless it belongs to a branch that was not taken.
            let missing = || Error::invalid_argument(format!("Retval[{index}] does not have value"));
            results.push(value.ok_or_else(missing)?);
        }
        for (index, operation) in &self.late {
            let value = &mut results[first + index];
            *value =
                referenced(value.clone()).map_err(|error| operation.place(error).with_phase(Phase::Run))?;
        }
        Ok(())
    }

    /// Collects the fetched values of a completed run.
    pub(crate) fn results(&self, mut frame: Frame) -> Result<Vec<Tensor>> {
        let mut fetched = Vec::new();
        self.take_results(&mut frame, &mut fetched)?;
        self.keep(frame);
        Ok(fetched)
    }

    /// Keeps the frame of a completed run for another one.
    pub(crate) fn keep(&self, frame: Frame) {
        if !frame.reordered {
            self.frames.used.lock().unwrap_or_else(PoisonError::into_inner).push(frame);
        }
    }

    /// Checks the number of arguments of a function.
    pub(crate) fn check_arguments(&self, count: usize) -> Result<()> {
        let expected = self.feeds.len();
        if count != expected {
            let text = format!("{count} arguments for a function of {expected}");
            return Err(Error::invalid_argument(text));
        }
        Ok(())
    }
}

impl Block {
    /// Returns true if one of the steps may have to wait for another thread.
    pub(crate) fn waits(&self) -> bool {
        self.dependents.is_some()
    }
}

impl Step {
    /// Returns a step that does nothing.
    pub(crate) fn order(guard: Option<Guard>) -> Step {
        let (inputs, outputs, release, operations) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Step { action: Action::Order, inputs, outputs, release, operations, guard, waits: false }
    }

    /// Returns true if the step runs: its inputs exist (or one of them, where that is enough), and the steps that it waits for have run.
    #[inline]
    pub(crate) fn is_alive(&self, frame: &Frame) -> bool {
        let Some(guard) = &self.guard else { return true };
        let there = |input: &Input| frame.slots[input.slot as usize].is_some();
        let inputs = if guard.any { self.inputs.iter().any(there) } else { self.inputs.iter().all(there) };
        inputs && guard.controls.iter().all(|&flag| frame.flags[flag as usize])
    }

    /// Sets the flag of the step for those that wait for it.
    #[inline]
    pub(crate) fn note(&self, frame: &mut Frame, alive: bool) {
        if let Some(Guard { flag: Some(flag), keeps, .. }) = &self.guard
            && (alive || !keeps)
        {
            frame.flags[*flag as usize] = alive;
        }
    }

    /// Empties all slots but those of constants, so that the frame can be used again and holds no large tensors
    /// meanwhile.
    #[inline]
    pub(crate) fn release(&self, frame: &mut Frame) {
        for &slot in &self.release {
            frame.slots[slot as usize] = None;
        }
    }
}

impl Loop {
    /// Ends an iteration. Returns true if there may be another one.
    pub(crate) fn end_round(&self, round: &mut u64, frame: &mut Frame) -> bool {
        if *round == 0 {
            self.first_only.iter().for_each(|&slot| frame.clear(slot));
        }
        *round += 1;
        self.nexts.iter().any(|&slot| frame.slots[slot as usize].is_some())
    }
}

impl Frame {
    /// Empties one slot.
    pub(crate) fn clear(&mut self, slot: u32) {
        if slot != UNUSED {
            self.slots[slot as usize] = None;
        }
    }
}

/// The key of a plan in a session's cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlanKey {
    /// The fetched outputs, in order.
    pub(crate) fetches: Vec<session_core::Endpoint>,
    /// The operations to run without fetching anything.
    pub(crate) targets: Vec<OpId>,
    /// The fed outputs, in order. Their values are not part of the key.
    pub(crate) feeds: Vec<session_core::Endpoint>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Returns a plan that does nothing, for which this many bytes were computed.
    pub(crate) fn empty_plan(folded: usize) -> Arc<Plan> {
        Arc::new(Plan {
            block: Block { steps: Vec::new(), dependents: None },
            constants: Vec::new(),
            feeds: Vec::new(),
            fed: Vec::new(),
            fetches: Vec::new(),
            late: Vec::new(),
            known: Vec::new(),
            slots: 0,
            flags: 0,
            folded,
            depth: 1,
            pure: true,
            frames: Frames::default(),
        })
    }
}
