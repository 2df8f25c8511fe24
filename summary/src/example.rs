//! `tf.Example`: named lists of numbers or byte strings, the usual content of records.
//!
//! ```
//! use summary::example::{Example, Feature};
//! let example = Example::new().with("label", [3i64]).with("image", [0.5f32, 0.25]).with("name", ["cat"]);
//! let bytes = example.encode();
//!
//! let read = Example::decode(&bytes)?;
//! assert_eq!(read.get("label"), Some(&Feature::Ints(vec![3])));
//! assert_eq!(read.get("image").and_then(Feature::as_floats), Some(&[0.5, 0.25][..]));
//! assert_eq!(read, example);
//! # Ok::<(), summary::example::ExampleError>(())
//! ```
//!
//! Written with [`RecordWriter`](crate::record::RecordWriter) they make a TFRecord file. Who reads many and needs few
//! features of them takes [`scan`], which copies nothing.

mod fields;

pub use fields::{FeatureKind, FeatureListRef, FeatureRef, scan, scan_lists};

use bytes::Bytes;
use std::collections::BTreeMap;
use wire::message::{put_bytes, put_varint};

/// Bytes that are no `tf.Example`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no tf.Example: {what} at byte {offset}")]
#[non_exhaustive]
pub struct ExampleError {
    /// The reason.
    pub what: &'static str,
    /// The offset from the start of the message.
    pub offset: usize,
}

/// A list of values of one kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Feature {
    /// Byte strings.
    Bytes(Vec<Bytes>),
    /// Numbers of single precision.
    Floats(Vec<f32>),
    /// Integers.
    Ints(Vec<i64>),
}

impl Feature {
    /// Returns the byte strings of a feature of byte strings.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[Bytes]> {
        if let Feature::Bytes(values) = self { Some(values) } else { None }
    }

    /// Returns the numbers of a feature of numbers.
    ///
    /// ```
    /// use summary::example::Feature;
    /// let feature = Feature::from(vec![0.5f32]);
    /// assert_eq!((feature.as_floats(), feature.as_ints()), (Some(&[0.5][..]), None));
    /// ```
    #[must_use]
    pub fn as_floats(&self) -> Option<&[f32]> {
        if let Feature::Floats(values) = self { Some(values) } else { None }
    }

    /// Returns the integers of a feature of integers.
    #[must_use]
    pub fn as_ints(&self) -> Option<&[i64]> {
        if let Feature::Ints(values) = self { Some(values) } else { None }
    }

    fn encode(&self) -> Vec<u8> {
        let mut list = Vec::new();
        let field = match self {
            Feature::Bytes(values) => {
                values.iter().for_each(|value| put_bytes(&mut list, 1, value));
                1
            }
            Feature::Floats(values) => {
                // An empty packed field is left out. The list itself is written even if it is empty, because
                // it states the kind.
                if !values.is_empty() {
                    let packed: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                    put_bytes(&mut list, 1, &packed);
                }
                2
            }
            Feature::Ints(values) => {
                if !values.is_empty() {
                    let mut packed = Vec::new();
                    values.iter().for_each(|value| put_varint(&mut packed, value.cast_unsigned()));
                    put_bytes(&mut list, 1, &packed);
                }
                3
            }
        };
        let mut feature = Vec::new();
        put_bytes(&mut feature, field, &list);
        feature
    }
}

impl From<Vec<f32>> for Feature {
    fn from(values: Vec<f32>) -> Feature {
        Feature::Floats(values)
    }
}

impl From<Vec<i64>> for Feature {
    fn from(values: Vec<i64>) -> Feature {
        Feature::Ints(values)
    }
}

impl From<Vec<Bytes>> for Feature {
    fn from(values: Vec<Bytes>) -> Feature {
        Feature::Bytes(values)
    }
}

impl<const N: usize> From<[f32; N]> for Feature {
    fn from(values: [f32; N]) -> Feature {
        Feature::Floats(values.to_vec())
    }
}

impl<const N: usize> From<[i64; N]> for Feature {
    fn from(values: [i64; N]) -> Feature {
        Feature::Ints(values.to_vec())
    }
}

impl<const N: usize> From<[&str; N]> for Feature {
    fn from(values: [&str; N]) -> Feature {
        Feature::Bytes(values.iter().map(|value| Bytes::copy_from_slice(value.as_bytes())).collect())
    }
}

impl From<&[f32]> for Feature {
    fn from(values: &[f32]) -> Feature {
        Feature::Floats(values.to_vec())
    }
}

impl From<&[i64]> for Feature {
    fn from(values: &[i64]) -> Feature {
        Feature::Ints(values.to_vec())
    }
}

/// Features by name.
///
/// ```
/// use summary::example::Example;
/// let example = Example::new().with("label", vec![7i64]).with("pixels", vec![0.5f32, 0.25]);
/// assert_eq!(Example::decode(&example.encode())?, example);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Example {
    features: BTreeMap<String, Feature>,
}

impl Example {
    /// Makes an example without features.
    #[must_use]
    pub fn new() -> Example {
        Example::default()
    }

    /// Adds a feature, or replaces the one of the same name.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, feature: impl Into<Feature>) -> Example {
        self.features.insert(name.into(), feature.into());
        self
    }

    /// Returns the feature of this name.
    ///
    /// ```
    /// use summary::example::Example;
    /// let example = Example::new().with("label", vec![7i64]);
    /// assert_eq!(example.get("label").unwrap().as_ints(), Some(&[7][..]));
    /// assert!(example.get("pixels").is_none());
    /// ```
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Feature> {
        self.features.get(name)
    }

    /// Returns all features, sorted by name.
    ///
    /// ```
    /// use summary::example::Example;
    /// let example = Example::new().with("b", vec![1i64]).with("a", vec![0.5f32]);
    /// let names: Vec<&str> = example.features().map(|(name, _)| name).collect();
    /// assert_eq!(names, ["a", "b"]);
    /// ```
    pub fn features(&self) -> impl Iterator<Item = (&str, &Feature)> {
        self.features.iter().map(|(name, feature)| (name.as_str(), feature))
    }

    /// Serializes the example, with its features sorted by name.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut features = Vec::new();
        for (name, feature) in &self.features {
            let mut entry = Vec::new();
            put_bytes(&mut entry, 1, name.as_bytes());
            put_bytes(&mut entry, 2, &feature.encode());
            put_bytes(&mut features, 1, &entry);
        }
        let mut message = Vec::new();
        put_bytes(&mut message, 1, &features);
        message
    }

    /// Reads a protocol message. A feature that comes twice counts as it comes last; one without any list is left out.
    ///
    /// ```
    /// use summary::example::Example;
    /// assert!(Example::decode(b"no example").is_err());
    /// ```
    ///
    /// # Errors
    /// For bytes that are not such a message.
    pub fn decode(message: &[u8]) -> Result<Example, ExampleError> {
        let mut features = BTreeMap::new();
        let mut failed = None;
        scan(message, |name, feature| match feature.to_feature() {
            Ok(Some(feature)) => {
                features.insert(String::from_utf8_lossy(name).into_owned(), feature);
            }
            Ok(None) => {}
            Err(error) => {
                // The visitor of `scan` cannot end it, so the first error is kept until the end.
                failed.get_or_insert(error);
            }
        })?;
        failed.map_or(Ok(Example { features }), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_values_are_read() {
        let example = Example::new()
            .with("ints", [0i64, 1, 127, 128, -1, i64::MAX, i64::MIN])
            .with("floats", [0.0f32, -1.5, f32::MAX])
            .with("bytes", ["", "a", "bc"])
            .with("no ints", Vec::<i64>::new())
            .with("no floats", Vec::<f32>::new())
            .with("no bytes", Vec::<Bytes>::new());
        assert_eq!(Example::decode(&example.encode()).unwrap(), example);
        assert_eq!(Example::decode(b"").unwrap(), Example::new());
    }

    /// Refuses or reads every cut and every changed byte, without a panic.
    #[test]
    fn damage_is_an_error_or_another_example() {
        let whole = Example::new().with("a", [1i64, 300]).with("b", [1.0f32]).with("c", ["xyz"]).encode();
        for len in 0..whole.len() {
            let _ = Example::decode(&whole[..len]);
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut changed = whole.clone();
                changed[len] = value;
                let _ = Example::decode(&changed);
            }
        }
        let error = Example::decode(&whole[..whole.len() - 1]).unwrap_err();
        assert!(error.to_string().contains("at byte"), "{error}");
    }

    /// Lists that are not packed, which older writers made.
    #[test]
    fn unpacked_lists_are_read() {
        let mut ints = Vec::new();
        for value in [5u64, 300] {
            ints.push(1 << 3);
            put_varint(&mut ints, value);
        }
        let mut floats = Vec::new();
        for value in [0.5f32, 2.0] {
            floats.push((1 << 3) | 5);
            floats.extend(value.to_le_bytes());
        }
        let mut features = Vec::new();
        for (name, field, list) in [("i", 3, ints), ("f", 2, floats)] {
            let (mut feature, mut entry) = (Vec::new(), Vec::new());
            put_bytes(&mut feature, field, &list);
            put_bytes(&mut entry, 1, name.as_bytes());
            put_bytes(&mut entry, 2, &feature);
            put_bytes(&mut features, 1, &entry);
        }
        let mut message = Vec::new();
        put_bytes(&mut message, 1, &features);
        let expected = Example::new().with("i", [5i64, 300]).with("f", [0.5f32, 2.0]);
        assert_eq!(Example::decode(&message).unwrap(), expected);
    }
}
