//! Functions of one argument.
//!
//! # Accuracy
//!
//! `exp`, `log`, `tanh` and others of `f32` have implementations of their own (`math`), which are vectorized and have
//! the same bits on every CPU. The remaining functions call the platform's or `libm`'s, one element at a time. Each
//! operation states its approximate cost, from which the number of threads follows.

use super::element::{ComplexNumber, Integer, Truth};
use super::narrow::Narrow;
use super::unary_kernel::{Direct, MakeUnaryFn, ThroughF32};
use super::{UnaryFn, UnaryKernel};
use crate::math::Real;

/// Names an enumeration's values after TensorFlow's operations.
///
/// In addition to the enumeration, this makes `ALL`, `name` and `from_name`. A line `Reciprocal | "Inv",`
/// gives a second name that `from_name` knows.
macro_rules! named_ops {
    ($(#[$meta:meta])* $enum:ident { $($(#[$doc:meta])* $op:ident $(| $alias:literal)*,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $enum {
            $($(#[$doc])* $op,)*
        }

        impl $enum {
            /// All of them.
            pub const ALL: &'static [$enum] = &[$($enum::$op),*];

            /// TensorFlow's name of the operation; the first where there are several.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $($enum::$op => stringify!($op),)*
                }
            }

            /// Returns the operation that TensorFlow calls `name`.
            #[must_use]
            pub fn from_name(name: &str) -> Option<$enum> {
                match name {
                    $(stringify!($op) $(| $alias)* => Some($enum::$op),)*
                    _ => None,
                }
            }
        }
    };
}
pub(crate) use named_ops;

named_ops! {
    /// A function of one argument, with the meaning of TensorFlow's operation of that name.
    UnaryOp {
        /// -x; integers wrap.
        Neg,
        /// |x|; the least integer stays as it is.
        Abs,
        /// -1, 0 or 1; NaN for NaN; x / |x| for complex numbers.
        Sign,
        /// x * x.
        Square,
        /// The square root.
        Sqrt,
        /// 1 / sqrt(x).
        Rsqrt,
        /// 1 / x.
        Reciprocal | "Inv",
        /// e^x.
        Exp,
        /// e^x - 1.
        Expm1,
        /// ln x.
        Log,
        /// ln(1 + x).
        Log1p,
        /// The sine.
        Sin,
        /// The cosine.
        Cos,
        /// The tangent.
        Tan,
        /// The inverse of the sine.
        Asin,
        /// The inverse of the cosine.
        Acos,
        /// The inverse of the tangent.
        Atan,
        /// The hyperbolic sine.
        Sinh,
        /// The hyperbolic cosine.
        Cosh,
        /// The hyperbolic tangent.
        Tanh,
        /// The inverse of the hyperbolic sine.
        Asinh,
        /// The inverse of the hyperbolic cosine.
        Acosh,
        /// The inverse of the hyperbolic tangent.
        Atanh,
        /// 1 / (1 + e^-x).
        Sigmoid,
        /// ln(1 + e^x).
        Softplus,
        /// x / (1 + |x|).
        Softsign,
        /// max(x, 0); NaN for NaN.
        Relu,
        /// min(max(x, 0), 6); NaN for NaN.
        Relu6,
        /// x where it is above 0, elsewhere the kernel's parameter times x.
        LeakyRelu,
        /// x where it is not below 0, elsewhere e^x - 1.
        Elu,
        /// The scaled [`UnaryOp::Elu`] of self-normalizing networks.
        Selu,
        /// The nearest integer that is not larger.
        Floor,
        /// The nearest integer that is not smaller.
        Ceil,
        /// The nearest integer, ties to even.
        Round | "Rint",
        /// The error function.
        Erf,
        /// One minus the error function.
        Erfc,
        /// The logarithm of the magnitude of the gamma function.
        Lgamma,
        /// Each bit turned around.
        Invert,
        /// The negation of a bool.
        LogicalNot,
        /// The complex conjugate; a real number itself.
        Conj,
    }
}

/// The cost of a few vector instructions per element, in picoseconds.
pub(crate) const CHEAP: usize = 150;
/// The cost of a vectorized division or square root.
pub(crate) const DIVISION: usize = 400;
/// The cost of a call to the platform's math library.
pub(crate) const CALL: usize = 8_000;

/// The scale of [`UnaryOp::Selu`], and the same times its alpha.
pub(crate) const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
/// The product of both constants of SELU, which is the derivative at minus 0.
pub(crate) const SELU_SCALE_ALPHA: f64 = 1.758_099_340_847_376_8;

/// Makes, from formulas, a module with one type for each operation, and in it the function `find`
/// that finds the kernel of an operation.
///
/// Each line is `Name [cost] |x| formula;`, with `|x, alpha|` for a formula that has a parameter. The cost is in
/// picoseconds for an element, of the vectorized loop where there is one.
macro_rules! unary_ops {
    ($(#[$meta:meta])* mod $module:ident<T: $bound:ident>;
     $($op:ident [$cost:expr] |$x:ident $(, $alpha:ident)?| $body:expr;)*) => {
        $(#[$meta])*
        mod $module {
            use super::*;

            $(
                /// The operation as a type, so that each has a loop of its own.
                #[derive(Clone, Copy, Default)]
                pub(super) struct $op;

                impl<T: $bound> UnaryFn<T> for $op {
                    const PICOSECONDS: usize = $cost;

                    #[inline(always)]
                    fn call($x: T, _alpha: f32) -> T {
                        $(let $alpha = _alpha;)?
                        $body
                    }
                }
            )*

            /// Returns the kernel of an operation; `None` for one that this kind of number does not have.
            pub(super) fn find<T: $bound, M: MakeUnaryFn<T>>(op: UnaryOp) -> Option<M::Kernel> {
                Some(match op {
                    $(UnaryOp::$op => M::make::<$op>(),)*
                    _ => return None,
                })
            }
        }
    };
}

unary_ops! {
    /// Formulas for `f32` and `f64`.
    mod real_ops<T: Real>;
    Neg [CHEAP] |x| -x;
    Abs [CHEAP] |x| x.abs();
    Sign [CHEAP] |x| {
        let zero = T::of(0.0);
        // The sum turns -0 into 0 and leaves NaN as it is.
        let sign = if x > zero { T::of(1.0) } else { x + zero };
        if x < zero { T::of(-1.0) } else { sign }
    };
    Square [CHEAP] |x| x * x;
    Sqrt [DIVISION] |x| x.sqrt();
    // The processors' instruction for approximate reciprocal roots has other bits on each make.
    Rsqrt [2 * DIVISION] |x| T::of(1.0) / x.sqrt();
    Reciprocal [DIVISION] |x| T::of(1.0) / x;
    Exp [T::EXP_COST] |x| x.exp();
    Expm1 [T::EXP_COST] |x| x.expm1();
    Log [T::EXP_COST] |x| x.ln();
    Log1p [T::EXP_COST] |x| x.log1p();
    Sin [CALL] |x| x.sin();
    Cos [CALL] |x| x.cos();
    Tan [CALL] |x| x.tan();
    Asin [CALL] |x| x.asin();
    Acos [CALL] |x| x.acos();
    Atan [CALL] |x| x.atan();
    Sinh [CALL] |x| x.sinh();
    Cosh [CALL] |x| x.cosh();
    Tanh [T::EXP_COST] |x| x.tanh();
    Asinh [CALL] |x| x.asinh();
    Acosh [CALL] |x| x.acosh();
    Atanh [CALL] |x| x.atanh();
    Sigmoid [T::EXP_COST] |x| x.sigmoid();
    Softplus [2 * T::EXP_COST] |x| x.softplus();
    Softsign [DIVISION] |x| x / (T::of(1.0) + x.abs());
    // The order of the operands keeps NaN, which `max` would replace.
    Relu [CHEAP] |x| if x < T::of(0.0) { T::of(0.0) } else { x };
    Relu6 [CHEAP] |x| {
        let low = if x < T::of(0.0) { T::of(0.0) } else { x };
        if low > T::of(6.0) { T::of(6.0) } else { low }
    };
    LeakyRelu [CHEAP] |x, alpha| if x > T::of(0.0) { x } else { T::of(alpha.into()) * x };
    Elu [T::EXP_COST] |x| {
        // For every element, since a branch would keep the loop from being vectorized.
        let y = x.expm1();
        if x < T::of(0.0) { y } else { x }
    };
    Selu [T::EXP_COST] |x| {
        let y = T::of(SELU_SCALE_ALPHA) * x.expm1();
        if x < T::of(0.0) { y } else { T::of(SELU_SCALE) * x }
    };
    Floor [CHEAP] |x| x.floor();
    Ceil [CHEAP] |x| x.ceil();
    // Halves go to the even neighbor, as in NumPy.
    Round [CHEAP] |x| x.round_even();
    Erf [3 * T::EXP_COST] |x| x.erf();
    Erfc [3 * T::EXP_COST] |x| x.erfc();
    Lgamma [2 * CALL] |x| x.lgamma();
    Conj [CHEAP] |x| x;
}

unary_ops! {
    /// Formulas for the integers.
    mod integer_ops<T: Integer>;
    Neg [CHEAP] |x| T::ZERO.wrapping_sub(x);
    // Wraps, since the least integer has no positive counterpart.
    Abs [CHEAP] |x| if x < T::ZERO { T::ZERO.wrapping_sub(x) } else { x };
    Sign [CHEAP] |x| {
        let sign = if x > T::ZERO { T::ONE } else { T::ZERO };
        if x < T::ZERO { T::ZERO.wrapping_sub(T::ONE) } else { sign }
    };
    Square [CHEAP] |x| x.wrapping_mul(x);
    Relu [CHEAP] |x| if x < T::ZERO { T::ZERO } else { x };
    Relu6 [CHEAP] |x| {
        let low = if x < T::ZERO { T::ZERO } else { x };
        if low > T::SIX { T::SIX } else { low }
    };
    Floor [CHEAP] |x| x;
    Ceil [CHEAP] |x| x;
    Round [CHEAP] |x| x;
    Invert [CHEAP] |x| !x;
    Conj [CHEAP] |x| x;
}

unary_ops! {
    /// Formulas for truth values.
    mod truth_ops<T: Truth>;
    LogicalNot [CHEAP] |x| T::from(!x.into());
}

unary_ops! {
    /// Formulas for complex numbers.
    mod complex_ops<T: ComplexNumber>;
    Neg [CHEAP] |x| -x;
    Sign [CALL] |x| x.sign();
    Square [CHEAP] |x| x * x;
    Sqrt [CALL] |x| x.sqrt();
    Rsqrt [CALL] |x| x.rsqrt();
    Reciprocal [CALL] |x| T::ONE / x;
    Exp [CALL] |x| x.exp();
    Expm1 [CALL] |x| x.expm1();
    Log [CALL] |x| x.ln();
    Log1p [CALL] |x| x.log1p();
    Sin [CALL] |x| x.sin();
    Cos [CALL] |x| x.cos();
    Tan [CALL] |x| x.tan();
    Asin [CALL] |x| x.asin();
    Acos [CALL] |x| x.acos();
    Atan [CALL] |x| x.atan();
    Sinh [CALL] |x| x.sinh();
    Cosh [CALL] |x| x.cosh();
    Tanh [CALL] |x| x.tanh();
    Asinh [CALL] |x| x.asinh();
    Acosh [CALL] |x| x.acosh();
    Atanh [CALL] |x| x.atanh();
    Sigmoid [CALL] |x| x.sigmoid();
    Conj [CHEAP] |x| x.conj();
}

/// Returns the kernel of an operation for `f32` or `f64`.
pub(super) fn real<T: Real>(op: UnaryOp) -> Option<UnaryKernel<T>> {
    real_ops::find::<T, Direct>(op)
}

/// Returns the kernel of an operation for 16-bit floats, which computes in `f32`.
pub(super) fn narrow<H: Narrow>(op: UnaryOp) -> Option<UnaryKernel<H>> {
    real_ops::find::<f32, ThroughF32<H>>(op)
}

/// Returns the kernel of an operation for integers.
pub(super) fn integer<T: Integer>(op: UnaryOp) -> Option<UnaryKernel<T>> {
    integer_ops::find::<T, Direct>(op)
}

/// Returns the kernel of an operation for bools.
pub(super) fn truth<T: Truth>(op: UnaryOp) -> Option<UnaryKernel<T>> {
    truth_ops::find::<T, Direct>(op)
}

/// Returns the kernel of an operation for complex numbers.
pub(super) fn complex<T: ComplexNumber>(op: UnaryOp) -> Option<UnaryKernel<T>> {
    complex_ops::find::<T, Direct>(op)
}
