//! Searches for elements: positions, unique values, differences of sets.

use super::gathering::gather;
use super::joining::concat;
use super::shaping::{reshape, shape, squeeze};
use super::slicing::{Index, strided_slice};
use crate::composite::Composite;
use crate::library::op_defs;
use crate::shapes;
use session_core::{AsOutput, Error, OpDef, Output, PartialShape, Result, ShapeContext};
use tensor::DType;

op_defs! {
    WHERE: OpDef::new("Where", "input: T -> index: int64")
        .attrs(
            "T: {float, double, int32, uint8, int16, int8, complex64, int64, bfloat16, uint16, complex128, half, uint32, \
             uint64, bool} = bool",
        )
        .shape(where_shape)
        .not_differentiable();
    UNIQUE: OpDef::new("Unique", "x: T -> y: T, idx: out_idx")
        .attrs("T: type, out_idx: indextype = int32")
        .shape(unique_shape);
    UNIQUE_V2: OpDef::new("UniqueV2", "x: T, axis: Taxis -> y: T, idx: out_idx")
        .attrs("T: type, Taxis: indextype = int64, out_idx: indextype = int32")
        .shape(unique_v2_shape);
    UNIQUE_WITH_COUNTS: OpDef::new("UniqueWithCounts", "x: T -> y: T, idx: out_idx, count: out_idx")
        .attrs("T: type, out_idx: indextype = int32")
        .shape(unique_shape);
    UNIQUE_WITH_COUNTS_V2: OpDef::new("UniqueWithCountsV2", "x: T, axis: Taxis -> y: T, idx: out_idx, count: out_idx")
        .attrs("T: type, Taxis: indextype = int64, out_idx: indextype = int32")
        .shape(unique_v2_shape);
    UNRAVEL_INDEX: OpDef::new("UnravelIndex", "indices: Tidx, dims: Tidx -> output: Tidx")
        .attrs("Tidx: indextype = int32")
        .shape(unravel_index_shape)
        .not_differentiable();
    LIST_DIFF: OpDef::new("ListDiff", "x: T, y: T -> out: T, idx: out_idx")
        .attrs("T: type, out_idx: indextype = int32")
        .shape(list_diff_shape);
    LOWER_BOUND: bound("LowerBound");
    UPPER_BOUND: bound("UpperBound");
}

const fn bound(name: &'static str) -> OpDef {
    OpDef::new(name, "sorted_inputs: T, values: T -> output: out_type")
        .attrs("T: type, out_type: indextype = int32")
        .shape(bound_shape)
        .not_differentiable()
}

/// Infers the shape of the result.
fn where_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let rank = context.input(0).rank();
    context.set(0, PartialShape::from([None, rank]));
    Ok(())
}

/// Infers the shape of the result.
fn unique_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let x = context.input_of_rank(0, 1)?;
    // How many values differ is known only in the run.
    let distinct = PartialShape::of_rank(1);
    context.set(0, distinct.clone());
    context.set(1, x);
    context.set(2, distinct);
    Ok(())
}

/// Infers the shape of the result.
fn unique_v2_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (x, axes) = (context.input(0), context.input_of_rank(1, 1)?);
    context.set(1, PartialShape::of_rank(1));
    if context.outputs() > 2 {
        context.set(2, PartialShape::of_rank(1));
    }
    let Some(rank) = x.rank() else { return Ok(()) };
    let axis = match (axes.dim(0), shapes::ints(context, 1).as_deref()) {
        // No axis at all stands for the only one.
        (Some(0), _) if rank == 1 => Some(0),
        (_, Some(&[axis])) => Some(shapes::axis_index(axis, rank)?),
        (_, Some(axes)) => return Err(Error::value(format!("{axes:?} is not one axis of shape {x}"))),
        _ => None,
    };
    context.set(0, axis.map_or_else(|| PartialShape::of_rank(rank), |axis| x.with_dim(axis, None)));
    context.set(1, PartialShape::from([axis.and_then(|axis| x.dim(axis))]));
    Ok(())
}

/// Infers the shape of the result.
fn unravel_index_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (places, sizes) = (context.input(0), context.input_of_rank(1, 1)?);
    match places.rank() {
        Some(rank @ 2..) => {
            return Err(Error::value(format!(
                "the indices must be a scalar or a vector, not of rank {rank}"
            )));
        }
        // A column of coordinates for each index.
        Some(_) => context.set(0, PartialShape::from([sizes.dim(0)]).concat(&places)),
        None => {}
    }
    Ok(())
}

/// Infers the shape of the result.
fn list_diff_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    context.input_of_rank(0, 1)?;
    context.input_of_rank(1, 1)?;
    context.set(0, PartialShape::of_rank(1));
    context.set(1, PartialShape::of_rank(1));
    Ok(())
}

/// Infers the shape of the result.
fn bound_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (sorted, values) = (context.input_of_rank(0, 2)?, context.input_of_rank(1, 2)?);
    shapes::merge_dims("the rows of sorted_inputs and of values", sorted.dim(0), values.dim(0))?;
    // One place for each value, whatever was searched.
    context.set(0, values);
    Ok(())
}

/// Returns the places of all elements that are true or not zero, one row of indices (`int64`) for each.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let c = array::zeros(&graph, DType::Bool, [2, 3]);
/// assert_eq!(array::where_true(&c).shape().to_string(), "[?,2]");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
#[track_caller]
pub fn where_true(input: impl AsOutput) -> Output {
    input.as_output().graph().op(&WHERE).input(input).finish_output()
}

/// Returns the distinct elements of a vector in the order of their first appearance, and for each element the number of its
/// equal among them.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [5]);
/// assert_eq!(array::unique(&x).1.shape().to_string(), "[5]");
/// ```
#[must_use]
#[track_caller]
pub fn unique(x: impl AsOutput) -> (Output, Output) {
    let operation = x.as_output().graph().op(&UNIQUE).input(x).finish();
    (operation.output(0), operation.output(1))
}

/// Works as [`unique`], and how often each distinct element appears.
///
/// ```
/// # use ops::array::{self, constant};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let (values, positions, counts) = array::unique_with_counts(constant(&graph, [4, 7, 4])); // [4, 7], [0, 1, 0], [2, 1]
/// assert_eq!((values.dtype(), positions.dtype(), counts.dtype()), (DType::Int32, DType::Int32, DType::Int32));
/// ```
#[must_use]
#[track_caller]
pub fn unique_with_counts(x: impl AsOutput) -> (Output, Output, Output) {
    let operation = x.as_output().graph().op(&UNIQUE_WITH_COUNTS).input(x).finish();
    (operation.output(0), operation.output(1), operation.output(2))
}

/// Returns the elements of the vector `x` that are not in the vector `y`, and their places in `x`.
///
/// ```
/// # use ops::array::{self, constant};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let (x, y) = (constant(&graph, [1, 2, 3, 4]), constant(&graph, [2, 4]));
/// let (rest, positions) = array::setdiff1d(&x, &y); // [1, 3] and [0, 2]
/// assert_eq!((rest.dtype(), positions.dtype()), (DType::Int32, DType::Int32));
/// ```
#[must_use]
#[track_caller]
pub fn setdiff1d(x: impl AsOutput, y: impl AsOutput) -> (Output, Output) {
    let operation = x.as_output().graph().op(&LIST_DIFF).input(x).input(y).finish();
    (operation.output(0), operation.output(1))
}

/// Returns the entries of `tensor` where `mask`, whose shape its shape begins with, is true; they lie along one axis.
///
/// ```
/// # use ops::array::{self, constant};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let x = constant(&graph, [[1, 2], [3, 4], [5, 6]]);
/// let kept = array::boolean_mask(&x, constant(&graph, [true, false, true])); // [[1, 2], [5, 6]]
/// assert_eq!(kept.shape().to_string(), "[?,2]");
/// ```
#[must_use]
#[track_caller]
pub fn boolean_mask(tensor: impl AsOutput, mask: impl AsOutput) -> Output {
    let scope = Composite::new(&tensor.as_output().graph(), "boolean_mask");
    let (tensor, mask) = (scope.enter(tensor), scope.enter(mask));
    let Some(axes) = mask.shape().rank().filter(|&axes| axes > 0) else {
        let text = format!("the mask must have a known rank of at least 1, not shape {}", mask.shape());
        scope.graph().add_error(Error::value(text));
        return scope.leave(tensor);
    };
    let flat_mask = if axes == 1 { mask.clone() } else { reshape(&mask, [-1]) };
    // Positions come as a matrix, with a column for each axis of the mask: here one.
    let places = squeeze(where_true(flat_mask), [1]);
    let rows = if axes == 1 { tensor } else { joined_axes(&tensor, axes) };
    scope.leave(gather(rows, places))
}

/// Returns the first axes joined into one.
fn joined_axes(tensor: &Output, axes: usize) -> Output {
    // Sizes of the axes behind those of the mask; the first size, -1, is worked out in the run.
    let rest = tensor.shape().rank().map(|rank| tensor.shape().range(axes, rank));
    if let Some(rest) = rest.and_then(|rest| rest.to_shape()) {
        let sizes =
            std::iter::once(-1).chain(rest.iter().map(|&size| i64::try_from(size).unwrap_or(i64::MAX)));
        return reshape(tensor, sizes.collect::<Vec<i64>>());
    }
    let axes = i64::try_from(axes).unwrap_or(i64::MAX);
    let rest = strided_slice(shape(tensor), &[Index::from(axes..)]);
    let open = super::constants::constant(&tensor.graph(), [-1i32]);
    reshape(tensor, concat(&[open, rest], 0))
}

/// The position of a value among equal values, for [`searchsorted`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    /// The place before all equal elements.
    #[default]
    Left,
    /// The place after all equal elements.
    Right,
}

/// Returns, for each value, the position in the same row of `sorted` at which it would be inserted, an `int32`. Both
/// arguments are matrices with the same number of rows.
///
/// ```
/// use ops::array::{Side, constant, searchsorted};
/// use session_core::Graph;
/// let graph = Graph::new();
/// let sorted = constant(&graph, [[1.0f32, 2.0, 2.0, 3.0]]);
/// // 2 would be inserted at 1, or after its equals at 3.
/// let positions = searchsorted(&sorted, constant(&graph, [[2.0f32, 5.0]]), Side::Right);
/// assert_eq!(positions.shape().to_string(), "[1,2]");
/// ```
#[must_use]
#[track_caller]
pub fn searchsorted(sorted: impl AsOutput, values: impl AsOutput, side: Side) -> Output {
    let def: &'static OpDef = match side {
        Side::Left => &LOWER_BOUND,
        Side::Right => &UPPER_BOUND,
    };
    let builder = sorted.as_output().graph().op(def).default_name("searchsorted").input(sorted).input(values);
    builder.attr("out_type", DType::Int32).finish_output()
}
