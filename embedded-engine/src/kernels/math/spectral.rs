//! Eigenvalues of symmetric matrices, and singular values, by rotations of two columns at a time (Jacobi's
//! method), in double precision.
//!
//! # Semantics
//!
//! Eigenvalues are in ascending order, singular values in descending order. Only the lower triangle is read.
//! Eigenvectors are determined up to their sign, and those of equal eigenvalues up to a rotation, so
//! comparisons with TensorFlow use the reconstructed matrix. `SelfAdjointEig` returns values and vectors in
//! one tensor; V2 returns two.
//!
//! | op type | input | outputs |
//! | --- | --- | --- |
//! | `SelfAdjointEig` | `[..., n, n]` | `[..., n + 1, n]`: the values above the vectors |
//! | `SelfAdjointEigV2` | `[..., n, n]` | values `[..., n]`, vectors `[..., n, n]` as columns |
//! | `Svd` | `[..., m, n]`, `k = min(m, n)` | `s` `[..., k]`, `u` `[..., m, k]`, `v` `[..., n, k]` as columns |
//!
//! With `full_matrices` (default false) `u` is `[..., m, m]` and `v` is `[..., n, n]`. Without `compute_v` or
//! `compute_uv` (default true) the vectors have shape `[0]`. All take floats, V2 and `Svd` complex numbers,
//! too; the `Batch` forms are older names. All results of `Svd` are NaN for a matrix with numbers that are
//! not finite; TensorFlow returns zeros for complex ones. Eigenvalues of such a matrix are `InvalidArgument`,
//! where TensorFlow returns some if only the diagonal is not finite. Empty matrices give empty results,
//! except that `full_matrices` returns an identity for the side that is not empty.
//!
//! Jacobi's method converges quadratically: a few rounds over all pairs of columns, each on the order of
//! `n^3` operations. It was chosen for its accuracy, small singular values included, and its fixed order:
//! bits depend on the input only. One matrix follows the other in one thread.
//!
//! ```text
//! SelfAdjointEigV2  [[2, 1], [1, 2]]   -> values [1, 3], vectors [1, -1] and [1, 1], each over sqrt(2)
//! Svd               [[3, 0], [0, -2]]  -> s [3, 2], u and v with columns of length one, u s v' = the matrix
//! ```
//!
//! The same decompositions serve `MatrixSolveLs` (`least_squares.rs`) and complex matrices
//! (`spectral/hermitian.rs`).

mod hermitian;

use super::elementwise::boxed;
use super::linear::{last_two, work};
use crate::kernel::{Kernel, KernelContext, NodeSpec, Watch};
use crate::registry::Registry;
use compute::elementwise::CastTo;
use compute::math::Real;
use session_core::{Error, Result};
use tensor::{Element, Shape, Tensor, memory};

pub(crate) fn register(registry: &mut Registry) {
    registry.add_both(
        ["SelfAdjointEig", "BatchSelfAdjointEig"],
        |spec| for_dtype!(widened spec, spec.input_dtype(0), T => Ok(boxed(eigen_stacked::<T>))),
    );
    registry.add_both(["SelfAdjointEigV2", "BatchSelfAdjointEigV2"], |spec| {
        let vectors = spec.bool("compute_v")?;
        let dtype = spec.input_dtype(0);
        if dtype.is_complex() {
            return for_dtype!(complex dtype, T => Ok(boxed(move |context| hermitian::eigen::<T>(context, vectors))));
        }
        for_dtype!(widened spec, dtype, T => Ok(boxed(move |context| eigen::<T>(context, vectors))))
    });
    registry.add_both(["Svd", "BatchSvd"], make_svd);
}

/// Returns the kernel of `Svd`: for complex numbers by `hermitian.rs`, for 16-bit floats by way of `float32`.
/// `full_matrices` without `compute_uv` has no effect.
fn make_svd(spec: &NodeSpec<'_>) -> Result<Box<dyn Kernel>> {
    let (vectors, full) = (spec.bool("compute_uv")?, spec.bool("full_matrices")?);
    let dtype = spec.input_dtype(0);
    if dtype.is_complex() {
        return for_dtype!(complex dtype, T => Ok(boxed(move |context| hermitian::svd::<T>(context, vectors, full))));
    }
    for_dtype!(widened spec, dtype, T => Ok(boxed(move |context| svd::<T>(context, vectors, full))))
}

/// The most rounds over all pairs of columns; a few are enough.
const ROUNDS: usize = 60;

/// A matrix by columns. Rotations work on columns, which are contiguous here.
pub(super) struct Columns {
    /// The length of a column.
    rows: usize,
    /// The columns, one after the other.
    values: Vec<f64>,
}

impl Columns {
    /// Returns a matrix of zeros. Fails if memory is refused.
    fn zeros(rows: usize, columns: usize) -> Result<Columns> {
        Ok(Columns { rows, values: memory::filled(0.0, rows.saturating_mul(columns))? })
    }

    /// Returns the square matrix with ones on its diagonal.
    fn identity(size: usize) -> Result<Columns> {
        let mut identity = Columns::zeros(size, size)?;
        (0..size).for_each(|at| identity.values[at * size + at] = 1.0);
        Ok(identity)
    }

    /// Returns the number of columns.
    pub(super) fn len(&self) -> usize {
        self.values.len() / self.rows.max(1)
    }

    /// Returns the elements of a column.
    pub(super) fn column(&self, column: usize) -> &[f64] {
        &self.values[column * self.rows..][..self.rows]
    }

    /// Returns the elements of a column, to be changed.
    fn column_mut(&mut self, column: usize) -> &mut [f64] {
        &mut self.values[column * self.rows..][..self.rows]
    }

    /// Rotates two columns, the first before the second. `p < q`. With `c` and `s` they become `c p - s q`
    /// and `s p + c q`. `cosine` and `sine` are those of [`rotation`].
    fn rotate(&mut self, p: usize, q: usize, cosine: f64, sine: f64) {
        let (before, behind) = self.values.split_at_mut(q * self.rows);
        let first = &mut before[p * self.rows..][..self.rows];
        for (a, b) in first.iter_mut().zip(&mut behind[..self.rows]) {
            (*a, *b) = (cosine * *a - sine * *b, sine * *a + cosine * *b);
        }
    }
}

/// Returns cosine and sine of the rotation that makes the pair of a symmetric matrix `[[a, c], [c, b]]`
/// diagonal. `c` must not be 0. The smaller of the two possible angles is taken, at most 45 degrees, without
/// which the rounds may not converge.
///
/// ```text
/// tan 2 angle = 2 c / (b - a),   t = sign / (|s| + sqrt(s^2 + 1)) for s = (b - a) / (2 c)
/// ```
fn rotation(a: f64, b: f64, c: f64) -> (f64, f64) {
    let slope = (b - a) / (2.0 * c);
    let tangent = slope.signum() / (slope.abs() + slope.hypot(1.0));
    let cosine = 1.0 / tangent.hypot(1.0);
    (cosine, cosine * tangent)
}

/// Returns the sum of products of two columns of one length, in a single chain.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Returns the error for a matrix with NaN or infinities, on which the rotations would not end.
pub(super) fn not_finite() -> Error {
    Error::invalid_argument("a matrix with numbers that are not finite has no decomposition")
}

/// Returns the places of the values in ascending order. Equal values stay in the order of their places.
pub(super) fn rising(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    order
}

/// Returns the eigenvalues of a symmetric matrix, rising, with the vectors as columns. `lower(row, column)`
/// returns elements with `column <= row`; vector `i` of length one belongs to value `i`. Rotations for each
/// pair of rows and columns make the off-diagonal element zero, until all are within rounding of zero
/// compared with the norm. Fails for numbers that are not finite.
///
/// The lower triangle is mirrored into a full matrix first. A round is a rotation for each pair of columns
/// that is not orthogonal yet. A result after `ROUNDS` rounds is returned as it is.
fn decompose(
    watch: &mut Watch<'_>,
    lower: &dyn Fn(usize, usize) -> f64,
    size: usize,
) -> Result<(Vec<f64>, Columns)> {
    // A matrix without elements still costs a call.
    watch.tick(1)?;
    let mut matrix = Columns::zeros(size, size)?;
    for row in 0..size {
        for column in 0..=row {
            let value = lower(row, column);
            if !value.is_finite() {
                return Err(not_finite());
            }
            matrix.values[column * size + row] = value;
            matrix.values[row * size + column] = value;
        }
    }
    let mut vectors = Columns::identity(size)?;
    // The measure for what counts as zero; rotations do not change it.
    let norm = dot(&matrix.values, &matrix.values).sqrt();
    for _ in 0..ROUNDS {
        let mut rotated = false;
        for p in 0..size {
            watch.tick(size.saturating_mul(size))?;
            for q in p + 1..size {
                let c = matrix.values[q * size + p];
                // A hundredth of a rounding error, so that the sum over all elements stays below one.
                if c.abs() <= f64::EPSILON * 1e-2 * norm {
                    continue;
                }
                rotated = true;
                let (cosine, sine) = rotation(matrix.values[p * size + p], matrix.values[q * size + q], c);
                // From both sides: columns here, rows in the loop below.
                matrix.rotate(p, q, cosine, sine);
                for column in 0..size {
                    let (a, b) = (matrix.values[column * size + p], matrix.values[column * size + q]);
                    matrix.values[column * size + p] = cosine * a - sine * b;
                    matrix.values[column * size + q] = sine * a + cosine * b;
                }
                vectors.rotate(p, q, cosine, sine);
            }
        }
        if !rotated {
            break;
        }
    }
    let values: Vec<f64> = (0..size).map(|at| matrix.values[at * size + at]).collect();
    let order = rising(&values);
    let mut sorted = Columns::zeros(size, size)?;
    for (to, &from) in order.iter().enumerate() {
        sorted.column_mut(to).copy_from_slice(vectors.column(from));
    }
    Ok((order.iter().map(|&at| values[at]).collect(), sorted))
}

/// Returns the axes of the stack and the size of square matrices. Fails for other shapes.
fn square(shape: &Shape) -> Result<(Vec<usize>, usize)> {
    match shape.dims() {
        &[ref stack @ .., rows, columns] if rows == columns => Ok((stack.to_vec(), rows)),
        _ => Err(Error::invalid_argument(format!("Input matrices must be square, got shape {shape}"))),
    }
}

/// Delivers the stacks of values and vectors, each given with the axes after the stack. Without vectors
/// theirs are empty. Part `i` becomes output `i`. A part with one axis is a list of values and always
/// delivered; without vectors a part with two axes becomes a tensor of shape `[0]`, which is TensorFlow's
/// placeholder.
fn deliver<T: Element, const N: usize>(
    context: &mut KernelContext<'_>,
    stack: &[usize],
    with_vectors: bool,
    parts: [(Vec<T>, &[usize]); N],
) -> Result<()> {
    for (output, (values, axes)) in parts.into_iter().enumerate() {
        let shape: Shape = match with_vectors || axes.len() == 1 {
            true => stack.iter().chain(axes).copied().collect(),
            false => Shape::from([0]),
        };
        context.set(output, Tensor::from_vec(values, shape)?);
    }
    Ok(())
}

/// Decomposes each matrix of input 0. Calls `take` with the number of the matrix, its eigenvalues in
/// ascending order, and its vectors.
///
/// `count` is the number of matrices and `size` that of each; `take` is called in the order of the stack.
fn each<T: Element + Real + CastTo<f64>>(
    context: &KernelContext<'_>,
    count: usize,
    size: usize,
    take: &mut dyn FnMut(usize, &[f64], &Columns),
) -> Result<()> {
    let values = context.slice::<T>(0)?;
    let mut watch = context.watch();
    for at in 0..work(count, size) {
        let matrix = &values[at * size * size..][..size * size];
        let lower = |row: usize, column: usize| CastTo::cast(matrix[row * size + column]);
        let (eigenvalues, vectors) = decompose(&mut watch, &lower, size)?;
        take(at, &eigenvalues, &vectors);
    }
    Ok(())
}

/// Delivers the eigenvalues of each matrix and, if `vectors`, the vectors, as `SelfAdjointEigV2` does.
fn eigen<T: Element + Real + CastTo<f64>>(context: &mut KernelContext<'_>, vectors: bool) -> Result<()> {
    let (stack, size) = square(context.input(0).shape())?;
    let count = stack.iter().product::<usize>();
    let (mut values, mut columns) = (memory::filled(T::default(), count * size)?, Vec::new());
    if vectors {
        columns = memory::filled(T::default(), count * size * size)?;
    }
    each::<T>(context, count, size, &mut |at, eigenvalues, found| {
        let out = &mut values[at * size..][..size];
        out.iter_mut().zip(eigenvalues).for_each(|(to, &from)| *to = T::of(from));
        if vectors {
            transpose(found, size, &mut columns[at * size * size..][..size * size]);
        }
    })?;
    deliver(context, &stack, vectors, [(values, &[size]), (columns, &[size, size])])
}

/// Delivers the eigenvalues as a row above the vectors, as `SelfAdjointEig` does.
fn eigen_stacked<T: Element + Real + CastTo<f64>>(context: &mut KernelContext<'_>) -> Result<()> {
    let (stack, size) = square(context.input(0).shape())?;
    let count = stack.iter().product::<usize>();
    let mut rows = memory::filled(T::default(), count * (size + 1) * size)?;
    each::<T>(context, count, size, &mut |at, eigenvalues, found| {
        let out = &mut rows[at * (size + 1) * size..][..(size + 1) * size];
        let (first, rest) = out.split_at_mut(size);
        first.iter_mut().zip(eigenvalues).for_each(|(to, &from)| *to = T::of(from));
        transpose(found, size, rest);
    })?;
    let shape: Shape = stack.iter().copied().chain([size + 1, size]).collect();
    context.set(0, Tensor::from_vec(rows, shape)?);
    Ok(())
}

/// Writes the first columns of a matrix row by row. `out` has room for `columns` of them in each row.
fn transpose<T: Real>(matrix: &Columns, columns: usize, out: &mut [T]) {
    for (at, to) in out.iter_mut().enumerate() {
        *to = T::of(matrix.values[at % columns * matrix.rows + at / columns]);
    }
}

/// Delivers the singular values of each matrix and, if `vectors`, both sides' vectors, all of them if `full`.
///
/// A wide matrix is decomposed as its transpose, with both sides exchanged. Vectors belong to their value by
/// position; where a value is 0 in effect, its long vector is a completion.
fn svd<T: Element + Real + CastTo<f64>>(
    context: &mut KernelContext<'_>,
    vectors: bool,
    full: bool,
) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let (stack, [rows, columns]) = last_two(&shape)?;
    let (count, inner) = (stack.iter().product::<usize>(), rows.min(columns));
    let (left_width, right_width) = if full { (rows, columns) } else { (inner, inner) };
    let sized =
        |size: usize| memory::filled(T::default(), if vectors { count.saturating_mul(size) } else { 0 });
    let mut values = memory::filled(T::default(), count.saturating_mul(inner))?;
    let (mut left, mut right) =
        (sized(rows.saturating_mul(left_width))?, sized(columns.saturating_mul(right_width))?);
    let matrices = context.slice::<T>(0)?;
    let mut watch = context.watch();
    // Without elements in any result the number of matrices, which may be huge, does not matter.
    let width = if vectors && full { rows.max(columns) } else { inner };
    for at in 0..work(count, width) {
        let matrix = &matrices[at * rows * columns..][..rows * columns];
        // Columns must be at least as long as rows.
        let tall = rows >= columns;
        let value = |row: usize, column: usize| -> f64 {
            CastTo::cast(if tall { matrix[row * columns + column] } else { matrix[column * columns + row] })
        };
        let found = singular(&mut watch, &value, rows.max(columns), inner)?;
        let Some((singular, mut long, mut short)) = found else {
            let nan = T::of(f64::NAN);
            values[at * inner..][..inner].fill(nan);
            if vectors {
                left[at * rows * left_width..][..rows * left_width].fill(nan);
                right[at * columns * right_width..][..columns * right_width].fill(nan);
            }
            continue;
        };
        values[at * inner..][..inner].iter_mut().zip(&singular).for_each(|(to, &from)| *to = T::of(from));
        if vectors {
            let (of_left, of_right) = if tall { (&mut long, &mut short) } else { (&mut short, &mut long) };
            complete(of_left, left_width)?;
            complete(of_right, right_width)?;
            transpose(of_left, left_width, &mut left[at * rows * left_width..][..rows * left_width]);
            transpose(
                of_right,
                right_width,
                &mut right[at * columns * right_width..][..columns * right_width],
            );
        }
    }
    let parts: [(Vec<T>, &[usize]); 3] =
        [(values, &[inner]), (left, &[rows, left_width]), (right, &[columns, right_width])];
    deliver(context, stack, vectors, parts)
}

/// Returns the singular values of a matrix of no more columns than rows, falling, with the vectors of both
/// sides. `value(row, column)` returns the elements. The first result has all `columns` values; the second
/// has the vectors of length `rows` of the values that are not 0 in effect, so it may have fewer columns; the
/// third has all vectors of length `columns`. Returns `None` for numbers that are not finite.
///
/// One-sided Jacobi: columns are rotated in pairs until all are at right angles, as if the Gram matrix were
/// made diagonal without being computed, which would lose the small values. The lengths of the columns are
/// the singular values then.
///
/// Rank and completion are the caller's: `complete` adds vectors where all of a side are wanted.
pub(super) fn singular(
    watch: &mut Watch<'_>,
    value: &dyn Fn(usize, usize) -> f64,
    rows: usize,
    columns: usize,
) -> Result<Option<(Vec<f64>, Columns, Columns)>> {
    // A matrix without elements still costs a call.
    watch.tick(1)?;
    let mut matrix = Columns::zeros(rows, columns)?;
    for column in 0..columns {
        for row in 0..rows {
            matrix.values[column * rows + row] = value(row, column);
        }
    }
    if matrix.values.iter().any(|value| !value.is_finite()) {
        return Ok(None);
    }
    let mut other = Columns::identity(columns)?;
    for _ in 0..ROUNDS {
        let mut rotated = false;
        for p in 0..columns {
            for q in p + 1..columns {
                watch.tick(4 * rows)?;
                let (first, second) = (matrix.column(p), matrix.column(q));
                let (a, b, c) = (dot(first, first), dot(second, second), dot(first, second));
                if c.abs() <= f64::EPSILON * (a * b).sqrt() || c == 0.0 {
                    continue;
                }
                rotated = true;
                let (cosine, sine) = rotation(a, b, c);
                matrix.rotate(p, q, cosine, sine);
                other.rotate(p, q, cosine, sine);
            }
        }
        if !rotated {
            break;
        }
    }
    let norms: Vec<f64> = (0..columns).map(|at| dot(matrix.column(at), matrix.column(at)).sqrt()).collect();
    let negated: Vec<f64> = norms.iter().map(|norm| -norm).collect();
    let order = rising(&negated);
    // Values below the rounding errors of the largest one, by which the direction of a column is arbitrary.
    let least = norms.iter().copied().fold(0.0, f64::max) * f64::EPSILON * rows as f64;
    let (mut long, mut short) = (Columns::zeros(rows, 0)?, Columns::zeros(columns, 0)?);
    for &at in &order {
        short.values.extend_from_slice(other.column(at));
    }
    // Vectors of values that are 0 in effect are arbitrary; they are found when the basis is completed.
    for &at in order.iter().take_while(|&&at| norms[at] > least) {
        long.values.extend(matrix.column(at).iter().map(|value| value / norms[at]));
    }
    Ok(Some((order.iter().map(|&at| norms[at]).collect(), long, short)))
}

/// Adds columns at right angles to all before, until there are `columns`. Takes the unit vectors one by one,
/// minus their parts in the columns so far. One of them must leave more than `1 / sqrt(rows)`, so the bound
/// of half of that never rejects all.
fn complete(basis: &mut Columns, columns: usize) -> Result<()> {
    let rows = basis.rows;
    let missing = (columns * rows).saturating_sub(basis.values.len());
    memory::grow(&mut basis.values, missing)?;
    let mut axis = 0;
    while basis.values.len() < columns * rows && axis < rows {
        let mut candidate = memory::filled(0.0, rows)?;
        candidate[axis] = 1.0;
        axis += 1;
        // Twice, since the first time leaves rounding errors as large as the remainder.
        for _ in 0..2 {
            for column in basis.values.chunks_exact(rows) {
                let share = dot(column, &candidate);
                candidate.iter_mut().zip(column).for_each(|(to, from)| *to -= share * from);
            }
        }
        let norm = dot(&candidate, &candidate).sqrt();
        if norm > 0.5 / (rows as f64).sqrt() {
            basis.values.extend(candidate.iter().map(|value| value / norm));
        }
    }
    Ok(())
}
