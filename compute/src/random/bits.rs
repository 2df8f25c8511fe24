//! Uniform numbers in \[0, 1) from random bits: the bits become the fraction of a number in \[1, 2),
//! from which 1 is taken. The subtraction is exact, so results are multiples of 2⁻²³ (f32), 2⁻⁵²
//! (f64), 2⁻¹⁰ (f16) and 2⁻⁷ (bf16).

/// Returns a number in \[0, 1) from the lower 23 bits of a word, as TensorFlow does.
#[inline(always)]
pub(super) fn unit_f32(word: u32) -> f32 {
    f32::from_bits(0x3F80_0000 | (word & 0x007F_FFFF)) - 1.0
}

/// Returns a number in \[0, 1) with 52 random bits.
#[inline(always)]
pub(super) fn unit_f64(high: u32, low: u32) -> f64 {
    let fraction = u64::from(high & 0x000F_FFFF) << 32 | u64::from(low);
    f64::from_bits(0x3FF0_0000_0000_0000 | fraction) - 1.0
}

/// Multiples of 2⁻¹⁰, which f16 holds exactly.
#[inline(always)]
pub(super) fn unit_for_f16(word: u32) -> f32 {
    (word & 0x3FF) as f32 * (1.0 / 1024.0)
}

/// Multiples of 2⁻⁷, which bf16 holds exactly.
#[inline(always)]
pub(super) fn unit_for_bf16(word: u32) -> f32 {
    (word & 0x7F) as f32 * (1.0 / 128.0)
}
