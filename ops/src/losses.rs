//! Losses: scalars that measure the distance between predictions and labels.
//!
//! Each function takes labels first, then predictions or logits, and returns the mean over all elements, which joins the collection
//! `losses`. The variants that end with `_with` take weights, the reduction, and the collection as [`LossOptions`].
//!
//! ```
//! use ops::{array::placeholder, losses};
//! use session_core::{DType, Graph};
//!
//! let graph = Graph::new();
//! let labels = placeholder(&graph.named("labels"), DType::Int64, [None]);
//! let logits = placeholder(&graph.named("logits"), DType::Float32, [None, Some(10)]);
//! let loss = losses::sparse_softmax_cross_entropy(&labels, &logits);
//! assert_eq!(losses::losses(&graph), [loss]);
//! # graph.finalize()?;
//! # Ok::<(), session_core::Error>(())
//! ```
//!
//! # Choosing a loss
//!
//! | task | labels | predictions | loss |
//! | --- | --- | --- | --- |
//! | one of several classes | class numbers `[batch]` | logits `[batch, classes]` | [`sparse_softmax_cross_entropy`] |
//! | one of several classes | probabilities `[batch, classes]` | logits `[batch, classes]` | [`softmax_cross_entropy`] |
//! | independent yes or no | 0 and 1, of the shape of the logits | logits | [`sigmoid_cross_entropy`] |
//! | regression | numbers | numbers of the same shape | [`mean_squared_error`], [`huber_loss`], [`absolute_difference`] |
//!
//! Logits are the outputs of the last layer *before* softmax or sigmoid: the losses apply it themselves, in a form that does not
//! overflow.
//!
//! # Errors
//!
//! Labels and predictions of incompatible shapes are build errors, as are weights that do not fit the losses: where only a step can tell, it fails. The
//! mean over an empty batch, or over weights that are all 0, is 0.
//!
//! Computed in the dtype of the predictions or logits. TensorFlow's `tf.losses` computes in
//! `float32` also for `float64` inputs.

use crate::array::constants::number;
use crate::array::{
    concat, constant, expand_dims, ones_like, scalar_tensor, shape, size, slice, squeeze, zeros_like,
};
use crate::composite::Composite;
use crate::control_flow::{assert_true, checked};
use crate::math::{
    abs, add, add_n, cast, div_no_nan, equal, log, logical_and, logical_or, minimum, mul, neg, not_equal,
    real_div, reduce_all, reduce_sum, squared_difference, sub,
};
use crate::nn::{
    relu, sigmoid_cross_entropy_with_logits, softmax_cross_entropy_with_logits,
    sparse_softmax_cross_entropy_with_logits,
};
use crate::regularizers::{Regularizer, l1_regularizer, l2_regularizer};
use session_core::keys::{LOSSES, REGULARIZATION_LOSSES};
use session_core::{AsOutput, CollectionKey, DType, Error, Graph, Operation, Output, PartialShape};

/// The reduction of the losses of all elements to one number.
///
/// ```
/// use ops::array::placeholder;
/// use ops::losses::{LossOptions, Reduction, mean_squared_error_with};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = placeholder(&graph, DType::Float32, [None, Some(3)]);
/// let y = placeholder(&graph, DType::Float32, [None, Some(3)]);
/// let each = mean_squared_error_with(&y, &x, &LossOptions::default().reduction(Reduction::None));
/// assert_eq!(each.shape().to_string(), "[?,3]");
/// # graph.finalize().unwrap();
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reduction {
    /// No reduction: the result has the shape of the losses.
    None,
    /// The weighted sum.
    Sum,
    /// The weighted sum divided by the sum of the weights.
    Mean,
    /// The weighted sum divided by the number of elements.
    SumOverBatchSize,
    /// The weighted sum divided by the number of elements whose weight is not zero.
    #[default]
    SumByNonzeroWeights,
}

/// Options of a loss: weights, reduction, and collection.
///
/// ```
/// use ops::losses::{LossOptions, Reduction};
/// # let graph = session_core::Graph::new();
/// let weights = ops::array::constant(&graph, [1.0f32, 0.0, 2.0]);
/// let options = LossOptions::default().weights(&weights).reduction(Reduction::Mean);
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
pub struct LossOptions {
    /// `None` for no weights, which saves the product; the divisor is then the number of elements.
    weights: Option<Output>,
    reduction: Reduction,
    collection: Option<CollectionKey<Output>>,
    /// A share from 0 to 1. Only cross entropies against probabilities read it.
    label_smoothing: f64,
}

impl Default for LossOptions {
    /// No weights, [`Reduction::SumByNonzeroWeights`], the collection `losses`, no smoothing.
    fn default() -> LossOptions {
        LossOptions {
            weights: None,
            reduction: Reduction::default(),
            collection: Some(LOSSES),
            label_smoothing: 0.0,
        }
    }
}

impl LossOptions {
    /// Sets the weights of the losses of elements, which are broadcast to their shape. A weight of 0 excludes an element. Default: 1 for each.
    ///
    /// ```
    /// use ops::losses::LossOptions;
    /// # let graph = session_core::Graph::new();
    /// let options = LossOptions::default().weights(ops::array::constant(&graph, [1.0f32, 0.0]));
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn weights(mut self, weights: impl AsOutput) -> Self {
        self.weights = Some(weights.as_output().clone());
        self
    }

    /// Sets the reduction of the losses of all elements to one. Default: [`Reduction::SumByNonzeroWeights`].
    ///
    /// ```
    /// use ops::losses::{LossOptions, Reduction};
    /// let options = LossOptions::default().reduction(Reduction::Sum);
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// Sets the collection that the loss joins; `None` for none. Default: `losses`.
    ///
    /// ```
    /// use ops::losses::LossOptions;
    /// let options = LossOptions::default().collection(None);
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn collection(mut self, collection: Option<CollectionKey<Output>>) -> Self {
        self.collection = collection;
        self
    }

    /// Sets the label smoothing of cross entropies: the share of the labels' probability that is spread evenly over all classes.
    /// Default: 0.
    ///
    /// ```
    /// use ops::losses::LossOptions;
    /// let options = LossOptions::default().label_smoothing(0.1);
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn label_smoothing(mut self, label_smoothing: f64) -> Self {
        self.label_smoothing = label_smoothing;
        self
    }
}

/// Weights and reduces the losses of elements, for a loss of your own. The result joins the collection of the options.
///
/// ```
/// # use ops::{array::constant, losses::{self, LossOptions}};
/// # let graph = session_core::Graph::new();
/// let each = constant(&graph, [1.0f32, 3.0, 5.0]);
/// let options = LossOptions::default().weights(constant(&graph, [1.0f32, 1.0, 0.0]));
/// let loss = losses::compute_weighted_loss(&each, &options); // 2.0
/// assert_eq!(graph.collection(&session_core::keys::LOSSES), [loss]);
/// ```
#[must_use]
#[track_caller]
pub fn compute_weighted_loss(losses: impl AsOutput, options: &LossOptions) -> Output {
    let losses = losses.as_output();
    let scope = Composite::new(&losses.graph(), "weighted_loss");
    reduced(&scope, scope.enter(losses), options)
}

/// Weights the losses of elements, reduces them, and adds the result to the collection of the options.
/// `losses` has any shape; weights must broadcast to it.
fn reduced(scope: &Composite, losses: Output, options: &LossOptions) -> Output {
    let (dtype, inner) = (losses.dtype(), scope.graph());
    let weights = options.weights.as_ref().map(|weights| match weights.dtype() == dtype {
        true => scope.enter(weights),
        false => cast(scope.enter(weights), dtype),
    });
    let mut losses = losses;
    if let Some(weights) = &weights {
        match fits(weights.shape(), losses.shape()) {
            Some(true) => {}
            Some(false) => {
                let (weights, losses) = (weights.shape(), losses.shape());
                let text = format!("weights of shape {weights} for losses of shape {losses}");
                inner.add_error(Error::value(text));
            }
            None => losses = checked(&losses, &assert_fits(inner, weights, &losses)),
        }
    }
    let weighted = match &weights {
        Some(weights) => mul(&losses, weights),
        None => losses.clone(),
    };
    let value = |output: &Output| output.within(&inner.named("value"));
    let loss = match options.reduction {
        Reduction::None => crate::array::identity(value(&weighted)),
        Reduction::Sum => reduce_sum(value(&weighted), ..),
        Reduction::Mean | Reduction::SumOverBatchSize | Reduction::SumByNonzeroWeights => {
            // Division by zero gives 0: a batch of padding alone has no loss, and must
            // not turn the model into NaN.
            let sum = reduce_sum(&weighted, ..);
            let count = divisor(&losses, weights.as_ref(), options.reduction);
            div_no_nan(value(&sum), count)
        }
    };
    let loss = scope.leave(loss);
    // An invalid loss would make every later sum over the collection invalid, which hides the first error.
    if let Some(key) = &options.collection
        && loss.operation().error().is_none()
        && let Err(error) = inner.add_to_collection(key, loss.clone())
    {
        inner.add_error(error);
    }
    loss
}

/// Returns whether weights fit losses, or `None` if only a step can tell. They are a scalar, or have as many axes, each of size 1
/// or of that of the losses. Broadcasting alone would also accept weights for which each loss counts several times.
fn fits(weights: &PartialShape, losses: &PartialShape) -> Option<bool> {
    let weights = weights.sizes()?;
    if weights.is_empty() {
        return Some(true);
    }
    let losses = losses.sizes()?;
    // An unknown size is -1.
    let axis_fits = |(&weight, &loss): (&i64, &i64)| match (weight, loss) {
        (1, _) => Some(true),
        (-1, _) | (_, -1) => None,
        (weight, loss) => Some(weight == loss),
    };
    let axes: Vec<Option<bool>> = weights.iter().zip(losses).map(axis_fits).collect();
    if weights.len() != losses.len() || axes.contains(&Some(false)) {
        return Some(false);
    }
    axes.iter().all(Option::is_some).then_some(true)
}

/// Returns an operation that fails unless weights fit losses in the step; see [`fits`].
fn assert_fits(graph: &Graph, weights: &Output, losses: &Output) -> Operation {
    // TensorFlow's name for it.
    let scope = Composite::new(graph, "assert_broadcastable");
    let (own, whole) = (shape(scope.enter(weights)), shape(scope.enter(losses)));
    let ones = ones_like(&whole);
    // Every pair of axes fits: of the same number of axes, or of ones in place of those that a scalar lacks.
    let known = weights.shape().rank().is_some() && losses.shape().rank().is_some();
    let (axes, same_rank) = if known {
        (own.clone(), None)
    } else {
        let (own_rank, rank) = (size(&own), size(&whole));
        let is_scalar = equal(&own_rank, zeros_like(&own_rank));
        let axes = slice(concat(&[own.clone(), ones.clone()], 0), [0], expand_dims(&rank, 0));
        (axes, Some(logical_or(is_scalar, equal(own_rank, rank))))
    };
    let fit = reduce_all(logical_or(equal(&axes, ones), equal(&axes, &whole)), ..);
    let fit = same_rank.iter().fold(fit, logical_and);
    let text = |text: &str| constant(scope.graph(), text);
    let data =
        [text("weights do not fit the losses: their shape is"), own, text("that of the losses is"), whole];
    assert_true(fit, &data, 8)
}

/// Returns a tensor without its last axis, of size 1, if it has one axis more than `rank`.
fn squeezed(scope: &Composite, tensor: &Output, rank: Option<usize>) -> Output {
    let shape = tensor.shape();
    let has_one_more = rank.is_some_and(|rank| shape.rank() == Some(rank + 1));
    match has_one_more && shape.dim_from_end(0).is_none_or(|size| size == 1) {
        true => squeeze(scope.enter(tensor), [-1]),
        false => tensor.clone(),
    }
}

/// Returns the divisor of the weighted sum.
///
/// `n` is the number of elements of `losses`, `W` the weights, broadcast to the shape of the losses:
///
/// | reduction | divisor |
/// | --- | --- |
/// | `SumOverBatchSize`, or no weights | n |
/// | `Mean` | sum of W |
/// | `SumByNonzeroWeights` | number of elements of W that are not 0 |
fn divisor(losses: &Output, weights: Option<&Output>, reduction: Reduction) -> Output {
    let elements = || cast(size(losses), losses.dtype());
    let Some(weights) = weights else { return elements() };
    // The product with ones broadcasts the weights: a weight per row counts once for each column.
    let spread = |weights: &Output| reduce_sum(mul(weights, ones_like(losses)), ..);
    match reduction {
        Reduction::SumOverBatchSize => elements(),
        Reduction::Mean => spread(weights),
        _ => spread(&cast(not_equal(weights, zeros_like(weights)), losses.dtype())),
    }
}

/// Returns the mean of `(prediction - label)^2`.
///
/// ```
/// use ops::{array, losses};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let y = array::zeros(&graph, DType::Float32, [2, 3]);
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(losses::mean_squared_error(&y, &x).shape().to_string(), "[]");
/// ```
#[must_use]
#[track_caller]
pub fn mean_squared_error(labels: impl AsOutput, predictions: impl AsOutput) -> Output {
    mean_squared_error_with(labels, predictions, &LossOptions::default())
}

/// Works as [`mean_squared_error`], with options.
///
/// ```
/// # use ops::{array::constant, losses::{self, LossOptions}};
/// # let graph = session_core::Graph::new();
/// let (labels, predictions) = (constant(&graph, [1.0f32, 2.0]), constant(&graph, [1.5f32, 4.0]));
/// let options = LossOptions::default().weights(constant(&graph, [2.0f32, 1.0]));
/// let loss = losses::mean_squared_error_with(&labels, &predictions, &options); // (2 * 0.25 + 4) / 2
/// assert_eq!(loss.shape().to_string(), "[]");
/// ```
#[must_use]
#[track_caller]
pub fn mean_squared_error_with(
    labels: impl AsOutput,
    predictions: impl AsOutput,
    options: &LossOptions,
) -> Output {
    elementwise(
        "mean_squared_error",
        labels.as_output(),
        predictions.as_output(),
        options,
        |_, labels, found| squared_difference(found, labels),
    )
}

/// Returns the mean of `|prediction - label|`.
///
/// ```
/// use ops::{array, losses};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let y = array::zeros(&graph, DType::Float32, [2, 3]);
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(losses::absolute_difference(&y, &x).shape().to_string(), "[]");
/// ```
#[must_use]
#[track_caller]
pub fn absolute_difference(labels: impl AsOutput, predictions: impl AsOutput) -> Output {
    absolute_difference_with(labels, predictions, &LossOptions::default())
}

/// Works as [`absolute_difference`], with options.
///
/// ```
/// # use ops::{array::constant, losses::{self, LossOptions}};
/// # let graph = session_core::Graph::new();
/// let (labels, predictions) = (constant(&graph, [1.0f32, 2.0]), constant(&graph, [1.5f32, 4.0]));
/// let options = LossOptions::default().reduction(losses::Reduction::None);
/// let each = losses::absolute_difference_with(&labels, &predictions, &options); // [0.5, 2.0]
/// assert_eq!(each.shape().to_string(), "[2]");
/// ```
#[must_use]
#[track_caller]
pub fn absolute_difference_with(
    labels: impl AsOutput,
    predictions: impl AsOutput,
    options: &LossOptions,
) -> Output {
    elementwise(
        "absolute_difference",
        labels.as_output(),
        predictions.as_output(),
        options,
        |_, labels, found| abs(sub(found, labels)),
    )
}

/// Returns the hinge loss of labels 0 and 1: `relu(1 - (2 * label - 1) * logit)`.
///
/// ```
/// # use ops::{array::constant, losses::{self, LossOptions}};
/// # let graph = session_core::Graph::new();
/// let (labels, logits) = (constant(&graph, [1.0f32, 0.0]), constant(&graph, [0.3f32, -2.0]));
/// let loss = losses::hinge_loss(&labels, &logits, &LossOptions::default()); // (0.7 + 0) / 2
/// assert_eq!(loss.shape().to_string(), "[]");
/// ```
#[must_use]
#[track_caller]
pub fn hinge_loss(labels: impl AsOutput, logits: impl AsOutput, options: &LossOptions) -> Output {
    elementwise("hinge_loss", labels.as_output(), logits.as_output(), options, |number, labels, logits| {
        // Labels 0 and 1 become -1 and 1.
        let signs = sub(mul(number(2.0), labels), number(1.0));
        relu(sub(number(1.0), mul(signs, logits)))
    })
}

/// Returns half the squared difference up to `delta`, and a linear function beyond. TensorFlow's default `delta` is 1.
///
/// ```
/// # use ops::{array::constant, losses::{self, LossOptions}};
/// # let graph = session_core::Graph::new();
/// let (labels, predictions) = (constant(&graph, [1.0f32, 2.0]), constant(&graph, [1.5f32, 4.0]));
/// let loss = losses::huber_loss(&labels, &predictions, 1.0, &LossOptions::default()); // (0.125 + 1.5) / 2
/// assert_eq!(loss.shape().to_string(), "[]");
/// ```
#[must_use]
#[track_caller]
pub fn huber_loss(
    labels: impl AsOutput,
    predictions: impl AsOutput,
    delta: f64,
    options: &LossOptions,
) -> Output {
    elementwise(
        "huber_loss",
        labels.as_output(),
        predictions.as_output(),
        options,
        |number, labels, found| {
            let error = abs(sub(found, labels));
            // Without a conditional: with e = |error| and q = min(e, delta), the loss is q^2 / 2 + delta * (e
            // - q), whose second term is 0 up to delta.
            let inner = minimum(&error, number(delta));
            let outer = sub(error, &inner);
            add(mul(number(0.5), mul(&inner, &inner)), mul(number(delta), outer))
        },
    )
}

/// Returns the negative logarithm of the probability that `predictions` give to labels 0 and 1. `epsilon` keeps it finite; TensorFlow's
/// default is 1e-7.
///
/// ```
/// # use ops::{array::constant, losses::{self, LossOptions}};
/// # let graph = session_core::Graph::new();
/// let (labels, probabilities) = (constant(&graph, [1.0f32, 0.0]), constant(&graph, [0.9f32, 0.2]));
/// let loss = losses::log_loss(&labels, &probabilities, 1e-7, &LossOptions::default()); // -(ln 0.9 + ln 0.8) / 2
/// assert_eq!(loss.shape().to_string(), "[]");
/// ```
#[must_use]
#[track_caller]
pub fn log_loss(
    labels: impl AsOutput,
    predictions: impl AsOutput,
    epsilon: f64,
    options: &LossOptions,
) -> Output {
    elementwise("log_loss", labels.as_output(), predictions.as_output(), options, |number, labels, found| {
        // `epsilon` is added in both logarithms, as in TensorFlow, so a perfect prediction has a loss
        // of about -1e-7 instead of 0.
        let of_one = neg(mul(labels, log(add(found, number(epsilon)))));
        let others = sub(number(1.0), found);
        let of_zero = mul(sub(number(1.0), labels), log(add(others, number(epsilon))));
        sub(of_one, of_zero)
    })
}

/// Returns a loss of one element of labels and one of predictions, in the predictions' dtype.
///
/// Labels are converted to that dtype. `loss` receives a function for constants of this dtype, the
/// labels, and the predictions.
#[track_caller]
fn elementwise(
    name: &str,
    labels: &Output,
    predictions: &Output,
    options: &LossOptions,
    loss: impl FnOnce(&dyn Fn(f64) -> Output, &Output, &Output) -> Output,
) -> Output {
    let scope = Composite::new(&predictions.graph(), name);
    let predictions = scope.enter(predictions);
    let labels = labels_like(&scope, labels, predictions.dtype());
    if labels.shape().merge(predictions.shape()).is_none() {
        let (a, b) = (labels.shape(), predictions.shape());
        scope.graph().add_error(Error::value(format!("labels of shape {a} for predictions of shape {b}")));
    }
    let number = |value: f64| number(scope.graph(), predictions.dtype(), value);
    let losses = loss(&number, &labels, &predictions);
    reduced(&scope, scope.enter(losses), options)
}

/// Returns labels in the dtype of the predictions, for use in the scope.
fn labels_like(scope: &Composite, labels: &Output, dtype: DType) -> Output {
    if labels.dtype() == dtype { scope.enter(labels) } else { scope.enter(cast(scope.enter(labels), dtype)) }
}

/// Returns the cross entropy of logits against the numbers of the true classes.
///
/// ```
/// use ops::{array, losses};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let y = array::zeros(&graph, DType::Int64, [2]);
/// let x = array::zeros(&graph, DType::Float32, [2, 10]);
/// assert_eq!(losses::sparse_softmax_cross_entropy(&y, &x).shape().to_string(), "[]");
/// ```
#[must_use]
#[track_caller]
pub fn sparse_softmax_cross_entropy(labels: impl AsOutput, logits: impl AsOutput) -> Output {
    sparse_softmax_cross_entropy_with(labels, logits, &LossOptions::default())
}

/// Works as [`sparse_softmax_cross_entropy`], with options.
///
/// ```
/// # use ops::{array::constant, losses::{self, LossOptions}};
/// # let graph = session_core::Graph::new();
/// let (labels, logits) = (constant(&graph, [2i64, 0]), constant(&graph, [[0.0f32, 1.0, 2.0], [1.0, 0.0, 0.0]]));
/// // The padding at the end of a batch does not count.
/// let options = LossOptions::default().weights(constant(&graph, [1.0f32, 0.0]));
/// let loss = losses::sparse_softmax_cross_entropy_with(&labels, &logits, &options);
/// assert_eq!(loss.shape().to_string(), "[]");
/// ```
#[must_use]
#[track_caller]
pub fn sparse_softmax_cross_entropy_with(
    labels: impl AsOutput,
    logits: impl AsOutput,
    options: &LossOptions,
) -> Output {
    let scope = Composite::new(&logits.as_output().graph(), "sparse_softmax_cross_entropy_loss");
    // TensorFlow's name for the cross entropies of elements.
    let inner = scope.graph().named("xentropy");
    // Columns of labels and of weights are accepted as well.
    let rank = logits.as_output().shape().rank().and_then(|rank| rank.checked_sub(1));
    let labels = squeezed(&scope, labels.as_output(), rank);
    let mut options = options.clone();
    options.weights = options.weights.map(|weights| squeezed(&scope, &weights, rank));
    let losses = sparse_softmax_cross_entropy_with_logits(labels, logits.as_output().within(&inner));
    reduced(&scope, scope.enter(losses), &options)
}

/// Returns the cross entropy of logits against probabilities, such as one-hot labels, in the last dimension.
///
/// ```
/// use ops::{array, losses};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let y = array::zeros(&graph, DType::Float32, [2, 10]);
/// let x = array::zeros(&graph, DType::Float32, [2, 10]);
/// assert_eq!(losses::softmax_cross_entropy(&y, &x).shape().to_string(), "[]");
/// ```
#[must_use]
#[track_caller]
pub fn softmax_cross_entropy(onehot_labels: impl AsOutput, logits: impl AsOutput) -> Output {
    softmax_cross_entropy_with(onehot_labels, logits, &LossOptions::default())
}

/// Works as [`softmax_cross_entropy`], with options.
///
/// ```
/// # use ops::{array::constant, losses::{self, LossOptions}};
/// # let graph = session_core::Graph::new();
/// let (labels, logits) = (constant(&graph, [[0.0f32, 1.0]]), constant(&graph, [[0.5f32, 2.0]]));
/// let options = LossOptions::default().label_smoothing(0.1); // labels of 0.05 and 0.95
/// let loss = losses::softmax_cross_entropy_with(&labels, &logits, &options);
/// assert_eq!(loss.shape().to_string(), "[]");
/// ```
#[must_use]
#[track_caller]
pub fn softmax_cross_entropy_with(
    onehot_labels: impl AsOutput,
    logits: impl AsOutput,
    options: &LossOptions,
) -> Output {
    let scope = Composite::new(&logits.as_output().graph(), "softmax_cross_entropy_loss");
    let logits = scope.enter(logits);
    let labels = labels_like(&scope, onehot_labels.as_output(), logits.dtype());
    // The static number of classes where it is known, so that the share is folded.
    let labels = smoothed(&scope, labels, options.label_smoothing, |dtype| {
        let classes = match logits.shape().dim_from_end(0) {
            Some(classes) => return constant(scope.graph(), scalar_tensor(dtype, classes as f64)),
            None => crate::array::gather(shape(&logits), constant(scope.graph(), -1i32)),
        };
        cast(classes, dtype)
    });
    // Labels are given: no gradient flows into them.
    let labels = crate::array::stop_gradient(scope.enter(labels));
    let inner = scope.graph().named("xentropy");
    let losses = softmax_cross_entropy_with_logits(labels, logits.within(&inner));
    reduced(&scope, scope.enter(losses), options)
}

/// Returns the cross entropy of independent logits against probabilities 0 to 1.
///
/// ```
/// use ops::{array, losses};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let y = array::zeros(&graph, DType::Float32, [2, 10]);
/// let x = array::zeros(&graph, DType::Float32, [2, 10]);
/// assert_eq!(losses::sigmoid_cross_entropy(&y, &x).shape().to_string(), "[]");
/// ```
#[must_use]
#[track_caller]
pub fn sigmoid_cross_entropy(multi_class_labels: impl AsOutput, logits: impl AsOutput) -> Output {
    sigmoid_cross_entropy_with(multi_class_labels, logits, &LossOptions::default())
}

/// Works as [`sigmoid_cross_entropy`], with options.
///
/// ```
/// # use ops::{array::constant, losses::{self, LossOptions}};
/// # let graph = session_core::Graph::new();
/// let (labels, logits) = (constant(&graph, [[0.0f32, 1.0]]), constant(&graph, [[0.5f32, 2.0]]));
/// let options = LossOptions::default().collection(None); // the model does not train on it
/// let loss = losses::sigmoid_cross_entropy_with(&labels, &logits, &options);
/// assert!(graph.collection(&session_core::keys::LOSSES).is_empty());
/// # let _ = loss;
/// ```
#[must_use]
#[track_caller]
pub fn sigmoid_cross_entropy_with(
    multi_class_labels: impl AsOutput,
    logits: impl AsOutput,
    options: &LossOptions,
) -> Output {
    let scope = Composite::new(&logits.as_output().graph(), "sigmoid_cross_entropy_loss");
    let logits = scope.enter(logits);
    let labels = labels_like(&scope, multi_class_labels.as_output(), logits.dtype());
    // Each output is a yes or no of its own: two classes, so smoothing moves labels towards 1/2.
    let two = |dtype| constant(scope.graph(), scalar_tensor(dtype, 2.0));
    let labels = smoothed(&scope, labels, options.label_smoothing, two);
    let inner = scope.graph().named("xentropy");
    let losses = sigmoid_cross_entropy_with_logits(labels, logits.within(&inner));
    reduced(&scope, scope.enter(losses), options)
}

/// Returns `labels * (1 - smoothing) + smoothing / classes`, and the labels themselves for a smoothing of 0.
fn smoothed(
    scope: &Composite,
    labels: Output,
    smoothing: f64,
    classes: impl FnOnce(DType) -> Output,
) -> Output {
    if smoothing == 0.0 {
        return labels;
    }
    let number = |value: f64| number(scope.graph(), labels.dtype(), value);
    let share = real_div(number(smoothing), classes(labels.dtype()));
    add(mul(&labels, number(1.0 - smoothing)), share)
}

/// Returns the losses of the graph so far.
///
/// ```
/// # use ops::{array::constant, losses::{self, LossOptions}};
/// # let graph = session_core::Graph::new();
/// let x = constant(&graph, [1.0f32]);
/// let loss = losses::mean_squared_error(&x, &x);
/// assert_eq!(losses::losses(&graph), [loss]);
/// ```
#[must_use]
pub fn losses(graph: &Graph) -> Vec<Output> {
    graph.collection(&LOSSES)
}

/// Returns the regularization losses of the graph so far.
///
/// ```
/// use ops::losses;
/// # let graph = session_core::Graph::new();
/// let w = ops::array::constant(&graph, [3.0f32, 4.0]);
/// let penalty = losses::l1_regularization(&w, 0.01).expect("the scale is not 0"); // 0.07
/// assert_eq!(losses::regularization_losses(&graph), [penalty]);
/// ```
#[must_use]
pub fn regularization_losses(graph: &Graph) -> Vec<Output> {
    graph.collection(&REGULARIZATION_LOSSES)
}

/// Returns the sum of all regularization losses, 0 without any.
///
/// ```
/// # use ops::{array::constant, losses::{self, LossOptions}};
/// # let graph = session_core::Graph::new();
/// let w = constant(&graph, [3.0f32, 4.0]);
/// let penalty = losses::l2_regularization(&w, 0.01).expect("the scale is not 0"); // 0.01 * 25 / 2
/// assert_eq!(losses::regularization_losses(&graph), [penalty]);
/// let all = losses::regularization_loss(&graph);
/// assert_eq!(all.shape().to_string(), "[]");
/// ```
#[must_use]
#[track_caller]
pub fn regularization_loss(graph: &Graph) -> Output {
    let named = graph.named(graph.pending_name().unwrap_or("total_regularization_loss"));
    match regularization_losses(graph).as_slice() {
        [] => constant(&named, 0.0f32),
        losses => sum_of(&named, losses),
    }
}

/// Returns the sum of all losses and regularization losses, named `total_loss`. A graph without losses is a build error.
///
/// ```
/// use ops::{array, losses};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let y = array::zeros(&graph, DType::Float32, [2, 3]);
/// let _ = losses::mean_squared_error(&y, array::ones_like(&y));
/// let _ = losses::l2_regularization(&y, 0.01);
/// assert_eq!(losses::total_loss(&graph).operation().num_inputs(), 2);
/// ```
#[must_use]
#[track_caller]
pub fn total_loss(graph: &Graph) -> Output {
    let mut all = losses(graph);
    all.extend(regularization_losses(graph));
    total_of(graph, &all)
}

/// Works as [`total_loss`], without the regularization losses: TensorFlow's `add_regularization_losses=False`.
///
/// ```
/// use ops::losses;
/// # let graph = session_core::Graph::new();
/// let x = ops::array::constant(&graph, [1.0f32]);
/// let _ = losses::mean_squared_error(&x, &x);
/// assert_eq!(losses::total_loss_without_regularization(&graph).shape().to_string(), "[]");
/// ```
#[must_use]
#[track_caller]
pub fn total_loss_without_regularization(graph: &Graph) -> Output {
    total_of(graph, &losses(graph))
}

/// Returns the sum of `all` under the name `total_loss`, or an invalid output for none: training on
/// a constant 0 would be silent.
#[track_caller]
fn total_of(graph: &Graph, all: &[Output]) -> Output {
    let named = graph.named(graph.pending_name().unwrap_or("total_loss"));
    if all.is_empty() {
        let error = Error::value("the graph has no losses");
        graph.add_error(error.clone());
        return graph.invalid_output("total_loss", DType::Float32, error);
    }
    sum_of(&named, all)
}

/// Returns the sum, built in the scope and under the pending name of `graph`. Of a single loss it is an `Identity`, if
/// there is a name.
#[track_caller]
fn sum_of(graph: &Graph, losses: &[Output]) -> Output {
    let mut losses = losses.to_vec();
    if let Some(first) = losses.first_mut() {
        *first = first.within(graph);
    }
    add_n(&losses)
}

/// Adds `scale * l2_loss(weights)`, half the sum of squares times the scale, to the collection `regularization_losses` and returns
/// it. A scale of 0 adds nothing and returns `None`.
///
/// ```
/// use ops::losses::l2_regularization;
/// use session_core::{Graph, keys};
/// let graph = Graph::new();
/// let kernel = ops::variables::variable(&graph.named("kernel"), [3.0f32, 4.0]);
/// assert!(l2_regularization(&kernel, 0.01).is_some());
/// assert_eq!(graph.collection(&keys::REGULARIZATION_LOSSES).len(), 1);
/// # graph.finalize().unwrap();
/// ```
#[track_caller]
pub fn l2_regularization(weights: impl AsOutput, scale: f64) -> Option<Output> {
    add_regularization(weights.as_output(), &l2_regularizer(scale))
}

/// Adds `scale * sum(abs(weights))` to the collection `regularization_losses` and returns it. A scale of 0 adds nothing and returns
/// `None`.
///
/// ```
/// use ops::losses::l1_regularization;
/// let graph = session_core::Graph::new();
/// let kernel = ops::variables::variable(&graph.named("kernel"), [3.0f32, -4.0]);
/// assert!(l1_regularization(&kernel, 0.01).is_some());
/// assert!(l1_regularization(&kernel, 0.0).is_none());
/// # graph.finalize().unwrap();
/// ```
#[track_caller]
pub fn l1_regularization(weights: impl AsOutput, scale: f64) -> Option<Output> {
    add_regularization(weights.as_output(), &l1_regularizer(scale))
}

/// Adds what a regularizer gives for the weights to the collection `regularization_losses`.
#[track_caller]
pub(crate) fn add_regularization(weights: &Output, regularizer: &dyn Regularizer) -> Option<Output> {
    let loss = regularizer.loss(weights)?;
    if let Err(error) = loss.graph().add_to_collection(&REGULARIZATION_LOSSES, loss.clone()) {
        loss.graph().add_error(error);
    }
    Some(loss)
}
