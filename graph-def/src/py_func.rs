//! Operations that call closures, which files refer to by tokens only.

use crate::Result;
use crate::proto::GraphDef;
use ops::script::is_host_func;
use session_core::{AttrValue, Graph, HostFunction, Operation};
use std::collections::{BTreeMap, BTreeSet};

/// Binds closures to the operations of an import, by their names in the message or their tokens, and returns the names that
/// nothing has.
pub(crate) fn bind_py_funcs(
    graph: &Graph,
    message: &GraphDef,
    imported: &[Operation],
    bindings: &BTreeMap<String, HostFunction>,
) -> Result<Vec<String>> {
    let mut unused: BTreeSet<&str> = bindings.keys().map(String::as_str).collect();
    let mut bind = |operation: &Operation, name: &str| -> Result<()> {
        if !is_host_func(operation.op_type()) {
            return Ok(());
        }
        let token = operation.attr("token").and_then(AttrValue::as_str).unwrap_or_default();
        // The name first: it says more precisely which operation is meant.
        let Some((key, function)) = bindings.get_key_value(name).or_else(|| bindings.get_key_value(token))
        else {
            return Ok(());
        };
        unused.remove(key.as_str());
        operation.bind_host_function(function)
    };
    // Without bindings no function's body is searched.
    if bindings.is_empty() {
        return Ok(Vec::new());
    }
    for (operation, node) in imported.iter().zip(&message.node) {
        bind(operation, &node.name)?;
    }
    let functions = message.library.iter().flat_map(|library| &library.function);
    for name in functions.filter_map(|function| Some(&function.signature.as_ref()?.name)) {
        for operation in graph.function(name).iter().flat_map(|function| function.body().operations()) {
            bind(&operation, &format!("{name}/{}", operation.name()))?;
        }
    }
    Ok(unused.into_iter().map(str::to_owned).collect())
}

/// Returns the names of the operations of a graph that call closures of the program, those in bodies of functions as
/// `function/operation`: what an engine of another language cannot run.
///
/// ```
/// use graph_def::py_funcs;
/// use ops::{array::placeholder, script::host_func};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = placeholder(&graph, DType::Float32, [None]);
/// let call = host_func(&graph).input(&x).output(DType::Float32, [None]).token("same");
/// let _ = call.call(|inputs, _| Ok(inputs.to_vec()));
/// assert!(!py_funcs(&graph).is_empty());
/// ```
#[must_use]
pub fn py_funcs(graph: &Graph) -> Vec<String> {
    let of_type = |operation: &Operation| is_host_func(operation.op_type());
    let own = graph.operations().into_iter().filter(of_type).map(|operation| operation.name().to_owned());
    let functions = graph.functions();
    let in_functions = functions.iter().flat_map(|function| {
        let operations = function.body().operations().into_iter().filter(of_type);
        operations.map(|operation| format!("{}/{}", function.name(), operation.name()))
    });
    own.chain(in_functions).collect()
}
