//! Magnitudes of the frequencies in windows of audio.
//!
//! Windows of `window_size` samples, each `stride` after the previous one, are weighted by a Hann window and
//! padded to the next power of two. The result is the magnitude of each frequency, or its square.
//!
//! # Semantics
//!
//! `AudioSpectrogram` takes samples `[samples, channels]` of `float32` and returns
//! `[channels, frames, bins]`, where `bins` is half the padded window plus 1 and `frames` the number of
//! windows that fit entirely. Audio shorter than a window has no frames. A `window_size` below 2 and a
//! `stride` below 1 are `InvalidArgument`.
//!
//! Each window takes one transform in double precision, window by window on the calling thread.

use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::registry::Registry;
use rustfft::{Fft, FftPlanner};
use session_core::{Error, Result};
use std::f64::consts::TAU;
use std::sync::Arc;
use tensor::{Complex, memory};

/// Registers `AudioSpectrogram`.
pub(super) fn register(registry: &mut Registry) {
    registry.add("AudioSpectrogram", |spec| {
        let spectrogram = Spectrogram::of(spec)?;
        Ok(boxed(move |context| spectrogram.run(context)))
    });
}

/// The window and the transform, which depend on attributes only and are made once.
struct Spectrogram {
    /// The weights of a window: Hann's. The periodic form, as in TensorFlow: the weight after the last one
    /// would be that of the first.
    window: Vec<f64>,
    /// The number of samples from one window to the next.
    stride: usize,
    /// True for squared magnitudes, which `Mfcc` expects.
    squared: bool,
    /// The transform, whose length is that of the window, rounded up to a power of two.
    transform: Arc<dyn Fft<f64>>,
}

impl Spectrogram {
    /// Reads the attributes. Fails for sizes out of range; the upper bound of `2^28` samples is an hour and a
    /// half at 48 kHz.
    fn of(spec: &NodeSpec<'_>) -> Result<Spectrogram> {
        let size = |name: &str, least: usize| {
            let size = spec.int(name)?;
            usize::try_from(size).ok().filter(|size| (least..=1 << 28).contains(size)).ok_or_else(|| {
                Error::invalid_argument(format!("{name} must be at least {least}, got {size}"))
            })
        };
        let (length, stride) = (size("window_size", 2)?, size("stride", 1)?);
        // The window, the transform's tables and its working memory, estimated before they are made.
        memory::check(16 * size_of::<Complex<f64>>() * length)?;
        let weight = |at: usize| 0.5 - 0.5 * (TAU * at as f64 / length as f64).cos();
        Ok(Spectrogram {
            window: memory::collected((0..length).map(weight))?,
            stride,
            squared: spec.bool("magnitude_squared")?,
            transform: FftPlanner::new().plan_fft_forward(length.next_power_of_two()),
        })
    }

    /// Delivers the spectrogram. Real samples fill the real parts; only the first half of the frequencies is
    /// kept, since the others mirror it.
    fn run(&self, context: &mut KernelContext<'_>) -> Result<()> {
        let &[length, channels] = context.input(0).shape().dims() else {
            let text = format!("input must be 2-dimensional, got shape {}", context.input(0).shape());
            return Err(Error::invalid_argument(text));
        };
        let frames = length.checked_sub(self.window.len()).map_or(0, |rest| rest / self.stride + 1);
        let size = self.transform.len();
        let bins = size / 2 + 1;
        let mut values = memory::filled(Complex::default(), size)?;
        let mut scratch = memory::filled(Complex::default(), self.transform.get_inplace_scratch_len())?;
        context.produce::<f32>(0, [channels, frames, bins], |context, output| {
            let (audio, mut watch) = (context.slice::<f32>(0)?, context.watch());
            for (at, output) in output.chunks_exact_mut(bins).enumerate() {
                watch.tick(size)?;
                // Frames of a channel follow each other in the output; samples of all channels alternate in
                // the input.
                let (channel, start) = (at / frames, at % frames * self.stride);
                values.fill(Complex::default());
                for (at, weight) in self.window.iter().enumerate() {
                    let sample = f64::from(audio[(start + at) * channels + channel]);
                    values[at] = Complex::new(sample * weight, 0.0);
                }
                self.transform.process_with_scratch(&mut values, &mut scratch);
                for (to, value) in output.iter_mut().zip(&values) {
                    let squared = value.norm_sqr();
                    *to = if self.squared { squared } else { squared.sqrt() } as f32;
                }
            }
            Ok(())
        })
    }
}
