//! Adding a vector along the channels.

use crate::array::shaping::{broadcast_to, reshape};
use crate::gradients::broadcasting::shape_of;
use crate::library::op_defs;
use crate::math::reduce::reduce_sum;
use crate::nn::DataFormat;
use crate::shapes;
use session_core::{
    AsOutput, AttrValue, Error, OpDef, Operation, Output, PartialShape, Result, ShapeContext,
};

op_defs! {
    BIAS_ADD: OpDef::new("BiasAdd", "value: T, bias: T -> output: T")
        .attrs("T: numbertype, data_format: {\"NHWC\", \"NCHW\"} = \"NHWC\"")
        .shape(bias_add_shape)
        .gradient(bias_add_gradient);
    BIAS_ADD_V1: OpDef::new("BiasAddV1", "value: T, bias: T -> output: T")
        .attrs("T: numbertype")
        .shape(bias_add_shape)
        .gradient(bias_add_v1_gradient);
    BIAS_ADD_GRAD: OpDef::new("BiasAddGrad", "out_backprop: T -> output: T")
        .attrs("T: numbertype, data_format: {\"NHWC\", \"NCHW\"} = \"NHWC\"")
        .shape(bias_add_grad_shape)
        .gradient(bias_add_grad_gradient);
}

/// Returns the axis of channels: the last one, or the one after the batch.
fn channel_axis(format: &str, rank: usize) -> usize {
    if format == "NCHW" { 1 } else { rank - 1 }
}

/// Returns the shape of an input with channels. With the channels after the batch it has at least one axis of places.
fn channelled(context: &ShapeContext<'_>) -> Result<PartialShape> {
    let least = if shapes::str_attr(context, "data_format") == "NCHW" { 3 } else { 2 };
    shapes::at_least_rank(context, 0, least)
}

fn bias_add_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (value, bias) = (channelled(context)?, context.input_of_rank(1, 1)?);
    let Some(rank) = value.rank() else { return Ok(()) };
    let axis = channel_axis(shapes::str_attr(context, "data_format"), rank);
    let size = match (value.dim(axis), bias.dim(0)) {
        (Some(a), Some(b)) if a != b => {
            let text = format!("a bias of shape {bias} does not fit axis {axis} of shape {value}");
            return Err(Error::value(text));
        }
        (a, b) => a.or(b),
    };
    context.set(0, value.with_dim(axis, size));
    Ok(())
}

fn bias_add_grad_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let value = channelled(context)?;
    let format = shapes::str_attr(context, "data_format");
    let size = value.rank().and_then(|rank| value.dim(channel_axis(format, rank)));
    context.set(0, PartialShape::from([size]));
    Ok(())
}

fn format_of(op: &Operation) -> &str {
    op.attr("data_format").and_then(AttrValue::as_str).unwrap_or("NHWC")
}

fn bias_add_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None, None]) };
    let builder = grad.graph().op(&BIAS_ADD_GRAD).input(grad);
    let of_bias = builder.attr("data_format", format_of(op)).finish_output();
    Ok(vec![Some(grad.clone()), Some(of_bias)])
}

fn bias_add_v1_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None, None]) };
    let Some(rank) = op.input(0).shape().rank() else {
        return Err(op.place(Error::value("the gradient needs to know the rank of the value")));
    };
    let of_bias = reduce_sum(grad, (0..rank - 1).collect::<Vec<usize>>());
    Ok(vec![Some(grad.clone()), Some(of_bias)])
}

/// Returns the gradient of a sum over all but the channels: the same number along all of them.
fn bias_add_grad_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None]) };
    let value = op.input(0);
    if format_of(op) == "NHWC" {
        return Ok(vec![Some(broadcast_to(grad, shape_of(&value)))]);
    }
    let Some(rank) = value.shape().rank() else {
        return Err(op.place(Error::value("the gradient needs to know the rank of the value")));
    };
    let axis = channel_axis("NCHW", rank);
    let sizes: Vec<i64> = (0..rank).map(|other| if other == axis { -1 } else { 1 }).collect();
    Ok(vec![Some(broadcast_to(reshape(grad, sizes), shape_of(&value)))])
}

/// Adds a vector to `value` along its last axis.
///
/// ```
/// use ops::{array, nn};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// let b = array::zeros(&graph, DType::Float32, [3]);
/// assert_eq!(nn::bias_add(&x, &b).shape().to_string(), "[2,3]");
/// ```
#[must_use]
#[track_caller]
pub fn bias_add(value: impl AsOutput, bias: impl AsOutput) -> Output {
    bias_add_with(value, bias, DataFormat::Nhwc)
}

/// Adds a vector to `value` along its channels, whose axis the format determines.
///
/// ```
/// # use ops::{array, nn};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let images = array::zeros(&graph, DType::Float32, [1, 3, 8, 8]);
/// let bias = array::zeros(&graph, DType::Float32, [3]);
/// let y = nn::bias_add_with(&images, &bias, nn::DataFormat::Nchw);
/// assert_eq!(y.shape().to_string(), "[1,3,8,8]");
/// ```
#[must_use]
#[track_caller]
pub fn bias_add_with(value: impl AsOutput, bias: impl AsOutput, format: DataFormat) -> Output {
    let builder = value.as_output().graph().op(&BIAS_ADD).input(value).input(bias);
    builder.attr("data_format", format.name()).finish_output()
}
