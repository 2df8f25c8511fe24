//! Functions of two numbers, or of rows, that stand apart from the others.
//!
//! # Semantics
//!
//! - `ApproximateEqual` compares `x` and `y`, of equal shapes: true if `|x - y| <= tolerance` (attribute,
//!   default `1e-5`). The difference of equal infinities is NaN, so they are not approximately equal, nor is
//!   NaN equal to anything.
//! - `NextAfter` returns the neighboring floating-point number of `x1` in the direction of `x2`, and `x2` if
//!   both are equal. NaN in either gives NaN. `float32` and `float64`, with broadcasting.
//! - `Cross` returns the cross product of vectors of length 3 along the last axis, of equal shapes. Integers
//!   wrap.
//! - `CumulativeLogsumexp` returns `ln(sum of e^x)` over the elements up to each one along `axis`.
//!   `exclusive` leaves the element itself out, so the first result is minus infinity; `reverse` goes from
//!   the end. No exponential overflows.
//! - `Complex` combines a real and an imaginary part of `float32` or `float64`, with broadcasting.
//!
//! Shapes that do not fit are `InvalidArgument`. Empty inputs give empty outputs. `Complex` and `Cross` run
//! in parallel; the other kernels use one thread.
//!
//! ```text
//! ApproximateEqual   [1.0, 2.0]  [1.5, 2.6], tolerance 0.5       -> [true, false]
//! NextAfter          [0.0]  [1.0]                                -> [1e-45] (the smallest subnormal number)
//! Cross              [[1, 0, 0]]  [[0, 1, 0]]                    -> [[0, 0, 1]]
//! CumulativeLogsumexp  [0, 0, 0]                                 -> [0, ln 2, ln 3]
//! Complex            [1, 2]  [3, 4]                              -> [1 + 3i, 2 + 4i]
//! ```

use super::elementwise::{boxed, incompatible, widened};
use super::reduction::axis;
use crate::kernel::{Kernel, KernelContext, NodeSpec};
use crate::registry::Registry;
use compute::elementwise::{self, BinaryOp, Broadcast};
use compute::math::Real;
use session_core::{Code, Error, Result};
use tensor::{Element, Shape, memory};

/// Registers the op types. `Cross` takes all real dtypes, the others `float32` and `float64`.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("ApproximateEqual", |spec| {
        let tolerance = spec.float("tolerance")?;
        for_dtype!(wide spec.input_dtype(0), T => {
            Ok(boxed(move |context| approximate_equal::<T>(context, tolerance)))
        })
    });
    registry.add("NextAfter", |spec| match spec.input_dtype(0) {
        tensor::DType::Float64 => Ok(boxed(|context| broadcast(context, next_after_f64))),
        _ => Ok(boxed(|context| broadcast(context, next_after_f32))),
    });
    registry.add("Cross", |spec| for_dtype!(real spec.input_dtype(0), T => cross_kernel::<T>()));
    registry.add("CumulativeLogsumexp", |spec| {
        let (exclusive, reverse) = (spec.bool("exclusive")?, spec.bool("reverse")?);
        for_dtype!(wide spec.input_dtype(0), T => {
            Ok(boxed(move |context| cumulative_logsumexp::<T>(context, exclusive, reverse)))
        })
    });
    registry.add("Complex", make_complex);
}

/// Returns the common shape of inputs 0 and 1, for op types without broadcasting.
fn same_shape(context: &KernelContext<'_>) -> Result<Shape> {
    let (a, b) = (context.input(0).shape(), context.input(1).shape());
    if a == b {
        return Ok(a.clone());
    }
    Err(Error::invalid_argument(format!("x and y must be of the same shape. x shape: {a}. y shape: {b}")))
}

/// Delivers for each pair whether it differs by at most `tolerance`, which is rounded to the dtype first.
fn approximate_equal<T: Element + Real>(context: &mut KernelContext<'_>, tolerance: f32) -> Result<()> {
    let shape = same_shape(context)?;
    // The attribute is a `float32`, so for `float64` 0.1 means 0.10000000149, as in TensorFlow.
    let tolerance = T::of(tolerance.into());
    context.produce::<bool>(0, shape, |context, output| {
        let (a, b) = (context.slice::<T>(0)?, context.slice::<T>(1)?);
        output.iter_mut().zip(a.iter().zip(b)).for_each(|(out, (&a, &b))| *out = (a - b).abs() <= tolerance);
        Ok(())
    })
}

/// Applies a function of two numbers, with broadcasting.
///
/// Copies both operands to the shape of the result: simple, and fast enough for an op type that training does
/// not use.
fn broadcast<T: Element + elementwise::Element>(
    context: &mut KernelContext<'_>,
    function: fn(T, T) -> T,
) -> Result<()> {
    let plan = Broadcast::new([context.input(0).shape(), context.input(1).shape()]);
    let plan = plan.map_err(|error| incompatible(&error))?;
    let dims = Shape::new(plan.output_shape());
    let (a, b) = (widened::<T>(context, 0, &dims)?, widened::<T>(context, 1, &dims)?);
    context.produce::<T>(0, dims, |_, output| {
        output.iter_mut().zip(a.into_iter().zip(b)).for_each(|(out, (a, b))| *out = function(a, b));
        Ok(())
    })
}

/// Returns the neighbor of `from` toward `to`. `from == to` returns `to`, which turns `0.0` toward `-0.0`
/// into `-0.0`, like C's `nextafter`.
fn next_after_f32(from: f32, to: f32) -> f32 {
    if from.is_nan() || to.is_nan() {
        f32::NAN
    } else if from == to {
        to
    } else if from < to {
        from.next_up()
    } else {
        from.next_down()
    }
}

/// Works as [`next_after_f32`] in double precision.
fn next_after_f64(from: f64, to: f64) -> f64 {
    if from.is_nan() || to.is_nan() {
        f64::NAN
    } else if from == to {
        to
    } else if from < to {
        from.next_up()
    } else {
        from.next_down()
    }
}

/// Returns the kernel of cross products. With `r1` and `r2` as rotations of the components by one and two
/// places, the product is `r1(a) r2(b) - r2(a) r1(b)`, so three of `compute`'s loops over the whole tensor
/// suffice for every dtype.
fn cross_kernel<T: Element + elementwise::Element>() -> Result<Box<dyn Kernel>> {
    let cannot = || Error::new(Code::Unimplemented, format!("no cross product of {}", T::NAME));
    let times = T::binary(BinaryOp::Mul).ok_or_else(cannot)?;
    let minus = T::binary(BinaryOp::Sub).ok_or_else(cannot)?;
    Ok(boxed(move |context| {
        let shape = same_shape(context)?;
        if shape.last() != Some(&3) {
            let text = format!("cross-products are only defined for 3-element vectors: {shape}");
            return Err(Error::invalid_argument(text));
        }
        // Each component is the difference of two products of rotated components.
        context.produce::<T>(0, shape.clone(), |context, output| {
            let (a, b, pool) = (context.slice::<T>(0)?, context.slice::<T>(1)?, context.pool());
            let plan = Broadcast::new([&[a.len()], &[b.len()]]);
            let plan = plan.map_err(|error| incompatible(&error))?;
            // Products and differences never fail; the loops share the signature of division.
            let failed = |error: elementwise::ArithmeticError| Error::invalid_argument(error.to_string());
            let mut second = memory::filled(T::default(), a.len())?;
            times.run(pool, &plan, &rotated(a, 1)?, &rotated(b, 2)?, output).map_err(failed)?;
            times.run(pool, &plan, &rotated(a, 2)?, &rotated(b, 1)?, &mut second).map_err(failed)?;
            minus.run_in_place_left(pool, &plan, output, &second).map_err(failed)
        })
    }))
}

/// Returns each three components, the first of which is the one at `by`. Three components `[x, y, z]` by 1
/// are `[y, z, x]`.
fn rotated<T: Copy + Default>(values: &[T], by: usize) -> Result<Vec<T>> {
    let mut rotated = memory::filled(T::default(), values.len())?;
    for (i, component) in rotated.iter_mut().enumerate() {
        *component = values[i / 3 * 3 + (i % 3 + by) % 3];
    }
    Ok(rotated)
}

/// Adds from one end of the axis to the other in a single chain, one line at a time; `inner` neighbors in
/// memory belong to different lines. Each step costs an exponential and a logarithm.
fn cumulative_logsumexp<T: Element + Real>(
    context: &mut KernelContext<'_>,
    exclusive: bool,
    reverse: bool,
) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let at = axis(context.int(1)?, shape.rank())?;
    let (along, inner): (usize, usize) = (shape[at], shape[at + 1..].iter().product());
    let lowest = T::of(f64::NEG_INFINITY);
    // ln(e^a + e^b) without overflow.
    let add = |a: T, b: T| {
        let (least, most) = if a < b { (a, b) } else { (b, a) };
        // The sum is empty before the first element. The formula would subtract infinities for two of them,
        // which is NaN.
        if least == lowest { most } else { most + (least - most).exp().log1p() }
    };
    context.produce::<T>(0, shape, |context, output| {
        let input = context.slice::<T>(0)?;
        // `max(1)` for an empty axis, which has no lines.
        for line in 0..input.len() / along.max(1) {
            let (outer, column) = (line / inner, line % inner);
            let mut sum = lowest;
            for step in 0..along {
                let place = if reverse { along - 1 - step } else { step };
                let at = (outer * along + place) * inner + column;
                let next = add(sum, input[at]);
                output[at] = if exclusive { sum } else { next };
                sum = next;
            }
        }
        Ok(())
    })
}

/// Returns the kernel of `Complex` for the dtype of the parts.
fn make_complex(spec: &NodeSpec<'_>) -> Result<Box<dyn Kernel>> {
    macro_rules! complex {
        ($part:ty) => {
            Ok(boxed(|context| {
                let plan = Broadcast::new([context.input(0).shape(), context.input(1).shape()]);
                let plan = plan.map_err(|error| incompatible(&error))?;
                let dims = Shape::new(plan.output_shape());
                context.produce::<tensor::Complex<$part>>(0, dims, |context, output| {
                    elementwise::complex::<$part>()
                        .run(context.pool(), &plan, context.slice(0)?, context.slice(1)?, output)
                        .map_err(|error| Error::invalid_argument(error.to_string()))
                })
            }))
        };
    }
    match spec.input_dtype(0) {
        tensor::DType::Float64 => complex!(f64),
        _ => complex!(f32),
    }
}
