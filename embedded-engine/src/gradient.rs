//! The gradients of functions, for the operation `SymbolicGradient` of old programs: the gradient is built
//! when the plan is compiled.
//!
//! # Semantics
//!
//! `SymbolicGradient` takes the arguments of a function and the gradients of its results, and returns the
//! gradients of the arguments. A function may have a registered gradient, which is then called like any other
//! function. For the others, the body is copied and extended by the gradient operations, under a name that no
//! function of the graph can have; the compiler treats the copy as a function. An argument that no result
//! depends on has a gradient of zeros. Results that are not floating or complex take a gradient, which is
//! ignored.

use crate::plan::PlanKey;
use ops::{GradientOptions, array, gradients_with};
use session_core::{Error, Function, Graph, Output, Result};

/// The beginning of the name under which the gradient of a function is compiled if the library has none. No
/// function of a graph has a colon in its name.
const GRADIENT_OF: &str = "gradient:";

/// Returns the name under which the gradient of a function is compiled. It takes the function's arguments and
/// the gradients of its results, and returns the gradients of the arguments.
///
/// For example `gradient:square` for a function `square` without a registered gradient.
pub(crate) fn callee(library: &Graph, function: &str) -> String {
    let registered = library.function(function).and_then(|function| function.gradient().map(str::to_owned));
    registered.unwrap_or_else(|| format!("{GRADIENT_OF}{function}"))
}

/// Returns the body of a gradient that the library has no function for, with its arguments as feeds and its
/// results as fetches. Returns `None` for the name of an ordinary function.
///
/// # Errors
/// `Key` if the library lacks the function, and the errors of gradients that cannot be built, with the
/// function's name as context.
pub(crate) fn differentiated(library: &Graph, name: &str) -> Result<Option<(Graph, PlanKey)>> {
    let Some(name) = name.strip_prefix(GRADIENT_OF) else { return Ok(None) };
    let function = library.function(name);
    let function = function.ok_or_else(|| Error::key(format!("the graph has no function '{name}'")))?;
    let built = with_gradients(&function, library);
    built.map(Some).map_err(|error| error.context(format!("no gradient of function '{name}' can be built")))
}

/// Creates a copy of a function's body with the operations of its gradient.
///
/// The feeds of the key are the arguments, then one placeholder per result for its gradient; the fetches are
/// the gradients of the arguments, in their order.
fn with_gradients(function: &Function, library: &Graph) -> Result<(Graph, PlanKey)> {
    let graph = function.body().copied();
    for called in library.functions() {
        // Bodies call functions of the library, which their gradients then name.
        if graph.function(called.name()).is_none() {
            graph.add_function(Function::clone(&called))?;
        }
    }
    let of_copy = |output: &Output| {
        let operation = graph.operation_by_id(output.operation().id());
        let operation = operation.ok_or_else(|| Error::runtime("a copy lacks an operation"))?;
        Ok(operation.output(output.endpoint().index as usize))
    };
    let arguments = function.inputs().iter().map(of_copy).collect::<Result<Vec<Output>>>()?;
    let scope = graph.scope("gradients_of_results");
    let (mut results, mut grad_ys, mut given) = (Vec::new(), Vec::new(), Vec::new());
    for (_, output) in function.outputs() {
        let result = of_copy(output)?;
        let gradient = array::placeholder(&scope, result.dtype(), result.shape().clone());
        given.push(gradient.endpoint());
        // The gradients of other results have a place in the signature all the same, so the numbering of
        // arguments holds.
        if result.dtype().is_floating() || result.dtype().is_complex() {
            results.push(result);
            grad_ys.push(Some(gradient));
        }
    }
    let options = GradientOptions::default().grad_ys(grad_ys);
    let found = gradients_with(&results, &arguments, &options)?;
    let gradients = found.into_iter().zip(&arguments);
    let gradients = gradients.map(|(found, argument)| found.unwrap_or_else(|| array::zeros_like(argument)));
    let fetches = gradients.map(|gradient| gradient.endpoint()).collect();
    graph.check()?;
    let feeds = arguments.iter().map(Output::endpoint).chain(given).collect();
    Ok((graph, PlanKey { fetches, targets: Vec::new(), feeds }))
}
