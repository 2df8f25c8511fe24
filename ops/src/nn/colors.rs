//! Colors of images: contrast, hue, saturation, and the HSV color space.

use crate::array::{Index, one_hot_with, reverse, roll, scalar_tensor, strided_slice};
use crate::keep_dims;
use crate::library::op_defs;
use crate::math::{argmax, argmin, cast, div_no_nan, greater, reduce_max, reduce_min, square};
use crate::shapes;
use session_core::{AsOutput, OpBuilder, OpDef, Operation, Output, PartialShape, Result, ShapeContext};

op_defs! {
    ADJUST_CONTRAST: OpDef::new(
            "AdjustContrast",
            "images: T, contrast_factor: float, min_value: float, max_value: float -> output: float",
        )
        .attrs("T: {uint8, int8, int16, int32, int64, float, double}")
        .shape(images_shape);
    ADJUST_CONTRAST_V2: OpDef::new("AdjustContrastv2", "images: T, contrast_factor: float -> output: T")
        .attrs("T: {half, float} = float")
        .shape(images_shape);
    ADJUST_HUE: OpDef::new("AdjustHue", "images: T, delta: float -> output: T")
        .attrs("T: {half, float} = float")
        .shape(images_shape);
    ADJUST_SATURATION: OpDef::new("AdjustSaturation", "images: T, scale: float -> output: T")
        .attrs("T: {half, float} = float")
        .shape(images_shape);
    RGB_TO_HSV: OpDef::new("RGBToHSV", "images: T -> output: T")
        .attrs("T: {half, bfloat16, float, double} = float")
        .shape(colors_shape)
        .gradient(rgb_to_hsv_gradient);
    HSV_TO_RGB: OpDef::new("HSVToRGB", "images: T -> output: T")
        .attrs("T: {half, bfloat16, float, double} = float")
        .shape(colors_shape)
        .not_differentiable();
}

fn images_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let images = shapes::at_least_rank(context, 0, 3)?;
    context.set(0, images);
    Ok(())
}

/// Requires that the last axis holds the three components of a color.
fn colors_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let images = shapes::at_least_rank(context, 0, 1)?;
    let Some(rank) = images.rank() else { return Ok(()) };
    let colors = shapes::merge_dims("colors", images.dim(rank - 1), Some(3))?;
    context.set(0, images.range(0, rank - 1).concat(&PartialShape::from([colors])));
    Ok(())
}

/// Returns the slopes of hue, saturation and value. Among equal components red counts as the largest before green and blue, and
/// blue as the smallest before green and red.
fn rgb_to_hsv_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None]) };
    let (colors, dtype) = (op.input(0), op.input(0).dtype());
    let chosen =
        |index: Output| one_hot_with(index, 3, scalar_tensor(dtype, 1.0), scalar_tensor(dtype, 0.0), -1);
    let largest = chosen(argmax(&colors, -1));
    let smallest = reverse(chosen(argmin(reverse(&colors, [-1]), -1)), [-1]);
    let (most, least) = (reduce_max(&colors, keep_dims(-1)), reduce_min(&colors, keep_dims(-1)));
    let inverse = |x: &Output| div_no_nan(crate::array::ones_like(x), x);
    let positive = |x: &Output| cast(greater(x, crate::array::zeros_like(x)), dtype);
    // The hue is the difference of the two components after the largest, in units of the range.
    let next = |x: &Output, by: i64| roll(x, [by], [-1]);
    let difference = next(&colors, -1) - next(&colors, 1);
    let difference = crate::math::reduce_sum(&largest * difference, keep_dims(-1));
    let per_range = inverse(&(&most - &least));
    let hue = (next(&largest, 1) - next(&largest, -1)) * &per_range
        - difference * square(&per_range) * (&largest - &smallest);
    let hue = positive(&most) * hue / 6.0;
    let per_most = inverse(&most);
    let saturation = positive(&colors) * (&largest * &least * square(&per_most) - &smallest * &per_most);
    let part = |at: i64| strided_slice(grad, &[Index::Ellipsis, (at..at + 1).into()]);
    Ok(vec![Some(part(0) * hue + part(1) * saturation + part(2) * largest)])
}

#[track_caller]
fn adjusted(images: impl AsOutput, def: &'static OpDef, by: f32) -> Output {
    let builder: OpBuilder = images.as_output().graph().op(def).input(images);
    builder.constant(by).finish_output()
}

/// Scales the distance of each channel of floating-point images from its mean over the image.
///
/// ```
/// # use ops::{array, nn};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let images = array::placeholder(&graph, DType::Float32, [None, Some(32), Some(32), Some(3)]);
/// assert_eq!(nn::adjust_contrast(&images, 1.5).shape(), images.shape());
/// ```
#[must_use]
#[track_caller]
pub fn adjust_contrast(images: impl AsOutput, factor: f32) -> Output {
    adjusted(images, &ADJUST_CONTRAST_V2, factor)
}

/// Rotates the hue of floating-point RGB images by `delta`, a fraction of the color wheel between -1 and 1.
///
/// ```
/// # use ops::{array, nn};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let images = array::placeholder(&graph, DType::Float32, [None, Some(32), Some(32), Some(3)]);
/// assert_eq!(nn::adjust_hue(&images, 0.1).shape(), images.shape());
/// ```
#[must_use]
#[track_caller]
pub fn adjust_hue(images: impl AsOutput, delta: f32) -> Output {
    adjusted(images, &ADJUST_HUE, delta)
}

/// Scales the saturation of floating-point RGB images.
///
/// ```
/// # use ops::{array, nn};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let images = array::placeholder(&graph, DType::Float32, [None, Some(32), Some(32), Some(3)]);
/// assert_eq!(nn::adjust_saturation(&images, 0.0).shape(), images.shape()); // gray
/// ```
#[must_use]
#[track_caller]
pub fn adjust_saturation(images: impl AsOutput, factor: f32) -> Output {
    adjusted(images, &ADJUST_SATURATION, factor)
}

/// Converts RGB colors, between 0 and 1 in the last axis, to hue, saturation, and value.
///
/// ```
/// # use session_core::{DType, Graph};
/// # use ops::{array::placeholder, nn::rgb_to_hsv};
/// let graph = Graph::new();
/// let images = placeholder(&graph, DType::Float32, [None, Some(32), Some(32), Some(3)]);
/// assert_eq!(rgb_to_hsv(&images).shape(), images.shape());
/// ```
#[must_use]
#[track_caller]
pub fn rgb_to_hsv(images: impl AsOutput) -> Output {
    images.as_output().graph().op(&RGB_TO_HSV).input(images).finish_output()
}

/// Converts hue, saturation, and value, between 0 and 1 in the last axis, to RGB colors.
///
/// ```
/// # use ops::{array, nn};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let red = array::constant(&graph, [[0.0f32, 1.0, 1.0]]);
/// assert_eq!(nn::hsv_to_rgb(&red).shape().to_string(), "[1,3]"); // [[1.0, 0.0, 0.0]]
/// ```
#[must_use]
#[track_caller]
pub fn hsv_to_rgb(images: impl AsOutput) -> Output {
    images.as_output().graph().op(&HSV_TO_RGB).input(images).finish_output()
}
