//! One scope of a graph: its operations, its inner scopes, and the tensors that flow between them.
//!
//! Everything outside of the scope is bundled: a producer outside becomes one source box and a consumer outside one
//! sink box, named by the outermost scope that they do not share. Edges between two boxes are bundled as well, with
//! the number of tensors and their shapes.
//!
//! Names are nested, so even a large graph has few boxes in each scope. The page shows one scope at a time. The time
//! of an answer is linear in the operations of the graph.
//!
//! # What is set aside
//!
//! Savers, initializers and the operations that report uninitialized variables, which are in the outermost scope, are
//! connected with every variable. Their edges would cover all others, so their boxes are drawn below the picture
//! without edges. The same applies to boxes that only control inputs reach, such as groups.

use super::model::{Costs, Model, Node};
use crate::Error;
use std::collections::{BTreeMap, HashMap};

/// The maximum number of boxes of a scope that are drawn. `more` in the view is the number of the others.
const MAX_BOXES: usize = 400;
/// The maximum number of labels of an edge.
const MAX_LABELS: usize = 8;

/// A scope as a graph of boxes.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// The name of the scope; empty for the whole graph.
    pub(crate) scope: String,
    /// The boxes: sources, inner scopes, operations, and sinks.
    pub(crate) boxes: Vec<Item>,
    /// The bundled edges, by the indices of their boxes.
    pub(crate) edges: Vec<Edge>,
    /// The number of boxes that are left out because they are too many.
    pub(crate) more: usize,
}

/// The kinds of boxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ItemKind {
    /// Something outside the scope that provides inputs of it.
    Source,
    /// A scope inside the scope, which the page can open.
    Scope,
    /// A single operation.
    Operation,
    /// Something outside the scope that uses its outputs.
    Sink,
}

impl ItemKind {
    /// Returns the name of the kind in answers and in classes of drawings.
    pub(crate) fn name(self) -> &'static str {
        match self {
            ItemKind::Source => "source",
            ItemKind::Scope => "scope",
            ItemKind::Operation => "op",
            ItemKind::Sink => "sink",
        }
    }
}

/// A box.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// The kind of the box, which decides how it is drawn.
    pub(crate) kind: ItemKind,
    /// The full name of the operation or scope.
    pub(crate) name: String,
    /// The text in the box: the name below the scope.
    pub(crate) label: String,
    /// The type of an operation.
    pub(crate) op: String,
    /// The number of operations in a scope.
    pub(crate) count: usize,
    /// The dtype and shape of an operation's first output.
    pub(crate) output: String,
    /// The time of the operations in the box in a recorded run, in nanoseconds.
    pub(crate) nanos: f64,
    /// The bytes that the operations in the box allocated in a recorded run.
    pub(crate) bytes: f64,
    /// Set apart, without edges: savers, initializers and whatever nothing flows through.
    pub(crate) aside: bool,
}

/// The tensors that flow from one box to another.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    /// The index of the box that produces the tensors.
    pub(crate) from: usize,
    /// The index of the box that consumes them.
    pub(crate) to: usize,
    /// The number of tensors.
    pub(crate) count: usize,
    /// The dtypes and shapes of the tensors, each once.
    pub(crate) labels: Vec<String>,
    /// True if all edges are control inputs, which only order operations.
    pub(crate) control: bool,
}

/// The identity of a box: its kind and full name. Sorted by it, sources come first and sinks last.
type Key<'a> = (ItemKind, &'a str);

/// Collects the boxes and edges of a scope, with costs summed over the operations in each box.
///
/// Boxes are sorted by kind and name, so the same ones are kept in each answer if there are more than [`MAX_BOXES`].
/// Sources and sinks are added while the edges are collected, up to the same number again: only then is it known
/// which of them are needed.
///
/// # Errors
/// For a scope that the graph does not have.
pub(crate) fn view(model: &Model, scope: &str, costs: Option<&Costs>) -> Result<View, Error> {
    let mut items: BTreeMap<Key<'_>, Item> = BTreeMap::new();
    for node in &model.nodes {
        // Outside of the scope; it appears as a source or sink if something connects it.
        let Some(key) = inside(scope, &node.name, model) else { continue };
        let (nanos, bytes) = costs.and_then(|costs| costs.get(&node.name)).copied().unwrap_or_default();
        let item = items.entry(key).or_insert_with(|| item(key, scope, node));
        item.count += 1;
        item.nanos += nanos;
        item.bytes += bytes;
    }
    if items.is_empty() && !(scope.is_empty() && model.nodes.is_empty()) {
        return Err(Error::NotFound(format!("the graph has no scope '{scope}'")));
    }
    // The boxes beyond the limit are counted, and the page states their number.
    let more = items.len().saturating_sub(MAX_BOXES);
    let mut kept: HashMap<Key<'_>, usize> = HashMap::new();
    let mut boxes = Vec::new();
    for (key, item) in items.into_iter().take(MAX_BOXES) {
        kept.insert(key, boxes.len());
        boxes.push(item);
    }
    let mut edges: BTreeMap<(usize, usize), Edge> = BTreeMap::new();
    for node in &model.nodes {
        for input in &node.inputs {
            let from = &model.nodes[input.node];
            let (source, target) = match (inside(scope, &from.name, model), inside(scope, &node.name, model))
            {
                (Some(source), Some(target)) => (source, target),
                (None, Some(target)) => ((ItemKind::Source, outside(scope, &from.name)), target),
                (Some(source), None) => (source, (ItemKind::Sink, outside(scope, &node.name))),
                (None, None) => continue,
            };
            // Flows within one box are not shown; the second limit bounds sources and sinks.
            if source == target || boxes.len() >= MAX_BOXES * 2 {
                continue;
            }
            let mut place = |key: Key<'_>| match (kept.get(&(key.0, key.1)), key.0) {
                (Some(&place), _) => Some(place),
                // Left out because there are too many.
                (None, ItemKind::Scope | ItemKind::Operation) => None,
                (None, kind) => {
                    boxes.push(Item { count: 0, ..outer(kind, key.1) });
                    Some(boxes.len() - 1)
                }
            };
            let (Some(from_place), Some(to_place)) = (place(source), place(target)) else { continue };
            // Sources and sinks that were made just now are found again by the next edge.
            kept.insert(source, from_place);
            kept.insert(target, to_place);
            let edge = edges.entry((from_place, to_place)).or_insert_with(|| Edge {
                from: from_place,
                to: to_place,
                count: 0,
                labels: Vec::new(),
                control: true,
            });
            // A control input adds no tensor, and an edge with a tensor is no longer a control edge.
            let Some(output) = input.output else { continue };
            edge.control = false;
            edge.count += 1;
            let label = from.outputs.get(output).map(output_text);
            if let Some(label) =
                label.filter(|label| !edge.labels.contains(label) && edge.labels.len() < MAX_LABELS)
            {
                edge.labels.push(label);
            }
        }
    }
    let mut view = View { scope: scope.to_owned(), boxes, edges: edges.into_values().collect(), more };
    set_aside(&mut view);
    Ok(view)
}

/// Returns the box of a node in a scope, or `None` if the node is outside of it.
///
/// An operation can have the name of a scope, such as `loss` alongside `loss/mean`. It then belongs to the scope, where
/// its label is in parentheses.
fn inside<'a>(scope: &str, name: &'a str, model: &Model) -> Option<Key<'a>> {
    let rest = match scope {
        "" => name,
        scope => match name.strip_prefix(scope)? {
            // The operation that bears the name of the scope is in it.
            "" => return model.is_scope(scope).then_some((ItemKind::Operation, name)),
            rest => rest.strip_prefix('/')?,
        },
    };
    let start = name.len() - rest.len();
    Some(match rest.find('/') {
        Some(end) => (ItemKind::Scope, &name[..start + end]),
        None if model.is_scope(name) => (ItemKind::Scope, name),
        None => (ItemKind::Operation, name),
    })
}

/// Returns the name that represents a node outside a scope: the outermost part of its name that the scope does not
/// share.
///
/// For the scope `a/b`, the node `a/c/d` is represented by `a/c`, and the node `x/y` by `x`.
fn outside<'a>(scope: &str, name: &'a str) -> &'a str {
    let mut end = 0;
    for (part, own) in name.split('/').zip(scope.split('/').map(Some).chain(std::iter::repeat(None))) {
        end += part.len();
        if own != Some(part) {
            break;
        }
        end += 1;
    }
    &name[..end.min(name.len())]
}

/// Creates the box of the first node that falls into it.
fn item(key: Key<'_>, scope: &str, node: &Node) -> Item {
    let (kind, name) = key;
    let own = name.strip_prefix(scope).map_or(name, |rest| rest.trim_start_matches('/'));
    let label = if own.is_empty() {
        format!("({})", name.rsplit('/').next().unwrap_or(name))
    } else {
        own.to_owned()
    };
    let is_operation = kind == ItemKind::Operation;
    let output = node.outputs.first().filter(|_| is_operation);
    let output = output.map_or(String::new(), output_text);
    let op = if is_operation { node.op.clone() } else { String::new() };
    Item { kind, name: name.to_owned(), label, op, count: 0, output, nanos: 0.0, bytes: 0.0, aside: false }
}

/// Formats the dtype and the shape of an output, as far as they are known.
fn output_text((dtype, shape): &(String, String)) -> String {
    format!("{dtype} {shape}").trim().to_owned()
}

/// Creates a source or sink box for something outside of the scope.
fn outer(kind: ItemKind, name: &str) -> Item {
    let (name, label) = (name.to_owned(), name.to_owned());
    let (op, output) = (String::new(), String::new());
    Item { kind, name, label, op, count: 0, output, nanos: 0.0, bytes: 0.0, aside: false }
}

/// Sets apart what would only tangle the picture: savers and initializers, which touch all variables, and boxes that no
/// tensor enters or leaves.
fn set_aside(view: &mut View) {
    let mut flows = vec![false; view.boxes.len()];
    let helper = |item: &Item| {
        let stem = item.label.split('_').next().unwrap_or("");
        view.scope.is_empty() && matches!(stem, "save" | "init" | "report")
    };
    let helpers: Vec<bool> = view.boxes.iter().map(helper).collect();
    for edge in view.edges.iter().filter(|edge| !edge.control && !helpers[edge.from] && !helpers[edge.to]) {
        flows[edge.from] = true;
        flows[edge.to] = true;
    }
    // A scope of which nothing flows at all is shown as it is.
    if !flows.contains(&true) && !helpers.contains(&true) {
        flows.fill(true);
    }
    for ((item, helper), flows) in view.boxes.iter_mut().zip(helpers).zip(flows) {
        item.aside = helper || !flows;
    }
    let boxes = &view.boxes;
    view.edges.retain(|edge| !boxes[edge.from].aside && !boxes[edge.to].aside);
}
