//! Frozen graphs: graphs that hold their own values.

use crate::options::LoadOptions;
use crate::value::suggestion;
use graph_def::proto::MetaGraphDef;
use graph_def::{ImportOptions, Imported, import_graph_def, read_graph_file};
use session_core::{Code, Error, Graph, Operation, Output, Result, Session, SessionExt, Tensor};
use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A graph file without variables in a session. It is called by the names of its tensors.
///
/// ```no_run
/// use saved_model::FrozenGraph;
/// use session_core::Tensor;
/// let graph = FrozenGraph::load("frozen.pb")?;
/// let values = graph.run([("input", Tensor::from(vec![1.0f32, 2.0]))], ["output"])?;
/// println!("{}", values[0]);
/// # Ok::<(), session_core::Error>(())
/// ```
pub struct FrozenGraph {
    path: PathBuf,
    imported: Imported,
    session: Arc<dyn Session>,
}

impl FrozenGraph {
    /// Loads a GraphDef (`.pb`, or text in `.pbtxt`), or the graph of a `.meta` file.
    ///
    /// # Errors
    /// As [`graph_def::read_graph_file`] and [`graph_def::import_graph_def`].
    pub fn load(path: impl AsRef<Path>) -> Result<FrozenGraph> {
        FrozenGraph::load_with(path, &LoadOptions::new())
    }

    /// Works as [`load`](FrozenGraph::load), with options. The graph may read the files in the folder of its own file.
    ///
    /// # Errors
    /// As [`load`](FrozenGraph::load).
    pub fn load_with(path: impl AsRef<Path>, options: &LoadOptions) -> Result<FrozenGraph> {
        let path = path.as_ref();
        FrozenGraph::of(path, &read_graph_file(path)?, options)
    }

    /// Loads a graph that was read from this path.
    ///
    /// # Errors
    /// As [`graph_def::import_graph_def`]; `DataLoss` for a message without a graph.
    pub fn of(path: impl AsRef<Path>, message: &MetaGraphDef, options: &LoadOptions) -> Result<FrozenGraph> {
        let path = path.as_ref().to_path_buf();
        let at_path = |error: Error| error.context(format!("cannot load '{}'", path.display()));
        let graph_def = message.graph_def.as_ref();
        let graph_def = graph_def.ok_or_else(|| at_path(Error::new(Code::DataLoss, "it holds no graph")))?;
        let mut import = ImportOptions::new().file(&path).clear_devices(options.clears_devices());
        if let Some(list) = message.meta_info_def.as_ref().and_then(|info| info.stripped_op_list.as_ref()) {
            import = import.op_list(list.clone());
        }
        let graph = Graph::new();
        let imported = import_graph_def(&graph, graph_def, &import).map_err(at_path)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let session = options.session(&graph, folder.unwrap_or(Path::new("."))).map_err(at_path)?;
        Ok(FrozenGraph { path, imported, session })
    }

    /// Returns the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the session, to run anything of the graph.
    #[must_use]
    pub fn session(&self) -> &Arc<dyn Session> {
        &self.session
    }

    /// Returns the graph.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        self.session.graph()
    }

    /// Returns what can be fed: the placeholders.
    #[must_use]
    pub fn inputs(&self) -> Vec<Output> {
        graph_inputs(self.imported.operations())
    }

    /// Returns what is likely to be fetched: the outputs of operations that no other one reads.
    #[must_use]
    pub fn outputs(&self) -> Vec<Output> {
        graph_outputs(self.imported.operations())
    }

    /// Returns the tensor of a name, with or without `:0`.
    ///
    /// # Errors
    /// A key error for a name that the graph does not have, with the nearest one.
    pub fn tensor(&self, name: &str) -> Result<Output> {
        find_tensor(self.graph(), name)
            .map_err(|error| error.context(format!("in '{}'", self.path.display())))
    }

    /// Feeds tensors and fetches others in one run, by name, with or without `:0`.
    ///
    /// # Errors
    /// A key error for a name that the graph does not have, with the nearest one; a wrong dtype or shape; whatever the run
    /// reports.
    pub fn run<K: AsRef<str>, V: Into<Tensor>>(
        &self,
        feeds: impl IntoIterator<Item = (K, V)>,
        fetches: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Vec<Tensor>> {
        let fetches: Result<Vec<Output>> =
            fetches.into_iter().map(|name| self.tensor(name.as_ref())).collect();
        let feeds: Result<Vec<(Output, Tensor)>> =
            feeds.into_iter().map(|(name, value)| Ok((self.tensor(name.as_ref())?, value.into()))).collect();
        self.session.run(fetches?, feeds?)
    }
}

/// Returns the tensor of a graph with this name, with or without `:0`.
///
/// # Errors
/// A key error for a name that the graph does not have, with the nearest one.
pub fn find_tensor(graph: &Graph, name: &str) -> Result<Output> {
    let full = if name.contains(':') { name.to_owned() } else { format!("{name}:0") };
    graph.output(&full).map_err(|error| {
        let operation = operation_name(name);
        match graph.operation(operation) {
            Ok(known) => {
                let (op_type, count) = (known.op_type(), known.num_outputs());
                let text = format!(
                    "'{name}' is no tensor: the operation '{operation}' of type {op_type} has {count} outputs"
                );
                Error::key(text).with_source(error)
            }
            Err(_) => {
                let operations = graph.operations();
                let known = || operations.iter().map(Operation::name);
                Error::key(format!("there is no tensor '{name}'{}", suggestion(operation, known)))
            }
        }
    })
}

/// Returns the operation of a graph with this name, which may be that of one of its outputs.
///
/// # Errors
/// A key error for a name that the graph does not have, with the nearest one.
pub fn find_operation(graph: &Graph, name: &str) -> Result<Operation> {
    let operation = operation_name(name);
    graph.operation(operation).map_err(|error| {
        let operations = graph.operations();
        let known = || operations.iter().map(Operation::name);
        let text = format!("there is no operation '{operation}'{}", suggestion(operation, known));
        Error::key(text).with_source(error)
    })
}

/// Returns the name of the operation that a tensor's name begins with.
///
/// ```
/// assert_eq!(saved_model::operation_name("layer/x:0"), "layer/x");
/// assert_eq!(saved_model::operation_name("layer/x"), "layer/x");
/// ```
#[must_use]
pub fn operation_name(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(operation, _)| operation)
}

/// Returns what can be fed: the placeholders among some operations.
#[must_use]
pub fn graph_inputs(operations: &[Operation]) -> Vec<Output> {
    let is_input = |op: &&Operation| {
        matches!(op.op_type(), "Placeholder" | "PlaceholderV2" | "PlaceholderWithDefault")
            && op.num_outputs() == 1
    };
    operations.iter().filter(is_input).map(|operation| operation.output(0)).collect()
}

/// Returns what is likely to be fetched: the outputs of operations that no other one reads.
#[must_use]
pub fn graph_outputs(operations: &[Operation]) -> Vec<Output> {
    let read: HashSet<_> = operations
        .iter()
        .flat_map(|operation| {
            operation.input_endpoints().iter().map(|endpoint| endpoint.op).collect::<Vec<_>>()
        })
        .collect();
    let is_last = |operation: &&Operation| {
        !read.contains(&operation.id())
            && !matches!(operation.op_type(), "NoOp" | "Assert" | "Const")
            && !operation.op_type().starts_with("Placeholder")
    };
    operations.iter().filter(is_last).flat_map(Operation::outputs).collect()
}

impl fmt::Debug for FrozenGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrozenGraph").field("path", &self.path).finish_non_exhaustive()
    }
}
