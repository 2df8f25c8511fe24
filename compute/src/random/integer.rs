//! Uniform integers.

use super::fill::{Distribution, fill};
use super::generator::Generator;
use crate::Pool;

/// Fills `out` with integers from `low` up to, but not including, `high`; the operation
/// `RandomUniformInt`.
///
/// Numbers are remainders of 32 (i32) or 64 (i64) random bits, so that some are favored by less than
/// `high - low` in 2³² or 2⁶⁴. Advances the generator by 256 blocks for each element.
///
/// # Errors
/// When `low` is not less than `high` and `out` is not empty; nothing is drawn then.
///
/// ```
/// use compute::Pool;
/// use compute::random::{Generator, fill_uniform_int};
///
/// let mut dice = [0i32; 100];
/// fill_uniform_int(&mut Generator::new(1, 2), 1, 7, &mut dice, &Pool::single())?;
/// assert!(dice.iter().all(|n| (1..=6).contains(n)));
/// # Ok::<(), compute::random::EmptyRange>(())
/// ```
pub fn fill_uniform_int<T: Integer>(
    generator: &mut Generator,
    low: T,
    high: T,
    out: &mut [T],
    pool: &Pool,
) -> Result<(), EmptyRange> {
    // Nothing is drawn, so the range may be empty too.
    if out.is_empty() {
        return Ok(());
    }
    if low >= high {
        return Err(EmptyRange);
    }
    T::fill(low, high, generator.reserve_outputs(out.len()), out, pool);
    Ok(())
}

/// The error of a range of [`fill_uniform_int`] that contains no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmptyRange;

impl std::fmt::Display for EmptyRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the lower bound must be less than the upper bound")
    }
}

impl std::error::Error for EmptyRange {}

/// An integer type that [`fill_uniform_int`] draws: i32 or i64.
pub trait Integer: Copy + PartialOrd + sealed::Integer {}

impl Integer for i32 {}
impl Integer for i64 {}

mod sealed {
    use super::*;

    /// A type of random integers: `i32` or `i64`.
    pub trait Integer: Sized {
        /// `low < high`.
        fn fill(low: Self, high: Self, start: Generator, out: &mut [Self], pool: &Pool);
    }
}

impl sealed::Integer for i32 {
    fn fill(low: i32, high: i32, start: Generator, out: &mut [i32], pool: &Pool) {
        fill(&Range32 { low, width: f64::from(high.abs_diff(low)) }, start, out, pool);
    }
}

impl sealed::Integer for i64 {
    fn fill(low: i64, high: i64, start: Generator, out: &mut [i64], pool: &Pool) {
        fill(&Range64 { low, width: high.abs_diff(low) }, start, out, pool);
    }
}

/// A range of 32-bit integers: each word is one number.
struct Range32 {
    /// The smallest number.
    low: i32,
    /// An integer in \[1, 2³²).
    width: f64,
}

impl Distribution for Range32 {
    type Item = i32;
    const PER_BLOCK: usize = 4;

    #[inline(always)]
    fn convert(&self, _: Generator, blocks: &[[u32; 4]], out: &mut [i32]) {
        for (out, &word) in out.iter_mut().zip(blocks.as_flattened()) {
            // No CPU divides vectors of integers. The rounded quotient has the right floor: a true
            // quotient that is not an integer is at least 1 / width, or 2⁻³² of itself, below the next.
            let word = f64::from(word);
            let remainder = word - (word / self.width).floor() * self.width;
            *out = self.low.wrapping_add(low_bits(remainder) as i32);
        }
    }
}

/// Returns the integer `x`, which is in \[0, 2³²): a cast would saturate, which vector instructions do not.
#[inline(always)]
fn low_bits(x: f64) -> u32 {
    (x + (1_u64 << 52) as f64).to_bits() as u32
}

/// A range of 64-bit integers: two words are one number.
struct Range64 {
    /// The smallest number.
    low: i64,
    /// The number of values in the range, at least 1.
    width: u64,
}

impl Distribution for Range64 {
    type Item = i64;
    const PER_BLOCK: usize = 2;

    #[inline(always)]
    fn convert(&self, _: Generator, blocks: &[[u32; 4]], out: &mut [i64]) {
        for (out, words) in out.iter_mut().zip(blocks.as_flattened().chunks_exact(2)) {
            let bits = u64::from(words[0]) | u64::from(words[1]) << 32;
            *out = self.low.wrapping_add((bits % self.width) as i64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remainders_by_floating_point_are_exact() {
        let widths = [1, 2, 3, 7, 10, 641, 65_535, 65_537, 6_700_417, 1 << 31, u32::MAX - 1, u32::MAX];
        for width in widths {
            let near = |n: u64| (n.saturating_sub(2)..n + 3).filter(|&n| n <= u64::from(u32::MAX));
            let multiples = [0, 1, 2, 1000, u32::MAX / width / 2, u32::MAX / width];
            let words: Vec<u32> = multiples
                .iter()
                .flat_map(|&m| near(u64::from(m) * u64::from(width)))
                .chain(near(u64::from(u32::MAX)))
                .map(|n| n as u32)
                .collect();
            let (blocks, _) = words.as_chunks::<4>();
            let mut out = vec![0; blocks.len() * 4];
            let range = Range32 { low: i32::MIN, width: f64::from(width) };
            range.convert(Generator::new(0, 0), blocks, &mut out);
            for (out, word) in out.iter().zip(&words) {
                assert_eq!(out.abs_diff(i32::MIN), word % width, "{word} % {width}");
            }
        }
    }

    #[test]
    fn an_empty_range_is_refused_unless_nothing_is_drawn() {
        let (mut generator, pool) = (Generator::new(1, 2), Pool::single());
        let before = generator;
        assert_eq!(fill_uniform_int(&mut generator, 3, 3, &mut [0; 4], &pool), Err(EmptyRange));
        assert_eq!(fill_uniform_int(&mut generator, 4, 3, &mut [0i64; 0], &pool), Ok(()));
        assert_eq!(generator, before);
    }
}
