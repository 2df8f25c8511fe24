//! The protobuf wire format for messages that have no generated type.
//!
//! The code is written by hand because the index of a large model consists of hundreds of thousands of tiny
//! messages. Readers decode them straight into their own entries, without an object per message.

/// Appends a varint.
///
/// ```
/// let mut bytes = Vec::new();
/// wire::message::put_varint(&mut bytes, 300);
/// assert_eq!(bytes, [0xac, 0x02]);
/// ```
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a varint field, unless the value is the default, 0.
///
/// ```
/// use wire::message;
/// let mut bytes = Vec::new();
/// message::put_number(&mut bytes, 1, 150);
/// message::put_number(&mut bytes, 2, 0);
/// assert_eq!(bytes, [0x08, 0x96, 0x01]);
/// ```
pub fn put_number(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        put_varint(out, u64::from(field) << 3);
        put_varint(out, value);
    }
}

/// Appends a length-delimited field, even if it is empty.
///
/// ```
/// let mut bytes = Vec::new();
/// wire::message::put_bytes(&mut bytes, 2, b"hi");
/// assert_eq!(bytes, [0x12, 2, b'h', b'i']);
/// ```
pub fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    put_varint(out, u64::from(field) << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Takes a varint of at most `max_bytes` bytes off the front.
#[inline]
// Most varints are a single byte: tags, short lengths, and small numbers.
pub fn take_varint(bytes: &mut &[u8], max_bytes: usize) -> Option<u64> {
    if let [first @ 0..0x80, rest @ ..] = *bytes {
        *bytes = rest;
        return Some(u64::from(*first));
    }
    let mut value = 0u64;
    for (i, &byte) in bytes.iter().take(max_bytes).enumerate() {
        // Bits beyond the 64th are dropped, as every protobuf reader does.
        value |= u64::from(byte & 0x7f).checked_shl(7 * i as u32).unwrap_or(0);
        if byte < 0x80 {
            *bytes = &bytes[i + 1..];
            return Some(value);
        }
    }
    None
}

/// Takes a 64-bit varint off the front. Returns `None` if there is no complete varint.
///
/// ```
/// let mut bytes = &[0xac, 0x02, 7][..];
/// assert_eq!(wire::message::take_varint64(&mut bytes), Some(300));
/// assert_eq!(bytes, [7]);
/// ```
#[inline]
pub fn take_varint64(bytes: &mut &[u8]) -> Option<u64> {
    take_varint(bytes, 10)
}

/// Takes a 32-bit varint off the front, the form in which tables store lengths.
#[inline]
pub fn take_varint32(bytes: &mut &[u8]) -> Option<u32> {
    take_varint(bytes, 5).and_then(|value| u32::try_from(value).ok())
}

/// Takes `len` bytes off the front. Returns `None` if fewer are left.
///
/// ```
/// let mut bytes = &b"abc"[..];
/// assert_eq!(wire::message::take(&mut bytes, 2), Some(&b"ab"[..]));
/// assert_eq!(wire::message::take(&mut bytes, 2), None);
/// ```
#[inline]
pub fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (head, tail) = bytes.split_at_checked(len)?;
    *bytes = tail;
    Some(head)
}

/// The value of a field as encoded on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// An integer, a bool, or an enum number. Negative numbers are in two's complement.
    Varint(u64),
    /// Eight bytes.
    Fixed64(u64),
    /// A string, a nested message, or a packed list of numbers.
    Bytes(&'a [u8]),
    /// Four bytes.
    Fixed32(u32),
}

/// The error for bytes that are not in the protobuf wire format.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "bytes are not in the protobuf wire format: the data is damaged or is not a protobuf message",
        )
    }
}

impl std::error::Error for Malformed {}

/// Calls `visit` with each field of a message, in order. Groups are skipped. A visitor must ignore a field of
/// an unexpected wire type, as it ignores an unknown field.
///
/// ```
/// use wire::message::{self, Value};
/// let mut number = 0;
/// message::fields(&[0x08, 0x96, 0x01], |field, value| {
///     if let (1, Value::Varint(value)) = (field, value) {
///         number = value;
///     }
///     Ok::<(), message::Malformed>(())
/// })?;
/// assert_eq!(number, 150);
/// # Ok::<(), message::Malformed>(())
/// ```
///
/// # Errors
/// Returns the first error of the visitor, or [`Malformed`] if the bytes are not a message.
pub fn fields<'a>(
    mut message: &'a [u8],
    mut visit: impl FnMut(u32, Value<'a>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    while !message.is_empty() {
        match take_field(&mut message)? {
            (field, Some(value)) => visit(field, value)?,
            (_, None) => skip_group(&mut message)?,
        }
    }
    Ok(())
}

/// Takes one field off the front. The start of a group has no value.
fn take_field<'a>(message: &mut &'a [u8]) -> Result<(u32, Option<Value<'a>>), Malformed> {
    let tag = take_varint(message, 5).ok_or(Malformed)?;
    let field = u32::try_from(tag >> 3).map_err(|_| Malformed)?;
    // Protobuf's own parsers reject these numbers. Accepting them would take damage for an unknown field.
    if field == 0 || field >= 1 << 29 {
        return Err(Malformed);
    }
    let value = match tag & 7 {
        0 => Value::Varint(take_varint64(message).ok_or(Malformed)?),
        1 => Value::Fixed64(u64::from_le_bytes(take_array(message)?)),
        2 => {
            // Compared with what is left before anything is reserved: a length in a damaged file may be any
            // number.
            let len = take_varint64(message).ok_or(Malformed)?;
            let len = usize::try_from(len).map_err(|_| Malformed)?;
            Value::Bytes(take(message, len).ok_or(Malformed)?)
        }
        3 => return Ok((field, None)),
        5 => Value::Fixed32(u32::from_le_bytes(take_array(message)?)),
        _ => return Err(Malformed),
    };
    Ok((field, Some(value)))
}

fn take_array<const N: usize>(message: &mut &[u8]) -> Result<[u8; N], Malformed> {
    take(message, N).and_then(|bytes| bytes.try_into().ok()).ok_or(Malformed)
}

/// Skips to the end of a group. Nested groups are counted rather than recursed into, because the file
/// controls the nesting depth.
fn skip_group(message: &mut &[u8]) -> Result<(), Malformed> {
    let mut depth = 1usize;
    while depth > 0 {
        let mut ahead = *message;
        let tag = take_varint(&mut ahead, 5).ok_or(Malformed)?;
        if tag & 7 == 4 {
            *message = ahead;
            depth -= 1;
        } else if take_field(message)?.1.is_none() {
            depth += 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_round_trip() {
        for value in [0, 1, 127, 128, 300, 16383, 16384, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            let mut rest = out.as_slice();
            assert_eq!(take_varint64(&mut rest), Some(value));
            assert!(rest.is_empty());
        }
        assert_eq!(take_varint32(&mut &[0x81, 0x00][..]), Some(1), "padded varints are accepted");
        assert_eq!(take_varint32(&mut &[0x80, 0x80, 0x80, 0x80, 0x80, 0][..]), None);
        assert_eq!(take_varint64(&mut &[0x80][..]), None);
    }

    #[test]
    fn unknown_fields_and_groups_are_skipped() {
        // 15: group { 1: varint 5, 15: group {} }, then 2: "a", then 3: fixed32.
        let message = [0x7b, 0x08, 5, 0x7b, 0x7c, 0x7c, 0x12, 1, b'a', 0x1d, 1, 0, 0, 0];
        let mut seen = Vec::new();
        fields(&message, |field, value| {
            seen.push((field, format!("{value:?}")));
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, [(2, "Bytes([97])".to_owned()), (3, "Fixed32(1)".to_owned())]);
        for len in [1, 2, 3, 5, 7, 8, 10, 13] {
            assert_eq!(fields(&message[..len], |_, _| Ok(())), Err(Malformed), "cut to {len}");
        }
    }
}
