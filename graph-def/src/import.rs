//! Import of graphs.

use crate::definitions::Definitions;
use crate::export::PRODUCER;
use crate::function_import::import_library;
use crate::instances::without_parameters;
use crate::nodes::{Nodes, Syntax};
use crate::proto::{GraphDef, OpList};
use crate::py_func::bind_py_funcs;
use crate::{Error, Result};
use session_core::{Graph, HostFunction, Operation, Origin, Output};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// Options of an import.
///
/// ```
/// use graph_def::{ImportOptions, import_graph_def, to_graph_def};
/// use session_core::{Graph, Result};
/// # fn main() -> Result<()> {
/// # let source = Graph::new();
/// # ops::array::constant(&source.named("c"), 1.0f32);
/// # let message = to_graph_def(&source)?;
/// let graph = Graph::new();
/// let imported = import_graph_def(&graph, &message, &ImportOptions::new().prefix("model"))?;
/// assert_eq!(imported.operation("c")?.name(), "model/c");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ImportOptions {
    /// The scope of all operations; empty for none.
    prefix: String,
    /// Outputs of the graph that replace outputs of the message, by name.
    input_map: BTreeMap<String, Output>,
    /// Definitions of op types that the op library lacks.
    op_list: Option<OpList>,
    /// True to ignore the devices of nodes.
    clear_devices: bool,
    /// The closures of `py_func` operations, by name or token.
    py_funcs: BTreeMap<String, HostFunction>,
    /// The file of the message, for errors.
    file: Option<String>,
}

impl ImportOptions {
    /// Returns the default options, which keep all names, devices, and inputs.
    #[must_use]
    pub fn new() -> ImportOptions {
        ImportOptions::default()
    }

    /// Sets the scope for all operations; it is made unique unless it ends with `/`. Default: none, names are kept exactly.
    ///
    /// ```
    /// # use graph_def::{ImportOptions, import_graph_def, proto::GraphDef};
    /// # use session_core::{DType, Graph, Result};
    /// # fn main() -> Result<()> {
    /// # let graph = Graph::new();
    /// # let text = "node { name: 'x' op: 'Placeholder' attr { key: 'dtype' value { type: DT_FLOAT } } } \
    /// #     node { name: 'y' op: 'Neg' input: 'x' attr { key: 'T' value { type: DT_FLOAT } } }";
    /// # let message = GraphDef::from_text(text)?;
    /// let imported = import_graph_def(&graph, &message, &ImportOptions::new().prefix("model"))?;
    /// assert_eq!(imported.operation("y")?.name(), "model/y");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn prefix(mut self, scope: impl Into<String>) -> ImportOptions {
        self.prefix = scope.into();
        self
    }

    /// Replaces a tensor of the message, `name` or `name:index`, by an output of the graph wherever it is an input. The operation
    /// that produced it is imported nevertheless.
    ///
    /// ```
    /// # use graph_def::{ImportOptions, import_graph_def, proto::GraphDef};
    /// # use session_core::{DType, Graph, Result};
    /// # fn main() -> Result<()> {
    /// # let graph = Graph::new();
    /// # let text = "node { name: 'x' op: 'Placeholder' attr { key: 'dtype' value { type: DT_FLOAT } } } \
    /// #     node { name: 'y' op: 'Neg' input: 'x' attr { key: 'T' value { type: DT_FLOAT } } }";
    /// # let message = GraphDef::from_text(text)?;
    /// let input = ops::array::constant(&graph.named("input"), [1.0f32]);
    /// let options = ImportOptions::new().prefix("model").map_input("x", &input);
    /// let imported = import_graph_def(&graph, &message, &options)?;
    /// assert_eq!(imported.operation("y")?.input(0), input);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn map_input(mut self, name: impl Into<String>, output: &Output) -> ImportOptions {
        let name = name.into();
        // Inputs are compared in their shortest form, in which output 0 has no number.
        let name = name.strip_suffix(":0").map(str::to_owned).unwrap_or(name);
        self.input_map.insert(name, output.clone());
        self
    }

    /// Sets definitions of op types that the op library does not have, such as those of a meta graph. Without definitions, the outputs of such
    /// operations are inferred from their attributes and from the operations that use them.
    #[must_use]
    pub fn op_list(mut self, list: OpList) -> ImportOptions {
        self.op_list = Some(list);
        self
    }

    /// Sets whether the devices of nodes are ignored, for a machine or cluster with other devices. Default: false.
    ///
    /// ```
    /// use graph_def::{ImportOptions, import_graph_def, proto::GraphDef};
    /// use session_core::Graph;
    /// let text = "node { name: 'x' op: 'NoOp' device: '/job:worker/task:3' }";
    /// let options = ImportOptions::new().clear_devices(true);
    /// let imported = import_graph_def(&Graph::new(), &GraphDef::from_text(text)?, &options)?;
    /// assert_eq!(imported.operation("x")?.device(), "");
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn clear_devices(mut self, clear: bool) -> ImportOptions {
        self.clear_devices = clear;
        self
    }

    /// Binds a closure of the program to operations of type `PyFunc`, `PyFuncStateless` or `EagerPyFunc`: to the one of this
    /// name in the message (`function/node` in the body of a function), or to all with this token. A name goes before a token.
    ///
    /// An operation without closure is imported, too. The embedded engine lists it before the first step that needs it.
    ///
    /// ```
    /// use graph_def::{ImportOptions, import_graph_def, to_graph_def};
    /// use ops::{array::placeholder, script::host_func};
    /// use session_core::{DType, Graph, HostFunction};
    /// let graph = Graph::new();
    /// let x = placeholder(&graph, DType::Float32, [None]);
    /// let call = host_func(&graph.named("same")).input(&x).output(DType::Float32, [None]).token("same_token");
    /// let _ = call.call(|inputs, _| Ok(inputs.to_vec()));
    /// let message = to_graph_def(&graph)?; // as it may come from a file
    ///
    /// let same = HostFunction::new(|inputs, _| Ok(inputs.to_vec()));
    /// let options = ImportOptions::new().bind_py_func("same_token", &same);
    /// let imported = import_graph_def(&Graph::new(), &message, &options)?;
    /// assert!(imported.operation("same")?.host_function().is_some());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn bind_py_func(mut self, name: impl Into<String>, function: &HostFunction) -> ImportOptions {
        self.py_funcs.insert(name.into(), function.clone());
        self
    }

    /// Names the file that the message was read from. Errors of its operations then name the file and the node in it instead
    /// of the place of the import in the program. [`import_meta_graph`](crate::import_meta_graph) does it by itself.
    ///
    /// ```
    /// use graph_def::{ImportOptions, import_graph_def, proto::{GraphDef, NodeDef}};
    /// use session_core::Graph;
    /// let node = NodeDef { name: "x".into(), op: "Placeholder".into(), ..NodeDef::default() };
    /// let message = GraphDef { node: vec![node], ..GraphDef::default() };
    /// let error = import_graph_def(&Graph::new(), &message, &ImportOptions::new().file("model.pb")).unwrap_err();
    /// assert!(error.to_string().contains("node 'x' of type Placeholder, from 'model.pb'"), "{error}");
    /// ```
    #[must_use]
    pub fn file(mut self, path: impl AsRef<Path>) -> ImportOptions {
        self.file = Some(path.as_ref().display().to_string());
        self
    }

    /// Returns true if definitions were passed, which take precedence over those of the message.
    pub(crate) fn has_op_list(&self) -> bool {
        self.op_list.is_some()
    }
}

/// The result of an import: the operations, by their names in the message.
///
/// ```
/// use graph_def::{ImportOptions, import_graph_def, proto::GraphDef};
/// use session_core::Graph;
/// let text = "node { name: 'x' op: 'Placeholder' attr { key: 'dtype' value { type: DT_FLOAT } } }";
/// let imported = import_graph_def(&Graph::new(), &GraphDef::from_text(text)?, &ImportOptions::new().prefix("model"))?;
/// assert_eq!(imported.operation("x")?.name(), "model/x");
/// assert_eq!(imported.output("x:0")?.name(), "model/x:0");
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Imported {
    /// The operations in the order of the message's nodes.
    operations: Vec<Operation>,
    /// Their places, by the names in the message.
    by_name: HashMap<String, usize>,
    /// The tensors named by [`ImportOptions::map_input`] that no operation used.
    pub unused_inputs: Vec<String>,
    /// The names or tokens given to [`ImportOptions::bind_py_func`] that no operation has.
    pub unused_py_funcs: Vec<String>,
}

impl Imported {
    /// Returns the operations, in the order of the message.
    ///
    /// ```
    /// # use graph_def::{ImportOptions, import_graph_def, proto::GraphDef};
    /// # use session_core::{DType, Graph, Result};
    /// # fn main() -> Result<()> {
    /// # let graph = Graph::new();
    /// # let text = "node { name: 'x' op: 'Placeholder' attr { key: 'dtype' value { type: DT_FLOAT } } } \
    /// #     node { name: 'y' op: 'Neg' input: 'x' attr { key: 'T' value { type: DT_FLOAT } } }";
    /// # let message = GraphDef::from_text(text)?;
    /// let imported = import_graph_def(&graph, &message, &ImportOptions::new())?;
    /// assert_eq!(imported.operations().len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Returns the operation with this name in the message, which does not include the prefix of the import.
    ///
    /// # Errors
    /// A key error for a name that is not in the message.
    pub fn operation(&self, name: &str) -> Result<&Operation> {
        let missing = || Error::key(format!("the imported graph has no operation '{name}'"));
        self.by_name.get(name).map(|&index| &self.operations[index]).ok_or_else(missing)
    }

    /// Returns the output with this name in the message: `name:index`, or `name` for output 0.
    ///
    /// ```
    /// # use graph_def::{ImportOptions, import_graph_def, proto::GraphDef};
    /// # use session_core::{DType, Graph, Result};
    /// # fn main() -> Result<()> {
    /// # let graph = Graph::new();
    /// # let text = "node { name: 'x' op: 'Placeholder' attr { key: 'dtype' value { type: DT_FLOAT } } } \
    /// #     node { name: 'y' op: 'Neg' input: 'x' attr { key: 'T' value { type: DT_FLOAT } } }";
    /// # let message = GraphDef::from_text(text)?;
    /// let imported = import_graph_def(&graph, &message, &ImportOptions::new())?;
    /// assert_eq!(imported.output("y:0")?.dtype(), DType::Float32);
    /// assert!(imported.output("y:1").is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A key error for a name that is not in the message.
    pub fn output(&self, name: &str) -> Result<Output> {
        let (node, index) = match name.rsplit_once(':') {
            Some((node, index)) => (node, index.parse::<usize>().ok()),
            None => (name, Some(0)),
        };
        let operation = self.operation(node)?;
        let index = index.filter(|&index| index < operation.num_outputs());
        let missing = || Error::key(format!("the imported graph has no tensor '{name}'"));
        index.map(|index| operation.output(index)).ok_or_else(missing)
    }
}

/// Adds the nodes and functions of a message to a graph.
///
/// - Names, devices, attributes and the order of nodes are kept. Attributes that an older producer left out get their
///   defaults; unknown attributes are kept.
/// - Shapes are inferred as for any operation, and refined with `_output_shapes`.
/// - An operation of unknown type is imported too; an engine reports that it cannot run it.
/// - A placeholder of scalar shape gets an unknown shape if its writer is from before 2016 and left shapes out.
/// - Loops are closed: the only backward edges are those from a `NextIteration` to a `Merge`.
/// - Functions are added to the graph's library; a function that exists already must be identical. A function with parameters,
///   such as the dtype of an argument, becomes one function for each set of parameters that it is called with.
/// - Operations are created in the scope of the handle, with its control inputs, and on its device if they name none.
///
/// ```
/// use graph_def::{ImportOptions, import_graph_def, to_graph_def};
/// use ops::array::{constant, placeholder};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = placeholder(&graph.named("x"), DType::Float32, [None]);
/// let _ = &x + &x;
/// let message = to_graph_def(&graph)?;
///
/// let other = Graph::new();
/// let two = constant(&other, 2.0f32);
/// let options = ImportOptions::new().prefix("copy").map_input("x", &two);
/// let imported = import_graph_def(&other, &message, &options)?;
/// let sum = &imported.operations()[1];
/// assert!(sum.name().starts_with("copy/"));
/// assert_eq!(sum.input(0), two);
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// `InvalidArgument` and misuse errors that name the node, for a message that is not a valid graph (unknown inputs, cycles,
/// names that are taken or illegal, attributes that are missing, wrong or unreadable, incompatible shapes); an error for a
/// finalized graph. After an error the graph may hold some of the nodes.
#[track_caller]
pub fn import_graph_def(graph: &Graph, message: &GraphDef, options: &ImportOptions) -> Result<Imported> {
    let graph = graph.located_at(std::panic::Location::caller());
    import(&graph, message, options).map_err(|error| match &options.file {
        Some(file) => error.with_origin(Origin::file(format!("'{file}'"))),
        None => error,
    })
}

/// Fails for a graph whose writer says that readers of this version do not understand it.
///
/// The version of a reader is the one that this crate writes as that of the producer. A graph of a later producer
/// is read as long as it names no later reader.
///
/// # Errors
/// A value error, as in TensorFlow, if `min_consumer` is later than this version, or `bad_consumers` names it.
fn check_versions(message: &GraphDef) -> Result<()> {
    let Some(versions) = &message.versions else { return Ok(()) };
    if versions.min_consumer > PRODUCER {
        return Err(Error::value(format!(
            "the graph wants readers of version {} or later, this is version {PRODUCER}",
            versions.min_consumer
        )));
    }
    if versions.bad_consumers.contains(&PRODUCER) {
        return Err(Error::value(format!("the graph excludes readers of version {PRODUCER}, which this is")));
    }
    Ok(())
}

/// Imports functions first, then nodes, then the closures of host functions.
fn import(graph: &Graph, message: &GraphDef, options: &ImportOptions) -> Result<Imported> {
    check_versions(message)?;
    // Before everything else, so that the rest knows only functions with fixed dtypes.
    let instantiated = without_parameters(message)?;
    let message = instantiated.as_ref().unwrap_or(message);
    let library = message.library.as_ref();
    let definitions = Definitions::new(options.op_list.as_ref(), library).of_file(options.file.as_deref());
    if let Some(library) = library {
        import_library(graph, library, &definitions)?;
    }
    let scope = match options.prefix.as_str() {
        "" => graph.scope_name().to_owned(),
        prefix => graph.scope(prefix).scope_name().to_owned(),
    };
    let replaced = options.input_map.clone();
    let producer = message.versions.as_ref().map_or(0, |versions| versions.producer);
    let syntax = Syntax::Graph { replaced, clear_devices: options.clear_devices, producer };
    let nodes = Nodes::new(&message.node, syntax, &definitions)?;
    let made = nodes.import(graph, &scope)?;
    let unused_py_funcs = bind_py_funcs(graph, message, &made.operations, &options.py_funcs)?;
    let by_name: HashMap<String, usize> =
        message.node.iter().enumerate().map(|(index, node)| (node.name.clone(), index)).collect();
    Ok(Imported { operations: made.operations, by_name, unused_inputs: made.unused, unused_py_funcs })
}
