//! References to tensors of a graph.

use session_core::{DType, Error, Graph, Output, Result, Variable, keys};

/// A tensor that a hook fetches: an output, a variable (its value), or the name of one of them, which is looked up in `begin`
/// (S-336).
///
/// ```
/// use hooks::TensorRef;
/// assert_eq!(TensorRef::from("loss:0").name(), "loss:0");
/// ```
#[derive(Clone, Debug)]
pub struct TensorRef(Target);

#[derive(Clone, Debug)]
enum Target {
    Output(Output),
    Variable(Box<Variable>),
    Name(String),
}

impl TensorRef {
    /// Returns the name, as given or as the graph has it.
    ///
    /// ```
    /// use hooks::TensorRef;
    /// assert_eq!(TensorRef::from("loss:0").name(), "loss:0");
    /// ```
    #[must_use]
    pub fn name(&self) -> String {
        match &self.0 {
            Target::Output(output) => output.name(),
            Target::Variable(variable) => variable.name().to_owned(),
            Target::Name(name) => name.clone(),
        }
    }

    /// Returns the output in this graph.
    ///
    /// # Errors
    /// A value error for an output of another graph and for the name of an operation that does not have exactly one output; a
    /// key error for a name that the graph does not have; the build error of an output.
    pub fn resolve(&self, graph: &Graph) -> Result<Output> {
        let output = match &self.0 {
            Target::Name(name) => return by_name(graph, name),
            Target::Output(output) => output,
            Target::Variable(variable) => variable.snapshot(),
        };
        if !output.is_in(graph) {
            return Err(Error::value(format!("'{}' belongs to another graph", self.name())));
        }
        output.operation().error().cloned().map_or_else(|| Ok(output.clone()), Err)
    }
}

/// Returns the outputs of tensors that have tags.
pub(crate) fn resolve_all(tensors: &[(String, TensorRef)], graph: &Graph) -> Result<Vec<Output>> {
    tensors.iter().map(|(_, tensor)| tensor.resolve(graph)).collect()
}

fn by_name(graph: &Graph, name: &str) -> Result<Output> {
    // With a colon it is an output; graphs reject colons in names of operations.
    if name.contains(':') {
        return graph.output(name);
    }
    let operation = graph.operation(name)?;
    match operation.num_outputs() {
        // The name of a resource variable refers to its value, not to its handle.
        1 if operation.output(0).dtype() == DType::Resource => {
            // A resource that is not a variable, such as a table, has only its handle.
            Ok(variable(graph, name)
                .map_or_else(|| operation.output(0), |variable| variable.snapshot().clone()))
        }
        1 => Ok(operation.output(0)),
        count => {
            Err(Error::value(format!("'{name}' is ambiguous: the operation has {count} outputs, not one")))
        }
    }
}

fn variable(graph: &Graph, name: &str) -> Option<Variable> {
    let collections = [&keys::VARIABLES, &keys::LOCAL_VARIABLES];
    let mut variables = collections.into_iter().flat_map(|key| graph.collection(key));
    variables.find(|variable| variable.name() == name)
}

impl From<Output> for TensorRef {
    fn from(output: Output) -> TensorRef {
        TensorRef(Target::Output(output))
    }
}

impl From<&Output> for TensorRef {
    fn from(output: &Output) -> TensorRef {
        output.clone().into()
    }
}

impl From<Variable> for TensorRef {
    fn from(variable: Variable) -> TensorRef {
        TensorRef(Target::Variable(Box::new(variable)))
    }
}

impl From<&Variable> for TensorRef {
    fn from(variable: &Variable) -> TensorRef {
        variable.clone().into()
    }
}

impl From<String> for TensorRef {
    fn from(name: String) -> TensorRef {
        TensorRef(Target::Name(name))
    }
}

impl From<&str> for TensorRef {
    fn from(name: &str) -> TensorRef {
        name.to_owned().into()
    }
}
