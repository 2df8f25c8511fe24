//! Windows into images, at places that a model chooses.
//!
//! # Semantics
//!
//! `input` is `[batch, rows, columns, channels]`, `size` is `[rows, columns]` of a window, and `offsets` has the place
//! `[row, column]` of the window of each image.
//!
//! - `normalized` offsets are fractions of the size of the image, others are pixels.
//! - `centered` offsets are relative to the middle of the image: -1 and 1 stand for its borders. Others begin at the
//!   upper left corner.
//! - `ExtractGlimpse` moves every window by half of its own size; `ExtractGlimpseV2` only those whose offsets are both
//!   centered and normalized, and does not halve centered offsets in pixels.
//!
//! Beyond the border of the image, the window shows noise: `uniform` between the least and the largest value of the
//! image, `gaussian` with its mean and deviation, or `zero`. Each execution draws other noise.
//!
//! # Errors
//!
//! Offsets for another number of images, negative sizes, an unknown `noise`, and `uniform_noise` together with another
//! kind of `noise`.

use crate::library::op_defs;
use crate::nn::images::resized_shape;
use crate::shapes::merge_dims;
use session_core::{OpDef, Result, ShapeContext};

const GLIMPSE: &str = "input: float, size: int32, offsets: float -> glimpse: float";
const OPTIONS: &str =
    "centered: bool = true, normalized: bool = true, uniform_noise: bool = true, noise: string = \"uniform\"";

op_defs! {
    EXTRACT_GLIMPSE: OpDef::new("ExtractGlimpse", GLIMPSE).attrs(OPTIONS).shape(glimpse).not_differentiable();
    EXTRACT_GLIMPSE_V2: OpDef::new("ExtractGlimpseV2", GLIMPSE).attrs(OPTIONS).shape(glimpse);
}

fn glimpse(context: &mut ShapeContext<'_>) -> Result<()> {
    let (images, offsets) = (context.input_of_rank(0, 4)?, context.input_of_rank(2, 2)?);
    merge_dims("the offsets of a place", offsets.dim(1), Some(2))?;
    let batch = merge_dims("batch", images.dim(0), offsets.dim(0))?;
    let shape = resized_shape(context)?.with_dim(0, batch);
    context.set(0, shape);
    Ok(())
}
