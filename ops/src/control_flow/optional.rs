//! Values that may be missing, which functional conditionals hand to their gradients.
//!
//! They have definitions, so that imported graphs run, and no constructors.

use crate::array::zeros_like;
use crate::data::shapes::{components, scalars};
use crate::library::op_defs;
use session_core::{AttrValue, DType, OpDef, Operation, Output, Result};

op_defs! {
    OPTIONAL_FROM_VALUE: OpDef::new("OptionalFromValue", "components: Toutput_types -> optional: variant")
        .attrs("Toutput_types: list(type) >= 1")
        .shape(scalars::<0>)
        .gradient(from_value_gradient);
    OPTIONAL_NONE: OpDef::new("OptionalNone", "-> optional: variant").shape(scalars::<0>);
    OPTIONAL_HAS_VALUE: OpDef::new("OptionalHasValue", "optional: variant -> has_value: bool").shape(scalars::<0b1>);
    OPTIONAL_GET_VALUE: OpDef::new("OptionalGetValue", "optional: variant -> components: output_types")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .shape(components)
        .gradient(get_value_gradient);
}

/// Returns the gradients of the components: those inside of the optional gradient.
fn from_value_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None; op.num_inputs()]) };
    let dtypes: Vec<DType> = op.inputs().iter().map(Output::dtype).collect();
    let shapes = op.inputs().iter().map(|input| AttrValue::Shape(input.shape().clone())).collect();
    let builder = grad.graph().op(&OPTIONAL_GET_VALUE).input(grad).attr("output_types", dtypes);
    let found = builder.attr("output_shapes", AttrValue::List(shapes)).finish();
    Ok(found.outputs().into_iter().map(Some).collect())
}

/// Returns the gradient of an optional value: an optional value with the gradients of the
/// components, zeros where there are none.
fn get_value_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    // Without any gradient there is no graph to build in, and nothing to pass on.
    let Some(graph) = grads.iter().flatten().next().map(Output::graph) else { return Ok(vec![None]) };
    let parts = grads.iter().zip(op.outputs());
    let parts = parts.map(|(grad, output)| grad.clone().unwrap_or_else(|| zeros_like(output)));
    let parts: Vec<Output> = parts.collect();
    Ok(vec![Some(graph.op(&OPTIONAL_FROM_VALUE).input_list(&parts).finish_output())])
}
