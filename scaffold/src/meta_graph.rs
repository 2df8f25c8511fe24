//! Scaffolds of exported graphs.

use crate::builder::ScaffoldBuilder;
use crate::scaffold::Scaffold;
use graph_def::{MetaGraph, import_meta_graph};
use session_core::keys::{INIT_OP, LOCAL_INIT_OP, READY_FOR_LOCAL_INIT_OP, READY_OP, SUMMARY_OP};
use session_core::{CollectionKey, Graph, Result};
use std::any::Any;
use std::path::Path;
use tensor::text::escaped;

impl Scaffold {
    /// Imports a `.meta` file and settles its scaffold, for `.scaffold(..)` of a session on [`graph`](Scaffold::graph). The graph is
    /// not frozen yet: hooks and the program may still add to it, and the session freezes it.
    ///
    /// ```
    /// use scaffold::Scaffold;
    /// # use session_core::Graph;
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("model.meta");
    /// # let graph = Graph::new();
    /// # let _weights = ops::variables::variable(&graph.named("weights"), 1.0f32);
    /// # graph_def::write_meta_graph(&path, &graph_def::export_meta_graph(&graph, None)?)?;
    /// let scaffold = Scaffold::from_meta_graph(&path)?;
    /// assert_eq!(scaffold.saver().variables(scaffold.graph())[0].name(), "weights");
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns the errors of [`graph_def::import_meta_graph`] and [`ScaffoldBuilder::finalize`].
    pub fn from_meta_graph(path: impl AsRef<Path>) -> Result<Scaffold> {
        let meta = import_meta_graph(path)?;
        let scaffold = ScaffoldBuilder::from_meta_graph(&meta).finalize(&meta.graph)?;
        meta.graph.unfinalize();
        Ok(scaffold)
    }
}

impl ScaffoldBuilder {
    /// Creates a builder with the pieces of an imported meta graph: its saver, and the init, ready and summary operations in its
    /// collections; of several, the last one. Missing pieces are created when the scaffold is finalized.
    pub fn from_meta_graph(meta: &MetaGraph) -> ScaffoldBuilder {
        let mut builder = ScaffoldBuilder::new();
        if let Some(saver) = &meta.saver {
            builder = builder.saver(saver);
        }
        if let Some(operation) = last_of_several(&meta.graph, &INIT_OP) {
            builder = builder.init_op(&operation);
        }
        if let Some(operation) = last_of_several(&meta.graph, &LOCAL_INIT_OP) {
            builder = builder.local_init_op(&operation);
        }
        if let Some(output) = last_of_several(&meta.graph, &READY_OP) {
            builder = builder.ready_op(&output);
        }
        if let Some(output) = last_of_several(&meta.graph, &READY_FOR_LOCAL_INIT_OP) {
            builder = builder.ready_for_local_init_op(&output);
        }
        if let Some(output) = last_of_several(&meta.graph, &SUMMARY_OP) {
            builder = builder.summary_op(&output);
        }
        builder
    }
}

/// Returns the last item if finalizing would find too many (S-77). A single item is found by `finalize` itself.
fn last_of_several<T: Any + Clone + Send + Sync>(graph: &Graph, key: &CollectionKey<T>) -> Option<T> {
    let mut items = graph.collection(key);
    if items.len() < 2 {
        return None;
    }
    log::warn!(
        "the imported collection '{}' has {} items; the last is used",
        escaped(key.name()),
        items.len()
    );
    items.pop()
}
