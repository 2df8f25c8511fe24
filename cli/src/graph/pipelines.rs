//! The datasets of a graph, printed as chains of transformations.
//!
//! A dataset is an operation whose inputs are the datasets that it transforms, so a chain is found by following
//! inputs from the iterator. The dataset that a function makes of each element, as in `flat_map`, is shown in
//! brackets.
//!
//! # Limits
//!
//! Functions are shown up to a depth of eight, so that functions that call each other end. A number in parentheses is
//! only shown if it is a constant: a size that the program computes is not known before a run.
//!
//! Names are shortened to their distinguishing part: `ShuffleDatasetV3` is `Shuffle`. Versions differ in their
//! attributes and not in their meaning.

use monitored_session::session_core::{AttrValue, DType, Graph, Operation};

/// The depth to which functions in functions are shown.
const DEPTH: usize = 8;

/// Returns the iterators of a graph, each with a dataset that it begins with: its sources first, as in
/// `TFRecord > Shuffle(5000) > Batch(128) > Prefetch(2)`.
pub(super) fn pipelines(graph: &Graph) -> Vec<(String, String)> {
    let pipeline = |operation: &Operation| match operation.op_type() {
        // An initializer takes the dataset and the iterator.
        "MakeIterator" if operation.num_inputs() == 2 => {
            let iterator = operation.input(1).operation().name().to_owned();
            Some((iterator, chain(graph, operation.input(0).operation(), DEPTH)))
        }
        "OneShotIterator" => {
            let dataset = result(graph, operation, "dataset_factory")?;
            Some((operation.name().to_owned(), chain(graph, &dataset, DEPTH)))
        }
        _ => None,
    };
    graph.operations().iter().filter_map(pipeline).collect()
}

/// Returns the chain that ends with an operation.
fn chain(graph: &Graph, last: &Operation, depth: usize) -> String {
    let mut parts = Vec::new();
    let mut next = Some(last.clone());
    while let Some(operation) = next.take() {
        let datasets: Vec<Operation> = operation
            .inputs()
            .iter()
            .filter(|input| input.dtype() == DType::Variant && is_dataset(input.operation()))
            .map(|input| input.operation().clone())
            .collect();
        parts.push(part(graph, &operation, depth));
        match datasets.as_slice() {
            [] => {}
            [one] => next = Some(one.clone()),
            // Several inputs, as of `zip` and `concatenate`, start several chains; the depth ends those that
            // never end.
            _ if depth == 0 => parts.push("...".to_owned()),
            several => {
                let chains: Vec<String> = several.iter().map(|one| chain(graph, one, depth - 1)).collect();
                parts.push(format!("({})", chains.join(", ")));
            }
        }
    }
    // Collected from the end of the chain, and read from its start.
    parts.reverse();
    parts.join(" > ")
}

/// Returns one operation of a chain: its name, the number of elements that it takes, and the dataset that its function
/// makes of an element.
fn part(graph: &Graph, operation: &Operation, depth: usize) -> String {
    let mut text = name(operation.op_type()).to_owned();
    if let Some(number) = number(operation) {
        text += &format!("({number})");
    }
    // The attribute `f` is common to all transformations with a function.
    if let Some(inner) = result(graph, operation, "f").filter(|inner| depth > 0 && is_dataset(inner)) {
        text += &format!("[{}]", chain(graph, &inner, depth - 1));
    }
    text
}

/// Returns true if an operation makes a dataset. All such op types have `Dataset` in their names.
fn is_dataset(operation: &Operation) -> bool {
    operation.op_type().contains("Dataset")
}

/// Returns the name of an op type without the common suffix and without its version.
fn name(op_type: &str) -> &str {
    let name = op_type.strip_prefix("Experimental").unwrap_or(op_type);
    let (name, version) = name.rsplit_once('V').unwrap_or((name, ""));
    let name = if version.bytes().all(|byte| byte.is_ascii_digit()) && !version.is_empty() {
        name
    } else {
        op_type.strip_prefix("Experimental").unwrap_or(op_type)
    };
    name.strip_suffix("Dataset").unwrap_or(name)
}

/// Returns the constant after the dataset input: the size of a buffer or batch, a count, or a number of inputs or calls.
fn number(operation: &Operation) -> Option<i64> {
    // Captured values of the function come between the dataset and the number.
    let captured = operation.attr("Targuments").and_then(AttrValue::as_list).map_or(0, <[AttrValue]>::len);
    let inputs = operation.inputs();
    let constant = inputs.get(1 + captured)?.operation();
    let is_behind_dataset = is_dataset(inputs[0].operation()) && inputs[0].dtype() == DType::Variant;
    let value = constant.attr("value").filter(|_| constant.op_type() == "Const" && is_behind_dataset)?;
    value
        .as_tensor()
        .filter(|value| value.dtype().is_integer() && value.shape().rank() == 0)?
        .as_scalar_i64()
        .ok()
}

/// Returns the operation that makes the one result of a function that an attribute names.
fn result(graph: &Graph, operation: &Operation, attr: &str) -> Option<Operation> {
    let AttrValue::Func(function, _) = operation.attr(attr)? else { return None };
    let function = graph.function(function)?;
    let [(_, output)] = function.outputs() else { return None };
    let mut operation = output.operation().clone();
    // TensorFlow often puts an `Identity` behind the result of a function.
    while operation.op_type() == "Identity" {
        operation = operation.input(0).operation().clone();
    }
    Some(operation)
}
