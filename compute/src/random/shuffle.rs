//! Random permutations.

use super::generator::Generator;
use super::words::Words;

/// Puts `values` in random order, the operation `RandomShuffle`.
///
/// Applied to the indices 0, 1, 2 … it returns the rows that a tensor's shuffled rows come from. Advances
/// the generator by one block for every four values but one, rounded up; not at all for fewer than two.
///
/// ```
/// use compute::random::{Generator, shuffle};
///
/// let mut rows = [0, 1, 2, 3, 4];
/// shuffle(&mut Generator::new(1, 2), &mut rows);
/// rows.sort();
/// assert_eq!(rows, [0, 1, 2, 3, 4]);
/// ```
pub fn shuffle<T>(generator: &mut Generator, values: &mut [T]) {
    let draws = values.len().saturating_sub(1);
    let mut words = Words::new(generator.reserve(draws.div_ceil(4) as u64));
    for i in 0..draws {
        // A word cannot choose among more; the number of values is reduced to 32 bits.
        let left = (values.len() - i) as u32;
        values.swap(i, i + words.below(left) as usize);
    }
}
