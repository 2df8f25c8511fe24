//! The Philox 4x32 generator with ten rounds (Salmon and others, "Parallel random numbers: as easy as
//! 1, 2, 3", 2011): a keyed bijection of 128-bit counters, without further state. Block `n` of the sequence
//! costs the same as block 0, so any part of an output can be computed by any thread.

/// The number of rounds.
const ROUNDS: usize = 10;
/// The multipliers of the two halves of a block.
const MULTIPLIER: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// The additions to the key after each round: the golden ratio, and the square root of 3 minus 1.
const KEY_STEP: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// Returns the four words of the block numbered `counter`.
#[inline(always)]
pub(super) fn block(key: u64, counter: u128) -> [u32; 4] {
    rounds(key, counter as u64, (counter >> 64) as u64)
}

/// Writes the blocks numbered `counter`, `counter + stride`, `counter + 2 * stride` and so on.
#[inline(always)]
pub(super) fn blocks(key: u64, counter: u128, stride: u64, words: &mut [[u32; 4]]) {
    let (low, high) = (counter as u64, (counter >> 64) as u64);
    let span = u128::from(stride) * words.len() as u128;
    if u128::from(low) + span <= u128::from(u64::MAX) {
        // The carry into the high half is excluded: this loop has no branches and is vectorized.
        for (i, words) in words.iter_mut().enumerate() {
            *words = rounds(key, low + stride * i as u64, high);
        }
    } else {
        for (i, words) in words.iter_mut().enumerate() {
            *words = block(key, counter.wrapping_add(u128::from(stride) * i as u128));
        }
    }
}

/// Encrypts a counter.
///
/// Each of ten rounds multiplies two of the four words, mixes the upper halves of the products with the other
/// two words and the key, and changes the key. The result is a bijection of the counter for each key.
#[inline(always)]
fn rounds(key: u64, low: u64, high: u64) -> [u32; 4] {
    let mut key = [key as u32, (key >> 32) as u32];
    let mut x = [low as u32, (low >> 32) as u32, high as u32, (high >> 32) as u32];
    for _ in 0..ROUNDS {
        let a = u64::from(x[0]) * u64::from(MULTIPLIER[0]);
        let b = u64::from(x[2]) * u64::from(MULTIPLIER[1]);
        x = [(b >> 32) as u32 ^ x[1] ^ key[0], b as u32, (a >> 32) as u32 ^ x[3] ^ key[1], a as u32];
        key = [key[0].wrapping_add(KEY_STEP[0]), key[1].wrapping_add(KEY_STEP[1])];
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known-answer vectors published with the algorithm.
    #[test]
    fn blocks_equal_the_published_vectors() {
        let ones = [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd];
        assert_eq!(block(0, 0), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(block(u64::MAX, u128::MAX), ones);
        let counter = 0x0370_7344_1319_8a2e_85a3_08d3_243f_6a88;
        let pi = [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1];
        assert_eq!(block(0x299f_31d0_a409_3822, counter), pi);
    }

    #[test]
    fn runs_of_blocks_agree_with_single_blocks_across_every_carry() {
        let edges = [0, u128::from(u32::MAX) - 2, u128::from(u64::MAX) - 2, u128::MAX - 2];
        for counter in edges {
            for stride in [1, 256, u64::MAX] {
                let mut words = [[0; 4]; 9];
                blocks(7, counter, stride, &mut words);
                for (i, words) in words.iter().enumerate() {
                    let at = counter.wrapping_add(u128::from(stride) * i as u128);
                    assert_eq!(*words, block(7, at), "{counter} + {i} * {stride}");
                }
            }
        }
    }
}
