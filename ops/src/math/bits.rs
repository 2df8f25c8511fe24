//! Integers bit by bit.

use crate::library::op_defs;
use crate::shapes::{broadcast, unchanged};
use session_core::{AsOutput, OpDef, Output};

const INTEGERS: &str = "T: integertype";

const fn pairwise(name: &'static str) -> OpDef {
    OpDef::new(name, "x: T, y: T -> z: T").attrs(INTEGERS).shape(broadcast).not_differentiable()
}

op_defs! {
    BITWISE_AND: pairwise("BitwiseAnd");
    BITWISE_OR: pairwise("BitwiseOr");
    BITWISE_XOR: pairwise("BitwiseXor");
    LEFT_SHIFT: pairwise("LeftShift");
    RIGHT_SHIFT: pairwise("RightShift");
    INVERT: OpDef::new("Invert", "x: T -> y: T").attrs(INTEGERS).shape(unchanged).not_differentiable();
    POPULATION_COUNT: OpDef::new("PopulationCount", "x: T -> y: uint8")
        .attrs(INTEGERS)
        .shape(unchanged)
        .not_differentiable();
}

macro_rules! bit_functions {
    ($($(#[$doc:meta])* $name:ident => $def:ident;)*) => {$(
        $(#[$doc])*
        #[must_use]
        #[track_caller]
        pub fn $name(x: impl AsOutput, y: impl AsOutput) -> Output {
            x.as_output().graph().op(&$def).input(x).input(y).finish_output()
        }
    )*};
}

bit_functions! {
    /// Returns the bitwise AND.
    bitwise_and => BITWISE_AND;
    /// Returns the bitwise OR.
    bitwise_or => BITWISE_OR;
    /// Returns the bitwise XOR.
    bitwise_xor => BITWISE_XOR;
    /// Shifts `x` left by `y` bits, which must be fewer than the dtype has.
    left_shift => LEFT_SHIFT;
    /// Shifts `x` right by `y` bits, which must be fewer than the dtype has. The sign is kept.
    right_shift => RIGHT_SHIFT;
}

/// Returns all bits turned over.
#[must_use]
#[track_caller]
pub fn invert(x: impl AsOutput) -> Output {
    x.as_output().graph().op(&INVERT).input(x).finish_output()
}

/// Returns the number of bits that are set, as `uint8`.
#[must_use]
#[track_caller]
pub fn population_count(x: impl AsOutput) -> Output {
    x.as_output().graph().op(&POPULATION_COUNT).input(x).finish_output()
}
