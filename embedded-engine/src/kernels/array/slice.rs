//! Pieces of tensors.
//!
//! # Semantics
//!
//! `StridedSlice` implements Python's slices. Bit masks state for each entry whether its begin or end is
//! ignored, whether it is an ellipsis, a new axis, or an index that removes its axis. Begin and end are
//! clamped to the axis, so a slice may be empty, but an index that removes its axis must be in range. The
//! strides may be negative.
//!
//! `StridedSliceAssign` writes to the same places of a variable, `TensorStridedSliceUpdate` of a tensor, and `StridedSliceGrad` of a tensor of zeros.
//! `Slice` is the simple form, where a size of -1 stands for the rest of the axis.
//!
//! In `StridedSlice` each entry of `begin`, `end` and `strides` (inputs 1 to 3, vectors of one length) is one
//! part of a Python index, and bit `i` of each mask describes entry `i`:
//!
//! | mask | effect of bit `i` |
//! | --- | --- |
//! | `begin_mask`, `end_mask` | the slice begins or ends at the edge of the axis, in the direction of the stride |
//! | `ellipsis_mask` | the entry stands for as many whole axes as the other entries leave; only the first one counts |
//! | `new_axis_mask` | the entry inserts an axis of size 1 and consumes none |
//! | `shrink_axis_mask` | the entry selects one index and removes the axis; an index out of range is an error |
//!
//! The axes after the last entry are taken whole. `x[1:, ..., 0]` of shape `[3, 4, 5]` is begin `[1, 0, 0]`,
//! end `[0, 0, 1]`, strides `[1, 1, 1]`, `end_mask` 1, `ellipsis_mask` 2 and `shrink_axis_mask` 4, and has
//! the shape `[2, 4]`.
//!
//! Errors are `InvalidArgument`: a stride of 0, more entries than axes, an index out of range, and for
//! `Slice` a piece that is not inside the tensor. Copies are divided among the threads; assignments and
//! gradients run on the calling thread. Tensors may have any number of axes.

use super::shape::spread;
use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::Moved;
use crate::kernels::math::boxed;
use crate::kernels::state::shared_variable;
use crate::registry::Registry;
use compute::elementwise::layout::{self, StridedRegion};
use session_core::{Error, Result};
use tensor::{Shape, Tensor};

/// Registers the op types. The assignments to resource and reference variables share a kernel, since both
/// pass a handle.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("Slice", |spec| for_dtype!(moved spec.input_dtype(0), T => Ok(boxed(slice::<T>))));
    registry.add("StridedSlice", |spec| {
        let masks = Masks::of(spec)?;
        for_dtype!(moved spec.input_dtype(0), T => Ok(boxed(move |context| strided_slice::<T>(context, masks))))
    });
    registry.add_both(["ResourceStridedSliceAssign", "StridedSliceAssign"], |spec| {
        let masks = Masks::of(spec)?;
        for_dtype!(moved spec.input_dtype(4), T => {
            Ok(boxed(move |context| strided_slice_assign::<T>(context, masks)))
        })
    });
    registry.add("TensorStridedSliceUpdate", |spec| {
        let masks = Masks::of(spec)?;
        for_dtype!(moved spec.input_dtype(0), T => {
            Ok(boxed(move |context| tensor_strided_slice_update::<T>(context, masks)))
        })
    });
    registry.add("StridedSliceGrad", |spec| {
        let masks = Masks::of(spec)?;
        for_dtype!(moved spec.input_dtype(4), T => Ok(boxed(move |context| strided_slice_grad::<T>(context, masks))))
    });
}

/// Returns the values as sizes, or `InvalidArgument` if one is negative. `what` is the subject of the
/// message, in the plural or the name of an input.
pub(crate) fn non_negative(values: &[i64], what: &str) -> Result<Vec<usize>> {
    let converted: Option<Vec<usize>> = values.iter().map(|&value| usize::try_from(value).ok()).collect();
    converted.ok_or_else(|| Error::invalid_argument(format!("{what} may not be negative: {values:?}")))
}

/// Delivers the piece of input 0 that begins at input 1 and has the sizes in input 2, with one entry for each
/// axis.
fn slice<T: Moved>(context: &mut KernelContext<'_>) -> Result<()> {
    let dtype = context.input(0).dtype();
    let shape = context.input(0).shape().clone();
    let (begin, size) = (context.ints(1)?, context.ints(2)?);
    if begin.len() != shape.rank() || size.len() != shape.rank() {
        let text = format!("Expected begin and size of length {}, got {begin:?} and {size:?}", shape.rank());
        return Err(Error::invalid_argument(text));
    }
    let begin = non_negative(&begin, "begin")?;
    let length = |i: usize| match size[i] {
        // A begin at the end of the axis leaves nothing, which is valid.
        -1 => shape[i].checked_sub(begin[i]),
        size => usize::try_from(size).ok().filter(|size| begin[i].saturating_add(*size) <= shape[i]),
    };
    let sizes: Option<Shape> = (0..shape.rank()).map(length).collect();
    let sizes = sizes.ok_or_else(|| {
        Error::invalid_argument(format!("a slice from {begin:?} of {size:?} is outside of {shape}"))
    })?;
    let strides = vec![1isize; shape.rank()];
    context.produce_moved::<T>(0, dtype, sizes.clone(), |context, output| {
        let region = StridedRegion { shape: &shape, begin: &begin, strides: &strides, sizes: &sizes };
        layout::strided_slice(context.pool(), region, context.moved::<T>(0)?, output);
        Ok(())
    })
}

/// The bit masks of a strided slice.
///
/// Bit `i` of each belongs to entry `i` of begin, end and strides. The module documentation describes their
/// effects.
#[derive(Clone, Copy, Debug)]
struct Masks {
    /// Entries whose begin is ignored.
    begin: i64,
    /// Entries whose end is ignored.
    end: i64,
    /// The entry that stands for the remaining axes, at most one bit.
    ellipsis: i64,
    /// Entries that insert an axis.
    new_axis: i64,
    /// Entries that select an index and remove the axis.
    shrink_axis: i64,
}

/// The selection of a strided slice.
///
/// The vectors have an entry for each axis of the tensor, also for shrunk axes, which have size 1.
#[derive(Debug)]
struct Selection {
    /// The first index along each axis; 0 where nothing is selected.
    begin: Vec<usize>,
    /// The step from one index to the next; negative ones walk to the front.
    strides: Vec<isize>,
    /// The number of indices along each axis. The product equals the number of elements of `result`.
    sizes: Vec<usize>,
    /// The shape of the result, with new axes and without shrunk ones.
    result: Shape,
}

impl Masks {
    /// Returns the masks of an operation, which are attributes.
    fn of(spec: &NodeSpec<'_>) -> Result<Masks> {
        let mask = |name: &str| spec.int(name);
        Ok(Masks {
            begin: mask("begin_mask")?,
            end: mask("end_mask")?,
            ellipsis: mask("ellipsis_mask")?,
            new_axis: mask("new_axis_mask")?,
            shrink_axis: mask("shrink_axis_mask")?,
        })
    }

    /// Applies begin, end and strides, one entry for each part of the Python index, to a shape.
    ///
    /// `begin`, `end` and `strides` must have one length. Fails if there are more entries than axes or if an
    /// entry is invalid for its axis.
    fn select(&self, shape: &Shape, begin: &[i64], end: &[i64], strides: &[i64]) -> Result<Selection> {
        // A mask has no bits for the entries beyond its width.
        let bit = |mask: i64, i: usize| i < 64 && mask >> i & 1 == 1;
        let entries = begin.len();
        if end.len() != entries || strides.len() != entries {
            return Err(Error::invalid_argument("begin, end and strides must have the same length"));
        }
        // Further ellipses are treated as ordinary entries would be if their bit were not set.
        let ellipsis = (0..entries).find(|&i| bit(self.ellipsis, i));
        let consuming = (0..entries).filter(|&i| Some(i) != ellipsis && !bit(self.new_axis, i)).count();
        let filled = shape.rank().checked_sub(consuming).ok_or_else(|| {
            Error::invalid_argument(format!(
                "Index out of range using input dim {}; input has only {} dims",
                consuming - 1,
                shape.rank()
            ))
        })?;
        let mut selection =
            Selection { begin: vec![], strides: vec![], sizes: vec![], result: Shape::scalar() };
        let mut result = Vec::new();
        // Adds axes that are taken whole, for an ellipsis and for the axes after the last entry.
        let whole = |selection: &mut Selection, result: &mut Vec<usize>, count: usize| {
            for _ in 0..count {
                let dim = shape[selection.sizes.len()];
                selection.begin.push(0);
                selection.strides.push(1);
                selection.sizes.push(dim);
                result.push(dim);
            }
        };
        for i in 0..entries {
            if Some(i) == ellipsis {
                whole(&mut selection, &mut result, filled);
            } else if bit(self.new_axis, i) {
                result.push(1);
            } else {
                let dim = shape[selection.sizes.len()];
                let shrink = bit(self.shrink_axis, i);
                let masked = [bit(self.begin, i), bit(self.end, i)];
                let (first, stride, size) = one_axis(dim, begin[i], end[i], strides[i], masked, shrink)?;
                selection.begin.push(first);
                selection.strides.push(stride);
                selection.sizes.push(size);
                if !shrink {
                    result.push(size);
                }
            }
        }
        let rest = shape.rank() - selection.sizes.len();
        whole(&mut selection, &mut result, rest);
        selection.result = result.into();
        Ok(selection)
    }
}

/// Returns the first index, the stride and the number of indices along an axis of size `dim`.
///
/// `begin` and `end` count from the end of the axis if negative, and are clamped to it afterwards, so
/// `[-10:2]` of 3 elements is `[0:2]`. An open one, of `[open_begin, open_end]`, is the edge in the direction
/// of the stride. With `shrink`, `begin` alone counts, and must be an index of the axis. For `dim` 5, begin
/// 4, end 0 and stride -2 the result is `(4, -2, 2)`: the indices 4 and 2.
fn one_axis(
    dim: usize,
    begin: i64,
    end: i64,
    stride: i64,
    [open_begin, open_end]: [bool; 2],
    shrink: bool,
) -> Result<(usize, isize, usize)> {
    let length = dim as i64;
    // Cannot overflow: a negative number and a size have opposite signs.
    let from_front = |index: i64| if index < 0 { index + length } else { index };
    if stride == 0 {
        return Err(Error::invalid_argument("strides must be non-zero"));
    }
    if shrink {
        if stride < 0 {
            return Err(Error::invalid_argument("only stride 1 allowed on non-range indexing."));
        }
        let index = from_front(begin);
        return match usize::try_from(index).ok().filter(|&index| index < dim) {
            Some(index) => Ok((index, 1, 1)),
            None => Err(Error::invalid_argument(format!(
                "slice index {begin} of dimension of {dim} out of bounds"
            ))),
        };
    }
    // Valid starts and ends, in the direction of the stride.
    let (low, high) = if stride > 0 { (0, length) } else { (-1, length - 1) };
    let first =
        if open_begin { if stride > 0 { low } else { high } } else { from_front(begin).clamp(low, high) };
    let last = if open_end { if stride > 0 { high } else { low } } else { from_front(end).clamp(low, high) };
    let span = if stride > 0 { last - first } else { first - last };
    let count = if span <= 0 { 0 } else { (span - 1) as u64 / stride.unsigned_abs() + 1 };
    // An empty selection may have begun at -1 or at `length`, which is no index.
    let first = if count == 0 { 0 } else { first as usize };
    // With several indices the stride is less than the axis. With one it is not used and may be anything, but
    // its product with the distance of neighbors must not overflow.
    let stride = if count > 1 { stride as isize } else { 1 };
    Ok((first, stride, count as usize))
}

/// Delivers the selected part of input 0, always as a copy.
fn strided_slice<T: Moved>(context: &mut KernelContext<'_>, masks: Masks) -> Result<()> {
    let dtype = context.input(0).dtype();
    let shape = context.input(0).shape().clone();
    let selection = masks.select(&shape, &context.ints(1)?, &context.ints(2)?, &context.ints(3)?)?;
    context.produce_moved::<T>(0, dtype, selection.result.clone(), |context, output| {
        let Selection { begin, strides, sizes, .. } = &selection;
        let region = StridedRegion { shape: &shape, begin, strides, sizes };
        layout::strided_slice(context.pool(), region, context.moved::<T>(0)?, output);
        Ok(())
    })
}

/// Writes into a part of a variable, in place where nothing shares its value.
///
/// Input 0 is the variable. The lock of the variable is held throughout, so other steps see the value before
/// or after the assignment. Fails with `FailedPrecondition` if the variable is not initialized.
fn strided_slice_assign<T: Moved>(context: &mut KernelContext<'_>, masks: Masks) -> Result<()> {
    let variable = shared_variable(context, 0)?;
    let mut value = variable.lock();
    let value = value.as_mut().ok_or_else(|| variable.uninitialized())?;
    assign_part::<T>(context, masks, value, &format_args!(" of '{}'", variable.name()))
}

/// Delivers input 0 with the selected part replaced.
fn tensor_strided_slice_update<T: Moved>(context: &mut KernelContext<'_>, masks: Masks) -> Result<()> {
    let mut value = context.take(0);
    assign_part::<T>(context, masks, &mut value, &"")?;
    context.set(0, value);
    Ok(())
}

/// Writes input 4 into the part of `value` that inputs 1 to 3 select.
///
/// The part has the dtype of the value; a shape that is not that of the selection is broadcast to it.
/// `owner` is what an error says after the part.
fn assign_part<T: Moved>(
    context: &KernelContext<'_>,
    masks: Masks,
    value: &mut Tensor,
    owner: &dyn std::fmt::Display,
) -> Result<()> {
    let (shape, part) = (value.shape().clone(), context.input(4));
    let selection = masks.select(&shape, &context.ints(1)?, &context.ints(2)?, &context.ints(3)?)?;
    let misfit = || {
        Error::invalid_argument(format!(
            "a value of {} {} does not fit the part {}{owner} of {}",
            part.dtype(),
            part.shape(),
            selection.result,
            value.dtype()
        ))
    };
    if part.dtype() != value.dtype() {
        return Err(misfit());
    }
    // Axes of size 1 in front of those of the part do not count, as in NumPy.
    let more = part.shape().rank().saturating_sub(selection.result.rank());
    let more = part.shape()[..more].iter().take_while(|&&size| size == 1).count();
    let part = part.clone().reshaped(&part.shape()[more..])?;
    let part = spread(context, &part, &selection.result, |_| misfit())?;
    let part = T::elements(&part)?;
    T::changed(context, value, |data| {
        let Selection { begin, strides, sizes, .. } = &selection;
        let region = StridedRegion { shape: &shape, begin, strides, sizes };
        layout::strided_assign(region, part, data);
        Ok(())
    })
}

/// Delivers zeros of the shape in input 0 with the gradient in input 4 at the selected places.
///
/// The gradient must have as many elements as the selection. Its shape is not compared, because shrunk and
/// new axes do not change the order of elements.
fn strided_slice_grad<T: Moved>(context: &mut KernelContext<'_>, masks: Masks) -> Result<()> {
    let dtype = context.input(4).dtype();
    let shape = crate::kernels::random::shape(context, 0)?;
    let selection = masks.select(&shape, &context.ints(1)?, &context.ints(2)?, &context.ints(3)?)?;
    let gradient = context.input(4).shape();
    if gradient.elements() != selection.result.elements() {
        let text = format!("shape of dy was {gradient} instead of {}", selection.result);
        return Err(Error::invalid_argument(text));
    }
    context.produce_moved::<T>(0, dtype, shape.clone(), |context, output| {
        output.fill(T::default());
        let Selection { begin, strides, sizes, .. } = &selection;
        let region = StridedRegion { shape: &shape, begin, strides, sizes };
        layout::strided_assign(region, context.moved::<T>(4)?, output);
        Ok(())
    })
}
