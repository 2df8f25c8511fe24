//! Serialized positions of iterators.

use session_core::{Code, Error, Result};
use tensor::{Bytes, DType, Shape, Tensor, memory};

/// Writes a position.
#[derive(Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn integer(&mut self, number: i64) {
        self.number(number.cast_unsigned());
    }

    pub(super) fn flag(&mut self, flag: bool) {
        self.0.push(flag.into());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// Bytes whose number the reader knows.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// A value; handles, as of datasets inside of elements, have none.
    pub(super) fn tensor(&mut self, tensor: &Tensor) -> Result<()> {
        self.integer(tensor.dtype().number().into());
        self.number(tensor.shape().rank() as u64);
        tensor.shape().iter().for_each(|&size| self.number(size as u64));
        if tensor.dtype() == DType::String {
            tensor.as_strings()?.iter().for_each(|text| self.bytes(text));
            return Ok(());
        }
        if !tensor.dtype().is_plain() {
            return Err(unsavable(tensor.dtype()));
        }
        self.bytes(&tensor.to_le_bytes()?);
        Ok(())
    }

    pub(super) fn element(&mut self, element: &[Tensor]) -> Result<()> {
        self.number(element.len() as u64);
        element.iter().try_for_each(|component| self.tensor(component))
    }

    pub(super) fn option<T>(
        &mut self,
        value: Option<T>,
        write: impl FnOnce(&mut Self, T) -> Result<()>,
    ) -> Result<()> {
        self.flag(value.is_some());
        value.map_or(Ok(()), |value| write(self, value))
    }

    pub(super) fn list<T>(
        &mut self,
        items: impl ExactSizeIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T) -> Result<()>,
    ) -> Result<()> {
        self.number(items.len() as u64);
        items.into_iter().try_for_each(|item| write(self, item))
    }
}

/// The error for what cannot be written; an iterator that holds such a thing is replayed from its beginning instead.
pub(super) fn unsavable(what: impl std::fmt::Display) -> Error {
    Error::new(
        Code::Unimplemented,
        format!("the position of an iterator that holds a {what} cannot be written"),
    )
}

/// Reads what a [`Writer`] wrote.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn raw(&mut self, count: usize) -> Result<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or_else(damaged)?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(super) fn number(&mut self) -> Result<u64> {
        let bytes = self.raw(8)?;
        Ok(u64::from_le_bytes(bytes.try_into().map_err(|_| damaged())?))
    }

    pub(super) fn size(&mut self) -> Result<usize> {
        usize::try_from(self.number()?).map_err(|_| damaged())
    }

    pub(super) fn integer(&mut self) -> Result<i64> {
        Ok(self.number()?.cast_signed())
    }

    pub(super) fn flag(&mut self) -> Result<bool> {
        Ok(self.raw(1)? != [0])
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8]> {
        let count = self.size()?;
        self.raw(count)
    }

    pub(super) fn tensor(&mut self) -> Result<Tensor> {
        let number = i32::try_from(self.integer()?).map_err(|_| damaged())?;
        let dtype = DType::from_number(number).ok_or_else(damaged)?;
        let rank = self.size()?;
        if rank > self.0.len() {
            return Err(damaged());
        }
        let dims = (0..rank).map(|_| self.size()).collect::<Result<Vec<usize>>>()?;
        let shape = Shape::from(dims);
        let elements = shape.checked_elements().ok_or_else(damaged)?;
        if dtype == DType::String {
            if elements > self.0.len() {
                return Err(damaged());
            }
            let mut strings = memory::reserve(elements)?;
            for _ in 0..elements {
                strings.push(Bytes::copy_from_slice(self.bytes()?));
            }
            return Ok(Tensor::from_strings(strings, shape)?);
        }
        Ok(Tensor::from_le_bytes(dtype, shape, self.bytes()?.to_vec())?)
    }

    pub(super) fn element(&mut self) -> Result<Vec<Tensor>> {
        self.list(Self::tensor)
    }

    pub(super) fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        if self.flag()? { read(self).map(Some) } else { Ok(None) }
    }

    pub(super) fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = self.size()?;
        // Each item takes at least a byte.
        if count > self.0.len() {
            return Err(damaged());
        }
        (0..count).map(|_| read(self)).collect()
    }
}

pub(super) fn damaged() -> Error {
    Error::new(
        Code::DataLoss,
        "the position of an iterator in the checkpoint is damaged or of another pipeline",
    )
}
