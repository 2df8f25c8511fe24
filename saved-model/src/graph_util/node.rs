//! Nodes of messages: their inputs and attributes.

use bytes::Bytes;
use graph_def::proto::{AttrValue, NodeDef, Value};
use session_core::{DType, Error, Result, Tensor};
use std::collections::BTreeMap;
use summary::StoredTensor;

/// The longest constant that readers take.
const LARGEST_CONSTANT: usize = i32::MAX as usize;

/// Returns the node that an input comes from, in the syntax of graphs (`node:index`) and in that of functions
/// (`node:output:index`).
pub(super) fn source(input: &str) -> &str {
    let input = input.strip_prefix('^').unwrap_or(input);
    input.split_once(':').map_or(input, |(node, _)| node)
}

pub(super) fn is_control(input: &str) -> bool {
    input.starts_with('^')
}

/// The number of the output that an input is.
pub(super) fn index(input: &str) -> usize {
    input.rsplit_once(':').and_then(|(_, index)| index.parse().ok()).unwrap_or(0)
}

pub(super) fn attr(node: &NodeDef, name: &str) -> Option<Value> {
    node.attr.get(name)?.value.clone()
}

pub(super) fn value(value: Value) -> AttrValue {
    AttrValue { value: Some(value) }
}

/// The dtype that an attribute names; references count as what they refer to.
pub(super) fn dtype(node: &NodeDef, name: &str) -> Option<DType> {
    match attr(node, name)? {
        // Reference dtypes are numbered from 101 on.
        Value::Type(number) => DType::from_number(number % 100),
        _ => None,
    }
}

/// The value of a constant.
pub(super) fn constant_value(node: &NodeDef) -> Option<Tensor> {
    match (node.op.as_str(), attr(node, "value")?) {
        ("Const", Value::Tensor(bytes)) => StoredTensor::from_encoded(bytes).to_tensor().ok(),
        _ => None,
    }
}

/// A node of this name that gives a value.
pub(super) fn constant(name: &str, tensor: &Tensor) -> Result<NodeDef> {
    let place = |error: Error| error.with_node(name, "Const");
    if tensor.byte_len() > LARGEST_CONSTANT {
        let text = format!(
            "Cannot create a tensor proto whose content is larger than 2GB: the value takes {} bytes; leave it a variable",
            tensor.byte_len()
        );
        return Err(place(Error::invalid_argument(text)));
    }
    let stored = StoredTensor::new(tensor)
        .map_err(|error| place(Error::invalid_argument("the value cannot be written").with_source(error)))?;
    let bytes: Bytes = stored.as_encoded().clone();
    let attr = BTreeMap::from([
        ("dtype".to_owned(), value(Value::Type(tensor.dtype().number()))),
        ("value".to_owned(), value(Value::Tensor(bytes))),
    ]);
    Ok(NodeDef { name: name.to_owned(), op: "Const".to_owned(), attr, ..NodeDef::default() })
}
