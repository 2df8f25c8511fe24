//! Functions of the graph, built from closures.
//!
//! [`define`] calls a closure with a new graph, the body of the function, and with the arguments. Values of the surrounding graph that the
//! closure uses become further arguments: captures. The function is part of the graph's library. Operations such as `PartitionedCall` call
//! it, and it is exported with the graph, so TensorFlow can run it too.
//!
//! While the closure runs, everything that its thread builds is part of the body, including `&x + 1.0` for an `x` of the surrounding
//! graph. Variables are the exception: they belong to the session, so they are created in the surrounding graph, and each body that uses a
//! variable reads it itself.

pub(crate) mod custom;
pub(crate) mod trace;

pub use custom::{custom_gradient, recompute_grad};

use crate::control_flow::functional::{PARTITIONED_CALL, STATEFUL_PARTITIONED_CALL};
use session_core::{
    AttrValue, Attrs, DType, Error, Graph, OpBuilder, Operation, Output, OutputInfo, PartialShape, Phase,
    Result,
};
use trace::Trace;

/// A function in a graph's library, together with the outputs that it captures from the graph in which it was defined.
///
/// [`define`] returns it, with an example.
#[derive(Clone, Debug)]
pub struct FunctionWithCaptures {
    name: String,
    arguments: Vec<DType>,
    captures: Vec<Output>,
    control_inputs: Vec<Operation>,
    results: Vec<OutputInfo>,
    stateful: bool,
}

/// Defines a function of these arguments, each of a dtype and a shape, as far as it is known. Its body is what `build`
/// builds, its results are what `build` returns.
///
/// The name is made unique in the library. Place and control inputs are the handle's.
///
/// ```
/// use ops::{OutputExt, array::placeholder, functions::define};
/// use session_core::{DType, Graph, PartialShape};
///
/// let graph = Graph::new();
/// let x = placeholder(&graph.named("x"), DType::Float32, [2]);
/// let scale = placeholder(&graph.named("scale"), DType::Float32, PartialShape::scalar());
/// let scaled = define(&graph, "scaled", &[(DType::Float32, PartialShape::from([2]))], |_, arguments| {
///     vec![&arguments[0] * &scale]
/// })?;
/// assert_eq!(scaled.captures(), [scale]);
/// let y = scaled.call(&graph, &[x]).remove(0);
/// assert_eq!(y.name(), "PartitionedCall:0");
/// assert_eq!(y.shape().to_string(), "[2]");
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// The first error of what `build` built, with its place in the program; a value error for a result or an input of an
/// unrelated graph; a runtime error on a finalized graph.
#[track_caller]
pub fn define(
    graph: &Graph,
    name: &str,
    arguments: &[(DType, PartialShape)],
    build: impl FnOnce(&Graph, &[Output]) -> Vec<Output>,
) -> Result<FunctionWithCaptures> {
    // The place of this call, before closures run that would be taken for the caller.
    let graph = graph.located_at(graph.location());
    let place = |error: Error| error.with_location(graph.location()).with_phase(Phase::Build);
    let trace = Trace::of(&graph, arguments, build).map_err(place)?;
    define_traced(&graph, &unique_name(&graph, name), trace, None).map_err(place)
}

/// Defines the function of a body that is built, under a name that is free, and with the function of this name as its
/// gradient.
pub(crate) fn define_traced(
    graph: &Graph,
    name: &str,
    trace: Trace,
    gradient: Option<&str>,
) -> Result<FunctionWithCaptures> {
    let arguments: Vec<DType> = trace.arguments().iter().map(Output::dtype).collect();
    // Before `into_function`, which consumes the trace. References end at the border of a
    // function: it returns values.
    let results =
        trace.results().iter().map(|result| result.operation().output_infos()[result.index()].clone());
    let results: Vec<OutputInfo> = results.map(|info| OutputInfo { is_ref: false, ..info }).collect();
    let captures = trace.captures();
    let control_inputs = trace.control_inputs();
    let mut function = trace.into_function(name)?;
    if let Some(gradient) = gradient {
        function = function.with_gradient(gradient);
    }
    let (name, stateful) = (function.name().to_owned(), function.is_stateful());
    graph.add_function(function)?;
    Ok(FunctionWithCaptures { name, arguments, captures, control_inputs, results, stateful })
}

/// A name that no function of the library has: the name itself, or with the first free number appended.
pub(crate) fn unique_name(graph: &Graph, name: &str) -> String {
    if graph.function(name).is_none() {
        return name.to_owned();
    }
    numbered_name(graph, name)
}

/// The name with the first free number appended.
pub(crate) fn numbered_name(graph: &Graph, name: &str) -> String {
    // Functions are never removed, so a number below this is rarely free; starting
    // here keeps the search short.
    let mut number = graph.functions().len();
    loop {
        let candidate = format!("{name}_{number}");
        if graph.function(&candidate).is_none() {
            return candidate;
        }
        number += 1;
    }
}

/// A function as the value of an attribute.
pub(crate) fn named(function: &str) -> AttrValue {
    AttrValue::Func(function.to_owned(), Attrs::new())
}

impl FunctionWithCaptures {
    /// Returns the name of the function in the library.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the value of an attribute that refers to the function, such as `f` of `MapDataset`.
    #[must_use]
    pub fn attr(&self) -> AttrValue {
        named(&self.name)
    }

    /// Returns the outputs that the function captures from the surrounding graph: its arguments after those of the definition.
    #[must_use]
    pub fn captures(&self) -> &[Output] {
        &self.captures
    }

    /// Returns the operations of the surrounding graph that must run before any call.
    #[must_use]
    pub fn control_inputs(&self) -> &[Operation] {
        &self.control_inputs
    }

    /// Returns the dtypes of the arguments of the definition.
    #[must_use]
    pub fn argument_dtypes(&self) -> &[DType] {
        &self.arguments
    }

    /// Returns the dtypes and shapes of the results, as far as they are known.
    #[must_use]
    pub fn results(&self) -> &[OutputInfo] {
        &self.results
    }

    /// Returns true if the body contains an operation with state or side effects.
    #[must_use]
    pub fn is_stateful(&self) -> bool {
        self.stateful
    }

    /// Calls the function and returns its results. Incompatible arguments are recorded in the graph as build errors.
    #[must_use]
    #[track_caller]
    pub fn call(&self, graph: &Graph, arguments: &[Output]) -> Vec<Output> {
        self.call_operation(graph, arguments).outputs()
    }

    /// Returns the operation that calls the function: a `PartitionedCall`, or a `StatefulPartitionedCall` if the function is stateful.
    /// Incompatible arguments are recorded in the graph as build errors.
    #[must_use]
    #[track_caller]
    pub fn call_operation(&self, graph: &Graph, arguments: &[Output]) -> Operation {
        self.begin_call(graph, arguments).finish()
    }

    /// Begins the operation of a call.
    #[track_caller]
    pub(crate) fn begin_call(&self, graph: &Graph, arguments: &[Output]) -> OpBuilder {
        let def = if self.stateful { &STATEFUL_PARTITIONED_CALL } else { &PARTITIONED_CALL };
        let dtypes: Vec<DType> = self.results.iter().map(|info| info.dtype).collect();
        let builder = graph.op(def).input_list(arguments.iter().chain(&self.captures));
        let builder = builder.attr("Tout", dtypes).attr("f", self.attr());
        // The definition infers no shapes, since it does not look into functions; they are those of the body.
        let builder =
            self.results.iter().fold(builder, |builder, info| builder.described_output(info.clone()));
        let builder =
            self.control_inputs.iter().fold(builder, |builder, before| builder.control_input(before));
        match self.check(graph, arguments) {
            Ok(()) => builder,
            Err(error) => builder.error(error),
        }
    }

    /// Checks that the function is in the library of `graph` and takes arguments of these dtypes. Shapes are
    /// left to the engine: the body's arguments may know more than the call.
    fn check(&self, graph: &Graph, arguments: &[Output]) -> Result<()> {
        if graph.function(&self.name).is_none() {
            let text = format!("function '{}' is defined in another graph", self.name);
            return Err(Error::value(text));
        }
        let found: Vec<DType> = arguments.iter().map(Output::dtype).collect();
        if found != self.arguments {
            let text = format!("function '{}' takes {:?}, not {found:?}", self.name, self.arguments);
            return Err(Error::type_mismatch(text));
        }
        Ok(())
    }
}
