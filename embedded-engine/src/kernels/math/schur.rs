//! Complex Schur decompositions: a matrix is `Q T Q'`, where the columns of `Q` are orthonormal and `T` is an
//! upper triangle with the eigenvalues on its diagonal. `Eig`, `MatrixSquareRoot` and `MatrixLogarithm` are
//! based on it.
//!
//! Rotations of two rows and columns at a time bring the matrix to Hessenberg form and then, in sweeps with
//! shifts (the QR algorithm), to a triangle. All arithmetic is in double precision and in one thread, in an
//! order that depends on the matrix only. The cost grows with `n^3`: a few sweeps for each eigenvalue, each
//! of `n` rotations of rows of length `n`.

use crate::kernel::Watch;
use session_core::Result;
use tensor::{Complex, memory};

/// The arithmetic of the decomposition, for real matrices, too: their eigenvalues may be complex.
pub(super) type Number = Complex<f64>;

/// The number 0.
pub(super) const ZERO: Number = Complex { re: 0.0, im: 0.0 };
/// The number 1.
pub(super) const ONE: Number = Complex { re: 1.0, im: 0.0 };

/// The most sweeps for one eigenvalue; a few are enough.
const SWEEPS: usize = 60;

/// A decomposition. During the construction `Q T Q'` is the matrix at all times, while `T` becomes a
/// triangle.
pub(super) struct Schur {
    /// The number of rows and columns.
    pub(super) size: usize,
    /// The matrix `T` by rows, with exact zeros below its diagonal.
    pub(super) triangle: Vec<Number>,
    /// The matrix `Q` by rows; its columns are the Schur vectors.
    pub(super) vectors: Vec<Number>,
}

/// A rotation of two rows, `[[cosine, sine], [-sine', cosine]]`, where `'` conjugates and
/// `cosine^2 + |sine|^2 = 1`.
struct Rotation {
    /// Real and not negative: the phase is in the sine.
    cosine: f64,
    /// Complex, with the phase that turns the second number against the first.
    sine: Number,
}

/// Rotations are applied in pairs, to rows and, inverted, to columns.
impl Rotation {
    /// Returns the rotation that makes the second of two numbers zero. It keeps the phase of the first one.
    /// For two zeros it is the identity.
    fn of(first: Number, second: Number) -> Rotation {
        let (a, b) = (first.norm(), second.norm());
        if b == 0.0 {
            return Rotation { cosine: 1.0, sine: ZERO };
        }
        if a == 0.0 {
            return Rotation { cosine: 0.0, sine: second.conj() / b };
        }
        let length = a.hypot(b);
        Rotation { cosine: a / length, sine: first / a * second.conj() / length }
    }

    /// Rotates rows `row` and `row + 1`, from a column on. Elements left of `from` are zero in both rows, or
    /// are not to be changed. `matrix` is square with `size` columns, by rows; `row + 1` is a row of it.
    fn rows(&self, matrix: &mut [Number], size: usize, row: usize, from: usize) {
        let (upper, lower) = matrix[row * size..].split_at_mut(size);
        for (x, y) in upper[from..].iter_mut().zip(&mut lower[from..size]) {
            (*x, *y) = (*x * self.cosine + self.sine * *y, *y * self.cosine - self.sine.conj() * *x);
        }
    }

    /// Rotates columns `column` and `column + 1` back, in the first rows. Rows from `rows` on are zero in
    /// both columns and left alone. `matrix` is square with `size` columns, by rows; `column + 1` is a column
    /// of it.
    fn columns(&self, matrix: &mut [Number], size: usize, column: usize, rows: usize) {
        for row in matrix.chunks_exact_mut(size).take(rows) {
            let (x, y) = (row[column], row[column + 1]);
            row[column] = x * self.cosine + self.sine.conj() * y;
            row[column + 1] = y * self.cosine - self.sine * x;
        }
    }
}

impl Schur {
    /// Decomposes a matrix of `size * size` numbers by rows. Returns `None` if one of them is not finite, or
    /// in the exceptional case that the sweeps do not converge. Fails if the run is ended or memory is
    /// refused.
    pub(super) fn of(watch: &mut Watch<'_>, matrix: &[Number], size: usize) -> Result<Option<Schur>> {
        // A matrix without elements is work, too.
        watch.tick(1)?;
        if !matrix.iter().all(|z| z.is_finite()) {
            return Ok(None);
        }
        let mut vectors = memory::filled(ZERO, matrix.len())?;
        (0..size).for_each(|at| vectors[at * size + at] = ONE);
        let mut triangle = memory::reserve(matrix.len())?;
        triangle.extend_from_slice(matrix);
        let mut schur = Schur { size, triangle, vectors };
        schur.make_hessenberg(watch)?;
        Ok(schur.make_triangle(watch)?.then_some(schur))
    }

    /// Returns an element of the matrix that becomes the triangle.
    fn at(&self, row: usize, column: usize) -> Number {
        self.triangle[row * self.size + column]
    }

    /// Rotates rows and columns `place` and `place + 1`. The rotation acts on rows from column `from` on, and
    /// its inverse on columns within the first `rows` rows, so that the product `Q T Q'` stays the same.
    fn rotate(&mut self, rotation: &Rotation, place: usize, from: usize, rows: usize) {
        rotation.rows(&mut self.triangle, self.size, place, from);
        rotation.columns(&mut self.triangle, self.size, place, rows);
        rotation.columns(&mut self.vectors, self.size, place, self.size);
    }

    /// Makes all elements below the first subdiagonal zero, column by column, from the bottom up.
    fn make_hessenberg(&mut self, watch: &mut Watch<'_>) -> Result<()> {
        let size = self.size;
        for column in 0..size.saturating_sub(2) {
            for row in (column + 2..size).rev() {
                watch.tick(size)?;
                let rotation = Rotation::of(self.at(row - 1, column), self.at(row, column));
                self.rotate(&rotation, row - 1, column, size);
                // The rotation leaves rounding there, which would count as a nonzero element later.
                self.triangle[row * size + column] = ZERO;
            }
        }
        Ok(())
    }

    /// Makes the subdiagonal zero, one eigenvalue after the other from the bottom. Returns false if an
    /// eigenvalue takes more than `SWEEPS`.
    fn make_triangle(&mut self, watch: &mut Watch<'_>) -> Result<bool> {
        let norm = self.triangle.iter().map(|z| z.norm_sqr()).sum::<f64>().sqrt();
        let mut last = self.size.saturating_sub(1);
        let mut sweeps = 0;
        while last > 0 {
            let first = self.start_of_block(last, norm);
            if first == last {
                last -= 1;
                sweeps = 0;
                continue;
            }
            if sweeps == SWEEPS {
                return Ok(false);
            }
            sweeps += 1;
            watch.tick((last - first).saturating_mul(self.size))?;
            let shift = self.shift(last, sweeps);
            self.sweep(first, last, shift);
        }
        Ok(true)
    }

    /// Returns the first row of the block that ends with this one and has no zero below its diagonal.
    /// Elements of the subdiagonal that are within rounding of zero, compared with their neighbors on the
    /// diagonal, are set to zero on the way. `norm` is that of the whole matrix and is used where both
    /// neighbors are zero.
    fn start_of_block(&mut self, last: usize, norm: f64) -> usize {
        let mut first = last;
        while first > 0 {
            let around = self.at(first - 1, first - 1).norm() + self.at(first, first).norm();
            let small = f64::EPSILON * if around == 0.0 { norm } else { around };
            if self.at(first, first - 1).norm() <= small {
                self.triangle[first * self.size + first - 1] = ZERO;
                break;
            }
            first -= 1;
        }
        first
    }

    /// Returns the eigenvalue of the last two rows that is nearer to the last element, or now and then
    /// another number, as there are matrices that sweeps with that one do not change. The former is
    /// Wilkinson's shift, with which the last subdiagonal element converges quadratically or faster.
    fn shift(&self, last: usize, sweeps: usize) -> Number {
        let (a, b) = (self.at(last - 1, last - 1), self.at(last - 1, last));
        let (c, d) = (self.at(last, last - 1), self.at(last, last));
        if sweeps.is_multiple_of(10) {
            return d + c.norm();
        }
        // The eigenvalues of the block are `d` plus both roots of a quadratic; the smaller addition is the
        // nearer value.
        let half = (a - d) / 2.0;
        let root = (half * half + b * c).sqrt();
        let (one, other) = (half + root, half - root);
        d + if one.norm() < other.norm() { one } else { other }
    }

    /// Runs one implicit QR step over the block of rows `first..=last`: the first rotation is that of the
    /// shifted matrix, and the others chase the element that it creates below the subdiagonal down and out of
    /// the block.
    fn sweep(&mut self, first: usize, last: usize, shift: Number) {
        let (mut x, mut y) = (self.at(first, first) - shift, self.at(first + 1, first));
        for place in first..last {
            let rotation = Rotation::of(x, y);
            // The element that is chased is left of the diagonal, except in the first rotation.
            let from = if place > first { place - 1 } else { first };
            self.rotate(&rotation, place, from, (place + 3).min(last + 1));
            if place > first {
                self.triangle[(place + 1) * self.size + place - 1] = ZERO;
            }
            if place + 2 <= last {
                (x, y) = (self.at(place + 1, place), self.at(place + 2, place));
            }
        }
    }

    /// Returns `Q M Q'` for another matrix by rows. `matrix` is a function of the triangle, so the result is
    /// that function of the decomposed matrix.
    pub(super) fn back(&self, watch: &mut Watch<'_>, matrix: &[Number]) -> Result<Vec<Number>> {
        let n = self.size;
        let left = product(watch, n, |i, k| self.vectors[i * n + k], |k, j| matrix[k * n + j])?;
        product(watch, n, |i, k| left[i * n + k], |k, j| self.vectors[j * n + k].conj())
    }
}

/// Returns the product of two square matrices that are given by element. `a(i, k)` and `b(k, j)` return
/// elements, so that adjoints need no copy. Sums run over `k` in ascending order.
pub(super) fn product(
    watch: &mut Watch<'_>,
    size: usize,
    a: impl Fn(usize, usize) -> Number,
    b: impl Fn(usize, usize) -> Number,
) -> Result<Vec<Number>> {
    let mut found = memory::filled(ZERO, size.saturating_mul(size))?;
    for (i, row) in found.chunks_exact_mut(size.max(1)).enumerate() {
        watch.tick(size.saturating_mul(size))?;
        for k in 0..size {
            let factor = a(i, k);
            row.iter_mut().enumerate().for_each(|(j, sum)| *sum += factor * b(k, j));
        }
    }
    Ok(found)
}
