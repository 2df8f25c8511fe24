//! Functions of a graph: bodies that operations such as `PartitionedCall`, `If` and `While` run by name.

use crate::{Attrs, Error, Graph, Operation, Output, Result};
use std::fmt;

/// A function of a graph's library, as in TensorFlow's `FunctionDef`: a body graph of its own, with the outputs that
/// stand for its arguments and those that it returns.
///
/// The functions that a body itself calls are those of the graph that holds the library, not of the body.
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
    /// A function of this name and body: what it is given for each of `inputs`, which are outputs of the body (of a
    /// placeholder or `_Arg`), it computes `outputs` from, each with a name.
    ///
    /// # Errors
    /// A value error for an empty name, or for an input or output that is not of the body.
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
                let text = format!("'{}' is not of the body of function '{name}'", output.name());
                return Err(Error::value(text));
            }
        }
        let stateful = body.operations().iter().any(|op| op.def().is_none_or(|def| def.is_stateful()));
        let (control_outputs, attrs) = (Vec::new(), Attrs::new());
        let body = body.clone();
        Ok(Function { name, body, inputs, outputs, control_outputs, attrs, gradient: None, stateful })
    }

    /// With operations of the body that run in every call, whether an output needs them or not.
    #[must_use]
    pub fn with_control_outputs(mut self, operations: impl IntoIterator<Item = Operation>) -> Function {
        self.control_outputs = operations.into_iter().collect();
        self
    }

    /// With attributes, which say nothing to engines but are kept in graph files.
    #[must_use]
    pub fn with_attrs(mut self, attrs: Attrs) -> Function {
        self.attrs = attrs;
        self
    }

    /// With the name of the function that computes its gradient.
    #[must_use]
    pub fn with_gradient(mut self, function: impl Into<String>) -> Function {
        self.gradient = Some(function.into());
        self
    }

    /// Its name, by which `Func` attributes refer to it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its body.
    #[must_use]
    pub fn body(&self) -> &Graph {
        &self.body
    }

    /// The outputs of the body that stand for the arguments, in order.
    #[must_use]
    pub fn inputs(&self) -> &[Output] {
        &self.inputs
    }

    /// What it returns, in order, each with its name.
    #[must_use]
    pub fn outputs(&self) -> &[(String, Output)] {
        &self.outputs
    }

    /// What runs in every call.
    #[must_use]
    pub fn control_outputs(&self) -> &[Operation] {
        &self.control_outputs
    }

    /// Its attributes.
    #[must_use]
    pub fn attrs(&self) -> &Attrs {
        &self.attrs
    }

    /// The name of the function that computes its gradient, if it has one of its own.
    #[must_use]
    pub fn gradient(&self) -> Option<&str> {
        self.gradient.as_deref()
    }

    /// Whether its body holds an operation with state or an effect, or of an unknown type.
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
