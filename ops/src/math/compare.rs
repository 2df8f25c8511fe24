//! Comparisons and truth values.

use crate::library::op_defs;
use crate::shapes::{self, broadcast, broadcast_shapes, unchanged};
use session_core::{AsOutput, OpDef, Output, Result, ShapeContext};

const fn order(name: &'static str) -> OpDef {
    OpDef::new(name, "x: T, y: T -> z: bool").attrs("T: realnumbertype").shape(broadcast).not_differentiable()
}

const fn equality(name: &'static str) -> OpDef {
    OpDef::new(name, "x: T, y: T -> z: bool")
        .attrs("T: type, incompatible_shape_error: bool = true")
        .shape(equality_shape)
        .not_differentiable()
}

const fn logical(name: &'static str) -> OpDef {
    OpDef::new(name, "x: bool, y: bool -> z: bool").shape(broadcast).not_differentiable()
}

op_defs! {
    EQUAL: equality("Equal");
    NOT_EQUAL: equality("NotEqual");
    LESS: order("Less");
    LESS_EQUAL: order("LessEqual");
    GREATER: order("Greater");
    GREATER_EQUAL: order("GreaterEqual");
    APPROXIMATE_EQUAL: OpDef::new("ApproximateEqual", "x: T, y: T -> z: bool")
        .attrs("T: numbertype, tolerance: float = 1e-5")
        .shape(shapes::same)
        .not_differentiable();
    LOGICAL_AND: logical("LogicalAnd");
    LOGICAL_OR: logical("LogicalOr");
    LOGICAL_NOT: OpDef::new("LogicalNot", "x: bool -> y: bool").shape(unchanged).not_differentiable();
}

fn equality_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = broadcast_shapes(&context.input(0), &context.input(1));
    if shapes::bool_attr(context, "incompatible_shape_error") {
        context.set(0, shape?);
    } else if let Ok(shape) = shape.as_ref()
        && shape.is_fully_known()
    {
        // Otherwise shapes that do not fit give a scalar when the graph runs.
        context.set(0, shape.clone());
    }
    Ok(())
}

macro_rules! comparisons {
    ($($(#[$doc:meta])* $name:ident => $def:ident;)*) => {$(
        $(#[$doc])*
        #[must_use]
        #[track_caller]
        pub fn $name(x: impl AsOutput, y: impl AsOutput) -> Output {
            x.as_output().graph().op(&$def).input(x).input(y).finish_output()
        }
    )*};
}

comparisons! {
    /// Returns true where `x` equals `y`, with broadcasting. NaN equals nothing.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let z = math::equal(constant(&graph, [1i32, 2, 3]), constant(&graph, 2i32)); // [false, true, false]
    /// assert_eq!((z.dtype(), z.shape().to_string()), (DType::Bool, "[3]".to_owned()));
    /// ```
    equal => EQUAL;
    /// Returns true where `x` differs from `y`, with broadcasting.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let z = math::not_equal(constant(&graph, [1i32, 2, 3]), constant(&graph, 2i32)); // [true, false, true]
    /// assert_eq!((z.dtype(), z.shape().to_string()), (DType::Bool, "[3]".to_owned()));
    /// ```
    not_equal => NOT_EQUAL;
    /// Returns true where `x` is less than `y`, with broadcasting.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let z = math::less(constant(&graph, [1i32, 2, 3]), constant(&graph, 2i32)); // [true, false, false]
    /// assert_eq!((z.dtype(), z.shape().to_string()), (DType::Bool, "[3]".to_owned()));
    /// ```
    less => LESS;
    /// Returns true where `x` is less than or equal to `y`, with broadcasting. False for NaN.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let z = math::less_equal(constant(&graph, [1i32, 2, 3]), constant(&graph, 2i32)); // [true, true, false]
    /// assert_eq!((z.dtype(), z.shape().to_string()), (DType::Bool, "[3]".to_owned()));
    /// ```
    less_equal => LESS_EQUAL;
    /// Returns true where `x` is greater than `y`, with broadcasting.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let z = math::greater(constant(&graph, [1i32, 2, 3]), constant(&graph, 2i32)); // [false, false, true]
    /// assert_eq!((z.dtype(), z.shape().to_string()), (DType::Bool, "[3]".to_owned()));
    /// ```
    greater => GREATER;
    /// Returns true where `x` is greater than or equal to `y`, with broadcasting. False for NaN.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let z = math::greater_equal(constant(&graph, [1i32, 2, 3]), constant(&graph, 2i32)); // [false, true, true]
    /// assert_eq!((z.dtype(), z.shape().to_string()), (DType::Bool, "[3]".to_owned()));
    /// ```
    greater_equal => GREATER_EQUAL;
    /// Returns true where both are true, with broadcasting.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let z = math::logical_and(constant(&graph, [true, false]), constant(&graph, true)); // [true, false]
    /// assert_eq!(z.shape().to_string(), "[2]");
    /// ```
    logical_and => LOGICAL_AND;
    /// Returns true where at least one is true, with broadcasting.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let z = math::logical_or(constant(&graph, [true, false]), constant(&graph, true)); // [true, true]
    /// assert_eq!(z.shape().to_string(), "[2]");
    /// ```
    logical_or => LOGICAL_OR;
}

/// Returns true where `x` and `y`, of one shape, differ by less than `tolerance`.
///
/// ```
/// use ops::{array, math};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2]);
/// let y = array::zeros(&graph, DType::Float32, [2]);
/// assert_eq!(math::approximate_equal(&x, &y, 1e-5).shape().to_string(), "[2]");
/// ```
#[must_use]
#[track_caller]
pub fn approximate_equal(x: impl AsOutput, y: impl AsOutput, tolerance: f32) -> Output {
    let builder = x.as_output().graph().op(&APPROXIMATE_EQUAL).input(x).input(y);
    builder.attr("tolerance", tolerance).finish_output()
}

/// Returns true where `x` is false.
///
/// ```
/// use ops::{array, math};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let c = array::zeros(&graph, DType::Bool, [2]);
/// assert_eq!(math::logical_not(&c).shape().to_string(), "[2]");
/// ```
#[must_use]
#[track_caller]
pub fn logical_not(x: impl AsOutput) -> Output {
    x.as_output().graph().op(&LOGICAL_NOT).input(x).finish_output()
}
