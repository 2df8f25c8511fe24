//! Attributes of operations.

use crate::PartialShape;
use std::collections::BTreeMap;
use tensor::{Bytes, DType, Tensor};

/// The value of an attribute, as in TensorFlow's graph files.
///
/// ```
/// use session_core::{AttrValue, DType};
/// assert_eq!(AttrValue::from(DType::Float32), AttrValue::Type(DType::Float32));
/// assert_eq!(AttrValue::from([1i64, 2]).as_ints(), Some(vec![1, 2]));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum AttrValue {
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Float(f32),
    /// A boolean.
    Bool(bool),
    /// A byte string.
    String(Bytes),
    /// A dtype.
    Type(DType),
    /// A shape, possibly partial.
    Shape(PartialShape),
    /// A tensor.
    Tensor(Tensor),
    /// The name of a function and the attributes bound to it.
    Func(String, Attrs),
    /// A list of values of one kind. An empty list has no kind.
    List(Vec<AttrValue>),
}

/// Attributes by name, in sorted order.
///
/// ```
/// use session_core::{AttrValue, Attrs};
/// let attrs = Attrs::from([("N".to_owned(), AttrValue::Int(2))]);
/// assert_eq!(attrs["N"].as_int(), Some(2));
/// ```
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
    // Lists are never that long; the cap only keeps the conversion infallible.
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
    /// Returns the value if it is an integer.
    ///
    /// ```
    /// use session_core::AttrValue;
    /// assert_eq!(AttrValue::Int(3).as_int(), Some(3));
    /// assert_eq!(AttrValue::Bool(true).as_int(), None);
    /// ```
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        if let AttrValue::Int(value) = self { Some(*value) } else { None }
    }

    /// Returns the value if it is a floating-point number.
    ///
    /// ```
    /// assert_eq!(session_core::AttrValue::Float(0.5).as_float(), Some(0.5));
    /// ```
    #[must_use]
    pub fn as_float(&self) -> Option<f32> {
        if let AttrValue::Float(value) = self { Some(*value) } else { None }
    }

    /// Returns the value if it is a boolean.
    ///
    /// ```
    /// assert_eq!(session_core::AttrValue::Bool(true).as_bool(), Some(true));
    /// ```
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        if let AttrValue::Bool(value) = self { Some(*value) } else { None }
    }

    /// Returns the value if it is a string in UTF-8.
    ///
    /// ```
    /// assert_eq!(session_core::AttrValue::from("SAME").as_str(), Some("SAME"));
    /// ```
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let AttrValue::String(value) = self { std::str::from_utf8(value).ok() } else { None }
    }

    /// Returns the value if it is a dtype.
    ///
    /// ```
    /// use session_core::{AttrValue, DType};
    /// assert_eq!(AttrValue::Type(DType::Int32).as_type(), Some(DType::Int32));
    /// ```
    #[must_use]
    pub fn as_type(&self) -> Option<DType> {
        if let AttrValue::Type(value) = self { Some(*value) } else { None }
    }

    /// Returns the value if it is a shape.
    ///
    /// ```
    /// use session_core::{AttrValue, PartialShape};
    /// let shape = PartialShape::from([None, Some(3)]);
    /// assert_eq!(AttrValue::Shape(shape.clone()).as_shape(), Some(&shape));
    /// ```
    #[must_use]
    pub fn as_shape(&self) -> Option<&PartialShape> {
        if let AttrValue::Shape(value) = self { Some(value) } else { None }
    }

    /// Returns the value if it is a tensor.
    ///
    /// ```
    /// use session_core::{AttrValue, Tensor};
    /// assert!(AttrValue::Tensor(Tensor::scalar(1)).as_tensor().is_some());
    /// ```
    #[must_use]
    pub fn as_tensor(&self) -> Option<&Tensor> {
        if let AttrValue::Tensor(value) = self { Some(value) } else { None }
    }

    /// Returns the items if the value is a list.
    ///
    /// ```
    /// use session_core::AttrValue;
    /// let list = AttrValue::List(vec![AttrValue::Int(1)]);
    /// assert_eq!(list.as_list().map(<[_]>::len), Some(1));
    /// ```
    #[must_use]
    pub fn as_list(&self) -> Option<&[AttrValue]> {
        if let AttrValue::List(value) = self { Some(value) } else { None }
    }

    /// Returns the items if the value is a list of integers.
    ///
    /// ```
    /// assert_eq!(session_core::AttrValue::from([1i64, 2]).as_ints(), Some(vec![1, 2]));
    /// ```
    #[must_use]
    pub fn as_ints(&self) -> Option<Vec<i64>> {
        // One item of another kind makes the whole list `None`: a partial list would be taken for a shorter
        // one.
        self.as_list()?.iter().map(AttrValue::as_int).collect()
    }

    /// Returns the items if the value is a list of dtypes.
    ///
    /// ```
    /// use session_core::{AttrValue, DType};
    /// let list = AttrValue::List(vec![AttrValue::Type(DType::Int32)]);
    /// assert_eq!(list.as_types(), Some(vec![DType::Int32]));
    /// ```
    #[must_use]
    pub fn as_types(&self) -> Option<Vec<DType>> {
        self.as_list()?.iter().map(AttrValue::as_type).collect()
    }

    /// Returns the items if the value is a list of shapes.
    ///
    /// ```
    /// use session_core::{AttrValue, PartialShape};
    /// let list = AttrValue::List(vec![AttrValue::Shape(PartialShape::scalar())]);
    /// assert_eq!(list.as_shapes(), Some(vec![PartialShape::scalar()]));
    /// ```
    #[must_use]
    pub fn as_shapes(&self) -> Option<Vec<PartialShape>> {
        self.as_list()?.iter().map(|value| value.as_shape().cloned()).collect()
    }
}
