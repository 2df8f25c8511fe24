//! A compiled step.

use crate::kernel::{Input, Kernel};
use crate::late::Predecessors;
use crate::program::Program;
use compute::Scratch;
use session_core::{OpId, Operation, Output};
use std::sync::{Mutex, PoisonError};
use tensor::Tensor;

/// One step, compiled for a set of fetches, targets and feeds: operations in order, every value in a numbered slot.
pub(crate) struct Plan {
    pub(crate) steps: Vec<PlanStep>,
    /// What runs in the place of the steps where there are conditionals or loops.
    pub(crate) program: Option<Program>,
    /// Values that are the same in every run.
    pub(crate) constants: Vec<(u32, Tensor)>,
    /// The slot of each feed, or nothing where no operation needs it.
    pub(crate) feeds: Vec<Option<u32>>,
    /// What is fed, to check values against it.
    pub(crate) fed: Vec<Output>,
    /// The slot of each fetch, and whether the value may be moved out.
    pub(crate) fetches: Vec<Input>,
    /// The last slot and one.
    pub(crate) slots: usize,
    /// What must have run before each step, where one of them may wait.
    pub(crate) predecessors: Option<Predecessors>,
    /// Frames of finished runs. Guards the list; nothing runs under the lock.
    frames: Mutex<Vec<Frame>>,
}

/// One operation of a plan.
pub(crate) struct PlanStep {
    pub(crate) kernel: Box<dyn Kernel>,
    /// It may have to wait for another thread.
    pub(crate) waits: bool,
    pub(crate) inputs: Vec<Input>,
    pub(crate) outputs: Vec<u32>,
    /// Slots whose values nobody needs after this operation.
    pub(crate) release: Vec<u32>,
    /// For messages and traces; several where they were fused.
    pub(crate) operations: Vec<Operation>,
}

/// The values of one run, and memory that kernels use while they run.
pub(crate) struct Frame {
    pub(crate) slots: Vec<Option<Tensor>>,
    pub(crate) scratch: Scratch,
    /// Which operations that others wait for have run, in a program.
    pub(crate) flags: Vec<bool>,
}

impl Plan {
    pub(crate) fn new(
        steps: Vec<PlanStep>,
        constants: Vec<(u32, Tensor)>,
        feeds: Vec<Option<u32>>,
        fed: Vec<Output>,
        fetches: Vec<Input>,
        slots: usize,
    ) -> Plan {
        let (program, predecessors, frames) = (None, None, Mutex::default());
        Plan { steps, program, constants, feeds, fed, fetches, slots, predecessors, frames }
    }

    /// The same, which runs a program in the place of steps.
    pub(crate) fn with_program(mut self, program: Program) -> Plan {
        self.program = Some(program);
        self
    }

    /// A frame that holds the constants and nothing else.
    pub(crate) fn frame(&self) -> Frame {
        let used = self.frames.lock().unwrap_or_else(PoisonError::into_inner).pop();
        used.unwrap_or_else(|| {
            let mut slots = vec![None; self.slots];
            for (slot, value) in &self.constants {
                slots[*slot as usize] = Some(value.clone());
            }
            Frame { slots, scratch: Scratch::default(), flags: Vec::new() }
        })
    }

    /// Takes a frame back in which every value but the constants is gone.
    pub(crate) fn recycle(&self, frame: Frame) {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner).push(frame);
    }
}

/// The key of a plan in a session's cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlanKey {
    pub(crate) fetches: Vec<session_core::Endpoint>,
    pub(crate) targets: Vec<OpId>,
    pub(crate) feeds: Vec<session_core::Endpoint>,
}
