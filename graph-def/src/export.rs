//! Export of graphs.

use crate::Result;
use crate::convert::{attr_to_proto, attrs_to_proto, shape_to_proto};
use crate::function_export::function_to_proto;
use crate::proto::{
    AttrList, AttrValue, FunctionDefLibrary, GradientDef, GraphDef, NodeDef, Value, VersionDef,
};
use session_core::{Graph, OpId, Operation, Output};

/// The graph version that TensorFlow 2.21 writes, and that graphs here have.
pub(crate) const PRODUCER: i32 = 2474;

/// The first version that has functions in their current form.
const FUNCTIONS_SINCE: i32 = 12;

/// The attribute in which TensorFlow stores the known shapes of outputs.
pub(crate) const OUTPUT_SHAPES: &str = "_output_shapes";

/// Options of an export.
///
/// ```
/// use graph_def::{ExportOptions, to_graph_def_with};
/// use ops::math::add;
/// use session_core::{Graph, Result};
/// # fn main() -> Result<()> {
/// let graph = Graph::new();
/// let sum = ops::array::constant(&graph, 1.0f32);
/// let message = to_graph_def_with(&graph, &ExportOptions::new().clear_devices(true))?;
/// assert_eq!(message.node.len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ExportOptions {
    /// The first operation to export.
    first: OpId,
    /// True to add the attribute `_output_shapes`.
    output_shapes: bool,
    /// True to leave out attributes with default values.
    strip_defaults: bool,
    /// True to leave out the devices.
    clear_devices: bool,
    /// True to export the main saver only.
    clear_extraneous_savers: bool,
}

impl ExportOptions {
    /// Returns the default options, which export everything unchanged.
    #[must_use]
    pub fn new() -> ExportOptions {
        ExportOptions::default()
    }

    /// Exports only the operations from this one on, for a receiver that has the earlier ones. The function library is complete.
    /// Default: 0, all operations.
    ///
    /// ```
    /// # use graph_def::{ExportOptions, to_graph_def_with};
    /// # use session_core::{DType, Graph};
    /// # let graph = Graph::new();
    /// # let x = ops::array::placeholder(&graph.named("x"), DType::Float32, [None]);
    /// # let _ = &x + &x;
    /// let first = x.operation().id() + 1;
    /// let message = to_graph_def_with(&graph, &ExportOptions::new().from_operation(first))?;
    /// assert_eq!((message.node.len(), message.node[0].op.as_str()), (1, "AddV2"));
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn from_operation(mut self, first: OpId) -> ExportOptions {
        self.first = first;
        self
    }

    /// Sets whether each node has the known shapes of its outputs in the attribute `_output_shapes`, as in meta graphs. Default:
    /// `false`.
    ///
    /// ```
    /// # use graph_def::{ExportOptions, to_graph_def_with};
    /// # use session_core::{DType, Graph};
    /// # let graph = Graph::new();
    /// # let x = ops::array::placeholder(&graph.named("x"), DType::Float32, [None]);
    /// # let _ = &x + &x;
    /// let message = to_graph_def_with(&graph, &ExportOptions::new().output_shapes(true))?;
    /// assert!(message.node.iter().all(|node| node.attr.contains_key("_output_shapes")));
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn output_shapes(mut self, add: bool) -> ExportOptions {
        self.output_shapes = add;
        self
    }

    /// Sets whether attributes with the default value of their definition are left out, also in functions. Readers that do not know an attribute then accept the
    /// graph as long as it has the default. Default: false.
    ///
    /// ```
    /// use graph_def::{ExportOptions, to_graph_def, to_graph_def_with};
    /// use session_core::Graph;
    /// let graph = Graph::new();
    /// let a = ops::array::constant(&graph, [[1f32, 2.0], [3.0, 4.0]]);
    /// let _product = ops::math::matmul(&a, &a); // transpose_a and transpose_b are false
    /// let all = to_graph_def(&graph)?;
    /// let stripped = to_graph_def_with(&graph, &ExportOptions::new().strip_default_attrs(true))?;
    /// assert!(stripped.node[1].attr.len() < all.node[1].attr.len());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn strip_default_attrs(mut self, strip: bool) -> ExportOptions {
        self.strip_defaults = strip;
        self
    }

    /// Sets whether nodes are written without their devices, for a machine or cluster with other devices. Default: `false`.
    ///
    /// ```
    /// # use graph_def::{ExportOptions, to_graph_def_with};
    /// # use session_core::{DType, Graph};
    /// # let graph = Graph::new();
    /// let x = ops::array::placeholder(&graph.device("/gpu:0"), DType::Float32, [None]);
    /// let message = to_graph_def_with(&graph, &ExportOptions::new().clear_devices(true))?;
    /// assert_eq!(message.node[0].device, "");
    /// # let _ = x;
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn clear_devices(mut self, clear: bool) -> ExportOptions {
        self.clear_devices = clear;
        self
    }

    /// Sets whether a meta graph contains only its main saver; other savers and their operations are left out. Default: false.
    #[must_use]
    pub fn clear_extraneous_savers(mut self, clear: bool) -> ExportOptions {
        self.clear_extraneous_savers = clear;
        self
    }

    /// Returns true if only the main saver is exported.
    pub(crate) fn clears_extraneous_savers(&self) -> bool {
        self.clear_extraneous_savers
    }

    /// Returns true if devices are left out.
    pub(crate) fn clears_devices(&self) -> bool {
        self.clear_devices
    }

    /// Returns true if nodes have the attribute `_output_shapes`.
    pub(crate) fn adds_output_shapes(&self) -> bool {
        self.output_shapes
    }

    /// Returns the options for the bodies of functions: as in TensorFlow, only that about default values holds for them.
    pub(crate) fn of_functions(&self) -> ExportOptions {
        ExportOptions { strip_defaults: self.strip_defaults, ..ExportOptions::default() }
    }

    /// Returns true if attributes with default values are left out.
    pub(crate) fn strips_defaults(&self) -> bool {
        self.strip_defaults
    }
}

/// Converts the whole graph to TensorFlow's message: nodes in the order of their creation, with all attributes.
///
/// ```
/// use graph_def::to_graph_def;
/// use ops::array::placeholder;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = placeholder(&graph.named("x"), DType::Float32, [None]);
/// let _ = &x + &x;
/// let message = to_graph_def(&graph)?;
/// assert_eq!(message.node[1].op, "AddV2");
/// assert_eq!(message.node[1].input, ["x", "x"]);
/// let bytes = message.to_bytes(); // what `TF_GraphImportGraphDef` and `.pb` files take
/// # assert!(!bytes.is_empty());
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// The first build error of the graph; a constant that holds a handle; a function that calls an operation of unknown type
/// whose outputs have no names.
pub fn to_graph_def(graph: &Graph) -> Result<GraphDef> {
    to_graph_def_with(graph, &ExportOptions::default())
}

/// Works as [`to_graph_def`], with options. See [`ExportOptions`] for an example.
///
/// # Errors
/// Those of [`to_graph_def`].
pub fn to_graph_def_with(graph: &Graph, options: &ExportOptions) -> Result<GraphDef> {
    graph.check()?;
    let operations = graph.operations_from(options.first);
    let node: Result<Vec<NodeDef>> =
        operations.iter().map(|operation| to_node_def(operation, options)).collect();
    let library = library_to_proto(graph, options)?;
    // What TensorFlow itself writes: a reader that is too old then refuses the file instead of ignoring its
    // functions.
    let min_consumer = if library.is_some() { FUNCTIONS_SINCE } else { 0 };
    let versions = Some(VersionDef { producer: PRODUCER, min_consumer, bad_consumers: Vec::new() });
    Ok(GraphDef { node: node?, library, versions, ..GraphDef::default() })
}

/// Exports all functions of a graph with their gradients; `None` if there are no functions.
fn library_to_proto(graph: &Graph, options: &ExportOptions) -> Result<Option<FunctionDefLibrary>> {
    let functions = graph.functions();
    if functions.is_empty() {
        return Ok(None);
    }
    let mut library = FunctionDefLibrary::default();
    for function in &functions {
        library.function.push(function_to_proto(graph, function, options.of_functions())?);
        if let Some(gradient) = function.gradient() {
            library.gradient.push(GradientDef {
                function_name: function.name().to_owned(),
                gradient_func: gradient.to_owned(),
            });
        }
    }
    Ok(Some(library))
}

/// Converts one node of a graph.
fn to_node_def(operation: &Operation, options: &ExportOptions) -> Result<NodeDef> {
    let mut input: Vec<String> = operation.inputs().iter().map(input_name).collect();
    // TensorFlow's reader requires control inputs after all data inputs.
    input.extend(control_names(operation, |_| true));
    let mut node = node_without_inputs(operation, options)?;
    node.input = input;
    if options.clear_devices {
        node.device.clear();
    }
    Ok(node)
}

/// Converts everything of a node except its inputs, which have different forms in graphs and in functions.
pub(crate) fn node_without_inputs(operation: &Operation, options: &ExportOptions) -> Result<NodeDef> {
    let attrs = attrs_to_proto(operation.attrs()).map_err(|error| operation.place(error))?;
    let mut node = NodeDef {
        name: operation.name().to_owned(),
        op: operation.op_type().to_owned(),
        device: operation.device().to_owned(),
        attr: attrs,
        ..NodeDef::default()
    };
    if options.strip_defaults {
        strip_defaults(operation, &mut node)?;
    }
    if options.output_shapes {
        add_output_shapes(operation, &mut node);
    }
    Ok(node)
}

/// Removes attributes that have the default of their definition. Operations without a definition keep all attributes.
fn strip_defaults(operation: &Operation, node: &mut NodeDef) -> Result<()> {
    // Without a definition it is not known which values are defaults.
    let Some(def) = operation.def() else { return Ok(()) };
    for attr in &def.signature().attrs {
        let Some(default) = &attr.default else { continue };
        if node.attr.get(&attr.name) == Some(&attr_to_proto(&attr.name, default)?) {
            node.attr.remove(&attr.name);
        }
    }
    Ok(())
}

/// Adds the attribute with the shapes of all outputs.
fn add_output_shapes(operation: &Operation, node: &mut NodeDef) {
    if operation.num_outputs() == 0 {
        return;
    }
    let shape = operation.output_infos().iter().map(|info| shape_to_proto(&info.shape)).collect();
    let list = AttrList { shape, ..AttrList::default() };
    node.attr.insert(OUTPUT_SHAPES.to_owned(), AttrValue { value: Some(Value::List(list)) });
}

/// Returns an input's name in graphs: output 0 is named by its node alone.
pub(crate) fn input_name(input: &Output) -> String {
    match input.index() {
        0 => input.operation().name().to_owned(),
        index => format!("{}:{index}", input.operation().name()),
    }
}

/// Returns the names of the control inputs that count, in TensorFlow's order.
pub(crate) fn control_names(operation: &Operation, counts: impl Fn(&Operation) -> bool) -> Vec<String> {
    let inputs = operation.control_inputs();
    let inputs = inputs.iter().filter(|input| counts(input));
    let mut names: Vec<String> = inputs.map(|input| format!("^{}", input.name())).collect();
    // Sorted as TensorFlow's exporter does. They are a set, so equal graphs get equal files.
    names.sort_unstable();
    names
}
