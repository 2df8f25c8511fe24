//! What op types and functions say of their outputs.

use session_core::{ArgType, AttrValue, Graph, Operation};

/// The output arguments of an operation with the number of outputs of each; `None` for an unknown type.
pub(crate) fn output_args(graph: &Graph, operation: &Operation) -> Option<Vec<(String, usize)>> {
    if let Some(def) = operation.def() {
        let args = def.signature().outputs.iter();
        return args.map(|arg| Some((arg.name.clone(), count(&arg.arg_type, operation)?))).collect();
    }
    let function = graph.function(operation.op_type())?;
    Some(function.outputs().iter().map(|(name, _)| (name.clone(), 1)).collect())
}

fn count(arg_type: &ArgType, operation: &Operation) -> Option<usize> {
    match arg_type {
        ArgType::Fixed(_) | ArgType::Attr(_) => Some(1),
        ArgType::Repeated(count, _) => usize::try_from(operation.attr(count)?.as_int()?).ok(),
        ArgType::List(types) => operation.attr(types).and_then(AttrValue::as_list).map(<[AttrValue]>::len),
    }
}
