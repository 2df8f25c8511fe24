//! Folding slices in many chains at once.
//!
//! A sum in one chain waits for each addition before the next can begin. Several chains hide this latency and fill
//! the lanes of vectors. The number of chains follows from the length, so the order
//! of additions, and with it the bits of a sum, does not depend on the number of threads.
//!
//! Rows are folded along themselves; columns are folded side by side, each lane being one column.

use super::kernel::Fold;
use crate::elementwise::{Element, Loops};
use crate::simd::{Vectorised, vectorised, vectorised_avx2};

/// Elements that one chain of vectors takes before the chains are merged.
pub(super) const CHUNK: usize = 8192;
/// Chains for a long slice; four vectors of `f32` in the widest instruction set.
const WIDE: usize = 64;
/// Chains for a short one.
const SMALL: usize = 8;

/// Folds `data` to one value, [`CHUNK`] elements at a time.
///
/// Below 128 elements, a chunk has 8 chains, and otherwise 64.
#[inline(always)]
pub(crate) fn fold_slice<T: Element, F: Fold<T>>(data: &[T]) -> F::Accumulator {
    let mut total = F::identity();
    for chunk in data.chunks(CHUNK) {
        let part = if chunk.len() < 2 * WIDE {
            fold_chains::<T, F, SMALL>(chunk)
        } else {
            fold_chains::<T, F, WIDE>(chunk)
        };
        total = F::merge(total, part);
    }
    total
}

/// Element `i` goes to chain `i % CHAINS`; the chains are merged by halves.
#[inline(always)]
fn fold_chains<T: Element, F: Fold<T>, const CHAINS: usize>(data: &[T]) -> F::Accumulator {
    let mut chains = [F::identity(); CHAINS];
    let mut blocks = data.chunks_exact(CHAINS);
    for block in blocks.by_ref() {
        for l in 0..CHAINS {
            chains[l] = F::merge(chains[l], F::lift(block[l]));
        }
    }
    for (chain, &x) in chains.iter_mut().zip(blocks.remainder()) {
        *chain = F::merge(*chain, F::lift(x));
    }
    // Spelled out, because a loop over the widths is not always unrolled, and then not vectorized.
    merge_half::<T, F, 32>(&mut chains);
    merge_half::<T, F, 16>(&mut chains);
    merge_half::<T, F, 8>(&mut chains);
    merge_half::<T, F, 4>(&mut chains);
    merge_half::<T, F, 2>(&mut chains);
    merge_half::<T, F, 1>(&mut chains);
    chains[0]
}

/// Merges chains `HALF..` into `..HALF` when there are as many as that.
#[inline(always)]
fn merge_half<T, F: Fold<T>, const HALF: usize>(chains: &mut [F::Accumulator]) {
    if 2 * HALF <= chains.len() {
        for l in 0..HALF {
            chains[l] = F::merge(chains[l], chains[l + HALF]);
        }
    }
}

/// Work for a fold.
pub(super) struct With<F, W>(pub(super) F, pub(super) W);

/// Folds rows of `width` elements, one after the other in `data`, each into one of `totals`.
pub(super) struct FoldRows<'a, T, A> {
    /// The rows to fold.
    pub(super) data: &'a [T],
    /// The length of a row.
    pub(super) width: usize,
    /// One total for each row.
    pub(super) totals: &'a mut [A],
}

impl<T: Element, F: Fold<T>> Vectorised for With<F, FoldRows<'_, T, F::Accumulator>> {
    #[inline(always)]
    fn run(self) {
        let FoldRows { data, width, totals } = self.1;
        for (row, total) in data.chunks_exact(width).zip(totals) {
            *total = F::merge(*total, fold_slice::<T, F>(row));
        }
    }
}

/// Runs the work, compiled for this CPU if the element type is one of those that large tensors have.
pub(crate) fn execute<T: Element, W: Vectorised>(work: W) {
    // Branches on constants, because a `match` would still compile all three.
    if const { matches!(T::LOOPS, Loops::All) } {
        vectorised(work);
    } else if const { matches!(T::LOOPS, Loops::Avx2) } {
        vectorised_avx2(work);
    } else {
        work.run();
    }
}

/// Rows that are folded into one set of chains before that is merged into the total.
const ROWS: usize = 64;
/// Columns that are folded side by side.
pub(super) const COLUMNS: usize = 256;

/// Folds `rows` rows, `stride` apart, column by column into `totals`.
pub(super) struct FoldColumns<'a, T, A> {
    /// The rows to fold.
    pub(super) data: &'a [T],
    /// The number of rows.
    pub(super) rows: usize,
    /// The distance from row to row, in elements.
    pub(super) stride: usize,
    /// The totals of the columns.
    pub(super) totals: &'a mut [A],
}

impl<T: Element, F: Fold<T>> Vectorised for With<F, FoldColumns<'_, T, F::Accumulator>> {
    #[inline(always)]
    fn run(self) {
        let FoldColumns { data, rows, stride, totals } = self.1;
        let width = totals.len();
        let mut chains = [F::identity(); COLUMNS];
        let chains = &mut chains[..width];
        // Sums of 64 rows each, added up afterwards: a single chain over a long column would lose digits.
        for block in (0..rows).step_by(ROWS) {
            chains.fill(F::identity());
            for row in block..rows.min(block + ROWS) {
                let row = &data[row * stride..row * stride + width];
                for (chain, &x) in chains.iter_mut().zip(row) {
                    *chain = F::merge(*chain, F::lift(x));
                }
            }
            for (total, &chain) in totals.iter_mut().zip(&*chains) {
                *total = F::merge(*total, chain);
            }
        }
    }
}
