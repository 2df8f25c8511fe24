//! Eigenvalues and singular values of complex matrices: those of real matrices of twice the size, in which
//! each stands twice.
//!
//! A complex matrix `A + iB` acts on real and imaginary parts like `[[A, -B], [B, A]]`. Each of its
//! eigenvalues and singular values is one of the complex matrix, twice, and its vectors are the real and
//! imaginary parts of complex ones. That costs more operations than complex rotations and needs no second
//! implementation of the method.
//!
//! ```text
//! [[2, i], [-i, 2]]  becomes  [2  0  0 -1]      with the eigenvalues 1, 1, 3, 3 instead of 1, 3
//!                             [0  2  1  0]
//!                             [0  1  2  0]
//!                             [-1 0  0  2]
//! ```

use super::super::linear::last_two;
use super::{decompose, deliver, singular, square};
use crate::kernel::KernelContext;
use compute::elementwise::CastTo;
use session_core::Result;
use tensor::{Complex, Element, memory};

/// The arithmetic of the vectors, whatever the dtype.
type Number = Complex<f64>;

/// Orthonormal complex vectors, each a column. Column `i` is `values[i * rows..][..rows]`.
///
/// At most `rows` vectors fit; [`add`](Basis::add) leaves out what depends on the others.
struct Basis {
    /// The length of each vector.
    rows: usize,
    /// The vectors, one after the other.
    values: Vec<Number>,
}

impl Basis {
    /// Returns a basis without vectors.
    fn new(rows: usize) -> Basis {
        Basis { rows, values: Vec::new() }
    }

    /// Returns the number of vectors; 0 if they have no elements.
    fn len(&self) -> usize {
        self.values.len().checked_div(self.rows).unwrap_or(0)
    }

    /// Adds the part of a vector at right angles to all there are, unless hardly anything is left of it. What
    /// is left is scaled to length one. A vector whose remainder is below a thousandth of its length counts
    /// as dependent.
    fn add(&mut self, mut vector: Vec<Number>) -> Result<()> {
        let length = |vector: &[Number]| vector.iter().map(|z| z.norm_sqr()).sum::<f64>().sqrt();
        let before = length(&vector);
        // Twice, since the first time leaves rounding errors as large as the remainder.
        for _ in 0..2 {
            for known in self.values.chunks_exact(self.rows.max(1)) {
                let share: Number = known.iter().zip(&vector).map(|(a, b)| a.conj() * b).sum();
                vector.iter_mut().zip(known).for_each(|(to, from)| *to -= share * from);
            }
        }
        let left = length(&vector);
        if left > 1e-3 * before {
            memory::grow(&mut self.values, self.rows)?;
            self.values.extend(vector.iter().map(|z| z / left));
        }
        Ok(())
    }

    /// Adds unit vectors until there are as many as `columns`. A unit vector that is nearly dependent on the
    /// others is skipped; of `rows` of them enough remain.
    fn complete(&mut self, columns: usize) -> Result<()> {
        for axis in 0..self.rows {
            if self.len() >= columns {
                break;
            }
            let mut unit = memory::filled(Number::new(0.0, 0.0), self.rows)?;
            unit[axis] = Number::new(1.0, 0.0);
            self.add(unit)?;
        }
        Ok(())
    }

    /// Writes the first columns row by row. `out` is `[rows, columns]`.
    fn write<C>(&self, columns: usize, out: &mut [C])
    where
        Number: CastTo<C>,
    {
        for (at, to) in out.iter_mut().enumerate() {
            *to = self.values[at % columns * self.rows + at / columns].cast();
        }
    }
}

/// Returns an element of the real matrix `[[A, -B], [B, A]]` of a complex matrix `A + iB` of
/// `[rows, columns]`, which acts on real and imaginary parts as the complex one does.
///
/// `[rows, columns]` are the sizes of the complex matrix; `row` and `column` go up to twice as far.
fn doubled(
    row: usize,
    column: usize,
    [rows, columns]: [usize; 2],
    value: &dyn Fn(usize, usize) -> Number,
) -> f64 {
    match (row < rows, column < columns) {
        (true, true) => value(row, column).re,
        (true, false) => -value(row, column - columns).im,
        (false, true) => value(row - rows, column).im,
        (false, false) => value(row - rows, column - columns).re,
    }
}

/// Returns the complex vectors whose real and imaginary parts are columns, as many as there are different
/// ones. `columns` are vectors of `2 size` real numbers. Those of one eigenvalue come in pairs, `v` and
/// `i v`, of which the second depends on the first and is not added. The basis is completed if rounding left
/// too few.
fn vectors<'c>(columns: impl Iterator<Item = &'c [f64]>, size: usize) -> Result<Basis> {
    let mut basis = Basis::new(size);
    for column in columns {
        if basis.len() == size {
            break;
        }
        let (real, imaginary) = column.split_at(size);
        let pairs = real.iter().zip(imaginary);
        basis.add(memory::collected(pairs.map(|(&re, &im)| Number::new(re, im)))?)?;
    }
    basis.complete(size)?;
    Ok(basis)
}

/// Computes the eigenvalues, in ascending order, and the eigenvectors of Hermitian matrices, of which only
/// the lower triangles are read.
///
/// Every second of the real eigenvalues is one of the complex matrix. The imaginary parts of the diagonal are
/// ignored.
pub(super) fn eigen<C: Element + CastTo<Number>>(
    context: &mut KernelContext<'_>,
    with_vectors: bool,
) -> Result<()>
where
    Number: CastTo<C>,
{
    let (stack, size) = square(context.input(0).shape())?;
    let count = stack.iter().product::<usize>();
    let mut values = memory::reserve(count.saturating_mul(size))?;
    let area = if with_vectors { size.saturating_mul(size) } else { 0 };
    let mut columns = memory::filled(C::default(), count.saturating_mul(area))?;
    let (matrices, mut watch) = (context.slice::<C>(0)?, context.watch());
    for at in 0..count {
        let matrix = &matrices[at * size * size..][..size * size];
        let value = |row: usize, column: usize| match row.cmp(&column) {
            std::cmp::Ordering::Greater => matrix[row * size + column].cast(),
            std::cmp::Ordering::Less => matrix[column * size + row].cast().conj(),
            std::cmp::Ordering::Equal => Number::new(matrix[row * size + row].cast().re, 0.0),
        };
        let lower = |row: usize, column: usize| doubled(row, column, [size, size], &value);
        let (found, real) = decompose(&mut watch, &lower, 2 * size)?;
        // Each eigenvalue occurs twice, and they are sorted.
        values.extend(found.iter().step_by(2).map(|&value| Number::new(value, 0.0).cast()));
        if with_vectors {
            let basis = vectors((0..2 * size).map(|column| real.column(column)), size)?;
            basis.write(size, &mut columns[at * area..][..area]);
        }
    }
    deliver(context, &stack, with_vectors, [(values, &[size]), (columns, &[size, size])])
}

/// Singular values, falling, and the vectors of both sides.
///
/// Vectors of the shorter side come from the real decomposition; those of the longer side are their images
/// under the matrix, scaled to length one, so both sides have matching phases. All results are NaN for a
/// matrix with numbers that are not finite.
pub(super) fn svd<C: Element + CastTo<Number>>(
    context: &mut KernelContext<'_>,
    with_vectors: bool,
    full: bool,
) -> Result<()>
where
    Number: CastTo<C>,
{
    let shape = context.input(0).shape().clone();
    let (stack, [rows, columns]) = last_two(&shape)?;
    let (count, inner) = (stack.iter().product::<usize>(), rows.min(columns));
    let [left_width, right_width] = if full { [rows, columns] } else { [inner, inner] };
    let sized =
        |size: usize| memory::filled(C::default(), if with_vectors { count.saturating_mul(size) } else { 0 });
    let mut values = memory::reserve(count.saturating_mul(inner))?;
    let (mut left, mut right) = (sized(rows * left_width)?, sized(columns * right_width)?);
    let (matrices, mut watch) = (context.slice::<C>(0)?, context.watch());
    // Columns must be at least as long as rows; otherwise the adjoint is decomposed.
    let (tall, long, short) = (rows >= columns, rows.max(columns), inner);
    for at in 0..count {
        let matrix = &matrices[at * rows * columns..][..rows * columns];
        let value = |row: usize, column: usize| match tall {
            true => matrix[row * columns + column].cast(),
            false => matrix[column * columns + row].cast().conj(),
        };
        let real = |row: usize, column: usize| doubled(row, column, [long, short], &value);
        let Some((found, _, of_short)) = singular(&mut watch, &real, 2 * long, 2 * short)? else {
            let nan: C = Number::new(f64::NAN, f64::NAN).cast();
            values.extend(std::iter::repeat_n(nan, inner));
            if with_vectors {
                left[at * rows * left_width..][..rows * left_width].fill(nan);
                right[at * columns * right_width..][..columns * right_width].fill(nan);
            }
            continue;
        };
        let found: Vec<f64> = found.iter().step_by(2).copied().collect();
        values.extend(found.iter().map(|&value| Number::new(value, 0.0).cast()));
        if !with_vectors {
            continue;
        }
        let mut of_short = vectors((0..2 * short).map(|column| of_short.column(column)), short)?;
        let mut of_long = Basis::new(long);
        let least = found.first().copied().unwrap_or(0.0) * f64::EPSILON * long as f64;
        // Images of vectors whose singular value is 0 in effect are rounding errors; the basis is completed
        // instead.
        let nonzero = found.iter().take_while(|value| **value > least).count();
        for vector in of_short.values.chunks_exact(short.max(1)).take(nonzero) {
            let image = |row: usize| -> Number {
                vector.iter().enumerate().map(|(column, z)| value(row, column) * z).sum()
            };
            of_long.add(memory::collected((0..long).map(image))?)?;
        }
        let (of_left, of_right) =
            if tall { (&mut of_long, &mut of_short) } else { (&mut of_short, &mut of_long) };
        of_left.complete(left_width)?;
        of_right.complete(right_width)?;
        of_left.write(left_width, &mut left[at * rows * left_width..][..rows * left_width]);
        of_right.write(right_width, &mut right[at * columns * right_width..][..columns * right_width]);
    }
    let parts: [(Vec<C>, &[usize]); 3] =
        [(values, &[inner]), (left, &[rows, left_width]), (right, &[columns, right_width])];
    deliver(context, stack, with_vectors, parts)
}
