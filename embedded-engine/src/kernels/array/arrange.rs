//! Rows of tensors in another order: what most operations that only move elements come down to.

use crate::kernel::KernelContext;
use crate::kernels::Moved as _;
use session_core::{Error, Result};
use tensor::{Shape, Tensor};

/// The source of a row of a result: the source array and its row, or `None`.
pub(crate) type Place = Option<(usize, usize)>;

/// Returns a tensor whose row `i` (of `width` elements) is the one that `place(i)` names, or is filled with `filler` (zeros
/// without one). All sources have one dtype; `place` names rows that exist.
pub(crate) fn arrange(
    context: &KernelContext<'_>,
    sources: &[&Tensor],
    shape: Shape,
    width: usize,
    place: &dyn Fn(usize) -> Place,
    filler: Option<&Tensor>,
) -> Result<Tensor> {
    let dtype = sources.first().map(|source| source.dtype());
    let dtype = dtype.ok_or_else(|| Error::invalid_argument("there is nothing to take rows from"))?;
    for_dtype!(moved dtype, T => {
        let slices = sources.iter().map(|source| T::elements(source)).collect::<Result<Vec<&[T]>>>()?;
        let filler = match filler {
            Some(filler) => T::elements(filler)?.first().cloned().ok_or_else(no_filler)?,
            None => T::default(),
        };
        T::made(context, dtype, shape, |output| {
            copy_rows(context, &slices, width, place, &filler, output)
        })
    })
}

fn no_filler() -> Error {
    Error::invalid_argument("the value to fill up with must be a scalar")
}

fn copy_rows<T: Clone>(
    context: &KernelContext<'_>,
    sources: &[&[T]],
    width: usize,
    place: &dyn Fn(usize) -> Place,
    filler: &T,
    output: &mut [T],
) -> Result<()> {
    let mut watch = context.watch();
    for (i, row) in output.chunks_exact_mut(width.max(1)).enumerate() {
        match place(i) {
            Some((source, from)) => row.clone_from_slice(&sources[source][from * width..][..width]),
            None => row.fill(filler.clone()),
        }
        watch.tick(row.len())?;
    }
    Ok(())
}

/// The coordinates of element `index` of an array of this shape.
pub(crate) fn unravel(mut index: usize, shape: &[usize], coordinates: &mut [usize]) {
    for (coordinate, &size) in coordinates.iter_mut().zip(shape).rev() {
        *coordinate = index % size.max(1);
        index /= size.max(1);
    }
}

/// Returns the inverse of [`unravel`].
pub(crate) fn ravel(coordinates: impl IntoIterator<Item = usize>, shape: &[usize]) -> usize {
    coordinates.into_iter().zip(shape).fold(0, |at, (coordinate, &size)| at * size + coordinate)
}
