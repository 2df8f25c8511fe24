//! Arithmetic of two tensors, with broadcasting.

use super::compare::{greater, greater_equal, less_equal, not_equal};
use super::unary::{conj_of, log, neg, square};
use crate::array::constants::{scalar_like, zeros_like};
use crate::gradients::asked::is_of_use;
use crate::gradients::broadcasting::{scaled, spread_scalar, sum_to_input};
use crate::library::op_defs;
use crate::math::cast::cast;
use crate::math::select::select;
use crate::shapes::broadcast;
use session_core::{AsOutput, GradientFn, OpDef, Operation, Output, Result};

const ARITHMETIC: &str = "T: {bfloat16, half, float, double, uint8, int8, uint16, int16, int32, uint32, uint64, int64, \
                          complex64, complex128}";
const REAL: &str = "T: realnumbertype";

const fn arithmetic(name: &'static str, attrs: &'static str, gradient: GradientFn) -> OpDef {
    OpDef::new(name, "x: T, y: T -> z: T").attrs(attrs).shape(broadcast).gradient(gradient)
}

op_defs! {
    ADD_V2: arithmetic("AddV2", ARITHMETIC, add_gradient);
    ADD: arithmetic(
        "Add",
        "T: {bfloat16, half, float, double, uint8, int8, int16, int32, int64, complex64, complex128, string}",
        add_gradient,
    );
    SUB: arithmetic("Sub", ARITHMETIC, sub_gradient);
    MUL: arithmetic("Mul", ARITHMETIC, mul_gradient);
    REAL_DIV: arithmetic("RealDiv", ARITHMETIC, div_gradient);
    DIV: arithmetic("Div", ARITHMETIC, div_gradient);
    FLOOR_DIV: OpDef::new("FloorDiv", "x: T, y: T -> z: T")
        .attrs(ARITHMETIC)
        .shape(broadcast)
        .not_differentiable();
    TRUNCATE_DIV: OpDef::new("TruncateDiv", "x: T, y: T -> z: T")
        .attrs(ARITHMETIC)
        .shape(broadcast)
        .not_differentiable();
    FLOOR_MOD: arithmetic("FloorMod", REAL, floor_mod_gradient);
    MOD: arithmetic("Mod", "T: {int32, int64, half, bfloat16, float, double}", truncate_mod_gradient);
    TRUNCATE_MOD:
        arithmetic("TruncateMod", "T: {int32, int64, bfloat16, half, float, double}", truncate_mod_gradient);
    POW: arithmetic(
        "Pow",
        "T: {bfloat16, float, half, double, int8, int16, int32, int64, complex64, complex128}",
        pow_gradient,
    );
    MAXIMUM: arithmetic("Maximum", REAL, maximum_gradient);
    MINIMUM: arithmetic("Minimum", REAL, minimum_gradient);
    SQUARED_DIFFERENCE: arithmetic(
        "SquaredDifference",
        "T: {bfloat16, half, float, double, int32, int64, complex64, complex128}",
        squared_difference_gradient,
    );
    DIV_NO_NAN: arithmetic("DivNoNan", "T: inexacttype", div_no_nan_gradient);
    MUL_NO_NAN: arithmetic("MulNoNan", "T: inexacttype", mul_no_nan_gradient);
    XDIVY: arithmetic("Xdivy", "T: inexacttype", xdivy_gradient);
    XLOGY: arithmetic("Xlogy", "T: inexacttype", xlogy_gradient);
    XLOG1PY: arithmetic("Xlog1py", "T: inexacttype", xlog1py_gradient);
    ATAN2: OpDef::new("Atan2", "y: T, x: T -> z: T")
        .attrs("T: floattype")
        .shape(broadcast)
        .gradient(atan2_gradient);
    NEXT_AFTER: OpDef::new("NextAfter", "x1: T, x2: T -> output: T")
        .attrs("T: {double, float} = float")
        .shape(broadcast)
        .gradient(next_after_gradient);
}

/// Returns the gradients of both inputs by formulas of `(grad, x, y)`, summed where the inputs were broadcast. A constant input
/// has none, unless it is requested: nothing could use the result.
fn both(
    op: &Operation,
    grads: &[Option<Output>],
    of_x: impl FnOnce(&Output, &Output, &Output) -> Output,
    of_y: impl FnOnce(&Output, &Output, &Output) -> Output,
) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None, None]) };
    let (x, y) = (op.input(0), op.input(1));
    // A side that nobody differentiates, such as a constant factor, builds nothing at all.
    Ok(vec![
        is_of_use(&x).then(|| sum_to_input(&of_x(grad, &x, &y), &x, &[&y])),
        is_of_use(&y).then(|| sum_to_input(&of_y(grad, &x, &y), &y, &[&x])),
    ])
}

/// Works as [`both`] for two gradients that differ in sign only: the second is negated after the sum, when there is less to
/// negate.
fn opposite(
    op: &Operation,
    grads: &[Option<Output>],
    of_x: impl FnOnce(&Output) -> Output,
) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None, None]) };
    let (x, y) = (op.input(0), op.input(1));
    // Computed once for both sides.
    let grad = of_x(grad);
    Ok(vec![
        is_of_use(&x).then(|| sum_to_input(&grad, &x, &[&y])),
        is_of_use(&y).then(|| neg(sum_to_input(&grad, &y, &[&x]))),
    ])
}

/// `grad * factor`, where the factor is known to have the result's shape only if it has the other input's.
fn times(grad: &Output, factor: &Output) -> Output {
    // Equal shapes: the gradient, if it is one number, need not be spread out first.
    if factor.shape().is_fully_known() && factor.shape() == grad.shape() {
        scaled(grad, factor)
    } else {
        mul(grad, factor)
    }
}

fn add_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    both(op, grads, |grad, _, _| grad.clone(), |grad, _, _| grad.clone())
}

fn sub_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    opposite(op, grads, Output::clone)
}

fn mul_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    both(op, grads, |grad, _, y| times(grad, &conj_of(y)), |grad, x, _| times(grad, &conj_of(x)))
}

fn div_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    // `-x / y / y`, two quotients rather than one by `y^2`, which could overflow: TensorFlow's form.
    let slope = |x: &Output, y: &Output| real_div(real_div(neg(conj_of(x)), y), y);
    both(op, grads, |grad, _, y| real_div(grad, conj_of(y)), |grad, x, y| times(grad, &slope(x, &conj_of(y))))
}

fn div_no_nan_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let slope = |x: &Output, y: &Output| div_no_nan(div_no_nan(neg(conj_of(x)), y), y);
    both(
        op,
        grads,
        |grad, _, y| div_no_nan(grad, conj_of(y)),
        |grad, x, y| times(grad, &slope(x, &conj_of(y))),
    )
}

fn mul_no_nan_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    // `MulNoNan` is 0 where its second factor is 0, whatever the first is. The
    // gradients keep that factor second.
    both(op, grads, |grad, _, y| mul_no_nan(grad, y), |grad, x, _| mul_no_nan(x, grad))
}

fn floor_mod_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    // `x mod y` is `x - y floor(x / y)`: where it is differentiable, the
    // derivative by `y` is `-floor(x / y)`.
    both(op, grads, |grad, _, _| grad.clone(), |grad, x, y| mul(grad, neg(floor_div(x, y))))
}

fn truncate_mod_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    both(op, grads, |grad, _, _| grad.clone(), |grad, x, y| mul(grad, neg(truncate_div(x, y))))
}

fn pow_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    both(op, grads, pow_of_base, |grad, x, _| {
        // The logarithm counts as 0 where the base is not positive: there is no real derivative.
        let (base, zero) = (conj_of(x), scalar_like(x, 0.0));
        let defined = if base.dtype().is_complex() { not_equal(&base, &zero) } else { greater(&base, &zero) };
        // Selected twice: the logarithm of 1 instead of 0 keeps NaN out of the gradient of this gradient.
        let logarithm = select(&defined, log(select(&defined, &base, scalar_like(&base, 1.0))), &zero);
        mul(scaled(grad, &conj_of(&op.output(0))), logarithm)
    })
}

fn pow_of_base(grad: &Output, x: &Output, y: &Output) -> Output {
    let (base, exponent) = (conj_of(x), conj_of(y));
    times(grad, &mul(&exponent, pow(base, sub(&exponent, scalar_like(&exponent, 1.0)))))
}

/// Each element's gradient goes to the input that was taken.
fn chosen(
    op: &Operation,
    grads: &[Option<Output>],
    takes_x: impl FnOnce(Output, Output) -> Output,
) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None, None]) };
    let (from_x, zero) = (takes_x(op.input(0), op.input(1)), scalar_like(grad, 0.0));
    // `select` broadcasts a single number, which saves a tensor.
    let number = spread_scalar(grad);
    let grad = number.as_ref().unwrap_or(grad);
    both(op, grads, |_, _, _| select(&from_x, grad, &zero), |_, _, _| select(&from_x, &zero, grad))
}

fn maximum_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    // Equal elements pass their gradient to `x`, as in TensorFlow.
    chosen(op, grads, greater_equal)
}

fn minimum_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    chosen(op, grads, less_equal)
}

fn squared_difference_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    opposite(op, grads, |grad| {
        let (x, y) = (op.input(0), op.input(1));
        // `conj(d) d` has twice the difference as its gradient; of complex numbers, too, nothing is conjugated.
        scaled(grad, &mul(scalar_like(&x, 2.0), sub(&x, y)))
    })
}

/// 1 where `x` is not 0, else 0.
fn nonzero(x: &Output) -> Output {
    // 1 where `x` is not 0. The derivative by `x` at 0 is 0 by TensorFlow's convention, whatever `y` is.
    cast(not_equal(x, scalar_like(x, 0.0)), x.dtype())
}

fn xdivy_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    // `x / y` with `0 / y = 0`: the derivatives are `1 / y` and `-x / y^2`.
    both(
        op,
        grads,
        |grad, x, y| mul(grad, xdivy(nonzero(x), y)),
        |grad, x, y| mul(grad, xdivy(neg(x), square(y))),
    )
}

fn xlogy_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    both(op, grads, |grad, x, y| mul(grad, xlogy(nonzero(x), y)), |grad, x, y| mul(grad, xdivy(x, y)))
}

fn xlog1py_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    both(
        op,
        grads,
        |grad, x, y| mul(grad, xlog1py(nonzero(x), y)),
        |grad, x, y| mul(grad, xdivy(x, add(y, scalar_like(y, 1.0)))),
    )
}

fn atan2_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let share = |grad: &Output, y: &Output, x: &Output| real_div(grad, add(square(x), square(y)));
    both(op, grads, |grad, y, x| mul(x, share(grad, y, x)), |grad, y, x| neg(mul(y, share(grad, y, x))))
}

fn next_after_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None, None]) };
    let (x, y) = (op.input(0), op.input(1));
    // The neighbor of `x` moves with `x`; `y` only gives the direction, and TensorFlow returns zeros for it.
    Ok(vec![Some(sum_to_input(grad, &x, &[&y])), Some(zeros_like(&y))])
}

/// Divides as `x / y` does: integers are converted to floating point first, those of up to 16 bits to
/// `float32` and the others to `float64`.
/// ```
/// use ops::{array::constant, math::truediv};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let quotient = truediv(constant(&graph, 7), constant(&graph, 2));
/// assert_eq!((quotient.dtype(), quotient.name().as_str()), (DType::Float64, "truediv:0"));
/// ```
#[must_use]
#[track_caller]
pub fn truediv(x: impl AsOutput, y: impl AsOutput) -> Output {
    x.as_output() / y.as_output()
}

/// Divides and rounds toward minus infinity, in the dtype of the arguments: Python's `x // y`.
///
/// ```
/// # use ops::{array::constant, math};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let quotient = math::floordiv(constant(&graph, [7i32, -7]), constant(&graph, 2i32)); // [3, -4]
/// assert_eq!(quotient.dtype(), DType::Int32);
/// ```
#[must_use]
#[track_caller]
pub fn floordiv(x: impl AsOutput, y: impl AsOutput) -> Output {
    floor_div(x, y)
}

macro_rules! binary_functions {
    ($($(#[$doc:meta])* $name:ident($x:ident, $y:ident) => $def:ident;)*) => {$(
        $(#[$doc])*
        #[must_use]
        #[track_caller]
        pub fn $name($x: impl AsOutput, $y: impl AsOutput) -> Output {
            $x.as_output().graph().op(&$def).input($x).input($y).finish_output()
        }
    )*};
}

binary_functions! {
    /// Adds: `x + y`.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let z = math::add(constant(&graph, [1.0f32, 2.0]), constant(&graph, 10.0f32)); // [11.0, 12.0]
    /// assert_eq!(z.shape().to_string(), "[2]");
    /// ```
    add(x, y) => ADD_V2;
    /// Subtracts: `x - y`.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let z = math::sub(constant(&graph, [1.0f32, 2.0]), constant(&graph, 10.0f32)); // [-9.0, -8.0]
    /// assert_eq!(z.shape().to_string(), "[2]");
    /// ```
    sub(x, y) => SUB;
    /// Multiplies: `x * y`.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let z = math::mul(constant(&graph, [1.0f32, 2.0]), constant(&graph, 10.0f32)); // [10.0, 20.0]
    /// assert_eq!(z.shape().to_string(), "[2]");
    /// ```
    mul(x, y) => MUL;
    /// Divides `x / y` of one dtype, as the operation `RealDiv`. TensorFlow has no kernel for integers; here
    /// the quotient is rounded toward zero. See [`truediv`].
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let z = math::real_div(constant(&graph, [1.0f32, 2.0]), constant(&graph, 4.0f32)); // [0.25, 0.5]
    /// assert_eq!(z.shape().to_string(), "[2]");
    /// ```
    real_div(x, y) => REAL_DIV;
    /// Divides and rounds toward negative infinity.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let z = math::floor_div(constant(&graph, [7i32, -7]), constant(&graph, 2i32)); // [3, -4]
    /// assert_eq!(z.shape().to_string(), "[2]");
    /// ```
    floor_div(x, y) => FLOOR_DIV;
    /// Returns the remainder of `floor_div`, which has the sign of `y`.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let z = math::floor_mod(constant(&graph, [7i32, -7]), constant(&graph, 3i32)); // [1, 2]
    /// assert_eq!(z.shape().to_string(), "[2]");
    /// ```
    floor_mod(x, y) => FLOOR_MOD;
    /// Divides and rounds toward zero.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let z = math::truncate_div(constant(&graph, [7i32, -7]), constant(&graph, 2i32)); // [3, -3]
    /// assert_eq!(z.shape().to_string(), "[2]");
    /// ```
    truncate_div(x, y) => TRUNCATE_DIV;
    /// Returns the remainder of `truncate_div`, which has the sign of `x`.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let z = math::truncate_mod(constant(&graph, [7i32, -7]), constant(&graph, 3i32)); // [1, -1]
    /// assert_eq!(z.shape().to_string(), "[2]");
    /// ```
    truncate_mod(x, y) => TRUNCATE_MOD;
    /// Raises `x` to the power of `y`.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let z = math::pow(constant(&graph, [2.0f32, 3.0]), constant(&graph, 3.0f32)); // [8.0, 27.0]
    /// assert_eq!(z.shape().to_string(), "[2]");
    /// ```
    pow(x, y) => POW;
    /// Returns the elementwise maximum.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let z = math::maximum(constant(&graph, [1.0f32, 5.0]), constant(&graph, 3.0f32)); // [3.0, 5.0]
    /// assert_eq!(z.shape().to_string(), "[2]");
    /// ```
    maximum(x, y) => MAXIMUM;
    /// Returns the elementwise minimum.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let z = math::minimum(constant(&graph, [1.0f32, 5.0]), constant(&graph, 3.0f32)); // [1.0, 3.0]
    /// assert_eq!(z.shape().to_string(), "[2]");
    /// ```
    minimum(x, y) => MINIMUM;
    /// Returns `(x - y)` squared, in one pass.
    squared_difference(x, y) => SQUARED_DIFFERENCE;
    /// Returns `x / y`, or 0 where `y` is 0.
    div_no_nan(x, y) => DIV_NO_NAN;
    /// Returns `x * y`, or 0 where `y` is 0, even if `x` is infinite or NaN.
    mul_no_nan(x, y) => MUL_NO_NAN;
    /// Returns `x / y`, or 0 where `x` is 0, even if `y` is 0.
    xdivy(x, y) => XDIVY;
    /// Returns `x * log(y)`, or 0 where `x` is 0.
    xlogy(x, y) => XLOGY;
    /// Returns `x * log(1 + y)`, or 0 where `x` is 0.
    xlog1py(x, y) => XLOG1PY;
    /// Returns the angle of the point (`x`, `y`), between -pi and pi.
    atan2(y, x) => ATAN2;
    /// Returns the next representable number after `x` in the direction of `y`.
    next_after(x, y) => NEXT_AFTER;
}
