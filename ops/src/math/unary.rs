//! Functions of one tensor, element by element.

use super::binary::{add, div_no_nan, mul, real_div, sub};
use crate::array::constants::{scalar_like, zeros_like};
use crate::gradients::broadcasting::{scaled, sum_to_input};
use crate::library::op_defs;
use crate::shapes::{self, unchanged};
use session_core::{AsOutput, GradientFn, OpDef, Operation, Output, Result};
use std::f64::consts::PI;
use tensor::DType;

const INEXACT: &str = "T: inexacttype";
pub(super) const FLOAT: &str = "T: floattype";
const SIGNED: &str = "T: {bfloat16, half, float, double, int8, int16, int32, int64, complex64, complex128}";

pub(super) const fn smooth(name: &'static str, attrs: &'static str, gradient: GradientFn) -> OpDef {
    OpDef::new(name, "x: T -> y: T").attrs(attrs).shape(unchanged).gradient(gradient)
}

/// Returns a step function: it passes no gradient on.
const fn step(name: &'static str, attrs: &'static str) -> OpDef {
    OpDef::new(name, "x: T -> y: T").attrs(attrs).shape(unchanged).not_differentiable()
}

/// Defines an op that computes the gradient of the argument of a function from `y`, the value of the function, and `dy`, its gradient.
const fn backward(name: &'static str, gradient: GradientFn) -> OpDef {
    OpDef::new(name, "y: T, dy: T -> z: T").attrs(INEXACT).shape(shapes::same).gradient(gradient)
}

const fn test(name: &'static str) -> OpDef {
    OpDef::new(name, "x: T -> y: bool").attrs(FLOAT).shape(unchanged).not_differentiable()
}

op_defs! {
    NEG: smooth("Neg", SIGNED, neg_gradient);
    ABS: smooth("Abs", "T: {bfloat16, half, float, double, int8, int16, int32, int64}", abs_gradient);
    SIGN: smooth("Sign", SIGNED, sign_gradient);
    SQUARE: smooth(
        "Square",
        "T: {bfloat16, half, float, double, int8, int16, int32, int64, uint8, uint16, uint32, uint64, complex64, complex128}",
        square_gradient,
    );
    SQRT: smooth("Sqrt", INEXACT, sqrt_gradient);
    RSQRT: smooth("Rsqrt", INEXACT, rsqrt_gradient);
    RECIPROCAL: smooth("Reciprocal", SIGNED, reciprocal_gradient);
    // `Inv` is the name of `Reciprocal` in TensorFlow's first releases, and `InvGrad` that of its gradient.
    INV: smooth("Inv", SIGNED, reciprocal_gradient);
    EXP: smooth("Exp", INEXACT, exp_gradient);
    EXPM1: smooth("Expm1", INEXACT, expm1_gradient);
    LOG: smooth("Log", INEXACT, log_gradient);
    LOG1P: smooth("Log1p", INEXACT, log1p_gradient);
    SIN: smooth("Sin", INEXACT, sin_gradient);
    COS: smooth("Cos", INEXACT, cos_gradient);
    TAN: smooth("Tan", INEXACT, tan_gradient);
    ASIN: smooth("Asin", INEXACT, asin_gradient);
    ACOS: smooth("Acos", INEXACT, acos_gradient);
    ATAN: smooth("Atan", INEXACT, atan_gradient);
    SINH: smooth("Sinh", INEXACT, sinh_gradient);
    COSH: smooth("Cosh", INEXACT, cosh_gradient);
    TANH: smooth("Tanh", INEXACT, tanh_gradient);
    ASINH: smooth("Asinh", INEXACT, asinh_gradient);
    ACOSH: smooth("Acosh", INEXACT, acosh_gradient);
    ATANH: smooth("Atanh", INEXACT, atanh_gradient);
    SIGMOID: smooth("Sigmoid", INEXACT, sigmoid_gradient);
    ERF: smooth("Erf", FLOAT, erf_gradient);
    ERFC: smooth("Erfc", FLOAT, erfc_gradient);
    ERFINV: smooth("Erfinv", FLOAT, erfinv_gradient);
    NDTRI: smooth("Ndtri", FLOAT, ndtri_gradient);
    LGAMMA: smooth("Lgamma", FLOAT, lgamma_gradient);
    DIGAMMA: smooth("Digamma", FLOAT, digamma_gradient);
    POLYGAMMA: OpDef::new("Polygamma", "a: T, x: T -> z: T")
        .attrs("T: {float, double}")
        .shape(shapes::broadcast)
        .gradient(polygamma_gradient);

    TANH_GRAD: backward("TanhGrad", tanh_grad_gradient);
    SIGMOID_GRAD: backward("SigmoidGrad", sigmoid_grad_gradient);
    SQRT_GRAD: backward("SqrtGrad", sqrt_grad_gradient);
    RSQRT_GRAD: backward("RsqrtGrad", rsqrt_grad_gradient);
    RECIPROCAL_GRAD: backward("ReciprocalGrad", reciprocal_grad_gradient);
    INV_GRAD: backward("InvGrad", reciprocal_grad_gradient);

    FLOOR: step("Floor", FLOAT);
    CEIL: step("Ceil", FLOAT);
    ROUND: step("Round", SIGNED);
    RINT: step("Rint", FLOAT);
    IS_NAN: test("IsNan");
    IS_INF: test("IsInf");
    IS_FINITE: test("IsFinite");

    REAL: OpDef::new("Real", "input: T -> output: Tout").attrs(PARTS).shape(unchanged).gradient(real_gradient);
    IMAG: OpDef::new("Imag", "input: T -> output: Tout").attrs(PARTS).shape(unchanged).gradient(imag_gradient);
    ANGLE: OpDef::new("Angle", "input: T -> output: Tout").attrs(PARTS).shape(unchanged).gradient(angle_gradient);
    COMPLEX_ABS: OpDef::new("ComplexAbs", "x: T -> y: Tout")
        .attrs(PARTS)
        .shape(unchanged)
        .gradient(complex_abs_gradient);
    CONJ: OpDef::new("Conj", "input: T -> output: T")
        .attrs("T: {complex64, complex128, variant} = complex64")
        .shape(unchanged)
        .gradient(conj_gradient);
    COMPLEX: OpDef::new("Complex", "real: T, imag: T -> out: Tout")
        .attrs("T: {float, double} = float, Tout: {complex64, complex128} = complex64")
        .shape(shapes::broadcast)
        .gradient(complex_gradient);
}

const PARTS: &str = "T: {complex64, complex128} = complex64, Tout: {float, double} = float";

/// Returns the complex conjugate, or the tensor itself when it is real.
#[track_caller]
pub(crate) fn conj_of(x: &Output) -> Output {
    // Gradients of complex numbers are conjugated, as in TensorFlow: the gradient points in the
    // direction of steepest ascent.
    if x.dtype().is_complex() { conj(x) } else { x.clone() }
}

/// Returns the gradient of the one input, from that of the result.
fn one(grads: &[Option<Output>], formula: impl FnOnce(&Output) -> Output) -> Result<Vec<Option<Output>>> {
    Ok(vec![grads[0].as_ref().map(formula)])
}

/// Returns the gradient of the one input: that of the result times a slope, which is computed from the input.
pub(super) fn by_slope(
    op: &Operation,
    grads: &[Option<Output>],
    slope: impl FnOnce(&Output) -> Output,
) -> Result<Vec<Option<Output>>> {
    one(grads, |grad| scaled(grad, &slope(&conj_of(&op.input(0)))))
}

/// Returns the gradient of the one input: that of the result times a slope, which is computed from the result.
fn by_result(
    op: &Operation,
    grads: &[Option<Output>],
    slope: impl FnOnce(&Output) -> Output,
) -> Result<Vec<Option<Output>>> {
    one(grads, |grad| scaled(grad, &slope(&conj_of(&op.output(0)))))
}

/// Returns the gradient by one of the operations made for it, from the result and its gradient.
fn by_op(op: &Operation, grads: &[Option<Output>], def: &'static OpDef) -> Result<Vec<Option<Output>>> {
    one(grads, |grad| grad.graph().op(def).input(op.output(0)).input(grad).finish_output())
}

fn neg_gradient(_: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    one(grads, |grad| neg(grad))
}

fn abs_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_slope(op, grads, |x| sign(x))
}

fn sign_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    // Zeros rather than none, as in TensorFlow: `sign` has a gradient, which is zero.
    one(grads, |_| zeros_like(op.input(0)))
}

fn square_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_slope(op, grads, |x| mul(x, scalar_like(x, 2.0)))
}

fn sqrt_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_op(op, grads, &SQRT_GRAD)
}

fn rsqrt_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_op(op, grads, &RSQRT_GRAD)
}

fn reciprocal_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_op(op, grads, &RECIPROCAL_GRAD)
}

fn exp_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    // The result is its own derivative and need not be computed again.
    by_result(op, grads, Output::clone)
}

fn expm1_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_slope(op, grads, |x| exp(x))
}

fn log_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_slope(op, grads, |x| reciprocal(x))
}

fn log1p_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_slope(op, grads, |x| reciprocal(add(x, scalar_like(x, 1.0))))
}

fn sin_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_slope(op, grads, |x| cos(x))
}

fn cos_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_slope(op, grads, |x| neg(sin(x)))
}

fn tan_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    // `1 / cos^2` instead of `1 + tan^2`, as TensorFlow computes it.
    by_slope(op, grads, |x| square(reciprocal(cos(x))))
}

/// `1 / sqrt(1 - x * x)`.
fn arc_slope(x: &Output) -> Output {
    reciprocal(sqrt(sub(scalar_like(x, 1.0), square(x))))
}

fn asin_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_slope(op, grads, arc_slope)
}

fn acos_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_slope(op, grads, |x| neg(arc_slope(x)))
}

fn atan_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_slope(op, grads, |x| reciprocal(add(square(x), scalar_like(x, 1.0))))
}

fn sinh_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_slope(op, grads, |x| cosh(x))
}

fn cosh_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_slope(op, grads, |x| sinh(x))
}

/// Works as [`by_op`] for operations that do not conjugate the result themselves.
fn by_conjugating_op(
    op: &Operation,
    grads: &[Option<Output>],
    def: &'static OpDef,
) -> Result<Vec<Option<Output>>> {
    one(grads, |grad| grad.graph().op(def).input(conj_of(&op.output(0))).input(grad).finish_output())
}

fn tanh_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_conjugating_op(op, grads, &TANH_GRAD)
}

fn asinh_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    // From the result: `cosh(asinh(x))` is `sqrt(x^2 + 1)` without a square that overflows.
    by_result(op, grads, |y| reciprocal(cosh(y)))
}

fn acosh_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    // `sinh(acosh(x))` is `sqrt(x^2 - 1)`, without the cancellation near 1.
    by_result(op, grads, |y| reciprocal(sinh(y)))
}

fn atanh_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_slope(op, grads, |x| reciprocal(sub(scalar_like(x, 1.0), square(x))))
}

fn sigmoid_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_conjugating_op(op, grads, &SIGMOID_GRAD)
}

/// `factor * exp(-x * x)`.
fn bell(x: &Output, factor: f64) -> Output {
    mul(exp(neg(square(x))), scalar_like(x, factor))
}

fn erf_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    // The derivative of erf is `2 / sqrt(pi) * exp(-x^2)`.
    by_slope(op, grads, |x| bell(x, 2.0 / PI.sqrt()))
}

fn erfc_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_slope(op, grads, |x| bell(x, -2.0 / PI.sqrt()))
}

fn erfinv_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    // With `y = erfinv(x)`, the derivative is `sqrt(pi) / 2 * exp(y^2)`: the reciprocal of erf's at `y`.
    by_result(op, grads, |y| mul(exp(square(y)), scalar_like(y, PI.sqrt() / 2.0)))
}

fn ndtri_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    // The reciprocal of the normal density at the result.
    by_result(op, grads, |y| {
        let half = mul(square(y), scalar_like(y, 0.5));
        mul(exp(half), scalar_like(y, (2.0 * PI).sqrt()))
    })
}

fn lgamma_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_slope(op, grads, |x| digamma(x))
}

fn digamma_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    by_slope(op, grads, |x| polygamma(scalar_like(x, 1.0), x))
}

fn polygamma_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None, None]) };
    let (order, x) = (op.input(0), op.input(1));
    let slope = polygamma(add(&order, scalar_like(&order, 1.0)), &x);
    // The order counts as constant.
    Ok(vec![None, Some(sum_to_input(&mul(grad, slope), &x, &[&order]))])
}

// Gradients of gradients. In each, `y` is the function's value and `dy` was the gradient that came in.

/// Returns the inputs and the incoming gradient of a gradient operation: `(grad, y, dy)`.
fn second(
    op: &Operation,
    grads: &[Option<Output>],
    formulas: impl FnOnce(&Output, &Output, &Output) -> (Output, Output),
) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None, None]) };
    let (of_y, of_dy) = formulas(grad, &conj_of(&op.input(0)), &conj_of(&op.input(1)));
    Ok(vec![Some(of_y), Some(of_dy)])
}

/// Applies the same gradient operation to the new gradient: it is linear in `dy`.
fn again(def: &'static OpDef, y: &Output, grad: &Output) -> Output {
    grad.graph().op(def).input(y).input(grad).finish_output()
}

fn tanh_grad_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    second(op, grads, |grad, y, dy| {
        // `TanhGrad` is `dy (1 - y^2)`, so the derivative by `y` is `-2 y dy`.
        (mul(mul(mul(grad, scalar_like(y, -2.0)), dy), y), again(&TANH_GRAD, y, grad))
    })
}

fn sigmoid_grad_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    second(op, grads, |grad, y, dy| {
        // `SigmoidGrad` is `dy y (1 - y)`, so the derivative by `y` is `dy (1 - 2 y)`.
        let both = mul(grad, dy);
        (sub(&both, mul(mul(&both, scalar_like(y, 2.0)), y)), again(&SIGMOID_GRAD, y, grad))
    })
}

/// Builds the gradient of `0.5 * dy / conj(y)`. It depends on the conjugate of `y`, and so conjugates the gradient that comes in.
fn sqrt_grad_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None, None]) };
    // `SqrtGrad` is `dy / (2 y)`: its derivative by `dy` is `1 / (2 y)`, and that by
    // `y` the result times `-1 / y`.
    let part = real_div(grad, op.input(0));
    let of_y = neg(mul(conj_of(&part), op.output(0)));
    Ok(vec![Some(of_y), Some(mul(&part, scalar_like(&part, 0.5)))])
}

/// Builds the gradient of `-0.5 * dy * conj(y)^3`.
fn rsqrt_grad_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    second(op, grads, |grad, y, _| {
        // `RsqrtGrad` is `-dy y^3 / 2`, so the derivative by `y` is `-3/2 dy y^2`.
        let of_y = mul(mul(mul(conj_of(grad), scalar_like(y, -1.5)), op.input(1)), square(y));
        (of_y, again(&RSQRT_GRAD, y, grad))
    })
}

/// Builds the gradient of `-dy * conj(y)^2`.
fn reciprocal_grad_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    second(op, grads, |grad, y, _| {
        // `ReciprocalGrad` is `-dy y^2`, so the derivative by `y` is `-2 dy y`.
        let of_y = mul(mul(mul(conj_of(grad), op.input(1)), scalar_like(y, -2.0)), y);
        (of_y, again(&RECIPROCAL_GRAD, y, grad))
    })
}

fn real_gradient(_: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    one(grads, |grad| complex(grad, scalar_like(grad, 0.0)))
}

fn imag_gradient(_: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    one(grads, |grad| complex(scalar_like(grad, 0.0), grad))
}

fn angle_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    one(grads, |grad| {
        let x = op.input(0);
        // `-1 / (im + i re)` is `i conj(1 / x)`, the direction in which the angle grows.
        let turned = reciprocal(complex(imag(&x), real(&x)));
        neg(mul(complex(grad, scalar_like(grad, 0.0)), turned))
    })
}

/// Builds the gradient `x / |x|`, not the sign, whose own gradient is zero.
fn complex_abs_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    one(grads, |grad| {
        let zero = || scalar_like(grad, 0.0);
        // `x / |x|`, and 0 at 0, where there is no direction.
        div_no_nan(mul(complex(grad, zero()), op.input(0)), complex(op.output(0), zero()))
    })
}

fn conj_gradient(_: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    one(grads, |grad| conj(grad))
}

fn complex_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None, None]) };
    let (re, im) = (op.input(0), op.input(1));
    let (of_re, of_im) = (real(grad), imag(grad));
    Ok(vec![Some(sum_to_input(&of_re, &re, &[&im])), Some(sum_to_input(&of_im, &im, &[&re]))])
}

macro_rules! unary_functions {
    ($($(#[$doc:meta])* $name:ident => $def:ident;)*) => {$(
        $(#[$doc])*
        #[must_use]
        #[track_caller]
        pub fn $name(x: impl AsOutput) -> Output {
            x.as_output().graph().op(&$def).input(x).finish_output()
        }
    )*};
}
pub(super) use unary_functions;

unary_functions! {
    /// Negates: `-x`.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::neg(constant(&graph, [1.0f32, -2.0])); // [-1, 2]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    neg => NEG;
    /// Returns the sign: -1, 0, or 1. For a complex number, the number divided by its magnitude.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::sign(constant(&graph, [-3.0f32, 0.0, 2.0])); // [-1.0, 0.0, 1.0]
    /// assert_eq!(y.shape().to_string(), "[3]");
    /// ```
    sign => SIGN;
    /// Squares: `x * x`.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::square(constant(&graph, [1.0f32, -2.0, 3.0])); // [1, 4, 9]
    /// assert_eq!(y.shape().to_string(), "[3]");
    /// ```
    square => SQUARE;
    /// Returns the square root. NaN for negative numbers.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::sqrt(constant(&graph, [4.0f32, 2.0, 0.0])); // [2.0, 1.414, 0.0]
    /// assert_eq!(y.shape().to_string(), "[3]");
    /// ```
    sqrt => SQRT;
    /// Returns the reciprocal of the square root.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::rsqrt(constant(&graph, [4.0f32, 2.0])); // [0.5, 0.7071]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    rsqrt => RSQRT;
    /// Returns the reciprocal.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::reciprocal(constant(&graph, [4.0f32, -2.0])); // [0.25, -0.5]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    reciprocal => RECIPROCAL;
    /// Returns e to the power of `x`.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::exp(constant(&graph, [0.0f32, 1.0, -1.0])); // [1.0, 2.718, 0.3679]
    /// assert_eq!(y.shape().to_string(), "[3]");
    /// ```
    exp => EXP;
    /// Returns `exp(x) - 1`, accurate for small `x`.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::expm1(constant(&graph, [0.0f32, 1e-06])); // [0.0, 1e-06]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    expm1 => EXPM1;
    /// Returns the natural logarithm. NaN for negative numbers.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::log(constant(&graph, [1.0f32, 10.0])); // [0.0, 2.303]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    log => LOG;
    /// Returns `log(1 + x)`, accurate for small `x`.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::log1p(constant(&graph, [0.0f32, 1e-06])); // [0.0, 1e-06]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    log1p => LOG1P;
    /// Returns the sine of an angle in radians.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::sin(constant(&graph, [0.0f32, 1.0])); // [0.0, 0.8415]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    sin => SIN;
    /// Returns the cosine of an angle in radians.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::cos(constant(&graph, [0.0f32, 1.0])); // [1.0, 0.5403]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    cos => COS;
    /// Returns the tangent of an angle in radians.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::tan(constant(&graph, [0.0f32, 1.0])); // [0.0, 1.557]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    tan => TAN;
    /// Returns the inverse sine.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::asin(constant(&graph, [0.0f32, 1.0])); // [0.0, 1.571]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    asin => ASIN;
    /// Returns the inverse cosine.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::acos(constant(&graph, [0.0f32, 1.0])); // [1.571, 0.0]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    acos => ACOS;
    /// Returns the inverse tangent.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::atan(constant(&graph, [0.0f32, 1.0])); // [0.0, 0.7854]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    atan => ATAN;
    /// Returns the hyperbolic sine.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::sinh(constant(&graph, [0.0f32, 1.0])); // [0.0, 1.175]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    sinh => SINH;
    /// Returns the hyperbolic cosine.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::cosh(constant(&graph, [0.0f32, 1.0])); // [1.0, 1.543]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    cosh => COSH;
    /// Returns the hyperbolic tangent.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::tanh(constant(&graph, [0.0f32, 1.0, -5.0])); // [0.0, 0.7616, -0.9999]
    /// assert_eq!(y.shape().to_string(), "[3]");
    /// ```
    tanh => TANH;
    /// Returns the inverse hyperbolic sine.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::asinh(constant(&graph, [0.0f32, 1.0])); // [0.0, 0.8814]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    asinh => ASINH;
    /// Returns the inverse hyperbolic cosine.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::acosh(constant(&graph, [1.0f32, 2.0])); // [0.0, 1.317]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    acosh => ACOSH;
    /// Returns the inverse hyperbolic tangent.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::atanh(constant(&graph, [0.0f32, 0.5])); // [0.0, 0.5493]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    atanh => ATANH;
    /// Returns the logistic function, `1 / (1 + exp(-x))`.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::sigmoid(constant(&graph, [0.0f32, 2.0, -2.0])); // [0.5, 0.8808, 0.1192]
    /// assert_eq!(y.shape().to_string(), "[3]");
    /// ```
    sigmoid => SIGMOID;
    /// Returns the error function.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::erf(constant(&graph, [0.0f32, 1.0])); // [0.0, 0.8427]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    erf => ERF;
    /// Returns `1 - erf(x)`, accurate for large `x`.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::erfc(constant(&graph, [0.0f32, 3.0])); // [1.0, 2.209e-05]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    erfc => ERFC;
    /// Returns the inverse error function.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::erfinv(constant(&graph, [0.0f32, 0.5])); // [0.0, 0.4769]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    erfinv => ERFINV;
    /// Returns the quantile function of the standard normal distribution.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::ndtri(constant(&graph, [0.5f32, 0.975])); // [0.0, 1.96]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    ndtri => NDTRI;
    /// Returns the logarithm of the absolute value of the gamma function.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::lgamma(constant(&graph, [1.0f32, 5.0])); // [0.0, 3.178]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    lgamma => LGAMMA;
    /// Returns the derivative of `lgamma`.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::digamma(constant(&graph, [1.0f32, 5.0])); // [-0.5772, 1.506]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    digamma => DIGAMMA;
    /// Rounds toward negative infinity.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::floor(constant(&graph, [1.5f32, -1.5])); // [1.0, -2.0]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    floor => FLOOR;
    /// Rounds toward positive infinity.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::ceil(constant(&graph, [1.5f32, -1.5])); // [2.0, -1.0]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    ceil => CEIL;
    /// Rounds to the nearest integer, ties to even.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::round(constant(&graph, [0.5f32, 1.5, -2.6])); // [0.0, 2.0, -3.0]
    /// assert_eq!(y.shape().to_string(), "[3]");
    /// ```
    round => ROUND;
    /// Rounds to the nearest integer, ties to even.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::rint(constant(&graph, [0.5f32, 1.5, -2.6])); // [0.0, 2.0, -3.0]
    /// assert_eq!(y.shape().to_string(), "[3]");
    /// ```
    rint => RINT;
    /// Returns true for elements that are NaN.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::is_nan(constant(&graph, [1.0f32, f32::NAN])); // [0.0, true]
    /// assert_eq!(y.dtype(), DType::Bool);
    /// ```
    is_nan => IS_NAN;
    /// Returns true for infinite elements.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::is_inf(constant(&graph, [1.0f32, f32::INFINITY])); // [0.0, true]
    /// assert_eq!(y.dtype(), DType::Bool);
    /// ```
    is_inf => IS_INF;
    /// Returns true for elements that are neither NaN nor infinite.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let y = math::is_finite(constant(&graph, [1.0f32, f32::INFINITY, f32::NAN])); // [true, 0.0, 0.0]
    /// assert_eq!(y.dtype(), DType::Bool);
    /// ```
    is_finite => IS_FINITE;
    /// Returns the complex conjugate.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let z = math::complex(constant(&graph, [3.0f32]), constant(&graph, [4.0f32]));
    /// assert_eq!(math::conj(&z).dtype(), DType::Complex64); // [3.0 - 4.0i]
    /// ```
    conj => CONJ;
}

/// Returns the dtype of the parts of complex numbers.
fn part_dtype(dtype: DType) -> DType {
    if dtype == DType::Complex128 { DType::Float64 } else { DType::Float32 }
}

#[track_caller]
fn part(def: &'static OpDef, x: &Output) -> Output {
    x.graph().op(def).input(x).attr("Tout", part_dtype(x.dtype())).finish_output()
}

/// Returns the absolute value, which is real also for complex numbers.
///
/// ```
/// use ops::{array, math};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(math::abs(&x).shape().to_string(), "[2,3]");
/// ```
#[must_use]
#[track_caller]
pub fn abs(x: impl AsOutput) -> Output {
    let x = x.as_output();
    if x.dtype().is_complex() { part(&COMPLEX_ABS, x) } else { x.graph().op(&ABS).input(x).finish_output() }
}

/// Returns the real part of complex numbers; real numbers are returned as they are.
///
/// ```
/// # use ops::{array::constant, math};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let z = math::complex(constant(&graph, [3.0f32]), constant(&graph, [4.0f32]));
/// assert_eq!(math::real(&z).dtype(), DType::Float32); // [3.0]
/// ```
#[must_use]
#[track_caller]
pub fn real(x: impl AsOutput) -> Output {
    let x = x.as_output();
    if x.dtype().is_complex() { part(&REAL, x) } else { x.clone() }
}

/// Returns the imaginary part of complex numbers.
///
/// ```
/// # use ops::{array::constant, math};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let z = math::complex(constant(&graph, [3.0f32]), constant(&graph, [4.0f32]));
/// assert_eq!(math::imag(&z).dtype(), DType::Float32); // [4.0]
/// ```
#[must_use]
#[track_caller]
pub fn imag(x: impl AsOutput) -> Output {
    part(&IMAG, x.as_output())
}

/// Returns the angle of complex numbers in the plane, between -pi and pi.
///
/// ```
/// # use ops::{array::constant, math};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let i = math::complex(constant(&graph, [0.0f32]), constant(&graph, [1.0f32]));
/// assert_eq!(math::angle(&i).dtype(), DType::Float32); // [1.571]
/// ```
#[must_use]
#[track_caller]
pub fn angle(x: impl AsOutput) -> Output {
    part(&ANGLE, x.as_output())
}

/// Returns complex numbers from their parts, which are broadcast.
///
/// ```
/// use ops::{array, math};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2]);
/// let y = array::zeros(&graph, DType::Float32, [2]);
/// assert_eq!(math::complex(&x, &y).shape().to_string(), "[2]");
/// ```
#[must_use]
#[track_caller]
pub fn complex(real: impl AsOutput, imag: impl AsOutput) -> Output {
    let dtype = real.as_output().dtype();
    let whole = if dtype == DType::Float64 { DType::Complex128 } else { DType::Complex64 };
    let builder = real.as_output().graph().op(&COMPLEX).input(real).input(imag);
    builder.attr("Tout", whole).finish_output()
}

/// Returns the derivative of order `a` of `digamma`, at `x`; both floating, of one dtype.
///
/// ```
/// # use ops::{array::constant, math};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let order = constant(&graph, 1.0f64);
/// let y = math::polygamma(&order, constant(&graph, [1.0f64])); // [1.645], pi * pi / 6
/// assert_eq!(y.shape().to_string(), "[1]");
/// ```
#[must_use]
#[track_caller]
pub fn polygamma(a: impl AsOutput, x: impl AsOutput) -> Output {
    a.as_output().graph().op(&POLYGAMMA).input(a).input(x).finish_output()
}
