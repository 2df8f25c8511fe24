//! The gradient of a bias.

use super::{ReduceOp, ReducePlan};
use crate::Pool;
use crate::elementwise::{ChannelLayout, Element};

/// Sums `gradient` for each channel: TensorFlow's `BiasAddGrad`. With one position per channel these are the sums of the columns.
///
/// ```
/// use compute::{Pool, elementwise::ChannelLayout, reduce::bias_add_grad};
/// let layout = ChannelLayout { batch: 2, channels: 2, positions: 1 };
/// let mut sums = [0.0f32; 2];
/// bias_add_grad(&Pool::single(), layout, &[1.0, 2.0, 3.0, 4.0], &mut sums);
/// assert_eq!(sums, [4.0, 6.0]);
/// ```
///
/// # Panics
/// Panics if the length of a slice contradicts `layout`, or if `T` has no sum (`bool`).
pub fn bias_add_grad<T: Element>(pool: &Pool, layout: ChannelLayout, gradient: &[T], output: &mut [T]) {
    let sum = T::reduce(ReduceOp::Sum).unwrap_or_else(|| panic!("{} has no sum", T::NAME));
    let plan = ReducePlan::new(&[layout.batch, layout.channels, layout.positions], &[0, 2])
        .expect("the axes are those of three dimensions");
    sum.run(pool, &plan, gradient, output);
}
