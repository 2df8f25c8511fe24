//! Adding one number for each column or channel, and the gradient of that.

use super::work::{split_output, units_per_part};
use super::{BinaryOp, Broadcast, BroadcastError, Element};
use crate::Pool;
use crate::math::Real;

/// Adds `bias[j]` to every element of column `j`; `data` has rows as long as `bias` (TensorFlow's
/// `BiasAdd` with the channels last, in place).
///
/// ```
/// use compute::{Pool, elementwise::bias_add};
/// let mut rows = [1.0, 2.0, 3.0, 4.0];
/// bias_add(&Pool::single(), &mut rows, &[10.0, 20.0]);
/// assert_eq!(rows, [11.0, 22.0, 13.0, 24.0]);
/// ```
///
/// # Panics
/// When `data` does not consist of whole rows.
pub fn bias_add<T: Real>(pool: &Pool, data: &mut [T], bias: &[T]) {
    bias_rows(pool, data, bias, add_rows);
}

/// [`bias_add`], and the larger of the sum and 0 (NaN stays): bias and `Relu` in one pass.
///
/// ```
/// use compute::{Pool, elementwise::bias_add_relu};
/// let mut row = [1.0, -2.0];
/// bias_add_relu(&Pool::single(), &mut row, &[-3.0, 5.0]);
/// assert_eq!(row, [0.0, 3.0]);
/// ```
///
/// # Panics
/// When `data` does not consist of whole rows.
pub fn bias_add_relu<T: Real>(pool: &Pool, data: &mut [T], bias: &[T]) {
    bias_rows(pool, data, bias, add_relu_rows);
}

fn bias_rows<T: Real>(pool: &Pool, data: &mut [T], bias: &[T], work: fn(&mut [T], &[T])) {
    if data.is_empty() {
        return;
    }
    assert!(!bias.is_empty() && data.len().is_multiple_of(bias.len()), "data has no whole rows");
    split_output(pool, data, bias.len(), units_per_part(100), |range, data| {
        debug_assert!(range.start.is_multiple_of(bias.len()));
        work(data, bias);
    });
}

dispatch! {
    fn add_rows<T: Real>(data: &mut [T], bias: &[T]) {
        for row in data.chunks_exact_mut(bias.len()) {
            for (x, &b) in row.iter_mut().zip(bias) {
                *x = *x + b;
            }
        }
    }
}

dispatch! {
    fn add_relu_rows<T: Real>(data: &mut [T], bias: &[T]) {
        let zero = T::of(0.0);
        for row in data.chunks_exact_mut(bias.len()) {
            for (x, &b) in row.iter_mut().zip(bias) {
                let sum = *x + b;
                *x = if sum < zero { zero } else { sum };
            }
        }
    }
}

/// The channel layout of a tensor: `[batch, channels, positions]` (TensorFlow's `NCHW`) or `[rows,
/// channels]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelLayout {
    /// Groups that each hold every channel.
    pub batch: usize,
    /// Channels.
    pub channels: usize,
    /// Neighboring elements of one channel; 1 when the channels are the last dimension.
    pub positions: usize,
}

impl ChannelLayout {
    /// Returns the number of elements that a tensor of this layout has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batch * self.channels * self.positions
    }

    /// Returns true if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the plan with which [`BinaryOp::Add`] adds a bias to a tensor of any [`Element`].
    ///
    /// # Errors
    /// None for real layouts; the type is that of [`Broadcast::new`].
    pub fn broadcast(&self) -> Result<Broadcast<2>, BroadcastError> {
        Broadcast::new([&[self.batch, self.channels, self.positions], &[self.channels, 1]])
    }
}

/// Adds `bias[c]` to every element of channel `c` (TensorFlow's `BiasAdd`, in place), for any layout and
/// any type that can be added.
///
/// # Panics
/// When a slice is not as long as `layout` says, or `T` cannot be added (`bool`).
pub fn bias_add_channels<T: Element>(pool: &Pool, layout: ChannelLayout, data: &mut [T], bias: &[T]) {
    let add = T::binary(BinaryOp::Add).unwrap_or_else(|| panic!("{} cannot be added", T::NAME));
    let plan = layout.broadcast().expect("a channel dimension broadcasts against itself");
    if plan.is_empty() {
        return;
    }
    add.run_in_place_left(pool, &plan, data, bias).expect("addition takes every operand");
}
