//! `TakeWhileDataset` (D-65).
//!
//! # Semantics
//!
//! Inputs: `input_dataset`, `other_arguments`; attribute `predicate`, a function that returns one `bool` for
//! an element. Passes elements on as long as it is true; the first one for which it is false, and all after
//! it, are left out. The input is dropped then, which closes its files. An error of the predicate loses its
//! element only, and the next request continues (D-10).
//!
//! Cardinality: unknown. Position: whether the input is open, and its position.

use super::build::{Build, Op};
use super::dataset::{Dataset, Iterate, Run, Shared, Source, restore_open, save_open};
use super::element::Element;
use super::function::Function;
use super::position::{Reader, Writer};
use session_core::Result;
use std::sync::Arc;

pub(super) const OPS: &[Op] =
    &[Op { types: &["TakeWhileDataset", "ExperimentalTakeWhileDataset"], functions: &["predicate"], make }];

/// Makes the dataset.
fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let predicate = build.function("predicate", "other_arguments")?;
    Ok(Arc::new(TakeWhile { input: build.input()?, predicate }))
}

/// The dataset.
struct TakeWhile {
    /// The dataset whose elements are passed on.
    input: Shared,
    /// The predicate.
    predicate: Function,
}

impl Dataset for TakeWhile {
    fn name(&self) -> &'static str {
        "TakeWhile"
    }

    fn inputs(&self) -> Vec<&Shared> {
        vec![&self.input]
    }

    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        let input = Some(self.input.iterate(run)?);
        Ok(Box::new(TakenWhile { input, predicate: self.predicate.clone() }))
    }
}

/// An iterator.
struct TakenWhile {
    /// The iterator over the input; `None` after the end.
    input: Option<Source>,
    /// The predicate.
    predicate: Function,
}

impl Iterate for TakenWhile {
    /// Returns the next element if the predicate holds for it; otherwise drops the input.
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        let Some(input) = &mut self.input else { return Ok(None) };
        // An error of the predicate returns here and leaves the input open.
        let element = match input.next(run)? {
            Some(element) if self.predicate.truth(run, element.clone())? => Some(element),
            _ => None,
        };
        if element.is_none() {
            self.input = None;
        }
        Ok(element)
    }

    fn save(&self, to: &mut Writer) -> Result<()> {
        save_open(self.input.as_ref(), to)
    }

    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
        restore_open(&mut self.input, from, run)
    }
}
