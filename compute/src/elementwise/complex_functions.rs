//! Functions of complex numbers where one of the parts is zero, infinite or NaN, as C's library and TensorFlow define them.

use num_complex::Complex;

/// Functions of complex numbers of one precision.
macro_rules! functions {
    ($module:ident, $part:ident) => {
        pub(super) mod $module {
            use super::Complex;

            const INFINITY: $part = $part::INFINITY;
            const NAN: $part = $part::NAN;

            fn is_infinite(z: Complex<$part>) -> bool {
                z.re.is_infinite() || z.im.is_infinite()
            }

            pub(in super::super) fn sqrt(z: Complex<$part>) -> Complex<$part> {
                if z.re.is_finite() && z.im.is_finite() {
                    z.sqrt()
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

            pub(in super::super) fn rsqrt(z: Complex<$part>) -> Complex<$part> {
                if is_infinite(z) {
                    Complex::new(0.0, 0.0)
                } else if z.re == 0.0 && z.im == 0.0 {
                    Complex::new(INFINITY, NAN)
                } else {
                    // A negative zero counts as a positive one.
                    Complex::new(1.0, 0.0) / Complex::new(z.re, z.im + 0.0).sqrt()
                }
            }

            pub(in super::super) fn sigmoid(z: Complex<$part>) -> Complex<$part> {
                let denominator = Complex::new(1.0, 0.0) + (-z).exp();
                if is_infinite(denominator) {
                    Complex::new(0.0, 0.0)
                } else {
                    Complex::new(1.0, 0.0) / denominator
                }
            }

            /// `exp(y log(x))`; the limit of `x^y` at zero does not exist, so it is NaN unless the real part of `y` decides.
            pub(in super::super) fn pow(x: Complex<$part>, y: Complex<$part>) -> Complex<$part> {
                let finite = [x, y].iter().all(|z| z.re.is_finite() && z.im.is_finite());
                if finite && (x.re != 0.0 || x.im != 0.0) {
                    return x.powc(y);
                }
                product(y, x.ln()).exp()
            }

            /// The product of numbers that may be infinite: an infinity times a number that is not zero is one, whatever is
            /// unknown of the parts.
            fn product(x: Complex<$part>, y: Complex<$part>) -> Complex<$part> {
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
