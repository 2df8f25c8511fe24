//! The operations of convolutions: definitions, shapes and gradients.

use super::window::{Windows, axes, list_attr};
use crate::arguments::Ints;
use crate::gradients::broadcasting::shape_of;
use crate::library::op_defs;
use crate::shapes::{self, shape_from};
use session_core::{Error, OpBuilder, OpDef, Operation, Output, PartialShape, Result, ShapeContext};

macro_rules! conv_attrs {
    ($types:literal) => {
        concat!(
            "T: ",
            $types,
            ", strides: list(int32), use_cudnn_on_gpu: bool = true, padding: {\"SAME\", \"VALID\", \"EXPLICIT\"}, \
             explicit_paddings: list(int) = [], data_format: {\"NHWC\", \"NCHW\"} = \"NHWC\", \
             dilations: list(int32) = [1, 1, 1, 1]"
        )
    };
}

const DEPTHWISE: &str = "T: floattype, strides: list(int32), padding: {\"SAME\", \"VALID\", \"EXPLICIT\"}, \
                         explicit_paddings: list(int) = [], data_format: {\"NHWC\", \"NCHW\"} = \"NHWC\", \
                         dilations: list(int32) = [1, 1, 1, 1]";
macro_rules! volumes {
    ($more:literal) => {
        concat!(
            "T: floattype, strides: list(int32) >= 5, padding: {\"SAME\", \"VALID\"}, \
             data_format: {\"NDHWC\", \"NCDHW\"} = \"NDHWC\", dilations: list(int32) = [1, 1, 1, 1, 1]",
            $more
        )
    };
}

op_defs! {
    CONV_2D: OpDef::new("Conv2D", "input: T, filter: T -> output: T")
        .attrs(conv_attrs!("{half, bfloat16, float, double, int32}"))
        .shape(conv_2d_shape)
        .gradient(conv_2d_gradient);
    CONV_2D_BACKPROP_INPUT: OpDef::new(
        "Conv2DBackpropInput",
        "input_sizes: int32, filter: T, out_backprop: T -> output: T",
    )
    .attrs(conv_attrs!("{half, bfloat16, float, double, int32}"))
    .shape(backprop_input_2d_shape)
    .gradient(conv_2d_backprop_input_gradient);
    CONV_2D_BACKPROP_FILTER: OpDef::new(
        "Conv2DBackpropFilter",
        "input: T, filter_sizes: int32, out_backprop: T -> output: T",
    )
    .attrs(conv_attrs!("floattype"))
    .shape(backprop_filter_2d_shape)
    .gradient(conv_2d_backprop_filter_gradient);
    DEPTHWISE_CONV_2D: OpDef::new("DepthwiseConv2dNative", "input: T, filter: T -> output: T")
        .attrs(DEPTHWISE)
        .shape(depthwise_shape)
        .gradient(depthwise_gradient);
    DEPTHWISE_CONV_2D_BACKPROP_INPUT: OpDef::new(
        "DepthwiseConv2dNativeBackpropInput",
        "input_sizes: int32, filter: T, out_backprop: T -> output: T",
    )
    .attrs(DEPTHWISE)
    .shape(backprop_input_2d_shape)
    .gradient(depthwise_backprop_input_gradient);
    DEPTHWISE_CONV_2D_BACKPROP_FILTER: OpDef::new(
        "DepthwiseConv2dNativeBackpropFilter",
        "input: T, filter_sizes: int32, out_backprop: T -> output: T",
    )
    .attrs(DEPTHWISE)
    .shape(backprop_filter_2d_shape)
    .gradient(depthwise_backprop_filter_gradient);
    CONV_3D: OpDef::new("Conv3D", "input: T, filter: T -> output: T")
        .attrs(volumes!(""))
        .shape(conv_3d_shape)
        .gradient(conv_3d_gradient);
    CONV_3D_BACKPROP_INPUT: OpDef::new(
        "Conv3DBackpropInputV2",
        "input_sizes: Tshape, filter: T, out_backprop: T -> output: T",
    )
    .attrs(volumes!(", Tshape: indextype = int32"))
    .shape(backprop_input_3d_shape)
    .gradient(conv_3d_backprop_input_gradient);
    CONV_3D_BACKPROP_FILTER: OpDef::new(
        "Conv3DBackpropFilterV2",
        "input: T, filter_sizes: int32, out_backprop: T -> output: T",
    )
    .attrs(volumes!(""))
    .shape(backprop_filter_3d_shape)
    .gradient(conv_3d_backprop_filter_gradient);
}

/// Infers the shape of `Conv2D`: input `[batch, rows, columns, channels]`, filter `[rows, columns, in, out]`.
fn conv_2d_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    conv_shape(context, 4)
}

/// Infers the shape of `Conv3D`, with an axis of planes before the rows.
fn conv_3d_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    conv_shape(context, 5)
}

/// Infers the shape of a convolution. The axes of a filter are (planes,) rows, columns, input channels, output channels.
fn conv_shape(context: &mut ShapeContext<'_>, rank: usize) -> Result<()> {
    let (input, filter) = (context.input_of_rank(0, rank)?, context.input_of_rank(1, rank)?);
    let axes = axes(context, rank);
    // Grouped convolutions: the input may have a multiple of the channels that the filter takes.
    if let (Some(channels), Some(expected)) = (input.dim(axes.channels), filter.dim(rank - 2))
        && (expected == 0 || channels % expected != 0)
    {
        let text = format!(
            "an input of shape {input} has {channels} channels, its filter {filter} takes {expected}"
        );
        return Err(Error::value(text));
    }
    let shape = moved(context, &input, &filter, rank)?.with_dim(axes.channels, filter.dim(rank - 1));
    context.set(0, shape);
    Ok(())
}

/// Sets the shape of the output to that of the input, with the number of windows along rows and columns.
fn moved(
    context: &ShapeContext<'_>,
    input: &PartialShape,
    filter: &PartialShape,
    rank: usize,
) -> Result<PartialShape> {
    let (axes, windows) = (axes(context, rank), Windows::of(context, rank)?);
    let mut shape = input.clone();
    for (place, &axis) in axes.spatial.iter().enumerate() {
        shape = shape.with_dim(axis, windows.count(input, axis, filter.dim(place))?);
    }
    Ok(shape)
}

/// Infers `[batch, rows, columns, channels * multiplier]` for a filter `[rows,
/// columns, channels, multiplier]`.
fn depthwise_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (input, filter) = (context.input_of_rank(0, 4)?, context.input_of_rank(1, 4)?);
    let channels = axes(context, 4).channels;
    let inner = match (input.dim(channels), filter.dim(2)) {
        (Some(a), Some(b)) if a != b => {
            let text = format!("an input of shape {input} has {a} channels, its filter {filter} takes {b}");
            return Err(Error::value(text));
        }
        (a, b) => a.or(b),
    };
    let outer = shapes::times(inner, filter.dim(3))?;
    let shape = moved(context, &input, &filter, 4)?.with_dim(channels, outer);
    context.set(0, shape);
    Ok(())
}

/// Works as [`backprop_input_shape`], for planes.
fn backprop_input_2d_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    backprop_input_shape(context, 4)
}

/// Works as [`backprop_input_shape`], for volumes.
fn backprop_input_3d_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    backprop_input_shape(context, 5)
}

/// Works as [`backprop_filter_shape`], for planes.
fn backprop_filter_2d_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    backprop_filter_shape(context, 4)
}

/// Works as [`backprop_filter_shape`], for volumes.
fn backprop_filter_3d_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    backprop_filter_shape(context, 5)
}

/// Infers the shape of the gradient of an input, which an argument states; TensorFlow also accepts rows and columns alone.
fn backprop_input_shape(context: &mut ShapeContext<'_>, rank: usize) -> Result<()> {
    let filter = context.input_of_rank(1, rank)?;
    context.input_of_rank(2, rank)?;
    list_attr(context, "strides", rank)?;
    let sizes = shape_from(&context.inputs()[0])?;
    let shape = match sizes.rank() {
        Some(given) if given == rank => sizes,
        // TensorFlow also accepts rows and columns alone; batch and channels follow from the other inputs.
        Some(given) if given + 2 == rank => {
            let (axes, batch) = (axes(context, rank), context.input(2).dim(0));
            let shape =
                PartialShape::of_rank(rank).with_dim(0, batch).with_dim(axes.channels, filter.dim(rank - 2));
            axes.spatial
                .iter()
                .enumerate()
                .fold(shape, |shape, (i, &axis)| shape.with_dim(axis, sizes.dim(i)))
        }
        Some(_) => {
            return Err(Error::value(format!("input_sizes {sizes} do not fit a filter of shape {filter}")));
        }
        None => PartialShape::of_rank(rank),
    };
    context.set(0, shape);
    Ok(())
}

/// Infers the filter's shape from the value of `filter_sizes`.
fn backprop_filter_shape(context: &mut ShapeContext<'_>, rank: usize) -> Result<()> {
    let (input, sizes) = (context.input_of_rank(0, rank)?, shape_from(&context.inputs()[1])?);
    context.input_of_rank(2, rank)?;
    let shape = match sizes.rank() {
        None => PartialShape::of_rank(rank),
        Some(given) if given == rank => sizes,
        Some(_) => {
            return Err(Error::value(format!("filter_sizes {sizes} do not fit an input of shape {input}")));
        }
    };
    context.set(0, shape);
    Ok(())
}

/// Returns the attributes that an operation and its gradients have in common.
fn copied_attrs(builder: OpBuilder, op: &Operation) -> OpBuilder {
    // The attributes of all three operations of a family: forward, and backward by input and by filter.
    const COMMON: [&str; 6] =
        ["strides", "padding", "explicit_paddings", "data_format", "dilations", "use_cudnn_on_gpu"];
    COMMON.iter().fold(builder, |builder, name| match op.attr(name) {
        Some(value) => builder.attr(name, value.clone()),
        None => builder,
    })
}

/// The three operations of one kind of convolution.
struct Family {
    forward: &'static OpDef,
    backprop_input: &'static OpDef,
    backprop_filter: &'static OpDef,
}

static PLANES: Family = Family {
    forward: &CONV_2D,
    backprop_input: &CONV_2D_BACKPROP_INPUT,
    backprop_filter: &CONV_2D_BACKPROP_FILTER,
};
static DEPTHS: Family = Family {
    forward: &DEPTHWISE_CONV_2D,
    backprop_input: &DEPTHWISE_CONV_2D_BACKPROP_INPUT,
    backprop_filter: &DEPTHWISE_CONV_2D_BACKPROP_FILTER,
};
static VOLUMES: Family = Family {
    forward: &CONV_3D,
    backprop_input: &CONV_3D_BACKPROP_INPUT,
    backprop_filter: &CONV_3D_BACKPROP_FILTER,
};

impl Family {
    /// Convolves with the attributes of `op`.
    fn forward(&self, op: &Operation, input: &Output, filter: &Output) -> Output {
        copied_attrs(input.graph().op(self.forward).input(input).input(filter), op).finish_output()
    }

    /// Returns the gradient of an input of these sizes for the gradient `out` of the result.
    fn input(&self, op: &Operation, sizes: Ints, filter: &Output, out: &Output) -> Output {
        let builder = sizes.input_of(out.graph().op(self.backprop_input));
        copied_attrs(builder.input(filter).input(out), op).finish_output()
    }

    /// Returns the gradient of a filter of these sizes.
    fn filter(&self, op: &Operation, input: &Output, sizes: Ints, out: &Output) -> Output {
        let builder = sizes.input_of(out.graph().op(self.backprop_filter).input(input));
        copied_attrs(builder.input(out), op).finish_output()
    }

    /// Returns the gradients of input and filter. A convolution is linear in each, so both
    /// are operations of the family.
    fn forward_gradient(&self, op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
        let Some(grad) = &grads[0] else { return Ok(vec![None, None]) };
        let (input, filter) = (op.input(0), op.input(1));
        Ok(vec![
            Some(self.input(op, shape_of(&input), &filter, grad)),
            Some(self.filter(op, &input, shape_of(&filter), grad)),
        ])
    }

    /// Returns the gradients of a backward convolution by input: of its filter, and of its incoming gradient,
    /// which is the forward convolution.
    fn input_gradient(&self, op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
        let Some(grad) = &grads[0] else { return Ok(vec![None; 3]) };
        let (filter, out) = (op.input(1), op.input(2));
        // `grad` has the shape of the input, and takes its place.
        let of_filter = self.filter(op, grad, shape_of(&filter), &out);
        Ok(vec![None, Some(of_filter), Some(self.forward(op, grad, &filter))])
    }

    /// Returns the gradients of a backward convolution by filter: of its input, and of its incoming gradient.
    fn filter_gradient(&self, op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
        let Some(grad) = &grads[0] else { return Ok(vec![None; 3]) };
        let (input, out) = (op.input(0), op.input(2));
        // `grad` has the shape of the filter, and takes its place.
        let of_input = self.input(op, shape_of(&input), grad, &out);
        Ok(vec![Some(of_input), None, Some(self.forward(op, &input, grad))])
    }
}

fn conv_2d_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    PLANES.forward_gradient(op, grads)
}

fn conv_2d_backprop_input_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    PLANES.input_gradient(op, grads)
}

fn conv_2d_backprop_filter_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    PLANES.filter_gradient(op, grads)
}

fn depthwise_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    DEPTHS.forward_gradient(op, grads)
}

fn depthwise_backprop_input_gradient(
    op: &Operation,
    grads: &[Option<Output>],
) -> Result<Vec<Option<Output>>> {
    DEPTHS.input_gradient(op, grads)
}

fn depthwise_backprop_filter_gradient(
    op: &Operation,
    grads: &[Option<Output>],
) -> Result<Vec<Option<Output>>> {
    DEPTHS.filter_gradient(op, grads)
}

fn conv_3d_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    VOLUMES.forward_gradient(op, grads)
}

fn conv_3d_backprop_input_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    VOLUMES.input_gradient(op, grads)
}

fn conv_3d_backprop_filter_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    VOLUMES.filter_gradient(op, grads)
}
