//! Variables of graphs without collections of variables, such as a plain `GraphDef`.

use crate::import::Imported;
use session_core::{Operation, Output, Variable, VariableParts};
use std::collections::HashMap;

/// Finds variables from nodes: each has an operation that assigns to it first, and a read.
pub(crate) fn variables_of_nodes(imported: &Imported) -> Vec<Variable> {
    let mut users: HashMap<&str, Vec<(&Operation, usize)>> = HashMap::new();
    let operations = imported.operations();
    let inputs: Vec<Vec<Output>> = operations.iter().map(Operation::inputs).collect();
    for (operation, inputs) in operations.iter().zip(&inputs) {
        for (position, input) in inputs.iter().enumerate() {
            users.entry(input.operation().name()).or_default().push((operation, position));
        }
    }
    operations.iter().filter_map(|operation| variable(operation, &users)).collect()
}

/// Returns the variable of an operation, with the initializer that is found among the users of its handle.
fn variable(operation: &Operation, users: &HashMap<&str, Vec<(&Operation, usize)>>) -> Option<Variable> {
    let (assign, read) = match operation.op_type() {
        "VarHandleOp" => ("AssignVariableOp", "ReadVariableOp"),
        "VariableV2" | "Variable" => ("Assign", "Identity"),
        _ => return None,
    };
    let users = users.get(operation.name())?;
    let first = |op_type: &str, name: &str| {
        let mut of_type = users.iter().filter(|(user, position)| user.op_type() == op_type && *position == 0);
        let named = format!("{}/{name}", operation.name());
        // The name that TensorFlow gives before any other, since other operations may assign to the variable,
        // too.
        let exact = of_type.clone().find(|(user, _)| user.name() == named);
        exact.or_else(|| of_type.next()).map(|(user, _)| (*user).clone())
    };
    let initializer = first(assign, "Assign")?;
    let handle = operation.output(0);
    let snapshot = match first(read, if read == "Identity" { "read" } else { "Read/ReadVariableOp" }) {
        Some(read) => read.output(0),
        // A reference can be read itself, a handle cannot.
        None if handle.is_ref() => handle.clone(),
        None => return None,
    };
    Some(Variable::new(VariableParts {
        handle,
        initial_value: (initializer.num_inputs() == 2).then(|| initializer.input(1))?,
        initializer,
        snapshot,
        // The nodes do not tell. A graph without collections is usually frozen or for inference.
        trainable: false,
        slice: None,
    }))
}
