//! The layout of string tensors in a data file: lengths, the checksum of the lengths, and the bytes.
//!
//! ```text
//! varint len[0] .. varint len[n-1] | u32 masked checksum of the lengths | bytes[0] .. bytes[n-1]
//! ```
//! The checksum runs over the lengths as little-endian words, not over the varints; the entry's own
//! checksum runs over those words, the stored checksum, and the bytes.

use tensor::Bytes;
use wire::crc::{self, Running};
use wire::message::{put_varint, take, take_varint64};

/// Feeds a length to a checksum: as a 32-bit word, or a 64-bit one if it must.
fn update_length(crc: &mut Running, length: u64, big_endian: bool) {
    match (u32::try_from(length), big_endian) {
        (Ok(word), false) => crc.update(&word.to_le_bytes()),
        (Ok(word), true) => crc.update(&word.to_be_bytes()),
        (Err(_), false) => crc.update(&length.to_le_bytes()),
        (Err(_), true) => crc.update(&length.to_be_bytes()),
    }
}

/// Encodes the part that precedes the bytes of the strings, and returns it with the checksum so far.
pub(crate) fn encode_head(strings: &[Bytes]) -> (Vec<u8>, Running) {
    let mut head = Vec::with_capacity(strings.len() + 4);
    let mut crc = Running::new();
    for string in strings {
        put_varint(&mut head, string.len() as u64);
        update_length(&mut crc, string.len() as u64, false);
    }
    let checksum = crc.masked().to_le_bytes();
    head.extend_from_slice(&checksum);
    // The entry's checksum runs on over the stored checksum: TensorFlow's reader does so, and refuses the
    // tensor otherwise.
    crc.update(&checksum);
    (head, crc)
}

/// Returns the strings of a tensor from its stored bytes, sharing them; else what is wrong.
pub(crate) fn decode(
    stored: &Bytes,
    elements: usize,
    big_endian: bool,
    expected_crc: Option<u32>,
) -> Result<Vec<Bytes>, String> {
    let mut rest: &[u8] = stored;
    // Each length takes a byte at least; the entry was checked for that when it was read.
    let mut lengths = Vec::with_capacity(elements.min(stored.len()));
    let mut crc = Running::new();
    for _ in 0..elements {
        let length = take_varint64(&mut rest).ok_or("its string lengths cannot be parsed")?;
        update_length(&mut crc, length, big_endian);
        lengths.push(length);
    }
    let checksum = take(&mut rest, 4).ok_or("its string lengths have no checksum")?;
    let expected = crc.masked();
    let expected = if big_endian { expected.to_be_bytes() } else { expected.to_le_bytes() };
    // Compared even if the caller does not verify: lengths that are wrong cut the strings in wrong places
    // without an error.
    if checksum != expected {
        return Err("the checksum of its string lengths is wrong".to_owned());
    }
    crc.update(checksum);
    crc.update(rest);
    if expected_crc.is_some_and(|expected| expected != crc::mask(crc.finish())) {
        return Err("its checksum is wrong".to_owned());
    }
    split(stored, stored.len() - rest.len(), &lengths)
}

fn split(stored: &Bytes, mut position: usize, lengths: &[u64]) -> Result<Vec<Bytes>, String> {
    let mut strings = Vec::with_capacity(lengths.len());
    for &length in lengths {
        let end = usize::try_from(length).ok().and_then(|length| position.checked_add(length));
        let end = end.filter(|&end| end <= stored.len()).ok_or("its strings are longer than its bytes")?;
        // Slices share the stored bytes. A copy for each string would cost one allocation per word of a
        // vocabulary.
        strings.push(stored.slice(position..end));
        position = end;
    }
    if position == stored.len() {
        Ok(strings)
    } else {
        Err("its bytes are longer than its strings".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(strings: &[Bytes]) -> (Bytes, u32) {
        let (mut bytes, mut crc) = encode_head(strings);
        for string in strings {
            crc.update(string);
            bytes.extend_from_slice(string);
        }
        (bytes.into(), crc.masked())
    }

    #[test]
    fn strings_are_stored_as_documented() {
        let (bytes, _) = stored(&[]);
        assert_eq!(*bytes, [0xd8, 0xea, 0x82, 0xa2]);
        let (bytes, _) = stored(&["part 0".into()]);
        assert_eq!(bytes[0], 6);
        assert_eq!(bytes[5..], *b"part 0");
        assert_eq!(bytes.len(), 11);
    }

    #[test]
    fn strings_round_trip_and_damage_is_seen() {
        let strings = [Bytes::from("a"), Bytes::new(), Bytes::from(vec![7; 300])];
        let (bytes, crc) = stored(&strings);
        assert_eq!(decode(&bytes, 3, false, Some(crc)).unwrap(), strings);
        for i in 0..bytes.len() {
            let mut damaged = bytes.to_vec();
            damaged[i] ^= 1;
            assert!(decode(&damaged.into(), 3, false, Some(crc)).is_err(), "byte {i}");
            assert!(decode(&bytes.slice(..i), 3, false, Some(crc)).is_err(), "cut to {i}");
        }
        assert!(decode(&bytes, 2, false, Some(crc)).is_err());
    }
}
