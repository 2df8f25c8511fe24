//! Lists of variables, and the operations that initialize or check them.

use super::VariableExt;
use crate::array::{boolean_mask, constant, stack};
use crate::composite::Composite;
use crate::control_flow::group;
use crate::math::logical_not;
use session_core::keys::{LOCAL_VARIABLES, TABLE_INITIALIZERS, TRAINABLE_VARIABLES, VARIABLES};
use session_core::{Graph, Operation, Output, Variable};
use tensor::Tensor;

/// Returns the variables that are saved and shared, in the order they were made.
#[must_use]
pub fn global_variables(graph: &Graph) -> Vec<Variable> {
    graph.collection(&VARIABLES)
}

/// Returns the variables of this process, in the order they were made.
#[must_use]
pub fn local_variables(graph: &Graph) -> Vec<Variable> {
    graph.collection(&LOCAL_VARIABLES)
}

/// Returns the variables that optimizers train, in the order they were made.
#[must_use]
pub fn trainable_variables(graph: &Graph) -> Vec<Variable> {
    graph.collection(&TRAINABLE_VARIABLES)
}

/// Returns an operation that initializes these variables. For an empty list it does nothing (S-25). Named
/// `init`.
#[track_caller]
pub fn variables_initializer(graph: &Graph, variables: &[Variable]) -> Operation {
    let initializers = variables.iter().map(Variable::initializer);
    group(&named(graph, "init"), initializers)
}

/// Returns an operation that initializes all global variables that exist now. Without any it does nothing
/// (S-25).
#[track_caller]
pub fn global_variables_initializer(graph: &Graph) -> Operation {
    variables_initializer(graph, &global_variables(graph))
}

/// Returns an operation that initializes all local variables that exist now. Without any it does nothing
/// (S-25).
#[track_caller]
pub fn local_variables_initializer(graph: &Graph) -> Operation {
    variables_initializer(graph, &local_variables(graph))
}

/// Returns an operation that initializes all tables that exist now. Without any it does nothing (S-25). Named
/// `init_all_tables`.
#[track_caller]
pub fn tables_initializer(graph: &Graph) -> Operation {
    let initializers = graph.collection(&TABLE_INITIALIZERS);
    group(&named(graph, "init_all_tables"), &initializers)
}

/// Returns the names of the variables without value, as a string vector: global ones first, then local ones, each in the
/// order they were made (S-27).
#[track_caller]
pub fn report_uninitialized_variables(graph: &Graph) -> Output {
    let mut variables = global_variables(graph);
    variables.extend(local_variables(graph));
    report_uninitialized(graph, &variables)
}

/// Works as [`report_uninitialized_variables`], for these variables.
#[track_caller]
pub fn report_uninitialized(graph: &Graph, variables: &[Variable]) -> Output {
    let scope = Composite::new(&graph.without_control_dependencies(), "report_uninitialized_variables");
    let inner = scope.graph();
    let names = Tensor::from(variables.iter().map(Variable::name).collect::<Vec<&str>>());
    if variables.is_empty() {
        return scope.leave(constant(inner, names));
    }
    let initialized: Vec<Output> = variables.iter().map(|variable| variable.is_initialized(inner)).collect();
    let missing = logical_not(scope.enter(stack(&initialized, 0)));
    scope.leave(boolean_mask(constant(inner, names), scope.enter(missing)))
}

fn named(graph: &Graph, default: &str) -> Graph {
    graph.named(graph.pending_name().unwrap_or(default))
}
