//! Attributes of operations.

use crate::PartialShape;
use std::borrow::Cow;
use std::ops::Index;
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
/// let mut attrs = Attrs::from([("T", AttrValue::Int(1)), ("N", AttrValue::Int(2))]);
/// assert_eq!(attrs["N"].as_int(), Some(2));
/// assert_eq!(attrs.insert("N", AttrValue::Int(3)), Some(AttrValue::Int(2)));
/// assert_eq!(attrs.keys().collect::<Vec<_>>(), ["N", "T"]);
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct Attrs {
    /// A list, because operations have few attributes: the smallest node of a tree has room for eleven, a kilobyte for each
    /// operation of a graph. Names that a definition has are borrowed from it.
    entries: Vec<Entry>,
}

impl Attrs {
    /// Returns no attributes.
    #[must_use]
    pub const fn new() -> Attrs {
        Attrs { entries: Vec::new() }
    }

    /// Returns no attributes, with room for this many.
    pub(crate) fn with_capacity(capacity: usize) -> Attrs {
        Attrs { entries: Vec::with_capacity(capacity) }
    }

    /// Gives back the room for further attributes.
    pub(crate) fn shrink_to_fit(&mut self) {
        self.entries.shrink_to_fit();
    }

    /// Returns the number of attributes.
    ///
    /// ```
    /// # use session_core::{AttrValue, Attrs};
    /// # let mut attrs = Attrs::from([("T", AttrValue::Int(1)), ("N", AttrValue::Int(2))]);
    /// assert_eq!(attrs.len(), 2);
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns true if there are none.
    ///
    /// ```
    /// assert!(session_core::Attrs::new().is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the place of a name, or the place at which it would be inserted.
    fn find(&self, name: &str) -> Result<usize, usize> {
        // From the front, since operations have a handful.
        for (place, (own, _)) in self.entries.iter().enumerate() {
            match (**own).cmp(name) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => return Ok(place),
                std::cmp::Ordering::Greater => return Err(place),
            }
        }
        Err(self.entries.len())
    }

    /// Returns the value of an attribute.
    ///
    /// ```
    /// # use session_core::{AttrValue, Attrs};
    /// # let mut attrs = Attrs::from([("T", AttrValue::Int(1)), ("N", AttrValue::Int(2))]);
    /// assert_eq!(attrs.get("N"), Some(&AttrValue::Int(2)));
    /// assert_eq!(attrs.get("n"), None);
    /// ```
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&AttrValue> {
        // Not sorted search: most names differ in their length, which is compared without a look at the bytes.
        self.entries.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// Returns the value of an attribute, to be changed.
    ///
    /// ```
    /// # use session_core::{AttrValue, Attrs};
    /// # let mut attrs = Attrs::from([("T", AttrValue::Int(1)), ("N", AttrValue::Int(2))]);
    /// *attrs.get_mut("N").expect("it is there") = AttrValue::Int(3);
    /// assert_eq!(attrs["N"].as_int(), Some(3));
    /// ```
    pub fn get_mut(&mut self, name: &str) -> Option<&mut AttrValue> {
        self.entries.iter_mut().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// Returns true if there is an attribute of this name.
    ///
    /// ```
    /// # use session_core::{AttrValue, Attrs};
    /// # let mut attrs = Attrs::from([("T", AttrValue::Int(1)), ("N", AttrValue::Int(2))]);
    /// assert!(attrs.contains_key("T"));
    /// ```
    #[must_use]
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Sets an attribute, and returns the value that it had.
    ///
    /// ```
    /// # use session_core::{AttrValue, Attrs};
    /// # let mut attrs = Attrs::from([("T", AttrValue::Int(1)), ("N", AttrValue::Int(2))]);
    /// assert_eq!(attrs.insert("shape", AttrValue::Int(7)), None);
    /// assert_eq!(attrs.insert("T", AttrValue::Int(4)), Some(AttrValue::Int(1)));
    /// ```
    pub fn insert(&mut self, name: impl Into<Cow<'static, str>>, value: AttrValue) -> Option<AttrValue> {
        let name = name.into();
        match self.find(&name) {
            Ok(place) => Some(std::mem::replace(&mut self.entries[place].1, value)),
            Err(place) => {
                self.entries.insert(place, (name, value));
                None
            }
        }
    }

    /// Removes an attribute, and returns its value.
    ///
    /// ```
    /// # use session_core::{AttrValue, Attrs};
    /// # let mut attrs = Attrs::from([("T", AttrValue::Int(1)), ("N", AttrValue::Int(2))]);
    /// assert_eq!(attrs.remove("T"), Some(AttrValue::Int(1)));
    /// assert_eq!(attrs.len(), 1);
    /// ```
    pub fn remove(&mut self, name: &str) -> Option<AttrValue> {
        self.find(name).ok().map(|place| self.entries.remove(place).1)
    }

    /// Keeps the attributes for which `keep` returns true.
    ///
    /// ```
    /// # use session_core::{AttrValue, Attrs};
    /// # let mut attrs = Attrs::from([("T", AttrValue::Int(1)), ("N", AttrValue::Int(2))]);
    /// attrs.retain(|name, _| name != "T");
    /// assert_eq!(attrs.keys().collect::<Vec<_>>(), ["N"]);
    /// ```
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &mut AttrValue) -> bool) {
        self.entries.retain_mut(|(name, value)| keep(name, value));
    }

    /// Returns the attributes in the order of their names.
    ///
    /// ```
    /// # use session_core::{AttrValue, Attrs};
    /// # let mut attrs = Attrs::from([("T", AttrValue::Int(1)), ("N", AttrValue::Int(2))]);
    /// let first = attrs.iter().next().expect("there are two");
    /// assert_eq!(first, ("N", &AttrValue::Int(2)));
    /// ```
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &AttrValue)> {
        self.into_iter()
    }

    /// Returns the names in their order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        self.iter().map(|(name, _)| name)
    }

    /// Returns the values in the order of their names.
    ///
    /// ```
    /// # use session_core::{AttrValue, Attrs};
    /// # let mut attrs = Attrs::from([("T", AttrValue::Int(1)), ("N", AttrValue::Int(2))]);
    /// assert_eq!(attrs.values().map(|value| value.as_int()).collect::<Vec<_>>(), [Some(2), Some(1)]);
    /// ```
    pub fn values(&self) -> impl ExactSizeIterator<Item = &AttrValue> {
        self.iter().map(|(_, value)| value)
    }

    /// Returns the values in the order of their names, to be changed.
    pub fn values_mut(&mut self) -> impl ExactSizeIterator<Item = &mut AttrValue> {
        self.entries.iter_mut().map(|(_, value)| value)
    }
}

impl std::fmt::Debug for Attrs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Panics for a name that is not there.
impl Index<&str> for Attrs {
    type Output = AttrValue;

    fn index(&self, name: &str) -> &AttrValue {
        self.get(name).unwrap_or_else(|| panic!("there is no attribute '{name}'"))
    }
}

/// Of several values of one name, the last one counts.
impl<K: Into<Cow<'static, str>>> Extend<(K, AttrValue)> for Attrs {
    fn extend<I: IntoIterator<Item = (K, AttrValue)>>(&mut self, attrs: I) {
        for (name, value) in attrs {
            self.insert(name, value);
        }
    }
}

impl<K: Into<Cow<'static, str>>> FromIterator<(K, AttrValue)> for Attrs {
    fn from_iter<I: IntoIterator<Item = (K, AttrValue)>>(attrs: I) -> Attrs {
        let mut collected = Attrs::new();
        collected.extend(attrs);
        collected
    }
}

impl<K: Into<Cow<'static, str>>, const N: usize> From<[(K, AttrValue); N]> for Attrs {
    fn from(attrs: [(K, AttrValue); N]) -> Attrs {
        attrs.into_iter().collect()
    }
}

/// An attribute as it is kept.
type Entry = (Cow<'static, str>, AttrValue);

impl<'a> IntoIterator for &'a Attrs {
    type Item = (&'a str, &'a AttrValue);
    type IntoIter = std::iter::Map<std::slice::Iter<'a, Entry>, fn(&'a Entry) -> Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.iter().map(|(name, value)| (name, value))
    }
}

impl IntoIterator for Attrs {
    type Item = Entry;
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

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
