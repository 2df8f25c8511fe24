//! Choice between elements.

use super::binary::{maximum, minimum};
use super::compare::{greater, less, logical_or};
use crate::array::constants::scalar_like;
use crate::composite::Composite;
use crate::gradients::broadcasting::{spread_scalar, sum_to_input};
use crate::library::op_defs;
use crate::shapes::{self, broadcast};
use session_core::{AsOutput, Error, OpDef, Operation, Output, Result, ShapeContext};

op_defs! {
    SELECT: OpDef::new("Select", "condition: bool, t: T, e: T -> output: T")
        .attrs("T: type")
        .shape(select_shape)
        .gradient(select_gradient);
    SELECT_V2: OpDef::new("SelectV2", "condition: bool, t: T, e: T -> output: T")
        .attrs("T: type")
        .shape(broadcast)
        .gradient(select_v2_gradient);
    CLIP_BY_VALUE: OpDef::new("ClipByValue", "t: T, clip_value_min: T, clip_value_max: T -> output: T")
        .attrs("T: numbertype")
        .shape(clip_shape)
        .gradient(clip_gradient);
}

fn select_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let values = shapes::merge(&context.input(1), &context.input(2))?;
    let condition = context.input(0);
    let fits = match (condition.rank(), values.rank()) {
        (None, _) | (_, None) | (Some(0), _) => true,
        // A vector chooses between rows.
        (Some(1), Some(rank)) if rank > 1 => condition.range(0, 1).merge(&values.range(0, 1)).is_some(),
        _ => condition.merge(&values).is_some(),
    };
    if !fits {
        let text = format!("the condition's shape {condition} fits neither the shape {values} nor its rows");
        return Err(Error::value(text));
    }
    context.set(0, values);
    Ok(())
}

fn clip_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = context.input(0);
    for limit in [context.input(1), context.input(2)] {
        if limit.rank() != Some(0) && shapes::broadcast_shapes(&shape, &limit)?.rank() != shape.rank() {
            return Err(Error::value(format!("a limit of shape {limit} does not fit the shape {shape}")));
        }
    }
    context.set(0, shape);
    Ok(())
}

fn select_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 3]) };
    let condition = op.input(0);
    let zero = crate::array::constants::zeros_like(op.input(1));
    Ok(vec![None, Some(select_rows(&condition, grad, &zero)), Some(select_rows(&condition, &zero, grad))])
}

fn select_v2_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 3]) };
    let (condition, t, e) = (op.input(0), op.input(1), op.input(2));
    // Where the condition alone has the result's shape, a gradient that is one number need not be spread out.
    let whole = condition.shape().is_fully_known() && condition.shape() == grad.shape();
    let number = spread_scalar(grad).filter(|_| whole);
    let (grad, zero) = (number.as_ref().unwrap_or(grad), scalar_like(grad, 0.0));
    let (of_t, of_e) = (select(&condition, grad, &zero), select(&condition, &zero, grad));
    Ok(vec![
        None,
        Some(sum_to_input(&of_t, &t, &[&condition, &e])),
        Some(sum_to_input(&of_e, &e, &[&condition, &t])),
    ])
}

fn clip_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 3]) };
    let (x, low, high) = (op.input(0), op.input(1), op.input(2));
    let (below, above) = (less(&x, &low), greater(&x, &high));
    let zero = scalar_like(grad, 0.0);
    Ok(vec![
        Some(select(logical_or(&below, &above), &zero, grad)),
        Some(sum_to_input(&select(&below, grad, &zero), &low, &[&x])),
        Some(sum_to_input(&select(&above, grad, &zero), &high, &[&x])),
    ])
}

/// Returns the elements of `t` where the condition is true and those of `e` elsewhere, with broadcasting.
///
/// ```
/// use ops::{array, math};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let c = array::zeros(&graph, DType::Bool, [2]);
/// let x = array::zeros(&graph, DType::Float32, [2]);
/// let y = array::zeros(&graph, DType::Float32, [2]);
/// assert_eq!(math::select(&c, &x, &y).shape().to_string(), "[2]");
/// ```
#[must_use]
#[track_caller]
pub fn select(condition: impl AsOutput, t: impl AsOutput, e: impl AsOutput) -> Output {
    let builder = condition.as_output().graph().op(&SELECT_V2);
    builder.input(condition).input(t).input(e).finish_output()
}

/// Works as [`select`] without broadcasting: `t` and `e` have one shape, and a condition that is a vector chooses
/// between their rows.
///
/// ```
/// # use ops::{array::constant, math};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let (t, e) = (constant(&graph, [[1, 2], [3, 4]]), constant(&graph, [[5, 6], [7, 8]]));
/// let y = math::select_rows(constant(&graph, [true, false]), &t, &e); // [[1, 2], [7, 8]]
/// assert_eq!(y.shape().to_string(), "[2,2]");
/// ```
#[must_use]
#[track_caller]
pub fn select_rows(condition: impl AsOutput, t: impl AsOutput, e: impl AsOutput) -> Output {
    let builder = condition.as_output().graph().op(&SELECT);
    builder.input(condition).input(t).input(e).finish_output()
}

/// Returns each element, or the limit that it exceeds. The limits are broadcast.
///
/// ```
/// # use ops::{array::constant, math};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let x = constant(&graph, [-2.0f32, 0.5, 9.0]);
/// let y = math::clip_by_value(&x, constant(&graph, 0.0f32), constant(&graph, 1.0f32)); // [0.0, 0.5, 1.0]
/// assert_eq!(y.shape().to_string(), "[3]");
/// ```
#[must_use]
#[track_caller]
pub fn clip_by_value(t: impl AsOutput, low: impl AsOutput, high: impl AsOutput) -> Output {
    let scope = Composite::new(&t.as_output().graph(), "clip_by_value");
    let below = minimum(scope.enter(t), high);
    scope.leave(maximum(scope.enter_last(below), low))
}
