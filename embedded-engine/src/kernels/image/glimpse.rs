//! Windows into images, at places that a model chooses.
//!
//! # Semantics
//!
//! `ExtractGlimpse` takes `input` `[n, h, w, c]`, `size` `[2]` and `offsets` `[n, 2]`, `(y, x)` for each
//! image, all but `size` in `float32`, and returns `[n, size, c]`. Attributes: `centered` and `normalized`
//! (default true) state what offsets are relative to and in which unit; `noise` is `uniform` (default),
//! `gaussian` or `zero` and fills the part of a window that lies outside of the image. `uniform_noise`
//! (default true) with another `noise` is an error.
//!
//! The first row of a window, for an image of `size` rows and a window of `window` rows:
//!
//! | | both centered and normalized | centered only | normalized only | neither |
//! | --- | --- | --- | --- | --- |
//! | V1 | `(offset + 1) size / 2 - window / 2` | `(offset + size) / 2 - window / 2` | `offset size - window / 2` | `offset - window / 2` |
//! | V2 | the same | `offset + size / 2` | `offset size` | `offset` |
//!
//! Rounded toward zero. A size of 0 gives an empty result; other ranks and offsets of another shape are
//! `InvalidArgument`. One thread. Noise is not seeded: each run and each session draws other numbers.
//!
//! ```text
//! image [1, 2, 3, 4], size [1, 2], noise zero
//!
//! V2, neither centered nor normalized, offset (0, 3)    [4, 0]
//! V1, centered and normalized, offset (0, 0)            [2, 3]
//! ```

use crate::kernel::{Kernel, KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::kernels::nn::new_size_or_none;
use crate::kernels::random::{RandomOp, unseeded};
use crate::registry::Registry;
use compute::random;
use session_core::{Error, Result};
use tensor::memory;

/// Registers both versions. They count as changing, as noise differs from run to run; the definition does not
/// say so.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("ExtractGlimpse", |spec| glimpses(spec, Version::One)).changes();
    registry.add("ExtractGlimpseV2", |spec| glimpses(spec, Version::Two)).changes();
}

/// The meaning of offsets that are not both centered and normalized differs. V2 corrects the first one, which
/// stays as it was for old graphs.
#[derive(Clone, Copy, PartialEq)]
enum Version {
    /// Halves offsets that are centered, and takes them for the middle of the window.
    One,
    /// Takes offsets for the first row and column, unless they are both centered and normalized.
    Two,
}

/// The values of a window beyond the border of an image.
enum Beyond {
    /// Zeros, without a random number.
    Zeros,
    /// Numbers between the least and the most of the image. The generator is that of the operation.
    Uniform(RandomOp),
    /// Numbers with the mean and deviation of the image, none outside of its least and most.
    Normal(RandomOp),
}

/// The attributes of an operation.
struct Glimpses {
    /// The op type.
    version: Version,
    /// True if offsets are from the middle of the image, false if they are from its upper left corner.
    centered: bool,
    /// True if offsets are in units of the image (of half of it if they are centered), false if they are in
    /// pixels.
    normalized: bool,
    /// The values outside of the image.
    beyond: Beyond,
}

/// Returns the kernel. Fails for noise that does not exist, when the plan is compiled.
fn glimpses(spec: &NodeSpec<'_>, version: Version) -> Result<Box<dyn Kernel>> {
    let (uniform, noise) = (spec.bool("uniform_noise")?, spec.str("noise")?);
    if uniform && noise != "uniform" {
        return Err(Error::invalid_argument(
            "The uniform_noise and noise could not be specified at the same time",
        ));
    }
    // The state of the random stream is created only if there is one.
    let beyond = match noise {
        "uniform" => Beyond::Uniform(unseeded(spec)?),
        "gaussian" => Beyond::Normal(unseeded(spec)?),
        "zero" => Beyond::Zeros,
        other => {
            let text = format!("The noise could only be uniform, gaussian, or zero, got {other}");
            return Err(Error::invalid_argument(text));
        }
    };
    let (centered, normalized) = (spec.bool("centered")?, spec.bool("normalized")?);
    let glimpses = Glimpses { version, centered, normalized, beyond };
    Ok(boxed(move |context| glimpses.run(context)))
}

impl Glimpses {
    /// Delivers the windows: each is filled with the values for outside, and the pixels that exist are copied
    /// over them.
    fn run(&self, context: &mut KernelContext<'_>) -> Result<()> {
        let &[batch, height, width, depth] = context.input(0).shape().dims() else {
            let text = format!(
                "input must be 4-dimensional (batch_size, height, width, depth): {}",
                context.input(0).shape()
            );
            return Err(Error::invalid_argument(text));
        };
        let [rows, columns] = new_size_or_none(context, 1)?;
        if context.input(2).shape().dims() != [batch, 2] {
            let text = format!("offsets must be [{batch}, 2], not {}", context.input(2).shape());
            return Err(Error::invalid_argument(text));
        }
        // Drawn before the output is borrowed.
        let noise = self.noise(context, batch * rows * columns * depth)?;
        context.produce::<f32>(0, [batch, rows, columns, depth], |context, output| {
            let (images, offsets) = (context.slice::<f32>(0)?, context.slice::<f32>(2)?);
            let (image_len, glimpse_len) = (height * width * depth, rows * columns * depth);
            for (at, glimpse) in output.chunks_exact_mut(glimpse_len.max(1)).enumerate() {
                let image = &images[at * image_len..][..image_len];
                let noise = noise.get(at * glimpse_len..).unwrap_or_default();
                self.fill(image, noise, glimpse);
                let top = self.start(offsets[2 * at], height, rows);
                let left = self.start(offsets[2 * at + 1], width, columns);
                for (pixel, out) in glimpse.chunks_exact_mut(depth.max(1)).enumerate() {
                    let inside = |start: i64, at: usize, size: usize| {
                        usize::try_from(start.saturating_add(at as i64)).ok().filter(|&at| at < size)
                    };
                    let place =
                        inside(top, pixel / columns, height).zip(inside(left, pixel % columns, width));
                    if let Some((y, x)) = place {
                        out.copy_from_slice(&image[(y * width + x) * depth..][..depth]);
                    }
                }
            }
            Ok(())
        })
    }

    /// Returns the first row or column of a window. It may be negative or behind the image. The columns of
    /// both versions are in the table at the top of the file.
    ///
    /// `offset` is that of the image along the axis, `size` the size of the image and `window` that of the
    /// window.
    fn start(&self, offset: f32, size: usize, window: usize) -> i64 {
        let (size, window) = (size as f32, window as f32);
        let mut start = if self.normalized { offset * size } else { offset };
        if self.centered {
            let halves = self.normalized || self.version == Version::One;
            start = if halves { start / 2.0 } else { start } + size / 2.0;
        }
        if self.version == Version::One || (self.centered && self.normalized) {
            start -= window / 2.0;
        }
        start as i64
    }

    /// Returns random numbers for all glimpses; none where nothing is random. There are `count` of them,
    /// uniform from 0 to 1 or normal. They are drawn for all pixels, so the stream does not depend on the
    /// offsets.
    fn noise(&self, context: &KernelContext<'_>, count: usize) -> Result<Vec<f32>> {
        let (state, fill): (_, fn(&mut _, &mut [f32], &_)) = match &self.beyond {
            Beyond::Zeros => return Ok(Vec::new()),
            Beyond::Uniform(state) => (state, random::fill_uniform::<f32>),
            Beyond::Normal(state) => (state, random::fill_normal::<f32>),
        };
        let mut noise = memory::filled(0f32, count)?;
        fill(&mut state.of(context)?.lock(), &mut noise, context.pool());
        Ok(noise)
    }

    /// Fills a window with the values for outside of an image, which scales the numbers of `noise`. Images
    /// without pixels have no range, and their windows are zeros.
    ///
    /// `image` has all pixels of one image; `noise` has a number for each element of `glimpse`, or is empty.
    fn fill(&self, image: &[f32], noise: &[f32], glimpse: &mut [f32]) {
        if image.is_empty() || matches!(self.beyond, Beyond::Zeros) {
            glimpse.fill(0.0);
            return;
        }
        let least = image.iter().copied().fold(f32::INFINITY, f32::min);
        let most = image.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if matches!(self.beyond, Beyond::Uniform(_)) {
            glimpse.iter_mut().zip(noise).for_each(|(out, x)| *out = least + x * (most - least));
            return;
        }
        let mean = image.iter().sum::<f32>() / image.len() as f32;
        let variance = image.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / image.len() as f32;
        let deviation = variance.sqrt();
        // Cut off at the image's own range, as in TensorFlow, so noise does not stand out.
        glimpse.iter_mut().zip(noise).for_each(|(out, x)| *out = (mean + x * deviation).max(least).min(most));
    }
}
