//! Operations and their outputs.

use crate::graph::{Context, Shared};
use crate::origin::made;
use crate::{AttrValue, Attrs, Error, Graph, HostFunction, OpDef, Origin, PartialShape};
use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::panic::Location;
use std::sync::{Arc, OnceLock};
use tensor::{DType, Tensor};

/// The position of an operation in its graph. Positions are stable and never reused.
pub type OpId = u32;

/// An output of an operation as a plain pair of numbers. Plans and signatures consist of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// The operation.
    pub op: OpId,
    /// The index of the output.
    pub index: u32,
}

/// The id of operations that could not be created.
pub(crate) const INVALID: OpId = OpId::MAX;

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: OpId,
    pub(crate) name: String,
    pub(crate) op_type: Cow<'static, str>,
    pub(crate) def: Option<&'static OpDef>,
    pub(crate) attrs: Attrs,
    /// The data inputs. Set at creation, except for the back edge of an imported loop, which is set once the
    /// graph is complete.
    pub(crate) inputs: OnceLock<Vec<Endpoint>>,
    pub(crate) control_inputs: Vec<OpId>,
    pub(crate) device: String,
    pub(crate) outputs: Vec<OutputInfo>,
    pub(crate) location: &'static Location<'static>,
    pub(crate) origin: Option<Origin>,
    /// The closure that it calls. Set at once, or after an import.
    pub(crate) host: OnceLock<HostFunction>,
    /// The error of an operation that could not be created. Using its outputs returns this error.
    pub(crate) invalid: Option<Error>,
}

/// The known properties of an output.
///
/// ```
/// use session_core::{DType, Graph, OutputInfo, PartialShape};
/// let info = OutputInfo { dtype: DType::Int64, shape: PartialShape::scalar(), is_ref: false };
/// let step = Graph::new().undefined_op("Step").described_output(info).finish_output();
/// assert_eq!(step.dtype(), DType::Int64);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct OutputInfo {
    /// The dtype of the elements.
    pub dtype: DType,
    /// The known part of the shape.
    pub shape: PartialShape,
    /// True if the output is a reference to a variable.
    pub is_ref: bool,
}

/// An operation of a graph. Clones are cheap; two are equal if they are the same operation of the same graph.
///
/// ```
/// use session_core::Graph;
/// let graph = Graph::new();
/// let init = graph.undefined_op("NoOp").name("init").finish();
/// assert_eq!((init.name(), init.op_type()), ("init", "NoOp"));
/// assert_eq!(graph.operation("init")?, init);
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Operation {
    pub(crate) shared: Arc<Shared>,
    pub(crate) context: Arc<Context>,
    pub(crate) node: Arc<Node>,
}

impl Operation {
    /// Returns the name, which is unique in the graph.
    ///
    /// ```
    /// use session_core::Graph;
    /// assert_eq!(Graph::new().undefined_op("NoOp").name("init").finish().name(), "init");
    /// ```
    #[must_use]
    pub fn name(&self) -> &str {
        &self.node.name
    }

    /// Returns the op type, such as `MatMul`.
    ///
    /// ```
    /// use session_core::Graph;
    /// assert_eq!(Graph::new().undefined_op("NoOp").finish().op_type(), "NoOp");
    /// ```
    #[must_use]
    pub fn op_type(&self) -> &str {
        &self.node.op_type
    }

    /// Returns the definition of the op type, or `None` for imported operations of an unknown type.
    #[must_use]
    pub fn def(&self) -> Option<&'static OpDef> {
        self.node.def
    }

    /// Returns the position in the graph.
    ///
    /// ```
    /// use session_core::Graph;
    /// let graph = Graph::new();
    /// assert_eq!(graph.undefined_op("NoOp").finish().id(), 0);
    /// assert_eq!(graph.undefined_op("NoOp").finish().id(), 1);
    /// ```
    #[must_use]
    pub fn id(&self) -> OpId {
        self.node.id
    }

    /// The graph, as a handle with the scope and device this operation was made under; while this thread
    /// [builds a body](Graph::build_body) inside that graph, a handle of the body.
    #[must_use]
    pub fn graph(&self) -> Graph {
        self.own_graph().current()
    }

    /// The graph that holds it, whatever is being built.
    pub(crate) fn own_graph(&self) -> Graph {
        Graph::of(self.shared.clone(), self.context.clone())
    }

    /// Returns the number of outputs.
    ///
    /// ```
    /// # use session_core::{DType, Graph, OutputInfo, PartialShape};
    /// let graph = Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
    /// # let x = graph.undefined_op("Placeholder").name("x").described_output(info).finish_output();
    /// assert_eq!(x.operation().num_outputs(), 1);
    /// ```
    #[must_use]
    pub fn num_outputs(&self) -> usize {
        self.node.outputs.len()
    }

    /// Returns an output.
    ///
    /// ```
    /// # use session_core::{DType, Graph, OutputInfo, PartialShape};
    /// let graph = Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
    /// # let x = graph.undefined_op("Placeholder").name("x").described_output(info).finish_output();
    /// assert_eq!(x.operation().output(0), x);
    /// ```
    ///
    /// # Panics
    /// Panics if there are fewer outputs.
    #[must_use]
    pub fn output(&self, index: usize) -> Output {
        // A clear message instead of an index error, because this is a common error of callers.
        assert!(
            index < self.num_outputs(),
            "{} has {} outputs, not output {index}",
            self.name(),
            self.num_outputs()
        );
        Output { operation: self.clone(), index: index as u32 }
    }

    /// Returns all outputs.
    ///
    /// ```
    /// # use session_core::{DType, Graph, OutputInfo, PartialShape};
    /// let graph = Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
    /// # let x = graph.undefined_op("Placeholder").name("x").described_output(info).finish_output();
    /// assert_eq!(x.operation().outputs(), [x.clone()]);
    /// ```
    #[must_use]
    pub fn outputs(&self) -> Vec<Output> {
        (0..self.num_outputs()).map(|index| self.output(index)).collect()
    }

    /// Returns the dtype and shape of each output.
    #[must_use]
    pub fn output_infos(&self) -> &[OutputInfo] {
        &self.node.outputs
    }

    /// Returns the number of data inputs, with lists flattened.
    #[must_use]
    pub fn num_inputs(&self) -> usize {
        self.input_endpoints().len()
    }

    /// Returns the data inputs as pairs of numbers, with lists flattened.
    #[must_use]
    pub fn input_endpoints(&self) -> &[Endpoint] {
        self.node.inputs.get().map_or(&[], Vec::as_slice)
    }

    /// Returns a data input.
    ///
    /// # Panics
    /// Panics if there are fewer inputs.
    #[must_use]
    pub fn input(&self, index: usize) -> Output {
        let Endpoint { op, index } = self.input_endpoints()[index];
        self.shared.operation(&self.context, op).output(index as usize)
    }

    /// Returns the data inputs, with lists flattened.
    ///
    /// ```
    /// use session_core::OpDef;
    /// # use session_core::{DType, Graph, OutputInfo, PartialShape};
    /// let graph = Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
    /// # let x = graph.undefined_op("Placeholder").name("x").described_output(info).finish_output();
    /// static NEG: OpDef = OpDef::new("Neg", "x: T -> y: T").attrs("T: type");
    /// let negated = graph.op(&NEG).input(&x).finish();
    /// assert_eq!(negated.inputs(), [x]);
    /// ```
    #[must_use]
    pub fn inputs(&self) -> Vec<Output> {
        (0..self.num_inputs()).map(|index| self.input(index)).collect()
    }

    /// Returns the ids of the operations that must run before this one.
    #[must_use]
    pub fn control_input_ids(&self) -> &[OpId] {
        &self.node.control_inputs
    }

    /// Returns the operations that must run before this one.
    ///
    /// ```
    /// use session_core::Graph;
    /// let graph = Graph::new();
    /// let first = graph.undefined_op("NoOp").finish();
    /// let second = graph.undefined_op("NoOp").control_input(&first).finish();
    /// assert_eq!(second.control_inputs(), [first]);
    /// ```
    #[must_use]
    pub fn control_inputs(&self) -> Vec<Operation> {
        self.node.control_inputs.iter().map(|&id| self.shared.operation(&self.context, id)).collect()
    }

    /// Returns the attributes, with defaults filled in.
    #[must_use]
    pub fn attrs(&self) -> &Attrs {
        &self.node.attrs
    }

    /// Returns an attribute.
    ///
    /// ```
    /// use session_core::{Graph, OpDef};
    /// static RANGE: OpDef = OpDef::new("Pick", "-> y: int32").attrs("count: int = 3");
    /// assert_eq!(Graph::new().op(&RANGE).finish().attr("count").unwrap().as_int(), Some(3));
    /// ```
    #[must_use]
    pub fn attr(&self, name: &str) -> Option<&AttrValue> {
        self.node.attrs.get(name)
    }

    /// Returns the requested device. Empty for any device.
    ///
    /// ```
    /// use session_core::Graph;
    /// assert_eq!(Graph::new().undefined_op("NoOp").finish().device(), "");
    /// ```
    #[must_use]
    pub fn device(&self) -> &str {
        &self.node.device
    }

    /// Returns the source location at which the operation was created.
    ///
    /// ```
    /// use session_core::Graph;
    /// let op = Graph::new().undefined_op("NoOp").finish();
    /// assert!(op.location().line() > 0);
    /// ```
    #[must_use]
    pub fn location(&self) -> &'static Location<'static> {
        self.node.location
    }

    /// Returns the origin of an imported operation: its name in the file, and the operations with which it
    /// must be colocated. Returns `None` for operations that the program itself creates.
    #[must_use]
    pub fn origin(&self) -> Option<&Origin> {
        self.node.origin.as_ref()
    }

    /// Describes where it was created: `made at src/model.rs:12`, or `from 'train.meta'`.
    #[must_use]
    pub fn place_text(&self) -> String {
        made(Some(self.node.location), self.origin()).unwrap_or_default()
    }

    /// Returns the reason why the operation could not be created, if that is the case. Such an operation is
    /// not part of the graph.
    ///
    /// ```
    /// use session_core::Graph;
    /// let failed = Graph::new().undefined_op("NoOp").name("not a name").finish();
    /// assert!(failed.error().is_some());
    /// ```
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        self.node.invalid.as_ref()
    }

    /// Adds the name and source location of this operation to an error that has no place yet.
    #[must_use]
    pub fn place(&self, error: Error) -> Error {
        let error = error.with_node(self.name(), self.op_type()).with_location(self.location());
        match &self.node.origin {
            // The origin belongs to this node, so an error of another node, such as one in a function, does
            // not get it.
            Some(origin) if error.node() == Some(self.name()) => error.with_origin(origin.clone()),
            _ => error,
        }
    }
}

/// An operation that was [rewritten](Operation::rewrite) is still the same.
impl PartialEq for Operation {
    fn eq(&self, other: &Self) -> bool {
        let same = self.node.id == other.node.id && Arc::ptr_eq(&self.shared, &other.shared);
        // Operations that could not be created all have the same id, so only the node tells them apart.
        Arc::ptr_eq(&self.node, &other.node) || same && self.node.id != INVALID
    }
}

impl Eq for Operation {}

impl Hash for Operation {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Must agree with `eq`: a rewritten operation hashes as before, by graph and id.
        match self.node.id {
            INVALID => Arc::as_ptr(&self.node).hash(state),
            id => (Arc::as_ptr(&self.shared), id).hash(state),
        }
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Operation '{}' type={}>", self.name(), self.op_type())
    }
}

/// An output of an operation: a tensor that exists when the graph runs. Clones are cheap; two are equal if
/// they are the same output of the same operation.
///
/// Arithmetic operators and the methods of the op library build further operations on it. They do not return
/// `Result`: the graph records errors together with the source location, and [`Graph::finalize`] and whatever
/// would run the graph return them.
///
/// ```
/// # use session_core::{DType, Graph, OutputInfo, PartialShape};
/// let graph = Graph::new();
/// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
/// # let x = graph.undefined_op("Placeholder").name("x").described_output(info).finish_output();
/// assert_eq!((x.name(), x.dtype()), ("x:0".to_owned(), DType::Float32));
/// assert_eq!(x.shape().to_string(), "[2]");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Output {
    pub(crate) operation: Operation,
    pub(crate) index: u32,
}

impl Output {
    /// Returns the operation that produces the output.
    ///
    /// ```
    /// # use session_core::{DType, Graph, OutputInfo, PartialShape};
    /// let graph = Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
    /// # let x = graph.undefined_op("Placeholder").name("x").described_output(info).finish_output();
    /// assert_eq!(x.operation().name(), "x");
    /// ```
    #[must_use]
    pub fn operation(&self) -> &Operation {
        &self.operation
    }

    /// Returns the index among the outputs of the operation.
    ///
    /// ```
    /// # use session_core::{DType, Graph, OutputInfo, PartialShape};
    /// let graph = Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
    /// # let x = graph.undefined_op("Placeholder").name("x").described_output(info).finish_output();
    /// assert_eq!(x.index(), 0);
    /// ```
    #[must_use]
    pub fn index(&self) -> usize {
        self.index as usize
    }

    /// Returns the name, `<operation name>:<index>` (S-9).
    ///
    /// ```
    /// # use session_core::{DType, Graph, OutputInfo, PartialShape};
    /// let graph = Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
    /// # let x = graph.undefined_op("Placeholder").name("x").described_output(info).finish_output();
    /// assert_eq!(x.name(), "x:0");
    /// ```
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}:{}", self.operation.name(), self.index)
    }

    /// Returns the output as a pair of numbers.
    ///
    /// ```
    /// # use session_core::{DType, Graph, OutputInfo, PartialShape};
    /// let graph = Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
    /// # let x = graph.undefined_op("Placeholder").name("x").described_output(info).finish_output();
    /// assert_eq!((x.endpoint().op, x.endpoint().index), (x.operation().id(), 0));
    /// ```
    #[must_use]
    #[inline]
    pub fn endpoint(&self) -> Endpoint {
        Endpoint { op: self.operation.node.id, index: self.index }
    }

    /// Returns the graph, as a handle with the scope and device under which the operation was created.
    #[must_use]
    pub fn graph(&self) -> Graph {
        self.operation.graph()
    }

    /// Returns the same output with the scope, device, and control inputs of another handle, which operators
    /// on it then use.
    ///
    /// ```
    /// # use session_core::{DType, Graph, OutputInfo, PartialShape};
    /// let graph = Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
    /// # let x = graph.undefined_op("Placeholder").name("x").described_output(info).finish_output();
    /// let inner = x.within(&graph.scope("layer"));
    /// assert_eq!(inner.graph().scope_name(), "layer/");
    /// ```
    ///
    /// A handle of the body of a function that is being built returns the argument that represents the output there. A handle
    /// of any other graph is recorded as a build error of both graphs, and changes nothing.
    #[must_use]
    #[track_caller]
    pub fn within(&self, graph: &Graph) -> Output {
        // A handle of an outer graph stands for the body that this thread builds inside of it.
        let graph = if self.is_in(graph) { graph.clone() } else { graph.current() };
        let mut output = self.clone();
        if !self.is_in(&graph) {
            match graph.captured(self) {
                Ok(captured) => output = captured,
                // The error was recorded when that operation was made.
                Err(_) if self.operation.error().is_some() => return output,
                Err(error) => {
                    graph.add_error_of_both(&self.graph(), error);
                    return output;
                }
            }
        }
        output.operation.context = graph.context.clone();
        output
    }

    /// Returns the same output with a name for the next operation built on it, as in
    /// `x.named("logits").matmul(&w)`.
    ///
    /// ```
    /// # use session_core::{DType, Graph, OutputInfo, PartialShape};
    /// let graph = Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
    /// # let x = graph.undefined_op("Placeholder").name("x").described_output(info).finish_output();
    /// assert_eq!(x.named("logits").graph().pending_name(), Some("logits"));
    /// ```
    #[must_use]
    pub fn named(&self, name: &str) -> Output {
        self.within(&self.graph().named(name))
    }

    fn info(&self) -> &OutputInfo {
        &self.operation.node.outputs[self.index as usize]
    }

    /// Returns the dtype of the elements.
    ///
    /// ```
    /// # use session_core::{DType, Graph, OutputInfo, PartialShape};
    /// let graph = Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
    /// # let x = graph.undefined_op("Placeholder").name("x").described_output(info).finish_output();
    /// assert_eq!(x.dtype(), DType::Float32);
    /// ```
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.info().dtype
    }

    /// Returns the known part of the shape.
    ///
    /// ```
    /// # use session_core::{DType, Graph, OutputInfo, PartialShape};
    /// let graph = Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
    /// # let x = graph.undefined_op("Placeholder").name("x").described_output(info).finish_output();
    /// assert_eq!(x.shape().rank(), Some(1));
    /// ```
    #[must_use]
    pub fn shape(&self) -> &PartialShape {
        &self.info().shape
    }

    /// Returns true if the output is a reference to a variable rather than a value.
    ///
    /// ```
    /// # use session_core::{DType, Graph, OutputInfo, PartialShape};
    /// let graph = Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
    /// # let x = graph.undefined_op("Placeholder").name("x").described_output(info).finish_output();
    /// assert!(!x.is_ref());
    /// ```
    #[must_use]
    pub fn is_ref(&self) -> bool {
        self.info().is_ref
    }

    /// Returns the value of the output if it is produced by a `Const`.
    #[must_use]
    pub fn constant_value(&self) -> Option<&Tensor> {
        if self.operation.op_type() != "Const" {
            return None;
        }
        self.operation.attr("value")?.as_tensor()
    }

    /// Returns true if the output belongs to this graph.
    ///
    /// ```
    /// # use session_core::{DType, Graph, OutputInfo, PartialShape};
    /// let graph = Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
    /// # let x = graph.undefined_op("Placeholder").name("x").described_output(info).finish_output();
    /// assert!(x.is_in(&graph) && !x.is_in(&Graph::new()));
    /// ```
    #[must_use]
    #[inline]
    pub fn is_in(&self, graph: &Graph) -> bool {
        Arc::ptr_eq(&self.operation.shared, &graph.shared)
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Output '{}' shape={} dtype={}>", self.name(), self.shape(), self.dtype())
    }
}

/// A type that represents an output: an output itself, or a variable, which represents its value.
pub trait AsOutput {
    /// Returns the output.
    fn as_output(&self) -> &Output;
}

impl AsOutput for Output {
    #[inline]
    fn as_output(&self) -> &Output {
        self
    }
}

impl AsOutput for crate::Variable {
    #[inline]
    fn as_output(&self) -> &Output {
        self.snapshot()
    }
}

impl<T: AsOutput + ?Sized> AsOutput for &T {
    #[inline]
    fn as_output(&self) -> &Output {
        (**self).as_output()
    }
}
