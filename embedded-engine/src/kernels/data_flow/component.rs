//! One component of an element.
//!
//! An enqueue-many of a batch puts in rows that refer to the batch, and a dequeue-many of the same rows
//! returns a part of it: neither copies. A row keeps its whole batch in memory, which is limited where
//! elements may stay long ([`SHARED`]).

use session_core::{Error, Result};
use tensor::{Bits, BufferPool, Bytes, Shape, Tensor};

/// A tensor, or an entry of a batch that was put in as a whole: taking a batch apart costs next to nothing,
/// and entries that come out together again need not be copied.
#[derive(Clone)]
pub(super) enum Component {
    /// A tensor of its own.
    Whole(Tensor),
    /// One entry of a batch along its first dimension: the batch, and the index of the entry, which is below
    /// the size of that dimension.
    Row(Tensor, usize),
}

/// Entries of more bytes are copied out of their batch where a queue does not keep the order: a few that stay
/// long would keep whole batches in memory.
const SHARED: usize = 4096;

impl Component {
    /// Returns an entry of a batch, in memory of its own where it would keep too much of the batch alive.
    ///
    /// `in_order` states that entries leave in the order in which they came, so that a batch is soon gone.
    pub(super) fn row(batch: &Tensor, row: usize, in_order: bool, buffers: &BufferPool) -> Component {
        let rows = batch.shape().first().copied().unwrap_or(1).max(1);
        let shared = Component::Row(batch.clone(), row);
        if in_order || batch.dtype().is_plain() && batch.byte_len() / rows <= SHARED {
            return shared;
        }
        if let Ok(strings) = shared.strings() {
            // The strings themselves are shared one by one.
            let copied = Tensor::from_strings(strings.iter().cloned(), Shape::from(shared.dims()));
            return copied.map_or(shared, Component::Whole);
        }
        let entry = shared.into_tensor();
        // Without memory for a copy the batch stays.
        let copied = entry.copied(buffers);
        Component::Whole(copied.unwrap_or(entry))
    }

    /// Returns the component as a tensor, without a copy.
    pub(super) fn into_tensor(self) -> Tensor {
        match self {
            Component::Whole(tensor) => tensor,
            Component::Row(batch, row) => {
                let shape = Shape::from(batch.shape().get(1..).unwrap_or_default());
                let part = batch.rows(row, row + 1).and_then(|part| part.reshaped(shape));
                part.expect("the row is one of the batch's")
            }
        }
    }

    /// Returns the sizes of its dimensions, without that of the batch.
    pub(super) fn dims(&self) -> &[usize] {
        match self {
            Component::Whole(tensor) => tensor.shape(),
            Component::Row(batch, _) => batch.shape().get(1..).unwrap_or_default(),
        }
    }

    /// Returns the elements of a plain dtype as unsigned integers of its size.
    pub(super) fn bits<T: Bits>(&self) -> Result<&[T]> {
        match self {
            Component::Whole(tensor) => Ok(tensor.as_bits::<T>()?),
            Component::Row(batch, row) => entry(batch.as_bits::<T>()?, self.dims(), *row),
        }
    }

    /// Returns the elements of a tensor of strings.
    pub(super) fn strings(&self) -> Result<&[Bytes]> {
        match self {
            Component::Whole(tensor) => Ok(tensor.as_strings()?),
            Component::Row(batch, row) => entry(batch.as_strings()?, self.dims(), *row),
        }
    }
}

/// Returns the elements of one entry, of the shape `dims`.
fn entry<'a, T>(all: &'a [T], dims: &[usize], row: usize) -> Result<&'a [T]> {
    let size: usize = dims.iter().product();
    let entry = all.get(row * size..(row + 1) * size);
    entry.ok_or_else(|| Error::runtime("an entry of a batch lies outside of it"))
}

/// Returns the part of a batch that these components are, if they are entries of one that follow each other
/// in ascending order.
pub(super) fn run<'a>(mut components: impl Iterator<Item = &'a Component>) -> Option<Tensor> {
    let Some(Component::Row(batch, first)) = components.next() else { return None };
    let mut end = first + 1;
    for component in components {
        match component {
            // The same memory under the same shape is the same batch: tensors are immutable.
            Component::Row(other, row)
                if *row == end && other.is_same(batch) && other.shape() == batch.shape() =>
            {
                end += 1;
            }
            _ => return None,
        }
    }
    batch.rows(*first, end).ok()
}
