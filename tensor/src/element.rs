//! The Rust types of tensor elements.

use crate::DType;
use half::{bf16, f16};
use num_complex::Complex;

mod sealed {
    pub trait Sealed {}
}

/// A Rust type whose values are the elements of a plain tensor: `f32`, `f64`, `half::f16`, `half::bf16`, all
/// integer types from 8 to 64 bits, `bool`, and `num_complex::Complex` over `f32` and `f64`. The trait is
/// sealed, because buffers rely on the layout of its types.
///
/// ```
/// use tensor::{DType, Element, Tensor};
/// fn zeros<T: Element + Default>(len: usize) -> Tensor {
///     Tensor::full(T::default(), [len])
/// }
/// assert_eq!(zeros::<f32>(3).dtype(), DType::Float32);
/// assert_eq!(i64::DTYPE, DType::Int64);
/// ```
pub trait Element:
    sealed::Sealed + Copy + Default + PartialEq + std::fmt::Debug + Send + Sync + 'static
{
    /// The dtype of tensors with elements of this type.
    const DTYPE: DType;
}

macro_rules! elements {
    ($($type:ty => $dtype:ident),* $(,)?) => {$(
        impl sealed::Sealed for $type {}
        impl Element for $type {
            const DTYPE: DType = DType::$dtype;
        }
    )*};
}

elements! {
    f32 => Float32, f64 => Float64, f16 => Float16, bf16 => BFloat16,
    i8 => Int8, i16 => Int16, i32 => Int32, i64 => Int64,
    u8 => UInt8, u16 => UInt16, u32 => UInt32, u64 => UInt64,
    bool => Bool, Complex<f32> => Complex64, Complex<f64> => Complex128,
}

/// A type that represents the bits of every plain dtype of its size, for code that moves elements without
/// interpreting them: `u8`, `u16`, `u32`, `u64`, and `Complex<f64>` for 16 bytes.
pub trait Bits: Element {}

impl Bits for u8 {}
impl Bits for u16 {}
impl Bits for u32 {}
impl Bits for u64 {}
impl Bits for Complex<f64> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes_agree<T: Element>() {
        assert_eq!(size_of::<T>(), T::DTYPE.size(), "{}", T::DTYPE);
        assert!(align_of::<T>() <= 16);
    }

    #[test]
    fn rust_sizes_are_the_dtypes_sizes() {
        sizes_agree::<f32>();
        sizes_agree::<f64>();
        sizes_agree::<f16>();
        sizes_agree::<bf16>();
        sizes_agree::<i8>();
        sizes_agree::<i16>();
        sizes_agree::<i32>();
        sizes_agree::<i64>();
        sizes_agree::<u8>();
        sizes_agree::<u16>();
        sizes_agree::<u32>();
        sizes_agree::<u64>();
        sizes_agree::<bool>();
        sizes_agree::<Complex<f32>>();
        sizes_agree::<Complex<f64>>();
    }
}
