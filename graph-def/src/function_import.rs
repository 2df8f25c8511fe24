//! Import of functions.
//!
//! Functions are imported before the nodes that call them. A function that exists in the graph already must be equal to the imported one.

use crate::convert::{attr_from_proto, attrs_from_proto, maybe_ref_dtype};
use crate::definitions::Definitions;
use crate::export::ExportOptions;
use crate::export::OUTPUT_SHAPES;
use crate::function_export::function_to_proto;
use crate::nodes::{Input, Nodes, Syntax};
use crate::proto::{FunctionDef, FunctionDefLibrary, OpDef};
use crate::{Error, Result};
use ops::library;
use session_core::{Function, Graph, OpLibrary, Operation, Output, PartialShape};
use std::collections::HashMap;

/// Adds the functions of a message to a graph.
pub(crate) fn import_library(
    graph: &Graph,
    message: &FunctionDefLibrary,
    definitions: &Definitions<'_>,
) -> Result<()> {
    let gradients: HashMap<&str, &str> = message
        .gradient
        .iter()
        .map(|gradient| (gradient.function_name.as_str(), gradient.gradient_func.as_str()))
        .collect();
    for function in &message.function {
        let signature = function.signature.as_ref();
        let signature = signature.ok_or_else(|| Error::value("a function has no signature"))?;
        let made = import_function(function, signature, definitions)
            .map_err(|error| error.context(format!("function '{}'", signature.name)))?;
        let made = match gradients.get(signature.name.as_str()) {
            Some(gradient) => made.with_gradient(*gradient),
            None => made,
        };
        add(graph, made)?;
    }
    Ok(())
}

/// Adds a function, or accepts an identical one that exists already.
fn add(graph: &Graph, function: Function) -> Result<()> {
    let Some(known) = graph.function(function.name()) else { return graph.add_function(function) };
    // Compared as messages, because two bodies are different graphs, whose operations are never equal.
    let message = |function: &Function| function_to_proto(graph, function, ExportOptions::default());
    if message(&known)? == message(&function)? {
        return Ok(());
    }
    Err(Error::value(format!("the graph already has a different function '{}'", function.name())))
}

/// Creates the body of a function in a graph of its own.
fn import_function(
    message: &FunctionDef,
    signature: &OpDef,
    definitions: &Definitions<'_>,
) -> Result<Function> {
    // A graph of its own, so that names in the body are kept as they are.
    let body = Graph::new();
    let mut inputs = Vec::new();
    let mut arguments = HashMap::new();
    for (position, arg) in signature.input_arg.iter().enumerate() {
        let input = argument(&body, message, position, &arg.name, dtype_of(arg)?)?;
        if arguments.insert(arg.name.clone(), input.clone()).is_some() {
            return Err(Error::value(format!("two arguments are named '{}'", arg.name)));
        }
        inputs.push(input);
    }
    let mut nodes =
        Nodes::new(&message.node_def, Syntax::Function { arguments: arguments.clone() }, definitions)?;
    let returned: Result<Vec<Input>> =
        signature.output_arg.iter().map(|arg| returned(&nodes, message, &arg.name, &arguments)).collect();
    let (made, outputs) = nodes.import_body(&body, returned?)?;
    let outputs: Vec<(String, Output)> =
        signature.output_arg.iter().map(|arg| arg.name.clone()).zip(outputs).collect();
    for (arg, (name, output)) in signature.output_arg.iter().zip(&outputs) {
        let dtype = dtype_of(arg)?;
        // The callers were built by the signature; a kernel would read elements of another size.
        if output.dtype() != dtype {
            let text = format!("result '{name}' is {} instead of {dtype}", output.dtype());
            return Err(Error::type_mismatch(text));
        }
    }
    let control = control_outputs(message, signature, &made)?;
    let function = Function::new(&signature.name, &body, inputs, outputs)?;
    Ok(function.with_control_outputs(control).with_attrs(attrs_from_proto(&message.attr)?))
}

/// Returns the dtype of an argument or result. Open dtypes were set by the caller of the function.
fn dtype_of(arg: &crate::proto::ArgDef) -> Result<session_core::DType> {
    Ok(maybe_ref_dtype(arg.r#type)?.0)
}

/// Creates the placeholder that represents an argument.
fn argument(
    body: &Graph,
    message: &FunctionDef,
    position: usize,
    name: &str,
    dtype: session_core::DType,
) -> Result<Output> {
    let def =
        library().find("Placeholder").ok_or_else(|| Error::runtime("the library has no Placeholder"))?;
    // The slash at the end requests the exact name.
    let builder = body.op(def).name(format!("{name}/")).attr("dtype", dtype);
    let shape = known_shape(message, position);
    Ok(builder.attr("shape", shape).try_finish()?.output(0))
}

/// Returns the shape that a message states for an argument; unknown if it states none.
fn known_shape(message: &FunctionDef, position: usize) -> PartialShape {
    let attrs = u32::try_from(position).ok().and_then(|position| message.arg_attr.get(&position));
    let value = attrs.and_then(|attrs| attrs.attr.get(OUTPUT_SHAPES)?.value.as_ref());
    let shapes = value.and_then(|value| attr_from_proto(value).ok());
    let first = shapes.as_ref().and_then(|shapes| shapes.as_list()?.first()?.as_shape());
    first.cloned().unwrap_or_default()
}

/// Returns the outputs that the function returns, by the names of its results.
fn returned(
    nodes: &Nodes<'_>,
    message: &FunctionDef,
    name: &str,
    arguments: &HashMap<String, Output>,
) -> Result<Input> {
    let text = message.ret.get(name).ok_or_else(|| Error::value(format!("result '{name}' has no value")))?;
    nodes.resolve_in_function(text, arguments).map_err(|error| error.context(format!("result '{name}'")))
}

/// Returns the operations that have to run in each call although no result needs them.
fn control_outputs(message: &FunctionDef, signature: &OpDef, made: &[Operation]) -> Result<Vec<Operation>> {
    let find = |name: &String| {
        let node = message.control_ret.get(name);
        let node = node.and_then(|node| made.iter().find(|operation| operation.name() == node));
        node.cloned().ok_or_else(|| Error::value(format!("control output '{name}' has no node")))
    };
    signature.control_output.iter().map(find).collect()
}
