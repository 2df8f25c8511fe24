//! Signals: Fourier transforms, and features of audio.
//!
//! The family is behind the feature `fft`, because of the library that computes the transforms.

mod cepstrum;
mod fourier;
mod spectrogram;
mod wav;

use crate::registry::Registry;

/// Registers the op types of all files of this folder.
pub(crate) fn register(registry: &mut Registry) {
    cepstrum::register(registry);
    fourier::register(registry);
    spectrogram::register(registry);
    wav::register(registry);
}
