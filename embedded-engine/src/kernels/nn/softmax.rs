//! Softmax and the losses made of it.
//!
//! # Semantics
//!
//! - `Softmax` and `LogSoftmax` take `logits` `[..., classes]` and return their shape.
//! - `SoftmaxCrossEntropyWithLogits` takes `features` `[batch, classes]` and `labels`, broadcast against each
//!   other, and returns `loss` `[batch]` and `backprop` `[batch, classes]`.
//! - `SparseSoftmaxCrossEntropyWithLogits` takes `features` `[batch, classes]` and `labels` `[batch]`
//!   (`int32`, `int64`) and returns the same.
//!
//! With `p` as the softmax, the loss of a row is minus the sum of `labels * ln p`, and `backprop` is
//! `p - labels`. The losses return their gradient as a second output, because it needs the same exponentials.
//!
//! The largest logit of a row is subtracted before the exponential, so no finite logit overflows. A row with
//! NaN or plus infinity becomes NaN. Floats only; those of 16 bits are computed in `float32`. A label of the
//! sparse form that is not a class is `InvalidArgument`, as TensorFlow's CPU kernel reports it. So are logits
//! of another rank. Without classes, the losses of the dense form are 0, and the sparse form fails.
//!
//! Parallel over rows. A row is always computed in the same order, so bits do not depend on the number of
//! threads.
//!
//! ```text
//! Softmax                                [0, 0, ln 2]               [0.25, 0.25, 0.5]
//! SparseSoftmaxCrossEntropyWithLogits    [[0, 0]], labels [1]       loss [ln 2], backprop [[0.5, -0.5]]
//! ```

use crate::kernel::KernelContext;
use crate::kernels::array::spread;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use compute::elementwise::{self, Broadcast};
use compute::softmax::{self, Logits};
use session_core::{Error, Result};
use tensor::{Element, Shape};

/// Registers the op types.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("Softmax", |spec| {
        for_dtype!(widened spec, spec.input_dtype(0), T => Ok(boxed(|context| rows::<T>(context, softmax::softmax::<T>))))
    });
    registry.add("LogSoftmax", |spec| {
        for_dtype!(widened spec, spec.input_dtype(0), T => Ok(boxed(|context| rows::<T>(context, softmax::log_softmax::<T>))))
    });
    registry.add(
        "SoftmaxCrossEntropyWithLogits",
        |spec| for_dtype!(widened spec, spec.input_dtype(0), T => Ok(boxed(dense::<T>))),
    );
    registry.add(
        "SparseSoftmaxCrossEntropyWithLogits",
        |spec| for_dtype!(widened spec, spec.input_dtype(0), T => Ok(boxed(sparse::<T>))),
    );
}

/// Delivers a function of each row of input 0. `compute` gets the threads, the length of a row, and all rows.
fn rows<T: Element + Logits>(
    context: &mut KernelContext<'_>,
    compute: fn(&compute::Pool, usize, &[T], &mut [T]),
) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let Some(&classes) = shape.last() else {
        return Err(Error::invalid_argument("logits must have at least one dimension"));
    };
    context.produce::<T>(0, shape, |context, output| {
        compute(context.pool(), classes, context.slice(0)?, output);
        Ok(())
    })
}

/// Returns the sizes of a matrix of logits. Fails for another rank.
fn matrix(shape: &Shape) -> Result<[usize; 2]> {
    match shape.dims() {
        &[rows, classes] => Ok([rows, classes]),
        _ => Err(Error::invalid_argument(format!("logits must be 2-dimensional: {shape}"))),
    }
}

/// Delivers the losses for labels that are probabilities. They need not add up to 1; this is not checked.
fn dense<T: Element + Logits + elementwise::Element>(context: &mut KernelContext<'_>) -> Result<()> {
    let shape = broadcast(context.input(0).shape(), context.input(1).shape())?;
    let [rows, classes] = matrix(&shape)?;
    // Usually both have that shape and are shared; only broadcasting copies.
    let spread = |input: usize| {
        spread(context, context.input(input), &shape, |error| Error::invalid_argument(error.to_string()))
    };
    let (logits, labels) = (spread(0)?, spread(1)?);
    let (mut loss, mut backprop) = (context.allocate::<T>([rows])?, context.allocate::<T>([rows, classes])?);
    let loss_out = loss.as_mut_slice().expect("new memory has one owner");
    let backprop_out = backprop.as_mut_slice().expect("new memory has one owner");
    let (logits, labels) = (logits.as_slice::<T>()?, labels.as_slice::<T>()?);
    if classes == 0 {
        // The sum over no class.
        loss_out.fill(T::default());
    } else {
        softmax::softmax_cross_entropy(context.pool(), classes, logits, labels, loss_out, backprop_out);
    }
    context.set(0, loss);
    context.set(1, backprop);
    Ok(())
}

/// Returns the shape of logits and labels, broadcast against each other. Fails if they do not fit.
fn broadcast(logits: &Shape, labels: &Shape) -> Result<Shape> {
    let both = Broadcast::new([&logits[..], &labels[..]]).map_err(|error| {
        let text = format!("logits {logits} and labels {labels} must be broadcastable: {error}");
        Error::invalid_argument(text)
    })?;
    Ok(both.output_shape().iter().copied().collect())
}

/// Delivers the losses for labels that are the numbers of classes.
fn sparse<T: Element + Logits>(context: &mut KernelContext<'_>) -> Result<()> {
    let [rows, classes] = matrix(context.input(0).shape())?;
    if classes == 0 {
        let logits = context.input(0).shape();
        return Err(Error::invalid_argument(format!(
            "Must have at least one class, but got logits shape {logits}"
        )));
    }
    if context.input(1).shape().dims() != [rows] {
        let labels = context.input(1).shape();
        let text =
            format!("labels must be a vector with one entry for each of the {rows} rows of logits: {labels}");
        return Err(Error::invalid_argument(text));
    }
    let (mut loss, mut backprop) = (context.allocate::<T>([rows])?, context.allocate::<T>([rows, classes])?);
    let loss_out = loss.as_mut_slice().expect("new memory has one owner");
    let backprop_out = backprop.as_mut_slice().expect("new memory has one owner");
    let (logits, labels) = (context.slice::<T>(0)?, context.ints(1)?);
    softmax::sparse_softmax_cross_entropy(context.pool(), classes, logits, &labels, loss_out, backprop_out)
        .map_err(|error| Error::invalid_argument(error.to_string()))?;
    context.set(0, loss);
    context.set(1, backprop);
    Ok(())
}
