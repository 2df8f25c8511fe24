//! The shape functions of datasets and iterators.

use crate::shapes::{must_be_scalar, scalar};
use session_core::{AttrValue, Error, Result, ShapeContext};

/// All outputs are scalars, and so are the inputs that the bits of `INPUTS` stand for, the first input the lowest.
pub(crate) fn scalars<const INPUTS: u32>(context: &mut ShapeContext<'_>) -> Result<()> {
    let count = context.inputs().len().min(32);
    (0..count)
        .filter(|index| INPUTS >> index & 1 == 1)
        .try_for_each(|index| must_be_scalar(context, index))?;
    scalar(context)
}

/// The components of an element, whose shapes the attribute `output_shapes` lists.
pub(crate) fn components(context: &mut ShapeContext<'_>) -> Result<()> {
    let shapes = context.attr("output_shapes").and_then(AttrValue::as_shapes).unwrap_or_default();
    if shapes.len() != context.outputs() {
        let text = format!("{} shapes for {} components", shapes.len(), context.outputs());
        return Err(Error::value(text));
    }
    shapes.into_iter().enumerate().for_each(|(index, shape)| context.set(index, shape));
    Ok(())
}
