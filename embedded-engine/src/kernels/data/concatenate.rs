//! `ConcatenateDataset` (D-60).
//!
//! # Semantics
//!
//! Inputs: `input_dataset`, `another_dataset`; first the elements of the one, then those of the other. Their
//! dtypes must be equal, else `InvalidArgument` from the initializer; shapes may differ, and elements keep
//! theirs. The second input is opened when the first one has ended.
//!
//! Cardinality: the sum; infinite if either is, unknown if either is. Random access if both have it.
//! Position: the number of the input that is read, then its position if it is open; 2 and none at the end.

use super::build::{Build, Op};
use super::dataset::{Dataset, INFINITE, Iterate, Run, Shared, Source, UNKNOWN};
use super::element::Element;
use super::position::{Reader, Writer};
use session_core::{Error, Result};
use std::sync::Arc;

pub(super) const OPS: &[Op] = &[Op { types: &["ConcatenateDataset"], functions: &[], make }];

/// Makes the dataset, if the dtypes agree.
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

/// The dataset.
struct Concatenate {
    /// The two inputs in their order.
    inputs: [Shared; 2],
}

impl Dataset for Concatenate {
    fn name(&self) -> &'static str {
        "Concatenate"
    }

    fn inputs(&self) -> Vec<&Shared> {
        self.inputs.iter().collect()
    }

    /// Returns the sum of both numbers, at most the largest `int64`.
    fn cardinality(&self) -> i64 {
        match (self.inputs[0].cardinality(), self.inputs[1].cardinality()) {
            // An infinite input hides whatever the other one is, even if that is unknown.
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

    /// Returns an element of the first input, or of the second one for larger numbers.
    fn row(&self, run: &Run<'_>, number: u64) -> Result<Element> {
        let first = self.inputs[0].rows().unwrap_or(0);
        match number.checked_sub(first) {
            None => self.inputs[0].row(run, number),
            Some(number) => self.inputs[1].row(run, number),
        }
    }
}

/// An iterator.
struct Both {
    /// The inputs, of which the second one is opened later.
    datasets: [Shared; 2],
    /// The index of the input that is being read; 2 after the end of the last one.
    at: usize,
    /// The iterator over the input at `at`; `None` while it is not open.
    input: Option<Source>,
}

impl Iterate for Both {
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        while let Some(dataset) = self.datasets.get(self.at) {
            // One that cannot be opened is tried again by the next request.
            let input = match &mut self.input {
                Some(input) => input,
                none => none.insert(dataset.iterate(run)?),
            };
            if let Some(element) = input.next(run)? {
                return Ok(Some(element));
            }
            // The iterator is dropped before the next one is made, so only one input is ever open.
            (self.at, self.input) = (self.at + 1, None);
        }
        Ok(None)
    }

    fn save(&self, to: &mut Writer) -> Result<()> {
        to.number(self.at as u64);
        to.option(self.input.as_ref(), |to, input| input.save(to))
    }

    /// Opens the input with the saved number, which is not necessarily the first one.
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
