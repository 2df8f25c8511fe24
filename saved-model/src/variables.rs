//! Variables of graphs that were made to be asked: loading them from a checkpoint.

use checkpoint::bundle::BundleReader;
use checkpoint::{GraphSaver, RestoreOptions, RestoreReport, SaverOptions};
use ops::library;
use session_core::keys::{LOCAL_VARIABLES, VARIABLES};
use session_core::{
    AttrValue, DType, Error, FileAccess, Graph, OpDef, OpLibrary, Operation, Output, PartialShape, Result,
    Session, Variable, VariableParts,
};
use std::collections::HashSet;
use std::path::Path;

/// Loads the variables of a session's graph from a checkpoint, each under its name there, and reports what was loaded,
/// what was missing and what was left over. The options map other names and let variables keep what they have.
///
/// The saver determines which variables those are, and their names in the checkpoint; without one it is all global
/// variables. Variables that no collection lists, as in graphs that were cut down to what gives their outputs, are found by
/// their operations; they are added to the collection of global variables.
///
/// ```no_run
/// use checkpoint::RestoreOptions;
/// use embedded_engine::EmbeddedEngine;
/// use graph_def::GraphFiles as _;
/// use saved_model::load_variables;
/// use session_core::{Engine, Graph, SessionConfig, SessionExt};
/// let graph = Graph::import("inference.pb")?;
/// let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::default())?;
/// let report = load_variables(&*session, None, "run/model.ckpt-1000", &RestoreOptions::new())?;
/// println!("{} variables", report.restored.len());
/// let answer = session.run(&graph.output("probabilities:0")?, [("x:0", vec![1.0f32, 2.0])])?;
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// As [`GraphSaver::restore`]; a frozen graph with variables that nothing assigns.
pub fn load_variables(
    session: &dyn Session,
    saver: Option<&GraphSaver>,
    prefix: impl AsRef<Path>,
    options: &RestoreOptions,
) -> Result<RestoreReport> {
    let graph = session.graph();
    let unlisted = unlisted(graph)?;
    // In the collection, so that savers and checks of the session know them.
    for variable in &unlisted {
        graph.add_to_collection(&VARIABLES, variable.clone())?;
    }
    let saver = match saver {
        None => GraphSaver::new(SaverOptions::new()),
        Some(saver) => {
            let mut all = saver.variables(graph);
            let known: HashSet<_> = all.iter().map(|variable| variable.handle().endpoint()).collect();
            // The given saver knows the names of its variables; those that nothing lists have their own.
            all.extend(
                unlisted.into_iter().filter(|variable| !known.contains(&variable.handle().endpoint())),
            );
            GraphSaver::of_parts(all, saver.tables(graph), SaverOptions::new())?
        }
    };
    Ok(saver.restore(session, prefix, options)?.report)
}

/// Loads the variables of a model of TensorFlow 2 that its restore operation leaves out, by their names in the graph of objects.
///
/// A variable that the program had under two objects has two handles in the graph, and TensorFlow restores it through the
/// objects: the operation that restores assigns to one handle only, signatures may read the other.
pub(crate) fn load_by_object_names(
    session: &dyn Session,
    restore: &Operation,
    prefix: &Path,
    access: &FileAccess,
) -> Result<()> {
    // The inputs of the restore operation are the handles that it assigns.
    let restored: HashSet<_> = restore.inputs().iter().map(Output::endpoint).collect();
    let operations = session.graph().operations();
    let handles = operations.iter().filter(|operation| operation.op_type() == "VarHandleOp");
    let handles = handles.map(|operation| operation.output(0));
    let left_out = handles.filter(|handle| !restored.contains(&handle.endpoint()));
    let variables = left_out.map(|handle| {
        let shared = handle.operation().attr("shared_name").and_then(AttrValue::as_str).unwrap_or_default();
        let name = if shared.is_empty() { handle.operation().name() } else { shared };
        Ok(variable(&handle)?.saved_as(name))
    });
    let variables: Vec<Variable> = variables.collect::<Result<_>>()?;
    if variables.is_empty() {
        return Ok(());
    }
    // Checked first, because this read happens outside of the graph, where no session checks it.
    BundleReader::open_allowed(prefix, access)?;
    let saver = GraphSaver::of(variables, SaverOptions::new())?;
    // Not every handle has a value in the checkpoint: some are local.
    saver.restore(session, prefix, &RestoreOptions::new().allow_missing(true))?;
    Ok(())
}

/// The variables that nodes show and no collection lists.
fn unlisted(graph: &Graph) -> Result<Vec<Variable>> {
    let listed = graph.collection(&VARIABLES).into_iter().chain(graph.collection(&LOCAL_VARIABLES));
    let listed: HashSet<_> = listed.map(|variable| variable.handle().endpoint()).collect();
    let is_variable =
        |operation: &&Operation| matches!(operation.op_type(), "VarHandleOp" | "VariableV2" | "Variable");
    let operations = graph.operations();
    let unlisted = operations.iter().filter(is_variable).map(|operation| operation.output(0));
    unlisted.filter(|handle| !listed.contains(&handle.endpoint())).map(|handle| variable(&handle)).collect()
}

/// A variable with its own operations that assign and read it.
fn variable(handle: &Output) -> Result<Variable> {
    let operation = handle.operation();
    let (dtype, shape) = of_variable(operation)?;
    // Without scope and control inputs: no step may wait for these operations.
    let graph = handle.graph().root().without_control_dependencies();
    let graph = graph.scope(&format!("{}/load", operation.name()));
    let value = ops::array::placeholder(&graph.named("value"), dtype, shape);
    let assign = if handle.dtype() == DType::Resource { "AssignVariableOp" } else { "Assign" };
    let initializer = graph.op(definition(assign)?).input(handle).input(&value).try_finish()?;
    let snapshot = read(&graph, handle, dtype)?;
    Ok(Variable::new(VariableParts {
        handle: handle.clone(),
        initializer,
        initial_value: value,
        snapshot,
        trainable: false,
        slice: None,
    }))
}

/// Returns the value of a variable, read by its own operation.
pub(crate) fn value(handle: &Output) -> Result<Output> {
    let (dtype, _) = of_variable(handle.operation())?;
    let graph = handle.graph().root().without_control_dependencies();
    read(&graph.scope(&format!("{}/freeze", handle.operation().name())), handle, dtype)
}

fn read(graph: &Graph, handle: &Output, dtype: DType) -> Result<Output> {
    // A reference is read by fetching it.
    if handle.dtype() != DType::Resource {
        return Ok(handle.clone());
    }
    let read = graph.op(definition("ReadVariableOp")?).input(handle).attr("dtype", dtype).try_finish()?;
    Ok(read.output(0))
}

/// The dtype and shape of a variable's values.
fn of_variable(operation: &Operation) -> Result<(DType, PartialShape)> {
    let dtype = operation.attr("dtype").and_then(AttrValue::as_type);
    let dtype = dtype.ok_or_else(|| operation.place(Error::value("attribute 'dtype' is missing")))?;
    let shape = operation.attr("shape").and_then(AttrValue::as_shape).cloned().unwrap_or_default();
    Ok((dtype, shape))
}

fn definition(op_type: &str) -> Result<&'static OpDef> {
    library().find(op_type).ok_or_else(|| Error::key(format!("the op library has no '{op_type}'")))
}
