//! Pieces of tensors.
//!
//! # Semantics
//!
//! `StridedSlice` implements Python's slices. Bit masks state for each entry whether its begin or end is ignored,
//! whether it is an ellipsis, a new axis, or an index that removes its axis. Begin and end are clamped to the axis,
//! so a slice may be empty, but an index that removes its axis must be in range. The strides may be negative.
//!
//! `StridedSliceAssign` writes to the same places of a variable, and `StridedSliceGrad` of a tensor of zeros. `Slice`
//! is the simple form, where a size of -1 stands for the rest of the axis.

use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::Moved;
use crate::kernels::math::boxed;
use crate::kernels::state::shared_variable;
use crate::registry::Registry;
use compute::elementwise::layout::{self, StridedRegion};
use session_core::{Error, Result};
use tensor::Shape;

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
    registry.add("StridedSliceGrad", |spec| {
        let masks = Masks::of(spec)?;
        for_dtype!(moved spec.input_dtype(4), T => Ok(boxed(move |context| strided_slice_grad::<T>(context, masks))))
    });
}

/// Sizes that may not be negative.
pub(crate) fn non_negative(values: &[i64], what: &str) -> Result<Vec<usize>> {
    let converted: Option<Vec<usize>> = values.iter().map(|&value| usize::try_from(value).ok()).collect();
    converted.ok_or_else(|| Error::invalid_argument(format!("{what} may not be negative: {values:?}")))
}

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
#[derive(Clone, Copy, Debug)]
struct Masks {
    begin: i64,
    end: i64,
    ellipsis: i64,
    new_axis: i64,
    shrink_axis: i64,
}

/// The selection of a strided slice.
#[derive(Debug)]
struct Selection {
    begin: Vec<usize>,
    strides: Vec<isize>,
    sizes: Vec<usize>,
    /// The shape of the result, with new axes and without shrunk ones.
    result: Shape,
}

impl Masks {
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
    fn select(&self, shape: &Shape, begin: &[i64], end: &[i64], strides: &[i64]) -> Result<Selection> {
        // A mask has no bits for the entries beyond its width.
        let bit = |mask: i64, i: usize| i < 64 && mask >> i & 1 == 1;
        let entries = begin.len();
        if end.len() != entries || strides.len() != entries {
            return Err(Error::invalid_argument("begin, end and strides must have the same length"));
        }
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

/// First index, stride and number of indices along one axis.
fn one_axis(
    dim: usize,
    begin: i64,
    end: i64,
    stride: i64,
    [open_begin, open_end]: [bool; 2],
    shrink: bool,
) -> Result<(usize, isize, usize)> {
    let length = dim as i64;
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
    let count = if span <= 0 { 0 } else { (span - 1) / stride.abs() + 1 };
    let first = if count == 0 { 0 } else { first as usize };
    let stride = isize::try_from(stride)
        .map_err(|_| Error::invalid_argument("a stride exceeds the size of memory"))?;
    Ok((first, stride, count as usize))
}

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
fn strided_slice_assign<T: Moved>(context: &mut KernelContext<'_>, masks: Masks) -> Result<()> {
    let variable = shared_variable(context, 0)?;
    let mut value = variable.lock();
    let value = value.as_mut().ok_or_else(|| variable.uninitialized())?;
    let (shape, part) = (value.shape().clone(), context.input(4));
    let selection = masks.select(&shape, &context.ints(1)?, &context.ints(2)?, &context.ints(3)?)?;
    if part.dtype() != value.dtype() || part.shape() != &selection.result {
        let text = format!(
            "a value of {} {} does not fit the part {} of '{}' of {}",
            part.dtype(),
            part.shape(),
            selection.result,
            variable.name(),
            value.dtype()
        );
        return Err(Error::invalid_argument(text));
    }
    let part = T::elements(part)?;
    T::changed(context, value, |data| {
        let Selection { begin, strides, sizes, .. } = &selection;
        let region = StridedRegion { shape: &shape, begin, strides, sizes };
        layout::strided_assign(region, part, data);
        Ok(())
    })
}

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
