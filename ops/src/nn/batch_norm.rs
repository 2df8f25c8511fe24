//! Batch normalization in one operation.

use super::batch_norm_gradient::norm_grad_gradient;
use super::window::DataFormat;
use crate::library::op_defs;
use crate::shapes;
use session_core::{
    AsOutput, AttrValue, Error, OpBuilder, OpDef, Operation, Output, PartialShape, Result, ShapeContext,
};

macro_rules! norm_attrs {
    ($types:literal) => {
        concat!(
            $types,
            ", epsilon: float = 0.0001, exponential_avg_factor: float = 1.0, \
             data_format: {\"NHWC\", \"NCHW\"} = \"NHWC\", is_training: bool = true"
        )
    };
}

macro_rules! norm_grad_attrs {
    ($types:literal) => {
        concat!(
            $types,
            ", epsilon: float = 0.0001, data_format: {\"NHWC\", \"NCHW\"} = \"NHWC\", is_training: bool = true"
        )
    };
}

op_defs! {
    FUSED_BATCH_NORM: OpDef::new(
        "FusedBatchNorm",
        "x: T, scale: T, offset: T, mean: T, variance: T \
         -> y: T, batch_mean: T, batch_variance: T, reserve_space_1: T, reserve_space_2: T",
    )
    .attrs(norm_attrs!("T: {float}"))
    .shape(norm_shape)
    .gradient(norm_gradient);
    FUSED_BATCH_NORM_GRAD: OpDef::new(
        "FusedBatchNormGrad",
        "y_backprop: T, x: T, scale: T, reserve_space_1: T, reserve_space_2: T \
         -> x_backprop: T, scale_backprop: T, offset_backprop: T, reserve_space_3: T, reserve_space_4: T",
    )
    .attrs(norm_grad_attrs!("T: {float}"))
    .shape(norm_grad_shape)
    .gradient(norm_grad_gradient);
    FUSED_BATCH_NORM_V2: OpDef::new(
        "FusedBatchNormV2",
        "x: T, scale: U, offset: U, mean: U, variance: U \
         -> y: T, batch_mean: U, batch_variance: U, reserve_space_1: U, reserve_space_2: U",
    )
    .attrs(norm_attrs!("T: {half, bfloat16, float}, U: {float}"))
    .shape(norm_shape)
    .gradient(norm_v2_gradient);
    FUSED_BATCH_NORM_GRAD_V2: OpDef::new(
        "FusedBatchNormGradV2",
        "y_backprop: T, x: T, scale: float, reserve_space_1: U, reserve_space_2: U \
         -> x_backprop: T, scale_backprop: U, offset_backprop: U, reserve_space_3: U, reserve_space_4: U",
    )
    .attrs(norm_grad_attrs!("T: {half, bfloat16, float}, U: {float}"))
    .shape(norm_grad_shape)
    .gradient(norm_grad_gradient);
    FUSED_BATCH_NORM_V3: OpDef::new(
        "FusedBatchNormV3",
        "x: T, scale: U, offset: U, mean: U, variance: U \
         -> y: T, batch_mean: U, batch_variance: U, reserve_space_1: U, reserve_space_2: U, reserve_space_3: U",
    )
    .attrs(
        "T: {half, bfloat16, float}, U: {bfloat16, float}, epsilon: float = 0.0001, \
         exponential_avg_factor: float = 1.0, data_format: {\"NHWC\", \"NCHW\", \"NDHWC\", \"NCDHW\"} = \"NHWC\", \
         is_training: bool = true",
    )
    .shape(norm_shape)
    .gradient(norm_v3_gradient);
    FUSED_BATCH_NORM_GRAD_V3: OpDef::new(
        "FusedBatchNormGradV3",
        "y_backprop: T, x: T, scale: float, reserve_space_1: U, reserve_space_2: U, reserve_space_3: U \
         -> x_backprop: T, scale_backprop: U, offset_backprop: U, reserve_space_4: U, reserve_space_5: U",
    )
    .attrs(
        "T: {half, bfloat16, float}, U: {float}, epsilon: float = 0.0001, \
         data_format: {\"NHWC\", \"NCHW\", \"NDHWC\", \"NCDHW\"} = \"NHWC\", is_training: bool = true",
    )
    .shape(norm_grad_shape)
    .gradient(norm_grad_gradient);
}

/// Returns the channels of an input, and its shape with them filled in from the vectors that belong to them.
fn channels(
    context: &ShapeContext<'_>,
    x: usize,
    vectors: &[usize],
) -> Result<(PartialShape, Option<usize>)> {
    // Formats of five letters are those of volumes.
    let rank = if shapes::str_attr(context, "data_format").len() == 5 { 5 } else { 4 };
    let shape = context.input_of_rank(x, rank)?;
    let axis = if shapes::str_attr(context, "data_format").starts_with("NC") { 1 } else { rank - 1 };
    let mut size = shape.dim(axis);
    for &vector in vectors {
        let found = context.input_of_rank(vector, 1)?;
        size = match (size, found.dim(0)) {
            // Nothing stands for a mean and variance that training does not need.
            (size, Some(0)) => size,
            (Some(a), Some(b)) if a != b => {
                let text =
                    format!("input {vector} of shape {found} does not fit the channels of shape {shape}");
                return Err(Error::value(text));
            }
            (a, b) => a.or(b),
        };
    }
    Ok((shape.with_dim(axis, size), size))
}

/// Infers the input's shape for `y`, and one number per channel for mean, variance and the
/// values kept for the gradient.
fn norm_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (shape, size) = channels(context, 0, &[1, 2, 3, 4])?;
    context.set(0, shape);
    // The sixth output, `reserve_space_3`, has a size that only the device knows.
    for output in 1..context.outputs().min(5) {
        context.set(output, PartialShape::from([size]));
    }
    Ok(())
}

/// Infers the gradients of `x` and of one number per channel for scale and offset.
fn norm_grad_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (shape, size) = channels(context, 1, &[2, 3, 4])?;
    let shape = shapes::merge(&shape, &context.input(0))?;
    context.set(0, shape);
    context.set(1, PartialShape::from([size]));
    context.set(2, PartialShape::from([size]));
    // Nothing is kept of a gradient.
    context.set(3, PartialShape::from([0]));
    context.set(4, PartialShape::from([0]));
    Ok(())
}

/// Copies the attributes that the gradient has in common with the operation.
fn copied_attrs(builder: OpBuilder, op: &Operation) -> OpBuilder {
    ["epsilon", "data_format", "is_training"].iter().fold(builder, |builder, name| match op.attr(name) {
        Some(value) => builder.attr(name, value.clone()),
        None => builder,
    })
}

/// Builds the gradient from the saved moments of the batch or, without training, from the moments that were given.
fn gradient_by(def: &'static OpDef, op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 5]) };
    let training = op.attr("is_training").and_then(AttrValue::as_bool).unwrap_or(true);
    // In training the gradient needs the moments of the batch, as the operation kept them;
    // in evaluation the given ones.
    let (first, second) = if training { (op.output(3), op.output(4)) } else { (op.input(3), op.input(4)) };
    let builder = grad.graph().op(def).input(grad).input(op.input(0));
    let builder = builder.input(op.input(1)).input(first).input(second);
    // The third version passes a further value from device to device code.
    let builder = if op.num_outputs() == 6 { builder.input(op.output(5)) } else { builder };
    let found = copied_attrs(builder, op).finish();
    // The running moments are not trained: only the updates of the layer change them.
    Ok(vec![Some(found.output(0)), Some(found.output(1)), Some(found.output(2)), None, None])
}

fn norm_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    gradient_by(&FUSED_BATCH_NORM_GRAD, op, grads)
}

fn norm_v2_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    gradient_by(&FUSED_BATCH_NORM_GRAD_V2, op, grads)
}

fn norm_v3_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    gradient_by(&FUSED_BATCH_NORM_GRAD_V3, op, grads)
}

/// The results of [`fused_batch_norm`].
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNorm {
    /// The normalized input.
    pub y: Output,
    /// The mean of each channel of the batch, blended with the running mean if one was given.
    pub mean: Output,
    /// The biased variance of each channel of the batch, blended with the running variance if one was given.
    pub variance: Output,
}

/// Options of [`fused_batch_norm`].
///
/// ```
/// use ops::nn::{BatchNormOptions, DataFormat};
/// let options = BatchNormOptions::default().epsilon(1e-5).data_format(DataFormat::Nchw);
/// # let _ = options;
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNormOptions {
    moments: Option<(Output, Output)>,
    epsilon: f32,
    data_format: DataFormat,
    is_training: bool,
    exponential_avg_factor: f32,
}

impl Default for BatchNormOptions {
    fn default() -> BatchNormOptions {
        // 0.001 is the default of `tf.nn.fused_batch_norm`; that of the operation is 0.0001.
        BatchNormOptions {
            moments: None,
            epsilon: 0.001,
            data_format: DataFormat::Nhwc,
            is_training: true,
            exponential_avg_factor: 1.0,
        }
    }
}

impl BatchNormOptions {
    /// Sets the running mean and variance, one number per channel. They are required when `is_training` is false. Default: none.
    #[must_use]
    pub fn moments(mut self, mean: impl AsOutput, variance: impl AsOutput) -> Self {
        self.moments = Some((mean.as_output().clone(), variance.as_output().clone()));
        self
    }

    /// Sets the small number that is added to the variance. Default: 0.001.
    #[must_use]
    pub fn epsilon(mut self, epsilon: f32) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Sets the order of the axes. Default: [`DataFormat::Nhwc`].
    #[must_use]
    pub fn data_format(mut self, data_format: DataFormat) -> Self {
        self.data_format = data_format;
        self
    }

    /// Sets whether the moments of the batch are used; otherwise the running moments are. Default: true.
    #[must_use]
    pub fn is_training(mut self, is_training: bool) -> Self {
        self.is_training = is_training;
        self
    }

    /// Sets the weight of the batch's moments in the returned moments; the running moments have the rest. Default: 1.
    #[must_use]
    pub fn exponential_avg_factor(mut self, factor: f32) -> Self {
        self.exponential_avg_factor = factor;
        self
    }
}

/// Normalizes each channel of images to mean 0 and variance 1, then multiplies by `scale` and adds `offset`,
/// vectors of one number per channel.
///
/// With the moments of the batch (the default) it also returns them, for running moments that the model keeps. Otherwise it
/// normalizes by the [moments](BatchNormOptions::moments) that it is given.
///
/// ```
/// # use ops::{array, nn};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let images = array::zeros(&graph, DType::Float32, [2, 8, 8, 3]);
/// let (scale, offset) = (array::ones(&graph, DType::Float32, [3]), array::zeros(&graph, DType::Float32, [3]));
/// let norm = nn::fused_batch_norm(&images, &scale, &offset, &nn::BatchNormOptions::default());
/// assert_eq!((norm.y.shape().to_string(), norm.mean.shape().to_string()), ("[2,8,8,3]".into(), "[3]".into()));
/// ```
#[must_use]
#[track_caller]
pub fn fused_batch_norm(
    x: impl AsOutput,
    scale: impl AsOutput,
    offset: impl AsOutput,
    options: &BatchNormOptions,
) -> BatchNorm {
    let scale_dtype = scale.as_output().dtype();
    let builder = x.as_output().graph().op(&FUSED_BATCH_NORM_V3).input(x).input(scale).input(offset);
    // Without given moments the inputs are empty, which TensorFlow's operation expects in training.
    let empty = || {
        tensor::Tensor::zeros(scale_dtype, [0]).unwrap_or_else(|_| tensor::Tensor::from(Vec::<f32>::new()))
    };
    let builder = match &options.moments {
        Some((mean, variance)) => builder.input(mean).input(variance),
        None => builder.constant(empty()).constant(empty()),
    };
    let operation = builder
        .attr("epsilon", options.epsilon)
        .attr("data_format", options.data_format.name())
        .attr("is_training", options.is_training)
        .attr("exponential_avg_factor", options.exponential_avg_factor)
        .finish();
    BatchNorm { y: operation.output(0), mean: operation.output(1), variance: operation.output(2) }
}
