//! Tensors joined and split.
//!
//! # Semantics
//!
//! - `ConcatV2` and `Concat` join along an axis that exists; all other sizes must be equal. The older form
//!   has the axis as its first input.
//! - `Pack` and `Unpack` add and remove an axis.
//! - `Split` cuts into `num_split` equal parts, `SplitV` into given sizes, of which one may be -1 for the
//!   rest.
//! - `ConcatOffset` returns the place of each part in the joined tensor, which gradients need.
//!
//! Sizes and axes may be inputs; all are checked in each run, also where the graph already knew them.
//! Negative axes count from the end (for `Pack` from the end of the result's axes). Fails with
//! `InvalidArgument` if shapes differ along another axis, if a dimension does not divide evenly, or if the
//! sizes of `SplitV` do not add up.
//!
//! All dtypes are joined and split by their bits. Tensors of variants, such as batches of sparse tensors,
//! support `Pack` and `Unpack` along axis 0; handles of resources support `Pack` alone (`handles.rs`).
//!
//! Joins are one pass over the output, divided among threads by rows of the dimensions before the axis.
//! Splits copy each part; a part is never a view of the input.
//!
//! ```text
//! ConcatV2 of [[1, 2], [3, 4]] and [[5], [6]] along axis 1   ->   [[1, 2, 5], [3, 4, 6]]
//! ConcatOffset of shapes [2, 3], [2, 4] along axis 1         ->   [0, 0], [0, 3]
//! ```

use crate::kernel::{Kernel, KernelContext, NodeSpec};
use crate::kernels::Moved;
use crate::kernels::math::{axis, boxed};
use crate::kernels::variant_batch;
use crate::registry::Registry;
use compute::elementwise::layout::{self, StridedRegion};
use session_core::{Code, Error, Result};
use std::ops::AddAssign;
use tensor::{DType, Element, Shape, Tensor, memory};

/// Returns a kernel over tensors of variants, which are joined and split along the first axis only.
///
/// `at` is the attribute `axis`; another one than 0 is `Unimplemented` when the plan is compiled.
fn variants(
    at: i64,
    run: impl Fn(&mut KernelContext<'_>) -> Result<()> + Send + Sync + 'static,
) -> Result<Box<dyn Kernel>> {
    match at {
        0 => Ok(boxed(run)),
        _ => Err(Error::new(Code::Unimplemented, format!("axis {at} of tensors of variants"))),
    }
}

/// Registers the op types. Kernels are instantiated for each width of an element, not for each dtype.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("ConcatV2", |spec| {
        // The last input is the axis.
        let count = spec.operation.num_inputs() - 1;
        concat(spec, spec.input_dtype(0), 0, count)
    });
    // The older form has the axis first, so input 1 is the first tensor.
    registry.add("Concat", |spec| concat(spec, spec.input_dtype(1), 1, 0));
    registry.add("Pack", |spec| {
        let at = spec.int("axis")?;
        match spec.input_dtype(0) {
            DType::Resource => super::handles::pack(),
            DType::Variant => variants(at, |context| {
                let parts: Vec<&Tensor> =
                    (0..context.num_inputs()).map(|input| context.input(input)).collect();
                let packed = variant_batch::stack(&parts)?;
                context.set(0, packed);
                Ok(())
            }),
            dtype => for_dtype!(moved dtype, T => Ok(boxed(move |context| pack::<T>(context, at)))),
        }
    });
    registry.add("Unpack", |spec| {
        let at = spec.int("axis")?;
        match spec.input_dtype(0) {
            DType::Variant => variants(at, |context| {
                let rows = variant_batch::unstack(context.input(0))?;
                // The number of outputs is an attribute; the number of rows is known only here.
                if rows.len() != context.num_outputs() {
                    let text = format!("{} rows for {} outputs", rows.len(), context.num_outputs());
                    return Err(Error::invalid_argument(text));
                }
                rows.into_iter().enumerate().for_each(|(output, row)| context.set(output, row));
                Ok(())
            }),
            dtype => for_dtype!(moved dtype, T => Ok(boxed(move |context| unpack::<T>(context, at)))),
        }
    });
    registry.add("Split", |spec| {
        for_dtype!(moved spec.input_dtype(1), T => Ok(boxed(|context| {
            let (shape, parts) = (context.input(1).shape().clone(), context.outputs.len());
            let at = axis(context.int(0)?, shape.rank())?;
            if !shape[at].is_multiple_of(parts) {
                let text = format!("dimension {at} of {shape} does not divide evenly into {parts} parts");
                return Err(Error::invalid_argument(text));
            }
            split::<T>(context, 1, at, &vec![shape[at] / parts; parts])
        })))
    });
    registry.add("SplitV", |spec| for_dtype!(moved spec.input_dtype(0), T => Ok(boxed(split_v::<T>))));
    registry.add(
        "ConcatOffset",
        |spec| for_dtype!(index spec.input_dtype(1), T => Ok(boxed(concat_offset::<T>))),
    );
}

/// Returns the kernel that joins all inputs from `first` on along the axis in input `axis_input`.
///
/// `dtype` is passed in because the two forms have their tensors at different inputs.
fn concat(spec: &NodeSpec<'_>, dtype: DType, first: usize, axis_input: usize) -> Result<Box<dyn Kernel>> {
    let count = spec.operation.num_inputs() - 1;
    for_dtype!(moved dtype, T => Ok(boxed(move |context| run_concat::<T>(context, first, count, axis_input))))
}

/// Returns the axis in input `axis_input`, and the shape of the `count` tensors from input `first` on when
/// they are joined along it.
///
/// The shape equals that of the inputs except along the axis, where it is their sum. `QuantizedConcat` uses
/// it as well.
///
/// # Errors
/// `InvalidArgument` if the axis is out of range, which it always is for scalars, if ranks or other
/// dimensions differ, or if the sum overflows.
pub(crate) fn joined(
    context: &KernelContext<'_>,
    first: usize,
    count: usize,
    axis_input: usize,
) -> Result<(usize, Shape)> {
    let shape = context.input(first).shape().clone();
    let at = axis(context.int(axis_input)?, shape.rank())?;
    let mut dims = shape.to_vec();
    for i in first + 1..first + count {
        let other = context.input(i).shape();
        let agrees =
            other.rank() == shape.rank() && (0..shape.rank()).all(|d| d == at || other[d] == shape[d]);
        if !agrees {
            let text = format!(
                "Dimensions of inputs should match: shape[0] = {shape} vs. shape[{}] = {other}",
                i - first
            );
            return Err(Error::invalid_argument(text));
        }
        // Tensors without elements may be so long that their sum overflows.
        let sum = dims[at].checked_add(other[at]);
        dims[at] = sum.ok_or_else(|| {
            Error::invalid_argument(format!("the tensors are too long together to be joined along axis {at}"))
        })?;
    }
    Ok((at, dims.into()))
}

/// Joins `count` tensors from input `first` on.
///
/// Each input contributes to each row the product of its dimensions from the axis on; `rows` is the product
/// of the dimensions before it.
fn run_concat<T: Moved>(
    context: &mut KernelContext<'_>,
    first: usize,
    count: usize,
    axis_input: usize,
) -> Result<()> {
    let dtype = context.input(first).dtype();
    let (at, shape) = joined(context, first, count, axis_input)?;
    let rows: usize = shape[..at].iter().product();
    context.produce_moved::<T>(0, dtype, shape, |context, output| {
        let width = |i: usize| context.input(i).shape()[at..].iter().product::<usize>();
        let part = |i: usize| Ok((context.moved::<T>(i)?, width(i)));
        let parts: Vec<(&[T], usize)> = (first..first + count).map(part).collect::<Result<_>>()?;
        layout::concat(context.pool(), rows, &parts, output);
        Ok(())
    })
}

/// Returns the axis of a new dimension and the shape with it.
///
/// `at` counts among the axes of the result. Fails if the inputs do not all have the same shape.
fn packed(context: &KernelContext<'_>, at: i64) -> Result<(usize, Shape)> {
    let shape = context.input(0).shape().clone();
    let at = axis(at, shape.rank() + 1)?;
    for i in 1..context.num_inputs() {
        if *context.input(i).shape() != shape {
            let text = format!(
                "Shapes of all inputs must match: values[0].shape = {shape} != values[{i}].shape = {}",
                context.input(i).shape()
            );
            return Err(Error::invalid_argument(text));
        }
    }
    let mut dims = shape.to_vec();
    dims.insert(at, context.num_inputs());
    Ok((at, dims.into()))
}

/// Stacks all inputs along a new axis `at`: a concatenation in which each input contributes one row of
/// `width` elements.
fn pack<T: Moved>(context: &mut KernelContext<'_>, at: i64) -> Result<()> {
    let dtype = context.input(0).dtype();
    let (at, shape) = packed(context, at)?;
    let rows: usize = shape[..at].iter().product();
    let width: usize = shape[at + 1..].iter().product();
    context.produce_moved::<T>(0, dtype, shape, |context, output| {
        let part = |i: usize| Ok((context.moved::<T>(i)?, width));
        let parts: Vec<(&[T], usize)> = (0..context.num_inputs()).map(part).collect::<Result<_>>()?;
        layout::concat(context.pool(), rows, &parts, output);
        Ok(())
    })
}

/// Splits input 0 along axis `at` into as many outputs as that axis has elements, and removes the axis.
///
/// An output that nothing uses has no slot and is not reshaped.
fn unpack<T: Moved>(context: &mut KernelContext<'_>, at: i64) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let at = axis(at, shape.rank())?;
    let count = context.outputs.len();
    if shape[at] != count {
        let text = format!("Input shape axis {at} must equal {count}, got shape {shape}");
        return Err(Error::invalid_argument(text));
    }
    // First as pieces of size 1, which then lose their axis without another copy.
    split::<T>(context, 0, at, &vec![1; count])?;
    let dims: Shape = (0..shape.rank()).filter(|&d| d != at).map(|d| shape[d]).collect();
    for i in 0..count {
        // `None` for an output that nothing uses.
        if let Some(part) = context.take_output(i) {
            let part = part.reshaped(dims.clone())?;
            context.set(i, part);
        }
    }
    Ok(())
}

/// Splits input 0 along the axis in input 2 into the sizes in input 1, of which one may be -1.
///
/// Fails with `InvalidArgument` if the number of sizes is not that of the outputs, if several are -1, or if the
/// sizes do not add up to the dimension.
fn split_v<T: Moved>(context: &mut KernelContext<'_>) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let at = axis(context.int(2)?, shape.rank())?;
    let sizes = context.ints(1)?;
    if sizes.len() != context.outputs.len() {
        return Err(Error::invalid_argument(format!(
            "{} sizes for {} outputs: size_splits must have one size for each output",
            sizes.len(),
            context.outputs.len()
        )));
    }
    if sizes.iter().filter(|&&size| size == -1).count() > 1 {
        return Err(Error::invalid_argument(format!("size_splits can have only one -1: {sizes:?}")));
    }
    // Saturating, because the sizes come from a tensor; a saturated sum fails the comparison below.
    let known = sizes.iter().filter(|&&size| size >= 0).fold(0i64, |sum, &size| sum.saturating_add(size));
    let rest = (shape[at] as i64).saturating_sub(known);
    let sizes: Vec<i64> = sizes.iter().map(|&size| if size == -1 { rest } else { size }).collect();
    let sizes = super::slice::non_negative(&sizes, "size_splits")?;
    if sizes.iter().try_fold(0usize, |sum, &size| sum.checked_add(size)) != Some(shape[at]) {
        return Err(Error::invalid_argument(format!(
            "sizes {sizes:?} do not add up to dimension {at} of {shape}"
        )));
    }
    split::<T>(context, 0, at, &sizes)
}

/// Copies consecutive pieces of input `input` along axis `at` to the outputs. The sizes must add up to the
/// dimension; callers check that.
fn split<T: Moved>(context: &mut KernelContext<'_>, input: usize, at: usize, sizes: &[usize]) -> Result<()> {
    let (dtype, shape) = (context.input(input).dtype(), context.input(input).shape().clone());
    let strides = vec![1; shape.rank()];
    let mut begin = vec![0; shape.rank()];
    for (i, &size) in sizes.iter().enumerate() {
        let mut dims = shape.to_vec();
        dims[at] = size;
        context.produce_moved::<T>(i, dtype, dims.clone(), |context, output| {
            let region = StridedRegion { shape: &shape, begin: &begin, strides: &strides, sizes: &dims };
            layout::strided_slice(context.pool(), region, context.moved::<T>(input)?, output);
            Ok(())
        })?;
        // The next piece begins where this one ends.
        begin[at] += size;
    }
    Ok(())
}

/// Delivers the offset of each of several concatenated tensors.
///
/// Input 0 is the axis, the others are the shapes of the tensors, as vectors of `int32` or `int64`. Output
/// `i` is zero except along the axis, where it is the sum of the sizes of tensors `0..i`. Shapes that cannot be
/// joined are `InvalidArgument`.
fn concat_offset<T: Element + AddAssign + PartialEq>(context: &mut KernelContext<'_>) -> Result<()> {
    let count = context.num_inputs() - 1;
    let rank = context.input(1).elements();
    let at = axis(context.int(0)?, rank)?;
    let mut offset = T::default();
    for i in 0..count {
        let mut begin = memory::filled(T::default(), rank)?;
        begin[at] = offset;
        let (first, sizes) = (context.input(1).as_slice::<T>()?, context.input(i + 1).as_slice::<T>()?);
        if sizes.len() != rank || (0..rank).any(|d| d != at && sizes[d] != first[d]) {
            let text = format!(
                "All dimensions except {at} must match: input {i} has shape {sizes:?}, not {first:?}"
            );
            return Err(Error::invalid_argument(text));
        }
        offset += sizes[at];
        context.set(i, Tensor::from_vec(begin, [rank])?);
    }
    Ok(())
}
