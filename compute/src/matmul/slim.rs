//! Products whose result has few columns, or few rows: a classifier's last layer and its gradient.
//!
//! By tiles, most lanes of a vector of columns would be idle. Where the sums run along the rows of both
//! operands the lanes go along the sums; where they run along the columns of both, the transpose of the
//! result is computed, whose rows are long.
//!
//! Both cases need more work per element of the result than a tile, but use all lanes.
//!
//! # Which way is taken
//!
//! | case | condition | lanes |
//! |---|---|---|
//! | `by_dots` | `a` is stored by rows, and the result has at most 12 columns or few rows | along the sum |
//! | `turned` | `a` is stored by columns and `b` by rows, with at most 12 columns | along the rows of the result |
//!
//! Other slim products go by tiles. The choice depends on the product and the kernels alone, so a product has the
//! same bits with any number of threads.
#![allow(unsafe_code)] // hands pointers into checked slices to the kernels

use super::blocked::{PARALLEL_WORK, even_cut};
use super::dots::{Dots, Finish, Turn};
use super::kernel::{Kernels, Offset, Rows, Run, Tile};
use super::pack::Panels;
use super::{Epilogue, Product, Real};
use crate::parallel::SharedSlice;
use crate::{OutOfMemory, Pool, Scratch};

/// The largest number of columns of a slim result. A tile has 32 columns of `f32` with AVX-512, so up to here less
/// than half of its lanes would be used.
const COLUMNS: usize = 12;

/// Returns true if the lanes should go along the sums.
pub(super) fn is_dots<T>(product: &Product, kernels: &Kernels<T>) -> bool {
    let slim = product.n <= COLUMNS || product.transpose_b && product.m <= kernels.max_dots().0;
    // Shorter sums than two vectors spend more on adding up the lanes than on the products.
    !product.transpose_a && slim && product.k >= 2 * kernels.lanes
}

/// Returns true if the result's transpose should be computed.
pub(super) fn is_turned<T>(product: &Product, kernels: &Kernels<T>) -> bool {
    let turned = product.transpose_a && !product.transpose_b;
    turned && product.n <= COLUMNS && product.m >= 2 * kernels.lanes && product.k > 0
}

/// Returns the number of threads that a product is worth: one for a small product, otherwise all.
fn threads(product: &Product, pool: &Pool) -> usize {
    if product.m * product.n * product.k < PARALLEL_WORK { 1 } else { pool.threads() }
}

/// Computes a product for which [`is_dots`] holds.
///
/// If `b` is stored by rows, it is transposed first, which is cheap because it has few columns. The longer side of
/// the result is divided among the threads, in multiples of the kernel's size.
#[allow(clippy::too_many_arguments)] // those of the public function and the set to test
pub(super) fn by_dots<T: Real>(
    kernels: &Kernels<T>,
    pool: &Pool,
    scratch: &mut Scratch,
    product: &Product,
    a: &[T],
    b: &[T],
    epilogue: Epilogue<'_, T>,
    c: &mut [T],
) -> Result<(), OutOfMemory> {
    let Product { m, n, k, .. } = *product;
    let [flipped] = scratch.memory.parts::<T, 1>([if product.transpose_b { 0 } else { n * k }])?;
    let b = if product.transpose_b {
        b
    } else {
        let turn = Turn {
            from: b.as_ptr(),
            from_stride: n,
            rows: k,
            columns: n,
            to: flipped.as_mut_ptr(),
            to_stride: k,
            finish: Finish::NONE,
        };
        // SAFETY: `b` has `k` rows of `n`, `flipped` room for `n` rows of `k`; the kernels are of this CPU.
        unsafe { (kernels.turn)(&turn) }
        &*flipped
    };
    let (high, wide) = kernels.max_dots();
    let c = SharedSlice::new(c);
    // Whichever side is longer is shared out.
    // Elements are whole sums, so any division gives the same bits.
    let (rows, columns) = if m >= n {
        (m.div_ceil(threads(product, pool)), n)
    } else {
        (m, n.div_ceil(threads(product, pool)))
    };
    let (rows, columns) = (rows.next_multiple_of(high).min(m), columns.next_multiple_of(wide).min(n));
    let across = n.div_ceil(columns);
    pool.run(m.div_ceil(rows) * across, |item| {
        let rows = item / across * rows..((item / across + 1) * rows).min(m);
        let columns = item % across * columns..((item % across + 1) * columns).min(n);
        for (j, width) in even_cut(columns, wide) {
            for (i, height) in even_cut(rows.clone(), high) {
                let dots = Dots {
                    a: a[i * k..].as_ptr(),
                    a_stride: k,
                    b: b[j * k..].as_ptr(),
                    b_stride: k,
                    len: k,
                    // SAFETY: items compute different elements.
                    c: unsafe { c.at(i * n + j) },
                    c_stride: n,
                    finish: finish(product, &epilogue, j),
                };
                // SAFETY: the rows lie inside the operands, whose lengths were checked against the
                // product; the kernels are of this CPU.
                unsafe { kernels.dots(height, width)(&dots) }
            }
        }
    });
    Ok(())
}

/// Returns the epilogue for the columns from `column` on.
fn finish<T>(product: &Product, epilogue: &Epilogue<'_, T>, column: usize) -> Finish<T> {
    Finish {
        accumulate: product.accumulate,
        bias: epilogue.bias.map_or(std::ptr::null(), |bias| bias[column..].as_ptr()),
        relu: epilogue.relu,
    }
}

/// Computes a product for which [`is_turned`] holds.
///
/// The columns of `a` are the columns of the transposed result, so a panel of them is read in place or packed. Each
/// panel's result is transposed back into `c`, where the epilogue is applied.
#[allow(clippy::too_many_arguments)] // those of the public function and the set to test
pub(super) fn turned<T: Real>(
    kernels: &Kernels<T>,
    pool: &Pool,
    scratch: &mut Scratch,
    product: &Product,
    a: &[T],
    b: &[T],
    epilogue: Epilogue<'_, T>,
    c: &mut [T],
) -> Result<(), OutOfMemory> {
    let Product { m, n, k, .. } = *product;
    let width = kernels.max_columns();
    // For each worker, a panel of `a` if it is not whole vectors, and a panel of the transposed result.
    let per_worker = [k * width, n * width];
    let [memory] = scratch.memory.parts::<T, 1>([(per_worker[0] + per_worker[1]) * pool.threads()])?;
    let memory = SharedSlice::new(memory);
    let c = SharedSlice::new(c);
    let panels = m.div_ceil(width);
    let items = threads(product, pool).min(panels);
    pool.run_with_worker(items, |worker, item| {
        let start = worker * (per_worker[0] + per_worker[1]);
        // SAFETY: each worker has its own part.
        let memory = unsafe { memory.part(start, start + per_worker[0] + per_worker[1]) };
        let (packed, result) = memory.split_at_mut(per_worker[0]);
        for panel in item * panels / items..(item + 1) * panels / items {
            let row = panel * width;
            let rows = (m - row).min(width);
            // SAFETY: every panel of rows belongs to one item.
            let c = unsafe { c.part(row * n, (row + rows) * n) };
            sum_turned(kernels, product, &a[row..], b, rows, packed, result);
            let turn = Turn {
                from: result.as_ptr(),
                from_stride: width,
                rows: n,
                columns: rows,
                to: c.as_mut_ptr(),
                to_stride: n,
                finish: finish(product, &epilogue, 0),
            };
            // SAFETY: `result` has `n` rows of `width`, `c` `rows` rows of `n`; the kernels are of this
            // CPU.
            unsafe { (kernels.turn)(&turn) }
        }
    });
    Ok(())
}

/// Computes the transposed result for the first `rows` columns of `a`, in rows as long as a panel.
fn sum_turned<T: Real>(
    kernels: &Kernels<T>,
    product: &Product,
    a: &[T],
    b: &[T],
    rows: usize,
    packed: &mut [T],
    result: &mut [T],
) {
    let Product { m, n, k, .. } = *product;
    let width = kernels.max_columns();
    let (right, stride) = if rows.is_multiple_of(kernels.lanes) {
        (a.as_ptr(), m)
    } else {
        let panels = Panels {
            from: a.as_ptr(),
            stride: m,
            rows: k,
            columns: rows,
            to: packed.as_mut_ptr(),
            // There is one panel only, so the distance to the next is never used.
            to_stride: packed.len(),
        };
        // SAFETY: `a` begins at a column that has `rows - 1` after it, and `packed` has `k` rows of
        // `width`; the kernels are of this CPU.
        unsafe { (kernels.pack)(&panels) }
        (packed.as_ptr(), width)
    };
    for (first, count) in even_cut(0..n, kernels.max_rows()) {
        let tile = Tile {
            a: b[first..].as_ptr(),
            rows: Rows::Adjacent,
            stride: n,
            list: std::ptr::null(),
            b: right,
            b_stride: stride,
            outer: &[Offset { a: 0, b: 0 }],
            inner: &[Run { a: 0, b: 0, len: k }],
            c: result[first * width..].as_mut_ptr(),
            c_stride: width,
            columns: rows,
            accumulate: false,
            bias: std::ptr::null(),
            relu: false,
        };
        // SAFETY: `b` has `k` rows of `n`; the right operand `k` rows of `rows`, which are whole vectors
        // or a panel; `result` has `n` rows of `width`; the kernels are of this CPU.
        unsafe { kernels.tile(&tile, count)(&tile) }
    }
}
