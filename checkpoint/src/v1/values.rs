//! Numbers in protobuf's encoding: the fields of a `TensorProto`.

use tensor::{Bytes, DType, Shape, Tensor, TensorError, memory};
use wire::message::{Malformed, Value, fields, put_varint, take_varint64};

/// The encoding of the elements of a dtype.
enum Encoding {
    /// Plain elements, each with the bytes of its dtype.
    Fixed,
    /// Varints, of which this number of bytes counts.
    Varint(usize),
    Strings,
}

/// Returns the field of a dtype's elements, and how they are encoded.
fn encoding(dtype: DType) -> Option<(u32, Encoding)> {
    Some(match dtype {
        DType::Float32 => (5, Encoding::Fixed),
        DType::Float64 => (6, Encoding::Fixed),
        DType::Complex64 => (9, Encoding::Fixed),
        DType::Complex128 => (12, Encoding::Fixed),
        DType::Int32 | DType::Int16 | DType::Int8 | DType::UInt16 | DType::UInt8 => {
            (7, Encoding::Varint(dtype.size()))
        }
        DType::QInt32 | DType::QInt16 | DType::QInt8 | DType::QUInt16 | DType::QUInt8 => {
            (7, Encoding::Varint(dtype.size()))
        }
        DType::String => (8, Encoding::Strings),
        DType::Int64 => (10, Encoding::Varint(8)),
        DType::Bool => (11, Encoding::Varint(1)),
        DType::Float16 | DType::BFloat16 => (13, Encoding::Varint(2)),
        DType::UInt32 => (16, Encoding::Varint(4)),
        DType::UInt64 => (17, Encoding::Varint(8)),
        _ => return None,
    })
}

/// The reason why values do not form a tensor.
pub(super) enum ValuesError {
    Malformed,
    Tensor(TensorError),
    Unsupported,
}

impl From<Malformed> for ValuesError {
    fn from(Malformed: Malformed) -> ValuesError {
        ValuesError::Malformed
    }
}

impl From<TensorError> for ValuesError {
    fn from(error: TensorError) -> ValuesError {
        ValuesError::Tensor(error)
    }
}

/// Decodes as many elements as the shape has.
pub(super) fn decoded(dtype: DType, shape: Shape, message: &[u8]) -> Result<Tensor, ValuesError> {
    let (wanted, encoding) = encoding(dtype).ok_or(ValuesError::Unsupported)?;
    if let Encoding::Strings = encoding {
        let mut strings: Vec<Bytes> = Vec::new();
        fields(message, |field, value| {
            if let (true, Value::Bytes(text)) = (field == wanted, value) {
                strings.push(Bytes::copy_from_slice(text));
            }
            Ok(())
        })?;
        return Ok(Tensor::from_strings(strings, shape)?);
    }
    // An element takes a byte at least, so a small file needs little memory.
    memory::check(message.len().saturating_mul(dtype.size()))?;
    let mut bytes = Vec::new();
    let varint = |bytes: &mut Vec<u8>, number: u64, size: usize| {
        bytes.extend_from_slice(&number.to_le_bytes()[..size]);
    };
    fields(message, |field, value| {
        match (&encoding, value) {
            // All elements at once, which other writers may prefer.
            (_, Value::Bytes(content)) if field == 4 => bytes.extend_from_slice(content),
            _ if field != wanted => {}
            (Encoding::Fixed, Value::Bytes(packed)) => bytes.extend_from_slice(packed),
            (Encoding::Fixed, Value::Fixed32(bits)) => bytes.extend(bits.to_le_bytes()),
            (Encoding::Fixed, Value::Fixed64(bits)) => bytes.extend(bits.to_le_bytes()),
            (Encoding::Varint(size), Value::Varint(number)) => varint(&mut bytes, number, *size),
            (Encoding::Varint(size), Value::Bytes(mut packed)) => {
                while !packed.is_empty() {
                    varint(&mut bytes, take_varint64(&mut packed).ok_or(Malformed)?, *size);
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(Tensor::from_le_bytes(dtype, shape, bytes)?)
}

/// Encodes the elements of a tensor; `None` for dtypes that the format does not have.
pub(super) fn encoded(tensor: &Tensor) -> Option<Vec<u8>> {
    let dtype = tensor.dtype();
    let (field, encoding) = encoding(dtype)?;
    let mut message = Vec::new();
    let size = match encoding {
        Encoding::Strings => {
            for text in tensor.as_strings().ok()? {
                // Also an empty text is an element.
                put_varint(&mut message, u64::from(field << 3 | 2));
                put_varint(&mut message, text.len() as u64);
                message.extend_from_slice(text);
            }
            return Some(message);
        }
        Encoding::Varint(size) => Some(size),
        Encoding::Fixed => None,
    };
    let bytes = tensor.to_le_bytes().ok()?;
    let packed = match size {
        None => bytes.to_vec(),
        Some(size) => {
            let mut packed = Vec::with_capacity(bytes.len());
            let signed = matches!(
                dtype,
                DType::Int8 | DType::Int16 | DType::Int32 | DType::QInt8 | DType::QInt16 | DType::QInt32
            );
            for element in bytes.chunks_exact(size) {
                // Protobuf stores a negative int32 as a varint of 64 bits with the sign extended, ten bytes
                // long.
                let negative = signed && element[size - 1] >= 0x80;
                let mut wide = if negative { [0xff; 8] } else { [0; 8] };
                wide[..size].copy_from_slice(element);
                put_varint(&mut packed, u64::from_le_bytes(wide));
            }
            packed
        }
    };
    if !packed.is_empty() {
        wire::message::put_bytes(&mut message, field, &packed);
    }
    Some(message)
}
