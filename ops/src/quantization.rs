//! Numbers of few bits: simulated in training, and stored.
//!
//! [`fake_quant_with_min_max_vars`] and its like round numbers as if they were stored in few bits, with gradients.
//! The operations that converters leave in graphs, such as `QuantizedConv2D`, have definitions, so that imported graphs
//! run, and no constructors.

pub(crate) mod arithmetic;
pub(crate) mod fake;
pub(crate) mod layers;
pub(crate) mod ranges;

pub use fake::*;
