//! `PrefetchDataset` (D-67).

use super::build::{Build, Op};
use super::dataset::{Dataset, Run, Shared, Source};
use super::element::Element;
use session_core::{Error, Result};
use std::sync::Arc;

pub(super) const OPS: &[Op] = &[Op { types: &["PrefetchDataset"], functions: &[], make }];

fn make(build: &Build<'_, '_>) -> Result<Shared> {
    match build.int("buffer_size")? {
        0 => build.input(),
        -1 => Ok(Arc::new(Prefetch { input: build.input()?, size: AUTO })),
        size if size < -1 => {
            let text = "buffer_size must be >= 0 or set buffer_size to be -1 for auto-tuning";
            Err(Error::invalid_argument(text))
        }
        size => {
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            Ok(Arc::new(Prefetch { input: build.input()?, size }))
        }
    }
}

/// The buffer size that -1 stands for: one element that waits while the next one is made, and one more for steps that take several
/// in a row.
const AUTO: usize = 2;

/// Iterators of a session make the elements of a pipeline with a prefetch in the background (see `ahead`), whatever follows it.
/// The elements themselves pass through.
struct Prefetch {
    input: Shared,
    size: usize,
}

impl Dataset for Prefetch {
    fn name(&self) -> &'static str {
        "Prefetch"
    }

    fn inputs(&self) -> Vec<&Shared> {
        vec![&self.input]
    }

    fn cardinality(&self) -> i64 {
        self.input.cardinality()
    }

    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        self.input.iterate(run)
    }

    fn buffer_size(&self) -> Option<usize> {
        Some(self.size)
    }

    fn rows(&self) -> Option<u64> {
        self.input.rows()
    }

    fn row(&self, run: &Run<'_>, number: u64) -> Result<Element> {
        self.input.row(run, number)
    }
}
