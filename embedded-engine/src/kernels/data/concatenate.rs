//! `ConcatenateDataset` (D-60).

use super::build::{Build, Op};
use super::dataset::{Dataset, INFINITE, Iterate, Run, Shared, Source, UNKNOWN};
use super::element::Element;
use super::position::{Reader, Writer};
use session_core::{Error, Result};
use std::sync::Arc;

pub(super) const OPS: &[Op] = &[Op { types: &["ConcatenateDataset"], functions: &[], make }];

fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let (first, second) = (build.handle("input_dataset")?, build.handle("another_dataset")?);
    if first.types != second.types {
        let text = format!(
            "input dataset and another dataset have different output_types: {:?} and {:?}",
            first.types, second.types
        );
        return Err(Error::invalid_argument(text));
    }
    Ok(Arc::new(Concatenate { inputs: [first.dataset, second.dataset] }))
}

struct Concatenate {
    inputs: [Shared; 2],
}

impl Dataset for Concatenate {
    fn name(&self) -> &'static str {
        "Concatenate"
    }

    fn inputs(&self) -> Vec<&Shared> {
        self.inputs.iter().collect()
    }

    fn cardinality(&self) -> i64 {
        match (self.inputs[0].cardinality(), self.inputs[1].cardinality()) {
            (INFINITE, _) | (_, INFINITE) => INFINITE,
            (UNKNOWN, _) | (_, UNKNOWN) => UNKNOWN,
            (first, second) => first.saturating_add(second),
        }
    }

    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        Ok(Box::new(Both { datasets: self.inputs.clone(), at: 0, input: Some(self.inputs[0].iterate(run)?) }))
    }

    fn rows(&self) -> Option<u64> {
        Some(self.inputs[0].rows()?.saturating_add(self.inputs[1].rows()?))
    }

    fn row(&self, run: &Run<'_>, number: u64) -> Result<Element> {
        let first = self.inputs[0].rows().unwrap_or(0);
        match number.checked_sub(first) {
            None => self.inputs[0].row(run, number),
            Some(number) => self.inputs[1].row(run, number),
        }
    }
}

struct Both {
    datasets: [Shared; 2],
    /// The index of the input that is being read.
    at: usize,
    input: Option<Source>,
}

impl Iterate for Both {
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        while let Some(input) = &mut self.input {
            if let Some(element) = input.next(run)? {
                return Ok(Some(element));
            }
            self.at += 1;
            self.input = self.datasets.get(self.at).map(|next| next.iterate(run)).transpose()?;
        }
        Ok(None)
    }

    fn save(&self, to: &mut Writer) -> Result<()> {
        to.number(self.at as u64);
        to.option(self.input.as_ref(), |to, input| input.save(to))
    }

    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
        self.at = from.size()?;
        self.input = from.option(|from| {
            let dataset = self.datasets.get(self.at).ok_or_else(super::position::damaged)?;
            let mut input = dataset.iterate(run)?;
            input.restore(from, run)?;
            Ok(input)
        })?;
        Ok(())
    }
}
