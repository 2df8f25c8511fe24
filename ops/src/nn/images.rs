//! Images: other sizes, and normalization across channels.

use crate::arguments::{Ints, vector};
use crate::array::shaping::shape;
use crate::array::slicing::{Index, strided_slice};
use crate::image::resizing::{RESIZE_AREA, RESIZE_BICUBIC};
use crate::library::op_defs;
use crate::shapes;
use session_core::{
    AsOutput, Error, OpBuilder, OpDef, Operation, Output, PartialShape, Result, ShapeContext,
};

const LRN_ATTRS: &str = "depth_radius: int = 5, bias: float = 1.0, alpha: float = 1.0, beta: float = 0.5, \
                         T: {half, bfloat16, float} = float";

op_defs! {
    LRN: OpDef::new("LRN", "input: T -> output: T").attrs(LRN_ATTRS).shape(lrn_shape).gradient(lrn_gradient);
    LRN_GRAD: OpDef::new("LRNGrad", "input_grads: T, input_image: T, output_image: T -> output: T")
        .attrs(LRN_ATTRS)
        .shape(lrn_grad_shape);
    RESIZE_BILINEAR: OpDef::new("ResizeBilinear", "images: T, size: int32 -> resized_images: float")
        .attrs(
            "T: {int8, uint8, int16, uint16, int32, int64, bfloat16, half, float, double}, \
             align_corners: bool = false, half_pixel_centers: bool = false",
        )
        .shape(resize_shape)
        .gradient(resize_bilinear_gradient);
    RESIZE_BILINEAR_GRAD: OpDef::new("ResizeBilinearGrad", "grads: float, original_image: T -> output: T")
        .attrs("T: {float, bfloat16, half, double}, align_corners: bool = false, half_pixel_centers: bool = false")
        .shape(second_input_shape)
        .not_differentiable();
    RESIZE_NEAREST_NEIGHBOR: OpDef::new("ResizeNearestNeighbor", "images: T, size: int32 -> resized_images: T")
        .attrs(
            "T: {int8, uint8, int16, uint16, int32, int64, half, float, double, bfloat16}, \
             align_corners: bool = false, half_pixel_centers: bool = false",
        )
        .shape(resize_shape)
        .gradient(resize_nearest_gradient);
    RESIZE_NEAREST_NEIGHBOR_GRAD: OpDef::new("ResizeNearestNeighborGrad", "grads: T, size: int32 -> output: T")
        .attrs(
            "T: {uint8, int8, int32, half, float, double, bfloat16}, align_corners: bool = false, \
             half_pixel_centers: bool = false",
        )
        .shape(resize_shape);
}

/// Keeps the shape of `[batch, rows, columns, channels]`.
fn lrn_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = context.input_of_rank(0, 4)?;
    context.set(0, shape);
    Ok(())
}

fn lrn_grad_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = shapes::merge(&shapes::same_inputs(context)?, &PartialShape::of_rank(4))?;
    context.set(0, shape);
    Ok(())
}

/// Gives the output the shape of the second input, the original images.
pub(crate) fn second_input_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = context.input_of_rank(1, 4)?;
    context.set(0, shape);
    Ok(())
}

/// Infers `[batch, rows, columns, channels]` with the rows and columns of the value of `size`.
pub(crate) fn resize_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = resized_shape(context)?;
    context.set(0, shape);
    Ok(())
}

/// Returns the shape of the images of input 0 in the size of input 1.
pub(crate) fn resized_shape(context: &ShapeContext<'_>) -> Result<PartialShape> {
    let (images, size) = (context.input_of_rank(0, 4)?, context.input_of_rank(1, 1)?);
    if size.dim(0).is_some_and(|count| count != 2) {
        return Err(Error::value(format!("size must be rows and columns, not of shape {size}")));
    }
    // -1 is no size, so `try_from` turns it into an unknown one.
    let sizes = shapes::ints(context, 1).unwrap_or_else(|| vec![-1, -1]);
    let dim = |at: usize| sizes.get(at).and_then(|&size| usize::try_from(size).ok());
    Ok(PartialShape::from([images.dim(0), dim(0), dim(1), images.dim(3)]))
}

/// Copies these attributes of an operation to a builder, as far as it has them.
pub(crate) fn copied_attrs(builder: OpBuilder, op: &Operation, names: &[&str]) -> OpBuilder {
    names.iter().fold(builder, |builder, name| match op.attr(name) {
        Some(value) => builder.attr(name, value.clone()),
        None => builder,
    })
}

/// Returns the gradient of the images, from images and result.
fn lrn_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let gradient = |grad: &Output| {
        let builder = grad.graph().op(&LRN_GRAD).input(grad).input(op.input(0)).input(op.output(0));
        copied_attrs(builder, op, &["depth_radius", "bias", "alpha", "beta"]).finish_output()
    };
    Ok(vec![grads[0].as_ref().map(gradient)])
}

const RESIZE_ATTRS: [&str; 2] = ["align_corners", "half_pixel_centers"];

fn resize_bilinear_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let images = op.input(0);
    // Integer images have no gradient: the result is `float`, but its derivative by an integer has no dtype.
    let smooth = images.dtype().is_floating();
    let gradient = |grad: &Output| {
        let builder = grad.graph().op(&RESIZE_BILINEAR_GRAD).input(grad).input(&images);
        copied_attrs(builder, op, &RESIZE_ATTRS).finish_output()
    };
    Ok(vec![grads[0].as_ref().filter(|_| smooth).map(gradient), None])
}

fn resize_nearest_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let images = op.input(0);
    // The operation needs only rows and columns of the images.
    let size = match (images.shape().dim(1), images.shape().dim(2)) {
        (Some(rows), Some(columns)) => Ints::from([rows, columns]),
        _ => Ints::from(strided_slice(shape(&images), &[Index::from(1..3)])),
    };
    let gradient = |grad: &Output| {
        let builder = size.clone().input_of(grad.graph().op(&RESIZE_NEAREST_NEIGHBOR_GRAD).input(grad));
        copied_attrs(builder, op, &RESIZE_ATTRS).finish_output()
    };
    Ok(vec![grads[0].as_ref().map(gradient), None])
}

/// Options of [`local_response_normalization`], which divides each element by `(bias + alpha * sum of squares)^beta` over neighboring
/// channels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalResponseOptions {
    depth_radius: i64,
    bias: f32,
    alpha: f32,
    beta: f32,
}

impl Default for LocalResponseOptions {
    fn default() -> LocalResponseOptions {
        LocalResponseOptions { depth_radius: 5, bias: 1.0, alpha: 1.0, beta: 0.5 }
    }
}

impl LocalResponseOptions {
    /// Sets the number of channels on each side that are included. Default: 5.
    ///
    /// ```
    /// use ops::nn::LocalResponseOptions;
    /// let options = LocalResponseOptions::default().depth_radius(2);
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn depth_radius(mut self, channels: i64) -> Self {
        self.depth_radius = channels;
        self
    }

    /// Sets the number that is added to the sum of squares. Default: 1.
    #[must_use]
    pub fn bias(mut self, bias: f32) -> Self {
        self.bias = bias;
        self
    }

    /// Sets the factor of the sum of squares. Default: 1.
    #[must_use]
    pub fn alpha(mut self, alpha: f32) -> Self {
        self.alpha = alpha;
        self
    }

    /// Sets the exponent of the divisor. Default: 0.5.
    #[must_use]
    pub fn beta(mut self, beta: f32) -> Self {
        self.beta = beta;
        self
    }
}

/// Divides each element by a power of the sum of squares of its neighbors along the channels: `x / (bias +
/// alpha * sum)^beta`.
///
/// ```
/// # use ops::{array, nn};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let images = array::zeros(&graph, DType::Float32, [1, 8, 8, 16]);
/// let options = nn::LocalResponseOptions::default().depth_radius(2).alpha(1e-4).beta(0.75);
/// assert_eq!(nn::local_response_normalization(&images, options).shape().to_string(), "[1,8,8,16]");
/// ```
#[must_use]
#[track_caller]
pub fn local_response_normalization(input: impl AsOutput, options: LocalResponseOptions) -> Output {
    let builder = input.as_output().graph().op(&LRN).input(input);
    let builder = builder.attr("depth_radius", options.depth_radius).attr("bias", options.bias);
    builder.attr("alpha", options.alpha).attr("beta", options.beta).finish_output()
}

/// The interpolation method for resizing images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResizeMethod {
    /// Interpolates between the four nearest elements; the result is `float32`.
    Bilinear,
    /// The nearest element.
    NearestNeighbor,
    /// Interpolates between the sixteen nearest elements, by a cubic polynomial; the result is `float32`.
    Bicubic,
    /// The mean over the area that an element of the result covers; the result is `float32`.
    Area,
}

/// Resizes images, without aligned corners.
///
/// ```
/// use ops::{array, nn};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [1, 8, 8, 3]);
/// assert_eq!(nn::resize(&x, [4, 4], nn::ResizeMethod::Bilinear).shape().to_string(), "[1,4,4,3]");
/// ```
#[must_use]
#[track_caller]
pub fn resize(images: impl AsOutput, size: [usize; 2], method: ResizeMethod) -> Output {
    let def: &'static OpDef = match method {
        ResizeMethod::Bilinear => &RESIZE_BILINEAR,
        ResizeMethod::NearestNeighbor => &RESIZE_NEAREST_NEIGHBOR,
        ResizeMethod::Bicubic => &RESIZE_BICUBIC,
        ResizeMethod::Area => &RESIZE_AREA,
    };
    let sizes = size.map(|size| i64::try_from(size).unwrap_or(i64::MAX));
    let builder = images.as_output().graph().op(def).input(images).constant(vector(&sizes));
    builder.finish_output()
}
