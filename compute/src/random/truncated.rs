//! Normal numbers within two standard deviations, by rejection.
//!
//! # Order of the numbers
//!
//! A block makes a group of four elements (two of `f64`), and each group has reserved blocks for
//! replacements. Accepted numbers move to the front of their group. A rejected number therefore does not shift other
//! groups, which can be computed in any order. Most groups need no replacement.

use std::marker::PhantomData;

use super::fill::Distribution;
use super::generator::Generator;
use super::{normal, philox};
use crate::Pool;

/// Fills `out` with standard normal numbers, each drawn again while its magnitude is 2 or more; the
/// operation `TruncatedNormal`.
///
/// f16 and bf16 are rounded from f32, which can result in exactly 2. Advances the generator by 256 blocks
/// for each element. For f64 see [`fill_normal`](super::fill_normal).
///
/// ```
/// use compute::Pool;
/// use compute::random::{Generator, fill_truncated_normal};
///
/// let mut out = vec![0.0f32; 10_000];
/// fill_truncated_normal(&mut Generator::new(1, 2), &mut out, &Pool::single());
/// assert!(out.iter().all(|x| x.abs() < 2.0));
/// ```
pub fn fill_truncated_normal<T: super::Real>(generator: &mut Generator, out: &mut [T], pool: &Pool) {
    T::fill_truncated_normal(generator.reserve_outputs(out.len()), out, pool);
}

/// The magnitude from which on a number is drawn again.
const LIMIT: f32 = 2.0;

/// [`Distribution`] of truncated normal numbers of the type `T`. Each group of elements that a block
/// would give if nothing were rejected owns all blocks reserved for those elements.
pub(super) struct Truncated<T>(pub(super) PhantomData<T>);

impl Distribution for Truncated<f32> {
    type Item = f32;
    const PER_BLOCK: usize = 4;
    const STRIDE: u64 = Generator::BLOCKS_PER_OUTPUT;

    #[inline(always)]
    fn convert(&self, origin: Generator, blocks: &[[u32; 4]], out: &mut [f32]) {
        // Five groups in six are done after this vectorized step.
        normal::convert_f32(blocks, out);
        for (i, group) in out.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            // Without a branch between the elements, this compares all four at once.
            if group.iter().fold(false, |outside, x| outside | (x.abs() >= LIMIT)) {
                replace_f32(origin.ahead(i as u64 * Self::STRIDE + 1), group);
            }
        }
    }
}

/// Moves the accepted elements to the front and draws the others from `generator`.
///
/// A group `[0.5, 2.5, -1, -3]` keeps 0.5 and -1 as its first two elements; the others are the first two that
/// are accepted of the following blocks.
#[cold]
#[inline(never)]
fn replace_f32(mut generator: Generator, group: &mut [f32; 4]) {
    let mut candidates = *group;
    let mut accepted = 0;
    loop {
        for x in candidates {
            if x.abs() < LIMIT {
                group[accepted] = x;
                accepted += 1;
                if accepted == group.len() {
                    return;
                }
            }
        }
        let next = generator.reserve(1);
        normal::convert_f32(&[philox::block(next.key, next.counter)], &mut candidates);
    }
}

impl Distribution for Truncated<f64> {
    type Item = f64;
    const PER_BLOCK: usize = 2;
    const STRIDE: u64 = Generator::BLOCKS_PER_OUTPUT / 2;

    #[inline(always)]
    fn convert(&self, origin: Generator, blocks: &[[u32; 4]], out: &mut [f64]) {
        for (i, (&words, group)) in blocks.iter().zip(out.as_chunks_mut::<2>().0).enumerate() {
            draw_f64(origin.ahead(i as u64 * Self::STRIDE + 1), words, group);
        }
    }
}

/// Fills `group` with what is accepted from the block `words` and those of `generator`.
fn draw_f64(mut generator: Generator, mut words: [u32; 4], group: &mut [f64; 2]) {
    let mut accepted = 0;
    loop {
        for x in normal::pair_f64(words) {
            if x.abs() < f64::from(LIMIT) {
                group[accepted] = x;
                accepted += 1;
                if accepted == group.len() {
                    return;
                }
            }
        }
        let next = generator.reserve(1);
        words = philox::block(next.key, next.counter);
    }
}
