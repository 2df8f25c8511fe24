//! Parts of partitioned tensors, and the keys under which they are stored.

use std::fmt;
use tensor::Shape;

/// A rectangular part of a tensor: one range per dimension.
///
/// ```
/// use checkpoint::bundle::TensorSlice;
/// let rows = TensorSlice::new([(4, Some(3)), (0, None)]);
/// assert_eq!(rows.to_string(), "4,3:-");
/// assert_eq!(rows.shape_within(&[10, 4].into()).unwrap(), tensor::Shape::from([3, 4]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorSlice {
    extents: Vec<Extent>,
}

/// The range along one dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Extent {
    /// The first index.
    pub start: u64,
    /// The number of indices, or `None` for the whole dimension, whatever its size (`start` is then 0).
    pub length: Option<u64>,
}

impl TensorSlice {
    /// Creates a slice from start and length of each dimension, in order. A length of `None` stands for the
    /// whole dimension.
    ///
    /// ```
    /// use checkpoint::bundle::TensorSlice;
    /// assert_eq!(TensorSlice::new([(0, Some(2)), (0, None)]).to_string(), "0,2:-");
    /// ```
    pub fn new(extents: impl IntoIterator<Item = (u64, Option<u64>)>) -> TensorSlice {
        let extents = extents.into_iter().map(|(start, length)| Extent { start, length });
        TensorSlice { extents: extents.collect() }
    }

    /// Returns the slice that is the whole tensor.
    ///
    /// ```
    /// assert_eq!(checkpoint::bundle::TensorSlice::whole(2).to_string(), "-:-");
    /// ```
    #[must_use]
    pub fn whole(rank: usize) -> TensorSlice {
        TensorSlice::new(std::iter::repeat_n((0, None), rank))
    }

    /// Returns the ranges.
    ///
    /// ```
    /// use checkpoint::bundle::TensorSlice;
    /// assert_eq!(TensorSlice::new([(4, Some(3)), (0, None)]).extents()[0].start, 4);
    /// ```
    #[must_use]
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// Start and length along each dimension of a tensor of this shape; `None` if the slice has
    /// another rank or reaches outside.
    ///
    /// ```
    /// use checkpoint::bundle::TensorSlice;
    /// let rows = TensorSlice::new([(4, Some(3)), (0, None)]);
    /// assert_eq!(rows.ranges_within(&[10, 4].into()), Some(vec![(4, 3), (0, 4)]));
    /// assert_eq!(rows.ranges_within(&[5, 4].into()), None);
    /// ```
    #[must_use]
    pub fn ranges_within(&self, shape: &Shape) -> Option<Vec<(usize, usize)>> {
        if self.extents.len() != shape.rank() {
            return None;
        }
        self.extents.iter().zip(shape.dims()).map(|(extent, &size)| extent.within(size)).collect()
    }

    /// Returns the shape of this part of a tensor of that shape; `None` as in
    /// [`ranges_within`](TensorSlice::ranges_within).
    ///
    /// ```
    /// use checkpoint::bundle::TensorSlice;
    /// let rows = TensorSlice::new([(4, Some(3)), (0, None)]);
    /// assert_eq!(rows.shape_within(&[10, 4].into()), Some([3, 4].into()));
    /// ```
    #[must_use]
    pub fn shape_within(&self, shape: &Shape) -> Option<Shape> {
        Some(self.ranges_within(shape)?.into_iter().map(|(_, length)| length).collect())
    }

    /// Returns true if this is all of a tensor of that shape.
    ///
    /// ```
    /// use checkpoint::bundle::TensorSlice;
    /// assert!(TensorSlice::new([(0, Some(5))]).is_whole(&[5].into()));
    /// ```
    #[must_use]
    pub fn is_whole(&self, shape: &Shape) -> bool {
        self.shape_within(shape).is_some_and(|part| part == *shape)
    }

    /// Reads TensorFlow's text form, such as `0,2:-`. An empty text is a scalar's slice.
    ///
    /// ```
    /// use checkpoint::bundle::TensorSlice;
    /// assert_eq!(TensorSlice::parse("0,2:-"), Some(TensorSlice::new([(0, Some(2)), (0, None)])));
    /// assert_eq!(TensorSlice::parse("two rows"), None);
    /// ```
    #[must_use]
    pub fn parse(text: &str) -> Option<TensorSlice> {
        if text.is_empty() {
            return Some(TensorSlice::whole(0));
        }
        let extents = text.split(':').map(|extent| match extent {
            "-" => Some(Extent { start: 0, length: None }),
            _ => {
                let (start, length) = extent.split_once(',')?;
                Some(Extent { start: start.parse().ok()?, length: Some(length.parse().ok()?) })
            }
        });
        Some(TensorSlice { extents: extents.collect::<Option<_>>()? })
    }
}

impl Extent {
    fn within(self, size: usize) -> Option<(usize, usize)> {
        let start = usize::try_from(self.start).ok()?;
        let length = match self.length {
            Some(length) => usize::try_from(length).ok()?,
            None => size.checked_sub(start)?,
        };
        (start.checked_add(length)? <= size).then_some((start, length))
    }
}

impl fmt::Display for TensorSlice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, extent) in self.extents.iter().enumerate() {
            if i > 0 {
                f.write_str(":")?;
            }
            match extent.length {
                Some(length) => write!(f, "{},{length}", extent.start)?,
                None => f.write_str("-")?,
            }
        }
        Ok(())
    }
}

/// Returns the key of a slice in the index: "ordered code" of 0, name, rank, and start and length of each
/// dimension, so that the bytes sort as the values do.
pub(crate) fn encode_key(name: &[u8], slice: &TensorSlice) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.len() + 8 + 4 * slice.extents.len());
    put_unsigned(&mut key, 0);
    put_string(&mut key, name);
    put_unsigned(&mut key, slice.extents.len() as u64);
    for extent in &slice.extents {
        put_signed(&mut key, extent.start as i64);
        // TensorFlow stores the whole dimension as length -1, and looks a slice up by the exact key: an
        // explicit extent of full length has another key.
        put_signed(&mut key, extent.length.map_or(-1, |length| length as i64));
    }
    key
}

fn put_unsigned(out: &mut Vec<u8>, value: u64) {
    let bytes = value.to_be_bytes();
    // Zero takes no byte after its count, so it is the single byte 0. A count in front makes longer numbers
    // sort as larger.
    let significant = bytes.iter().position(|&byte| byte != 0).map_or(0, |zeros| 8 - zeros);
    out.push(significant as u8);
    out.extend_from_slice(&bytes[8 - significant..]);
}

fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    for &byte in bytes {
        match byte {
            // A zero byte ends a string (as `00 01`), so one inside of it must sort after the end: `00 ff`.
            // Ordered code reserves `ff ff` for infinity, so 0xff is escaped, too.
            0 => out.extend([0, 0xff]),
            0xff => out.extend([0xff, 0]),
            _ => out.push(byte),
        }
    }
    out.extend([0, 1]);
}

/// Two's complement in the smallest number of bytes L, big-endian, with the sign extended, XORed with a
/// header of L one-bits from the top.
fn put_signed(out: &mut Vec<u8>, value: i64) {
    let magnitude = if value < 0 { !value } else { value } as u64;
    let bits = 64 - magnitude.leading_zeros() as usize;
    // Each byte holds 7 bits of the number and one of the header; one bit of the total is the sign.
    let len = (bits / 7 + 1).min(10);
    let mut bytes = [if value < 0 { 0xff } else { 0 }; 10];
    bytes[2..].copy_from_slice(&value.to_be_bytes());
    let bytes = &mut bytes[10 - len..];
    // Sixteen bits, because a number of nine or ten bytes has a header that reaches into the second byte.
    let header: u16 = !(0xffff_u32 >> len) as u16;
    bytes[0] ^= (header >> 8) as u8;
    if let Some(second) = bytes.get_mut(1) {
        *second ^= header as u8;
    }
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(value: i64) -> Vec<u8> {
        let mut out = Vec::new();
        put_signed(&mut out, value);
        out
    }

    #[test]
    fn signed_numbers_are_encoded_as_documented() {
        for (value, bytes) in [
            (0, &[0x80][..]),
            (3, &[0x83]),
            (63, &[0xbf]),
            (64, &[0xc0, 0x40]),
            (5000, &[0xd3, 0x88]),
            (65000, &[0xe0, 0xfd, 0xe8]),
            (-1, &[0x7f]),
            (-64, &[0x40]),
            (-65, &[0x3f, 0xbf]),
        ] {
            assert_eq!(signed(value), bytes, "{value}");
        }
    }

    #[test]
    fn encoded_signed_numbers_sort_as_their_bytes() {
        let mut values: Vec<i64> = (0..63).flat_map(|p| [1i64 << p, -(1i64 << p), (1i64 << p) - 1]).collect();
        values.extend([i64::MAX, i64::MIN, 0]);
        values.sort_unstable();
        values.dedup();
        for pair in values.windows(2) {
            assert!(signed(pair[0]) < signed(pair[1]), "{} < {}", pair[0], pair[1]);
        }
    }

    #[test]
    fn keys_are_encoded_as_in_the_fixtures() {
        let key = encode_key(b"rows", &TensorSlice::new([(4, Some(3)), (0, Some(4))]));
        assert_eq!(key, [0, 0x72, 0x6f, 0x77, 0x73, 0, 1, 1, 2, 0x84, 0x83, 0x80, 0x84]);
        let key = encode_key(b"r\0\xff", &TensorSlice::new([(0, Some(2)), (0, None)]));
        assert_eq!(key, [0, 0x72, 0, 0xff, 0xff, 0, 0, 1, 1, 2, 0x80, 0x82, 0x80, 0x7f]);
    }

    #[test]
    fn the_text_form_is_parsed_and_printed() {
        for text in ["", "-", "0,2:-", "4,3:0,4"] {
            assert_eq!(TensorSlice::parse(text).unwrap().to_string(), text);
        }
        for text in ["1", "a,2", "-1,2", "1,2:", "1,2,3"] {
            assert_eq!(TensorSlice::parse(text), None, "{text}");
        }
    }

    #[test]
    fn slices_out_of_bounds_are_refused() {
        let shape = Shape::from([10, 4]);
        assert_eq!(TensorSlice::new([(8, Some(3)), (0, None)]).shape_within(&shape), None);
        assert_eq!(TensorSlice::new([(8, Some(2))]).shape_within(&shape), None);
        assert_eq!(TensorSlice::new([(u64::MAX, Some(2)), (0, None)]).shape_within(&shape), None);
        assert!(TensorSlice::whole(2).is_whole(&shape));
        assert!(TensorSlice::new([(0, Some(10)), (0, Some(4))]).is_whole(&shape));
    }
}
