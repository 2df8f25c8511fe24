//! Arithmetic on the values of sparse tensors, for every dtype of numbers.
//!
//! Integers wrap, as in TensorFlow, and divide towards 0. Numbers of 16 bits are rounded after each operation.

use std::ops::{Add, Div, Mul};
use tensor::{Complex, Element, bf16, f16};

/// A number that sparse tensors hold.
pub(super) trait Number: Element {
    /// Returns the sum.
    fn plus(self, other: Self) -> Self;
    /// Returns the product.
    fn times(self, other: Self) -> Self;
    /// Returns the quotient; `None` for a divisor of 0.
    fn over(self, other: Self) -> Option<Self>;
    /// Returns the complex conjugate, which is the number itself for real numbers.
    fn conjugate(self) -> Self;
}

/// A number whose sums are compared with a threshold.
pub(super) trait Summand: Number {
    /// The type of magnitudes.
    type Threshold: Element;
    /// Returns true if the magnitude is at least the threshold. NaN reaches none.
    fn reaches(self, threshold: Self::Threshold) -> bool;
}

/// Implements [`Number`] for types with operators, which have the given conjugate.
macro_rules! with_operators {
    ($($type:ty: |$x:ident| $conjugate:expr;)*) => {$(
        impl Number for $type {
            fn plus(self, other: $type) -> $type {
                Add::add(self, other)
            }

            fn times(self, other: $type) -> $type {
                Mul::mul(self, other)
            }

            fn over(self, other: $type) -> Option<$type> {
                (other != <$type>::default()).then(|| Div::div(self, other))
            }

            fn conjugate(self) -> $type {
                let $x = self;
                $conjugate
            }
        }
    )*};
}
with_operators! {
    f32: |x| x;
    f64: |x| x;
    f16: |x| x;
    bf16: |x| x;
    Complex<f32>: |x| x.conj();
    Complex<f64>: |x| x.conj();
}

/// Implements [`Number`] for integers.
macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Number for $type {
            fn plus(self, other: $type) -> $type {
                self.wrapping_add(other)
            }

            fn times(self, other: $type) -> $type {
                self.wrapping_mul(other)
            }

            fn over(self, other: $type) -> Option<$type> {
                (other != 0).then(|| self.wrapping_div(other))
            }

            fn conjugate(self) -> $type {
                self
            }
        }
    )*};
}
integers!(i8, i16, i32, i64, u8, u16, u32, u64);

/// Implements [`Summand`]: `type: threshold, |x| magnitude, |threshold| in the type of the magnitude`.
macro_rules! summands {
    ($($type:ty: $threshold:ty, |$x:ident| $magnitude:expr, |$t:ident| $widened:expr;)*) => {$(
        impl Summand for $type {
            type Threshold = $threshold;

            fn reaches(self, $t: $threshold) -> bool {
                let $x = self;
                $magnitude >= $widened
            }
        }
    )*};
}
summands! {
    f32: f32, |x| x.abs(), |t| t;
    f64: f64, |x| x.abs(), |t| t;
    // TensorFlow takes the magnitude of narrow integers in 32 bits, where that of -128 is 128. That of the least
    // number of 32 and 64 bits stays negative.
    i8: i8, |x| i32::from(x).abs(), |t| i32::from(t);
    i16: i16, |x| i32::from(x).abs(), |t| i32::from(t);
    i32: i32, |x| x.wrapping_abs(), |t| t;
    i64: i64, |x| x.wrapping_abs(), |t| t;
    Complex<f32>: f32, |x| x.norm(), |t| t;
    Complex<f64>: f64, |x| x.norm(), |t| t;
}
