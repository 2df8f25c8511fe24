//! `SamplingDataset` (D-53).
//!
//! # Semantics
//!
//! Inputs: `input_dataset`, `rate` (`float32`), `seed`, `seed2`. One random word is drawn for each element of
//! the input, and the element is kept if the number in [0, 1) that the word's low 23 bits form is below the
//! rate. A rate of 1 or more keeps all; 0, a negative one or NaN keeps none. Every epoch keeps the same
//! elements. Seeds `(0, 0)` are random, once for the dataset.
//!
//! Cardinality: unknown. Position: the state of the generator, then the input's.

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

/// Makes the dataset. The seeds are the same for all iterators.
fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let rate = build.tensor("rate")?.value::<f32>()?;
    Ok(Arc::new(Sampling { input: build.input()?, rate, seeds: SeedGenerator::of(build, false)? }))
}

/// The dataset.
struct Sampling {
    /// The dataset from which elements are drawn.
    input: Shared,
    /// The probability with which an element is kept.
    rate: f32,
    /// Gives each iterator the same seeds; a position must hold them, because unset ones are random.
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

    /// Writes the seeds of later iterators.
    fn save(&self, kept: &Kept, to: &mut Writer) -> Result<()> {
        self.seeds.of_iterator(kept).save(to);
        Ok(())
    }

    fn restore(&self, kept: &Kept, from: &mut Reader<'_>) -> Result<()> {
        self.seeds.of_iterator(kept).restore(from)
    }
}

/// An iterator.
struct Sampled {
    /// The iterator over the input.
    input: Source,
    /// The probability with which an element is kept.
    rate: f32,
    /// The random words that are left, one for each element of the input.
    words: Words,
}

impl Iterate for Sampled {
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        while let Some(element) = self.input.next(run)? {
            // The low bits of a word are those of a number between 1 and 2.
            let bits = self.words.next_word() & 0x007f_ffff | 0x3f80_0000;
            // The difference is exact, so the comparison is TensorFlow's to the last bit.
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
