//! The 16-bit floating-point types: stored in 16 bits, computed in `f32`.
//!
//! Loops over these types work on blocks: a block is widened to `f32`, computed with the loop of `f32`, and narrowed
//! again. Each operation rounds its result.
//!
//! The conversions are written with integer operations and without branches, rather than with the processor's
//! instructions: not every CPU has these, and the compiler vectorizes the code here for all instruction sets. The
//! tests compare them with those of the crate `half`, for every value in one direction and around every rounding
//! boundary in the other.

use super::Element;
use half::{bf16, f16};

/// Elements that are converted at a time; small enough for three blocks to stay in the nearest cache.
pub(crate) const BLOCK: usize = 256;

/// A 16-bit floating-point type that is computed in `f32`.
///
/// The conversions have no branches, so loops over them are vectorized. They round to nearest, ties to even, as IEEE 754 requires. NaNs become
/// quiet.
pub trait Narrow: Element {
    /// Returns the same value, exactly.
    fn widen(self) -> f32;

    /// Returns the nearest value.
    fn narrow(x: f32) -> Self;

    /// Converts a slice as [`Narrow::widen`]. Both slices have the same length.
    fn widen_slice(input: &[Self], output: &mut [f32]);

    /// Converts a slice as [`Narrow::narrow`]. Both slices have the same length.
    fn narrow_slice(input: &[f32], output: &mut [Self]);
}

dispatch! {
    /// Widens a slice, as it is compiled for each instruction set.
    fn widen_all<H: Narrow>(input: &[H], output: &mut [f32]) {
        for (out, &x) in output.iter_mut().zip(input) {
            *out = x.widen();
        }
    }
}

dispatch! {
    /// Narrows a slice, as it is compiled for each instruction set.
    fn narrow_all<H: Narrow>(input: &[f32], output: &mut [H]) {
        for (out, &x) in output.iter_mut().zip(input) {
            *out = H::narrow(x);
        }
    }
}

impl Narrow for bf16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }

    #[inline(always)]
    fn narrow(x: f32) -> Self {
        let bits = x.to_bits();
        // Half a unit of the last bit that stays, less 1 if that bit is 0, so ties go to even. A carry into
        // the exponent is right.
        let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
        // Without the added bit, a NaN with zeros in its upper half would become infinity.
        let quiet = (bits >> 16) | 0x40;
        bf16::from_bits(if x.is_nan() { quiet } else { rounded } as u16)
    }

    fn widen_slice(input: &[Self], output: &mut [f32]) {
        widen_all(input, output);
    }

    fn narrow_slice(input: &[f32], output: &mut [Self]) {
        narrow_all(input, output);
    }
}

impl Narrow for f16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        let bits = u32::from(self.to_bits());
        let magnitude = bits & 0x7fff;
        // Read as an f32, the exponent is too small by 127 - 15; the product is exact, subnormals too.
        let scaled = f32::from_bits(magnitude << 13) * f32::from_bits((127 + 127 - 15) << 23);
        // Infinity and NaN have the largest exponent in either type; the last part makes a NaN quiet.
        let special = (magnitude << 13) | 0x7f80_0000 | (u32::from(magnitude > 0x7c00) << 22);
        let value = if magnitude >= 0x7c00 { special } else { scaled.to_bits() };
        f32::from_bits(value | ((bits & 0x8000) << 16))
    }

    #[inline(always)]
    fn narrow(x: f32) -> Self {
        let bits = x.to_bits();
        let magnitude = bits & 0x7fff_ffff;
        let sign = (bits >> 16) & 0x8000;
        // Normal results: rebias the exponent and round the 13 bits that go.
        let odd = (magnitude >> 13) & 1;
        let normal = magnitude.wrapping_add(0xfff + odd).wrapping_sub((127 - 15) << 23) >> 13;
        // Subnormal results: adding 0.5 makes the addition round at the last bit of an f16.
        let subnormal = (f32::from_bits(magnitude) + 0.5).to_bits().wrapping_sub(0.5f32.to_bits());
        // 2^-14, the smallest normal `f16`.
        let finite = if magnitude < 0x3880_0000 { subnormal } else { normal };
        let nan = 0x7e00 | ((magnitude >> 13) & 0x3ff);
        let large = if magnitude > 0x7f80_0000 { nan } else { 0x7c00 };
        // 65520: from halfway between the largest `f16` and the next power of two on, numbers round to
        // infinity.
        let value = if magnitude >= 0x477f_f000 { large } else { finite };
        f16::from_bits((value | sign) as u16)
    }

    fn widen_slice(input: &[Self], output: &mut [f32]) {
        widen_all(input, output);
    }

    fn narrow_slice(input: &[f32], output: &mut [Self]) {
        narrow_all(input, output);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widening_agrees_with_the_half_crate_on_every_value() {
        for bits in 0..=u16::MAX {
            let (h, b) = (f16::from_bits(bits), bf16::from_bits(bits));
            assert!(
                h.widen().to_bits() == h.to_f32().to_bits() || h.is_nan() && h.widen().is_nan(),
                "{bits:x}"
            );
            assert!(
                b.widen().to_bits() == b.to_f32().to_bits() || b.is_nan() && b.widen().is_nan(),
                "{bits:x}"
            );
        }
    }

    #[test]
    fn narrowing_agrees_with_the_half_crate() {
        // Steps through all exponents, with the neighbors of every rounding boundary.
        for high in 0..=u16::MAX {
            for low in [
                0, 1, 0x0fff, 0x1000, 0x1001, 0x2fff, 0x3000, 0x7fff, 0x8000, 0x8001, 0xefff, 0xf000, 0xf001,
                0xffff,
            ] {
                let x = f32::from_bits(u32::from(high) << 16 | low);
                let (h, b) = (f16::narrow(x), bf16::narrow(x));
                if x.is_nan() {
                    assert!(h.is_nan() && b.is_nan(), "{x:?}");
                    continue;
                }
                assert_eq!(h.to_bits(), f16::from_f32(x).to_bits(), "{x:e}");
                assert_eq!(b.to_bits(), bf16::from_f32(x).to_bits(), "{x:e}");
            }
        }
    }
}
