//! The operations of TensorFlow 1's conditionals and loops, as the compiler sees them.

use crate::kernels::facts;
use crate::registry::Control;
use session_core::Operation;

/// The effect of an operation on control flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Passes its first input on as one of two outputs.
    Switch,
    /// Passes on whichever input is there.
    Merge,
    /// Takes a value into a frame.
    Enter {
        /// The name of the frame.
        frame: String,
        /// True if the value is there in all rounds, not only in the first.
        is_constant: bool,
    },
    /// Takes a value out of its frame.
    Exit,
    /// Hands a value to the next round.
    NextIteration,
}

impl Flow {
    /// Returns the control flow role of an operation, unless it is a plain one.
    pub(crate) fn of(operation: &Operation) -> Option<Flow> {
        Some(match facts(operation)?.control()? {
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
