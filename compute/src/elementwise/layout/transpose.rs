//! Permuting dimensions.
//!
//! # Order of the copies
//!
//! Dimensions that stay neighbors are merged first. If the innermost dimension stays, rows are copied as they are.
//! Otherwise two dimensions matter: the one that is contiguous in the input and the one that is contiguous in the
//! output. They form a plane, which is transposed in tiles of 32 by 32 elements; all other dimensions are loops
//! around it. Without tiles, each element of a row would come from a line of memory of its own, which is dropped from
//! the cache before its next element is needed.

use super::walk::{Walk, copy_row, dense_strides};
use crate::Pool;
use crate::elementwise::PerDim;
use crate::elementwise::work::{split_outputs, units_per_part};

/// Elements along the side of a square that is turned in one go; two squares fit the nearest cache.
const TILE: usize = 32;

/// Writes `input`, of shape `shape`, with its dimensions in the order `permutation`: dimension `i` of the
/// output is dimension `permutation[i]` of the input.
///
/// ```
/// use compute::{Pool, elementwise::layout::transpose};
/// let mut output = [0; 6];
/// transpose(&Pool::single(), &[2, 3], &[1, 0], &[1, 2, 3, 4, 5, 6], &mut output);
/// assert_eq!(output, [1, 4, 2, 5, 3, 6]);
/// ```
///
/// # Panics
/// When `permutation` is not one of `shape`'s dimensions, or a slice does not have as many elements as the
/// shape.
pub fn transpose<T: Clone + Send + Sync>(
    pool: &Pool,
    shape: &[usize],
    permutation: &[usize],
    input: &[T],
    output: &mut [T],
) {
    let walk = permuted(shape, permutation);
    assert_eq!(input.len(), walk.len(), "input");
    assert_eq!(output.len(), walk.len(), "output");
    if output.is_empty() {
        return;
    }
    let (outer, width) = (walk.outer_len(), walk.len() / walk.outer_len());
    // 0.5 ns an element: each read may meet another cache line.
    let least = units_per_part(500 * width);
    split_outputs(pool, outer, 1, least, [(output, width)], |range, [output]| {
        let start = range.start * walk.outer_stride(0) as usize;
        transpose_part(&walk.narrowed(range.len()), &input[start..], output);
    });
}

/// Returns the output's dimensions, walked through input (array 0) and output (array 1).
fn permuted(shape: &[usize], permutation: &[usize]) -> Walk {
    let rank = shape.len();
    assert_eq!(permutation.len(), rank, "permutation of {rank} dimensions");
    let strides = dense_strides(shape);
    let (mut dims, mut from) = (PerDim::from_elem(1, rank), PerDim::from_elem(0, rank));
    let mut seen = PerDim::from_elem(false, rank);
    for (i, &p) in permutation.iter().enumerate() {
        assert!(p < rank && !seen[p], "{permutation:?} is not a permutation");
        seen[p] = true;
        (dims[i], from[i]) = (shape[p], strides[p]);
    }
    Walk::new(&dims, &from, &dense_strides(&dims))
}

/// Transposes one part of the output.
///
/// `input` starts at the element that is the first of `output`. If a dimension other than the last is
/// contiguous in the input, it and the last one are a plane, and the others are loops around it.
fn transpose_part<T: Clone>(walk: &Walk, input: &[T], output: &mut [T]) {
    let (dims, [from, to]) = walk.parts();
    let last = dims.len() - 1;
    match from.iter().position(|&stride| stride == 1) {
        Some(unit) if unit != last => {
            // All dimensions but the two whose order matters for the caches.
            let outer =
                Walk::new(&others(dims, unit, last), &others(from, unit, last), &others(to, unit, last));
            let plane = Plane {
                rows: dims[unit],
                cols: dims[last],
                from_col: from[last] as usize,
                to_row: to[unit] as usize,
            };
            outer.rows([0, 0], |row| {
                let mut at = row.starts;
                for _ in 0..row.len {
                    plane.turn(&input[at[0]..], &mut output[at[1]..]);
                    at = [0, 1].map(|k| at[k].wrapping_add_signed(row.steps[k]));
                }
            });
        }
        // Rows stay rows, or no dimension is contiguous in the input.
        _ => walk.rows([0, 0], |row| copy_row(row, input, output)),
    }
}

/// Returns the values of all dimensions but `unit` and the last one.
fn others<T: Copy + Default>(values: &[T], unit: usize, last: usize) -> PerDim<T> {
    let mut left = PerDim::from_elem(T::default(), last - 1);
    let kept = values.iter().enumerate().filter(|&(i, _)| i != unit && i != last);
    left.iter_mut().zip(kept).for_each(|(left, (_, &value))| *left = value);
    left
}

/// A transposition of two dimensions: element (r, c) goes from `r + c * from_col` to `r * to_row + c`.
struct Plane {
    /// The number of rows.
    rows: usize,
    /// The number of columns.
    cols: usize,
    /// Elements from one column to the next in the input.
    from_col: usize,
    /// Elements from one row to the next in the output.
    to_row: usize,
}

impl Plane {
    /// Transposes the matrix tile by tile, so that the lines of a tile stay in the cache.
    fn turn<T: Clone>(&self, input: &[T], output: &mut [T]) {
        for row in (0..self.rows).step_by(TILE) {
            for col in (0..self.cols).step_by(TILE) {
                self.turn_tile(row, col, input, output);
            }
        }
    }

    /// Transposes one tile.
    fn turn_tile<T: Clone>(&self, row: usize, col: usize, input: &[T], output: &mut [T]) {
        let cols = TILE.min(self.cols - col);
        for r in row..self.rows.min(row + TILE) {
            // Written in order and read across: the lines of the input that one row of the tile meets serve
            // its other rows too.
            let to = &mut output[r * self.to_row + col..][..cols];
            let from = input[r + col * self.from_col..].iter().step_by(self.from_col);
            for (to, from) in to.iter_mut().zip(from) {
                to.clone_from(from);
            }
        }
    }
}
