//! Metrics over many batches: local variables that accumulate, and the value so far.
//!
//! ```
//! use ops::array::placeholder;
//! use ops::{metrics, variables::local_variables_initializer};
//! use session_core::{DType, Graph, Result, Session, SessionExt, Tensor};
//!
//! /// Evaluates batches of labels and predictions.
//! fn evaluate(graph: &Graph, session: &dyn Session, batches: &[[Tensor; 2]]) -> Result<f32> {
//!     let labels = placeholder(&graph.named("labels"), DType::Int64, [None]);
//!     let predictions = placeholder(&graph.named("predictions"), DType::Int64, [None]);
//!     let accuracy = metrics::accuracy(&labels, &predictions);
//!     session.run(&local_variables_initializer(graph), ())?;
//!     for [of_labels, of_predictions] in batches {
//!         let feeds = [(&labels, of_labels.clone()), (&predictions, of_predictions.clone())];
//!         session.run(&accuracy.update_op, feeds)?;
//!     }
//!     Ok(session.run(&accuracy.value, ())?.value::<f32>()?)
//! }
//! # let _ = evaluate;
//! ```
//!
//! Each metric keeps its sums in local variables (collections `local_variables` and `metric_variables`). Initialize them before each
//! evaluation with [`local_variables_initializer`](crate::variables::local_variables_initializer); they are not saved.

use crate::array::{constant, ones_like, scalar_tensor, size};
use crate::composite::Composite;
use crate::initializers::zeros;
use crate::math::{
    add, argmax, cast, div_no_nan, equal, greater_equal, logical_and, logical_not, maximum, mul, reduce_sum,
};
use crate::variables::{VariableBuilder, VariableExt};
use session_core::keys::METRIC_VARIABLES;
use session_core::{AsOutput, DType, Graph, Operation, Output, Shape, Variable};

/// A metric over several batches: its current value, and the operation that adds a batch.
///
/// ```
/// use ops::{array::placeholder, metrics};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let losses = placeholder(&graph, DType::Float32, [None]);
/// let mean = metrics::mean(&losses);
/// assert_eq!(mean.value.shape().to_string(), "[]"); // run `mean.update_op` for each batch, then fetch `mean.value`
/// # graph.finalize().unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Metric {
    /// The value over all batches so far. 0 before the first one.
    pub value: Output,
    /// Adds a batch when it runs. As an output it is the value that includes the batch.
    pub update_op: Output,
}

/// Returns the mean of all elements of all batches.
///
/// ```
/// # use ops::{array::constant, metrics};
/// # let graph = session_core::Graph::new();
/// let loss = metrics::mean(constant(&graph, [1.0f32, 3.0])); // 2.0 after one batch
/// assert_eq!(loss.value.shape().to_string(), "[]");
/// ```
#[must_use]
#[track_caller]
pub fn mean(values: impl AsOutput) -> Metric {
    mean_in("mean", values.as_output(), None)
}

/// Returns the mean of all elements, each multiplied by its weight, divided by the sum of the weights. Weights are broadcast.
///
/// ```
/// # use ops::{array::constant, metrics};
/// # let graph = session_core::Graph::new();
/// let (values, weights) = (constant(&graph, [1.0f32, 3.0]), constant(&graph, [3.0f32, 1.0]));
/// let mean = metrics::weighted_mean(&values, &weights); // 1.5 after one batch
/// assert_eq!(mean.value.shape().to_string(), "[]");
/// ```
#[must_use]
#[track_caller]
pub fn weighted_mean(values: impl AsOutput, weights: impl AsOutput) -> Metric {
    mean_in("mean", values.as_output(), Some(weights.as_output()))
}

/// Returns the share of predictions that are equal to their labels.
///
/// ```
/// # use ops::{array::constant, metrics};
/// # let graph = session_core::Graph::new();
/// let (labels, predictions) = (constant(&graph, [1i64, 0, 2]), constant(&graph, [1i64, 1, 2]));
/// let accuracy = metrics::accuracy(&labels, &predictions); // 0.6667 after one batch
/// assert_eq!(accuracy.value.shape().to_string(), "[]");
/// ```
#[must_use]
#[track_caller]
pub fn accuracy(labels: impl AsOutput, predictions: impl AsOutput) -> Metric {
    let predictions = predictions.as_output();
    let scope = Composite::new(&predictions.graph(), "accuracy");
    let labels = scope.enter(labels.as_output());
    // Predictions take the dtype of the labels, as in TensorFlow: a prediction of 0.7 is a hit for label 0.
    let predictions = cast(scope.enter(predictions), labels.dtype());
    let hits = cast(equal(predictions, labels), DType::Float32);
    mean_over(&scope, &scope.enter(hits), None)
}

#[track_caller]
fn mean_in(name: &str, values: &Output, weights: Option<&Output>) -> Metric {
    let scope = Composite::new(&values.graph(), name);
    let values = cast_to_float(&scope, values);
    mean_over(&scope, &values, weights)
}

fn mean_over(scope: &Composite, values: &Output, weights: Option<&Output>) -> Metric {
    let inner = scope.graph();
    // Floats also for the count, as weights need not be whole.
    let (total, count) = (accumulator(inner, "total"), accumulator(inner, "count"));
    let (sum, number) = match weights {
        None => (reduce_sum(values, ..), cast(size(values), DType::Float32)),
        Some(weights) => {
            // A weight for several values counts once for each of them, so that the weights are
            // spread before they are summed.
            let weights = mul(cast_to_float(scope, weights), ones_like(values));
            (reduce_sum(mul(values, &weights), ..), reduce_sum(weights, ..))
        }
    };
    let updates = [total.assign_add(scope.enter(sum)), count.assign_add(scope.enter(number))];
    let quotient = |graph: &Graph, name: &str| {
        // Negative weights may sum to less than 0; the mean is 0 then, as it is without any element.
        let count = maximum(count.read(graph), constant(inner, 0.0f32));
        div_no_nan(total.read(graph).within(&graph.named(name)), count)
    };
    metric(scope, &updates, quotient)
}

/// Returns the precision: the share of positive predictions that are correct. Labels and predictions are
/// bools, or numbers of which all but 0 are true.
///
/// ```
/// # use ops::{array::constant, metrics};
/// # let graph = session_core::Graph::new();
/// let (labels, predictions) = (constant(&graph, [true, false]), constant(&graph, [true, true]));
/// let precision = metrics::precision(&labels, &predictions); // 0.5 after one batch
/// # let _ = precision;
/// ```
#[must_use]
#[track_caller]
pub fn precision(labels: impl AsOutput, predictions: impl AsOutput) -> Metric {
    hits_of(
        "precision",
        "false_positives",
        labels.as_output(),
        predictions.as_output(),
        |label, prediction| logical_and(logical_not(label), prediction),
    )
}

/// Returns the recall: the share of positive labels that were predicted. Labels and predictions are bools, or
/// numbers of which all but 0 are true.
///
/// ```
/// # use ops::{array::constant, metrics};
/// # let graph = session_core::Graph::new();
/// let (labels, predictions) = (constant(&graph, [true, true]), constant(&graph, [true, false]));
/// let recall = metrics::recall(&labels, &predictions); // 0.5 after one batch
/// # let _ = recall;
/// ```
#[must_use]
#[track_caller]
pub fn recall(labels: impl AsOutput, predictions: impl AsOutput) -> Metric {
    hits_of("recall", "false_negatives", labels.as_output(), predictions.as_output(), |label, prediction| {
        logical_and(label, logical_not(prediction))
    })
}

/// Returns the true positives divided by the sum of true positives and one kind of error.
#[track_caller]
fn hits_of(
    name: &str,
    error_name: &str,
    labels: &Output,
    predictions: &Output,
    errors: impl FnOnce(&Output, &Output) -> Output,
) -> Metric {
    let scope = Composite::new(&predictions.graph(), name);
    let truth = |values: &Output| {
        let values = scope.enter(values);
        if values.dtype() == DType::Bool { values } else { scope.enter(cast(values, DType::Bool)) }
    };
    let (labels, predictions) = (truth(labels), truth(predictions));
    let (hits, hit) = counter(scope.graph(), "true_positives", &logical_and(&labels, &predictions));
    let (misses, missed) = counter(scope.graph(), error_name, &errors(&labels, &predictions));
    let quotient = |graph: &Graph, name: &str| {
        let hits = hits.read(graph);
        let all = add(&hits, misses.read(graph));
        // Without any positive, the quotient is 0.
        div_no_nan(hits.within(&graph.named(name)), all)
    };
    metric(&scope, &[hit, missed], quotient)
}

/// Counts what is true.
fn counter(graph: &Graph, name: &str, events: &Output) -> (Variable, Operation) {
    let scope = graph.scope(name);
    let count = accumulator(&scope, "count");
    let number = reduce_sum(cast(events.within(&scope), DType::Float32), ..);
    let update = count.assign_add(&number);
    (count, update)
}

/// Returns a vector of `float32` with one element per row: 1 if the largest logit of the row is that of the true class, otherwise 0.
/// Its mean is the accuracy of one batch.
///
/// ```
/// use ops::{array::placeholder, math::reduce_mean, metrics::correct_predictions};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let labels = placeholder(&graph, DType::Int64, [None]);
/// let logits = placeholder(&graph, DType::Float32, [None, Some(10)]);
/// let accuracy = reduce_mean(correct_predictions(&labels, &logits), ..);
/// assert_eq!(accuracy.shape().to_string(), "[]");
/// # graph.finalize().unwrap();
/// ```
#[must_use]
#[track_caller]
pub fn correct_predictions(labels: impl AsOutput, logits: impl AsOutput) -> Output {
    let (labels, logits) = (labels.as_output(), logits.as_output());
    let scope = Composite::new(&logits.graph(), "correct_predictions");
    let found = argmax(scope.enter(logits), -1);
    let labels = if labels.dtype() == found.dtype() {
        scope.enter(labels)
    } else {
        cast(scope.enter(labels), found.dtype())
    };
    scope.leave(cast(equal(scope.enter(found), labels), DType::Float32))
}

/// Returns true for each probability of at least 0.5: predictions for [`precision`] and [`recall`].
#[must_use]
#[track_caller]
pub fn at_least_half(probabilities: impl AsOutput) -> Output {
    let probabilities = probabilities.as_output();
    let half = constant(&probabilities.graph(), scalar_tensor(probabilities.dtype(), 0.5));
    greater_equal(probabilities, half)
}

/// Returns a local scalar that begins with zero.
fn accumulator(graph: &Graph, name: &str) -> Variable {
    let builder = VariableBuilder::new(&graph.named(name)).local().collection(&METRIC_VARIABLES);
    builder.initializer(Shape::scalar(), DType::Float32, &zeros()).build()
}

fn metric(scope: &Composite, updates: &[Operation], value: impl Fn(&Graph, &str) -> Output) -> Metric {
    let inner = scope.graph();
    Metric {
        value: scope.leave(value(inner, "value")),
        // The same formula twice: this one reads the variables after the updates, which it waits for, whereas
        // `value` reads them as they are and changes nothing.
        update_op: scope.leave(value(&inner.control_dependencies(updates), "update_op")),
    }
}

fn cast_to_float(scope: &Composite, values: &Output) -> Output {
    match values.dtype() {
        DType::Float32 => scope.enter(values),
        _ => scope.enter(cast(scope.enter(values), DType::Float32)),
    }
}
