//! Elements that a kernel moves without interpreting them: the bits of numbers, and strings.
//!
//! Gathers, transposes, and slices are instantiated once per bit width instead of once per dtype, which keeps
//! the program small.
//!
//! `Bytes` is the one type that is not a fixed number of bits: strings are cloned handles, from ordinary
//! memory instead of the pool.
//!
//! # Example
//!
//! ```text
//! for_dtype!(moved dtype, T => Ok(boxed(reverse::<T>)))       // u8, u16, u32, u64, Complex<f64>, Bytes
//!
//! context.produce_moved::<T>(0, dtype, shape, |context, output| {
//!     let input = context.moved::<T>(0)?;
//!     ...
//! })
//! ```
//!
//! A `float32` thereby is a `u32` in the loop. NaN and negative zeros keep their bits.

use crate::kernel::KernelContext;
use session_core::{Error, Result};
use tensor::{Bits, Bytes, Complex, DType, Shape, Tensor, memory};

impl KernelContext<'_> {
    /// Returns the elements of an input that are only moved.
    ///
    /// # Errors
    /// An error if the width of the dtype is not that of `T`.
    #[inline]
    pub(crate) fn moved<T: Moved>(&self, index: usize) -> Result<&[T]> {
        T::elements(self.input(index))
    }

    /// Returns the single element of an input.
    ///
    /// # Errors
    /// `InvalidArgument` for an input of none or several elements.
    pub(crate) fn moved_value<T: Moved>(&self, index: usize) -> Result<T> {
        match self.moved::<T>(index)? {
            [value] => Ok(value.clone()),
            _ => Err(Error::invalid_argument(format!("input {index} must be a scalar"))),
        }
    }

    /// Works as [`produce`](Self::produce), for kernels that move elements without looking at them.
    ///
    /// `dtype` must have the width of `T`; nothing else connects the two. `write` must set every element.
    pub(crate) fn produce_moved<T: Moved>(
        &mut self,
        output: usize,
        dtype: DType,
        shape: impl Into<Shape>,
        write: impl FnOnce(&Self, &mut [T]) -> Result<()>,
    ) -> Result<()> {
        let tensor = T::made(self, dtype, shape.into(), |elements| write(self, elements))?;
        self.set(output, tensor);
        Ok(())
    }
}

/// An element that is copied as it is. [`for_dtype!`](crate::kernels) finds the type of a dtype with `moved`.
pub(crate) trait Moved: Clone + Default + Send + Sync + 'static {
    /// Returns the elements of a tensor in row-major order.
    ///
    /// # Errors
    /// An error if the width of the dtype is not that of the type.
    fn elements(tensor: &Tensor) -> Result<&[Self]>;

    /// Returns a new tensor that `write` fills; its elements are arbitrary before, or empty strings.
    ///
    /// # Errors
    /// `ResourceExhausted`, and those of `write`.
    fn made(
        context: &KernelContext<'_>,
        dtype: DType,
        shape: Shape,
        write: impl FnOnce(&mut [Self]) -> Result<()>,
    ) -> Result<Tensor>;

    /// Calls `write` to change some elements of a value. The value is copied first if something else shares
    /// it, so others never see the change.
    ///
    /// # Errors
    /// `ResourceExhausted`, and those of `write`, after which the value may be changed in part.
    fn changed(
        context: &KernelContext<'_>,
        value: &mut Tensor,
        write: impl FnOnce(&mut [Self]) -> Result<()>,
    ) -> Result<()>;
}

/// Sixteen bytes are moved as a complex number, the only plain type of that width.
macro_rules! bits {
    ($($type:ty),*) => {$(
        impl Moved for $type {
            fn elements(tensor: &Tensor) -> Result<&[Self]> {
                Ok(tensor.as_bits()?)
            }

            fn made(
                context: &KernelContext<'_>,
                dtype: DType,
                shape: Shape,
                write: impl FnOnce(&mut [Self]) -> Result<()>,
            ) -> Result<Tensor> {
                let mut tensor = Tensor::from_pool_dtype(context.buffers(), dtype, shape)?;
                write_bits(&mut tensor, write)?;
                Ok(tensor)
            }

            fn changed(
                context: &KernelContext<'_>,
                value: &mut Tensor,
                write: impl FnOnce(&mut [Self]) -> Result<()>,
            ) -> Result<()> {
                if !value.is_writable() {
                    *value = value.copied(context.buffers())?;
                }
                write_bits(value, write)
            }
        }
    )*};
}

bits!(u8, u16, u32, u64, Complex<f64>);

/// Calls `write` with the elements of a tensor that has one owner and the width of `T`, which both callers
/// ensure.
fn write_bits<T: Bits>(tensor: &mut Tensor, write: impl FnOnce(&mut [T]) -> Result<()>) -> Result<()> {
    tensor.write_bits(write).expect("new memory has one owner, its elements the right size")
}

impl Moved for Bytes {
    fn elements(tensor: &Tensor) -> Result<&[Self]> {
        Ok(tensor.as_strings()?)
    }

    fn made(
        _: &KernelContext<'_>,
        _: DType,
        shape: Shape,
        write: impl FnOnce(&mut [Self]) -> Result<()>,
    ) -> Result<Tensor> {
        let mut strings = memory::filled(Bytes::new(), shape.elements())?;
        write(&mut strings)?;
        Ok(Tensor::from_strings(strings, shape)?)
    }

    fn changed(
        _: &KernelContext<'_>,
        value: &mut Tensor,
        write: impl FnOnce(&mut [Self]) -> Result<()>,
    ) -> Result<()> {
        let mut strings = memory::collected(value.as_strings()?.iter().cloned())?;
        write(&mut strings)?;
        *value = Tensor::from_strings(strings, value.shape())?;
        Ok(())
    }
}
