//! Products by tiles: which part of the operands is in which cache when.
//!
//! This is the classical scheme of three loops around a microkernel, with one difference: the left operand is not
//! packed (see `kernel`). A group of columns of `b` is packed into panels that stay in the second-level cache, and
//! all rows of `a` in a part pass over it. The sum is cut into stretches of fixed length, so the result does not
//! depend on the number of threads.
//!
//! # Loops
//!
//! ```text
//! for each group of columns and part of the rows     in parallel   (Cut)
//!   for each stretch of the sum                      `block`
//!     pack the group's columns of b into panels      `pack`        second-level cache
//!     for each row of tiles                          `block`       rows of a: first-level cache
//!       for each panel                               `row_of_tiles`
//!         the microkernel                            `kernel`      registers
//! ```
//!
//! A stretch adds to the result of the one before, so a tile of `c` is read and written once per stretch. The bias
//! and the activation are applied with the last one.
//!
//! # Determinism
//!
//! Each element of `c` is a sum over `k` in the order of `k`, with partial sums at the ends of stretches. The
//! stretches depend on `k` and on whether `b` is transposed, and on nothing else: neither the number of threads nor
//! the cut into groups and parts changes a bit.
//!
//! # Why `a` is not packed
//!
//! A microkernel loads one element of each of its few rows per step, and broadcasts it. Rows of `a` are contiguous in
//! the direction of the sum, so most of these loads hit the cache lines of the step before. Packing would copy `a`
//! once per group of columns.
#![allow(unsafe_code)] // hands pointers into checked slices to the kernels

use super::kernel::{Kernels, Offset, Rows, Run, Tile};
use super::pack::Panels;
use super::{Epilogue, Product, Real};
use crate::parallel::SharedSlice;
use crate::{OutOfMemory, Pool, Scratch};

/// Steps of the sum between two visits of a tile of `c`, at most: a panel of `b` and the rows of `a` stay
/// in the first and second-level cache. It also fixes the order of additions, so it must not depend on
/// the number of threads.
///
/// For the same memory, few steps let more columns be packed at a time: what is read of a row of `b` is
/// longer. When `b` is transposed it is the steps that follow each other in memory.
pub(super) const fn depth(product: &Product) -> usize {
    if product.transpose_b { 512 } else { 256 }
}

/// Bytes of packed panels that a worker goes through for every tile of rows: a quarter of a small
/// second-level cache.
const PANEL_BYTES: usize = 256 << 10;

/// Products with fewer multiplications than this stay on the calling thread.
pub(super) const PARALLEL_WORK: usize = 1 << 19;

/// The sizes that one product is cut into.
struct Cut {
    /// Columns per group of panels.
    columns: usize,
    /// The number of groups of columns.
    groups: usize,
    /// Rows per part.
    rows: usize,
    /// The number of parts of the rows.
    parts: usize,
}

/// Longest rows of `b`, in bytes, that are read where they lie. Further apart, the rows of a panel meet in
/// few sets of the caches.
const NEAR_ROWS: usize = 1 << 10;

/// Returns true if the panels of `b` are read where they lie: they are whole vectors, and either near each other
/// or read only once.
fn lies_in_panels<T>(product: &Product, kernels: &Kernels<T>) -> bool {
    // With one row of tiles a panel would be packed to be read once.
    let near = product.n * size_of::<T>() <= NEAR_ROWS || product.m <= kernels.max_rows();
    !product.transpose_b && product.n.is_multiple_of(kernels.lanes) && near
}

impl Cut {
    /// Chooses the sizes so that a group fits the cache and every thread gets at least two items.
    fn new<T>(product: &Product, kernels: &Kernels<T>, threads: usize) -> Cut {
        let width = kernels.max_columns();
        let depth = product.k.min(depth(product));
        let fitting = (PANEL_BYTES / size_of::<T>() / (depth * width).max(1)).max(1);
        let panels = product.n.div_ceil(width);
        let work = product.m * product.n * product.k;
        // Two items per thread, so that a thread that is late leaves work to the others.
        let wanted = if threads == 1 || work < PARALLEL_WORK { 1 } else { 2 * threads };
        // Columns are cut before rows, because parts of the rows pack the same panels again.
        let per_group = fitting.min(panels.div_ceil(wanted)).max(1);
        let groups = panels.div_ceil(per_group);
        // Every part packs the panels for itself, which few rows would not repay.
        let parts = wanted.div_ceil(groups).min(product.m / (2 * kernels.max_rows())).max(1);
        let rows = product.m.div_ceil(parts).next_multiple_of(kernels.max_rows()).min(product.m);
        Cut { columns: per_group * width, groups, rows, parts: product.m.div_ceil(rows) }
    }

    /// Elements that one worker packs at a time.
    fn packed_len(&self, product: &Product) -> usize {
        product.k.min(depth(product)) * self.columns
    }
}

/// The operands of a product, as its items share them. Lengths were compared with the product before.
struct Operands<'a, T: 'static> {
    /// The sizes and the orders of the operands.
    product: &'a Product,
    /// The microkernels for this CPU.
    kernels: &'a Kernels<T>,
    /// The left operand.
    a: &'a [T],
    /// The right operand.
    b: &'a [T],
    /// The bias and activation to apply to finished sums.
    epilogue: Epilogue<'a, T>,
    /// The result. Items write disjoint blocks.
    c: SharedSlice<'a, T>,
    /// See [`lies_in_panels`].
    in_panels: bool,
}

/// Multiplies matrices of any sizes and orders; `m` and `n` must not be 0.
///
/// Each worker packs into its own part of the scratch memory. The memory is requested before any element is computed,
/// so an error leaves `c` unchanged.
#[allow(clippy::too_many_arguments)] // those of the public function and the set to test
pub(super) fn multiply<T: Real>(
    kernels: &Kernels<T>,
    pool: &Pool,
    scratch: &mut Scratch,
    product: &Product,
    a: &[T],
    b: &[T],
    epilogue: Epilogue<'_, T>,
    c: &mut [T],
) -> Result<(), OutOfMemory> {
    let cut = Cut::new(product, kernels, pool.threads());
    let in_panels = lies_in_panels(product, kernels);
    let packed_len = if in_panels { 0 } else { cut.packed_len(product) };
    let line = 64 / size_of::<T>();
    let per_worker = packed_len.next_multiple_of(line);
    let [packed] = scratch.memory.parts::<T, 1>([per_worker * pool.threads()])?;
    let packed = SharedSlice::new(packed);
    let operands = Operands { product, kernels, a, b, epilogue, c: SharedSlice::new(c), in_panels };
    pool.run_with_worker(cut.groups * cut.parts, |worker, item| {
        let (group, part) = (item % cut.groups, item / cut.groups);
        // SAFETY: each worker has its own part.
        let packed = unsafe { packed.part(worker * per_worker, worker * per_worker + packed_len) };
        let rows = part * cut.rows..((part + 1) * cut.rows).min(product.m);
        let columns = group * cut.columns..((group + 1) * cut.columns).min(product.n);
        block(&operands, rows, columns, packed);
    });
    Ok(())
}

/// A range of rows, columns, or steps of the sum.
type Range = std::ops::Range<usize>;

/// Computes one block of `c`, over the whole depth.
///
/// Stretches have nearly equal lengths, rather than a short last one, whose tiles would cost as much to load and
/// store as the others.
fn block<T: Real>(operands: &Operands<'_, T>, rows: Range, columns: Range, packed: &mut [T]) {
    let k = operands.product.k;
    let steps = k.div_ceil(depth(operands.product)).max(1);
    for step in 0..steps {
        let depth = step * k / steps..(step + 1) * k / steps;
        // Packed once for all rows of the part, right before its use, so that the panels are in the cache.
        if !operands.in_panels {
            pack(operands, &depth, &columns, packed);
        }
        for (row, count) in even_cut(rows.clone(), operands.kernels.max_rows()) {
            row_of_tiles(operands, row, count, &depth, &columns, packed);
        }
    }
}

/// Packs the rows `depth` of `columns` of `b`.
fn pack<T: Real>(operands: &Operands<'_, T>, depth: &Range, columns: &Range, packed: &mut [T]) {
    let Operands { product, kernels, b, .. } = *operands;
    let width = kernels.max_columns();
    assert!(packed.len() >= depth.len() * columns.len().next_multiple_of(width), "room for the panels");
    let (first, stride) = match product.transpose_b {
        false => (depth.start * product.n + columns.start, product.n),
        true => (columns.start * product.k + depth.start, product.k),
    };
    let panels = Panels {
        from: b.as_ptr().wrapping_add(first),
        stride,
        rows: depth.len(),
        columns: columns.len(),
        to: packed.as_mut_ptr(),
        to_stride: width * depth.len(),
    };
    let pack = if product.transpose_b { kernels.pack_transposed } else { kernels.pack };
    // SAFETY: `b` has k by n elements in the given order, and both ranges lie inside; `packed` is
    // long enough by the assertion.
    unsafe { pack(&panels) }
}

/// Computes the tiles of `count` rows from `row`, across `columns`.
///
/// All panels pass over the same rows of `a`, which stay in the first-level cache.
fn row_of_tiles<T: Real>(
    operands: &Operands<'_, T>,
    row: usize,
    count: usize,
    depth: &Range,
    columns: &Range,
    packed: &[T],
) {
    let Operands { product, kernels, a, epilogue, .. } = *operands;
    let width = kernels.max_columns();
    let (kind, start, stride) = match product.transpose_a {
        false => (Rows::Strided, row * product.k + depth.start, product.k),
        true => (Rows::Adjacent, depth.start * product.m + row, product.m),
    };
    // Bias and activation belong to the whole sum, so only the last stretch applies them.
    let last = depth.end == product.k;
    let run = [Run { a: 0, b: 0, len: depth.len() }];
    for (panel, column) in columns.clone().step_by(width).enumerate() {
        let wide = (columns.end - column).min(width);
        // SAFETY: `block`s are disjoint, and tiles within one are; the rows of a tile interleave with
        // those of its neighbors, so only a pointer is formed, no slice.
        let c = unsafe { operands.c.at(row * product.n + column) };
        let (b, b_stride) = match operands.in_panels {
            false => (&packed[panel * width * depth.len()..], width),
            // For `k == 0` the place would lie beyond the empty operand; it is never read.
            true => (&operands.b[(depth.start * product.n + column).min(operands.b.len())..], product.n),
        };
        let tile = Tile {
            a: a.as_ptr().wrapping_add(start),
            rows: kind,
            stride,
            list: std::ptr::null(),
            b: b.as_ptr(),
            b_stride,
            outer: &[Offset { a: 0, b: 0 }],
            inner: if depth.is_empty() { &[] } else { &run },
            c,
            c_stride: product.n,
            columns: wide,
            accumulate: product.accumulate || depth.start > 0,
            bias: epilogue.bias.filter(|_| last).map_or(std::ptr::null(), |bias| bias[column..].as_ptr()),
            relu: epilogue.relu && last,
        };
        // SAFETY: rows, columns and depth lie inside the operands, whose lengths were checked against
        // the product; the panel has `depth` rows of `width`, or of as many whole vectors as `b` has
        // columns left; the kernels are of this CPU.
        unsafe { kernels.tile(&tile, count)(&tile) }
    }
}

/// Cuts a range into the fewest parts of at most `max`, as equal as can be: `(start, length)` of each.
pub(crate) fn even_cut(range: Range, max: usize) -> impl Iterator<Item = (usize, usize)> {
    let parts = range.len().div_ceil(max);
    let (each, longer) = (range.len() / parts.max(1), range.len() % parts.max(1));
    (0..parts).map(move |i| (range.start + i * each + i.min(longer), each + usize::from(i < longer)))
}
