//! Gradients through broadcasting: sums over the axes along which an input was repeated, and gradients that are
//! one number everywhere.

use crate::arguments::Ints;
use crate::array::shaping::{BROADCAST_GRADIENT_ARGS, broadcast_to, reshape, shape};
use crate::keep_dims;
use crate::math::reduce::reduce_sum;
use crate::shapes::broadcast_shapes;
use session_core::{Output, PartialShape};

/// Returns a tensor's shape as an argument: numbers when they are known, otherwise computed.
pub(crate) fn shape_of(tensor: &Output) -> Ints {
    match tensor.shape().to_shape() {
        Some(known) => Ints::from(known),
        None => Ints::from(shape(tensor)),
    }
}

/// Returns the gradient of an input that was broadcast against `others` (none when it was broadcast to a shape), from
/// the gradient of the result. Costs nothing where the static shapes prove that nothing was repeated.
pub(crate) fn sum_to_input(grad: &Output, input: &Output, others: &[&Output]) -> Output {
    match repeated_axes(grad.shape(), input.shape(), others) {
        Some((axes, rank)) => sum_over(grad, input, &axes, rank),
        None => sum_over_computed(grad, input),
    }
}

/// Returns the axes of the result along which the input was, or may harmlessly be taken to be, repeated, and the rank of the
/// result that they count in; `None` when the static shapes leave that open.
///
/// Axes are matched from the last one, as in broadcasting. For an input `[1, ?]`, a result `[2, 3, 4]` and no
/// `others`, the answer is `None`: the input's last size may be 1 or 4.
fn repeated_axes(
    result: &PartialShape,
    input: &PartialShape,
    others: &[&Output],
) -> Option<(Vec<usize>, usize)> {
    // The inputs may tell more of the result's shape than its gradient does.
    let whole = match others {
        [] => PartialShape::unknown(),
        _ => others
            .iter()
            .try_fold(input.clone(), |shape, other| broadcast_shapes(&shape, other.shape()))
            .ok()?,
    };
    let (rank, own_rank) = (result.rank().or(whole.rank())?, input.rank()?);
    let size_of_result = |back: usize| result.dim_from_end(back).or_else(|| whole.dim_from_end(back));
    let mut axes = Vec::new();
    for back in (0..rank).rev() {
        // The order of the arms matters: an axis that the input lacks is always summed, whatever its size.
        let repeated = match (input.dim_from_end(back), size_of_result(back)) {
            _ if back >= own_rank => true,
            (Some(1), Some(1)) => false,
            // A sum over an axis that turns out to have size 1 changes nothing.
            (Some(1), _) => true,
            (Some(_), _) | (None, Some(1)) => false,
            // The unknown size cannot have been repeated: with all others 1, the
            // result's size is the input's.
            (None, _) if !others.is_empty() && others.iter().all(|other| is_one(other.shape(), back)) => {
                false
            }
            (None, _) => return None,
        };
        if repeated {
            axes.push(rank - 1 - back);
        }
    }
    Some((axes, rank))
}

/// Returns true if the size is 1, counted from the last axis, or the axis does not exist.
fn is_one(shape: &PartialShape, back: usize) -> bool {
    shape.rank().is_some_and(|rank| back >= rank) || shape.dim_from_end(back) == Some(1)
}

/// Sums `grad`, of a rank that its static shape may not tell, over `axes` and returns it with the shape of `input`. `axes`
/// are the leading axes that `input` lacks, and those where its size is 1.
fn sum_over(grad: &Output, input: &Output, axes: &[usize], rank: usize) -> Output {
    if axes.is_empty() {
        return grad.clone();
    }
    let own_rank = input.shape().rank().unwrap_or(0);
    let added = rank.saturating_sub(own_rank);
    // A gradient of unknown rank has a sum of unknown rank, to which the input's shape has to be given back.
    let ranked = grad.shape().rank().is_some();
    // Equal ranks: keeping the summed axes gives the input's shape without a reshape.
    if added == 0 && ranked {
        return reduce_sum(grad, keep_dims(axes));
    }
    let sum = reduce_sum(grad, axes);
    // If only leading axes were summed, the rank is right already; otherwise the axes
    // of size 1 have to come back.
    let complete = ranked && axes.iter().all(|&axis| axis < added);
    if complete { sum } else { reshape(&sum, shape_of(input)) }
}

/// Works as [`sum_over`] where the shapes are only known at run time: `BroadcastGradientArgs` computes the
/// axes from the shapes of input and gradient.
fn sum_over_computed(grad: &Output, input: &Output) -> Output {
    let input_shape = shape(input);
    let builder = grad.graph().op(&BROADCAST_GRADIENT_ARGS).input(&input_shape).input(shape(grad));
    let axes = builder.finish_output();
    reshape(reduce_sum(grad, &axes), &input_shape)
}

/// Returns the value of a gradient as a scalar if the graph shows that all its elements are equal.
pub(crate) fn spread_scalar(grad: &Output) -> Option<Output> {
    // The gradient of `reduce_sum` and the default gradient of a result consist of these two; a longer
    // search would rarely find more.
    let op = grad.operation();
    let source = match op.op_type() {
        "BroadcastTo" => op.input(0),
        "Fill" => op.input(1),
        _ => return None,
    };
    (source.shape().rank() == Some(0)).then(|| source.within(&grad.graph()))
}

/// Returns a gradient times a factor that has its shape. One that is a number everywhere is not spread out first.
pub(crate) fn scaled(grad: &Output, factor: &Output) -> Output {
    crate::math::mul(spread_scalar(grad).as_ref().unwrap_or(grad), factor)
}

/// Returns a gradient under another shape with as many elements.
pub(crate) fn reshaped(grad: &Output, like: &Output) -> Output {
    match spread_scalar(grad) {
        Some(number) => broadcast_to(number, shape_of(like)),
        None => reshape(grad, shape_of(like)),
    }
}
