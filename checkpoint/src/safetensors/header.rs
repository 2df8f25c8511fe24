//! The JSON in front of the data.

use super::dtype_of;
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use tensor::{DType, Shape};

/// The limit of the reference reader.
pub(super) const MAX_HEADER: u64 = 100_000_000;

/// One tensor, after all checks that concern it alone.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) name: String,
    /// Or the format's name of a dtype that is not known here.
    pub(super) dtype: Result<DType, String>,
    pub(super) shape: Shape,
    pub(super) begin: u64,
    pub(super) end: u64,
}

#[derive(Debug, Default)]
pub(super) struct Header {
    /// The entries in the order of offsets.
    pub(super) entries: Vec<Entry>,
    pub(super) metadata: BTreeMap<String, String>,
}

impl Header {
    /// Reads the JSON and checks it against the length of the data; otherwise returns the reason.
    pub(super) fn parse(json: &[u8], data_len: u64) -> Result<Header, String> {
        let raw: RawHeader =
            serde_json::from_slice(json).map_err(|error| format!("its header cannot be parsed: {error}"))?;
        let mut entries = raw.tensors.into_iter().map(RawEntry::checked).collect::<Result<Vec<_>, _>>()?;
        entries.sort_by_key(|entry| (entry.begin, entry.end));
        let mut position = 0;
        for entry in &entries {
            // The reference reader refuses holes and overlaps alike. Two tensors that share bytes would allow
            // a small file to claim any size.
            if entry.begin != position {
                return Err(format!("tensor {:?} begins at {}, not at {position}", entry.name, entry.begin));
            }
            position = entry.end;
        }
        if position != data_len {
            return Err(format!("its tensors take {position} bytes, its data have {data_len}"));
        }
        Ok(Header { entries, metadata: raw.metadata })
    }
}

struct RawHeader {
    tensors: Vec<(String, RawEntry)>,
    metadata: BTreeMap<String, String>,
}

struct RawEntry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

impl RawEntry {
    fn checked((name, raw): (String, RawEntry)) -> Result<Entry, String> {
        let (begin, end) = raw.data_offsets;
        let dims = raw.shape.iter().map(|&dim| usize::try_from(dim));
        let shape: Option<Shape> = dims.collect::<Result<_, _>>().ok();
        let len = end.checked_sub(begin);
        let fits = |shape: &Shape| match (dtype_of(&raw.dtype), len) {
            (_, None) => false,
            // Its size is not known here; the cover of the data still holds it in place.
            (None, Some(_)) => true,
            (Some(dtype), Some(len)) => {
                // A zero elsewhere does not excuse sizes whose product overflows.
                let product = shape.iter().try_fold(dtype.size(), |product, &dim| product.checked_mul(dim));
                let bounded = shape.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim.max(1)));
                bounded.is_some() && product.is_some_and(|product| product as u64 == len)
            }
        };
        match shape.filter(fits) {
            Some(shape) => {
                Ok(Entry { dtype: dtype_of(&raw.dtype).ok_or(raw.dtype), name, shape, begin, end })
            }
            None => Err(format!(
                "tensor {name:?} of {} {:?} does not fit its bytes {begin}..{end}",
                raw.dtype, raw.shape
            )),
        }
    }
}

impl<'de> Deserialize<'de> for RawHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = RawHeader;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawHeader, A::Error> {
        let mut header = RawHeader { tensors: Vec::new(), metadata: BTreeMap::new() };
        let mut seen = std::collections::HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            // Which of two equal keys counts differs between JSON parsers, so two programs could read
            // different tensors from one file.
            if !seen.insert(name.clone()) {
                return Err(A::Error::custom(format!("{name:?} occurs twice")));
            }
            if name == "__metadata__" {
                // Some writers put null where they have no metadata.
                header.metadata = map.next_value::<Option<_>>()?.unwrap_or_default();
            } else {
                header.tensors.push((name, map.next_value()?));
            }
        }
        Ok(header)
    }
}

impl<'de> Deserialize<'de> for RawEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntryVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = RawEntry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tensor's dtype, shape and data_offsets")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawEntry, A::Error> {
        let (mut dtype, mut shape, mut data_offsets) = (None, None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "dtype" => dtype = Some(map.next_value()?),
                "shape" => shape = Some(map.next_value()?),
                "data_offsets" => data_offsets = Some(map.next_value()?),
                _ => {
                    // Later versions may add fields.
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(RawEntry {
            dtype: dtype.ok_or_else(|| A::Error::missing_field("dtype"))?,
            shape: shape.ok_or_else(|| A::Error::missing_field("shape"))?,
            data_offsets: data_offsets.ok_or_else(|| A::Error::missing_field("data_offsets"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str, len: u64) -> Result<Header, String> {
        Header::parse(json.as_bytes(), len)
    }

    #[test]
    fn headers_as_the_reference_reader_takes_them() {
        assert!(parse("{}", 0).unwrap().entries.is_empty());
        let header = parse(
            r#"{"__metadata__":{"a":"b"},"y":{"dtype":"U8","shape":[2],"data_offsets":[4,6],"x":1},
            "x":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}   "#,
            6,
        );
        let header = header.unwrap();
        assert_eq!(header.metadata["a"], "b");
        let names: Vec<_> = header.entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["x", "y"]);
        let unknown = parse(r#"{"x":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}}"#, 1).unwrap();
        assert_eq!(unknown.entries[0].dtype, Err("F4".to_owned()));
    }

    #[test]
    fn inconsistent_sizes_are_refused() {
        for (json, len) in [
            (r#"{"x":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}"#, 5),
            (r#"{"x":{"dtype":"F32","shape":[],"data_offsets":[1,5]}}"#, 5),
            (r#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, 4),
            (r#"{"x":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, 4),
            (r#"{"x":{"dtype":"F32","shape":[],"data_offsets":[4,0]}}"#, 0),
            (r#"{"x":{"dtype":"F32","shape":[0,18446744073709551615,9],"data_offsets":[0,0]}}"#, 0),
            (r#"{"x":{"dtype":"F32","shape":[]}}"#, 0),
            (
                r#"{"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#,
                0,
            ),
            (r#"{"__metadata__":{"a":1}}"#, 0),
            ("[]", 0),
            ("{} x", 0),
            ("", 0),
        ] {
            assert!(parse(json, len).is_err(), "{json}");
        }
    }
}
