//! The largest elements, and whether a prediction is among them.

use crate::arguments::Ints;
use crate::array::constants::{range, scalar_like};
use crate::array::gathering::scatter_nd;
use crate::array::shaping::{expand_dims, reshape, shape};
use crate::array::slicing::{Index, strided_slice};
use crate::gradients::broadcasting::shape_of;
use crate::keep_dims;
use crate::library::op_defs;
use crate::math::binary::{add, mul, real_div};
use crate::math::cast::cast;
use crate::math::compare::equal;
use crate::math::reduce::{reduce_prod, reduce_sum};
use crate::shapes;
use session_core::{AsOutput, Error, OpDef, Operation, Output, PartialShape, Result, ShapeContext};
use tensor::DType;

op_defs! {
    TOP_K_V2: OpDef::new("TopKV2", "input: T, k: Tk -> values: T, indices: index_type")
        .attrs(
            "sorted: bool = true, T: realnumbertype, Tk: {int16, int32, int64} = int32, \
             index_type: {int16, int32, int64} = int32",
        )
        .shape(top_k_v2_shape)
        .gradient(top_k_gradient);
    IN_TOP_K: OpDef::new("InTopK", "predictions: float, targets: T -> precision: bool")
        .attrs("k: int32, T: indextype = int32")
        .shape(in_top_k_shape)
        .not_differentiable();
    IN_TOP_K_V2: OpDef::new("InTopKV2", "predictions: float, targets: T, k: T -> precision: bool")
        .attrs("T: indextype = int32")
        .shape(in_top_k_shape)
        .not_differentiable();
    NTH_ELEMENT: OpDef::new("NthElement", "input: T, n: int32 -> values: T")
        .attrs("reverse: bool = false, T: realnumbertype")
        .shape(nth_element_shape)
        .gradient(nth_element_gradient);
}

fn top_k_v2_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    shapes::must_be_scalar(context, 1)?;
    let k = shapes::int(context, 1);
    largest(context, k)
}

fn largest(context: &mut ShapeContext<'_>, k: Option<i64>) -> Result<()> {
    let input = shapes::at_least_rank(context, 0, 1)?;
    // A number unknown while building is checked by the kernel.
    let k = k.map(|k| usize::try_from(k).map_err(|_| Error::value(format!("k must not be negative ({k})"))));
    let k = k.transpose()?;
    let Some(rank) = input.rank() else { return Ok(()) };
    if let (Some(k), Some(size)) = (k, input.dim(rank - 1))
        && size < k
    {
        return Err(Error::value(format!("the last axis of shape {input} has fewer than {k} elements")));
    }
    let shape = input.with_dim(rank - 1, k);
    context.set(0, shape.clone());
    context.set(1, shape);
    Ok(())
}

fn in_top_k_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (predictions, targets) = (context.input_of_rank(0, 2)?, context.input_of_rank(1, 1)?);
    let rows =
        shapes::merge_dims("the rows of predictions and the targets", predictions.dim(0), targets.dim(0))?;
    context.set(0, PartialShape::from([rows]));
    Ok(())
}

fn nth_element_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    shapes::must_be_scalar(context, 1)?;
    let input = shapes::at_least_rank(context, 0, 1)?;
    let shape = input.rank().map_or_else(PartialShape::unknown, |rank| input.range(0, rank - 1));
    context.set(0, shape);
    Ok(())
}

/// Builds the gradient, which goes to the element that was found; equal elements share it.
fn nth_element_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None, None]) };
    let found = equal(expand_dims(op.output(0), -1), op.input(0));
    let found = cast(found, grad.dtype());
    // Elements equal to the one found share its gradient equally, as none of them is preferred.
    let share = real_div(&found, reduce_sum(&found, keep_dims(-1)));
    Ok(vec![Some(mul(share, expand_dims(grad, -1))), None])
}

/// Builds the gradient of either version: it goes back to the elements that were taken, through a flat tensor in which each
/// has one number.
pub(super) fn top_k_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let mut result = vec![None; op.num_inputs()];
    let Some(grad) = &grads[0] else { return Ok(result) };
    let (input, indices) = (op.input(0), cast(op.output(1), DType::Int32));
    let sizes = shape(&input);
    let last = strided_slice(&sizes, &[Index::At(-1)]);
    let count = reduce_prod(&sizes, ..);
    let k = strided_slice(shape(&indices), &[Index::At(-1)]);
    // One row per list of elements, whatever the axes before the last.
    let rows = reshape(&indices, crate::array::joining::stack(&[scalar_like(&k, -1.0), k], 0));
    // The place of each row's first element in the flattened input; what was not found gets a
    // gradient of 0 from the scattering.
    let starts = range(scalar_like(&count, 0.0), &count, &last);
    let numbers = reshape(add(rows, expand_dims(starts, -1)), [-1]);
    let flat = scatter_nd(expand_dims(numbers, -1), reshape(grad, [-1]), reshape(count, [1]));
    result[0] = Some(reshape(flat, shape_of(&input)));
    Ok(result)
}

/// Returns the `k` largest elements along the last axis, largest first, and their places.
///
/// ```
/// use ops::{array, nn};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 10]);
/// assert_eq!(nn::top_k(&x, 3).0.shape().to_string(), "[2,3]");
/// ```
#[must_use]
#[track_caller]
pub fn top_k(input: impl AsOutput, k: impl Into<Ints>) -> (Output, Output) {
    let operation = k.into().input_of(input.as_output().graph().op(&TOP_K_V2).input(input)).finish();
    (operation.output(0), operation.output(1))
}

/// Returns true where the class `targets[i]` is among the `k` largest of row `i` of `predictions` (`float32`).
///
/// ```
/// use ops::{array, nn};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 10]);
/// let i = array::zeros(&graph, DType::Int64, [2]);
/// assert_eq!(nn::in_top_k(&x, &i, 3).shape().to_string(), "[2]");
/// ```
#[must_use]
#[track_caller]
pub fn in_top_k(predictions: impl AsOutput, targets: impl AsOutput, k: i64) -> Output {
    let wide = targets.as_output().dtype() == DType::Int64;
    let builder =
        predictions.as_output().graph().op(&IN_TOP_K_V2).default_name("in_top_k").input(predictions);
    let builder = builder.input(targets);
    // Both inputs have one dtype, that of the targets.
    match i32::try_from(k) {
        Ok(k) if !wide => builder.constant(k).finish_output(),
        _ => builder.constant(k).finish_output(),
    }
}
