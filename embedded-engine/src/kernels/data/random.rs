//! `RandomDataset` (D-52).
//!
//! # Semantics
//!
//! Inputs: `seed`, `seed2` (`int64`), in `V2` also `seed_generator`; attribute `rerandomize_each_iteration`
//! (false). Yields the 32-bit words of Philox 4x32-10 over the seeds as `int64` scalars, without end. Every
//! epoch has the same elements, unless `rerandomize_each_iteration` is set: then each iterator has its own
//! pair of seeds. Seeds `(0, 0)` are random, once for the dataset.
//!
//! Cardinality: infinite. Position: the state of the generator; the seeds of later epochs are states of the
//! dataset.

use super::build::{Build, Op};
use super::dataset::{Dataset, INFINITE, Iterate, Run, Shared, Source};
use super::element::Element;
use super::kept::Kept;
use super::position::{Reader, Writer};
use super::seeds::{SeedGenerator, words};
use compute::random::{Generator, Words};
use session_core::Result;
use std::sync::Arc;
use tensor::Tensor;

/// The op types. `RandomDatasetV2` has a seed generator and may draw new seeds for each iterator.
pub(super) const OPS: &[Op] =
    &[Op { types: &["RandomDataset", "RandomDatasetV2", "ExperimentalRandomDataset"], functions: &[], make }];

/// Makes the dataset.
fn make(build: &Build<'_, '_>) -> Result<Shared> {
    Ok(Arc::new(Random { seeds: SeedGenerator::of(build, build.is_set("rerandomize_each_iteration"))? }))
}

/// The dataset.
struct Random {
    /// Gives each iterator its seeds.
    seeds: Arc<SeedGenerator>,
}

impl Dataset for Random {
    fn name(&self) -> &'static str {
        "Random"
    }

    fn cardinality(&self) -> i64 {
        INFINITE
    }

    /// Begins with the dataset's seeds, or with a new pair for each iterator where that is requested.
    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        let (seed, seed2) = self.seeds.of_iterator(run.kept).next();
        Ok(Box::new(Draws(Words::new(Generator::new(seed, seed2)))))
    }

    /// Writes the seeds of later iterators.
    fn save(&self, kept: &Kept, to: &mut Writer) -> Result<()> {
        self.seeds.of_iterator(kept).save(to);
        Ok(())
    }

    fn restore(&self, kept: &Kept, from: &mut Reader<'_>) -> Result<()> {
        self.seeds.of_iterator(kept).restore(from)
    }
}

/// An iterator: the words that are left.
struct Draws(Words);

impl Iterate for Draws {
    fn next(&mut self, _: &Run<'_>) -> Result<Option<Element>> {
        // Words are unsigned; as `int64` all of them are non-negative.
        Ok(Some(vec![Tensor::scalar(i64::from(self.0.next_word()))]))
    }

    fn save(&self, to: &mut Writer) -> Result<()> {
        to.raw(&self.0.to_bytes());
        Ok(())
    }

    fn restore(&mut self, from: &mut Reader<'_>, _: &Run<'_>) -> Result<()> {
        self.0 = words(from)?;
        Ok(())
    }
}
