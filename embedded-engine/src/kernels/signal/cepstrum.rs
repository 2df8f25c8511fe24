//! Mel-frequency cepstral coefficients: of the energies in bands of equal width on the mel scale, the cosine
//! transform of their logarithms.
//!
//! The defaults are TensorFlow's: 40 channels between 20 and 4000 Hz, 13 coefficients. Energies below 1e-12
//! are raised to it before the logarithm.
//!
//! # Semantics
//!
//! `Mfcc` takes a spectrogram `[channels, frames, bins]` of squared magnitudes and the sample rate, an
//! `int32`, and returns `[channels, frames, coefficients]`. Fewer than two bins, a sample rate that is not
//! positive, an upper limit above half the sample rate, and more coefficients than bands are
//! `InvalidArgument`.
//!
//! Per frame, each bin adds its magnitude to the two bands whose centers it lies between, in proportion to
//! its nearness on the mel scale. Coefficient `k` of `n` bands is
//! `sqrt(2 / n) * sum_b log(energy_b) cos(pi k (b + 1/2) / n)`. All of it is computed in double precision,
//! frame by frame on the calling thread.

use crate::kernel::KernelContext;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{Error, Result};
use std::f64::consts::PI;
use tensor::memory;

/// Registers `Mfcc`.
pub(super) fn register(registry: &mut Registry) {
    registry.add("Mfcc", |spec| {
        let options = Options {
            upper: spec.float("upper_frequency_limit")?.into(),
            lower: spec.float("lower_frequency_limit")?.into(),
            bands: count(spec.int("filterbank_channel_count")?)?,
            coefficients: count(spec.int("dct_coefficient_count")?)?,
        };
        if !(options.lower >= 0.0 && options.upper > options.lower) {
            let text = format!("frequencies from {} to {} are not a range", options.lower, options.upper);
            return Err(Error::invalid_argument(text));
        }
        if options.coefficients > options.bands {
            let text =
                format!("{} coefficients need as many bands, not {}", options.coefficients, options.bands);
            return Err(Error::invalid_argument(text));
        }
        Ok(boxed(move |context| run(context, &options)))
    });
}

/// Returns a positive count. The upper bound of `2^20` keeps tables of a damaged graph small.
fn count(count: i64) -> Result<usize> {
    usize::try_from(count).ok().filter(|count| (1..=1 << 20).contains(count)).ok_or_else(|| {
        Error::invalid_argument(format!("counts of bands and coefficients must be positive, got {count}"))
    })
}

/// The attributes of a kernel.
struct Options {
    /// The upper end of the last band in Hz.
    upper: f64,
    /// The lower end of the first band in Hz.
    lower: f64,
    /// The number of bands.
    bands: usize,
    /// The number of coefficients, at most that of the bands.
    coefficients: usize,
}

/// The least energy of a band, so that its logarithm is finite.
const FLOOR: f64 = 1e-12;

/// Returns the place of a frequency in Hz on the mel scale, on which equal distances sound alike.
fn mel(frequency: f64) -> f64 {
    1127.0 * (frequency / 700.0).ln_1p()
}

/// The part of each frequency in the band that falls there; the rest is in the next one, which rises.
///
/// It depends on the number of bins and the sample rate, which are known in the run only.
struct Bands {
    /// The first frequency that counts.
    first: usize,
    /// For each frequency, the number of its falling band, from 1 (0 is before the first), and the share in
    /// that.
    shares: Vec<(usize, f64)>,
}

impl Bands {
    /// Returns the bands for a spectrum. `bins` is the number of frequencies from 0 to half of `sample_rate`.
    /// Band `b` has its center at `b` spacings above the lower limit.
    fn new(options: &Options, bins: usize, sample_rate: f64) -> Result<Bands> {
        let (low, high) = (mel(options.lower), mel(options.upper));
        let spacing = (high - low) / (options.bands + 1) as f64;
        let center = |band: usize| low + spacing * band as f64;
        // The constant part is always left out.
        let per_bin = 0.5 * sample_rate / (bins - 1) as f64;
        // TensorFlow's rounding: the bins between both limits, of which the first is never the constant part.
        let (first, last) = ((1.5 + options.lower / per_bin) as usize, (options.upper / per_bin) as usize);
        if last >= bins {
            let text = format!(
                "the upper frequency limit {} is above the highest frequency, {}",
                options.upper,
                0.5 * sample_rate
            );
            return Err(Error::invalid_argument(text));
        }
        // Both bins and centers ascend, so one pass assigns all.
        let mut band = 0;
        let shares = (first..=last.max(first)).filter(|&bin| bin <= last).map(|bin| {
            let place = mel(bin as f64 * per_bin);
            while band < options.bands && center(band + 1) < place {
                band += 1;
            }
            (band, (center(band + 1) - place) / (center(band + 1) - center(band)))
        });
        Ok(Bands { first, shares: shares.collect() })
    }

    /// Computes the energies of one frame, whose squared magnitudes are `spectrum`. Band `band - 1` falls
    /// where band `band` rises.
    fn energies(&self, spectrum: &[f32], energies: &mut [f64]) {
        energies.fill(0.0);
        for (&squared, &(band, share)) in spectrum[self.first.min(spectrum.len())..].iter().zip(&self.shares)
        {
            let magnitude = f64::from(squared).sqrt();
            let falling = magnitude * share;
            if band > 0 {
                energies[band - 1] += falling;
            }
            // Behind the last center there is no band that rises.
            if let Some(rising) = energies.get_mut(band) {
                *rising += magnitude - falling;
            }
        }
    }
}

/// Delivers the coefficients. Cosines are computed once per run: each frame then is a product with that
/// matrix.
fn run(context: &mut KernelContext<'_>, options: &Options) -> Result<()> {
    let &[channels, frames, bins] = context.input(0).shape().dims() else {
        let text = format!("spectrogram must be 3-dimensional, got shape {}", context.input(0).shape());
        return Err(Error::invalid_argument(text));
    };
    let sample_rate = context.int(1)?;
    if bins < 2 || sample_rate <= 0 {
        let text = format!("{bins} frequencies at a sample rate of {sample_rate} are too few");
        return Err(Error::invalid_argument(text));
    }
    let bands = Bands::new(options, bins, sample_rate as f64)?;
    let mut energies = memory::filled(0f64, options.bands)?;
    let scale = (2.0 / options.bands as f64).sqrt();
    let cosine = |at: usize| {
        let (coefficient, band) = (at / options.bands, at % options.bands);
        scale * (coefficient as f64 * PI / options.bands as f64 * (band as f64 + 0.5)).cos()
    };
    // The table is checked on its own; attributes may ask for a large one.
    memory::check(options.coefficients.saturating_mul(options.bands).saturating_mul(8))?;
    let cosines = memory::collected((0..options.coefficients * options.bands).map(cosine))?;
    context.produce::<f32>(0, [channels, frames, options.coefficients], |context, output| {
        let (spectra, mut watch) = (context.slice::<f32>(0)?, context.watch());
        for (spectrum, output) in
            spectra.chunks_exact(bins).zip(output.chunks_exact_mut(options.coefficients))
        {
            watch.tick(cosines.len())?;
            bands.energies(spectrum, &mut energies);
            energies.iter_mut().for_each(|energy| *energy = energy.max(FLOOR).ln());
            for (to, cosines) in output.iter_mut().zip(cosines.chunks_exact(options.bands)) {
                *to =
                    cosines.iter().zip(&energies).map(|(cosine, energy)| cosine * energy).sum::<f64>() as f32;
            }
        }
        Ok(())
    })
}
