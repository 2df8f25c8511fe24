//! A function's body that is being built, until it is known what all bodies that go together capture.

use crate::array::constants::PLACEHOLDER;
use session_core::{
    AttrValue, Captures, DType, Error, Function, Graph, Operation, Output, PartialShape, Result, handle_data,
};

/// A body with its arguments and results.
#[derive(Debug)]
pub(crate) struct Trace {
    body: Graph,
    arguments: Vec<Output>,
    captures: Captures,
    results: Vec<Output>,
}

impl Trace {
    /// Builds a body to be called in `graph`.
    pub(crate) fn of(
        graph: &Graph,
        arguments: &[(DType, PartialShape)],
        build: impl FnOnce(&Graph, &[Output]) -> Vec<Output>,
    ) -> Result<Trace> {
        let named = arguments.iter().enumerate();
        let arguments =
            named.map(|(number, (dtype, shape))| (format!("args_{number}"), *dtype, shape.clone()));
        Trace::with_names(graph, arguments, |body, arguments| build(body, arguments))
    }

    /// Works as [`of`](Trace::of), with names of the arguments, to which building may add more.
    pub(crate) fn with_names(
        graph: &Graph,
        arguments: impl IntoIterator<Item = (String, DType, PartialShape)>,
        build: impl FnOnce(&Graph, &mut Vec<Output>) -> Vec<Output>,
    ) -> Result<Trace> {
        // The handle itself, in the body that is being built if there is one.
        let body = graph.scope(graph.scope_name()).function_body();
        let mut arguments: Vec<Output> = arguments
            .into_iter()
            .map(|(name, dtype, shape)| crate::array::placeholder(&body.named(&name), dtype, shape))
            .collect();
        let results = body.build_body(|body| build(body, &mut arguments));
        let captured = |result: &Output| {
            body.captured(result).inspect_err(|error| {
                // The error of a failed operation was recorded when it occurred.
                if result.operation().error().is_none() {
                    graph.add_error_of_both(&result.graph(), error.clone());
                }
            })
        };
        let results = results.iter().map(captured).collect::<Result<Vec<Output>>>();
        // Errors of operations inside come before `results?`: they are the cause if a result is invalid.
        body.check()?;
        Ok(Trace { captures: body.complete_body(), body, arguments, results: results? })
    }

    /// The arguments, without those that stand for what was captured.
    pub(crate) fn arguments(&self) -> &[Output] {
        &self.arguments
    }

    /// Returns the results of the body.
    pub(crate) fn results(&self) -> &[Output] {
        &self.results
    }

    /// Returns the outputs of the surrounding graph that the body captured.
    pub(crate) fn captures(&self) -> Vec<Output> {
        self.captures.outputs.iter().map(|(outer, _)| outer.clone()).collect()
    }

    pub(crate) fn control_inputs(&self) -> Vec<Operation> {
        self.captures.control_inputs.clone()
    }

    /// Makes these captures the body's, in this order; what it does not use becomes an argument that nothing reads.
    pub(crate) fn arrange(&mut self, captures: &[Output]) {
        let known = std::mem::take(&mut self.captures.outputs);
        let arranged = captures.iter().map(|capture| {
            let found = known.iter().find(|(outer, _)| outer.endpoint() == capture.endpoint());
            let inner = found.map(|(_, inner)| inner.clone()).unwrap_or_else(|| {
                // TensorFlow names unused captures `placeholder` too.
                let builder = self.body.op(&PLACEHOLDER).name("placeholder").attrs(handle_data(capture));
                let builder = builder.attr("dtype", capture.dtype()).attr("shape", capture.shape().clone());
                builder.finish_output()
            });
            (capture.clone(), inner)
        });
        self.captures.outputs = arranged.collect();
    }

    /// Makes the function return its captures after its results, as loops order them.
    pub(crate) fn pass_captures_on(&mut self) {
        self.results.extend(self.captures.outputs.iter().map(|(_, inner)| inner.clone()));
    }

    /// The gradient of a function of the first `own` arguments and of the captured tensors: it takes these and then the gradients
    /// of results, and returns zeros for what was captured.
    pub(crate) fn into_gradient(mut self, name: &str, own: usize) -> Result<Function> {
        let grads = self.arguments.split_off(own);
        let captured: Vec<Output> = self.captures.outputs.iter().map(|(_, inner)| inner.clone()).collect();
        // Zeros for a handle would silently stop the training of the variable, so it must be an
        // input with a gradient of its own.
        if let Some(handle) = captured.iter().find(|inner| inner.dtype() == DType::Resource) {
            let text = format!(
                "a custom gradient must take '{}' as an input instead of capturing it",
                handle.operation().name()
            );
            return Err(Error::value(text));
        }
        self.results.extend(captured.iter().map(crate::array::zeros_like));
        self.captures.outputs.clear();
        self.arguments.extend(captured);
        self.arguments.extend(grads);
        self.into_function(name)
    }

    /// The function of this name, whose inputs are the arguments, then the captured tensors.
    pub(crate) fn into_function(self, name: &str) -> Result<Function> {
        self.body.check()?;
        let captured = self.captures.outputs.iter().map(|(_, inner)| inner.clone());
        let inputs: Vec<Output> = self.arguments.iter().cloned().chain(captured).collect();
        let mut names: Vec<String> = Vec::new();
        for number in 0..self.results.len() {
            // TensorFlow's names of results. They must differ from those of all operations in the body, or a
            // reference would be ambiguous in a file.
            let mut result = if number == 0 { "identity".to_owned() } else { format!("identity_{number}") };
            while self.body.operation(&result).is_ok() {
                result.push('_');
            }
            names.push(result);
        }
        // What has an effect runs in every call, whether a result needs it or not, as
        // TensorFlow's functions do it.
        let control = self.body.operations().into_iter().filter(has_effect);
        let function = Function::new(name, &self.body, inputs, names.into_iter().zip(self.results))?;
        Ok(function.with_control_outputs(control))
    }
}

/// Returns true if an operation has side effects, so that a call runs it even if no output needs it.
pub(crate) fn has_effect(operation: &Operation) -> bool {
    // Nothing is known of an operation without definition, so it counts as having an effect.
    let Some(def) = operation.def() else { return true };
    // Stateful in TensorFlow's definitions, but they only read: a call that does not use
    // the result need not run them.
    let looks = ["VarHandleOp", "ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VariableShape"];
    // A random operation has state, but a number that nobody uses need not be drawn.
    let draws = operation.attr("seed").and_then(AttrValue::as_int).is_some();
    def.is_stateful() && !draws && !looks.contains(&def.name())
}

/// The captures of several bodies, each once, in the order of their first use.
pub(crate) fn all_captures(traces: &[&Trace]) -> Vec<Output> {
    let mut all: Vec<Output> = Vec::new();
    for capture in traces.iter().flat_map(|trace| trace.captures()) {
        if !all.iter().any(|known| known.endpoint() == capture.endpoint()) {
            all.push(capture);
        }
    }
    all
}

/// Returns the control inputs of operations that run several bodies.
pub(crate) fn all_control_inputs(traces: &[&Trace]) -> Vec<Operation> {
    traces.iter().flat_map(|trace| trace.control_inputs()).collect()
}
