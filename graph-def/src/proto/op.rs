//! Definitions of op types.

use super::AttrValue;
use bytes::Bytes;
use prost::Message;

/// Definitions of op types.
#[derive(Clone, PartialEq, Message)]
pub struct OpList {
    /// One definition for each type.
    #[prost(message, repeated, tag = "1")]
    pub op: Vec<OpDef>,
}

/// The definition of an op type, or the signature of a function.
#[derive(Clone, PartialEq, Message)]
pub struct OpDef {
    /// The name of the type.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The inputs.
    #[prost(message, repeated, tag = "2")]
    pub input_arg: Vec<ArgDef>,
    /// The outputs.
    #[prost(message, repeated, tag = "3")]
    pub output_arg: Vec<ArgDef>,
    /// The attributes.
    #[prost(message, repeated, tag = "4")]
    pub attr: Vec<AttrDef>,
    /// A summary in one line.
    #[prost(string, tag = "5")]
    pub summary: String,
    /// A longer description.
    #[prost(string, tag = "6")]
    pub description: String,
    /// The version since which it is deprecated, serialized; not decoded.
    #[prost(bytes = "bytes", tag = "8")]
    pub deprecation: Bytes,
    /// True if it aggregates values.
    #[prost(bool, tag = "16")]
    pub is_aggregate: bool,
    /// True if it has state or side effects.
    #[prost(bool, tag = "17")]
    pub is_stateful: bool,
    /// True if its inputs can be swapped.
    #[prost(bool, tag = "18")]
    pub is_commutative: bool,
    /// True if it accepts variables without a value.
    #[prost(bool, tag = "19")]
    pub allows_uninitialized_input: bool,
    /// The names of a function's control outputs.
    #[prost(string, repeated, tag = "20")]
    pub control_output: Vec<String>,
    /// True if it communicates with other processes.
    #[prost(bool, tag = "21")]
    pub is_distributed_communication: bool,
}

/// One input or output.
#[derive(Clone, PartialEq, Message)]
pub struct ArgDef {
    /// The name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// A description.
    #[prost(string, tag = "2")]
    pub description: String,
    /// The number of its dtype; 0 if an attribute has it.
    #[prost(int32, tag = "3")]
    pub r#type: i32,
    /// The attribute with its dtype.
    #[prost(string, tag = "4")]
    pub type_attr: String,
    /// The attribute with the number of tensors.
    #[prost(string, tag = "5")]
    pub number_attr: String,
    /// The attribute with the dtypes of the tensors.
    #[prost(string, tag = "6")]
    pub type_list_attr: String,
    /// The types of resource handles, serialized; not decoded.
    #[prost(bytes = "bytes", repeated, tag = "7")]
    pub handle_data: Vec<Bytes>,
    /// True if it is a reference to a variable.
    #[prost(bool, tag = "16")]
    pub is_ref: bool,
    /// The full type, serialized; not decoded.
    #[prost(bytes = "bytes", tag = "17")]
    pub experimental_full_type: Bytes,
}

/// One attribute.
#[derive(Clone, PartialEq, Message)]
pub struct AttrDef {
    /// The name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The kind of its value: `int`, `list(type)` ...
    #[prost(string, tag = "2")]
    pub r#type: String,
    /// The default value.
    #[prost(message, optional, tag = "3")]
    pub default_value: Option<AttrValue>,
    /// A description.
    #[prost(string, tag = "4")]
    pub description: String,
    /// True if there is a minimum value or length.
    #[prost(bool, tag = "5")]
    pub has_minimum: bool,
    /// The minimum value or length.
    #[prost(int64, tag = "6")]
    pub minimum: i64,
    /// The allowed values, as a list.
    #[prost(message, optional, tag = "7")]
    pub allowed_values: Option<AttrValue>,
}
