//! Operations that forward their input, with a check or without a gradient.

use super::constants::{pass_on, zeros_like};
use crate::library::op_defs;
use crate::shapes::{self, unchanged};
use session_core::{AsOutput, Error, OpDef, Operation, Output, PartialShape, Result, ShapeContext};

op_defs! {
    IDENTITY: OpDef::new("Identity", "input: T -> output: T").attrs("T: type").shape(unchanged).gradient(pass_on);
    IDENTITY_N: OpDef::new("IdentityN", "input: T -> output: T")
        .attrs("T: list(type) >= 1")
        .shape(shapes::unchanged_all)
        .gradient(identity_n_gradient);
    STOP_GRADIENT: OpDef::new("StopGradient", "input: T -> output: T")
        .attrs("T: type")
        .shape(unchanged)
        .not_differentiable();
    PREVENT_GRADIENT: OpDef::new("PreventGradient", "input: T -> output: T")
        .attrs("T: type, message: string = \"\"")
        .shape(unchanged)
        .gradient(prevent_gradient_gradient);
    SNAPSHOT: OpDef::new("Snapshot", "input: T -> output: T").attrs("T: type").shape(unchanged).gradient(pass_on);
    DEEP_COPY: OpDef::new("DeepCopy", "x: T -> y: T")
        .attrs("T: type")
        .stateful()
        .shape(unchanged)
        .gradient(pass_on);
    GUARANTEE_CONST: OpDef::new("GuaranteeConst", "input: T -> output: T")
        .attrs("T: type")
        .stateful()
        .shape(unchanged)
        .gradient(pass_on);
    ENSURE_SHAPE: OpDef::new("EnsureShape", "input: T -> output: T")
        .attrs("shape: shape, T: type")
        .shape(ensure_shape_shape)
        .gradient(pass_on);
    CHECK_NUMERICS: OpDef::new("CheckNumerics", "tensor: T -> output: T")
        .attrs("T: floattype, message: string")
        .stateful()
        .shape(unchanged)
        .gradient(check_numerics_gradient);
    CHECK_NUMERICS_V2: OpDef::new("CheckNumericsV2", "tensor: T -> output: T")
        .attrs("T: floattype, message: string")
        .stateful()
        .shape(unchanged)
        .gradient(check_numerics_gradient);
}

/// Infers the shape of the result.
fn ensure_shape_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = context.attr("shape").and_then(|shape| shape.as_shape()).cloned().unwrap_or_default();
    let merged = shapes::merge(&context.input(0), &shape)?;
    context.set(0, merged);
    Ok(())
}

/// Passes the gradients on. An output that nothing used has zeros next to one that has a gradient, as in TensorFlow.
fn identity_n_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    if grads.iter().all(Option::is_none) {
        return Ok(grads.to_vec());
    }
    let zeros = |output: &Output| {
        let dtype = output.dtype();
        (dtype.is_floating() || dtype.is_complex()).then(|| zeros_like(output))
    };
    let complete =
        |(index, grad): (usize, &Option<Output>)| grad.clone().or_else(|| zeros(&op.output(index)));
    Ok(grads.iter().enumerate().map(complete).collect())
}

/// Builds the gradient.
fn prevent_gradient_gradient(op: &Operation, _: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let message = op.attr("message").and_then(|message| message.as_str()).unwrap_or_default();
    Err(op.place(Error::key(format!("the gradient is explicitly prevented: {message}"))))
}

/// Builds the gradient.
fn check_numerics_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let message = op.attr("message").and_then(|message| message.as_str()).unwrap_or_default();
    let message = format!("not a number (NaN) or infinity (Inf) in the gradient: {message}");
    Ok(vec![grads[0].as_ref().map(|grad| check_numerics(grad, &message))])
}

/// Returns the same tensor, as the output of a separate operation: for a name, a device or control inputs.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(array::identity(&x).shape().to_string(), "[2,3]");
/// ```
#[must_use]
#[track_caller]
pub fn identity(input: impl AsOutput) -> Output {
    input.as_output().graph().op(&IDENTITY).input(input).finish_output()
}

/// Returns a tensor for which a function needs no operation. A name that was set for the result goes to an `Identity`, as
/// in TensorFlow; otherwise the next operation built on the handle would take it.
#[track_caller]
pub(crate) fn same_tensor(input: &Output) -> Output {
    if input.graph().pending_name().is_some() { identity(input) } else { input.clone() }
}

/// Returns the same tensors, all of which exist before any of the results does.
///
/// ```
/// # use ops::array::{self, constant};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let (a, b) = (constant(&graph, 1), constant(&graph, [2.0f32, 3.0]));
/// let both = array::identity_n(&[&a, &b]);
/// assert_eq!((both[0].dtype(), both[1].dtype()), (DType::Int32, DType::Float32));
/// ```
///
/// # Panics
/// When the list is empty: there is no graph to build in.
#[must_use]
#[track_caller]
pub fn identity_n<O: AsOutput>(inputs: &[O]) -> Vec<Output> {
    super::graph_of(inputs).op(&IDENTITY_N).input_list(inputs).finish().outputs()
}

/// Returns the same tensor, which counts as constant when gradients are taken.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(array::stop_gradient(&x).shape().to_string(), "[2,3]");
/// ```
#[must_use]
#[track_caller]
pub fn stop_gradient(input: impl AsOutput) -> Output {
    input.as_output().graph().op(&STOP_GRADIENT).input(input).finish_output()
}

/// Returns the same tensor. Taking a gradient through it is an error with this message.
///
/// ```
/// # use ops::array::{self, constant};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let w = ops::variables::variable(&graph.named("w"), 2.0f32);
/// let y = array::prevent_gradient(&w, "the table is not trained");
/// let error = ops::gradients(&[&y], &[&w]).unwrap_err();
/// assert!(error.message().contains("the table is not trained"));
/// ```
#[must_use]
#[track_caller]
pub fn prevent_gradient(input: impl AsOutput, message: &str) -> Output {
    let builder = input.as_output().graph().op(&PREVENT_GRADIENT);
    builder.input(input).attr("message", message).finish_output()
}

/// Returns the same tensor; running it fails when the shape does not fit. The shape of the result combines both.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(array::ensure_shape(&x, [None, Some(3)]).shape().to_string(), "[2,3]");
/// ```
#[must_use]
#[track_caller]
pub fn ensure_shape(input: impl AsOutput, shape: impl Into<PartialShape>) -> Output {
    let builder = input.as_output().graph().op(&ENSURE_SHAPE);
    builder.input(input).attr("shape", shape.into()).finish_output()
}

/// Returns the same tensor; running it fails with this message when an element is NaN or infinite.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(array::check_numerics(&x, "the loss diverged").shape().to_string(), "[2,3]");
/// ```
#[must_use]
#[track_caller]
pub fn check_numerics(tensor: impl AsOutput, message: &str) -> Output {
    let builder = tensor.as_output().graph().op(&CHECK_NUMERICS);
    builder.input(tensor).attr("message", message).finish_output()
}
