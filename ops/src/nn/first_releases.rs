//! Operations that only graphs of TensorFlow's first releases have, such as the first published Inception.
//!
//! They have definitions, so that imported graphs run, and no constructors.

use crate::library::op_defs;
use crate::shapes::{self, int_attr};
use session_core::{Error, OpDef, PartialShape, Result, ShapeContext};

op_defs! {
    BATCH_NORM: OpDef::new(
            "BatchNormWithGlobalNormalization",
            "t: T, m: T, v: T, beta: T, gamma: T -> result: T",
        )
        .attrs("T: numbertype, variance_epsilon: float, scale_after_normalization: bool")
        .shape(normalized);
    TOP_K: OpDef::new("TopK", "input: T -> values: T, indices: int32")
        .attrs("k: int >= 0, sorted: bool = true, T: realnumbertype")
        .shape(largest);
}

fn normalized(context: &mut ShapeContext<'_>) -> Result<()> {
    let input = context.input_of_rank(0, 4)?;
    let mut channels = input.dim(3);
    for moments in 1..5 {
        channels = shapes::merge_dims("channels", channels, context.input_of_rank(moments, 1)?.dim(0))?;
    }
    context.set(0, PartialShape::from([input.dim(0), input.dim(1), input.dim(2), channels]));
    Ok(())
}

fn largest(context: &mut ShapeContext<'_>) -> Result<()> {
    let (input, k) = (shapes::at_least_rank(context, 0, 1)?, int_attr(context, "k")?);
    let Some(rank) = input.rank() else { return Ok(()) };
    let k = usize::try_from(k).map_err(|_| Error::value(format!("k must not be negative: {k}")))?;
    if input.dim(rank - 1).is_some_and(|columns| columns < k) {
        return Err(Error::value(format!("input of shape {input} must have last dimension >= k = {k}")));
    }
    let shape = input.range(0, rank - 1).concat(&PartialShape::from([k]));
    context.set(0, shape.clone());
    context.set(1, shape);
    Ok(())
}
