//! Folding slices in many chains at once.

use super::kernel::Fold;
use crate::elementwise::Element;
use crate::simd::Vectorised;

/// Elements that one chain of vectors takes before the chains are merged.
pub(super) const CHUNK: usize = 8192;
/// Chains for a long slice; four vectors of `f32` in the widest instruction set.
const WIDE: usize = 64;
/// Chains for a short one.
const SMALL: usize = 8;

/// Folds `data` to one value, at most [`CHUNK`] elements at a time.
#[inline(always)]
pub(super) fn fold_slice<T: Element, F: Fold<T>>(data: &[T]) -> F::Accumulator {
    if data.len() < 4 * SMALL {
        return fold_chains::<T, F, SMALL>(data);
    }
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
    let mut width = CHAINS / 2;
    while width > 0 {
        for l in 0..width {
            chains[l] = F::merge(chains[l], chains[l + width]);
        }
        width /= 2;
    }
    chains[0]
}

/// Folds one slice into `result`.
pub(super) struct FoldSlice<'a, T, A> {
    pub(super) data: &'a [T],
    pub(super) result: &'a mut A,
}

/// [`FoldSlice`] with the fold named.
pub(super) struct With<F, W>(pub(super) F, pub(super) W);

impl<T: Element, F: Fold<T>> Vectorised for With<F, FoldSlice<'_, T, F::Accumulator>> {
    #[inline(always)]
    fn run(self) {
        *self.1.result = F::merge(*self.1.result, fold_slice::<T, F>(self.1.data));
    }
}

/// Folds rows of `width` elements, one after the other in `data`, each to one finished value.
pub(super) struct FoldRows<'a, T> {
    pub(super) data: &'a [T],
    pub(super) width: usize,
    pub(super) output: &'a mut [T],
}

impl<T: Element, F: Fold<T>> Vectorised for With<F, FoldRows<'_, T>> {
    #[inline(always)]
    fn run(self) {
        let FoldRows { data, width, output } = self.1;
        for (row, output) in data.chunks_exact(width).zip(output) {
            *output = F::finish(fold_slice::<T, F>(row), width);
        }
    }
}

/// Rows that are folded into one set of chains before that is merged into the total.
const ROWS: usize = 64;
/// Columns that are folded side by side.
pub(super) const COLUMNS: usize = 256;

/// Folds `rows` rows, `stride` apart, column by column into `totals`.
pub(super) struct FoldColumns<'a, T, A> {
    pub(super) data: &'a [T],
    pub(super) rows: usize,
    pub(super) stride: usize,
    pub(super) totals: &'a mut [A],
}

impl<T: Element, F: Fold<T>> Vectorised for With<F, FoldColumns<'_, T, F::Accumulator>> {
    #[inline(always)]
    fn run(self) {
        let FoldColumns { data, rows, stride, totals } = self.1;
        let width = totals.len();
        let mut chains = [F::identity(); COLUMNS];
        let chains = &mut chains[..width];
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
