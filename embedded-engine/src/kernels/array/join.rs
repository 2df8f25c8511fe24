//! Tensors joined and split.
//!
//! # Semantics
//!
//! - `ConcatV2` and `Concat` join along an axis that exists; all other sizes must be equal. The older form has the
//!   axis as its first input.
//! - `Pack` and `Unpack` add and remove an axis.
//! - `Split` cuts into `num_split` equal parts, `SplitV` into given sizes, of which one may be -1 for the rest.
//! - `ConcatOffset` returns the place of each part in the joined tensor, which gradients need.

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
fn variants(
    at: i64,
    run: impl Fn(&mut KernelContext<'_>) -> Result<()> + Send + Sync + 'static,
) -> Result<Box<dyn Kernel>> {
    match at {
        0 => Ok(boxed(run)),
        _ => Err(Error::new(Code::Unimplemented, format!("axis {at} of tensors of variants"))),
    }
}

pub(crate) fn register(registry: &mut Registry) {
    registry.add("ConcatV2", |spec| {
        let count = spec.operation.num_inputs() - 1;
        concat(spec, spec.input_dtype(0), 0, count)
    });
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

/// Joins `count` tensors from input `first` on; the axis is input `axis_input`.
fn concat(spec: &NodeSpec<'_>, dtype: DType, first: usize, axis_input: usize) -> Result<Box<dyn Kernel>> {
    let count = spec.operation.num_inputs() - 1;
    for_dtype!(moved dtype, T => Ok(boxed(move |context| run_concat::<T>(context, first, count, axis_input))))
}

/// Returns the axis in input `axis_input`, and the shape of the `count` tensors from input `first` on when they are joined along it.
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

fn unpack<T: Moved>(context: &mut KernelContext<'_>, at: i64) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let at = axis(at, shape.rank())?;
    let count = context.outputs.len();
    if shape[at] != count {
        let text = format!("Input shape axis {at} must equal {count}, got shape {shape}");
        return Err(Error::invalid_argument(text));
    }
    split::<T>(context, 0, at, &vec![1; count])?;
    let dims: Shape = (0..shape.rank()).filter(|&d| d != at).map(|d| shape[d]).collect();
    for i in 0..count {
        if let Some(part) = context.take_output(i) {
            let part = part.reshaped(dims.clone())?;
            context.set(i, part);
        }
    }
    Ok(())
}

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
        begin[at] += size;
    }
    Ok(())
}

/// Delivers the offset of each of several concatenated tensors.
fn concat_offset<T: Element + AddAssign>(context: &mut KernelContext<'_>) -> Result<()> {
    let count = context.num_inputs() - 1;
    let rank = context.input(1).elements();
    let at = axis(context.int(0)?, rank)?;
    let mut offset = T::default();
    for i in 0..count {
        let mut begin = memory::filled(T::default(), rank)?;
        begin[at] = offset;
        let sizes = context.input(i + 1).as_slice::<T>()?;
        offset += sizes.get(at).copied().unwrap_or_default();
        context.set(i, Tensor::from_vec(begin, [rank])?);
    }
    Ok(())
}
