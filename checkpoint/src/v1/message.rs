//! The messages of a table: the list of tensors, and the slices.

use super::Listed;
use crate::bundle::{TensorSlice, decode_slice};
use tensor::{DType, Shape};
use wire::message::{Malformed, Value, fields, put_bytes, put_number};

/// Returns the tensors that the value of the empty key lists.
pub(super) fn listed(message: &[u8]) -> Result<Vec<(String, Listed)>, Malformed> {
    let mut list = Vec::new();
    fields(message, |field, value| {
        if let (1, Value::Bytes(meta)) = (field, value) {
            fields(meta, |field, value| {
                if let (1, Value::Bytes(tensor)) = (field, value) {
                    list.push(listed_tensor(tensor)?);
                }
                Ok(())
            })?;
        }
        Ok(())
    })?;
    Ok(list)
}

fn listed_tensor(message: &[u8]) -> Result<(String, Listed), Malformed> {
    let (mut name, mut dtype, mut shape, mut slices) = (String::new(), None, Shape::scalar(), Vec::new());
    fields(message, |field, value| {
        match (field, value) {
            (1, Value::Bytes(bytes)) => name = String::from_utf8(bytes.to_vec()).map_err(|_| Malformed)?,
            (2, Value::Bytes(bytes)) => shape = tensor_shape(bytes)?,
            (3, Value::Varint(number)) => dtype = DType::from_number(number as i32),
            (4, Value::Bytes(bytes)) => slices.push(tensor_slice(bytes)?),
            _ => {}
        }
        Ok(())
    })?;
    Ok((name, Listed { dtype: dtype.ok_or(Malformed)?, shape, slices }))
}

fn tensor_shape(message: &[u8]) -> Result<Shape, Malformed> {
    let mut sizes = Vec::new();
    fields(message, |field, value| {
        if let (2, Value::Bytes(dim)) = (field, value) {
            let mut size = 0;
            fields(dim, |field, value| {
                if let (1, Value::Varint(number)) = (field, value) {
                    size = usize::try_from(number.cast_signed()).map_err(|_| Malformed)?;
                }
                Ok(())
            })?;
            sizes.push(size);
        }
        Ok(())
    })?;
    Ok(Shape::new(&sizes))
}

/// Returns the slice that a message describes. Negative numbers, which no slice of a file has, lie outside of every shape.
fn tensor_slice(message: &[u8]) -> Result<TensorSlice, Malformed> {
    let extents = decode_slice(message)?.into_iter();
    Ok(TensorSlice::new(
        extents.map(|(start, length)| (start.cast_unsigned(), length.map(i64::cast_unsigned))),
    ))
}

/// The numbers of a slice, still encoded.
pub(super) struct Stored<'a> {
    pub(super) name: &'a [u8],
    pub(super) values: &'a [u8],
}

/// Returns the slice that the value of its key holds.
pub(super) fn stored(message: &[u8]) -> Result<Stored<'_>, Malformed> {
    let mut stored = Stored { name: &[], values: &[] };
    fields(message, |field, value| {
        if let (2, Value::Bytes(slice)) = (field, value) {
            fields(slice, |field, value| {
                match (field, value) {
                    (1, Value::Bytes(name)) => stored.name = name,
                    (3, Value::Bytes(values)) => stored.values = values,
                    _ => {}
                }
                Ok(())
            })?;
        }
        Ok(())
    })?;
    Ok(stored)
}

/// Returns the value of the empty key.
pub(super) fn encoded_list<'l>(list: impl IntoIterator<Item = (&'l String, &'l Listed)>) -> Vec<u8> {
    let mut meta = Vec::new();
    for (name, listed) in list {
        let mut tensor = Vec::new();
        put_bytes(&mut tensor, 1, name.as_bytes());
        let mut shape = Vec::new();
        for &size in listed.shape.iter() {
            let mut dim = Vec::new();
            put_number(&mut dim, 1, size as u64);
            put_bytes(&mut shape, 2, &dim);
        }
        put_bytes(&mut tensor, 2, &shape);
        put_number(&mut tensor, 3, listed.dtype.number() as u64);
        listed.slices.iter().for_each(|slice| put_bytes(&mut tensor, 4, &encoded_slice(slice)));
        put_bytes(&mut meta, 1, &tensor);
    }
    // The version that a reader must know.
    let mut version = Vec::new();
    put_number(&mut version, 1, 1);
    put_bytes(&mut meta, 2, &version);
    let mut message = Vec::new();
    put_bytes(&mut message, 1, &meta);
    message
}

fn encoded_slice(slice: &TensorSlice) -> Vec<u8> {
    let mut message = Vec::new();
    for extent in slice.extents() {
        let mut encoded = Vec::new();
        if let Some(length) = extent.length {
            if extent.start > 0 {
                put_number(&mut encoded, 1, extent.start);
            }
            // Also a length of 0 is written: without one the extent is whole.
            wire::message::put_varint(&mut encoded, 2 << 3);
            wire::message::put_varint(&mut encoded, length);
        }
        put_bytes(&mut message, 1, &encoded);
    }
    message
}

/// The size limit of a protobuf message, in bytes. TensorFlow refuses to write larger slices and cannot read them.
pub(super) const MAX_MESSAGE: usize = i32::MAX as usize;

/// Returns the length of the value of a slice's key whose numbers take this many bytes.
pub(super) fn stored_len(name: &str, slice: &TensorSlice, values: usize) -> usize {
    // The tag of a field up to 15 takes one byte.
    let field = |len: usize| len.saturating_add(1 + varint_len(len));
    let parts = [name.len(), encoded_slice(slice).len(), values];
    field(parts.into_iter().map(field).fold(0, usize::saturating_add))
}

fn varint_len(number: usize) -> usize {
    let mut bytes = Vec::new();
    wire::message::put_varint(&mut bytes, number as u64);
    bytes.len()
}

/// Returns the value of a slice's key.
pub(super) fn encoded_stored(name: &str, slice: &TensorSlice, values: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(values.len() + name.len() + 64);
    put_bytes(&mut stored, 1, name.as_bytes());
    put_bytes(&mut stored, 2, &encoded_slice(slice));
    put_bytes(&mut stored, 3, values);
    let mut message = Vec::with_capacity(stored.len() + 16);
    put_bytes(&mut message, 2, &stored);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_slice_is_known_before_it_is_encoded() {
        for (slice, len) in [
            (TensorSlice::whole(0), 0),
            (TensorSlice::whole(3), 100),
            (TensorSlice::new([(4, Some(3)), (0, None)]), 127),
            (TensorSlice::new([(1 << 40, Some(1 << 50))]), 20_000),
        ] {
            let encoded = encoded_stored("a/name", &slice, &vec![7; len]);
            assert_eq!(stored_len("a/name", &slice, len), encoded.len(), "{slice}");
        }
        assert_eq!(stored_len("a", &TensorSlice::whole(1), usize::MAX), usize::MAX);
    }
}
