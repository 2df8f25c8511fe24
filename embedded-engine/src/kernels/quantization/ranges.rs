//! Conversions between numbers and the integers that represent them.
//!
//! # Semantics
//!
//! - `QuantizeV2` converts `float32` to integers and returns the range that it used; `Dequantize` converts
//!   back to `float32` or `bfloat16`. The attribute `mode` selects one of three mappings ([`Mode`]). `axis`
//!   selects an axis whose slices have ranges of their own, with -1 for none.
//! - `QuantizeV2` widens a range so that it contains 0 and is at least `ensure_minimum_range` wide, relative
//!   to its ends and to 1.
//! - `Requantize` converts integers of one range to those of another, given as inputs. `RequantizationRange`
//!   returns the range that is used, and `QuantizeDownAndShrinkRange` does both.
//!
//! Numbers outside the range are clamped. A range whose maximum is less than its minimum, one with a NaN,
//! numbers of ranges that do not fit the axis, and `HALF_TO_EVEN` without `SCALED` are `InvalidArgument`.

use crate::dispatch::unsupported;
use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{Error, Result};
use tensor::{DType, Shape, Tensor, bf16, memory};

/// Registers the op types. Attributes are read when the plan is compiled.
pub(super) fn register(registry: &mut Registry) {
    registry.add("QuantizeV2", |spec| {
        let quantizer = Quantizer::of(spec, Integers::of(spec.dtype("T")?)?)?;
        Ok(boxed(move |context| quantizer.quantize(context)))
    });
    registry.add("Dequantize", |spec| {
        let quantizer = Quantizer::of(spec, Integers::of(spec.dtype("T")?)?)?;
        let dtype = spec.dtype("dtype")?;
        Ok(boxed(move |context| quantizer.dequantize(context, dtype)))
    });
    registry.add("Requantize", |spec| {
        let (from, to) = (Integers::of(spec.dtype("Tinput")?)?, Integers::of(spec.dtype("out_type")?)?);
        Ok(boxed(move |context| {
            let range = Range::of_inputs(context, 3)?;
            requantize(context, from, to, range)
        }))
    });
    registry.add("RequantizationRange", |spec| {
        let from = Integers::of(spec.dtype("Tinput")?)?;
        Ok(boxed(move |context| {
            let range = used_range(context, from)?;
            context.set(0, Tensor::scalar(range.least));
            context.set(1, Tensor::scalar(range.most));
            Ok(())
        }))
    });
    registry.add("QuantizeDownAndShrinkRange", |spec| {
        let (from, to) = (Integers::of(spec.dtype("Tinput")?)?, Integers::of(spec.dtype("out_type")?)?);
        Ok(boxed(move |context| {
            let range = used_range(context, from)?;
            requantize(context, from, to, range)
        }))
    });
}

/// The integers of a quantized dtype.
///
/// All arithmetic is in `i64`, which holds the values of every quantized dtype and their differences.
#[derive(Clone, Copy, Debug)]
pub(super) struct Integers {
    /// The quantized dtype.
    pub(super) dtype: DType,
    /// The least number.
    pub(super) low: i64,
    /// The largest number.
    pub(super) high: i64,
}

impl Integers {
    /// Returns the range of a quantized dtype.
    ///
    /// Other dtypes are `Unimplemented`.
    pub(super) fn of(dtype: DType) -> Result<Integers> {
        let (low, high) = match dtype {
            DType::QInt8 => (i8::MIN.into(), i8::MAX.into()),
            DType::QUInt8 => (0, u8::MAX.into()),
            DType::QInt16 => (i16::MIN.into(), i16::MAX.into()),
            DType::QUInt16 => (0, u16::MAX.into()),
            DType::QInt32 => (i32::MIN.into(), i32::MAX.into()),
            other => return Err(unsupported(other)),
        };
        Ok(Integers { dtype, low, high })
    }

    /// Returns the number of integers.
    ///
    /// It is 256 for 8 bits; a double holds it exactly for all dtypes.
    fn count(self) -> f64 {
        (self.high - self.low + 1) as f64
    }

    /// Reads the numbers of a tensor.
    ///
    /// The tensor has the dtype of `self`. Copies into `i64`, eight times the memory of 8-bit integers.
    pub(super) fn read(self, tensor: &Tensor) -> Result<Vec<i64>> {
        // The quantized dtypes have no Rust type of their own, so tensors of them are read and written as
        // bytes.
        let bytes = tensor.as_bytes()?;
        Ok(match self.dtype {
            DType::QInt8 => memory::collected(bytes.iter().map(|&byte| byte.cast_signed().into()))?,
            DType::QUInt8 => memory::collected(bytes.iter().map(|&byte| byte.into()))?,
            DType::QInt16 => memory::collected(
                bytes.chunks_exact(2).map(|pair| i16::from_ne_bytes([pair[0], pair[1]]).into()),
            )?,
            DType::QUInt16 => memory::collected(
                bytes.chunks_exact(2).map(|pair| u16::from_ne_bytes([pair[0], pair[1]]).into()),
            )?,
            _ => memory::collected(
                bytes
                    .chunks_exact(4)
                    .map(|four| i32::from_ne_bytes([four[0], four[1], four[2], four[3]]).into()),
            )?,
        })
    }

    /// Returns a tensor of integers, which are cut off where they do not fit.
    ///
    /// `values` yields as many numbers as the shape has elements.
    pub(super) fn write(self, shape: Shape, values: impl Iterator<Item = i64>) -> Result<Tensor> {
        let mut bytes = memory::reserve(shape.elements().saturating_mul(self.dtype.size()))?;
        for value in values {
            // After the clamp, the casts below keep all bits that count.
            let value = value.clamp(self.low, self.high);
            match self.dtype.size() {
                1 => bytes.push(value as u8),
                2 => bytes.extend((value as u16).to_ne_bytes()),
                _ => bytes.extend((value as u32).to_ne_bytes()),
            }
        }
        Ok(Tensor::from_bytes(self.dtype, shape, bytes)?)
    }

    /// Returns the distance of the numbers that neighboring integers stand for.
    ///
    /// A range of equal ends has a step of 0.
    pub(super) fn step(self, range: Range) -> f32 {
        ((f64::from(range.most) - f64::from(range.least)) / (self.high - self.low) as f64) as f32
    }

    /// Returns the range in steps, a little wider than it is.
    ///
    /// A range has one step less than it has integers; TensorFlow's `MIN_FIRST` formulas divide by the number
    /// of integers and therefore stretch it.
    fn spread(self, range: Range) -> f64 {
        (f64::from(range.most) - f64::from(range.least)) * (self.count() / (self.count() - 1.0))
    }

    /// Returns the integer for a number, whether or not the dtype has it.
    ///
    /// Rounds the number and the lower end to steps separately and takes the difference, as TensorFlow's
    /// `FloatToQuantizedUnclamped` does, so that 0 is mapped to the same integer wherever the range begins.
    /// An empty range gives 0.
    pub(super) fn quantized(self, range: Range, x: f32) -> i64 {
        if range.least == range.most {
            return 0;
        }
        let scale = self.count() / self.spread(range);
        ((f64::from(x) * scale).round() - (f64::from(range.least) * scale).round()) as i64 + self.low
    }

    /// Returns the number that an integer stands for.
    ///
    /// It is the inverse of `quantized` up to rounding: `least + (integer - low) * step`, with the lower end
    /// moved to a multiple of the step.
    pub(super) fn number(self, range: Range, integer: i64) -> f32 {
        if range.least == range.most {
            return range.least;
        }
        let scale = self.spread(range) / self.count();
        // The lower end is rounded in single precision, the sum formed in double precision; the last bit
        // depends on it.
        let single = scale as f32;
        let least = (range.least / single).round() * single;
        (f64::from(least) + (integer - self.low) as f64 * scale) as f32
    }
}

/// The numbers that integers stand for.
///
/// It need not contain 0, and its ends may be equal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Range {
    /// The number that the least integer represents.
    pub(super) least: f32,
    /// The number that the largest integer represents.
    pub(super) most: f32,
}

impl Range {
    /// Returns the range in two inputs.
    ///
    /// The inputs are `input` and the next one, `float32` tensors of one element of any rank. Their order is
    /// not checked.
    pub(super) fn of_inputs(context: &KernelContext<'_>, input: usize) -> Result<Range> {
        let (&[least], &[most]) = (context.slice::<f32>(input)?, context.slice::<f32>(input + 1)?) else {
            return Err(Error::invalid_argument("the ends of a range must each be one number"));
        };
        Ok(Range { least, most })
    }

    /// Delivers the ends of the range as outputs 1 and 2, which follow the integers.
    pub(super) fn deliver(self, context: &mut KernelContext<'_>) {
        context.set(1, Tensor::scalar(self.least));
        context.set(2, Tensor::scalar(self.most));
    }
}

/// Returns the range that the integers of input 0 use, with 0.
///
/// Returns `[0, 0]` without elements. The upper end is not raised to 0, as in TensorFlow.
fn used_range(context: &KernelContext<'_>, from: Integers) -> Result<Range> {
    let range = Range::of_inputs(context, 1)?;
    let values = from.read(context.input(0))?;
    let end = |integer: Option<&i64>| integer.map_or(0.0, |&integer| from.number(range, integer));
    Ok(Range { least: end(values.iter().min()).min(0.0), most: end(values.iter().max()) })
}

/// Changes integers that stand for numbers of one range to those for another.
///
/// The given range is in the inputs 1 and 2; `range` is the new one, which is delivered together with the
/// integers.
pub(super) fn requantize(
    context: &mut KernelContext<'_>,
    from: Integers,
    to: Integers,
    range: Range,
) -> Result<()> {
    let given = Range::of_inputs(context, 1)?;
    let values = from.read(context.input(0))?;
    let integers = values.into_iter().map(|value| to.quantized(range, from.number(given, value)));
    let output = to.write(context.input(0).shape().clone(), integers)?;
    context.set(0, output);
    range.deliver(context);
    Ok(())
}

/// The ways in which integers represent numbers.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// The mode `MIN_COMBINED`: integers represent equal steps between the ends of the range.
    MinCombined,
    /// The mode `MIN_FIRST`: the same, with the rounding of [`Integers::quantized`].
    MinFirst,
    /// The mode `SCALED`: integers represent multiples of one step, so that 0 is exact.
    Scaled,
}

/// The options of an operation between numbers and integers.
///
/// The same type serves both directions; `half_to_even` and `width` have no meaning when converting back.
struct Quantizer {
    /// The integers.
    integers: Integers,
    /// The mapping.
    mode: Mode,
    /// True to round halves to even numbers.
    half_to_even: bool,
    /// True to leave out the least integer, so that the range is symmetric.
    narrow: bool,
    /// The axis whose slices have ranges of their own.
    axis: Option<usize>,
    /// The least width of a range, relative to its ends.
    width: f32,
}

impl Quantizer {
    /// Reads the attributes.
    ///
    /// Fails with `InvalidArgument` for an axis below -1, or for a rounding mode that the mapping does not
    /// have.
    fn of(spec: &NodeSpec<'_>, integers: Integers) -> Result<Quantizer> {
        let mode = match spec.str("mode")? {
            "MIN_COMBINED" => Mode::MinCombined,
            "MIN_FIRST" => Mode::MinFirst,
            _ => Mode::Scaled,
        };
        let axis = match spec.int("axis")? {
            -1 => None,
            axis => Some(
                usize::try_from(axis)
                    .map_err(|_| Error::invalid_argument(format!("axis must be at least -1, got {axis}")))?,
            ),
        };
        let half_to_even = spec.str("round_mode").is_ok_and(|mode| mode == "HALF_TO_EVEN");
        if half_to_even && mode != Mode::Scaled {
            return Err(Error::invalid_argument(
                "Round mode 'HALF_TO_EVEN' only supported for mode 'SCALED'",
            ));
        }
        let width = spec.float("ensure_minimum_range").unwrap_or(0.0);
        Ok(Quantizer { integers, mode, half_to_even, narrow: spec.bool("narrow_range")?, axis, width })
    }

    /// Returns the range of each slice along the axis, and the number of elements after that.
    ///
    /// The ends are the inputs 1 and 2. Without an axis there is one range. Fails if their number is not that
    /// of the slices, or if a range is not valid.
    fn ranges(&self, context: &KernelContext<'_>) -> Result<(Vec<Range>, usize)> {
        let shape = context.input(0).shape();
        let (least, most) = (context.slice::<f32>(1)?, context.slice::<f32>(2)?);
        let (slices, inner) = match self.axis {
            None => (1, shape.elements().max(1)),
            Some(axis) if axis < shape.rank() => {
                (shape[axis], shape[axis + 1..].iter().product::<usize>().max(1))
            }
            Some(axis) => {
                return Err(Error::invalid_argument(format!(
                    "axis {axis} is not in an input of shape {shape}"
                )));
            }
        };
        if least.len() != slices || most.len() != slices {
            let text = format!("{slices} ranges are needed, {} and {} are given", least.len(), most.len());
            return Err(Error::invalid_argument(text));
        }
        let ranges: Vec<Range> =
            least.iter().zip(most).map(|(&least, &most)| Range { least, most }).collect();
        match ranges
            .iter()
            .find(|range| range.least.is_nan() || range.most.is_nan() || range.most < range.least)
        {
            Some(Range { least, most }) => {
                let text =
                    format!("input_max_range must be no less than input_min_range: {most} and {least}");
                Err(Error::invalid_argument(text))
            }
            None => Ok((ranges, inner)),
        }
    }

    /// Returns the least integer that is used.
    ///
    /// For `narrow_range` that is one more than the least of the dtype.
    fn lowest(&self) -> i64 {
        self.integers.low + i64::from(self.narrow)
    }

    /// Quantizes a tensor.
    ///
    /// Delivers the integers of input 0 and the ends of the ranges that were used, in the shape of the given
    /// ends.
    ///
    /// With `low` and `high` the ends of the integers and `least` and `most` those of the widened range:
    ///
    /// | mode | integer for `x` |
    /// | --- | --- |
    /// | `MIN_COMBINED` | `round((x - least) (high - low) / (most - least))`, minus half of the count for signed dtypes |
    /// | `MIN_FIRST` | [`Integers::quantized`] |
    /// | `SCALED` | `round(x s)` with the largest `s` that maps the range into the integers |
    fn quantize(&self, context: &mut KernelContext<'_>) -> Result<()> {
        let (given, inner) = self.ranges(context)?;
        let integers = self.integers;
        // One entry for each slice; without an axis a single one.
        let (mut ranges, mut scales) = (memory::reserve(given.len())?, memory::reserve(given.len())?);
        for Range { least, most } in given {
            // The range has 0 in it, and is never so narrow that its ends are one number.
            let width = least.abs().max(most.abs()).max(1.0) * self.width;
            let least = least.min(0.0);
            let most = most.max(least + width).max(0.0);
            let (scale, range) = match self.mode {
                Mode::Scaled => {
                    // The scale that maps the end of the range to the integer, if both are on the same side
                    // of 0.
                    let side = |integer: i64, end: f32| {
                        let integer = integer as f32;
                        if integer * end > 0.0 { integer / end } else { f32::MAX }
                    };
                    let scale = side(self.lowest(), least).min(side(integers.high, most));
                    (scale, Range { least: self.lowest() as f32 / scale, most: integers.high as f32 / scale })
                }
                _ => ((integers.high - integers.low) as f32 / (most - least), Range { least, most }),
            };
            scales.push(scale);
            ranges.push(range);
        }
        // Signed integers begin at minus half of their number.
        let half = if integers.low < 0 { (integers.count() / 2.0) as f32 } else { 0.0 };
        let quantized = |(at, &x): (usize, &f32)| {
            // The axis varies once for every `inner` elements.
            let slice = at / inner % ranges.len();
            let (range, scale) = (ranges[slice], scales[slice]);
            let inside = x.max(range.least).min(range.most);
            match self.mode {
                Mode::MinCombined => ((inside - range.least) * scale - half).round() as i64,
                Mode::MinFirst => integers.quantized(range, x),
                Mode::Scaled if self.half_to_even => (inside * scale).round_ties_even() as i64,
                Mode::Scaled => (inside * scale).round() as i64,
            }
        };
        let values = context.slice::<f32>(0)?;
        let output =
            integers.write(context.input(0).shape().clone(), values.iter().enumerate().map(quantized))?;
        let ends = context.input(1).shape().clone();
        let least: Vec<f32> = ranges.iter().map(|range| range.least).collect();
        let most: Vec<f32> = ranges.iter().map(|range| range.most).collect();
        context.set(0, output);
        context.set(1, Tensor::from_vec(least, ends.clone())?);
        context.set(2, Tensor::from_vec(most, ends)?);
        Ok(())
    }

    /// Converts a quantized tensor back.
    ///
    /// Delivers the numbers that the integers of input 0 stand for, as `float32` or, with the attribute
    /// `dtype`, as `bfloat16`.
    fn dequantize(&self, context: &mut KernelContext<'_>, dtype: DType) -> Result<()> {
        let (ranges, inner) = self.ranges(context)?;
        let integers = self.integers;
        let half = if integers.low < 0 { (integers.count() / 2.0) as f32 } else { 0.0 };
        let number = |(at, integer): (usize, i64)| {
            let range = ranges[at / inner % ranges.len()];
            match self.mode {
                Mode::MinCombined => {
                    let scale = (range.most - range.least) / (integers.high - integers.low) as f32;
                    (integer as f32 + half) * scale + range.least
                }
                Mode::MinFirst => integers.number(range, integer),
                Mode::Scaled if integers.low < 0 => {
                    // The larger of the two scales, which `quantize` used.
                    let sides = (range.least / self.lowest() as f32).max(range.most / integers.high as f32);
                    integer as f32 * sides
                }
                Mode::Scaled => integer as f32 * (range.most / integers.high as f32),
            }
        };
        let shape = context.input(0).shape().clone();
        let values = integers.read(context.input(0))?;
        let numbers = memory::collected(values.into_iter().enumerate().map(number))?;
        let output = match dtype {
            DType::BFloat16 => {
                Tensor::from_vec(memory::collected(numbers.into_iter().map(bf16::from_f32))?, shape)?
            }
            _ => Tensor::from_vec(numbers, shape)?,
        };
        context.set(0, output);
        Ok(())
    }
}
