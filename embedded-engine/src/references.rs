//! References to variables: which outputs of a graph stand for a variable itself.
//!
//! In TensorFlow, reading a reference variable copies nothing. An `Identity` of it, such as the `read` of
//! every TensorFlow 1 variable, shares the memory of the variable, so its users see what an update wrote if
//! they run after it. The same holds for branches of a `Switch` that it passes through, for a `Merge`, for
//! the way into a loop and out of it, and for a function that returns its argument. Moving averages that are
//! computed after a training step rely on this.
//!
//! Here such an output is the handle of the variable, and the value is read where an operation needs it,
//! after everything that the operation waits for. The result of an update is the same handle as its input. A
//! fetched reference is read after the step.
//!
//! Queues, stacks, arrays of tensors, and other variables receive a value. In TensorFlow they share the
//! variable's memory as well, so the content of a queue would change with each update.
//!
//! # Example
//!
//! ```text
//! w = VariableV2            reference
//! r = Identity(w)           reference: shares the memory
//! u = AssignAdd(w, 1)       reference: its output is the variable
//! y = r * 2                 control input u: the read comes after the update, so y uses the new value
//! z = Switch(r, p)          both outputs are references
//! q = enqueue(r)            receives a value, read when the operation runs
//! ```
//!
//! The analysis is a fixed point: it starts with the outputs that are declared as references and follows
//! [`passes`]. A result says that an output *may* be a reference; at run time the slot holds either a
//! variable's handle or a plain value, and the kernel that reads accepts both.

use crate::kernels::facts;
use crate::registry::{Call, Control, Role, Shares};
use rustc_hash::{FxHashMap, FxHashSet};
use session_core::{ArgType, AttrValue, Endpoint, Function, Graph, Operation};
use std::collections::BTreeMap;
use tensor::DType;

/// Returns the outputs, of these operations, that are references or may be: those that are declared as such,
/// and those that pass one on.
///
/// `operations` are those that the plan needs; `is_fed` cuts the graph, because the value of a fed output is
/// never a reference. Handles of resources are values, not references. A graph without references costs one
/// pass over its outputs.
pub(crate) fn references<'a>(
    operations: impl Iterator<Item = &'a Operation> + Clone,
    library: &Graph,
    is_fed: impl Fn(Endpoint) -> bool,
) -> FxHashSet<Endpoint> {
    let mut found = FxHashSet::default();
    // A definition is shared by the operations of its type, so it is read faster than the outputs.
    let returns_any = |operation: &&Operation| {
        operation.def().is_none_or(|def| def.signature().outputs.iter().any(|output| output.is_ref))
    };
    for operation in operations.clone().filter(returns_any) {
        for (index, info) in operation.output_infos().iter().enumerate() {
            let endpoint = Endpoint { op: operation.id(), index: index as u32 };
            if info.is_ref && info.dtype != DType::Resource && !is_fed(endpoint) {
                found.insert(endpoint);
            }
        }
    }
    if found.is_empty() {
        return found;
    }
    let mut passed: FxHashMap<Endpoint, Vec<Endpoint>> = FxHashMap::default();
    for operation in operations {
        for (input, output) in passes(operation, library) {
            passed.entry(input).or_default().push(Endpoint { op: operation.id(), index: output });
        }
    }
    let mut pending: Vec<Endpoint> = found.iter().copied().collect();
    // Loops need no special care: an output enters the set at most once.
    while let Some(endpoint) = pending.pop() {
        for &further in passed.get(&endpoint).into_iter().flatten() {
            if !is_fed(further) && found.insert(further) {
                pending.push(further);
            }
        }
    }
    found
}

/// Returns the pairs of an input of an operation and the number of the output that it is, or may be, without
/// a copy. `Switch` has two pairs with the same input, `Merge` one for each of its inputs, and calls those of
/// the function's body.
pub(crate) fn passes(operation: &Operation, library: &Graph) -> Vec<(Endpoint, u32)> {
    let inputs = operation.input_endpoints();
    let outputs = operation.num_outputs() as u32;
    let each = || (0..outputs).zip(inputs).map(|(output, &input)| (input, output)).collect();
    let first = |outputs: u32| inputs.first().map(|&input| (0..outputs).map(move |output| (input, output)));
    let Some(op) = facts(operation) else {
        let function = library.function(operation.op_type());
        return function.map_or_else(Vec::new, |function| passed_by(&function, inputs));
    };
    match (op.role, op.shares) {
        (Role::Control(Control::Switch), _) => first(outputs).into_iter().flatten().collect(),
        (Role::Control(Control::Merge), _) => inputs.iter().map(|&input| (input, 0)).collect(),
        // The control flow ops that remain have one value as input and output.
        (Role::Control(_), _) => first(1).into_iter().flatten().collect(),
        (Role::Call(Call::Function), _) => {
            let Some(AttrValue::Func(name, _)) = operation.attr("f") else { return Vec::new() };
            library.function(name).map_or_else(Vec::new, |function| passed_by(&function, inputs))
        }
        (Role::Call(Call::While), _) => {
            let Some(AttrValue::Func(name, _)) = operation.attr("body") else { return Vec::new() };
            let passed = library.function(name).map_or_else(Vec::new, |body| passed_by(&body, inputs));
            // A value that one round passes to another place is another value in the next.
            passed
                .into_iter()
                .filter(|&(input, output)| inputs.get(output as usize) == Some(&input))
                .collect()
        }
        (Role::Call(call @ (Call::If | Call::Case)), _) => {
            let outputs = passed_by_branches(call, operation, library).into_iter();
            let each =
                outputs.flat_map(|(output, inputs)| inputs.into_iter().map(move |input| (input, output)));
            each.filter_map(|(input, output)| Some((input?, output))).collect()
        }
        (_, Shares::Inputs) => each(),
        _ => Vec::new(),
    }
}

/// Returns, for each output of an `If` or `Case` that a branch may forward unchanged, the forwarded input of
/// each branch.
///
/// The inner lists have one entry per branch: the endpoint of the forwarded argument, or `None` if the branch
/// computes the result. Outputs that no branch forwards are absent.
pub(crate) fn passed_by_branches(
    call: Call,
    operation: &Operation,
    library: &Graph,
) -> BTreeMap<u32, Vec<Option<Endpoint>>> {
    let names: Vec<&AttrValue> = match call {
        Call::If => ["then_branch", "else_branch"].iter().filter_map(|name| operation.attr(name)).collect(),
        _ => operation.attr("branches").and_then(AttrValue::as_list).unwrap_or_default().iter().collect(),
    };
    // Input 0 is the condition or the number of the branch.
    let arguments = operation.input_endpoints().get(1..).unwrap_or_default();
    let mut found: BTreeMap<u32, Vec<Option<Endpoint>>> = BTreeMap::new();
    for (branch, name) in names.iter().enumerate() {
        let AttrValue::Func(name, _) = name else { continue };
        let Some(function) = library.function(name) else { continue };
        for (input, output) in passed_by(&function, arguments) {
            found.entry(output).or_insert_with(|| vec![None; names.len()])[branch] = Some(input);
        }
    }
    found
}

/// Returns the arguments that a function passes on as results.
///
/// Only forwarding operations inside the body are followed, such as `Identity`. A body that forwards an
/// argument through a conditional or another call counts as computing its result, which then has a value of
/// its own.
fn passed_by(function: &Function, arguments: &[Endpoint]) -> Vec<(Endpoint, u32)> {
    let places: FxHashMap<Endpoint, usize> =
        function.inputs().iter().enumerate().map(|(place, input)| (input.endpoint(), place)).collect();
    let results = function.outputs().iter().enumerate();
    let argument = |mut endpoint: Endpoint| loop {
        if let Some(&place) = places.get(&endpoint) {
            return arguments.get(place).copied();
        }
        let operation = function.body().operation_by_id(endpoint.op)?;
        if facts(&operation).is_none_or(|op| op.role != Role::PassOn || op.shares != Shares::Inputs) {
            return None;
        }
        endpoint = *operation.input_endpoints().get(endpoint.index as usize)?;
    };
    results.filter_map(|(index, (_, output))| Some((argument(output.endpoint())?, index as u32))).collect()
}

/// Returns, for each input of an operation, true if it is taken as a reference; `None` if no input is.
///
/// For an `Assign` of `ref: Ref(T), value: T` it is `[true, false]`. Lists of inputs are flattened by the
/// attributes that give their lengths, so that the result has one element for each input of the operation.
pub(crate) fn taken(operation: &Operation) -> Option<Vec<bool>> {
    let signature = operation.def()?.signature();
    if !signature.inputs.iter().any(|input| input.is_ref) {
        return None;
    }
    let mut taken = Vec::with_capacity(operation.num_inputs());
    for input in &signature.inputs {
        let count = match &input.arg_type {
            ArgType::Repeated(count, _) => {
                let count = operation.attr(count).and_then(AttrValue::as_int);
                count.and_then(|count| usize::try_from(count).ok()).unwrap_or(0)
            }
            ArgType::List(types) => {
                operation.attr(types).and_then(AttrValue::as_types).map_or(0, |types| types.len())
            }
            ArgType::Fixed(_) | ArgType::Attr(_) => 1,
        };
        taken.resize(taken.len() + count, input.is_ref);
    }
    Some(taken)
}
