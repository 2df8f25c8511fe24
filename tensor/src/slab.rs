//! Memory that is filled as a whole and then divided into tensors.

use crate::arena::Arena;
use crate::buffer::Buffer;
use crate::tensor::{byte_len, check_plain, copy_of};
use crate::{DType, Shape, Tensor, TensorError};
use std::ops::Range;
use std::sync::Arc;

/// Zeroed bytes for a reader to fill, which then become tensors without a copy. Each tensor may write its own
/// part, and the last one frees the memory. On Linux, large slabs use huge pages.
///
/// ```
/// use tensor::{DType, Shape, Slab};
/// let mut slab = Slab::zeroed(12)?;
/// slab.as_mut().copy_from_slice(&[1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0]);
/// let parts = [(DType::Int32, Shape::from([2]), 0), (DType::Int32, Shape::scalar(), 8)];
/// let tensors: Vec<_> = slab.into_tensors(parts).into_iter().collect::<Result<_, _>>()?;
/// assert_eq!(tensors[0].as_slice::<i32>()?, [1, 2]);
/// assert_eq!(tensors[1].value::<i32>()?, 3);
/// # Ok::<(), tensor::TensorError>(())
/// ```
#[derive(Debug)]
pub struct Slab(Arena);

impl Slab {
    /// Allocates this many zeroed bytes.
    ///
    /// # Errors
    /// [`TensorError::OutOfMemory`].
    pub fn zeroed(len: usize) -> Result<Slab, TensorError> {
        Arena::zeroed(len).map(Slab)
    }

    /// Divides the slab into tensors. Each part consists of the dtype, the shape, and the offset of its
    /// elements in the slab, which are in the byte order of the machine. A part that is misaligned for its
    /// dtype or overlaps another becomes a copy.
    ///
    /// # Errors
    /// Each part has its own result: [`TensorError::NotPlain`], [`TensorError::TooLarge`],
    /// [`TensorError::Elements`] if the part extends beyond the slab, [`TensorError::Bool`],
    /// [`TensorError::OutOfMemory`].
    pub fn into_tensors(
        self,
        parts: impl IntoIterator<Item = (DType, Shape, usize)>,
    ) -> Vec<Result<Tensor, TensorError>> {
        let bytes = self.0.bytes();
        let cut = |(dtype, shape, offset): (DType, Shape, usize)| {
            let range = part(bytes, dtype, &shape, offset)?;
            Ok((dtype, shape, range))
        };
        let parts: Vec<Result<_, TensorError>> = parts.into_iter().map(cut).collect();
        let alone = disjoint(parts.iter().map(|part| part.as_ref().ok().map(|(.., range)| range.clone())));
        // Copies come first: afterward, tensors exist that may write the memory.
        let copies: Vec<Result<Option<Buffer>, TensorError>> =
            parts.iter().zip(alone).map(|(part, alone)| copy(bytes, part, alone)).collect();
        let arena = Arc::new(self.0);
        type Part = Result<(DType, Shape, Range<usize>), TensorError>;
        let make = |(part, copy): (Part, Result<Option<Buffer>, TensorError>)| {
            let (dtype, shape, range) = part?;
            let buffer = copy?.unwrap_or_else(|| Buffer::part(&arena, range));
            Ok(Tensor::plain(dtype, shape, buffer))
        };
        parts.into_iter().zip(copies).map(make).collect()
    }
}

impl AsRef<[u8]> for Slab {
    fn as_ref(&self) -> &[u8] {
        self.0.bytes()
    }
}

impl AsMut<[u8]> for Slab {
    fn as_mut(&mut self) -> &mut [u8] {
        self.0.bytes_mut()
    }
}

/// Returns the byte range of a part after checking its elements.
fn part(bytes: &[u8], dtype: DType, shape: &Shape, offset: usize) -> Result<Range<usize>, TensorError> {
    check_plain(dtype)?;
    let len = byte_len(dtype, shape)?;
    // An offset beyond the end leaves no bytes, which the comparison below reports.
    let found = bytes.get(offset..).unwrap_or_default();
    let Some(found) = found.get(..len) else {
        let (expected, found) = (shape.elements(), found.len() / dtype.size());
        return Err(TensorError::Elements { shape: shape.clone(), expected, found });
    };
    if dtype == DType::Bool
        && let Some((position, &value)) = found.iter().enumerate().find(|(_, byte)| **byte > 1)
    {
        return Err(TensorError::Bool { position, value });
    }
    Ok(offset..offset + len)
}

/// Returns, for each range, whether it is disjoint from all earlier ranges. Ranges in memory order, the usual
/// case, need no sorting.
fn disjoint(ranges: impl Iterator<Item = Option<Range<usize>>>) -> Vec<bool> {
    let mut end = 0;
    let mut alone = |range: Option<Range<usize>>| match range {
        Some(range) if range.start >= end => {
            end = range.end;
            true
        }
        Some(range) => range.is_empty(),
        None => true,
    };
    ranges.map(&mut alone).collect()
}

fn copy(
    bytes: &[u8],
    part: &Result<(DType, Shape, Range<usize>), TensorError>,
    alone: bool,
) -> Result<Option<Buffer>, TensorError> {
    let Ok((dtype, _, range)) = part else { return Ok(None) };
    // Offsets count from an aligned start.
    let aligned = range.start.is_multiple_of(dtype.size().min(8));
    (!alone || !aligned).then(|| copy_of(&bytes[range.clone()])).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled() -> Slab {
        let mut slab = Slab::zeroed(16).unwrap();
        slab.as_mut().iter_mut().enumerate().for_each(|(i, byte)| *byte = i as u8);
        slab
    }

    #[test]
    fn parts_are_written_apart() {
        let parts = [(DType::UInt8, Shape::from([4]), 0), (DType::UInt8, Shape::from([4]), 4)];
        let mut tensors = filled().into_tensors(parts);
        let second = tensors.pop().unwrap().unwrap();
        let mut first = tensors.pop().unwrap().unwrap();
        first.as_mut_slice::<u8>().unwrap().fill(9);
        assert_eq!(first.as_slice::<u8>().unwrap(), [9; 4]);
        assert_eq!(second.as_slice::<u8>().unwrap(), [4, 5, 6, 7]);
    }

    #[test]
    fn overlapping_and_unaligned_parts_are_copies() {
        let parts = [
            (DType::UInt8, Shape::from([4]), 0),
            (DType::UInt8, Shape::from([4]), 2),
            (DType::UInt16, Shape::from([2]), 7),
            (DType::UInt8, Shape::from([0]), 1),
        ];
        let mut tensors = filled().into_tensors(parts);
        let mut first = tensors.remove(0).unwrap();
        first.as_mut_slice::<u8>().unwrap().fill(9);
        assert_eq!(tensors[0].as_ref().unwrap().as_slice::<u8>().unwrap(), [2, 3, 4, 5]);
        let odd = u16::from_ne_bytes([7, 8]);
        assert_eq!(tensors[1].as_ref().unwrap().as_slice::<u16>().unwrap()[0], odd);
        assert_eq!(tensors[2].as_ref().unwrap().elements(), 0);
    }

    #[test]
    fn a_part_that_does_not_fit_is_an_error() {
        let parts = [
            (DType::Float64, Shape::from([3]), 0),
            (DType::String, Shape::scalar(), 0),
            (DType::Bool, Shape::from([3]), 0),
            (DType::UInt8, Shape::scalar(), 99),
        ];
        let errors = filled().into_tensors(parts);
        assert!(matches!(errors[0], Err(TensorError::Elements { expected: 3, found: 2, .. })));
        assert!(matches!(errors[1], Err(TensorError::NotPlain { .. })));
        assert!(matches!(errors[2], Err(TensorError::Bool { position: 2, value: 2 })));
        assert!(matches!(errors[3], Err(TensorError::Elements { found: 0, .. })));
    }
}
