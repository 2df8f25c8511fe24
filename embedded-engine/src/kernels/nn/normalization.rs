//! Normalization by the neighboring channels.
//!
//! `LRN` divides each element by `(bias + alpha * sum)^beta`, where the sum is over the squares of the channels
//! within `depth_radius`. Sums at the border have fewer terms.

use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::kernels::widened::single;
use crate::registry::Registry;
use session_core::{Error, Result};
use std::ops::Range;
use tensor::{Shape, memory};

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

/// `x / (bias + alpha * sum of squares)^beta`, summed over the channels at most `radius` away.
#[derive(Clone, Copy)]
struct Rule {
    radius: usize,
    bias: f32,
    alpha: f32,
    beta: f32,
}

impl Rule {
    fn of(spec: &NodeSpec<'_>) -> Result<Rule> {
        let radius = spec.int("depth_radius")?;
        let radius = usize::try_from(radius)
            .map_err(|_| Error::invalid_argument(format!("depth_radius must not be negative: {radius}")))?;
        Ok(Rule { radius, bias: spec.float("bias")?, alpha: spec.float("alpha")?, beta: spec.float("beta")? })
    }

    fn window(self, channel: usize, channels: usize) -> Range<usize> {
        channel.saturating_sub(self.radius)
            ..channel.saturating_add(self.radius).saturating_add(1).min(channels)
    }

    /// Computes the base of the power for each channel.
    fn norms(self, pixel: &[f32], norms: &mut [f32]) {
        for (c, norm) in norms.iter_mut().enumerate() {
            let squares: f32 = pixel[self.window(c, pixel.len())].iter().map(|x| x * x).sum();
            *norm = self.bias + self.alpha * squares;
        }
    }
}

fn channels(shape: &Shape) -> Result<usize> {
    match shape.dims() {
        &[_, _, _, channels] => Ok(channels),
        _ => Err(Error::invalid_argument(format!("in must be 4-dimensional: {shape}"))),
    }
}

/// Returns room for one pixel of an output; none where the output has no pixels, however many channels it has.
fn scratch(channels: usize, output: &[f32]) -> Result<Vec<f32>> {
    Ok(memory::filled(0.0, channels.min(output.len()))?)
}

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
