//! Signals: Fourier transforms, and features of audio.
//!
//! Functions take outputs or variables and build one operation of TensorFlow's type, or a few. Errors are recorded in the
//! graph; see [`session_core::Output`].

pub(crate) mod audio;
pub(crate) mod fourier;

pub use audio::*;
pub use fourier::*;
