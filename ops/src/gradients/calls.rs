//! Gradients through functions that name their gradient, and through operations whose type is the name of a function.

use crate::array::constants::zeros_like;
use crate::control_flow::functional::SYMBOLIC_GRADIENT;
use session_core::{AttrValue, DType, Operation, Output, Result};

/// Returns true if an operation's type is the name of a function.
pub(super) fn is_named_call(operation: &Operation) -> bool {
    operation.graph().function(operation.op_type()).is_some()
}

/// Returns the function that an operation calls with its inputs: that of its own type's name, or the one that
/// its attribute names.
fn called(operation: &Operation) -> Option<AttrValue> {
    match operation.op_type() {
        "PartitionedCall" | "StatefulPartitionedCall" => operation.attr("f").cloned(),
        op_type => {
            let function = operation.graph().function(op_type)?;
            Some(AttrValue::Func(function.name().to_owned(), operation.attrs().clone()))
        }
    }
}

/// Returns the gradients of a call: the outputs of a `SymbolicGradient`, which finds or builds the gradient
/// of the function where it runs.
///
/// Outputs without a gradient count with zeros, since the gradient function takes one gradient for each.
/// Every input receives a gradient, also integers, whose gradient the walk ignores.
pub(super) fn gradient(operation: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let inputs = operation.inputs();
    let Some(function) = called(operation) else { return Ok(vec![None; inputs.len()]) };
    let results = grads.iter().zip(operation.outputs());
    let grads: Vec<Output> =
        results.map(|(grad, result)| grad.clone().unwrap_or_else(|| zeros_like(result))).collect();
    let dtypes: Vec<DType> = inputs.iter().map(Output::dtype).collect();
    // `SymbolicGradient` takes the inputs of the call first, then the gradients of all its outputs.
    let builder = operation.graph().op(&SYMBOLIC_GRADIENT).input_list(inputs.iter().chain(&grads));
    let gradient = builder.attr("Tout", dtypes).attr("f", function).finish();
    Ok(gradient.outputs().into_iter().map(Some).collect())
}
