//! The operations of TensorFlow 2's random generators, whose state is a variable: the counter in its first two elements, then the
//! key.

use crate::library::op_defs;
use crate::shapes::shape_from;
use session_core::{OpDef, PartialShape, Result, ShapeContext};

op_defs! {
    RNG_READ_AND_SKIP: OpDef::new("RngReadAndSkip", "resource: resource, alg: int32, delta: uint64 -> value: int64")
        .stateful().shape(state).not_differentiable();
    RNG_SKIP: OpDef::new("RngSkip", "resource: resource, algorithm: int64, delta: int64 ->").stateful().not_differentiable();
    STATEFUL_UNIFORM: sampler("StatefulUniform");
    STATEFUL_STANDARD_NORMAL_V2: sampler("StatefulStandardNormalV2");
    STATEFUL_TRUNCATED_NORMAL: sampler("StatefulTruncatedNormal");
    STATEFUL_UNIFORM_FULL_INT: OpDef::new(
            "StatefulUniformFullInt",
            "resource: resource, algorithm: int64, shape: shape_dtype -> output: dtype",
        )
        .attrs("dtype: type = uint64, shape_dtype: type = int64").stateful().shape(sampled).not_differentiable();
    STATEFUL_UNIFORM_INT: OpDef::new(
            "StatefulUniformInt",
            "resource: resource, algorithm: int64, shape: shape_dtype, minval: dtype, maxval: dtype -> output: dtype",
        )
        .attrs("dtype: type = int64, shape_dtype: type = int64").stateful().shape(sampled).not_differentiable();
}

const fn sampler(name: &'static str) -> OpDef {
    OpDef::new(name, "resource: resource, algorithm: int64, shape: shape_dtype -> output: dtype")
        .attrs("dtype: type = float, shape_dtype: type = int64")
        .stateful()
        .shape(sampled)
        .not_differentiable()
}

/// Infers the three numbers of the state: the counter and the key.
fn state(context: &mut ShapeContext<'_>) -> Result<()> {
    context.set(0, PartialShape::from_sizes([3]));
    Ok(())
}

/// Infers the shape that the third input describes.
fn sampled(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = shape_from(&context.inputs()[2])?;
    context.set(0, shape);
    Ok(())
}
