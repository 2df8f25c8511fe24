//! Matrices as products of simpler ones.
//!
//! # Semantics
//!
//! `Qr` takes `[..., m, n]` of `float32`, `float64` or complex numbers and returns `q` with orthonormal
//! columns and an upper triangle `r` whose product is the input. With `k = min(m, n)`, `q` is `[..., m, k]`
//! and `r` is `[..., k, n]`; with `full_matrices` (default false) they are `[..., m, m]` and `[..., m, n]`.
//! Householder reflections are used, so the diagonal of `r` may be negative, but is real also for complex
//! matrices. NaN spreads. Rank below 2 is `InvalidArgument`.
//!
//! About `2 m n^2` operations for each matrix. Matrices follow one after the other. Those of real numbers are
//! computed in the precision of their dtype by `compute::qr`, which shares the columns of one matrix among
//! threads; complex ones are computed in double precision in one thread. Bits do not depend on the number of
//! threads.
//!
//! ```text
//! Qr [[3, 1], [4, 2]]  ->  q [[-0.6, -0.8], [-0.8, 0.6]],  r [[-5, -2.2], [0, 0.4]]
//! ```

use super::elementwise::boxed;
use super::linear::{last_two, work};
use crate::kernel::{KernelContext, no_room};
use crate::registry::Registry;
use compute::elementwise::CastTo;
use compute::{math::Real, matmul};
use session_core::Result;
use tensor::{Complex, Element, Shape, Tensor, memory};

/// The arithmetic of complex factorizations, whatever the dtype.
type Number = Complex<f64>;

pub(crate) fn register(registry: &mut Registry) {
    registry.add("Qr", |spec| {
        let full = spec.bool("full_matrices")?;
        let dtype = spec.input_dtype(0);
        if dtype.is_complex() {
            return for_dtype!(complex dtype, T => Ok(boxed(move |context| complex_qr::<T>(context, full))));
        }
        for_dtype!(wide dtype, T => Ok(boxed(move |context| qr::<T>(context, full))))
    });
}

/// Delivers `q` and `r` of real matrices.
///
/// `full` selects the sizes. Real matrices need no working memory beyond the scratch of the frame.
fn qr<T: Element + Real + matmul::Real>(context: &mut KernelContext<'_>, full: bool) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let (stack, [rows, columns]) = last_two(&shape)?;
    let width = if full { rows } else { rows.min(columns) };
    let stacked = |matrix: [usize; 2]| stack.iter().copied().chain(matrix).collect::<Shape>();
    // Written completely by the factorization, so they need not be zeroed.
    let (mut q, mut r) =
        (context.allocate::<T>(stacked([rows, width]))?, context.allocate::<T>(stacked([width, columns]))?);
    let (q_out, r_out) = (q.as_mut_slice().expect("new memory"), r.as_mut_slice().expect("new memory"));
    let (pool, mut watch) = (context.pool(), context.watch());
    let (inputs, scratch) = context.split();
    let values = inputs.slice::<T>(0)?;
    // `q` and `r` have no elements if the width is 0, however long the stack is.
    for i in 0..work(stack.iter().product(), width) {
        // A matrix without elements still costs a call.
        watch.tick(1)?;
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

/// Delivers `q` and `r` of complex matrices. Each column's reflection clears it below the diagonal; `q` is
/// the product of their adjoints, applied to the identity from the last to the first.
///
/// A copy of each matrix in double precision becomes `r` in place; elements below its diagonal are not copied
/// to the output, which is zero there.
fn complex_qr<C: Element + CastTo<Number>>(context: &mut KernelContext<'_>, full: bool) -> Result<()>
where
    Number: CastTo<C>,
{
    let shape = context.input(0).shape().clone();
    let (stack, [rows, columns]) = last_two(&shape)?;
    let inner = rows.min(columns);
    let width = if full { rows } else { inner };
    let count = work(stack.iter().product(), width);
    let mut q_out = memory::filled(C::default(), count.saturating_mul(rows).saturating_mul(width))?;
    let mut r_out = memory::filled(C::default(), count.saturating_mul(width).saturating_mul(columns))?;
    let (values, mut watch) = (context.slice::<C>(0)?, context.watch());
    for matrix in 0..count {
        watch.tick(1)?;
        let matrix_values = values[matrix * rows * columns..][..rows * columns].iter();
        let mut r = memory::collected(matrix_values.map(|&z| z.cast()))?;
        let mut reflections = memory::reserve(inner)?;
        for k in 0..inner {
            watch.tick(rows.saturating_mul(columns))?;
            let reflection = Reflection::of(&r, rows, columns, k)?;
            // Columns before `k` are zero in the rows that the reflection changes.
            reflection.apply(&mut r, columns, k, false);
            reflections.push(reflection);
        }
        let mut q = memory::filled(Number::new(0.0, 0.0), rows * width)?;
        // The first columns of the identity, which the reflections turn into those of `q`.
        (0..width).for_each(|k| q[k * width + k] = Number::new(1.0, 0.0));
        for reflection in reflections.iter().rev() {
            watch.tick(rows.saturating_mul(width))?;
            reflection.apply(&mut q, width, 0, true);
        }
        let of_q = &mut q_out[matrix * rows * width..][..rows * width];
        of_q.iter_mut().zip(q).for_each(|(to, from)| *to = from.cast());
        for row in 0..width {
            for column in row..columns {
                r_out[(matrix * width + row) * columns + column] = r[row * columns + column].cast();
            }
        }
    }
    let stacked = |matrix: [usize; 2]| stack.iter().copied().chain(matrix).collect::<Shape>();
    let (q, r) = (stacked([rows, width]), stacked([width, columns]));
    context.set(0, Tensor::from_vec(q_out, q)?);
    context.set(1, Tensor::from_vec(r_out, r)?);
    Ok(())
}

/// A reflection of the rows from `first` on: `H x = x - share * v * (v' x)`, with `v` as `vector`, whose
/// first element is 1.
struct Reflection {
    /// The first row that the reflection changes.
    first: usize,
    /// The vector `v`, with one element for each row from `first` on.
    vector: Vec<Number>,
    /// The factor of the reflection; 0 makes it the identity. For real numbers it is between 1 and 2.
    share: Number,
}

impl Reflection {
    /// Returns the reflection that makes the elements of column `k` below the diagonal zero, and that on the
    /// diagonal real.
    ///
    /// `matrix` is `[rows, columns]` by rows, and `k` is below both. A column that is already zero below the
    /// diagonal, with a real diagonal, gives the identity.
    fn of(matrix: &[Number], rows: usize, columns: usize, k: usize) -> Result<Reflection> {
        let mut vector = memory::collected((k..rows).map(|row| matrix[row * columns + k]))?;
        let top = vector[0];
        let below: f64 = vector[1..].iter().map(|z| z.norm_sqr()).sum();
        vector[0] = Number::new(1.0, 0.0);
        if below == 0.0 && top.im == 0.0 {
            return Ok(Reflection { first: k, vector, share: Number::new(0.0, 0.0) });
        }
        let length = (top.norm_sqr() + below).sqrt();
        // The sign opposite to that of the element avoids a cancellation in `top - diagonal`, and is
        // LAPACK's.
        let diagonal = if top.re >= 0.0 { -length } else { length };
        vector[1..].iter_mut().for_each(|z| *z /= top - diagonal);
        Ok(Reflection { first: k, vector, share: ((diagonal - top) / diagonal).conj() })
    }

    /// Applies the reflection, or its adjoint, to the columns of a matrix from `from` on.
    ///
    /// `matrix` has `columns` columns and at least as many rows as the vector reaches. `adjoint` conjugates
    /// the share.
    fn apply(&self, matrix: &mut [Number], columns: usize, from: usize, adjoint: bool) {
        // The identity leaves NaN and infinities where they are.
        if self.share == Number::new(0.0, 0.0) {
            return;
        }
        let share = if adjoint { self.share.conj() } else { self.share };
        for column in from..columns {
            let place = |row: usize| (self.first + row) * columns + column;
            let along: Number =
                self.vector.iter().enumerate().map(|(row, v)| v.conj() * matrix[place(row)]).sum();
            for (row, v) in self.vector.iter().enumerate() {
                matrix[place(row)] -= share * along * v;
            }
        }
    }
}
