//! The pieces that a scaffold finds or creates if they are not given.

use crate::pieces::Pieces;
use checkpoint::{GraphSaver, SAVERS, SaverOptions};
use log::info;
use ops::control_flow::group;
use ops::variables::{
    global_variables, global_variables_initializer, local_variables_initializer, report_uninitialized,
    report_uninitialized_variables, tables_initializer,
};
use session_core::keys::{
    INIT_OP, LOCAL_INIT_OP, LOCAL_VARIABLES, READY_FOR_LOCAL_INIT_OP, READY_OP, SAVED_MODEL_INITIALIZERS,
    SUMMARIES, SUMMARY_OP, TABLE_INITIALIZERS, VARIABLES,
};
use session_core::{CollectionKey, Error, Graph, Operation, Output, Result};
use std::any::Any;

/// The operations that were created as defaults, and the size of their inputs, which shows whether they are stale.
#[derive(Clone, Debug)]
struct Made {
    counts: Counts,
    /// The operations that were created: init, ready, ready for local init, local init, summaries.
    operations: Vec<Operation>,
}

/// The number of items in each collection from which defaults are created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts([usize; 5]);

impl Counts {
    fn of(graph: &Graph) -> Counts {
        // Numbers suffice, because these collections only grow while a graph is built.
        Counts([
            graph.collection(&VARIABLES).len(),
            graph.collection(&LOCAL_VARIABLES).len(),
            graph.collection(&TABLE_INITIALIZERS).len(),
            graph.collection(&SUMMARIES).len(),
            graph.collection(&SAVED_MODEL_INITIALIZERS).len(),
        ])
    }
}

/// Kept in the graph, so that a later scaffold knows what an earlier one created.
const MADE: CollectionKey<Made> = CollectionKey::new("scaffold_defaults");

/// Removes defaults from their collections if the graph has grown since they were created (unlike S-86). On a frozen graph they
/// stay, because nothing can have been added.
pub(crate) fn forget_stale(graph: &Graph) -> Result<()> {
    let Some(made) = graph.collection(&MADE).pop() else { return Ok(()) };
    if graph.is_finalized() || made.counts == Counts::of(graph) {
        return Ok(());
    }
    info!("the graph has grown since its init, ready and summary ops were created; recreating them");
    forget(graph, &INIT_OP, |operation| made.operations.contains(operation))?;
    forget(graph, &LOCAL_INIT_OP, |operation| made.operations.contains(operation))?;
    for key in [READY_OP, READY_FOR_LOCAL_INIT_OP, SUMMARY_OP] {
        forget(graph, &key, |output: &Output| made.operations.contains(output.operation()))?;
    }
    graph.clear_collection(&MADE)
}

fn forget<T: Any + Clone + Send + Sync>(
    graph: &Graph,
    key: &CollectionKey<T>,
    is_stale: impl Fn(&T) -> bool,
) -> Result<()> {
    let items = graph.collection(key);
    if !items.iter().any(&is_stale) {
        return Ok(());
    }
    // A collection cannot remove single items.
    graph.clear_collection(key)?;
    items.into_iter().filter(|item| !is_stale(item)).try_for_each(|item| graph.add_to_collection(key, item))
}

/// Settles all pieces that are not given, in order (S-75, S-76).
pub(crate) fn settle(graph: &Graph, pieces: &mut Pieces) -> Result<()> {
    // Only what is created here can become stale; what the program put into a collection is its own.
    let mut made = Vec::new();
    if pieces.init_op.is_none() {
        let (operation, new) = found_or_made(graph, &INIT_OP, init_op)?;
        made.extend(new.then(|| operation.clone()));
        pieces.init_op = Some(operation);
    }
    if pieces.ready_op.is_none() {
        let (output, new) = found_or_made(graph, &READY_OP, ready_op)?;
        made.extend(new.then(|| output.operation().clone()));
        pieces.ready_op = Some(output);
    }
    if pieces.ready_for_local_init_op.is_none() {
        let (output, new) = found_or_made(graph, &READY_FOR_LOCAL_INIT_OP, ready_for_local_init_op)?;
        made.extend(new.then(|| output.operation().clone()));
        pieces.ready_for_local_init_op = Some(output);
    }
    if pieces.local_init_op.is_none() {
        let (operation, new) = found_or_made(graph, &LOCAL_INIT_OP, default_local_init_op)?;
        made.extend(new.then(|| operation.clone()));
        pieces.local_init_op = Some(operation);
    }
    if pieces.summary_op.is_none() {
        pieces.summary_op = summary_op(graph, &mut made)?;
    }
    if pieces.saver.is_none() {
        // A saver looks up the variables when it saves, so it does not become stale.
        let make = |_: &Graph| GraphSaver::new(SaverOptions::new());
        pieces.saver = Some(found_or_made(graph, &SAVERS, make)?.0);
    }
    remember(graph, made)
}

fn remember(graph: &Graph, mut made: Vec<Operation>) -> Result<()> {
    // A scaffold that found everything leaves the record of the one before.
    if made.is_empty() {
        return Ok(());
    }
    // What an earlier scaffold created is not stale, or it would have been forgotten: one count holds for
    // all.
    if let Some(earlier) = graph.collection(&MADE).pop() {
        made.extend(earlier.operations);
        graph.clear_collection(&MADE)?;
    }
    graph.add_to_collection(&MADE, Made { counts: Counts::of(graph), operations: made })
}

/// Returns the single item of a collection, or creates one and adds it; and true if it was created.
fn found_or_made<T: Piece>(
    graph: &Graph,
    key: &CollectionKey<T>,
    make: impl FnOnce(&Graph) -> T,
) -> Result<(T, bool)> {
    if let Some(item) = single(graph, key)? {
        return Ok((item, false));
    }
    let item = make(graph);
    // Checked before it is added, or later scaffolds would find an invalid default.
    item.made()?;
    graph.add_to_collection(key, item.clone())?;
    Ok((item, true))
}

fn single<T: Any + Clone + Send + Sync>(graph: &Graph, key: &CollectionKey<T>) -> Result<Option<T>> {
    let mut items = graph.collection(key);
    match items.len() {
        0 | 1 => Ok(items.pop()),
        count => {
            let text = format!("More than one item in the collection '{}': {count}", key.name());
            Err(Error::runtime(text))
        }
    }
}

/// Types of items in a piece's collection.
trait Piece: Any + Clone + Send + Sync {
    /// Fails with the build error of the item, if it has one.
    fn made(&self) -> Result<()>;
}

impl Piece for Operation {
    fn made(&self) -> Result<()> {
        self.error().map_or(Ok(()), |error| Err(error.clone()))
    }
}

impl Piece for Output {
    fn made(&self) -> Result<()> {
        self.operation().made()
    }
}

impl Piece for GraphSaver {
    fn made(&self) -> Result<()> {
        Ok(())
    }
}

/// S-78.
fn init_op(graph: &Graph) -> Operation {
    let variables = global_variables_initializer(graph);
    // A model that was imported with its values is initialized by restoring them.
    let restored_model = graph.collection(&SAVED_MODEL_INITIALIZERS);
    group(graph, std::iter::once(&variables).chain(&restored_model))
}

/// S-79.
fn ready_op(graph: &Graph) -> Output {
    report_uninitialized_variables(graph)
}

/// S-80.
fn ready_for_local_init_op(graph: &Graph) -> Output {
    report_uninitialized(graph, &global_variables(graph))
}

/// Initializes local variables and tables. This is the default local init op, for users who want to extend it (S-81).
///
/// ```
/// use ops::control_flow::group;
/// use scaffold::{Scaffold, default_local_init_op};
/// # use session_core::Graph;
/// # let graph = Graph::new();
/// # let load_vocabulary = ops::control_flow::no_op(&graph);
/// let local_init = group(&graph, [&default_local_init_op(&graph), &load_vocabulary]);
/// let scaffold = Scaffold::builder().local_init_op(&local_init).finalize(&graph)?;
/// # assert_eq!(scaffold.local_init_op(), &local_init);
/// # Ok::<(), session_core::Error>(())
/// ```
#[must_use]
pub fn default_local_init_op(graph: &Graph) -> Operation {
    group(graph, [&local_variables_initializer(graph), &tables_initializer(graph)])
}

/// S-82: none, and nothing added, without summaries (S-76).
fn summary_op(graph: &Graph, made: &mut Vec<Operation>) -> Result<Option<Output>> {
    if let Some(output) = single(graph, &SUMMARY_OP)? {
        return Ok(Some(output));
    }
    let Some(output) = ops::summary::merge_all(graph) else { return Ok(None) };
    output.made()?;
    graph.add_to_collection(&SUMMARY_OP, output.clone())?;
    made.push(output.operation().clone());
    Ok(Some(output))
}
