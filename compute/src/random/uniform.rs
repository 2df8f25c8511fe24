//! Uniform numbers in \[0, 1).

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use super::bits;
use super::fill::{BATCH, Distribution};
use super::generator::Generator;
use crate::Pool;

/// Fills `out` with uniform numbers in \[0, 1), the operation `RandomUniform`.
///
/// Results are multiples of 2⁻²³ (f32), 2⁻⁵² (f64), 2⁻¹⁰ (f16) or 2⁻⁷ (bf16). Advances the generator
/// by 256 blocks for each element.
///
/// ```
/// use compute::Pool;
/// use compute::random::{Generator, fill_uniform};
///
/// let mut generator = Generator::new(0, 1);
/// let mut out = [0.0f32; 2];
/// fill_uniform(&mut generator, &mut out, &Pool::single());
/// assert_eq!(out, [0.539_730_2, 0.104_939_7]);
/// ```
pub fn fill_uniform<T: super::Real>(generator: &mut Generator, out: &mut [T], pool: &Pool) {
    T::fill_uniform(generator.reserve_outputs(out.len()), out, pool);
}

/// [`Distribution`] of uniform numbers of the type `T`.
pub(super) struct Uniform<T>(pub(super) std::marker::PhantomData<T>);

impl Distribution for Uniform<f32> {
    type Item = f32;
    const PER_BLOCK: usize = 4;

    #[inline(always)]
    fn convert(&self, _: Generator, blocks: &[[u32; 4]], out: &mut [f32]) {
        for (out, &word) in out.iter_mut().zip(blocks.as_flattened()) {
            *out = bits::unit_f32(word);
        }
    }
}

impl Distribution for Uniform<f64> {
    type Item = f64;
    const PER_BLOCK: usize = 2;

    #[inline(always)]
    fn convert(&self, _: Generator, blocks: &[[u32; 4]], out: &mut [f64]) {
        for (out, words) in out.iter_mut().zip(blocks.as_flattened().chunks_exact(2)) {
            *out = bits::unit_f64(words[0], words[1]);
        }
    }
}

impl Distribution for Uniform<f16> {
    type Item = f16;
    const PER_BLOCK: usize = 4;

    #[inline(always)]
    fn convert(&self, _: Generator, blocks: &[[u32; 4]], out: &mut [f16]) {
        let mut wide = [0.0; BATCH * 4];
        for (out, &word) in wide.iter_mut().zip(blocks.as_flattened()) {
            *out = bits::unit_for_f16(word);
        }
        out.convert_from_f32_slice(&wide[..out.len()]);
    }
}

impl Distribution for Uniform<bf16> {
    type Item = bf16;
    const PER_BLOCK: usize = 4;

    #[inline(always)]
    fn convert(&self, _: Generator, blocks: &[[u32; 4]], out: &mut [bf16]) {
        for (out, &word) in out.iter_mut().zip(blocks.as_flattened()) {
            // A multiple of 2⁻⁷ below 1 has only zeros in the lower half of its `f32`, so nothing is rounded.
            *out = bf16::from_bits((bits::unit_for_bf16(word).to_bits() >> 16) as u16);
        }
    }
}
