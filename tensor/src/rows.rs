//! Splitting and joining of tensors along the first dimension.

use crate::buffer::Buffer;
use crate::{Bytes, DType, Shape, Tensor, TensorError, memory};

impl Tensor {
    /// Iterates over the entries along the first dimension. The entries drop that dimension and share the
    /// elements.
    ///
    /// ```
    /// use tensor::Tensor;
    /// let a = Tensor::from([[1i32, 2], [3, 4]]);
    /// let sums: Vec<i32> = a.iter_rows()?.map(|row| row.as_slice::<i32>().unwrap().iter().sum()).collect();
    /// assert_eq!(sums, [3, 7]);
    /// # Ok::<(), tensor::TensorError>(())
    /// ```
    ///
    /// # Errors
    /// [`TensorError::Rows`] for a scalar.
    pub fn iter_rows(&self) -> Result<impl ExactSizeIterator<Item = Tensor> + '_, TensorError> {
        let Some((&rows, inner)) = self.shape().split_first() else {
            return Err(TensorError::Rows { start: 0, end: 0, shape: Shape::scalar() });
        };
        let shape = Shape::new(inner);
        Ok((0..rows).map(move |row| {
            let row = self.rows(row, row + 1).expect("the row is one of the tensor's");
            row.reshaped(shape.clone()).expect("a dimension of 1 changes no count")
        }))
    }

    /// Stacks tensors of one dtype and shape along a new first dimension. The elements are copied.
    ///
    /// ```
    /// use tensor::Tensor;
    /// let pair = Tensor::stack(&[Tensor::from([1, 2]), Tensor::from([3, 4])])?;
    /// assert_eq!(pair, Tensor::from([[1, 2], [3, 4]]));
    /// # Ok::<(), tensor::TensorError>(())
    /// ```
    ///
    /// # Errors
    /// [`TensorError::NoTensors`] for an empty slice; [`TensorError::DType`] and [`TensorError::Shapes`] if a
    /// tensor differs from the first; [`TensorError::NotPlain`] for handles; [`TensorError::TooLarge`] and
    /// [`TensorError::NoMemory`].
    pub fn stack(tensors: &[Tensor]) -> Result<Tensor, TensorError> {
        let first = tensors.first().ok_or(TensorError::NoTensors)?;
        for tensor in tensors {
            if tensor.shape() != first.shape() {
                return Err(shapes(first, tensor));
            }
        }
        let dims = [tensors.len()].into_iter().chain(first.shape().iter().copied());
        joined(tensors, first.dtype(), dims.collect())
    }

    /// Concatenates tensors of one dtype along the first dimension, in which alone their shapes may differ.
    /// The elements are copied.
    ///
    /// ```
    /// use tensor::Tensor;
    /// let joined = Tensor::concat_rows(&[Tensor::from([1, 2]), Tensor::from([3])])?;
    /// assert_eq!(joined, Tensor::from([1, 2, 3]));
    /// # Ok::<(), tensor::TensorError>(())
    /// ```
    ///
    /// # Errors
    /// As [`stack`](Tensor::stack); [`TensorError::Rows`] if the first is a scalar.
    pub fn concat_rows(tensors: &[Tensor]) -> Result<Tensor, TensorError> {
        let first = tensors.first().ok_or(TensorError::NoTensors)?;
        let Some((_, inner)) = first.shape().split_first() else {
            return Err(TensorError::Rows { start: 0, end: 0, shape: Shape::scalar() });
        };
        let mut rows = 0usize;
        for tensor in tensors {
            match tensor.shape().split_first() {
                // Shapes without elements may have any number of rows, so the sum can overflow.
                Some((more, other)) if other == inner => rows = rows.saturating_add(*more),
                _ => return Err(shapes(first, tensor)),
            }
        }
        joined(tensors, first.dtype(), [rows].into_iter().chain(inner.iter().copied()).collect())
    }
}

fn shapes(expected: &Tensor, found: &Tensor) -> TensorError {
    TensorError::Shapes { expected: expected.shape().clone(), found: found.shape().clone() }
}

/// Copies the elements of all tensors, in order, into a tensor of the given shape.
fn joined(tensors: &[Tensor], dtype: DType, shape: Shape) -> Result<Tensor, TensorError> {
    if let Some(other) = tensors.iter().find(|tensor| tensor.dtype() != dtype) {
        return Err(TensorError::DType { expected: dtype, found: other.dtype() });
    }
    if dtype == DType::String {
        let mut strings: Vec<Bytes> = memory::reserve(tensors.iter().map(Tensor::elements).sum())?;
        tensors.iter().for_each(|tensor| strings.extend_from_slice(tensor.as_strings().unwrap_or_default()));
        return Tensor::from_strings(strings, shape);
    }
    let parts: Vec<&[u8]> = tensors.iter().map(Tensor::as_bytes).collect::<Result<_, _>>()?;
    let len = crate::tensor::byte_len(dtype, &shape)?;
    // From the system rather than from a pool: the result may live as long as the program.
    let mut buffer = Buffer::zeroed(len).map_err(|error| error.of_tensor(&shape, dtype))?;
    let mut rest = buffer.bytes_mut().expect("new memory is writable");
    for part in parts {
        let (here, after) = rest.split_at_mut(part.len());
        here.copy_from_slice(part);
        rest = after;
    }
    Ok(Tensor::plain(dtype, shape, buffer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_lose_their_dimension_and_share_memory() {
        let a = Tensor::from([[1u8, 2], [3, 4], [5, 6]]);
        let rows: Vec<Tensor> = a.iter_rows().unwrap().collect();
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[2], Tensor::from([5u8, 6]));
        assert!(rows[0].is_same(&a));
        assert_eq!(Tensor::from(Vec::<f32>::new()).iter_rows().unwrap().len(), 0);
        assert!(matches!(Tensor::scalar(1i32).iter_rows().err(), Some(TensorError::Rows { .. })));
    }

    #[test]
    fn tensors_are_stacked_and_concatenated() {
        let (a, b) = (Tensor::from([1i16, 2]), Tensor::from([3i16, 4]));
        assert_eq!(Tensor::stack(&[a.clone(), b.clone()]), Ok(Tensor::from([[1i16, 2], [3, 4]])));
        assert_eq!(Tensor::concat_rows(&[a.clone(), b]), Ok(Tensor::from([1i16, 2, 3, 4])));
        let scalars = Tensor::stack(&[Tensor::string("x"), Tensor::string("y")]).unwrap();
        assert_eq!(scalars, Tensor::from(&["x", "y"][..]));
        let wide =
            Tensor::concat_rows(&[Tensor::from([[1u8, 2]]), Tensor::from([[3u8, 4], [5, 6]])]).unwrap();
        assert_eq!(wide, Tensor::from([[1u8, 2], [3, 4], [5, 6]]));
        assert_eq!(Tensor::concat_rows(&[a.clone(), a.rows(0, 0).unwrap()]), Ok(a));
    }

    #[test]
    fn incompatible_tensors_are_refused() {
        let a = Tensor::from([1i16, 2]);
        assert_eq!(Tensor::stack(&[]), Err(TensorError::NoTensors));
        assert_eq!(Tensor::concat_rows(&[]), Err(TensorError::NoTensors));
        assert!(matches!(Tensor::stack(&[a.clone(), Tensor::from([1i16])]), Err(TensorError::Shapes { .. })));
        assert!(matches!(
            Tensor::stack(&[a.clone(), Tensor::from([1i32, 2])]),
            Err(TensorError::DType { .. })
        ));
        assert!(matches!(
            Tensor::concat_rows(&[a.clone(), Tensor::from([[1i16]])]),
            Err(TensorError::Shapes { .. })
        ));
        assert!(matches!(Tensor::concat_rows(&[Tensor::scalar(1)]), Err(TensorError::Rows { .. })));
        let handle = Tensor::from_handle(DType::Resource, std::sync::Arc::new(1));
        assert!(matches!(Tensor::stack(&[handle]), Err(TensorError::NotPlain { .. })));
    }

    #[test]
    fn rows_without_elements_add_up_without_memory() {
        let empty = Tensor::zeros(DType::Float32, [1 << 61, 0]).unwrap();
        let joined = Tensor::concat_rows(&[empty.clone(), empty]).unwrap();
        assert_eq!(joined.shape(), &[1 << 62, 0]);
        let error = Tensor::concat_rows(&[joined.clone(), joined]).unwrap_err();
        assert!(matches!(error, TensorError::TooLarge { .. }), "{error}");
    }
}
