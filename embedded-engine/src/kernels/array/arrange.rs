//! Rows of tensors in another order: what most operations that only move elements come down to.

use crate::kernel::KernelContext;
use session_core::{Error, Result};
use tensor::{Bytes, DType, Shape, Tensor, memory};

/// Where a row of a result comes from: which of the sources, and which of its rows; or from nowhere.
pub(crate) type Place = Option<(usize, usize)>;

/// A tensor whose row `i` (of `width` elements) is the one that `place(i)` names, or is filled with `filler` (zeros
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
    if dtype == DType::String {
        return arrange_strings(sources, shape, width, place, filler);
    }
    for_dtype!(bits dtype, T => {
        let slices = sources.iter().map(|source| Ok(source.as_bits::<T>()?)).collect::<Result<Vec<&[T]>>>()?;
        let filler = match filler {
            Some(filler) => *filler.as_bits::<T>()?.first().ok_or_else(no_filler)?,
            None => T::default(),
        };
        let mut result = Tensor::from_pool_dtype(context.buffers(), dtype, shape)?;
        result
            .write_bits::<T, _>(|output| copy_rows(&slices, width, place, &filler, output))
            .expect("new memory has one owner, its elements the right size");
        Ok(result)
    })
}

fn no_filler() -> Error {
    Error::invalid_argument("the value to fill up with must be a scalar")
}

fn arrange_strings(
    sources: &[&Tensor],
    shape: Shape,
    width: usize,
    place: &dyn Fn(usize) -> Place,
    filler: Option<&Tensor>,
) -> Result<Tensor> {
    let slices = sources.iter().map(|source| Ok(source.as_strings()?)).collect::<Result<Vec<&[Bytes]>>>()?;
    let filler = match filler {
        Some(filler) => filler.as_strings()?.first().ok_or_else(no_filler)?.clone(),
        None => Bytes::new(),
    };
    let mut output = memory::filled(Bytes::new(), shape.elements())?;
    copy_rows(&slices, width, place, &filler, &mut output);
    Ok(Tensor::from_strings(output, shape)?)
}

fn copy_rows<T: Clone>(
    sources: &[&[T]],
    width: usize,
    place: &dyn Fn(usize) -> Place,
    filler: &T,
    output: &mut [T],
) {
    for (i, row) in output.chunks_exact_mut(width.max(1)).enumerate() {
        match place(i) {
            Some((source, from)) => row.clone_from_slice(&sources[source][from * width..][..width]),
            None => row.fill(filler.clone()),
        }
    }
}

/// The coordinates of element `index` of an array of this shape.
pub(crate) fn unravel(mut index: usize, shape: &[usize], coordinates: &mut [usize]) {
    for (coordinate, &size) in coordinates.iter_mut().zip(shape).rev() {
        *coordinate = index % size.max(1);
        index /= size.max(1);
    }
}

/// The inverse of [`unravel`].
pub(crate) fn ravel(coordinates: impl IntoIterator<Item = usize>, shape: &[usize]) -> usize {
    coordinates.into_iter().zip(shape).fold(0, |at, (coordinate, &size)| at * size + coordinate)
}
