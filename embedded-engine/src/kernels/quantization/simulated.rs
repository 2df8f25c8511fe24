//! Numbers that are rounded to steps of a scale and back.
//!
//! With `signed_input` the scale is symmetric around 0. The range is given or is that of the values. Rounding
//! is half to even or half up, by the attribute `round_mode`. The gradient of V4 passes inside of the range
//! only.
//!
//! # Semantics
//!
//! The op types take floats (narrow ones are computed in `float32`) and return them rounded to multiples of a
//! scale. V2 and later take the ends of the range as inputs 1 and 2, and V3 takes the number of bits as input
//! 3; the first version has all three as attributes. With `axis`, each slice along it has a range and scale
//! of its own.
//!
//! The integers are `-2^(bits-1)` to `2^(bits-1) - 1`, with `narrow_range` without the least one, or `0` to
//! `2^bits - 1` without a sign. The scale is the smaller one of those that map the ends of the range to the
//! ends of the integers. With `range_given` numbers outside are clamped first.
//!
//! ```text
//! QuantizeAndDequantizeV2 of [-1, 0.3, 2], signed, 3 bits
//! integers: -4 to 3     scale: 3 / 2     result: [-1.333, 0, 2]
//! ```
//!
//! A minimum above the maximum, a number of bits out of range, and ends that do not fit the axis are
//! `InvalidArgument`. Everything is one or two passes on the calling thread.

use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::registry::Registry;
use compute::math::Real;
use session_core::{Error, Result};
use tensor::{Element, Shape, memory};

/// Registers the op types. The versions share a kernel; what differs is where they have their parameters.
pub(super) fn register(registry: &mut Registry) {
    for op_type in [
        "QuantizeAndDequantize",
        "QuantizeAndDequantizeV2",
        "QuantizeAndDequantizeV3",
        "QuantizeAndDequantizeV4",
    ] {
        registry.add(op_type, |spec| {
            let rounding = Rounding::of(spec)?;
            for_dtype!(widened spec, spec.input_dtype(0), T => Ok(boxed(move |context| round::<T>(context, &rounding))))
        });
    }
    registry.add("QuantizeAndDequantizeV4Grad", |spec| {
        let axis = axis(spec)?;
        for_dtype!(widened spec, spec.input_dtype(0), T => Ok(boxed(move |context| gradients::<T>(context, axis))))
    });
}

/// Returns the attribute `axis`, which older versions lack, or `None` for -1.
fn axis(spec: &NodeSpec<'_>) -> Result<Option<usize>> {
    match spec.int("axis").unwrap_or(-1) {
        -1 => Ok(None),
        axis => usize::try_from(axis)
            .map(Some)
            .map_err(|_| Error::invalid_argument(format!("axis must be at least -1, got {axis}"))),
    }
}

/// The attributes of any version.
struct Rounding {
    /// True if integers below 0 are used.
    signed: bool,
    /// True to leave out the least integer.
    narrow: bool,
    /// True if the range is given and not that of the values.
    given: bool,
    /// True to round halves up instead of to even.
    half_up: bool,
    /// The axis whose slices have ranges of their own.
    axis: Option<usize>,
    /// The number of bits; `None` if it is an input.
    bits: Option<i64>,
    /// The ends of the first version, which are attributes; `None` if they are inputs.
    range: Option<[f64; 2]>,
}

impl Rounding {
    /// Reads the attributes that the version has.
    fn of(spec: &NodeSpec<'_>) -> Result<Rounding> {
        let first = spec.operation.op_type() == "QuantizeAndDequantize";
        let range = [spec.float("input_min"), spec.float("input_max")];
        Ok(Rounding {
            signed: spec.bool("signed_input")?,
            narrow: spec.bool("narrow_range").unwrap_or(false),
            given: spec.bool("range_given")?,
            half_up: spec.str("round_mode").is_ok_and(|mode| mode == "HALF_UP"),
            axis: axis(spec)?,
            bits: spec.int("num_bits").ok(),
            range: match range {
                [Ok(least), Ok(most)] if first => Some([least.into(), most.into()]),
                _ => None,
            },
        })
    }

    /// Returns the least and the largest integer.
    ///
    /// As floats: a double does not hold the largest integer of more than 53 bits exactly.
    fn integers(&self, context: &KernelContext<'_>) -> Result<[f64; 2]> {
        let bits = match self.bits {
            Some(bits) => bits,
            None => context.int(3)?,
        };
        if !(if self.signed { 2..63 } else { 1..63 }).contains(&bits) {
            let text = format!("num_bits is out of range: {bits} with signed_input {}", self.signed);
            return Err(Error::invalid_argument(text));
        }
        Ok(match self.signed {
            true => {
                let half = (1i64 << (bits - 1)) as f64;
                [if self.narrow { 1.0 - half } else { -half }, half - 1.0]
            }
            false => [0.0, ((1i64 << bits) - 1) as f64],
        })
    }
}

/// Returns the sizes before, along and after an axis; without one, all is after.
///
/// Fails with `InvalidArgument` for an axis that the shape does not have.
///
/// For the shape `[2, 3, 4]` and axis 1 they are `[2, 3, 4]`; without an axis `[1, 1, 24]`.
fn around(shape: &Shape, axis: Option<usize>) -> Result<[usize; 3]> {
    match axis {
        None => Ok([1, 1, shape.elements()]),
        Some(axis) if axis < shape.rank() => {
            Ok([shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product()])
        }
        Some(axis) => {
            Err(Error::invalid_argument(format!("axis {axis} is not in an input of shape {shape}")))
        }
    }
}

/// Delivers input 0 rounded to the scale of its slice.
///
/// The scale is a number of steps per unit; its inverse is computed from the same quotient, not from the
/// scale, so that the end of the range is reproduced exactly.
///
/// The range of each slice is completed to one that the integers fill exactly: the side that decides the
/// scale keeps its end, and the other end moves to what its last integer stands for. For the range `[-1, 2]`
/// and the integers -4 to 3 the scale is 1.5, and the range becomes `[-2.667, 2]`.
fn round<T: Element + Real>(context: &mut KernelContext<'_>, rounding: &Rounding) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let [_, slices, inner] = around(&shape, rounding.axis)?;
    let [low, high] = rounding.integers(context)?.map(T::of);
    let values = context.slice::<T>(0)?;
    let mut ranges: Vec<[T; 2]> = match (rounding.given, rounding.range) {
        (true, Some(range)) => vec![range.map(T::of)],
        (true, None) => {
            let (least, most) = (context.slice::<T>(1)?, context.slice::<T>(2)?);
            if least.len() != slices || most.len() != slices {
                let text =
                    format!("{slices} ranges are needed, {} and {} are given", least.len(), most.len());
                return Err(Error::invalid_argument(text));
            }
            least.iter().zip(most).map(|(&least, &most)| [least, most]).collect()
        }
        (false, _) => {
            // Without an element, a slice has the range from 0 to 0.
            let mut ranges: Vec<Option<[T; 2]>> = memory::filled(None, slices)?;
            for (at, &x) in values.iter().enumerate() {
                let range = &mut ranges[at / inner.max(1) % slices];
                *range = Some(match *range {
                    None => [x, x],
                    Some([least, most]) => {
                        [if x < least { x } else { least }, if x > most { x } else { most }]
                    }
                });
            }
            ranges.into_iter().map(|range| range.unwrap_or_default()).collect()
        }
    };
    if let Some([least, most]) = ranges.iter().find(|[least, most]| least > most) {
        return Err(Error::invalid_argument(format!(
            "Invalid range: input_min {least:?} > input_max {most:?}"
        )));
    }
    let zero = T::default();
    let mut scales = memory::reserve(ranges.len())?;
    for [least, most] in &mut ranges {
        // The side that needs the smaller scale decides, so that all numbers of the range fit.
        let side = |integer: T, end: T| (integer * end > zero).then(|| integer / end);
        let (of_least, of_most) = (side(low, *least), side(high, *most));
        // A side that maps to no integer, such as a negative end without a sign, does not count.
        let first = match (of_least, of_most) {
            (Some(of_least), Some(of_most)) => of_least < of_most,
            (Some(_), None) => true,
            _ => false,
        };
        let (scale, inverse) = if first {
            (of_least.unwrap_or(zero), *least / low)
        } else {
            (of_most.unwrap_or_else(|| T::of(f64::from(f32::MAX))), *most / high)
        };
        if first {
            *most = high * inverse;
        } else {
            *least = low * inverse;
        }
        scales.push((scale, inverse));
    }
    let (given, half_up) = (rounding.given, rounding.half_up);
    context.produce::<T>(0, shape, |context, output| {
        for (at, (out, &x)) in output.iter_mut().zip(context.slice::<T>(0)?).enumerate() {
            // The range of the first version is one for all slices.
            let slice = if ranges.len() == 1 { 0 } else { at / inner.max(1) % slices };
            let ((scale, inverse), [least, most]) = (scales[slice], ranges[slice]);
            // A range of the values themselves clamps nothing, and NaN fails both comparisons and stays.
            let x = match given {
                true if x < least => least,
                true if x > most => most,
                _ => x,
            };
            let scaled = x * scale;
            let rounded = if half_up { (scaled + T::of(0.5)).floor() } else { scaled.round_even() };
            *out = rounded * inverse;
        }
        Ok(())
    })
}

/// Gradients pass within the range; its ends have none.
///
/// Inputs are the gradient, the forward input and the ends of its range. Outputs 1 and 2, the gradients of
/// the ends, are zeros: the op type promises them, and TensorFlow returns zeros as well.
fn gradients<T: Element + Real>(context: &mut KernelContext<'_>, axis: Option<usize>) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let (least_shape, most_shape) = (context.input(2).shape().clone(), context.input(3).shape().clone());
    let [_, slices, inner] = around(&shape, axis)?;
    if *context.input(1).shape() != shape
        || least_shape.elements() != slices
        || most_shape.elements() != slices
    {
        return Err(Error::invalid_argument("gradient, input and ranges do not fit each other"));
    }
    context.produce::<T>(0, shape, |context, output| {
        let (least, most) = (context.slice::<T>(2)?, context.slice::<T>(3)?);
        let pairs = context.slice::<T>(0)?.iter().zip(context.slice::<T>(1)?);
        for (at, (out, (&gradient, &x))) in output.iter_mut().zip(pairs).enumerate() {
            let slice = at / inner.max(1) % slices.max(1);
            *out = if x < least[slice] || x > most[slice] { T::default() } else { gradient };
        }
        Ok(())
    })?;
    for (output, shape) in [(1, least_shape), (2, most_shape)] {
        context.produce::<T>(output, shape, |_, ends| {
            ends.fill(T::default());
            Ok(())
        })?;
    }
    Ok(())
}
