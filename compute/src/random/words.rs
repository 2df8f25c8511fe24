//! Random words that are taken one at a time.

use super::generator::Generator;
use super::philox;

/// The words of a [`Generator`] one by one, for algorithms whose draws depend on earlier ones.
///
/// A queue that hands out its elements in random order holds one of these for its whole life: its
/// picks are `below(elements held)`.
///
/// ```
/// use compute::random::{Generator, Words};
///
/// let mut words = Words::new(Generator::new(5, 9));
/// assert!(words.below(20) < 20);
/// let mut resumed = Words::from_bytes(words.to_bytes());
/// assert_eq!(words.next_word(), resumed.next_word());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// The state after the current block.
    generator: Generator,
    /// The words of the current block.
    block: [u32; 4],
    /// Words of `block` that were handed out.
    used: u8,
}

impl Words {
    /// Length of the serialized state.
    pub const BYTES: usize = Generator::BYTES + 1;

    /// Starts at the first word of the next block of a generator.
    #[must_use]
    pub const fn new(generator: Generator) -> Words {
        Words { generator, block: [0; 4], used: 4 }
    }

    /// Returns the next word.
    pub fn next_word(&mut self) -> u32 {
        if usize::from(self.used) == self.block.len() {
            let next = self.generator.reserve(1);
            self.block = philox::block(next.key, next.counter);
            self.used = 0;
        }
        self.used += 1;
        self.block[usize::from(self.used) - 1]
    }

    /// Returns a number less than `bound` from one word, by remainder; 0 if `bound` is 0. If `bound` is not a power of two, small numbers are
    /// slightly more likely, by less than one in 2³² / `bound`. TensorFlow's shuffles draw in this way.
    ///
    /// ```
    /// use compute::random::{Generator, Words};
    /// let mut words = Words::new(Generator::new(1, 2));
    /// assert!((0..100).all(|_| words.below(6) < 6));
    /// ```
    pub fn below(&mut self, bound: u32) -> u32 {
        self.next_word().checked_rem(bound).unwrap_or(0)
    }

    /// Returns a number in \[0, 1) with 52 random bits, from two words.
    ///
    /// ```
    /// use compute::random::{Generator, Words};
    /// let drawn = Words::new(Generator::new(1, 2)).next_f64();
    /// assert!((0.0..1.0).contains(&drawn));
    /// ```
    pub fn next_f64(&mut self) -> f64 {
        let (high, low) = (self.next_word(), self.next_word());
        super::bits::unit_f64(high, low)
    }

    /// Passes over `words` words.
    pub(super) fn skip(&mut self, words: u64) {
        let held = 4 - u64::from(self.used);
        if words <= held {
            self.used += words as u8;
            return;
        }
        let (blocks, rest) = ((words - held) / 4, (words - held) % 4);
        self.generator.skip(blocks);
        self.used = 4;
        for _ in 0..rest {
            self.next_word();
        }
    }

    /// Returns the state of the generator, followed by the number of words of the current block that were used.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [self.used; Self::BYTES];
        bytes[..Generator::BYTES].copy_from_slice(&self.generator.to_bytes());
        bytes
    }

    /// Returns the state with these [bytes](Self::to_bytes). A last byte above 4 counts as 4.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Words {
        let generator = Generator::from_bytes(std::array::from_fn(|i| bytes[i]));
        // The state is that after the current block, which is therefore computed again instead of being
        // stored.
        let block = philox::block(generator.key, generator.counter.wrapping_sub(1));
        Words { generator, block, used: bytes[Generator::BYTES].min(4) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_sequence_continues_at_the_same_word() {
        let mut words = Words::new(Generator::new(3, 4));
        for _ in 0..11 {
            let mut resumed = Words::from_bytes(words.to_bytes());
            let mut ahead = words;
            assert_eq!([(); 6].map(|()| resumed.next_word()), [(); 6].map(|()| ahead.next_word()));
            words.next_word();
        }
    }

    #[test]
    fn skipping_words_is_drawing_them() {
        for before in 0..6 {
            for skipped in 0..14 {
                let mut drawn = Words::new(Generator::new(3, 4));
                (0..before).for_each(|_| _ = drawn.next_word());
                let mut passed = drawn;
                passed.skip(skipped);
                (0..skipped).for_each(|_| _ = drawn.next_word());
                assert_eq!(passed.next_word(), drawn.next_word(), "{before} {skipped}");
            }
        }
    }

    #[test]
    fn nothing_is_below_zero() {
        assert_eq!(Words::new(Generator::new(3, 4)).below(0), 0);
    }
}
