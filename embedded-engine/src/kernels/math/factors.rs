//! Matrices as products of simpler ones.

use super::elementwise::boxed;
use crate::kernel::{KernelContext, no_room};
use crate::registry::Registry;
use compute::{math::Real, matmul};
use session_core::{Error, Result};
use tensor::{Element, Shape};

pub(crate) fn register(registry: &mut Registry) {
    registry.add("Qr", |spec| {
        let full = spec.bool("full_matrices")?;
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
