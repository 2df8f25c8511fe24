//! Operations of a graph and their outputs.

use crate::graph::{Context, Shared};
use crate::{AttrValue, Attrs, Error, Graph, HostFunction, OpDef, PartialShape};
use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::panic::Location;
use std::sync::{Arc, OnceLock};
use tensor::{DType, Tensor};

/// The position of an operation in its graph. Positions never change and are never used again.
pub type OpId = u32;

/// One output of one operation, as a plain number pair: what plans and signatures are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// The operation.
    pub op: OpId,
    /// Which of its outputs.
    pub index: u32,
}

/// The id of operations that could not be made.
pub(crate) const INVALID: OpId = OpId::MAX;

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: OpId,
    pub(crate) name: String,
    pub(crate) op_type: Cow<'static, str>,
    pub(crate) def: Option<&'static OpDef>,
    pub(crate) attrs: Attrs,
    /// Data inputs. Set at once, but for the back edge of an imported loop, which is set when the graph is whole.
    pub(crate) inputs: OnceLock<Vec<Endpoint>>,
    pub(crate) control_inputs: Vec<OpId>,
    pub(crate) device: String,
    pub(crate) outputs: Vec<OutputInfo>,
    pub(crate) location: &'static Location<'static>,
    pub(crate) origin: Option<Arc<str>>,
    /// The closure that it calls. Set at once, or after an import.
    pub(crate) host: OnceLock<HostFunction>,
    /// Why there is no such operation. Using its outputs gives this error.
    pub(crate) invalid: Option<Error>,
}

/// What is known of an output.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputInfo {
    /// The type of its elements.
    pub dtype: DType,
    /// What is known of its shape.
    pub shape: PartialShape,
    /// Whether it is a reference to a variable.
    pub is_ref: bool,
}

/// An operation of a graph. Cheap to clone; equal when it is the same operation of the same graph.
#[derive(Clone)]
pub struct Operation {
    pub(crate) shared: Arc<Shared>,
    pub(crate) context: Arc<Context>,
    pub(crate) node: Arc<Node>,
}

impl Operation {
    /// Its unique name in the graph.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.node.name
    }

    /// The name of its type, such as `MatMul`.
    #[must_use]
    pub fn op_type(&self) -> &str {
        &self.node.op_type
    }

    /// The definition of its type; `None` for imported operations of unknown type.
    #[must_use]
    pub fn def(&self) -> Option<&'static OpDef> {
        self.node.def
    }

    /// Its position in the graph.
    #[must_use]
    pub fn id(&self) -> OpId {
        self.node.id
    }

    /// The graph, as a handle with the scope and device this operation was made under.
    #[must_use]
    pub fn graph(&self) -> Graph {
        Graph::of(self.shared.clone(), self.context.clone())
    }

    /// How many outputs it has.
    #[must_use]
    pub fn num_outputs(&self) -> usize {
        self.node.outputs.len()
    }

    /// One of its outputs.
    ///
    /// # Panics
    /// When there are fewer.
    #[must_use]
    pub fn output(&self, index: usize) -> Output {
        assert!(
            index < self.num_outputs(),
            "{} has {} outputs, not output {index}",
            self.name(),
            self.num_outputs()
        );
        Output { operation: self.clone(), index: index as u32 }
    }

    /// All its outputs.
    #[must_use]
    pub fn outputs(&self) -> Vec<Output> {
        (0..self.num_outputs()).map(|index| self.output(index)).collect()
    }

    /// Dtype and shape of each output.
    #[must_use]
    pub fn output_infos(&self) -> &[OutputInfo] {
        &self.node.outputs
    }

    /// How many data inputs it has, lists flattened.
    #[must_use]
    pub fn num_inputs(&self) -> usize {
        self.input_endpoints().len()
    }

    /// Its data inputs as number pairs, lists flattened.
    #[must_use]
    pub fn input_endpoints(&self) -> &[Endpoint] {
        self.node.inputs.get().map_or(&[], Vec::as_slice)
    }

    /// One of its data inputs.
    ///
    /// # Panics
    /// When there are fewer.
    #[must_use]
    pub fn input(&self, index: usize) -> Output {
        let Endpoint { op, index } = self.input_endpoints()[index];
        self.shared.operation(&self.context, op).output(index as usize)
    }

    /// Its data inputs, lists flattened.
    #[must_use]
    pub fn inputs(&self) -> Vec<Output> {
        (0..self.num_inputs()).map(|index| self.input(index)).collect()
    }

    /// The operations that must have run before it, as ids.
    #[must_use]
    pub fn control_input_ids(&self) -> &[OpId] {
        &self.node.control_inputs
    }

    /// The operations that must have run before it.
    #[must_use]
    pub fn control_inputs(&self) -> Vec<Operation> {
        self.node.control_inputs.iter().map(|&id| self.shared.operation(&self.context, id)).collect()
    }

    /// Its attributes, defaults filled in.
    #[must_use]
    pub fn attrs(&self) -> &Attrs {
        &self.node.attrs
    }

    /// One attribute.
    #[must_use]
    pub fn attr(&self, name: &str) -> Option<&AttrValue> {
        self.node.attrs.get(name)
    }

    /// The device it was asked to run on; empty for any.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.node.device
    }

    /// Where in the program it was made.
    #[must_use]
    pub fn location(&self) -> &'static Location<'static> {
        self.node.location
    }

    /// What it was made from at that place, if it was imported: the name that it has in the file, and with what it is to be
    /// together. `None` for what the program itself makes.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.node.origin.as_deref()
    }

    /// Why it could not be made, if so. Such an operation is not part of the graph.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        self.node.invalid.as_ref()
    }

    /// Names this operation and where it was made in an error that has no place yet.
    #[must_use]
    pub fn place(&self, error: Error) -> Error {
        let error = error.with_node(self.name(), self.op_type()).with_location(self.location());
        match &self.node.origin {
            Some(origin) if error.node() == Some(self.name()) => error.with_origin(origin.clone()),
            _ => error,
        }
    }
}

impl PartialEq for Operation {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.node, &other.node)
    }
}

impl Eq for Operation {}

impl Hash for Operation {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.node).hash(state);
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Operation '{}' type={}>", self.name(), self.op_type())
    }
}

/// One output of an operation: a tensor that exists when the graph runs. Cheap to clone; equal when it is the
/// same output of the same operation.
///
/// Arithmetic operators and the methods that the op library adds build further operations on it. They do not
/// return `Result`: a mistake is kept in the graph with the place in the program where it was made, and is
/// returned by [`Graph::finalize`] and by whatever would run the graph.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Output {
    pub(crate) operation: Operation,
    pub(crate) index: u32,
}

impl Output {
    /// The operation it comes from.
    #[must_use]
    pub fn operation(&self) -> &Operation {
        &self.operation
    }

    /// Which of the operation's outputs it is.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index as usize
    }

    /// `<operation name>:<index>` (S-9).
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}:{}", self.operation.name(), self.index)
    }

    /// As a plain number pair.
    #[must_use]
    #[inline]
    pub fn endpoint(&self) -> Endpoint {
        Endpoint { op: self.operation.node.id, index: self.index }
    }

    /// The graph, as a handle with the scope and device the operation was made under.
    #[must_use]
    pub fn graph(&self) -> Graph {
        self.operation.graph()
    }

    /// The same output, carrying another handle's scope, device and control inputs: operators on it make
    /// their operations there.
    ///
    /// ```ignore
    /// let hidden = x.within(&graph.scope("layer")).matmul(&w); // named "layer/MatMul"
    /// ```
    ///
    /// A handle of another graph is recorded as a build error, and changes nothing.
    #[must_use]
    #[track_caller]
    pub fn within(&self, graph: &Graph) -> Output {
        let mut output = self.clone();
        if !self.is_in(graph) {
            let text = format!("'{}' is used within a handle of another graph", self.name());
            self.graph().add_error(Error::value(text));
            return output;
        }
        output.operation.context = graph.context.clone();
        output
    }

    /// The same output, naming the next operation that is built on it: `x.named("logits").matmul(&w)`.
    #[must_use]
    pub fn named(&self, name: &str) -> Output {
        self.within(&self.graph().named(name))
    }

    fn info(&self) -> &OutputInfo {
        &self.operation.node.outputs[self.index as usize]
    }

    /// The type of its elements.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.info().dtype
    }

    /// What is known of its shape.
    #[must_use]
    pub fn shape(&self) -> &PartialShape {
        &self.info().shape
    }

    /// Whether it is a reference to a variable rather than a value.
    #[must_use]
    pub fn is_ref(&self) -> bool {
        self.info().is_ref
    }

    /// Its value, when it is the output of a `Const`.
    #[must_use]
    pub fn constant_value(&self) -> Option<&Tensor> {
        if self.operation.op_type() != "Const" {
            return None;
        }
        self.operation.attr("value")?.as_tensor()
    }

    /// Whether it belongs to this graph.
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

/// What can stand for an output: an output, or a variable, whose value is meant.
pub trait AsOutput {
    /// The output.
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
