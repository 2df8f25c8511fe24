//! Elementary functions without branches, so that loops over them are vectorised.
//!
//! | function | type | largest error, units in the last place |
//! | --- | --- | --- |
//! | [`exp`], [`expm1`], [`ln`], [`log1p`] | `f32` | 1.5 |
//! | [`sigmoid`], [`tanh`] | `f32` | 2.5 |
//! | [`softplus`] | `f32` | 2.5 |
//!
//! [`Real`] gives these and the rest for both `f32` and `f64`; what is not in the table above is the
//! platform's function, one element at a time, and in `f64` everything is.
//!
//! Infinities and NaN give what C's functions give. Results below the smallest normal number are
//! rounded to a subnormal (TensorFlow's threads round them to 0).
//!
//! The polynomials are those of the Cephes library (S. Moshier, *Methods and Programs for Mathematical
//! Functions*, 1989). There is no fused multiply-add, so the bits are the same on every CPU.

use crate::elementwise::{Element, Narrow};
use half::{bf16, f16};
use std::ops::{Add, Div, Mul, Neg, Rem, Sub};

/// 1.5 * 2^23: adding and subtracting it rounds to the nearest integer, ties to even.
const ROUND: f32 = 12_582_912.0;
const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// ln 2 in two parts; the first has few bits, so that its multiples by an exponent are exact.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;

/// 2^n for n from -126 to 127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// `x = n ln 2 + r` with |r| at most (ln 2) / 2: gives n and r.
#[inline(always)]
fn reduce(x: f32) -> (i32, f32) {
    let shifted = x * LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    ((shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32), r)
}

/// (e^r - 1 - r) / r^2 for a reduced r.
#[inline(always)]
fn exp_tail(r: f32) -> f32 {
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    p * r + 0.5
}

/// Picks `x` where it is within the bounds, and NaN where it is NaN.
#[inline(always)]
fn clamp(x: f32, low: f32, high: f32) -> f32 {
    let x = if low > x { low } else { x };
    if high < x { high } else { x }
}

/// e to the power of `x`.
#[inline(always)]
#[must_use]
pub fn exp(x: f32) -> f32 {
    // Beyond these the result is 0 or infinite, which the two factors below give by themselves.
    let (n, r) = reduce(clamp(x, -104.0, 89.0));
    let y = exp_tail(r) * (r * r) + r + 1.0;
    // Two factors, because 2^n alone is not a normal number at both ends.
    let half = n >> 1;
    y * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

/// e to the power of `x`, less 1; exact near 0.
#[inline(always)]
#[must_use]
pub fn expm1(x: f32) -> f32 {
    let (n, r) = reduce(clamp(x, -18.0, 89.0));
    let y = exp_tail(r) * (r * r) + r;
    // 2^n (y + 1) - 1, with one factor 2 kept back so that 2^128 does not overflow too early.
    let half = power_of_two(n.wrapping_sub(1));
    let result = (half * y + (half - 0.5)) * 2.0;
    if x == 0.0 { x } else { result }
}

/// The logarithm of a positive, finite `x`, as the sum of an exponent's part and the rest.
#[inline(always)]
fn ln_positive(x: f32) -> f32 {
    const SQRT_HALF: u32 = 0x3f35_04f3;
    let tiny = x < f32::MIN_POSITIVE;
    let scaled = if tiny { x * 8_388_608.0 } else { x };
    let bits = scaled.to_bits().wrapping_add(1f32.to_bits() - SQRT_HALF);
    let exponent = (bits >> 23) as i32 - 127 - if tiny { 23 } else { 0 };
    // From sqrt(1/2) to sqrt(2), less 1.
    let f = f32::from_bits((bits & 0x007f_ffff) + SQRT_HALF) - 1.0;
    let e = exponent as f32;
    let z = f * f;
    let p = 7.037_683_6e-2;
    let p = p * f - 1.151_461e-1;
    let p = p * f + 1.167_699_9e-1;
    let p = p * f - 1.242_014_1e-1;
    let p = p * f + 1.424_932_3e-1;
    let p = p * f - 1.666_805_8e-1;
    let p = p * f + 2.000_071_5e-1;
    let p = p * f - 2.499_999_4e-1;
    let p = p * f + 3.333_333_1e-1;
    let y = p * f * z + e * LN2_LOW - 0.5 * z;
    (f + y) + e * LN2_HIGH
}

/// The natural logarithm of `x`.
#[inline(always)]
#[must_use]
pub fn ln(x: f32) -> f32 {
    let y = ln_positive(x);
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    let y = if x < 0.0 { f32::NAN } else { y };
    // Infinity and NaN are their own logarithms.
    if x < f32::INFINITY { y } else { x }
}

/// The natural logarithm of `1 + x`; exact near 0.
#[inline(always)]
#[must_use]
pub fn log1p(x: f32) -> f32 {
    let u = 1.0 + x;
    // What the addition lost, as a first-order correction.
    let lost = (x - (u - 1.0)) / u;
    let y = ln(u) + lost;
    let y = if u == 0.0 { f32::NEG_INFINITY } else { y };
    let y = if x == 0.0 { x } else { y };
    if x < f32::INFINITY { y } else { x }
}

/// 1 / (1 + e^-x).
#[inline(always)]
#[must_use]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The hyperbolic tangent of `x`.
#[inline(always)]
#[must_use]
pub fn tanh(x: f32) -> f32 {
    // From -1 to 0, without cancellation.
    let t = expm1(-2.0 * x.abs());
    let y = -t / (t + 2.0);
    y.copysign(x)
}

/// ln(1 + e^x), with TensorFlow's short cuts at both ends.
#[inline(always)]
#[must_use]
pub fn softplus(x: f32) -> f32 {
    // ln(epsilon) + 2: where 1 + e^x is no longer distinct from e^x (or from 1).
    const THRESHOLD: f32 = -13.942_385;
    let e = exp(x);
    let y = log1p(e);
    let y = if x < THRESHOLD { e } else { y };
    if x > -THRESHOLD { x } else { y }
}

/// `f32` or `f64`, with the functions that the kernels need.
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
    /// Picoseconds that a vectorised (for `f64`: the platform's) `exp` takes for one element.
    const EXP_COST: usize;
    /// The nearest value to `x`.
    fn of(x: f64) -> Self;
    /// Whether this is NaN.
    fn is_nan(self) -> bool;
    /// The magnitude.
    fn abs(self) -> Self;
    /// The magnitude of this with the sign of `sign`.
    fn copysign(self, sign: Self) -> Self;
    /// The square root.
    fn sqrt(self) -> Self;
    /// The nearest integer that is not larger.
    fn floor(self) -> Self;
    /// The nearest integer that is not smaller.
    fn ceil(self) -> Self;
    /// The integer part.
    fn trunc(self) -> Self;
    /// The nearest integer, ties to even.
    fn round_even(self) -> Self;
    /// e to this power.
    fn exp(self) -> Self;
    /// e to this power, less 1.
    fn expm1(self) -> Self;
    /// The natural logarithm.
    fn ln(self) -> Self;
    /// The natural logarithm of 1 plus this.
    fn log1p(self) -> Self;
    /// 1 / (1 + e^-x).
    fn sigmoid(self) -> Self;
    /// ln(1 + e^x).
    fn softplus(self) -> Self;
    /// The hyperbolic tangent.
    fn tanh(self) -> Self;
    /// The hyperbolic sine.
    fn sinh(self) -> Self;
    /// The hyperbolic cosine.
    fn cosh(self) -> Self;
    /// The sine.
    fn sin(self) -> Self;
    /// The cosine.
    fn cos(self) -> Self;
    /// The tangent.
    fn tan(self) -> Self;
    /// The inverse of the sine.
    fn asin(self) -> Self;
    /// The inverse of the cosine.
    fn acos(self) -> Self;
    /// The inverse of the tangent.
    fn atan(self) -> Self;
    /// The angle of the point (`x`, this).
    fn atan2(self, x: Self) -> Self;
    /// The inverse of the hyperbolic sine.
    fn asinh(self) -> Self;
    /// The inverse of the hyperbolic cosine.
    fn acosh(self) -> Self;
    /// The inverse of the hyperbolic tangent.
    fn atanh(self) -> Self;
    /// This to the power of `y`.
    fn pow(self, y: Self) -> Self;
    /// The length of the hypotenuse over this and `y`.
    fn hypot(self, y: Self) -> Self;
    /// The error function.
    fn erf(self) -> Self;
    /// 1 less the error function.
    fn erfc(self) -> Self;
    /// The logarithm of the magnitude of the gamma function.
    fn lgamma(self) -> Self;
}

macro_rules! platform_functions {
    ($($name:ident),*) => {$(
        #[inline(always)]
        fn $name(self) -> Self {
            self.$name()
        }
    )*};
}

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

    platform_functions!(
        abs, sqrt, floor, ceil, trunc, sinh, cosh, sin, cos, tan, asin, acos, atan, asinh, acosh, atanh
    );
    library_functions! {
        exp => exp, expm1 => expm1, ln => ln, log1p => log1p, sigmoid => sigmoid, softplus => softplus,
        tanh => tanh, erf => libm::erff, erfc => libm::erfcf, lgamma => libm::lgammaf,
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
        abs, sqrt, floor, ceil, trunc, exp, ln, tanh, sinh, cosh, sin, cos, tan, asin, acos, atan, asinh,
        acosh, atanh
    );
    library_functions! { erf => libm::erf, erfc => libm::erfc, lgamma => libm::lgamma }
}

/// A floating-point type together with the one that it is computed in: its own, or `f32` for the types
/// of 16 bits.
pub trait Float: Element {
    /// What it is computed in.
    type Wide: Real;

    /// Whether that is a wider type, so that storing rounds.
    const ROUNDS: bool;

    /// The number to compute with.
    fn load(self) -> Self::Wide;

    /// The nearest number of this type.
    fn store(wide: Self::Wide) -> Self;
}

macro_rules! floats {
    ($($type:ty),* => $wide:ty, $rounds:literal, |$x:ident| $load:expr, |$y:ident| $store:expr) => {$(
        impl Float for $type {
            type Wide = $wide;
            const ROUNDS: bool = $rounds;

            #[inline(always)]
            fn load(self) -> $wide {
                let $x = self;
                $load
            }

            #[inline(always)]
            fn store($y: $wide) -> $type {
                $store
            }
        }
    )*};
}

floats!(f32 => f32, false, |x| x, |y| y);
floats!(f64 => f64, false, |x| x, |y| y);
floats!(f16, bf16 => f32, true, |x| x.widen(), |y| Narrow::narrow(y));

#[cfg(test)]
mod tests;
