//! Operations that only graphs of TensorFlow's first releases have, such as the first published Inception.
//!
//! They have definitions, so that imported graphs run, and no constructors.

use super::ranking::top_k_gradient;
use crate::array::constants::{scalar_like, zeros_like};
use crate::library::op_defs;
use crate::math::{add, mul, neg, reduce_sum, rsqrt, sub};
use crate::shapes::{self, int_attr};
use session_core::{AttrValue, Error, OpDef, Operation, Output, PartialShape, Result, ShapeContext};

op_defs! {
    BATCH_NORM: OpDef::new(
            "BatchNormWithGlobalNormalization",
            "t: T, m: T, v: T, beta: T, gamma: T -> result: T",
        )
        .attrs("T: numbertype, variance_epsilon: float, scale_after_normalization: bool")
        .shape(normalized)
        .gradient(normalized_gradient);
    TOP_K: OpDef::new("TopK", "input: T -> values: T, indices: int32")
        .attrs("k: int >= 0, sorted: bool = true, T: realnumbertype")
        .shape(largest)
        .gradient(top_k_gradient);
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

/// Returns the gradients of all inputs; `gamma` is not read, and has zeros, where the operation does not scale.
fn normalized_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 5]) };
    let [t, m, v, _, gamma] = [0, 1, 2, 3, 4].map(|index| op.input(index));
    let epsilon = op.attr("variance_epsilon").and_then(AttrValue::as_float).unwrap_or(0.0);
    let scales = op.attr("scale_after_normalization").and_then(AttrValue::as_bool).unwrap_or(false);
    let root = rsqrt(add(&v, scalar_like(&v, f64::from(epsilon))));
    let centered = sub(t, m);
    let over_pixels = |x: Output| reduce_sum(x, [0, 1, 2]);
    let scaled = if scales { mul(grad, &gamma) } else { grad.clone() };
    let of_t = mul(&scaled, &root);
    let cube = mul(&root, mul(&root, &root));
    let of_v = mul(over_pixels(mul(&scaled, &centered)), mul(cube, scalar_like(&v, -0.5)));
    let of_gamma = match scales {
        true => mul(over_pixels(mul(grad, &centered)), &root),
        false => zeros_like(&gamma),
    };
    Ok(vec![
        Some(of_t.clone()),
        Some(neg(over_pixels(of_t))),
        Some(of_v),
        Some(over_pixels(grad.clone())),
        Some(of_gamma),
    ])
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
