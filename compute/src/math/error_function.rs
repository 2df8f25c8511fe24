//! The error function, in `f32` without branches.
//!
//! Computed in `f64`, which saves the care that `e^(-x^2)` otherwise needs: the relative error of the square is
//! multiplied by the square itself. The polynomials are least-maximum fits of relative error below 1e-9.

/// erf(x) / x in powers of x^2, for x up to 1.
const SMALL: [f64; 9] = [
    1.128_379_167_094_590_2,
    -0.376_126_388_885_257_5,
    0.112_837_912_856_753_93,
    -0.026_866_131_427_936_09,
    0.005_223_776_467_615_834,
    -0.000_854_249_006_969_620_7,
    0.000_119_548_304_191_849_36,
    -1.389_876_513_657_739_6e-5,
    1.056_312_555_055_064_8e-6,
];

/// (1 + 2x) e^(x^2) erfc(x) in powers of (x - 3.75) / (x + 3.75), for x from 0 to 10.2.
const TAIL: [f64; 12] = [
    1.237_512_630_929_828,
    -0.140_240_583_694_138_94,
    0.003_585_403_767_488_459,
    0.082_275_977_348_249_01,
    -0.108_804_116_355_962_18,
    0.092_315_095_990_185_45,
    -0.058_683_391_113_373_56,
    0.028_305_976_022_808_71,
    -0.009_833_743_034_977_28,
    0.001_836_302_350_108_780_2,
    0.000_517_410_547_103_032_4,
    -0.000_198_573_968_669_629_93,
];

/// e^r for |r| at most (ln 2) / 2.
const EXP: [f64; 8] = [
    0.999_999_999_961_658_8,
    1.000_000_000_243_252_8,
    0.500_000_010_458_34,
    0.166_666_651_253_785_96,
    0.041_666_225_292_318_53,
    0.008_333_561_168_993_58,
    0.001_394_819_229_741_265_3,
    0.000_197_751_569_847_713_64,
];

/// Evaluates a polynomial by Horner's method, with the constant term first.
#[inline(always)]
fn polynomial<const N: usize>(coefficients: &[f64; N], x: f64) -> f64 {
    let mut sum = coefficients[N - 1];
    for k in (0..N - 1).rev() {
        sum = sum * x + coefficients[k];
    }
    sum
}

/// e^x for x from -700 to 0, to about 10 digits.
///
/// `x = n ln 2 + r` with an integer `n`, so the result is `e^r` with `n` added to its exponent. It serves
/// `e^(-x^2)` only, for which ten digits are enough: the result is rounded to `f32`.
#[inline(always)]
fn exp(x: f64) -> f64 {
    /// 1.5 * 2^52: adding and subtracting it rounds to the nearest integer.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    // The integer ends up in the lowest bits of the sum. A cast would saturate, which vector instructions do
    // not.
    let shifted = x * std::f64::consts::LOG2_E + ROUND;
    let r = x - (shifted - ROUND) * std::f64::consts::LN_2;
    let n = shifted.to_bits().wrapping_sub(ROUND.to_bits());
    // Times 2^n, in the bits of the exponent: from -700 on, the result is a normal number.
    f64::from_bits(polynomial(&EXP, r).to_bits().wrapping_add(n << 52))
}

/// erfc(x) for x from 0 on.
/// NaN stays NaN.
#[inline(always)]
fn tail(x: f64) -> f64 {
    // Beyond this the result is 0 in `f32`.
    let x = if x > 10.2 { 10.2 } else { x };
    // The quotient maps 0 to -1 and 10.2 to 0.46, so that one polynomial serves the whole range.
    exp(-x * x) * polynomial(&TAIL, (x - 3.75) / (x + 3.75)) / (1.0 + 2.0 * x)
}

/// Returns the error function of `x`.
///
/// ```
/// assert_eq!((compute::math::erf(0.0), compute::math::erf(10.0)), (0.0, 1.0));
/// ```
#[inline(always)]
#[must_use]
pub fn erf(x: f32) -> f32 {
    let magnitude = f64::from(x.abs());
    // Both are computed for every element: a branch would keep loops from being vectorized.
    let small = magnitude * polynomial(&SMALL, magnitude * magnitude);
    let large = 1.0 - tail(magnitude);
    let y = if magnitude < 1.0 { small } else { large };
    (y as f32).copysign(x)
}

/// Returns the complementary error function of `x`: 1 minus the error function, without cancellation for large `x`.
///
/// ```
/// assert_eq!(compute::math::erfc(0.0), 1.0);
/// assert!(compute::math::erfc(5.0) > 0.0); // `1 - erf(5)` is 0
/// ```
#[inline(always)]
#[must_use]
pub fn erfc(x: f32) -> f32 {
    let tail = tail(f64::from(x.abs()));
    (if x < 0.0 { 2.0 - tail } else { tail }) as f32
}
