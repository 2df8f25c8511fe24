//! Graph functions: bodies that operations such as `PartitionedCall`, `If`, and `While` run by name.

use crate::{Attrs, Error, Graph, Operation, Output, Result};
use std::fmt;

/// A function in a graph's library, TensorFlow's `FunctionDef`: a body graph, the outputs that represent its
/// arguments, and the outputs that it returns.
///
/// ```
/// use session_core::Function;
/// # use session_core::{DType, Graph, OutputInfo, PartialShape};
/// let body = Graph::new();
/// let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::scalar(), is_ref: false };
/// let x = body.undefined_op("_Arg").name("x").described_output(info).finish_output();
/// let identity = Function::new("identity", &body, [x.clone()], [("y".to_owned(), x)])?;
/// let graph = Graph::new();
/// graph.add_function(identity)?;
/// assert_eq!(graph.function("identity").unwrap().inputs().len(), 1);
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// Functions that a body calls are looked up in the graph that holds the library, not in the body.
#[derive(Clone)]
pub struct Function {
    name: String,
    body: Graph,
    inputs: Vec<Output>,
    outputs: Vec<(String, Output)>,
    control_outputs: Vec<Operation>,
    attrs: Attrs,
    gradient: Option<String>,
    stateful: bool,
}

impl Function {
    /// Creates a function from a name and a body. It computes `outputs`, each with a name, from the values
    /// passed for `inputs`, which are outputs of the body (of a placeholder or `_Arg`).
    ///
    /// # Errors
    /// Fails with a value error for an empty name, or for an input or output that does not belong to the
    /// body.
    pub fn new(
        name: impl Into<String>,
        body: &Graph,
        inputs: impl IntoIterator<Item = Output>,
        outputs: impl IntoIterator<Item = (String, Output)>,
    ) -> Result<Function> {
        let name = name.into();
        let (inputs, outputs): (Vec<_>, Vec<_>) =
            (inputs.into_iter().collect(), outputs.into_iter().collect());
        if name.is_empty() {
            return Err(Error::value("a function needs a name"));
        }
        for output in inputs.iter().chain(outputs.iter().map(|(_, output)| output)) {
            if !output.is_in(body) {
                let text = format!("'{}' does not belong to the body of function '{name}'", output.name());
                return Err(Error::value(text));
            }
        }
        // An operation of an unknown type may have side effects, so its function is neither folded nor
        // merged.
        let stateful = body.operations().iter().any(|op| op.def().is_none_or(|def| def.is_stateful()));
        let (control_outputs, attrs) = (Vec::new(), Attrs::new());
        let body = body.clone();
        Ok(Function { name, body, inputs, outputs, control_outputs, attrs, gradient: None, stateful })
    }

    /// Adds operations of the body that run in every call, even if no output needs them.
    #[must_use]
    pub fn with_control_outputs(mut self, operations: impl IntoIterator<Item = Operation>) -> Function {
        self.control_outputs = operations.into_iter().collect();
        self
    }

    /// Sets attributes, which engines ignore but graph files keep.
    #[must_use]
    pub fn with_attrs(mut self, attrs: Attrs) -> Function {
        self.attrs = attrs;
        self
    }

    /// Sets the name of the function that computes the gradient.
    #[must_use]
    pub fn with_gradient(mut self, function: impl Into<String>) -> Function {
        self.gradient = Some(function.into());
        self
    }

    /// Returns the name, by which `Func` attributes refer to the function.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the body.
    #[must_use]
    pub fn body(&self) -> &Graph {
        &self.body
    }

    /// Returns the outputs of the body that represent the arguments, in order.
    #[must_use]
    pub fn inputs(&self) -> &[Output] {
        &self.inputs
    }

    /// Returns the named results, in order.
    #[must_use]
    pub fn outputs(&self) -> &[(String, Output)] {
        &self.outputs
    }

    /// Returns the operations that run in every call.
    #[must_use]
    pub fn control_outputs(&self) -> &[Operation] {
        &self.control_outputs
    }

    /// Returns the attributes.
    #[must_use]
    pub fn attrs(&self) -> &Attrs {
        &self.attrs
    }

    /// Returns the name of the function that computes the gradient, if it has one of its own.
    #[must_use]
    pub fn gradient(&self) -> Option<&str> {
        self.gradient.as_deref()
    }

    /// Returns true if the body contains an operation that is stateful or of an unknown type.
    #[must_use]
    pub fn is_stateful(&self) -> bool {
        self.stateful
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function")
            .field("name", &self.name)
            .field("inputs", &self.inputs)
            .field("outputs", &self.outputs)
            .finish_non_exhaustive()
    }
}
