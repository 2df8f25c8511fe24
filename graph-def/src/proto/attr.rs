//! Attribute values.

use bytes::Bytes;
use prost::{Message, Oneof};
use std::collections::BTreeMap;

/// The value of an attribute of a node.
///
/// ```
/// use graph_def::proto::{AttrList, AttrValue, Value};
/// let strides = AttrList { i: vec![1, 2, 2, 1], ..AttrList::default() };
/// let attr = AttrValue { value: Some(Value::List(strides)) };
/// assert!(matches!(attr.value, Some(Value::List(list)) if list.i.len() == 4));
/// ```
#[derive(Clone, PartialEq, Message)]
pub struct AttrValue {
    /// The value; `None` if it is not set.
    #[prost(oneof = "Value", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10")]
    pub value: Option<Value>,
}

/// The kinds of attribute values.
#[derive(Clone, PartialEq, Oneof)]
pub enum Value {
    /// A list.
    #[prost(message, tag = "1")]
    List(AttrList),
    /// A byte string.
    #[prost(bytes = "bytes", tag = "2")]
    String(Bytes),
    /// An integer.
    #[prost(int64, tag = "3")]
    Int(i64),
    /// A floating-point number.
    #[prost(float, tag = "4")]
    Float(f32),
    /// A boolean.
    #[prost(bool, tag = "5")]
    Bool(bool),
    /// The number of a dtype.
    #[prost(int32, tag = "6")]
    Type(i32),
    /// A shape.
    #[prost(message, tag = "7")]
    Shape(TensorShape),
    /// A serialized `TensorProto`.
    #[prost(bytes = "bytes", tag = "8")]
    Tensor(Bytes),
    /// In the body of a function: the name of the function's attribute to use.
    #[prost(string, tag = "9")]
    Placeholder(String),
    /// A function and its attributes.
    #[prost(message, tag = "10")]
    Func(NameAttrList),
}

/// A list of values of one kind: all fields but one are empty.
#[derive(Clone, PartialEq, Message)]
pub struct AttrList {
    /// Byte strings.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub s: Vec<Bytes>,
    /// Integers.
    #[prost(int64, repeated, tag = "3")]
    pub i: Vec<i64>,
    /// Floating-point numbers.
    #[prost(float, repeated, tag = "4")]
    pub f: Vec<f32>,
    /// Booleans.
    #[prost(bool, repeated, tag = "5")]
    pub b: Vec<bool>,
    /// Numbers of dtypes.
    #[prost(int32, repeated, tag = "6")]
    pub r#type: Vec<i32>,
    /// Shapes.
    #[prost(message, repeated, tag = "7")]
    pub shape: Vec<TensorShape>,
    /// Serialized `TensorProto`s.
    #[prost(bytes = "bytes", repeated, tag = "8")]
    pub tensor: Vec<Bytes>,
    /// Functions.
    #[prost(message, repeated, tag = "9")]
    pub func: Vec<NameAttrList>,
}

/// A function's name and the attributes bound to it.
#[derive(Clone, PartialEq, Message)]
pub struct NameAttrList {
    /// The function.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The attributes of the function.
    #[prost(btree_map = "string, message", tag = "2")]
    pub attr: BTreeMap<String, AttrValue>,
}

/// A shape that may be partially or fully unknown (`TensorShapeProto`).
///
/// ```
/// use graph_def::proto::TensorShape;
/// use session_core::PartialShape;
/// let shape = PartialShape::from([None, Some(3)]);
/// # let message = graph_def::to_graph_def(&{
/// #     let graph = session_core::Graph::new();
/// #     let _x = ops::array::placeholder(&graph, session_core::DType::Float32, shape.clone());
/// #     graph
/// # })?;
/// # let graph_def::proto::Value::Shape(message) = message.node[0].attr["shape"].value.clone().unwrap() else { panic!() };
/// let sizes: Vec<i64> = message.dim.iter().map(|dim| dim.size).collect(); // of a message for [?,3]
/// assert_eq!((sizes, message.unknown_rank), (vec![-1, 3], false));
/// assert_eq!(PartialShape::try_from(&message)?, shape);
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Message)]
pub struct TensorShape {
    /// The dimensions.
    #[prost(message, repeated, tag = "2")]
    pub dim: Vec<Dim>,
    /// True if the rank is unknown.
    #[prost(bool, tag = "3")]
    pub unknown_rank: bool,
}

/// One dimension of a shape: its size, or -1 if it is unknown.
#[derive(Clone, PartialEq, Message)]
pub struct Dim {
    /// The size; -1 if unknown.
    #[prost(int64, tag = "1")]
    pub size: i64,
    /// The name, which has no effect.
    #[prost(string, tag = "2")]
    pub name: String,
}
