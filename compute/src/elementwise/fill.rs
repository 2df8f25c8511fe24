//! Filling arrays, and adding up several of them.

use super::work::{split_output, units_per_part};
use super::{BinaryOp, Broadcast, Element};
use crate::Pool;

/// Sets every element to `value`.
///
/// ```
/// use compute::{Pool, elementwise::fill};
/// let mut data = [0u8; 4];
/// fill(&Pool::single(), &mut data, 7);
/// assert_eq!(data, [7; 4]);
/// ```
pub fn fill<T: Clone + Send + Sync>(pool: &Pool, output: &mut [T], value: T) {
    split_output(pool, output, 64, units_per_part(100), |_, output| output.fill(value.clone()));
}

/// Computes `output = inputs[0] + inputs[1] + ...`, in this order and in one pass over the output: TensorFlow's `AddN`.
///
/// ```
/// use compute::{Pool, elementwise::add_n};
/// let mut sums = [0.0f32; 2];
/// add_n(&Pool::single(), &[&[1.0, 2.0], &[10.0, 20.0], &[100.0, 200.0]], &mut sums);
/// assert_eq!(sums, [111.0, 222.0]);
/// ```
///
/// # Panics
/// Panics without an input, if the slices differ in length, or if `T` has no addition (`bool`).
pub fn add_n<T: Element>(pool: &Pool, inputs: &[&[T]], output: &mut [T]) {
    /// Elements that stay in the nearest cache while all inputs are added to them.
    const BLOCK: usize = 1024;
    let add = T::binary(BinaryOp::Add).unwrap_or_else(|| panic!("{} cannot be added", T::NAME));
    assert!(!inputs.is_empty(), "nothing to add");
    assert!(inputs.iter().all(|input| input.len() == output.len()), "inputs differ in length");
    let least = units_per_part(100 * inputs.len());
    // This runs on the threads of `pool` already.
    let single = Pool::single();
    split_output(pool, output, 64, least, |range, output| {
        for (block, output) in output.chunks_mut(BLOCK).enumerate() {
            let from = range.start + block * BLOCK;
            let to = from + output.len();
            // Copied instead of added to zeros, which would turn a -0 into 0.
            output.copy_from_slice(&inputs[0][from..to]);
            let plan = Broadcast::new([&[output.len()], &[output.len()]]).expect("equal shapes");
            for input in &inputs[1..] {
                add.run_in_place_left(&single, &plan, output, &input[from..to]).expect("addition takes all");
            }
        }
    });
}
