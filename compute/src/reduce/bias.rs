//! The gradient of a bias.

use super::{ReduceOp, ReducePlan};
use crate::Pool;
use crate::elementwise::{ChannelLayout, Element};

/// Sums up `gradient` for each channel (TensorFlow's `BiasAddGrad`); with 1 position these are the sums of
/// columns.
///
/// # Panics
/// When a slice is not as long as `layout` says, or `T` has no sum (`bool`).
pub fn bias_add_grad<T: Element>(pool: &Pool, layout: ChannelLayout, gradient: &[T], output: &mut [T]) {
    let sum = T::reduce(ReduceOp::Sum).unwrap_or_else(|| panic!("{} has no sum", T::NAME));
    let plan = ReducePlan::new(&[layout.batch, layout.channels, layout.positions], &[0, 2])
        .expect("the axes are those of three dimensions");
    sum.run(pool, &plan, gradient, output);
}
