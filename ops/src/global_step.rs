//! The global step: the number of training steps, in this run and the runs before it.
//!
//! A scalar `int64` variable named `global_step` (S-375). Optimizers increment it if they are given it, and it is saved and restored
//! with the model. All hooks share one read of it ([`global_step_read`]), which is fetched together with the training step. The read
//! returns the value from before the step: whatever assigns the global step through this crate waits for the read (S-330, S-380). In
//! TensorFlow the two are not ordered, and the read sometimes returns the new value.

use crate::array::constants::number;
use crate::array::identity;
use crate::initializers::zeros;
use crate::state::READ_VARIABLE_OP;
use crate::variables::{VariableBuilder, VariableExt};
use session_core::keys::{GLOBAL_STEP, GLOBAL_STEP_READ, LOCAL_VARIABLES, VARIABLES};
use session_core::{
    DType, Error, Graph, OpBuilder, Operation, Output, Phase, Result, Session, SessionExt, Shape, Variable,
};
use std::panic::Location;

const NAME: &str = "global_step";

/// Creates the global step: a scalar `int64` variable that begins with 0 and is not trained (S-375).
///
/// It is named `global_step` regardless of the scope of the handle. If the graph already has one, that is a
/// build error (S-376), and the existing one is returned.
///
/// ```
/// # use ops::global_step::*;
/// # let graph = session_core::Graph::new();
/// let step = create_global_step(&graph.scope("model"));
/// assert_eq!(step.name(), "global_step");
/// ```
#[track_caller]
pub fn create_global_step(graph: &Graph) -> Variable {
    match find(graph) {
        None => make(graph),
        Some(existing) => {
            record_error(graph, Error::value(format!("'{NAME}' already exists.")), Location::caller());
            existing
        }
    }
}

/// Returns the graph's global step, if it has one (S-377): the one item of the collection `global_step`, or else the
/// variable named `global_step`. Several items in the collection count as none, and an error is logged.
///
/// ```
/// # use ops::global_step::*;
/// # let graph = session_core::Graph::new();
/// assert!(global_step(&graph)?.is_none());
/// let step = create_global_step(&graph);
/// assert_eq!(global_step(&graph)?, Some(step));
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// As [`assert_global_step`], for what was found.
pub fn global_step(graph: &Graph) -> Result<Option<Variable>> {
    let found = find(graph);
    if let Some(variable) = &found {
        assert_global_step(variable)?;
    }
    Ok(found)
}

/// Returns the global step of the graph, and creates it if there is none (S-376). An existing one of the
/// wrong kind is a build error.
///
/// ```
/// # use ops::global_step::*;
/// # let graph = session_core::Graph::new();
/// let step = get_or_create_global_step(&graph);
/// assert_eq!(get_or_create_global_step(&graph), step);
/// ```
#[track_caller]
pub fn get_or_create_global_step(graph: &Graph) -> Variable {
    let Some(variable) = find(graph) else { return make(graph) };
    if let Err(error) = assert_global_step(&variable) {
        record_error(graph, error, Location::caller());
    }
    variable
}

/// Checks that a variable can be a global step (S-378).
///
/// ```
/// # use ops::global_step::*;
/// # let graph = session_core::Graph::new();
/// let loss = ops::variables::variable(&graph.named("loss"), 0.0f32);
/// assert!(assert_global_step(&loss).is_err()); // no integers
/// ```
///
/// # Errors
/// A type error when it holds no integers, or is known not to be a scalar.
pub fn assert_global_step(variable: &Variable) -> Result<()> {
    let (name, dtype, shape) = (variable.name(), variable.dtype(), variable.shape());
    if !dtype.is_integer() {
        return Err(Error::type_mismatch(format!(
            "global step '{name}' does not have integer type: {dtype}"
        )));
    }
    // A shape not fully known, as of a restored graph, gets the benefit of the doubt.
    if shape.is_fully_known() && shape.rank() != Some(0) {
        return Err(Error::type_mismatch(format!("global step '{name}' is not scalar: {shape}")));
    }
    Ok(())
}

/// Returns the read of the global step that all hooks of a graph share, and creates it on the first call. Returns `None` without a
/// global step (S-380).
///
/// The read returns the value from before any assignment of the global step in the same run. Its operation carries the attribute
/// `_initial_value`, with which an engine can answer before the variable is initialized. Engines that do not know the attribute fail,
/// as for any uninitialized variable (S-28).
///
/// # Errors
/// A runtime error if the collection holds several reads, or if the graph is frozen and has none yet; a type error if the variable of
/// the graph is not a valid global step.
pub fn global_step_read(graph: &Graph) -> Result<Option<Output>> {
    let mut cached = graph.collection(&GLOBAL_STEP_READ);
    match cached.len() {
        0 => {}
        1 => return Ok(cached.pop()),
        count => {
            let text =
                format!("there are {count} items in the collection {}, not one", GLOBAL_STEP_READ.name());
            return Err(Error::runtime(text));
        }
    }
    let Some(variable) = global_step(graph)? else { return Ok(None) };
    let read = make_read(&variable)?.within(&variable.graph());
    // Later calls find this read, so that all that fetch the step in one run get the same number.
    graph.add_to_collection(&GLOBAL_STEP_READ, read.clone())?;
    Ok(Some(read))
}

/// Returns the operation that adds to the global step, after the read that hooks share. Optimizers increment it by themselves. Without a
/// global step, a build error is recorded, and the operation cannot be run.
///
/// ```
/// # use ops::global_step::*;
/// # let graph = session_core::Graph::new();
/// let step = create_global_step(&graph);
/// let increment = increment_global_step(&graph, 1);
/// assert!(increment.error().is_none());
/// # let _ = step;
/// ```
#[track_caller]
pub fn increment_global_step(graph: &Graph, increment: i64) -> Operation {
    match find(graph) {
        Some(variable) => {
            // A trailing slash names a scope exactly, without a number to keep it apart.
            let scoped = graph.scope(&format!("{}/", variable.name()));
            variable.assign_add(number(&scoped, variable.dtype(), increment))
        }
        None => {
            let text = "the global step cannot be incremented: the graph has none";
            record_error(graph, Error::value(text), Location::caller());
            crate::control_flow::no_op(graph)
        }
    }
}

/// Returns the value of a global step in a session (S-379).
///
/// # Errors
/// Those of the session, such as an uninitialized variable (S-28).
pub fn evaluate(session: &dyn Session, variable: &Variable) -> Result<i64> {
    let value = session.run(variable.snapshot(), ())?;
    value.as_scalar_i64().map_err(|error| Error::type_mismatch(error.to_string()))
}

/// Returns the builder with the read that hooks share before it, if it is the global step that is assigned.
pub(crate) fn ordered_after_read(builder: OpBuilder, variable: &Variable) -> OpBuilder {
    let graph = variable.graph();
    // Other variables are not read in every step, and nothing can be ordered in a finished graph.
    if graph.is_finalized() || !is_global_step(&graph, variable) {
        return builder;
    }
    match global_step_read(&graph) {
        Ok(Some(read)) => builder.control_input(read.operation()),
        Ok(None) => builder,
        Err(error) => {
            graph.add_error(error);
            builder
        }
    }
}

/// Returns true if a variable is the graph's global step. It is asked for every assignment, so it looks through all variables only where the
/// name decides.
fn is_global_step(graph: &Graph, variable: &Variable) -> bool {
    let may_be = variable.name() == NAME || !graph.collection(&GLOBAL_STEP).is_empty();
    may_be && find(graph).as_ref() == Some(variable)
}

fn find(graph: &Graph) -> Option<Variable> {
    let mut listed = graph.collection(&GLOBAL_STEP);
    match listed.len() {
        0 => {
            // A model written by hand may have made its step as an ordinary variable; TensorFlow
            // accepts it by its name alone.
            let mut variables = graph.collection(&VARIABLES);
            variables.extend(graph.collection(&LOCAL_VARIABLES));
            variables.into_iter().find(|variable| variable.name() == NAME)
        }
        1 => listed.pop(),
        _ => {
            // As in TensorFlow, which finds none rather than choose one.
            log::error!("Multiple tensors in global_step collection.");
            None
        }
    }
}

#[track_caller]
fn make(graph: &Graph) -> Variable {
    // The name is the same from within any scope, as checkpoints list the step under it.
    let top = graph.scope("");
    let builder = VariableBuilder::new(&top).exact_name(NAME).trainable(false).collection(&GLOBAL_STEP);
    builder.initializer(Shape::scalar(), DType::Int64, &zeros()).build()
}

fn make_read(variable: &Variable) -> Result<Output> {
    // Shared by all that request it, it counts as made with the variable.
    let place = variable.handle().operation().location();
    let graph = variable.graph().without_control_dependencies().located_at(place);
    let graph = match variable.handle().operation().origin() {
        Some(origin) => graph.originating(origin.clone()),
        None => graph,
    };
    let scope = graph.scope(&format!("{}/", variable.name()));
    if !variable.is_resource() {
        // A sum is a separate value, where an identity may continue referring to the variable.
        return Ok(identity(variable.handle().within(&scope)) + 0.0);
    }
    let builder = scope.op(&READ_VARIABLE_OP).name("cached_read").input(variable.handle());
    let builder = builder.attr("dtype", variable.dtype());
    // An engine that knows this attribute answers the read before the variable is initialized.
    let builder = match variable.initial_value().constant_value() {
        Some(value) => builder.attr("_initial_value", value.clone()),
        None => builder,
    };
    Ok(builder.try_finish()?.output(0))
}

pub(crate) fn record_error(graph: &Graph, error: Error, location: &'static Location<'static>) {
    graph.add_error(error.with_location(location).with_phase(Phase::Build));
}
