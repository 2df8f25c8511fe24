//! `ZipDataset` (D-60).
//!
//! # Semantics
//!
//! Input: `input_datasets`, a list. Element `n` has the components of the inputs' elements `n`, one after
//! another. Ends with the shortest input; the inputs before it have lost one element then. If inputs fail,
//! the others still advance, and the error of the first one is returned, so that elements that belong
//! together stay together. If an input ends in a request in which one before it has failed, the error is
//! returned, and the end with the next request.
//!
//! Cardinality: the least; unknown if any is. Random access if all inputs have it. Position: the number of
//! inputs, then the position of each; no inputs after the end.

use super::build::{Build, Op};
use super::dataset::{Dataset, INFINITE, Iterate, Run, Shared, Source, UNKNOWN};
use super::element::Element;
use super::position::{Reader, Writer, damaged};
use session_core::Result;
use std::sync::Arc;

pub(super) const OPS: &[Op] = &[Op { types: &["ZipDataset"], functions: &[], make }];

/// Makes the dataset.
fn make(build: &Build<'_, '_>) -> Result<Shared> {
    Ok(Arc::new(Zip { inputs: build.datasets("input_datasets")? }))
}

/// The dataset.
struct Zip {
    /// The inputs in the order of their components.
    inputs: Vec<Shared>,
}

impl Dataset for Zip {
    fn name(&self) -> &'static str {
        "Zip"
    }

    fn inputs(&self) -> Vec<&Shared> {
        self.inputs.iter().collect()
    }

    /// Returns the smallest number of the inputs; infinite ones do not count unless all are.
    fn cardinality(&self) -> i64 {
        let all = self.inputs.iter().map(|input| input.cardinality());
        all.fold(INFINITE, |least, count| match (least, count) {
            (UNKNOWN, _) | (_, UNKNOWN) => UNKNOWN,
            (INFINITE, other) | (other, INFINITE) => other,
            (a, b) => a.min(b),
        })
    }

    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        let inputs = self.inputs.iter().map(|input| input.iterate(run)).collect::<Result<_>>()?;
        Ok(Box::new(Zipped { inputs }))
    }

    fn rows(&self) -> Option<u64> {
        self.inputs.iter().map(|input| input.rows()).try_fold(u64::MAX, |least, rows| Some(least.min(rows?)))
    }

    fn row(&self, run: &Run<'_>, number: u64) -> Result<Element> {
        let parts = self.inputs.iter().map(|input| input.row(run, number)).collect::<Result<Vec<_>>>()?;
        Ok(parts.concat())
    }
}

/// An iterator.
struct Zipped {
    /// The iterators over the inputs; empty when one of them has ended.
    inputs: Vec<Source>,
}

impl Iterate for Zipped {
    /// Requests one element of each input in order, and stops at the first end. An error before it counts.
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        let (mut element, mut failed) = (Element::new(), None);
        for input in &mut self.inputs {
            match input.next(run) {
                Ok(Some(part)) => element.extend(part),
                Ok(None) => {
                    // Inputs that were asked before this one have lost an element, so there is nothing to go
                    // on with.
                    self.inputs.clear();
                    break;
                }
                // The others lose their elements, too, so that what belongs together stays together.
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok((!self.inputs.is_empty()).then_some(element)),
        }
    }

    fn save(&self, to: &mut Writer) -> Result<()> {
        to.list(self.inputs.iter(), |to, input| input.save(to))
    }

    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
        let inputs = std::mem::take(&mut self.inputs);
        let mut inputs = inputs.into_iter();
        self.inputs = from.list(|from| {
            let mut input = inputs.next().ok_or_else(damaged)?;
            input.restore(from, run)?;
            Ok(input)
        })?;
        // After the end there are none; fewer would be elements that lack components.
        if !self.inputs.is_empty() && inputs.next().is_some() {
            return Err(damaged());
        }
        Ok(())
    }
}
