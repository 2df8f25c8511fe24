//! The bytes of a `tf.Example`, read in place.
//!
//! ```text
//! Example  { Features features = 1 }
//! Features { repeated { bytes key = 1; Feature value = 2 } feature = 1 }
//! Feature  { oneof { BytesList = 1; FloatList = 2; Int64List = 3 } }, each { repeated value = 1 }
//! ```

use super::{ExampleError, Feature};
use bytes::Bytes;
use wire::message::take_varint64;

/// The kind of a feature's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureKind {
    /// Byte strings.
    Bytes,
    /// Numbers of single precision.
    Floats,
    /// Integers.
    Ints,
}

/// One feature of a message, its values not read yet.
#[derive(Clone, Copy, Debug)]
pub struct FeatureRef<'a> {
    /// Nothing for a feature without any list.
    kind: Option<FeatureKind>,
    list: &'a [u8],
    /// The offset of the list in the message.
    offset: usize,
}

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

/// A place in a message.
#[derive(Clone, Copy, Debug)]
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The offset of `bytes` in the message.
    base: usize,
}

impl<'a> Cursor<'a> {
    fn new(bytes: &'a [u8], base: usize) -> Cursor<'a> {
        Cursor { bytes, at: 0, base }
    }

    #[cold]
    fn error(&self, what: &'static str) -> ExampleError {
        ExampleError { what, offset: self.base + self.at }
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, ExampleError> {
        // Almost all varints of an example have one byte, and this is the inner loop of reading them.
        match self.bytes.get(self.at) {
            Some(&byte) if byte < 0x80 => {
                self.at += 1;
                Ok(byte.into())
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, ExampleError> {
        let mut rest = &self.bytes[self.at..];
        let value = take_varint64(&mut rest).ok_or_else(|| self.error("a number without end"))?;
        self.at = self.bytes.len() - rest.len();
        Ok(value)
    }

    /// Reads the next field: its number, its wire type and, when it has a length, its content.
    #[inline]
    fn field(&mut self) -> Result<Option<(u64, u64, Cursor<'a>)>, ExampleError> {
        if self.at >= self.bytes.len() {
            return Ok(None);
        }
        let key = self.varint()?;
        let (number, wire) = (key >> 3, key & 7);
        let len = match wire {
            VARINT => {
                let start = self.at;
                self.varint()?;
                let content = Cursor::new(&self.bytes[start..self.at], self.base + start);
                return Ok(Some((number, wire, content)));
            }
            FIXED64 => 8,
            FIXED32 => 4,
            LENGTH => self.varint()?,
            _ => return Err(self.error("an unknown wire type")),
        };
        let rest = self.bytes.len() - self.at;
        // Compared before it is used: a record's checksum is no protection against a writer that computed it
        // over wrong bytes.
        let len = usize::try_from(len).ok().filter(|&len| len <= rest);
        let len = len.ok_or_else(|| self.error("a length beyond the end"))?;
        let content = Cursor::new(&self.bytes[self.at..self.at + len], self.base + self.at);
        self.at += len;
        Ok(Some((number, wire, content)))
    }
}

/// Visits the features of a message in their order. A feature that occurs twice is visited twice; the last one counts.
///
/// # Errors
/// For bytes that are not a `tf.Example`, after the features before the damage were visited. The values within a feature
/// are read later.
pub fn scan<'a>(message: &'a [u8], visit: impl FnMut(&'a [u8], FeatureRef<'a>)) -> Result<(), ExampleError> {
    entries(message, 1, feature, visit)
}

/// Visits the entries of the map in a field of a message. An absent value is read as empty bytes.
#[inline]
fn entries<'a, V>(
    message: &'a [u8],
    map: u64,
    value: impl Fn(Cursor<'a>) -> Result<V, ExampleError>,
    mut visit: impl FnMut(&'a [u8], V),
) -> Result<(), ExampleError> {
    let mut message = Cursor::new(message, 0);
    while let Some((number, wire, mut map_entries)) = message.field()? {
        if (number, wire) != (map, LENGTH) {
            continue;
        }
        while let Some((number, wire, mut entry)) = map_entries.field()? {
            if (number, wire) != (1, LENGTH) {
                continue;
            }
            let mut key: &[u8] = b"";
            // An entry without a value has an empty one, as in protobuf's maps.
            let mut found = value(Cursor::new(b"", entry.base))?;
            while let Some((number, wire, content)) = entry.field()? {
                match (number, wire) {
                    (1, LENGTH) => key = content.bytes,
                    // The last value of an entry wins, as for any field that is not repeated.
                    (2, LENGTH) => found = value(content)?,
                    _ => {}
                }
            }
            visit(key, found);
        }
    }
    Ok(())
}

/// One list of features of a `tf.SequenceExample`, its features not read yet.
#[derive(Clone, Copy, Debug)]
pub struct FeatureListRef<'a>(Cursor<'a>);

impl<'a> FeatureListRef<'a> {
    /// Returns the features, one for each step.
    pub fn features(&self) -> impl Iterator<Item = Result<FeatureRef<'a>, ExampleError>> + use<'a> {
        let mut list = self.0;
        std::iter::from_fn(move || {
            loop {
                let found = match list.field().transpose()? {
                    Ok((1, LENGTH, content)) => feature(content),
                    Ok(_) => continue,
                    Err(error) => {
                        // The boundaries of what follows the damage are unknown.
                        list = Cursor::new(b"", 0);
                        Err(error)
                    }
                };
                return Some(found);
            }
        })
    }
}

/// Visits the lists of features of a `tf.SequenceExample` in their order. A list that occurs twice is visited twice, and the
/// last one counts. The context of the message is read by [`scan`].
///
/// ```
/// use summary::example::scan_lists;
/// // Field 2, the lists: one entry with the key "q" and a list of one feature, the integer 5.
/// let message = [0x12, 14, 0x0a, 12, 0x0a, 1, b'q', 0x12, 7, 0x0a, 5, 0x1a, 3, 0x0a, 1, 5];
/// let mut found = Vec::new();
/// scan_lists(&message, |key, list| found.push((key, list.features().count())))?;
/// assert_eq!(found, [(&b"q"[..], 1)]);
/// # Ok::<(), summary::example::ExampleError>(())
/// ```
///
/// # Errors
/// For bytes that are no `tf.SequenceExample`; lists before the damage have been given then.
pub fn scan_lists<'a>(
    message: &'a [u8],
    visit: impl FnMut(&'a [u8], FeatureListRef<'a>),
) -> Result<(), ExampleError> {
    entries(message, 2, |content| Ok(FeatureListRef(content)), visit)
}

fn feature(mut feature: Cursor<'_>) -> Result<FeatureRef<'_>, ExampleError> {
    let mut found = FeatureRef { kind: None, list: b"", offset: feature.base };
    while let Some((number, wire, list)) = feature.field()? {
        let kind = match (number, wire) {
            (1, LENGTH) => FeatureKind::Bytes,
            (2, LENGTH) => FeatureKind::Floats,
            (3, LENGTH) => FeatureKind::Ints,
            _ => continue,
        };
        found = FeatureRef { kind: Some(kind), list: list.bytes, offset: list.base };
    }
    Ok(found)
}

impl<'a> FeatureRef<'a> {
    /// Returns the kind of the values; `None` for a feature without a list.
    #[must_use]
    pub fn kind(&self) -> Option<FeatureKind> {
        self.kind
    }

    fn fields(
        &self,
        mut visit: impl FnMut(u64, Cursor<'a>) -> Result<(), ExampleError>,
    ) -> Result<(), ExampleError> {
        let mut list = Cursor::new(self.list, self.offset);
        while let Some((number, wire, content)) = list.field()? {
            if number == 1 {
                visit(wire, content)?;
            }
        }
        Ok(())
    }

    /// Visits its byte strings one after another, as parts of the message.
    ///
    /// # Errors
    /// For bytes that are not such a list.
    pub fn for_each_bytes(&self, mut visit: impl FnMut(&'a [u8])) -> Result<(), ExampleError> {
        self.fields(|wire, content| {
            if wire == LENGTH {
                visit(content.bytes);
            }
            Ok(())
        })
    }

    /// Appends its numbers.
    ///
    /// # Errors
    /// For bytes that are not such a list.
    pub fn floats(&self, values: &mut Vec<f32>) -> Result<(), ExampleError> {
        self.fields(|wire, content| {
            // Packed or not: readers must take both forms.
            if wire == LENGTH || wire == FIXED32 {
                let (chunks, rest) = content.bytes.as_chunks::<4>();
                if !rest.is_empty() {
                    return Err(content.error("a list of numbers of a broken length"));
                }
                values.extend(chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)));
            }
            Ok(())
        })
    }

    /// Appends its integers.
    ///
    /// # Errors
    /// For bytes that are not such a list.
    pub fn ints(&self, values: &mut Vec<i64>) -> Result<(), ExampleError> {
        self.fields(|wire, mut content| {
            if wire == LENGTH || wire == VARINT {
                while content.at < content.bytes.len() {
                    values.push(content.varint()?.cast_signed());
                }
            }
            Ok(())
        })
    }

    /// Reads its values.
    pub(super) fn to_feature(self) -> Result<Option<Feature>, ExampleError> {
        Ok(match self.kind {
            None => None,
            Some(FeatureKind::Bytes) => {
                let mut values = Vec::new();
                self.for_each_bytes(|value| values.push(Bytes::copy_from_slice(value)))?;
                Some(Feature::Bytes(values))
            }
            Some(FeatureKind::Floats) => {
                let mut values = Vec::new();
                self.floats(&mut values)?;
                Some(Feature::Floats(values))
            }
            Some(FeatureKind::Ints) => {
                let mut values = Vec::new();
                self.ints(&mut values)?;
                Some(Feature::Ints(values))
            }
        })
    }
}
