//! Exponentials, logarithms and what is made of them, in `f32` without branches.

/// 1.5 * 2^23: adding and subtracting it rounds to the nearest integer, ties to even.
const ROUND: f32 = 12_582_912.0;
/// The binary logarithm of e.
const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// ln 2 in two parts; the first has few bits, so that its multiples by an exponent are exact.
const LN2_HIGH: f32 = 0.693_359_4;
/// The part of ln 2 that its first bits leave.
const LN2_LOW: f32 = -2.121_944_4e-4;

/// 2^n for n from -126 to 127.
/// It has a fraction of 0, so only the exponent is put together.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// Splits `x = n ln 2 + r` with |r| at most (ln 2) / 2, and returns n and r.
///
/// For an `x` that is infinite, NaN, or so large that `n` leaves the range of exponents, `n` is meaningless:
/// callers limit `x` before or replace their results.
#[inline(always)]
fn reduce(x: f32) -> (i32, f32) {
    let shifted = x * LOG2_E + ROUND;
    let n = shifted - ROUND;
    // The first product is exact, so only its last digits are missing from the difference, which the second
    // one supplies.
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    ((shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32), r)
}

/// (e^r - 1 - r) / r^2 for a reduced r.
#[inline(always)]
fn exp_tail(r: f32) -> f32 {
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    p * r + 0.5
}

/// Returns e to the power of `x`. Results below the smallest normal number are 0.
///
/// ```
/// use compute::math::exp;
/// assert_eq!((exp(0.0), exp(-1000.0), exp(1000.0)), (1.0, 0.0, f32::INFINITY));
/// ```
#[inline(always)]
#[must_use]
pub fn exp(x: f32) -> f32 {
    /// The logarithms of the smallest normal number and of the largest.
    const LOW: f32 = -87.336_54;
    const HIGH: f32 = 88.722_84;
    let (n, r) = reduce(x);
    let y = exp_tail(r) * (r * r) + r + 1.0;
    // Times 2^n, by adding n to the exponent. Where that runs over, the result is replaced.
    let y = f32::from_bits(y.to_bits().wrapping_add((n as u32) << 23));
    let y = if x > HIGH { f32::INFINITY } else { y };
    let y = if x < LOW { 0.0 } else { y };
    if x.is_nan() { x } else { y }
}

/// Picks `x` where it is within the bounds, and NaN where it is NaN.
#[inline(always)]
fn clamp(x: f32, low: f32, high: f32) -> f32 {
    let x = if low > x { low } else { x };
    if high < x { high } else { x }
}

/// Returns e to the power of `x` minus 1, exact near 0.
///
/// ```
/// assert_eq!(compute::math::expm1(1e-20), 1e-20); // `exp(x) - 1` is 0
/// ```
#[inline(always)]
#[must_use]
pub fn expm1(x: f32) -> f32 {
    // Beyond these the result is -1 or infinity anyway, and the power of two below would run over.
    let (n, r) = reduce(clamp(x, -18.0, 89.0));
    let y = exp_tail(r) * (r * r) + r;
    // 2^n (y + 1) - 1, with one factor 2 kept back so that 2^128 does not overflow too early.
    let half = power_of_two(n.wrapping_sub(1));
    let result = (half * y + (half - 0.5)) * 2.0;
    // Keeps the sign of a zero.
    if x == 0.0 { x } else { result }
}

/// Returns the logarithm of a positive, finite `x`, as the sum of an exponent's part and the rest.
///
/// `x = 2^e (1 + f)` with `1 + f` between the roots of 1/2 and 2, so the logarithm is `e ln 2 + ln(1 + f)`
/// and nothing cancels for an `x` near 1, where `e` is 0.
#[inline(always)]
fn ln_positive(x: f32) -> f32 {
    const SQRT_HALF: u32 = 0x3f35_04f3;
    // Times 2^23, subnormal numbers have an exponent like all others.
    let tiny = x < f32::MIN_POSITIVE;
    let scaled = if tiny { x * 8_388_608.0 } else { x };
    let bits = scaled.to_bits().wrapping_add(1f32.to_bits() - SQRT_HALF);
    let exponent = (bits >> 23) as i32 - 127 - if tiny { 23 } else { 0 };
    // From sqrt(1/2) to sqrt(2), less 1.
    let f = f32::from_bits((bits & 0x007f_ffff) + SQRT_HALF) - 1.0;
    let e = exponent as f32;
    let z = f * f;
    let p = 7.037_683_6e-2;
    let p = p * f - 1.151_461e-1;
    let p = p * f + 1.167_699_9e-1;
    let p = p * f - 1.242_014_1e-1;
    let p = p * f + 1.424_932_3e-1;
    let p = p * f - 1.666_805_8e-1;
    let p = p * f + 2.000_071_5e-1;
    let p = p * f - 2.499_999_4e-1;
    let p = p * f + 3.333_333_1e-1;
    let y = p * f * z + e * LN2_LOW - 0.5 * z;
    (f + y) + e * LN2_HIGH
}

/// Returns the natural logarithm of `x`.
///
/// ```
/// assert_eq!(compute::math::ln(1.0), 0.0);
/// assert!(compute::math::ln(-1.0).is_nan());
/// ```
#[inline(always)]
#[must_use]
pub fn ln(x: f32) -> f32 {
    let y = ln_positive(x);
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    let y = if x < 0.0 { f32::NAN } else { y };
    // Infinity and NaN are their own logarithms.
    if x < f32::INFINITY { y } else { x }
}

/// Returns the natural logarithm of `1 + x`; exact near 0.
///
/// ```
/// assert_eq!(compute::math::log1p(1e-20), 1e-20); // `ln(1 + x)` is 0
/// ```
#[inline(always)]
#[must_use]
pub fn log1p(x: f32) -> f32 {
    let u = 1.0 + x;
    // The part that the addition lost, as a first-order correction.
    let lost = (x - (u - 1.0)) / u;
    let y = ln(u) + lost;
    let y = if u == 0.0 { f32::NEG_INFINITY } else { y };
    let y = if x == 0.0 { x } else { y };
    if x < f32::INFINITY { y } else { x }
}

/// Returns `1 / (1 + e^-x)`.
///
/// ```
/// assert_eq!(compute::math::sigmoid(0.0), 0.5);
/// ```
#[inline(always)]
#[must_use]
pub fn sigmoid(x: f32) -> f32 {
    // No case for large magnitudes: `exp` becomes infinity there, whose reciprocal is 0.
    1.0 / (1.0 + exp(-x))
}

/// Returns the hyperbolic tangent of `x`.
///
/// ```
/// assert_eq!((compute::math::tanh(0.0), compute::math::tanh(100.0)), (0.0, 1.0));
/// ```
#[inline(always)]
#[must_use]
pub fn tanh(x: f32) -> f32 {
    // From -1 to 0, without cancellation.
    let t = expm1(-2.0 * x.abs());
    let y = -t / (t + 2.0);
    y.copysign(x)
}

/// Returns `ln(1 + e^x)`, with TensorFlow's shortcuts at both ends.
///
/// ```
/// assert!((compute::math::softplus(0.0) - 2f32.ln()).abs() < 1e-6);
/// assert_eq!(compute::math::softplus(100.0), 100.0);
/// ```
#[inline(always)]
#[must_use]
pub fn softplus(x: f32) -> f32 {
    // ln(epsilon) + 2: where 1 + e^x is no longer distinct from e^x (or from 1).
    const THRESHOLD: f32 = -13.942_385;
    let e = exp(x);
    let y = log1p(e);
    let y = if x < THRESHOLD { e } else { y };
    if x > -THRESHOLD { x } else { y }
}
