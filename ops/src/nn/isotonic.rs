//! Isotonic regression: the nearest sequence that does not rise.

use crate::array::constants::ones_like;
use crate::array::gathering::gather;
use crate::array::shaping::{expand_dims, reshape, shape};
use crate::array::slicing::{Index, strided_slice};
use crate::array::{constant, range};
use crate::gradients::broadcasting::shape_of;
use crate::library::op_defs;
use crate::math::{add, cast, div_no_nan, mul, reduce_prod, unsorted_segment_sum};
use session_core::{AsOutput, DType, OpDef, Operation, Output, Result, ShapeContext};

op_defs! {
    ISOTONIC_REGRESSION: OpDef::new("IsotonicRegression", "input: T -> output: output_dtype, segments: int32")
        .attrs("T: realnumbertype, output_dtype: floattype = float")
        .shape(regression_shape)
        .gradient(regression_gradient);
}

fn regression_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = context.input(0);
    context.set(0, shape.clone());
    context.set(1, shape);
    Ok(())
}

/// Each element of a segment is the mean of its inputs, so each input has the mean of the gradients of its segment.
fn regression_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    // Whole numbers carry no gradient.
    let Some(grad) = grads[0].as_ref().filter(|_| op.input(0).dtype().is_floating()) else {
        return Ok(vec![None]);
    };
    if op.input(0).shape().rank() == Some(0) {
        return Ok(vec![Some(cast(grad, op.input(0).dtype()))]);
    }
    let graph = grad.graph();
    // Rows one behind the other, each with segments of its own.
    let sizes = shape(grad);
    // A segment has one value, the mean of its members, so that each member has the
    // mean of the segment's gradients.
    let width = strided_slice(&sizes, &[Index::At(-1)]);
    let rows = reduce_prod(strided_slice(&sizes, &[Index::from(..-1)]), ..);
    let starts = mul(range(constant(&graph, 0i32), &rows, constant(&graph, 1i32)), &width);
    let by_row = crate::array::stack(&[rows.clone(), width.clone()], 0);
    let segments = reshape(add(reshape(op.output(1), by_row), expand_dims(starts, 1)), [-1]);
    let flat = reshape(grad, [-1]);
    let count = mul(rows, width);
    let sum = unsorted_segment_sum(&flat, &segments, &count);
    let members = unsorted_segment_sum(ones_like(&flat), &segments, &count);
    let means = gather(div_no_nan(sum, members), segments);
    Ok(vec![Some(cast(reshape(means, shape_of(&op.input(0))), op.input(0).dtype()))])
}

/// Returns the sequences nearest to those along the last axis, by the sum of squared distances, of all that do not rise, and the number of
/// the segment of equal elements that each element belongs to, an `int32`.
///
/// The results are `float64` for `float64` and integers, otherwise of the dtype of the input.
///
/// ```
/// use ops::{array::constant, nn};
/// let graph = session_core::Graph::new();
/// let (nearest, segments) = nn::isotonic_regression(constant(&graph, [3f32, 1.0, 2.0])); // [3, 1.5, 1.5] and [0, 1, 1]
/// assert_eq!((nearest.shape().to_string(), segments.shape().to_string()), ("[3]".into(), "[3]".into()));
/// ```
#[must_use]
#[track_caller]
pub fn isotonic_regression(inputs: impl AsOutput) -> (Output, Output) {
    let inputs = inputs.as_output();
    // Means of whole numbers need not be whole.
    let dtype = if inputs.dtype().is_floating() { inputs.dtype() } else { DType::Float64 };
    let made = inputs.graph().op(&ISOTONIC_REGRESSION).input(inputs).attr("output_dtype", dtype).finish();
    (made.output(0), made.output(1))
}

/// Works as [`isotonic_regression`], for sequences that do not fall: TensorFlow's `decreasing=False`.
///
/// ```
/// use ops::{array::constant, nn};
/// let graph = session_core::Graph::new();
/// let (nearest, _) = nn::isotonic_regression_increasing(constant(&graph, [3f32, 1.0, 2.0])); // [2, 2, 2]
/// assert_eq!(nearest.shape().to_string(), "[3]");
/// ```
#[must_use]
#[track_caller]
pub fn isotonic_regression_increasing(inputs: impl AsOutput) -> (Output, Output) {
    // Negated, a rising sequence falls.
    let (found, segments) = isotonic_regression(crate::math::neg(inputs));
    (crate::math::neg(found), segments)
}
