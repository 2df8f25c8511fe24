//! Special functions: computed in double precision, whatever the dtype.
//!
//! # Semantics
//!
//! Functions of several numbers are broadcast. All results have the dtype of the inputs, except for `Real`,
//! `Imag`, `Angle` and `ComplexAbs`, which return the real dtype of a complex input.
//!
//! | op type | inputs | domain | at the edges |
//! | --- | --- | --- | --- |
//! | `Digamma` | `x` | all but 0 and negative integers | NaN there |
//! | `Erfinv` | `x` | -1 to 1 | infinities at both ends, NaN outside |
//! | `Ndtri` | `p` | 0 to 1 | infinities at both ends, NaN outside |
//! | `Igamma`, `Igammac` | `a`, `x` | `a > 0`, `x >= 0` | NaN outside; they add up to 1 |
//! | `IgammaGradA`, `RandomGammaGrad` | `a`, `x` | the same | NaN outside |
//! | `Zeta` | `x`, `q` | `x > 1`, `q > 0` | infinity for `x = 1`, NaN for `x < 1`; see [`zeta`] for `q <= 0`
//! |
//! | `Polygamma` | `a`, `x` | integers `a >= 0` | NaN for other `a` |
//! | `Betainc` | `a`, `b`, `x` | `a, b > 0`, `x` of 0 to 1 | NaN outside |
//!
//! NaN in any argument gives NaN. Results are rounded once, from double precision, so they may be more
//! accurate than TensorFlow's in single precision, within the bounds that the tests state. Each element is
//! computed on its own in one thread; the functions cost some tens to hundreds of operations, close to the
//! edges more.
//!
//! ```text
//! Digamma 1            -0.5772        Igamma 2, 1            0.2642 = 1 - 2 / e
//! Erfinv 0.5            0.4769        Igammac 2, 1           0.7358 = 2 / e
//! Zeta 2, 1             1.6449        IgammaGradA 2, 1      -0.2762
//! Polygamma 1, 1        1.6449        RandomGammaGrad 2, 1   0.7508
//! Betainc 2, 3, 0.5     0.6875
//! ```

use super::elementwise::{boxed, incompatible, repeated};
use crate::dispatch::check_float;
use crate::kernel::{Kernel, KernelContext};
use crate::registry::Registry;
use compute::elementwise::{self, Broadcast, ComplexPart, complex_part};
use compute::math::Real;
use session_core::Result;
use tensor::{Complex, DType, Element, Shape, memory};

/// Registers the op types. The parts of complex numbers are here, too, as functions of one number with
/// another dtype.
///
/// A further function needs its formula in double precision and a line here, with [`one`] or [`several`].
pub(crate) fn register(registry: &mut Registry) {
    registry.add("Digamma", |spec| one(spec.input_dtype(0), digamma));
    registry.add("Erfinv", |spec| one(spec.input_dtype(0), erfinv));
    registry.add("Ndtri", |spec| one(spec.input_dtype(0), ndtri));
    registry.add("Igamma", |spec| several::<2>(spec.input_dtype(0), |[a, x]| igamma(a, x)));
    registry.add("Igammac", |spec| several::<2>(spec.input_dtype(0), |[a, x]| igammac(a, x)));
    registry.add("IgammaGradA", |spec| several::<2>(spec.input_dtype(0), |[a, x]| igamma_slope(a, x)));
    registry
        .add("RandomGammaGrad", |spec| several::<2>(spec.input_dtype(0), |[a, x]| gamma_sample_slope(a, x)));
    registry.add("Zeta", |spec| several::<2>(spec.input_dtype(0), |[x, q]| zeta(x, q)));
    registry.add("Polygamma", |spec| several::<2>(spec.input_dtype(0), |[n, x]| polygamma(n, x)));
    registry.add("Betainc", |spec| several::<3>(spec.input_dtype(0), |[a, b, x]| betainc(a, b, x)));
    registry.add("Real", |spec| part(spec.input_dtype(0), ComplexPart::Real));
    registry.add("Imag", |spec| part(spec.input_dtype(0), ComplexPart::Imag));
    registry.add("Angle", |spec| part(spec.input_dtype(0), ComplexPart::Angle));
    registry.add("ComplexAbs", |spec| part(spec.input_dtype(0), ComplexPart::ComplexAbs));
}

/// Returns the kernel of a part of complex numbers, for the dtype of the input.
fn part(dtype: DType, part: ComplexPart) -> Result<Box<dyn Kernel>> {
    match dtype {
        DType::Complex64 => Ok(boxed(move |context| part_of::<f32>(context, part))),
        _ => Ok(boxed(move |context| part_of::<f64>(context, part))),
    }
}

/// Delivers a part of each complex number as a real one, in parallel.
fn part_of<T: Element + Real>(context: &mut KernelContext<'_>, part: ComplexPart) -> Result<()>
where
    Complex<T>: Element + elementwise::Element,
{
    let kernel = complex_part::<T>(part);
    context.produce::<T>(0, context.input(0).shape().clone(), |context, output| {
        kernel.run(context.pool(), context.slice::<Complex<T>>(0)?, output);
        Ok(())
    })
}

/// Returns the kernel of a function of one number. The dtype must be a float. The kernel works as that of
/// [`several`].
pub(super) fn one(dtype: DType, function: fn(f64) -> f64) -> Result<Box<dyn Kernel>> {
    check_float(dtype)?;
    Ok(boxed(move |context| several_of::<1>(context, &|[x]| function(x))))
}

/// Returns the kernel of a function of `N` numbers of one float dtype.
fn several<const N: usize>(dtype: DType, function: fn([f64; N]) -> f64) -> Result<Box<dyn Kernel>> {
    check_float(dtype)?;
    Ok(boxed(move |context| several_of::<N>(context, &function)))
}

/// Applies a function of several numbers, with broadcasting. The inputs are widened to double precision and
/// repeated to the common shape, and the results are rounded to the dtype of input 0.
fn several_of<const N: usize>(
    context: &mut KernelContext<'_>,
    function: &dyn Fn([f64; N]) -> f64,
) -> Result<()> {
    let dtype = context.input(0).dtype();
    let mut dims = context.input(0).shape().clone();
    for input in 1..N {
        let plan = Broadcast::new([&dims[..], &context.input(input).shape()[..]]);
        dims = Shape::new(plan.map_err(|error| incompatible(&error))?.output_shape());
    }
    // The operands at full size and in double precision: simple, at a cost that is small next to the
    // functions.
    let mut columns: Vec<Vec<f64>> = Vec::with_capacity(N);
    for input in 0..N {
        columns.push(repeated(context, context.input(input).shape(), &context.doubles(input)?, &dims)?);
    }
    let result = |i: usize| function(std::array::from_fn(|input| columns[input][i]));
    let results = memory::collected((0..dims.elements()).map(result))?;
    context.produce_values(0, dtype, dims, &|context, output| {
        elementwise::cast_values(context.pool(), results.as_slice().into(), output);
        Ok(())
    })
}

/// The argument from which on the asymptotic series of the digamma function is exact to the last digit.
const FAR: f64 = 10.0;

/// Returns the logarithmic derivative of the gamma function. Negative numbers are reflected, small ones moved
/// beyond [`FAR`] by `psi(x) = psi(x + 1) - 1 / x`; there the asymptotic series takes over.
///
/// ```text
/// psi(x) = psi(1 - x) - pi / tan(pi x)                    for x < 0
/// psi(x) = ln x - 1 / (2 x) - sum of B_2k / (2 k x^2k)    for x >= 10, seven terms
/// ```
///
/// Infinity stays infinity, and NaN stays NaN.
fn digamma(x: f64) -> f64 {
    if x <= 0.0 {
        if x == x.floor() {
            return f64::NAN;
        }
        // The tangent has the period 1 in `x`; the fraction keeps its argument small and exact.
        let part = std::f64::consts::PI * (x - x.floor());
        return digamma(1.0 - x) - std::f64::consts::PI / part.tan();
    }
    let (mut x, mut shift) = (x, 0.0);
    while x < FAR {
        shift += 1.0 / x;
        x += 1.0;
    }
    let z = 1.0 / (x * x);
    // Bernoulli's numbers `B_2k` over `2 k`.
    let series = [
        8.333_333_333_333_333e-2,
        -8.333_333_333_333_333e-3,
        3.968_253_968_253_968e-3,
        -4.166_666_666_666_667e-3,
        7.575_757_575_757_576e-3,
        -2.109_279_609_279_609_4e-2,
        8.333_333_333_333_333e-2,
    ];
    let tail = series.iter().rev().fold(0.0, |sum, term| sum * z + term) * z;
    x.ln() - 0.5 / x - tail - shift
}

/// Returns Hurwitz's zeta function, the sum of `(q + n)^-x` over `n >= 0`: at least nine terms one by one,
/// the rest by Euler and Maclaurin.
///
/// For `q <= 0` some base is negative. An integer `q` has a pole, infinity for even `x` and NaN otherwise;
/// for other `q` the result is NaN unless `x` is an integer. These are the conventions of Cephes, which
/// TensorFlow has, too.
///
/// ```text
/// sum of (q + n)^-x for n <= N
///   + a^(1 - x) / (x - 1) - a^-x / 2
///   + sum of x (x + 1) ... (x + 2k - 2) B_2k / (2 k)! a^-(x + 2k - 1)
/// ```
///
/// with `a` as the last base, which is counted with half its weight in the second part.
fn zeta(x: f64, q: f64) -> f64 {
    // `(2 k)!` over Bernoulli's numbers `B_2k`.
    const TERMS: [f64; 12] = [
        12.0,
        -720.0,
        30_240.0,
        -1_209_600.0,
        47_900_160.0,
        -1.892_437_580_318_379_2e9,
        7.472_424_96e10,
        -2.950_130_727_918_164_2e12,
        1.164_678_281_435_006_7e14,
        -4.597_978_722_407_472e15,
        1.815_210_540_194_354_8e17,
        -7.166_165_256_175_667e18,
    ];
    if x == 1.0 {
        return f64::INFINITY;
    }
    if x < 1.0 || x.is_nan() || q.is_nan() {
        return f64::NAN;
    }
    // The base `q + n` is negative for the first terms.
    if q <= 0.0 {
        let is_pole = q == q.floor() && x == x.floor() && x % 2.0 == 0.0;
        if q == q.floor() || x != x.floor() {
            return if is_pole { f64::INFINITY } else { f64::NAN };
        }
    }
    // Every term is 0; the remainder's would be NaN.
    if q == f64::INFINITY {
        return 0.0;
    }
    let mut sum = q.powf(-x);
    let (mut a, mut i) = (q, 0);
    let mut term;
    // The remainder's series is asymptotic: it needs a base of 9 or more for the last digit.
    while i < 9 || a <= 9.0 {
        i += 1;
        a += 1.0;
        term = a.powf(-x);
        sum += term;
        if (term / sum).abs() < f64::EPSILON / 2.0 {
            return sum;
        }
    }
    let w = a;
    let mut power = w.powf(-x);
    sum += power * w / (x - 1.0) - 0.5 * power;
    let (mut factor, mut k) = (1.0, 0.0);
    for bernoulli in TERMS {
        factor *= x + k;
        power /= w;
        let term = factor * power / bernoulli;
        sum += term;
        if (term / sum).abs() < f64::EPSILON / 2.0 {
            return sum;
        }
        k += 1.0;
        factor *= x + k;
        power /= w;
        k += 1.0;
    }
    sum
}

/// Returns the `n`-th derivative of `digamma` at `x`, `(-1)^(n + 1) n! zeta(n + 1, x)`; for `n` of 0
/// `digamma` itself. `n` must be an integer of 0 or more, otherwise the result is NaN.
fn polygamma(n: f64, x: f64) -> f64 {
    if n < 0.0 || n != n.floor() {
        return f64::NAN;
    }
    if n == 0.0 {
        return digamma(x);
    }
    let sign = if n % 2.0 == 0.0 { -1.0 } else { 1.0 };
    sign * Real::lgamma(n + 1.0).exp() * zeta(n + 1.0, x)
}

/// The relative size below which a term is negligible.
const SMALL: f64 = 1e-17;
/// The largest number of terms of a series or fraction. A loop that reaches it returns what it has: only
/// extreme arguments do.
const ROUNDS: usize = 20_000;

/// `x^a e^-x / gamma(a + 1)`. In logarithms, so that no power overflows.
fn gamma_factor(a: f64, x: f64) -> f64 {
    (a * x.ln() - x - Real::lgamma(a + 1.0)).exp()
}

/// Returns the regularized lower incomplete gamma function `P(a, x)`. Beyond its turning point, `x > a`, one
/// minus the fraction of the upper one converges faster than the series. 0 for an infinite `a` and, as in
/// TensorFlow whatever `a` is, for `x = 0`; 1 for an infinite `x`.
fn igamma(a: f64, x: f64) -> f64 {
    if x == 0.0 {
        return 0.0;
    }
    if a.is_nan() || x.is_nan() || x < 0.0 || a <= 0.0 {
        return f64::NAN;
    }
    if a.is_infinite() {
        return 0.0;
    }
    if x.is_infinite() {
        return 1.0;
    }
    if x > 1.0 && x > a { 1.0 - upper_fraction(a, x) } else { lower_series(a, x) }
}

/// Returns the regularized upper incomplete gamma function `Q(a, x) = 1 - P(a, x)`, without a cancellation
/// where it is small. 1 for `x = 0` and for an infinite `a`, 0 for an infinite `x`.
fn igammac(a: f64, x: f64) -> f64 {
    if a.is_nan() || x.is_nan() || x < 0.0 || a <= 0.0 {
        return f64::NAN;
    }
    if x.is_infinite() {
        return 0.0;
    }
    if x == 0.0 || a.is_infinite() {
        return 1.0;
    }
    if x > 1.0 && x > a { upper_fraction(a, x) } else { 1.0 - lower_series(a, x) }
}

/// Returns `P(a, x)` as a power series, the sum of `x^n / ((a + 1) ... (a + n))` times [`gamma_factor`].
///
/// All terms are positive, so nothing cancels, and they fall from the start, as the caller keeps `x` below
/// `a + 1`.
fn lower_series(a: f64, x: f64) -> f64 {
    let (mut term, mut sum, mut r) = (1.0, 1.0, a);
    for _ in 0..ROUNDS {
        r += 1.0;
        term *= x / r;
        sum += term;
        if term <= SMALL * sum {
            break;
        }
    }
    sum * gamma_factor(a, x)
}

/// Returns `Q(a, x)` by Lentz's evaluation of its continued fraction.
///
/// ```text
/// Q(a, x) = x^a e^-x / gamma(a) * 1 / (x + 1 - a - 1 (1 - a) / (x + 3 - a - 2 (2 - a) / (x + 5 - a - ...)))
/// ```
fn upper_fraction(a: f64, x: f64) -> f64 {
    // Stands in for a denominator of 0, from which the method recovers in the next step.
    let tiny = 1e-300;
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / tiny;
    let mut d = 1.0 / b;
    let mut fraction = d;
    for i in 1..ROUNDS {
        let i = i as f64;
        let an = -i * (i - a);
        b += 2.0;
        d = an * d + b;
        d = 1.0 / if d.abs() < tiny { tiny } else { d };
        c = b + an / c;
        c = if c.abs() < tiny { tiny } else { c };
        let change = d * c;
        fraction *= change;
        if (change - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    fraction * a * gamma_factor(a, x)
}

/// Returns the derivative of the lower function by its first argument: of its series, term by term. NaN
/// outside of the domain, 0 for an infinite `a` and at both ends.
fn igamma_slope(a: f64, x: f64) -> f64 {
    if x == 0.0 {
        return 0.0;
    }
    if a.is_nan() || x.is_nan() || x < 0.0 || a <= 0.0 {
        return f64::NAN;
    }
    if a.is_infinite() || x.is_infinite() {
        return 0.0;
    }
    // All terms carry the factor, so that none is too large where it is tiny.
    slope_series(a, x, gamma_factor(a, x))
}

/// Returns the slope of the lower incomplete gamma function by `a`, as a series whose first term is given.
/// With `first` as the common factor `x^a e^-x / gamma(a + 1)` this is `dP/da`; with 1 it is that slope over
/// the factor.
///
/// ```text
/// P(a, x)  = sum of t_n,  t_n = first * x^n / ((a + 1) ... (a + n))
/// dP/da    = P (ln x - psi(a + 1)) - sum of t_n (1 / (a + 1) + ... + 1 / (a + n))
/// ```
fn slope_series(a: f64, x: f64, first: f64) -> f64 {
    let (mut term, mut sum, mut slope, mut harmonic, mut r) = (first, first, 0.0, 0.0, a);
    for _ in 0..ROUNDS {
        r += 1.0;
        term *= x / r;
        harmonic += 1.0 / r;
        sum += term;
        slope -= term * harmonic;
        if term * harmonic.max(1.0) <= SMALL * sum {
            break;
        }
    }
    sum * (x.ln() - digamma(a + 1.0)) + slope
}

/// Returns how far a gamma-distributed sample `x` moves with the shape `a` at the same probability of smaller
/// samples: minus the slope of that probability by `a`, over the density `a / x` times the factor of the
/// series.
///
/// For large `x`, where the series overflows, `ln x - psi(a)` is the ratio's leading term.
fn gamma_sample_slope(a: f64, x: f64) -> f64 {
    if a.is_nan() || x.is_nan() || x < 0.0 || a <= 0.0 {
        return f64::NAN;
    }
    if x == 0.0 {
        return 0.0;
    }
    let slope = -slope_series(a, x, 1.0) * x / a;
    // So far out that the series overflows, the density decides.
    if slope.is_finite() { slope } else { x.ln() - digamma(a) }
}

/// Returns the regularized incomplete beta function `I_x(a, b)`: by a continued fraction that converges fast
/// below the mean of the distribution, and above it by the symmetry `I_x(a, b) = 1 - I_(1-x)(b, a)`.
///
/// The bounds 0 and 1 of `x` return themselves; NaN and everything outside of the domain give NaN.
fn betainc(a: f64, b: f64, x: f64) -> f64 {
    if !(a > 0.0 && b > 0.0 && (0.0..=1.0).contains(&x)) {
        return f64::NAN;
    }
    if x == 0.0 || x == 1.0 {
        return x;
    }
    // The common factor, in logarithms, as gamma functions overflow early.
    let front =
        (Real::lgamma(a + b) - Real::lgamma(a) - Real::lgamma(b) + a * x.ln() + b * (-x).ln_1p()).exp();
    if x < (a + 1.0) / (a + b + 2.0) {
        front * beta_fraction(a, b, x) / a
    } else {
        1.0 - front * beta_fraction(b, a, 1.0 - x) / b
    }
}

/// Returns the continued fraction of the incomplete beta function by Lentz's method, an even and an odd step
/// in each round.
///
/// `a` and `b` are positive and `x` is below the mean of the distribution, where the fraction converges fast.
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    let tiny = 1e-300;
    let away = |value: f64| if value.abs() < tiny { tiny } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for m in 1..ROUNDS {
        let m = m as f64;
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away(1.0 + even * d);
        c = away(1.0 + even / c);
        fraction *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away(1.0 + odd * d);
        c = away(1.0 + odd / c);
        let change = d * c;
        fraction *= change;
        if (change - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    fraction
}

/// Returns the inverse of the error function: a first guess (Winitzki), then Halley's steps. Each of Halley's
/// steps triples the number of correct digits; four are enough from a guess within 0.2 percent.
fn erfinv(y: f64) -> f64 {
    if y.is_nan() || y.abs() > 1.0 {
        return f64::NAN;
    }
    if y.abs() == 1.0 {
        return f64::INFINITY.copysign(y);
    }
    if y == 0.0 {
        return y;
    }
    let magnitude = y.abs();
    let log = (-magnitude * magnitude).ln_1p();
    let middle = 2.0 / (std::f64::consts::PI * 0.147) + log / 2.0;
    let mut x = ((middle * middle - log / 0.147).sqrt() - middle).sqrt();
    for _ in 0..4 {
        // Where the function comes close to 1, its distance to 1 is what counts.
        let error =
            if magnitude > 0.5 { (1.0 - magnitude) - Real::erfc(x) } else { Real::erf(x) - magnitude };
        let slope = std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp();
        let newton = error / slope;
        x -= newton / (1.0 + x * newton);
    }
    x.copysign(y)
}

/// Returns the quantile of the standard normal distribution. Symmetric: the quantile of `1 - p` is minus that
/// of `p`. The guess in the tail is the rational approximation 26.2.23 of Abramowitz and Stegun, with an
/// error below `4.5e-4`.
fn ndtri(p: f64) -> f64 {
    if !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    if p == 0.0 || p == 1.0 {
        return if p == 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    let near = p.min(1.0 - p);
    // In the tails `2p - 1` has lost the digits that matter: a guess from the tail, refined there.
    let magnitude = if near > 1e-3 {
        std::f64::consts::SQRT_2 * erfinv(1.0 - 2.0 * near)
    } else {
        let t = (-2.0 * near.ln()).sqrt();
        let mut x = t
            - (2.515_517 + t * (0.802_853 + t * 0.010_328))
                / (1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308)));
        for _ in 0..4 {
            let error = near - 0.5 * Real::erfc(x / std::f64::consts::SQRT_2);
            let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
            let newton = error / density;
            x -= newton / (1.0 + 0.5 * x * newton);
        }
        x
    };
    if p < 0.5 { -magnitude } else { magnitude }
}
