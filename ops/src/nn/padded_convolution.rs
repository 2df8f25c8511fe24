//! Convolutions with mirrored borders, as TensorFlow's tools for frozen graphs merge them with the padding and resizing before.
//!
//! # Semantics
//!
//! `FusedPadConv2D` is `MirrorPad` followed by `Conv2D`. `FusedResizeAndPadConv2D` is `ResizeBilinear` followed by both.
//! Images are `[batch, rows, columns, channels]`, filters `[rows, columns, input channels, output channels]`, and
//! `paddings` is `[4, 2]`: the borders before and after each axis. `mode` is `REFLECT`, which does not repeat the
//! outermost pixels, or `SYMMETRIC`, which does. `padding` is that of the convolution and counts in addition.
//!
//! TensorFlow 2.21 pads only the first image of a batch correctly.
//!
//! # Errors
//!
//! Borders that are larger than what they mirror, negative borders, and channels that do not fit the filter.

use super::images::resized_shape;
use super::window::Windows;
use crate::library::op_defs;
use crate::shapes;
use session_core::{Error, OpDef, PartialShape, Result, ShapeContext};

op_defs! {
    FUSED_PAD_CONV_2D: OpDef::new("FusedPadConv2D", "input: T, paddings: int32, filter: T -> output: T")
        .attrs(
            "T: {half, bfloat16, float, double}, mode: {\"REFLECT\", \"SYMMETRIC\"}, strides: list(int), \
             padding: {\"SAME\", \"VALID\"}",
        )
        .shape(padded);
    FUSED_RESIZE_AND_PAD_CONV_2D: OpDef::new(
            "FusedResizeAndPadConv2D",
            "input: T, size: int32, paddings: int32, filter: T -> output: T",
        )
        .attrs(
            "T: {half, float, double}, resize_align_corners: bool = false, mode: {\"REFLECT\", \"SYMMETRIC\"}, \
             strides: list(int), padding: {\"SAME\", \"VALID\"}",
        )
        .shape(resized);
}

fn padded(context: &mut ShapeContext<'_>) -> Result<()> {
    let images = context.input_of_rank(0, 4)?;
    convolved(context, &images, 1)
}

fn resized(context: &mut ShapeContext<'_>) -> Result<()> {
    let images = resized_shape(context)?;
    convolved(context, &images, 2)
}

/// The shape of the convolution of images with borders; input `paddings` has the borders, the next one the filter.
fn convolved(context: &mut ShapeContext<'_>, images: &PartialShape, paddings: usize) -> Result<()> {
    let filter = context.input_of_rank(paddings + 1, 4)?;
    shapes::merge_dims("channels", images.dim(3), filter.dim(2))?;
    let borders = shapes::ints(context, paddings);
    if let Some(borders) = borders.as_ref().filter(|borders| borders.len() != 8) {
        return Err(Error::value(format!("paddings must be [4,2], not of {} numbers", borders.len())));
    }
    let padded = |axis: usize| {
        let borders = borders.as_ref()?;
        let border = borders[2 * axis].checked_add(borders[2 * axis + 1])?;
        images.dim(axis)?.checked_add(usize::try_from(border).ok()?)
    };
    let input = PartialShape::from([images.dim(0), padded(1), padded(2), images.dim(3)]);
    let windows = Windows::of(context, 4)?;
    let (rows, columns) =
        (windows.count(&input, 1, filter.dim(0))?, windows.count(&input, 2, filter.dim(1))?);
    context.set(0, PartialShape::from([images.dim(0), rows, columns, filter.dim(3)]));
    Ok(())
}
