//! The names of variables in TensorFlow 2's object-based checkpoints.
//!
//! Such a file keys tensors by their place in a graph of objects. The graph itself is a string tensor
//! in the file, and tells each variable's usual name.

use crate::{CheckpointReader, Error, Result};
use std::collections::HashMap;
use wire::message::{Malformed, Value, fields};

/// The key of the object graph.
const OBJECT_GRAPH: &str = "_CHECKPOINTABLE_OBJECT_GRAPH";

/// Returns the key of each variable by its usual name; nothing if the file is not object-based.
pub(crate) fn names(reader: &CheckpointReader) -> Result<HashMap<String, String>> {
    if !reader.has_tensor(OBJECT_GRAPH) {
        return Ok(HashMap::new());
    }
    let graph = reader.read(OBJECT_GRAPH)?;
    let damaged = || Error::corrupt_tensor(reader.path(), OBJECT_GRAPH, "it is not an object graph");
    // A tensor under this key that is not one string was not written by TensorFlow 2. Going on without names
    // would report every variable as missing.
    let [graph] = graph.as_strings().map_err(|_| damaged())? else { return Err(damaged()) };
    parse(graph).map_err(|Malformed| damaged())
}

fn parse(graph: &[u8]) -> Result<HashMap<String, String>, Malformed> {
    let mut names = HashMap::new();
    fields(graph, |field, value| {
        // Field 1 of TensorFlow's `TrackableObjectGraph` has its nodes, field 2 of a node its attributes. Everything else describes how
        // Python objects refer to each other, which a checkpoint's reader does not need.
        let (1, Value::Bytes(node)) = (field, value) else { return Ok(()) };
        fields(node, |field, value| {
            let (2, Value::Bytes(attribute)) = (field, value) else { return Ok(()) };
            if let Some((name, key)) = variable(attribute)? {
                names.insert(name, key);
            }
            Ok(())
        })
    })?;
    Ok(names)
}

/// Returns the full name and the key of an attribute, or `None` for an attribute that is not a variable and has no full name.
fn variable(attribute: &[u8]) -> Result<Option<(String, String)>, Malformed> {
    let (mut name, mut key) = (String::new(), String::new());
    fields(attribute, |field, value| {
        if let Value::Bytes(bytes) = value {
            match field {
                2 => name = String::from_utf8(bytes.to_vec()).map_err(|_| Malformed)?,
                3 => key = String::from_utf8(bytes.to_vec()).map_err(|_| Malformed)?,
                _ => {}
            }
        }
        Ok(())
    })?;
    Ok((!name.is_empty() && !key.is_empty()).then_some((name, key)))
}
