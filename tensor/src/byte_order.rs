//! Conversion of plain elements to and from little-endian, the byte order of files and of most machines.

use crate::{Bytes, DType, Shape, Tensor, TensorError};
use std::borrow::Cow;

impl Tensor {
    /// Returns the bytes of a plain tensor with each number in little-endian order. Only big-endian machines
    /// copy.
    ///
    /// ```
    /// # use tensor::Tensor;
    /// assert_eq!(Tensor::from([1u16, 0x203]).to_le_bytes()?, [1, 0, 3, 2].as_slice());
    /// # Ok::<(), tensor::TensorError>(())
    /// ```
    ///
    /// # Errors
    /// [`TensorError::NotPlain`] for strings and handles.
    pub fn to_le_bytes(&self) -> Result<Cow<'_, [u8]>, TensorError> {
        let bytes = self.as_bytes()?;
        if cfg!(target_endian = "little") {
            return Ok(Cow::Borrowed(bytes));
        }
        let mut bytes = bytes.to_vec();
        swap(self.dtype(), &mut bytes);
        Ok(Cow::Owned(bytes))
    }

    /// Creates a tensor over plain bytes with each number in little-endian order. On little-endian machines
    /// this is [`from_bytes`](Tensor::from_bytes).
    ///
    /// ```
    /// use tensor::{DType, Tensor};
    /// let tensor = Tensor::from_le_bytes(DType::UInt16, [2], vec![1, 0, 3, 2])?;
    /// assert_eq!(tensor, Tensor::from([1u16, 0x203]));
    /// # Ok::<(), tensor::TensorError>(())
    /// ```
    ///
    /// # Errors
    /// As [`from_bytes`](Tensor::from_bytes).
    pub fn from_le_bytes(
        dtype: DType,
        shape: impl Into<Shape>,
        bytes: impl Into<Bytes>,
    ) -> Result<Tensor, TensorError> {
        let bytes = bytes.into();
        if cfg!(target_endian = "little") || !dtype.is_plain() {
            return Tensor::from_bytes(dtype, shape, bytes);
        }
        let mut bytes = bytes.to_vec();
        swap(dtype, &mut bytes);
        Tensor::from_bytes(dtype, shape, bytes)
    }
}

/// Reverses the bytes of each number. A complex element consists of two numbers.
fn swap(dtype: DType, bytes: &mut [u8]) {
    let unit = if dtype.is_complex() { dtype.size() / 2 } else { dtype.size() };
    bytes.chunks_exact_mut(unit).for_each(<[u8]>::reverse);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swapping_twice_changes_nothing() {
        for dtype in DType::all().filter(|dtype| dtype.is_plain()) {
            let bytes: Vec<u8> = (0..32).collect();
            let mut swapped = bytes.clone();
            swap(dtype, &mut swapped);
            let unit = if dtype.is_complex() { dtype.size() / 2 } else { dtype.size() };
            assert_eq!(usize::from(swapped[0]), unit - 1, "{dtype}");
            swap(dtype, &mut swapped);
            assert_eq!(swapped, bytes);
        }
    }

    #[test]
    fn swapping_round_trips() {
        let a = Tensor::from([1.5f64, -2.0]);
        let bytes = a.to_le_bytes().unwrap().into_owned();
        assert_eq!(bytes[..8], 1.5f64.to_le_bytes());
        assert_eq!(Tensor::from_le_bytes(DType::Float64, [2], bytes), Ok(a));
        assert!(Tensor::from("a").to_le_bytes().is_err());
        assert!(Tensor::from_le_bytes(DType::String, [0], vec![]).is_err());
    }
}
