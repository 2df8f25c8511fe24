//! Conversion of shapes, tensors, and attribute values to and from messages.
//!
//! Numbers in files are not trusted: ranks, sizes, and repetition counts are checked before memory is reserved.

use crate::proto::{AttrList, Dim, NameAttrList, TensorShape, Value};
use crate::{Error, Result, proto};
use bytes::Bytes;
use session_core::{AttrValue, Attrs, Code, DType, PartialShape, Tensor};
use std::collections::BTreeMap;
use summary::StoredTensor;

/// The largest rank of TensorFlow's shapes.
const MAX_RANK: usize = 254;

// ---- to messages -----------------------------------------------------------------------------------------

/// Converts a shape. Unknown sizes are -1; an unknown rank has a separate flag.
pub(crate) fn shape_to_proto(shape: &PartialShape) -> TensorShape {
    match shape.sizes() {
        None => TensorShape { dim: Vec::new(), unknown_rank: true },
        Some(sizes) => TensorShape {
            dim: sizes.iter().map(|&size| Dim { size, name: String::new() }).collect(),
            unknown_rank: false,
        },
    }
}

/// Serializes a tensor as a `TensorProto`, in TensorFlow's most compact form.
pub(crate) fn tensor_to_proto(tensor: &Tensor) -> Result<Bytes> {
    let stored = StoredTensor::new(tensor).map_err(|error| {
        Error::invalid_argument("a tensor cannot be converted to a message").with_source(error)
    })?;
    Ok(stored.as_encoded().clone())
}

/// Converts the attributes of an operation or function.
pub(crate) fn attrs_to_proto(attrs: &Attrs) -> Result<BTreeMap<String, proto::AttrValue>> {
    attrs.iter().map(|(name, value)| Ok((name.to_owned(), attr_to_proto(name, value)?))).collect()
}

/// Converts the value of one attribute; `name` is for errors.
pub(crate) fn attr_to_proto(name: &str, value: &AttrValue) -> Result<proto::AttrValue> {
    let value = match value {
        AttrValue::Int(value) => Value::Int(*value),
        AttrValue::Float(value) => Value::Float(*value),
        AttrValue::Bool(value) => Value::Bool(*value),
        AttrValue::String(value) => Value::String(value.clone()),
        AttrValue::Type(dtype) => Value::Type(dtype.number()),
        AttrValue::Shape(shape) => Value::Shape(shape_to_proto(shape)),
        AttrValue::Tensor(tensor) => Value::Tensor(tensor_to_proto(tensor)?),
        AttrValue::Func(name, attrs) => Value::Func(func_to_proto(name, attrs)?),
        AttrValue::List(values) => Value::List(list_to_proto(name, values)?),
        other => return Err(unknown_kind(name, other)),
    };
    Ok(proto::AttrValue { value: Some(value) })
}

/// Converts a function attribute: the name of the function and its parameters.
fn func_to_proto(name: &str, attrs: &Attrs) -> Result<NameAttrList> {
    Ok(NameAttrList { name: name.to_owned(), attr: attrs_to_proto(attrs)? })
}

/// Converts a list. A message has one list for each kind of item, so items are distributed by their kinds.
fn list_to_proto(name: &str, values: &[AttrValue]) -> Result<AttrList> {
    let mut list = AttrList::default();
    for value in values {
        match value {
            AttrValue::Int(value) => list.i.push(*value),
            AttrValue::Float(value) => list.f.push(*value),
            AttrValue::Bool(value) => list.b.push(*value),
            AttrValue::String(value) => list.s.push(value.clone()),
            AttrValue::Type(dtype) => list.r#type.push(dtype.number()),
            AttrValue::Shape(shape) => list.shape.push(shape_to_proto(shape)),
            AttrValue::Tensor(tensor) => list.tensor.push(tensor_to_proto(tensor)?),
            AttrValue::Func(name, attrs) => list.func.push(func_to_proto(name, attrs)?),
            other => return Err(unknown_kind(name, other)),
        }
    }
    Ok(list)
}

/// Returns the error for a value that messages cannot represent.
fn unknown_kind(name: &str, value: &AttrValue) -> Error {
    Error::invalid_argument(format!("attribute '{name}' has no form in a GraphDef: {value:?}"))
}

// ---- from messages ---------------------------------------------------------------------------------------

/// Returns the dtype with a number, or an error for an unknown one.
fn dtype_from_number(number: i32) -> Result<DType> {
    DType::from_number(number).ok_or_else(|| Error::invalid_argument(format!("unknown dtype {number}")))
}

/// Returns the dtype of an output, and true if it is a reference.
pub(crate) fn maybe_ref_dtype(number: i32) -> Result<(DType, bool)> {
    // TensorFlow numbers the reference of a dtype 100 above the dtype.
    const REFERENCE: i32 = 100;
    if number > REFERENCE {
        let dtype = DType::from_number(number - REFERENCE);
        // The number of the message, not that of what the reference is to.
        let unknown = || Error::invalid_argument(format!("unknown dtype {number}"));
        return Ok((dtype.ok_or_else(unknown)?, true));
    }
    Ok((dtype_from_number(number)?, false))
}

/// Converts a shape of a file.
///
/// # Errors
/// `InvalidArgument` for more than 254 dimensions and for sizes below -1.
pub(crate) fn shape_from_proto(shape: &TensorShape) -> Result<PartialShape> {
    if shape.unknown_rank {
        return Ok(PartialShape::unknown());
    }
    if shape.dim.len() > MAX_RANK {
        let text = format!("a shape has {} dimensions; the maximum is {MAX_RANK}", shape.dim.len());
        return Err(Error::invalid_argument(text));
    }
    // -1 is an unknown size. Any other negative number is damage.
    if let Some(dim) = shape.dim.iter().find(|dim| dim.size < -1) {
        return Err(Error::invalid_argument(format!("a shape has a dimension of size {}", dim.size)));
    }
    Ok(PartialShape::from_sizes(shape.dim.iter().map(|dim| dim.size)))
}

/// The known part of a shape in a message.
///
/// # Errors
/// `InvalidArgument` for a negative size other than -1, and for too many dimensions.
impl TryFrom<&TensorShape> for PartialShape {
    type Error = Error;
    fn try_from(shape: &TensorShape) -> Result<PartialShape> {
        shape_from_proto(shape)
    }
}

impl From<&PartialShape> for TensorShape {
    fn from(shape: &PartialShape) -> TensorShape {
        shape_to_proto(shape)
    }
}

/// Decodes a serialized `TensorProto`.
pub(crate) fn tensor_from_proto(bytes: &Bytes) -> Result<Tensor> {
    StoredTensor::from_encoded(bytes.clone()).to_tensor().map_err(|error| {
        Error::new(Code::InvalidArgument, "a tensor in the message is damaged").with_source(error)
    })
}

/// Converts the attributes of a node. Empty values are left out, and so are unreadable values of attributes that only
/// annotate, whose names begin with `_`.
pub(crate) fn attrs_from_proto(attrs: &BTreeMap<String, proto::AttrValue>) -> Result<Attrs> {
    let mut read = Attrs::new();
    for (name, value) in attrs {
        let Some(value) = &value.value else { continue };
        match attr_from_proto(value) {
            Ok(value) => _ = read.insert(name.clone(), value),
            // Such attributes come from rewriters and other runtimes and change no result, so they must not
            // make a graph unreadable.
            Err(_) if name.starts_with('_') => {}
            Err(error) => {
                let text = format!("attribute '{name}': {}", error.message());
                return Err(error.context(text));
            }
        }
    }
    Ok(read)
}

/// Converts the value of an attribute.
///
/// # Errors
/// `Unimplemented` for a placeholder outside of a function; `InvalidArgument` for malformed shapes, dtypes and
/// tensors.
pub(crate) fn attr_from_proto(value: &Value) -> Result<AttrValue> {
    Ok(match value {
        Value::Int(value) => AttrValue::Int(*value),
        Value::Float(value) => AttrValue::Float(*value),
        Value::Bool(value) => AttrValue::Bool(*value),
        Value::String(value) => AttrValue::String(value.clone()),
        // An attribute of a reference's dtype exists in old graphs. The definition of the op knows that it is
        // a reference.
        Value::Type(number) => AttrValue::Type(maybe_ref_dtype(*number)?.0),
        Value::Shape(shape) => AttrValue::Shape(shape_from_proto(shape)?),
        Value::Tensor(bytes) => AttrValue::Tensor(tensor_from_proto(bytes)?),
        Value::Func(func) => AttrValue::Func(func.name.clone(), attrs_from_proto(&func.attr)?),
        Value::List(list) => AttrValue::List(list_from_proto(list)?),
        Value::Placeholder(name) => {
            return Err(Error::new(
                Code::Unimplemented,
                format!("it is a placeholder for attribute '{name}', which only functions have"),
            ));
        }
    })
}

/// Converts a list. Only one of the lists of a message has items in practice; if several have, they follow each other
/// in the order of their fields.
fn list_from_proto(list: &AttrList) -> Result<Vec<AttrValue>> {
    // Without `..`, so that a new field of the message is not forgotten here.
    let AttrList { s, i, f, b, r#type, shape, tensor, func } = list;
    let mut values = Vec::new();
    values.extend(s.iter().cloned().map(AttrValue::String));
    values.extend(i.iter().copied().map(AttrValue::Int));
    values.extend(f.iter().copied().map(AttrValue::Float));
    values.extend(b.iter().copied().map(AttrValue::Bool));
    for &number in r#type {
        values.push(AttrValue::Type(maybe_ref_dtype(number)?.0));
    }
    for shape in shape {
        values.push(AttrValue::Shape(shape_from_proto(shape)?));
    }
    for tensor in tensor {
        values.push(AttrValue::Tensor(tensor_from_proto(tensor)?));
    }
    for func in func {
        values.push(AttrValue::Func(func.name.clone(), attrs_from_proto(&func.attr)?));
    }
    Ok(values)
}
