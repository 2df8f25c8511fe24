//! Iterators of imported graphs that the program, rather than the graph, has to initialize.
//!
//! In Python, a program runs `iterator.initializer` itself. That call is not part of the exported graph, so a command
//! that runs a graph has to find the operation.
//!
//! An iterator can have several initializers, for example one for training and one for evaluation, and nothing in the
//! graph tells which one the program ran first. The first in the order of creation is chosen. Iterators whose
//! initializer is in the collection of table initializers are left to the session.

use monitored_session::session_core::keys::TABLE_INITIALIZERS;
use monitored_session::session_core::{Graph, OpId, Operation};
use std::collections::{HashMap, HashSet};

/// Returns the initializers of the iterators that these outputs take elements from, where no collection has one: for each
/// iterator the first in the graph.
pub(crate) fn initializers<'o>(
    graph: &Graph,
    needed: impl IntoIterator<Item = &'o Operation>,
) -> Vec<Operation> {
    let needed = all_needed(needed);
    let collected = graph.collection(&TABLE_INITIALIZERS);
    let initializer = |operation: &Operation| {
        (operation.op_type() == "MakeIterator").then(|| operation.input(1).operation().id())
    };
    // Contains the iterators that are initialized already, and then those that were found: each gets one
    // initializer.
    let mut begun: HashSet<_> = collected.iter().filter_map(initializer).collect();
    let operations = graph.operations().into_iter();
    operations
        .filter(|operation| {
            initializer(operation)
                .is_some_and(|iterator| needed.contains_key(&iterator) && begun.insert(iterator))
        })
        .collect()
}

/// Returns true if one of these operations depends on an element of an iterator or a queue: there may be an end.
pub(crate) fn take_input(operations: &[Operation]) -> bool {
    let takes = |operation: &Operation| {
        // All versions of both families of op types begin or end with these words.
        operation.op_type().starts_with("IteratorGetNext") || operation.op_type().contains("Dequeue")
    };
    all_needed(operations).values().any(takes)
}

/// Returns the operations and all that they depend on, through inputs and control inputs.
fn all_needed<'o>(operations: impl IntoIterator<Item = &'o Operation>) -> HashMap<OpId, Operation> {
    let mut seen = HashMap::new();
    let mut pending: Vec<Operation> = operations.into_iter().cloned().collect();
    while let Some(operation) = pending.pop() {
        // A graph with loops refers to itself, so each operation is visited once.
        if seen.insert(operation.id(), operation.clone()).is_none() {
            pending.extend(operation.inputs().iter().map(|input| input.operation().clone()));
            pending.extend(operation.control_inputs());
        }
    }
    seen
}
