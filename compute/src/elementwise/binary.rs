//! Functions of two arguments.
//!
//! # Arithmetic
//!
//! | numbers | rules |
//! |---|---|
//! | floats | IEEE 754; maximum and minimum of NaN are NaN |
//! | 16-bit floats | computed in `f32`, rounded after each operation |
//! | integers | addition, subtraction and multiplication wrap |
//! | integer division | rounds towards 0 or down, depending on the operation; a divisor of 0 is an error |
//! | integer powers | by repeated squaring, with wrapping; a negative exponent is an error |
//! | bools | logical operations |
//! | complex numbers | the formulas of TensorFlow's kernels |
//!
//! Errors are found before any element is written: a kernel with a check looks at all right operands first.

use super::binary_kernel::MakeBinaryFn;
use super::element::{ComplexNumber, Integer, Truth};
use super::narrow::Narrow;
use super::unary::{CALL, CHEAP, DIVISION, SELU_SCALE, SELU_SCALE_ALPHA, named_ops};
use super::unary_kernel::{Direct, ThroughF32};
use super::{ArithmeticError, BinaryFn, BinaryKernel};
use crate::math::Real;
use std::marker::PhantomData;

named_ops! {
    /// A function of two arguments, with the meaning of TensorFlow's operation of that name.
    BinaryOp {
        /// x + y; integers wrap.
        Add | "AddV2",
        /// x - y; integers wrap.
        Sub,
        /// x * y; integers wrap.
        Mul,
        /// x / y; for integers the quotient towards 0.
        Div | "RealDiv",
        /// The integer part of x / y.
        TruncateDiv,
        /// The largest integer that is not above x / y.
        FloorDiv,
        /// The remainder of [`BinaryOp::FloorDiv`]: 0 or of the sign of y.
        FloorMod,
        /// The remainder of [`BinaryOp::TruncateDiv`]: 0 or of the sign of x.
        Mod | "TruncateMod",
        /// x to the power of y.
        Pow,
        /// The larger; NaN when either is.
        Maximum,
        /// The smaller; NaN when either is.
        Minimum,
        /// (x - y)^2; for complex numbers the square of the magnitude.
        SquaredDifference,
        /// The angle of the point (y, x), in TensorFlow's order of arguments.
        Atan2,
        /// x / y, and 0 where y is 0.
        DivNoNan,
        /// x * y, and 0 where y is 0.
        MulNoNan,
        /// x / y, and 0 where x is 0.
        Xdivy,
        /// x ln y, and 0 where x is 0.
        Xlogy,
        /// x ln(1 + y), and 0 where x is 0.
        Xlog1py,
        /// x and y.
        LogicalAnd,
        /// x or y.
        LogicalOr,
        /// Bits in both.
        BitwiseAnd,
        /// Bits in either.
        BitwiseOr,
        /// Bits in one only.
        BitwiseXor,
        /// x shifted left by y, at least 0 and at most the width less 1.
        LeftShift,
        /// x shifted right likewise; the sign stays.
        RightShift,
        /// (gradient, x).
        ReluGrad,
        /// (gradient, x).
        Relu6Grad,
        /// (gradient, x); the slope is the kernel's parameter.
        LeakyReluGrad,
        /// (gradient, result).
        EluGrad,
        /// (gradient, result).
        SeluGrad,
        /// (gradient, x).
        SoftplusGrad,
        /// (gradient, x).
        SoftsignGrad,
        /// (result, gradient).
        SigmoidGrad,
        /// (result, gradient).
        TanhGrad,
        /// (result, gradient); 0 for a gradient of 0, whatever the result.
        SqrtGrad,
        /// (result, gradient); 0 for a gradient of 0, whatever the result.
        RsqrtGrad,
        /// (result, gradient); 0 for a gradient of 0, whatever the result.
        ReciprocalGrad | "InvGrad",
    }
}

/// Makes, from formulas, a module with one type for each operation, and in it the function `find`
/// that finds the kernel of an operation.
///
/// Each line is `Name [cost] |x, y| formula;`, with `|x, y, alpha|` for a formula that has a parameter. The cost
/// is in picoseconds for an element. `Mul [CHEAP] |x, y| x * y;` expands to
///
/// ```text
/// pub(super) struct Mul;
/// impl<T: Real> BinaryFn<T> for Mul {
///     const PICOSECONDS: usize = CHEAP;
///     fn call(x: T, y: T, _alpha: f32) -> T { x * y }
/// }
/// ```
macro_rules! binary_ops {
    ($(#[$meta:meta])* mod $module:ident<T: $bound:ident>;
     $($op:ident [$cost:expr] |$x:ident, $y:ident $(, $alpha:ident)?| $body:expr;)*) => {
        $(#[$meta])*
        mod $module {
            use super::*;

            $(
                /// The operation as a type, so that each has a loop of its own.
                #[derive(Clone, Copy, Default)]
                pub(super) struct $op;

                impl<T: $bound> BinaryFn<T> for $op {
                    const PICOSECONDS: usize = $cost;

                    #[inline(always)]
                    fn call($x: T, $y: T, _alpha: f32) -> T {
                        $(let $alpha = _alpha;)?
                        $body
                    }
                }
            )*

            /// Returns the kernel of an operation; `None` for one that this kind of number does not have.
            pub(super) fn find<T: $bound, M: MakeBinaryFn<T>>(op: BinaryOp) -> Option<M::Kernel> {
                Some(match op {
                    $(BinaryOp::$op => M::make::<$op>(),)*
                    _ => return None,
                })
            }
        }
    };
}

/// Returns 1 where `condition` holds, and 0 elsewhere. Gradients are multiplied by the mask, as in
/// TensorFlow: an infinite or NaN gradient then yields NaN instead of being hidden.
#[inline(always)]
fn mask<T: Real>(condition: bool) -> T {
    if condition { T::of(1.0) } else { T::of(0.0) }
}

/// `product`, but 0 for a gradient of 0, even where the result is infinite or NaN.
#[inline(always)]
fn unless_zero<T: Real>(gradient: T, product: T) -> T {
    if gradient == T::of(0.0) { T::of(0.0) } else { product }
}

binary_ops! {
    /// Formulas for `f32` and `f64`.
    mod real_ops<T: Real>;
    Add [CHEAP] |x, y| x + y;
    Sub [CHEAP] |x, y| x - y;
    Mul [CHEAP] |x, y| x * y;
    Div [DIVISION] |x, y| x / y;
    TruncateDiv [DIVISION] |x, y| (x / y).trunc();
    FloorDiv [DIVISION] |x, y| (x / y).floor();
    FloorMod [CALL] |x, y| {
        // Not `x - y * floor(x / y)`, which loses all digits when the quotient is large. The remainder has
        // the sign of `x`; where `y` has the other one, a divisor is added.
        let rest = x % y;
        let zero = T::of(0.0);
        if rest != zero && (rest < zero) != (y < zero) { rest + y } else { rest }
    };
    Mod [CALL] |x, y| x % y;
    Pow [CALL] |x, y| x.pow(y);
    // Comparisons with NaN are false, so a NaN in `y` is returned without a test of its own.
    Maximum [CHEAP] |x, y| if x > y || x.is_nan() { x } else { y };
    Minimum [CHEAP] |x, y| if x < y || x.is_nan() { x } else { y };
    SquaredDifference [CHEAP] |x, y| (x - y) * (x - y);
    Atan2 [CALL] |y, x| y.atan2(x);
    DivNoNan [DIVISION] |x, y| {
        // Computed for every element and then replaced where it is not wanted: a branch would keep the loop
        // from being vectorized.
        let quotient = x / y;
        if y == T::of(0.0) { T::of(0.0) } else { quotient }
    };
    MulNoNan [CHEAP] |x, y| {
        let product = x * y;
        if y == T::of(0.0) { T::of(0.0) } else { product }
    };
    Xdivy [DIVISION] |x, y| {
        let quotient = x / y;
        if x == T::of(0.0) { T::of(0.0) } else { quotient }
    };
    Xlogy [T::EXP_COST] |x, y| {
        let product = x * y.ln();
        if x == T::of(0.0) { T::of(0.0) } else { product }
    };
    Xlog1py [T::EXP_COST] |x, y| {
        let product = x * y.log1p();
        if x == T::of(0.0) { T::of(0.0) } else { product }
    };
    ReluGrad [CHEAP] |gradient, x| gradient * mask(x > T::of(0.0));
    // `&` rather than `&&`, so that both comparisons are made and no branch remains.
    Relu6Grad [CHEAP] |gradient, x| gradient * mask((x > T::of(0.0)) & (x < T::of(6.0)));
    LeakyReluGrad [CHEAP] |gradient, x, alpha| if x > T::of(0.0) { gradient } else { T::of(alpha.into()) * gradient };
    // From the result: left of 0 the derivative `e^x` is `y + 1`, so the exponential is not needed again.
    EluGrad [CHEAP] |gradient, y| if y < T::of(0.0) { gradient * (y + T::of(1.0)) } else { gradient };
    SeluGrad [CHEAP] |gradient, y| {
        // Likewise: the derivative `scale * alpha * e^x` is `y + scale * alpha`.
        let left = gradient * (y + T::of(SELU_SCALE_ALPHA));
        if y < T::of(0.0) { left } else { gradient * T::of(SELU_SCALE) }
    };
    // The derivative is the sigmoid. Dividing the gradient by the sigmoid's denominator rounds once less than
    // multiplying.
    SoftplusGrad [T::EXP_COST] |gradient, x| gradient / ((-x).exp() + T::of(1.0));
    SoftsignGrad [DIVISION] |gradient, x| {
        let base = T::of(1.0) + x.abs();
        gradient / (base * base)
    };
    SigmoidGrad [CHEAP] |y, gradient| gradient * y * (T::of(1.0) - y);
    TanhGrad [CHEAP] |y, gradient| gradient * (T::of(1.0) - y * y);
    SqrtGrad [DIVISION] |y, gradient| unless_zero(gradient, gradient * T::of(0.5) / y);
    // The derivatives `-x^(-3/2) / 2` and `-x^(-2)` as powers of the result.
    RsqrtGrad [CHEAP] |y, gradient| unless_zero(gradient, (gradient * T::of(-0.5)) * (y * y * y));
    ReciprocalGrad [CHEAP] |y, gradient| unless_zero(gradient, -gradient * (y * y));
}

binary_ops! {
    /// Formulas for the integers.
    mod integer_ops<T: Integer>;
    Add [CHEAP] |x, y| x.wrapping_add(y);
    Sub [CHEAP] |x, y| x.wrapping_sub(y);
    Mul [CHEAP] |x, y| x.wrapping_mul(y);
    // Processors have no vector instruction for integer division: it takes about 2 ns an element.
    Div [2_000] |x, y| x.divide(y);
    TruncateDiv [2_000] |x, y| x.divide(y);
    FloorDiv [2_000] |x, y| {
        let quotient = x.divide(y);
        // With operands of different signs, the quotient towards 0 is one too large unless nothing remains.
        let inexact = x.remainder(y) != T::ZERO;
        if inexact && (x < T::ZERO) != (y < T::ZERO) { quotient.wrapping_sub(T::ONE) } else { quotient }
    };
    FloorMod [2_000] |x, y| {
        let rest = x.remainder(y);
        if rest != T::ZERO && (rest < T::ZERO) != (y < T::ZERO) { rest.wrapping_add(y) } else { rest }
    };
    Mod [2_000] |x, y| x.remainder(y);
    Pow [CALL] |x, y| x.power(y);
    Maximum [CHEAP] |x, y| x.max(y);
    Minimum [CHEAP] |x, y| x.min(y);
    SquaredDifference [CHEAP] |x, y| {
        let difference = x.wrapping_sub(y);
        difference.wrapping_mul(difference)
    };
    BitwiseAnd [CHEAP] |x, y| x & y;
    BitwiseOr [CHEAP] |x, y| x | y;
    BitwiseXor [CHEAP] |x, y| x ^ y;
    LeftShift [CHEAP] |x, y| x.shift_left(y);
    RightShift [CHEAP] |x, y| x.shift_right(y);
    ReluGrad [CHEAP] |gradient, x| if x > T::ZERO { gradient } else { T::ZERO };
    Relu6Grad [CHEAP] |gradient, x| if x > T::ZERO && x < T::SIX { gradient } else { T::ZERO };
}

binary_ops! {
    /// Formulas for truth values.
    mod truth_ops<T: Truth>;
    LogicalAnd [CHEAP] |x, y| T::from(x.into() & y.into());
    LogicalOr [CHEAP] |x, y| T::from(x.into() | y.into());
}

binary_ops! {
    /// Formulas for complex numbers.
    mod complex_ops<T: ComplexNumber>;
    Add [CHEAP] |x, y| x + y;
    Sub [CHEAP] |x, y| x - y;
    Mul [CHEAP] |x, y| x * y;
    Div [CALL] |x, y| x.divide(y);
    Pow [CALL] |x, y| x.pow(y);
    // TensorFlow's definition: a magnitude, so the imaginary part is 0.
    SquaredDifference [CHEAP] |x, y| (x - y) * (x - y).conj();
    DivNoNan [CALL] |x, y| if y == T::ZERO { T::ZERO } else { x.divide(y) };
    MulNoNan [CHEAP] |x, y| if y == T::ZERO { T::ZERO } else { x * y };
    Xdivy [CALL] |x, y| if x == T::ZERO { T::ZERO } else { x.divide(y) };
    Xlogy [CALL] |x, y| if x == T::ZERO { T::ZERO } else { x * y.ln() };
    Xlog1py [CALL] |x, y| if x == T::ZERO { T::ZERO } else { x * y.log1p() };
    SigmoidGrad [CHEAP] |y, gradient| gradient * y * (T::ONE - y);
    TanhGrad [CHEAP] |y, gradient| gradient * (T::ONE - y * y);
    SqrtGrad [CALL] |y, gradient| {
        // These three conjugate the result themselves. For the sigmoid and the tangent, TensorFlow's gradient
        // functions do it before they call the operation.
        let half = T::ONE / (T::ONE + T::ONE);
        if gradient == T::ZERO { T::ZERO } else { (gradient * half).divide(y.conj()) }
    };
    RsqrtGrad [CALL] |y, gradient| {
        let half = T::ONE / (T::ONE + T::ONE);
        if gradient == T::ZERO { T::ZERO } else { -(gradient * half) * (y * y * y).conj() }
    };
    ReciprocalGrad [CHEAP] |y, gradient| {
        if gradient == T::ZERO { T::ZERO } else { -gradient * (y * y).conj() }
    };
}

/// Checks that no divisor is 0.
///
/// # Errors
/// [`ArithmeticError::DivisionByZero`] if one is.
fn nonzero<T: Integer>(divisors: &[T]) -> Result<(), ArithmeticError> {
    if divisors.contains(&T::ZERO) { Err(ArithmeticError::DivisionByZero) } else { Ok(()) }
}

/// Checks that no exponent is negative.
///
/// # Errors
/// [`ArithmeticError::NegativeExponent`] if one is.
fn nonnegative<T: Integer>(exponents: &[T]) -> Result<(), ArithmeticError> {
    if exponents.iter().any(|&y| y < T::ZERO) { Err(ArithmeticError::NegativeExponent) } else { Ok(()) }
}

/// Returns the kernel of an operation for `f32` or `f64`.
pub(super) fn real<T: Real>(op: BinaryOp) -> Option<BinaryKernel<T>> {
    real_ops::find::<T, Direct>(op)
}

/// [`BinaryOp::FloorDiv`] of 16-bit floats: of the quotient as they have it, as in TensorFlow. That of `f32` may be just
/// below an integer to which it is rounded.
#[derive(Clone, Copy, Default)]
struct NarrowFloorDiv<H>(PhantomData<H>);

impl<H: Narrow> BinaryFn<f32> for NarrowFloorDiv<H> {
    const PICOSECONDS: usize = DIVISION;

    #[inline(always)]
    fn call(x: f32, y: f32, _alpha: f32) -> f32 {
        H::narrow(x / y).widen().floor()
    }
}

/// Returns the kernel of an operation for 16-bit floats, which computes in `f32`.
pub(super) fn narrow<H: Narrow>(op: BinaryOp) -> Option<BinaryKernel<H>> {
    match op {
        BinaryOp::FloorDiv => Some(ThroughF32::<H>::make::<NarrowFloorDiv<H>>()),
        _ => real_ops::find::<f32, ThroughF32<H>>(op),
    }
}

/// Returns the kernel of an operation for integers.
///
/// Divisions, remainders and powers get a check of the right operand, which runs before anything is written.
pub(super) fn integer<T: Integer>(op: BinaryOp) -> Option<BinaryKernel<T>> {
    // The loops cannot fail: a scan of the right operand takes a fraction of the time of the divisions, and
    // an error then leaves the output as it was.
    let kernel = integer_ops::find::<T, Direct>(op)?;
    Some(match op {
        BinaryOp::Div | BinaryOp::TruncateDiv | BinaryOp::FloorDiv | BinaryOp::FloorMod | BinaryOp::Mod => {
            kernel.with_check(nonzero)
        }
        BinaryOp::Pow => kernel.with_check(nonnegative),
        _ => kernel,
    })
}

/// Returns the kernel of an operation for bools.
pub(super) fn truth<T: Truth>(op: BinaryOp) -> Option<BinaryKernel<T>> {
    truth_ops::find::<T, Direct>(op)
}

/// Returns the kernel of an operation for complex numbers.
pub(super) fn complex<T: ComplexNumber>(op: BinaryOp) -> Option<BinaryKernel<T>> {
    complex_ops::find::<T, Direct>(op)
}
