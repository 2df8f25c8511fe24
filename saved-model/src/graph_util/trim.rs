//! Removal of operations that only training needs.

use super::extract::strip_unused;
use super::fold::fold_batch_norms;
use super::node::{attr, is_control, source};
use graph_def::proto::{GraphDef, Value};
use session_core::Result;
use std::collections::{HashMap, HashSet};

/// Returns the graph without operations that only forward their input: `Identity`, `StopGradient` and `CheckNumerics`. Their
/// consumers read the input instead. Operations stay if they are protected, order other operations, wait for others, or determine the
/// device of others.
///
/// ```
/// use graph_def::proto::GraphDef;
/// use saved_model::graph_util::remove_training_nodes;
/// let graph = GraphDef::from_text(
///     "node { name: 'x' op: 'Placeholder' } node { name: 'i' op: 'Identity' input: 'x' } node { name: 'y' op: 'Neg' input: 'i' }",
/// )?;
/// let trimmed = remove_training_nodes(&graph, &[]);
/// assert_eq!((trimmed.node.len(), trimmed.node[1].input.as_slice()), (2, &["x".to_owned()][..]));
/// # Ok::<(), session_core::Error>(())
/// ```
#[must_use]
pub fn remove_training_nodes(graph: &GraphDef, protected: &[&str]) -> GraphDef {
    let mut kept: HashSet<&str> = protected.iter().map(|name| source(name)).collect();
    for node in &graph.node {
        // Operations that others wait for, and those that wait, order the graph and must stay.
        for input in node.input.iter().filter(|input| is_control(input)) {
            kept.insert(source(input));
            kept.insert(&node.name);
        }
    }
    // An operation that others are colocated with determines their device.
    let places: Vec<String> = graph.node.iter().flat_map(places).collect();
    kept.extend(places.iter().map(String::as_str));
    let is_spliced = |op: &str| matches!(op, "Identity" | "StopGradient" | "CheckNumerics");
    let spliced: HashMap<&str, &str> = graph
        .node
        .iter()
        .filter(|node| is_spliced(&node.op) && node.input.len() == 1 && !kept.contains(node.name.as_str()))
        .map(|node| (node.name.as_str(), node.input[0].as_str()))
        .collect();
    let node = graph.node.iter().filter(|node| !spliced.contains_key(node.name.as_str())).cloned();
    let mut node: Vec<_> = node.collect();
    for input in node.iter_mut().flat_map(|node| &mut node.input) {
        // Nodes that only a cycle reaches would never end.
        for _ in 0..=spliced.len() {
            match spliced.get(source(input)) {
                Some(before) => *input = (*before).to_owned(),
                None => break,
            }
        }
    }
    GraphDef { node, ..graph.clone() }
}

/// The nodes that a node is placed next to.
fn places(node: &graph_def::proto::NodeDef) -> Vec<String> {
    let Some(Value::List(list)) = attr(node, "_class") else { return Vec::new() };
    let names = list
        .s
        .iter()
        .filter_map(|place| std::str::from_utf8(place).ok()?.strip_prefix("loc:@").map(str::to_owned));
    names.filter(|name| *name != node.name).collect()
}

/// Returns the part of a graph between inputs and outputs, without operations that only training needs and with batch normalization folded
/// into convolutions.
///
/// ```
/// use saved_model::graph_util::optimize_for_inference;
/// # let path = "tests/fixtures/frozen_dense/graph.pb";
/// let graph = graph_def::read_graph_file(path)?.graph_def.unwrap_or_default();
/// let small = optimize_for_inference(&graph, &["x"], &["relu"])?;
/// assert!(small.node.len() <= graph.node.len());
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// Those of [`strip_unused`].
pub fn optimize_for_inference(graph: &GraphDef, inputs: &[&str], outputs: &[&str]) -> Result<GraphDef> {
    let stripped = strip_unused(graph, inputs, outputs)?;
    // Callers feed and fetch these by name.
    let protected: Vec<&str> = inputs.iter().chain(outputs).copied().collect();
    let folded = fold_batch_norms(&remove_training_nodes(&stripped, &protected))?;
    // Again, because the folded parameters are unused now.
    strip_unused(&folded, inputs, outputs)
}
