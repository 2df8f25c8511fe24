//! Limiting gradients.

use super::GradientAndVariable;
use crate::IndexedSlices;
use crate::array::{constant, identity, scalar_tensor, stack};
use crate::composite::Composite;
use crate::keep_dims;
use crate::math::{add, greater, maximum, minimum, mul, neg, real_div, reduce_sum, select, sqrt, sub};
use crate::nn::l2_loss;
use crate::scalar::Scalar;
use session_core::{AsOutput, Error, Graph, Output, Result};

pub use crate::math::clip_by_value;

/// Returns the square root of the sum of the squares of all elements of all tensors. `None` entries are skipped. Without any tensor it
/// returns `None`. Of gradients of lookups the elements of the [rows](IndexedSlices) count, before those of one index are added, as in
/// TensorFlow.
///
/// ```
/// # use ops::array::constant;
/// # let graph = session_core::Graph::new();
/// use ops::optimizers::global_norm;
/// let gradients = [Some(constant(&graph, [3.0f32])), None, Some(constant(&graph, [4.0f32]))];
/// let norm = global_norm(&gradients).expect("there is a tensor"); // 5.0
/// assert_eq!(norm.shape().to_string(), "[]");
/// ```
#[must_use]
#[track_caller]
pub fn global_norm(tensors: &[Option<Output>]) -> Option<Output> {
    let first = tensors.iter().flatten().next()?;
    let scope = Composite::new(&first.graph(), "global_norm");
    // `L2Loss` is half the sum of squares; TensorFlow computes the norm in this way,
    // and the names match its graphs.
    let numbers = |tensor: &Output| IndexedSlices::split(tensor).0;
    let halves: Vec<Output> =
        tensors.iter().flatten().map(|tensor| l2_loss(scope.enter(numbers(tensor)))).collect();
    let sum = reduce_sum(stack(&halves, 0), ..);
    let two = constant(scope.graph(), scalar_tensor(sum.dtype(), 2.0));
    let square = mul(sum, two);
    Some(scope.leave(sqrt(square.within(&scope.graph().named("global_norm")))))
}

/// Returns all tensors scaled down together so that their [`global_norm`] is at most `clip_norm`, and the norm they had.
/// If that is not finite, all of them become NaN. `None` entries stay; `None` without any tensor.
///
/// It is what [`Optimizer::global_clipnorm`](super::Optimizer::global_clipnorm) applies.
///
/// ```
/// # use ops::array::constant;
/// # let graph = session_core::Graph::new();
/// use ops::optimizers::clip_by_global_norm;
/// let gradients = [Some(constant(&graph, [3.0f32])), None, Some(constant(&graph, [4.0f32]))];
/// let (clipped, norm) = clip_by_global_norm(&gradients, 1.0).expect("there is a tensor"); // [0.6], None, [0.8]; 5.0
/// assert!(clipped[1].is_none());
/// # let _ = norm;
/// ```
#[must_use]
#[track_caller]
pub fn clip_by_global_norm(
    tensors: &[Option<Output>],
    clip_norm: impl Into<Scalar>,
) -> Option<(Vec<Option<Output>>, Output)> {
    let norm = global_norm(tensors)?;
    let first = tensors.iter().flatten().next()?;
    let scope = Composite::new(&first.graph(), "clip_by_global_norm");
    let (inner, dtype) = (scope.graph(), norm.dtype());
    let limit = clip_norm.into().to_output(&inner.named("clip_norm"), dtype);
    let one = constant(inner, scalar_tensor(dtype, 1.0));
    let inside = scope.enter(&norm);
    // `limit * min(1 / norm, 1 / limit)`: for a norm of 0 the first is infinite and the second is
    // taken, so nothing divides 0 by 0.
    let smaller = minimum(real_div(scope.enter(&one), &inside), real_div(&one, &limit));
    // Infinite or NaN minus itself is NaN, so that a broken gradient shows.
    let factor = add(mul(scope.enter(limit), smaller), sub(&inside, &inside));
    let mut clipped = Vec::with_capacity(tensors.len());
    // A loop and no closure, so that the operations record the caller.
    for (index, tensor) in tensors.iter().enumerate() {
        let Some(tensor) = tensor else {
            clipped.push(None);
            continue;
        };
        let (numbers, rows) = IndexedSlices::split(tensor);
        let scaled = mul(scope.enter(numbers), &factor);
        let named = inner.named(&format!("clip_by_global_norm/_{index}"));
        let scaled = scope.leave(identity(scaled.within(&named)));
        clipped.push(Some(IndexedSlices::joined(scaled, rows)));
    }
    Some((clipped, scope.leave(inside)))
}

/// Returns the tensor, scaled down so that its Euclidean norm is at most `clip_norm`. The norm of the gradient of a lookup is that of
/// its [rows](IndexedSlices), as in TensorFlow.
///
/// ```
/// # use ops::array::constant;
/// # let graph = session_core::Graph::new();
/// use ops::optimizers::clip_by_norm;
/// let clipped = clip_by_norm(constant(&graph, [3.0f32, 4.0]), 1.0); // [0.6, 0.8]
/// assert_eq!(clipped.shape().to_string(), "[2]");
/// ```
#[must_use]
#[track_caller]
pub fn clip_by_norm(tensor: impl AsOutput, clip_norm: impl Into<Scalar>) -> Output {
    let (tensor, rows) = IndexedSlices::split(tensor.as_output());
    let scope = Composite::new(&tensor.graph(), "clip_by_norm");
    let (inner, dtype) = (scope.graph(), tensor.dtype());
    let limit = clip_norm.into().to_output(&inner.named("clip_norm"), dtype);
    let tensor = scope.enter(tensor);
    let square = reduce_sum(mul(&tensor, &tensor), keep_dims(..));
    // The root of zero has an infinite gradient, so one is taken in its place.
    let positive = greater(&square, constant(inner, scalar_tensor(dtype, 0.0)));
    let one = constant(inner, scalar_tensor(dtype, 1.0));
    let norm = select(&positive, sqrt(select(&positive, &square, one)), &square);
    // Multiplied before it is divided, as in TensorFlow, so results agree to the last bit.
    let clipped = real_div(mul(&tensor, &limit), maximum(norm, &limit));
    IndexedSlices::joined(scope.leave(identity(scope.enter_last(clipped))), rows)
}

/// The limit that an optimizer puts on the gradients it is given.
#[derive(Clone, Debug)]
pub(super) enum Clipping {
    /// A limit of each number.
    Value(Scalar),
    /// A limit of the norm of each gradient.
    Norm(Scalar),
    /// A limit of the norm of all gradients together.
    GlobalNorm(Scalar),
}

impl Clipping {
    /// Returns the name of the setter and its number.
    fn limit(&self) -> (&'static str, &Scalar) {
        match self {
            Clipping::Value(limit) => ("clipvalue", limit),
            Clipping::Norm(limit) => ("clipnorm", limit),
            Clipping::GlobalNorm(limit) => ("global_clipnorm", limit),
        }
    }

    /// Returns the limited gradients, built in the graph.
    ///
    /// # Errors
    /// A value error for more than one limit, or one that is not positive.
    #[track_caller]
    pub(super) fn apply(
        limits: &[Clipping],
        graph: &Graph,
        gradients: &[GradientAndVariable],
    ) -> Result<Vec<GradientAndVariable>> {
        let [clipping] = limits else {
            let names: Vec<&str> = limits.iter().map(|limit| limit.limit().0).collect();
            return match limits {
                [] => Ok(gradients.to_vec()),
                _ => Err(Error::value(format!("an optimizer has one limit of its gradients, not {names:?}"))),
            };
        };
        let (name, limit) = clipping.limit();
        if let Scalar::Number(number) = limit
            && (number.is_nan() || *number <= 0.0)
        {
            return Err(Error::value(format!("{name} is {number}, but must be positive")));
        }
        let inside = gradients.iter().map(|(gradient, _)| Some(gradient.as_ref()?.within(graph)));
        let inside: Vec<Option<Output>> = inside.collect();
        let clipped = match clipping {
            Clipping::Value(limit) => inside
                .iter()
                .map(|gradient| {
                    let gradient = gradient.as_ref()?;
                    let high = limit.to_output(&graph.named("clipvalue"), gradient.dtype());
                    let high = high.within(graph);
                    let (numbers, rows) = IndexedSlices::split(gradient);
                    Some(IndexedSlices::joined(clip_by_value(numbers, neg(&high), &high), rows))
                })
                .collect(),
            Clipping::Norm(limit) => {
                let clip = |gradient: &Option<Output>| Some(clip_by_norm(gradient.as_ref()?, limit.clone()));
                inside.iter().map(clip).collect()
            }
            Clipping::GlobalNorm(limit) => match clip_by_global_norm(&inside, limit.clone()) {
                Some((clipped, _)) => clipped,
                None => inside,
            },
        };
        Ok(clipped
            .into_iter()
            .zip(gradients)
            .map(|(gradient, (_, variable))| (gradient, variable.clone()))
            .collect())
    }
}
