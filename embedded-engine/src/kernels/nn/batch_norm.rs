//! Batch normalization in one operation, channels last.
//!
//! # Semantics
//!
//! | input | shape | meaning |
//! | --- | --- | --- |
//! | `x` | `[batch, rows, columns, channels]`, or with a depth | the images, `float32` or 16-bit floats |
//! | `scale`, `offset` | `[channels]` | `y = (x - mean) / sqrt(variance + epsilon) * scale + offset` |
//! | `mean`, `variance` | `[channels]`; not read in training with a factor of 1 | the running moments |
//!
//! Attributes: `epsilon` (default `1e-4`), `is_training` (default true), `exponential_avg_factor` (default
//! 1), `data_format`. Layouts with the channels first are `Unimplemented`, and so is `U` other than
//! `float32`, as in TensorFlow's CPU kernels. Shapes that do not fit are `InvalidArgument`.
//!
//! In training, mean and variance are those of the batch. The returned variance is unbiased (divided by
//! `n - 1`, except for a single pixel), as TensorFlow's is, while the normalization uses the biased one. With
//! `exponential_avg_factor` other than 1, the running moments move by this share toward those of the batch.
//! For inference the given moments are used and returned. Without pixels the moments of the batch are NaN.
//!
//! Outputs are `y`, the running moments, and the moments that the gradient needs (`reserve_space_1` and
//! `reserve_space_2`); V3 has a sixth one, which is empty. The gradient takes `dy`, `x`, `scale` and these
//! two moments. In training, with `n` pixels, `m` and `v` as the moments and `s = 1 / sqrt(v + epsilon)`, it
//! is
//!
//! ```text
//! d offset = sum dy        d scale = sum dy (x - m) s
//! d x      = scale s (dy - (sum dy) / n - (x - m) s^2 (sum dy (x - m)) / n)
//! ```
//!
//! and in inference `scale s dy`.
//!
//! # Precision and threads
//!
//! Moments are computed in two passes, so that a large mean does not cancel the variance. Pixels are added in
//! `float32` within parts of 256 and the parts in double precision, in their order: bits do not depend on the
//! number of threads, which share the parts. Training reads the images three times, the gradient twice.
//!
//! ```text
//! x [1, 3] in one channel, scale 1, offset 10, epsilon 0, training
//!
//! mean 2, biased variance 1     y [9, 11]     returned variance 2 / 1 * 1 = 2
//! ```

use super::bias::channels_first;
use crate::dispatch::unsupported;
use crate::kernel::{Kernel, KernelContext, NodeSpec};
use crate::kernels::chunks::{for_chunks, for_parts};
use crate::kernels::math::boxed;
use crate::kernels::widened::single;
use crate::registry::Registry;
use compute::Pool;
use session_core::{Code, Error, Result};
use tensor::{DType, Shape, Tensor};

/// Registers three versions of each op type: V2 separates the dtype of the moments from that of the images,
/// V3 adds an output and volumes.
pub(crate) fn register(registry: &mut Registry) {
    for op_type in ["FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"] {
        registry.add(op_type, make_forward);
    }
    for op_type in ["FusedBatchNormGrad", "FusedBatchNormGradV2", "FusedBatchNormGradV3"] {
        registry.add(op_type, make_gradient);
    }
}

/// The attributes that the forward and the gradient op have in common.
#[derive(Clone, Copy)]
struct Settings {
    /// The number that is added to the variance before the root.
    epsilon: f32,
    /// True to normalize by the moments of the batch, false by those given.
    is_training: bool,
    /// The factor by which the running moments move toward those of the batch.
    factor: f32,
}

impl Settings {
    /// Reads the attributes. Fails for layouts and dtypes that the kernels do not have, when the plan is
    /// compiled.
    fn of(spec: &NodeSpec<'_>) -> Result<Settings> {
        if channels_first(spec) || spec.str("data_format").is_ok_and(|format| format == "NCDHW") {
            return Err(Error::new(
                Code::Unimplemented,
                "the embedded engine runs batch normalization with channels last only",
            ));
        }
        // The kernels of the original keep moments in single precision, too.
        if let Some(moments) = spec.dtype("U").ok().filter(|&dtype| dtype != DType::Float32) {
            return Err(unsupported(moments));
        }
        Ok(Settings {
            epsilon: spec.float("epsilon")?,
            is_training: spec.bool("is_training")?,
            factor: spec.float("exponential_avg_factor").unwrap_or(1.0),
        })
    }
}

/// Returns the kernel of the forward op, for 16-bit floats by way of `float32`.
fn make_forward(spec: &NodeSpec<'_>) -> Result<Box<dyn Kernel>> {
    let settings = Settings::of(spec)?;
    single(spec, boxed(move |context| forward(context, settings)))
}

/// Returns the kernel of the gradient.
fn make_gradient(spec: &NodeSpec<'_>) -> Result<Box<dyn Kernel>> {
    let settings = Settings::of(spec)?;
    single(spec, boxed(move |context| gradient(context, settings)))
}

/// Returns the number of channels, after all inputs in `vectors` have been found to have one number for each.
/// `shape` is that of the images, whose rank must be at least 4; `vectors` are numbers of inputs.
fn channels(shape: &Shape, context: &KernelContext<'_>, vectors: &[usize]) -> Result<usize> {
    let Some(&channels) = shape.last().filter(|_| shape.rank() >= 4) else {
        return Err(Error::invalid_argument(format!("input must be 4 or 5-dimensional: {shape}")));
    };
    for &input in vectors {
        let found = context.input(input).shape();
        if found.dims() != [channels] {
            let text = format!("input {input} must have the shape [{channels}] of the channels, not {found}");
            return Err(Error::invalid_argument(text));
        }
    }
    Ok(channels)
}

/// Pixels per part of a sum. Within a part single precision does; the parts are added up in double precision.
const PART: usize = 256;

/// Returns for each channel the sum over all pixels; `add(pixel, sums)` adds one pixel. `width` is the number
/// of sums; `add` may run in several threads at the same time, for pixels of different parts.
fn sums(pool: &Pool, pixels: usize, width: usize, add: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f64> {
    // The parts come back in their order, whichever thread computed them, so the total does not depend on the
    // threads.
    let parts = for_parts(pool, pixels.div_ceil(PART), |part| {
        let mut sums = vec![0f32; width];
        (part * PART..pixels.min((part + 1) * PART)).for_each(|pixel| add(pixel, &mut sums));
        sums
    });
    let mut total = vec![0f64; width];
    for part in parts {
        total.iter_mut().zip(part).for_each(|(total, part)| *total += f64::from(part));
    }
    total
}

/// Returns the mean and the biased variance of each channel. The variance is that around the mean rounded to
/// `float32`, the number that the normalization subtracts.
fn moments(pool: &Pool, x: &[f32], channels: usize) -> [Vec<f32>; 2] {
    let pixels = x.len() / channels.max(1);
    let row = |pixel: usize| &x[pixel * channels..][..channels];
    let mean: Vec<f32> = sums(pool, pixels, channels, |pixel, sums| {
        sums.iter_mut().zip(row(pixel)).for_each(|(sum, x)| *sum += x);
    })
    .into_iter()
    .map(|sum| (sum / pixels as f64) as f32)
    .collect();
    let variance = sums(pool, pixels, channels, |pixel, sums| {
        for ((sum, x), mean) in sums.iter_mut().zip(row(pixel)).zip(&mean) {
            *sum += (x - mean) * (x - mean);
        }
    });
    [mean, variance.into_iter().map(|sum| (sum / pixels as f64) as f32).collect()]
}

/// Delivers the normalized images, the running moments, and the moments that were used.
fn forward(context: &mut KernelContext<'_>, settings: Settings) -> Result<()> {
    let Settings { epsilon, is_training, factor } = settings;
    let shape = context.input(0).shape().clone();
    let given: &[usize] = if is_training && factor == 1.0 { &[1, 2] } else { &[1, 2, 3, 4] };
    let channels = channels(&shape, context, given)?;
    let pool = context.pool();
    // A clone shares the elements; it ends the borrow of the context, which the output needs.
    let x = context.input(0).clone();
    let x = x.as_slice::<f32>()?;
    let [mean, variance] = if is_training {
        moments(pool, x, channels)
    } else {
        [context.input(3).to_vec()?, context.input(4).to_vec()?]
    };
    context.produce::<f32>(0, shape, |context, output| {
        let (scale, offset) = (context.slice::<f32>(1)?, context.slice::<f32>(2)?);
        let factor: Vec<f32> =
            variance.iter().zip(scale).map(|(variance, scale)| scale / (variance + epsilon).sqrt()).collect();
        // A part of the output is a whole number of pixels.
        let length = channels * PART;
        for_chunks(pool, output, length, |i, part| {
            let x = &x[i * length..][..part.len()];
            for (out, x) in part.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
                for c in 0..channels {
                    out[c] = (x[c] - mean[c]) * factor[c] + offset[c];
                }
            }
        });
        Ok(())
    })?;
    let [running_mean, running_variance] = if is_training {
        running(context, x.len() / channels.max(1), &mean, &variance, factor)?
    } else {
        [mean.clone(), variance.clone()]
    };
    let outputs = [running_mean, running_variance, mean, variance];
    for (i, values) in outputs.into_iter().enumerate() {
        context.set(1 + i, Tensor::from(values));
    }
    if context.outputs.len() > 5 {
        context.set(5, Tensor::zeros(DType::Float32, [0])?);
    }
    Ok(())
}

/// Returns the running moments after this batch; the variance among them is the unbiased one. `pixels` is the
/// number of pixels of the batch, `factor` the share of the batch. With a factor of 1 the old moments are not
/// read, since they may be empty.
///
/// `mean` and `variance` are the moments of the batch, the latter biased. The results are the running mean
/// and variance, in this order.
fn running(
    context: &KernelContext<'_>,
    pixels: usize,
    mean: &[f32],
    variance: &[f32],
    factor: f32,
) -> Result<[Vec<f32>; 2]> {
    // Bessel's correction. One pixel has no variance, and TensorFlow divides by at least 1.
    let correction = if pixels > 1 { pixels as f32 / (pixels - 1) as f32 } else { 1.0 };
    let variance: Vec<f32> = variance.iter().map(|variance| variance * correction).collect();
    if factor == 1.0 {
        return Ok([mean.to_vec(), variance]);
    }
    let moved = |old: &[f32], new: &[f32]| {
        old.iter().zip(new).map(|(old, new)| old * (1.0 - factor) + new * factor).collect()
    };
    Ok([moved(context.slice(3)?, mean), moved(context.slice(4)?, &variance)])
}

/// Delivers the gradients with respect to images, scale and offset, by the formula at the top.
fn gradient(context: &mut KernelContext<'_>, settings: Settings) -> Result<()> {
    let shape = context.input(1).shape().clone();
    let channels = channels(&shape, context, &[2, 3, 4])?;
    if *context.input(0).shape() != shape {
        let text = format!("gradient and input differ in shape: {} and {shape}", context.input(0).shape());
        return Err(Error::invalid_argument(text));
    }
    let pool = context.pool();
    let (dy, x) = (context.input(0).clone(), context.input(1).clone());
    let (dy, x) = (dy.as_slice::<f32>()?, x.as_slice::<f32>()?);
    let (scale, mean): (Vec<f32>, Vec<f32>) = (context.input(2).to_vec()?, context.input(3).to_vec()?);
    let inverse: Vec<f32> =
        context.slice::<f32>(4)?.iter().map(|variance| 1.0 / (variance + settings.epsilon).sqrt()).collect();
    let pixels = x.len() / channels.max(1);
    // After the sums of the gradient those of the gradient times the centered input.
    // Two sums in one pass over gradient and images.
    let both = sums(pool, pixels, 2 * channels, |pixel, sums| {
        let (sum, product) = sums.split_at_mut(channels);
        let (dy, x) = (&dy[pixel * channels..][..channels], &x[pixel * channels..][..channels]);
        for c in 0..channels {
            sum[c] += dy[c];
            product[c] += dy[c] * (x[c] - mean[c]);
        }
    });
    let (sum, product) = both.split_at(channels);
    context.produce::<f32>(0, shape, |_, output| {
        // Over a batch, the moments move with the input.
        let share = |sum: f64| if settings.is_training { (sum / pixels as f64) as f32 } else { 0.0 };
        let mean_dy: Vec<f32> = sum.iter().map(|&sum| share(sum)).collect();
        let slope: Vec<f32> =
            product.iter().zip(&inverse).map(|(&sum, inverse)| share(sum) * inverse * inverse).collect();
        let factor: Vec<f32> = scale.iter().zip(&inverse).map(|(scale, inverse)| scale * inverse).collect();
        let length = channels * PART;
        for_chunks(pool, output, length, |i, part| {
            let range = i * length..i * length + part.len();
            let rows = dy[range.clone()].chunks_exact(channels).zip(x[range].chunks_exact(channels));
            for (out, (dy, x)) in part.chunks_exact_mut(channels).zip(rows) {
                for c in 0..channels {
                    out[c] = factor[c] * (dy[c] - mean_dy[c] - (x[c] - mean[c]) * slope[c]);
                }
            }
        });
        Ok(())
    })?;
    let scale_gradient: Vec<f32> =
        product.iter().zip(&inverse).map(|(&sum, inverse)| sum as f32 * inverse).collect();
    context.set(1, Tensor::from(scale_gradient));
    context.set(2, Tensor::from(sum.iter().map(|&sum| sum as f32).collect::<Vec<f32>>()));
    // Moments that were given have no gradient: nothing, not zeros of their shape.
    context.set(3, Tensor::from(0f32));
    context.set(4, Tensor::from(0f32));
    Ok(())
}
