//! Functions of complex numbers where one of the parts is zero, infinite or NaN, as C's library and TensorFlow define them.
//!
//! # Why not the plain formulas
//!
//! The textbook formula of a complex function is right for most numbers. It fails at the edges:
//!
//! - A product of infinity and 0 is NaN, although the result has a limit.
//! - An intermediate result overflows, although the final one does not, as in `e^x cos y` for a large `x`.
//! - A difference of nearly equal numbers loses its digits, as in `exp(z) - 1` near 0.
//! - The sign of a zero is lost, which selects the side of a branch cut.
//!
//! The functions treat these cases separately. The values are those of Annex G of the C standard where TensorFlow
//! follows it.
//!
//! # Structure
//!
//! A macro defines the functions for `f32` and `f64`. The circular functions are the hyperbolic ones of a rotated
//! argument (`turned`), so each special case is written once.

use num_complex::Complex;

/// Functions of complex numbers of one precision.
///
/// `functions!(single, f32)` makes a module `single` of functions of `Complex<f32>`.
macro_rules! functions {
    ($module:ident, $part:ident) => {
        pub(super) mod $module {
            use super::Complex;

            const INFINITY: $part = $part::INFINITY;
            const NAN: $part = $part::NAN;
            const LN_2: $part = std::$part::consts::LN_2;
            /// A little less than the number at which hyperbolic functions overflow.
            const HALF_OVERFLOW: $part = $part::MAX_EXP as $part * 0.69;

            /// Returns true if a part is infinite, even if the other is NaN, as C defines it.
            pub(in super::super) fn is_infinite(z: Complex<$part>) -> bool {
                z.re.is_infinite() || z.im.is_infinite()
            }

            /// The exponential function. For an infinite real part, the imaginary part only determines the signs, or
            /// makes the result NaN.
            pub(in super::super) fn exp(z: Complex<$part>) -> Complex<$part> {
                // The general formula has `sin(0)` times infinity for a large real number, which is NaN
                // instead of the zero.
                if z.im == 0.0 {
                    return Complex::new(z.re.exp(), z.im);
                }
                match (z.re.is_infinite(), z.im.is_finite()) {
                    (true, false) if z.re < 0.0 => Complex::new(0.0, 0.0),
                    (true, false) => Complex::new(INFINITY, NAN),
                    _ => scaled(z.re, z.im.cos(), z.im.sin()),
                }
            }

            /// Returns `e^x` times a direction, also where `e^x` overflows and the product does not.
            fn scaled(x: $part, cos: $part, sin: $part) -> Complex<$part> {
                let most = $part::MAX.ln().floor();
                // Two factors, of which the first meets a sine or cosine that makes it smaller before the
                // second follows. Beyond twice the limit, no ordinary sine is small enough to help.
                if x > most && x < 2.0 * most {
                    let (first, rest) = (most.exp(), (x - most).exp());
                    return Complex::new(cos * first * rest, sin * first * rest);
                }
                Complex::new(cos * x.exp(), sin * x.exp())
            }

            /// `exp(z) - 1`, without cancellation near 0.
            pub(in super::super) fn expm1(z: Complex<$part>) -> Complex<$part> {
                if z.im == 0.0 {
                    return Complex::new(z.re.exp_m1(), z.im);
                }
                if !z.re.is_finite() || !z.im.is_finite() {
                    let whole = exp(z);
                    return Complex::new(whole.re - 1.0, whole.im);
                }
                // e^(a+bi) - 1 = expm1(a) cos b - 2 sin(b/2)^2 + e^a sin b i, without cancellation near 0.
                let half = (z.im * 0.5).sin();
                let whole = exp(z);
                let re =
                    if z.re < 1.0 { z.re.exp_m1() * z.im.cos() - 2.0 * half * half } else { whole.re - 1.0 };
                Complex::new(re, whole.im)
            }

            /// The principal natural logarithm. The logarithm of 0 is minus infinity, with the argument of the signed
            /// zero.
            pub(in super::super) fn ln(z: Complex<$part>) -> Complex<$part> {
                Complex::new(ln_norm(z.re, z.im), z.im.atan2(z.re))
            }

            /// Returns the logarithm of the magnitude, which may be larger or smaller than every number.
            fn ln_norm(re: $part, im: $part) -> $part {
                let norm = re.hypot(im);
                // The parts are numbers, but the magnitude is too large for one: a quarter of it is not.
                if norm == INFINITY && re.is_finite() && im.is_finite() {
                    return (re * 0.25).hypot(im * 0.25).ln() + (4.0 as $part).ln();
                }
                norm.ln()
            }

            /// The hyperbolic sine.
            pub(in super::super) fn sinh(z: Complex<$part>) -> Complex<$part> {
                let (x, y) = (z.re, z.im);
                if y == 0.0 {
                    Complex::new(x.sinh(), y)
                // On the imaginary axis the sign of the real zero stays, which selects the side of a branch
                // cut for what follows.
                } else if x == 0.0 {
                    Complex::new(x, if y.is_finite() { y.sin() } else { NAN })
                } else if x.is_infinite() {
                    if y.is_finite() {
                        Complex::new(x * y.cos(), INFINITY * y.sin())
                    } else {
                        Complex::new(x, NAN)
                    }
                } else if x.abs() > HALF_OVERFLOW {
                    // So far from 0, both hyperbolic functions are `e^|x| / 2`, and the half goes into the
                    // exponent.
                    let grown = scaled(x.abs() - LN_2, y.cos(), y.sin());
                    Complex::new(grown.re.copysign(grown.re * x), grown.im)
                } else {
                    Complex::new(x.sinh() * y.cos(), x.cosh() * y.sin())
                }
            }

            /// The hyperbolic cosine.
            pub(in super::super) fn cosh(z: Complex<$part>) -> Complex<$part> {
                let (x, y) = (z.re, z.im);
                if y == 0.0 {
                    Complex::new(x.cosh(), if x.is_nan() { y } else { y * (1.0 as $part).copysign(x) })
                } else if x == 0.0 {
                    if y.is_finite() { Complex::new(y.cos(), x * y.sin()) } else { Complex::new(NAN, 0.0) }
                } else if x.is_infinite() {
                    if y.is_finite() {
                        Complex::new(INFINITY * y.cos(), x * y.sin())
                    } else {
                        Complex::new(INFINITY, NAN)
                    }
                } else if x.abs() > HALF_OVERFLOW {
                    let grown = scaled(x.abs() - LN_2, y.cos(), y.sin());
                    Complex::new(grown.re, grown.im.copysign(grown.im * x))
                } else {
                    Complex::new(x.cosh() * y.cos(), x.sinh() * y.sin())
                }
            }

            /// The hyperbolic tangent, which is ±1 for an infinite real part.
            pub(in super::super) fn tanh(z: Complex<$part>) -> Complex<$part> {
                let (x, y) = (z.re, z.im);
                if x.is_nan() {
                    return Complex::new(NAN, if y == 0.0 { y } else { NAN });
                }
                if !y.is_finite() && x.is_finite() {
                    return Complex::new(if x == 0.0 { x } else { NAN }, NAN);
                }
                // Far from 0 the real part is 1 and the imaginary part 4 sin y cos y e^(-2|x|).
                if x.abs() > 0.25 * HALF_OVERFLOW {
                    let turn = if y.is_finite() { y.sin() * y.cos() } else { (0.0 as $part).copysign(y) };
                    return Complex::new((1.0 as $part).copysign(x), 4.0 * turn * (-2.0 * x.abs()).exp());
                }
                let (sinh, sin, cos) = (x.sinh(), y.sin(), y.cos());
                let denominator = sinh * sinh + cos * cos;
                Complex::new(sinh * x.cosh() / denominator, sin * cos / denominator)
            }

            /// Returns the function of `iz`, divided by `i`: it turns hyperbolic functions into circular ones.
            pub(in super::super) fn turned(
                function: fn(Complex<$part>) -> Complex<$part>,
                z: Complex<$part>,
            ) -> Complex<$part> {
                let value = function(Complex::new(-z.im, z.re));
                Complex::new(value.im, -value.re)
            }

            /// The sine: the hyperbolic sine of the number rotated by a right angle.
            pub(in super::super) fn sin(z: Complex<$part>) -> Complex<$part> {
                turned(sinh, z)
            }

            /// The cosine: the hyperbolic cosine of the number rotated by a right angle.
            pub(in super::super) fn cos(z: Complex<$part>) -> Complex<$part> {
                cosh(Complex::new(-z.im, z.re))
            }

            /// The tangent: the hyperbolic tangent of the number rotated by a right angle.
            pub(in super::super) fn tan(z: Complex<$part>) -> Complex<$part> {
                turned(tanh, z)
            }

            /// `ln(1 + z)`, without cancellation near 0.
            pub(in super::super) fn log1p(z: Complex<$part>) -> Complex<$part> {
                let im = z.im.atan2(1.0 + z.re);
                if z.re.abs() < 0.5 && z.im.abs() < 0.5 {
                    // |1 + z|^2 - 1 = 2a + a^2 + b^2, without cancellation near 0.
                    let excess = z.re * (2.0 + z.re) + z.im * z.im;
                    return Complex::new(excess.ln_1p() * 0.5, im);
                }
                Complex::new(ln_norm(1.0 + z.re, z.im), im)
            }

            /// Returns the square root of a finite number; its parts have all their digits, however different they are.
            pub(in super::super) fn root(z: Complex<$part>) -> Complex<$part> {
                if z.re == 0.0 && z.im == 0.0 {
                    return Complex::new(0.0, z.im);
                }
                // A quarter of each part, so that no sum overflows.
                let (x, y) = (z.re.abs() * 0.25, z.im * 0.25);
                let large = ((x + x.hypot(y)) * 0.5).sqrt() * 2.0;
                let small = y / large * 2.0;
                if z.re >= 0.0 {
                    Complex::new(large, small)
                } else {
                    Complex::new(small.abs(), large.copysign(y))
                }
            }

            /// The square root with a real part that is not negative.
            ///
            /// An infinite imaginary part makes both parts infinite, even if the real part is NaN. Otherwise,
            /// an infinite real part makes the result infinite along the real axis (if it is positive) or
            /// along the imaginary one.
            pub(in super::super) fn sqrt(z: Complex<$part>) -> Complex<$part> {
                if z.re.is_finite() && z.im.is_finite() {
                    root(z)
                } else if z.im.is_infinite() {
                    Complex::new(INFINITY, z.im)
                } else if z.re == INFINITY {
                    Complex::new(INFINITY, if z.im.is_nan() { NAN } else { 0.0 })
                } else if z.re == -INFINITY {
                    let im = if z.im < 0.0 { -INFINITY } else { INFINITY };
                    Complex::new(if z.im.is_nan() { NAN } else { 0.0 }, im)
                } else {
                    Complex::new(NAN, NAN)
                }
            }

            /// One divided by the square root.
            pub(in super::super) fn rsqrt(z: Complex<$part>) -> Complex<$part> {
                if is_infinite(z) {
                    Complex::new(0.0, 0.0)
                } else if z.re == 0.0 && z.im == 0.0 {
                    Complex::new(INFINITY, NAN)
                } else {
                    // A negative zero counts as a positive one.
                    Complex::new(1.0, 0.0) / root(Complex::new(z.re, z.im + 0.0))
                }
            }

            /// The logistic function `1 / (1 + exp(-z))`.
            pub(in super::super) fn sigmoid(z: Complex<$part>) -> Complex<$part> {
                let denominator = Complex::new(1.0, 0.0) + exp(-z);
                if is_infinite(denominator) {
                    Complex::new(0.0, 0.0)
                } else {
                    Complex::new(1.0, 0.0) / denominator
                }
            }

            /// `exp(y log(x))`; the limit of `x^y` at zero does not exist, so it is NaN unless the real part of `y` decides.
            pub(in super::super) fn pow(x: Complex<$part>, y: Complex<$part>) -> Complex<$part> {
                // The crate's power is right for ordinary numbers. Its products are NaN at infinities and at
                // 0.
                let finite = [x, y].iter().all(|z| z.re.is_finite() && z.im.is_finite());
                if finite && (x.re != 0.0 || x.im != 0.0) {
                    return x.powc(y);
                }
                exp(product(y, ln(x)))
            }

            /// Returns the quotient; the divisor is scaled, so that its square neither overflows nor vanishes.
            pub(in super::super) fn divide(x: Complex<$part>, y: Complex<$part>) -> Complex<$part> {
                let scale = y.re.abs().max(y.im.abs());
                let (re, im) = (y.re / scale, y.im / scale);
                let square = re * re + im * im;
                let product = Complex::new(x.re * re + x.im * im, x.im * re - x.re * im);
                Complex::new(product.re / square / scale, product.im / square / scale)
            }

            /// The product of numbers that may be infinite: an infinity times a number that is not zero is one, whatever is
            /// unknown of the parts.
            /// Otherwise it is the plain product.
            fn product(x: Complex<$part>, y: Complex<$part>) -> Complex<$part> {
                // Annex G of the C standard: only a product of two NaNs is in doubt.
                let plain = x * y;
                if !(plain.re.is_nan() && plain.im.is_nan()) {
                    return plain;
                }
                let unit = |part: $part| if part.is_infinite() { 1.0 } else { 0.0 as $part }.copysign(part);
                let known = |part: $part| if part.is_nan() { (0.0 as $part).copysign(part) } else { part };
                // An infinite factor is reduced to its direction, and what is unknown of the other one counts as zero.
                let reduced =
                    |z: Complex<$part>, other: Complex<$part>| match (is_infinite(z), is_infinite(other)) {
                        (true, _) => Complex::new(unit(z.re), unit(z.im)),
                        (false, true) => Complex::new(known(z.re), known(z.im)),
                        (false, false) => z,
                    };
                if is_infinite(x) || is_infinite(y) {
                    let (x, y) = (reduced(x, y), reduced(y, x));
                    let (re, im) = (x.re * y.re - x.im * y.im, x.re * y.im + x.im * y.re);
                    return Complex::new(INFINITY * re, INFINITY * im);
                }
                plain
            }
        }
    };
}

functions!(single, f32);
functions!(double, f64);
