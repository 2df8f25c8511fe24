//! Special functions that are defined by integrals, computed in double precision, whatever the dtype.
//!
//! # Semantics
//!
//! Each op type maps a float tensor to one of the same dtype and shape, element by element in one thread.
//! Results are rounded once, from double precision. NaN stays NaN.
//!
//! - `Dawsn` is `e^(-x^2)` times the integral of `e^(t^2)` from 0 to `x`, and 0 at infinities.
//! - `Expint` is the integral of `e^t / t` from minus infinity to `x`: minus infinity at 0, NaN for negative
//!   numbers and infinity.
//! - `FresnelCos` and `FresnelSin` are the integrals of `cos` and `sin` of `pi/2 t^2` from 0 to `x`, plus or
//!   minus 0.5 at infinities.
//! - `Spence` is the integral of `-ln(t) / (t - 1)` from 1 to `x`, NaN for negative numbers and infinity.
//!
//! ```text
//! at 1:   Dawsn 0.5381   Expint 1.8951   FresnelCos 0.7799   FresnelSin 0.4383      at 2:   Spence -0.8225
//! ```

use super::special::one;
use crate::registry::Registry;
use std::f64::consts::{FRAC_PI_2, PI};
use tensor::Complex;

/// Registers the op types, for all floats: [`one`] widens and rounds.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("Dawsn", |spec| one(spec.input_dtype(0), dawson));
    registry.add("Expint", |spec| one(spec.input_dtype(0), expint));
    registry.add("FresnelCos", |spec| one(spec.input_dtype(0), |x| fresnel(x).re));
    registry.add("FresnelSin", |spec| one(spec.input_dtype(0), |x| fresnel(x).im));
    registry.add("Spence", |spec| one(spec.input_dtype(0), spence));
}

/// Returns Dawson's integral. Near 0 it uses its power series, far away two terms of the asymptotic series,
/// elsewhere Rybicki's method: a sum of Gaussians at equal distances, whose error is
/// `e^(-(pi / (2 STEP))^2)`, below the last digit for a step of 0.2.
///
/// ```text
/// |x| < 0.5     x - 2/3 x^3 + 4/15 x^5 - ...
/// |x| > 1e4     1 / (2 x) (1 + 1 / (2 x^2))
/// elsewhere     1 / sqrt(pi) sum over odd n of e^-(x - n h)^2 / n,  h = 0.2
/// ```
fn dawson(x: f64) -> f64 {
    // Half the distance of the Gaussians, which are at odd multiples of it.
    const STEP: f64 = 0.2;
    let magnitude = x.abs();
    // The sum of Gaussians cancels near 0, where the result is about `x` itself.
    if magnitude < 0.5 {
        let (mut term, mut sum) = (x, x);
        for k in 1..24 {
            term *= -2.0 * x * x / f64::from(2 * k + 1);
            sum += term;
        }
        return sum;
    }
    if magnitude > 1e4 || x.is_nan() {
        return 0.5 / x * (1.0 + 0.5 / x / x);
    }
    // Centers the sum at an even multiple of the step; 34 terms on both sides reach Gaussians below `1e-75`.
    let nearest = 2.0 * (0.5 * magnitude / STEP).round();
    let rest = magnitude - nearest * STEP;
    let sum: f64 = (-34i32..=34)
        .map(|i| {
            let odd = f64::from(2 * i + 1);
            (-(rest - odd * STEP).powi(2)).exp() / (odd + nearest)
        })
        .sum();
    (sum / PI.sqrt()).copysign(x)
}

/// Returns the exponential integral Ei of a positive number: Euler's constant, the logarithm and the power
/// series, or from 40 on the asymptotic series, whose terms fall up to the 40th.
///
/// ```text
/// x <= 40    0.5772 + ln x + sum of x^k / (k k!)
/// x > 40     e^x / x sum of k! / x^k
/// ```
fn expint(x: f64) -> f64 {
    const EULER: f64 = 0.577_215_664_901_532_9;
    if x == 0.0 {
        return f64::NEG_INFINITY;
    }
    if x < 0.0 || !x.is_finite() {
        return f64::NAN;
    }
    // The power series has terms up to `e^x / x`, all positive, so it is accurate at any size, but needs `x`
    // terms and more.
    if x > 40.0 {
        let (mut term, mut sum) = (1.0, 1.0);
        for k in 1..=40 {
            term *= f64::from(k) / x;
            sum += term;
            if term < 1e-17 {
                break;
            }
        }
        return x.exp() / x * sum;
    }
    let (mut power, mut sum) = (1.0, 0.0);
    for k in 1..200 {
        power *= x / f64::from(k);
        let term = power / f64::from(k);
        sum += term;
        if term < sum * 1e-17 {
            break;
        }
    }
    EULER + x.ln() + sum
}

/// Returns Fresnel's integrals of `x`: that of the cosine as the real part, that of the sine as the imaginary
/// part. Near 0 it uses the power series, elsewhere the continued fraction of the complementary error
/// function. Both are odd, so the sign of `x` is added last.
///
/// With `z = pi/2 x^2` the power series is `x` times the sum of `(i z)^k / (k! (2 k + 1))`. From 1e8 on both
/// integrals are 0.5.
fn fresnel(x: f64) -> Complex<f64> {
    let magnitude = x.abs();
    let found = if x.is_nan() {
        Complex::new(f64::NAN, f64::NAN)
    // The continued fraction converges slowly below.
    } else if magnitude < 1.5 {
        // The integral of e^(i z) over t, where z is pi/2 t t.
        let z = Complex::new(0.0, FRAC_PI_2 * magnitude * magnitude);
        let (mut power, mut sum) = (Complex::new(magnitude, 0.0), Complex::new(magnitude, 0.0));
        for k in 1..40 {
            power = power * z / f64::from(k);
            sum += power / f64::from(2 * k + 1);
        }
        sum
    // The tail is below `1 / (pi x)`, and its angle has no digits left.
    } else if magnitude > 1e8 {
        Complex::new(0.5, 0.5)
    } else {
        let square = PI * magnitude * magnitude;
        let angle = 0.5 * square;
        let tail = Complex::new(magnitude, -magnitude) * Complex::new(angle.cos(), angle.sin());
        Complex::new(0.5, 0.5) * (Complex::new(1.0, 0.0) - tail * fraction(Complex::new(1.0, -square)))
    };
    Complex::new(found.re.copysign(x), found.im.copysign(x))
}

/// Evaluates the continued fraction `1 / (b - 1 2 / (b + 4 - 3 4 / (b + 8 - ...)))` by the modified Lentz
/// method, from the front, until a step changes nothing. For the arguments of [`fresnel`], which are 1.5 and
/// more, the 200 steps of the loop are enough.
fn fraction(b: Complex<f64>) -> Complex<f64> {
    let mut b = b;
    let mut d = b.inv();
    let (mut found, mut c) = (d, Complex::new(1e300, 0.0));
    for k in (1..400).step_by(2) {
        let a = -f64::from(k * (k + 1));
        b += 4.0;
        d = (d * a + b).inv();
        c = b + Complex::new(a, 0.0) / c;
        let change = c * d;
        found *= change;
        if (change - 1.0).norm() < 1e-16 {
            break;
        }
    }
    found
}

/// Returns Spence's integral, the dilogarithm of `1 - x`. Two identities bring the argument of the series to
/// at most `ln 2`: those of `x` with `1 - x` below 0.5, and with `1 / x` above 2.
///
/// ```text
/// x < 0.5     pi^2 / 6 - ln x ln(1 - x) - Sp(1 - x)
/// x > 2       -Sp(1 / x) - (ln x)^2 / 2
/// ```
fn spence(x: f64) -> f64 {
    if x < 0.0 || !x.is_finite() {
        return f64::NAN;
    }
    let sixth = PI * PI / 6.0;
    if x == 0.0 {
        sixth
    } else if x < 0.5 {
        sixth - x.ln() * (-x).ln_1p() - series((-x).ln_1p())
    } else if x <= 2.0 {
        series(x.ln())
    } else {
        let log = x.ln();
        -spence(1.0 / x) - 0.5 * log * log
    }
}

/// Returns the dilogarithm of `1 - e^l`, as a series in `u = -l` with Bernoulli numbers: `u - u^2 / 4 + ...`.
/// Ten terms are exact to the last digit for `|l| <= ln 2`.
fn series(l: f64) -> f64 {
    /// Bernoulli's numbers of even index `2 k`, over `(2 k + 1)!`.
    const TERMS: [f64; 10] = [
        2.777_777_777_777_777_8e-2,
        -2.777_777_777_777_777_8e-4,
        4.724_111_866_969_009_8e-6,
        -9.185_773_074_661_963_6e-8,
        1.897_886_998_897_099_9e-9,
        -4.064_761_645_144_225_5e-11,
        8.921_691_020_456_452_6e-13,
        -1.993_929_586_072_107_6e-14,
        4.518_980_029_619_918_2e-16,
        -1.035_651_761_218_124_7e-17,
    ];
    let u = -l;
    let square = u * u;
    let tail = TERMS.iter().rev().fold(0.0, |sum, term| sum * square + term) * square * u;
    u - 0.25 * square + tail
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-14 * expected.abs().max(0.1), "{found} for {expected}");
    }

    /// Numbers that TensorFlow gave.
    #[test]
    fn values_equal_tensorflows() {
        for (x, expected) in
            [(0.1, 0.09933599239785286), (1.0, 0.5380795069127684), (60.0, 0.00833449122332905)]
        {
            close(dawson(x), expected);
            close(dawson(-x), -expected);
        }
        for (x, expected) in
            [(0.1, -1.6228128139692766), (10.0, 2492.228976241878), (60.0, 1.9361822139292765e+24)]
        {
            close(expint(x), expected);
        }
        for (x, cos, sin) in [
            (0.5, 0.4923442258714464, 0.06473243285999929),
            (1.0, 0.779893400376823, 0.4382591473903547),
            (2.5, 0.45741300964177706, 0.6191817558195929),
            (-3.0, -0.6057207892976857, -0.49631299896737496),
            (60.0, 0.4999995309204995, 0.4946948353546973),
        ] {
            close(fresnel(x).re, cos);
            close(fresnel(x).im, sin);
        }
        for (x, expected) in [
            (0.1, 1.2997147230049588),
            (0.5, 0.5822405264650135),
            (1.0, 0.0),
            (2.5, -1.1473806603755703),
            (60.0, -9.941212000072792),
        ] {
            close(spence(x), expected);
        }
    }
}
