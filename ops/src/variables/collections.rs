//! Lists of variables, and the operations that initialize or check them.

use super::VariableExt;
use crate::array::{boolean_mask, constant, stack};
use crate::composite::Composite;
use crate::control_flow::group;
use crate::math::logical_not;
use session_core::keys::{LOCAL_VARIABLES, TABLE_INITIALIZERS, TRAINABLE_VARIABLES, VARIABLES};
use session_core::{Graph, Operation, Output, Variable};
use tensor::Tensor;

/// Returns the variables that are saved and shared, in the order of their creation.
///
/// ```
/// # use ops::variables::{self, variable};
/// # let graph = session_core::Graph::new();
/// let w = variable(&graph.named("w"), 1.0f32);
/// assert_eq!(variables::global_variables(&graph), [w]);
/// ```
#[must_use]
pub fn global_variables(graph: &Graph) -> Vec<Variable> {
    graph.collection(&VARIABLES)
}

/// Returns the variables of this process, in the order of their creation.
///
/// ```
/// use ops::variables::{local_variable, local_variables};
/// # let graph = session_core::Graph::new();
/// let seen = local_variable(&graph.named("seen"), 0i64);
/// assert_eq!(local_variables(&graph), [seen]);
/// ```
#[must_use]
pub fn local_variables(graph: &Graph) -> Vec<Variable> {
    graph.collection(&LOCAL_VARIABLES)
}

/// Returns the variables that optimizers train, in the order of their creation.
///
/// ```
/// # use ops::variables::{self, variable};
/// # let graph = session_core::Graph::new();
/// let w = variable(&graph.named("w"), 1.0f32);
/// let step = ops::global_step::get_or_create_global_step(&graph);
/// assert_eq!(variables::trainable_variables(&graph), [w]);
/// assert!(variables::global_variables(&graph).contains(&step));
/// ```
#[must_use]
pub fn trainable_variables(graph: &Graph) -> Vec<Variable> {
    graph.collection(&TRAINABLE_VARIABLES)
}

/// Returns an operation, named `init`, that initializes these variables. For an empty list it does nothing (S-25).
///
/// ```
/// # use ops::variables::{self, variable};
/// # let graph = session_core::Graph::new();
/// let w = variable(&graph.named("w"), 1.0f32);
/// let init = variables::variables_initializer(&graph, &[w.clone()]);
/// assert_eq!(init.control_inputs(), [w.initializer().clone()]);
/// ```
#[track_caller]
pub fn variables_initializer(graph: &Graph, variables: &[Variable]) -> Operation {
    let initializers = variables.iter().map(Variable::initializer);
    group(&named(graph, "init"), initializers)
}

/// Returns an operation that initializes all global variables that exist now. Without any it does nothing
/// (S-25).
///
/// ```
/// # use ops::variables::{self, variable};
/// # let graph = session_core::Graph::new();
/// let w = variable(&graph.named("w"), 1.0f32);
/// let init = variables::global_variables_initializer(&graph);
/// // session.run(&init, ())?; then w has a value
/// assert_eq!(init.name(), "init");
/// # let _ = w;
/// ```
#[track_caller]
pub fn global_variables_initializer(graph: &Graph) -> Operation {
    variables_initializer(graph, &global_variables(graph))
}

/// Returns an operation that initializes all local variables that exist at the time of the call. Without local variables it does
/// nothing (S-25).
///
/// ```
/// use ops::variables::{local_variable, local_variables_initializer};
/// let graph = session_core::Graph::new();
/// let seen = local_variable(&graph.named("seen"), 0i64);
/// let initializer = local_variables_initializer(&graph);
/// # let _ = (seen, initializer);
/// # graph.finalize().unwrap();
/// ```
#[track_caller]
pub fn local_variables_initializer(graph: &Graph) -> Operation {
    variables_initializer(graph, &local_variables(graph))
}

/// Returns an operation that initializes all tables that exist now. Without any it does nothing (S-25). Named
/// `init_all_tables`.
///
/// ```
/// use ops::variables::tables_initializer;
/// # let graph = session_core::Graph::new();
/// assert_eq!(tables_initializer(&graph).name(), "init_all_tables");
/// ```
#[track_caller]
pub fn tables_initializer(graph: &Graph) -> Operation {
    let initializers = graph.collection(&TABLE_INITIALIZERS);
    group(&named(graph, "init_all_tables"), &initializers)
}

/// Returns the names of the variables without a value as a string vector: global ones first, then local ones, each in the order of their
/// creation (S-27).
///
/// ```
/// # use ops::variables::{self, variable};
/// # let graph = session_core::Graph::new();
/// let w = variable(&graph.named("w"), 1.0f32);
/// let missing = variables::report_uninitialized_variables(&graph); // ["w"] until w is initialized
/// assert_eq!(missing.dtype(), session_core::DType::String);
/// # let _ = w;
/// ```
#[track_caller]
pub fn report_uninitialized_variables(graph: &Graph) -> Output {
    let mut variables = global_variables(graph);
    variables.extend(local_variables(graph));
    report_uninitialized(graph, &variables)
}

/// Works as [`report_uninitialized_variables`], for the given variables only.
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
