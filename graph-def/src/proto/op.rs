//! Definitions of op types.

use super::AttrValue;
use bytes::Bytes;
use prost::Message;

/// Definitions of op types.
#[derive(Clone, PartialEq, Message)]
pub struct OpList {
    /// One for each type.
    #[prost(message, repeated, tag = "1")]
    pub op: Vec<OpDef>,
}

/// The definition of an op type, and the signature of a function.
#[derive(Clone, PartialEq, Message)]
pub struct OpDef {
    /// The type's name.
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
    /// In one line, what it does.
    #[prost(string, tag = "5")]
    pub summary: String,
    /// In many lines, what it does.
    #[prost(string, tag = "6")]
    pub description: String,
    /// Since when it should not be used, serialised; not looked into.
    #[prost(bytes = "bytes", tag = "8")]
    pub deprecation: Bytes,
    /// Whether it aggregates values.
    #[prost(bool, tag = "16")]
    pub is_aggregate: bool,
    /// Whether it has state or an effect.
    #[prost(bool, tag = "17")]
    pub is_stateful: bool,
    /// Whether its inputs may change places.
    #[prost(bool, tag = "18")]
    pub is_commutative: bool,
    /// Whether it takes variables without value.
    #[prost(bool, tag = "19")]
    pub allows_uninitialized_input: bool,
    /// Of a function: the names of its control outputs.
    #[prost(string, repeated, tag = "20")]
    pub control_output: Vec<String>,
    /// Whether it speaks with other processes.
    #[prost(bool, tag = "21")]
    pub is_distributed_communication: bool,
}

/// One input or output.
#[derive(Clone, PartialEq, Message)]
pub struct ArgDef {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// What it is.
    #[prost(string, tag = "2")]
    pub description: String,
    /// The number of its dtype; 0 when an attribute says it.
    #[prost(int32, tag = "3")]
    pub r#type: i32,
    /// The attribute that says its dtype.
    #[prost(string, tag = "4")]
    pub type_attr: String,
    /// The attribute that says how many there are.
    #[prost(string, tag = "5")]
    pub number_attr: String,
    /// The attribute that says how many there are and their dtypes.
    #[prost(string, tag = "6")]
    pub type_list_attr: String,
    /// What is known of resources, serialised; not looked into.
    #[prost(bytes = "bytes", repeated, tag = "7")]
    pub handle_data: Vec<Bytes>,
    /// Whether it is a reference to a variable.
    #[prost(bool, tag = "16")]
    pub is_ref: bool,
    /// Its full type, serialised; not looked into.
    #[prost(bytes = "bytes", tag = "17")]
    pub experimental_full_type: Bytes,
}

/// One attribute.
#[derive(Clone, PartialEq, Message)]
pub struct AttrDef {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The kind of its value: `int`, `list(type)` ...
    #[prost(string, tag = "2")]
    pub r#type: String,
    /// Its default.
    #[prost(message, optional, tag = "3")]
    pub default_value: Option<AttrValue>,
    /// What it is.
    #[prost(string, tag = "4")]
    pub description: String,
    /// Whether there is a least value or length.
    #[prost(bool, tag = "5")]
    pub has_minimum: bool,
    /// The least value or length.
    #[prost(int64, tag = "6")]
    pub minimum: i64,
    /// The values allowed, as a list.
    #[prost(message, optional, tag = "7")]
    pub allowed_values: Option<AttrValue>,
}
