//! The functions of `f32` and `f64` under one name.

use super::error_function::{erf, erfc};
use super::exponential::{exp, expm1, ln, log1p, sigmoid, softplus, tanh};
use crate::elementwise::Element;
use std::ops::{Add, Div, Mul, Neg, Rem, Sub};

/// Returns the inverse hyperbolic cosine, or NaN below 1, where the library's functions return numbers although
/// there is no result.
fn acosh_f32(x: f32) -> f32 {
    if x < 1.0 { f32::NAN } else { libm::acoshf(x) }
}

/// Returns the same in double precision.
fn acosh_f64(x: f64) -> f64 {
    if x < 1.0 { f64::NAN } else { libm::acosh(x) }
}

/// Returns the logarithm of the magnitude of the gamma function, which in `f32` alone loses digits near its zeros.
fn lgamma(x: f32) -> f32 {
    libm::lgamma(x.into()) as f32
}

/// `f32` or `f64`, with the functions that kernels need.
pub trait Real:
    Element
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Rem<Output = Self>
    + Neg<Output = Self>
{
    /// Picoseconds that a vectorized (for `f64`: the platform's) `exp` takes for one element.
    const EXP_COST: usize;
    /// Returns the nearest value to `x`.
    fn of(x: f64) -> Self;
    /// Returns true if this is NaN.
    fn is_nan(self) -> bool;
    /// Returns the magnitude.
    fn abs(self) -> Self;
    /// Returns the magnitude of this with the sign of `sign`.
    fn copysign(self, sign: Self) -> Self;
    /// Returns the square root.
    fn sqrt(self) -> Self;
    /// Returns the nearest integer that is not larger.
    fn floor(self) -> Self;
    /// Returns the nearest integer that is not smaller.
    fn ceil(self) -> Self;
    /// Returns the integer part.
    fn trunc(self) -> Self;
    /// Returns the nearest integer, ties to even.
    fn round_even(self) -> Self;
    /// e to this power.
    fn exp(self) -> Self;
    /// e to this power, less 1.
    fn expm1(self) -> Self;
    /// Returns the natural logarithm.
    fn ln(self) -> Self;
    /// Returns the natural logarithm of 1 plus this.
    fn log1p(self) -> Self;
    /// 1 / (1 + e^-x).
    fn sigmoid(self) -> Self;
    /// ln(1 + e^x).
    fn softplus(self) -> Self;
    /// Returns the hyperbolic tangent.
    fn tanh(self) -> Self;
    /// Returns the hyperbolic sine.
    fn sinh(self) -> Self;
    /// Returns the hyperbolic cosine.
    fn cosh(self) -> Self;
    /// Returns the sine.
    fn sin(self) -> Self;
    /// Returns the cosine.
    fn cos(self) -> Self;
    /// Returns the tangent.
    fn tan(self) -> Self;
    /// Returns the inverse of the sine.
    fn asin(self) -> Self;
    /// Returns the inverse of the cosine.
    fn acos(self) -> Self;
    /// Returns the inverse of the tangent.
    fn atan(self) -> Self;
    /// Returns the angle of the point (`x`, this).
    fn atan2(self, x: Self) -> Self;
    /// Returns the inverse of the hyperbolic sine.
    fn asinh(self) -> Self;
    /// Returns the inverse of the hyperbolic cosine.
    fn acosh(self) -> Self;
    /// Returns the inverse of the hyperbolic tangent.
    fn atanh(self) -> Self;
    /// Raises the number to the power of `y`.
    fn pow(self, y: Self) -> Self;
    /// Returns the length of the hypotenuse over this and `y`.
    fn hypot(self, y: Self) -> Self;
    /// Returns the error function.
    fn erf(self) -> Self;
    /// Returns one minus the error function.
    fn erfc(self) -> Self;
    /// Returns the logarithm of the magnitude of the gamma function.
    fn lgamma(self) -> Self;
}

/// Implements functions by those of the standard library.
/// Those that IEEE 754 does not define may have other last bits on other platforms.
macro_rules! platform_functions {
    ($($name:ident),*) => {$(
        #[inline(always)]
        fn $name(self) -> Self {
            self.$name()
        }
    )*};
}

/// Implements functions by other ones, whose paths are given.
/// They are written in Rust, so they have the same bits on every platform.
macro_rules! library_functions {
    ($($name:ident => $function:path),* $(,)?) => {$(
        #[inline(always)]
        fn $name(self) -> Self {
            $function(self)
        }
    )*};
}

impl Real for f32 {
    const EXP_COST: usize = 600;

    #[inline(always)]
    fn of(x: f64) -> Self {
        x as f32
    }

    #[inline(always)]
    fn copysign(self, sign: Self) -> Self {
        self.copysign(sign)
    }

    #[inline(always)]
    fn is_nan(self) -> bool {
        self.is_nan()
    }

    #[inline(always)]
    fn round_even(self) -> Self {
        self.round_ties_even()
    }

    #[inline(always)]
    fn atan2(self, x: Self) -> Self {
        self.atan2(x)
    }

    #[inline(always)]
    fn hypot(self, y: Self) -> Self {
        self.hypot(y)
    }

    #[inline(always)]
    fn pow(self, y: Self) -> Self {
        self.powf(y)
    }

    platform_functions!(abs, sqrt, floor, ceil, trunc, sinh, cosh, sin, cos, tan, asin, acos, atan);
    library_functions! {
        exp => exp, expm1 => expm1, ln => ln, log1p => log1p, sigmoid => sigmoid, softplus => softplus,
        tanh => tanh, erf => erf, erfc => erfc, lgamma => lgamma, asinh => libm::asinhf,
        acosh => acosh_f32, atanh => libm::atanhf,
    }
}

impl Real for f64 {
    const EXP_COST: usize = 5_000;

    #[inline(always)]
    fn of(x: f64) -> Self {
        x
    }

    #[inline(always)]
    fn copysign(self, sign: Self) -> Self {
        self.copysign(sign)
    }

    #[inline(always)]
    fn is_nan(self) -> bool {
        self.is_nan()
    }

    #[inline(always)]
    fn round_even(self) -> Self {
        self.round_ties_even()
    }

    #[inline(always)]
    fn expm1(self) -> Self {
        self.exp_m1()
    }

    #[inline(always)]
    fn log1p(self) -> Self {
        self.ln_1p()
    }

    #[inline(always)]
    fn sigmoid(self) -> Self {
        1.0 / (1.0 + (-self).exp())
    }

    #[inline(always)]
    fn softplus(self) -> Self {
        /// ln(epsilon) + 2.
        const THRESHOLD: f64 = -34.043_653_389_117_154;
        if self > -THRESHOLD {
            self
        } else if self < THRESHOLD {
            self.exp()
        } else {
            self.exp().ln_1p()
        }
    }

    #[inline(always)]
    fn atan2(self, x: Self) -> Self {
        self.atan2(x)
    }

    #[inline(always)]
    fn hypot(self, y: Self) -> Self {
        self.hypot(y)
    }

    #[inline(always)]
    fn pow(self, y: Self) -> Self {
        self.powf(y)
    }

    platform_functions!(
        abs, sqrt, floor, ceil, trunc, exp, ln, tanh, sinh, cosh, sin, cos, tan, asin, acos, atan
    );
    library_functions! {
        erf => libm::erf, erfc => libm::erfc, lgamma => libm::lgamma, asinh => libm::asinh, acosh => acosh_f64,
        atanh => libm::atanh,
    }
}
