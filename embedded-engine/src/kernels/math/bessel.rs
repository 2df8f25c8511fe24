//! Bessel functions of orders 0 and 1, computed in double precision, whatever the dtype.
//!
//! The variants with an `e` are scaled exponentially: `I0e(x) = e^-|x| I0(x)`, `K0e(x) = e^x K0(x)`. The
//! functions `Y` and `K` are minus infinity and infinity at 0 and, as in TensorFlow, for negative numbers.
//!
//! # Semantics
//!
//! Each op type maps one float tensor to one of the same dtype and shape, element by element in one thread.
//! NaN stays NaN. `J` and `Y` are NaN at infinities and `K` is 0 at infinity; `I` itself is NaN there, since
//! the scaled function is 0 and its factor infinite. `BesselY1` of 0 is minus infinity in `float64` and, as
//! in TensorFlow, NaN in the narrower dtypes.
//!
//! Results of 16 and 32 bits are rounded once, from double precision.
//!
//! ```text
//! at 1:   I0 1.2661   I1 0.5652   J0 0.7652   K0 0.4210   Y0 0.0883
//! ```

use super::special::one;
use crate::registry::Registry;
use std::f64::consts::PI;
use tensor::DType;

/// Registers the op types, for all floats. `J` and `Y` are the functions of `libm`; the modified ones are
/// computed here, as `libm` has none.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("BesselI0", |spec| one(spec.input_dtype(0), |x| i_scaled(x, 0) * x.abs().exp()));
    registry.add("BesselI1", |spec| one(spec.input_dtype(0), |x| i_scaled(x, 1) * x.abs().exp()));
    registry.add("BesselI0e", |spec| one(spec.input_dtype(0), |x| i_scaled(x, 0)));
    registry.add("BesselI1e", |spec| one(spec.input_dtype(0), |x| i_scaled(x, 1)));
    registry.add("BesselJ0", |spec| one(spec.input_dtype(0), |x| oscillating(x, libm::j0)));
    registry.add("BesselJ1", |spec| one(spec.input_dtype(0), |x| oscillating(x, libm::j1)));
    registry.add("BesselK0", |spec| one(spec.input_dtype(0), |x| decayed(x, 0)));
    registry.add("BesselK1", |spec| one(spec.input_dtype(0), |x| decayed(x, 1)));
    registry.add("BesselK0e", |spec| one(spec.input_dtype(0), |x| k_scaled(x, 0)));
    registry.add("BesselK1e", |spec| one(spec.input_dtype(0), |x| k_scaled(x, 1)));
    registry.add("BesselY0", |spec| one(spec.input_dtype(0), |x| of_second_kind(x, libm::y0)));
    registry.add("BesselY1", |spec| match spec.input_dtype(0) {
        DType::Float64 => one(DType::Float64, y1),
        narrower => one(narrower, |x| if x == 0.0 { f64::NAN } else { y1(x) }),
    });
}

/// Applies a function that oscillates, so it has no sign at infinity and is NaN there.
fn oscillating(x: f64, function: fn(f64) -> f64) -> f64 {
    if x.is_infinite() { f64::NAN } else { function(x) }
}

/// Applies a function of the second kind: minus infinity at its pole, 0, and by TensorFlow's convention for
/// all negative numbers.
fn of_second_kind(x: f64, function: fn(f64) -> f64) -> f64 {
    if x <= 0.0 { f64::NEG_INFINITY } else { oscillating(x, function) }
}

/// Returns the Bessel function of the second kind of order 1.
fn y1(x: f64) -> f64 {
    of_second_kind(x, libm::y1)
}

/// Returns `e^-|x| I(x)` of order 0 or 1: the mean of `e^(|x| (cos t - 1)) cos(n t)` over a circle. A sum at
/// equal distances of a smooth periodic function converges faster than any power of the distance, so it is
/// exact to the last digit. Near 0 the terms of order 1 cancel, so it is the power series there.
fn i_scaled(x: f64, order: u8) -> f64 {
    if x.is_nan() {
        return x;
    }
    let magnitude = x.abs();
    if order == 1 && magnitude < 1.0 {
        return i1_near_zero(x) * (-magnitude).exp();
    }
    // The number of points would grow with the root of `x`. Two terms of the asymptotic series leave an error
    // of `x^-2`, below `1e-12`.
    if magnitude > 1e6 {
        let first = if order == 0 { 1.0 / 8.0 } else { -3.0 / 8.0 };
        let value = (1.0 + first / magnitude) / (2.0 * PI * magnitude).sqrt();
        return if order == 1 { value.copysign(x) } else { value };
    }
    // The integrand is a bell of width `1 / sqrt(x)` around 0, so the points must be that much denser.
    let points = 64 + (16.0 * magnitude.sqrt()) as usize;
    let sum: f64 = (0..points)
        .map(|i| {
            let t = 2.0 * PI * i as f64 / points as f64;
            // `cos t - 1 = -2 sin^2(t / 2)`, which does not cancel for small angles.
            let half = (0.5 * t).sin();
            let weight = (-2.0 * magnitude * half * half).exp();
            if order == 0 { weight } else { weight * t.cos() }
        })
        .sum();
    let value = sum / points as f64;
    if order == 1 { value.copysign(x) } else { value }
}

/// Returns `I1(x)` for absolute values below 1: the sum of `(x / 2)^(2k + 1) / (k! (k + 1)!)`, whose terms
/// all have the sign of `x`. Twelve of them are more than double precision needs.
fn i1_near_zero(x: f64) -> f64 {
    let square = 0.25 * x * x;
    let (sum, _) = (1..12).fold((0.5 * x, 0.5 * x), |(sum, term), k| {
        let term = term * square / f64::from(k * (k + 1));
        (sum + term, term)
    });
    sum
}

/// Returns `K(x)` of order 0 or 1: the scaled function times `e^-x`, or infinity where that is infinite.
fn decayed(x: f64, order: u8) -> f64 {
    let scaled = k_scaled(x, order);
    if scaled == f64::INFINITY { scaled } else { scaled * (-x).exp() }
}

/// Returns `e^x K(x)` of order 0 or 1, infinite for numbers that are not positive. Near 0 it uses the power
/// series, elsewhere the integral of `e^(x (1 - cosh t)) cosh(n t)` over positive `t`, which sums at equal
/// distances give to the last digit, as the integrand decays doubly exponentially.
fn k_scaled(x: f64, order: u8) -> f64 {
    const STEP: f64 = 1.0 / 16.0;
    if x <= 0.0 {
        return f64::INFINITY;
    }
    if x.is_nan() || x.is_infinite() {
        return if x.is_nan() { x } else { 0.0 };
    }
    // The integrand decays slowly near 0, so the integral would need many terms.
    if x < 1.0 {
        return k_near_zero(x, order) * x.exp();
    }
    // The integrand is 1 at 0, which the trapezoidal rule counts half. `1 - cosh t = -2 sinh^2(t / 2)` avoids
    // a cancellation.
    let mut sum = 0.5;
    // The smaller the weights of the whole range, the narrower the steps.
    let step = STEP / x.sqrt().max(1.0);
    for i in 1.. {
        let half = (0.5 * step * f64::from(i)).sinh();
        let weight = (-2.0 * x * half * half).exp();
        let term = if order == 0 { weight } else { weight * (1.0 + 2.0 * half * half) };
        if term < 1e-18 {
            break;
        }
        sum += term;
    }
    sum * step
}

/// Returns `K(x)` for `0 < x < 1`: the power series in `z = (x / 2)^2`, with the harmonic numbers `h`. Twenty
/// terms reach the last digit with a wide margin, as the `k`-th is below `4^-k / (k!)^2`.
fn k_near_zero(x: f64, order: u8) -> f64 {
    const EULER: f64 = 0.577_215_664_901_532_9;
    let (half, log) = (0.5 * x, (0.5 * x).ln());
    let z = half * half;
    let (mut power, mut h, mut sum) = (1.0, 0.0, 0.0);
    for k in 0..20 {
        let (n, next) = (f64::from(k), f64::from(k + 1));
        // `power` is z^k over k! k! or k! (k + 1)!.
        if order == 0 {
            sum += power * (h - EULER - log);
            power *= z / (next * next);
        } else {
            let psi = 2.0 * (h - EULER) + 1.0 / next;
            sum += power * (log - 0.5 * psi);
            power *= z / (next * (n + 2.0));
        }
        h += 1.0 / next;
    }
    if order == 0 { sum } else { 1.0 / x + half * sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that TensorFlow gave.
    #[test]
    fn both_methods_for_the_second_kind_agree_with_known_values() {
        let known = [
            (0.1, 2.427069024702016, 9.853844780870606),
            (0.5, 0.9244190712276663, 1.6564411200033013),
            (1.0, 0.42102443824070823, 0.6019072301972348),
            (2.5, 0.062347553200366196, 0.07389081634774707),
            (60.0, 1.4138978405591074e-27, 1.425632026517104e-27),
        ];
        for (x, k0, k1) in known {
            for (found, expected) in [(decayed(x, 0), k0), (decayed(x, 1), k1)] {
                assert!((found / expected - 1.0).abs() < 4e-15, "{x}: {found} for {expected}");
            }
        }
        assert!((k_scaled(800.0, 0) / 0.044304427486646016 - 1.0).abs() < 4e-15);
        assert!((k_near_zero(0.999_999, 0) - decayed(1.0, 0)).abs() < 1e-6);
    }
}
