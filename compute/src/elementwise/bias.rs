//! Addition of one number per column or channel.

use super::work::{split_output, units_per_part};
use super::{BinaryOp, Broadcast, BroadcastError, Element};
use crate::Pool;
use crate::math::Real;

/// Adds `bias[j]` to every element of column `j`, in place. Rows of `data` are as long as `bias`. TensorFlow's `BiasAdd` with channels
/// last.
///
/// ```
/// use compute::{Pool, elementwise::bias_add};
/// let mut data = [1.0f32, 2.0, 3.0, 4.0];
/// bias_add(&Pool::single(), &mut data, &[10.0, 20.0]);
/// assert_eq!(data, [11.0, 22.0, 13.0, 24.0]);
/// ```
///
/// # Panics
/// Panics if `data` does not consist of whole rows.
pub fn bias_add<T: Real>(pool: &Pool, data: &mut [T], bias: &[T]) {
    bias_rows(pool, data, bias, add_rows);
}

/// Adds a bias as [`bias_add`] and replaces negative sums by 0, in one pass. NaN stays NaN.
///
/// ```
/// use compute::{Pool, elementwise::bias_add_relu};
/// let mut data = [1.0f32, -2.0];
/// bias_add_relu(&Pool::single(), &mut data, &[0.5, 0.5]);
/// assert_eq!(data, [1.5, 0.0]);
/// ```
///
/// # Panics
/// Panics if `data` does not consist of whole rows.
pub fn bias_add_relu<T: Real>(pool: &Pool, data: &mut [T], bias: &[T]) {
    bias_rows(pool, data, bias, add_relu_rows);
}

/// Calls `work` for blocks of whole rows, on several threads.
fn bias_rows<T: Real>(pool: &Pool, data: &mut [T], bias: &[T], work: fn(&mut [T], &[T])) {
    // An empty tensor may come with an empty bias, which the next check would refuse.
    if data.is_empty() {
        return;
    }
    assert!(!bias.is_empty() && data.len().is_multiple_of(bias.len()), "data has no whole rows");
    // 0.1 ns an element, about what memory delivers: the addition itself takes less.
    split_output(pool, data, bias.len(), units_per_part(100), |range, data| {
        debug_assert!(range.start.is_multiple_of(bias.len()));
        work(data, bias);
    });
}

dispatch! {
    /// Adds the bias to each row.
    fn add_rows<T: Real>(data: &mut [T], bias: &[T]) {
        for row in data.chunks_exact_mut(bias.len()) {
            for (x, &b) in row.iter_mut().zip(bias) {
                *x = *x + b;
            }
        }
    }
}

dispatch! {
    /// Adds the bias to each row, and replaces negative sums by 0.
    fn add_relu_rows<T: Real>(data: &mut [T], bias: &[T]) {
        let zero = T::of(0.0);
        for row in data.chunks_exact_mut(bias.len()) {
            for (x, &b) in row.iter_mut().zip(bias) {
                let sum = *x + b;
                // Not `max`, which returns its other operand for NaN.
                *x = if sum < zero { zero } else { sum };
            }
        }
    }
}

/// The position of the channels in a tensor: `[batch, channels, positions]` (TensorFlow's `NCHW`), or `[rows, channels]` with one
/// position.
///
/// ```
/// use compute::elementwise::ChannelLayout;
/// let nchw = ChannelLayout { batch: 2, channels: 3, positions: 28 * 28 };
/// let nhwc = ChannelLayout { batch: 2 * 28 * 28, channels: 3, positions: 1 };
/// assert_eq!(nchw.len(), nhwc.len());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelLayout {
    /// The number of groups, each of which holds every channel.
    pub batch: usize,
    /// The number of channels.
    pub channels: usize,
    /// The number of neighboring elements of one channel; 1 if the channels are the last dimension.
    pub positions: usize,
}

impl ChannelLayout {
    /// Returns the number of elements of a tensor with this layout.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batch * self.channels * self.positions
    }

    /// Returns true if such a tensor has no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the plan with which [`BinaryOp::Add`] adds a bias to a tensor of any [`Element`] type.
    ///
    /// # Errors
    /// None for a layout of existing slices; the type is that of [`Broadcast::new`].
    pub fn broadcast(&self) -> Result<Broadcast<2>, BroadcastError> {
        Broadcast::new([&[self.batch, self.channels, self.positions], &[self.channels, 1]])
    }
}

/// Adds `bias[c]` to every element of channel `c`, in place, for any layout and any type with addition. TensorFlow's `BiasAdd`.
///
/// ```
/// use compute::{Pool, elementwise::{ChannelLayout, bias_add_channels}};
/// let layout = ChannelLayout { batch: 1, channels: 2, positions: 2 };
/// let mut data = [1i32, 2, 3, 4];
/// bias_add_channels(&Pool::single(), layout, &mut data, &[10, 20]);
/// assert_eq!(data, [11, 12, 23, 24]);
/// ```
///
/// # Panics
/// Panics if the length of a slice contradicts `layout`, or if `T` has no addition (`bool`).
pub fn bias_add_channels<T: Element>(pool: &Pool, layout: ChannelLayout, data: &mut [T], bias: &[T]) {
    let add = T::binary(BinaryOp::Add).unwrap_or_else(|| panic!("{} cannot be added", T::NAME));
    // In the plan, the bias has one position, which is repeated.
    let plan = layout.broadcast().expect("a channel dimension broadcasts against itself");
    if plan.is_empty() {
        return;
    }
    add.run_in_place_left(pool, &plan, data, bias).expect("addition takes every operand");
}
