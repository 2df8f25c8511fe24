//! Functions of several numbers from statistics and geometry.

use super::binary::{add, mul, sub, xlog1py, xlogy};
use super::unary::{exp, lgamma, neg};
use crate::array::constants::scalar_like;
use crate::gradients::broadcasting::sum_to_input;
use crate::library::op_defs;
use crate::shapes::{self, broadcast};
use session_core::{AsOutput, Error, OpDef, Operation, Output, Result, ShapeContext};

op_defs! {
    CROSS: OpDef::new("Cross", "a: T, b: T -> product: T")
        .attrs("T: realnumbertype")
        .shape(cross_shape)
        .gradient(cross_gradient);
    IGAMMA: OpDef::new("Igamma", "a: T, x: T -> z: T")
        .attrs("T: floattype")
        .shape(broadcast)
        .gradient(igamma_gradient);
    IGAMMAC: OpDef::new("Igammac", "a: T, x: T -> z: T")
        .attrs("T: floattype")
        .shape(broadcast)
        .gradient(igammac_gradient);
    IGAMMA_GRAD_A: OpDef::new("IgammaGradA", "a: T, x: T -> z: T").attrs("T: {float, double}").shape(broadcast);
    ZETA: OpDef::new("Zeta", "x: T, q: T -> z: T")
        .attrs("T: {float, double}")
        .shape(broadcast)
        .gradient(zeta_gradient);
    BETAINC: OpDef::new("Betainc", "a: T, b: T, x: T -> z: T")
        .attrs("T: {float, double}")
        .shape(betainc_shape)
        .gradient(betainc_gradient);
}

fn cross_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    shapes::at_least_rank(context, 0, 1)?;
    let shape = shapes::same_inputs(context)?;
    if shape.dim_from_end(0).is_some_and(|size| size != 3) {
        return Err(Error::value(format!("the last axis must be of size 3, unlike shape {shape}")));
    }
    context.set(0, shape);
    Ok(())
}

/// Requires that all inputs that are not scalars have one shape.
fn betainc_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let mut shape = context.input(0);
    for index in 1..3 {
        let other = context.input(index);
        // TensorFlow's `Betainc` broadcasts scalars only.
        shape = match (shape.rank(), other.rank()) {
            (Some(0), _) => other,
            (_, Some(0)) => shape,
            _ => shapes::merge(&shape, &other)?,
        };
    }
    context.set(0, shape);
    Ok(())
}

fn cross_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None, None]) };
    // `d(a x b) = da x b + a x db`, and the triple product lets the factors rotate.
    Ok(vec![Some(cross(op.input(1), grad)), Some(cross(grad, op.input(0)))])
}

/// Returns the slope of the lower incomplete gamma function: `exp(-x + (a - 1) log(x) - lgamma(a))`.
fn gamma_density(a: &Output, x: &Output) -> Output {
    // `xlogy` makes the density at 0 right for `a = 1`, where `0 * log(0)` would be NaN.
    let power = xlogy(sub(a, scalar_like(a, 1.0)), x);
    exp(sub(sub(power, x), lgamma(a)))
}

fn igamma_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None, None]) };
    let (a, x) = (op.input(0), op.input(1));
    let by_a = grad.graph().op(&IGAMMA_GRAD_A).input(&a).input(&x).finish_output();
    let of_a = sum_to_input(&mul(grad, by_a), &a, &[&x]);
    Ok(vec![Some(of_a), Some(sum_to_input(&mul(grad, gamma_density(&a, &x)), &x, &[&a]))])
}

fn igammac_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    // `igammac` is 1 - `igamma`.
    let found = igamma_gradient(op, grads)?;
    Ok(found.into_iter().map(|grad| grad.map(neg)).collect())
}

/// Returns the gradient with respect to `q`; the exponent counts as constant.
fn zeta_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None, None]) };
    let (x, q) = (op.input(0), op.input(1));
    // The derivative of `zeta(x, q)` by `q` is `-x zeta(x + 1, q)`; by `x` TensorFlow has none.
    let next = add(&x, scalar_like(&x, 1.0));
    let slope = mul(neg(&x), zeta(next, &q));
    Ok(vec![None, Some(sum_to_input(&mul(grad, slope), &q, &[&x]))])
}

/// Returns the parameters count as constant; the slope is the density of the beta distribution.
fn betainc_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 3]) };
    let (a, b, x) = (op.input(0), op.input(1), op.input(2));
    let one = || scalar_like(&x, 1.0);
    // In logarithms: the gamma functions themselves overflow at arguments that are not large.
    let beta = sub(add(lgamma(&a), lgamma(&b)), lgamma(add(&a, &b)));
    // `xlogy` and `xlog1py` make the density right at the ends of the interval where `a` or `b` is 1.
    let toward_one = xlog1py(sub(&b, one()), neg(&x));
    let density = exp(sub(add(toward_one, xlogy(sub(&a, one()), &x)), beta));
    Ok(vec![None, None, Some(sum_to_input(&mul(grad, density), &x, &[&a, &b]))])
}

/// Returns the vector products of vectors of three numbers, which lie along the last axis.
///
/// ```
/// use ops::{array, math};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// let y = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(math::cross(&x, &y).shape().to_string(), "[2,3]");
/// ```
#[must_use]
#[track_caller]
pub fn cross(a: impl AsOutput, b: impl AsOutput) -> Output {
    a.as_output().graph().op(&CROSS).input(a).input(b).finish_output()
}

/// Returns the lower incomplete gamma function of `x`, divided by the gamma function of `a`.
///
/// ```
/// # use ops::{array::constant, math};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let (a, x) = (constant(&graph, [1.0f32]), constant(&graph, [1.0f32]));
/// let y = math::igamma(&a, &x); // [0.6321], 1 - exp(-1)
/// assert_eq!(y.shape().to_string(), "[1]");
/// ```
#[must_use]
#[track_caller]
pub fn igamma(a: impl AsOutput, x: impl AsOutput) -> Output {
    a.as_output().graph().op(&IGAMMA).input(a).input(x).finish_output()
}

/// Returns `1 - igamma(a, x)`, accurate where that is small.
///
/// ```
/// # use ops::{array::constant, math};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let (a, x) = (constant(&graph, [1.0f32]), constant(&graph, [1.0f32]));
/// let y = math::igammac(&a, &x); // [0.3679], exp(-1)
/// assert_eq!(y.shape().to_string(), "[1]");
/// ```
#[must_use]
#[track_caller]
pub fn igammac(a: impl AsOutput, x: impl AsOutput) -> Output {
    a.as_output().graph().op(&IGAMMAC).input(a).input(x).finish_output()
}

/// Returns the Hurwitz zeta function: the sum of `(q + n)` to the power of `-x` over `n` from 0.
///
/// ```
/// # use ops::{array::constant, math};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let (x, q) = (constant(&graph, [2.0f32]), constant(&graph, [1.0f32]));
/// let y = math::zeta(&x, &q); // [1.645], pi * pi / 6
/// assert_eq!(y.shape().to_string(), "[1]");
/// ```
#[must_use]
#[track_caller]
pub fn zeta(x: impl AsOutput, q: impl AsOutput) -> Output {
    x.as_output().graph().op(&ZETA).input(x).input(q).finish_output()
}

/// Returns the regularized incomplete beta function: the cumulative distribution of the beta distribution with parameters `a` and `b`
/// at `x`, which lies in [0, 1].
///
/// ```
/// # use ops::{array::constant, math};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let one = constant(&graph, [1.0f32]);
/// let y = math::betainc(&one, &one, constant(&graph, [0.25f32])); // [0.25]
/// assert_eq!(y.shape().to_string(), "[1]");
/// ```
#[must_use]
#[track_caller]
pub fn betainc(a: impl AsOutput, b: impl AsOutput, x: impl AsOutput) -> Output {
    a.as_output().graph().op(&BETAINC).input(a).input(b).input(x).finish_output()
}
