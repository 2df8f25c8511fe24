//! Inverses of circular and hyperbolic functions of complex numbers, with the branch cuts and the values at infinities of C's library.
//!
//! All are computed in `f64`, also for parts of `f32`, because their formulas subtract nearly equal numbers close to
//! the branch points.

use super::complex_functions::double::{is_infinite, root, turned};
use num_complex::Complex;
use std::f64::consts::{FRAC_PI_2, LN_2};

/// A number whose square is added to 1 without a trace.
const FAR: f64 = 4.0 / f64::EPSILON;

/// The principal inverse cosine.
///
/// With `a` and `b` the roots of `1 - z` and `1 + z`, it is `2 atan(re a / re b) + i asinh(im(conj(b) a))`.
/// The branch cuts are the real axis beyond -1 and 1, continuous from the side that the sign of a zero
/// imaginary part names.
pub(super) fn acos(z: Complex<f64>) -> Complex<f64> {
    let (x, y) = (z.re, z.im);
    if !x.is_finite() || !y.is_finite() {
        let re = if x == 0.0 && y.is_nan() { FRAC_PI_2 } else { y.abs().atan2(x) };
        return Complex::new(re, if is_infinite(z) { f64::INFINITY.copysign(-y) } else { f64::NAN });
    }
    // W. Kahan's formulas: the roots of `1 - z` and `1 + z` are taken first and combined afterwards, so
    // nothing cancels near the branch points at 1 and -1.
    let (a, b) = (root(Complex::new(1.0 - x, -y)), root(Complex::new(1.0 + x, y)));
    Complex::new(2.0 * a.re.atan2(b.re), area(b.re * a.im - b.im * a.re))
}

/// The principal inverse sine.
pub(super) fn asin(z: Complex<f64>) -> Complex<f64> {
    turned(asinh, z)
}

/// The principal inverse hyperbolic cosine.
pub(super) fn acosh(z: Complex<f64>) -> Complex<f64> {
    let angle = acos(z);
    // The inverse cosine times i or -i, whichever has a real part that is not negative.
    Complex::new(angle.im.abs(), angle.re.copysign(z.im))
}

/// The principal inverse hyperbolic sine.
///
/// With `a` and `b` the roots of `1 - iz` and `1 + iz`, the parts are `asinh(im(conj(a) b))` and
/// `atan2(im z, re(a b))`.
pub(super) fn asinh(z: Complex<f64>) -> Complex<f64> {
    let (x, y) = (z.re, z.im);
    if !x.is_finite() || !y.is_finite() {
        let re = if is_infinite(z) { f64::INFINITY.copysign(x) } else { f64::NAN };
        return Complex::new(re, if y == 0.0 { y } else { y.atan2(x.abs()) });
    }
    let (a, b) = (root(Complex::new(1.0 + y, -x)), root(Complex::new(1.0 - y, x)));
    Complex::new(area(a.re * b.im - a.im * b.re), y.atan2(a.re * b.re - a.im * b.im))
}

/// The principal inverse hyperbolic tangent.
///
/// It is computed for a real part that is not negative, and given the sign of the real part afterwards: the
/// function is odd.
pub(super) fn atanh(z: Complex<f64>) -> Complex<f64> {
    let (x, y) = (z.re.abs(), z.im);
    if x.is_nan() || y.is_nan() || x > FAR || y.abs() > FAR {
        let re = if is_infinite(z) || x == 0.0 { 0.0 } else { x / x.hypot(y) / x.hypot(y) };
        let known = y.is_infinite() || !x.is_nan() && !y.is_nan();
        return Complex::new(re.copysign(z.re), if known { FRAC_PI_2.copysign(y) } else { f64::NAN });
    }
    // The logarithm of `|1 + z|^2 / |1 - z|^2` as `ln(1 + 4x / |1 - z|^2)`, which keeps its digits for a
    // small `x`.
    let re = (4.0 * x / ((1.0 - x) * (1.0 - x) + y * y)).ln_1p() * 0.25;
    Complex::new(re.copysign(z.re), (2.0 * y).atan2((1.0 - x) * (1.0 + x) - y * y) * 0.5)
}

/// The principal inverse tangent: the inverse hyperbolic tangent of the number rotated by a right angle.
pub(super) fn atan(z: Complex<f64>) -> Complex<f64> {
    turned(atanh, z)
}

/// Returns the inverse of the hyperbolic sine, also of numbers whose double is infinite.
fn area(x: f64) -> f64 {
    if x.abs() > FAR { (x.abs().ln() + LN_2).copysign(x) } else { x.asinh() }
}
