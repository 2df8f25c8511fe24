//! The operations of TensorFlow 1's conditionals and loops, as the compiler sees them.
//!
//! # Dead values
//!
//! A `Switch` makes one of its two outputs *dead*. An operation with a dead input does not run and its
//! outputs are dead, until a `Merge`, which needs one live input. Here a dead value is an empty slot.
//! Whatever the compiler changes in a graph with these operations must keep for every value whether it is
//! dead: that is why fewer operations are folded and why a chain has members of one life only.

use crate::kernels::facts;
use crate::registry::{Control, OpType};
use session_core::Operation;

/// The effect of an operation on control flow. In contrast to [`Control`] it carries the attributes that the
/// compiler needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Forwards its first input as output 0 if the second is false, and as output 1 if it is true.
    Switch,
    /// Forwards the input that is alive. At the head of a loop its inputs are an `Enter` and a
    /// `NextIteration`.
    Merge,
    /// Takes a value into a frame.
    Enter {
        /// The name of the frame. All `Enter` operations of one loop have the same name.
        frame: String,
        /// True if every iteration sees the value; otherwise only the first does.
        is_constant: bool,
    },
    /// Takes a value out of its frame: the value of the last iteration.
    Exit,
    /// Hands a value to the `Merge` at the head of the next iteration. Its output is the only edge that may
    /// lead backwards.
    NextIteration,
}

impl Flow {
    /// Returns the effect of an operation with these facts on control flow, or `None` if it has none. An
    /// `Enter` without a frame name counts as having none.
    pub(crate) fn of(operation: &Operation, op: Option<&OpType>) -> Option<Flow> {
        Some(match op?.control()? {
            Control::Switch => Flow::Switch,
            Control::Merge => Flow::Merge,
            Control::Enter => Flow::Enter {
                frame: operation.attr("frame_name")?.as_str()?.to_owned(),
                is_constant: operation.attr("is_constant").and_then(|value| value.as_bool()).unwrap_or(false),
            },
            Control::Exit => Flow::Exit,
            Control::NextIteration => Flow::NextIteration,
        })
    }
}

/// Returns true if an operation closes a loop: the one edge that leads backwards comes out of it.
pub(crate) fn hands_on(operation: &Operation) -> bool {
    facts(operation).and_then(|op| op.control()) == Some(Control::NextIteration)
}

/// Returns true if an operation joins branches, or the way into a loop with the way round it.
pub(crate) fn joins(operation: &Operation) -> bool {
    facts(operation).and_then(|op| op.control()) == Some(Control::Merge)
}
