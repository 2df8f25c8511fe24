//! Normalization by the neighboring channels.
//!
//! # Semantics
//!
//! `LRN` takes images `[n, h, w, c]` of `float32` or 16-bit floats and divides each element by
//! `(bias + alpha * sum)^beta`, where the sum is over the squares of the channels within `depth_radius` of
//! its own. Sums at the border have fewer terms. Defaults: radius 5, `bias`, `alpha` 1 and `beta` 0.5.
//! `LRNGrad` takes the gradient, the images and the result. Another rank, or shapes that differ, are
//! `InvalidArgument`. A negative base has no power, so the result is NaN then, as in TensorFlow.
//!
//! Each pixel on its own in one thread, with `2 radius + 2` additions for each channel, and the power.
//!
//! ```text
//! channels [1, 2, 3], radius 1, bias, alpha and beta 1
//!
//! bases     1 + 1 + 4 = 6     1 + 1 + 4 + 9 = 15     1 + 4 + 9 = 14
//! results   1 / 6             2 / 15                 3 / 14
//! ```

use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::kernels::widened::single;
use crate::registry::Registry;
use session_core::{Error, Result};
use std::ops::Range;
use tensor::{Shape, memory};

/// Registers the op types.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("LRN", |spec| {
        let rule = Rule::of(spec)?;
        single(spec, boxed(move |context| forward(context, rule)))
    });
    registry.add("LRNGrad", |spec| {
        let rule = Rule::of(spec)?;
        single(spec, boxed(move |context| gradient(context, rule)))
    });
}

/// The attributes of `x / (bias + alpha * sum of squares)^beta`.
#[derive(Clone, Copy)]
struct Rule {
    /// The largest distance of channels that are summed; 0 for the channel itself alone.
    radius: usize,
    /// The number that keeps the base from 0.
    bias: f32,
    /// The factor of the sum.
    alpha: f32,
    /// The exponent.
    beta: f32,
}

impl Rule {
    /// Reads the attributes. Fails for a negative radius.
    fn of(spec: &NodeSpec<'_>) -> Result<Rule> {
        let radius = spec.int("depth_radius")?;
        let radius = usize::try_from(radius)
            .map_err(|_| Error::invalid_argument(format!("depth_radius must not be negative: {radius}")))?;
        Ok(Rule { radius, bias: spec.float("bias")?, alpha: spec.float("alpha")?, beta: spec.float("beta")? })
    }

    /// Returns the channels around one: of 5 channels with a radius of 1, channel 0 has `0..2` and channel 3
    /// has `2..5`.
    fn window(self, channel: usize, channels: usize) -> Range<usize> {
        channel.saturating_sub(self.radius)
            ..channel.saturating_add(self.radius).saturating_add(1).min(channels)
    }

    /// Computes the base of the power for each channel. `norms` has an element for each channel of the pixel.
    fn norms(self, pixel: &[f32], norms: &mut [f32]) {
        for (c, norm) in norms.iter_mut().enumerate() {
            let squares: f32 = pixel[self.window(c, pixel.len())].iter().map(|x| x * x).sum();
            *norm = self.bias + self.alpha * squares;
        }
    }
}

/// Returns the number of channels. Fails for another rank than 4.
fn channels(shape: &Shape) -> Result<usize> {
    match shape.dims() {
        &[_, _, _, channels] => Ok(channels),
        _ => Err(Error::invalid_argument(format!("in must be 4-dimensional: {shape}"))),
    }
}

/// Returns room for one pixel of an output; none where the output has no pixels, however many channels it
/// has. `output` is the whole output.
fn scratch(channels: usize, output: &[f32]) -> Result<Vec<f32>> {
    Ok(memory::filled(0.0, channels.min(output.len()))?)
}

/// Delivers the normalized images.
fn forward(context: &mut KernelContext<'_>, rule: Rule) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let channels = channels(&shape)?;
    context.produce::<f32>(0, shape, |context, output| {
        let mut norms = scratch(channels, output)?;
        let pixels = context.slice::<f32>(0)?.chunks_exact(channels.max(1));
        for (out, pixel) in output.chunks_exact_mut(channels.max(1)).zip(pixels) {
            rule.norms(pixel, &mut norms);
            for ((out, x), norm) in out.iter_mut().zip(pixel).zip(&norms) {
                *out = x * norm.powf(-rule.beta);
            }
        }
        Ok(())
    })
}

/// Delivers the gradient: with `b` as the base of a channel, `dy b^-beta` minus `2 alpha beta x` times the
/// sum of `dy y / b` over the channels around, those whose bases contain `x`.
fn gradient(context: &mut KernelContext<'_>, rule: Rule) -> Result<()> {
    let shape = context.input(1).shape().clone();
    let channels = channels(&shape)?;
    if (0..3).any(|i| *context.input(i).shape() != shape) {
        let [a, b] = [context.input(0).shape(), context.input(2).shape()];
        let text = format!("gradients, input and output must have one shape: {a}, {shape}, {b}");
        return Err(Error::invalid_argument(text));
    }
    context.produce::<f32>(0, shape, |context, output| {
        let (dy, x, y) = (context.slice::<f32>(0)?, context.slice::<f32>(1)?, context.slice::<f32>(2)?);
        let (mut norms, mut shares) = (scratch(channels, output)?, scratch(channels, output)?);
        for (i, out) in output.chunks_exact_mut(channels.max(1)).enumerate() {
            let at = i * channels..(i + 1) * channels;
            let (dy, x, y) = (&dy[at.clone()], &x[at.clone()], &y[at]);
            rule.norms(x, &mut norms);
            for c in 0..channels {
                // `y` instead of `x` times the power, which the forward op has computed already.
                shares[c] = dy[c] * y[c] / norms[c];
            }
            for c in 0..channels {
                let around: f32 = shares[rule.window(c, channels)].iter().sum();
                out[c] = dy[c] * norms[c].powf(-rule.beta) - 2.0 * rule.alpha * rule.beta * x[c] * around;
            }
        }
        Ok(())
    })
}
