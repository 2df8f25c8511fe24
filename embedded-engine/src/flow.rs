//! The operations that conditionals and loops of TensorFlow 1 are made of, as a plan sees them.
//!
//! A value is dead when the branch that would compute it is not taken: its slot stays empty. An operation with a dead
//! input does not run, and what it would give is dead too; a `Merge` passes on whichever of its inputs is not. Each loop
//! is a frame, which values enter and leave by `Enter` and `Exit`, and `NextIteration` hands them from one round to the
//! next.

use crate::kernel::{Input, Kernel, KernelContext};
use session_core::{Error, Operation, Result};
use tensor::Tensor;

/// What an operation does to the flow of control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Passes its first input on as one of two outputs.
    Switch,
    /// Passes on whichever input is there.
    Merge,
    /// Takes a value into a frame.
    Enter {
        /// Which one.
        frame: String,
        /// Whether the value is there in all rounds, not only in the first.
        is_constant: bool,
    },
    /// Takes a value out of its frame.
    Exit,
    /// Hands a value to the next round.
    NextIteration,
}

impl Flow {
    /// What an operation does, unless it is a plain one.
    pub(crate) fn of(operation: &Operation) -> Option<Flow> {
        Some(match operation.op_type() {
            "Switch" | "RefSwitch" => Flow::Switch,
            "Merge" | "RefMerge" => Flow::Merge,
            "Enter" | "RefEnter" => Flow::Enter {
                frame: operation.attr("frame_name")?.as_str()?.to_owned(),
                is_constant: operation.attr("is_constant").and_then(|value| value.as_bool()).unwrap_or(false),
            },
            "Exit" | "RefExit" => Flow::Exit,
            "NextIteration" | "RefNextIteration" => Flow::NextIteration,
            _ => return None,
        })
    }

    /// What runs when the operation is due.
    pub(crate) fn kernel(&self) -> Box<dyn Kernel> {
        match self {
            Flow::Switch => Box::new(switch),
            Flow::Merge => Box::new(merge),
            Flow::Enter { .. } | Flow::Exit | Flow::NextIteration => Box::new(pass_on),
        }
    }
}

/// Whether an operation closes a loop: the one edge that leads backwards comes out of it.
pub(crate) fn hands_on(op_type: &str) -> bool {
    matches!(op_type, "NextIteration" | "RefNextIteration")
}

/// Whether an operation joins branches, or the way into a loop with the way round it.
pub(crate) fn joins(op_type: &str) -> bool {
    matches!(op_type, "Merge" | "RefMerge")
}

fn switch(context: &mut KernelContext<'_>) -> Result<()> {
    let taken = usize::from(context.input(1).value::<bool>()?);
    let value = context.take(0);
    context.set(taken, value);
    Ok(())
}

fn merge(context: &mut KernelContext<'_>) -> Result<()> {
    let there = context.inputs.iter().position(|input| context.slots[input.slot as usize].is_some());
    let index = there.ok_or_else(|| Error::runtime("a merge without an input"))?;
    let value = context.take(index);
    context.set(0, value);
    if context.outputs.len() > 1 {
        context.set(1, Tensor::from(i32::try_from(index).unwrap_or(i32::MAX)));
    }
    Ok(())
}

fn pass_on(context: &mut KernelContext<'_>) -> Result<()> {
    let value = context.take(0);
    context.set(0, value);
    Ok(())
}

/// An input that the operation may move out of its slot.
pub(crate) fn moved(slot: u32) -> Input {
    Input { slot, last: true }
}
