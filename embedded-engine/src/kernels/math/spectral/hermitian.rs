//! Eigenvalues and singular values of complex matrices: those of real matrices of twice the size, in which each stands twice.

use super::{decompose, singular, square};
use crate::kernel::KernelContext;
use compute::math::Real;
use session_core::{Error, Result};
use tensor::{Complex, Element, Shape, Tensor, memory};

type Number = Complex<f64>;

/// Orthonormal complex vectors, each a column.
struct Basis {
    rows: usize,
    values: Vec<Number>,
}

impl Basis {
    fn new(rows: usize) -> Basis {
        Basis { rows, values: Vec::new() }
    }

    fn len(&self) -> usize {
        self.values.len().checked_div(self.rows).unwrap_or(0)
    }

    /// Adds the part of a vector at right angles to all there are, unless hardly anything is left of it.
    fn add(&mut self, mut vector: Vec<Number>) -> Result<()> {
        let length = |vector: &[Number]| vector.iter().map(|z| z.norm_sqr()).sum::<f64>().sqrt();
        let before = length(&vector);
        // Twice, since the first time leaves rounding errors of the size of what is left.
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

    /// Adds unit vectors until there are as many as `columns`.
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

    /// Writes the first columns row by row.
    fn write<T: Real>(&self, columns: usize, out: &mut [Complex<T>]) {
        for (at, to) in out.iter_mut().enumerate() {
            *to = narrow(self.values[at % columns * self.rows + at / columns]);
        }
    }
}

fn narrow<T: Real>(value: Number) -> Complex<T> {
    Complex::new(T::of(value.re), T::of(value.im))
}

fn wide<T: Copy + Into<f64>>(value: &Complex<T>) -> Number {
    Complex::new(value.re.into(), value.im.into())
}

/// The element of the real matrix of twice the size that does to real and imaginary parts what a complex matrix does.
fn doubled(
    row: usize,
    column: usize,
    [rows, columns]: [usize; 2],
    value: impl Fn(usize, usize) -> Number,
) -> f64 {
    match (row < rows, column < columns) {
        (true, true) => value(row, column).re,
        (true, false) => -value(row, column - columns).im,
        (false, true) => value(row - rows, column).im,
        (false, false) => value(row - rows, column - columns).re,
    }
}

/// Returns the complex vectors whose real and imaginary parts stand in columns, as many as there are different ones.
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

/// Eigenvalues, rising, and eigenvectors of Hermitian matrices, of which only the lower triangles are looked at.
pub(super) fn eigen<T: Real + Into<f64>>(context: &mut KernelContext<'_>, with_vectors: bool) -> Result<()>
where
    Complex<T>: Element,
{
    let (stack, size) = square(context.input(0).shape())?;
    let count = stack.iter().product::<usize>();
    let mut values = memory::reserve(count.saturating_mul(size))?;
    let area = if with_vectors { size.saturating_mul(size) } else { 0 };
    let mut columns = memory::filled(narrow::<T>(Number::new(0.0, 0.0)), count.saturating_mul(area))?;
    let matrices = context.slice::<Complex<T>>(0)?;
    for at in 0..count {
        let matrix = &matrices[at * size * size..][..size * size];
        let value = |row: usize, column: usize| match row.cmp(&column) {
            std::cmp::Ordering::Greater => wide(&matrix[row * size + column]),
            std::cmp::Ordering::Less => wide(&matrix[column * size + row]).conj(),
            std::cmp::Ordering::Equal => Number::new(wide(&matrix[row * size + row]).re, 0.0),
        };
        let lower = |row: usize, column: usize| doubled(row, column, [size, size], value);
        let (found, real) = decompose(context, lower, 2 * size)?;
        values.extend(found.iter().step_by(2).map(|&value| narrow::<T>(Number::new(value, 0.0))));
        if with_vectors {
            let basis = vectors((0..2 * size).map(|column| real.column(column)), size)?;
            basis.write(size, &mut columns[at * area..][..area]);
        }
    }
    let of_values: Shape = stack.iter().copied().chain([size]).collect();
    let of_vectors: Shape = match with_vectors {
        true => stack.iter().copied().chain([size, size]).collect(),
        false => Shape::from([0]),
    };
    context.set(0, Tensor::from_vec(values, of_values)?);
    context.set(1, Tensor::from_vec(columns, of_vectors)?);
    Ok(())
}

/// Singular values, falling, and the vectors of both sides.
pub(super) fn svd<T: Real + Into<f64>>(
    context: &mut KernelContext<'_>,
    with_vectors: bool,
    full: bool,
) -> Result<()>
where
    Complex<T>: Element,
{
    let shape = context.input(0).shape().clone();
    let &[ref stack @ .., rows, columns] = shape.dims() else {
        return Err(Error::invalid_argument(format!("input must have rank >= 2, got shape {shape}")));
    };
    let (count, inner) = (stack.iter().product::<usize>(), rows.min(columns));
    let [left_width, right_width] = if full { [rows, columns] } else { [inner, inner] };
    let zero = narrow::<T>(Number::new(0.0, 0.0));
    let sized = |size: usize| memory::filled(zero, if with_vectors { count.saturating_mul(size) } else { 0 });
    let mut values = memory::reserve(count.saturating_mul(inner))?;
    let (mut left, mut right) = (sized(rows * left_width)?, sized(columns * right_width)?);
    let matrices = context.slice::<Complex<T>>(0)?;
    // The longer side is that of the columns: else the adjoint is taken apart.
    let (tall, long, short) = (rows >= columns, rows.max(columns), inner);
    for at in 0..count {
        let matrix = &matrices[at * rows * columns..][..rows * columns];
        let value = |row: usize, column: usize| match tall {
            true => wide(&matrix[row * columns + column]),
            false => wide(&matrix[column * columns + row]).conj(),
        };
        let real = |row: usize, column: usize| doubled(row, column, [long, short], value);
        let (found, _, of_short) = singular(context, real, 2 * long, 2 * short)?;
        let found: Vec<f64> = found.iter().step_by(2).copied().collect();
        values.extend(found.iter().map(|&value| narrow::<T>(Number::new(value, 0.0))));
        if !with_vectors {
            continue;
        }
        let mut of_short = vectors((0..2 * short).map(|column| of_short.column(column)), short)?;
        let mut of_long = Basis::new(long);
        let least = found.first().copied().unwrap_or(0.0) * f64::EPSILON * long as f64;
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
    let shape = |last: &[usize]| match with_vectors || last.len() == 1 {
        true => stack.iter().chain(last).copied().collect::<Shape>(),
        false => Shape::from([0]),
    };
    let (of_left, of_right) = (shape(&[rows, left_width]), shape(&[columns, right_width]));
    let of_values = shape(&[inner]);
    context.set(0, Tensor::from_vec(values, of_values)?);
    context.set(1, Tensor::from_vec(left, of_left)?);
    context.set(2, Tensor::from_vec(right, of_right)?);
    Ok(())
}
