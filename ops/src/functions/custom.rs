//! Functions whose gradient is another one than follows from what they compute.

use super::trace::{Trace, all_captures, all_control_inputs};
use super::{FunctionWithCaptures, define_traced, unique_name};
use crate::array::graph_of;
use crate::control_flow::Structure;
use session_core::{AsOutput, DType, Error, Graph, Output, OutputInfo, PartialShape, Phase, Result};

/// The attribute of calls whose gradient computes the function again.
pub(crate) const RECOMPUTES: &str = "_recompute_grad";

/// The outputs of a function of `inputs` whose gradient is what `gradient` builds: of the inputs and of the gradients of the
/// outputs, one for each input.
///
/// ```
/// use ops::{functions::custom_gradient, gradients, math};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = ops::array::placeholder(&graph.named("x"), DType::Float32, [2]);
/// // log(1 + exp(x)), whose gradient as it follows is not a number for large x.
/// let forward = |_: &Graph, x: &[_]| vec![math::log(&(math::exp(&x[0]) + 1f32))];
/// let backward = |_: &Graph, x: &[_], grads: &[_]| vec![&grads[0] * &math::sigmoid(&x[0])];
/// let y = custom_gradient(&[x.clone()], forward, backward);
/// let dx = gradients(&y, &[&x])?;
/// # assert!(dx[0].is_some());
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// Tensors of the surrounding graph that the closures use count as constant; a variable that is to be trained is an input.
///
/// # Panics
/// Without any input: there is no graph to build in.
#[track_caller]
pub fn custom_gradient(
    inputs: &[Output],
    forward: impl FnOnce(&Graph, &[Output]) -> Vec<Output>,
    gradient: impl FnOnce(&Graph, &[Output], &[Output]) -> Vec<Output>,
) -> Vec<Output> {
    let graph = graph_of(inputs);
    let graph = graph.located_at(graph.location());
    // The error of a function has no place where outputs could come from, hence a single one that carries it.
    match with_gradient(&graph, inputs, forward, gradient) {
        Ok(function) => function.call(&graph, inputs),
        Err(error) => {
            let error = error.with_phase(Phase::Build);
            graph.add_error(error.clone());
            vec![graph.invalid_output("custom_gradient", inputs[0].dtype(), error)]
        }
    }
}

/// Defines the function and its gradient. The gradient takes the inputs, the captures of both bodies, then
/// the gradients of the results, and returns one gradient for each input.
///
/// # Errors
/// The first error of either body; a value error for a wrong number of gradients; a type error for one that
/// does not fit its input; a value error if a body captures a variable.
fn with_gradient(
    graph: &Graph,
    inputs: &[Output],
    forward: impl FnOnce(&Graph, &[Output]) -> Vec<Output>,
    gradient: impl FnOnce(&Graph, &[Output], &[Output]) -> Vec<Output>,
) -> Result<FunctionWithCaptures> {
    let described = |outputs: &[Output]| -> Vec<(DType, PartialShape)> {
        outputs.iter().map(|output| (output.dtype(), output.shape().clone())).collect()
    };
    let mut forward = Trace::of(graph, &described(inputs), forward)?;
    let given = [described(inputs), described(forward.results())].concat();
    let mut gradient = Trace::of(graph, &given, |body, arguments| {
        let (inputs, grads) = arguments.split_at(inputs.len());
        gradient(body, inputs, grads)
    })?;
    let found: Vec<OutputInfo> =
        gradient.results().iter().map(|o| o.operation().output_infos()[o.index()].clone()).collect();
    if found.len() != inputs.len() {
        let text = format!("{} gradients for {} inputs", found.len(), inputs.len());
        return Err(Error::value(text));
    }
    for (input, found) in inputs.iter().zip(&found) {
        if found.dtype != input.dtype() || found.shape.merge(input.shape()).is_none() {
            let (name, dtype, shape) = (input.name(), input.dtype(), input.shape());
            let text =
                format!("the gradient of '{name}' is {} {}, not {dtype} {shape}", found.dtype, found.shape);
            return Err(Error::type_mismatch(text));
        }
    }
    // Both functions take the same captures, because the call's gradient receives
    // exactly the inputs of the call.
    let captures = all_captures(&[&forward, &gradient]);
    let before = all_control_inputs(&[&forward, &gradient]);
    forward.arrange(&captures);
    gradient.arrange(&captures);
    let name = unique_name(graph, "custom");
    let (backward, own) = (unique_name(graph, &format!("{name}_grad")), inputs.len());
    graph.add_function(gradient.into_gradient(&backward, own)?)?;
    let mut function = define_traced(graph, &name, forward, Some(&backward))?;
    // The call waits for what either body needs; the trace of `forward` knows only its own.
    function.control_inputs = before;
    Ok(function)
}

/// The results of a closure, whose gradient computes them again: what lies between inputs and results is not kept until then.
/// It costs the time of a further pass and saves its memory.
///
/// ```
/// use ops::{OutputExt, functions::recompute_grad, gradients, math};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = ops::array::placeholder(&graph.named("x"), DType::Float32, [2, 2]);
/// let y = recompute_grad(&x, |_, x| math::tanh(x.matmul(&x)).matmul(&x));
/// let dx = gradients(&[y], &[&x])?;
/// # assert!(dx[0].is_some());
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
#[track_caller]
pub fn recompute_grad<S: Structure>(input: impl AsOutput, build: impl FnOnce(&Graph, Output) -> S) -> S {
    let input = input.as_output();
    let graph = input.graph();
    let graph = graph.located_at(graph.location());
    let mut built = None;
    let trace = Trace::of(&graph, &[(input.dtype(), input.shape().clone())], |body, arguments| {
        let structure = build(body, arguments[0].clone());
        let outputs = structure.outputs();
        built = Some(structure);
        outputs
    });
    let name = unique_name(&graph, "recomputed");
    let defined = trace.and_then(|trace| define_traced(&graph, &name, trace, None));
    let structure = built.expect("a body is built once");
    match defined {
        Ok(function) => {
            let called =
                function.begin_call(&graph, std::slice::from_ref(input)).attr(RECOMPUTES, true).finish();
            structure.with_outputs(called.outputs())
        }
        Err(error) => {
            let error = error.with_phase(Phase::Build);
            graph.add_error(error.clone());
            let invalid =
                |output: &Output| graph.invalid_output("recompute_grad", output.dtype(), error.clone());
            structure.with_outputs(structure.outputs().iter().map(invalid).collect())
        }
    }
}
