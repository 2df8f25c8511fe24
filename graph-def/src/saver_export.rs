//! The operations with which TensorFlow saves and restores, for graphs that have none.
//!
//! This library saves variables without operations, so its graphs contain none. An exported meta graph with a saver gets those that
//! TensorFlow's own `Saver` would have built: `SaveV2` of all values, a `RestoreV2`, and an assignment for each variable, in a scope `save`. The order of the
//! values is TensorFlow's, sorted by name, so that equal models have equal files.

use crate::convert::{shape_to_proto, tensor_from_proto, tensor_to_proto};
use crate::export::{ExportOptions, OUTPUT_SHAPES};
use crate::proto::{AttrList, AttrValue, NodeDef, SaverDef, TensorShape, Value};
use crate::{Error, Result};
use bytes::Bytes;
use checkpoint::GraphSaver;
use session_core::{DType, Graph, Output, SavedTable, Tensor, Variable};
use std::collections::{BTreeMap, HashMap, HashSet};

/// The device on which TensorFlow places restoring operations.
const HOST: &str = "/device:CPU:0";

/// The current version of the format.
const V2: i32 = 2;

/// TensorFlow's value for keeping no checkpoint forever.
const NEVER: f32 = 10_000.0;

/// Returns a saver's options as a message, without operations.
pub(crate) fn settings(saver: &GraphSaver) -> SaverDef {
    let options = saver.saver().options();
    SaverDef {
        max_to_keep: options.kept().map_or(0, |count| i32::try_from(count).unwrap_or(i32::MAX)),
        keep_checkpoint_every_n_hours: options
            .kept_every()
            .map_or(NEVER, |time| (time.as_secs_f64() / 3600.0) as f32),
        version: V2,
        ..SaverDef::default()
    }
}

/// Creates the operations with TensorFlow's names, in the first free scope of `save`, `save_1` and so on.
pub(crate) fn nodes(
    graph: &Graph,
    saver: &GraphSaver,
    taken: &HashSet<&str>,
    options: &ExportOptions,
) -> Result<(Vec<NodeDef>, SaverDef)> {
    let variables = saver.variables(graph).into_iter().map(Item::Variable);
    let mut items: Vec<Item> = variables.chain(saver.tables(graph).into_iter().map(Item::Table)).collect();
    // TensorFlow's saver sorts by name. `RestoreV2` has one output for each, so the numbers of its outputs
    // depend on this order.
    items.sort_by_key(Item::sort_key);
    let nodes = Nodes { scope: free_scope(taken), nodes: Vec::new() };
    let def = settings(saver);
    // Without items there is nothing to run: only the settings are written.
    if items.is_empty() {
        return Ok((Vec::new(), def));
    }
    let (mut nodes, def) = nodes.build(&items, def)?;
    if options.clears_devices() {
        nodes.iter_mut().for_each(|node| node.device.clear());
    }
    if options.adds_output_shapes() {
        add_output_shapes(&mut nodes);
    }
    Ok((nodes, def))
}

/// Adds the known shapes of outputs, as the nodes of the graph have them.
fn add_output_shapes(nodes: &mut [NodeDef]) {
    let mut known: HashMap<String, TensorShape> = HashMap::new();
    let unknown = || TensorShape { unknown_rank: true, ..TensorShape::default() };
    for node in nodes {
        let shapes = match node.op.as_str() {
            "Const" => match node.attr.get("value").and_then(|attr| attr.value.as_ref()) {
                Some(Value::Tensor(bytes)) => {
                    let tensor = tensor_from_proto(bytes);
                    vec![tensor.map_or_else(|_| unknown(), |tensor| shape_to_proto(&tensor.shape().into()))]
                }
                _ => vec![unknown()],
            },
            "PlaceholderWithDefault" => vec![TensorShape::default()],
            "Identity" => vec![known.get(&node.input[0]).cloned().unwrap_or_else(unknown)],
            "RestoreV2" => match node.attr.get("dtypes").and_then(|attr| attr.value.as_ref()) {
                Some(Value::List(dtypes)) => dtypes.r#type.iter().map(|_| unknown()).collect(),
                _ => Vec::new(),
            },
            // The assigned reference has the shape of the variable.
            "Assign" => vec![unknown()],
            _ => Vec::new(),
        };
        if let [only] = shapes.as_slice() {
            known.insert(node.name.clone(), only.clone());
        }
        if !shapes.is_empty() {
            let list = AttrList { shape: shapes, ..AttrList::default() };
            node.attr.insert(OUTPUT_SHAPES.to_owned(), value(Value::List(list)));
        }
    }
}

/// An object that a saver saves, as one tensor or as two.
enum Item {
    /// A variable, whole or a part.
    Variable(Variable),
    /// A lookup table: two tensors, its keys and values.
    Table(SavedTable),
}

/// A tensor of a checkpoint: its name, its slice, and the output that is written.
struct Saved {
    /// The name in the checkpoint.
    name: String,
    /// The slice specification of a part; empty for a whole tensor.
    slice: String,
    /// The output that holds the value.
    output: Output,
}

impl Item {
    /// Returns the key of TensorFlow's order: the name, then the slice.
    fn sort_key(&self) -> (String, String) {
        match self {
            Item::Variable(variable) => key(variable),
            Item::Table(table) => (table.name().to_owned(), String::new()),
        }
    }

    /// Returns the tensors to save: one of a variable, keys and values of a table.
    fn saved(&self) -> Vec<Saved> {
        match self {
            Item::Variable(variable) => {
                let (name, slice) = key(variable);
                vec![Saved { name, slice, output: saved_output(variable).clone() }]
            }
            Item::Table(table) => {
                let parts = table.tensor_names().into_iter().zip(table.exported());
                parts.map(|(name, output)| Saved { name, slice: String::new(), output }).collect()
            }
        }
    }
}

/// Returns the name and slice under which a variable is saved.
pub(crate) fn key(variable: &Variable) -> (String, String) {
    match variable.slice() {
        None => (variable.name().to_owned(), String::new()),
        Some(slice) => (slice.full_name.clone(), slice.spec()),
    }
}

/// Returns `save`, or `save_1` and so on if the graph has operations in that scope, as TensorFlow names a second saver.
fn free_scope(taken: &HashSet<&str>) -> String {
    let is_free = |scope: &str| {
        let inner = format!("{scope}/");
        !taken.iter().any(|name| *name == scope || name.starts_with(&inner))
    };
    let mut scope = "save".to_owned();
    let mut number = 0;
    while !is_free(&scope) {
        number += 1;
        scope = format!("save_{number}");
    }
    scope
}

/// The nodes of a saver that are being written.
struct Nodes {
    /// The scope of the saver, such as `save`.
    scope: String,
    /// The nodes so far.
    nodes: Vec<NodeDef>,
}

impl Nodes {
    /// Returns a name in the saver's scope.
    fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.scope)
    }

    /// Writes the operations of a TensorFlow saver: a placeholder for the file name, `SaveV2`, `RestoreV2`, and an
    /// assignment for each variable. The names are those that TensorFlow's `Saver` chooses.
    fn build(mut self, items: &[Item], def: SaverDef) -> Result<(Vec<NodeDef>, SaverDef)> {
        self.add("filename/input", "Const", [], constant(&Tensor::from("model"))?);
        let scalar = || value(Value::Shape(TensorShape::default()));
        let file = || [("dtype", string_type()), ("shape", scalar())];
        let input = self.name("filename/input");
        // Two placeholders: TensorFlow's `Saver` wraps the name once as `filename` and once as `Const`, and
        // callers feed `Const`.
        self.add("filename", "PlaceholderWithDefault", [input], file());
        let input = self.name("filename");
        self.add("Const", "PlaceholderWithDefault", [input], file());

        let prefix = self.name("Const");
        let saved: Vec<Saved> = items.iter().flat_map(Item::saved).collect();
        let dtypes = value(Value::List(AttrList {
            r#type: saved.iter().map(|tensor| tensor.output.dtype().number()).collect(),
            ..AttrList::default()
        }));
        let mut inputs = vec![prefix.clone()];
        inputs.extend(self.tables("SaveV2", &saved)?);
        inputs.extend(saved.iter().map(|tensor| tensor_name(&tensor.output)));
        self.add("SaveV2", "SaveV2", inputs, [("dtypes", dtypes.clone())]);
        let after = format!("^{}", self.name("SaveV2"));
        let place = value(Value::List(AttrList {
            s: vec![Bytes::from(format!("loc:@{prefix}"))],
            ..AttrList::default()
        }));
        let attrs = [("T", string_type()), ("_class", place)];
        // Fetching the prefix through this operation is what saves: the identity waits for `SaveV2`.
        self.add("control_dependency", "Identity", [prefix.clone(), after], attrs);

        let mut inputs = vec![prefix];
        inputs.extend(self.tables("RestoreV2", &saved)?);
        self.add("RestoreV2", "RestoreV2", inputs, [("dtypes", dtypes)]);
        let assigned = self.assign(items);
        let mut after: Vec<String> = assigned.iter().map(|name| format!("^{name}")).collect();
        // The order in which an exporter of TensorFlow lists control inputs.
        after.sort_unstable();
        self.add("restore_all", "NoOp", after, []);

        let def = SaverDef {
            filename_tensor_name: format!("{}:0", self.name("Const")),
            save_tensor_name: format!("{}:0", self.name("control_dependency")),
            restore_op_name: self.name("restore_all"),
            ..def
        };
        Ok((self.nodes, def))
    }

    /// Creates the constants with names and slices.
    fn tables(&mut self, op: &str, saved: &[Saved]) -> Result<[String; 2]> {
        let names: Vec<String> = saved.iter().map(|tensor| tensor.name.clone()).collect();
        let slices: Vec<String> = saved.iter().map(|tensor| tensor.slice.clone()).collect();
        let (first, second) = (format!("{op}/tensor_names"), format!("{op}/shape_and_slices"));
        self.add(&first, "Const", [], constant(&Tensor::from(names))?);
        self.add(&second, "Const", [], constant(&Tensor::from(slices))?);
        Ok([self.name(&first), self.name(&second)])
    }

    /// Creates the operations that assign the restored values to variables and tables, and returns their names.
    fn assign(&mut self, items: &[Item]) -> Vec<String> {
        let mut counts = BTreeMap::new();
        let mut numbered = |op: &'static str| {
            let count: &mut usize = counts.entry(op).or_default();
            *count += 1;
            if *count == 1 { op.to_owned() } else { format!("{op}_{}", *count - 1) }
        };
        let mut assigned = Vec::new();
        let mut index = 0;
        for item in items {
            let first = index;
            index += item.saved().len();
            let read = |index| match index {
                0 => format!("{}/RestoreV2", self.scope),
                index => format!("{}/RestoreV2:{index}", self.scope),
            };
            let variable = match item {
                Item::Variable(variable) => variable,
                Item::Table(table) => {
                    let inputs = [tensor_name(&table.handle()), read(first), read(first + 1)];
                    assigned.push(self.import(table, inputs));
                    continue;
                }
            };
            let read = read(first);
            let dtype = || value(Value::Type(variable.dtype().number()));
            let handle = tensor_name(variable.handle());
            if variable.is_resource() {
                // TensorFlow's saver brings the value to the variable's device by an identity before it
                // assigns.
                let identity = numbered("Identity");
                self.add(&identity, "Identity", [read], [("T", dtype())]);
                let (name, read) = (numbered("AssignVariableOp"), self.name(&identity));
                let attrs = [("dtype", dtype()), ("validate_shape", value(Value::Bool(false)))];
                self.add(&name, "AssignVariableOp", [handle, read], attrs);
                assigned.push(self.name(&name));
            } else {
                let name = numbered("Assign");
                let yes = || value(Value::Bool(true));
                let attrs = [("T", dtype()), ("use_locking", yes()), ("validate_shape", yes())];
                self.add(&name, "Assign", [handle, read], attrs);
                assigned.push(self.name(&name));
            }
        }
        assigned
    }

    /// Creates the operation that imports the restored values into a table, and returns its name.
    fn import(&mut self, table: &SavedTable, inputs: [String; 3]) -> String {
        let [keys, values] = table.exported().map(|part| value(Value::Type(part.dtype().number())));
        let op = table.import().op_type().to_owned();
        let name = format!("{}_table_restore/{op}", table.name());
        self.add(&name, &op, inputs, [("Tin", keys), ("Tout", values)]);
        self.name(&name)
    }

    /// Adds a node. Restoring runs on the CPU of the host, as in TensorFlow.
    fn add<const N: usize>(
        &mut self,
        name: &str,
        op: &str,
        input: impl IntoIterator<Item = String>,
        attrs: [(&str, AttrValue); N],
    ) {
        let restores = name.starts_with("RestoreV2");
        self.nodes.push(NodeDef {
            name: self.name(name),
            op: op.to_owned(),
            input: input.into_iter().collect(),
            device: if restores { HOST.to_owned() } else { String::new() },
            attr: attrs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            ..NodeDef::default()
        });
    }
}

/// Returns the output to write for a variable: a read, or the reference itself, as in TensorFlow.
fn saved_output(variable: &Variable) -> &Output {
    if variable.is_resource() { variable.snapshot() } else { variable.handle() }
}

/// Returns the name of an output as an input of a node.
fn tensor_name(output: &Output) -> String {
    crate::export::input_name(output)
}

/// Wraps the value of an attribute.
fn value(value: Value) -> AttrValue {
    AttrValue { value: Some(value) }
}

/// Returns the attribute value for the dtype string.
fn string_type() -> AttrValue {
    value(Value::Type(DType::String.number()))
}

/// Returns the attributes of a constant.
fn constant(tensor: &Tensor) -> Result<[(&'static str, AttrValue); 2]> {
    let bytes =
        tensor_to_proto(tensor).map_err(|error: Error| error.context("cannot write the names of a saver"))?;
    Ok([("dtype", string_type()), ("value", value(Value::Tensor(bytes)))])
}
