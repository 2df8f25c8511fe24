//! Activation functions.

use crate::array::constants::{scalar_like, zeros_like};
use crate::composite::Composite;
use crate::keep_dims;
use crate::library::op_defs;
use crate::math::binary::{add, mul, real_div, sub};
use crate::math::compare::less;
use crate::math::reduce::reduce_sum;
use crate::math::select::select;
use crate::math::unary::{exp, neg, sigmoid};
use crate::shapes::{self, unchanged};
use session_core::{AsOutput, AttrValue, GradientFn, OpDef, Operation, Output, Result, ShapeContext};

const REAL: &str = "T: realnumbertype";
const FLOAT: &str = "T: floattype";

const fn activation(name: &'static str, attrs: &'static str, gradient: GradientFn) -> OpDef {
    OpDef::new(name, "features: T -> activations: T").attrs(attrs).shape(unchanged).gradient(gradient)
}

/// Defines an op that computes the gradient of the argument from the gradient of an activation and its argument.
const fn by_argument(name: &'static str, attrs: &'static str) -> OpDef {
    OpDef::new(name, "gradients: T, features: T -> backprops: T").attrs(attrs).shape(shapes::same)
}

/// Defines an op that computes the gradient of the argument from the gradient of an activation and its value.
const fn by_value(name: &'static str) -> OpDef {
    OpDef::new(name, "gradients: T, outputs: T -> backprops: T").attrs(FLOAT).shape(shapes::same)
}

op_defs! {
    RELU: activation(
        "Relu",
        "T: {float, double, int32, uint8, int16, int8, int64, bfloat16, uint16, half, uint32, uint64, qint8}",
        relu_gradient,
    );
    RELU_GRAD: by_argument("ReluGrad", REAL).gradient(relu_grad_gradient);
    RELU6: activation("Relu6", REAL, relu6_gradient);
    RELU6_GRAD: by_argument("Relu6Grad", REAL).gradient(relu6_grad_gradient);
    LEAKY_RELU: activation(
        "LeakyRelu",
        "alpha: float = 0.2, T: {half, bfloat16, float, double} = float",
        leaky_relu_gradient,
    );
    LEAKY_RELU_GRAD: by_argument("LeakyReluGrad", "alpha: float = 0.2, T: {half, bfloat16, float, double} = float")
        .gradient(leaky_relu_grad_gradient);
    ELU: activation("Elu", FLOAT, elu_gradient);
    ELU_GRAD: by_value("EluGrad").gradient(elu_grad_gradient);
    SELU: activation("Selu", FLOAT, selu_gradient);
    SELU_GRAD: by_value("SeluGrad").gradient(selu_grad_gradient);
    SOFTPLUS: activation("Softplus", FLOAT, softplus_gradient);
    SOFTPLUS_GRAD: by_argument("SoftplusGrad", FLOAT).gradient(softplus_grad_gradient);
    SOFTSIGN: activation("Softsign", FLOAT, softsign_gradient);
    SOFTSIGN_GRAD: by_argument("SoftsignGrad", FLOAT);
    SOFTMAX: OpDef::new("Softmax", "logits: T -> softmax: T")
        .attrs(FLOAT)
        .shape(softmax_shape)
        .gradient(softmax_gradient);
    LOG_SOFTMAX: OpDef::new("LogSoftmax", "logits: T -> logsoftmax: T")
        .attrs(FLOAT)
        .shape(softmax_shape)
        .gradient(log_softmax_gradient);
}

fn softmax_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = shapes::at_least_rank(context, 0, 1)?;
    context.set(0, shape);
    Ok(())
}

fn one(grads: &[Option<Output>], formula: impl FnOnce(&Output) -> Output) -> Result<Vec<Option<Output>>> {
    Ok(vec![grads[0].as_ref().map(formula)])
}

/// Builds a gradient operation, which takes the gradient first and then what it needs of the forward pass.
fn backward(def: &'static OpDef, grad: &Output, features: &Output) -> Output {
    grad.graph().op(def).input(grad).input(features).finish_output()
}

// Relu and its kin keep the result, not the argument: it tells as much, and the argument's memory is free.

fn relu_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    one(grads, |grad| backward(&RELU_GRAD, grad, &op.output(0)))
}

fn relu6_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    one(grads, |grad| backward(&RELU6_GRAD, grad, &op.output(0)))
}

fn elu_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    one(grads, |grad| backward(&ELU_GRAD, grad, &op.output(0)))
}

fn selu_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    one(grads, |grad| backward(&SELU_GRAD, grad, &op.output(0)))
}

fn softplus_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    one(grads, |grad| backward(&SOFTPLUS_GRAD, grad, &op.input(0)))
}

fn softsign_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    one(grads, |grad| backward(&SOFTSIGN_GRAD, grad, &op.input(0)))
}

/// Works as [`backward`] for `LeakyRelu`, with the slope of the operation.
fn leaky(op: &Operation, grad: &Output, features: &Output) -> Output {
    let alpha = op.attr("alpha").and_then(AttrValue::as_float).unwrap_or(0.2);
    let builder = grad.graph().op(&LEAKY_RELU_GRAD).input(grad).input(features);
    builder.attr("alpha", alpha).finish_output()
}

fn leaky_relu_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    // The argument rather than the result, since a negative slope would change its sign.
    one(grads, |grad| leaky(op, grad, &op.input(0)))
}

/// Gradients of functions that are linear in the gradients and piecewise constant in the features.
fn piecewise(
    op: &Operation,
    grads: &[Option<Output>],
    formula: impl FnOnce(&Output, &Output) -> Output,
) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None, None]) };
    let features = op.input(1);
    // The gradient is linear in `grad` with a slope that does not depend on the
    // features, except at single points.
    Ok(vec![Some(formula(grad, &features)), Some(zeros_like(&features))])
}

fn relu_grad_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    piecewise(op, grads, |grad, features| backward(&RELU_GRAD, grad, features))
}

fn relu6_grad_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    piecewise(op, grads, |grad, features| backward(&RELU6_GRAD, grad, features))
}

fn leaky_relu_grad_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    piecewise(op, grads, |grad, features| leaky(op, grad, features))
}

/// Gradients of functions that are linear in both below zero, and do not depend on the value above.
fn linear_below_zero(
    op: &Operation,
    grads: &[Option<Output>],
    def: &'static OpDef,
) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None, None]) };
    let (inner, value) = (op.input(0), op.input(1));
    let zero = scalar_like(&value, 0.0);
    // For negative values the gradient is `grad * (value + constant)`, so its
    // derivative by the value is `grad`.
    let of_value = select(less(&value, &zero), mul(grad, inner), &zero);
    Ok(vec![Some(backward(def, grad, &value)), Some(of_value)])
}

fn elu_grad_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    linear_below_zero(op, grads, &ELU_GRAD)
}

fn selu_grad_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    linear_below_zero(op, grads, &SELU_GRAD)
}

/// Returns the second derivative of softplus. Its derivative is the sigmoid, whose derivative is `1 / (exp(-x) + 2 + exp(x))`.
fn softplus_grad_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None, None]) };
    let (inner, x) = (op.input(0), op.input(1));
    // The derivative of the logistic function, `1 / (exp(-x) + 2 + exp(x))`, without a product
    // that could become 0 * infinity.
    let slope = add(add(exp(neg(&x)), scalar_like(&x, 2.0)), exp(&x));
    let of_x = real_div(mul(grad, inner), slope);
    Ok(vec![Some(backward(&SOFTPLUS_GRAD, grad, &x)), Some(of_x)])
}

fn softmax_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    one(grads, |grad| {
        // The Jacobian `diag(s) - s s^T` times the gradient, without building it.
        let softmax = op.output(0);
        let mean = reduce_sum(mul(grad, &softmax), keep_dims(-1));
        mul(sub(grad, mean), softmax)
    })
}

fn log_softmax_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    one(grads, |grad| {
        // From the result, so the exponentials do not overflow.
        let softmax = exp(op.output(0));
        sub(grad, mul(reduce_sum(grad, keep_dims(-1)), softmax))
    })
}

macro_rules! activations {
    ($($(#[$doc:meta])* $name:ident => $def:ident;)*) => {$(
        $(#[$doc])*
        #[must_use]
        #[track_caller]
        pub fn $name(features: impl AsOutput) -> Output {
            features.as_output().graph().op(&$def).input(features).finish_output()
        }
    )*};
}

activations! {
    /// Returns `max(x, 0)`.
    ///
    /// ```
    /// # use ops::{array, nn};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = nn::relu(array::constant(&graph, [-1.0f32, 0.5, 8.0])); // [0.0, 0.5, 8.0]
    /// assert_eq!(y.shape().to_string(), "[3]");
    /// ```
    relu => RELU;
    /// Returns `min(max(x, 0), 6)`.
    ///
    /// ```
    /// # use ops::{array, nn};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = nn::relu6(array::constant(&graph, [-1.0f32, 0.5, 8.0])); // [0.0, 0.5, 6.0]
    /// assert_eq!(y.shape().to_string(), "[3]");
    /// ```
    relu6 => RELU6;
    /// Returns `x` for positive `x`, and `exp(x) - 1` otherwise.
    ///
    /// ```
    /// # use ops::{array, nn};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = nn::elu(array::constant(&graph, [-1.0f32, 0.5, 8.0])); // [-0.6321, 0.5, 8.0]
    /// assert_eq!(y.shape().to_string(), "[3]");
    /// ```
    elu => ELU;
    /// Returns the scaled `elu` that preserves mean 0 and variance 1 across layers.
    ///
    /// ```
    /// # use ops::{array, nn};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = nn::selu(array::constant(&graph, [-1.0f32, 0.5, 8.0])); // [-1.111, 0.5254, 8.406]
    /// assert_eq!(y.shape().to_string(), "[3]");
    /// ```
    selu => SELU;
    /// Returns `log(1 + exp(x))`.
    ///
    /// ```
    /// # use ops::{array, nn};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = nn::softplus(array::constant(&graph, [-1.0f32, 0.5, 8.0])); // [0.3133, 0.9741, 8.0]
    /// assert_eq!(y.shape().to_string(), "[3]");
    /// ```
    softplus => SOFTPLUS;
    /// Returns `x / (1 + |x|)`.
    ///
    /// ```
    /// # use ops::{array, nn};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = nn::softsign(array::constant(&graph, [-1.0f32, 0.5, 8.0])); // [-0.5, 0.3333, 0.8889]
    /// assert_eq!(y.shape().to_string(), "[3]");
    /// ```
    softsign => SOFTSIGN;
    /// Returns the exponentials along the last axis, divided by their sum.
    ///
    /// ```
    /// # use ops::{array, nn};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = nn::softmax(array::constant(&graph, [1.0f32, 2.0, 3.0])); // [0.09003, 0.2447, 0.6652]
    /// assert_eq!(y.shape().to_string(), "[3]");
    /// ```
    softmax => SOFTMAX;
    /// Returns the logarithm of `softmax`, without loss of precision.
    ///
    /// ```
    /// # use ops::{array, nn};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = nn::log_softmax(array::constant(&graph, [1.0f32, 2.0, 3.0])); // [-2.408, -1.408, -0.4076]
    /// assert_eq!(y.shape().to_string(), "[3]");
    /// ```
    log_softmax => LOG_SOFTMAX;
}

/// Returns `x` for positive `x`, and `alpha * x` otherwise.
///
/// ```
/// use ops::{array, nn};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(nn::leaky_relu(&x, 0.2).shape().to_string(), "[2,3]");
/// ```
#[must_use]
#[track_caller]
pub fn leaky_relu(features: impl AsOutput, alpha: f32) -> Output {
    let builder = features.as_output().graph().op(&LEAKY_RELU).input(features);
    builder.attr("alpha", alpha).finish_output()
}

/// Returns `x * sigmoid(x)`.
///
/// ```
/// use ops::{array, nn};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(nn::swish(&x).shape().to_string(), "[2,3]");
/// ```
#[must_use]
#[track_caller]
pub fn swish(features: impl AsOutput) -> Output {
    let scope = Composite::new(&features.as_output().graph(), "swish");
    let x = scope.enter(features);
    scope.leave(mul(&x, sigmoid(&x)))
}
