//! `FilterDataset`, `FilterByLastComponentDataset`.
//!
//! # Semantics
//!
//! - `FilterDataset`, `ParallelFilterDataset`: inputs `input_dataset`, `other_arguments`; attribute
//!   `predicate`, a function that returns one `bool` for an element. Elements for which it is true are passed
//!   on unchanged, in order. The parallel form gives the same elements; its `num_parallel_calls` is not read,
//!   and predicates are called one after another.
//! - `FilterByLastComponentDataset`: the last component, one `bool`, is the predicate and is removed.
//!   TensorFlow has no kernel for it (D-2).
//!
//! An error of the predicate loses its element only (D-10). A predicate must return one result; another
//! number is `InvalidArgument`. Cardinality: unknown. Position: the input's.

use super::build::{Build, Op};
use super::dataset::{Dataset, Iterate, Run, Shared, Source};
use super::element::Element;
use super::function::Function;
use super::position::{Reader, Writer};
use session_core::{Error, Result};
use std::sync::Arc;

/// The op types. The predicate of the second kind is no function, so it holds none.
pub(super) const OPS: &[Op] = &[
    Op { types: &["FilterDataset", "ParallelFilterDataset"], functions: &["predicate"], make },
    Op { types: &["FilterByLastComponentDataset"], functions: &[], make: by_last_component },
];

/// Makes the dataset of a predicate.
fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let predicate = build.function("predicate", "other_arguments")?;
    Ok(Arc::new(Filter { input: build.input()?, predicate: Some(predicate) }))
}

/// Makes the dataset whose elements bring their predicate.
fn by_last_component(build: &Build<'_, '_>) -> Result<Shared> {
    Ok(Arc::new(Filter { input: build.input()?, predicate: None }))
}

/// The dataset.
struct Filter {
    /// The dataset whose elements are filtered.
    input: Shared,
    /// Absent where the last component is the predicate, which does not belong to the elements.
    predicate: Option<Function>,
}

impl Dataset for Filter {
    fn name(&self) -> &'static str {
        "Filter"
    }

    fn inputs(&self) -> Vec<&Shared> {
        vec![&self.input]
    }

    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        Ok(Box::new(Filtered { input: self.input.iterate(run)?, predicate: self.predicate.clone() }))
    }
}

/// An iterator.
struct Filtered {
    /// The iterator over the input.
    input: Source,
    /// The predicate, as in the dataset.
    predicate: Option<Function>,
}

impl Iterate for Filtered {
    /// Takes elements until the predicate holds for one. The call of the predicate is part of the request:
    /// there is no reading ahead.
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        while let Some(mut element) = self.input.next(run)? {
            // The element is cloned by reference counts; the function consumes its arguments.
            let stays = match &self.predicate {
                Some(predicate) => predicate.truth(run, element.clone())?,
                None => {
                    let last = element
                        .pop()
                        .ok_or_else(|| Error::invalid_argument("an element without components"))?;
                    last.value()?
                }
            };
            if stays {
                return Ok(Some(element));
            }
            // A predicate that is never true would keep the step beyond its deadline.
            run.limits.check()?;
        }
        Ok(None)
    }

    fn save(&self, to: &mut Writer) -> Result<()> {
        self.input.save(to)
    }

    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
        self.input.restore(from, run)
    }
}
