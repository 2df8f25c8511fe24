//! `RandomDataset` (D-52).

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

pub(super) const OPS: &[Op] =
    &[Op { types: &["RandomDataset", "RandomDatasetV2", "ExperimentalRandomDataset"], functions: &[], make }];

fn make(build: &Build<'_, '_>) -> Result<Shared> {
    Ok(Arc::new(Random { seeds: SeedGenerator::of(build, build.is_set("rerandomize_each_iteration"))? }))
}

struct Random {
    seeds: Arc<SeedGenerator>,
}

impl Dataset for Random {
    fn name(&self) -> &'static str {
        "Random"
    }

    fn cardinality(&self) -> i64 {
        INFINITE
    }

    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        let (seed, seed2) = self.seeds.of_iterator(run.kept).next();
        Ok(Box::new(Draws(Words::new(Generator::new(seed, seed2)))))
    }

    fn save(&self, kept: &Kept, to: &mut Writer) -> Result<()> {
        self.seeds.of_iterator(kept).save(to);
        Ok(())
    }

    fn restore(&self, kept: &Kept, from: &mut Reader<'_>) -> Result<()> {
        self.seeds.of_iterator(kept).restore(from)
    }
}

struct Draws(Words);

impl Iterate for Draws {
    fn next(&mut self, _: &Run<'_>) -> Result<Option<Element>> {
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
