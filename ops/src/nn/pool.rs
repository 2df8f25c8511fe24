//! Pooling: the maximum or mean of each window.

use super::window::{DataFormat, Padding, Windows, list_attr};
use crate::array::constants::zeros_like;
use crate::gradients::broadcasting::shape_of;
use crate::library::op_defs;
use crate::shapes::{self, shape_from};
use session_core::{
    AsOutput, Error, OpBuilder, OpDef, Operation, Output, PartialShape, Result, ShapeContext,
};

const VOLUME: &str = "ksize: list(int32) >= 5, strides: list(int32) >= 5, padding: {\"SAME\", \"VALID\"}, \
                      data_format: {\"NDHWC\", \"NCDHW\"} = \"NDHWC\", T: {half, bfloat16, float}";
const MEAN_VOLUME: &str = "ksize: list(int32) >= 5, strides: list(int32) >= 5, padding: {\"SAME\", \"VALID\"}, \
                           data_format: {\"NDHWC\", \"NCDHW\"} = \"NDHWC\", T: floattype";

op_defs! {
    MAX_POOL: OpDef::new("MaxPool", "input: T -> output: T")
        .attrs(
            "T: {half, bfloat16, float, double, int32, int64, uint8, int16, int8, uint16, qint8} = float, \
             ksize: list(int32) >= 4, strides: list(int32) >= 4, padding: {\"SAME\", \"VALID\", \"EXPLICIT\"}, \
             explicit_paddings: list(int) = [], data_format: {\"NHWC\", \"NCHW\", \"NCHW_VECT_C\"} = \"NHWC\"",
        )
        .shape(pool_2d_shape)
        .gradient(max_pool_gradient);
    MAX_POOL_GRAD: OpDef::new("MaxPoolGrad", "orig_input: T, orig_output: T, grad: T -> output: T")
        .attrs(
            "ksize: list(int32) >= 4, strides: list(int32) >= 4, padding: {\"SAME\", \"VALID\", \"EXPLICIT\"}, \
             explicit_paddings: list(int) = [], data_format: {\"NHWC\", \"NCHW\"} = \"NHWC\", \
             T: realnumbertype = float",
        )
        .shape(first_input_2d_shape)
        .gradient(max_pool_grad_gradient);
    MAX_POOL_GRAD_GRAD: OpDef::new("MaxPoolGradGrad", "orig_input: T, orig_output: T, grad: T -> output: T")
        .attrs(
            "ksize: list(int32) >= 4, strides: list(int32) >= 4, padding: {\"SAME\", \"VALID\"}, \
             data_format: {\"NHWC\", \"NCHW\"} = \"NHWC\", T: realnumbertype",
        )
        .shape(second_input_2d_shape)
        .gradient(max_pool_grad_grad_gradient);
    MAX_POOL_V2: OpDef::new("MaxPoolV2", "input: T, ksize: int32, strides: int32 -> output: T")
        .attrs(
            "T: {half, bfloat16, float, double, int32, int64, uint8, int16, int8, uint16, qint8} = float, \
             padding: {\"SAME\", \"VALID\"}, data_format: {\"NHWC\", \"NCHW\", \"NCHW_VECT_C\"} = \"NHWC\"",
        )
        .shape(max_pool_v2_shape)
        .gradient(max_pool_v2_gradient);
    MAX_POOL_GRAD_V2: OpDef::new(
        "MaxPoolGradV2",
        "orig_input: T, orig_output: T, grad: T, ksize: int32, strides: int32 -> output: T",
    )
    .attrs("padding: {\"SAME\", \"VALID\"}, data_format: {\"NHWC\", \"NCHW\"} = \"NHWC\", T: realnumbertype = float")
    .shape(first_input_2d_shape)
    .gradient(max_pool_grad_v2_gradient);
    MAX_POOL_GRAD_GRAD_V2: OpDef::new(
        "MaxPoolGradGradV2",
        "orig_input: T, orig_output: T, grad: T, ksize: int32, strides: int32 -> output: T",
    )
    .attrs("padding: {\"SAME\", \"VALID\"}, data_format: {\"NHWC\", \"NCHW\"} = \"NHWC\", T: realnumbertype")
    .shape(second_input_2d_shape)
    .gradient(max_pool_grad_grad_v2_gradient);
    MAX_POOL_WITH_ARGMAX: OpDef::new("MaxPoolWithArgmax", "input: T -> output: T, argmax: Targmax")
        .attrs(
            "ksize: list(int32) >= 4, strides: list(int32) >= 4, Targmax: indextype = int64, padding: {\"SAME\", \"VALID\"}, \
             include_batch_in_index: bool = false, T: realnumbertype",
        )
        .shape(pool_2d_shape)
        .gradient(max_pool_with_argmax_gradient);
    MAX_POOL_GRAD_WITH_ARGMAX: OpDef::new("MaxPoolGradWithArgmax", "input: T, grad: T, argmax: Targmax -> output: T")
        .attrs(
            "ksize: list(int32) >= 4, strides: list(int32) >= 4, padding: {\"SAME\", \"VALID\"}, \
             include_batch_in_index: bool = false, Targmax: indextype, T: realnumbertype",
        )
        .shape(first_input_2d_shape);
    AVG_POOL: OpDef::new("AvgPool", "value: T -> output: T")
        .attrs(
            "ksize: list(int32) >= 4, strides: list(int32) >= 4, padding: {\"SAME\", \"VALID\"}, \
             data_format: {\"NHWC\", \"NCHW\"} = \"NHWC\", T: floattype",
        )
        .shape(pool_2d_shape)
        .gradient(avg_pool_gradient);
    AVG_POOL_GRAD: OpDef::new("AvgPoolGrad", "orig_input_shape: int32, grad: T -> output: T")
        .attrs(
            "ksize: list(int32) >= 4, strides: list(int32) >= 4, padding: {\"SAME\", \"VALID\"}, \
             data_format: {\"NHWC\", \"NCHW\"} = \"NHWC\", T: floattype",
        )
        .shape(avg_pool_grad_2d_shape)
        .gradient(avg_pool_grad_gradient);
    MAX_POOL_3D: OpDef::new("MaxPool3D", "input: T -> output: T")
        .attrs(VOLUME)
        .shape(pool_3d_shape)
        .gradient(max_pool_3d_gradient);
    MAX_POOL_3D_GRAD: OpDef::new("MaxPool3DGrad", "orig_input: TInput, orig_output: TInput, grad: T -> output: T")
        .attrs(
            "ksize: list(int32) >= 5, strides: list(int32) >= 5, padding: {\"SAME\", \"VALID\"}, \
             data_format: {\"NDHWC\", \"NCDHW\"} = \"NDHWC\", T: {half, bfloat16, float} = float, \
             TInput: {half, bfloat16, float} = float",
        )
        .shape(first_input_3d_shape)
        .gradient(max_pool_3d_grad_gradient);
    MAX_POOL_3D_GRAD_GRAD: OpDef::new("MaxPool3DGradGrad", "orig_input: T, orig_output: T, grad: T -> output: T")
        .attrs(
            "ksize: list(int32) >= 5, strides: list(int32) >= 5, padding: {\"SAME\", \"VALID\"}, \
             data_format: {\"NDHWC\", \"NCDHW\"} = \"NDHWC\", T: realnumbertype",
        )
        .shape(second_input_3d_shape)
        .gradient(max_pool_3d_grad_grad_gradient);
    AVG_POOL_3D: OpDef::new("AvgPool3D", "input: T -> output: T")
        .attrs(MEAN_VOLUME)
        .shape(pool_3d_shape)
        .gradient(avg_pool_3d_gradient);
    AVG_POOL_3D_GRAD: OpDef::new("AvgPool3DGrad", "orig_input_shape: int32, grad: T -> output: T")
        .attrs(MEAN_VOLUME)
        .shape(avg_pool_grad_3d_shape)
        .gradient(avg_pool_3d_grad_gradient);
}

/// Infers the shape of pooled images `[batch, rows, columns, channels]`.
fn pool_2d_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    pool_shape(context, 4)
}

/// Infers the shape of pooled volumes.
fn pool_3d_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    pool_shape(context, 5)
}

/// Infers the number of windows along each axis, for all outputs.
fn pool_shape(context: &mut ShapeContext<'_>, rank: usize) -> Result<()> {
    let input = context.input_of_rank(0, rank)?;
    let (sizes, windows) = (list_attr(context, "ksize", rank)?, Windows::of(context, rank)?);
    let counts = (0..rank).map(|axis| windows.count(&input, axis, Some(sizes[axis])));
    let shape = counts.collect::<Result<PartialShape>>()?;
    (0..context.outputs()).for_each(|index| context.set(index, shape.clone()));
    Ok(())
}

/// Works as [`pool_shape`], where sizes and strides are inputs that may be computed.
fn max_pool_v2_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let input = context.input_of_rank(0, 4)?;
    let list = |index: usize| -> Option<Vec<usize>> {
        shapes::ints(context, index)?
            .into_iter()
            .map(|value| usize::try_from(value).ok().filter(|&v| v > 0))
            .collect()
    };
    let shape = match (list(1), list(2)) {
        (Some(sizes), Some(strides)) if sizes.len() == 4 && strides.len() == 4 => {
            let windows = Windows::new(strides, shapes::str_attr(context, "padding"));
            let counts = (0..4).map(|axis| windows.count(&input, axis, Some(sizes[axis])));
            counts.collect::<Result<PartialShape>>()?
        }
        _ => PartialShape::of_rank(4),
    };
    context.set(0, shape);
    Ok(())
}

/// Gives the output the shape of an input of this rank.
fn as_input(context: &mut ShapeContext<'_>, index: usize, rank: usize) -> Result<()> {
    let shape = context.input_of_rank(index, rank)?;
    context.set(0, shape);
    Ok(())
}

fn first_input_2d_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    as_input(context, 0, 4)
}

fn first_input_3d_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    as_input(context, 0, 5)
}

/// Infers the shape of a second-order gradient: that of the pooled images.
fn second_input_2d_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    as_input(context, 1, 4)
}

fn second_input_3d_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    as_input(context, 1, 5)
}

fn avg_pool_grad_2d_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    avg_pool_grad_shape(context, 4)
}

fn avg_pool_grad_3d_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    avg_pool_grad_shape(context, 5)
}

/// Infers the shape of the gradient from the value of the original shape, the first input.
fn avg_pool_grad_shape(context: &mut ShapeContext<'_>, rank: usize) -> Result<()> {
    let (shape, grad) = (shape_from(&context.inputs()[0])?, context.input_of_rank(1, rank)?);
    let shape = match shape.rank() {
        None => PartialShape::of_rank(rank),
        Some(given) if given == rank => shape,
        Some(_) => {
            let text = format!("a gradient of shape {grad} does not fit an input of shape {shape}");
            return Err(Error::value(text));
        }
    };
    context.set(0, shape);
    Ok(())
}

/// Returns the attributes that an operation and its gradients have in common.
fn copied_attrs(builder: OpBuilder, op: &Operation) -> OpBuilder {
    const COMMON: [&str; 6] =
        ["ksize", "strides", "padding", "explicit_paddings", "data_format", "include_batch_in_index"];
    COMMON.iter().fold(builder, |builder, name| match op.attr(name) {
        // The operations of a family do not have the same attributes: `explicit_paddings` is missing in some.
        Some(value) if has_attr(&builder, name) => builder.attr(name, value.clone()),
        _ => builder,
    })
}

/// Returns true if the operation that is being built has an attribute of this name.
fn has_attr(builder: &OpBuilder, name: &str) -> bool {
    builder.definition().is_some_and(|def| def.signature().attr(name).is_some())
}

/// Returns the gradient of the only input.
fn one(grads: &[Option<Output>], formula: impl FnOnce(&Output) -> Output) -> Result<Vec<Option<Output>>> {
    Ok(vec![grads[0].as_ref().map(formula)])
}

/// Builds the gradient of a maximum: it needs input and result, to find the element that each window took.
fn max_grad(def: &'static OpDef, op: &Operation, [input, output, grad]: [&Output; 3]) -> Output {
    copied_attrs(grad.graph().op(def).input(input).input(output).input(grad), op).finish_output()
}

fn max_pool_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    // If several elements are the maximum, the first one of the window receives the
    // gradient, as in TensorFlow on a CPU.
    one(grads, |grad| max_grad(&MAX_POOL_GRAD, op, [&op.input(0), &op.output(0), grad]))
}

fn max_pool_3d_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    one(grads, |grad| max_grad(&MAX_POOL_3D_GRAD, op, [&op.input(0), &op.output(0), grad]))
}

/// Builds the gradient of a maximum's gradient, of an operation that takes the same inputs. Small changes do not change which
/// elements are the largest.
fn max_again(def: &'static OpDef, op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let mut result = vec![None; op.num_inputs()];
    let Some(grad) = &grads[0] else { return Ok(result) };
    let builder = grad.graph().op(def).input(op.input(0)).input(op.input(1)).input(grad);
    let builder = op.inputs().iter().skip(3).fold(builder, OpBuilder::input);
    // Which element is the maximum is piecewise constant, so by the images the second derivative is zero; by
    // `grad` the operation is linear.
    result[0] = Some(zeros_like(op.input(0)));
    result[1] = Some(zeros_like(op.input(1)));
    result[2] = Some(copied_attrs(builder, op).finish_output());
    Ok(result)
}

fn max_pool_grad_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    max_again(&MAX_POOL_GRAD_GRAD, op, grads)
}

fn max_pool_grad_grad_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    max_again(&MAX_POOL_GRAD, op, grads)
}

fn max_pool_grad_v2_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    max_again(&MAX_POOL_GRAD_GRAD_V2, op, grads)
}

fn max_pool_grad_grad_v2_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    max_again(&MAX_POOL_GRAD_V2, op, grads)
}

fn max_pool_3d_grad_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    max_again(&MAX_POOL_3D_GRAD_GRAD, op, grads)
}

fn max_pool_3d_grad_grad_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    max_again(&MAX_POOL_3D_GRAD, op, grads)
}

fn max_pool_v2_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    // Sizes and strides are inputs here and are passed on.
    let gradient = |grad: &Output| {
        let builder = grad.graph().op(&MAX_POOL_GRAD_V2).input(op.input(0)).input(op.output(0)).input(grad);
        copied_attrs(builder.input(op.input(1)).input(op.input(2)), op).finish_output()
    };
    Ok(vec![grads[0].as_ref().map(gradient), None, None])
}

fn max_pool_with_argmax_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    one(grads, |grad| {
        let builder = grad.graph().op(&MAX_POOL_GRAD_WITH_ARGMAX).input(op.input(0)).input(grad);
        copied_attrs(builder.input(op.output(1)), op).finish_output()
    })
}

/// Builds the gradient of a mean, which needs only the shape of the input.
fn avg_grad(def: &'static OpDef, op: &Operation, grad: &Output) -> Output {
    let builder = shape_of(&op.input(0)).input_of(grad.graph().op(def));
    copied_attrs(builder.input(grad), op).finish_output()
}

fn avg_pool_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    one(grads, |grad| avg_grad(&AVG_POOL_GRAD, op, grad))
}

fn avg_pool_3d_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    one(grads, |grad| avg_grad(&AVG_POOL_3D_GRAD, op, grad))
}

fn avg_pool_grad_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    // A mean is linear, so the gradient of its gradient is the mean again.
    let again = |grad: &Output| copied_attrs(grad.graph().op(&AVG_POOL).input(grad), op).finish_output();
    Ok(vec![None, grads[0].as_ref().map(again)])
}

fn avg_pool_3d_grad_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let again = |grad: &Output| copied_attrs(grad.graph().op(&AVG_POOL_3D).input(grad), op).finish_output();
    Ok(vec![None, grads[0].as_ref().map(again)])
}

#[track_caller]
fn pool(
    def: &'static OpDef,
    input: &Output,
    (size, strides): ([usize; 2], [usize; 2]),
    padding: Padding,
    format: DataFormat,
) -> Output {
    let (name, explicit) = padding.attrs(format);
    let builder = input.graph().op(def).input(input).attr("ksize", format.spatial(size));
    let builder = builder.attr("strides", format.spatial(strides)).attr("padding", name);
    let builder = builder.attr("data_format", format.name());
    let builder = if explicit.is_empty() { builder } else { builder.attr("explicit_paddings", explicit) };
    builder.finish_output()
}

/// Returns the largest element of each window of `size` rows and columns; windows lie `strides` apart.
///
/// ```
/// use ops::{array, nn};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [1, 8, 8, 3]);
/// assert_eq!(nn::max_pool(&x, [2, 2], [2, 2], nn::Padding::Valid).shape().to_string(), "[1,4,4,3]");
/// ```
#[must_use]
#[track_caller]
pub fn max_pool(input: impl AsOutput, size: [usize; 2], strides: [usize; 2], padding: Padding) -> Output {
    pool(&MAX_POOL, input.as_output(), (size, strides), padding, DataFormat::Nhwc)
}

/// Works as [`max_pool`] for another order of axes.
///
/// ```
/// # use ops::{array, nn};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [1, 3, 8, 8]);
/// let y = nn::max_pool_with(&x, [2, 2], [2, 2], nn::Padding::Valid, nn::DataFormat::Nchw);
/// assert_eq!(y.shape().to_string(), "[1,3,4,4]");
/// ```
#[must_use]
#[track_caller]
pub fn max_pool_with(
    input: impl AsOutput,
    size: [usize; 2],
    strides: [usize; 2],
    padding: Padding,
    format: DataFormat,
) -> Output {
    pool(&MAX_POOL, input.as_output(), (size, strides), padding, format)
}

/// Returns the mean of each window of `size` rows and columns, without what lies beyond the border; windows lie `strides`
/// apart. Explicit padding is not possible.
///
/// ```
/// use ops::{array, nn};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [1, 8, 8, 3]);
/// assert_eq!(nn::avg_pool(&x, [2, 2], [2, 2], nn::Padding::Valid).shape().to_string(), "[1,4,4,3]");
/// ```
#[must_use]
#[track_caller]
pub fn avg_pool(value: impl AsOutput, size: [usize; 2], strides: [usize; 2], padding: Padding) -> Output {
    pool(&AVG_POOL, value.as_output(), (size, strides), padding, DataFormat::Nhwc)
}

/// Works as [`avg_pool`] for another order of axes.
///
/// ```
/// # use ops::{array, nn};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [1, 3, 8, 8]);
/// let y = nn::avg_pool_with(&x, [2, 2], [2, 2], nn::Padding::Valid, nn::DataFormat::Nchw);
/// assert_eq!(y.shape().to_string(), "[1,3,4,4]");
/// ```
#[must_use]
#[track_caller]
pub fn avg_pool_with(
    value: impl AsOutput,
    size: [usize; 2],
    strides: [usize; 2],
    padding: Padding,
    format: DataFormat,
) -> Output {
    pool(&AVG_POOL, value.as_output(), (size, strides), padding, format)
}

/// Works as [`max_pool`] over volumes, with windows of planes, rows and columns.
///
/// ```
/// # use ops::{array, nn};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [1, 4, 8, 8, 3]);
/// assert_eq!(nn::max_pool3d(&x, [2, 2, 2], [2, 2, 2], nn::Padding::Valid).shape().to_string(), "[1,2,4,4,3]");
/// ```
#[must_use]
#[track_caller]
pub fn max_pool3d(input: impl AsOutput, size: [usize; 3], strides: [usize; 3], padding: Padding) -> Output {
    pool_volumes(&MAX_POOL_3D, input.as_output(), size, strides, padding)
}

/// Works as [`avg_pool`] over volumes, with windows of planes, rows and columns.
///
/// ```
/// # use ops::{array, nn};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [1, 4, 8, 8, 3]);
/// assert_eq!(nn::avg_pool3d(&x, [2, 2, 2], [2, 2, 2], nn::Padding::Valid).shape().to_string(), "[1,2,4,4,3]");
/// ```
#[must_use]
#[track_caller]
pub fn avg_pool3d(input: impl AsOutput, size: [usize; 3], strides: [usize; 3], padding: Padding) -> Output {
    pool_volumes(&AVG_POOL_3D, input.as_output(), size, strides, padding)
}

#[track_caller]
fn pool_volumes(
    def: &'static OpDef,
    input: &Output,
    size: [usize; 3],
    strides: [usize; 3],
    padding: Padding,
) -> Output {
    let list = |values: [usize; 3]| -> Vec<i64> {
        [1].into_iter()
            .chain(values)
            .chain([1])
            .map(|value| i64::try_from(value).unwrap_or(i64::MAX))
            .collect()
    };
    let builder = input.graph().op(def).input(input).attr("ksize", list(size)).attr("strides", list(strides));
    builder.attr("padding", padding.attrs(DataFormat::Nhwc).0).finish_output()
}

/// Returns the largest element of each window, and its flattened position in the batch entry as `int64`.
///
/// ```
/// # use ops::{array, nn};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [1, 8, 8, 3]);
/// let (largest, position) = nn::max_pool_with_argmax(&x, [2, 2], [2, 2], nn::Padding::Valid);
/// assert_eq!((largest.shape(), position.dtype()), (position.shape(), DType::Int64));
/// ```
#[must_use]
#[track_caller]
pub fn max_pool_with_argmax(
    input: impl AsOutput,
    size: [usize; 2],
    strides: [usize; 2],
    padding: Padding,
) -> (Output, Output) {
    let format = DataFormat::Nhwc;
    let builder = input.as_output().graph().op(&MAX_POOL_WITH_ARGMAX).input(input);
    let builder = builder.attr("ksize", format.spatial(size)).attr("strides", format.spatial(strides));
    let operation = builder.attr("padding", padding.attrs(format).0).finish();
    (operation.output(0), operation.output(1))
}
