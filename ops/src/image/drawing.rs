//! Bounding boxes that are drawn into images.

use crate::library::op_defs;
use crate::shapes::at_least_rank;
use session_core::{AsOutput, OpDef, Output, Result, ShapeContext};

op_defs! {
    DRAW_BOUNDING_BOXES: OpDef::new("DrawBoundingBoxes", "images: T, boxes: float -> output: T")
        .attrs("T: {float, half} = float").shape(drawn).not_differentiable();
    DRAW_BOUNDING_BOXES_V2: OpDef::new("DrawBoundingBoxesV2", "images: T, boxes: float, colors: float -> output: T")
        .attrs("T: {float, half} = float").shape(drawn);
}

fn drawn(context: &mut ShapeContext<'_>) -> Result<()> {
    let images = at_least_rank(context, 0, 3)?;
    context.set(0, images);
    Ok(())
}

/// Draws boxes into images `[batch, height, width, channels]`. The boxes are `[batch, boxes, 4]`, each `[y1, x1, y2, x2]` in fractions of
/// the image. The rows of `colors` are used in turn, each with one number per channel.
///
/// ```
/// use ops::{array::placeholder, image::draw_bounding_boxes};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let images = placeholder(&graph, DType::Float32, [None, Some(32), Some(32), Some(3)]);
/// let boxes = placeholder(&graph, DType::Float32, [None, Some(2), Some(4)]);
/// let colors = ops::array::constant(&graph, [[1.0f32, 0.0, 0.0]]); // red
/// assert_eq!(draw_bounding_boxes(&images, &boxes, &colors).shape().to_string(), "[?,32,32,3]");
/// ```
#[must_use]
#[track_caller]
pub fn draw_bounding_boxes(images: impl AsOutput, boxes: impl AsOutput, colors: impl AsOutput) -> Output {
    let builder = images.as_output().graph().op(&DRAW_BOUNDING_BOXES_V2).input(images);
    builder.input(boxes).input(colors).finish_output()
}
