//! Boxes that overlap better ones are suppressed: the last step of object detectors.

use crate::library::op_defs;
use crate::shapes::{self, bool_attr, must_be_scalar};
use session_core::{AsOutput, OpDef, Output, PartialShape, Result, ShapeContext};

const THRESHOLDS: &str = "T: {half, float} = float, T_threshold: {half, float} = float";

op_defs! {
    NON_MAX_SUPPRESSION: OpDef::new(
            "NonMaxSuppression",
            "boxes: float, scores: float, max_output_size: int32 -> selected_indices: int32",
        )
        .attrs("iou_threshold: float = 0.5").shape(chosen).not_differentiable();
    NON_MAX_SUPPRESSION_V2: OpDef::new(
            "NonMaxSuppressionV2",
            "boxes: T, scores: T, max_output_size: int32, iou_threshold: T_threshold -> selected_indices: int32",
        )
        .attrs(THRESHOLDS).shape(chosen).not_differentiable();
    NON_MAX_SUPPRESSION_V3: OpDef::new(
            "NonMaxSuppressionV3",
            "boxes: T, scores: T, max_output_size: int32, iou_threshold: T_threshold, score_threshold: T_threshold -> \
             selected_indices: int32",
        )
        .attrs(THRESHOLDS).shape(chosen).not_differentiable();
    NON_MAX_SUPPRESSION_V4: OpDef::new(
            "NonMaxSuppressionV4",
            "boxes: T, scores: T, max_output_size: int32, iou_threshold: T_threshold, score_threshold: T_threshold -> \
             selected_indices: int32, valid_outputs: int32",
        )
        .attrs("T: {half, float} = float, T_threshold: {half, float} = float, pad_to_max_output_size: bool = false")
        .shape(counted).not_differentiable();
    NON_MAX_SUPPRESSION_V5: OpDef::new(
            "NonMaxSuppressionV5",
            "boxes: T, scores: T, max_output_size: int32, iou_threshold: T, score_threshold: T, soft_nms_sigma: T -> \
             selected_indices: int32, selected_scores: T, valid_outputs: int32",
        )
        .attrs("T: {half, float} = float, pad_to_max_output_size: bool = false").shape(scored).not_differentiable();
    NON_MAX_SUPPRESSION_WITH_OVERLAPS: OpDef::new(
            "NonMaxSuppressionWithOverlaps",
            "overlaps: float, scores: float, max_output_size: int32, overlap_threshold: float, score_threshold: float -> \
             selected_indices: int32",
        )
        .shape(of_overlaps).not_differentiable();
    COMBINED_NON_MAX_SUPPRESSION: OpDef::new(
            "CombinedNonMaxSuppression",
            "boxes: float, scores: float, max_output_size_per_class: int32, max_total_size: int32, iou_threshold: float, \
             score_threshold: float -> nmsed_boxes: float, nmsed_scores: float, nmsed_classes: float, \
             valid_detections: int32",
        )
        .attrs("pad_per_class: bool = false, clip_boxes: bool = true").shape(combined).not_differentiable();
}

fn check_boxes(context: &ShapeContext<'_>) -> Result<()> {
    let (boxes, scores) = (context.input_of_rank(0, 2)?, context.input_of_rank(1, 1)?);
    shapes::merge_dims("boxes", boxes.dim(0), scores.dim(0))?;
    shapes::merge_dims("corners of a box", boxes.dim(1), Some(4))?;
    (2..context.inputs().len()).try_for_each(|input| must_be_scalar(context, input))
}

fn chosen(context: &mut ShapeContext<'_>) -> Result<()> {
    check_boxes(context)?;
    context.set(0, PartialShape::of_rank(1));
    Ok(())
}

/// Returns the shape of a list of chosen boxes, which may be padded to a size.
fn list(context: &ShapeContext<'_>) -> PartialShape {
    let size = shapes::int(context, 2).and_then(|size| usize::try_from(size).ok());
    PartialShape::from([size.filter(|_| bool_attr(context, "pad_to_max_output_size"))])
}

fn counted(context: &mut ShapeContext<'_>) -> Result<()> {
    check_boxes(context)?;
    let list = list(context);
    context.set(0, list);
    context.set(1, PartialShape::scalar());
    Ok(())
}

fn scored(context: &mut ShapeContext<'_>) -> Result<()> {
    check_boxes(context)?;
    let list = list(context);
    context.set(0, list.clone());
    context.set(1, list);
    context.set(2, PartialShape::scalar());
    Ok(())
}

fn of_overlaps(context: &mut ShapeContext<'_>) -> Result<()> {
    let (overlaps, scores) = (context.input_of_rank(0, 2)?, context.input_of_rank(1, 1)?);
    let count = shapes::merge_dims("boxes", overlaps.dim(0), scores.dim(0))?;
    shapes::merge_dims("boxes", overlaps.dim(1), count)?;
    (2..5).try_for_each(|input| must_be_scalar(context, input))?;
    context.set(0, PartialShape::of_rank(1));
    Ok(())
}

fn combined(context: &mut ShapeContext<'_>) -> Result<()> {
    let (boxes, scores) = (context.input_of_rank(0, 4)?, context.input_of_rank(1, 3)?);
    let batch = shapes::merge_dims("images", boxes.dim(0), scores.dim(0))?;
    shapes::merge_dims("boxes", boxes.dim(1), scores.dim(1))?;
    shapes::merge_dims("corners of a box", boxes.dim(3), Some(4))?;
    (2..6).try_for_each(|input| must_be_scalar(context, input))?;
    let size = |input: usize| shapes::int(context, input).and_then(|size| usize::try_from(size).ok());
    let total = match bool_attr(context, "pad_per_class") {
        true => size(2)
            .zip(scores.dim(2))
            .zip(size(3))
            .map(|((each, classes), total)| each.saturating_mul(classes).min(total)),
        false => size(3),
    };
    context.set(0, PartialShape::from([batch, total, Some(4)]));
    context.set(1, PartialShape::from([batch, total]));
    context.set(2, PartialShape::from([batch, total]));
    context.set(3, PartialShape::from([batch]));
    Ok(())
}

/// Chooses up to `max_output_size` boxes, those of the best scores first, that overlap none chosen before by more than
/// `iou_threshold`, the quotient of intersection and union. Returns their indices. A box is `[y1, x1, y2, x2]`.
///
/// ```
/// # use session_core::{DType, Graph};
/// # use ops::{array::placeholder, image::non_max_suppression};
/// let graph = Graph::new();
/// let boxes = placeholder(&graph, DType::Float32, [100, 4]);
/// let scores = placeholder(&graph, DType::Float32, [100]);
/// assert_eq!(non_max_suppression(&boxes, &scores, 10, 0.5).shape().to_string(), "[?]");
/// ```
#[must_use]
#[track_caller]
pub fn non_max_suppression(
    boxes: impl AsOutput,
    scores: impl AsOutput,
    max_output_size: i32,
    iou_threshold: f32,
) -> Output {
    let builder = boxes.as_output().graph().op(&NON_MAX_SUPPRESSION_V3).input(boxes).input(scores);
    builder.constant(max_output_size).constant(iou_threshold).constant(f32::NEG_INFINITY).finish_output()
}
