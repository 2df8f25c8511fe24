//! Import of collections.
//!
//! A collection of a meta graph is a list of names, numbers, or serialized messages, and nothing in it states what it means. The well-known
//! collections (variables, savers, queue runners) are decoded to objects of this library; other collections keep their items by kind.
//! Several collections usually list the same variable: all of them get the same object.

use crate::import::Imported;
use crate::proto::{
    Collection, CollectionDef, QueueRunnerDef, SaveSliceInfoDef, SaverDef, VariableDef, decode,
};
use crate::structure::variables_of_nodes;
use crate::{Error, Result};
use bytes::Bytes;
use checkpoint::SAVERS;
use queue_runner::{QUEUE_RUNNERS, QueueRunner};
use session_core::{
    Code, CollectionKey, Endpoint, Graph, Operation, Output, SliceInfo, Variable, VariableParts, keys,
};
use std::collections::{BTreeMap, HashMap};
use tensor::text::escaped;

/// The collections whose items are variables.
pub(crate) const OF_VARIABLES: [&str; 9] = [
    "variables",
    "trainable_variables",
    "local_variables",
    "model_variables",
    "moving_average_variables",
    "metric_variables",
    "concatenated_variables",
    "global_step",
    "eval_step",
];

/// The collections whose items are operations, although a file may name their outputs instead.
pub(crate) const OF_OPERATIONS: [&str; 6] =
    ["init_op", "local_init_op", "train_op", "update_ops", "table_initializer", "saved_model_initializers"];

/// The collections whose items are outputs.
pub(crate) const OF_OUTPUTS: [&str; 6] =
    ["summaries", "summary_op", "ready_op", "ready_for_local_init_op", "losses", "regularization_losses"];

/// A collection that is kept unchanged.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Raw(pub(crate) CollectionDef);

/// Fills the collections of a graph, and returns all variables.
pub(crate) fn import_collections(
    graph: &Graph,
    imported: &Imported,
    collections: &BTreeMap<String, CollectionDef>,
) -> Result<Vec<Variable>> {
    let mut variables = Variables { imported, known: HashMap::new(), order: Vec::new() };
    for (name, collection) in collections {
        let Some(kind) = &collection.kind else { continue };
        import_collection(graph, name, kind, &mut variables)
            .map_err(|error| error.context(format!("collection '{name}'")))?;
    }
    // A plain graph, or a meta graph of a tool that drops collections: without variables a session could
    // neither initialize nor restore it.
    if !collections.contains_key(keys::VARIABLES.name()) {
        for variable in variables_of_nodes(imported) {
            // Another collection, such as the local variables, lists it. It must not become a global one.
            if variables.known.contains_key(&variable.handle().endpoint()) {
                continue;
            }
            graph.add_to_collection(&keys::VARIABLES, variable.clone())?;
            variables.known.insert(variable.handle().endpoint(), variable.clone());
            variables.order.push(variable);
        }
    }
    add_global_step(graph, imported)?;
    Ok(variables.order)
}

/// TensorFlow also finds the global step by its name.
fn add_global_step(graph: &Graph, imported: &Imported) -> Result<()> {
    let Ok(operation) = imported.operation("global_step") else { return Ok(()) };
    if !graph.collection(&keys::GLOBAL_STEP).is_empty() {
        return Ok(());
    }
    let variables = graph.collection(&keys::VARIABLES);
    let step = variables.into_iter().find(|variable| variable.handle().operation() == operation);
    // A variable of that name with another dtype or shape is the program's own, and no error.
    match step.filter(|step| ops::global_step::assert_global_step(step).is_ok()) {
        Some(step) => graph.add_to_collection(&keys::GLOBAL_STEP, step),
        None => Ok(()),
    }
}

/// Adds the items of one collection, decoded by the collection's name or kept by their kind.
fn import_collection(
    graph: &Graph,
    name: &str,
    kind: &Collection,
    variables: &mut Variables<'_>,
) -> Result<()> {
    // This library creates its own read, which is ordered before updates of the step.
    if name == keys::GLOBAL_STEP_READ.name() || name == SAVERS.name() {
        return Ok(());
    }
    match kind {
        Collection::Bytes(list) if OF_VARIABLES.contains(&name) => {
            let key = CollectionKey::<Variable>::from_name(name);
            for bytes in &list.value {
                let def = VariableDef::from_bytes(bytes.clone())?;
                graph.add_to_collection(&key, variables.import(&def)?)?;
            }
            Ok(())
        }
        Collection::Bytes(list) if name == QUEUE_RUNNERS.name() => {
            for bytes in &list.value {
                let def: QueueRunnerDef = decode(bytes.clone(), "QueueRunnerDef")?;
                graph.add_to_collection(&QUEUE_RUNNERS, queue_runner(variables.imported, &def)?)?;
            }
            Ok(())
        }
        Collection::Bytes(list) => add_all(graph, name, &list.value),
        Collection::Ints(list) => add_all(graph, name, &list.value),
        Collection::Floats(list) => add_all(graph, name, &list.value),
        Collection::Any(_) => {
            // Kept only to be exported again.
            let raw = Raw(CollectionDef { kind: Some(kind.clone()) });
            graph.add_to_collection(&CollectionKey::from_name(name), raw)
        }
        Collection::Nodes(list) => {
            for value in &list.value {
                import_node(graph, name, value, variables.imported)?;
            }
            Ok(())
        }
    }
}

/// Adds items that need no decoding under a key of their own type.
fn add_all<T: std::any::Any + Clone + Send + Sync>(graph: &Graph, name: &str, items: &[T]) -> Result<()> {
    let key = CollectionKey::<T>::from_name(name);
    items.iter().try_for_each(|item| graph.add_to_collection(&key, item.clone()))
}

/// Adds an operation or output that a collection names. A name that is not in the graph is skipped with a warning,
/// because TensorFlow writes such names, too, when it exports a part of a graph.
fn import_node(graph: &Graph, collection: &str, name: &str, imported: &Imported) -> Result<()> {
    let as_operation = OF_OPERATIONS.contains(&collection);
    // In an unknown collection the form of the name decides: only tensors have a colon.
    let as_output = OF_OUTPUTS.contains(&collection) || (name.contains(':') && !as_operation);
    if as_output {
        if let Ok(output) = imported.output(name) {
            return graph.add_to_collection(&CollectionKey::<Output>::from_name(collection), output);
        }
    } else if let Ok(operation) = imported.operation(operation_name(name)) {
        let key = CollectionKey::<Operation>::from_name(collection);
        return graph.add_to_collection(&key, operation.clone());
    }
    log::warn!(
        "collection '{}' names '{}', which is not in the graph; the item is skipped",
        escaped(collection),
        escaped(name)
    );
    Ok(())
}

/// Returns the operation's name from a name that may be a tensor's.
fn operation_name(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(operation, _)| operation)
}

/// Variables by their handles, so that each exists once, however many collections list it.
struct Variables<'a> {
    /// The imported operations, among which names are looked up.
    imported: &'a Imported,
    /// The variables so far, by their handles.
    known: HashMap<Endpoint, Variable>,
    /// The variables in the order in which collections list them.
    order: Vec<Variable>,
}

impl Variables<'_> {
    /// Returns the variable that a message describes, which is created when it is first met.
    fn import(&mut self, def: &VariableDef) -> Result<Variable> {
        let place = |error: Error| error.context(format!("variable '{}'", def.variable_name));
        let handle = self.imported.output(&def.variable_name).map_err(place)?;
        // One object for all collections, since programs compare variables, and `saved_as` sets a name on one
        // of them.
        if let Some(known) = self.known.get(&handle.endpoint()) {
            return Ok(known.clone());
        }
        let variable = variable(self.imported, handle, def).map_err(place)?;
        self.known.insert(variable.handle().endpoint(), variable.clone());
        self.order.push(variable.clone());
        Ok(variable)
    }
}

/// Creates a variable from the names of its operations.
///
/// # Errors
/// A key error for a name that the graph does not have.
fn variable(imported: &Imported, handle: Output, def: &VariableDef) -> Result<Variable> {
    let initializer = imported.operation(operation_name(&def.initializer_name))?.clone();
    // The value that the initializer assigns; the file may name a tensor before it.
    let initial_value = match initializer.op_type() {
        // What is assigned, not what the file names: TensorFlow may put operations between the two, and a
        // restore feeds this tensor.
        "Assign" | "AssignVariableOp" if initializer.num_inputs() == 2 => initializer.input(1),
        _ => imported.output(&def.initial_value_name)?,
    };
    let snapshot = match def.snapshot_name.as_str() {
        // A file may name no snapshot: a reference can be read itself.
        "" if !def.is_resource => handle.clone(),
        name => imported.output(name)?,
    };
    let slice = def.save_slice_info_def.as_ref().map(slice_info).transpose()?;
    Ok(Variable::new(VariableParts {
        handle,
        initializer,
        initial_value,
        snapshot,
        trainable: def.trainable,
        slice,
    }))
}

/// Converts the place of a part of a partitioned variable.
///
/// # Errors
/// `DataLoss` for negative sizes and for shapes of different ranks.
fn slice_info(def: &SaveSliceInfoDef) -> Result<SliceInfo> {
    let sizes = |sizes: &[i64]| -> Result<Vec<usize>> {
        let wrong = |_| Error::new(Code::DataLoss, "a slice has a negative size");
        sizes.iter().map(|&size| usize::try_from(size).map_err(wrong)).collect()
    };
    // Checked here, because the zips of later code would silently cut the longer list.
    let rank = def.full_shape.len();
    if def.var_offset.len() != rank || def.var_shape.len() != rank {
        return Err(Error::new(Code::DataLoss, "a slice has shapes of different ranks"));
    }
    Ok(SliceInfo {
        full_name: def.full_name.clone(),
        full_shape: sizes(&def.full_shape)?,
        offset: sizes(&def.var_offset)?,
        shape: sizes(&def.var_shape)?,
    })
}

/// Creates a queue runner from the names of its operations. Without codes, `OutOfRange` closes its queue, as in
/// TensorFlow.
fn queue_runner(imported: &Imported, def: &QueueRunnerDef) -> Result<QueueRunner> {
    let operation = |name: &String| imported.operation(operation_name(name)).cloned();
    let enqueue: Result<Vec<Operation>> = def.enqueue_op_name.iter().map(operation).collect();
    let (close, cancel) = (operation(&def.close_op_name)?, operation(&def.cancel_op_name)?);
    let queue = imported.operation(&def.queue_name).map_or(def.queue_name.as_str(), |queue| queue.name());
    let runner = QueueRunner::new(queue, enqueue?, &close, &cancel)?;
    if def.queue_closed_exception_types.is_empty() {
        return Ok(runner);
    }
    let code = |&number: &i32| {
        let unknown = || Error::new(Code::DataLoss, format!("queue '{queue}' has the unknown code {number}"));
        Code::from_number(number).ok_or_else(unknown)
    };
    let codes: Result<Vec<Code>> = def.queue_closed_exception_types.iter().map(code).collect();
    runner.with_closed_codes(&codes?)
}

/// The savers that the collection of that name lists.
pub(crate) fn savers(collections: &BTreeMap<String, CollectionDef>) -> Result<Vec<SaverDef>> {
    let Some(Collection::Bytes(list)) =
        collections.get(SAVERS.name()).and_then(|collection| collection.kind.as_ref())
    else {
        return Ok(Vec::new());
    };
    list.value.iter().map(|bytes: &Bytes| decode(bytes.clone(), "SaverDef")).collect()
}
