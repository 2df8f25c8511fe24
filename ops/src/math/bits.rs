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
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let z = math::bitwise_and(constant(&graph, [0b1100i32]), constant(&graph, [0b1010i32])); // [0b1000]
    /// assert_eq!(z.dtype(), DType::Int32);
    /// ```
    bitwise_and => BITWISE_AND;
    /// Returns the bitwise OR.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let z = math::bitwise_or(constant(&graph, [0b1100i32]), constant(&graph, [0b1010i32])); // [0b1110]
    /// assert_eq!(z.dtype(), DType::Int32);
    /// ```
    bitwise_or => BITWISE_OR;
    /// Returns the bitwise XOR.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let z = math::bitwise_xor(constant(&graph, [0b1100i32]), constant(&graph, [0b1010i32])); // [0b0110]
    /// assert_eq!(z.dtype(), DType::Int32);
    /// ```
    bitwise_xor => BITWISE_XOR;
    /// Shifts `x` left by `y` bits, which must be fewer than the dtype has.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let z = math::left_shift(constant(&graph, [1i32, 3]), constant(&graph, [4i32, 1])); // [16, 6]
    /// assert_eq!(z.shape().to_string(), "[2]");
    /// ```
    left_shift => LEFT_SHIFT;
    /// Shifts `x` right by `y` bits, which must be fewer than the dtype has. The sign is kept.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let z = math::right_shift(constant(&graph, [16i32, -8]), constant(&graph, [4i32, 1])); // [1, -4]
    /// assert_eq!(z.shape().to_string(), "[2]");
    /// ```
    right_shift => RIGHT_SHIFT;
}

/// Returns each integer with all its bits inverted: `-x - 1` for signed dtypes.
///
/// ```
/// # use ops::{array::constant, math};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let y = math::invert(constant(&graph, [0i32, 5])); // [-1, -6]
/// assert_eq!(y.dtype(), DType::Int32);
/// ```
#[must_use]
#[track_caller]
pub fn invert(x: impl AsOutput) -> Output {
    x.as_output().graph().op(&INVERT).input(x).finish_output()
}

/// Returns the number of bits that are set, as `uint8`.
///
/// ```
/// # use ops::{array::constant, math};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let y = math::population_count(constant(&graph, [7i32, 8])); // [3, 1]
/// assert_eq!(y.dtype(), DType::UInt8);
/// ```
#[must_use]
#[track_caller]
pub fn population_count(x: impl AsOutput) -> Output {
    x.as_output().graph().op(&POPULATION_COUNT).input(x).finish_output()
}
