//! Matrices as products of simpler ones.

use super::elementwise::boxed;
use crate::kernel::{KernelContext, no_room};
use crate::registry::Registry;
use compute::{math::Real, matmul};
use session_core::{Error, Result};
use tensor::{Complex, DType, Element, Shape, Tensor, memory};

pub(crate) fn register(registry: &mut Registry) {
    registry.add("Qr", |spec| {
        let full = spec.bool("full_matrices")?;
        match spec.input_dtype(0) {
            DType::Complex64 => return Ok(boxed(move |context| complex_qr::<f32>(context, full))),
            DType::Complex128 => return Ok(boxed(move |context| complex_qr::<f64>(context, full))),
            _ => {}
        }
        for_dtype!(wide spec.input_dtype(0), T => Ok(boxed(move |context| qr::<T>(context, full))))
    });
}

fn qr<T: Element + Real + matmul::Real>(context: &mut KernelContext<'_>, full: bool) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let (&[ref stack @ .., rows, columns], pool) = (shape.dims(), context.pool()) else {
        return Err(Error::invalid_argument(format!("input must have rank >= 2, got shape {shape}")));
    };
    let width = if full { rows } else { rows.min(columns) };
    let stacked = |matrix: [usize; 2]| stack.iter().copied().chain(matrix).collect::<Shape>();
    let (mut q, mut r) =
        (context.allocate::<T>(stacked([rows, width]))?, context.allocate::<T>(stacked([width, columns]))?);
    let (q_out, r_out) = (q.as_mut_slice().expect("new memory"), r.as_mut_slice().expect("new memory"));
    let (inputs, scratch) = context.split();
    let values = inputs.slice::<T>(0)?;
    for i in 0..stack.iter().product() {
        fn part(i: usize, size: usize) -> std::ops::Range<usize> {
            i * size..(i + 1) * size
        }
        let matrix = &values[part(i, rows * columns)];
        let (q, r) = (&mut q_out[part(i, rows * width)], &mut r_out[part(i, width * columns)]);
        compute::qr::qr(pool, scratch, rows, columns, matrix, q, r).map_err(no_room)?;
    }
    context.set(0, q);
    context.set(1, r);
    Ok(())
}

/// The factors of complex matrices, by reflections in double precision.
fn complex_qr<T: Real + Into<f64>>(context: &mut KernelContext<'_>, full: bool) -> Result<()>
where
    Complex<T>: Element,
{
    let shape = context.input(0).shape().clone();
    let &[ref stack @ .., rows, columns] = shape.dims() else {
        return Err(Error::invalid_argument(format!("input must have rank >= 2, got shape {shape}")));
    };
    let inner = rows.min(columns);
    let width = if full { rows } else { inner };
    let count: usize = stack.iter().product();
    let zero = Complex::new(T::of(0.0), T::of(0.0));
    let mut q_out = memory::filled(zero, count.saturating_mul(rows).saturating_mul(width))?;
    let mut r_out = memory::filled(zero, count.saturating_mul(width).saturating_mul(columns))?;
    let (values, mut watch) = (context.slice::<Complex<T>>(0)?, context.watch());
    let narrow = |z: Complex<f64>| Complex::new(T::of(z.re), T::of(z.im));
    for matrix in 0..count {
        let wide = values[matrix * rows * columns..][..rows * columns].iter();
        let mut r = memory::collected(wide.map(|z| Complex::new(z.re.into(), z.im.into())))?;
        let mut reflections = memory::reserve(inner)?;
        for k in 0..inner {
            watch.tick(rows.saturating_mul(columns))?;
            let reflection = Reflection::of(&r, rows, columns, k)?;
            reflection.apply(&mut r, columns, k, false);
            reflections.push(reflection);
        }
        let mut q = memory::filled(Complex::new(0.0, 0.0), rows * width)?;
        (0..width).for_each(|k| q[k * width + k] = Complex::new(1.0, 0.0));
        for reflection in reflections.iter().rev() {
            watch.tick(rows.saturating_mul(width))?;
            reflection.apply(&mut q, width, 0, true);
        }
        let of_q = &mut q_out[matrix * rows * width..][..rows * width];
        of_q.iter_mut().zip(q).for_each(|(to, from)| *to = narrow(from));
        for row in 0..width {
            for column in row..columns {
                r_out[(matrix * width + row) * columns + column] = narrow(r[row * columns + column]);
            }
        }
    }
    let stacked = |matrix: [usize; 2]| stack.iter().copied().chain(matrix).collect::<Shape>();
    let (q, r) = (stacked([rows, width]), stacked([width, columns]));
    context.set(0, Tensor::from_vec(q_out, q)?);
    context.set(1, Tensor::from_vec(r_out, r)?);
    Ok(())
}

/// A reflection of the rows from `first` on: what it takes away of a column is a share of a vector that begins with 1.
struct Reflection {
    first: usize,
    vector: Vec<Complex<f64>>,
    share: Complex<f64>,
}

impl Reflection {
    /// Returns the one that leaves of column `k` nothing below the diagonal, and there a real number.
    fn of(matrix: &[Complex<f64>], rows: usize, columns: usize, k: usize) -> Result<Reflection> {
        let mut vector = memory::collected((k..rows).map(|row| matrix[row * columns + k]))?;
        let top = vector[0];
        let below: f64 = vector[1..].iter().map(|z| z.norm_sqr()).sum();
        vector[0] = Complex::new(1.0, 0.0);
        if below == 0.0 && top.im == 0.0 {
            return Ok(Reflection { first: k, vector, share: Complex::new(0.0, 0.0) });
        }
        let length = (top.norm_sqr() + below).sqrt();
        let diagonal = if top.re >= 0.0 { -length } else { length };
        vector[1..].iter_mut().for_each(|z| *z /= top - diagonal);
        Ok(Reflection { first: k, vector, share: ((diagonal - top) / diagonal).conj() })
    }

    /// Changes the columns of a matrix from one on: by the reflection, or by its adjoint.
    fn apply(&self, matrix: &mut [Complex<f64>], columns: usize, from: usize, adjoint: bool) {
        let share = if adjoint { self.share.conj() } else { self.share };
        for column in from..columns {
            let place = |row: usize| (self.first + row) * columns + column;
            let along: Complex<f64> =
                self.vector.iter().enumerate().map(|(row, v)| v.conj() * matrix[place(row)]).sum();
            for (row, v) in self.vector.iter().enumerate() {
                matrix[place(row)] -= share * along * v;
            }
        }
    }
}
