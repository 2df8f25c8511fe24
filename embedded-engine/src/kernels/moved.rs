//! Elements that a kernel moves without interpreting them: the bits of numbers, and strings.
//!
//! Gathers, transposes, and slices are instantiated once per bit width instead of once per dtype, which keeps the program small.

use crate::kernel::KernelContext;
use session_core::{Error, Result};
use tensor::{Bits, Bytes, Complex, DType, Shape, Tensor, memory};

impl KernelContext<'_> {
    /// Returns the elements of an input that are only moved.
    #[inline]
    pub(crate) fn moved<T: Moved>(&self, index: usize) -> Result<&[T]> {
        T::elements(self.input(index))
    }

    /// Returns the element of an input of one.
    pub(crate) fn moved_value<T: Moved>(&self, index: usize) -> Result<T> {
        match self.moved::<T>(index)? {
            [value] => Ok(value.clone()),
            _ => Err(Error::invalid_argument(format!("input {index} must be a scalar"))),
        }
    }

    /// Works as [`produce`](Self::produce), for kernels that move elements without looking at them.
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
    /// Returns the elements of a tensor.
    fn elements(tensor: &Tensor) -> Result<&[Self]>;

    /// Returns a new tensor that `write` fills; its elements are arbitrary before.
    fn made(
        context: &KernelContext<'_>,
        dtype: DType,
        shape: Shape,
        write: impl FnOnce(&mut [Self]) -> Result<()>,
    ) -> Result<Tensor>;

    /// Calls `write` to change some elements of a value, which is copied first if it is shared.
    fn changed(
        context: &KernelContext<'_>,
        value: &mut Tensor,
        write: impl FnOnce(&mut [Self]) -> Result<()>,
    ) -> Result<()>;
}

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
