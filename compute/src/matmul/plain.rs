//! Products by loops, for the types without a tuned kernel.
//!
//! These are integers, 16-bit floats and complex numbers. Sums of 16-bit floats are kept in `f32` and rounded once at
//! the end, as in TensorFlow.

use super::{Element, Product};
use crate::parallel::SharedSlice;
use crate::{OutOfMemory, Pool, Scratch};

/// Columns whose sums are kept at a time.
const COLUMNS: usize = 32;

/// Multiplies matrices by three loops, each sum in the order of `k`.
pub(super) fn multiply<T: Element>(
    pool: &Pool,
    _: &mut Scratch,
    product: &Product,
    a: &[T],
    b: &[T],
    c: &mut [T],
) -> Result<(), OutOfMemory> {
    let n = product.n;
    let c = SharedSlice::new(c);
    // Some ten microseconds of work per thread at least.
    let grain = (1usize << 14).div_ceil((n * product.k).max(1));
    pool.split(product.m, grain, |from, to| {
        #[allow(unsafe_code)]
        // SAFETY: ranges of rows are disjoint.
        let c = unsafe { c.part(from * n, to * n) };
        for (i, c) in (from..to).zip(c.chunks_exact_mut(n.max(1))) {
            for (part, c) in c.chunks_mut(COLUMNS).enumerate() {
                row(product, i, part * COLUMNS, a, b, c);
            }
        }
    });
    Ok(())
}

/// Row `i` of the product from column `first` on.
fn row<T: Element>(product: &Product, i: usize, first: usize, a: &[T], b: &[T], c: &mut [T]) {
    let Product { m, n, k, .. } = *product;
    // On the stack, so that the sums are in the widened type until the end without memory for a whole row.
    let mut sums = [T::zero(); COLUMNS];
    let sums = &mut sums[..c.len()];
    for p in 0..k {
        let x = a[if product.transpose_a { p * m + i } else { i * k + p }].widen();
        if product.transpose_b {
            // Rows of the transposed operand lie `k` apart. A tuned kernel would pack; these types are not
            // worth one.
            let column = b[first * k + p..].iter().step_by(k);
            sums.iter_mut().zip(column).for_each(|(sum, &y)| *sum = T::fma(x, y.widen(), *sum));
        } else {
            let row = &b[p * n + first..];
            sums.iter_mut().zip(row).for_each(|(sum, &y)| *sum = T::fma(x, y.widen(), *sum));
        }
    }
    for (c, &sum) in c.iter_mut().zip(&*sums) {
        *c = T::narrow(if product.accumulate { T::add(c.widen(), sum) } else { sum });
    }
}
