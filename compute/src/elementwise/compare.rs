//! Functions whose result is a truth value.
//!
//! Comparisons are kernels of two arguments with the output `bool`, and tests are kernels of one. Comparisons follow
//! IEEE 754: NaN is unequal to everything and neither less nor greater, and both zeros are equal. Complex numbers and
//! bools have no order, so they can only be tested for equality.

use super::binary_kernel::MakeBinaryFn;
use super::element::{ComplexNumber, Integer, Truth};
use super::narrow::Narrow;
use super::unary::{CHEAP, named_ops};
use super::unary_kernel::{Direct, ThroughF32};
use super::{BinaryFn, BinaryKernel, Element};
use crate::math::Real;

named_ops! {
    /// A comparison, with the meaning of TensorFlow's operation of that name. Nothing is equal to, less
    /// or greater than NaN.
    CompareOp {
        /// x = y.
        Equal,
        /// x ≠ y.
        NotEqual,
        /// x < y.
        Less,
        /// x ≤ y.
        LessEqual,
        /// x > y.
        Greater,
        /// x ≥ y.
        GreaterEqual,
    }
}

/// Makes a type of each comparison.
macro_rules! comparisons {
    ($($op:ident<$bound:path> $sign:tt;)*) => {$(
        /// The comparison as a type, so that each has a loop of its own.
        #[derive(Clone, Copy, Default)]
        struct $op;

        impl<T: Element + $bound> BinaryFn<T, bool> for $op {
            const PICOSECONDS: usize = CHEAP;

            #[inline(always)]
            fn call(x: T, y: T, _alpha: f32) -> bool {
                x $sign y
            }
        }
    )*};
}

comparisons! {
    Equal<PartialEq> ==;
    NotEqual<PartialEq> !=;
    Less<PartialOrd> <;
    LessEqual<PartialOrd> <=;
    Greater<PartialOrd> >;
    GreaterEqual<PartialOrd> >=;
}

/// Returns the kernel of a comparison of numbers that are ordered.
fn ordered<T: Element + PartialOrd, M: MakeBinaryFn<T, bool>>(op: CompareOp) -> Option<M::Kernel> {
    Some(match op {
        CompareOp::Equal => M::make::<Equal>(),
        CompareOp::NotEqual => M::make::<NotEqual>(),
        CompareOp::Less => M::make::<Less>(),
        CompareOp::LessEqual => M::make::<LessEqual>(),
        CompareOp::Greater => M::make::<Greater>(),
        CompareOp::GreaterEqual => M::make::<GreaterEqual>(),
    })
}

/// Returns the kernel of a comparison for types that only have equality.
fn unordered<T: Element>(op: CompareOp) -> Option<BinaryKernel<T, bool>> {
    match op {
        CompareOp::Equal => Some(BinaryKernel::new::<Equal>()),
        CompareOp::NotEqual => Some(BinaryKernel::new::<NotEqual>()),
        _ => None,
    }
}

/// Returns the kernel of a comparison of `f32` or `f64`.
pub(super) fn real<T: Real>(op: CompareOp) -> Option<BinaryKernel<T, bool>> {
    ordered::<T, Direct>(op)
}

/// Returns the kernel of a comparison of integers.
pub(super) fn integer<T: Integer>(op: CompareOp) -> Option<BinaryKernel<T, bool>> {
    ordered::<T, Direct>(op)
}

/// Returns the kernel of a comparison of 16-bit floats.
pub(super) fn narrow<H: Narrow>(op: CompareOp) -> Option<BinaryKernel<H, bool>> {
    ordered::<f32, ThroughF32<H>>(op)
}

/// Returns the kernel of a comparison of bools.
pub(super) fn truth<T: Truth>(op: CompareOp) -> Option<BinaryKernel<T, bool>> {
    unordered(op)
}

/// Returns the kernel of a comparison of complex numbers: equality only.
pub(super) fn complex<T: ComplexNumber>(op: CompareOp) -> Option<BinaryKernel<T, bool>> {
    unordered(op)
}

/// Questions about one number.
pub(super) mod test {
    use super::*;
    use crate::elementwise::unary_kernel::MakeUnaryFn;
    use crate::elementwise::{UnaryFn, UnaryKernel};

    named_ops! {
        /// A question about one floating-point number, named as TensorFlow's operation.
        TestOp {
            /// True if it is NaN.
            IsNan,
            /// True if it is infinite.
            IsInf,
            /// True if it is neither.
            IsFinite,
        }
    }

    /// Makes a type of each test.
    macro_rules! tests {
        ($($op:ident |$x:ident| $body:expr;)*) => {$(
            /// The test as a type, so that each has a loop of its own.
            #[derive(Clone, Copy, Default)]
            struct $op;

            impl<T: Real> UnaryFn<T, bool> for $op {
                const PICOSECONDS: usize = CHEAP;

                #[inline(always)]
                fn call($x: T, _alpha: f32) -> bool {
                    $body
                }
            }
        )*};
    }

    tests! {
        IsNan |x| x.is_nan();
        // One comparison for both signs; any comparison with NaN is false.
        IsInf |x| x.abs() == T::of(f64::INFINITY);
        IsFinite |x| x.abs() < T::of(f64::INFINITY);
    }

    /// Returns the kernel of a test.
    fn find<T: Real, M: MakeUnaryFn<T, bool>>(op: TestOp) -> Option<M::Kernel> {
        Some(match op {
            TestOp::IsNan => M::make::<IsNan>(),
            TestOp::IsInf => M::make::<IsInf>(),
            TestOp::IsFinite => M::make::<IsFinite>(),
        })
    }

    /// Returns the kernel of a test of `f32` or `f64`.
    pub(in super::super) fn real<T: Real>(op: TestOp) -> Option<UnaryKernel<T, bool>> {
        find::<T, Direct>(op)
    }

    /// Returns the kernel of a test of 16-bit floats.
    pub(in super::super) fn narrow<H: Narrow>(op: TestOp) -> Option<UnaryKernel<H, bool>> {
        find::<f32, ThroughF32<H>>(op)
    }

    /// Returns `None`: integers are always finite.
    pub(in super::super) fn integer<T: Integer>(_op: TestOp) -> Option<UnaryKernel<T, bool>> {
        None
    }

    /// Returns `None`: bools are always finite.
    pub(in super::super) fn truth<T: Truth>(_op: TestOp) -> Option<UnaryKernel<T, bool>> {
        None
    }

    /// Returns `None`: TensorFlow has no such tests of complex numbers.
    pub(in super::super) fn complex<T: ComplexNumber>(_op: TestOp) -> Option<UnaryKernel<T, bool>> {
        None
    }
}
