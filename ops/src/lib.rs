//! The op library: definitions, shapes, constructors, gradients, optimizers.

mod arguments;
mod composite;
mod library;
mod output_ext;
mod scalar;
mod shapes;
mod static_value;

pub mod array;
mod gradients;
pub mod math;
pub mod nn;

pub mod control_flow;
pub mod random;
pub mod state;
pub mod summary;
pub mod training;

pub mod global_step;
pub mod initializers;
pub mod layers;
pub mod learning_rate;
pub mod losses;
pub mod metrics;
pub mod optimizers;
pub mod variables;

#[cfg(feature = "conformance")]
pub mod samples;

pub use arguments::{Axes, Ints};
pub use gradients::{
    Differentiable, GradientOptions, IndexedSlices, UnconnectedGradients, gradients, gradients_with,
};
pub use library::{LIBRARY, library};
pub use output_ext::OutputExt;
pub use scalar::Scalar;
