//! The state of a random operation.
//!
//! The layout is that of TensorFlow's `PhiloxRandom`: the first seed is the key, the second one the upper half of the
//! 128-bit counter, whose lower half counts blocks. A checkpoint stores key and counter, so a resumed operation
//! continues with the very next block.

use super::philox;

/// The state of one random operation: a key, fixed by the seeds, and the number of the next unused
/// block of four 32-bit words.
///
/// Filling an output of `n` elements moves the state on by a number of blocks that depends on the
/// operation and on `n` alone, never on the values drawn or on the number of threads.
///
/// ```
/// use compute::random::Generator;
///
/// let mut generator = Generator::new(42, 7);
/// let saved = generator.to_bytes();
/// let first = generator.reserve(256);
/// assert_eq!(Generator::from_bytes(saved), first);
/// assert_ne!(generator, first);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Generator {
    /// The key of the cipher, from the first seed.
    pub(super) key: u64,
    /// The number of the next block, which wraps around.
    pub(super) counter: u128,
}

/// Key under which the seeds of a stateless operation are mixed.
const STATELESS_KEY: u64 = 0x0246_1e29_3ec8_f720;

impl Generator {
    /// Length of the serialized state.
    pub const BYTES: usize = 24;

    /// Returns the state of an operation with the attributes `seed` and `seed2` before its first execution.
    ///
    /// Two zeros are taken as they are. Where they mean "no seed given", pass the result of
    /// [`seeds_from_entropy`](super::seeds_from_entropy) instead.
    #[must_use]
    pub const fn new(seed: i64, seed2: i64) -> Generator {
        Generator { key: seed as u64, counter: (seed2 as u64 as u128) << 64 }
    }

    /// Returns the state from which a stateless operation draws, given its input `seed`.
    ///
    /// The seeds are mixed, so similar seeds give unrelated sequences.
    ///
    /// ```
    /// use compute::{Pool, random::{Generator, fill_uniform}};
    /// let (mut a, mut b) = ([0.0f32; 4], [0.0f32; 4]);
    /// fill_uniform(&mut Generator::stateless([1, 2]), &mut a, &Pool::single());
    /// fill_uniform(&mut Generator::stateless([1, 2]), &mut b, &Pool::single());
    /// assert_eq!(a, b);
    /// ```
    #[must_use]
    pub fn stateless(seed: [i64; 2]) -> Generator {
        let seeds = u128::from(seed[0] as u64) | u128::from(seed[1] as u64) << 64;
        // The first half of the block is the key, the second the upper half of the counter, which counts from
        // 0 in the lower half.
        let [a, b, c, d] = philox::block(STATELESS_KEY, seeds).map(u128::from);
        Generator { key: (a | b << 32) as u64, counter: c << 64 | d << 96 }
    }

    /// Advances the state by `blocks` blocks of four words.
    ///
    /// ```
    /// use compute::{Pool, random::{Generator, fill_uniform}};
    /// let (mut all, mut rest) = ([0.0f32; 8], [0.0f32; 4]);
    /// fill_uniform(&mut Generator::new(1, 2), &mut all, &Pool::single());
    /// let mut generator = Generator::new(1, 2);
    /// generator.skip(1); // four numbers
    /// fill_uniform(&mut generator, &mut rest, &Pool::single());
    /// assert_eq!(rest, all[4..]);
    /// ```
    pub fn skip(&mut self, blocks: u64) {
        self.counter = self.counter.wrapping_add(u128::from(blocks));
    }

    /// Advances the state by `blocks` blocks and returns the previous state, which then owns the skipped blocks exclusively.
    #[must_use = "use `skip` to drop the blocks"]
    pub fn reserve(&mut self, blocks: u64) -> Generator {
        let before = *self;
        self.skip(blocks);
        before
    }

    /// Reserves the blocks of an execution that returns `outputs` elements: 256 for each, whatever it
    /// will need, so that sampling by rejection cannot run into the next execution's share.
    pub(super) fn reserve_outputs(&mut self, outputs: usize) -> Generator {
        self.reserve((outputs as u64).wrapping_mul(Self::BLOCKS_PER_OUTPUT))
    }

    /// The blocks that are reserved for each element of a distribution that samples by rejection, TensorFlow's
    /// constant.
    pub(super) const BLOCKS_PER_OUTPUT: u64 = 256;

    /// Returns the state `blocks` further on.
    pub(super) fn ahead(&self, blocks: u64) -> Generator {
        Generator { key: self.key, counter: self.counter.wrapping_add(u128::from(blocks)) }
    }

    /// Returns the key, and the low and high half of the counter.
    #[must_use]
    pub fn to_words(&self) -> [u64; 3] {
        [self.key, self.counter as u64, (self.counter >> 64) as u64]
    }

    /// Returns the state with these [words](Self::to_words). All values are valid.
    ///
    /// ```
    /// use compute::random::Generator;
    /// let mut generator = Generator::new(87654321, 5);
    /// generator.skip(3);
    /// assert_eq!(Generator::from_words(generator.to_words()).to_words(), generator.to_words());
    /// ```
    #[must_use]
    pub fn from_words([key, low, high]: [u64; 3]) -> Generator {
        Generator { key, counter: u128::from(low) | u128::from(high) << 64 }
    }

    /// Returns the key, then the counter, both little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.key.to_le_bytes());
        bytes[8..].copy_from_slice(&self.counter.to_le_bytes());
        bytes
    }

    /// Returns the state with these [bytes](Self::to_bytes). All values are valid.
    ///
    /// ```
    /// use compute::random::Generator;
    /// let generator = Generator::new(1, 2);
    /// assert_eq!(Generator::from_bytes(generator.to_bytes()).to_words(), generator.to_words());
    /// ```
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Generator {
        Generator::from_words([0, 8, 16].map(|at| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_keep_every_bit() {
        let bytes: [u8; Generator::BYTES] = std::array::from_fn(|i| 255 - i as u8);
        assert_eq!(Generator::from_bytes(bytes).to_bytes(), bytes);
        let state = Generator { key: 1, counter: 2 };
        let mut expected = [0; Generator::BYTES];
        (expected[0], expected[8]) = (1, 2);
        assert_eq!(state.to_bytes(), expected);
    }

    #[test]
    fn skipping_carries_and_wraps() {
        let mut state = Generator { key: 0, counter: u128::from(u64::MAX) };
        state.skip(1);
        assert_eq!(state.counter, 1 << 64);
        state.counter = u128::MAX;
        state.skip(3);
        assert_eq!(state.counter, 2);
    }
}
