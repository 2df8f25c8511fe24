//! Export of functions.
//!
//! In a `FunctionDef`, inputs of nodes have the form `node:output_arg:index` instead of `node:index`, so the export has to know the names of the
//! output arguments of every op type in the body.

use crate::convert::attrs_to_proto;
use crate::export::{ExportOptions, control_names, node_without_inputs};
use crate::proto::{ArgDef, FunctionDef, NodeDef, OpDef};
use crate::signature::output_args;
use crate::{Error, Result};
use session_core::{Code, Endpoint, Function, Graph, Operation, Output};
use std::collections::{HashMap, HashSet};

/// Converts a function to TensorFlow's message. The graph whose library holds it knows the functions that its body calls.
pub(crate) fn function_to_proto(
    graph: &Graph,
    function: &Function,
    options: ExportOptions,
) -> Result<FunctionDef> {
    let body = Body::of(graph, function, options);
    body.to_proto().map_err(|error| error.context(format!("function '{}'", function.name())))
}

/// A function that is being exported.
struct Body<'a> {
    /// The graph whose library has the function.
    graph: &'a Graph,
    /// The function.
    function: &'a Function,
    /// The names of the arguments, by the outputs of the body that represent them.
    arguments: HashMap<Endpoint, String>,
    /// The names of the arguments, in order.
    names: Vec<String>,
    /// The options of the export, as far as they hold for functions.
    options: ExportOptions,
}

impl<'a> Body<'a> {
    /// Chooses the names of the arguments.
    fn of(graph: &'a Graph, function: &'a Function, options: ExportOptions) -> Body<'a> {
        let names = argument_names(function);
        let arguments = function.inputs().iter().map(Output::endpoint).zip(names.iter().cloned()).collect();
        Body { graph, function, arguments, names, options }
    }

    /// Exports signature, nodes, and results.
    fn to_proto(&self) -> Result<FunctionDef> {
        let mut message =
            FunctionDef { attr: attrs_to_proto(self.function.attrs())?, ..FunctionDef::default() };
        for operation in self.function.body().operations() {
            if !self.is_argument(&operation) {
                message.node_def.push(self.node(&operation)?);
            }
        }
        let mut signature = OpDef {
            name: self.function.name().to_owned(),
            is_stateful: self.function.is_stateful(),
            ..OpDef::default()
        };
        for (name, input) in self.names.iter().zip(self.function.inputs()) {
            signature.input_arg.push(argument(name, input));
        }
        for (name, output) in self.function.outputs() {
            signature.output_arg.push(argument(name, output));
            message.ret.insert(name.clone(), self.reference(output)?);
        }
        for operation in self.function.control_outputs() {
            let name = operation.name().to_owned();
            signature.control_output.push(name.clone());
            message.control_ret.insert(name.clone(), name);
        }
        message.signature = Some(signature);
        Ok(message)
    }

    /// Returns true if the operation only represents arguments, and is not a node of the body.
    fn is_argument(&self, operation: &Operation) -> bool {
        operation.num_outputs() > 0
            && operation.outputs().iter().all(|output| self.arguments.contains_key(&output.endpoint()))
    }

    /// Exports an operation of the body. In functions, inputs have the form `node:argument:index`.
    fn node(&self, operation: &Operation) -> Result<NodeDef> {
        let mut node = node_without_inputs(operation, &self.options)?;
        for input in operation.inputs() {
            node.input.push(self.reference(&input)?);
        }
        // An argument has a value before the body begins, so an edge that waits for it orders nothing and is
        // left out.
        node.input.extend(control_names(operation, |input| !self.is_argument(input)));
        Ok(node)
    }

    /// Returns the name of an output in function bodies.
    fn reference(&self, output: &Output) -> Result<String> {
        if let Some(name) = self.arguments.get(&output.endpoint()) {
            return Ok(name.clone());
        }
        let operation = output.operation();
        let mut index = output.index();
        for (name, count) in output_args(self.graph, operation).unwrap_or_default() {
            if index < count {
                return Ok(format!("{}:{name}:{index}", operation.name()));
            }
            index -= count;
        }
        let text = "an operation of unknown type has outputs without names, which a function needs; import the graph with the definition of the type";
        Err(operation.place(Error::new(Code::Unimplemented, text)))
    }
}

/// Describes an argument or result by the output that represents it.
fn argument(name: &str, output: &Output) -> ArgDef {
    ArgDef {
        name: name.to_owned(),
        r#type: output.dtype().number(),
        is_ref: output.is_ref(),
        ..ArgDef::default()
    }
}

/// Returns the arguments' names: those of their operations, made valid (lower case, no `/`) and unique within the body.
fn argument_names(function: &Function) -> Vec<String> {
    let inputs: HashSet<String> =
        function.inputs().iter().map(|input| input.operation().name().to_owned()).collect();
    let mut taken: HashSet<String> =
        function.body().operations().iter().map(|operation| operation.name().to_owned()).collect();
    // The placeholders themselves are not written, so their names are free.
    taken.retain(|name| !inputs.contains(name));
    let mut names = Vec::new();
    for input in function.inputs() {
        let base = fit(input.operation().name());
        let mut name = base.clone();
        let mut suffix = 0;
        while !taken.insert(name.clone()) {
            name = format!("{base}_{suffix}");
            suffix += 1;
        }
        names.push(name);
    }
    names
}

/// Returns a name that is valid for an argument: lower-case letters, digits, and underscores, beginning with a
/// letter.
fn fit(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let fitted: String = name.chars().map(plain).collect();
    if fitted.starts_with(|c: char| c.is_ascii_lowercase()) { fitted } else { format!("arg_{fitted}") }
}
