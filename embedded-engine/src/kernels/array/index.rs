//! Elements chosen by index, and indices made into elements.
//!
//! # Semantics
//!
//! - `GatherV2` replaces the axis `axis` of the parameters by the axes of the indices after the first
//!   `batch_dims`. An index out of range is an error, as on TensorFlow's CPU kernels.
//! - `OneHot` inserts a new axis of length `depth` at `axis`. An index out of range is not an error: all its
//!   values are `off_value`.
//! - `Range` has `ceil((limit - start) / delta)` elements, each computed as `start + i * delta`, so errors of
//!   rounding do not add up. A `delta` of 0, and one that leads away from `limit`, are errors.
//!   Integers are computed exactly. Floats are computed in their own dtype, the count included: `0, 1.2, 0.4`
//!   has 3 elements as `float32`, since the quotient rounds to 3.
//!
//! Further details:
//!
//! - Indices are `int32` or `int64`; `GatherV2` takes `int16` as well, `OneHot` `int8` and `uint8`. Parameters
//!   and values may have any dtype, strings included.
//! - `Gather` is `GatherV2` along axis 0 without batches. `axis` and `batch_dims` may be negative: the one
//!   counts from the end of the parameters' axes, the other from the end of the indices' axes. `batch_dims`
//!   must not exceed `axis`, and the batch sizes of both inputs must agree.
//! - `ResourceGather` returns rows of the variable's value at that moment. It gathers along the axis
//!   `batch_dims`, which must not be negative.
//! - All indices of a gather are checked before the first row is copied. The copy is split over the thread
//!   pool by rows; each row is written by one thread, so the result does not depend on their number.
//! - Empty indices give an empty result, even if the axis has no elements.

use crate::dispatch::check_real;
use crate::kernel::{Kernel, KernelContext, NodeSpec};
use crate::kernels::Moved;
use crate::kernels::math::{axis, boxed};
use crate::registry::Registry;
use compute::elementwise::layout::{self, GatherShape, Index, IndexError};
use compute::elementwise::{Values, cast_values};
use session_core::{Error, Result};
use std::fmt::Display;
use tensor::{DType, Element, Shape, bf16, f16, memory};

/// Registers the op types. Attributes and dtypes select an instantiation when the plan is compiled.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("GatherV2", |spec| {
        let batch_dims = spec.int("batch_dims").unwrap_or(0);
        gather(spec, batch_dims, true)
    });
    registry.add("Gather", |spec| gather(spec, 0, false));
    registry
        .add("ResourceGather", |spec| {
            let (dtype, batch_dims) = (spec.dtype("dtype")?, spec.int("batch_dims").unwrap_or(0));
            let batch_dims = usize::try_from(batch_dims)
                .map_err(|_| Error::invalid_argument(format!("batch_dims is negative ({batch_dims})")))?;
            for_dtype!(moved dtype, T => for_dtype!(index spec.input_dtype(1), I => {
                Ok(boxed(move |context| resource_gather::<T, I>(context, batch_dims)))
            }))
        })
        .reads();
    registry.add("OneHot", |spec| {
        let at = spec.int("axis")?;
        let indices = spec.input_dtype(0);
        for_dtype!(moved spec.input_dtype(2), T => match indices {
            DType::UInt8 => Ok(boxed(move |context| one_hot::<T, u8>(context, at))),
            DType::Int8 => Ok(boxed(move |context| one_hot::<T, i8>(context, at))),
            _ => for_dtype!(index indices, I => Ok(boxed(move |context| one_hot::<T, I>(context, at)))),
        })
    });
    registry.add("Range", |spec| {
        let dtype = spec.input_dtype(0);
        check_real(dtype)?;
        Ok(match dtype {
            DType::Float64 => boxed(|context| range_of_floats(context, |x| x)),
            DType::Float32 => boxed(|context| range_of_floats(context, |x| f64::from(x as f32))),
            DType::Float16 => boxed(|context| range_of_floats(context, |x| f16::from_f64(x).to_f64())),
            DType::BFloat16 => boxed(|context| range_of_floats(context, |x| bf16::from_f64(x).to_f64())),
            _ => boxed(range_of_integers),
        })
    });
}

/// Converts the error of an index out of range. The text is TensorFlow's, which names the position and the
/// valid range but not the tensor.
pub(crate) fn outside(error: IndexError) -> Error {
    let IndexError { position, index, limit } = error;
    Error::invalid_argument(format!("indices[{position}] = {index} is not in [0, {limit})"))
}

/// Returns the kernel of `Gather` or `GatherV2`. `with_axis` is true if input 2 holds the axis; it is an
/// input, so it may change from run to run.
fn gather(spec: &NodeSpec<'_>, batch_dims: i64, with_axis: bool) -> Result<Box<dyn Kernel>> {
    let indices = spec.input_dtype(1);
    if spec.input_dtype(0) == DType::Resource {
        // Handles are not elements of a buffer but one list.
        return super::handles::gather();
    }
    for_dtype!(moved spec.input_dtype(0), T => match indices {
        DType::Int16 => Ok(gather_by::<T, i16>(batch_dims, with_axis)),
        _ => for_dtype!(index indices, I => Ok(gather_by::<T, I>(batch_dims, with_axis))),
    })
}

/// Returns the kernel of a gather for a dtype of indices.
fn gather_by<T: Moved, I: Element + Index>(batch_dims: i64, with_axis: bool) -> Box<dyn Kernel> {
    boxed(move |context| {
        let at = if with_axis { context.int(2)? } else { 0 };
        run_gather::<T, I>(context, at, batch_dims)
    })
}

/// Gathers along axis `at` of input 0 by the indices in input 1. A negative `batch_dims` counts from the end of
/// the axes of the indices.
///
/// Fails with `InvalidArgument` if an axis is out of range, if the shapes do not fit, or if an index is out of
/// range.
fn run_gather<T: Moved, I: Element + Index>(
    context: &mut KernelContext<'_>,
    at: i64,
    batch_dims: i64,
) -> Result<()> {
    let dtype = context.input(0).dtype();
    let (shape, indices) = (context.input(0).shape().clone(), context.input(1).shape().clone());
    let at = axis(at, shape.rank())?;
    // A negative number counts from the end of the axes of the indices, not of the parameters.
    let from_end = if batch_dims < 0 { indices.rank() as i64 } else { 0 };
    let batch_dims = axis(batch_dims + from_end, indices.rank() + 1)?;
    let (dims, sizes) = gathered(&shape, &indices, at, batch_dims)?;
    context.produce_moved::<T>(0, dtype, dims, |context, output| {
        layout::gather(context.pool(), sizes, context.moved::<T>(0)?, context.slice::<I>(1)?, output)
            .map_err(outside)
    })
}

/// Returns the shape of a gather along axis `at` of parameters of shape `shape`, and the sizes for its loop.
///
/// With `batch_dims = 1`, parameters of shape `[b, x, n, y]`, `at = 2` and indices `[b, i, j]` give
/// `[b, x, i, j, y]`. The dimensions merge into the four that the loop needs: batch, outer (between the batch
/// and the axis), the axis, and inner (the width of a row).
///
/// Fails with `InvalidArgument` if `batch_dims` exceeds the axis or the rank of the indices, or if the batch
/// sizes differ.
fn gathered(shape: &Shape, indices: &Shape, at: usize, batch_dims: usize) -> Result<(Shape, GatherShape)> {
    // The `min` guards a slice of the indices; `at` is an axis of the parameters.
    if batch_dims > at || shape[..batch_dims] != indices[..batch_dims.min(indices.rank())] {
        let text = format!("batch_dims {batch_dims} do not fit params {shape} and indices {indices}");
        return Err(Error::invalid_argument(text));
    }
    let dims: Shape =
        shape[..at].iter().chain(&indices[batch_dims..]).chain(&shape[at + 1..]).copied().collect();
    let sizes = GatherShape {
        batch: shape[..batch_dims].iter().product(),
        outer: shape[batch_dims..at].iter().product(),
        axis: shape[at],
        inner: shape[at + 1..].iter().product(),
    };
    Ok((dims, sizes))
}

/// Gathers rows of a variable. The rest is not copied, which makes lookups in large embeddings cheap.
///
/// Input 0 is the handle of the variable, input 1 the indices into its axis `batch_dims`. The value is shared
/// while rows are copied; an update that runs meanwhile copies the variable instead of changing the value that
/// is read. A variable without that axis is `InvalidArgument`.
fn resource_gather<T: Moved, I: Element + Index>(
    context: &mut KernelContext<'_>,
    batch_dims: usize,
) -> Result<()> {
    let value = crate::kernels::state::variable(context, 0)?.read()?;
    let dtype = value.dtype();
    if batch_dims >= value.shape().rank() {
        let (least, shape) = (batch_dims + 1, value.shape());
        return Err(Error::invalid_argument(format!("params must be at least {least} dimensional: {shape}")));
    }
    let (dims, sizes) = gathered(value.shape(), context.input(1).shape(), batch_dims, batch_dims)?;
    context.produce_moved::<T>(0, dtype, dims, |context, output| {
        layout::gather(context.pool(), sizes, T::elements(&value)?, context.slice::<I>(1)?, output)
            .map_err(outside)
    })
}

/// Delivers a tensor that is `on_value` (input 2) where the coordinate along the new axis equals the index,
/// and `off_value` (input 3) elsewhere.
///
/// Input 0 holds the indices, input 1 the depth. `at` is the place of the new axis among the axes of the
/// result; -1 is the last. A negative depth is `InvalidArgument`, a depth of 0 gives an empty tensor. Indices
/// `[2, -1]` with depth 3 give `[[0, 0, 1], [0, 0, 0]]`.
fn one_hot<T: Moved, I: Element + Index>(context: &mut KernelContext<'_>, at: i64) -> Result<()> {
    let dtype = context.input(2).dtype();
    let shape = context.input(0).shape().clone();
    let depth = usize::try_from(context.int(1)?)
        .map_err(|_| Error::invalid_argument("depth must be non-negative"))?;
    let at = axis(at, shape.rank() + 1)?;
    let mut dims = shape.to_vec();
    dims.insert(at, depth);
    let suffix = shape[at..].iter().product();
    context.produce_moved::<T>(0, dtype, dims, |context, output| {
        let (on, off) = (context.moved_value::<T>(2)?, context.moved_value::<T>(3)?);
        layout::one_hot(depth, suffix, context.slice::<I>(0)?, &on, &off, output);
        Ok(())
    })
}

/// Delivers `start`, `start + delta`, and so on up to but without `limit`, for integers.
///
/// The count is `ceil((limit - start) / delta)`, computed without rounding. Fails with `InvalidArgument` if an
/// input is not a scalar, or if `delta` is 0 or points away from `limit`.
fn range_of_integers(context: &mut KernelContext<'_>) -> Result<()> {
    let dtype = context.input(0).dtype();
    // 128 bits hold the differences of all integers.
    let value = |i: usize| -> Result<i128> {
        let values = context.values(i)?;
        let mut value = [0i64];
        match values {
            Values::U64(&[value]) => return Ok(value.into()),
            values if values.len() == 1 => cast_values(context.pool(), values, value.as_mut_slice().into()),
            _ => return Err(not_a_scalar(i)),
        }
        Ok(value[0].into())
    };
    let (start, limit, delta) = (value(0)?, value(1)?, value(2)?);
    check_direction(start, limit, delta, 0)?;
    // Both have the same sign, or there is nothing between start and limit.
    let count = (limit - start).unsigned_abs().div_ceil(delta.unsigned_abs());
    let count = usize::try_from(count)
        .map_err(|_| Error::invalid_argument(format!("a range of {count} elements is too long")))?;
    context.produce_values(0, dtype, Shape::from([count]), &|context, output| {
        // The elements are in the range of the dtype; as 64 bits that wrap they are right for `uint64` as well.
        let (start, delta) = (start as i64, delta as i64);
        let element = |i: usize| start.wrapping_add((i as i64).wrapping_mul(delta));
        let values = memory::collected((0..output.len()).map(element))?;
        cast_values(context.pool(), values.as_slice().into(), output);
        Ok(())
    })
}

/// Delivers `start`, `start + delta`, and so on up to but without `limit`, for floats.
///
/// `round` rounds to the dtype, after each operation: products and sums of `float32` and smaller dtypes are
/// exact, or rounded correctly, as `f64`. The count is `ceil((limit - start) / delta)`, so `0, 1, 0.4` gives
/// `[0, 0.4, 0.8]`. Fails with `InvalidArgument` if an input is not a scalar, if `delta` is 0 or points away
/// from `limit`, or if the count is not finite, as for a NaN or an infinite limit.
fn range_of_floats(context: &mut KernelContext<'_>, round: fn(f64) -> f64) -> Result<()> {
    let dtype = context.input(0).dtype();
    let value = |i: usize| match context.doubles(i)?.as_slice() {
        &[value] => Ok(value),
        _ => Err(not_a_scalar(i)),
    };
    let (start, limit, delta) = (value(0)?, value(1)?, value(2)?);
    check_direction(start, limit, delta, 0.0)?;
    let count = round(round(limit - start) / delta).ceil();
    if !count.is_finite() || count > i64::MAX as f64 {
        return Err(Error::invalid_argument(format!(
            "a range from {start} to {limit} by {delta} is too long"
        )));
    }
    context.produce_values(0, dtype, Shape::from([count as usize]), &|context, output| {
        let element = |i: usize| round(start + round(round(i as f64) * delta));
        let values = memory::collected((0..output.len()).map(element))?;
        cast_values(context.pool(), values.as_slice().into(), output);
        Ok(())
    })
}

/// Returns the error for an end of a range that is not a scalar.
fn not_a_scalar(input: usize) -> Error {
    Error::invalid_argument(format!("input {input} of a range must be a scalar"))
}

/// Fails if `delta` is 0, or if no steps of `delta` lead from `start` to `limit`. A range without elements,
/// `start == limit`, is valid in both directions; NaN is not.
fn check_direction<N: PartialOrd + Display>(start: N, limit: N, delta: N, zero: N) -> Result<()> {
    if delta == zero {
        return Err(Error::invalid_argument("Requires delta != 0"));
    }
    let leads = if delta > zero { start <= limit } else { start >= limit };
    if leads {
        return Ok(());
    }
    Err(Error::invalid_argument(format!(
        "Requires start <= limit when delta > 0, or start >= limit when delta < 0: {start}, {limit}, {delta}"
    )))
}
