//! FarmHash's 64-bit fingerprint, whose values never change.
//!
//! This is `farmhash::Fingerprint64`, which TensorFlow uses for `StringToHashBucketFast` and crossed
//! features. Models and data depend on its values: a bucket that a feature was trained in must be found again
//! by any program. Nothing here may be simplified in a way that changes a bit.
//!
//! Strings are hashed by one of four formulas, for up to 16, 32 and 64 bytes and beyond. All arithmetic
//! wraps, and words are little-endian on every machine.

/// The first of three constants of the original, odd numbers with well-mixed bits.
const K0: u64 = 0xc3a5_c85c_97cb_3127;
const K1: u64 = 0xb492_b66f_be98_f273;
const K2: u64 = 0x9ae1_6a3b_2f90_404f;

/// Reads 8 bytes at a place, which must exist.
fn fetch64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

/// Reads 4 bytes at a place, which must exist.
fn fetch32(bytes: &[u8], at: usize) -> u64 {
    u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i])).into()
}

/// Folds the upper bits, which a product has mixed best, into the lower ones.
fn shift_mix(value: u64) -> u64 {
    value ^ (value >> 47)
}

/// Returns the hash of two words, which `mul` distinguishes by the length of the string.
fn hash16(u: u64, v: u64, mul: u64) -> u64 {
    let a = (u ^ v).wrapping_mul(mul);
    let a = a ^ (a >> 47);
    let b = (v ^ a).wrapping_mul(mul);
    (b ^ (b >> 47)).wrapping_mul(mul)
}

/// Returns the fingerprint of 0 to 16 bytes. The words at both ends may overlap, so that each byte counts.
fn up_to_16(s: &[u8]) -> u64 {
    let len = s.len();
    if len >= 8 {
        let mul = K2.wrapping_add(len as u64 * 2);
        let a = fetch64(s, 0).wrapping_add(K2);
        let b = fetch64(s, len - 8);
        let c = b.rotate_right(37).wrapping_mul(mul).wrapping_add(a);
        let d = a.rotate_right(25).wrapping_add(b).wrapping_mul(mul);
        return hash16(c, d, mul);
    }
    if len >= 4 {
        let mul = K2.wrapping_add(len as u64 * 2);
        let a = fetch32(s, 0);
        return hash16((len as u64).wrapping_add(a << 3), fetch32(s, len - 4), mul);
    }
    if len == 0 {
        return K2;
    }
    // The first, middle and last of 1 to 3 bytes.
    let (a, b, c) = (u64::from(s[0]), u64::from(s[len >> 1]), u64::from(s[len - 1]));
    let y = a + (b << 8);
    let z = len as u64 + (c << 2);
    shift_mix(y.wrapping_mul(K2) ^ z.wrapping_mul(K0)).wrapping_mul(K2)
}

/// Returns the fingerprint of 17 to 32 bytes: two words from either end.
fn up_to_32(s: &[u8]) -> u64 {
    let len = s.len();
    let mul = K2.wrapping_add(len as u64 * 2);
    let a = fetch64(s, 0).wrapping_mul(K1);
    let b = fetch64(s, 8);
    let c = fetch64(s, len - 8).wrapping_mul(mul);
    let d = fetch64(s, len - 16).wrapping_mul(K2);
    let first = a.wrapping_add(b).rotate_right(43).wrapping_add(c.rotate_right(30)).wrapping_add(d);
    let second = a.wrapping_add(b.wrapping_add(K2).rotate_right(18)).wrapping_add(c);
    hash16(first, second, mul)
}

/// Returns the fingerprint of 33 to 64 bytes: four words from either end.
fn up_to_64(s: &[u8]) -> u64 {
    let len = s.len();
    let mul = K2.wrapping_add(len as u64 * 2);
    let a = fetch64(s, 0).wrapping_mul(K2);
    let b = fetch64(s, 8);
    let c = fetch64(s, len - 8).wrapping_mul(mul);
    let d = fetch64(s, len - 16).wrapping_mul(K2);
    let y = a.wrapping_add(b).rotate_right(43).wrapping_add(c.rotate_right(30)).wrapping_add(d);
    let z = hash16(y, a.wrapping_add(b.wrapping_add(K2).rotate_right(18)).wrapping_add(c), mul);
    let e = fetch64(s, 16).wrapping_mul(mul);
    let f = fetch64(s, 24);
    let g = y.wrapping_add(fetch64(s, len - 32)).wrapping_mul(mul);
    let h = z.wrapping_add(fetch64(s, len - 24)).wrapping_mul(mul);
    let first = e.wrapping_add(f).rotate_right(43).wrapping_add(g.rotate_right(30)).wrapping_add(h);
    let second = e.wrapping_add(f.wrapping_add(a).rotate_right(18)).wrapping_add(g);
    hash16(first, second, mul)
}

/// Returns 32 bytes from `at` on, mixed into two seeds. Fast and weak on its own; the loop feeds its result
/// through further products.
fn weak(s: &[u8], at: usize, a: u64, b: u64) -> (u64, u64) {
    let [w, x, y, z] = [0, 8, 16, 24].map(|offset| fetch64(s, at + offset));
    let a = a.wrapping_add(w);
    let b = b.wrapping_add(a).wrapping_add(z).rotate_right(21);
    let c = a;
    let a = a.wrapping_add(x).wrapping_add(y);
    (a.wrapping_add(z), b.wrapping_add(a.rotate_right(44)).wrapping_add(c))
}

/// Returns the fingerprint of a string.
///
/// Beyond 64 bytes a state of 56 bytes passes over blocks of 64 bytes, and then over the last 64 bytes, which
/// overlap the block before.
pub(in crate::kernels) fn fingerprint64(s: &[u8]) -> u64 {
    let len = s.len();
    match len {
        0..=16 => return up_to_16(s),
        17..=32 => return up_to_32(s),
        33..=64 => return up_to_64(s),
        _ => {}
    }
    let seed = 81u64;
    let mut x = seed;
    let mut y = seed.wrapping_mul(K1).wrapping_add(113);
    let mut z = shift_mix(y.wrapping_mul(K2).wrapping_add(113)).wrapping_mul(K2);
    let (mut v, mut w) = ((0u64, 0u64), (0u64, 0u64));
    x = x.wrapping_mul(K2).wrapping_add(fetch64(s, 0));
    // A length that is a multiple of 64 leaves its last block to the final step.
    let end = (len - 1) / 64 * 64;
    let last = len - 64;
    let mut at = 0;
    while at < end {
        x = x
            .wrapping_add(y)
            .wrapping_add(v.0)
            .wrapping_add(fetch64(s, at + 8))
            .rotate_right(37)
            .wrapping_mul(K1);
        y = y.wrapping_add(v.1).wrapping_add(fetch64(s, at + 48)).rotate_right(42).wrapping_mul(K1);
        x ^= w.1;
        y = y.wrapping_add(v.0).wrapping_add(fetch64(s, at + 40));
        z = z.wrapping_add(w.0).rotate_right(33).wrapping_mul(K1);
        v = weak(s, at, v.1.wrapping_mul(K1), x.wrapping_add(w.0));
        w = weak(s, at + 32, z.wrapping_add(w.1), y.wrapping_add(fetch64(s, at + 16)));
        std::mem::swap(&mut z, &mut x);
        at += 64;
    }
    // The last block has a factor of its own that depends on the state.
    let mul = K1.wrapping_add((z & 0xff) << 1);
    let at = last;
    w.0 = w.0.wrapping_add((len as u64 - 1) & 63);
    v.0 = v.0.wrapping_add(w.0);
    w.0 = w.0.wrapping_add(v.0);
    x = x
        .wrapping_add(y)
        .wrapping_add(v.0)
        .wrapping_add(fetch64(s, at + 8))
        .rotate_right(37)
        .wrapping_mul(mul);
    y = y.wrapping_add(v.1).wrapping_add(fetch64(s, at + 48)).rotate_right(42).wrapping_mul(mul);
    x ^= w.1.wrapping_mul(9);
    y = y.wrapping_add(v.0.wrapping_mul(9)).wrapping_add(fetch64(s, at + 40));
    z = z.wrapping_add(w.0).rotate_right(33).wrapping_mul(mul);
    v = weak(s, at, v.1.wrapping_mul(mul), x.wrapping_add(w.0));
    w = weak(s, at + 32, z.wrapping_add(w.1), y.wrapping_add(fetch64(s, at + 16)));
    std::mem::swap(&mut z, &mut x);
    let first = hash16(v.0, w.0, mul).wrapping_add(shift_mix(y).wrapping_mul(K0)).wrapping_add(z);
    hash16(first, hash16(v.1, w.1, mul).wrapping_add(x), mul)
}
