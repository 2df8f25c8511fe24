//! Dropout.

use crate::arguments::Ints;
use crate::array::constants::scalar_like;
use crate::array::identity::same_tensor;
use crate::composite::Composite;
use crate::gradients::broadcasting::shape_of;
use crate::math::binary::mul;
use crate::math::cast::cast;
use crate::math::compare::greater_equal;
use crate::random::random_uniform_unit;
use session_core::{AsOutput, Error, Output};

/// Sets elements to zero at random, with probability `rate`, independently in each run. The others are
/// divided by `1 - rate`, so that the expected sum is unchanged.
///
/// `seed` is an operation-level seed: without one, and without a seed of the graph, the numbers differ from
/// run to run. A rate of 0 returns the tensor itself; a rate outside of [0, 1) is a build error.
///
/// ```
/// use ops::{array, nn};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(nn::dropout(&x, 0.5, None).shape().to_string(), "[2,3]");
/// ```
#[must_use]
#[track_caller]
pub fn dropout(x: impl AsOutput, rate: f64, seed: Option<i64>) -> Output {
    dropout_with(x, rate, None, seed)
}

/// Works as [`dropout`], where the choices are made in this shape, which is broadcast: `[batch, 1, 1, channels]` keeps or
/// drops whole channels of images.
///
/// ```
/// # use ops::{array, nn};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let images = array::zeros(&graph, DType::Float32, [8, 32, 32, 3]);
/// let y = nn::dropout_with(&images, 0.5, Some([8, 1, 1, 3].into()), None);
/// assert_eq!(y.shape().to_string(), "[8,32,32,3]");
/// ```
#[must_use]
#[track_caller]
pub fn dropout_with(x: impl AsOutput, rate: f64, noise_shape: Option<Ints>, seed: Option<i64>) -> Output {
    let x = x.as_output();
    let problem = if !(0.0..1.0).contains(&rate) {
        Some(format!("a dropout rate must be in [0, 1), not {rate}"))
    } else if !x.dtype().is_floating() {
        Some(format!("dropout needs floating-point numbers, not {}", x.dtype()))
    } else {
        None
    };
    if let Some(problem) = problem {
        x.graph().add_error(Error::value(format!("dropout of '{}': {problem}", x.name())));
        return x.clone();
    }
    if rate == 0.0 {
        return same_tensor(x);
    }
    let scope = Composite::new(&x.graph(), "dropout");
    let x = scope.enter(x);
    let shape = noise_shape.unwrap_or_else(|| shape_of(&x));
    let chance = random_uniform_unit(scope.graph(), shape, x.dtype(), seed);
    let kept = cast(greater_equal(&chance, scalar_like(&chance, rate)), x.dtype());
    let scaled = mul(&x, scalar_like(&x, 1.0 / (1.0 - rate)));
    scope.leave(mul(scaled, kept))
}
