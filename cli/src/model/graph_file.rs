//! The graphs of graph files, with the variables of a checkpoint.

use monitored_session::graph_def::proto::MetaGraphDef;
use monitored_session::graph_def::{ImportOptions, MetaGraph, import_meta_graph_def};
use monitored_session::session_core::{Error, Graph, Result};
use std::path::Path;

/// Imports the meta graph of a file. Errors of its operations name the file and the node.
pub(crate) fn import(graph: &Graph, message: &MetaGraphDef, file: &Path) -> Result<MetaGraph> {
    import_meta_graph_def(graph, message, &ImportOptions::new().file(file))
        .map_err(|error: Error| error.context(format!("cannot import '{}'", file.display())))
}
