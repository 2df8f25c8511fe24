//! The body of a function together with its gradient, and the separation of the two.
//!
//! The gradient is built in a copy of the body. Operations with an id below that of the first operation of the gradient belong to the body;
//! an input of the gradient that leads there is a value that the forward function has to return. Constants and handles of variables are
//! copied into the backward function instead.

use super::extract::Part;
use super::{GradientOptions, carries_gradients, flow_back};
use crate::array::constants::{PLACEHOLDER, constant, fill, placeholder, scalar_tensor, zeros, zeros_like};
use crate::array::shaping::shape;
use crate::state::{handle_attrs, variable_of, variable_shape};
use session_core::{
    AttrValue, DType, Endpoint, Error, Function, Graph, OpId, Operation, Output, OutputInfo, PartialShape,
    Result, Rewrite,
};
use std::collections::HashSet;
use std::sync::Arc;

/// Returns true if gradients of this dtype pass from one function to another: differentiable numbers, and lists.
///
/// Handles are not among them: a function returns the gradient of a variable as a
/// number of the variable's dtype.
pub(super) fn flows(dtype: DType) -> bool {
    carries_gradients(dtype) || dtype == DType::Variant
}

/// The function that an attribute names.
pub(super) fn function_of(operation: &Operation, value: Option<&AttrValue>) -> Result<Arc<Function>> {
    let Some(AttrValue::Func(name, _)) = value else {
        return Err(Error::value("an attribute does not name a function"));
    };
    let found = operation.graph().function(name);
    found.ok_or_else(|| Error::key(format!("the graph has no function '{name}'")))
}

/// A copy of a function's body, in which its gradient is built.
pub(super) struct Work {
    pub(super) graph: Graph,
    /// The graph of the operation that calls the function; parts of the copy become functions there.
    outer: Graph,
    /// The number of operations of the body itself.
    own: usize,
    pub(super) arguments: Vec<Output>,
    pub(super) results: Vec<Output>,
    /// The operations of the body that run in each call even if no result needs them.
    control_outputs: Vec<Operation>,
}

impl Work {
    /// A copy of the body of a function that is called in `outer` with these inputs.
    pub(super) fn of(function: &Function, outer: &Graph, inputs: &[Output]) -> Result<Work> {
        let graph = function.body().copied_as_body(outer);
        let own = graph.len();
        let find = |output: &Output| same_output(&graph, output);
        let results = function.outputs().iter().map(|(_, output)| find(output));
        let control = function.control_outputs().iter().map(|operation| {
            let copy = graph.operation_by_id(operation.id());
            copy.ok_or_else(|| Error::runtime("a copy lacks an operation"))
        });
        let arguments: Vec<Output> = function.inputs().iter().map(find).collect::<Result<_>>()?;
        let described = arguments.iter().enumerate().map(|(number, argument)| match inputs.get(number) {
            Some(input) => describe(argument, input),
            None => Ok(argument.clone()),
        });
        Ok(Work {
            arguments: described.collect::<Result<_>>()?,
            results: results.collect::<Result<_>>()?,
            control_outputs: control.collect::<Result<_>>()?,
            outer: outer.clone(),
            own,
            graph,
        })
    }

    /// A further argument, for what only the gradient is given.
    pub(super) fn added(&self, name: &str, dtype: DType, shape: PartialShape) -> Output {
        placeholder(&self.graph.scope("gradients").named(name), dtype, shape)
    }

    /// Builds the gradients of all arguments from those of these results.
    pub(super) fn differentiate(&self, of: &[Output], grads: Vec<Output>) -> Result<Vec<Option<Output>>> {
        let scope = self.graph.scope("gradients");
        let grads = grads.into_iter().map(|grad| grad.within(&scope)).collect();
        let found = flow_back(&scope, of, grads, &self.arguments, &GradientOptions::default())?;
        self.graph.check()?;
        Ok(found)
    }

    /// Zeros of this dtype for the gradient of an argument. `like`, if there is one, has its shape.
    pub(super) fn zeros(&self, argument: &Output, dtype: DType, like: Option<&Output>) -> Output {
        let scope = self.graph.scope("gradients");
        zeros_for(&scope, argument, dtype, like)
    }

    /// Zeros of this dtype and the shape of an argument, of which the gradient then needs no more than the shape.
    pub(super) fn zeros_of_shape(&self, argument: &Output, dtype: DType) -> Output {
        let scope = self.graph.scope("gradients");
        if argument.dtype() == DType::Resource || argument.shape().is_fully_known() {
            return zeros_for(&scope, argument, dtype, None);
        }
        fill(shape(argument.within(&scope)), constant(&scope, scalar_tensor(dtype, 0.0)))
    }

    /// Returns the operations that belong to the forward function: those of the body, what they need by now,
    /// and operations of the gradient that compute integers, such as shapes, from the body alone.
    fn body(&self) -> HashSet<OpId> {
        let operations = self.graph.operations();
        let mut body: HashSet<OpId> = operations.iter().take(self.own).map(Operation::id).collect();
        let mut open: Vec<Operation> = operations.iter().take(self.own).cloned().collect();
        while let Some(operation) = open.pop() {
            // An operation of the body that was rewritten for its own gradient may have inputs
            // that were added after the body.
            let inputs = operation.input_endpoints().iter().map(|input| input.op);
            for id in inputs.chain(operation.control_input_ids().iter().copied()) {
                if body.insert(id) {
                    open.extend(self.graph.operation_by_id(id));
                }
            }
        }
        // The gradient often needs only the shape of a large value. Computed in the forward function, the
        // shape is passed on and the value itself can be released.
        for operation in operations.iter().skip(self.own) {
            let inputs = operation.input_endpoints();
            let small =
                operation.output_infos().iter().all(|info| matches!(info.dtype, DType::Int32 | DType::Int64));
            let stateless = operation.def().is_some_and(|def| !def.is_stateful());
            if small && stateless && !inputs.is_empty() && inputs.iter().all(|input| body.contains(&input.op))
            {
                body.insert(operation.id());
            }
        }
        body
    }

    /// Returns the outputs of the body that these outputs need and cannot compute themselves, in order of use.
    pub(super) fn needs(&self, outputs: &[Output]) -> Vec<Output> {
        let body = self.body();
        let (mut needed, mut seen): (Vec<Output>, HashSet<Endpoint>) = (Vec::new(), HashSet::new());
        let mut done: HashSet<OpId> = HashSet::new();
        // Reversed, because the last one is taken first: the order of use decides the order of the
        // forward function's added outputs.
        let mut open: Vec<Output> = outputs.iter().rev().cloned().collect();
        while let Some(output) = open.pop() {
            let operation = output.operation();
            if body.contains(&operation.id()) {
                if !is_copied(operation) && seen.insert(output.endpoint()) {
                    needed.push(output);
                }
            } else if done.insert(operation.id()) {
                open.extend(operation.inputs().into_iter().rev());
            }
        }
        needed
    }

    /// The arguments that these outputs need, where the gradient computes the body again.
    ///
    /// Used for functions that recompute: only arguments pass from forward to backward, at the
    /// price of running the body twice.
    pub(super) fn needed_arguments(&self, outputs: &[Output]) -> Vec<Output> {
        let mut seen: HashSet<OpId> = HashSet::new();
        let mut open: Vec<Operation> = outputs.iter().map(|output| output.operation().clone()).collect();
        while let Some(operation) = open.pop() {
            if seen.insert(operation.id()) {
                open.extend(operation.inputs().iter().map(|input| input.operation().clone()));
                open.extend(operation.control_inputs());
            }
        }
        let used = self.arguments.iter().filter(|argument| seen.contains(&argument.operation().id()));
        used.cloned().collect()
    }

    /// The body alone, with what it needs by now, and its results.
    pub(super) fn forward(&self, more: &[Output]) -> Result<Forward> {
        let roots: Vec<Output> = self.results.iter().chain(more).cloned().collect();
        let part = Part::of(&self.graph, &self.outer, &self.arguments, &roots, &self.control_outputs)?;
        let results = self.results.iter().map(|result| part.find(result)).collect::<Result<_>>()?;
        let control = part.find_operations(&self.control_outputs);
        Ok(Forward { part, results, control })
    }

    /// Works as [`backward`](Work::backward), with outputs instead of which the gradient has values that it computes itself.
    pub(super) fn backward_with(
        &self,
        arguments: &[Output],
        made: &[Output],
        results: &[Output],
        make: impl FnMut(&Graph, &Output) -> Output,
    ) -> Result<Part> {
        Part::with(&self.graph, &self.outer, arguments, (made, make), results, &[])
    }

    /// The gradient alone: a function of these outputs of the copy, which returns those.
    pub(super) fn backward(&self, arguments: &[Output], results: &[Output]) -> Result<Part> {
        Part::of(&self.graph, &self.outer, arguments, results, &[])
    }
}

/// Tells an argument what is known of the variable behind the handle that it is given: functions in files do not.
fn describe(argument: &Output, input: &Output) -> Result<Output> {
    let known = handle_attrs(input);
    let operation = argument.operation();
    if known.is_empty() || variable_of(argument).is_some() || operation.op_type() != "Placeholder" {
        return Ok(argument.clone());
    }
    let mut attrs = operation.attrs().clone();
    attrs.extend(known);
    // Rewriting in place keeps the id, by which the body and the copy find each other.
    let outputs = operation.output_infos().to_vec();
    let now = operation.rewrite(Rewrite { def: &PLACEHOLDER, inputs: Vec::new(), attrs, outputs })?;
    Ok(now.output(argument.index()))
}

/// A function's body that is about to give more than it did.
pub(super) struct Forward {
    pub(super) part: Part,
    pub(super) results: Vec<Output>,
    pub(super) control: Vec<Operation>,
}

impl Forward {
    pub(super) fn into_function(self, name: &str) -> Result<Function> {
        let Forward { part, results, control } = self;
        Ok(function(name, &part, results)?.with_control_outputs(control))
    }
}

/// A function of the arguments of a part.
pub(super) fn function(name: &str, part: &Part, results: Vec<Output>) -> Result<Function> {
    part.graph.check()?;
    let named = results.into_iter().enumerate().map(|(number, result)| {
        let mut name = format!("result_{number}");
        // Results are named by number; a name that an operation of the body has already would
        // be ambiguous in a graph file.
        while part.graph.operation(&name).is_ok() {
            name.push('_');
        }
        (name, result)
    });
    Function::new(name, &part.graph, part.arguments.iter().cloned(), named.collect::<Vec<_>>())
}

/// The output of a copy that is what this one is in the original.
pub(super) fn same_output(copy: &Graph, output: &Output) -> Result<Output> {
    let operation = copy.operation_by_id(output.operation().id());
    let operation = operation.ok_or_else(|| Error::runtime("a copy lacks an operation"))?;
    Ok(operation.output(output.index()))
}

/// Returns true if the gradient function computes an operation of the body again instead of receiving its value.
fn is_copied(operation: &Operation) -> bool {
    // A constant with a control input may depend on the branch that runs, so it is
    // passed like any other value.
    let alone = operation.num_inputs() == 0 && operation.control_input_ids().is_empty();
    alone && matches!(operation.op_type(), "Const" | "VarHandleOp")
}

/// Zeros for the gradient of an output, or of the variable behind a handle, whose dtype is this.
pub(super) fn zeros_for(scope: &Graph, output: &Output, dtype: DType, like: Option<&Output>) -> Output {
    if output.dtype() == DType::Resource {
        return match variable_of(output).and_then(|(_, shape)| shape.to_shape()) {
            Some(shape) => zeros(scope, dtype, shape),
            // Only the variable itself knows its size; `VariableShape` reads no values.
            None => {
                let sizes = variable_shape(output.within(scope), DType::Int32);
                fill(sizes, constant(scope, scalar_tensor(dtype, 0.0)))
            }
        };
    }
    match (output.shape().to_shape(), like) {
        // A list has shape `[]` but is no number: zeros of a list are a list of zeros,
        // which only `ZerosLike` builds.
        (Some(shape), _) if output.dtype() != DType::Variant => zeros(scope, output.dtype(), shape),
        (_, Some(like)) => zeros_like(like.within(scope)),
        (_, None) => zeros_like(output.within(scope)),
    }
}

/// Returns the dtype and shape, as far as they are known, of the gradient of an output, or of the variable behind a handle.
pub(super) fn gradient_info(of: &Output, gradient: &Output) -> OutputInfo {
    let shape = match of.dtype() {
        DType::Resource => variable_of(of).map(|(_, shape)| shape).unwrap_or_default(),
        _ => of.shape().clone(),
    };
    OutputInfo { dtype: gradient.dtype(), shape, is_ref: false }
}
