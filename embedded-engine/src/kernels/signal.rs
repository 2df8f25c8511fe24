//! Signals: Fourier transforms, and features of audio.
//!
//! Transforms are behind the feature `fft`, because of the library that computes them. Without it their op
//! types are registered with kernels that name the feature.

mod cepstrum;
#[cfg(feature = "fft")]
mod fourier;
#[cfg(feature = "fft")]
mod spectrogram;
mod wav;

use crate::registry::Registry;

/// Registers the op types of all files of this folder.
pub(crate) fn register(registry: &mut Registry) {
    cepstrum::register(registry);
    wav::register(registry);
    #[cfg(feature = "fft")]
    {
        fourier::register(registry);
        spectrogram::register(registry);
    }
    #[cfg(not(feature = "fft"))]
    registry
        .add_all(
            [
                "AudioSpectrogram",
                "BatchFFT",
                "BatchFFT2D",
                "BatchFFT3D",
                "BatchIFFT",
                "BatchIFFT2D",
                "BatchIFFT3D",
                "FFT",
                "FFT2D",
                "FFT3D",
                "IFFT",
                "IFFT2D",
                "IFFT3D",
                "IRFFT",
                "IRFFT2D",
                "IRFFT3D",
                "RFFT",
                "RFFT2D",
                "RFFT3D",
            ],
            |_| Err(crate::dispatch::without_feature("fft")),
        )
        .lacks_feature();
}
