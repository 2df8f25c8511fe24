//! The seeds of shuffles (D-30 to D-32).
//!
//! # Semantics
//!
//! - `DummySeedGenerator` outputs an empty resource: the dataset op uses its own seeds.
//! - `AnonymousSeedGenerator`, `AnonymousRandomSeedGenerator`: inputs `seed`, `seed2` and, in the former,
//!   `reshuffle` (true where it is missing). Outputs a resource with a new [`SeedGenerator`] in each run, and
//!   an empty deleter.
//! - `DeleteSeedGenerator`, `DeleteRandomSeedGenerator` do nothing: the resource ends with its last handle.
//!
//! # Algorithm
//!
//! A generator over `(seed, seed2)` yields 32-bit words of Philox 4x32-10 (D-30). Each new iterator draws two
//! words, which are its own pair of seeds; without reshuffling it gets `(seed, seed2)` itself. `(0, 0)`
//! stands for seeds that were not given and is replaced by a random pair once, when the dataset is made, so
//! that all epochs follow from one pair.
//!
//! # Example
//!
//! The words over the seeds 7 and 3 are 2545112793, 531643458, 698849000, 2576041488 and so on (D-37). The
//! first epoch of a shuffle with these seeds therefore draws from a generator over (2545112793, 531643458),
//! the second one from one over (698849000, 2576041488).

use super::build::Build;
use super::kept::Kept;
use super::position::{Reader, Writer, damaged};
use crate::kernels::math::boxed;
use crate::registry::Registry;
use compute::random::{Generator, Words, seeds_from_entropy};
use session_core::Result;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tensor::{DType, Tensor};

/// Registers the ops that create and delete seed generators.
pub(super) fn register(registry: &mut Registry) {
    let dummy = registry.add("DummySeedGenerator", |_| {
        Ok(boxed(|context| {
            context.set(0, Tensor::from_handle(DType::Resource, Arc::new(())));
            Ok(())
        }))
    });
    dummy.describes();
    for op_type in ["AnonymousSeedGenerator", "AnonymousRandomSeedGenerator"] {
        registry.add(op_type, |_| {
            Ok(boxed(|context| {
                let reshuffle = context.num_inputs() < 3 || context.input(2).value::<bool>()?;
                let seeds = SeedGenerator::new((context.int(0)?, context.int(1)?), reshuffle);
                context.set(0, Tensor::from_handle(DType::Resource, Arc::new(seeds)));
                context.set(1, Tensor::from_handle(DType::Variant, Arc::new(())));
                Ok(())
            }))
        });
    }
    for op_type in ["DeleteSeedGenerator", "DeleteRandomSeedGenerator"] {
        registry.add(op_type, |_| Ok(boxed(|_| Ok(()))));
    }
}

/// Draws the pair of seeds of each iterator over one dataset.
pub(super) struct SeedGenerator {
    /// True if each iterator has other seeds than the one before; false if all have the generator's own.
    reshuffle: bool,
    /// Guards what is given next; held for a moment.
    state: Mutex<State>,
}

/// The seeds and how many pairs were drawn from them.
#[derive(Clone, Copy)]
struct State {
    /// The generator's own seeds; random ones where `(0, 0)` was given.
    seeds: (i64, i64),
    /// The words of which pairs are made; two for each pair.
    words: Words,
}

impl SeedGenerator {
    /// Makes a generator at its first pair. Two zeros stand for seeds that were not given.
    pub(super) fn new(seeds: (i64, i64), reshuffle: bool) -> SeedGenerator {
        let seeds = if seeds == (0, 0) { seeds_from_entropy() } else { seeds };
        let words = Words::new(Generator::new(seeds.0, seeds.1));
        SeedGenerator { reshuffle, state: Mutex::new(State { seeds, words }) }
    }

    /// Returns the generator of an operation: that of its resource input `seed_generator`, whose own seeds
    /// and reshuffling count, or a new one over the inputs `seed` and `seed2` (D-31).
    pub(super) fn of(build: &Build<'_, '_>, reshuffle: bool) -> Result<Arc<SeedGenerator>> {
        if build.has("seed_generator")
            && let Some(shared) = build.tensor("seed_generator")?.to_handle::<SeedGenerator>()
        {
            return Ok(shared);
        }
        let seeds = (build.int_or("seed", 0)?, build.int_or("seed2", 0)?);
        Ok(Arc::new(SeedGenerator::new(seeds, reshuffle)))
    }

    /// Returns the generator that one iterator of the session and those inside it use, which begins as this
    /// one does.
    pub(super) fn of_iterator(self: &Arc<Self>, kept: &Kept) -> Arc<SeedGenerator> {
        kept.of(self, |origin| SeedGenerator {
            reshuffle: origin.reshuffle,
            state: Mutex::new(*origin.state()),
        })
    }

    /// Locks the state for a moment.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the pair of seeds of the next iterator.
    pub(super) fn next(&self) -> (i64, i64) {
        let mut state = self.state();
        if !self.reshuffle {
            return state.seeds;
        }
        // A tuple is evaluated from left to right: the first word is the seed, the second seed2 (D-31).
        (state.words.next_word().into(), state.words.next_word().into())
    }

    /// Writes both seeds and the state of the words, from which the pairs of all later epochs follow.
    pub(super) fn save(&self, to: &mut Writer) {
        let state = self.state();
        to.integer(state.seeds.0);
        to.integer(state.seeds.1);
        to.raw(&state.words.to_bytes());
    }

    /// Restores the next seeds. If no seeds were set, those of the interrupted run are used, so that the
    /// resumed epochs are shuffled as they would have been.
    pub(super) fn restore(&self, from: &mut Reader<'_>) -> Result<()> {
        let seeds = (from.integer()?, from.integer()?);
        *self.state() = State { seeds, words: words(from)? };
        Ok(())
    }
}

/// Reads the state of words that [`Words::to_bytes`] wrote.
pub(super) fn words(from: &mut Reader<'_>) -> Result<Words> {
    let bytes = from.raw(Words::BYTES)?.try_into().map_err(|_| damaged())?;
    Ok(Words::from_bytes(bytes))
}
