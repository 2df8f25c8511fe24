//! Symbolic gradients: graph in, graph out.
//!
//! [`gradients`] walks from results back to the tensors with respect to which they are differentiated. Each operation on
//! the way is asked, through its definition, for the gradients of its inputs, and answers by building operations
//! in a scope `gradients/<operation>_grad`.
//!
//! An operation on the way that has no gradient, such as [`floor`](crate::math::floor) or a comparison, stops the walk: whatever lies
//! after it counts as constant. An operation that *could* have a gradient but does not define one is an error that names it.

pub(crate) mod asked;
pub(crate) mod branches;
pub(crate) mod broadcasting;
mod calls;
mod extract;
mod frames;
mod functional;
mod indexed_slices;
pub(crate) mod loops;
mod overriding;
mod reach;

pub(crate) use frames::outside_of_control_flow;
pub use indexed_slices::IndexedSlices;
pub(crate) use indexed_slices::summed;

use crate::array::constants::{constant, fill, scalar_tensor, zeros, zeros_like};
use crate::composite::unnamed;
use crate::control_flow::grouping::tuple;
use crate::math::sum::add_n;
use broadcasting::shape_of;
use reach::Reach;
use session_core::{
    AsOutput, AttrValue, DType, Endpoint, Error, Gradient, GradientFn, Graph, Operation, Output, Phase,
    Result, Variable,
};
use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::Location;

/// A target of differentiation: an output, or a variable, whose reads all count.
pub trait Differentiable {
    /// Returns the output to which the gradients flow. For a variable, this is its handle.
    fn origin(&self) -> &Output;
}

impl Differentiable for Output {
    fn origin(&self) -> &Output {
        self
    }
}

impl Differentiable for Variable {
    fn origin(&self) -> &Output {
        self.handle()
    }
}

impl<T: Differentiable + ?Sized> Differentiable for &T {
    fn origin(&self) -> &Output {
        (**self).origin()
    }
}

/// The gradient of a tensor on which the results do not depend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnconnectedGradients {
    /// There is no gradient.
    #[default]
    None,
    /// Zeros of its shape.
    Zero,
    /// An error that names it.
    Error,
}

/// Options of [`gradients_with`].
///
/// ```
/// # use session_core::{DType, Graph};
/// # use ops::{array::placeholder, math::{mul, square}};
/// use ops::{GradientOptions, gradients_with};
/// let graph = Graph::new();
/// let x = placeholder(&graph, DType::Float32, [3]);
/// let a = square(&x);
/// // As if `a` were a constant: the gradient is a, not 3 * a.
/// let options = GradientOptions::default().stop_gradients([a.clone()]);
/// let found = gradients_with(&[mul(&a, &x)], &[&x], &options)?;
/// assert_eq!(found[0].as_ref().expect("y depends on x").shape(), x.shape());
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct GradientOptions {
    grad_ys: Vec<Option<Output>>,
    stop_gradients: Vec<Output>,
    unconnected_gradients: UnconnectedGradients,
    gate_gradients: bool,
}

impl GradientOptions {
    /// Sets the incoming gradient of each result, in order; `None` stands for ones. Default: ones for all.
    ///
    /// ```
    /// use ops::{GradientOptions, array::constant, gradients_with, math::square};
    /// let graph = session_core::Graph::new();
    /// let x = constant(&graph, [1.0f32, 2.0]);
    /// let y = square(&x);
    /// let options = GradientOptions::default().grad_ys([Some(constant(&graph, [1.0f32, 0.0]))]); // only the first element
    /// let gradient = gradients_with(&[y], &[x], &options)?.remove(0);
    /// assert!(gradient.is_some());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn grad_ys(mut self, grad_ys: impl IntoIterator<Item = Option<Output>>) -> Self {
        self.grad_ys = grad_ys.into_iter().collect();
        self
    }

    /// Sets outputs that count as constants. Default: none.
    ///
    /// ```
    /// use ops::{GradientOptions, array::constant, gradients_with, math::square};
    /// let graph = session_core::Graph::new();
    /// let x = constant(&graph, 3.0f32);
    /// let target = square(&x);
    /// let loss = &x - &target;
    /// let options = GradientOptions::default().stop_gradients([target]);
    /// assert!(gradients_with(&[loss], &[x], &options)?[0].is_some()); // 1, instead of 1 - 2x
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn stop_gradients(mut self, outputs: impl IntoIterator<Item = Output>) -> Self {
        self.stop_gradients = outputs.into_iter().collect();
        self
    }

    /// Sets the gradient of tensors that the results do not depend on. Default: [`UnconnectedGradients::None`].
    ///
    /// ```
    /// use ops::{GradientOptions, UnconnectedGradients};
    /// let options = GradientOptions::default().unconnected_gradients(UnconnectedGradients::Zero);
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn unconnected_gradients(mut self, unconnected: UnconnectedGradients) -> Self {
        self.unconnected_gradients = unconnected;
        self
    }

    /// Sets whether the gradients of an operation's inputs are used only after all of them have been computed. Default: false.
    ///
    /// ```
    /// use ops::GradientOptions;
    /// let options = GradientOptions::default().gate_gradients(true);
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn gate_gradients(mut self, gate: bool) -> Self {
        self.gate_gradients = gate;
        self
    }
}

/// Returns the gradients of the sum of `ys` with respect to each of `xs`; `None` where the results do not depend on it.
///
/// ```
/// # use session_core::{DType, Graph};
/// # use ops::{array::placeholder, gradients, math::square};
/// let graph = Graph::new();
/// let x = placeholder(&graph.named("x"), DType::Float32, [3]);
/// let dx = gradients(&[square(&x)], &[&x])?.remove(0).expect("y depends on x");
/// assert_eq!(dx.shape(), x.shape());
/// assert!(dx.name().starts_with("gradients/Square_grad/"));
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// Operations are built in a scope `gradients` next to the first of `ys` (`ys[0].named("x")` chooses another
/// name). Integers, bools, and strings pass no gradients.
///
/// # Errors
/// A key error that names an operation between `ys` and `xs` whose type has no gradient, or whose gradient is a Python function that
/// the program which wrote the graph had registered (`custom_gradient`, `gradient_override_map`); a type error for one of
/// `ys` that is not floating or complex; whatever was wrong with an operation in between; a value error for an
/// output of another graph.
#[track_caller]
pub fn gradients<Y: AsOutput, X: Differentiable>(ys: &[Y], xs: &[X]) -> Result<Vec<Option<Output>>> {
    gradients_with(ys, xs, &GradientOptions::default())
}

/// Works as [`gradients`], with options.
///
/// ```
/// use ops::{GradientOptions, UnconnectedGradients, array::constant, gradients_with, math::square};
/// let graph = session_core::Graph::new();
/// let (x, unused) = (constant(&graph, 3.0f32), constant(&graph, [1.0f32, 2.0]));
/// let options = GradientOptions::default().unconnected_gradients(UnconnectedGradients::Zero);
/// let found = gradients_with(&[square(&x)], &[x, unused], &options)?;
/// assert_eq!(found[1].as_ref().expect("zeros").shape().to_string(), "[2]");
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// As [`gradients`]; also a value error for options that do not fit `ys`, and, with [`UnconnectedGradients::Error`], one that names the
/// unconnected tensor.
#[track_caller]
pub fn gradients_with<Y: AsOutput, X: Differentiable>(
    ys: &[Y],
    xs: &[X],
    options: &GradientOptions,
) -> Result<Vec<Option<Output>>> {
    // A function that differentiates on behalf of a caller passes the caller's location.
    let location = match ys.first() {
        Some(y) => y.as_output().graph().location(),
        None => Location::caller(),
    };
    let ys: Vec<Output> = ys.iter().map(|y| y.as_output().clone()).collect();
    let xs: Vec<Output> = xs.iter().map(|x| x.origin().clone()).collect();
    let found = differentiate(&ys, &xs, options, location);
    found.map_err(|error| error.with_location(location).with_phase(Phase::Build))
}

thread_local! {
    /// The call of [`gradients`] that is at work on this thread, in bodies of functions as well.
    static CALL: RefCell<Option<Call>> = const { RefCell::new(None) };
}

/// A call of [`gradients`]: its scope, and the value of `source` that separates its gradient arrays from
/// those of other calls. `source` is chosen at the first array, because most calls need none.
struct Call {
    scope: Graph,
    source: Option<String>,
}

/// Ends a call of [`gradients`], however it ends.
struct Begun;

impl Begun {
    /// Begins a call in this scope, unless it is part of another one.
    fn within(scope: &Graph) -> Option<Begun> {
        CALL.with(|call| {
            // A call inside of another one, as from a custom gradient, belongs to the outer call: its arrays
            // share the outer `source`, and only the call that set the scope clears it.
            let mut call = call.borrow_mut();
            call.is_none().then(|| *call = Some(Call { scope: scope.clone(), source: None })).map(|()| Begun)
        })
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        // Dropping the last handle of a graph drops its closures, which must not
        // run while the cell is borrowed.
        let ended = CALL.with(|call| call.borrow_mut().take());
        drop(ended);
    }
}

/// The attribute `source` of arrays of gradients: one for each call of [`gradients`], as two calls must not add up.
///
/// `TensorArrayGradV3` with the same handle and `source` returns the same array, and writes into it add up.
/// Names that any operation of the graph or of its functions uses are therefore skipped.
pub(crate) fn source() -> String {
    let unique = |scope: &Graph| {
        let bodies = scope.functions().into_iter().map(|function| function.body().clone());
        let operations = bodies.chain([scope.outermost()]).flat_map(|graph| graph.operations());
        let taken: Vec<String> = operations
            .filter(|operation| operation.op_type().starts_with("TensorArrayGrad"))
            .filter_map(|operation| Some(operation.attr("source")?.as_str()?.to_owned()))
            .collect();
        let name = scope.scope_name().trim_end_matches('/').to_owned();
        let mut free = name.clone();
        let mut number = 0;
        while taken.contains(&free) {
            number += 1;
            free = format!("{name}_{number}");
        }
        free
    };
    CALL.with(|call| match call.borrow_mut().as_mut() {
        Some(call) => call.source.get_or_insert_with(|| unique(&call.scope)).clone(),
        None => "gradients".to_owned(),
    })
}

/// Checks the arguments, builds the gradients in a scope `gradients`, and returns one per
/// element of `xs`, as the caller of [`gradients`] sees them: outside of the scope, with
/// unconnected ones handled as the options say.
fn differentiate(
    ys: &[Output],
    xs: &[Output],
    options: &GradientOptions,
    location: &'static Location<'static>,
) -> Result<Vec<Option<Output>>> {
    check(ys, xs, options)?;
    let Some(first) = ys.first() else { return unconnected(xs, options) };
    // Gradients wait for nothing but their inputs.
    let outside = unnamed(&first.graph()).without_control_dependencies();
    let graph = first.graph().without_control_dependencies().composite("gradients").located_at(location);
    let _begun = Begun::within(&graph);
    let grads: Vec<Output> = ys
        .iter()
        .enumerate()
        .map(|(index, y)| {
            let given = options.grad_ys.get(index).cloned().flatten();
            given.map_or_else(|| ones(&graph, y, index), |grad| grad.within(&graph))
        })
        .collect();
    let found = flow_back(&graph, ys, grads, xs, options)?;
    let found = xs.iter().zip(found).map(|(x, grad)| match grad {
        Some(grad) => Ok(Some(grad.within(&outside))),
        None => missing(x, options),
    });
    found.collect()
}

/// Builds in `graph` the operations that compute the gradients of `xs` from those of `ys`.
fn flow_back(
    graph: &Graph,
    ys: &[Output],
    grads: Vec<Output>,
    xs: &[Output],
    options: &GradientOptions,
) -> Result<Vec<Option<Output>>> {
    // Must be set before anything is asked: gradient functions skip constants that nobody requested.
    let _asked = asked::Asked::for_all(xs);
    // Two passes over the graph: the first tells which loops and conditionals lie on the way, and the second
    // sees the functional operations that replaced them.
    let between = |graph: &Graph| Reach::find(graph, ys, xs, &options.stop_gradients).operations();
    frames::make_functional(graph, between)?;
    let reach = Reach::find(graph, ys, xs, &options.stop_gradients);
    reach.check(graph)?;
    let mut sums = Sums { graph: graph.clone(), parts: HashMap::new() };
    for (y, grad) in ys.iter().zip(grads) {
        sums.add(y.endpoint(), grad);
    }
    for operation in reach.backwards(graph) {
        propagate(&operation, graph, &reach, &mut sums, options)?;
    }
    let found: Vec<Option<Output>> = xs.iter().map(|x| sums.total(x.endpoint())).collect();
    // A gradient that is itself an invalid operation must fail here, or the caller
    // would only see it at `finalize`.
    match found.iter().flatten().find_map(|grad| grad.operation().error()) {
        Some(error) => Err(error.clone()),
        None => Ok(found),
    }
}

/// Checks `ys`, `xs` and the options before anything is added to the graph: no operation has a build
/// error, all belong to one graph, `ys` are floating or complex, and `grad_ys`, if there are any, match
/// `ys` in number, dtype and shape.
///
/// # Errors
/// The first build error found; a value error for another graph, a wrong number or a wrong shape; a
/// type error for a wrong dtype.
fn check(ys: &[Output], xs: &[Output], options: &GradientOptions) -> Result<()> {
    let graph = ys.first().map(Output::graph);
    for output in ys.iter().chain(xs).chain(&options.stop_gradients).chain(options.grad_ys.iter().flatten()) {
        if let Some(error) = output.operation().error() {
            return Err(error.clone());
        }
        if graph.as_ref().is_some_and(|graph| !output.is_in(graph)) {
            return Err(Error::value(format!("'{}' belongs to another graph", output.name())));
        }
    }
    if let Some(y) = ys.iter().find(|y| !carries_gradients(y.dtype())) {
        let text =
            format!("'{}' is {}: only floating and complex numbers have gradients", y.name(), y.dtype());
        return Err(Error::type_mismatch(text));
    }
    if !options.grad_ys.is_empty() && options.grad_ys.len() != ys.len() {
        return Err(Error::value(format!("{} grad_ys for {} ys", options.grad_ys.len(), ys.len())));
    }
    for (y, grad) in ys.iter().zip(options.grad_ys.iter().chain(std::iter::repeat(&None))) {
        check_grad(y, grad.as_ref())?;
    }
    Ok(())
}

/// Checks that an incoming gradient matches its result.
fn check_grad(y: &Output, grad: Option<&Output>) -> Result<()> {
    let Some(grad) = grad else {
        // Ones would choose one of many directions in the complex plane; TensorFlow demands the gradient too.
        if y.dtype().is_complex() {
            let text = format!("'{}' is complex: its gradient must be given in grad_ys", y.name());
            return Err(Error::type_mismatch(text));
        }
        return Ok(());
    };
    if grad.dtype() != y.dtype() {
        let text = format!(
            "the gradient '{}' of '{}' is {}, not {}",
            grad.name(),
            y.name(),
            grad.dtype(),
            y.dtype()
        );
        return Err(Error::type_mismatch(text));
    }
    if grad.shape().merge(y.shape()).is_none() {
        let text = format!(
            "the gradient '{}' of '{}' has shape {}, not {}",
            grad.name(),
            y.name(),
            grad.shape(),
            y.shape()
        );
        return Err(Error::value(text));
    }
    Ok(())
}

/// Returns true for floating and complex numbers, whose gradients are tensors of the same dtype.
fn carries_gradients(dtype: DType) -> bool {
    dtype.is_floating() || dtype.is_complex()
}

/// Returns true if gradients flow through a dtype: differentiable numbers, and the handles of variables.
///
/// A handle's gradient is a tensor of the variable's dtype and shape, a list's gradient another list.
fn passes_gradients(dtype: DType) -> bool {
    carries_gradients(dtype) || matches!(dtype, DType::Resource | DType::Variant)
}

/// Returns the default gradient of result number `index`: ones with the dtype and shape of `y`, computed at
/// run time where the static shape has gaps.
fn ones(graph: &Graph, y: &Output, index: usize) -> Output {
    let named = graph.named(&format!("grad_ys_{index}"));
    let one = constant(&named, scalar_tensor(y.dtype(), 1.0));
    // A scalar constant stays a constant, and others are a `Fill`, which
    // `broadcasting::spread_scalar` recognizes.
    if y.shape().rank() == Some(0) { one } else { fill(shape_of(&y.within(graph)), one) }
}

/// The gradients that reached each output, to be summed.
struct Sums {
    graph: Graph,
    parts: HashMap<Endpoint, Vec<Output>>,
}

impl Sums {
    fn add(&mut self, endpoint: Endpoint, grad: Output) {
        self.parts.entry(endpoint).or_default().push(grad);
    }

    /// Returns the sum of the gradients that reached an output so far. It is complete when all operations after it have
    /// been asked.
    ///
    /// The sum replaces its parts, so a second call returns the same operation instead of another `AddN`.
    fn total(&mut self, endpoint: Endpoint) -> Option<Output> {
        let parts = self.parts.get_mut(&endpoint)?;
        if parts.len() > 1 {
            let within: Vec<Output> = parts.iter().map(|part| part.within(&self.graph)).collect();
            *parts = vec![add_n(&within)];
        }
        parts.first().cloned()
    }
}

/// Asks one operation for the gradients of its inputs.
fn propagate(
    operation: &Operation,
    graph: &Graph,
    reach: &Reach,
    sums: &mut Sums,
    options: &GradientOptions,
) -> Result<()> {
    // Complete by now: `Reach::backwards` visits an operation after all its users.
    let totals: Vec<Option<Output>> =
        (0..operation.num_outputs()).map(|index| sums.total(operation.output(index).endpoint())).collect();
    if totals.iter().all(Option::is_none) {
        return Ok(());
    }
    // An operation whose type is the name of a function has no definition in the library, but its
    // function can be differentiated.
    let function: GradientFn = match overriding::rule(operation)? {
        Gradient::Zero => return Ok(()),
        Gradient::Function(function) => function,
        Gradient::Undefined if calls::is_named_call(operation) => calls::gradient,
        Gradient::Undefined => return Err(undefined(operation)),
    };
    let scope = graph.scope(&format!("{}_grad", operation.name()));
    // Gradient functions build in the scope of what they are given, so the scope is put on
    // gradients and operation alike.
    let grads: Vec<Option<Output>> = totals.iter().map(|grad| Some(grad.as_ref()?.within(&scope))).collect();
    let within = scope.operation_by_id(operation.id()).unwrap_or_else(|| operation.clone());
    let found = function(&within, &grads).map_err(|error| operation.place(error))?;
    check_found(operation, &found)?;
    let found = if options.gate_gradients { gated(found) } else { found };
    // A gradient function may return gradients that nobody asked for. They are dropped here: without
    // users, no plan computes them.
    for (input, grad) in operation.inputs().iter().zip(found) {
        if let Some(grad) = grad.filter(|_| reach.wants(input)) {
            sums.add(input.endpoint(), grad);
        }
    }
    Ok(())
}

/// Returns the error for an operation on the way whose type may have a gradient but defines none.
/// TensorFlow raises a `LookupError`.
fn undefined(operation: &Operation) -> Error {
    let text = format!(
        "no gradient is defined for the type of operation '{}' ({})",
        operation.name(),
        operation.op_type()
    );
    operation.place(Error::key(text))
}

/// Checks the result of a gradient function: one gradient per input, of its dtype and a compatible shape.
fn check_found(operation: &Operation, found: &[Option<Output>]) -> Result<()> {
    // A wrong gradient is a fault of the library, not of the model, hence `Internal`.
    let internal = |text: String| operation.place(Error::new(session_core::Code::Internal, text));
    if found.len() != operation.num_inputs() {
        let count = operation.num_inputs();
        return Err(internal(format!(
            "the gradient function gave {} gradients for {count} inputs",
            found.len()
        )));
    }
    for (index, (input, grad)) in operation.inputs().iter().zip(found).enumerate() {
        let Some(grad) = grad else { continue };
        if let Some(error) = grad.operation().error() {
            return Err(error.clone());
        }
        let fits = grad.dtype() == input.dtype() && grad.shape().merge(input.shape()).is_some();
        // Handles and lists are exempt: their gradients have the dtype and shape of what is behind them.
        if carries_gradients(input.dtype()) && !fits {
            let (wanted, wanted_shape) = (input.dtype(), input.shape());
            let (dtype, shape) = (grad.dtype(), grad.shape());
            let text =
                format!("the gradient of input {index} is {dtype} {shape}, not {wanted} {wanted_shape}");
            return Err(internal(text));
        }
    }
    Ok(())
}

/// Makes the gradients that exist wait for each other. A single one has nothing to wait
/// for and is returned as it is.
fn gated(grads: Vec<Option<Output>>) -> Vec<Option<Output>> {
    let some: Vec<Output> = grads.iter().flatten().cloned().collect();
    if some.len() < 2 {
        return grads;
    }
    let mut gated = tuple(&some, &[]).into_iter();
    grads.into_iter().map(|grad| grad.and_then(|_| gated.next())).collect()
}

/// Returns the result of a call without `ys`: nothing depends on any of `xs`.
fn unconnected(xs: &[Output], options: &GradientOptions) -> Result<Vec<Option<Output>>> {
    xs.iter().map(|x| missing(x, options)).collect()
}

/// Returns the gradient of an `x` on which no result depends, as [`UnconnectedGradients`] says.
fn missing(x: &Output, options: &GradientOptions) -> Result<Option<Output>> {
    match options.unconnected_gradients {
        UnconnectedGradients::None => Ok(None),
        UnconnectedGradients::Error => {
            let text =
                format!("there is no gradient: the results do not depend on '{}'", x.operation().name());
            Err(x.operation().place(Error::value(text)))
        }
        UnconnectedGradients::Zero => zeros_of(x).map(Some),
    }
}

/// Returns zeros for a tensor, or for the variable behind a handle.
///
/// # Errors
/// A value error for a handle whose operation does not state the variable's dtype and whole shape.
fn zeros_of(x: &Output) -> Result<Output> {
    if x.dtype() != DType::Resource {
        return Ok(zeros_like(x));
    }
    let dtype = x.operation().attr("dtype").and_then(AttrValue::as_type);
    let shape = x.operation().attr("shape").and_then(AttrValue::as_shape).and_then(|shape| shape.to_shape());
    let (Some(dtype), Some(shape)) = (dtype, shape) else {
        let text = format!("the shape of the variable '{}' is not known", x.operation().name());
        return Err(x.operation().place(Error::value(text)));
    };
    Ok(zeros(&x.graph(), dtype, shape))
}
