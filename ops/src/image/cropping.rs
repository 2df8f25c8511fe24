//! Parts of images, in a size of their own.

use crate::array::{constant, shape};
use crate::library::op_defs;
use crate::nn::images::copied_attrs;
use crate::shapes;
use session_core::{AsOutput, OpDef, Operation, Output, PartialShape, Result, ShapeContext};

op_defs! {
    CROP_AND_RESIZE: OpDef::new("CropAndResize", "image: T, boxes: float, box_ind: int32, crop_size: int32 -> crops: float")
        .attrs(
            "T: {uint8, uint16, int8, int16, int32, int64, half, float, double}, \
             method: {\"bilinear\", \"nearest\"} = \"bilinear\", extrapolation_value: float = 0.0",
        )
        .shape(crops_shape)
        .gradient(crop_gradient);
    CROP_AND_RESIZE_GRAD_IMAGE: OpDef::new(
            "CropAndResizeGradImage",
            "grads: float, boxes: float, box_ind: int32, image_size: int32 -> output: T",
        )
        .attrs("T: {float, half, double}, method: {\"bilinear\", \"nearest\"} = \"bilinear\"")
        .shape(sized);
    CROP_AND_RESIZE_GRAD_BOXES: OpDef::new(
            "CropAndResizeGradBoxes",
            "grads: float, image: T, boxes: float, box_ind: int32 -> output: float",
        )
        .attrs(
            "T: {uint8, uint16, int8, int16, int32, int64, half, float, double}, \
             method: {\"bilinear\"} = \"bilinear\"",
        )
        .shape(boxes_shape);
}

/// Infers the shape of the result.
fn crops_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (images, boxes) = (context.input_of_rank(0, 4)?, context.input_of_rank(1, 2)?);
    let count = shapes::merge_dims("boxes", boxes.dim(0), context.input_of_rank(2, 1)?.dim(0))?;
    shapes::merge_dims("corners of a box", boxes.dim(1), Some(4))?;
    let sizes = shapes::ints(context, 3);
    let size = |at: usize| sizes.as_ref().and_then(|sizes| usize::try_from(*sizes.get(at)?).ok());
    context.set(0, PartialShape::from([count, size(0), size(1), images.dim(3)]));
    Ok(())
}

fn sized(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = shapes::shape_from(&context.inputs()[3])?;
    context.set(0, shapes::merge(&shape, &PartialShape::of_rank(4))?);
    Ok(())
}

/// Infers the shape of the result.
fn boxes_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let boxes = context.input_of_rank(2, 2)?;
    context.set(0, boxes);
    Ok(())
}

/// Builds the gradient.
fn crop_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 4]) };
    let (images, boxes, which) = (op.input(0), op.input(1), op.input(2));
    let of_images = images.dtype().is_floating().then(|| {
        let sizes: Option<Vec<i32>> =
            (0..4).map(|at| images.shape().dim(at).and_then(|size| i32::try_from(size).ok())).collect();
        let sizes = sizes.map_or_else(|| shape(&images), |sizes| constant(&images.graph(), sizes));
        let builder = grad.graph().op(&CROP_AND_RESIZE_GRAD_IMAGE).input(grad).input(&boxes).input(&which);
        copied_attrs(builder.input(sizes).attr("T", images.dtype()), op, &["method"]).finish_output()
    });
    let builder = grad.graph().op(&CROP_AND_RESIZE_GRAD_BOXES).input(grad).input(&images);
    let of_boxes = builder.input(&boxes).input(&which).finish_output();
    Ok(vec![of_images, Some(of_boxes), None, None])
}

/// Cuts boxes out of images and resizes each to `size` by bilinear interpolation. A box is `[y1, x1, y2, x2]` in
/// fractions of the image; `which` names the image of each. Pixels outside of the image are 0.
///
/// ```
/// # use session_core::{DType, Graph};
/// # use ops::{array::placeholder, image::crop_and_resize};
/// let graph = Graph::new();
/// let images = placeholder(&graph, DType::Float32, [None, Some(64), Some(64), Some(3)]);
/// let boxes = placeholder(&graph, DType::Float32, [5, 4]);
/// let which = placeholder(&graph, DType::Int32, [5]);
/// assert_eq!(crop_and_resize(&images, &boxes, &which, [7, 7]).shape().to_string(), "[5,7,7,3]");
/// ```
#[must_use]
#[track_caller]
pub fn crop_and_resize(
    images: impl AsOutput,
    boxes: impl AsOutput,
    which: impl AsOutput,
    size: [usize; 2],
) -> Output {
    let size = size.map(|size| i32::try_from(size).unwrap_or(i32::MAX));
    let builder = images.as_output().graph().op(&CROP_AND_RESIZE).input(images).input(boxes);
    builder.input(which).constant(size).finish_output()
}
