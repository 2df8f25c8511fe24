//! Numbers of few bits: simulated in training, and stored.
//!
//! Two families that share only their purpose. `fake` and `simulated` take and return floats that lie on a
//! grid, so that a model learns to live with rounding. The other files compute with integers of the dtypes
//! `qint8`, `quint8`, `qint16`, `quint16` and `qint32`.
//!
//! A quantized tensor is three tensors: the integers, and two `float32` scalars, the numbers that the least
//! and the largest integer of the dtype stand for. Every op type takes and returns all three. The conversions
//! are in `ranges`, and all other files use them.
//!
//! These kernels follow TensorFlow's reference formulas, including their choices of precision (single or
//! double) at each step. Results agree exactly or within one integer; the recorded tests state which. They
//! run on the calling thread except for the convolution, and are meant to run imported models correctly, not
//! quickly.

mod arithmetic;
mod fake;
mod layers;
mod pooling;
mod ranges;
mod simulated;

use crate::registry::Registry;

/// Registers the op types of all files of this folder.
pub(crate) fn register(registry: &mut Registry) {
    arithmetic::register(registry);
    fake::register(registry);
    layers::register(registry);
    pooling::register(registry);
    ranges::register(registry);
    simulated::register(registry);
}
