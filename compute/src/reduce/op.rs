//! The reductions.
//!
//! Partial results of 16-bit types are kept in `f32` and narrowed once at the end. Means of integers are kept in 64 bits.

use super::kernel::{Fold, ReduceKernel};
use crate::elementwise::element::{ComplexNumber, Integer, Truth};
use crate::elementwise::{Narrow, named_ops};
use crate::math::{Float, Real};
use std::marker::PhantomData;

named_ops! {
    /// A reduction, with the meaning of TensorFlow's operation of that name.
    ReduceOp {
        /// The sum; integers wrap. Without elements it is 0.
        Sum,
        /// The sum divided by the number of elements; for integers rounded towards 0. Without elements it is NaN, or 0 for
        /// integers.
        Mean,
        /// The product; integers wrap. Without elements it is 1.
        Prod,
        /// The largest; NaN if one is. Without elements it is minus infinity, or the least integer.
        Max,
        /// The smallest; NaN if one is. Without elements it is infinity, or the largest integer.
        Min,
        /// True if all are true. Without elements it is true.
        All,
        /// True if one is true. Without elements it is false.
        Any,
        /// The root of the sum of the squares. Without elements it is 0.
        EuclideanNorm,
        /// Half the sum of the squares. Without elements it is 0.
        L2Loss,
    }
}

/// Defines a reduction by four expressions: the result for no elements, the result of one element, the combination of
/// two results, and the final value.
/// `Sum<T: Float> over T::Wide: zero, |x| x.load(), |a, b| a + b, |s, n| T::store(s);` reads: sums of a type
/// are kept in its wide type, begin with zero, take each element as it is loaded, and are rounded when they
/// are stored. `n` is the number of elements.
macro_rules! folds {
    ($($name:ident<T: $bound:ident> over $acc:ty: $identity:expr, |$x:ident| $lift:expr, |$a:ident, $b:ident| $merge:expr, |$s:ident, $n:ident| $finish:expr;)*) => {$(
        /// The operation as a type, so that each has a loop of its own.
        #[derive(Clone, Copy, Default)]
        pub(crate) struct $name<T>(PhantomData<T>);

        impl<T: $bound> Fold<T> for $name<T> {
            type Accumulator = $acc;

            #[inline(always)]
            fn identity() -> $acc {
                $identity
            }

            #[inline(always)]
            fn lift($x: T) -> $acc {
                $lift
            }

            #[inline(always)]
            fn merge($a: $acc, $b: $acc) -> $acc {
                $merge
            }

            #[inline(always)]
            fn finish($s: $acc, $n: usize) -> T {
                let _ = $n;
                $finish
            }
        }
    )*};
}

folds! {
    Sum<T: Float> over T::Wide: T::Wide::of(0.0), |x| x.load(), |a, b| a + b, |s, n| T::store(s);
    Mean<T: Float> over T::Wide: T::Wide::of(0.0), |x| x.load(), |a, b| a + b,
        |s, n| T::store(s / T::Wide::of(n as f64));
    Prod<T: Float> over T::Wide: T::Wide::of(1.0), |x| x.load(), |a, b| a * b, |s, n| T::store(s);
    // Comparisons with NaN are false, so a NaN in `b` is returned without a test of its own.
    Max<T: Float> over T::Wide: T::Wide::of(f64::NEG_INFINITY), |x| x.load(),
        |a, b| if a > b || a.is_nan() { a } else { b }, |s, n| T::store(s);
    Min<T: Float> over T::Wide: T::Wide::of(f64::INFINITY), |x| x.load(),
        |a, b| if a < b || a.is_nan() { a } else { b }, |s, n| T::store(s);
    EuclideanNorm<T: Float> over T::Wide: T::Wide::of(0.0), |x| x.load() * x.load(), |a, b| a + b,
        |s, n| T::store(s.sqrt());
    L2Loss<T: Float> over T::Wide: T::Wide::of(0.0), |x| x.load() * x.load(), |a, b| a + b,
        |s, n| T::store(s * T::Wide::of(0.5));

    IntegerSum<T: Integer> over T: T::ZERO, |x| x, |a, b| a.wrapping_add(b), |s, n| s;
    IntegerMean<T: Integer> over i64: 0, |x| x.to_bits64(), |a, b| i64::wrapping_add(a, b), |s, n| T::mean(s, n);
    IntegerProd<T: Integer> over T: T::ONE, |x| x, |a, b| a.wrapping_mul(b), |s, n| s;
    IntegerMax<T: Integer> over T: T::LEAST, |x| x, |a, b| a.max(b), |s, n| s;
    IntegerMin<T: Integer> over T: T::LARGEST, |x| x, |a, b| a.min(b), |s, n| s;

    // Without short cuts, which would be branches in the loops.
    All<T: Truth> over bool: true, |x| x.into(), |a, b| a & b, |s, n| T::from(s);
    Any<T: Truth> over bool: false, |x| x.into(), |a, b| a | b, |s, n| T::from(s);

    ComplexSum<T: ComplexNumber> over T: T::ZERO, |x| x, |a, b| a + b, |s, n| s;
    ComplexMean<T: ComplexNumber> over T: T::ZERO, |x| x, |a, b| a + b, |s, n| s.divided_by(n);
    ComplexProd<T: ComplexNumber> over T: T::ONE, |x| x, |a, b| a * b, |s, n| s;
}

/// Returns the reductions of floating-point numbers.
fn float<T: Float>(op: ReduceOp) -> Option<ReduceKernel<T>> {
    Some(match op {
        ReduceOp::Sum => ReduceKernel::new::<Sum<T>>(),
        ReduceOp::Mean => ReduceKernel::new::<Mean<T>>(),
        ReduceOp::Prod => ReduceKernel::new::<Prod<T>>(),
        ReduceOp::Max => ReduceKernel::new::<Max<T>>(),
        ReduceOp::Min => ReduceKernel::new::<Min<T>>(),
        ReduceOp::EuclideanNorm => ReduceKernel::new::<EuclideanNorm<T>>(),
        ReduceOp::L2Loss => ReduceKernel::new::<L2Loss<T>>(),
        ReduceOp::All | ReduceOp::Any => return None,
    })
}

/// Returns the kernel of a reduction of `f32` or `f64`.
pub(crate) fn real<T: Float>(op: ReduceOp) -> Option<ReduceKernel<T>> {
    float(op)
}

/// Returns the kernel of a reduction of a 16-bit type.
pub(crate) fn narrow<H: Narrow + Float>(op: ReduceOp) -> Option<ReduceKernel<H>> {
    float(op)
}

/// Returns the kernel of a reduction of integers.
pub(crate) fn integer<T: Integer>(op: ReduceOp) -> Option<ReduceKernel<T>> {
    Some(match op {
        ReduceOp::Sum => ReduceKernel::new::<IntegerSum<T>>(),
        ReduceOp::Mean => ReduceKernel::new::<IntegerMean<T>>(),
        ReduceOp::Prod => ReduceKernel::new::<IntegerProd<T>>(),
        ReduceOp::Max => ReduceKernel::new::<IntegerMax<T>>(),
        ReduceOp::Min => ReduceKernel::new::<IntegerMin<T>>(),
        _ => return None,
    })
}

/// Returns the kernel of a reduction of bools: `All` and `Any`.
pub(crate) fn truth<T: Truth>(op: ReduceOp) -> Option<ReduceKernel<T>> {
    match op {
        ReduceOp::All => Some(ReduceKernel::new::<All<T>>()),
        ReduceOp::Any => Some(ReduceKernel::new::<Any<T>>()),
        _ => None,
    }
}

/// Returns the kernel of a reduction of complex numbers, which have no order: `Sum`, `Mean` and `Prod`.
pub(crate) fn complex<T: ComplexNumber>(op: ReduceOp) -> Option<ReduceKernel<T>> {
    Some(match op {
        ReduceOp::Sum => ReduceKernel::new::<ComplexSum<T>>(),
        ReduceOp::Mean => ReduceKernel::new::<ComplexMean<T>>(),
        ReduceOp::Prod => ReduceKernel::new::<ComplexProd<T>>(),
        _ => return None,
    })
}
