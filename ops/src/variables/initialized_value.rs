//! Initial values that depend on other variables (S-26).

use session_core::keys::{LOCAL_VARIABLES, VARIABLES};
use session_core::{ArgType, AttrValue, Endpoint, Graph, Operation, Output, Variable};
use std::collections::{BTreeSet, HashMap};

/// Operations that belong to conditionals and loops, which are not copied in part.
const CONTROL_FLOW: [&str; 7] =
    ["Switch", "Merge", "Enter", "Exit", "NextIteration", "LoopCond", "RefSwitch"];

/// Returns the value with each read of a variable replaced by that variable's initial value, so that it can be computed
/// when no variable has a value yet (S-26). The operations between the reads and the value are copied into `scope`.
///
/// TensorFlow decides at run time and takes the variable's own value if it has one. The results are the same
/// whenever variables are initialized together. Global variables are initialized or restored before local
/// ones, so the initial value of a local variable reads them directly.
pub(super) fn initialized(value: &Output, scope: &Graph, local: bool) -> Output {
    if value.operation().error().is_some() {
        return value.clone();
    }
    // Most values read no variable, and need no table of all of them.
    let ancestors = ancestors(value);
    if !ancestors.iter().any(reads_a_variable) {
        return value.clone();
    }
    let graph = value.graph();
    // Variables of both kinds, unless the value is for a local one: global ones have their values by then.
    let mut replaceable = graph.collection(&LOCAL_VARIABLES);
    if !local {
        replaceable.extend(graph.collection(&VARIABLES));
    }
    let by_handle =
        replaceable.into_iter().map(|variable| (variable.handle().endpoint(), variable)).collect();
    Copier { by_handle, scope, made: HashMap::new() }.copy(value, ancestors).unwrap_or_else(|| value.clone())
}

/// Returns true for an operation that may be the read of a variable.
fn reads_a_variable(operation: &Operation) -> bool {
    match operation.op_type() {
        "ReadVariableOp" => true,
        // A reference variable is read by an `Identity` of its reference.
        "Identity" => operation.input(0).is_ref(),
        _ => false,
    }
}

struct Copier<'a> {
    by_handle: HashMap<Endpoint, Variable>,
    scope: &'a Graph,
    /// The replacements of original outputs.
    made: HashMap<Endpoint, Output>,
}

impl Copier<'_> {
    /// Copies what depends on a replaced read. One pass over the ancestors is enough: the inputs of an operation come before it.
    fn copy(mut self, value: &Output, ancestors: Vec<Operation>) -> Option<Output> {
        for operation in ancestors {
            if let Some(variable) = self.read_variable(&operation) {
                // The initial value of the other variable has been rewritten when that variable was built.
                self.made.insert(operation.output(0).endpoint(), variable.initial_value().clone());
            } else if operation.input_endpoints().iter().any(|input| self.made.contains_key(input)) {
                // A copy of a part of a loop or conditional would be in no frame; the
                // value is then used as it is.
                if CONTROL_FLOW.contains(&operation.op_type()) {
                    return None;
                }
                self.copy_operation(&operation);
            }
        }
        self.made.remove(&value.endpoint())
    }

    /// Returns the variable whose value the operation reads.
    fn read_variable(&self, operation: &Operation) -> Option<&Variable> {
        if !reads_a_variable(operation) {
            return None;
        }
        self.by_handle.get(operation.input_endpoints().first()?)
    }

    fn copy_operation(&mut self, operation: &Operation) {
        let replace = |input: Output| self.made.get(&input.endpoint()).cloned().unwrap_or(input);
        let inputs: Vec<Output> = operation.inputs().into_iter().map(replace).collect();
        let copy = rebuilt(operation, inputs, self.scope);
        for (from, to) in operation.outputs().iter().zip(copy.outputs()) {
            self.made.insert(from.endpoint(), to);
        }
    }
}

/// Returns the operation that produces the value and all it depends on through data, inputs before what uses them.
fn ancestors(value: &Output) -> Vec<Operation> {
    let graph = value.graph();
    let (mut seen, mut waiting) = (BTreeSet::new(), vec![value.endpoint().op]);
    while let Some(id) = waiting.pop() {
        if seen.insert(id) {
            let operation = graph.operation_by_id(id);
            let inputs =
                operation.iter().flat_map(|operation| operation.input_endpoints().iter().map(|e| e.op));
            waiting.extend(inputs.collect::<Vec<_>>());
        }
    }
    // Inputs are older than what uses them, but for the back edges of loops, which are not copied.
    seen.into_iter().filter_map(|id| graph.operation_by_id(id)).collect()
}

/// Returns the same operation with other inputs, elsewhere.
fn rebuilt(operation: &Operation, inputs: Vec<Output>, scope: &Graph) -> Operation {
    // The last part of the name: the scope of the copy is that of the initializer.
    let own_name = operation.name().rsplit('/').next().unwrap_or(operation.name());
    let builder = match operation.def() {
        Some(def) => scope.op(def),
        None => scope.undefined_op(operation.op_type()),
    };
    let mut builder = builder.name(own_name).attrs(operation.attrs().clone()).location(operation.location());
    // Without a definition the outputs cannot be inferred and are copied from the original.
    let Some(def) = operation.def() else {
        for info in operation.output_infos() {
            builder = builder.described_output(info.clone());
        }
        return builder.input_list(inputs).finish();
    };
    // An operation stores its inputs as one list; the definition tells which of them are lists themselves.
    let mut rest = inputs.into_iter();
    for arg in &def.signature().inputs {
        builder = match list_length(operation, &arg.arg_type) {
            None => match rest.next() {
                Some(input) => builder.input(input),
                None => builder,
            },
            Some(length) => builder.input_list(rest.by_ref().take(length).collect::<Vec<_>>()),
        };
    }
    builder.finish()
}

/// Returns the number of inputs that a list argument has; `None` for a single one.
fn list_length(operation: &Operation, arg_type: &ArgType) -> Option<usize> {
    match arg_type {
        ArgType::Repeated(count, _) => operation.attr(count).and_then(AttrValue::as_int)?.try_into().ok(),
        ArgType::List(types) => Some(operation.attr(types).and_then(AttrValue::as_list)?.len()),
        ArgType::Fixed(_) | ArgType::Attr(_) => None,
    }
}
