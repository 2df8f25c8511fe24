//! Operations of imported graphs whose gradient is another one than that of their type.
//!
//! TensorFlow's `gradient_override_map` and `custom_gradient` leave an attribute that names a registered gradient. It may be that of another
//! op type, such as `Identity` for a `Sign` whose gradient passes straight through. Otherwise it is a Python function, which graph files do
//! not hold.

use session_core::{AttrValue, Error, Gradient, OpDef, OpLibrary, Operation, Result};

/// The attribute that names the gradient.
const OVERRIDE: &str = "_gradient_op_type";

/// Returns the rule for the gradients of an operation: that of its type, or that of the type whose gradient it is to have.
pub(super) fn rule(operation: &Operation) -> Result<Gradient> {
    // An op type without a definition may still be differentiated as a call, so this is no error yet.
    let own = operation.def().map_or(Gradient::Undefined, OpDef::gradient_rule);
    let Some(name) = operation.attr(OVERRIDE).and_then(AttrValue::as_str) else { return Ok(own) };
    if let Some(other) = OpLibrary::find(crate::library(), name) {
        return Ok(other.gradient_rule());
    }
    // Calls of TensorFlow 2's functions name the gradient that follows from the function's body.
    if matches!(operation.op_type(), "PartitionedCall" | "StatefulPartitionedCall") {
        return Ok(own);
    }
    let text = format!(
        "the gradient of operation '{}' ({}) is the function '{name}', which the program that wrote the graph had registered: \
         a graph does not hold it, so compute this part of the model with operations of this library",
        operation.name(),
        operation.op_type()
    );
    Err(operation.place(Error::key(text)))
}
