//! Copying the right operand into panels: the vectors of one row of a tile side by side, row after row.
//!
//! A panel holds [`Kernels::max_columns`](super::Kernels::max_columns) columns. Its rows follow each other without
//! gaps, so the microkernel reads one stream of aligned memory, whatever the stride of the matrix. The last panel is
//! filled up with zeros: the kernel computes with whole vectors and does not store the columns that do not exist.
#![allow(unsafe_code)] // called through the pointers of a kernel table

use super::kernel::MAX_VECTORS;
use super::vector::Vector;

/// A matrix to be cut into panels of [`Kernels::max_columns`](super::Kernels::max_columns) columns each, the
/// last filled up with zeros.
pub(crate) struct Panels<T> {
    /// The first element that is wanted.
    pub(crate) from: *const T,
    /// Elements from one stored row of the matrix to the next.
    pub(crate) stride: usize,
    /// Rows of a panel.
    pub(crate) rows: usize,
    /// Columns in all.
    pub(crate) columns: usize,
    /// The first element of the first panel.
    pub(crate) to: *mut T,
    /// Elements from one panel to the next.
    pub(crate) to_stride: usize,
}

/// Packs a matrix.
///
/// # Safety
/// The CPU has the instruction set of the kernels that the function comes from; `from` is readable for
/// `rows` by `columns` elements (`columns` by `rows` for the transposing one), `to` writable for
/// `rows` times the columns of a panel at every multiple of `to_stride` that a panel has.
pub(crate) type PackFn<T> = unsafe fn(&Panels<T>);

/// Packs a matrix stored row by row.
///
/// # Safety
/// See [`PackFn`].
#[inline(always)]
pub(super) unsafe fn pack<V: Vector>(panels: &Panels<V::Elem>) {
    let &Panels { from, stride, rows, columns, to, to_stride } = panels;
    let width = MAX_VECTORS * V::LANES;
    let (whole, rest) = (columns / width, columns % width);
    // SAFETY: all offsets are below the sizes that the caller promises.
    unsafe {
        // Row by row through all panels: reads continue in one stream, and writes in one per panel.
        for row in 0..rows {
            let from = from.add(row * stride);
            let to = to.add(row * width);
            for panel in 0..whole {
                for j in 0..MAX_VECTORS {
                    let part = V::load(from.add(panel * width + j * V::LANES));
                    part.store(to.add(panel * to_stride + j * V::LANES));
                }
            }
            if rest > 0 {
                for j in 0..MAX_VECTORS {
                    let left = rest.saturating_sub(j * V::LANES).min(V::LANES);
                    // Wrapping, since a second vector may begin beyond the row. With `left == 0` nothing of
                    // it is read.
                    let part = V::load_first(from.wrapping_add(whole * width + j * V::LANES), left);
                    part.store(to.add(whole * to_stride + j * V::LANES));
                }
            }
        }
    }
}

/// Packs a matrix stored column by column.
///
/// Squares of as many rows as a vector has lanes are transposed in registers. The rows and columns at the edges,
/// which do not fill a square, are copied one by one.
#[inline(always)]
pub(super) unsafe fn pack_transposed<V: Vector>(panels: &Panels<V::Elem>) {
    let &Panels { from, stride, rows, columns, to, to_stride } = panels;
    let width = MAX_VECTORS * V::LANES;
    let filled = columns.next_multiple_of(width);
    let whole = rows / V::LANES * V::LANES;
    // SAFETY: all offsets are below the sizes that the caller promises.
    unsafe {
        for column in (0..filled).step_by(V::LANES) {
            let to = to.add(column / width * to_stride + column % width);
            let lanes = columns.saturating_sub(column).min(V::LANES);
            let mut row = 0;
            if lanes == V::LANES {
                while row < whole {
                    V::transpose(from.add(column * stride + row), stride, to.add(row * width), width);
                    row += V::LANES;
                }
            }
            while row < rows {
                // Zeros first: lanes beyond the last column must hold numbers, since the kernel multiplies
                // them and drops the result.
                V::zero().store(to.add(row * width));
                for lane in 0..lanes {
                    *to.add(row * width + lane) = *from.add((column + lane) * stride + row);
                }
                row += 1;
            }
        }
    }
}
