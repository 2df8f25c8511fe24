//! Variables turned into constants.

use super::extract::extract_sub_graph;
use super::node::{constant, dtype, is_control, source, value};
use checkpoint::CheckpointReader;
use graph_def::proto::{GraphDef, NodeDef, Value};
use ops::library;
use session_core::keys::{LOCAL_VARIABLES, VARIABLES};
use session_core::{Code, DType, Error, OpLibrary, Result, Session, SessionExt, Tensor, Variable};
use std::collections::{BTreeMap, HashMap, HashSet};

/// A source of the values of variables.
pub trait VariableValues {
    /// Returns the values of the variables of these names, in their order.
    ///
    /// # Errors
    /// A variable that has no value.
    fn values(&self, names: &[String]) -> Result<Vec<Tensor>>;
}

/// The values in a checkpoint, under the variables' names.
impl VariableValues for CheckpointReader {
    fn values(&self, names: &[String]) -> Result<Vec<Tensor>> {
        names.iter().map(|name| Ok(self.read(name)?)).collect()
    }
}

/// The values in a session.
impl VariableValues for dyn Session + '_ {
    fn values(&self, names: &[String]) -> Result<Vec<Tensor>> {
        let graph = self.graph();
        let listed = graph.collection(&VARIABLES).into_iter().chain(graph.collection(&LOCAL_VARIABLES));
        let by_name: HashMap<String, Variable> =
            listed.map(|variable| (variable.handle().operation().name().to_owned(), variable)).collect();
        let variable = |name: &String| {
            let missing = || Error::key(format!("no collection of the graph lists the variable '{name}'"));
            by_name.get(name).cloned().ok_or_else(missing)
        };
        let variables: Result<Vec<Variable>> = names.iter().map(variable).collect();
        self.run(variables?, ())
    }
}

/// Selects the variables that become constants.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct FreezeOptions {
    only: Option<HashSet<String>>,
    except: HashSet<String>,
}

impl FreezeOptions {
    /// All variables.
    #[must_use]
    pub fn new() -> FreezeOptions {
        FreezeOptions::default()
    }

    /// Only these variables; the others stay variables.
    #[must_use]
    pub fn only(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> FreezeOptions {
        self.only = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// All variables but these.
    #[must_use]
    pub fn except(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> FreezeOptions {
        self.except = names.into_iter().map(Into::into).collect();
        self
    }

    fn freezes(&self, name: &str) -> bool {
        !self.except.contains(name) && self.only.as_ref().is_none_or(|only| only.contains(name))
    }
}

/// Returns the part of a graph that gives the outputs, its variables replaced by constants of the same names; reads of resource
/// variables become `Identity`, gathers from them `GatherV2`.
///
/// # Errors
/// A key error for an unknown output; a value error for an operation that assigns to a variable among what the outputs need;
/// `Unimplemented` for a resource variable that is used in another way, such as by a function; variables without value; values
/// of 2 GiB or more.
pub fn convert_variables_to_constants(
    values: &(impl VariableValues + ?Sized),
    graph: &GraphDef,
    outputs: &[&str],
    options: &FreezeOptions,
) -> Result<GraphDef> {
    let mut frozen = extract_sub_graph(graph, outputs)?;
    let is_frozen = |node: &&NodeDef| {
        matches!(node.op.as_str(), "VarHandleOp" | "VariableV2" | "Variable") && options.freezes(&node.name)
    };
    let variables: Vec<&NodeDef> = frozen.node.iter().filter(is_frozen).collect();
    let names: Vec<String> = variables.iter().map(|node| node.name.clone()).collect();
    let tensors: HashMap<String, Tensor> = names.iter().cloned().zip(values.values(&names)?).collect();
    let handles = Handles::of(&frozen.node, &tensors)?;
    let mut added = Vec::new();
    for node in &mut frozen.node {
        let place = |error: Error, node: &NodeDef| error.with_node(&node.name, &node.op);
        if let Some(tensor) = tensors.get(&node.name) {
            *node = constant(&node.name, tensor)?;
            continue;
        }
        let new = handles.converted(node, &mut added).map_err(|error| place(error, node))?;
        if let Some(new) = new {
            *node = new;
        }
    }
    frozen.node.extend(added);
    Ok(frozen)
}

/// The outputs that stand for frozen variables.
struct Handles {
    /// By node, the dtype of the variable whose handle or reference all its outputs pass on.
    resources: HashMap<String, DType>,
    references: HashSet<String>,
}

impl Handles {
    fn of(nodes: &[NodeDef], tensors: &HashMap<String, Tensor>) -> Result<Handles> {
        let mut handles = Handles { resources: HashMap::new(), references: HashSet::new() };
        for node in nodes {
            match (tensors.get(&node.name), node.op.as_str()) {
                (Some(tensor), "VarHandleOp") => {
                    _ = handles.resources.insert(node.name.clone(), tensor.dtype())
                }
                (Some(_), _) => _ = handles.references.insert(node.name.clone()),
                (None, _) => {}
            }
        }
        // Handles pass through conditionals and loops, whose nodes may stand in any order.
        let mut grows = true;
        while grows {
            grows = false;
            for node in nodes.iter().filter(|node| passes_on(&node.op)) {
                let Some(first) = node.input.first().map(|input| source(input)) else { continue };
                if let Some(&dtype) = handles.resources.get(first) {
                    grows |= handles.resources.insert(node.name.clone(), dtype).is_none();
                }
                let is_reference = handles.references.contains(first) && node.op.starts_with("Ref");
                grows |= is_reference && handles.references.insert(node.name.clone());
            }
        }
        Ok(handles)
    }

    /// Returns the node that replaces one that uses a frozen variable.
    fn converted(&self, node: &NodeDef, added: &mut Vec<NodeDef>) -> Result<Option<NodeDef>> {
        let data: Vec<&String> = node.input.iter().filter(|input| !is_control(input)).collect();
        let resource = |input: &&&String| self.resources.contains_key(source(input));
        if let Some(place) = data.iter().position(|input| self.references.contains(source(input))) {
            if takes_reference(&node.op, place) && !passes_on(&node.op) {
                let variable = data[place];
                let text = format!(
                    "it assigns to the variable '{variable}', which is frozen: name outputs that need no update"
                );
                return Err(Error::value(text));
            }
            return Ok(self.dereferenced(node));
        }
        let Some(input) = data.iter().find(resource) else { return Ok(None) };
        let dtype_of = self.resources[source(input)];
        let of_type = || value(Value::Type(dtype_of.number()));
        let mut new = node.clone();
        match node.op.as_str() {
            op if passes_on(op) => _ = new.attr.insert("T".to_owned(), of_type()),
            "ReadVariableOp" => {
                new.op = "Identity".to_owned();
                let class = new.attr.remove("_class");
                new.attr = BTreeMap::from([("T".to_owned(), of_type())]);
                new.attr.extend(class.map(|class| ("_class".to_owned(), class)));
            }
            "ResourceGather" => {
                if !matches!(
                    node.attr.get("batch_dims").and_then(|attr| attr.value.as_ref()),
                    None | Some(Value::Int(0))
                ) {
                    return Err(Error::value("batch_dims other than 0 cannot be frozen"));
                }
                let indices = dtype(node, "Tindices").unwrap_or(DType::Int32);
                let zero = match indices {
                    DType::Int64 => Tensor::scalar(0i64),
                    _ => Tensor::scalar(0i32),
                };
                let axis = constant(&format!("{}/axis", node.name), &zero)?;
                new.op = "GatherV2".to_owned();
                let at = new.input.iter().position(|input| is_control(input)).unwrap_or(new.input.len());
                new.input.insert(at, axis.name.clone());
                let of_indices = || value(Value::Type(indices.number()));
                new.attr = BTreeMap::from([
                    ("Tparams".to_owned(), of_type()),
                    ("Tindices".to_owned(), of_indices()),
                    ("Taxis".to_owned(), of_indices()),
                ]);
                added.push(axis);
            }
            "ResourceGatherNd" => {
                let indices = dtype(node, "Tindices").unwrap_or(DType::Int32);
                new.op = "GatherNd".to_owned();
                new.attr = BTreeMap::from([
                    ("Tparams".to_owned(), of_type()),
                    ("Tindices".to_owned(), value(Value::Type(indices.number()))),
                ]);
            }
            op => {
                let text = format!(
                    "an operation of type {op} uses the variable '{}' itself, which is frozen: name outputs that need no \
                     update, or leave it a variable",
                    source(input)
                );
                let assigns = op.starts_with("Assign") || op.contains("Apply") || op.contains("Scatter");
                return Err(if assigns { Error::value(text) } else { Error::new(Code::Unimplemented, text) });
            }
        }
        Ok(Some(new))
    }

    /// Returns an operation that passes a value on instead of a reference.
    fn dereferenced(&self, node: &NodeDef) -> Option<NodeDef> {
        let op = node.op.strip_prefix("Ref").filter(|_| passes_on(&node.op))?;
        Some(NodeDef { op: op.to_owned(), ..node.clone() })
    }
}

/// Returns true if all outputs of an op type are its first input.
fn passes_on(op: &str) -> bool {
    matches!(
        op,
        "Identity"
            | "Enter"
            | "Exit"
            | "Switch"
            | "NextIteration"
            | "RefIdentity"
            | "RefEnter"
            | "RefExit"
            | "RefSwitch"
            | "RefNextIteration"
    )
}

/// Returns true if an op type takes an input as a reference, to assign to it.
fn takes_reference(op: &str, place: usize) -> bool {
    let Some(def) = library().find(op) else { return false };
    // Lists of references come last, if at all.
    let inputs = &def.signature().inputs;
    inputs.get(place.min(inputs.len().saturating_sub(1))).is_some_and(|input| input.is_ref)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_that_are_assigned_to_are_known() {
        assert!(takes_reference("AssignAdd", 0) && !takes_reference("AssignAdd", 1));
        assert!(takes_reference("ApplyAdam", 2) && !takes_reference("MatMul", 0));
    }
}
