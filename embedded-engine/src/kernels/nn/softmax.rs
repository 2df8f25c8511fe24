//! Softmax and the losses made of it.

use crate::kernel::KernelContext;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use compute::softmax::{self, Logits};
use session_core::{Error, Result};
use tensor::{Element, Shape};

pub(crate) fn register(registry: &mut Registry) {
    registry.add("Softmax", |spec| {
        for_dtype!(float spec.input_dtype(0), T => Ok(boxed(|context| rows::<T>(context, softmax::softmax::<T>))))
    });
    registry.add("LogSoftmax", |spec| {
        for_dtype!(float spec.input_dtype(0), T => Ok(boxed(|context| rows::<T>(context, softmax::log_softmax::<T>))))
    });
    registry.add(
        "SoftmaxCrossEntropyWithLogits",
        |spec| for_dtype!(float spec.input_dtype(0), T => Ok(boxed(dense::<T>))),
    );
    registry.add(
        "SparseSoftmaxCrossEntropyWithLogits",
        |spec| for_dtype!(float spec.input_dtype(0), T => Ok(boxed(sparse::<T>))),
    );
}

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

fn matrix(shape: &Shape) -> Result<[usize; 2]> {
    match shape.dims() {
        &[rows, classes] => Ok([rows, classes]),
        _ => Err(Error::invalid_argument(format!("logits must be 2-dimensional: {shape}"))),
    }
}

/// Labels that are probabilities; a batch of one on either side stands for all rows.
fn dense<T: Element + Logits>(context: &mut KernelContext<'_>) -> Result<()> {
    let [rows, classes] = matrix(context.input(0).shape())?;
    if context.input(1).shape() != context.input(0).shape() {
        let (logits, labels) = (context.input(0).shape(), context.input(1).shape());
        let text = format!("logits and labels must have the same shape: logits {logits}, labels {labels}");
        return Err(Error::invalid_argument(text));
    }
    let (mut loss, mut backprop) = (context.allocate::<T>([rows])?, context.allocate::<T>([rows, classes])?);
    let loss_out = loss.as_mut_slice().expect("new memory has one owner");
    let backprop_out = backprop.as_mut_slice().expect("new memory has one owner");
    let (logits, labels) = (context.slice::<T>(0)?, context.slice::<T>(1)?);
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

/// Labels that are the numbers of classes.
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
