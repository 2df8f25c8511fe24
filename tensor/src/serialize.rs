//! serde support for tensors, dtypes, and shapes.
//!
//! A dtype is its name. A shape is a sequence of sizes. A tensor is a struct of `dtype`, `shape`, and `data`,
//! where `data` is either little-endian bytes in row-major order or a sequence of byte strings.

use crate::{Bytes, DType, Shape, Tensor, TensorError};
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{self, Serialize, SerializeStruct, Serializer};
use std::borrow::Cow;
use std::fmt;

impl Serialize for DType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> de::Deserialize<'de> for DType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = DType;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a dtype")
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<DType, E> {
                DType::from_name(name).ok_or_else(|| E::invalid_value(de::Unexpected::Str(name), &self))
            }
        }
        deserializer.deserialize_str(Name)
    }
}

impl Serialize for Shape {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.dims())
    }
}

impl<'de> de::Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // serde's own vector does not trust a declared length when it reserves memory.
        Vec::<usize>::deserialize(deserializer).map(Shape::from)
    }
}

/// Resources and variants are rejected: they are meaningful within one process only.
impl Serialize for Tensor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let data = match self.dtype() {
            DType::String => Data::Strings(self.as_strings().map_err(ser::Error::custom)?),
            _ => Data::Plain(self.to_le_bytes().map_err(ser::Error::custom)?),
        };
        let mut out = serializer.serialize_struct("Tensor", FIELDS.len())?;
        out.serialize_field("dtype", &self.dtype())?;
        out.serialize_field("shape", self.shape())?;
        out.serialize_field("data", &data)?;
        out.end()
    }
}

/// The number of data bytes and strings is checked against the shape, and no memory is reserved based on the
/// shape alone. The fields of a map may come in any order.
impl<'de> de::Deserialize<'de> for Tensor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct("Tensor", FIELDS, TensorVisitor)
    }
}

const FIELDS: &[&str] = &["dtype", "shape", "data"];

enum Data<'a> {
    Plain(Cow<'a, [u8]>),
    Strings(&'a [Bytes]),
}

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Data::Plain(bytes) => serializer.serialize_bytes(bytes),
            Data::Strings(strings) => serializer.collect_seq(strings.iter().map(|bytes| OneString(bytes))),
        }
    }
}

struct OneString<'a>(&'a [u8]);

impl Serialize for OneString<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// The data as found, before or after the dtype is known.
enum Found {
    Bytes(Vec<u8>),
    Strings(Vec<Bytes>),
}

fn assemble(dtype: DType, shape: Shape, found: Found) -> Result<Tensor, TensorError> {
    match (dtype, found) {
        (DType::String, Found::Strings(strings)) => Tensor::from_strings(strings, shape),
        // An empty list does not reveal its element type.
        (DType::String, Found::Bytes(bytes)) if bytes.is_empty() => {
            Tensor::from_strings(Vec::<Bytes>::new(), shape)
        }
        (DType::String, Found::Bytes(_)) => Err(TensorError::NotPlain { dtype }),
        (_, Found::Bytes(bytes)) => Tensor::from_le_bytes(dtype, shape, bytes),
        (_, Found::Strings(_)) => Err(TensorError::DType { expected: dtype, found: DType::String }),
    }
}

struct TensorVisitor;

impl<'de> Visitor<'de> for TensorVisitor {
    type Value = Tensor;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tensor of dtype, shape and data")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tensor, A::Error> {
        let missing = |index| de::Error::invalid_length(index, &"3 fields");
        let dtype = seq.next_element::<DType>()?.ok_or_else(|| missing(0))?;
        let shape = seq.next_element::<Shape>()?.ok_or_else(|| missing(1))?;
        let found = seq.next_element_seed(DataSeed(Some(dtype)))?.ok_or_else(|| missing(2))?;
        assemble(dtype, shape, found).map_err(de::Error::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tensor, A::Error> {
        let (mut dtype, mut shape, mut found) = (None, None, None);
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            match &*key {
                "dtype" => dtype = Some(map.next_value::<DType>()?),
                "shape" => shape = Some(map.next_value::<Shape>()?),
                // The dtype may come later in a map. Then the data are kept as they are found, and `assemble`
                // judges them.
                "data" => found = Some(map.next_value_seed(DataSeed(dtype))?),
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        let dtype = dtype.ok_or_else(|| de::Error::missing_field("dtype"))?;
        let shape = shape.ok_or_else(|| de::Error::missing_field("shape"))?;
        let found = found.ok_or_else(|| de::Error::missing_field("data"))?;
        assemble(dtype, shape, found).map_err(de::Error::custom)
    }
}

/// Reads data of this dtype, or, in self-describing formats, of a dtype that comes later.
#[derive(Clone, Copy)]
struct DataSeed(Option<DType>);

impl<'de> DeserializeSeed<'de> for DataSeed {
    type Value = Found;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        match self.0 {
            None => deserializer.deserialize_any(self),
            // Formats that do not describe themselves, such as bincode, must know what comes next.
            Some(DType::String) => deserializer.deserialize_seq(self),
            Some(_) => deserializer.deserialize_byte_buf(self),
        }
    }
}

impl<'de> Visitor<'de> for DataSeed {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes, or a sequence of byte strings")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Found, E> {
        Ok(Found::Bytes(bytes.to_vec()))
    }

    fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Found, E> {
        Ok(Found::Bytes(bytes))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Found, A::Error> {
        if self.0 == Some(DType::String) {
            let mut strings = Vec::new();
            while let Some(OwnedString(string)) = seq.next_element()? {
                strings.push(string);
            }
            return Ok(Found::Strings(strings));
        }
        // A format without byte strings, such as JSON, has a sequence of numbers instead.
        if self.0.is_some() {
            let mut bytes = Vec::new();
            while let Some(byte) = seq.next_element()? {
                bytes.push(byte);
            }
            return Ok(Found::Bytes(bytes));
        }
        // Formats without a byte type list numbers; the first item reveals whether the items are lists
        // themselves.
        let (mut bytes, mut strings) = (Vec::new(), Vec::new());
        loop {
            if strings.is_empty() {
                match seq.next_element::<Item>()? {
                    Some(Item::Byte(byte)) => bytes.push(byte),
                    Some(Item::String(_)) if !bytes.is_empty() => {
                        return Err(de::Error::custom("the tensor data mixes a byte string with bytes"));
                    }
                    Some(Item::String(string)) => strings.push(string),
                    None => return Ok(Found::Bytes(bytes)),
                }
            } else {
                match seq.next_element::<OwnedString>()? {
                    Some(OwnedString(string)) => strings.push(string),
                    None => return Ok(Found::Strings(strings)),
                }
            }
        }
    }
}

/// An element of data whose dtype is not known yet.
enum Item {
    Byte(u8),
    String(Bytes),
}

impl<'de> de::Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ItemVisitor;
        impl<'de> Visitor<'de> for ItemVisitor {
            type Value = Item;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a byte or a byte string")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Item, E> {
                let wrong = |_| E::invalid_value(de::Unexpected::Unsigned(number), &self);
                u8::try_from(number).map(Item::Byte).map_err(wrong)
            }
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Item, E> {
                StringVisitor.visit_bytes(bytes).map(|OwnedString(string)| Item::String(string))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Item, E> {
                StringVisitor.visit_str(text).map(|OwnedString(string)| Item::String(string))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Item, A::Error> {
                StringVisitor.visit_seq(seq).map(|OwnedString(string)| Item::String(string))
            }
        }
        deserializer.deserialize_any(ItemVisitor)
    }
}

struct OwnedString(Bytes);

impl<'de> de::Deserialize<'de> for OwnedString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(StringVisitor)
    }
}

struct StringVisitor;

impl<'de> Visitor<'de> for StringVisitor {
    type Value = OwnedString;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a byte string")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<OwnedString, E> {
        Ok(OwnedString(Bytes::copy_from_slice(bytes)))
    }

    fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<OwnedString, E> {
        Ok(OwnedString(bytes.into()))
    }

    /// Accepts text written by hand.
    fn visit_str<E: de::Error>(self, text: &str) -> Result<OwnedString, E> {
        self.visit_bytes(text.as_bytes())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<OwnedString, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = seq.next_element::<u8>()? {
            bytes.push(byte);
        }
        Ok(OwnedString(bytes.into()))
    }
}
