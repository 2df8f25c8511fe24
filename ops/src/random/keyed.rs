//! Random operations whose numbers depend on nothing but a seed, or a key and a counter, in their inputs.

use super::{gamma_gradient, given_shape, key_and_counter};
use crate::library::op_defs;
use crate::shapes::{scalar, unchanged};
use session_core::{OpDef, PartialShape, Result, ShapeContext};

op_defs! {
    STATELESS_RANDOM_UNIFORM_FULL_INT: OpDef::new("StatelessRandomUniformFullInt", "shape: T, seed: Tseed -> output: dtype")
        .attrs("dtype: {int32, int64, uint32, uint64} = uint64, T: indextype = int32, Tseed: {int32, int64, uint32, uint64} = int64")
        .shape(given_shape).not_differentiable();
    STATELESS_RANDOM_UNIFORM_FULL_INT_V2: OpDef::new(
            "StatelessRandomUniformFullIntV2",
            "shape: Tshape, key: uint64, counter: uint64, alg: int32 -> output: dtype",
        )
        .attrs("dtype: {int32, int64, uint32, uint64} = uint64, Tshape: indextype = int32")
        .shape(given_shape).not_differentiable();
    STATELESS_SHUFFLE: OpDef::new("StatelessShuffle", "value: T, key: uint64, counter: uint64, alg: int32 -> output: T")
        .attrs("T: type").shape(unchanged);
    STATELESS_RANDOM_GAMMA_V2: OpDef::new("StatelessRandomGammaV2", "shape: T, seed: Tseed, alpha: dtype -> output: dtype")
        .attrs("dtype: {half, float, double}, T: indextype, Tseed: indextype = int64")
        .shape(given_shape).gradient(gamma_gradient);
    STATELESS_RANDOM_GAMMA_V3: OpDef::new(
            "StatelessRandomGammaV3",
            "shape: shape_dtype, key: uint64, counter: uint64, alg: int32, alpha: dtype -> output: dtype",
        )
        .attrs("dtype: {half, float, double}, shape_dtype: indextype = int32")
        .shape(given_shape).gradient(gamma_gradient);
    STATELESS_RANDOM_POISSON: OpDef::new("StatelessRandomPoisson", "shape: T, seed: Tseed, lam: Rtype -> output: dtype")
        .attrs(
            "Rtype: {half, float, double, int32, int64}, dtype: {half, float, double, int32, int64}, T: indextype, \
             Tseed: indextype = int64",
        )
        .shape(given_shape).not_differentiable();
    STATELESS_RANDOM_GET_ALG: OpDef::new("StatelessRandomGetAlg", "-> alg: int32").stateful().shape(scalar).not_differentiable();
    STATELESS_RANDOM_GET_KEY_COUNTER_ALG: OpDef::new(
            "StatelessRandomGetKeyCounterAlg",
            "seed: Tseed -> key: uint64, counter: uint64, alg: int32",
        )
        .attrs("Tseed: indextype = int64").shape(key_counter_and_algorithm).not_differentiable();
}

/// Infers key, counter, and the number of the algorithm.
fn key_counter_and_algorithm(context: &mut ShapeContext<'_>) -> Result<()> {
    context.set(2, PartialShape::scalar());
    key_and_counter(context)
}
