//! The numbers that are trained.
//!
//! # Types
//!
//! | weights | computed in | rounded |
//! |---|---|---|
//! | `f32` | `f32` | after each operation, by the hardware |
//! | `f64` | `f64` | after each operation, by the hardware |
//! | `f16`, `bf16` | `f32` | to 16 bits after each operation ([`Rounded`]) |
//!
//! TensorFlow's kernels compute 16-bit weights in their own type, in which each operation rounds. A formula that is
//! evaluated in `f32` and rounded once would be more exact and have other bits, so a training that was begun with
//! TensorFlow would continue differently.
//!
//! # Subnormal numbers
//!
//! Numbers of `f32`, `f64` and `bf16` below the smallest normal one are stored as 0, as TensorFlow's threads do by a flag
//! of the processor; those of `f16` are normal numbers of `f32`, in which they are computed, and stay. Means of gradients decay towards 0 and would otherwise become subnormal, and operations on such numbers take many
//! times as long.

use crate::elementwise::{Element, Narrow};
use crate::math::Real;
use half::{bf16, f16};
use std::marker::PhantomData;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A type of weights: `f32`, `f64`, `f16` or `bf16`.
pub trait Weight: Element {
    /// The type in which updates are computed.
    type Number: Number;

    /// Returns the number in the type of the computation.
    fn load(self) -> Self::Number;

    /// Returns the number to store.
    fn store(number: Self::Number) -> Self;
}

/// A number in which updates are computed.
pub trait Number:
    Copy
    + Send
    + Sync
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// Returns the nearest number to `x`.
    fn of(x: f64) -> Self;
    /// Returns the square root.
    fn sqrt(self) -> Self;
    /// Returns the magnitude.
    fn abs(self) -> Self;
    /// e to this power.
    fn exp(self) -> Self;
    /// Raises the number to the power of `y`.
    fn pow(self, y: Self) -> Self;

    /// -1, 0 or 1.
    #[inline(always)]
    fn sign(self) -> Self {
        let zero = Self::of(0.0);
        // Two selections instead of branches. The sign of NaN is 0.
        let sign = if self > zero { Self::of(1.0) } else { zero };
        if self < zero { Self::of(-1.0) } else { sign }
    }

    /// Returns true for NaN.
    #[inline(always)]
    fn is_nan(self) -> bool {
        self.partial_cmp(&self).is_none()
    }

    /// Returns the larger of this and `y`; `y` when this is NaN.
    #[inline(always)]
    fn max(self, y: Self) -> Self {
        if self > y { self } else { y }
    }
}

/// Implements the weights that are computed in their own type.
macro_rules! weights {
    ($($type:ty),*) => {$(
        impl Weight for $type {
            type Number = $type;

            #[inline(always)]
            fn load(self) -> $type {
                self
            }

            #[inline(always)]
            fn store(number: $type) -> $type {
                // NaN fails the comparison and is stored.
                if number.abs() < <$type>::MIN_POSITIVE { 0.0 } else { number }
            }
        }

        impl Number for $type {
            #[inline(always)]
            fn of(x: f64) -> Self {
                x as $type
            }

            #[inline(always)]
            fn sqrt(self) -> Self {
                self.sqrt()
            }

            #[inline(always)]
            fn abs(self) -> Self {
                self.abs()
            }

            #[inline(always)]
            fn exp(self) -> Self {
                Real::exp(self)
            }

            #[inline(always)]
            fn pow(self, y: Self) -> Self {
                self.powf(y)
            }
        }
    )*};
}

weights!(f32, f64);

/// A 16-bit number that is held as an `f32` and rounded after each operation.
///
/// The number is always one that the 16-bit type has; negation and `abs` need no rounding for that.
#[derive(Debug)]
pub struct Rounded<H>(f32, PhantomData<H>);

impl<H> Clone for Rounded<H> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<H> Copy for Rounded<H> {}

impl<H> PartialEq for Rounded<H> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<H> PartialOrd for Rounded<H> {
    #[inline(always)]
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.0.partial_cmp(&other.0)
    }
}

impl<H: Narrow> Rounded<H> {
    #[inline(always)]
    fn round(x: f32) -> Self {
        Rounded(H::narrow(x).widen(), PhantomData)
    }
}

/// Implements operators whose results are rounded to 16 bits.
macro_rules! rounded_operators {
    ($($trait:ident $name:ident $sign:tt),*) => {$(
        impl<H: Narrow> $trait for Rounded<H> {
            type Output = Self;

            #[inline(always)]
            fn $name(self, y: Self) -> Self {
                Self::round(self.0 $sign y.0)
            }
        }
    )*};
}

rounded_operators!(Add add +, Sub sub -, Mul mul *, Div div /);

impl<H: Narrow> Neg for Rounded<H> {
    type Output = Self;

    #[inline(always)]
    fn neg(self) -> Self {
        Rounded(-self.0, PhantomData)
    }
}

impl<H: Narrow> Number for Rounded<H> {
    #[inline(always)]
    fn of(x: f64) -> Self {
        Self::round(x as f32)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        Self::round(self.0.sqrt())
    }

    #[inline(always)]
    fn abs(self) -> Self {
        Rounded(self.0.abs(), PhantomData)
    }

    #[inline(always)]
    fn exp(self) -> Self {
        Self::round(Real::exp(self.0))
    }

    #[inline(always)]
    fn pow(self, y: Self) -> Self {
        Self::round(self.0.powf(y.0))
    }
}

/// Implements the weights of 16 bits.
/// Numbers below the smallest normal `f32` are stored as 0, which concerns `bf16` only: it has the exponents of `f32`,
/// and the smallest `f16` is a normal `f32`.
macro_rules! narrow_weights {
    ($($type:ty),*) => {$(
        impl Weight for $type {
            type Number = Rounded<$type>;

            #[inline(always)]
            fn load(self) -> Rounded<$type> {
                Rounded(self.widen(), PhantomData)
            }

            #[inline(always)]
            fn store(number: Rounded<$type>) -> $type {
                <$type>::narrow(<f32 as Weight>::store(number.0))
            }
        }
    )*};
}

narrow_weights!(f16, bf16);
