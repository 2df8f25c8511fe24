//! Groups of operations, and waiting for them.

use crate::array::identity::identity;
use crate::composite::Composite;
use crate::library::op_defs;
use session_core::{AsOutput, Graph, OpDef, Operation, Output};

op_defs! {
    NO_OP: OpDef::new("NoOp", "->").not_differentiable();
    CONTROL_TRIGGER: OpDef::new("ControlTrigger", "->").not_differentiable();
}

/// Returns an operation that does nothing, after the control inputs of the handle.
///
/// ```
/// use ops::{array::constant, control_flow::{no_op, print}};
/// let graph = session_core::Graph::new();
/// let message = print(constant(&graph, 1f32), &[], "ready", 3);
/// let after = no_op(&graph.control_dependencies([message.operation()]));
/// assert_eq!(after.op_type(), "NoOp");
/// ```
#[must_use]
#[track_caller]
pub fn no_op(graph: &Graph) -> Operation {
    graph.op(&NO_OP).finish()
}

/// Returns an operation that has run when all of these have.
///
/// ```
/// # use session_core::Graph;
/// # use ops::control_flow::{group, no_op};
/// let graph = Graph::new();
/// let (a, b) = (no_op(&graph), no_op(&graph));
/// let both = group(&graph.named("both"), [&a, &b]);
/// assert_eq!((both.name(), both.control_inputs()), ("both", vec![a, b]));
/// ```
#[must_use]
#[track_caller]
pub fn group<'a>(graph: &Graph, operations: impl IntoIterator<Item = &'a Operation>) -> Operation {
    let builder = graph.op(&NO_OP).default_name("group_deps");
    operations.into_iter().fold(builder, |builder, operation| builder.control_input(operation)).finish()
}

/// Returns the same tensor, which is computed only after all of these operations have run.
///
/// ```
/// use ops::{array::constant, control_flow::with_dependencies, variables::{VariableExt, variable}};
/// let graph = session_core::Graph::new();
/// let count = variable(&graph.named("count"), 0i64);
/// let counted = count.assign_add(1i64);
/// let x = with_dependencies([&counted], constant(&graph, 1.0f32)); // running x counts
/// assert_eq!(x.operation().control_inputs(), [counted]);
/// ```
#[must_use]
#[track_caller]
pub fn with_dependencies<'a>(
    dependencies: impl IntoIterator<Item = &'a Operation>,
    output: impl AsOutput,
) -> Output {
    // The `Identity` is what waits: a control input of the producer would delay its other users too.
    let scope = Composite::new(&output.as_output().graph(), "control_dependency");
    let graph = scope.graph().control_dependencies(dependencies).named_as_scope();
    scope.leave(identity(output.as_output().within(&graph)))
}

/// Returns the same tensors, none of which is available before all of them and all of these operations have run.
///
/// ```
/// use ops::{array::constant, control_flow::tuple};
/// let graph = session_core::Graph::new();
/// let (a, b) = (constant(&graph, 1), constant(&graph, 2.0f32));
/// let both = tuple(&[&a, &b], &[]);
/// assert_eq!(both[0].operation().control_inputs(), both[1].operation().control_inputs());
/// ```
#[must_use]
#[track_caller]
pub fn tuple<O: AsOutput>(tensors: &[O], control_inputs: &[Operation]) -> Vec<Output> {
    let scope = Composite::new(&crate::array::graph_of(tensors), "tuple");
    // Tensors of one operation need one control edge.
    let mut operations: Vec<Operation> = Vec::new();
    for operation in tensors.iter().map(|tensor| tensor.as_output().operation()).chain(control_inputs) {
        if !operations.contains(operation) {
            operations.push(operation.clone());
        }
    }
    let gate = group(scope.graph(), &operations);
    tensors
        .iter()
        .map(|tensor| {
            let inner = scope.graph().control_dependencies([&gate]).named("control_dependency");
            scope.leave(identity(tensor.as_output().within(&inner)))
        })
        .collect()
}
