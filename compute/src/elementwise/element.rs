//! The types of numbers that the kernels accept.
//!
//! [`Element`] is what every kernel needs of a type: its name and its kernels by operation. The traits below it
//! ([`Integer`], `Real`, `Truth`, `ComplexNumber`) give the formulas of an operation the arithmetic of a kind of
//! number, so that each formula is written once per kind and not once per type.

use super::complex_functions::{double, single};
use super::complex_inverses;
use super::{BinaryKernel, BinaryOp, Broadcast, CompareOp, TestOp, UnaryKernel, UnaryOp};
use crate::Pool;
use crate::reduce::{ReduceKernel, ReduceOp};
use half::{bf16, f16};
use num_complex::Complex;
use std::fmt::Debug;
use std::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Neg, Not, Sub};

mod sealed {
    use crate::Pool;
    use crate::elementwise::{BinaryKernel, Broadcast, UnaryKernel};

    /// Keeps [`super::Element`] to the types listed here. Its functions are those of the kernels, compiled once for
    /// each type in this crate.
    pub trait Sealed: Sized {
        /// Applies a kernel to each element, in place.
        fn map_in_place(kernel: &UnaryKernel<Self>, pool: &Pool, data: &mut [Self]);

        /// `side` is the operand in `data`.
        fn run_in_place(
            kernel: &BinaryKernel<Self>,
            pool: &Pool,
            plan: Option<&Broadcast<2>>,
            side: usize,
            data: &mut [Self],
            other: &[Self],
        );
    }
}

/// The instruction sets that loops over a type of elements are compiled for. Each set is one more copy of every loop, so
/// that the types which are seldom large have fewer: the library is half as large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loops {
    /// The features that the compilation target guarantees.
    Baseline,
    /// Those, and AVX2.
    Avx2,
    /// There is a loop for every [`Isa`](crate::Isa).
    All,
}

/// A number (or truth value) that the kernels accept: `f32`, `f64`, `f16`, `bf16`, the integers of 8 to 64 bits, `bool`, `Complex<f32>`, and
/// `Complex<f64>`.
///
/// The functions look up the kernel of an operation for this type. They return `None` if TensorFlow has no such operation for the type, or
/// none with a meaning.
///
/// ```
/// use compute::{Pool, elementwise::{Element, UnaryOp}};
/// let exp = f32::unary(UnaryOp::Exp).expect("floats have an exponential");
/// let mut data = [0.0, 1.0];
/// exp.run_in_place(&Pool::single(), &mut data);
/// assert_eq!(data[0], 1.0);
/// assert!(i32::unary(UnaryOp::Exp).is_none());
/// ```
pub trait Element: Copy + Default + PartialEq + Debug + Send + Sync + 'static + sealed::Sealed {
    /// Rust's name of the type.
    const NAME: &'static str;

    /// The instruction sets that loops over this type are compiled for.
    const LOOPS: Loops;

    /// Returns the kernel of a function of one argument.
    fn unary(op: UnaryOp) -> Option<UnaryKernel<Self>>;

    /// Returns the kernel of a function of two arguments.
    fn binary(op: BinaryOp) -> Option<BinaryKernel<Self>>;

    /// Returns the kernel of a comparison.
    fn compare(op: CompareOp) -> Option<BinaryKernel<Self, bool>>;

    /// Returns the kernel of a test.
    fn test(op: TestOp) -> Option<UnaryKernel<Self, bool>>;

    /// Returns the kernel of a reduction.
    fn reduce(op: ReduceOp) -> Option<ReduceKernel<Self>>;
}

/// The integers of 8 to 64 bits. Arithmetic wraps.
pub(crate) trait Integer:
    Element + Ord + Not<Output = Self> + BitAnd<Output = Self> + BitOr<Output = Self> + BitXor<Output = Self>
{
    /// The number 0.
    const ZERO: Self;
    /// The number 1.
    const ONE: Self;
    /// Six, the limit of `Relu6`.
    const SIX: Self;
    /// The smallest value.
    const LEAST: Self;
    /// The largest value.
    const LARGEST: Self;
    /// Returns the sum modulo 2 to the power of the width, as TensorFlow does.
    fn wrapping_add(self, y: Self) -> Self;
    /// Returns the difference, wrapped.
    fn wrapping_sub(self, y: Self) -> Self;
    /// Returns the product, wrapped.
    fn wrapping_mul(self, y: Self) -> Self;
    /// Returns the quotient, towards 0; 0 for a divisor of 0.
    fn divide(self, y: Self) -> Self;
    /// Returns the remainder of [`Integer::divide`].
    fn remainder(self, y: Self) -> Self;
    /// Raises the number to the power of `y`; returns 1 for a `y` below 0.
    fn power(self, y: Self) -> Self;
    /// Returns the number in 64 bits.
    fn to_bits64(self) -> i64;
    /// `sum`, of [`Integer::to_bits64`], divided by `count`; 0 for a `count` of 0.
    fn mean(sum: i64, count: usize) -> Self;
    /// Shifted by `y` bits, at least none and at most all but one.
    fn shift_left(self, y: Self) -> Self;
    /// Returns the same to the right; the sign stays.
    fn shift_right(self, y: Self) -> Self;
}

/// Implements [`Integer`] for the integer types. Overflow wraps. Division by zero yields 0 and never runs: the kernels
/// look for such divisors first and return an error.
macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Integer for $type {
            const ZERO: Self = 0;
            const ONE: Self = 1;
            const SIX: Self = 6;
            const LEAST: Self = <$type>::MIN;
            const LARGEST: Self = <$type>::MAX;

            #[inline(always)]
            fn wrapping_add(self, y: Self) -> Self {
                self.wrapping_add(y)
            }

            #[inline(always)]
            fn wrapping_sub(self, y: Self) -> Self {
                self.wrapping_sub(y)
            }

            #[inline(always)]
            fn wrapping_mul(self, y: Self) -> Self {
                self.wrapping_mul(y)
            }

            #[inline(always)]
            fn divide(self, y: Self) -> Self {
                if y == 0 { 0 } else { self.wrapping_div(y) }
            }

            #[inline(always)]
            fn remainder(self, y: Self) -> Self {
                if y == 0 { 0 } else { self.wrapping_rem(y) }
            }

            #[inline(always)]
            fn power(self, y: Self) -> Self {
                // By the bits of the exponent, at most 64 steps. Wrapping after each product is the same as
                // wrapping once.
                let (mut base, mut left, mut result) = (self, y, 1);
                while left > 0 {
                    if left & 1 == 1 {
                        result = Self::wrapping_mul(result, base);
                    }
                    base = Self::wrapping_mul(base, base);
                    left >>= 1;
                }
                result
            }

            #[inline(always)]
            fn to_bits64(self) -> i64 {
                self as i64
            }

            #[inline(always)]
            fn mean(sum: i64, count: usize) -> Self {
                let count = count.max(1);
                // For unsigned types the bits are those of a `u64`: their sum may not fit an `i64`.
                if Self::MIN == 0 { (sum as u64 / count as u64) as Self } else { (sum / count as i64) as Self }
            }

            #[inline(always)]
            fn shift_left(self, y: Self) -> Self {
                // TensorFlow limits the distance in the same way, since a longer shift is undefined in C++.
                self << y.clamp(0, (Self::BITS - 1) as Self)
            }

            #[inline(always)]
            fn shift_right(self, y: Self) -> Self {
                self >> y.clamp(0, (Self::BITS - 1) as Self)
            }
        }
    )*};
}

integers!(i8, i16, i32, i64, u8, u16, u32, u64);

/// Truth values; a trait so that their formulas are written like the others'.
pub(crate) trait Truth: Element + From<bool> + Into<bool> {}

impl Truth for bool {}

/// Complex numbers of two `f32` or `f64`.
pub(crate) trait ComplexNumber:
    Element
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// The number 0.
    const ZERO: Self;
    /// The number 1.
    const ONE: Self;
    /// The quotient, also of divisors whose square overflows.
    fn divide(self, y: Self) -> Self;
    /// Returns the number of magnitude 1 in the same direction; 0 for 0.
    fn sign(self) -> Self;
    /// Returns the principal value of the square root: its real part is not negative.
    fn sqrt(self) -> Self;
    /// Returns the reciprocal of the square root.
    fn rsqrt(self) -> Self;
    /// Returns `1 / (1 + e^-z)`.
    fn sigmoid(self) -> Self;
    /// The exponential function.
    fn exp(self) -> Self;
    /// Returns `e^z - 1`, without cancellation near 0.
    fn expm1(self) -> Self;
    /// Returns the principal value of the logarithm: its imaginary part is in \[-π, π\].
    fn ln(self) -> Self;
    /// Returns the logarithm of `1 + z`, without cancellation near 0.
    fn log1p(self) -> Self;
    /// The sine.
    fn sin(self) -> Self;
    /// The cosine.
    fn cos(self) -> Self;
    /// The tangent.
    fn tan(self) -> Self;
    /// Returns the principal value of the inverse sine, with TensorFlow's branch cuts.
    fn asin(self) -> Self;
    /// Returns the principal value of the inverse cosine.
    fn acos(self) -> Self;
    /// Returns the principal value of the inverse tangent.
    fn atan(self) -> Self;
    /// The hyperbolic sine.
    fn sinh(self) -> Self;
    /// The hyperbolic cosine.
    fn cosh(self) -> Self;
    /// The hyperbolic tangent.
    fn tanh(self) -> Self;
    /// Returns the principal value of the inverse hyperbolic sine.
    fn asinh(self) -> Self;
    /// Returns the principal value of the inverse hyperbolic cosine.
    fn acosh(self) -> Self;
    /// Returns the principal value of the inverse hyperbolic tangent.
    fn atanh(self) -> Self;
    /// Returns the complex conjugate.
    fn conj(self) -> Self;
    /// Raises the number to a complex power, by its principal value.
    fn pow(self, y: Self) -> Self;
    /// Divides the number by `count`.
    fn divided_by(self, count: usize) -> Self;
}

/// Implements functions by those of a module for one precision.
/// `single` and `double` are instances of the module of formulas.
macro_rules! complex_functions {
    ($functions:ident: $($name:ident),*) => {$(
        fn $name(self) -> Self {
            $functions::$name(self)
        }
    )*};
}

/// Functions whose formulas cancel: half of the digits would be lost if they were not computed with doubles.
macro_rules! wide_complex_functions {
    ($part:ty: $($name:ident),*) => {$(
        #[allow(clippy::unnecessary_cast)] // the same text serves both precisions
        fn $name(self) -> Self {
            let wide = complex_inverses::$name(Complex::new(f64::from(self.re), f64::from(self.im)));
            Complex::new(wide.re as $part, wide.im as $part)
        }
    )*};
}

/// Implements [`ComplexNumber`] for both precisions.
macro_rules! complex_numbers {
    ($($part:ty: $functions:ident),*) => {$(
        impl ComplexNumber for Complex<$part> {
            const ZERO: Self = Complex::new(0.0, 0.0);
            const ONE: Self = Complex::new(1.0, 0.0);

            fn sign(self) -> Self {
                if self == Self::ZERO { self } else { self / self.norm() }
            }

            fn conj(self) -> Self {
                Complex::new(self.re, -self.im)
            }

            fn pow(self, y: Self) -> Self {
                $functions::pow(self, y)
            }

            fn divide(self, y: Self) -> Self {
                $functions::divide(self, y)
            }

            fn divided_by(self, count: usize) -> Self {
                self / count as $part
            }

            complex_functions!($functions: sqrt, rsqrt, sigmoid, exp, expm1, ln, log1p, sin, cos, tan, sinh, cosh, tanh);
            wide_complex_functions!($part: asin, acos, atan, asinh, acosh, atanh);
        }
    )*};
}

complex_numbers!(f32: single, f64: double);

// Never inlined: the tables, and the loops that they name, are compiled in this crate and nowhere else.
/// Implements [`Element`] by the tables of kernels for a kind of numbers.
///
/// A line is `type => name, instruction sets, table;`. The table is the name of the function that finds a
/// kernel in each of the modules `unary`, `binary`, `compare`, `compare::test` and `reduce`: `real`,
/// `narrow`, `integer`, `truth` or `complex`.
macro_rules! elements {
    ($($type:ty => $name:literal, $loops:ident, $table:ident;)*) => {$(
        impl sealed::Sealed for $type {
            #[inline(never)]
            fn map_in_place(kernel: &UnaryKernel<Self>, pool: &Pool, data: &mut [Self]) {
                kernel.map_in_place(pool, data);
            }

            #[inline(never)]
            fn run_in_place(
                kernel: &BinaryKernel<Self>,
                pool: &Pool,
                plan: Option<&Broadcast<2>>,
                side: usize,
                data: &mut [Self],
                other: &[Self],
            ) {
                kernel.run_in_place(pool, plan, side, data, other);
            }
        }

        impl Element for $type {
            const NAME: &'static str = $name;
            const LOOPS: Loops = Loops::$loops;

            #[inline(never)]
            fn unary(op: UnaryOp) -> Option<UnaryKernel<Self>> {
                super::unary::$table::<Self>(op)
            }

            #[inline(never)]
            fn binary(op: BinaryOp) -> Option<BinaryKernel<Self>> {
                super::binary::$table::<Self>(op)
            }

            #[inline(never)]
            fn compare(op: CompareOp) -> Option<BinaryKernel<Self, bool>> {
                super::compare::$table::<Self>(op)
            }

            #[inline(never)]
            fn test(op: TestOp) -> Option<UnaryKernel<Self, bool>> {
                super::compare::test::$table::<Self>(op)
            }

            #[inline(never)]
            fn reduce(op: ReduceOp) -> Option<ReduceKernel<Self>> {
                crate::reduce::$table::<Self>(op)
            }
        }
    )*};
}

elements! {
    f32 => "f32", All, real;
    f64 => "f64", Avx2, real;
    f16 => "f16", Baseline, narrow;
    bf16 => "bf16", Baseline, narrow;
    i8 => "i8", Baseline, integer;
    i16 => "i16", Baseline, integer;
    i32 => "i32", Avx2, integer;
    i64 => "i64", Avx2, integer;
    u8 => "u8", Baseline, integer;
    u16 => "u16", Baseline, integer;
    u32 => "u32", Baseline, integer;
    u64 => "u64", Baseline, integer;
    bool => "bool", Baseline, truth;
    Complex<f32> => "Complex<f32>", Baseline, complex;
    Complex<f64> => "Complex<f64>", Baseline, complex;
}
