//! The part of a graph that computes some outputs.

use super::node::{dtype, source, value};
use graph_def::proto::{GraphDef, NodeDef, TensorShape, Value};
use session_core::{Error, Result};
use std::collections::{BTreeMap, HashMap, HashSet};
use tensor::text::nearest;

/// Returns the nodes that these nodes need, through data and control inputs, in their order, with the functions and versions of the
/// graph. Names may be those of tensors.
///
/// ```
/// use graph_def::proto::GraphDef;
/// use saved_model::graph_util::extract_sub_graph;
/// let graph = GraphDef::from_text(
///     "node { name: 'x' op: 'Placeholder' } node { name: 'y' op: 'Neg' input: 'x' } node { name: 'z' op: 'Exp' input: 'x' }",
/// )?;
/// let part = extract_sub_graph(&graph, &["y"])?;
/// assert_eq!(part.node.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(), ["x", "y"]);
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// A key error for a name that the graph does not have, with the nearest one, and for an input that does not exist.
pub fn extract_sub_graph(graph: &GraphDef, outputs: &[&str]) -> Result<GraphDef> {
    let by_name: HashMap<&str, &NodeDef> = graph.node.iter().map(|node| (node.name.as_str(), node)).collect();
    let mut waiting = Vec::new();
    for output in outputs {
        let name = source(output);
        let node = by_name.get(name).ok_or_else(|| {
            let near = nearest(name, by_name.keys().copied());
            let near = near.map(|near| format!("; is '{near}' meant?")).unwrap_or_default();
            Error::key(format!("'{name}' is not in the graph{near}"))
        })?;
        waiting.push(*node);
    }
    let mut reached: HashSet<&str> = waiting.iter().map(|node| node.name.as_str()).collect();
    while let Some(node) = waiting.pop() {
        for input in &node.input {
            let name = source(input);
            // A missing input is an error of the file; the node that names it helps to find it.
            let before = by_name.get(name).ok_or_else(|| {
                Error::key(format!("its input '{input}' does not exist")).with_node(&node.name, &node.op)
            })?;
            if reached.insert(&before.name) {
                waiting.push(before);
            }
        }
    }
    // In the order of the file and not in that of the search, so that the result does not depend on it.
    let node = graph.node.iter().filter(|node| reached.contains(node.name.as_str())).cloned().collect();
    Ok(GraphDef { node, ..graph.clone() })
}

/// Returns the part of a graph between inputs and outputs. Inputs become placeholders of the same name, dtype and shape, so the nodes
/// before them are not needed.
///
/// ```
/// use graph_def::proto::GraphDef;
/// use saved_model::graph_util::strip_unused;
/// let graph = GraphDef::from_text(
///     "node { name: 'file' op: 'ReadFile' input: 'name' } node { name: 'name' op: 'Placeholder' }
///      node { name: 'x' op: 'DecodeRaw' input: 'file' attr { key: 'out_type' value { type: DT_FLOAT } } }
///      node { name: 'y' op: 'Neg' input: 'x' }",
/// )?;
/// let part = strip_unused(&graph, &["x"], &["y"])?;
/// let nodes: Vec<(&str, &str)> = part.node.iter().map(|node| (node.name.as_str(), node.op.as_str())).collect();
/// assert_eq!(nodes, [("x", "Placeholder"), ("y", "Neg")]);
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// As [`extract_sub_graph`]; a value error for an input whose dtype is unknown.
pub fn strip_unused(graph: &GraphDef, inputs: &[&str], outputs: &[&str]) -> Result<GraphDef> {
    let mut cut = graph.clone();
    for input in inputs {
        // That it exists is checked with the outputs.
        extract_sub_graph(graph, &[input])?;
        let name = source(input);
        for node in cut.node.iter_mut().filter(|node| node.name == name) {
            // A placeholder stays as it is, with attributes that a new one would lack.
            if !node.op.starts_with("Placeholder") || !node.input.is_empty() {
                *node = placeholder(node)?;
            }
        }
    }
    extract_sub_graph(&cut, outputs)
}

/// A placeholder that stands for the first output of a node.
fn placeholder(node: &NodeDef) -> Result<NodeDef> {
    // Attributes that name the result come before `T`, which is the dtype of an argument.
    let dtype = ["dtype", "T", "DstT", "out_type", "output_type"].iter().find_map(|name| dtype(node, name));
    let dtype = dtype.ok_or_else(|| {
        Error::value("its attributes do not determine the dtype of its output")
            .with_node(&node.name, &node.op)
    })?;
    let known = match node.attr.get("_output_shapes").and_then(|attr| attr.value.as_ref()) {
        Some(Value::List(list)) => list.shape.first().cloned(),
        _ => match node.attr.get("shape").and_then(|attr| attr.value.as_ref()) {
            Some(Value::Shape(shape)) => Some(shape.clone()),
            _ => None,
        },
    };
    let shape = known.unwrap_or(TensorShape { dim: Vec::new(), unknown_rank: true });
    let attr = BTreeMap::from([
        ("dtype".to_owned(), value(Value::Type(dtype.number()))),
        ("shape".to_owned(), value(Value::Shape(shape))),
    ]);
    let op = "Placeholder".to_owned();
    Ok(NodeDef { name: node.name.clone(), op, device: node.device.clone(), attr, ..NodeDef::default() })
}
