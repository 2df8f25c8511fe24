//! Types that are stored in one width and computed in another.

use super::Real;
use crate::elementwise::{Element, Narrow};
use half::{bf16, f16};

/// A floating-point type together with the type in which it is computed: itself, or `f32` for 16-bit types.
///
/// | stored | computed |
/// | --- | --- |
/// | `f32`, `f64` | as they are |
/// | `f16`, `bf16` | `f32` |
///
/// A kernel that loads, computes and stores is the same for all four types, and rounds once for each result.
pub trait Float: Element {
    /// The type in which functions are computed.
    type Wide: Real + Float<Wide = Self::Wide>;

    /// True if that is a wider type, so that storing rounds.
    const ROUNDS: bool;

    /// Returns the number in the type of the computation.
    fn load(self) -> Self::Wide;

    /// Returns the nearest number of this type.
    fn store(wide: Self::Wide) -> Self;
}

/// Implements the floating types.
/// A list of types shares the type of the computation and the conversions.
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
