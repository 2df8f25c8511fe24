//! Serialized positions of iterators.
//!
//! A position is a sequence of values without tags, in the order in which nested iterators write them:
//!
//! | value | bytes |
//! | --- | --- |
//! | number, integer | 8, little-endian; signed integers in two's complement |
//! | flag | 1: 0 is false |
//! | text | its length as a number, then the bytes |
//! | tensor | number of the dtype, rank, sizes, then one text with its data; of strings one text for each |
//! | element, list | the number of items, then the items |
//! | option | a flag, then the value if the flag is set |
//!
//! Positions are part of the sidecar next to a checkpoint. They come from files, so [`Reader`] trusts none of
//! the counts: it compares each with the bytes that are left before it reserves memory.
//!
//! The states of `Range > Map > Take` with a count of 10, after six elements:
//!
//! ```text
//!  04 00 00 00 00 00 00 00     Take: the elements left
//!  06 00 00 00 00 00 00 00     Map: the elements so far
//!  06 00 00 00 00 00 00 00     Range: the number of the next element
//!  00 00 00 00 00 00 00 00     operations in functions: none
//! ```

use session_core::{Code, Error, Result};
use std::sync::Arc;
use tensor::{Bytes, DType, Shape, Tensor, memory};

/// Collects a position. Values are only referred to until a caller requests the [`bytes`](Writer::bytes), so
/// an iterator that notes its position after every element copies none of the elements that it holds.
///
/// A clone is cheap as well: values and parts are shared. Tensors are immutable, which makes the reference as
/// good as a copy.
#[derive(Clone, Default)]
pub(super) struct Writer {
    /// The bytes so far, without the parts in `later`.
    bytes: Vec<u8>,
    /// The parts that belong into the bytes before these places, in ascending order; several may have one
    /// place.
    later: Vec<(usize, Later)>,
}

/// A part of a position that is written when its bytes are requested.
#[derive(Clone)]
enum Later {
    /// A value, which is immutable and therefore only referred to.
    Value(Tensor),
    /// A closure that writes the part.
    Part(Part),
}

/// Writes a part of a position, possibly in another thread and long after the iterator has moved on.
type Part = Arc<dyn Fn(&mut Writer) -> Result<()> + Send + Sync>;

/// Values of more bytes are referred to. Smaller ones, such as labels and counters, cost less as copies than
/// the entry in `later` with its reference count.
const COPIED: usize = 64;

impl Writer {
    /// Returns the position as bytes, and leaves the writer unchanged.
    ///
    /// Called when a checkpoint is written, for one position of many that were noted. Costs one copy of all
    /// values.
    ///
    /// # Errors
    ///
    /// The first error of a part, such as [`unsavable`].
    pub(super) fn bytes(&self) -> Result<Vec<u8>> {
        // A lower bound: the sizes of referred values are known only while they are written.
        let mut all = Vec::with_capacity(self.bytes.len());
        let mut done = 0;
        for (place, later) in &self.later {
            all.extend_from_slice(&self.bytes[done..*place]);
            done = *place;
            match later {
                Later::Value(tensor) => write_value(&mut all, tensor)?,
                Later::Part(part) => {
                    // Parts may have parts of their own: the buffer of a shuffle inside a cache.
                    let mut to = Writer::default();
                    part(&mut to)?;
                    all.extend(to.bytes()?);
                }
            }
        }
        all.extend_from_slice(&self.bytes[done..]);
        Ok(all)
    }

    /// Writes a part when the bytes are requested. The result must not depend on when that is: the closure
    /// captures a snapshot ([`View`](super::ring::View)), or a list that only grows together with its present
    /// length.
    pub(super) fn later(&mut self, part: impl Fn(&mut Writer) -> Result<()> + Send + Sync + 'static) {
        self.later.push((self.bytes.len(), Later::Part(Arc::new(part))));
    }

    /// Writes what another writer has collected, including its parts that are still to be written.
    pub(super) fn append(&mut self, other: &Writer) {
        // The places of the other writer count from its own beginning.
        let first = self.bytes.len();
        self.later.extend(other.later.iter().map(|(place, later)| (first + place, later.clone())));
        self.raw(&other.bytes);
    }

    /// Writes an unsigned number in eight bytes, little-endian.
    pub(super) fn number(&mut self, number: u64) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    /// Writes a signed number in eight bytes, in two's complement.
    pub(super) fn integer(&mut self, number: i64) {
        self.number(number.cast_unsigned());
    }

    /// Writes a flag in one byte.
    pub(super) fn flag(&mut self, flag: bool) {
        self.bytes.push(flag.into());
    }

    /// Writes bytes with their length.
    pub(super) fn text(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.raw(bytes);
    }

    /// Writes bytes whose number the reader knows, such as the state of a generator.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Writes a tensor: dtype, shape and data. Values of up to 64 bytes are copied at once, others are
    /// referred to.
    ///
    /// # Errors
    ///
    /// `Unimplemented` for handles and variants, such as datasets inside elements: they have no bytes.
    pub(super) fn tensor(&mut self, tensor: &Tensor) -> Result<()> {
        let is_string = tensor.dtype() == DType::String;
        if !tensor.dtype().is_plain() && !is_string {
            return Err(unsavable(tensor.dtype()));
        }
        // The length of strings in bytes is not known without a walk over them, so they are always referred
        // to.
        if !is_string && tensor.byte_len() <= COPIED {
            return write_value(&mut self.bytes, tensor);
        }
        self.later.push((self.bytes.len(), Later::Value(tensor.clone())));
        Ok(())
    }

    /// Writes an element: the number of its components, then each of them.
    pub(super) fn element(&mut self, element: &[Tensor]) -> Result<()> {
        self.number(element.len() as u64);
        element.iter().try_for_each(|component| self.tensor(component))
    }

    /// Writes a flag, and the value if there is one.
    pub(super) fn option<T>(
        &mut self,
        value: Option<T>,
        write: impl FnOnce(&mut Self, T) -> Result<()>,
    ) -> Result<()> {
        self.flag(value.is_some());
        value.map_or(Ok(()), |value| write(self, value))
    }

    /// Writes the number of items, then each of them with `write`, and stops at the first error.
    pub(super) fn list<T>(
        &mut self,
        items: impl ExactSizeIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T) -> Result<()>,
    ) -> Result<()> {
        self.number(items.len() as u64);
        items.into_iter().try_for_each(|item| write(self, item))
    }
}

/// Writes dtype, shape and elements of a tensor, the elements in little-endian order whatever the machine is.
fn write_value(to: &mut Vec<u8>, tensor: &Tensor) -> Result<()> {
    let number = |to: &mut Vec<u8>, number: u64| to.extend_from_slice(&number.to_le_bytes());
    number(to, i64::from(tensor.dtype().number()).cast_unsigned());
    number(to, tensor.shape().rank() as u64);
    tensor.shape().iter().for_each(|&size| number(to, size as u64));
    // A string tensor has one text for each string, others have one for all elements.
    let mut text = |bytes: &[u8]| {
        number(to, bytes.len() as u64);
        to.extend_from_slice(bytes);
    };
    if tensor.dtype() == DType::String {
        tensor.as_strings()?.iter().for_each(|string| text(string));
    } else {
        text(&tensor.to_le_bytes()?);
    }
    Ok(())
}

/// Returns the error for a position that cannot be written. An iterator with such a position is replayed from
/// its beginning instead.
///
/// `what` completes "an iterator that holds a ...": "generator", "failed input".
pub(super) fn unsavable(what: impl std::fmt::Display) -> Error {
    Error::new(
        Code::Unimplemented,
        format!("the position of an iterator that holds a {what} cannot be written"),
    )
}

/// Reads what a [`Writer`] wrote. Holds the bytes that are left; every read removes its bytes from the front.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Begins to read a position.
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    /// Returns true if all bytes were read.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads `count` bytes, or fails as [`damaged`] if fewer are left.
    pub(super) fn raw(&mut self, count: usize) -> Result<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or_else(damaged)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// Reads a number.
    pub(super) fn number(&mut self) -> Result<u64> {
        let bytes = self.raw(8)?;
        Ok(u64::from_le_bytes(bytes.try_into().map_err(|_| damaged())?))
    }

    /// Reads a number that must fit into `usize`.
    pub(super) fn size(&mut self) -> Result<usize> {
        usize::try_from(self.number()?).map_err(|_| damaged())
    }

    /// Reads a signed number.
    pub(super) fn integer(&mut self) -> Result<i64> {
        Ok(self.number()?.cast_signed())
    }

    /// Reads a flag; every byte but 0 is true.
    pub(super) fn flag(&mut self) -> Result<bool> {
        Ok(self.raw(1)? != [0])
    }

    /// Reads bytes with their length. They borrow from the position.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8]> {
        let count = self.size()?;
        self.raw(count)
    }

    /// Reads a tensor. The length of its data must match its shape.
    ///
    /// # Errors
    ///
    /// [`damaged`] for an unknown dtype, an overflowing shape, or counts beyond the bytes that are left.
    pub(super) fn tensor(&mut self) -> Result<Tensor> {
        let number = i32::try_from(self.integer()?).map_err(|_| damaged())?;
        // Numbers are TensorFlow's, which never change.
        let dtype = DType::from_number(number).ok_or_else(damaged)?;
        let rank = self.size()?;
        // Each size takes eight bytes, so a rank above the bytes left is damage; without the check it would
        // reserve memory.
        if rank > self.0.len() {
            return Err(damaged());
        }
        let dims = (0..rank).map(|_| self.size()).collect::<Result<Vec<usize>>>()?;
        let shape = Shape::from(dims);
        let elements = shape.checked_elements().ok_or_else(damaged)?;
        if dtype == DType::String {
            // Each string takes at least its length, for the same reason.
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

    /// Reads an element.
    pub(super) fn element(&mut self) -> Result<Vec<Tensor>> {
        self.list(Self::tensor)
    }

    /// Reads a flag, and with `read` the value if the flag is set.
    pub(super) fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        if self.flag()? { read(self).map(Some) } else { Ok(None) }
    }

    /// Reads the number of items, then each of them with `read`, and stops at the first error.
    pub(super) fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = self.size()?;
        // Each item takes at least a byte.
        if count > self.0.len() {
            return Err(damaged());
        }
        (0..count).map(|_| read(self)).collect()
    }
}

/// Returns the error for bytes that are not a position of this iterator: `DataLoss`. It also stands for
/// states that cannot occur, such as an index outside a buffer that was restored.
pub(super) fn damaged() -> Error {
    Error::new(
        Code::DataLoss,
        "the position of an iterator in the checkpoint is damaged or of another pipeline",
    )
}
