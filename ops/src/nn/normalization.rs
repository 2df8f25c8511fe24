//! Norms, moments, and bringing tensors to a scale.

use crate::arguments::{Axes, ReductionAxes, keep_dims};
use crate::array::constants::scalar_like;
use crate::array::identity::stop_gradient;
use crate::array::shaping::squeeze;
use crate::composite::Composite;
use crate::library::op_defs;
use crate::math::binary::{add, maximum, mul, squared_difference, sub};
use crate::math::cast::cast;
use crate::math::reduce::{reduce_mean, reduce_sum};
use crate::math::unary::{rsqrt, square};
use crate::shapes;
use session_core::{AsOutput, OpDef, Operation, Output, Result};
use tensor::DType;

op_defs! {
    L2_LOSS: OpDef::new("L2Loss", "t: T -> output: T")
        .attrs("T: floattype")
        .shape(shapes::scalar)
        .gradient(l2_loss_gradient);
}

fn l2_loss_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    // The loss is half the sum of squares, so the gradient is the tensor itself.
    Ok(vec![grads[0].as_ref().map(|grad| mul(op.input(0), grad))])
}

/// Returns half the sum of squares.
///
/// ```
/// use ops::{array, nn};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(nn::l2_loss(&x).shape().to_string(), "[]");
/// ```
#[must_use]
#[track_caller]
pub fn l2_loss(t: impl AsOutput) -> Output {
    t.as_output().graph().op(&L2_LOSS).input(t).finish_output()
}

/// Divides by the square root of the sum of squares over axes, which is at least `epsilon`.
///
/// ```
/// use ops::{array, nn};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(nn::l2_normalize(&x, 1, 1e-12).shape().to_string(), "[2,3]");
/// ```
#[must_use]
#[track_caller]
pub fn l2_normalize(x: impl AsOutput, axes: impl Into<Axes>, epsilon: f64) -> Output {
    let scope = Composite::new(&x.as_output().graph(), "l2_normalize");
    let x = scope.enter(x);
    let sum = reduce_sum(square(&x), keep_dims(axes));
    // The maximum rather than a sum: a vector whose squared norm exceeds epsilon is normalized exactly.
    let norm = rsqrt(maximum(&sum, scalar_like(&sum, epsilon)));
    scope.leave(mul(x.within(&scope.graph().named_as_scope()), norm))
}

/// Returns the mean and variance over axes, which are removed unless they are given as
/// [`keep_dims(axes)`](crate::keep_dims). 16-bit floats are accumulated in 32 bits.
///
/// ```
/// use ops::{array, nn};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(nn::moments(&x, 0).0.shape().to_string(), "[3]");
/// ```
#[must_use]
#[track_caller]
pub fn moments(x: impl AsOutput, axes: impl Into<ReductionAxes>) -> (Output, Output) {
    let ReductionAxes { axes, keep_dims: kept } = axes.into();
    let scope = Composite::new(&x.as_output().graph(), "moments");
    let x = scope.enter(x);
    // 16 bits do not hold a mean of squares; TensorFlow computes moments in `float32` too.
    let narrow = matches!(x.dtype(), DType::Float16 | DType::BFloat16);
    let wide = if narrow { cast(&x, DType::Float32) } else { x.clone() };
    let mean = reduce_mean(wide.named("mean"), keep_dims(axes.clone()));
    // The mean's own gradient through the variance is zero.
    let spread = squared_difference(&wide, stop_gradient(&mean));
    let variance = reduce_mean(spread.named("variance"), keep_dims(axes.clone()));
    let finish = |moment: Output| {
        let moment = if kept { moment } else { without_axes(&moment, &axes) };
        scope.leave(cast(moment, x.dtype()))
    };
    (finish(mean), finish(variance))
}

/// Removes axes of size 1.
fn without_axes(moment: &Output, axes: &Axes) -> Output {
    let known = axes.clone().into_ints(moment.shape()).and_then(|axes| axes.known());
    match known {
        Some(axes) if axes.is_empty() => moment.clone(),
        Some(axes) => squeeze(moment, axes),
        // Nothing but the axes has size 1 by chance here: the mean over them alone removes them.
        None => reduce_mean(moment, axes.clone()),
    }
}

/// Returns `(x - mean) / sqrt(variance + epsilon) * scale + offset`, with broadcasting.
///
/// [`layers::batch_normalization`](crate::layers::batch_normalization) also has the variables and the running moments.
///
/// ```
/// # use ops::{array, nn};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [32, 10]);
/// let (mean, variance) = nn::moments(&x, 0);
/// let y = nn::batch_normalization(&x, &mean, &variance, None, None, 0.001);
/// assert_eq!(y.shape().to_string(), "[32,10]");
/// ```
#[must_use]
#[track_caller]
pub fn batch_normalization(
    x: impl AsOutput,
    mean: impl AsOutput,
    variance: impl AsOutput,
    offset: Option<&Output>,
    scale: Option<&Output>,
    epsilon: f64,
) -> Output {
    let scope = Composite::new(&x.as_output().graph(), "batchnorm");
    let (x, mean, variance) = (scope.enter(x), scope.enter(mean), scope.enter(variance));
    let inverse = rsqrt(add(&variance, scalar_like(&variance, epsilon)));
    // Two vectors per channel first, so each element costs one product and one sum.
    let factor = scale.map_or_else(|| inverse.clone(), |scale| mul(&inverse, scale));
    let shift = mul(&mean, &factor);
    let constant = match offset {
        Some(offset) => sub(scope.enter(offset), shift),
        None => crate::math::unary::neg(shift),
    };
    scope.leave(add(mul(x, factor), constant))
}
