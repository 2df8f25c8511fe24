//! Attributes of operations.

use crate::PartialShape;
use std::collections::BTreeMap;
use tensor::{Bytes, DType, Tensor};

/// The value of an attribute, as in TensorFlow's graph files.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum AttrValue {
    /// An integer.
    Int(i64),
    /// A number.
    Float(f32),
    /// A truth value.
    Bool(bool),
    /// A byte string.
    String(Bytes),
    /// A dtype.
    Type(DType),
    /// A shape, possibly partial.
    Shape(PartialShape),
    /// A tensor.
    Tensor(Tensor),
    /// The name of a function and the attributes it is bound to.
    Func(String, Attrs),
    /// A list of values of one kind; empty lists have no kind.
    List(Vec<AttrValue>),
}

/// Attributes by name.
pub type Attrs = BTreeMap<String, AttrValue>;

macro_rules! attr_from {
    ($($type:ty => |$value:ident| $make:expr;)*) => {$(
        impl From<$type> for AttrValue {
            fn from($value: $type) -> AttrValue {
                $make
            }
        }
    )*};
}

attr_from! {
    i64 => |value| AttrValue::Int(value);
    i32 => |value| AttrValue::Int(value.into());
    usize => |value| AttrValue::Int(i64::try_from(value).unwrap_or(i64::MAX));
    f32 => |value| AttrValue::Float(value);
    bool => |value| AttrValue::Bool(value);
    &str => |value| AttrValue::String(Bytes::copy_from_slice(value.as_bytes()));
    String => |value| AttrValue::String(Bytes::from(value));
    Bytes => |value| AttrValue::String(value);
    DType => |value| AttrValue::Type(value);
    PartialShape => |value| AttrValue::Shape(value);
    &PartialShape => |value| AttrValue::Shape(value.clone());
    Tensor => |value| AttrValue::Tensor(value);
    &[i64] => |value| AttrValue::List(value.iter().map(|&i| AttrValue::Int(i)).collect());
    Vec<i64> => |value| AttrValue::from(value.as_slice());
    &[DType] => |value| AttrValue::List(value.iter().map(|&t| AttrValue::Type(t)).collect());
    Vec<DType> => |value| AttrValue::from(value.as_slice());
    Vec<PartialShape> => |value| AttrValue::List(value.into_iter().map(AttrValue::Shape).collect());
    Vec<AttrValue> => |value| AttrValue::List(value);
}

impl<const N: usize> From<[i64; N]> for AttrValue {
    fn from(value: [i64; N]) -> AttrValue {
        AttrValue::from(value.as_slice())
    }
}

impl AttrValue {
    /// The integer, if it is one.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        if let AttrValue::Int(value) = self { Some(*value) } else { None }
    }

    /// The number, if it is one.
    #[must_use]
    pub fn as_float(&self) -> Option<f32> {
        if let AttrValue::Float(value) = self { Some(*value) } else { None }
    }

    /// The truth value, if it is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        if let AttrValue::Bool(value) = self { Some(*value) } else { None }
    }

    /// The string, if it is one and is UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let AttrValue::String(value) = self { std::str::from_utf8(value).ok() } else { None }
    }

    /// The dtype, if it is one.
    #[must_use]
    pub fn as_type(&self) -> Option<DType> {
        if let AttrValue::Type(value) = self { Some(*value) } else { None }
    }

    /// The shape, if it is one.
    #[must_use]
    pub fn as_shape(&self) -> Option<&PartialShape> {
        if let AttrValue::Shape(value) = self { Some(value) } else { None }
    }

    /// The tensor, if it is one.
    #[must_use]
    pub fn as_tensor(&self) -> Option<&Tensor> {
        if let AttrValue::Tensor(value) = self { Some(value) } else { None }
    }

    /// The list, if it is one.
    #[must_use]
    pub fn as_list(&self) -> Option<&[AttrValue]> {
        if let AttrValue::List(value) = self { Some(value) } else { None }
    }

    /// The integers, if it is a list of them.
    #[must_use]
    pub fn as_ints(&self) -> Option<Vec<i64>> {
        self.as_list()?.iter().map(AttrValue::as_int).collect()
    }

    /// The dtypes, if it is a list of them.
    #[must_use]
    pub fn as_types(&self) -> Option<Vec<DType>> {
        self.as_list()?.iter().map(AttrValue::as_type).collect()
    }

    /// The shapes, if it is a list of them.
    #[must_use]
    pub fn as_shapes(&self) -> Option<Vec<PartialShape>> {
        self.as_list()?.iter().map(|value| value.as_shape().cloned()).collect()
    }
}
