//! The compiled form of a step.
//!
//! A plan is a block: steps in a fixed order. A step is an operation, or it contains its own block: the
//! iterations of a loop, which run in the frame of the plan, or the plan of a function, which has its own
//! frame.
//!
//! ```text
//! Plan ── Block ── Step: kernel          reads and writes slots of the frame
//!                  Step: call ── Plan    a frame of its own
//!                  Step: loop ── Block   enters, heads, body; the same frame
//! ```
//!
//! **Slots.** Every value of a run has a numbered slot in the `Frame`. An empty slot of a value that should
//! exist is a *dead* value: its branch was not taken. Steps that may be dead have a `Guard`, which decides at
//! run time whether they run.
//!
//! **Frames are reused.** A finished run leaves its frame to the next one, with all slots empty except those
//! of constants. This holds because every slot is emptied at its last use. Steps that ran out of order (see
//! `suspend.rs`) may leave values behind; their frame is dropped.
//!
//! **Plans are shared.** Several threads may run one plan at the same time, each with its own frame. Nothing
//! in a plan changes after it was emitted, except for the list of frames.
//!
//! # Invariants
//!
//! - **Slots.** A slot belongs to one value for the whole plan; values do not share slots, even if their
//!   lives do not overlap. At most one step writes it, except for loops, which write it once per iteration.
//! - **Order.** Steps are in an order in which every producer comes before its users. Running them in this
//!   order, one after the other, is always right; another order is right if it respects `Block::dependents`.
//! - **Ownership.** `Input::last` is true for at most one input of one step. Constants and fetched values are
//!   never last; values that enter a loop or go around it are so only at its head.
//! - **Flags.** A flag records whether a step has run, for those that wait for it without taking a value. It
//!   is only read by guards.
//! - **Errors.** After an error a frame may contain anything and is dropped, never kept.

use crate::kernel::{Body, Input, Kernel, UNUSED, scratch};
use crate::kernels::referenced;
use crate::registry;
use compute::Scratch;
use session_core::{Error, OpId, Operation, Output, Phase, Result};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use tensor::Tensor;

/// The compiled form of one step, or of one function, for a set of fetches, targets, and feeds.
pub(crate) struct Plan {
    /// The steps of the outermost block.
    pub(crate) block: Block,
    /// The values that are the same in every run, with their slots. A frame is created with them, and steps
    /// never empty these slots.
    pub(crate) constants: Vec<(u32, Tensor)>,
    /// The slot of each feed, or `None` if no operation needs it.
    pub(crate) feeds: Vec<Option<u32>>,
    /// The fed outputs, for checking values.
    pub(crate) fed: Vec<Output>,
    /// The slot of each fetch. The last fetch of a slot may move the value out of the frame.
    pub(crate) fetches: Vec<Input>,
    /// The positions of the fetches that are references, read when the step is over, with their operations.
    pub(crate) late: Vec<(usize, Operation)>,
    /// The fetched values of operations that need no step, for traces.
    pub(crate) known: Vec<(Operation, Tensor)>,
    /// The number of slots of a frame.
    pub(crate) slots: usize,
    /// The number of flags of a frame: one for each step that another one waits for, and none in plans
    /// without control flow.
    pub(crate) flags: usize,
    /// The size in bytes of the constants that were computed when the plan was compiled, with those of the
    /// functions that it calls.
    pub(crate) folded: usize,
    /// The nesting depth of function plans, including this one. The compiler bounds it, since each level
    /// needs stack space.
    pub(crate) depth: usize,
    /// True if the results depend only on the feeds and nothing else changes: no variables, no random
    /// numbers, no waits, no files.
    pub(crate) pure: bool,
    /// True if an operation of it, or of a function that it calls, may fail with `OutOfRange` although it is
    /// stateless.
    pub(crate) ends: bool,
    /// True if a run may block until another thread does something: an operation waits, or calls the program.
    pub(crate) blocks: bool,
    /// Frames of finished runs. There are as many as runs were active at the same time.
    pub(crate) frames: Frames,
}

/// Steps in an order that is right for all runs: those of a plan, or of one iteration of a loop.
pub(crate) struct Block {
    /// The steps in the order in which they run.
    pub(crate) steps: Vec<Step>,
    /// For each step, the steps that must run after it. `None` if no step may wait, so that nothing is ever
    /// deferred.
    pub(crate) dependents: Option<Vec<Vec<Dependent>>>,
}

/// A step that must wait for another one.
#[derive(Clone, Copy)]
pub(crate) struct Dependent {
    /// The number of the waiting step in its block, larger than that of the step that it waits for.
    pub(crate) step: u32,
    /// The slot of the value that it needs; [`UNUSED`] where only the order counts.
    pub(crate) slot: u32,
}

/// One operation of a plan, several fused ones, or a loop.
pub(crate) struct Step {
    /// The work of the step.
    pub(crate) action: Action,
    /// The slots of the inputs. For a loop: those of the values that enter it, then those of the values
    /// around it that its iterations use.
    pub(crate) inputs: SmallVec<[Input; 2]>,
    /// The slots of the outputs, [`UNUSED`] for those that nothing reads. For a loop: those of the values
    /// that leave it.
    pub(crate) outputs: SmallVec<[u32; 4]>,
    /// The slots whose values nothing needs after this step. A kernel that took a value has emptied its slot
    /// already.
    pub(crate) release: SmallVec<[u32; 4]>,
    /// The operations of the step, for messages and traces: several if they were fused, none for a loop.
    pub(crate) operations: SmallVec<[Operation; 1]>,
    /// The condition under which the step runs; `None` if it always runs.
    pub(crate) guard: Option<Box<Guard>>,
    /// True if the step may have to wait for another thread.
    ///
    /// This includes loops and calls whose body may wait. It does not mean that the step waits in every run.
    pub(crate) waits: bool,
}

/// The work of a step.
pub(crate) enum Action {
    /// An operation.
    Kernel(Box<dyn Kernel>),
    /// An operation whose kernel keeps functions, such as one that makes a dataset.
    Holder(Box<Holder>),
    /// Nothing: the step exists only so that others can wait for it.
    Order,
    /// An operation that runs functions: a call, a conditional, or a loop of TensorFlow 2.
    Call(Box<Call>),
    /// A loop of TensorFlow 1, which runs in the frame of the plan.
    Loop(Box<Loop>),
}

/// The condition under which a step runs: its inputs exist, and the steps that it waits for have run.
///
/// The default runs if all inputs exist. Only plans with control flow have guards.
#[derive(Default)]
pub(crate) struct Guard {
    /// The flags of the steps that must have run.
    pub(crate) controls: Vec<u32>,
    /// The flag that records whether this step ran; `None` if nothing waits for it.
    pub(crate) flag: Option<u32>,
    /// True if one existing input is enough, as for a `Merge`.
    ///
    /// A `Merge` also does not heed control inputs; the emitter leaves `controls` empty for it.
    pub(crate) any: bool,
    /// True if the flag stays set when the step does not run in a later iteration, as for an `Exit`, which
    /// runs once, in the last one.
    pub(crate) keeps: bool,
}

/// A kernel with the functions that it keeps.
pub(crate) struct Holder {
    /// The kernel.
    pub(crate) kernel: Box<dyn Kernel>,
    /// The functions that the kernel holds, in the order in which its registration names their attributes.
    pub(crate) functions: Vec<Arc<dyn Body>>,
}

/// The functions that a step runs.
pub(crate) struct Call {
    /// The sequence in which the functions are called.
    pub(crate) kind: registry::Call,
    /// The plans of the functions: condition and body of a loop, the branches of a conditional, or one.
    pub(crate) bodies: Vec<Arc<Plan>>,
}

/// A frame of TensorFlow 1: the values that enter it, the merges at its head, and one iteration.
///
/// The first inputs of its step are the values that enter, and its outputs are the values that leave.
///
/// An iteration runs the heads, then the body. The heads move the values of `nexts`, or in the first
/// iteration of `enters`, to where the body expects them. There is another iteration if a `NextIteration`
/// ran. Slots of the body are emptied by their last users in each iteration, so every iteration finds the
/// same slots empty.
pub(crate) struct Loop {
    /// The `Enter` steps, which copy values into slots of the loop once. Step n has input n of the loop's
    /// step.
    pub(crate) enters: Vec<Step>,
    /// The merges of the initial values with the loop-carried ones. If none of them runs, the loop has ended.
    pub(crate) heads: Vec<Step>,
    /// The steps of one iteration.
    pub(crate) body: Block,
    /// The slots of the loop-carried values, filled by `NextIteration` and emptied by the heads.
    pub(crate) nexts: Vec<u32>,
    /// The slots that only the first iteration sees: those of `Enter` operations that are not constant.
    pub(crate) first_only: Vec<u32>,
    /// The slots of all `Enter` operations. They are kept during the iterations and emptied after the last
    /// one.
    pub(crate) entered: Vec<u32>,
    /// The flags of the `Exit` operations, reset before the loop begins, since they keep their value from
    /// iteration to iteration.
    pub(crate) exits: Vec<u32>,
}

/// The values of one run, and the working memory of its kernels. A frame belongs to one plan and to one run
/// at a time.
pub(crate) struct Frame {
    /// The values, by slot. An empty slot is a value that was not computed yet, was used up, or is dead.
    pub(crate) slots: Vec<Option<Tensor>>,
    /// Working memory of kernels, kept from run to run.
    pub(crate) scratch: Scratch,
    /// For each step that others wait for: true if it has run in this run, or in this iteration.
    pub(crate) flags: Vec<bool>,
    /// True if steps ran out of order, so that some slots may still be filled at the end. Such a frame is not
    /// used again.
    pub(crate) reordered: bool,
}

/// Values that functions hand to each other, each `None` while a frame has it.
pub(crate) type Values = Vec<Option<Tensor>>;

/// Frames of finished runs, for reuse.
#[derive(Default)]
pub(crate) struct Frames {
    /// The frames, the last one used on top, whose memory is most likely still in the cache. Guards the list;
    /// nothing runs under the lock.
    used: Mutex<Vec<Frame>>,
}

impl Plan {
    /// Returns a frame in which all slots are empty except those of constants. An old frame is taken if there
    /// is one.
    pub(crate) fn frame(&self) -> Frame {
        // The list needs no bound: it has never more frames than runs were active at once.
        let used = self.frames.used.lock().unwrap_or_else(PoisonError::into_inner).pop();
        used.unwrap_or_else(|| {
            let mut slots = vec![None; self.slots];
            for (slot, value) in &self.constants {
                slots[*slot as usize] = Some(value.clone());
            }
            Frame { slots, scratch: scratch(), flags: vec![false; self.flags], reordered: false }
        })
    }

    /// Returns a frame with the values of the feeds, in the order of the key. Values of feeds that nothing needs are dropped.
    pub(crate) fn fed<'t>(&self, feeds: impl Iterator<Item = Cow<'t, Tensor>>) -> Frame {
        let mut frame = self.frame();
        frame.flags.fill(false);
        for (slot, value) in self.feeds.iter().zip(feeds) {
            if let Some(slot) = slot {
                frame.slots[*slot as usize] = Some(value.into_owned());
            }
        }
        frame
    }

    /// Prepares a frame for a call with these arguments, and takes them out of the list. All flags are reset: a frame that is
    /// filled again for the next round of a loop still has those of the last one.
    ///
    /// Values are exchanged and not moved through a variable: the processor would wait for such copies, and a loop over
    /// numbers does little else.
    pub(crate) fn give(&self, frame: &mut Frame, values: &mut Values) {
        frame.flags.fill(false);
        for (slot, value) in self.feeds.iter().zip(values) {
            if let Some(slot) = slot {
                mem::swap(&mut frame.slots[*slot as usize], value);
            }
            *value = None;
        }
    }

    /// Prepares a frame as [`give`](Plan::give) does; the values stay in the list.
    pub(crate) fn lend(&self, frame: &mut Frame, values: &Values) {
        frame.flags.fill(false);
        for (slot, value) in self.feeds.iter().zip(values) {
            if let Some(slot) = slot {
                frame.slots[*slot as usize].clone_from(value);
            }
        }
    }

    /// Replaces the values of a list by the fetched values of a completed run, which leaves the frame ready for another one.
    ///
    /// References among them are read now. If the function fails, values may have been moved out, and the
    /// frame must not be kept.
    ///
    /// # Errors
    /// `InvalidArgument` for a fetch whose branch was not taken, and `FailedPrecondition` for a reference to
    /// an uninitialized variable.
    pub(crate) fn take_back(&self, frame: &mut Frame, values: &mut Values) -> Result<()> {
        values.resize(self.fetches.len(), None);
        for (index, (fetch, value)) in self.fetches.iter().zip(values.iter_mut()).enumerate() {
            let slot = &mut frame.slots[fetch.slot as usize];
            if fetch.last {
                *value = None;
                mem::swap(slot, value);
            } else {
                value.clone_from(slot);
            }
            if value.is_none() {
                return Err(dead(index));
            }
        }
        for (index, operation) in &self.late {
            let read = |value| read_late(value, operation);
            values[*index] = values[*index].take().map(read).transpose()?;
        }
        Ok(())
    }

    /// Collects the fetched values of a completed run.
    ///
    /// # Errors
    /// Those of [`take_back`](Plan::take_back); the frame is then dropped.
    pub(crate) fn results(&self, mut frame: Frame) -> Result<Vec<Tensor>> {
        let mut fetched = Vec::with_capacity(self.fetches.len());
        for (index, fetch) in self.fetches.iter().enumerate() {
            let slot = &mut frame.slots[fetch.slot as usize];
            let value = if fetch.last { slot.take() } else { slot.clone() };
            fetched.push(value.ok_or_else(|| dead(index))?);
        }
        for (index, operation) in &self.late {
            fetched[*index] = read_late(fetched[*index].clone(), operation)?;
        }
        self.keep(frame);
        Ok(fetched)
    }

    /// Keeps the frame of a completed run for another one, unless steps ran out of order. Must not be called
    /// after an error.
    pub(crate) fn keep(&self, frame: Frame) {
        // Cleaning such a frame would cost as much as making a new one, and it is rare.
        if !frame.reordered {
            self.frames.used.lock().unwrap_or_else(PoisonError::into_inner).push(frame);
        }
    }

    /// Checks the number of arguments of a function, whose caller may come from an imported graph.
    ///
    /// # Errors
    /// `InvalidArgument` with both numbers.
    pub(crate) fn check_arguments(&self, count: usize) -> Result<()> {
        let expected = self.feeds.len();
        if count != expected {
            let text = format!("{count} arguments for a function of {expected}");
            return Err(Error::invalid_argument(text));
        }
        Ok(())
    }
}

/// Returns the error of a fetch without a value: computed, fed and constant ones have one, unless they belong to a branch
/// that was not taken.
#[cold]
fn dead(fetch: usize) -> Error {
    Error::invalid_argument(format!("Retval[{fetch}] does not have value"))
}

/// Reads a fetched reference, after everything else: it shows what the whole step wrote.
fn read_late(value: Tensor, operation: &Operation) -> Result<Tensor> {
    referenced(value).map_err(|error| operation.place(error).with_phase(Phase::Run))
}

impl Block {
    /// Returns true if one of the steps may have to wait for another thread.
    pub(crate) fn waits(&self) -> bool {
        self.dependents.is_some()
    }
}

impl Step {
    /// Returns a step that does nothing, to be waited for.
    pub(crate) fn order(guard: Option<Box<Guard>>) -> Step {
        Step {
            action: Action::Order,
            inputs: SmallVec::new(),
            outputs: SmallVec::new(),
            release: SmallVec::new(),
            operations: SmallVec::new(),
            guard,
            waits: false,
        }
    }

    /// Returns true if the step runs: its inputs exist (or one of them, where that is enough), and the steps
    /// that it waits for have run.
    ///
    /// For a step without a guard it is one test. An input that was used up looks like a dead one, which is
    /// why no step is asked twice.
    #[inline]
    pub(crate) fn is_alive(&self, frame: &Frame) -> bool {
        let Some(guard) = &self.guard else { return true };
        let there = |input: &Input| frame.slots[input.slot as usize].is_some();
        let inputs = if guard.any { self.inputs.iter().any(there) } else { self.inputs.iter().all(there) };
        inputs && guard.controls.iter().all(|&flag| frame.flags[flag as usize])
    }

    /// Records whether the step ran, if others wait for it.
    #[inline]
    pub(crate) fn note(&self, frame: &mut Frame, alive: bool) {
        if let Some(Guard { flag: Some(flag), keeps, .. }) = self.guard.as_deref()
            && (alive || !keeps)
        {
            frame.flags[*flag as usize] = alive;
        }
    }

    /// Empties the slots whose last use is this step. Called after the step, also if it was dead.
    #[inline]
    pub(crate) fn release(&self, frame: &mut Frame) {
        for &slot in &self.release {
            frame.slots[slot as usize] = None;
        }
    }
}

impl Loop {
    /// Ends an iteration: empties the values of the first one, and counts. Returns true if there may be
    /// another iteration.
    ///
    /// `round` is the number of iterations before this one, and is increased.
    pub(crate) fn end_round(&self, round: &mut u64, frame: &mut Frame) -> bool {
        // From the second iteration on, a value that is not constant in the loop no longer exists.
        if *round == 0 {
            self.first_only.iter().for_each(|&slot| frame.clear(slot));
        }
        *round += 1;
        self.nexts.iter().any(|&slot| frame.slots[slot as usize].is_some())
    }
}

impl Frame {
    /// Empties a slot; [`UNUSED`] is no slot and is ignored.
    pub(crate) fn clear(&mut self, slot: u32) {
        if slot != UNUSED {
            self.slots[slot as usize] = None;
        }
    }
}

/// The key of a plan in a session's cache. The order of fetches and feeds matters: another order is another
/// plan.
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
            ends: false,
            blocks: false,
            frames: Frames::default(),
        })
    }
}
