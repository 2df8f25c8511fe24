//! Handles and references of frozen variables, and the operations that forward them.

use super::functions::{Call, Functions};
use super::node::{constant, dtype, is_control, source, value};
use graph_def::proto::{AttrValue, NodeDef, TensorShape, Value};
use ops::library;
use session_core::{Code, DType, Error, OpLibrary, PartialShape, Result, Tensor};
use std::collections::{BTreeMap, HashMap, HashSet};

/// The attribute with the shapes of outputs, which those of handles make wrong.
const OUTPUT_SHAPES: &str = "_output_shapes";

/// The value of a frozen variable.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Frozen {
    /// The dtype of the value.
    pub(super) dtype: DType,
    /// The shape of the value.
    pub(super) shape: TensorShape,
}

impl Frozen {
    pub(super) fn of(tensor: &Tensor) -> Frozen {
        let shape = TensorShape::from(&PartialShape::from(tensor.shape()));
        Frozen { dtype: tensor.dtype(), shape }
    }
}

/// The syntax of the inputs of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    /// `node:index`.
    Graph,
    /// `node:output:index`.
    Function,
}

impl Syntax {
    /// Returns the first output of a constant as an input.
    fn constant(self, name: &str) -> String {
        match self {
            Syntax::Graph => name.to_owned(),
            Syntax::Function => format!("{name}:output:0"),
        }
    }

    /// Returns an output of a call as an input.
    fn result(self, name: &str, result: &str, index: usize) -> String {
        match (self, index) {
            (Syntax::Graph, 0) => name.to_owned(),
            (Syntax::Graph, _) => format!("{name}:{index}"),
            (Syntax::Function, _) => format!("{name}:{result}:{index}"),
        }
    }
}

/// The outputs of nodes that stand for frozen variables.
#[derive(Debug, Default)]
pub(super) struct Handles {
    /// For nodes and arguments whose outputs are all handles of one variable: that variable.
    resources: HashMap<String, Frozen>,
    /// For outputs that are handles of variables: the variable.
    results: HashMap<String, Frozen>,
    /// The nodes whose outputs are references to frozen variables.
    references: HashSet<String>,
}

impl Handles {
    pub(super) fn add_resource(&mut self, node: &str, frozen: Frozen) {
        self.resources.insert(node.to_owned(), frozen);
    }

    pub(super) fn add_reference(&mut self, node: &str) {
        self.references.insert(node.to_owned());
    }

    /// Returns the variable whose handle an input is.
    pub(super) fn resource(&self, input: &str) -> Option<&Frozen> {
        if is_control(input) {
            return None;
        }
        // Inputs may be written with or without `:0`.
        let plain = input.strip_suffix(":0").unwrap_or(input);
        let result = || self.results.get(input).or_else(|| self.results.get(plain));
        self.resources.get(source(input)).or_else(result)
    }

    /// Follows handles and references through the nodes that pass them on, which may be in any order, as in loops.
    pub(super) fn spread(&mut self, nodes: &[NodeDef], functions: &Functions, syntax: Syntax) {
        let mut grows = true;
        while grows {
            grows = false;
            for node in nodes {
                if passes_on(&node.op) {
                    let Some(first) = node.input.first() else { continue };
                    if let Some(frozen) = self.resource(first).cloned() {
                        // Only what is new counts as growth, or the search would never end.
                        grows |= self.resources.insert(node.name.clone(), frozen).is_none();
                    }
                    let is_reference = self.references.contains(source(first)) && node.op.starts_with("Ref");
                    grows |= is_reference && self.references.insert(node.name.clone());
                    continue;
                }
                let Some(call) = Call::of(node, functions) else { continue };
                for (output, argument) in functions.passed_on(&call) {
                    let input = data_inputs(node).nth(call.first + argument);
                    let Some(frozen) = input.and_then(|input| self.resource(input)).cloned() else {
                        continue;
                    };
                    let result = syntax.result(&node.name, &call.result(output, functions), output);
                    grows |= self.results.insert(result, frozen).is_none();
                }
            }
        }
    }

    /// Returns the node that replaces one that uses a frozen variable; nodes that it needs are added.
    pub(super) fn converted(
        &self,
        node: &NodeDef,
        functions: &mut Functions,
        syntax: Syntax,
        added: &mut Vec<NodeDef>,
    ) -> Result<Option<NodeDef>> {
        let data: Vec<&String> = data_inputs(node).collect();
        if let Some(place) = data.iter().position(|input| self.references.contains(source(input))) {
            if takes_reference(&node.op, place) && !passes_on(&node.op) {
                let variable = data[place];
                let text = format!(
                    "it assigns to the variable '{variable}', which is frozen: name outputs that need no update"
                );
                return Err(Error::value(text));
            }
            return Ok(dereferenced(node));
        }
        let Some((input, frozen)) = data.iter().find_map(|input| Some((*input, self.resource(input)?)))
        else {
            return Ok(None);
        };
        if let Some(call) = Call::of(node, functions) {
            return self.called(node, &call, functions, syntax).map(Some);
        }
        let of_type = || value(Value::Type(frozen.dtype.number()));
        let mut new = node.clone();
        match node.op.as_str() {
            op if passes_on(op) => {
                new.attr.remove(OUTPUT_SHAPES);
                new.attr.insert("T".to_owned(), of_type());
            }
            "ReadVariableOp" => {
                new.op = "Identity".to_owned();
                // The colocation stays; all other attributes belong to the op type that is replaced.
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
                // Control inputs come last in a node.
                let at = new.input.iter().position(|input| is_control(input)).unwrap_or(new.input.len());
                new.input.insert(at, syntax.constant(&axis.name));
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
                // An assignment can never be frozen; another use is only not supported here.
                let assigns = op.starts_with("Assign") || op.contains("Apply") || op.contains("Scatter");
                return Err(if assigns { Error::value(text) } else { Error::new(Code::Unimplemented, text) });
            }
        }
        Ok(Some(new))
    }

    /// Returns the node that calls functions with the values of variables instead of the variables.
    fn called(
        &self,
        node: &NodeDef,
        call: &Call,
        functions: &mut Functions,
        syntax: Syntax,
    ) -> Result<NodeDef> {
        let arguments = data_inputs(node).skip(call.first);
        let arguments: Vec<Option<Frozen>> = arguments.map(|input| self.resource(input).cloned()).collect();
        let mut new = node.clone();
        for name in &call.functions {
            let made = functions.frozen(name, &arguments)?;
            call.rename(&mut new, name, &made);
        }
        let types =
            arguments.iter().enumerate().filter_map(|(place, frozen)| Some((place, frozen.as_ref()?)));
        for (place, frozen) in types {
            set_type(&mut new, call.types, place, frozen);
        }
        for (output, _) in functions.passed_on(call) {
            let result = syntax.result(&node.name, &call.result(output, functions), output);
            let Some(frozen) = self.results.get(&result) else { continue };
            // A loop has one list of types for arguments and results, which was set above.
            if !call.is_loop {
                set_type(&mut new, "Tout", output, frozen);
            }
            for shapes in ["output_shapes", OUTPUT_SHAPES] {
                set_shape(&mut new, shapes, output, frozen);
            }
        }
        Ok(new)
    }
}

pub(super) fn data_inputs(node: &NodeDef) -> impl Iterator<Item = &String> {
    node.input.iter().filter(|input| !is_control(input))
}

/// Sets one dtype of an attribute with a list of them.
fn set_type(node: &mut NodeDef, attr: &str, place: usize, frozen: &Frozen) {
    if let Some(AttrValue { value: Some(Value::List(list)) }) = node.attr.get_mut(attr)
        && let Some(number) = list.r#type.get_mut(place)
    {
        *number = frozen.dtype.number();
    }
}

/// Sets one shape of an attribute with a list of them.
fn set_shape(node: &mut NodeDef, attr: &str, place: usize, frozen: &Frozen) {
    if let Some(AttrValue { value: Some(Value::List(list)) }) = node.attr.get_mut(attr)
        && let Some(shape) = list.shape.get_mut(place)
    {
        *shape = frozen.shape.clone();
    }
}

/// Returns an operation that passes a value on instead of a reference.
fn dereferenced(node: &NodeDef) -> Option<NodeDef> {
    let op = node.op.strip_prefix("Ref").filter(|_| passes_on(&node.op))?;
    Some(NodeDef { op: op.to_owned(), ..node.clone() })
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
    fn inputs_that_are_assigned_to_are_found() {
        assert!(takes_reference("AssignAdd", 0) && !takes_reference("AssignAdd", 1));
        assert!(takes_reference("ApplyAdam", 2) && !takes_reference("MatMul", 0));
    }
}
