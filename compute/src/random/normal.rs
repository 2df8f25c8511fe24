//! Standard normal numbers by the method of Box and Muller.

use super::bits;
use super::fill::Distribution;
use super::float_math::{ln, sin_cos};
use super::generator::Generator;
use crate::Pool;

/// Fills `out` with normal numbers of mean 0 and variance 1, the operation `RandomStandardNormal`.
///
/// f16 and bf16 are rounded from f32. Advances the generator by 256 blocks for each element.
///
/// f32, f16 and bf16 are the same on every machine. f64 uses the platform's logarithm, sine and
/// cosine, whose last bit may differ between C libraries; on one machine it is what TensorFlow returns
/// there.
///
/// ```
/// use compute::Pool;
/// use compute::random::{Generator, fill_normal};
///
/// let mut out = vec![0.0f32; 10_000];
/// fill_normal(&mut Generator::new(1, 2), &mut out, &Pool::single());
/// let mean = out.iter().sum::<f32>() / 10_000.0;
/// assert!(mean.abs() < 0.03);
/// ```
pub fn fill_normal<T: super::Real>(generator: &mut Generator, out: &mut [T], pool: &Pool) {
    T::fill_normal(generator.reserve_outputs(out.len()), out, pool);
}

/// Least uniform number of which the logarithm is taken.
pub(super) const LEAST: f32 = 1e-7;

/// Returns two independent normal numbers.
///
/// With uniform numbers `u` and `v` from the words, they are `sin(2πv)` and `cos(2πv)` times `sqrt(-2 ln u)`.
#[inline(always)]
pub(super) fn pair_f32(word0: u32, word1: u32) -> [f32; 2] {
    let u = bits::unit_f32(word0);
    // The logarithm of 0 would make the number infinite.
    let u = if u < LEAST { LEAST } else { u };
    // TensorFlow multiplies by `2.0f * M_PI`, which is a double in C++: the product is rounded once.
    let angle = (std::f64::consts::TAU * f64::from(bits::unit_f32(word1))) as f32;
    let radius = (-2.0 * ln(u)).sqrt();
    let (sin, cos) = sin_cos(angle);
    [sin * radius, cos * radius]
}

/// Returns two independent normal numbers in double precision.
/// Works as [`pair_f32`], with the platform's functions: two words for each uniform number.
pub(super) fn pair_f64(words: [u32; 4]) -> [f64; 2] {
    // The same limit for doubles, although they have smaller numbers: it is TensorFlow's.
    let u = bits::unit_f64(words[0], words[1]).max(1e-7);
    let angle = std::f64::consts::TAU * bits::unit_f64(words[2], words[3]);
    let radius = (-2.0 * u.ln()).sqrt();
    let (sin, cos) = angle.sin_cos();
    [sin * radius, cos * radius]
}

/// The f32 numbers of `blocks`, in order.
#[inline(always)]
pub(super) fn convert_f32(blocks: &[[u32; 4]], out: &mut [f32]) {
    for (out, words) in out.chunks_exact_mut(2).zip(blocks.as_flattened().chunks_exact(2)) {
        let pair = pair_f32(words[0], words[1]);
        out[0] = pair[0];
        out[1] = pair[1];
    }
}

/// [`Distribution`] of normal numbers of the type `T`.
pub(super) struct Normal<T>(pub(super) std::marker::PhantomData<T>);

impl Distribution for Normal<f32> {
    type Item = f32;
    const PER_BLOCK: usize = 4;

    #[inline(always)]
    fn convert(&self, _: Generator, blocks: &[[u32; 4]], out: &mut [f32]) {
        convert_f32(blocks, out);
    }
}

impl Distribution for Normal<f64> {
    type Item = f64;
    const PER_BLOCK: usize = 2;

    #[inline(always)]
    fn convert(&self, _: Generator, blocks: &[[u32; 4]], out: &mut [f64]) {
        for (out, &words) in out.chunks_exact_mut(2).zip(blocks) {
            out.copy_from_slice(&pair_f64(words));
        }
    }
}
