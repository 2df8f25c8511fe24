//! Least squares: by normal equations, or by singular values where matrices may lack rank.
//!
//! # Semantics
//!
//! `MatrixSolveLs` takes `matrix` `[..., m, n]`, `rhs` `[..., m, k]` with the same stack, both `float32` or
//! `float64`, and the scalar `l2_regularizer`, a `float64` that is not negative. It returns `[..., n, k]`:
//!
//! - with `fast` (default true) the minimum of `|A x - b|^2 + l2 |x|^2`, by a Cholesky decomposition of
//!   `A' A + l2`. For `m < n` it decomposes `A A' + l2` instead, which gives the shortest solution. A matrix
//!   without full rank is `InvalidArgument` unless `l2` is positive; the message is TensorFlow's.
//! - without `fast` the shortest `x` of the least `|A x - b|`, by singular values, for any rank;
//!   `l2_regularizer` is checked and not used.
//!
//! Shapes that do not fit are `InvalidArgument`; results with a size of 0 in `m`, `n` or `k` are zeros. A
//! matrix with numbers that are not finite is an error without `fast`, where some of TensorFlow's results are
//! numbers; with it NaN spreads, as in TensorFlow.
//!
//! Computed in double precision and rounded once, one system after the other in one thread. Normal equations
//! square the condition of the matrix, which double precision makes up for in a result of `float32` only.
//!
//! ```text
//! matrix [[1], [1]], rhs [[1], [3]]                    -> [[2]], the mean
//! matrix [[1], [1]], rhs [[1], [3]], l2_regularizer 2  -> [[1]]
//! matrix [[1, 1]], rhs [[2]]                           -> [[1], [1]], the shortest of many
//! matrix [[0], [0]], rhs [[1], [3]]                    -> InvalidArgument with fast, [[0]] without
//! ```

use super::elementwise::boxed;
use super::spectral::{not_finite, singular};
use crate::kernel::{KernelContext, Watch};
use crate::registry::Registry;
use compute::elementwise::CastTo;
use session_core::{Error, Result};
use tensor::{Element, Shape, memory};

pub(crate) fn register(registry: &mut Registry) {
    registry.add("MatrixSolveLs", |spec| {
        let fast = spec.bool("fast")?;
        for_dtype!(wide spec.input_dtype(0), T => Ok(boxed(move |context| solve::<T>(context, fast))))
    });
}

/// Checks the inputs of `MatrixSolveLs` and delivers the solutions. `fast` is the attribute.
fn solve<T: Element + CastTo<f64>>(context: &mut KernelContext<'_>, fast: bool) -> Result<()>
where
    f64: CastTo<T>,
{
    let (matrix, rhs) = (context.input(0).shape(), context.input(1).shape());
    let (&[ref stack @ .., rows, columns], &[ref of_rhs @ .., sides, width]) = (matrix.dims(), rhs.dims())
    else {
        let text = format!("matrix and rhs must have rank >= 2, got shapes {matrix} and {rhs}");
        return Err(Error::invalid_argument(text));
    };
    if (stack, rows) != (of_rhs, sides) {
        let text = format!("matrices of shape {matrix} and right-hand sides of shape {rhs} do not fit");
        return Err(Error::invalid_argument(text));
    }
    let l2 = context.doubles(2)?;
    let &[l2] = l2.as_slice() else {
        return Err(Error::invalid_argument(format!(
            "l2_regularizer must be a scalar, not of shape {}",
            context.input(2).shape()
        )));
    };
    if l2.is_nan() || l2 < 0.0 {
        return Err(Error::invalid_argument(format!("l2_regularizer must be >= 0, not {l2}")));
    }
    let shape: Shape = stack.iter().copied().chain([columns, width]).collect();
    context.produce::<T>(0, shape, |context, output| {
        // Without equations the shortest solution is zero; without unknowns or right-hand sides there is
        // nothing to write.
        if rows == 0 || columns == 0 || width == 0 {
            output.fill(T::default());
            return Ok(());
        }
        let (matrices, sides) = (context.slice::<T>(0)?, context.slice::<T>(1)?);
        let mut watch = context.watch();
        let systems = matrices.chunks_exact(rows * columns).zip(sides.chunks_exact(rows * width));
        for ((matrix, side), out) in systems.zip(output.chunks_exact_mut(columns * width)) {
            let system = System {
                matrix: memory::collected(matrix.iter().map(|&x| x.cast()))?,
                side: memory::collected(side.iter().map(|&x| x.cast()))?,
                rows,
                columns,
                width,
            };
            let solution =
                if fast { system.normal(l2, &mut watch)? } else { system.of_least_norm(&mut watch)? };
            out.iter_mut().zip(solution).for_each(|(out, x)| *out = x.cast());
        }
        Ok(())
    })
}

/// One matrix and its right-hand sides. All sizes are positive. Both arrays are row-major copies in double
/// precision.
struct System {
    /// The matrix `A`, `[rows, columns]`.
    matrix: Vec<f64>,
    /// The right-hand sides `b`, `[rows, width]`.
    side: Vec<f64>,
    /// The number of equations.
    rows: usize,
    /// The number of unknowns.
    columns: usize,
    /// The number of right-hand sides.
    width: usize,
}

impl System {
    /// Solves `(A' A + l2) x = A' b`, or for a matrix of more columns than rows `x = A' (A A' + l2)^-1 b`.
    /// The result is `[columns, width]`. Costs `n^2 l + n^3 / 3` operations, with `n` as the smaller and `l`
    /// as the larger size. Fails if the matrix lacks full rank and `l2` does not make up for it.
    fn normal(&self, l2: f64, watch: &mut Watch<'_>) -> Result<Vec<f64>> {
        let (rows, columns) = (self.rows, self.columns);
        let tall = rows >= columns;
        let n = rows.min(columns);
        // The matrix with the unknowns of the smaller system first: its transpose if it is tall.
        let at = |i: usize, k: usize| {
            if tall { self.matrix[k * columns + i] } else { self.matrix[i * columns + k] }
        };
        let length = rows.max(columns);
        let mut gram = memory::filled(0.0, n * n)?;
        for i in 0..n {
            watch.tick((i + 1) * length)?;
            for j in 0..=i {
                gram[i * n + j] = (0..length).map(|k| at(i, k) * at(j, k)).sum();
            }
            // This also lifts singular matrices off zero, for which the message recommends it.
            gram[i * n + i] += l2;
        }
        for i in 0..n {
            watch.tick(i * i)?;
            for j in 0..=i {
                // The Cholesky factor replaces the lower triangle of the Gram matrix in place; the upper one
                // was never filled.
                let rest = (0..j).fold(gram[i * n + j], |sum, k| sum - gram[i * n + k] * gram[j * n + k]);
                gram[i * n + j] = if i != j {
                    rest / gram[j * n + j]
                } else if rest <= 0.0 {
                    return Err(lacks_rank());
                } else {
                    rest.sqrt()
                };
            }
        }
        let mut solution = if tall { self.transposed_times(&self.side)? } else { self.side.clone() };
        let width = self.width;
        for column in 0..width {
            for i in 0..n {
                let known = (0..i).map(|j| gram[i * n + j] * solution[j * width + column]).sum::<f64>();
                solution[i * width + column] = (solution[i * width + column] - known) / gram[i * n + i];
            }
            // The transposed factor: `gram[j * n + i]` is its element `(i, j)`.
            for i in (0..n).rev() {
                let known = (i + 1..n).map(|j| gram[j * n + i] * solution[j * width + column]).sum::<f64>();
                solution[i * width + column] = (solution[i * width + column] - known) / gram[i * n + i];
            }
        }
        if tall { Ok(solution) } else { self.transposed_times(&solution) }
    }

    /// Returns the transposed matrix times `[rows, width]`. The result is `[columns, width]`, by sums over
    /// the rows in their order.
    fn transposed_times(&self, x: &[f64]) -> Result<Vec<f64>> {
        let mut product = memory::filled(0.0, self.columns * self.width)?;
        for (row, x) in self.matrix.chunks_exact(self.columns).zip(x.chunks_exact(self.width)) {
            for (factor, out) in row.iter().zip(product.chunks_exact_mut(self.width)) {
                out.iter_mut().zip(x).for_each(|(out, x)| *out += factor * x);
            }
        }
        Ok(product)
    }

    /// Returns the shortest of the solutions whose error is the least, whatever the rank. With `A = U S V'`
    /// it is `V S^+ U' b`: the sum over the singular values of `v (u' b) / s`. Values that are 0 in effect
    /// are left out, as `singular` returns no long vector for them.
    fn of_least_norm(&self, watch: &mut Watch<'_>) -> Result<Vec<f64>> {
        let (rows, columns, width) = (self.rows, self.columns, self.width);
        // `singular` wants columns at least as long as rows; the transposed matrix exchanges both sides'
        // vectors.
        let tall = rows >= columns;
        let value = |row: usize, column: usize| {
            if tall { self.matrix[row * columns + column] } else { self.matrix[column * columns + row] }
        };
        let (values, long, short) =
            singular(watch, &value, rows.max(columns), rows.min(columns))?.ok_or_else(not_finite)?;
        let (left, right) = if tall { (&long, &short) } else { (&short, &long) };
        let rank = long.len();
        let mut solution = memory::filled(0.0, columns * width)?;
        for (at, value) in values.iter().enumerate().take(rank) {
            let (left, right) = (left.column(at), right.column(at));
            for column in 0..width {
                let share: f64 =
                    left.iter().enumerate().map(|(i, u)| u * self.side[i * width + column]).sum();
                for (i, v) in right.iter().enumerate() {
                    solution[i * width + column] += v * share / value;
                }
            }
        }
        Ok(solution)
    }
}

/// Returns the error of the fast method, with what helps.
fn lacks_rank() -> Error {
    Error::invalid_argument(
        "Input matrix was rank deficient or ill-conditioned. Try setting fast=False or provide a larger l2_regularizer > 0.",
    )
}
