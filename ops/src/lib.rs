//! The op library: definitions, shapes, constructors, gradients, optimizers.

mod library;

pub mod array;
pub mod math;
pub mod nn;
mod gradients;

pub mod control_flow;
pub mod random;
pub mod state;
pub mod summary;
pub mod training;

pub mod initializers;
pub mod layers;
pub mod learning_rate;
pub mod losses;
pub mod metrics;
pub mod optimizers;
pub mod global_step;
pub mod variables;

pub use gradients::{gradients, gradients_with};
pub use library::{LIBRARY, library};
