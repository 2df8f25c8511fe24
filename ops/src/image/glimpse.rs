//! Windows into images, at places that a model chooses.

use crate::library::op_defs;
use crate::nn::images::resized_shape;
use crate::shapes::merge_dims;
use session_core::{OpDef, Result, ShapeContext};

const GLIMPSE: &str = "input: float, size: int32, offsets: float -> glimpse: float";
const OPTIONS: &str =
    "centered: bool = true, normalized: bool = true, uniform_noise: bool = true, noise: string = \"uniform\"";

op_defs! {
    EXTRACT_GLIMPSE: OpDef::new("ExtractGlimpse", GLIMPSE).attrs(OPTIONS).shape(glimpse).not_differentiable();
    EXTRACT_GLIMPSE_V2: OpDef::new("ExtractGlimpseV2", GLIMPSE).attrs(OPTIONS).shape(glimpse).not_differentiable();
}

fn glimpse(context: &mut ShapeContext<'_>) -> Result<()> {
    let (images, offsets) = (context.input_of_rank(0, 4)?, context.input_of_rank(2, 2)?);
    merge_dims("the offsets of a place", offsets.dim(1), Some(2))?;
    let batch = merge_dims("batch", images.dim(0), offsets.dim(0))?;
    let shape = resized_shape(context)?.with_dim(0, batch);
    context.set(0, shape);
    Ok(())
}
