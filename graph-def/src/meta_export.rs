//! Export of meta graphs.
//!
//! A meta graph is a graph plus the state of TensorFlow's Python objects: variables, savers, queue runners, signatures. If
//! the saver has no operations in the graph, they are added to the message, so that TensorFlow's `import_meta_graph` returns a working
//! saver.

use crate::Result;
use crate::collections_import::Raw;
use crate::export::{ExportOptions, to_graph_def_with};
use crate::kept::{KEPT, Kept};
use crate::proto::{
    BytesList, Collection, CollectionDef, FloatList, GraphDef, Int64List, MetaGraphDef, NodeList,
    QueueRunnerDef, SaveSliceInfoDef, SaverDef, VariableDef,
};
use crate::saver_export;
use crate::saver_import::items_saved_by;
use bytes::Bytes;
use checkpoint::{GraphSaver, SAVERS};
use prost::Message;
use queue_runner::QueueRunner;
use session_core::{CollectionKey, Graph, GraphMember, Operation, Output, Variable};
use std::any::Any;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// Converts the graph with its collections and a saver, as in TensorFlow's `.meta` files. `tf.train.import_meta_graph` accepts it,
/// and its saver restores what this library saved.
///
/// The saver's operations (`save/SaveV2`, `save/restore_all` ...) are those of the graph if they were imported with it and still
/// save the same variables; otherwise they are added to the message, not to the graph. Without a saver the one in the collection
/// `savers` is used; if that is empty, the message has none. Nodes have the known shapes of their outputs.
///
/// ```
/// use graph_def::export_meta_graph;
/// use session_core::Graph;
/// let graph = Graph::new();
/// let _w = ops::variables::variable(&graph.named("w"), 1.0f32);
/// let message = export_meta_graph(&graph, None)?;
/// assert!(message.collection_def.contains_key("trainable_variables"));
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// The errors of [`to_graph_def`](crate::to_graph_def); a value error for a saver with variables of another graph.
pub fn export_meta_graph(graph: &Graph, saver: Option<&GraphSaver>) -> Result<MetaGraphDef> {
    export_meta_graph_with(graph, saver, &ExportOptions::new().output_shapes(true))
}

/// Works as [`export_meta_graph`], with options for the nodes.
///
/// ```
/// use graph_def::{ExportOptions, export_meta_graph_with};
/// use session_core::Graph;
/// let graph = Graph::new();
/// let _w = ops::variables::variable(&graph.named("w"), 1.0f32);
/// let message = export_meta_graph_with(&graph, None, &ExportOptions::new().clear_devices(true))?;
/// assert!(message.collection_def.contains_key("variables"));
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// Those of [`export_meta_graph`].
pub fn export_meta_graph_with(
    graph: &Graph,
    saver: Option<&GraphSaver>,
    options: &ExportOptions,
) -> Result<MetaGraphDef> {
    let mut graph_def = to_graph_def_with(graph, options)?;
    let kept = graph.collection(&KEPT).pop().unwrap_or_default();
    let listed = graph.collection(&SAVERS);
    let mut defs = Vec::new();
    let others = if options.clears_extraneous_savers() { &[][..] } else { listed.as_slice() };
    for saver in saver.or(listed.first()).into_iter().chain(others) {
        // The main saver is usually listed in the collection as well. Handles of one saver are compared by
        // their address.
        if defs.iter().any(|(known, _): &(&GraphSaver, _)| std::ptr::eq(known.saver(), saver.saver())) {
            continue;
        }
        saver.check_belongs_to(graph)?;
        let def = match existing(graph, saver, &kept) {
            Some(def) => def,
            None => {
                // Collected again for each saver, because the one before has added nodes.
                let taken: HashSet<&str> = graph_def.node.iter().map(|node| node.name.as_str()).collect();
                let (nodes, def) = saver_export::nodes(graph, saver, &taken, options)?;
                graph_def.node.extend(nodes);
                def
            }
        };
        defs.push((saver, def));
    }
    let mut info = kept.info.clone();
    info.stripped_default_attrs = options.strips_defaults();
    let main = defs.first().map(|(_, def)| def.clone());
    let savers = defs.into_iter().map(|(_, def)| def).filter(|def| !def.save_tensor_name.is_empty());
    let mut collection_def = collections(graph, savers.collect());
    if options.clears_extraneous_savers() {
        clear_extraneous_savers(&mut graph_def, &mut collection_def, main.as_ref());
    }
    Ok(MetaGraphDef {
        meta_info_def: Some(info),
        graph_def: Some(graph_def),
        saver_def: main.filter(|def| !def.save_tensor_name.is_empty()),
        collection_def,
        signature_def: kept.signature_def.clone(),
        asset_file_def: kept.asset_file_def.clone(),
        object_graph_def: kept.object_graph_def.clone(),
    })
}

/// The operations that identify a saver's scope.
const SAVE_OR_RESTORE: [&str; 10] = [
    "SaveV2",
    "Save",
    "SaveSlice",
    "LegacySave",
    "LegacySaveSlice",
    "RestoreV2",
    "Restore",
    "RestoreSlice",
    "LegacyRestore",
    "LegacyRestoreSlice",
];

/// Removes the scopes with the operations of all savers but the main one, and their items in collections.
fn clear_extraneous_savers(
    graph_def: &mut GraphDef,
    collections: &mut BTreeMap<String, CollectionDef>,
    main: Option<&SaverDef>,
) {
    // With the slash, so that `save` does not match `save_1`.
    let scope = |name: &str| name.rsplit_once('/').map(|(scope, _)| format!("{scope}/"));
    let names = main.map(|def| [def.save_tensor_name.as_str(), def.restore_op_name.as_str()]);
    let kept: Vec<String> = names.into_iter().flatten().filter_map(scope).collect();
    let savers = graph_def.node.iter().filter(|node| SAVE_OR_RESTORE.contains(&node.op.as_str()));
    let cleared: HashSet<String> =
        savers.filter_map(|node| scope(&node.name)).filter(|scope| !kept.contains(scope)).collect();
    let is_cleared = |name: &str| cleared.iter().any(|scope| name.starts_with(scope));
    graph_def.node.retain(|node| !is_cleared(&node.name));
    collections.retain(|_, collection| match &mut collection.kind {
        Some(Collection::Nodes(nodes)) => {
            nodes.value.retain(|name| !is_cleared(name));
            !nodes.value.is_empty()
        }
        _ => true,
    });
}

/// Returns the operations of the graph that save exactly the same as this saver.
fn existing(graph: &Graph, saver: &GraphSaver, kept: &Arc<Kept>) -> Option<SaverDef> {
    let variables = saver.variables(graph).into_iter().map(|variable| saver_export::key(&variable).0);
    let tables = saver.tables(graph).into_iter().flat_map(|table| table.tensor_names());
    let wanted = count(variables.chain(tables));
    kept.savers.iter().find_map(|def| {
        let save = graph.output(&def.save_tensor_name).ok()?;
        let items = items_saved_by(save.operation());
        // By names: operations that save other names would write checkpoints that the saver of the program
        // cannot restore.
        let same = count(items.into_iter().map(|(name, _)| name)) == wanted;
        let settings = saver_export::settings(saver);
        same.then(|| SaverDef {
            max_to_keep: settings.max_to_keep,
            keep_checkpoint_every_n_hours: settings.keep_checkpoint_every_n_hours,
            ..def.clone()
        })
    })
}

/// Counts equal names, because the parts of a partitioned variable share one.
fn count(names: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    names.for_each(|name| *counts.entry(name).or_default() += 1);
    counts
}

/// Exports all collections whose items have a form in a meta graph.
fn collections(graph: &Graph, savers: Vec<SaverDef>) -> BTreeMap<String, CollectionDef> {
    let mut all = BTreeMap::new();
    for name in graph.collection_names() {
        if let Some(kind) = collection(graph, &name) {
            all.insert(name, CollectionDef { kind: Some(kind) });
        }
    }
    if !savers.is_empty() {
        all.insert(SAVERS.name().to_owned(), CollectionDef { kind: Some(messages(savers.iter())) });
    }
    all
}

/// Converts a collection, if files can hold its kind of items.
fn collection(graph: &Graph, name: &str) -> Option<Collection> {
    let variables: Vec<Variable> = items(graph, name);
    if !variables.is_empty() {
        let defs: Vec<VariableDef> = variables.iter().map(variable_def).collect();
        return Some(messages(defs.iter()));
    }
    // A collection is typed by its items. The kinds are tried in turn, since a name says nothing about them.
    let runners: Vec<QueueRunner> = items(graph, name);
    if !runners.is_empty() {
        let defs: Vec<QueueRunnerDef> = runners.iter().map(queue_runner_def).collect();
        return Some(messages(defs.iter()));
    }
    let mut nodes: Vec<String> =
        items(graph, name).iter().map(|op: &Operation| op.name().to_owned()).collect();
    nodes.extend(items(graph, name).iter().map(Output::name));
    if !nodes.is_empty() {
        return Some(Collection::Nodes(NodeList { value: nodes }));
    }
    let mut bytes: Vec<Bytes> = items(graph, name);
    bytes.extend(items::<String>(graph, name).into_iter().map(Bytes::from));
    if !bytes.is_empty() {
        return Some(Collection::Bytes(BytesList { value: bytes }));
    }
    let ints: Vec<i64> = items(graph, name);
    if !ints.is_empty() {
        return Some(Collection::Ints(Int64List { value: ints }));
    }
    let floats: Vec<f32> = items(graph, name);
    if !floats.is_empty() {
        return Some(Collection::Floats(FloatList { value: floats }));
    }
    items::<Raw>(graph, name).pop().and_then(|raw| raw.0.kind)
}

/// Returns the items of one type in a collection.
fn items<T: Any + Clone + Send + Sync>(graph: &Graph, name: &str) -> Vec<T> {
    graph.collection(&CollectionKey::<T>::from_name(name))
}

/// Serializes messages as the items of a collection.
fn messages<'m, M: Message + 'm>(messages: impl Iterator<Item = &'m M>) -> Collection {
    Collection::Bytes(BytesList { value: messages.map(|message| message.encode_to_vec().into()).collect() })
}

/// Describes a variable by the names of its operations.
fn variable_def(variable: &Variable) -> VariableDef {
    let sizes = |sizes: &[usize]| sizes.iter().map(|&size| i64::try_from(size).unwrap_or(i64::MAX)).collect();
    VariableDef {
        variable_name: variable.handle().name(),
        initializer_name: variable.initializer().name().to_owned(),
        snapshot_name: variable.snapshot().name(),
        save_slice_info_def: variable.slice().map(|slice| SaveSliceInfoDef {
            full_name: slice.full_name.clone(),
            full_shape: sizes(&slice.full_shape),
            var_offset: sizes(&slice.offset),
            var_shape: sizes(&slice.shape),
        }),
        is_resource: variable.is_resource(),
        initial_value_name: variable.initial_value().name(),
        trainable: variable.is_trainable(),
        ..VariableDef::default()
    }
}

/// Describes a queue runner by the names of its operations.
fn queue_runner_def(runner: &QueueRunner) -> QueueRunnerDef {
    QueueRunnerDef {
        queue_name: runner.queue().to_owned(),
        enqueue_op_name: runner.enqueue_ops().iter().map(|op| op.name().to_owned()).collect(),
        close_op_name: runner.close_op().name().to_owned(),
        cancel_op_name: runner.cancel_op().name().to_owned(),
        queue_closed_exception_types: runner.closed_codes().iter().map(|code| code.number()).collect(),
    }
}
