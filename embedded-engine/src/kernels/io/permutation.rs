//! A seeded order of the numbers below a limit, any place of which is found at once.
//!
//! `IndexBatch` draws examples in a random order of each epoch, and resumes in the middle of one after a
//! restart. Shuffling a list of all numbers would take memory and time in proportion to the number of
//! examples each time; a computed order needs neither.
//!
//! The order is part of what a checkpoint promises: a change to any constant here changes which example comes
//! next in a resumed run.

use compute::random::{self, Generator};

/// The order of one epoch.
///
/// Small ranges are listed and shuffled. For larger ones, a Feistel network permutes the numbers of a fixed
/// bit width. A result beyond the limit is passed through the network again, which cannot return to its
/// origin and so ends within the limit. Neither memory nor the time to start in the middle grows with the
/// limit.
pub(super) enum Permutation {
    /// The order as a list, for limits of up to `LISTED`. `u32` holds every number below it.
    Listed(Vec<u32>),
    /// A network that computes each number.
    Computed(Network),
}

/// Up to here numbers are listed, which takes less than a millisecond.
const LISTED: u64 = 1 << 16;

impl Permutation {
    /// Returns the order of the numbers below `limit`, which is not 0.
    ///
    /// The same seeds, epoch and limit give the same order on every machine. Takes time in proportion to the
    /// limit up to `LISTED`, and constant time above.
    pub(super) fn new(seeds: [i64; 2], epoch: u64, limit: u64) -> Permutation {
        let [first, second] = seeds.map(i64::cast_unsigned);
        // The first seed is mixed before the second is added, so that exchanging the two gives another order.
        let key = mix(mix(first.wrapping_add(GOLDEN)).wrapping_add(second)).wrapping_add(epoch);
        if limit <= LISTED {
            let mut order: Vec<u32> = (0..limit as u32).collect();
            let mut generator = Generator::stateless([mix(key).cast_signed(), epoch.cast_signed()]);
            random::shuffle(&mut generator, &mut order);
            return Permutation::Listed(order);
        }
        Permutation::Computed(Network::new(key, limit))
    }

    /// Returns the number at a place below the limit.
    ///
    /// Every number comes at exactly one place. A place that is not below the limit panics in a list, and has
    /// no meaning in a network.
    pub(super) fn get(&self, place: u64) -> u64 {
        match self {
            Permutation::Listed(order) => order[place as usize].into(),
            Permutation::Computed(network) => network.get(place),
        }
    }
}

/// 2^64 over the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Returns a bijection of 64 bits in which every bit depends on every other (the finalizer of SplitMix64).
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// A Feistel network over two halves, which may differ by a bit.
pub(super) struct Network {
    /// The keys of the rounds, derived from one key.
    keys: [u64; ROUNDS],
    /// The numbers below it are permuted; at least 1.
    limit: u64,
    /// The bits of the lower half, and of both.
    low_bits: u32,
    /// The mask of the upper half, which has as many bits as the lower one or one more.
    high_mask: u64,
}

/// An even number. Four rounds make a network that a few samples cannot distinguish from chance, and more
/// cost little.
const ROUNDS: usize = 8;

impl Network {
    /// Returns the network over the smallest even split of bits that covers `limit`.
    fn new(key: u64, limit: u64) -> Network {
        // At least two bits, so that neither half is empty.
        let bits = (u64::BITS - (limit - 1).leading_zeros()).max(2);
        let low_bits = bits / 2;
        let keys = std::array::from_fn(|round| mix(key.wrapping_add(GOLDEN.wrapping_mul(round as u64 + 1))));
        Network { keys, limit, low_bits, high_mask: (1 << (bits - low_bits)) - 1 }
    }

    /// Takes less than two passes on average, because a pass ends below the limit with a probability of more
    /// than one half.
    fn get(&self, place: u64) -> u64 {
        let mut number = self.pass(place);
        // More than half of all numbers are below the limit.
        while number >= self.limit {
            number = self.pass(number);
        }
        number
    }

    /// Permutes the numbers of the fixed bit width once. Each step changes one half by a function of the
    /// other, which can be undone, so the whole is a bijection whatever `mix` does.
    fn pass(&self, number: u64) -> u64 {
        let low_mask = (1 << self.low_bits) - 1;
        let (mut high, mut low) = (number >> self.low_bits, number & low_mask);
        for keys in self.keys.chunks_exact(2) {
            high ^= mix(low.wrapping_add(keys[0])) & self.high_mask;
            low ^= mix(high.wrapping_add(keys[1])) & low_mask;
        }
        (high << self.low_bits) | low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(seeds: [i64; 2], epoch: u64, limit: u64) -> Vec<u64> {
        let order = Permutation::new(seeds, epoch, limit);
        (0..limit).map(|place| order.get(place)).collect()
    }

    #[test]
    fn every_number_comes_once() {
        for limit in [1, 2, 3, 100, LISTED, LISTED + 1, 100_000, (1 << 17) - 1, 1 << 17, (1 << 17) + 1] {
            let mut numbers = all([3, 4], 5, limit);
            numbers.sort_unstable();
            assert!(numbers.iter().copied().eq(0..limit), "{limit}");
        }
    }

    #[test]
    fn networks_of_few_bits_are_orders_too() {
        for limit in 2..200 {
            let network = Network::new(limit, limit);
            let mut numbers: Vec<u64> = (0..limit).map(|place| network.get(place)).collect();
            numbers.sort_unstable();
            assert!(numbers.iter().copied().eq(0..limit), "{limit}");
        }
    }

    #[test]
    fn seeds_and_epochs_give_other_orders() {
        for limit in [1000, 200_000] {
            let first = all([1, 2], 0, limit);
            assert_eq!(first, all([1, 2], 0, limit));
            for other in [all([1, 3], 0, limit), all([2, 2], 0, limit), all([1, 2], 1, limit)] {
                let same = first.iter().zip(&other).filter(|(a, b)| a == b).count();
                // By chance about one agrees; 20 would show a dependence.
                assert!(same < 20, "{same} of {limit} places agree");
            }
        }
    }

    /// Over many epochs each place holds numbers of every part of the range equally often.
    #[test]
    fn places_are_spread_evenly() {
        let limit = 90_000;
        for place in [0, 1, 44_999, 89_999] {
            let mut counts = [0f64; 10];
            let epochs = 4000;
            for epoch in 0..epochs {
                let number = Permutation::new([1, 1], epoch, limit).get(place);
                counts[(number * 10 / limit) as usize] += 1.0;
            }
            let expected = epochs as f64 / 10.0;
            let chi: f64 = counts.iter().map(|count| (count - expected).powi(2) / expected).sum();
            // 9 degrees of freedom: beyond 34 once in ten thousand.
            assert!(chi < 34.0, "place {place}: {chi}");
        }
    }

    /// Neighbors in the order are not neighbors in number.
    #[test]
    fn steps_are_spread_evenly() {
        let limit = 1 << 18;
        let numbers = all([5, 6], 7, limit);
        let mut counts = [0f64; 16];
        for pair in numbers.windows(2) {
            let step = pair[1].wrapping_sub(pair[0]) % limit;
            counts[(step * 16 / limit) as usize] += 1.0;
        }
        let expected = (limit - 1) as f64 / 16.0;
        let chi: f64 = counts.iter().map(|count| (count - expected).powi(2) / expected).sum();
        // 15 degrees of freedom: beyond 45 once in ten thousand.
        assert!(chi < 45.0, "{chi}");
    }
}
