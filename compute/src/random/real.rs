//! The floating-point types that distributions come in.

use std::marker::PhantomData;

use half::{bf16, f16};

use super::fill::{fill, fill_narrow};
use super::generator::Generator;
use super::normal::Normal;
use super::truncated::Truncated;
use super::uniform::Uniform;
use crate::Pool;

/// A type of random real numbers: f16, bf16, f32 or f64.
pub trait Real: sealed::Real {}

pub(super) mod sealed {
    use super::*;

    /// A type of random real numbers.
    pub trait Real: Copy + Send + Sync + Sized {
        /// Fills a slice with uniform numbers in \[0, 1).
        fn fill_uniform(start: Generator, out: &mut [Self], pool: &Pool);
        /// Fills a slice with standard normal numbers.
        fn fill_normal(start: Generator, out: &mut [Self], pool: &Pool);
        /// Fills a slice with standard normal numbers whose magnitude is below 2.
        fn fill_truncated_normal(start: Generator, out: &mut [Self], pool: &Pool);
        /// Widens the number, exactly.
        fn into_f64(self) -> f64;
        /// Rounds; the narrow types by way of f32.
        fn from_f64(x: f64) -> Self;
    }
}

/// Implements a type of random real numbers. Its normal numbers are drawn as the second type, by the function.
macro_rules! real {
    ($($t:ty: $wide:ty, $fill:ident, $from_f64:expr;)*) => {$(
        impl Real for $t {}
        impl sealed::Real for $t {
            fn fill_uniform(start: Generator, out: &mut [$t], pool: &Pool) {
                fill(&Uniform::<$t>(PhantomData), start, out, pool);
            }

            fn fill_normal(start: Generator, out: &mut [$t], pool: &Pool) {
                $fill(&Normal::<$wide>(PhantomData), start, out, pool);
            }

            fn fill_truncated_normal(start: Generator, out: &mut [$t], pool: &Pool) {
                $fill(&Truncated::<$wide>(PhantomData), start, out, pool);
            }

            fn into_f64(self) -> f64 {
                self.into()
            }

            fn from_f64(x: f64) -> $t {
                let from_f64: fn(f64) -> $t = $from_f64;
                from_f64(x)
            }
        }
    )*};
}
real!(
    f16: f32, fill_narrow, |x| f16::from_f32(x as f32);
    bf16: f32, fill_narrow, |x| bf16::from_f32(x as f32);
    f32: f32, fill, |x| x as f32;
    f64: f64, fill, |x| x;
);
