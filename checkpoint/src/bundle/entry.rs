//! The messages in an index: the header and one entry per tensor.

use super::slice::TensorSlice;
use super::table::TableBuilder;
use tensor::{DType, Shape};
use wire::message::{Malformed, Value, fields, put_bytes, put_number, put_varint};

/// The version of the format that this crate writes and understands.
const VERSION: i32 = 1;
/// TensorFlow's own limit.
const MAX_DIMS: usize = 254;

/// The value of the empty key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) num_shards: u32,
    pub(crate) big_endian: bool,
}

/// The reason why a header is rejected.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    Malformed,
    Version(String),
}

impl From<Malformed> for HeaderError {
    fn from(Malformed: Malformed) -> Self {
        HeaderError::Malformed
    }
}

#[derive(Default)]
struct Version {
    min_consumer: i32,
    bad_consumers: Vec<i32>,
}

impl Header {
    /// Returns the index of a bundle with these entries, which are in the order of their keys.
    pub(crate) fn index_of<'e>(self, entries: impl IntoIterator<Item = (&'e Vec<u8>, &'e Entry)>) -> Vec<u8> {
        let entries = entries.into_iter();
        // An entry takes about 48 bytes with a name of usual length; a wrong guess costs a reallocation.
        let mut table = TableBuilder::new(entries.size_hint().0 * 48);
        // TensorFlow's reader seeks the empty key to find the header.
        table.add(b"", &self.encode());
        let mut value = Vec::new();
        for (key, entry) in entries {
            value.clear();
            entry.encode_into(&mut value);
            table.add(key, &value);
        }
        table.finish()
    }

    pub(crate) fn encode(self) -> Vec<u8> {
        let mut out = Vec::new();
        put_number(&mut out, 1, u64::from(self.num_shards));
        put_number(&mut out, 2, u64::from(self.big_endian));
        // A version message with nothing but the producer. Zero fields are left out, as protobuf does, so
        // that the file equals TensorFlow's byte for byte.
        put_bytes(&mut out, 3, &[0x08, VERSION as u8]);
        out
    }

    pub(crate) fn decode(message: &[u8]) -> Result<Header, HeaderError> {
        let mut num_shards = 0i32;
        let mut endianness = 0;
        let mut version = Version::default();
        fields(message, |field, value| {
            match (field, value) {
                // Protobuf's int32 is a 64-bit varint cut to its low half; a cast does the same. Repeated
                // fields: the last one wins.
                (1, Value::Varint(n)) => num_shards = n as i32,
                (2, Value::Varint(n)) => endianness = n as i32,
                (3, Value::Bytes(bytes)) => version.merge(bytes)?,
                _ => {}
            }
            Ok(())
        })?;
        version.check()?;
        match (u32::try_from(num_shards), endianness) {
            // Even a bundle without tensors has one data file, so a count of 0 can only be damage.
            (Ok(num_shards @ 1..), 0 | 1) => Ok(Header { num_shards, big_endian: endianness == 1 }),
            _ => Err(HeaderError::Malformed),
        }
    }
}

impl Version {
    fn merge(&mut self, message: &[u8]) -> Result<(), Malformed> {
        fields(message, |field, value| {
            match (field, value) {
                (2, Value::Varint(n)) => self.min_consumer = n as i32,
                (3, Value::Varint(n)) => self.bad_consumers.push(n as i32),
                // Readers of protobuf must take a repeated number in both forms, whichever one the schema
                // names.
                (3, Value::Bytes(mut packed)) => {
                    while !packed.is_empty() {
                        let n = wire::message::take_varint64(&mut packed).ok_or(Malformed)?;
                        self.bad_consumers.push(n as i32);
                    }
                }
                _ => {}
            }
            Ok(())
        })
    }

    fn check(&self) -> Result<(), HeaderError> {
        if self.min_consumer > VERSION {
            let needed = self.min_consumer;
            return Err(HeaderError::Version(format!("it needs a reader of version {needed}")));
        }
        if self.bad_consumers.contains(&VERSION) {
            return Err(HeaderError::Version(format!("it refuses readers of version {VERSION}")));
        }
        Ok(())
    }
}

/// The location, dtype, and shape of a stored tensor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry<D = DType> {
    pub(crate) dtype: D,
    pub(crate) shape: Shape,
    pub(crate) shard: u32,
    pub(crate) offset: u64,
    pub(crate) size: u64,
    /// Masked, as stored.
    pub(crate) crc: u32,
    /// The parts of a partitioned tensor. If there are any, shard, offset, size and crc mean nothing.
    pub(crate) slices: Vec<TensorSlice>,
}

/// The reason why a tensor cannot be read, known from its entry alone.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Flaw {
    Damaged(String),
    /// The number of its dtype is not known here, as in a file of a later version.
    UnknownDType(Box<Entry<i32>>),
}

impl Entry {
    pub(crate) fn encode_into(&self, out: &mut Vec<u8>) {
        // Fields in the order of their numbers and without zeros: what TensorFlow's serializer writes. An
        // index may then be compared with one of TensorFlow as a whole.
        put_number(out, 1, self.dtype.number() as u64);
        put_shape(out, &self.shape);
        put_number(out, 3, u64::from(self.shard));
        put_number(out, 4, self.offset);
        put_number(out, 5, self.size);
        // A fixed32, unlike the numbers above: a checksum would take five bytes as a varint.
        if self.crc != 0 {
            out.push(6 << 3 | 5);
            out.extend_from_slice(&self.crc.to_le_bytes());
        }
        for slice in &self.slices {
            put_slice(out, slice);
        }
    }

    /// Reads an entry and checks all that can be checked without the data file; otherwise returns the reason.
    pub(crate) fn decode(message: &[u8], num_shards: u32) -> Result<Entry, Flaw> {
        let mut raw = RawEntry::default();
        raw.merge(message).map_err(|Malformed| Flaw::Damaged("its entry cannot be parsed".to_owned()))?;
        let entry = raw.check(num_shards).map_err(Flaw::Damaged)?;
        let Some(dtype) = DType::from_number(entry.dtype) else {
            return Err(Flaw::UnknownDType(Box::new(entry)));
        };
        // TensorFlow leaves the size of a partitioned tensor out, since its slices have their own.
        if entry.slices.is_empty() {
            check_size(dtype, &entry.shape, entry.size).map_err(Flaw::Damaged)?;
        }
        let Entry { shape, shard, offset, size, crc, slices, dtype: _ } = entry;
        Ok(Entry { dtype, shape, shard, offset, size, crc, slices })
    }
}

fn put_shape(out: &mut Vec<u8>, shape: &Shape) {
    let mut message = Vec::with_capacity(8 * shape.rank());
    for &dim in shape.dims() {
        let start = message.len();
        // A dimension rarely needs more than a byte of length, so its message is built in place.
        message.extend([2 << 3 | 2, 0]);
        put_number(&mut message, 1, dim as u64);
        message[start + 1] = (message.len() - start - 2) as u8;
    }
    put_bytes(out, 2, &message);
}

fn put_slice(out: &mut Vec<u8>, slice: &TensorSlice) {
    let mut message = Vec::new();
    for extent in slice.extents() {
        let mut inner = Vec::new();
        put_number(&mut inner, 1, extent.start);
        if let Some(length) = extent.length {
            // In a oneof, so written even when it is 0.
            inner.push(2 << 3);
            put_varint(&mut inner, length);
        }
        put_bytes(&mut message, 1, &inner);
    }
    put_bytes(out, 7, &message);
}

/// An entry as stored, before any check.
#[derive(Default)]
struct RawEntry {
    dtype: i32,
    dims: smallvec::SmallVec<[i64; 4]>,
    unknown_rank: bool,
    shard: i32,
    offset: i64,
    size: i64,
    crc: u32,
    slices: Vec<Vec<(i64, Option<i64>)>>,
}

impl RawEntry {
    fn merge(&mut self, message: &[u8]) -> Result<(), Malformed> {
        fields(message, |field, value| {
            match (field, value) {
                (1, Value::Varint(n)) => self.dtype = n as i32,
                (2, Value::Bytes(bytes)) => self.merge_shape(bytes)?,
                (3, Value::Varint(n)) => self.shard = n as i32,
                (4, Value::Varint(n)) => self.offset = n as i64,
                (5, Value::Varint(n)) => self.size = n as i64,
                // A field of another wire type falls through to the last arm and is ignored, as protobuf's
                // parser does with it.
                (6, Value::Fixed32(n)) => self.crc = n,
                (7, Value::Bytes(bytes)) => self.slices.push(decode_slice(bytes)?),
                _ => {}
            }
            Ok(())
        })
    }

    fn merge_shape(&mut self, message: &[u8]) -> Result<(), Malformed> {
        fields(message, |field, value| {
            match (field, value) {
                (2, Value::Bytes(dim)) => {
                    let mut size = 0;
                    fields(dim, |field, value| {
                        if let (1, Value::Varint(n)) = (field, value) {
                            size = n as i64;
                        }
                        Ok(())
                    })?;
                    // A dimension of size 0 is an empty message on disk and still counts, so every message
                    // pushes one.
                    self.dims.push(size);
                }
                (3, Value::Varint(n)) => self.unknown_rank = n != 0,
                _ => {}
            }
            Ok(())
        })
    }

    /// Checks all that does not depend on the dtype.
    fn check(self, num_shards: u32) -> Result<Entry<i32>, String> {
        let dtype = self.dtype;
        // The numbers of dtypes begin with 1, in every version.
        if dtype < 1 {
            return Err(format!("{dtype} is the number of no dtype"));
        }
        let shape = self.shape()?;
        let slices =
            self.slices.iter().map(|slice| checked_slice(slice, &shape)).collect::<Result<Vec<_>, _>>()?;
        // Place and checksum of a partitioned tensor mean nothing in the format. Zeros keep later code from
        // using them.
        if !slices.is_empty() {
            return Ok(Entry { dtype, shape, shard: 0, offset: 0, size: 0, crc: 0, slices });
        }
        // A shard number becomes part of a path, so it is checked before anything is opened.
        let shard = u32::try_from(self.shard).ok().filter(|&shard| shard < num_shards);
        let shard = shard.ok_or_else(|| format!("shard {} of {num_shards} does not exist", self.shard))?;
        let (Ok(offset), Ok(size)) = (u64::try_from(self.offset), u64::try_from(self.size)) else {
            return Err(format!("offset {} and size {} make no sense", self.offset, self.size));
        };
        Ok(Entry { dtype, shape, shard, offset, size, crc: self.crc, slices })
    }

    fn shape(&self) -> Result<Shape, String> {
        if self.unknown_rank || self.dims.len() > MAX_DIMS {
            return Err("its shape is not a tensor's".to_owned());
        }
        let dims = self.dims.iter().map(|&dim| usize::try_from(dim));
        let shape: Shape =
            dims.collect::<Result<_, _>>().map_err(|_| format!("its shape {:?} is negative", self.dims))?;
        // A zero elsewhere does not excuse sizes whose product overflows: TensorFlow refuses these too.
        let product = shape.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim.max(1)));
        match product.filter(|&product| product <= i64::MAX as usize) {
            Some(_) => Ok(shape),
            None => Err(format!("its shape {shape} is too large")),
        }
    }
}

/// Returns the start and the length of each extent of a `TensorSliceProto`, unchecked.
pub(crate) fn decode_slice(message: &[u8]) -> Result<Vec<(i64, Option<i64>)>, Malformed> {
    let mut extents = Vec::new();
    fields(message, |field, value| {
        if let (1, Value::Bytes(bytes)) = (field, value) {
            let (mut start, mut length) = (0, None);
            fields(bytes, |field, value| {
                match (field, value) {
                    (1, Value::Varint(n)) => start = n as i64,
                    (2, Value::Varint(n)) => length = Some(n as i64),
                    _ => {}
                }
                Ok(())
            })?;
            extents.push((start, length));
        }
        Ok(())
    })?;
    Ok(extents)
}

fn checked_slice(extents: &[(i64, Option<i64>)], shape: &Shape) -> Result<TensorSlice, String> {
    let converted = extents.iter().map(|&(start, length)| {
        let length = length.map(u64::try_from).transpose();
        u64::try_from(start).ok().zip(length.ok())
    });
    converted
        .collect::<Option<Vec<_>>>()
        .map(TensorSlice::new)
        .filter(|slice| slice.shape_within(shape).is_some())
        .ok_or_else(|| format!("a slice {extents:?} does not lie in its shape {shape}"))
}

fn check_size(dtype: DType, shape: &Shape, size: u64) -> Result<(), String> {
    let elements = shape.elements();
    let fits = match dtype {
        // A length takes a byte at least, and their checksum four.
        DType::String => size >= 4 && elements as u64 <= size - 4,
        // Not checked, since neither is ever decoded: `check_dtype` refuses them by name, which says more
        // than a wrong size.
        DType::Resource | DType::Variant => true,
        _ => elements.checked_mul(dtype.size()).is_some_and(|need| need as u64 == size),
    };
    if fits { Ok(()) } else { Err(format!("{size} bytes do not fit {dtype} of shape {shape}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_written_as_in_tensorflow() {
        let header = Header { num_shards: 1, big_endian: false };
        assert_eq!(header.encode(), [0x08, 1, 0x1a, 2, 0x08, 1]);
        assert_eq!(Header::decode(&header.encode()), Ok(header));
        assert_eq!(Header::decode(&[0x08, 3]), Ok(Header { num_shards: 3, big_endian: false }), "no version");
        assert_eq!(Header::decode(&[]), Err(HeaderError::Malformed), "no shard");
        assert!(matches!(Header::decode(&[0x08, 1, 0x1a, 2, 0x10, 2]), Err(HeaderError::Version(_))));
        assert!(matches!(Header::decode(&[0x08, 1, 0x1a, 2, 0x18, 1]), Err(HeaderError::Version(_))));
        assert!(matches!(Header::decode(&[0x08, 1, 0x1a, 3, 0x1a, 1, 1]), Err(HeaderError::Version(_))));
    }

    #[test]
    fn entries_round_trip() {
        for entry in [
            Entry {
                dtype: DType::Float32,
                shape: [1, 2].into(),
                shard: 2,
                offset: 1 << 40,
                size: 8,
                crc: 0x35e5_3c59,
                slices: vec![],
            },
            Entry {
                dtype: DType::Int64,
                shape: [10, 0].into(),
                shard: 0,
                offset: 0,
                size: 0,
                crc: 0,
                slices: vec![
                    TensorSlice::new([(0, Some(4)), (0, None)]),
                    TensorSlice::new([(4, Some(6)), (0, Some(0))]),
                ],
            },
        ] {
            let mut bytes = Vec::new();
            entry.encode_into(&mut bytes);
            assert_eq!(Entry::decode(&bytes, 3), Ok(entry));
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let entry = |message: &[u8]| match Entry::decode(message, 1) {
            Err(Flaw::Damaged(what)) => what,
            other => panic!("{other:?}"),
        };
        assert!(entry(&[0x12, 0]).contains("0 is the number of no dtype"));
        assert!(entry(&[0x08, 99, 0x12, 0, 0x18, 1]).contains("shard 1 of 1"), "whatever the dtype");
        assert!(entry(&[0x08, 1, 0x12, 0, 0x28, 8]).contains("8 bytes"));
        assert!(entry(&[0x08, 1, 0x12, 0, 0x18, 1, 0x28, 4]).contains("shard 1 of 1"));
        assert!(entry(&[0x08]).contains("parsed"));
        let negative = [0x08, 1, 0x12, 13, 0x12, 11, 0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1];
        assert!(entry(&negative).contains("negative"));
    }

    #[test]
    fn an_unknown_dtype_is_not_damage() {
        let message = [0x08, 99, 0x12, 4, 0x12, 2, 0x08, 3, 0x20, 5, 0x28, 7];
        let Err(Flaw::UnknownDType(entry)) = Entry::decode(&message, 1) else { panic!("not unknown") };
        assert_eq!((entry.dtype, entry.shape, entry.offset, entry.size), (99, [3].into(), 5, 7));
    }
}
