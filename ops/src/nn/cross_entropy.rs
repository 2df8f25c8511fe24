//! Cross entropies of predictions and labels.

use super::activation::{log_softmax, relu, softmax, softplus};
use crate::array::constants::scalar_like;
use crate::array::shaping::{expand_dims, reshape, shape};
use crate::array::slicing::{Index, strided_slice};
use crate::composite::Composite;
use crate::gradients::broadcasting::{shape_of, spread_scalar, sum_to_input};
use crate::keep_dims;
use crate::library::op_defs;
use crate::math::binary::{add, mul, sub};
use crate::math::reduce::reduce_sum;
use crate::math::unary::{abs, exp, log1p, neg};
use crate::shapes::{self, broadcast_shapes};
use session_core::{AsOutput, Error, OpDef, Operation, Output, PartialShape, Result, ShapeContext};

op_defs! {
    SOFTMAX_CROSS_ENTROPY_WITH_LOGITS: OpDef::new(
        "SoftmaxCrossEntropyWithLogits",
        "features: T, labels: T -> loss: T, backprop: T",
    )
    .attrs("T: floattype")
    .shape(dense_shape)
    .gradient(dense_gradient);
    SPARSE_SOFTMAX_CROSS_ENTROPY_WITH_LOGITS: OpDef::new(
        "SparseSoftmaxCrossEntropyWithLogits",
        "features: T, labels: Tlabels -> loss: T, backprop: T",
    )
    .attrs("T: floattype, Tlabels: indextype = int64")
    .shape(sparse_shape)
    .gradient(sparse_gradient);
}

/// Infers losses `[batch]` and the gradient kept for the backward pass, `[batch, classes]`.
/// Logits and labels are broadcast.
fn dense_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = broadcast_shapes(&context.input(0), &context.input(1))?;
    if let Some(rank) = shape.rank().filter(|&rank| rank != 2) {
        return Err(Error::value(format!(
            "logits and labels must be matrices, not of rank {rank} (shape {shape})"
        )));
    }
    let shape = if shape.rank().is_some() { shape } else { PartialShape::of_rank(2) };
    context.set(0, shape.range(0, 1));
    context.set(1, shape);
    Ok(())
}

/// Infers losses `[batch]` and the gradient kept for the backward pass, `[batch, classes]`.
fn sparse_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (logits, labels) = (context.input_of_rank(0, 2)?, context.input_of_rank(1, 1)?);
    let rows =
        shapes::merge_dims("the rows of logits and the number of labels", logits.dim(0), labels.dim(0))?;
    context.set(0, PartialShape::from([rows]));
    context.set(1, logits.with_dim(0, rows));
    Ok(())
}

/// Returns the gradient of the logits, from those of the two outputs.
fn of_logits(op: &Operation, grads: &[Option<Output>]) -> Option<Output> {
    let by_loss = grads[0].as_ref().map(|grad| {
        // The usual case is the mean of the losses: one number, which needs no spreading.
        let factor = spread_scalar(grad).unwrap_or_else(|| expand_dims(grad, -1));
        mul(factor, op.output(1))
    });
    // A gradient of the second output arises in second derivatives: `backprop` is softmax minus labels.
    let by_backprop = grads[1].as_ref().map(|grad| {
        let softmax = softmax(op.input(0));
        let mean = reduce_sum(mul(grad, &softmax), keep_dims(-1));
        mul(sub(grad, mean), softmax)
    });
    match (by_loss, by_backprop) {
        (Some(a), Some(b)) => Some(add(a, b)),
        (a, b) => a.or(b),
    }
}

fn dense_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let (logits, labels) = (op.input(0), op.input(1));
    let of_logits = of_logits(op, grads).map(|grad| sum_to_input(&grad, &logits, &[&labels]));
    // The loss is `-sum(labels * log_softmax(logits))`, linear in the labels.
    let by_loss = grads[0].as_ref().map(|grad| mul(expand_dims(grad, -1), neg(log_softmax(&logits))));
    let by_backprop = grads[1].as_ref().map(neg);
    let of_labels = match (by_loss, by_backprop) {
        (Some(a), Some(b)) => Some(add(a, b)),
        (a, b) => a.or(b),
    };
    Ok(vec![of_logits, of_labels.map(|grad| sum_to_input(&grad, &labels, &[&logits]))])
}

fn sparse_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    Ok(vec![of_logits(op, grads), None])
}

/// Returns the cross entropy of the softmax of `logits` and of rows of probabilities, one number for each row. Classes lie
/// along the last axis. Gradients go to both; stop that of `labels` when they are not given.
///
/// ```
/// use ops::{array, nn};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let y = array::zeros(&graph, DType::Float32, [2, 10]);
/// let x = array::zeros(&graph, DType::Float32, [2, 10]);
/// assert_eq!(nn::softmax_cross_entropy_with_logits(&y, &x).shape().to_string(), "[2]");
/// ```
#[must_use]
#[track_caller]
pub fn softmax_cross_entropy_with_logits(labels: impl AsOutput, logits: impl AsOutput) -> Output {
    let (labels, logits) = (labels.as_output(), logits.as_output());
    let graph = logits.graph();
    // An unknown rank is taken for a matrix, which the operation itself checks.
    if [labels, logits].iter().all(|operand| operand.shape().rank().is_none_or(|rank| rank == 2)) {
        let builder = graph.op(&SOFTMAX_CROSS_ENTROPY_WITH_LOGITS).input(logits).input(labels);
        return builder.finish().output(0);
    }
    let scope = Composite::new(&graph, "softmax_cross_entropy_with_logits");
    let (labels, logits) = (scope.enter(labels), scope.enter(logits));
    let builder = scope.graph().op(&SOFTMAX_CROSS_ENTROPY_WITH_LOGITS);
    // All leading axes become one batch, and the losses get them back.
    let losses = builder.input(as_rows(&logits)).input(as_rows(&labels)).finish().output(0);
    scope.leave(reshape(losses, outer_sizes(&logits)))
}

/// Returns all but the last axis joined into one.
fn as_rows(tensor: &Output) -> Output {
    match tensor.shape().dim_from_end(0) {
        Some(classes) => reshape(tensor, [-1, i64::try_from(classes).unwrap_or(i64::MAX)]),
        None => {
            let classes = strided_slice(shape(tensor), &[(-1..).into()]);
            let open = crate::array::constants::constant(&tensor.graph(), [-1i32]);
            reshape(tensor, crate::array::joining::concat(&[open, classes], 0))
        }
    }
}

/// Returns the sizes of all but the last axis.
fn outer_sizes(tensor: &Output) -> crate::Ints {
    let outer = tensor.shape().rank().map(|rank| tensor.shape().range(0, rank.saturating_sub(1)));
    match outer.and_then(|outer| outer.to_shape()) {
        Some(known) => known.into(),
        None => {
            let all_but_last = Index::Range { begin: None, end: Some(-1), stride: 1 };
            strided_slice(shape(tensor), &[all_but_last]).into()
        }
    }
}

/// Returns the cross entropy of the softmax of `logits` and of class numbers, one number for each. Classes lie along the last
/// axis of `logits`; the shape of `labels` (`int32` or `int64`) is that of the others.
///
/// ```
/// use ops::{array, nn};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let y = array::zeros(&graph, DType::Int64, [2]);
/// let x = array::zeros(&graph, DType::Float32, [2, 10]);
/// assert_eq!(nn::sparse_softmax_cross_entropy_with_logits(&y, &x).shape().to_string(), "[2]");
/// ```
#[must_use]
#[track_caller]
pub fn sparse_softmax_cross_entropy_with_logits(labels: impl AsOutput, logits: impl AsOutput) -> Output {
    let (labels, logits) = (labels.as_output(), logits.as_output());
    let graph = logits.graph();
    let scope = Composite::new(&graph, "SparseSoftmaxCrossEntropyWithLogits");
    let (labels, logits) = (scope.enter(labels), scope.enter(logits));
    let builder = scope.graph().op(&SPARSE_SOFTMAX_CROSS_ENTROPY_WITH_LOGITS);
    if logits.shape().rank().is_none_or(|rank| rank == 2) {
        return scope.leave(builder.input(logits).input(labels).finish().output(0));
    }
    let losses = builder.input(as_rows(&logits)).input(reshape(&labels, [-1])).finish().output(0);
    scope.leave(reshape(losses, shape_of(&labels)))
}

/// Returns the cross entropy of `sigmoid(logits)` and independent probabilities of the same shape, element by element.
///
/// ```
/// use ops::{array, nn};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let y = array::zeros(&graph, DType::Float32, [2, 10]);
/// let x = array::zeros(&graph, DType::Float32, [2, 10]);
/// assert_eq!(nn::sigmoid_cross_entropy_with_logits(&y, &x).shape().to_string(), "[2,10]");
/// ```
#[must_use]
#[track_caller]
pub fn sigmoid_cross_entropy_with_logits(labels: impl AsOutput, logits: impl AsOutput) -> Output {
    let scope = Composite::new(&logits.as_output().graph(), "logistic_loss");
    let (labels, logits) = (scope.enter(labels), scope.enter(logits));
    check_same_shape(&labels, &logits);
    // max(x, 0) - x * z + log(1 + exp(-|x|)): nothing overflows.
    let linear = sub(relu(&logits), mul(&logits, labels));
    scope.leave(add(linear, log1p(exp(neg(abs(&logits))))))
}

/// Works as [`sigmoid_cross_entropy_with_logits`], with the part of positive labels times `pos_weight`: above 1 for recall,
/// below for precision.
///
/// ```
/// # use ops::{array, nn};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let (labels, logits) = (array::constant(&graph, [1.0f32, 0.0]), array::constant(&graph, [0.5f32, -2.0]));
/// let losses = nn::weighted_cross_entropy_with_logits(&labels, &logits, array::constant(&graph, 3.0f32));
/// assert_eq!(losses.shape().to_string(), "[2]");
/// ```
#[must_use]
#[track_caller]
pub fn weighted_cross_entropy_with_logits(
    labels: impl AsOutput,
    logits: impl AsOutput,
    pos_weight: impl AsOutput,
) -> Output {
    let scope = Composite::new(&logits.as_output().graph(), "logistic_loss");
    let (labels, logits) = (scope.enter(labels), scope.enter(logits));
    check_same_shape(&labels, &logits);
    let one = || scalar_like(&logits, 1.0);
    // `(1 - z) x + (1 + (w - 1) z) log(1 + exp(-x))`, with a softplus that does not overflow.
    let weight = add(one(), mul(sub(scope.enter(pos_weight), one()), &labels));
    let linear = mul(sub(one(), &labels), &logits);
    scope.leave(add(linear, mul(weight, softplus(neg(&logits)))))
}

/// Records an error if the shapes differ: broadcasting labels is rarely intended.
#[track_caller]
fn check_same_shape(labels: &Output, logits: &Output) {
    if labels.shape().merge(logits.shape()).is_none() {
        let text = format!(
            "logits and labels must have the same shape, not {} and {}",
            logits.shape(),
            labels.shape()
        );
        logits.graph().add_error(Error::value(text));
    }
}
