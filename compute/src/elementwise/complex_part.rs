//! Conversion between complex numbers and their parts.

use super::unary::{CALL, CHEAP, named_ops};
use super::{BinaryFn, BinaryKernel, UnaryFn, UnaryKernel};
use crate::math;
use num_complex::Complex;

named_ops! {
    /// A real number that belongs to a complex one, named as TensorFlow's operation.
    ComplexPart {
        /// The real part.
        Real,
        /// The imaginary part.
        Imag,
        /// The magnitude.
        ComplexAbs,
        /// The angle.
        Angle,
    }
}

/// Makes a type of each part.
macro_rules! parts {
    ($($op:ident [$cost:expr] |$x:ident| $body:expr;)*) => {
        $(
            /// The part as a type, so that each has a loop of its own.
            #[derive(Clone, Copy, Default)]
            struct $op;

            impl<T: math::Real> UnaryFn<Complex<T>, T> for $op
            where
                Complex<T>: super::Element,
            {
                const PICOSECONDS: usize = $cost;

                #[inline(always)]
                fn call($x: Complex<T>, _alpha: f32) -> T {
                    $body
                }
            }
        )*

        /// Returns the kernel of `op`, for complex numbers of `f32` or `f64`.
        #[must_use]
        pub fn complex_part<T: math::Real>(op: ComplexPart) -> UnaryKernel<Complex<T>, T>
        where
            Complex<T>: super::Element,
        {
            match op {
                $(ComplexPart::$op => UnaryKernel::new::<$op>(),)*
            }
        }
    };
}

parts! {
    Real [CHEAP] |x| x.re;
    Imag [CHEAP] |x| x.im;
    ComplexAbs [CALL] |x| x.re.hypot(x.im);
    Angle [CALL] |x| x.im.atan2(x.re);
}

/// The combination of two parts as a type.
#[derive(Clone, Copy, Default)]
struct Make;

impl<T: math::Real> BinaryFn<T, Complex<T>> for Make
where
    Complex<T>: super::Element,
{
    const PICOSECONDS: usize = CHEAP;

    #[inline(always)]
    fn call(re: T, im: T, _alpha: f32) -> Complex<T> {
        Complex::new(re, im)
    }
}

/// Returns the kernel that builds complex numbers from real and imaginary parts: TensorFlow's `Complex`.
///
/// ```
/// use compute::{Pool, elementwise::{Broadcast, complex}};
/// let plan = Broadcast::new([&[1], &[1]])?;
/// let mut output = [num_complex::Complex::new(0.0f32, 0.0)];
/// complex::<f32>().run(&Pool::single(), &plan, &[1.0], &[2.0], &mut output)?;
/// assert_eq!((output[0].re, output[0].im), (1.0, 2.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn complex<T: math::Real>() -> BinaryKernel<T, Complex<T>>
where
    Complex<T>: super::Element,
{
    BinaryKernel::new::<Make>()
}
