//! Import of meta graphs.

use crate::collections_import::import_collections;
use crate::files::read_meta_graph;
use crate::import::{ImportOptions, Imported, import_graph_def};
use crate::kept::{KEPT, Kept};
use crate::proto::{AssetFileDef, MetaGraphDef, MetaInfoDef, SaverDef, SignatureDef};
use crate::saver_import::{ImportedSaver, import_saver};
use crate::{Error, Result};
use checkpoint::{GraphSaver, SAVERS};
use session_core::{Code, Graph};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// An imported meta graph: a graph with its collections, savers, and signatures.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MetaGraph {
    /// The graph, with its collections. Variables, operations, outputs, queue runners and savers are under the keys of their
    /// crates. Items of other collections are stored by kind: [`Operation`](session_core::Operation) and
    /// [`Output`](session_core::Output), [`Bytes`](session_core::Tensor), `i64`, `f32`.
    pub graph: Graph,
    /// The operations by their names in the file.
    pub imported: Imported,
    /// The saver of the variables, under the names that the file's own saver gives them; `None` for a file without a saver, or with
    /// one that names operations which are not in the graph.
    pub saver: Option<GraphSaver>,
    /// The names that the file's saver saves but this one does not: values that are neither variables nor lookup tables of the
    /// graph, and dense tables, which are saved in their memory layout.
    pub not_saved: Vec<String>,
    /// Information about the origin of the file.
    pub info: MetaInfoDef,
    /// The signatures of the model: its inputs and outputs, by name.
    pub signatures: BTreeMap<String, SignatureDef>,
    /// The files that the model needs.
    pub assets: Vec<AssetFileDef>,
}

/// Imports a `.meta` file, in binary or text form, into a new graph.
///
/// ```
/// use graph_def::{export_meta_graph, import_meta_graph};
/// use ops::variables::variable;
/// use session_core::{Graph, keys::VARIABLES};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("model.meta");
/// let graph = Graph::new();
/// let _weights = variable(&graph.named("weights"), vec![1.0f32, 2.0]);
/// std::fs::write(&path, export_meta_graph(&graph, None)?.to_bytes()).unwrap();
///
/// let meta = import_meta_graph(&path)?;
/// assert_eq!(meta.graph.collection(&VARIABLES)[0].name(), "weights");
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// The error of a file that cannot be read (`NotFound` and the like); `DataLoss` for other content; the errors of
/// [`import_meta_graph_def`].
#[track_caller]
pub fn import_meta_graph(path: impl AsRef<Path>) -> Result<MetaGraph> {
    let path = path.as_ref();
    let message = read_meta_graph(path)?;
    import_meta_graph_def(&Graph::new(), &message, &ImportOptions::new().file(path))
        .map_err(|error| error.context(format!("cannot import '{}'", path.display())))
}

/// Adds a meta graph to a graph: first nodes and functions as [`import_graph_def`], then the collections.
///
/// - A variable is one object even if several collections list it. If a file has no collections of variables, the variables are found from
///   its nodes.
/// - The collection `global_step` gets the variable of that name if the file does not list it. The cached read of the global step is left
///   out, because this library creates its own.
/// - Items and savers that name operations which are not in the graph are skipped with a warning, except for variables and queue runners.
/// - Signatures, assets, and unknown parts are kept for [`export_meta_graph`](crate::export_meta_graph).
///
/// ```
/// use graph_def::{ImportOptions, import_meta_graph_def, read_meta_graph};
/// use session_core::{Graph, keys};
/// # let path = "tests/fixtures/mlp_ref/model.meta";
/// let message = read_meta_graph(path)?;
/// let graph = Graph::new();
/// let meta = import_meta_graph_def(&graph, &message, &ImportOptions::new().file(path))?;
/// assert!(meta.saver.is_some());
/// assert!(!graph.collection(&keys::VARIABLES).is_empty());
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// Those of [`import_graph_def`]; an error for a variable or queue runner with a missing part, and for collections that cannot be decoded.
#[track_caller]
pub fn import_meta_graph_def(
    graph: &Graph,
    message: &MetaGraphDef,
    options: &ImportOptions,
) -> Result<MetaGraph> {
    let missing = || Error::new(Code::DataLoss, "the meta graph contains no graph");
    let graph_def = message.graph_def.as_ref().ok_or_else(missing)?;
    let info = message.meta_info_def.clone().unwrap_or_default();
    let options = match &info.stripped_op_list {
        // The file's own list, unless the caller passed one.
        Some(list) if !options.has_op_list() => options.clone().op_list(list.clone()),
        _ => options.clone(),
    };
    let imported = import_graph_def(graph, graph_def, &options)?;
    let variables = import_collections(graph, &imported, &message.collection_def)?;
    let savers = import_savers(graph, &imported, message, &variables)?;
    let kept = Kept {
        info: info.clone(),
        signature_def: message.signature_def.clone(),
        asset_file_def: message.asset_file_def.clone(),
        object_graph_def: message.object_graph_def.clone(),
        savers: savers.iter().map(|saver| saver.def.clone()).collect(),
    };
    graph.add_to_collection(&KEPT, Arc::new(kept))?;
    let main = savers.into_iter().next();
    Ok(MetaGraph {
        graph: graph.clone(),
        imported,
        not_saved: main.as_ref().map(|saver| saver.not_saved.clone()).unwrap_or_default(),
        saver: main.and_then(|saver| saver.saver),
        info,
        signatures: message.signature_def.clone(),
        assets: message.asset_file_def.clone(),
    })
}

/// Returns the operations that a saver names and the graph does not have.
fn lacking<'d>(imported: &Imported, def: &'d SaverDef) -> Vec<&'d str> {
    let names = [&def.filename_tensor_name, &def.save_tensor_name, &def.restore_op_name];
    let operations =
        names.map(|name| name.rsplit_once(':').map_or(name.as_str(), |(operation, _)| operation));
    operations.into_iter().filter(|name| imported.operation(name).is_err()).collect()
}

/// Imports all savers of the file, the main one first, and adds them to the collection.
fn import_savers(
    graph: &Graph,
    imported: &Imported,
    message: &MetaGraphDef,
    variables: &[session_core::Variable],
) -> Result<Vec<ImportedSaver>> {
    let mut listed: Vec<SaverDef> = crate::collections_import::savers(&message.collection_def)?;
    let is_listed = !listed.is_empty();
    if let Some(main) = message.saver_def.as_ref().filter(|main| !main.save_tensor_name.is_empty()) {
        // By the tensor, because settings of the two copies may differ.
        let place = listed.iter().position(|def| def.save_tensor_name == main.save_tensor_name);
        match place {
            // The main saver comes first: `MetaGraph::saver` and the default saver of a scaffold are the
            // first one.
            Some(place) => listed.swap(0, place),
            None => listed.insert(0, main.clone()),
        }
    }
    let mut savers = Vec::new();
    for def in &listed {
        let lacking = lacking(imported, def);
        if !lacking.is_empty() {
            log::warn!("a saver of the file is skipped: it names {lacking:?}, which the graph does not have");
            continue;
        }
        let saver = import_saver(graph, imported, def, variables)?;
        if let (Some(saver), true) = (&saver.saver, is_listed) {
            graph.add_to_collection(&SAVERS, saver.clone())?;
        }
        savers.push(saver);
    }
    Ok(savers)
}
