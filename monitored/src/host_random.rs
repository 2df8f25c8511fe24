//! Random numbers of a step that depend only on the seed and the step.

/// The seeded random numbers of one step: the same in every run that reaches this step, resumed or not, whatever was drawn before.
/// Nothing has to be saved.
///
/// The numbers are a function of the seed, the step, a stream and a counter (SplitMix64). Each thread can use a
/// [`stream`](StepRandom::stream) of its own, so that its numbers do not depend on those of other threads.
///
/// ```
/// use monitored::StepRandom;
/// let mut random = StepRandom::new(7, 100);
/// let (first, second) = (random.next_u64(), random.next_u64());
/// assert_ne!(first, second);
/// assert_eq!(StepRandom::new(7, 100).next_u64(), first);
/// assert_ne!(StepRandom::new(7, 101).next_u64(), first);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepRandom {
    key: u64,
    counter: u64,
}

/// The odd number nearest to 2^64 over the golden ratio.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The finalizer of SplitMix64.
fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Combines two numbers to a key that depends on both and on their order.
fn keyed(key: u64, number: u64) -> u64 {
    // Mixed on both sides: keys of neighboring steps would otherwise give overlapping sequences.
    mixed(key.wrapping_add(GOLDEN) ^ mixed(number.wrapping_add(GOLDEN)))
}

impl StepRandom {
    /// Creates the random numbers of a step under a seed.
    #[must_use]
    pub fn new(seed: u64, step: u64) -> StepRandom {
        StepRandom { key: keyed(mixed(seed), step), counter: 0 }
    }

    /// Returns the numbers of another stream of the same step, from its start, whatever was drawn here.
    ///
    /// ```
    /// use monitored::StepRandom;
    /// let random = StepRandom::new(7, 100);
    /// let (mut first, mut second) = (random.stream(0), random.stream(1)); // one for each thread
    /// assert_ne!(first.next_u64(), second.next_u64());
    /// ```
    #[must_use]
    pub fn stream(&self, number: u64) -> StepRandom {
        StepRandom { key: keyed(self.key, number), counter: 0 }
    }

    /// Draws 64 random bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(1);
        // The counter times an odd number visits every value, so the sequence has the full period of 2^64.
        mixed(self.key.wrapping_add(self.counter.wrapping_mul(GOLDEN)))
    }

    /// Draws 32 random bits.
    #[inline]
    pub fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    /// Draws a number from 0 (included) to 1 (excluded).
    ///
    /// ```
    /// use monitored::StepRandom;
    /// let x = StepRandom::new(7, 100).uniform();
    /// assert!((0.0..1.0).contains(&x));
    /// ```
    #[inline]
    pub fn uniform(&mut self) -> f64 {
        // The upper 53 bits, as many as the result has, so that all results are equally spaced.
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Draws a number from the normal distribution of mean 0 and deviation 1.
    pub fn normal(&mut self) -> f64 {
        // The Box-Muller transform; the argument of the logarithm is never 0.
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Draws a number below `limit`, each equally likely; 0 for a limit of 0.
    ///
    /// ```
    /// use monitored::StepRandom;
    /// let die = 1 + StepRandom::new(7, 100).below(6);
    /// assert!((1..=6).contains(&die));
    /// ```
    pub fn below(&mut self, limit: u64) -> u64 {
        // Lemire's method: results that would make some numbers more likely are drawn again.
        let mut product = u128::from(self.next_u64()) * u128::from(limit);
        if (product as u64) < limit {
            let biased = limit.wrapping_neg() % limit;
            while (product as u64) < biased {
                product = u128::from(self.next_u64()) * u128::from(limit);
            }
        }
        (product >> 64) as u64
    }

    /// Puts elements in random order.
    ///
    /// ```
    /// use monitored::StepRandom;
    /// let mut rows = [0, 1, 2, 3];
    /// StepRandom::new(7, 100).shuffle(&mut rows);
    /// rows.sort_unstable();
    /// assert_eq!(rows, [0, 1, 2, 3]);
    /// ```
    pub fn shuffle<T>(&mut self, elements: &mut [T]) {
        for last in (1..elements.len()).rev() {
            elements.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

/// Returns the image of a place under the permutation of `count` places that a key determines. It is computed place by place, so a
/// resumed run has the order of an epoch at once.
pub(crate) fn permuted(key: u64, count: u64, place: u64) -> u64 {
    // A Feistel network permutes the numbers with an even number of bits; results beyond `count` are permuted again.
    let half = (64 - count.saturating_sub(1).leading_zeros()).div_ceil(2).max(1);
    let mask = (1u64 << half) - 1;
    let mut place = place;
    loop {
        let (mut left, mut right) = (place >> half, place & mask);
        // Six rounds mix small domains well; more would cost time for each row of a batch.
        for round in 0..6 {
            (left, right) = (right, left ^ (keyed(key.wrapping_add(round), right) & mask));
        }
        place = (left << half) | right;
        if place < count {
            return place;
        }
    }
}

/// Returns the key of an epoch's order.
pub(crate) fn epoch_key(seed: u64, epoch: u64) -> u64 {
    // Different from the keys of steps.
    keyed(keyed(mixed(seed), u64::MAX), epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permutations_hold_every_place_once() {
        for count in [1, 2, 3, 5, 64, 65, 1000] {
            let mut places: Vec<u64> = (0..count).map(|place| permuted(42, count, place)).collect();
            let order = places.clone();
            places.sort_unstable();
            assert_eq!(places, (0..count).collect::<Vec<_>>());
            if count == 1000 {
                let moved = order.iter().zip(0..).filter(|(place, at)| **place != *at).count();
                assert!(moved > 980, "{moved}");
                assert_ne!(order, (0..count).map(|place| permuted(43, count, place)).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn distributions_have_their_moments() {
        let mut random = StepRandom::new(3, 0);
        let n = 20_000;
        let draws: Vec<f64> = (0..n).map(|_| random.normal()).collect();
        let mean = draws.iter().sum::<f64>() / f64::from(n);
        let variance = draws.iter().map(|x| x * x).sum::<f64>() / f64::from(n);
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
        let mut counts = [0u32; 6];
        (0..60_000).for_each(|_| counts[random.below(6) as usize] += 1);
        assert!(counts.iter().all(|&count| (9_600..10_400).contains(&count)), "{counts:?}");
        assert!((0..1000).all(|_| (0.0..1.0).contains(&random.uniform())));
        assert_eq!(random.below(0), 0);
    }

    #[test]
    fn streams_do_not_depend_on_what_was_drawn() {
        let mut random = StepRandom::new(1, 2);
        let before = random.stream(5);
        random.next_u64();
        assert_eq!(random.stream(5), before);
        assert_ne!(random.stream(6).next_u64(), random.stream(5).next_u64());
        let mut elements: Vec<u32> = (0..100).collect();
        random.shuffle(&mut elements);
        assert_ne!(elements, (0..100).collect::<Vec<u32>>());
        elements.sort_unstable();
        assert_eq!(elements, (0..100).collect::<Vec<u32>>());
    }
}
