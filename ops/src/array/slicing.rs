//! Parts of tensors.

use super::constants::scalar_like;
use super::joining::concat;
use super::padding::pad;
use super::shaping::{expand_dims, reshape, shape};
use crate::arguments::{Ints, matrix};
use crate::gradients::broadcasting::{shape_of, sum_to_input};
use crate::library::op_defs;
use crate::math::binary::sub;
use crate::shapes::{self, shape_from};
use crate::static_value;
use session_core::{
    AsOutput, AttrValue, Error, OpBuilder, OpDef, Operation, Output, PartialShape, Result, ShapeContext,
};
use tensor::DType;

/// The attributes of operations on a strided part with bounds of 32 or 64 bits.
pub(crate) const SLICE_ATTRS: &str = "T: type, Index: indextype, begin_mask: int32 = 0, end_mask: int32 = 0, \
     ellipsis_mask: int32 = 0, new_axis_mask: int32 = 0, shrink_axis_mask: int32 = 0";

op_defs! {
    SLICE: OpDef::new("Slice", "input: T, begin: Index, size: Index -> output: T")
        .attrs("T: type, Index: indextype")
        .shape(slice_shape)
        .gradient(slice_gradient);
    STRIDED_SLICE: OpDef::new("StridedSlice", "input: T, begin: Index, end: Index, strides: Index -> output: T")
        .attrs(
            "T: type, Index: {int16, int32, int64}, begin_mask: int32 = 0, end_mask: int32 = 0, ellipsis_mask: int32 = 0, \
             new_axis_mask: int32 = 0, shrink_axis_mask: int32 = 0",
        )
        .shape(strided_slice_shape)
        .gradient(strided_slice_gradient);
    STRIDED_SLICE_GRAD: OpDef::new(
        "StridedSliceGrad",
        "shape: Index, begin: Index, end: Index, strides: Index, dy: T -> output: T",
    )
    .attrs(SLICE_ATTRS)
    .shape(strided_slice_grad_shape)
    .gradient(strided_slice_grad_gradient);
    TENSOR_STRIDED_SLICE_UPDATE: OpDef::new(
        "TensorStridedSliceUpdate",
        "input: T, begin: Index, end: Index, strides: Index, value: T -> output: T",
    )
    .attrs(SLICE_ATTRS)
    .shape(shapes::unchanged)
    .gradient(tensor_strided_slice_update_gradient);
}

/// Infers the shape of the result.
fn slice_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let input = context.input(0);
    let (begins, counts) = (context.input_of_rank(1, 1)?, context.input_of_rank(2, 1)?);
    let rank = shapes::merge_ranks("the lengths of begin and size", begins.dim(0), counts.dim(0))?;
    let rank = shapes::merge_ranks("the rank of the input and the length of begin", input.rank(), rank)?;
    let Some(rank) = rank else { return Ok(()) };
    let begin = static_value::partial_ints(&context.inputs()[1]).unwrap_or_else(|| vec![None; rank]);
    let size = static_value::partial_ints(&context.inputs()[2]).unwrap_or_else(|| vec![None; rank]);
    // A value that is computed may turn out to be -1: nothing but constants tell "what remains".
    let whole = shapes::ints(context, 2).is_some();
    let dims = (0..rank).map(|axis| slice_dim(&input, axis, (begin[axis], size[axis]), whole));
    let shape = dims.collect::<Result<PartialShape>>()?;
    context.set(0, shape);
    Ok(())
}

/// Returns the size along one axis of a slice with this begin and size; a size of -1 extends to the end.
fn slice_dim(
    input: &PartialShape,
    axis: usize,
    (begin, size): (Option<i64>, Option<i64>),
    all_known: bool,
) -> Result<Option<usize>> {
    let outside = || {
        let (begin, size) = (begin.unwrap_or(0), size.unwrap_or(-1));
        Error::value(format!("the slice from {begin} of size {size} exceeds axis {axis} of shape {input}"))
    };
    let Some(size) = size else { return Ok(None) };
    let known = begin.map(|begin| usize::try_from(begin).map_err(|_| outside())).transpose()?;
    if size == -1 {
        let Some((begin, whole)) = known.zip(input.dim(axis)) else { return Ok(None) };
        return if all_known { whole.checked_sub(begin).map(Some).ok_or_else(outside) } else { Ok(None) };
    }
    // Sizes below -1 are errors, as in TensorFlow.
    let size = usize::try_from(size).map_err(|_| outside())?;
    let end = known.and_then(|begin| begin.checked_add(size));
    match end.zip(input.dim(axis)) {
        Some((end, whole)) if end > whole => Err(outside()),
        _ => Ok(Some(size)),
    }
}

/// The five masks of a strided slice.
#[derive(Clone, Copy, Debug, Default)]
struct Masks {
    begin: i64,
    end: i64,
    ellipsis: i64,
    new_axis: i64,
    shrink_axis: i64,
}

const MASKS: [&str; 5] = ["begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask"];

impl Masks {
    /// Reads all masks by their names.
    fn read(int: impl Fn(&str) -> i64) -> Masks {
        let [begin, end, ellipsis, new_axis, shrink_axis] = MASKS.map(int);
        Masks { begin, end, ellipsis, new_axis, shrink_axis }
    }

    fn of(op: &Operation) -> Masks {
        Masks::read(|name| op.attr(name).and_then(AttrValue::as_int).unwrap_or(0))
    }

    /// Sets all masks on a builder.
    fn attrs_of(self, builder: OpBuilder) -> OpBuilder {
        let values = [self.begin, self.end, self.ellipsis, self.new_axis, self.shrink_axis];
        MASKS.iter().zip(values).fold(builder, |builder, (name, value)| builder.attr(name, value))
    }
}

/// Returns true if bit `index` is set. More indices than bits cannot have one.
fn bit(mask: i64, index: usize) -> bool {
    index < 63 && mask >> index & 1 == 1
}

/// Infers the shape of the result.
fn strided_slice_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let mut count = None;
    for index in 1..4 {
        let length = context.input_of_rank(index, 1)?.dim(0);
        count = shapes::merge_ranks("the lengths of begin, end and strides", count, length)?;
    }
    let Some(count) = count else { return Ok(()) };
    let masks = Masks::read(|name| shapes::int_attr(context, name).unwrap_or(0));
    if masks.ellipsis.count_ones() > 1 {
        return Err(Error::value("a slice can have one ellipsis only"));
    }
    let values = |index: usize| -> Vec<Option<i64>> {
        static_value::partial_ints(&context.inputs()[index]).unwrap_or_else(|| vec![None; count])
    };
    let input = context.input(0);
    let slices = Slices { input: &input, begin: values(1), end: values(2), strides: values(3), masks };
    let shape = slices.shape()?;
    context.set(0, shape);
    Ok(())
}

/// A strided slice, as far as it is known.
struct Slices<'a> {
    input: &'a PartialShape,
    begin: Vec<Option<i64>>,
    end: Vec<Option<i64>>,
    strides: Vec<Option<i64>>,
    masks: Masks,
}

impl Slices<'_> {
    /// Returns the shape of the slice.
    ///
    /// # Errors
    /// A value error for more indices than axes, a stride of 0, and a single index outside of its axis.
    fn shape(&self) -> Result<PartialShape> {
        let Some(rank) = self.input.rank() else { return Ok(PartialShape::unknown()) };
        let count = self.begin.len();
        let ellipsis = (0..count).find(|&index| bit(self.masks.ellipsis, index));
        // The ellipsis stands for the axes that no other index takes.
        let takes_axis = |index: &usize| Some(*index) != ellipsis && !self.is_new_axis(*index);
        let used = (0..count).filter(takes_axis).count();
        let rest = rank
            .checked_sub(used)
            .ok_or_else(|| Error::value(format!("{used} indices are too many for shape {}", self.input)))?;
        let (mut dims, mut axis) = (Vec::new(), 0);
        for index in 0..count {
            if Some(index) == ellipsis {
                dims.extend((axis..axis + rest).map(|axis| self.input.dim(axis)));
                axis += rest;
            } else if self.is_new_axis(index) {
                dims.push(Some(1));
            } else {
                dims.extend(self.along(index, axis)?);
                axis += 1;
            }
        }
        // Without an ellipsis the axes that are not mentioned come last.
        dims.extend((axis..rank).map(|axis| self.input.dim(axis)));
        Ok(dims.into())
    }

    /// Returns an ellipsis wins over a new axis, and that over a removed one.
    fn is_new_axis(&self, index: usize) -> bool {
        bit(self.masks.new_axis, index) && !bit(self.masks.ellipsis, index)
    }

    /// Returns the size that an axis keeps, or `None` when it is removed.
    fn along(&self, index: usize, axis: usize) -> Result<Option<Option<usize>>> {
        let size = self.input.dim(axis);
        if bit(self.masks.shrink_axis, index) {
            self.check_index(index, axis)?;
            return Ok(None);
        }
        if self.strides[index] == Some(0) {
            return Err(Error::value(format!("the stride along axis {axis} is 0")));
        }
        // An unknown stride may go either way, so not even an upper limit of the size is known.
        let (Some(stride), Some(size)) = (self.strides[index], size) else { return Ok(Some(None)) };
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        let (Some(begin), Some(end)) = (self.start(index, stride, size), self.stop(index, stride, size))
        else {
            return Ok(Some(None));
        };
        // Steps are counted in the direction of the stride; bounds in the other
        // direction give an empty slice.
        let span = if stride > 0 { end - begin } else { begin - end };
        let steps = span.max(0).unsigned_abs().div_ceil(stride.unsigned_abs());
        Ok(Some(usize::try_from(steps).ok()))
    }

    /// Returns the first place along an axis; with the mask, the end from which the stride begins.
    fn start(&self, index: usize, stride: i64, size: i64) -> Option<i64> {
        if bit(self.masks.begin, index) {
            return Some(if stride > 0 { 0 } else { size - 1 });
        }
        self.begin[index].map(|begin| clamp(begin, stride, size))
    }

    /// Returns the place before which the slice ends: -1 stands for "before the
    /// first" if the stride is negative.
    fn stop(&self, index: usize, stride: i64, size: i64) -> Option<i64> {
        if bit(self.masks.end, index) {
            return Some(if stride > 0 { size } else { -1 });
        }
        self.end[index].map(|end| clamp(end, stride, size))
    }

    /// Checks a single index, which must be within its axis; ranges are cut instead.
    fn check_index(&self, index: usize, axis: usize) -> Result<()> {
        let (Some(begin), Some(size)) = (self.begin[index], self.input.dim(axis)) else { return Ok(()) };
        shapes::axis_index(begin, size).map(drop).map_err(|_| {
            Error::value(format!("index {begin} is outside of axis {axis} of shape {}", self.input))
        })
    }
}

/// Returns a bound that counts from the end when negative, brought to where counting can begin or end.
fn clamp(bound: i64, stride: i64, size: i64) -> i64 {
    let bound = if bound < 0 { bound.saturating_add(size) } else { bound };
    // For a negative stride the bounds are one place further to the left: -1 is before the first element.
    if stride > 0 { bound.clamp(0, size) } else { bound.clamp(-1, size - 1) }
}

/// Infers the shape of the result.
fn strided_slice_grad_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = shape_from(&context.inputs()[0])?;
    context.set(0, shape);
    Ok(())
}

/// Zeros around the gradient, which bring it to the input's size.
fn slice_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 3]) };
    let (input, begin) = (op.input(0), op.input(1));
    // Constant paddings keep the static shape of the gradient, which computed ones lose.
    let known = static_value::ints(&begin).zip(input.shape().to_shape()).zip(op.output(0).shape().to_shape());
    let paddings = match known {
        Some(((begin, whole), part)) => {
            let after = |axis: usize| whole[axis] as i64 - part[axis] as i64 - begin[axis];
            let rows: Vec<[i64; 2]> = (0..begin.len()).map(|axis| [begin[axis], after(axis)]).collect();
            Padding::Known(rows)
        }
        None => Padding::Computed(around(&input, &begin, &op.output(0))),
    };
    let padded = match paddings {
        Padding::Known(rows) if rows.iter().all(|row| *row == [0, 0]) => grad.clone(),
        Padding::Known(rows) => {
            grad.graph().op(&super::padding::PAD).input(grad).constant(matrix(&rows)).finish_output()
        }
        Padding::Computed(rows) => pad(grad, &rows),
    };
    Ok(vec![Some(padded), None, None])
}

/// The rows `[before, after]` for each axis that bring the part back to its place, known or computed.
enum Padding {
    Known(Vec<[i64; 2]>),
    Computed(Output),
}

/// Builds the number of elements before and after a slice, as `[rank, 2]`.
fn around(input: &Output, begin: &Output, part: &Output) -> Output {
    let begin = crate::math::cast(begin, DType::Int32);
    let after = sub(sub(shape(input), shape(part)), &begin);
    concat(&[reshape(begin, [-1, 1]), reshape(after, [-1, 1])], 1)
}

/// Builds the gradient.
fn strided_slice_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 4]) };
    let index = op.input(1).dtype();
    let sizes = match (index, shape_of(&op.input(0))) {
        // Sizes must have the dtype of the bounds.
        (DType::Int64, Ints::Vector(sizes)) => Ints::from(super::constants::constant(&grad.graph(), sizes)),
        (DType::Int64, _) => Ints::from(super::shaping::shape_as(op.input(0), DType::Int64)),
        (_, sizes) => sizes,
    };
    let mut builder = sizes.input_of(grad.graph().op(&STRIDED_SLICE_GRAD));
    // `StridedSliceGrad` has no form for 16-bit bounds.
    for bounds in 1..4 {
        let bounds = op.input(bounds);
        builder = builder.input(match index {
            DType::Int16 => crate::math::cast(bounds, DType::Int32),
            _ => bounds,
        });
    }
    Ok(vec![Some(Masks::of(op).attrs_of(builder.input(grad)).finish_output()), None, None, None])
}

/// Builds the gradient.
fn strided_slice_grad_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 5]) };
    let builder = grad.graph().op(&STRIDED_SLICE).input(grad);
    let builder = (1..4).fold(builder, |builder, index| builder.input(op.input(index)));
    // The gradient of a gradient of a slice is the slice itself.
    Ok(vec![None, None, None, None, Some(Masks::of(op).attrs_of(builder).finish_output())])
}

/// The gradient without the part that was replaced, and the part, summed to the value that was broadcast to it.
fn tensor_strided_slice_update_gradient(
    op: &Operation,
    grads: &[Option<Output>],
) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 5]) };
    let bounds =
        |def| (1..4).fold(grad.graph().op(def).input(grad), |builder, index| builder.input(op.input(index)));
    let zero = scalar_like(grad, 0.0);
    let rest = Masks::of(op).attrs_of(bounds(&TENSOR_STRIDED_SLICE_UPDATE).input(zero)).finish_output();
    let part = Masks::of(op).attrs_of(bounds(&STRIDED_SLICE)).finish_output();
    // The value may have axes of size 1 in front of those of the part.
    let added =
        op.input(4).shape().rank().zip(part.shape().rank()).map_or(0, |(own, rank)| own.saturating_sub(rank));
    let part = (0..added).fold(part, |part, _| expand_dims(part, 0));
    let part = sum_to_input(&part, &op.input(4), &[]);
    Ok(vec![Some(rest), None, None, None, Some(part)])
}

/// Returns the part that begins at `begin` and has size `size`, a number for each axis; size -1: to the end.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [4, 3]);
/// assert_eq!(array::slice(&x, [1, 0], [2, -1]).shape().to_string(), "[2,3]");
/// ```
#[must_use]
#[track_caller]
pub fn slice(input: impl AsOutput, begin: impl Into<Ints>, size: impl Into<Ints>) -> Output {
    let builder = input.as_output().graph().op(&SLICE).input(input);
    size.into().input_of(begin.into().input_of(builder)).finish_output()
}

/// One component of an index expression for [`strided_slice`]: what NumPy writes between the commas of
/// `x[..]`.
///
/// ```
/// # use ops::array::{self, constant};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// use ops::array::{Index, strided_slice};
/// let x = array::zeros(&graph, DType::Float32, [5, 6, 7]);
/// // x[1, ..., 2:4, newaxis]
/// let y = strided_slice(&x, &[Index::At(1), Index::Ellipsis, (2..4).into(), Index::NewAxis]);
/// assert_eq!(y.shape().to_string(), "[6,2,1]");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Index {
    /// One entry; the axis goes. Counted from the end when negative.
    At(i64),
    /// `begin:end:stride`, where a missing bound is the end of the axis that the stride comes from or goes to.
    Range {
        /// The first entry.
        begin: Option<i64>,
        /// The entry before which it ends.
        end: Option<i64>,
        /// The step; negative to go backwards; not 0.
        stride: i64,
    },
    /// `...`: as many whole axes as are left.
    Ellipsis,
    /// A new axis of size 1.
    NewAxis,
}

impl Index {
    /// The whole axis: `:`.
    pub const ALL: Index = Index::Range { begin: None, end: None, stride: 1 };
}

impl From<i64> for Index {
    fn from(at: i64) -> Index {
        Index::At(at)
    }
}

impl From<std::ops::RangeFull> for Index {
    fn from(_: std::ops::RangeFull) -> Index {
        Index::ALL
    }
}

impl From<std::ops::Range<i64>> for Index {
    fn from(range: std::ops::Range<i64>) -> Index {
        Index::Range { begin: Some(range.start), end: Some(range.end), stride: 1 }
    }
}

impl From<std::ops::RangeFrom<i64>> for Index {
    fn from(range: std::ops::RangeFrom<i64>) -> Index {
        Index::Range { begin: Some(range.start), end: None, stride: 1 }
    }
}

impl From<std::ops::RangeTo<i64>> for Index {
    fn from(range: std::ops::RangeTo<i64>) -> Index {
        Index::Range { begin: None, end: Some(range.end), stride: 1 }
    }
}

/// Returns the part that an index expression names, as in NumPy: axes that are not mentioned are kept whole.
///
/// ```
/// # use session_core::{DType, Graph};
/// # use ops::array::{placeholder, strided_slice, Index};
/// let graph = Graph::new();
/// let x = placeholder(&graph, DType::Float32, [5, 4, 3]);
/// let y = strided_slice(&x, &[(1..3).into(), Index::Ellipsis, Index::At(-1)]); // x[1:3, ..., -1]
/// assert_eq!(y.shape().to_string(), "[2,4]");
/// ```
#[must_use]
#[track_caller]
pub fn strided_slice(input: impl AsOutput, indices: &[Index]) -> Output {
    let (mut begin, mut end, mut strides) = (Vec::new(), Vec::new(), Vec::new());
    let mut masks = Masks::default();
    for (place, index) in indices.iter().enumerate() {
        let flag = if place < 63 { 1i64 << place } else { 0 };
        let (first, last, step) = match *index {
            Index::At(at) => {
                masks.shrink_axis |= flag;
                (at, at.wrapping_add(1), 1)
            }
            Index::Range { begin, end, stride } => {
                masks.begin |= if begin.is_none() { flag } else { 0 };
                masks.end |= if end.is_none() { flag } else { 0 };
                (begin.unwrap_or(0), end.unwrap_or(0), stride)
            }
            Index::Ellipsis => {
                masks.ellipsis |= flag;
                (0, 0, 1)
            }
            Index::NewAxis => {
                masks.new_axis |= flag;
                (0, 0, 1)
            }
        };
        begin.push(first);
        end.push(last);
        strides.push(step);
    }
    let builder = input.as_output().graph().op(&STRIDED_SLICE).default_name("strided_slice").input(input);
    let [begin, end, strides] = same_width([begin, end, strides]);
    masks.attrs_of(builder.constant(begin).constant(end).constant(strides)).finish_output()
}

/// Vectors of one dtype, `int32` unless a number needs more.
fn same_width(lists: [Vec<i64>; 3]) -> [tensor::Tensor; 3] {
    let small = lists.iter().flatten().all(|&value| i32::try_from(value).is_ok());
    lists.map(|list| if small { crate::arguments::vector(&list) } else { tensor::Tensor::from(list) })
}
