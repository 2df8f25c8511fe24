//! Resizing of images by kernels that are wider than two pixels.

use crate::array::{Index, concat, ones_like, reshape, shape, strided_slice};
use crate::library::op_defs;
use crate::math::{matrix_inverse, real_div};
use crate::nn::images::{copied_attrs, resize_shape, second_input_shape};
use crate::shapes;
use session_core::{AsOutput, OpDef, Operation, Output, PartialShape, Result, ShapeContext};
use tensor::DType;

op_defs! {
    RESIZE_AREA: OpDef::new("ResizeArea", "images: T, size: int32 -> resized_images: float")
        .attrs("T: {int8, uint8, int16, uint16, int32, int64, half, float, double, bfloat16}, align_corners: bool = false")
        .shape(resize_shape);
    RESIZE_BICUBIC: OpDef::new("ResizeBicubic", "images: T, size: int32 -> resized_images: float")
        .attrs(
            "T: {int8, uint8, int16, uint16, int32, int64, half, float, double, bfloat16}, \
             align_corners: bool = false, half_pixel_centers: bool = false",
        )
        .shape(resize_shape)
        .gradient(bicubic_gradient);
    RESIZE_BICUBIC_GRAD: OpDef::new("ResizeBicubicGrad", "grads: float, original_image: T -> output: T")
        .attrs("T: {float, double}, align_corners: bool = false, half_pixel_centers: bool = false")
        .shape(second_input_shape);
    SCALE_AND_TRANSLATE: OpDef::new(
            "ScaleAndTranslate",
            "images: T, size: int32, scale: float, translation: float -> resized_images: float",
        )
        .attrs(
            "T: {int8, uint8, int16, uint16, int32, int64, bfloat16, half, float, double}, \
             kernel_type: string = \"lanczos3\", antialias: bool = true",
        )
        .shape(resize_shape)
        .gradient(scale_and_translate_gradient);
    SCALE_AND_TRANSLATE_GRAD: OpDef::new(
            "ScaleAndTranslateGrad",
            "grads: T, original_image: T, scale: float, translation: float -> output: T",
        )
        .attrs("T: {float}, kernel_type: string = \"lanczos3\", antialias: bool = true")
        .shape(second_input_shape);
    IMAGE_PROJECTIVE_TRANSFORM_V2: OpDef::new(
            "ImageProjectiveTransformV2",
            "images: dtype, transforms: float, output_shape: int32 -> transformed_images: dtype",
        )
        .attrs(
            "dtype: {uint8, int32, int64, half, bfloat16, float, double}, interpolation: string, \
             fill_mode: string = \"CONSTANT\"",
        )
        .shape(transformed_shape)
        .gradient(transformed_gradient);
    IMAGE_PROJECTIVE_TRANSFORM_V3: OpDef::new(
            "ImageProjectiveTransformV3",
            "images: dtype, transforms: float, output_shape: int32, fill_value: float -> transformed_images: dtype",
        )
        .attrs(
            "dtype: {uint8, int32, int64, half, bfloat16, float, double}, interpolation: string, \
             fill_mode: string = \"CONSTANT\"",
        )
        .shape(transformed_shape)
        .gradient(transformed_gradient);
}

/// Infers the shape of the result.
fn transformed_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let images = context.input_of_rank(0, 4)?;
    let sizes = shapes::ints(context, 2).filter(|sizes| sizes.len() == 2);
    let size = |at: usize| sizes.as_ref().and_then(|sizes| usize::try_from(sizes[at]).ok());
    context.set(0, PartialShape::from([images.dim(0), size(0), size(1), images.dim(3)]));
    Ok(())
}

/// Builds the gradient as TensorFlow does: that of the result under the inverse transformation. It is exact only where the
/// transformation moves whole pixels.
fn transformed_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let mut result = vec![None; op.num_inputs()];
    let (images, transforms) = (op.input(0), op.input(1));
    let Some(grad) = grads[0].as_ref().filter(|_| images.dtype().is_floating()) else { return Ok(result) };
    // A transformation is the first eight numbers of a 3x3 matrix whose last is 1. The gradient moves
    // pixels back with its inverse.
    let numbers = reshape(transforms, [-1, 8]);
    let last = ones_like(strided_slice(&numbers, &[Index::ALL, Index::from(..1)]));
    let inverse = matrix_inverse(reshape(concat(&[numbers, last], 1), [-1, 3, 3]));
    let inverse = reshape(inverse, [-1, 9]);
    // The inverse is only determined up to a factor, which makes its last number 1 again.
    let scale = strided_slice(&inverse, &[Index::ALL, Index::from(8..9)]);
    let inverse = strided_slice(real_div(inverse, scale), &[Index::ALL, Index::from(..8)]);
    let sizes = strided_slice(shape(&images), &[Index::from(1..3)]);
    let is_third = op.op_type() == IMAGE_PROJECTIVE_TRANSFORM_V3.name();
    let def: &'static OpDef =
        if is_third { &IMAGE_PROJECTIVE_TRANSFORM_V3 } else { &IMAGE_PROJECTIVE_TRANSFORM_V2 };
    let builder = grad.graph().op(def).input(grad).input(inverse).input(sizes);
    // The fill value is a constant of the forward pass, so pixels from outside have gradient 0.
    let builder = if is_third { builder.constant(0f32) } else { builder };
    result[0] = Some(copied_attrs(builder, op, &["interpolation", "fill_mode"]).finish_output());
    Ok(result)
}

/// Builds the gradient.
fn bicubic_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let images = op.input(0);
    // The backward operation exists for these dtypes only; other images receive
    // no gradient, as in TensorFlow.
    let smooth = matches!(images.dtype(), DType::Float32 | DType::Float64);
    let gradient = |grad: &Output| {
        let builder = grad.graph().op(&RESIZE_BICUBIC_GRAD).input(grad).input(&images);
        copied_attrs(builder, op, &["align_corners", "half_pixel_centers"]).finish_output()
    };
    Ok(vec![grads[0].as_ref().filter(|_| smooth).map(gradient), None])
}

/// Builds the gradient.
fn scale_and_translate_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let images = op.input(0);
    // The backward operation exists for `float` only.
    let smooth = images.dtype() == DType::Float32;
    let gradient = |grad: &Output| {
        let builder = grad.graph().op(&SCALE_AND_TRANSLATE_GRAD).input(grad).input(&images);
        let builder = builder.input(op.input(2)).input(op.input(3));
        copied_attrs(builder, op, &["kernel_type", "antialias"]).finish_output()
    };
    Ok(vec![grads[0].as_ref().filter(|_| smooth).map(gradient), None, None, None])
}

/// Resizes images by factors for height and width, then translates them. Both are in pixels of the result: the pixel at `p` is taken from
/// `(p - translation) / scale`.
///
/// `kernel` is `lanczos1`, `lanczos3`, `lanczos5`, `gaussian`, `box`, `triangle`, `keyscubic`, or `mitchellcubic`. When the image becomes
/// smaller, the kernel becomes wider, so that every pixel contributes.
///
/// ```
/// use ops::array::{constant, placeholder};
/// use ops::image::scale_and_translate;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let images = placeholder(&graph, DType::Float32, [None, Some(64), Some(64), Some(3)]);
/// let (size, half) = (constant(&graph, [32, 32]), constant(&graph, [0.5f32, 0.5]));
/// let small = scale_and_translate(&images, &size, &half, constant(&graph, [0.0f32, 0.0]), "lanczos3");
/// assert_eq!(small.shape().to_string(), "[?,32,32,3]");
/// ```
#[must_use]
#[track_caller]
pub fn scale_and_translate(
    images: impl AsOutput,
    size: impl AsOutput,
    scale: impl AsOutput,
    translation: impl AsOutput,
    kernel: &str,
) -> Output {
    let builder = images.as_output().graph().op(&SCALE_AND_TRANSLATE).input(images).input(size);
    builder.input(scale).input(translation).attr("kernel_type", kernel).finish_output()
}
