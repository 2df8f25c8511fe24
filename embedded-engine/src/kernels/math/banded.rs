//! Linear systems of triangular matrices that are given by their diagonals.
//!
//! # Semantics
//!
//! `BandedTriangularSolve` takes each row of the bands as one diagonal, from top right to bottom left; element `i` belongs to row `i` of the
//! matrix, and elements outside of the matrix are ignored. `adjoint` solves with the conjugate transpose. A zero on the main diagonal is an error.
//! Leading axes are broadcast.

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

fn unfit(bands: &Shape, right: &Shape) -> Error {
    let text = format!("bands of shape {bands} and right-hand sides of shape {right} are incompatible");
    Error::invalid_argument(text)
}

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

/// A triangular matrix, or its adjoint.
struct Banded<'a, T> {
    values: &'a [T],
    k: usize,
    n: usize,
    lower: bool,
    adjoint: bool,
}

impl<T: Number> Banded<'_, T> {
    /// Returns the element at a distance from the diagonal, in this row of the matrix itself.
    fn band(&self, distance: usize, row: usize) -> T {
        let band = if self.lower { distance } else { self.k - 1 - distance };
        self.values[band * self.n + row]
    }

    fn at(&self, row: usize, column: usize) -> T {
        match self.adjoint {
            true => self.band(row.abs_diff(column), column).conjugate(),
            false => self.band(row.abs_diff(column), row),
        }
    }

    fn solve(&self, watch: &mut Watch<'_>, right: &[T], columns: usize, out: &mut [T]) -> Result<()> {
        let (n, reach) = (self.n, self.k - 1);
        if (0..n).any(|i| self.band(0, i) == T::default()) {
            return Err(Error::invalid_argument("Input matrix is not invertible."));
        }
        let forward = self.lower != self.adjoint;
        for step in 0..n {
            watch.tick(self.k.saturating_mul(columns))?;
            let i = if forward { step } else { n - 1 - step };
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
