//! Gamma-distributed numbers by the method of Marsaglia and Tsang.

use super::draws::Draws;
use super::fill::for_parts;
use super::generator::Generator;
use crate::Pool;

/// Fills `out` with gamma-distributed numbers of scale 1, the operation `RandomGamma`.
///
/// `out` holds rows of `alphas.len()` numbers; column `i` has the shape parameter `alphas[i]`. Shapes
/// of -2/3 or less and NaN yield NaN; those between -2/3 and 0 yield meaningless numbers, as
/// TensorFlow does. Advances the generator by 256 blocks for each element. On the last bit of f64 see
/// [`fill_normal`](super::fill_normal).
///
/// # Panics
/// When the length of `out` is not a multiple of the number of `alphas`.
///
/// ```
/// use compute::Pool;
/// use compute::random::{Generator, fill_gamma};
///
/// let mut out = vec![0.0f64; 2000];
/// fill_gamma(&mut Generator::new(1, 2), &[2.0, 30.0], &mut out, &Pool::single());
/// let mean = |column: usize| out[column..].iter().step_by(2).sum::<f64>() / 1000.0;
/// assert!((mean(0) - 2.0).abs() < 0.2);
/// assert!((mean(1) - 30.0).abs() < 1.0);
/// ```
pub fn fill_gamma<T: super::Real>(generator: &mut Generator, alphas: &[T], out: &mut [T], pool: &Pool) {
    let start = generator.reserve_outputs(out.len());
    for_columns(alphas.len(), out, pool, |column, index| {
        let draws = Draws::new(start.ahead(index.wrapping_mul(Generator::BLOCKS_PER_OUTPUT)));
        T::from_f64(sample(alphas[column].into_f64(), draws))
    });
}

/// Elements per thread below which a further thread is not worth its start.
const GRAIN: usize = 256;

/// Sets every element of `out`, whose rows have `columns` elements, to `value(column, index)`, where
/// `index` counts the elements column after column.
pub(super) fn for_columns<T: Send>(
    columns: usize,
    out: &mut [T],
    pool: &Pool,
    value: impl Fn(usize, u64) -> T + Sync,
) {
    let rows = out.len().checked_div(columns).unwrap_or(0);
    assert_eq!(rows * columns, out.len(), "{} elements in rows of {columns}", out.len());
    for_parts(out, GRAIN, pool, |from, part| {
        for (i, out) in (from..).zip(part) {
            let (row, column) = (i / columns, i % columns);
            // TensorFlow draws all numbers of one parameter before those of the next.
            *out = value(column, (column * rows + row) as u64);
        }
    });
}

/// Draws one number by Marsaglia and Tsang's method. Shapes below 1 are raised by 1 and scaled by a power of a
/// uniform number.
///
/// With `d = alpha - 1/3` and `c = 1 / sqrt(9 d)`, a candidate is `d (1 + c x)^3` for a normal number `x`. At
/// least 95 of 100 are accepted.
fn sample(alpha: f64, mut draws: Draws) -> f64 {
    // The exponential distribution takes one draw. The logarithm is of 1 minus the number, which is never 0.
    if alpha == 1.0 {
        return -(-draws.uniform()).ln_1p();
    }
    // A shape below 1 is sampled as one above and corrected by a power of a uniform number.
    let boosted = alpha < 1.0;
    let d = alpha + if boosted { 2.0 / 3.0 } else { -1.0 / 3.0 };
    let c = 1.0 / 3.0 / d.sqrt();
    // The root of a negative number: no candidate would ever be accepted.
    if c.is_nan() {
        return f64::NAN;
    }
    loop {
        let x = draws.normal();
        let v = 1.0 + c * x;
        if v <= 0.0 {
            continue;
        }
        let v = v * v * v;
        let u = draws.uniform();
        // The first condition is a bound of the second that spares its logarithms.
        if u < 1.0 - 0.0331 * (x * x) * (x * x) || u.ln() < 0.5 * x * x + d * (1.0 - v + v.ln()) {
            return if boosted { d * v * draws.uniform().powf(1.0 / alpha) } else { d * v };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_shapes_return_the_documented_values() {
        let alphas = [0.0f32, -1.0, f32::NAN, f32::INFINITY, 1e-30, 1e30];
        let mut out = [0.5; 6];
        fill_gamma(&mut Generator::new(1, 1), &alphas, &mut out, &Pool::single());
        assert_eq!((out[0], out[3], out[4], out[5]), (0.0, f32::INFINITY, 0.0, 1e30));
        assert!(out[1].is_nan() && out[2].is_nan());
    }
}
