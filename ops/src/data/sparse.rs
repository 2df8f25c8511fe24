//! Datasets of sparse tensors.

use crate::library::op_defs;
use session_core::{OpDef, PartialShape, Result, ShapeContext};

op_defs! {
    SERIALIZE_SPARSE: OpDef::new("SerializeSparse", "sparse_indices: int64, sparse_values: T, sparse_shape: int64 -> serialized_sparse: out_type")
        .attrs("T: type, out_type: {string, variant} = string")
        .shape(one).not_differentiable();
    SERIALIZE_MANY_SPARSE: OpDef::new("SerializeManySparse", "sparse_indices: int64, sparse_values: T, sparse_shape: int64 -> serialized_sparse: out_type")
        .attrs("T: type, out_type: {string, variant} = string")
        .shape(many).not_differentiable();
    DESERIALIZE_SPARSE: OpDef::new("DeserializeSparse", "serialized_sparse: Tserialized -> sparse_indices: int64, sparse_values: dtype, sparse_shape: int64")
        .attrs("dtype: type, Tserialized: {string, variant} = string")
        .shape(apart).not_differentiable();
}

/// Coordinates, values and shape.
fn one(context: &mut ShapeContext<'_>) -> Result<()> {
    parts(context)?;
    context.set(0, PartialShape::from_sizes([3]));
    Ok(())
}

fn many(context: &mut ShapeContext<'_>) -> Result<()> {
    parts(context)?;
    context.set(0, PartialShape::from_sizes([-1, 3]));
    Ok(())
}

fn parts(context: &ShapeContext<'_>) -> Result<()> {
    context.input_of_rank(0, 2)?;
    context.input_of_rank(1, 1)?;
    context.input_of_rank(2, 1).map(drop)
}

fn apart(context: &mut ShapeContext<'_>) -> Result<()> {
    context.set(0, PartialShape::of_rank(2));
    context.set(1, PartialShape::of_rank(1));
    context.set(2, PartialShape::of_rank(1));
    Ok(())
}
