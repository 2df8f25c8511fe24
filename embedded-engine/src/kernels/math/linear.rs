//! Stacks of square matrices: determinants, inverses, solutions, Cholesky factors.
//!
//! # Semantics
//!
//! The last two axes are matrices, the others a stack. All op types take `float32`, `float64` and complex
//! numbers.
//!
//! - `MatrixDeterminant` takes `[..., n, n]` and returns `[...]`.
//! - `LogMatrixDeterminant` takes the same and returns the sign and the logarithm of the absolute value, each
//!   `[...]`.
//! - `MatrixInverse` takes the same and returns the same shape.
//! - `MatrixSolve` takes `[..., n, n]` and `[..., n, k]` with equal stacks and returns `[..., n, k]`.
//! - `MatrixTriangularSolve` takes the same but broadcasts the stacks.
//! - `Cholesky` takes `[..., n, n]` and returns a lower triangle of that shape.
//! - `Lu` takes `[..., n, n]` and returns both factors `[..., n, n]`, and the permutation `[..., n]` of dtype
//!   `output_idx_type`.
//!
//! The forms with `Batch` in front are older names of the same. A matrix that is not invertible is an
//! `InvalidArgument` error for `MatrixInverse`, `MatrixSolve` and `Lu`; its determinant is 0, and
//! `LogMatrixDeterminant` returns a sign of 0 and minus infinity. The determinant of a matrix of size 0 is 1.
//! `Cholesky` reads the lower triangle only and writes zeros above the diagonal. A matrix with a pivot of 0
//! or less has no factor, and its lower triangle becomes NaN as in TensorFlow, which returns zeros for a
//! complex one. `MatrixTriangularSolve` reads the triangle that `lower` (default true) names and ignores the
//! other; it divides by the diagonal even where that is 0. With `adjoint` (default false) the conjugate
//! transpose is used.
//!
//! Only a pivot that is exactly 0 counts as singular, and as in TensorFlow a first pivot that is NaN: nearly
//! singular matrices give large numbers, and NaN spreads elsewhere. Infinite pivots count with their signs,
//! so `LogMatrixDeterminant` of the diagonal `[inf, -1]` is the sign -1 and infinity.
//!
//! # Algorithm
//!
//! Gaussian elimination by rows with the largest pivot of each column, `n^3 * 2/3` operations, and `2 n^2`
//! for each right-hand side, in the precision of the dtype. Matrices are processed one after the other in one
//! thread, so bits depend on nothing but the input. The limits of the run are checked once per row of an
//! elimination.
//!
//! ```text
//! MatrixDeterminant      [[1, 2], [3, 4]]                 -> -2
//! LogMatrixDeterminant   [[1, 2], [3, 4]]                 -> sign -1, ln 2
//! MatrixSolve            [[2, 0], [0, 4]]  [[2], [4]]     -> [[1], [1]]
//! Cholesky               [[4, 2], [2, 5]]                 -> [[2, 0], [1, 2]]
//! Lu                     [[0, 1], [2, 0]]                 -> [[2, 0], [0, 1]], rows [1, 0]
//! ```

use super::elementwise::boxed;
use super::product::stack_index;
use crate::kernel::{Kernel, KernelContext, NodeSpec, Watch};
use crate::kernels::ragged::indices;
use crate::registry::Registry;
use compute::elementwise::Broadcast;
use session_core::{Error, Result};
use std::ops::{Add, Div, Mul, Sub};
use tensor::{Complex, DType, Element, Shape, Tensor, memory};

/// The number type of Gaussian elimination.
pub(super) trait Number:
    Element + Copy + PartialEq + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    /// True if the numbers have an imaginary part.
    ///
    /// It decides whether a result with an imaginary part is a result at all; see `matrix_functions.rs`.
    const IS_COMPLEX: bool;

    /// Converts a real number.
    fn of(number: f64) -> Self;
    /// Returns the number in double precision.
    fn widened(self) -> Complex<f64>;
    /// Returns the nearest number; of a real type, that of the real part. Rounds once, to the precision of
    /// the type.
    fn narrowed(number: Complex<f64>) -> Self;
    /// Returns the complex conjugate.
    fn conjugate(self) -> Self;
    /// Returns the absolute value, by which pivots are compared.
    fn magnitude(self) -> f64;
    /// Returns the real part.
    fn real_part(self) -> f64;
    /// Returns the number divided by its absolute value, and 0 for 0. Infinities of real numbers have the
    /// sign 1 or -1.
    fn sign(self) -> Self;
}

/// Implements the numbers.
macro_rules! numbers {
    ($($real:ty),*) => {$(
        impl Number for $real {
            const IS_COMPLEX: bool = false;

            fn widened(self) -> Complex<f64> {
                Complex::new(f64::from(self), 0.0)
            }

            fn narrowed(number: Complex<f64>) -> $real {
                number.re as $real
            }

            fn of(number: f64) -> $real {
                number as $real
            }

            fn conjugate(self) -> $real {
                self
            }

            fn magnitude(self) -> f64 {
                f64::from(self.abs())
            }

            fn real_part(self) -> f64 {
                f64::from(self)
            }

            fn sign(self) -> $real {
                if self == 0.0 { 0.0 } else { self.signum() }
            }
        }

        impl Number for Complex<$real> {
            const IS_COMPLEX: bool = true;

            fn widened(self) -> Complex<f64> {
                Complex::new(f64::from(self.re), f64::from(self.im))
            }

            fn narrowed(number: Complex<f64>) -> Complex<$real> {
                Complex::new(number.re as $real, number.im as $real)
            }

            fn of(number: f64) -> Complex<$real> {
                Complex::new(number as $real, 0.0)
            }

            fn conjugate(self) -> Complex<$real> {
                self.conj()
            }

            fn magnitude(self) -> f64 {
                f64::from(self.re).hypot(f64::from(self.im))
            }

            fn real_part(self) -> f64 {
                f64::from(self.re)
            }

            fn sign(self) -> Complex<$real> {
                let length = Complex::new(self.norm(), 0.0);
                if length.re == 0.0 { self } else { self / length }
            }
        }
    )*};
}
numbers!(f32, f64);

/// Registers the op types, those of `add_both` under their older `Batch` names as well.
pub(crate) fn register(registry: &mut Registry) {
    registry.add_both(
        ["MatrixDeterminant", "BatchMatrixDeterminant"],
        |spec| for_dtype!(field spec.input_dtype(0), T => Ok(boxed(determinant::<T>))),
    );
    registry.add(
        "LogMatrixDeterminant",
        |spec| for_dtype!(field spec.input_dtype(0), T => Ok(boxed(log_determinant::<T>))),
    );
    registry.add_both(["MatrixInverse", "BatchMatrixInverse"], |spec| {
        let adjoint = spec.bool("adjoint")?;
        for_dtype!(field spec.input_dtype(0), T => Ok(boxed(move |context| inverse::<T>(context, adjoint))))
    });
    registry.add_both(["MatrixSolve", "BatchMatrixSolve"], |spec| {
        let adjoint = spec.bool("adjoint")?;
        for_dtype!(field spec.input_dtype(0), T => Ok(boxed(move |context| solve::<T>(context, adjoint))))
    });
    registry.add_both(["MatrixTriangularSolve", "BatchMatrixTriangularSolve"], make_triangular);
    registry.add_both(
        ["Cholesky", "BatchCholesky"],
        |spec| for_dtype!(field spec.input_dtype(0), T => Ok(boxed(cholesky::<T>))),
    );
    registry.add("Lu", |spec| {
        let index = spec.dtype("output_idx_type")?;
        for_dtype!(field spec.input_dtype(0), T => Ok(boxed(move |context| factorized::<T>(context, index))))
    });
}

/// Splits a shape into the axes of the stack and the two of the matrices: `[5, 4, 3, 2]` into `[5, 4]` and
/// `[3, 2]`. Fails for rank 0 and 1.
pub(super) fn last_two(shape: &Shape) -> Result<(&[usize], [usize; 2])> {
    match shape.dims() {
        [stack @ .., rows, columns] => Ok((stack, [*rows, *columns])),
        _ => Err(Error::invalid_argument(format!("input must have rank >= 2, got shape {shape}"))),
    }
}

/// Returns the number of matrices in a stack and their size: `(20, 3)` for `[5, 4, 3, 3]`. Fails if the last
/// two sizes differ or the rank is below 2. It accepts a stack of any number of axes, also none.
pub(super) fn square(shape: &Shape) -> Result<(usize, usize)> {
    match shape.dims() {
        [stack @ .., rows, columns] if rows == columns => Ok((stack.iter().product(), *rows)),
        _ => Err(Error::invalid_argument(format!("Input matrices must be square, got shape {shape}"))),
    }
}

/// Returns the number of matrices of a stack that a kernel must process: none if `width`, a size of the
/// results, is 0. A shape like `[1_000_000_000, 0, 0]` has no elements, and its stack must not be walked.
pub(super) fn work(stack: usize, width: usize) -> usize {
    if width == 0 { 0 } else { stack }
}

/// A matrix as a product of triangles, rows exchanged so that pivots are large.
///
/// With `P` as the exchanges, `P A = L U`. Element `(i, j)` of `values` is that of `U` for `i <= j` and that
/// of `L` otherwise. A singular matrix has a zero on the diagonal; the column below it is 0, too.
///
/// `values` takes the memory of the matrix once more; nothing is written over the input.
struct Lu<T> {
    /// The number of rows and columns.
    n: usize,
    /// Both factors in one matrix; the diagonal of the lower one consists of ones.
    values: Vec<T>,
    /// The row of the original matrix that each row came from.
    rows: Vec<usize>,
    /// The number of exchanges of rows, which determines the sign of the determinant.
    swaps: usize,
}

impl<T: Number> Lu<T> {
    /// Decomposes a matrix, or its adjoint. `matrix` has `n * n` elements by rows. Ties between pivots go to
    /// the upper row. Fails only if the run is ended or memory is refused.
    fn of(watch: &mut Watch<'_>, matrix: &[T], n: usize, adjoint: bool) -> Result<Lu<T>> {
        // A matrix without elements still costs a call.
        watch.tick(1)?;
        let at = |i: usize, j: usize| if adjoint { matrix[j * n + i].conjugate() } else { matrix[i * n + j] };
        let mut values = memory::collected((0..n * n).map(|place| at(place / n, place % n)))?;
        let (mut rows, mut swaps) = (memory::collected(0..n)?, 0usize);
        // Column by column: the pivot is the largest element on and below the diagonal. Without the exchange,
        // a small pivot would make factors that swamp the other elements.
        for k in 0..n {
            let mut pivot = k;
            for i in k + 1..n {
                if values[i * n + k].magnitude() > values[pivot * n + k].magnitude() {
                    pivot = i;
                }
            }
            if pivot != k {
                (0..n).for_each(|j| values.swap(k * n + j, pivot * n + j));
                rows.swap(k, pivot);
                swaps += 1;
            }
            let diagonal = values[k * n + k];
            for i in k + 1..n {
                watch.tick(n)?;
                // The factor is the element of `L`; it is stored where the elimination leaves a zero. Below a
                // zero pivot the column is 0 already. Its multiples of the pivot's row are subtracted all the
                // same, as NaN and infinities of that row spread.
                let element = values[i * n + k];
                let factor = if diagonal == T::default() { element } else { element / diagonal };
                values[i * n + k] = factor;
                for j in k + 1..n {
                    values[i * n + j] = values[i * n + j] - factor * values[k * n + j];
                }
            }
        }
        Ok(Lu { n, values, rows, swaps })
    }

    /// Returns the product of the diagonal, with the sign of the exchanges. For `n = 0` this is 1. Large
    /// matrices may overflow; `log_determinant` does not.
    fn determinant(&self) -> T {
        let sign = if self.swaps.is_multiple_of(2) { T::of(1.0) } else { T::of(-1.0) };
        (0..self.n).fold(sign, |product, i| product * self.values[i * self.n + i])
    }

    /// Returns the sign of the determinant, and the logarithm of its absolute value. For complex numbers the
    /// sign is a number of absolute value 1. The logarithms are added in double precision. A singular matrix
    /// has the sign 0 and the logarithm minus infinity; one with NaN has NaN for both.
    fn log_determinant(&self) -> (T, T) {
        let sign = if self.swaps.is_multiple_of(2) { T::of(1.0) } else { T::of(-1.0) };
        let diagonal = (0..self.n).map(|i| self.values[i * self.n + i]);
        let (sign, log) = diagonal
            .fold((sign, 0.0), |(sign, log), pivot| (sign * pivot.sign(), log + pivot.magnitude().ln()));
        (sign, T::of(log))
    }

    /// Returns an error for a singular matrix. Only for ops that report it: a determinant of 0 is a result.
    fn check(&self) -> Result<()> {
        match is_singular(&self.values, self.n) {
            true => Err(Error::invalid_argument("Input matrix is not invertible.")),
            false => Ok(()),
        }
    }

    /// Solves for `columns` right-hand sides, given by element.
    ///
    /// `right(row, column)` is in the order of the original rows; `out` is `[n, columns]` by rows and is
    /// written completely. Forward substitution with `L`, whose diagonal is 1, then backward substitution
    /// with `U`. The matrix must not be singular: `check` first.
    fn solve(&self, columns: usize, right: impl Fn(usize, usize) -> T, out: &mut [T]) {
        let n = self.n;
        for column in 0..columns {
            for i in 0..n {
                // Forward, with the right-hand side in the order of the exchanged rows. The diagonal of `L`
                // is 1, so nothing is divided.
                let before = (0..i).fold(right(self.rows[i], column), |sum, j| {
                    sum - self.values[i * n + j] * out[j * columns + column]
                });
                out[i * columns + column] = before;
            }
            for i in (0..n).rev() {
                // Backward, with the diagonal of `U`.
                let sum = (i + 1..n).fold(out[i * columns + column], |sum, j| {
                    sum - self.values[i * n + j] * out[j * columns + column]
                });
                out[i * columns + column] = sum / self.values[i * n + i];
            }
        }
    }
}

/// Returns true if a triangle has a zero on its diagonal, or NaN as its first element. This is TensorFlow's
/// test: the least absolute value of the diagonal must be positive, and no later number is less than a NaN.
fn is_singular<T: Number>(triangle: &[T], n: usize) -> bool {
    n > 0 && triangle[0].magnitude().is_nan() || (0..n).any(|i| triangle[i * n + i] == T::default())
}

/// Delivers the determinant of each matrix of input 0. A determinant of size 0 is a product of nothing, so
/// the output has elements although the input has none.
fn determinant<T: Number>(context: &mut KernelContext<'_>) -> Result<()> {
    let shape = context.input(0).shape();
    let (_, n) = square(shape)?;
    let stack: Shape = shape[..shape.rank() - 2].iter().copied().collect();
    context.produce::<T>(0, stack, |context, output| {
        let (matrices, mut watch) = (context.slice::<T>(0)?, context.watch());
        for (i, out) in output.iter_mut().enumerate() {
            *out = Lu::of(&mut watch, &matrices[i * n * n..][..n * n], n, false)?.determinant();
        }
        Ok(())
    })
}

/// Delivers the sign and the logarithm of the absolute value of each determinant; the latter does not
/// overflow where the determinant would.
fn log_determinant<T: Number>(context: &mut KernelContext<'_>) -> Result<()> {
    let shape = context.input(0).shape();
    let (count, n) = square(shape)?;
    let stack: Shape = shape[..shape.rank() - 2].iter().copied().collect();
    let matrices = context.slice::<T>(0)?;
    let (mut signs, mut logs) = (memory::reserve(count)?, memory::reserve(count)?);
    let mut watch = context.watch();
    for i in 0..count {
        let (sign, log) = Lu::of(&mut watch, &matrices[i * n * n..][..n * n], n, false)?.log_determinant();
        signs.push(sign);
        logs.push(log);
    }
    context.set(0, Tensor::from_vec(signs, stack.clone())?);
    context.set(1, Tensor::from_vec(logs, stack)?);
    Ok(())
}

/// Delivers both factors of each matrix in one, and the row of the input that each of their rows was: `Lu` of
/// `[[0, 1], [2, 0]]` is `[[2, 0], [0, 1]]` and `[1, 0]`. `index` is the dtype of the latter.
fn factorized<T: Number>(context: &mut KernelContext<'_>, index: DType) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let (count, n) = square(&shape)?;
    // The permutations of all matrices one after the other, in the order of the second output.
    let mut rows = memory::reserve(count.saturating_mul(n))?;
    context.produce::<T>(0, shape.clone(), |context, output| {
        let (matrices, mut watch) = (context.slice::<T>(0)?, context.watch());
        for (i, out) in output.chunks_exact_mut((n * n).max(1)).enumerate() {
            let lu = Lu::of(&mut watch, &matrices[i * n * n..][..n * n], n, false)?;
            if is_singular(&lu.values, n) {
                return Err(Error::invalid_argument("Input is not invertible."));
            }
            out.copy_from_slice(&lu.values);
            rows.extend_from_slice(&lu.rows);
        }
        Ok(())
    })?;
    let rows =
        indices(rows, index)?.reshaped(shape[..shape.rank() - 1].iter().copied().collect::<Shape>())?;
    context.set(1, rows);
    Ok(())
}

/// Delivers the inverse of each matrix of input 0, or of its adjoint, by solving for the columns of the
/// identity.
fn inverse<T: Number>(context: &mut KernelContext<'_>, adjoint: bool) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let (stack, n) = square(&shape)?;
    context.produce::<T>(0, shape, |context, output| {
        let (matrices, mut watch) = (context.slice::<T>(0)?, context.watch());
        for i in 0..work(stack, n) {
            let lu = Lu::of(&mut watch, &matrices[i * n * n..][..n * n], n, adjoint)?;
            lu.check()?;
            let one = |row: usize, column: usize| if row == column { T::of(1.0) } else { T::default() };
            lu.solve(n, one, &mut output[i * n * n..][..n * n]);
        }
        Ok(())
    })
}

/// Returns the number of matrices, their size, and the number of right-hand sides for each. Both inputs must
/// have the same rank and stack: `MatrixSolve` does not broadcast.
fn system(context: &KernelContext<'_>) -> Result<(usize, usize, usize)> {
    let (matrix, right) = (context.input(0).shape(), context.input(1).shape());
    let (stack, n) = square(matrix)?;
    let rank = matrix.rank();
    if right.rank() != rank || right[..rank - 1] != matrix[..rank - 1] {
        return Err(unfit(matrix, right));
    }
    Ok((stack, n, right[rank - 1]))
}

/// Delivers the solutions `x` of `A x = b` for the matrices of input 0 and the columns of input 1.
fn solve<T: Number>(context: &mut KernelContext<'_>, adjoint: bool) -> Result<()> {
    let (stack, n, columns) = system(context)?;
    context.produce::<T>(0, context.input(1).shape().clone(), |context, output| {
        let (matrices, right) = (context.slice::<T>(0)?, context.slice::<T>(1)?);
        let mut watch = context.watch();
        for i in 0..work(stack, n) {
            let lu = Lu::of(&mut watch, &matrices[i * n * n..][..n * n], n, adjoint)?;
            lu.check()?;
            let side = &right[i * n * columns..][..n * columns];
            let at = |row: usize, column: usize| side[row * columns + column];
            lu.solve(columns, at, &mut output[i * n * columns..][..n * columns]);
        }
        Ok(())
    })
}

/// Returns the kernel for triangular matrices, from the attributes `lower` and `adjoint`.
fn make_triangular(spec: &NodeSpec<'_>) -> Result<Box<dyn Kernel>> {
    let (lower, adjoint) = (spec.bool("lower")?, spec.bool("adjoint")?);
    for_dtype!(field spec.input_dtype(0), T => {
        Ok(boxed(move |context| triangular::<T>(context, lower, adjoint)))
    })
}

/// Delivers the solutions for triangular matrices; the stacks of both inputs are broadcast, unlike those of
/// `MatrixSolve`.
///
/// `lower` states which triangle is stored, `adjoint` whether it is applied as its conjugate transpose.
fn triangular<T: Number>(context: &mut KernelContext<'_>, lower: bool, adjoint: bool) -> Result<()> {
    let (matrix, right) = (context.input(0).shape().clone(), context.input(1).shape().clone());
    let (_, n) = square(&matrix)?;
    let (stack, _) = matrix.split_at(matrix.rank() - 2);
    let Some((of_right, &[rows, columns])) = right.rank().checked_sub(2).map(|at| right.split_at(at)) else {
        return Err(unfit(&matrix, &right));
    };
    if rows != n {
        return Err(unfit(&matrix, &right));
    }
    let stacks =
        Broadcast::new([stack, of_right]).map_err(|error| super::elementwise::incompatible(&error))?;
    let result = stacks.output_shape();
    let shape: Shape = result.iter().copied().chain([n, columns]).collect();
    context.produce::<T>(0, shape, |context, output| {
        let (matrices, sides) = (context.slice::<T>(0)?, context.slice::<T>(1)?);
        let size = n * columns;
        for (s, out) in output.chunks_exact_mut(size.max(1)).enumerate() {
            let matrix = &matrices[stack_index(result, stack, s) * n * n..][..n * n];
            let side = &sides[stack_index(result, of_right, s) * size..][..size];
            solve_triangle((matrix, n, lower, adjoint), side, columns, out);
        }
        Ok(())
    })
}

/// Returns the error for shapes that do not fit. Both shapes are in the text.
fn unfit(matrix: &Shape, right: &Shape) -> Error {
    let text = format!("matrices of shape {matrix} and right-hand sides of shape {right} are incompatible");
    Error::invalid_argument(text)
}

/// Solves one system by substitution, forward for a lower triangle and the adjoint of an upper one, backward
/// otherwise. `out` is `[n, columns]` by rows. Only the elements of the triangle are read. A zero on the
/// diagonal gives infinities and NaN.
fn solve_triangle<T: Number>(
    (matrix, n, lower, adjoint): (&[T], usize, bool, bool),
    right: &[T],
    columns: usize,
    out: &mut [T],
) {
    let at = |i: usize, j: usize| if adjoint { matrix[j * n + i].conjugate() } else { matrix[i * n + j] };
    // The adjoint of a lower triangle is an upper one.
    let forward = lower != adjoint;
    for step in 0..n {
        let i = if forward { step } else { n - 1 - step };
        let known = if forward { 0..i } else { i + 1..n };
        for column in 0..columns {
            let sum = known
                .clone()
                .fold(right[i * columns + column], |sum, j| sum - at(i, j) * out[j * columns + column]);
            out[i * columns + column] = sum / at(i, i);
        }
    }
}

/// Delivers the lower triangle `L` of `A = L L'` for each matrix, column by column within each row: `n^3 / 3`
/// operations. Elements above the diagonal of the input are not read, and the diagonal's imaginary part is
/// ignored. The triangle of a matrix that is not positive definite is NaN.
///
/// ```text
/// l_ij = (a_ij - sum over k < j of l_ik conj(l_jk)) / l_jj      l_ii = sqrt(a_ii - sum of |l_ik|^2)
/// ```
fn cholesky<T: Number>(context: &mut KernelContext<'_>) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let (stack, n) = square(&shape)?;
    context.produce::<T>(0, shape, |context, output| {
        // The upper triangle stays zero, and the memory is arbitrary before.
        output.fill(T::default());
        let (matrices, mut watch) = (context.slice::<T>(0)?, context.watch());
        for s in 0..work(stack, n) {
            watch.tick(1)?;
            let (matrix, out) = (&matrices[s * n * n..][..n * n], &mut output[s * n * n..][..n * n]);
            if !factor(&mut watch, matrix, n, out)? {
                (0..n).for_each(|i| out[i * n..][..=i].fill(T::of(f64::NAN)));
            }
        }
        Ok(())
    })
}

/// Writes the Cholesky factor of one matrix below and on the diagonal of `out`. Returns false for a pivot
/// that is 0 or less; NaN is not, and spreads.
fn factor<T: Number>(watch: &mut Watch<'_>, matrix: &[T], n: usize, out: &mut [T]) -> Result<bool> {
    for i in 0..n {
        for j in 0..=i {
            watch.tick(j)?;
            let first = matrix[i * n + j];
            let sum = (0..j).fold(first, |sum, k| sum - out[i * n + k] * out[j * n + k].conjugate());
            out[i * n + j] = match i == j {
                true if sum.real_part() <= 0.0 => return Ok(false),
                true => T::of(sum.real_part().sqrt()),
                false => sum / out[j * n + j],
            };
        }
    }
    Ok(true)
}
