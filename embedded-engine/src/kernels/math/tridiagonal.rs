//! Tridiagonal matrices: products, and solutions by elimination.
//!
//! # Semantics
//!
//! `TridiagonalMatMul` takes `superdiag`, `maindiag` and `subdiag`, each `[..., 1, n]`, and `rhs`
//! `[..., n, k]`, and returns the product `[..., n, k]`. `TridiagonalSolve` takes `diagonals` `[..., 3, n]`,
//! the same three as rows, and `rhs` `[..., n, k]`, and returns the solution. Both take `float32` and
//! `float64`; stacks must be equal. Element `i` of each diagonal belongs to row `i`, so the last element of
//! the first and the first element of the third are ignored.
//!
//! `partial_pivoting` (default true) exchanges neighboring rows for the larger pivot. `perturb_singular`
//! (default false, and an error without pivoting) replaces pivots that are nearly 0 by the smallest positive
//! number of the dtype. A singular system is no error: all its solutions are NaN, as in TensorFlow. Shapes
//! that do not fit are `InvalidArgument`.
//!
//! The elimination costs about `8 n` operations and `5 n k` for the right-hand sides, in the precision of the
//! dtype, one system after the other in one thread.
//!
//! ```text
//! diagonals [[1, 1, ?], [2, 2, 2], [?, 1, 1]]  are  [2 1 0]
//!                                                   [1 2 1]
//!                                                   [0 1 2]
//! ```
//!
//! ```text
//! TridiagonalMatMul  that matrix  [[1], [1], [1]]  ->  [[3], [4], [3]]
//! TridiagonalSolve   that matrix  [[3], [4], [3]]  ->  [[1], [1], [1]]
//! ```

use super::elementwise::boxed;
use super::linear::last_two;
use crate::kernel::KernelContext;
use crate::registry::Registry;
use compute::math::Real;
use session_core::{Error, Result};
use tensor::{Element, memory};

/// Registers the op types. The combination of attributes that TensorFlow refuses is refused when the plan is
/// compiled.
pub(crate) fn register(registry: &mut Registry) {
    registry
        .add("TridiagonalMatMul", |spec| for_dtype!(wide spec.input_dtype(0), T => Ok(boxed(product::<T>))));
    registry.add("TridiagonalSolve", |spec| {
        let (pivoting, perturb) = (spec.bool("partial_pivoting")?, spec.bool("perturb_singular")?);
        if perturb && !pivoting {
            let text = "setting perturb_singular requires also setting partial_pivoting";
            return Err(Error::invalid_argument(text));
        }
        for_dtype!(wide spec.input_dtype(0), T => {
            // The smallest pivot with which a perturbed elimination continues.
            let least = if perturb { T::MIN_POSITIVE } else { T::default() };
            Ok(boxed(move |context| solve::<T>(context, pivoting, least)))
        })
    });
}

/// Delivers the products of `TridiagonalMatMul`: row `i` is `main_i x_i + above_i x_(i+1) + below_i x_(i-1)`,
/// added in this order.
///
/// Each of the three diagonals must be `[..., 1, n]` with the stack of `rhs`, otherwise the shapes do not
/// fit.
fn product<T: Element + Real>(context: &mut KernelContext<'_>) -> Result<()> {
    let rhs = context.input(3).shape().clone();
    let (stack, [n, columns]) = last_two(&rhs)?;
    for input in 0..3 {
        let shape = context.input(input).shape();
        if last_two(shape)? != (stack, [1, n]) {
            let text = format!("diagonals of shape {shape} do not fit a right-hand side of shape {rhs}");
            return Err(Error::invalid_argument(text));
        }
    }
    context.produce::<T>(0, rhs.clone(), |context, output| {
        let [above, main, below, rhs] = [0, 1, 2, 3].map(|input| context.slice::<T>(input));
        let (above, main, below, rhs) = (above?, main?, below?, rhs?);
        let mut watch = context.watch();
        for (row, out) in output.chunks_exact_mut(columns.max(1)).enumerate() {
            watch.tick(columns)?;
            // Rows of all matrices are numbered through, and the diagonals of `[..., 1, n]` as well.
            let i = row % n;
            for (column, out) in out.iter_mut().enumerate() {
                let at = row * columns + column;
                let mut sum = main[row] * rhs[at];
                if i + 1 < n {
                    sum = sum + above[row] * rhs[at + columns];
                }
                if i > 0 {
                    sum = sum + below[row] * rhs[at - columns];
                }
                *out = sum;
            }
        }
        Ok(())
    })
}

/// Delivers the solutions of `TridiagonalSolve`. `least` is the bound of `perturb_singular`, or 0 without it.
fn solve<T: Element + Real>(context: &mut KernelContext<'_>, pivoting: bool, least: T) -> Result<()> {
    let (diagonals, rhs) = (context.input(0).shape().clone(), context.input(1).shape().clone());
    let (stack, [rows, n]) = last_two(&diagonals)?;
    let (of_rhs, [size, columns]) = last_two(&rhs)?;
    if rows != 3 {
        let text = format!("expected diagonals to be provided as a matrix with 3 rows, got {rows} rows");
        return Err(Error::invalid_argument(text));
    }
    if (stack, n) != (of_rhs, size) {
        let text = format!("diagonals of shape {diagonals} and a right-hand side of shape {rhs} do not fit");
        return Err(Error::invalid_argument(text));
    }
    context.produce::<T>(0, rhs.clone(), |context, output| {
        let (diagonals, rhs) = (context.slice::<T>(0)?, context.slice::<T>(1)?);
        output.copy_from_slice(rhs);
        let mut watch = context.watch();
        for (matrix, out) in
            diagonals.chunks_exact((3 * n).max(1)).zip(output.chunks_exact_mut((n * columns).max(1)))
        {
            watch.tick(n * columns)?;
            eliminate(matrix, columns, out, pivoting, least)?;
        }
        Ok(())
    })
}

/// Solves one system in place. `matrix` holds the three diagonals, `out` the right-hand sides `[n, columns]`
/// and then the solutions. A row exchange fills a second diagonal above the main one, so the upper triangle
/// has three. Without any pivot of exactly 0 the solution is written, otherwise NaN.
///
/// `least` is 0 without `perturb_singular`; a pivot nearer to zero than `least` becomes `least` with its
/// sign.
fn eliminate<T: Element + Real>(
    matrix: &[T],
    columns: usize,
    out: &mut [T],
    pivoting: bool,
    least: T,
) -> Result<()> {
    let n = matrix.len() / 3;
    let zero = T::default();
    let mut main = memory::collected(matrix[n..2 * n].iter().copied())?;
    let mut above = memory::collected((0..n).map(|i| if i + 1 < n { matrix[i] } else { zero }))?;
    let mut second = memory::filled(zero, n)?;
    // A pivot that is nearly 0 is replaced only if that was requested.
    let bounded =
        |pivot: T| if pivot.abs() < least { if pivot < zero { zero - least } else { least } } else { pivot };
    for i in 0..n.saturating_sub(1) {
        let mut below = matrix[2 * n + i + 1];
        // The row below has the larger pivot. It brings its superdiagonal along, which is two columns right
        // of the diagonal here.
        if pivoting && main[i].abs() < below.abs() {
            std::mem::swap(&mut main[i], &mut below);
            let next = main[i + 1];
            main[i + 1] = std::mem::replace(&mut above[i], next);
            second[i] = std::mem::replace(&mut above[i + 1], zero);
            (0..columns).for_each(|column| out.swap(i * columns + column, (i + 1) * columns + column));
        }
        main[i] = bounded(main[i]);
        let factor = below / main[i];
        main[i + 1] = main[i + 1] - factor * above[i];
        above[i + 1] = above[i + 1] - factor * second[i];
        for column in 0..columns {
            let upper = out[i * columns + column];
            let lower = &mut out[(i + 1) * columns + column];
            *lower = *lower - factor * upper;
        }
    }
    if let Some(last) = main.last_mut() {
        *last = bounded(*last);
    }
    // The pivots before the last are checked late: division by one of them gave infinities or NaN, which are
    // overwritten here.
    if main.contains(&zero) {
        out.fill(T::of(f64::NAN));
        return Ok(());
    }
    for i in (0..n).rev() {
        for column in 0..columns {
            let mut sum = out[i * columns + column];
            if i + 1 < n {
                sum = sum - above[i] * out[(i + 1) * columns + column];
            }
            if i + 2 < n {
                sum = sum - second[i] * out[(i + 2) * columns + column];
            }
            out[i * columns + column] = sum / main[i];
        }
    }
    Ok(())
}
