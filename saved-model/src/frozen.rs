//! Frozen graphs: graphs that contain their values as constants.

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
    /// The path of the file, for messages.
    path: PathBuf,
    /// The imported graph.
    imported: Imported,
    /// The session that runs it.
    session: Arc<dyn Session>,
}

impl FrozenGraph {
    /// Loads a GraphDef (`.pb`, or text in `.pbtxt`), or the graph of a `.meta` file.
    ///
    /// ```
    /// use saved_model::FrozenGraph;
    /// use session_core::Tensor;
    /// # let path = "tests/fixtures/frozen_dense/graph.pb";
    /// let graph = FrozenGraph::load(path)?;
    /// let feeds = [("x", Tensor::from([[1f32, 2.0, 3.0]])), ("ids", Tensor::from([0i32]))];
    /// let values = graph.run(feeds, ["relu"])?;
    /// assert_eq!(values[0].shape().to_string(), "[1,4]");
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`graph_def::read_graph_file`] and [`graph_def::import_graph_def`].
    pub fn load(path: impl AsRef<Path>) -> Result<FrozenGraph> {
        FrozenGraph::load_with(path, &LoadOptions::new())
    }

    /// Works as [`load`](FrozenGraph::load), with options. The graph may read the files in the folder of its own file.
    ///
    /// ```
    /// use saved_model::{FrozenGraph, LoadOptions};
    /// use session_core::SessionConfig;
    /// # let path = "tests/fixtures/frozen_dense/graph.pb";
    /// let options = LoadOptions::new().config(SessionConfig::with_threads(1));
    /// let graph = FrozenGraph::load_with(path, &options)?;
    /// # let _ = graph;
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`load`](FrozenGraph::load).
    pub fn load_with(path: impl AsRef<Path>, options: &LoadOptions) -> Result<FrozenGraph> {
        let path = path.as_ref();
        FrozenGraph::of(path, &read_graph_file(path)?, options)
    }

    /// Loads a graph whose message was already read from this path.
    ///
    /// # Errors
    /// Those of [`graph_def::import_graph_def`]; `DataLoss` for a message without a graph.
    pub fn of(path: impl AsRef<Path>, message: &MetaGraphDef, options: &LoadOptions) -> Result<FrozenGraph> {
        let path = path.as_ref().to_path_buf();
        let at_path = |error: Error| error.context(format!("cannot load '{}'", path.display()));
        let graph_def = message.graph_def.as_ref();
        let graph_def = graph_def.ok_or_else(|| at_path(Error::new(Code::DataLoss, "it holds no graph")))?;
        let mut import = ImportOptions::new().file(&path).clear_devices(options.clears_devices());
        // The op list of the writer has the defaults of its time.
        if let Some(list) = message.meta_info_def.as_ref().and_then(|info| info.stripped_op_list.as_ref()) {
            import = import.op_list(list.clone());
        }
        let graph = Graph::new();
        let imported = import_graph_def(&graph, graph_def, &import).map_err(at_path)?;
        // The parent of a bare file name is empty.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let session = options.session(&graph, folder.unwrap_or(Path::new("."))).map_err(at_path)?;
        Ok(FrozenGraph { path, imported, session })
    }

    /// Returns the path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the session, which can run every operation of the graph.
    #[must_use]
    pub fn session(&self) -> &Arc<dyn Session> {
        &self.session
    }

    /// Returns the graph.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        self.session.graph()
    }

    /// Returns the outputs that can be fed: the placeholders.
    ///
    /// ```
    /// use saved_model::FrozenGraph;
    /// # let path = "tests/fixtures/frozen_dense/graph.pb";
    /// let graph = FrozenGraph::load(path)?;
    /// for input in graph.inputs() {
    ///     println!("{}: {} {}", input.name(), input.dtype(), input.shape());
    /// }
    /// # assert_eq!(graph.inputs().len(), 2);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn inputs(&self) -> Vec<Output> {
        graph_inputs(self.imported.operations())
    }

    /// Returns the outputs that are probably of interest: those that no operation reads.
    ///
    /// ```
    /// use saved_model::FrozenGraph;
    /// # let path = "tests/fixtures/frozen_dense/graph.pb";
    /// let graph = FrozenGraph::load(path)?;
    /// let names: Vec<String> = graph.outputs().iter().map(|output| output.name()).collect();
    /// assert_eq!(names, ["relu:0"]);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn outputs(&self) -> Vec<Output> {
        graph_outputs(self.imported.operations())
    }

    /// Returns the tensor with this name, with or without `:0`.
    ///
    /// ```
    /// use saved_model::FrozenGraph;
    /// # let path = "tests/fixtures/frozen_dense/graph.pb";
    /// let graph = FrozenGraph::load(path)?;
    /// assert_eq!(graph.tensor("relu")?, graph.tensor("relu:0")?);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// A key error for an unknown name; the message suggests the most similar one.
    pub fn tensor(&self, name: &str) -> Result<Output> {
        find_tensor(self.graph(), name)
            .map_err(|error| error.context(format!("in '{}'", self.path.display())))
    }

    /// Feeds some tensors and fetches others in one run. Names may omit `:0`.
    ///
    /// # Errors
    /// A key error for an unknown name; the message suggests the most similar one. A value of a wrong dtype or shape; errors of the run.
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
/// ```
/// use saved_model::find_tensor;
/// let graph = session_core::Graph::new();
/// let x = ops::array::constant(&graph.named("logits"), 1f32);
/// assert_eq!(find_tensor(&graph, "logits")?, x);
/// let error = find_tensor(&graph, "logit").unwrap_err();
/// assert!(error.to_string().contains("is 'logits' meant?"), "{error}");
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// A key error for an unknown name; the message suggests the most similar one.
pub fn find_tensor(graph: &Graph, name: &str) -> Result<Output> {
    // Without an index the first output is meant.
    let full = if name.contains(':') { name.to_owned() } else { format!("{name}:0") };
    graph.output(&full).map_err(|error| {
        let operation = operation_name(name);
        match graph.operation(operation) {
            Ok(known) => {
                let (op_type, count) = (known.op_type(), known.num_outputs());
                let text = format!(
                    "'{name}' is not a tensor: the operation '{operation}' of type {op_type} has {count} outputs"
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

/// Returns the operation of a graph with this name, or with an output of this name.
///
/// ```
/// use saved_model::find_operation;
/// let graph = session_core::Graph::new();
/// let logits = ops::array::constant(&graph.named("logits"), 1f32);
/// assert_eq!(&find_operation(&graph, "logits")?, logits.operation());
/// assert_eq!(&find_operation(&graph, "logits:0")?, logits.operation());
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// A key error for an unknown name; the message suggests the most similar one.
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

/// Returns the outputs that can be fed: the placeholders among these operations.
///
/// ```
/// use ops::array::placeholder;
/// use saved_model::graph_inputs;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = placeholder(&graph.named("x"), DType::Float32, [None]);
/// let _y = &x * 2f32;
/// assert_eq!(graph_inputs(&graph.operations()), [x]);
/// ```
#[must_use]
pub fn graph_inputs(operations: &[Operation]) -> Vec<Output> {
    let is_input = |op: &&Operation| {
        matches!(op.op_type(), "Placeholder" | "PlaceholderV2" | "PlaceholderWithDefault")
            && op.num_outputs() == 1
    };
    operations.iter().filter(is_input).map(|operation| operation.output(0)).collect()
}

/// Returns the outputs that are probably of interest: those that no other operation reads.
///
/// ```
/// use ops::array::placeholder;
/// use saved_model::graph_outputs;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = placeholder(&graph.named("x"), DType::Float32, [None]);
/// let y = &x * 2f32;
/// assert_eq!(graph_outputs(&graph.operations()), [y]);
/// ```
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
            // These have no result, or none that depends on an input.
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
