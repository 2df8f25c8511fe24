//! The single-precision logarithm, sine and cosine of the GNU C library since 2.28, for the arguments
//! that normal numbers need.
//!
//! TensorFlow takes these from the C library, so the last bit of every normal number depends on how
//! that library rounds: correctly rounded functions would differ. The evaluation is in double
//! precision without fused multiply-add, which over all 2²³ possible arguments of each function gives
//! the same as the library's fused variant (the test compares all of them), and which is the same on
//! every machine. There are no branches, so that loops over these functions are vectorized.
//!
//! The coefficients are those of Arm's optimized routines (Copyright 2017-2018 Arm Limited,
//! SPDX-License-Identifier: MIT), from which the library's functions come.

/// `1 / c` for a point `c` in each sixteenth of \[0.6999, 1.3999), in units of 2⁻⁴
/// of the exponent.
const LN_INVERSE: [f64; 16] = [
    f64::from_bits(0x3FF6_61EC_79F8_F3BE),
    f64::from_bits(0x3FF5_71ED_4AAF_883D),
    f64::from_bits(0x3FF4_9539_F0F0_10B0),
    f64::from_bits(0x3FF3_C995_B0B8_0385),
    f64::from_bits(0x3FF3_0D19_0C88_64A5),
    f64::from_bits(0x3FF2_5E22_7B0B_8EA0),
    f64::from_bits(0x3FF1_BB4A_4A1A_343F),
    f64::from_bits(0x3FF1_2358_F08A_E5BA),
    f64::from_bits(0x3FF0_953F_4199_00A7),
    f64::from_bits(0x3FF0_0000_0000_0000),
    f64::from_bits(0x3FEE_608C_FD9A_47AC),
    f64::from_bits(0x3FEC_A4B3_1F02_6AA0),
    f64::from_bits(0x3FEB_2036_576A_FCE6),
    f64::from_bits(0x3FE9_C2D1_63A1_AA2D),
    f64::from_bits(0x3FE8_86E6_0378_41ED),
    f64::from_bits(0x3FE7_67DC_F553_4862),
];
/// `ln c` for the same points.
const LN_CENTER: [f64; 16] = [
    f64::from_bits(0xBFD5_7BF7_808C_AADE),
    f64::from_bits(0xBFD2_BEF0_A7C0_6DDB),
    f64::from_bits(0xBFD0_1EAE_7F51_3A67),
    f64::from_bits(0xBFCB_31D8_A682_24E9),
    f64::from_bits(0xBFC6_574F_0AC0_7758),
    f64::from_bits(0xBFC1_AA2B_C79C_8100),
    f64::from_bits(0xBFBA_4E76_CE8C_0E5E),
    f64::from_bits(0xBFB1_973C_5A61_1CCC),
    f64::from_bits(0xBFA2_52F4_38E1_0C1E),
    f64::from_bits(0x0000_0000_0000_0000),
    f64::from_bits(0x3FAA_A5AA_5DF2_5984),
    f64::from_bits(0x3FBC_5E53_AA36_2EB4),
    f64::from_bits(0x3FC5_26E5_7720_DB08),
    f64::from_bits(0x3FCB_C286_0D22_4770),
    f64::from_bits(0x3FD1_058B_C8A0_7EE1),
    f64::from_bits(0x3FD4_0430_57B6_EE09),
];
/// Coefficients of r², r³ and r⁴ in ln(1 + r).
const LN: [f64; 3] = [
    f64::from_bits(0xBFDF_FFFE_F20A_4123),
    f64::from_bits(0x3FD5_575B_0BE0_0B6A),
    f64::from_bits(0xBFD0_0EA3_48B8_8334),
];

/// Returns the natural logarithm of a positive, normal, finite number.
///
/// `x = 2^e c (1 + r)` with a point `c` of the table, so the logarithm is `e ln 2 + ln c + ln(1 + r)`, the
/// last part by a polynomial.
#[inline(always)]
pub(super) fn ln(x: f32) -> f32 {
    const START: u32 = 0x3F33_0000;
    let bits = x.to_bits();
    // From 0.7 instead of 1/2 or 1 on: 1 is then the center of its interval, and numbers near it lose no
    // digits.
    let offset = bits.wrapping_sub(START);
    let i = (offset >> 19) as usize % 16;
    let exponent = offset as i32 >> 23;
    let z = f64::from(f32::from_bits(bits.wrapping_sub(offset & 0xFF80_0000)));
    let r = z * LN_INVERSE[i] - 1.0;
    // The library's order of additions. Any other would change the last bit of some numbers.
    let head = LN_CENTER[i] + f64::from(exponent) * std::f64::consts::LN_2;
    let r2 = r * r;
    let tail = (LN[1] * r + LN[0]) + LN[2] * r2;
    (tail * r2 + (head + r)) as f32
}

/// Coefficients of x³, x⁵ and x⁷ in sin x.
const SIN: [f64; 3] = [
    f64::from_bits(0xBFC5_5554_5995_A603),
    f64::from_bits(0x3F81_1076_0523_0BC4),
    f64::from_bits(0xBF29_94EB_3774_CF24),
];
/// Coefficients of x², x⁴, x⁶ and x⁸ in cos x.
const COS: [f64; 4] = [
    f64::from_bits(0xBFDF_FFFF_FD0C_621C),
    f64::from_bits(0x3FA5_5553_E106_8F19),
    f64::from_bits(0xBF56_C087_E89A_359D),
    f64::from_bits(0x3EF9_9343_027B_F8C3),
];

/// Returns the sine and the cosine of an angle in \[0, 2π\].
///
/// The angle is reduced to at most an eighth of a turn from the nearest multiple of a quarter. Odd multiples
/// exchange the two functions, and the quarter gives their signs.
#[inline(always)]
pub(super) fn sin_cos(angle: f32) -> (f32, f32) {
    use std::f64::consts::{FRAC_2_PI, FRAC_PI_2};
    // Adding this leaves the nearest integer in the lowest bits of the sum. A cast would saturate,
    // which no vector instruction does.
    const ROUND: f64 = (3_i64 << 51) as f64;
    let angle = f64::from(angle);
    let rounded = angle * FRAC_2_PI + ROUND;
    let quarter = rounded.to_bits() as u32;
    let x = angle - (rounded - ROUND) * FRAC_PI_2;
    let x2 = x * x;
    let x3 = x * x2;
    let x4 = x2 * x2;
    let sin = (x + x3 * SIN[0]) + (x3 * x2) * (SIN[1] + x2 * SIN[2]);
    let cos = ((1.0 + x2 * COS[0]) + x4 * COS[1]) + (x4 * x2) * (COS[2] + x2 * COS[3]);
    let (sin, cos) = (sin as f32, cos as f32);
    let (a, b) = if quarter & 1 == 0 { (sin, cos) } else { (cos, sin) };
    // Sine is negative in the last two quarters, cosine in the middle two.
    let sign_a = (quarter & 2) << 30;
    let sign_b = ((quarter + 1) & 2) << 30;
    (f32::from_bits(a.to_bits() ^ sign_a), f32::from_bits(b.to_bits() ^ sign_b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::bits::unit_f32;
    use crate::random::normal::LEAST;

    /// Returns the hash of all results of `function` on the library that TensorFlow ran with.
    fn expected(function: &str) -> u64 {
        let golden = include_str!("../../tests/golden/random_golden.txt");
        let line = golden.lines().find(|line| line.starts_with(function)).unwrap();
        let (_, hash) = line.split_once('#').unwrap();
        u64::from_str_radix(hash, 16).unwrap()
    }

    /// Returns the same hash of the results of `function` on all uniform numbers.
    fn hash(function: impl Fn(f32) -> f32) -> u64 {
        let bytes = (0..1 << 23).flat_map(|word| function(unit_f32(word)).to_le_bytes());
        bytes.fold(0, |hash: u64, byte| hash.wrapping_mul(0x100_0000_01B3).wrapping_add(u64::from(byte) + 1))
    }

    fn angle(unit: f32) -> f32 {
        (std::f64::consts::TAU * f64::from(unit)) as f32
    }

    #[test]
    fn all_logarithms_are_the_librarys() {
        assert_eq!(hash(|u| ln(u.max(LEAST))), expected("logf"));
    }

    #[test]
    fn all_sines_and_cosines_are_the_librarys() {
        assert_eq!(hash(|u| sin_cos(angle(u)).0), expected("sinf"));
        assert_eq!(hash(|u| sin_cos(angle(u)).1), expected("cosf"));
    }
}
