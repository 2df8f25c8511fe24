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
use crate::kernel::{KernelContext, Watch};
use crate::registry::Registry;
use session_core::{Error, Result};
use tensor::{Shape, Tensor, memory};

pub(crate) fn register(registry: &mut Registry) {
    registry.add("Eig", |spec| {
        let vectors = spec.bool("compute_v")?;
        for_dtype!(field spec.input_dtype(0), T => {
            for_dtype!(complex spec.dtype("Tout")?, C => {
                Ok(boxed(move |context| eig::<T, C>(context, vectors)))
            })
        })
    });
}

/// Delivers values and vectors. `T` is the dtype of the matrices, `C` the complex dtype of the results.
fn eig<T: Field, C: Field>(context: &mut KernelContext<'_>, with_vectors: bool) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let (count, n) = square(&shape)?;
    let matrices = context.slice::<T>(0)?;
    let mut watch = context.watch();
    let mut values: Vec<C> = memory::reserve(count.saturating_mul(n))?;
    let mut vectors: Vec<C> = memory::reserve(if with_vectors { matrices.len() } else { 0 })?;
    for s in 0..count {
        let matrix = memory::collected(matrices[s * n * n..][..n * n].iter().map(|&x| x.widened()))?;
        let schur = Schur::of(&mut watch, &matrix, n)?.ok_or_else(|| {
            Error::invalid_argument("Eigen decomposition was not successful. The input might not be valid.")
        })?;
        // The diagonal in the order in which the sweeps left it.
        let value = |at: usize| schur.triangle[at * n + at];
        let mut order: Vec<usize> = (0..n).collect();
        // The sort is stable, so values of equal size stay in the order of the diagonal, and equal inputs
        // give equal bits.
        order.sort_by(|&a, &b| value(a).norm().total_cmp(&value(b).norm()));
        values.extend(order.iter().map(|&at| C::narrowed(value(at))));
        if with_vectors {
            let columns = memory::try_collected(order.iter().map(|&at| vector(&mut watch, &schur, at)))?;
            for row in 0..n {
                vectors.extend(columns.iter().map(|column| C::narrowed(column[row])));
            }
        }
    }
    let rows: Shape = shape[..shape.rank() - 1].iter().copied().collect();
    context.set(0, Tensor::from_vec(values, rows)?);
    let vectors =
        if with_vectors { Tensor::from_vec(vectors, shape)? } else { Tensor::from_vec(vectors, [0])? };
    context.set(1, vectors);
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
