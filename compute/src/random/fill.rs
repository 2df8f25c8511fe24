//! Spreads the filling of an output over threads and instruction sets, without effect on the bits.
//!
//! Each element of an output owns a fixed place in the sequence of blocks. A thread that fills a part therefore
//! starts at a known block, and the numbers do not depend on how the output is divided.
//!
//! # Batches
//!
//! A part is filled in batches of 256 blocks: first all random words, then all numbers made of them. Both loops are
//! then free of branches and are vectorized, and the words of a batch, 4 KiB, stay in the first-level cache in
//! between.
//!
//! # Ends
//!
//! The last block of an output may be used in part. Its other numbers are dropped and not kept for the next call: an
//! operation reserves whole blocks, as TensorFlow's does, so the next output begins at a block of its own.
#![allow(unsafe_code)] // Threads write disjoint parts of one output; `dispatch!` calls by instruction set.

use super::generator::Generator;
use super::philox;
use crate::Pool;
use crate::elementwise::Narrow;
use crate::parallel::SharedSlice;

/// Blocks that are generated and turned into numbers at a time: small enough for the nearest cache.
pub(super) const BATCH: usize = 256;

/// Outputs per thread below which a further thread costs more than it saves, and of which every part
/// but the last is a multiple.
const GRAIN: usize = 1 << 14;

/// A distribution that makes the same number of elements of each block of four words.
///
/// Distributions by rejection, whose elements need different numbers of words, use other loops; see `draws`.
pub(super) trait Distribution: Sync {
    /// The type of the elements.
    type Item: Copy + Default + Send;

    /// Elements from one block; divides [`GRAIN`].
    const PER_BLOCK: usize;

    /// Blocks from the start of one group of `PER_BLOCK` elements to the start of the next.
    const STRIDE: u64 = 1;

    /// Turns blocks into elements; `out` has `PER_BLOCK` for each of them. `origin` is the state at
    /// the first of the blocks. Must be `#[inline(always)]`, to be compiled for each instruction set.
    fn convert(&self, origin: Generator, blocks: &[[u32; 4]], out: &mut [Self::Item]);
}

/// Fills `out` with numbers, beginning at the position of `generator`.
///
/// The caller advances its generator by the number of blocks that it reserved; the state here is a copy.
pub(super) fn fill<D: Distribution>(dist: &D, generator: Generator, out: &mut [D::Item], pool: &Pool) {
    for_parts(out, GRAIN, pool, |from, part| {
        fill_part::<D>(dist, before::<D>(generator, from), part);
    });
}

/// Returns the state before the block of an element. Parts and batches begin at multiples of `PER_BLOCK`.
fn before<D: Distribution>(generator: Generator, element: usize) -> Generator {
    generator.ahead(((element / D::PER_BLOCK) as u64).wrapping_mul(D::STRIDE))
}

/// Fills `out` with numbers of `f32`, rounded. What is compiled for each instruction set is only the loop of `f32`.
pub(super) fn fill_narrow<D: Distribution<Item = f32>, H: Narrow>(
    dist: &D,
    generator: Generator,
    out: &mut [H],
    pool: &Pool,
) {
    for_parts(out, GRAIN, pool, |from, part| {
        let mut wide = [0.0; BATCH * 4];
        let batch = BATCH * D::PER_BLOCK;
        for (index, part) in part.chunks_mut(batch).enumerate() {
            let wide = &mut wide[..part.len()];
            fill_part::<D>(dist, before::<D>(generator, from + index * batch), wide);
            H::narrow_slice(wide, part);
        }
    });
}

/// Calls `work(start, part)` for parts of `out` that begin at multiples of `grain`, in no order.
pub(super) fn for_parts<T: Send>(
    out: &mut [T],
    grain: usize,
    pool: &Pool,
    work: impl Fn(usize, &mut [T]) + Sync,
) {
    let len = out.len();
    let shared = SharedSlice::new(out);
    pool.split(len, grain, |from, to| {
        // SAFETY: `split` gives disjoint ranges.
        work(from, unsafe { shared.part(from, to) });
    });
}

dispatch! {
    /// Fills a part of an output, from the block at which it begins.
    fn fill_part<D: Distribution>(dist: &D, start: Generator, out: &mut [D::Item]) {
        let mut words = [[0; 4]; BATCH];
        let mut at = start;
        for out in out.chunks_mut(BATCH * D::PER_BLOCK) {
            let words = &mut words[..out.len().div_ceil(D::PER_BLOCK)];
            philox::blocks(at.key, at.counter, D::STRIDE, words);
            let whole = out.len() / D::PER_BLOCK;
            let (full, rest) = out.split_at_mut(whole * D::PER_BLOCK);
            let mut last = [D::Item::default(); 4];
            // Only the last block of an output can be incomplete. One call for both, which is compiled once.
            let (whole_words, last_word) = words.split_at(whole);
            let ahead = at.ahead(whole as u64 * D::STRIDE);
            let last_numbers = &mut last[..if rest.is_empty() { 0 } else { D::PER_BLOCK }];
            for (at, words, numbers) in [(at, whole_words, full), (ahead, last_word, last_numbers)] {
                dist.convert(at, words, numbers);
            }
            rest.copy_from_slice(&last[..rest.len()]);
            at = at.ahead(BATCH as u64 * D::STRIDE);
        }
    }
}
