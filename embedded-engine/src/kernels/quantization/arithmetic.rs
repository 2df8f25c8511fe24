//! Sums, products and normalization of integers that stand for numbers.
//!
//! # Semantics
//!
//! | op type | input | output | range of the output |
//! | --- | --- | --- | --- |
//! | `QuantizedAdd` | `quint8`, broadcast | `qint32` | `2^14` times the larger magnitude of the inputs' ends |
//! | `QuantizedMul` | `quint8`, broadcast | `qint32` | the product of both steps times the integers of the dtype |
//! | `QuantizedBatchNormWithGlobalNormalization` | `quint8` | `qint32` | from `-2^20` to `2^20` |
//! | `QuantizedInstanceNorm` | `quint8` | `quint8` | given, or that of the results |
//! | `QuantizedResizeBilinear` | `quint8`, `qint32` or `float32` | like the input | that of the input |
//!
//! The ranges are further inputs: minimum and maximum of each quantized input, in the order of the inputs.
//! Other dtypes are `Unimplemented`, as TensorFlow has no kernels for them. Shapes that do not broadcast,
//! images that are not of rank 4, and a range whose maximum is not larger than its minimum are
//! `InvalidArgument`. Results outside the dtype are clamped.

use super::ranges::{Integers, Range};
use crate::dispatch::unsupported;
use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::math::{boxed, incompatible, repeated};
use crate::kernels::nn::{Scaler, bilinear, image_dims, new_size};
use crate::registry::Registry;
use compute::elementwise::Broadcast;
use session_core::{Error, Result};
use tensor::{DType, Shape, Tensor, memory};

/// Registers the op types. Dtypes are attributes and are checked when the plan is compiled.
pub(super) fn register(registry: &mut Registry) {
    registry.add("QuantizedAdd", |spec| {
        let [x, y, output] = pair_kinds(spec)?;
        Ok(boxed(move |context| add(context, [x, y], output)))
    });
    registry.add("QuantizedMul", |spec| {
        let [x, y, output] = pair_kinds(spec)?;
        Ok(boxed(move |context| multiply(context, [x, y], output)))
    });
    registry.add("QuantizedBatchNormWithGlobalNormalization", |spec| {
        let input = only(spec.dtype("Tinput")?, DType::QUInt8)?;
        let output = only(spec.dtype("out_type")?, DType::QInt32)?;
        let epsilon = spec.float("variance_epsilon")?;
        let scales = spec.bool("scale_after_normalization")?;
        Ok(boxed(move |context| batch_norm(context, input, output, epsilon, scales)))
    });
    registry.add("QuantizedInstanceNorm", |spec| {
        let norm = InstanceNorm {
            kind: only(spec.dtype("T")?, DType::QUInt8)?,
            given: if spec.bool("output_range_given")? {
                Some(Range { least: spec.float("given_y_min")?, most: spec.float("given_y_max")? })
            } else {
                None
            },
            epsilon: spec.float("variance_epsilon")?,
            separation: spec.float("min_separation")?,
        };
        Ok(boxed(move |context| norm.run(context)))
    });
    registry.add("QuantizedResizeBilinear", |spec| {
        let (scaler, dtype) = (Scaler::of(spec)?, spec.dtype("T")?);
        // A resize of plain floats that passes a range on, as the definition allows.
        if dtype == DType::Float32 {
            return Ok(boxed(move |context| {
                let range = Range::of_inputs(context, 2)?;
                bilinear(context, scaler)?;
                range.deliver(context);
                Ok(())
            }));
        }
        let kind = Integers::of(dtype)?;
        // The bits of a share between two pixels.
        let bits = match dtype {
            DType::QUInt8 => 7,
            DType::QInt32 => 30,
            other => return Err(unsupported(other)),
        };
        Ok(boxed(move |context| resize(context, kind, scaler, bits)))
    });
}

/// Returns the integers of a dtype if it is the one that TensorFlow has a kernel for.
///
/// Fails with `Unimplemented` for any other.
fn only(dtype: DType, supported: DType) -> Result<Integers> {
    if dtype == supported { Integers::of(dtype) } else { Err(unsupported(dtype)) }
}

/// Returns the integers of both operands and of the result.
fn pair_kinds(spec: &NodeSpec<'_>) -> Result<[Integers; 3]> {
    let kind = |attr: &str, supported| only(spec.dtype(attr)?, supported);
    Ok([kind("T1", DType::QUInt8)?, kind("T2", DType::QUInt8)?, kind("Toutput", DType::QInt32)?])
}

/// Returns the shape of a result and the integers of both inputs in that shape.
///
/// Each vector has as many elements as the shape, in row-major order, so that pairs of elements meet at one
/// index.
fn broadcast(context: &KernelContext<'_>, kinds: [Integers; 2]) -> Result<(Shape, [Vec<i64>; 2])> {
    let shapes = [context.input(0).shape(), context.input(1).shape()];
    let plan = Broadcast::new(shapes.map(Shape::dims)).map_err(|error| incompatible(&error))?;
    let shape = Shape::new(plan.output_shape());
    let wide =
        |input: usize| repeated(context, shapes[input], &kinds[input].read(context.input(input))?, &shape);
    let values = [wide(0)?, wide(1)?];
    Ok((shape, values))
}

/// Returns the ranges of both inputs, neither of which is empty.
///
/// The ranges are the inputs 2 and 3, and 4 and 5.
fn pair_ranges(context: &KernelContext<'_>) -> Result<[Range; 2]> {
    let ranges = [Range::of_inputs(context, 2)?, Range::of_inputs(context, 4)?];
    check_width(ranges[0], ["min_x", "max_x"])?;
    check_width(ranges[1], ["min_y", "max_y"])?;
    Ok(ranges)
}

/// Refuses a range that is empty, whose ends have these names.
///
/// A range of equal ends is refused as well, since the step between integers would be 0.
fn check_width(Range { least, most }: Range, [low, high]: [&str; 2]) -> Result<()> {
    if most > least {
        return Ok(());
    }
    Err(Error::invalid_argument(format!("{high} must be larger than {low}: {most} and {least}")))
}

/// Delivers sums of two tensors.
///
/// Both operands are moved to the range of the sum and added there as integers. The move is linear: an
/// integer `q` is at `place(0) + q * step`, with `step` the difference of the places of 1 and 0.
///
/// With `r` the larger magnitude of both ranges, the result has the range from `-2^14 r` to `2^14 r`,
/// whatever the inputs are. An input takes about 18 of the 32 bits; the others are room for further
/// additions.
fn add(context: &mut KernelContext<'_>, kinds: [Integers; 2], output: Integers) -> Result<()> {
    let ranges = pair_ranges(context)?;
    let (shape, [x, y]) = broadcast(context, kinds)?;
    // A range in which both fit with much to spare, as sums of more of them are wanted.
    let ends = ranges.iter().flat_map(|range| [range.most, -range.least]);
    let most = ends.fold(f32::MIN, f32::max) * (1 << 14) as f32;
    let range = Range { least: -most, most };
    // Two integers of an input determine the place of all of them in the range of the sum.
    let places = [0, 1].map(|input| {
        let place = |integer| output.quantized(range, kinds[input].number(ranges[input], integer));
        (place(0), place(1) - place(0))
    });
    // TensorFlow moves a single number by itself, with a rounding that differs from the linear form in the
    // last integer.
    let single = [0, 1].map(|input| context.input(input).elements() == 1);
    let moved = |input: usize, value: i64| {
        let (zero, step): (i64, i64) = places[input];
        let place = match single[input] {
            true => output.quantized(range, kinds[input].number(ranges[input], value)),
            false => zero.saturating_add(step.saturating_mul(value)),
        };
        place.clamp(output.low, output.high)
    };
    let sums = x.into_iter().zip(y).map(|(x, y)| moved(0, x) + moved(1, y));
    let sums = output.write(shape, sums)?;
    context.set(0, sums);
    range.deliver(context);
    Ok(())
}

/// Delivers products `(x - zero_x) * (y - zero_y)` of integers, which stand for multiples of the product of
/// both steps. The zero points are the integers that stand for 0.
///
/// No rounding takes place: the step of the result is the product of both steps, so the product of the
/// integers is exact. The range follows from that step and the integers of `qint32`, whether or not the
/// results use it.
fn multiply(context: &mut KernelContext<'_>, kinds: [Integers; 2], output: Integers) -> Result<()> {
    let ranges = pair_ranges(context)?;
    let (shape, [x, y]) = broadcast(context, kinds)?;
    let [zero_x, zero_y] = [0, 1].map(|input| kinds[input].quantized(ranges[input], 0.0));
    let products = x.into_iter().zip(y).map(|(x, y)| (x - zero_x).saturating_mul(y - zero_y));
    let products = output.write(shape, products)?;
    context.set(0, products);
    let step = kinds[0].step(ranges[0]) * kinds[1].step(ranges[1]);
    Range { least: step * output.low as f32, most: step * output.high as f32 }.deliver(context);
    Ok(())
}

/// Normalizes in fixed point: ten bits after the point, and numbers up to a million.
///
/// Each of the inputs `t`, `m`, `v`, `beta`, `gamma` comes with its range, so they are the inputs 0, 3, 6, 9
/// and 12. The last four have one number for each channel. The result is `(t - m) * scale + beta` with
/// `scale = 1 / sqrt(v + epsilon)`, times `gamma` if `scales` is true.
///
/// All quantities are integers of one range, from `-2^20` to `2^20` in 32 bits, of which a product is shifted
/// back by dividing by the integer of 1. Numbers outside that range are clamped when they are converted;
/// products wrap, as they do in TensorFlow.
fn batch_norm(
    context: &mut KernelContext<'_>,
    input: Integers,
    output: Integers,
    epsilon: f32,
    scales: bool,
) -> Result<()> {
    let range = Range { least: -(1 << 20) as f32, most: (1 << 20) as f32 };
    let shape = context.input(0).shape().clone();
    let [_, _, _, depth] = *shape.dims() else {
        return Err(Error::invalid_argument(format!("input must be 4-dimensional: {shape}")));
    };
    let channels = |at: usize, name: &str| {
        if context.input(at).shape().dims() != [depth] {
            let text = format!("{name} must have {depth} elements, not shape {}", context.input(at).shape());
            return Err(Error::invalid_argument(text));
        }
        let given = Range::of_inputs(context, at + 1)?;
        let values = input.read(context.input(at))?;
        Ok(memory::collected(values.into_iter().map(|value| input.number(given, value)))?)
    };
    let (means, variances) = (channels(3, "mean")?, channels(6, "var")?);
    let (betas, gammas) = (channels(9, "beta")?, channels(12, "gamma")?);
    let fixed = |x: f32| output.quantized(range, x).clamp(output.low, output.high) as i32;
    let mut factors = memory::reserve(depth)?;
    for channel in 0..depth {
        let scale = 1.0 / (variances[channel] + epsilon).sqrt();
        let scale = if scales { scale * gammas[channel] } else { scale };
        // The mean is folded into the offset, so each pixel takes one product and one sum.
        factors.push((fixed(scale), fixed(betas[channel] - means[channel] * scale)));
    }
    let (given, one) = (Range::of_inputs(context, 1)?, fixed(1.0));
    let values = input.read(context.input(0))?;
    let results = values.into_iter().enumerate().map(|(at, value)| {
        let (scale, offset) = factors[at % depth];
        // As the 32 bits of TensorFlow's integers wrap.
        let scaled = fixed(input.number(given, value)).wrapping_mul(scale) / one;
        i64::from(scaled.wrapping_add(offset))
    });
    let results = output.write(shape.clone(), results)?;
    context.set(0, results);
    range.deliver(context);
    Ok(())
}

/// The options of a normalization of each channel of each image.
struct InstanceNorm {
    /// The integers of input and output.
    kind: Integers,
    /// The range of the result; without one it is what the numbers need.
    given: Option<Range>,
    /// Added to the variance.
    epsilon: f32,
    /// The least width of a range that the numbers determine.
    separation: f32,
}

impl InstanceNorm {
    /// Delivers `(x - mean) / sqrt(variance + epsilon)`, with mean and variance over the pixels of a channel
    /// of one image.
    ///
    /// Input 0 has the shape `[batch, height, width, depth]`. The statistics are those of the integers, in
    /// double precision; `step` converts them, and the offset of the range cancels out.
    fn run(&self, context: &mut KernelContext<'_>) -> Result<()> {
        let given = Range::of_inputs(context, 1)?;
        check_width(given, ["x_min", "x_max"])?;
        let shape = context.input(0).shape().clone();
        let [_, height, width, depth] = *shape.dims() else {
            return Err(Error::invalid_argument(format!("images must be 4-dimensional: {shape}")));
        };
        let pixels = height * width;
        let step = self.kind.step(given);
        let values = self.kind.read(context.input(0))?;
        let mut numbers = memory::collected(values.into_iter().map(|value| value as f32))?;
        for image in numbers.chunks_exact_mut((pixels * depth).max(1)) {
            for channel in 0..depth {
                let of_channel = |image: &[f32]| {
                    image[channel..].iter().step_by(depth).map(|&x| f64::from(x)).collect::<Vec<f64>>()
                };
                let all = of_channel(image);
                let mean = all.iter().sum::<f64>() / pixels as f64;
                let variance = all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / pixels as f64;
                let scale =
                    f64::from(step) / (variance * f64::from(step).powi(2) + f64::from(self.epsilon)).sqrt();
                for x in image[channel..].iter_mut().step_by(depth) {
                    *x = ((f64::from(*x) - mean) * scale) as f32;
                }
            }
        }
        let range = self.given.unwrap_or_else(|| {
            let least = numbers.iter().copied().fold(f32::INFINITY, f32::min);
            let most = numbers.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            // The folds have no result without numbers.
            if numbers.is_empty() {
                return Range { least: 0.0, most: self.separation };
            }
            Range { least, most: most.max(least + self.separation) }
        });
        let integers = numbers.into_iter().map(|x| self.kind.quantized(range, x));
        let output = self.kind.write(shape, integers)?;
        context.set(0, output);
        range.deliver(context);
        Ok(())
    }
}

/// Resizes images in fixed point.
///
/// `bits` is the number of fractional bits of a pixel's share: 7 for 8-bit integers, 30 for 32-bit ones.
/// Products of an integer and a share fit 64 bits.
///
/// For each result pixel the two neighbors along x are mixed in both rows, and these two along y. Adding half
/// of `one` before the last division rounds to nearest.
///
/// Inputs are the images, the new height and width, and the two ends of the range. The result has the dtype
/// of the input and the same range, since a mean of two integers stands for the mean of their numbers.
fn resize(context: &mut KernelContext<'_>, kind: Integers, scaler: Scaler, bits: u32) -> Result<()> {
    let range = Range::of_inputs(context, 2)?;
    let [batch, height, width, depth] = image_dims(context.input(0).shape())?;
    let [new_height, new_width] = new_size(context, 1)?;
    let one = 1i64 << bits;
    let fixed = |old: usize, new: usize| {
        let between = scaler.between(old, new)?.into_iter();
        Ok::<_, Error>(memory::collected(
            between.map(|place| (place.lower, place.upper, (place.share * one as f32) as i64)),
        )?)
    };
    let (rows, columns) = (fixed(height, new_height)?, fixed(width, new_width)?);
    let mut values = kind.read(context.input(0))?;
    if kind.dtype == DType::QInt32 {
        // TensorFlow reads wide integers through single precision.
        values.iter_mut().for_each(|value| *value = *value as f32 as i64);
    }
    let shape = Shape::from([batch, new_height, new_width, depth]);
    let resized = (0..shape.elements()).map(|at| {
        let (pixel, channel) = (at / depth, at % depth);
        let (left, right, share_x) = columns[pixel % new_width];
        let (top, bottom, share_y) = rows[pixel / new_width % new_height];
        let image = pixel / new_width / new_height;
        let value = |y: usize, x: usize| values[((image * height + y) * width + x) * depth + channel];
        let along = |y: usize| value(y, left) * one + (value(y, right) - value(y, left)) * share_x;
        let (above, below) = (along(top), along(bottom));
        (above + (below - above) / one * share_y + one / 2) / one
    });
    let output: Tensor = kind.write(shape.clone(), resized)?;
    context.set(0, output);
    range.deliver(context);
    Ok(())
}
