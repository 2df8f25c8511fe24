//! Poisson-distributed numbers: by multiplication (Knuth) for small rates, by transformed rejection
//! (Hörmann) for large ones.

use half::f16;

use super::draws::Draws;
use super::gamma::for_columns;
use super::generator::Generator;
use crate::Pool;

/// Fills `out` with Poisson-distributed numbers, the operation `RandomPoissonV2`.
///
/// `out` holds rows of `rates.len()` numbers; column `i` has the rate `rates[i]`. A rate that is 0,
/// negative or not a finite number gives 0. A rate so large that the output type cannot hold its
/// numbers gives the type's largest number (TensorFlow does not return then, nor for NaN). Advances
/// the generator by 256 blocks for each element.
///
/// # Panics
/// When the length of `out` is not a multiple of the number of `rates`.
///
/// ```
/// use compute::Pool;
/// use compute::random::{Generator, fill_poisson};
///
/// let mut out = vec![0i64; 1000];
/// fill_poisson(&mut Generator::new(1, 2), &[4.0f32], &mut out, &Pool::single());
/// assert!((out.iter().sum::<i64>() as f64 / 1000.0 - 4.0).abs() < 0.3);
/// ```
pub fn fill_poisson<R, T>(generator: &mut Generator, rates: &[R], out: &mut [T], pool: &Pool)
where
    R: Copy + Into<f64> + Sync,
    T: Count,
{
    let start = generator.reserve_outputs(out.len());
    for_columns(rates.len(), out, pool, |column, index| {
        let draws = Draws::new(start.ahead(index.wrapping_mul(Generator::BLOCKS_PER_OUTPUT)));
        T::from_f64(sample(rates[column].into(), T::LARGEST, draws))
    });
}

/// Draws one number: by multiplication of uniform numbers for rates below 10, and otherwise by rejection.
fn sample(rate: f64, largest: f64, draws: Draws) -> f64 {
    if !rate.is_finite() {
        0.0
    } else if rate < 10.0 {
        by_product(rate, draws)
    } else {
        by_rejection(rate, largest, draws)
    }
}

/// Counts uniform numbers until their product is at most `exp(-rate)`.
///
/// It takes about `rate + 1` draws, hence the limit of 10. A rate below 0 has a limit above 1, so the count
/// is 0.
fn by_product(rate: f64, mut draws: Draws) -> f64 {
    let limit = (-rate).exp();
    let mut product = draws.uniform();
    let mut count = 0.0;
    while product > limit {
        product *= draws.uniform();
        count += 1.0;
    }
    count
}

/// Attempts after which the distribution is taken to lie beyond the largest number: any other is
/// rejected less than half of the time.
const ATTEMPTS: usize = 1000;

/// Draws a number with a large rate by Hörmann's transformed rejection (1993).
///
/// The number of draws hardly depends on the rate. A candidate above `largest` is rejected, and `largest` is
/// the result when no candidate is accepted.
fn by_rejection(rate: f64, largest: f64, mut draws: Draws) -> f64 {
    let log_rate = rate.ln();
    // Hörmann's constants, which he fitted for rates of 10 and more.
    let b = 0.931 + 2.53 * rate.sqrt();
    let a = -0.059 + 0.02483 * b;
    let inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
    let accepted_at_once = 0.9277 - 3.6224 / (b - 2.0);
    for _ in 0..ATTEMPTS {
        let u = draws.uniform() - 0.5;
        let v = draws.uniform();
        let us = 0.5 - u.abs();
        let k = ((2.0 * a / us + b) * u + rate + 0.43).floor();
        if k > largest {
            continue;
        }
        // Most candidates are accepted here, without a logarithm.
        if us >= 0.07 && v <= accepted_at_once {
            return k;
        }
        if k < 0.0 || (us < 0.013 && v > us) {
            continue;
        }
        let height = (v * inverse_alpha / (a / (us * us) + b)).ln();
        if height <= -rate + k * log_rate - libm::lgamma(k + 1.0) {
            return k;
        }
    }
    largest
}

/// A type that [`fill_poisson`] counts in: f16, f32, f64, i32 or i64.
pub trait Count: sealed::Count {}

mod sealed {
    /// A type of counts.
    pub trait Count: Send {
        /// The largest number that the type can represent.
        const LARGEST: f64;
        /// `count` is an integer from 0 to `LARGEST`.
        fn from_f64(count: f64) -> Self;
    }
}

/// Implements a type of counts.
macro_rules! count {
    ($($t:ty: $convert:expr),*) => {$(
        impl Count for $t {}
        impl sealed::Count for $t {
            const LARGEST: f64 = <$t>::MAX as f64;

            fn from_f64(count: f64) -> $t {
                let convert: fn(f64) -> $t = $convert;
                convert(count)
            }
        }
    )*};
}
count!(f32: |x| x as f32, f64: |x| x, i32: |x| x as i32, i64: |x| x as i64);

impl Count for f16 {}
impl sealed::Count for f16 {
    const LARGEST: f64 = 65504.0;

    fn from_f64(count: f64) -> f16 {
        f16::from_f32(count as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_rates_return_the_documented_values() {
        let rates = [0.0, -1.0, f64::NAN, f64::INFINITY, 1e12, 1e30];
        let mut out = [7i32; 6];
        fill_poisson(&mut Generator::new(1, 1), &rates, &mut out, &Pool::single());
        assert_eq!(out, [0, 0, 0, 0, i32::MAX, i32::MAX]);
    }
}
