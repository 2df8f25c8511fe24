//! The output arguments of op types and functions, which inputs in function bodies are named by.

use crate::definitions::Definitions;
use session_core::{Graph, Operation};

/// Returns the output arguments of an operation with the number of outputs of each; `None` for an unknown type.
pub(crate) fn output_args(graph: &Graph, operation: &Operation) -> Option<Vec<(String, usize)>> {
    if let Some(args) = Definitions::new(None, None).outputs(operation.op_type(), operation.attrs()) {
        return args.ok().map(|args| args.into_iter().map(|arg| (arg.name, arg.dtypes.len())).collect());
    }
    let function = graph.function(operation.op_type())?;
    Some(function.outputs().iter().map(|(name, _)| (name.clone(), 1)).collect())
}
