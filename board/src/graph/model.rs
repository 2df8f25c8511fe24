//! The nodes of a graph with the dtypes and shapes of their outputs.
//!
//! Shapes come from the shape functions of the op library, by importing the graph. A graph that cannot be imported,
//! for example because it has unknown op types, is still shown, with the shapes that its attributes state.
//!
//! # Hostile files
//!
//! A graph comes from an event file that anybody may have written. Attributes are cut to a limit when the model is
//! built, so a graph with constants of many megabytes takes little memory afterwards. Inputs that name unknown
//! operations are dropped. Cycles are allowed here: loops of TensorFlow 1 have them, and the layout handles them.

use graph_def::proto::{AttrValue, GraphDef, NodeDef, RunMetadata, TensorShape, Value};
use graph_def::{ImportOptions, import_graph_def};
use session_core::Graph;
use std::collections::{HashMap, HashSet};
use tensor::DType;

/// The maximum number of bytes of an attribute that are shown.
const MAX_TEXT: usize = 200;

/// A graph, as far as it is shown.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// The operations in the order of the file.
    pub(crate) nodes: Vec<Node>,
    /// The places of the operations by name.
    index: HashMap<String, usize>,
    /// The names of all scopes, at any depth.
    scopes: HashSet<String>,
}

/// An operation.
#[derive(Debug)]
pub(crate) struct Node {
    /// The full name, with its scopes.
    pub(crate) name: String,
    /// The op type.
    pub(crate) op: String,
    /// The requested device; empty if there is none.
    pub(crate) device: String,
    /// The inputs, control inputs among them, in the order of the file.
    pub(crate) inputs: Vec<Input>,
    /// The dtype and shape of each output, as far as they are known.
    pub(crate) outputs: Vec<(String, String)>,
    /// The attributes as text.
    pub(crate) attributes: Vec<(String, String)>,
}

/// The origin of an input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input {
    /// The operation, by its place in the graph.
    pub(crate) node: usize,
    /// The index of the output; `None` for a control input.
    pub(crate) output: Option<usize>,
}

/// The nanoseconds and bytes of each operation in a recorded run.
pub(crate) type Costs = HashMap<String, (f64, f64)>;

impl Model {
    /// Reads a graph. Inputs that name no operation are left out, so a damaged graph is shown as far as it is
    /// connected.
    pub(crate) fn of(graph: &GraphDef) -> Model {
        let index: HashMap<String, usize> =
            graph.node.iter().enumerate().map(|(place, node)| (node.name.clone(), place)).collect();
        let inferred = inferred(graph);
        let nodes = graph.node.iter().map(|node| {
            let inputs = node.input.iter().filter_map(|input| parse_input(input, &index));
            let outputs = match inferred.get(&node.name) {
                Some(outputs) => outputs.clone(),
                None => stated(node),
            };
            // The shapes are shown as outputs already.
            let attributes = node.attr.iter().filter(|(key, _)| *key != "_output_shapes");
            Node {
                name: node.name.clone(),
                op: node.op.clone(),
                device: node.device.clone(),
                inputs: inputs.collect(),
                outputs,
                attributes: attributes.map(|(key, value)| (key.clone(), text(value))).collect(),
            }
        });
        let mut scopes = HashSet::new();
        for node in &graph.node {
            let mut name = &*node.name;
            while let Some((scope, _)) = name.rsplit_once('/') {
                // The scopes around a known scope are known, too.
                if !scopes.insert(scope.to_owned()) {
                    break;
                }
                name = scope;
            }
        }
        Model { nodes: nodes.collect(), index, scopes }
    }

    /// Returns true if there are nodes below this name.
    pub(crate) fn is_scope(&self, name: &str) -> bool {
        self.scopes.contains(name)
    }

    /// Returns the operation with a name.
    pub(crate) fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.get(*self.index.get(name)?)
    }
}

/// Returns the dtype and shape of all outputs by shape inference, or nothing if the graph cannot be imported.
///
/// The graph is imported as a whole: one operation of an unknown type makes the result empty.
fn inferred(graph: &GraphDef) -> HashMap<String, Vec<(String, String)>> {
    // The import happens in a graph of its own, which is dropped: the model keeps only the texts.
    let into = Graph::new();
    let Ok(imported) = import_graph_def(&into, graph, &ImportOptions::new()) else { return HashMap::new() };
    let outputs = imported.operations().iter().map(|operation| {
        let outputs = (0..operation.num_outputs()).map(|index| {
            let output = operation.output(index);
            (output.dtype().name().to_owned(), output.shape().to_string())
        });
        (operation.name().to_owned(), outputs.collect())
    });
    outputs.collect()
}

/// Returns the outputs that a node's attributes describe: those that TensorFlow
/// stored in `_output_shapes`, with the dtype of the most likely attribute.
///
/// Without the definition of the op, no rule tells which attribute is the dtype of which output. The attributes that
/// name a result come first, then `T`, which names the dtype of an argument and usually of the result as well. An
/// operation with outputs of different dtypes is therefore shown with one of them.
fn stated(node: &NodeDef) -> Vec<(String, String)> {
    let dtype = ["dtype", "DstT", "out_type", "output_type", "Tout", "T"].into_iter().find_map(|key| {
        match node.attr.get(key)?.value.as_ref()? {
            Value::Type(number) => Some(type_text(*number)),
            _ => None,
        }
    });
    let dtype = dtype.unwrap_or_default();
    match node.attr.get("_output_shapes").and_then(|value| value.value.as_ref()) {
        Some(Value::List(list)) => {
            list.shape.iter().map(|shape| (dtype.clone(), shape_text(shape))).collect()
        }
        _ if dtype.is_empty() => Vec::new(),
        _ => vec![(dtype, String::new())],
    }
}

/// Parses an input of a node: `name`, `name:output`, or `^name` for a control input.
fn parse_input(input: &str, index: &HashMap<String, usize>) -> Option<Input> {
    if let Some(name) = input.strip_prefix('^') {
        return Some(Input { node: *index.get(name)?, output: None });
    }
    let (name, output) = match input.rsplit_once(':') {
        // An index that is no number names nothing here, and its edge is left out.
        Some((name, output)) => (name, output.parse().ok()?),
        None => (input, 0),
    };
    Some(Input { node: *index.get(name)?, output: Some(output) })
}

/// Formats a shape, with `?` for unknown sizes.
fn shape_text(shape: &TensorShape) -> String {
    if shape.unknown_rank {
        return "?".to_owned();
    }
    let size = |size: i64| if size < 0 { "?".to_owned() } else { size.to_string() };
    let sizes: Vec<String> = shape.dim.iter().map(|dim| size(dim.size)).collect();
    format!("[{}]", sizes.join(","))
}

/// Formats the value of an attribute in a few words.
///
/// Tensors and functions are only named: their content would fill the page. Lists show as many items as fit.
fn text(value: &AttrValue) -> String {
    let text = match &value.value {
        None => String::new(),
        Some(Value::String(bytes)) => {
            format!("\"{}\"", String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_TEXT)]))
        }
        Some(Value::Int(value)) => value.to_string(),
        Some(Value::Float(value)) => value.to_string(),
        Some(Value::Bool(value)) => value.to_string(),
        Some(Value::Type(number)) => type_text(*number),
        Some(Value::Shape(shape)) => shape_text(shape),
        Some(Value::Tensor(bytes)) => format!("a tensor, {} bytes serialized", bytes.len()),
        Some(Value::Placeholder(name)) => format!("the attribute '{name}' of the function"),
        Some(Value::Func(function)) => format!("the function {}", function.name),
        Some(Value::List(list)) => {
            let strings = list
                .s
                .iter()
                .map(|bytes| String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned());
            let items = strings
                .chain(list.i.iter().map(i64::to_string))
                .chain(list.f.iter().map(f32::to_string))
                .chain(list.b.iter().map(bool::to_string))
                .chain(list.r#type.iter().map(|number| type_text(*number)))
                .chain(list.shape.iter().map(shape_text))
                .chain(list.func.iter().map(|function| function.name.clone()));
            let items: Vec<String> = items.take(MAX_TEXT / 4).collect();
            format!("[{}]", items.join(", "))
        }
    };
    crate::run::cut(&text, MAX_TEXT).to_owned()
}

/// Formats a dtype by its number, also one that this version does not know.
fn type_text(number: i32) -> String {
    // Reference types are numbered from 101 on.
    let known = DType::from_number(number % 100).map(|dtype| dtype.name());
    match known {
        Some(name) if number > 100 => format!("{name}_ref"),
        Some(name) => name.to_owned(),
        None => format!("dtype {number}"),
    }
}

/// Collects the costs of each operation from run metadata. An entry of several operations that ran as one is divided
/// among them.
///
/// Times cover the whole execution of a node. Older writers have only microseconds. An operation that ran several
/// times, as in a loop, has the sum; so has one that ran on several devices.
pub(crate) fn costs(metadata: &RunMetadata) -> Costs {
    let mut costs = Costs::new();
    let devices = metadata.step_stats.iter().flat_map(|stats| &stats.dev_stats);
    for stats in devices.flat_map(|device| &device.node_stats) {
        // Older runtimes leave the nanoseconds at 0.
        let nanos = match stats.all_end_rel_nanos {
            0 => stats.all_end_rel_micros.saturating_mul(1000),
            nanos => nanos,
        };
        let described = stats.output.iter().filter_map(|output| output.tensor_description.as_ref());
        let allocated = described.filter_map(|tensor| tensor.allocation_description.as_ref());
        let bytes: i64 = allocated.map(|allocation| allocation.requested_bytes.max(0)).sum();
        // The embedded engine joins the names of operations that it runs as one with `+`, which no name contains.
        let names: Vec<&str> = stats.node_name.split('+').collect();
        let share = names.len() as f64;
        for name in names {
            let cost = costs.entry(name.to_owned()).or_default();
            cost.0 += nanos.max(0) as f64 / share;
            cost.1 += bytes as f64 / share;
        }
    }
    costs
}
