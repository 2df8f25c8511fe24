//! Functions.

use super::{AttrValue, NodeDef, OpDef};
use bytes::Bytes;
use prost::Message;
use std::collections::BTreeMap;

/// The functions of a graph.
#[derive(Clone, PartialEq, Message)]
pub struct FunctionDefLibrary {
    /// The functions.
    #[prost(message, repeated, tag = "1")]
    pub function: Vec<FunctionDef>,
    /// The gradient functions.
    #[prost(message, repeated, tag = "2")]
    pub gradient: Vec<GradientDef>,
    /// Names under which gradients were registered, serialized; not decoded.
    #[prost(bytes = "bytes", repeated, tag = "3")]
    pub registered_gradients: Vec<Bytes>,
}

/// One function.
#[derive(Clone, PartialEq, Message)]
pub struct FunctionDef {
    /// The name, arguments, results and attributes.
    #[prost(message, optional, tag = "1")]
    pub signature: Option<OpDef>,
    /// The body.
    #[prost(message, repeated, tag = "3")]
    pub node_def: Vec<NodeDef>,
    /// For each result, its value: `node:output_arg:index` or the name of an argument.
    #[prost(btree_map = "string, string", tag = "4")]
    pub ret: BTreeMap<String, String>,
    /// The attributes of the function.
    #[prost(btree_map = "string, message", tag = "5")]
    pub attr: BTreeMap<String, AttrValue>,
    /// For each control output, its node.
    #[prost(btree_map = "string, string", tag = "6")]
    pub control_ret: BTreeMap<String, String>,
    /// The attributes of the arguments, by position.
    #[prost(btree_map = "uint32, message", tag = "7")]
    pub arg_attr: BTreeMap<u32, ArgAttrs>,
    /// The identities of resource arguments: equal numbers mean the same resource.
    #[prost(btree_map = "uint32, uint32", tag = "8")]
    pub resource_arg_unique_id: BTreeMap<u32, u32>,
}

/// The attributes of one argument.
#[derive(Clone, PartialEq, Message)]
pub struct ArgAttrs {
    /// The attributes.
    #[prost(btree_map = "string, message", tag = "1")]
    pub attr: BTreeMap<String, AttrValue>,
}

/// A function and its gradient function.
#[derive(Clone, PartialEq, Message)]
pub struct GradientDef {
    /// The function.
    #[prost(string, tag = "1")]
    pub function_name: String,
    /// The name of its gradient.
    #[prost(string, tag = "2")]
    pub gradient_func: String,
}
