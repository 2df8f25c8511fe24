//! Square roots and logarithms of matrices, which are those of the triangles of their Schur decompositions.
//!
//! # Semantics
//!
//! `MatrixSquareRoot` and `MatrixLogarithm` return principal values. Where there are none, as for the root of
//! a real matrix with a negative eigenvalue or the logarithm of a singular one, all elements of the result
//! are NaN. Computed in double precision.
//!
//! Both take stacks `[..., n, n]` and return the same shape and dtype: `MatrixSquareRoot` of `float32`,
//! `float64` and complex numbers, `MatrixLogarithm` of complex numbers only. Matrices that are not square are
//! `InvalidArgument`. Numbers that are not finite give NaN.
//!
//! With `A = Q T Q'` a function of `A` is `Q f(T) Q'`, and `f(T)` of an upper triangle is an upper triangle.
//! Each costs on the order of `n^3` operations (for the logarithm times the number of square roots), one
//! matrix after the other in one thread.
//!
//! ```text
//! MatrixSquareRoot  [[4, 0], [0, 9]]    -> [[2, 0], [0, 3]]
//! MatrixSquareRoot  [[-1, 0], [0, -1]]  -> NaN (of a complex dtype: i on the diagonal)
//! MatrixLogarithm   the identity        -> zeros
//! ```

use super::elementwise::boxed;
use super::linear::{Number as Field, square};
use super::schur::{Number, ONE, Schur, ZERO, product};
use crate::kernel::{KernelContext, Watch};
use crate::registry::Registry;
use session_core::Result;
use tensor::memory;

pub(crate) fn register(registry: &mut Registry) {
    registry.add(
        "MatrixSquareRoot",
        |spec| for_dtype!(field spec.input_dtype(0), T => Ok(boxed(|context| of_triangles::<T>(context, root)))),
    );
    registry.add(
        "MatrixLogarithm",
        |spec| for_dtype!(complex spec.input_dtype(0), T => Ok(boxed(|context| of_triangles::<T>(context, logarithm)))),
    );
}

/// A function of an upper triangle, by rows. It takes and returns `[n, n]`. Results that do not exist are
/// NaN; it fails only if the run is ended or memory is refused.
type OfTriangle = fn(&mut Watch<'_>, &[Number], usize) -> Result<Vec<Number>>;

/// Delivers the function of each matrix of input 0. A result of a real matrix is real, or the imaginary parts
/// would be larger than a share of `1e-6` of the largest element, and the result is NaN.
fn of_triangles<T: Field>(context: &mut KernelContext<'_>, function: OfTriangle) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let (count, n) = square(&shape)?;
    context.produce::<T>(0, shape, |context, output| {
        let (matrices, mut watch) = (context.slice::<T>(0)?, context.watch());
        for s in 0..count {
            let matrix = memory::collected(matrices[s * n * n..][..n * n].iter().map(|&x| x.widened()))?;
            let found = match Schur::of(&mut watch, &matrix, n)? {
                Some(schur) => {
                    let of_triangle = function(&mut watch, &schur.triangle, n)?;
                    schur.back(&mut watch, &of_triangle)?
                }
                None => memory::filled(Number::new(f64::NAN, f64::NAN), n * n)?,
            };
            let output = &mut output[s * n * n..][..n * n];
            let size = found.iter().map(|z| z.norm()).fold(0.0, f64::max);
            // What a real matrix has there is rounding, or there is no real result.
            let is_real = found.iter().all(|z| z.im.abs() <= 1e-6 * size);
            let fits = T::IS_COMPLEX || is_real;
            for (to, from) in output.iter_mut().zip(found) {
                *to = if fits { T::narrowed(from) } else { T::of(f64::NAN) };
            }
        }
        Ok(())
    })
}

/// Returns the square root of an upper triangle by columns: the diagonal holds the roots of the diagonal, and
/// every other element `(i, j)` solves `r_ii r_ij + r_ij r_jj + sum of r_ik r_kj between = t_ij`.
///
/// Fails only if the run is ended. Two zeros on the diagonal with a nonzero element between them have no
/// root; the quotient is not finite.
fn root(watch: &mut Watch<'_>, triangle: &[Number], n: usize) -> Result<Vec<Number>> {
    let mut root = memory::filled(ZERO, n.saturating_mul(n))?;
    for column in 0..n {
        watch.tick(n.saturating_mul(n))?;
        root[column * n + column] = triangle[column * n + column].sqrt();
        for row in (0..column).rev() {
            let between: Number = (row + 1..column).map(|k| root[row * n + k] * root[k * n + column]).sum();
            let rest = triangle[row * n + column] - between;
            // Also where both are zero, as in the root of a matrix of zeros.
            if rest != ZERO {
                root[row * n + column] = rest / (root[row * n + row] + root[column * n + column]);
            }
        }
    }
    Ok(root)
}

/// The points and weights of Gauss and Legendre between 0 and 1. Eight of them integrate the logarithm of a
/// triangle within 0.25 of the identity to the last digit: the error falls with the 16th power of that
/// distance.
const POINTS: [(f64, f64); 8] = [
    (0.019_855_071_751_231_884, 0.050_614_268_145_188_13),
    (0.101_666_761_293_186_64, 0.111_190_517_226_687_24),
    (0.237_233_795_041_835_5, 0.156_853_322_938_943_65),
    (0.408_282_678_752_175_1, 0.181_341_891_689_180_99),
    (0.591_717_321_247_824_9, 0.181_341_891_689_180_99),
    (0.762_766_204_958_164_5, 0.156_853_322_938_943_65),
    (0.898_333_238_706_813_4, 0.111_190_517_226_687_24),
    (0.980_144_928_248_768_1, 0.050_614_268_145_188_13),
];

/// The most square roots. A matrix that is not near one by then has the eigenvalue 0. Each root halves the
/// exponent of an eigenvalue, so 100 cover the range of double precision many times.
const ROOTS: u32 = 100;

/// Returns the logarithm of an upper triangle by inverse scaling and squaring. Square roots, each of which
/// halves the logarithm, bring the triangle near the identity; there the logarithm of `1 + X` is the integral
/// of `X (1 + t X)^-1` for `t` from 0 to 1, a sum over `POINTS`; the sum is doubled as often as roots were
/// taken. A singular matrix never comes near and gives NaN.
fn logarithm(watch: &mut Watch<'_>, triangle: &[Number], n: usize) -> Result<Vec<Number>> {
    let mut rest = memory::reserve(triangle.len())?;
    rest.extend_from_slice(triangle);
    let mut halvings = 0;
    loop {
        let less_one = |at: usize| if at.is_multiple_of(n + 1) { rest[at] - ONE } else { rest[at] };
        let distance = (0..rest.len()).map(|at| less_one(at).norm_sqr()).sum::<f64>().sqrt();
        if distance <= 0.25 {
            break;
        }
        if halvings == ROOTS || distance.is_nan() {
            return Ok(memory::filled(Number::new(f64::NAN, f64::NAN), triangle.len())?);
        }
        rest = root(watch, &rest, n)?;
        halvings += 1;
    }
    (0..n).for_each(|at| rest[at * n + at] -= ONE);
    let mut sum = memory::filled(ZERO, rest.len())?;
    for (point, weight) in POINTS {
        let factor = inverse(watch, &rest, n, point)?;
        let part = product(watch, n, |i, k| rest[i * n + k], |k, j| factor[k * n + j])?;
        sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part * weight);
    }
    // The logarithm of a square root is half the logarithm.
    sum.iter_mut().for_each(|z| *z *= f64::from(halvings).exp2());
    // The diagonal is known as well as can be.
    (0..n).for_each(|at| sum[at * n + at] = triangle[at * n + at].ln());
    Ok(sum)
}

/// Returns the inverse of `1 + t X` for an upper triangle. By back substitution, column by column. `X` is
/// small, so the diagonal of `1 + t X` has no zero.
///
/// `x` is `[n, n]` by rows, `t` a point of the quadrature. Only the upper triangle is read and written.
fn inverse(watch: &mut Watch<'_>, x: &[Number], n: usize, t: f64) -> Result<Vec<Number>> {
    let mut found = memory::filled(ZERO, x.len())?;
    for column in 0..n {
        watch.tick(n.saturating_mul(n))?;
        for row in (0..=column).rev() {
            let known: Number = (row + 1..=column).map(|k| x[row * n + k] * t * found[k * n + column]).sum();
            let side = if row == column { ONE } else { ZERO };
            found[row * n + column] = (side - known) / (ONE + x[row * n + row] * t);
        }
    }
    Ok(found)
}
