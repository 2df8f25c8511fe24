//! Conversions from and to `ndarray` arrays.

use crate::{Element, Shape, Tensor, TensorError};
use ndarray::{Array, ArrayD, ArrayViewD, Dimension, IxDyn};

/// Takes over the memory of an array in standard layout. Any other layout is copied into it.
impl<T: Element, D: Dimension> From<Array<T, D>> for Tensor {
    fn from(array: Array<T, D>) -> Tensor {
        let shape = Shape::new(array.shape());
        let values = if array.is_standard_layout() {
            let len = array.len();
            let (mut values, offset) = array.into_raw_vec_and_offset();
            // A sliced array keeps the elements that the slice left out.
            values.drain(..offset.unwrap_or(0));
            values.truncate(len);
            values
        } else {
            array.iter().copied().collect()
        };
        Tensor::from_vec(values, shape).expect("an array has as many elements as its shape")
    }
}

impl Tensor {
    /// Returns a view of the elements as an `ndarray` array.
    ///
    /// ```
    /// use tensor::Tensor;
    /// let tensor = Tensor::from([[1.0f32, 2.0], [3.0, 4.0]]);
    /// assert_eq!(tensor.as_ndarray::<f32>()?[[1, 0]], 3.0);
    /// # Ok::<(), tensor::TensorError>(())
    /// ```
    ///
    /// # Errors
    /// [`TensorError::DType`] if the elements are not `T`.
    pub fn as_ndarray<T: Element>(&self) -> Result<ArrayViewD<'_, T>, TensorError> {
        ArrayViewD::from_shape(IxDyn(self.shape()), self.as_slice()?).map_err(|_| self.too_large())
    }

    /// Copies the elements into an `ndarray` array.
    ///
    /// ```
    /// use tensor::Tensor;
    /// let array = Tensor::from([1.0f32, 2.0]).to_ndarray::<f32>()?;
    /// assert_eq!(array.sum(), 3.0);
    /// # Ok::<(), tensor::TensorError>(())
    /// ```
    ///
    /// # Errors
    /// As [`as_ndarray`](Tensor::as_ndarray).
    pub fn to_ndarray<T: Element>(&self) -> Result<ArrayD<T>, TensorError> {
        ArrayD::from_shape_vec(IxDyn(self.shape()), self.to_vec()?).map_err(|_| self.too_large())
    }

    fn too_large(&self) -> TensorError {
        TensorError::TooLarge { shape: self.shape().clone(), dtype: self.dtype() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array, s};

    #[test]
    fn owned_arrays_in_standard_layout_are_not_copied() {
        let array = array![[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let place = array.as_ptr();
        let tensor = Tensor::from(array.clone());
        assert_eq!(tensor.to_ndarray::<f32>().unwrap(), array.clone().into_dyn());
        let place_of_clone = Tensor::from(array);
        assert_eq!(place_of_clone.as_slice::<f32>().unwrap().as_ptr(), place);
    }

    #[test]
    fn other_layouts_are_put_in_order() {
        let array = array![[1i32, 2, 3], [4, 5, 6]];
        assert_eq!(Tensor::from(array.clone().reversed_axes()), Tensor::from([[1, 4], [2, 5], [3, 6]]));
        let mut tail = array.clone();
        tail.slice_collapse(s![1.., ..]);
        assert_eq!(Tensor::from(tail), Tensor::from([[4, 5, 6]]));
        let mut column = array;
        column.slice_collapse(s![.., 1..2]);
        assert_eq!(Tensor::from(column), Tensor::from([[2], [5]]));
        assert_eq!(Tensor::from(Array2::<u8>::zeros((0, 3))).shape(), &[0, 3]);
        assert_eq!(Tensor::from(ndarray::arr0(7u16)), Tensor::scalar(7u16));
    }

    #[test]
    fn views_share_memory_or_are_refused() {
        let tensor = Tensor::from([[true, false]]);
        let view = tensor.as_ndarray::<bool>().unwrap();
        assert_eq!(view.shape(), [1, 2]);
        assert_eq!(view.as_ptr(), tensor.as_slice::<bool>().unwrap().as_ptr());
        assert!(matches!(tensor.as_ndarray::<u8>(), Err(TensorError::DType { .. })));
        let largest = Tensor::zeros(crate::DType::Float32, [0, isize::MAX as usize]).unwrap();
        assert_eq!(largest.to_ndarray::<f32>().unwrap().shape(), [0, isize::MAX as usize]);
    }
}
