//! The seeds of shuffles (D-30 to D-32).

use super::build::Build;
use super::kept::Kept;
use super::position::{Reader, Writer, damaged};
use crate::kernels::math::boxed;
use crate::registry::Registry;
use compute::random::{Generator, Words, seeds_from_entropy};
use session_core::Result;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tensor::{DType, Tensor};

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

/// Draws the seeds of each iterator.
pub(super) struct SeedGenerator {
    reshuffle: bool,
    /// Guards what is given next; held for a moment.
    state: Mutex<State>,
}

#[derive(Clone, Copy)]
struct State {
    seeds: (i64, i64),
    /// The words of which pairs are made.
    words: Words,
}

impl SeedGenerator {
    /// Two zeros stand for seeds that were not given.
    pub(super) fn new(seeds: (i64, i64), reshuffle: bool) -> SeedGenerator {
        let seeds = if seeds == (0, 0) { seeds_from_entropy() } else { seeds };
        let words = Words::new(Generator::new(seeds.0, seeds.1));
        SeedGenerator { reshuffle, state: Mutex::new(State { seeds, words }) }
    }

    /// Returns the seeds of an operation: those of its resource input, or its own.
    pub(super) fn of(build: &Build<'_, '_>, reshuffle: bool) -> Result<Arc<SeedGenerator>> {
        if build.has("seed_generator")
            && let Some(shared) = build.tensor("seed_generator")?.to_handle::<SeedGenerator>()
        {
            return Ok(shared);
        }
        let seeds = (build.int_or("seed", 0)?, build.int_or("seed2", 0)?);
        Ok(Arc::new(SeedGenerator::new(seeds, reshuffle)))
    }

    /// Returns the seeds that one iterator and those inside it use, which begin as these do.
    pub(super) fn of_iterator(self: &Arc<Self>, kept: &Kept) -> Arc<SeedGenerator> {
        kept.of(self, |origin| SeedGenerator {
            reshuffle: origin.reshuffle,
            state: Mutex::new(*origin.state()),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The seeds of the next iterator.
    pub(super) fn next(&self) -> (i64, i64) {
        let mut state = self.state();
        if !self.reshuffle {
            return state.seeds;
        }
        (state.words.next_word().into(), state.words.next_word().into())
    }

    pub(super) fn save(&self, to: &mut Writer) {
        let state = self.state();
        to.integer(state.seeds.0);
        to.integer(state.seeds.1);
        to.raw(&state.words.to_bytes());
    }

    /// Restores the next seeds. If no seeds were set, those of the interrupted run are used.
    pub(super) fn restore(&self, from: &mut Reader<'_>) -> Result<()> {
        let seeds = (from.integer()?, from.integer()?);
        *self.state() = State { seeds, words: words(from)? };
        Ok(())
    }
}

/// Reads the state of words.
pub(super) fn words(from: &mut Reader<'_>) -> Result<Words> {
    let bytes = from.raw(Words::BYTES)?.try_into().map_err(|_| damaged())?;
    Ok(Words::from_bytes(bytes))
}
