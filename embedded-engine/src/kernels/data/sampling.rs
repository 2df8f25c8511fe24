//! `SamplingDataset` (D-53).

use super::build::{Build, Op};
use super::dataset::{Dataset, Iterate, Run, Shared, Source};
use super::element::Element;
use super::kept::Kept;
use super::position::{Reader, Writer};
use super::seeds::{SeedGenerator, words};
use compute::random::{Generator, Words};
use session_core::Result;
use std::sync::Arc;

pub(super) const OPS: &[Op] = &[Op { types: &["SamplingDataset"], functions: &[], make }];

fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let rate = build.tensor("rate")?.value::<f32>()?;
    Ok(Arc::new(Sampling { input: build.input()?, rate, seeds: SeedGenerator::of(build, false)? }))
}

struct Sampling {
    input: Shared,
    rate: f32,
    seeds: Arc<SeedGenerator>,
}

impl Dataset for Sampling {
    fn name(&self) -> &'static str {
        "Sampling"
    }

    fn inputs(&self) -> Vec<&Shared> {
        vec![&self.input]
    }

    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        let (seed, seed2) = self.seeds.of_iterator(run.kept).next();
        let words = Words::new(Generator::new(seed, seed2));
        Ok(Box::new(Sampled { input: self.input.iterate(run)?, rate: self.rate, words }))
    }

    fn save(&self, kept: &Kept, to: &mut Writer) -> Result<()> {
        self.seeds.of_iterator(kept).save(to);
        Ok(())
    }

    fn restore(&self, kept: &Kept, from: &mut Reader<'_>) -> Result<()> {
        self.seeds.of_iterator(kept).restore(from)
    }
}

struct Sampled {
    input: Source,
    rate: f32,
    words: Words,
}

impl Iterate for Sampled {
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        while let Some(element) = self.input.next(run)? {
            // The low bits of a word are those of a number between 1 and 2.
            let bits = self.words.next_word() & 0x007f_ffff | 0x3f80_0000;
            if f32::from_bits(bits) - 1.0 < self.rate {
                return Ok(Some(element));
            }
            run.limits.check()?;
        }
        Ok(None)
    }

    fn save(&self, to: &mut Writer) -> Result<()> {
        to.raw(&self.words.to_bytes());
        self.input.save(to)
    }

    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
        self.words = words(from)?;
        self.input.restore(from, run)
    }
}
