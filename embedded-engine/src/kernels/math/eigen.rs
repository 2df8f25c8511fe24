//! Eigenvalues and eigenvectors of matrices that need not be symmetric.
//!
//! # Semantics
//!
//! `Eig` takes `[..., n, n]` of `float32`, `float64` or complex numbers and returns eigenvalues `[..., n]`
//! and eigenvectors `[..., n, n]`, both of the complex dtype `Tout`. Vectors have length one and are columns;
//! without `compute_v` (default true) the second output has shape `[0]`. Values rise in absolute value; the
//! order of those of the same absolute value and the phase of the vectors are not determined. TensorFlow
//! sorts the values of complex matrices only, and leaves those of real ones in the order in which its
//! algorithm finds them.
//!
//! A matrix that is not square is `InvalidArgument`, and so are numbers that are not finite. A stack without
//! matrices, and matrices of size 0, give empty outputs.
//!
//! # Algorithm
//!
//! Computed in double precision from a Schur decomposition `A = Q T Q'` (`schur.rs`): the values are the
//! diagonal of `T`, and each vector is the solution of a triangular system, turned by `Q`. The cost grows
//! with `n^3`. Matrices follow one after the other in one thread.
//!
//! ```text
//! [[0, -1], [1, 0]]  ->  values [-i, i] in some order, vectors [1, i] / sqrt(2) and [1, -i] / sqrt(2)
//! [[3, 0], [0, -1]]  ->  values [-1, 3], vectors [0, 1] and [1, 0]
//! ```

use super::elementwise::boxed;
use super::linear::{Number as Field, square};
use super::schur::{Number, ONE, Schur, ZERO};
use super::spectral::rising;
use crate::kernel::{KernelContext, Watch};
use crate::registry::Registry;
use session_core::{Error, Result};
use tensor::{Shape, Tensor, memory};

pub(crate) fn register(registry: &mut Registry) {
    registry.add("Eig", |spec| {
        let with_vectors = spec.bool("compute_v")?;
        let widened = for_dtype!(field spec.input_dtype(0), T => Ok(widened::<T> as Widened))?;
        let narrowed = for_dtype!(complex spec.dtype("Tout")?, C => Ok(narrowed::<C> as Narrowed))?;
        Ok(boxed(move |context| eig(context, with_vectors, widened, narrowed)))
    });
}

/// Returns the matrices of input 0 in double precision.
type Widened = fn(&KernelContext<'_>) -> Result<Vec<Number>>;

/// Returns a tensor of numbers in the precision of the output.
type Narrowed = fn(&[Number], Shape) -> Result<Tensor>;

fn widened<T: Field>(context: &KernelContext<'_>) -> Result<Vec<Number>> {
    Ok(memory::collected(context.slice::<T>(0)?.iter().map(|&x| x.widened()))?)
}

fn narrowed<C: Field>(numbers: &[Number], shape: Shape) -> Result<Tensor> {
    Ok(Tensor::from_vec(memory::collected(numbers.iter().map(|&z| C::narrowed(z)))?, shape)?)
}

/// Delivers values and vectors.
fn eig(
    context: &mut KernelContext<'_>,
    with_vectors: bool,
    widened: Widened,
    narrowed: Narrowed,
) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let (count, n) = square(&shape)?;
    let matrices = widened(context)?;
    let mut watch = context.watch();
    let mut values = memory::reserve(count.saturating_mul(n))?;
    let mut vectors = memory::reserve(if with_vectors { matrices.len() } else { 0 })?;
    for s in 0..count {
        let schur = Schur::of(&mut watch, &matrices[s * n * n..][..n * n], n)?.ok_or_else(|| {
            Error::invalid_argument("Eigen decomposition was not successful. The input might not be valid.")
        })?;
        // The diagonal in the order in which the sweeps left it.
        let value = |at: usize| schur.triangle[at * n + at];
        let norms: Vec<f64> = (0..n).map(|at| value(at).norm()).collect();
        // Values of equal size stay in the order of the diagonal, so equal inputs give equal bits.
        let order = rising(&norms);
        values.extend(order.iter().map(|&at| value(at)));
        if with_vectors {
            let columns = memory::try_collected(order.iter().map(|&at| vector(&mut watch, &schur, at)))?;
            for row in 0..n {
                vectors.extend(columns.iter().map(|column| column[row]));
            }
        }
    }
    let rows: Shape = shape[..shape.rank() - 1].iter().copied().collect();
    context.set(0, narrowed(&values, rows)?);
    context.set(1, narrowed(&vectors, if with_vectors { shape } else { Shape::from([0]) })?);
    Ok(())
}

/// Returns the eigenvector of the eigenvalue at this place of the diagonal, of length one. With `t` as that
/// diagonal element, it solves `(T - t) v = 0` with `v[place] = 1` and zeros below, from the bottom to the
/// top, and returns `Q v` scaled to length one.
fn vector(watch: &mut Watch<'_>, schur: &Schur, place: usize) -> Result<Vec<Number>> {
    let n = schur.size;
    watch.tick(n.saturating_mul(n))?;
    let at = |row: usize, column: usize| schur.triangle[row * n + column];
    let norm = schur.triangle.iter().map(|z| z.norm()).fold(0.0, f64::max);
    // A gap below the rounding errors of `T` carries no information; dividing by it would overflow.
    let smallest = (f64::EPSILON * norm).max(f64::MIN_POSITIVE);
    let mut in_triangle = memory::filled(ZERO, n)?;
    in_triangle[place] = ONE;
    for row in (0..place).rev() {
        let sum: Number = (row + 1..=place).map(|column| at(row, column) * in_triangle[column]).sum();
        let gap = at(place, place) - at(row, row);
        // Of two eigenvalues that are equal, the vectors are nearly equal.
        in_triangle[row] = sum / if gap.norm() < smallest { Number::from(smallest) } else { gap };
    }
    // From the coordinates of the Schur vectors to those of the matrix.
    let turned = |row: &[Number]| -> Number { row.iter().zip(&in_triangle).map(|(a, b)| a * b).sum() };
    let mut vector = memory::collected(schur.vectors.chunks_exact(n.max(1)).map(turned))?;
    let length = vector.iter().map(|z| z.norm_sqr()).sum::<f64>().sqrt();
    vector.iter_mut().for_each(|z| *z /= length);
    Ok(vector)
}
