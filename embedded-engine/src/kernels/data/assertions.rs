//! `AssertCardinalityDataset`, `AssertNextDataset` (D-68).
//!
//! # Semantics
//!
//! - `AssertCardinalityDataset`: inputs `input_dataset`, `cardinality` (`int64`; negative for an infinite
//!   number). Passes the elements on. One element too many fails with `FailedPrecondition` "... but contained
//!   at least 3 elements.", a missing one with "... but contained only 3 elements." instead of the end; later
//!   requests fail as well. The expected number is the dataset's cardinality for what follows, whatever the
//!   input's is.
//! - `AssertNextDataset`: inputs `input_dataset`, `transformations`. Passes the elements on, and checks
//!   nothing.
//!
//! Position: the number of elements so far, then the input's.

use super::build::{Build, Op};
use super::dataset::{Dataset, Iterate, Run, Shared, Source};
use super::element::Element;
use super::position::{Reader, Writer};
use session_core::{Code, Error, Result};
use std::sync::Arc;

pub(super) const OPS: &[Op] = &[
    Op { types: &["AssertCardinalityDataset"], functions: &[], make: cardinality },
    Op { types: &["AssertNextDataset", "ExperimentalAssertNextDataset"], functions: &[], make: next },
];

/// Makes the dataset that counts.
fn cardinality(build: &Build<'_, '_>) -> Result<Shared> {
    Ok(Arc::new(AssertCardinality { input: build.input()?, expected: build.int("cardinality")? }))
}

/// Returns the input itself, after a warning. TensorFlow compares the transformations that follow with what
/// its own graph rewriting has left of them, such as a `MapAndBatch` of a map and a batch, to test that
/// rewriting. Nothing is rewritten here, so the check would refuse pipelines that run in TensorFlow.
fn next(build: &Build<'_, '_>) -> Result<Shared> {
    log::warn!(
        "{} checks nothing here: the transformations that it expects are those that TensorFlow's graph rewriting leaves",
        build.op_type()
    );
    build.input()
}

/// The dataset.
struct AssertCardinality {
    /// The dataset whose elements are counted.
    input: Shared,
    /// The number of elements that it must have; negative for an infinite number.
    expected: i64,
}

impl Dataset for AssertCardinality {
    fn name(&self) -> &'static str {
        "AssertCardinality"
    }

    fn inputs(&self) -> Vec<&Shared> {
        vec![&self.input]
    }

    /// Returns the expected number: elements that contradict it are errors, so it holds for whoever reads to
    /// the end.
    fn cardinality(&self) -> i64 {
        self.expected
    }

    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        Ok(Box::new(Counted { input: self.input.iterate(run)?, expected: self.expected, count: 0 }))
    }
}

/// An iterator.
struct Counted {
    /// The iterator over the input.
    input: Source,
    /// The expected number.
    expected: i64,
    /// The number of elements so far, one that was too many included.
    count: i64,
}

impl Counted {
    /// Creates the error; `found` is "at least" or "only".
    fn unlike(&self, found: &str) -> Error {
        let many = |count: i64| format!("{count} element{}", if count == 1 { "" } else { "s" });
        let text = format!(
            "Input dataset was expected to contain {} but contained {found} {}.",
            if self.expected < 0 { "an infinite number of elements".to_owned() } else { many(self.expected) },
            many(self.count)
        );
        Error::new(Code::FailedPrecondition, text)
    }
}

impl Iterate for Counted {
    /// Passes an element on and counts it. An element that fails is not counted; one too many is lost with
    /// its error.
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        match self.input.next(run)? {
            Some(element) => {
                self.count += 1;
                // Checked with the element at hand, so that a surplus is reported without reading the rest of
                // the input.
                if self.expected >= 0 && self.count > self.expected {
                    return Err(self.unlike("at least"));
                }
                Ok(Some(element))
            }
            None if self.count != self.expected => Err(self.unlike("only")),
            None => Ok(None),
        }
    }

    fn save(&self, to: &mut Writer) -> Result<()> {
        to.integer(self.count);
        self.input.save(to)
    }

    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
        self.count = from.integer()?;
        self.input.restore(from, run)
    }
}
