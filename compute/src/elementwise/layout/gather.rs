//! Selection of slices by index.

use crate::Pool;
use crate::elementwise::work::{split_outputs, units_per_part};
use std::fmt;

/// An integer that can be an index: `i32`, `i64`, and others.
pub trait Index: Copy + Send + Sync + 'static {
    /// Returns the number as an `i64`.
    fn to_i64(self) -> i64;
}

/// Implements the types of indices.
macro_rules! indices {
    ($($type:ty),*) => {$(
        impl Index for $type {
            #[inline(always)]
            fn to_i64(self) -> i64 {
                i64::from(self)
            }
        }
    )*};
}

indices!(i8, i16, i32, i64, u8, u16, u32);

/// The error of an index outside of its dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexError {
    /// The position of the index among all indices.
    pub position: usize,
    /// The value of the index.
    pub index: i64,
    /// The size of the dimension: valid indices are from 0 up to this, exclusive.
    pub limit: usize,
}

impl fmt::Display for IndexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "index {} at position {} is not in [0, {})", self.index, self.position, self.limit)
    }
}

impl std::error::Error for IndexError {}

/// Returns the index as a `usize` below `limit`.
#[inline(always)]
pub(super) fn checked<I: Index>(index: I, position: usize, limit: usize) -> Result<usize, IndexError> {
    let index = index.to_i64();
    match usize::try_from(index) {
        Ok(at) if at < limit => Ok(at),
        _ => Err(IndexError { position, index, limit }),
    }
}

/// Checks all indices before any row is copied, so that an error leaves the output unchanged.
///
/// # Errors
/// [`IndexError`] for the first index that is negative, or not below `limit`.
pub(super) fn check_all<I: Index>(indices: &[I], limit: usize) -> Result<(), IndexError> {
    let bad = indices.iter().position(|&index| checked(index, 0, limit).is_err());
    bad.map_or(Ok(()), |position| checked(indices[position], position, limit).map(|_| ()))
}

/// The shape of a [`gather`]: the parameters are `[batch, outer, axis, inner]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatherShape {
    /// Leading dimensions that parameters and indices share (`batch_dims`); 1 without any.
    pub batch: usize,
    /// The dimensions between those and the gathered one.
    pub outer: usize,
    /// The size of the gathered dimension.
    pub axis: usize,
    /// The dimensions after it.
    pub inner: usize,
}

/// Picks slices along one dimension: `output[b, o, i, ..] = parameters[b, o, indices[b, i], ..]`.
///
/// ```
/// use compute::{Pool, elementwise::layout::{GatherShape, gather}};
/// let shape = GatherShape { batch: 1, outer: 1, axis: 3, inner: 2 };
/// let mut output = [0.0; 4];
/// gather(&Pool::single(), shape, &[0.0, 0.1, 1.0, 1.1, 2.0, 2.1], &[2, 0], &mut output)?;
/// assert_eq!(output, [2.0, 2.1, 0.0, 0.1]);
/// # Ok::<(), compute::elementwise::layout::IndexError>(())
/// ```
///
/// # Errors
/// [`IndexError`] for the first index outside the dimension; nothing is written then.
///
/// # Panics
/// When the length of a slice differs from its shape, or the indices do not divide into batches.
pub fn gather<T: Clone + Send + Sync, I: Index>(
    pool: &Pool,
    shape: GatherShape,
    parameters: &[T],
    indices: &[I],
    output: &mut [T],
) -> Result<(), IndexError> {
    let GatherShape { batch, outer, axis, inner } = shape;
    assert_eq!(parameters.len(), batch * outer * axis * inner, "parameters");
    let per_batch = indices.len() / batch.max(1);
    assert_eq!(indices.len(), per_batch * batch, "indices of {batch} batches");
    assert_eq!(output.len(), outer * inner * indices.len(), "output");
    check_all(indices, axis)?;
    if output.is_empty() {
        return Ok(());
    }
    let slices = outer * indices.len();
    // 2 ns for the jump to a row, which the caches rarely hold, and 0.1 ns for each element of it.
    split_outputs(
        pool,
        slices,
        1,
        units_per_part(2_000 + 100 * inner),
        [(output, inner)],
        |range, [output]| {
            for (slice, output) in range.zip(output.chunks_exact_mut(inner)) {
                let (group, i) = (slice / per_batch, slice % per_batch);
                // Between 0 and `axis`, as checked above.
                let index = indices[group / outer * per_batch + i].to_i64() as usize;
                output.clone_from_slice(&parameters[(group * axis + index) * inner..][..inner]);
            }
        },
    );
    Ok(())
}

/// Selects slices by coordinates. Row `i` of `indices` has one index for each of `dims`, the leading dimensions of the parameters, and selects
/// `inner` elements.
///
/// ```
/// use compute::elementwise::layout::gather_nd;
/// let mut output = [0; 2];
/// gather_nd(&[2, 3], 1, &[1, 2, 3, 4, 5, 6], &[1, 2, 0, 0], &mut output)?; // [1, 2] and [0, 0]
/// assert_eq!(output, [6, 1]);
/// # Ok::<(), compute::elementwise::layout::IndexError>(())
/// ```
///
/// # Errors
/// [`IndexError`] for the first index outside of its dimension; its position counts single indices. Earlier slices have been written.
///
/// # Panics
/// Panics if `dims` is empty although there are indices, or if the length of a slice contradicts the shapes.
pub fn gather_nd<T: Clone, I: Index>(
    dims: &[usize],
    inner: usize,
    parameters: &[T],
    indices: &[I],
    output: &mut [T],
) -> Result<(), IndexError> {
    assert_eq!(parameters.len(), dims.iter().product::<usize>() * inner, "parameters");
    if dims.is_empty() {
        assert!(indices.is_empty(), "indices without dimensions");
        output.chunks_exact_mut(inner.max(1)).for_each(|output| output.clone_from_slice(parameters));
        return Ok(());
    }
    assert_eq!(output.len(), indices.len() / dims.len() * inner, "output");
    for (i, coordinates) in indices.chunks_exact(dims.len()).enumerate() {
        let at = flat_index(coordinates, dims, i * dims.len())?;
        output[i * inner..(i + 1) * inner].clone_from_slice(&parameters[at * inner..][..inner]);
    }
    Ok(())
}

/// Returns the place of `coordinates` in an array of `dims`; `position` is that of the first coordinate.
pub(super) fn flat_index<I: Index>(
    coordinates: &[I],
    dims: &[usize],
    position: usize,
) -> Result<usize, IndexError> {
    let mut at = 0;
    for (k, (&index, &size)) in coordinates.iter().zip(dims).enumerate() {
        at = at * size + checked(index, position + k, size)?;
    }
    Ok(at)
}
