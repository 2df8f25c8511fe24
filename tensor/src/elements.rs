//! Iteration over the elements of any numeric tensor as numbers of one type.

use crate::{Complex, DType, Element, Tensor, bf16, f16};

impl Tensor {
    /// Returns the elements as numbers regardless of their dtype: 0 and 1 for bools, and the alternating real
    /// and imaginary parts of complex numbers. Returns `None` for strings, handles, and dtypes without a Rust
    /// type.
    ///
    /// ```
    /// use tensor::Tensor;
    /// let tensor = Tensor::from([1i64, -2]);
    /// assert_eq!(tensor.iter_f64().unwrap().collect::<Vec<f64>>(), [1.0, -2.0]);
    /// assert!(Tensor::from("text").iter_f64().is_none());
    /// ```
    #[must_use]
    pub fn iter_f64(&self) -> Option<Box<dyn Iterator<Item = f64> + '_>> {
        fn plain<'t, T: Element>(
            tensor: &'t Tensor,
            to: fn(T) -> f64,
        ) -> Option<Box<dyn Iterator<Item = f64> + 't>> {
            Some(Box::new(tensor.as_slice::<T>().ok()?.iter().map(move |&value| to(value))))
        }
        match self.dtype() {
            DType::Float32 => plain::<f32>(self, f64::from),
            DType::Float64 => plain::<f64>(self, |value| value),
            DType::Float16 => plain::<f16>(self, f64::from),
            DType::BFloat16 => plain::<bf16>(self, f64::from),
            DType::Int8 => plain::<i8>(self, f64::from),
            DType::Int16 => plain::<i16>(self, f64::from),
            DType::Int32 => plain::<i32>(self, f64::from),
            DType::Int64 => plain::<i64>(self, |value| value as f64),
            DType::UInt8 => plain::<u8>(self, f64::from),
            DType::UInt16 => plain::<u16>(self, f64::from),
            DType::UInt32 => plain::<u32>(self, f64::from),
            DType::UInt64 => plain::<u64>(self, |value| value as f64),
            DType::Bool => plain::<bool>(self, |value| f64::from(u8::from(value))),
            DType::Complex64 => {
                let values = self.as_slice::<Complex<f32>>().ok()?;
                Some(Box::new(values.iter().flat_map(|value| [f64::from(value.re), f64::from(value.im)])))
            }
            DType::Complex128 => {
                let values = self.as_slice::<Complex<f64>>().ok()?;
                Some(Box::new(values.iter().flat_map(|value| [value.re, value.im])))
            }
            _ => None,
        }
    }
}
