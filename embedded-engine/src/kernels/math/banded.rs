//! Linear systems of triangular matrices that are given by their diagonals.
//!
//! # Semantics
//!
//! `BandedTriangularSolve` takes each row of the bands as one diagonal, from top right to bottom left;
//! element `i` belongs to row `i` of the matrix, and elements outside of the matrix are ignored. `adjoint`
//! solves with the conjugate transpose. A zero on the main diagonal is an error. Leading axes are broadcast.
//!
//! - `matrix`: `[..., k, n]`: `k` diagonals of a triangle of size `n`, `k >= 1`.
//! - `rhs`: `[..., n, columns]`.
//! - `lower` (default true): true if the first row is the main diagonal and the others are below it;
//!   otherwise the last row is the main one.
//! - `adjoint` (default false): true to solve with the conjugate transpose.
//!
//! The result is `[..., n, columns]`, of `float32`, `float64` or complex numbers. For example,
//! `[[1, 2], [0, 3]]` with `lower` is the matrix `[[1, 0], [3, 2]]`: the 0 would be left of its first row and
//! is not read. Ranks below 2, unequal `n` and `k = 0` are `InvalidArgument`, and so is a zero on the main
//! diagonal of any matrix.
//!
//! Substitution costs `2 n k columns` operations for each matrix, in the precision of the dtype and in one
//! thread.
//!
//! ```text
//! lower, bands [[1, 2, 3], [?, 4, 5]]  are  [1 0 0]      upper, bands [[4, 5, ?], [1, 2, 3]]  are  [1 4 0]
//!                                           [4 2 0]                                                [0 2 5]
//!                                           [0 5 3]                                                [0 0 3]
//! ```

use super::elementwise::{boxed, incompatible};
use super::linear::Number;
use super::product::stack_index;
use crate::kernel::{KernelContext, Watch};
use crate::registry::Registry;
use compute::elementwise::Broadcast;
use session_core::{Error, Result};
use tensor::Shape;

pub(crate) fn register(registry: &mut Registry) {
    registry.add("BandedTriangularSolve", |spec| {
        let (lower, adjoint) = (spec.bool("lower")?, spec.bool("adjoint")?);
        for_dtype!(field spec.input_dtype(0), T => {
            Ok(boxed(move |context| solve::<T>(context, lower, adjoint)))
        })
    });
}

/// Returns the `InvalidArgument` error for bands and right-hand sides whose shapes do not fit.
fn unfit(bands: &Shape, right: &Shape) -> Error {
    let text = format!("bands of shape {bands} and right-hand sides of shape {right} are incompatible");
    Error::invalid_argument(text)
}

/// Delivers the solutions. The stacks before the last two axes are broadcast; a repeated matrix is read again
/// for each right-hand side.
fn solve<T: Number>(context: &mut KernelContext<'_>, lower: bool, adjoint: bool) -> Result<()> {
    let (bands, right) = (context.input(0).shape().clone(), context.input(1).shape().clone());
    let ([stack @ .., k, n], [of_right @ .., rows, columns]) = (bands.dims(), right.dims()) else {
        return Err(unfit(&bands, &right));
    };
    if rows != n || *k == 0 {
        return Err(unfit(&bands, &right));
    }
    let stacks = Broadcast::new([stack, of_right]).map_err(|error| incompatible(&error))?;
    let result = stacks.output_shape();
    let shape: Shape = result.iter().copied().chain([*n, *columns]).collect();
    context.produce::<T>(0, shape, |context, output| {
        let (all, sides, mut watch) = (context.slice::<T>(0)?, context.slice::<T>(1)?, context.watch());
        let size = n * columns;
        for (s, out) in output.chunks_exact_mut(size.max(1)).enumerate() {
            let values = &all[stack_index(result, stack, s) * k * n..][..k * n];
            let matrix = Banded { values, k: *k, n: *n, lower, adjoint };
            let side = &sides[stack_index(result, of_right, s) * size..][..size];
            matrix.solve(&mut watch, side, *columns, out)?;
        }
        Ok(())
    })
}

/// A triangular matrix, or its adjoint. Elements outside of the `k` diagonals are 0 and are never asked for.
struct Banded<'a, T> {
    /// The diagonals, `k` rows of `n` elements; the element of row `i` of the matrix is at position `i` of
    /// its diagonal.
    values: &'a [T],
    /// The number of diagonals, the main one included; at least 1.
    k: usize,
    /// The number of rows and columns.
    n: usize,
    /// True if the stored matrix is a lower triangle.
    lower: bool,
    /// True to act as the conjugate transpose of the stored matrix.
    adjoint: bool,
}

impl<T: Number> Banded<'_, T> {
    /// Returns the element at a distance from the diagonal, in this row of the matrix itself. Distance 0 is
    /// the main diagonal. `distance` is below `k`.
    fn band(&self, distance: usize, row: usize) -> T {
        let band = if self.lower { distance } else { self.k - 1 - distance };
        self.values[band * self.n + row]
    }

    /// Returns an element of the triangle that is solved, after `adjoint`. The caller stays within the
    /// diagonals and the triangle.
    fn at(&self, row: usize, column: usize) -> T {
        match self.adjoint {
            // The transposed element is stored under its own row, which is this column.
            true => self.band(row.abs_diff(column), column).conjugate(),
            false => self.band(row.abs_diff(column), row),
        }
    }

    /// Solves for `columns` right-hand sides by substitution, from the top for a lower triangle and the
    /// adjoint of an upper one, else from the bottom. `right` and `out` are `[n, columns]` by rows. Fails for
    /// a zero on the main diagonal, and for NaN in its first place, as other solvers do.
    fn solve(&self, watch: &mut Watch<'_>, right: &[T], columns: usize, out: &mut [T]) -> Result<()> {
        let (n, reach) = (self.n, self.k - 1);
        let starts_with_nan = n > 0 && self.band(0, 0).magnitude().is_nan();
        if starts_with_nan || (0..n).any(|i| self.band(0, i) == T::default()) {
            return Err(Error::invalid_argument("Input matrix is not invertible."));
        }
        let forward = self.lower != self.adjoint;
        for step in 0..n {
            watch.tick(self.k.saturating_mul(columns))?;
            let i = if forward { step } else { n - 1 - step };
            // Rows farther away than the outermost diagonal contribute nothing.
            let known = if forward { i.saturating_sub(reach)..i } else { i + 1..(i + reach + 1).min(n) };
            for column in 0..columns {
                let sum = known.clone().fold(right[i * columns + column], |sum, j| {
                    sum - self.at(i, j) * out[j * columns + column]
                });
                out[i * columns + column] = sum / self.at(i, i);
            }
        }
        Ok(())
    }
}
