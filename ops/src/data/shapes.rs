//! The shape functions of datasets and iterators.
//!
//! The dataset itself is always a scalar `variant`. An op can check, when it is built, the rank of its arguments and the number of its
//! components.

use crate::shapes::{must_be_scalar, scalar};
use session_core::{AttrValue, Error, Result, ShapeContext};

/// Makes all outputs scalars and requires that some inputs are. Bit `i` of `INPUTS` stands for input `i`.
pub(crate) fn scalars<const INPUTS: u32>(context: &mut ShapeContext<'_>) -> Result<()> {
    let count = context.inputs().len().min(32);
    (0..count)
        .filter(|index| INPUTS >> index & 1 == 1)
        .try_for_each(|index| must_be_scalar(context, index))?;
    scalar(context)
}

/// Sets the shapes of the outputs, the components of an element, to those of the attribute `output_shapes`.
pub(crate) fn components(context: &mut ShapeContext<'_>) -> Result<()> {
    let shapes = context.attr("output_shapes").and_then(AttrValue::as_shapes).unwrap_or_default();
    if shapes.len() != context.outputs() {
        let text = format!("{} shapes for {} components", shapes.len(), context.outputs());
        return Err(Error::value(text));
    }
    shapes.into_iter().enumerate().for_each(|(index, shape)| context.set(index, shape));
    Ok(())
}
