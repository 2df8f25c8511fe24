//! `AssertCardinalityDataset`, `AssertNextDataset` (D-68).

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

fn cardinality(build: &Build<'_, '_>) -> Result<Shared> {
    Ok(Arc::new(AssertCardinality { input: build.input()?, expected: build.int("cardinality")? }))
}

/// Hands the elements of the input on. TensorFlow compares the transformations that follow with what its own graph rewriting
/// has left of them, such as a `MapAndBatch` of a map and a batch, to test that rewriting. Nothing is rewritten here, so the
/// check would refuse pipelines that run in TensorFlow.
fn next(build: &Build<'_, '_>) -> Result<Shared> {
    log::warn!(
        "{} checks nothing here: the transformations that it expects are those that TensorFlow's graph rewriting leaves",
        build.op_type()
    );
    build.input()
}

struct AssertCardinality {
    input: Shared,
    expected: i64,
}

impl Dataset for AssertCardinality {
    fn name(&self) -> &'static str {
        "AssertCardinality"
    }

    fn inputs(&self) -> Vec<&Shared> {
        vec![&self.input]
    }

    fn cardinality(&self) -> i64 {
        self.expected
    }

    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        Ok(Box::new(Counted { input: self.input.iterate(run)?, expected: self.expected, count: 0 }))
    }
}

struct Counted {
    input: Source,
    expected: i64,
    count: i64,
}

impl Counted {
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
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        match self.input.next(run)? {
            Some(element) => {
                self.count += 1;
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
