//! Functions against those of the platform in double precision.

use super::*;

/// Returns a spread over all finite numbers, with the edges.
fn inputs() -> impl Iterator<Item = f32> {
    let spread = (0..=u32::from(u16::MAX))
        .flat_map(|high| [0x1234, 0x9abc].map(|low| f32::from_bits(high << 16 | low)));
    let fine = (0..400_000).map(|i| (i - 200_000) as f32 * 5.5e-4);
    spread.chain(fine).filter(|x| x.is_finite())
}

/// Returns the distance from the exact result in units of the last place.
fn error(found: f32, exact: f64) -> f64 {
    let nearest = exact as f32;
    if found == nearest || found.is_nan() && exact.is_nan() {
        return 0.0;
    }
    let unit = f64::from(nearest.abs().max(f32::MIN_POSITIVE)) * f64::from(f32::EPSILON) / 2.0;
    let unit =
        unit.max(f64::from((f32::from_bits(nearest.abs().to_bits() + 1) - nearest.abs()).min(f32::MAX)));
    (f64::from(found) - exact).abs() / unit
}

fn check(name: &str, limit: f64, function: fn(f32) -> f32, exact: fn(f64) -> f64) {
    let (mut worst, mut at) = (0.0, 0.0);
    for x in inputs() {
        let exact = exact(x.into());
        // Results below the normal numbers may be 0 or subnormal.
        if exact.abs() < f64::from(f32::MIN_POSITIVE) && function(x).abs() <= f32::MIN_POSITIVE {
            continue;
        }
        let error = error(function(x), exact);
        if error > worst {
            (worst, at) = (error, x);
        }
    }
    assert!(worst <= limit, "{name}({at:e}) is {:e}, off by {worst} units", function(at));
}

#[test]
fn functions_are_as_accurate_as_documented() {
    check("exp", 1.5, exp, f64::exp);
    check("expm1", 1.5, expm1, f64::exp_m1);
    check("ln", 1.5, ln, f64::ln);
    check("log1p", 1.5, log1p, f64::ln_1p);
    check("tanh", 2.5, tanh, f64::tanh);
    check("sigmoid", 2.5, sigmoid, |x| 1.0 / (1.0 + (-x).exp()));
    check("softplus", 8.0, softplus, |x| x.max(0.0) + (-x.abs()).exp().ln_1p());
    check("erf", 1.0, erf, libm::erf);
    check("erfc", 1.0, erfc, libm::erfc);
}

#[test]
fn edge_cases_are_those_of_c() {
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    assert_eq!(
        [exp(inf), exp(-inf), exp(0.0), exp(-0.0), exp(1e30), exp(-1e30)],
        [inf, 0.0, 1.0, 1.0, inf, 0.0]
    );
    assert!(exp(88.722_83) < inf && exp(88.722_85) == inf);
    assert!(exp(-87.336_5) >= f32::MIN_POSITIVE);
    assert_eq!([expm1(inf), expm1(-inf)], [inf, -1.0]);
    assert!(expm1(88.7) < inf && expm1(89.0) == inf);
    assert_eq!(expm1(-0.0).to_bits(), (-0.0f32).to_bits());
    assert_eq!([ln(0.0), ln(-0.0), ln(inf), ln(1.0)], [-inf, -inf, inf, 0.0]);
    assert!(ln(-1.0).is_nan() && ln(-inf).is_nan());
    assert_eq!([log1p(-1.0), log1p(inf)], [-inf, inf]);
    assert_eq!(log1p(-0.0).to_bits(), (-0.0f32).to_bits());
    assert!(log1p(-1.5).is_nan() && log1p(-inf).is_nan());
    assert_eq!([tanh(inf), tanh(-inf), tanh(1e-30)], [1.0, -1.0, 1e-30]);
    assert_eq!(tanh(-0.0).to_bits(), (-0.0f32).to_bits());
    assert_eq!([sigmoid(inf), sigmoid(-inf), sigmoid(0.0)], [1.0, 0.0, 0.5]);
    assert_eq!([softplus(inf), softplus(-inf), softplus(100.0)], [inf, 0.0, 100.0]);
    assert_eq!([erf(inf), erf(-inf), erfc(inf), erfc(-inf)], [1.0, -1.0, 0.0, 2.0]);
    assert_eq!(erf(-0.0).to_bits(), (-0.0f32).to_bits());
    for function in [exp, expm1, ln, log1p, tanh, sigmoid, softplus, erf, erfc] {
        assert!(function(nan).is_nan());
    }
}

#[test]
fn subnormal_arguments_count() {
    assert_eq!(ln(1e-40), (1e-40f32 as f64).ln() as f32);
    assert_eq!(expm1(1e-40), 1e-40);
    assert_eq!(log1p(1e-40), 1e-40);
}
