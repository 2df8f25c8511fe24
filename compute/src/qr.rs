//! The QR factorization of matrices, by Householder reflections.
//!
//! # Method
//!
//! For each column, a reflection maps the part below the diagonal to 0. It is applied to the remaining columns, which
//! threads share. The vectors of the reflections are kept below the diagonal, as LAPACK does, so no further memory is
//! needed. `q` is the product of the reflections, which are applied to the identity matrix from the last to the
//! first: each then changes only a part of the matrix.
//!
//! The cost is about `2 * rows * columns^2` operations for a tall matrix. Blocks of reflections, which LAPACK applies
//! by products of matrices, are not used: the matrices of models are small.

use crate::elementwise::work::{split_outputs, units_per_part};
use crate::math::Real;
use crate::{OutOfMemory, Pool, Scratch, matmul};

/// Factorizes a matrix of `rows` by `columns` into an orthogonal `q` and an upper triangular `r`, whose product it
/// is. All are row by row.
///
/// With `inner = min(rows, columns)`, `q` is `rows` by `inner` and `r` is `inner` by `columns`; where `q` has
/// `rows * rows` elements, both have the full size, `rows` by `rows` and `rows` by `columns`. The signs of the
/// diagonal of `r` are LAPACK's: opposite to those of the entries that the reflections were made for.
///
/// ```
/// use compute::{Pool, Scratch, qr::qr};
/// let (mut q, mut r) = ([0f64; 4], [0f64; 4]);
/// qr(&Pool::single(), &mut Scratch::new(), 2, 2, &[3.0, 1.0, 4.0, 2.0], &mut q, &mut r)?;
/// assert!((r[0] + 5.0).abs() < 1e-12 && r[2] == 0.0);
/// assert!((q[0] * r[0] - 3.0).abs() < 1e-12);
/// # Ok::<(), compute::OutOfMemory>(())
/// ```
///
/// # Errors
/// [`OutOfMemory`] when `scratch` is refused what it has to grow by.
///
/// # Panics
/// When the length of a slice differs from its size.
pub fn qr<T: Real + matmul::Real>(
    pool: &Pool,
    scratch: &mut Scratch,
    rows: usize,
    columns: usize,
    matrix: &[T],
    q: &mut [T],
    r: &mut [T],
) -> Result<(), OutOfMemory> {
    assert_eq!(matrix.len(), rows * columns, "a matrix of {rows} by {columns}");
    let inner = rows.min(columns);
    let width = if q.len() == rows * rows { rows } else { inner };
    assert_eq!(q.len(), rows * width, "an orthogonal matrix of {rows} rows");
    assert_eq!(r.len(), width * columns, "a triangular matrix of {columns} columns");
    // Without rows or columns there are no reflections, and their product is the identity.
    if matrix.is_empty() {
        for (i, row) in q.chunks_exact_mut(width.max(1)).enumerate() {
            (0..width).for_each(|j| row[j] = T::of(if i == j { 1.0 } else { 0.0 }));
        }
        return Ok(());
    }
    let [values, orthogonal, factors] = scratch.memory.parts::<T, 3>([matrix.len(), rows * width, inner])?;
    // Columns lie in memory one after the other: reflections work on columns.
    transpose(matrix, columns, values);
    for k in 0..inner {
        let (done, rest) = values.split_at_mut((k + 1) * rows);
        let column = &mut done[k * rows + k..];
        let factor = reflection(column);
        factors[k] = factor;
        reflect(pool, rows, k, &column[1..], factor, rest);
    }
    for (i, row) in r.chunks_exact_mut(columns).enumerate() {
        for (j, element) in row.iter_mut().enumerate() {
            *element = if i <= j { values[j * rows + i] } else { T::default() };
        }
    }
    orthogonal.fill(T::default());
    (0..width).for_each(|j| orthogonal[j * rows + j] = T::of(1.0));
    for k in (0..inner).rev() {
        // Columns before this one have zeros where the reflection changes something.
        let tail = &values[k * rows + k + 1..(k + 1) * rows];
        reflect(pool, rows, k, tail, factors[k], &mut orthogonal[k * rows..]);
    }
    transpose(orthogonal, rows, q);
    Ok(())
}

/// Writes the columns of a matrix with rows of `width` as rows.
///
/// `to` has as many elements as the matrix.
fn transpose<T: Real>(matrix: &[T], width: usize, to: &mut [T]) {
    for (j, row) in to.chunks_exact_mut(matrix.len() / width).enumerate() {
        row.iter_mut().zip(matrix.iter().skip(j).step_by(width)).for_each(|(to, &from)| *to = from);
    }
}

/// Turns a vector into the reflection that makes all but its first element zero: that element becomes the result, the
/// others the reflection's vector after its leading 1. Returns the factor of the reflection, 0 for none.
///
/// For `[3, 4]` the length is 5: the vector becomes `[-5, 0.5]`, and the factor is 1.6. Applied to `[3, 4]`,
/// it gives `3 - 1.6 * (3 + 0.5 * 4) = -5` and `4 - 0.5 * 8 = 0`.
fn reflection<T: Real>(vector: &mut [T]) -> T {
    let Some((first, tail)) = vector.split_first_mut() else { return T::default() };
    let squares = dot(tail, tail);
    // Zeros already. LAPACK does not reflect either, so the diagonal keeps its sign.
    if squares == T::default() {
        return T::default();
    }
    let length = (*first * *first + squares).sqrt();
    // The sign opposite to that of the first element: the divisor is then a sum of magnitudes, in which
    // nothing cancels.
    let result = if *first >= T::default() { -length } else { length };
    let divisor = *first - result;
    tail.iter_mut().for_each(|x| *x = *x / divisor);
    let factor = (result - *first) / result;
    *first = result;
    factor
}

/// Applies a reflection of the elements from `k` on to columns of `rows` elements.
///
/// The reflection maps a vector `x` to `x - factor * v * (v . x)`, where `v` is 0 before `k`, 1 at `k`, and
/// `tail` behind it. Columns are divided among the threads; each is computed as a whole, so the bits do not
/// depend on their number.
fn reflect<T: Real>(pool: &Pool, rows: usize, k: usize, tail: &[T], factor: T, columns: &mut [T]) {
    let count = columns.len() / rows;
    if factor == T::default() {
        return;
    }
    split_outputs(pool, count, 1, units_per_part(600 * rows), [(columns, rows)], |_, [columns]| {
        for column in columns.chunks_exact_mut(rows) {
            let (first, rest) = column[k..].split_first_mut().expect("the reflection has a first element");
            let share = (*first + dot(tail, rest)) * factor;
            *first = *first - share;
            rest.iter_mut().zip(tail).for_each(|(x, &v)| *x = *x - v * share);
        }
    });
}

/// Returns the sum of products, in several sums that the processor adds up at once.
/// The order of the additions depends on the length alone.
fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    const LANES: usize = 16;
    let mut sums = [T::default(); LANES];
    let (a_lanes, b_lanes) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = a_lanes.remainder().iter().zip(b_lanes.remainder());
    let rest = rest.fold(T::default(), |sum, (&x, &y)| sum + x * y);
    for (a, b) in a_lanes.zip(b_lanes) {
        for i in 0..LANES {
            sums[i] = sums[i] + a[i] * b[i];
        }
    }
    sums.into_iter().fold(rest, |sum, x| sum + x)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(a: &[f64], b: &[f64], inner: usize, columns: usize) -> Vec<f64> {
        let rows = a.len() / inner;
        let element = |i: usize, j: usize| (0..inner).map(|k| a[i * inner + k] * b[k * columns + j]).sum();
        (0..rows * columns).map(|at| element(at / columns, at % columns)).collect()
    }

    fn check(rows: usize, columns: usize, full: bool) {
        let matrix: Vec<f64> =
            (0..rows * columns).map(|i| ((i * 7919 + 13) % 101) as f64 / 10.0 - 5.0).collect();
        let width = if full { rows } else { rows.min(columns) };
        let (mut q, mut r) = (vec![9.0; rows * width], vec![9.0; width * columns]);
        let scratch = &mut Scratch::new();
        qr(&Pool::new(2).unwrap(), scratch, rows, columns, &matrix, &mut q, &mut r).unwrap();
        let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-10);
        assert!(near(&product(&q, &r, width, columns), &matrix), "{rows} by {columns}, full: {full}");
        let mut turned = vec![0.0; q.len()];
        transpose(&q, width, &mut turned);
        let gram = product(&turned, &q, rows, width);
        let one: Vec<f64> =
            (0..width * width).map(|i| if i / width == i % width { 1.0 } else { 0.0 }).collect();
        assert!(near(&gram, &one), "the columns of {rows} by {columns} are not orthogonal");
        let below = (0..width).flat_map(|i| (0..columns.min(i)).map(move |j| i * columns + j));
        assert!(below.into_iter().all(|at| r[at] == 0.0));
    }

    #[test]
    fn factors_are_orthogonal_and_triangular_and_multiply_to_the_matrix() {
        for (rows, columns) in [(1, 1), (3, 3), (5, 3), (3, 5), (40, 23), (23, 40), (1, 4), (4, 1)] {
            check(rows, columns, false);
            check(rows, columns, true);
        }
    }

    #[test]
    fn zeros_and_empty_matrices_have_factors() {
        let (mut q, mut r) = ([9f32; 4], [9f32; 4]);
        let (pool, scratch) = (Pool::single(), &mut Scratch::new());
        qr(&pool, scratch, 2, 2, &[0.0; 4], &mut q, &mut r).unwrap();
        assert_eq!((q, r), ([1.0, 0.0, 0.0, 1.0], [0.0; 4]));
        let mut q = [9f32; 4];
        qr(&pool, scratch, 2, 0, &[], &mut q, &mut []).unwrap();
        assert_eq!(q, [1.0, 0.0, 0.0, 1.0]);
        qr::<f32>(&pool, scratch, 0, 2, &[], &mut [], &mut []).unwrap();
    }

    #[test]
    fn working_memory_that_is_refused_is_an_error() {
        let scratch = &mut Scratch::asking(|_| false);
        assert!(qr(&Pool::single(), scratch, 2, 1, &[1f64, 2.0], &mut [0.0; 2], &mut [0.0]).is_err());
    }
}
