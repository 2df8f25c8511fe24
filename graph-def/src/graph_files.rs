//! Graphs that are created directly from files.

use crate::files::read_graph_file;
use crate::import::ImportOptions;
use crate::meta_import::import_meta_graph_def;
use session_core::{Graph, Result};
use std::path::Path;

/// Creates graphs from files: `Graph::import("frozen.pb")`.
///
/// ```
/// use graph_def::GraphFiles as _;
/// use session_core::{Graph, keys};
/// # let path = "tests/fixtures/mlp_ref/model.meta";
/// let graph = Graph::import(path)?;
/// assert!(!graph.collection(&keys::TRAINABLE_VARIABLES).is_empty());
/// # Ok::<(), session_core::Error>(())
/// ```
pub trait GraphFiles: Sized {
    /// Imports a GraphDef (`.pb`) or a MetaGraphDef (`.meta`), in binary form or as text (`.pbtxt`), into a new graph.
    ///
    /// ```no_run
    /// use graph_def::GraphFiles as _;
    /// use session_core::Graph;
    /// let graph = Graph::import("frozen.pb")?;
    /// let output = graph.output("probabilities:0")?;
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`read_graph_file`] and [`import_meta_graph_def`].
    fn import(path: impl AsRef<Path>) -> Result<Self>;
}

impl GraphFiles for Graph {
    #[track_caller]
    fn import(path: impl AsRef<Path>) -> Result<Graph> {
        let path = path.as_ref();
        let (graph, message) = (Graph::new(), read_graph_file(path)?);
        import_meta_graph_def(&graph, &message, &ImportOptions::new().file(path))
            .map_err(|error| error.context(format!("cannot import '{}'", path.display())))?;
        Ok(graph)
    }
}
