//! `PrefetchDataset` (D-67).
//!
//! # Semantics
//!
//! Inputs: `input_dataset`, `buffer_size` (`int64`). A size of 0 is the input itself, -1 leaves the size to
//! the runtime, which takes 2; smaller ones are `InvalidArgument` from the initializer. `slack_period`,
//! `legacy_autotune` and `buffer_size_min` change nothing in the elements and are not read.
//!
//! The elements and their order are those of the input. There is no buffer here: the last prefetch of a
//! pipeline tells the session's iterator how far to work ahead (`ahead.rs`). Elements made ahead are lost
//! when the iterator is initialized again, and none is part of a position, which is that of the last element
//! taken.

use super::build::{Build, Op};
use super::dataset::{Dataset, Run, Shared, Source};
use super::element::Element;
use session_core::{Error, Result};
use std::sync::Arc;
use tensor::Tensor;

pub(super) const OPS: &[Op] = &[Op { types: &["PrefetchDataset"], functions: &[], make }];

/// Makes the dataset, or returns the input for a buffer size of 0.
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
    /// The dataset whose elements pass through.
    input: Shared,
    /// The number of elements to make ahead; at least 1.
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

    /// Returns the iterator of the input, so a prefetch is not part of a position, except for its name in the
    /// chain.
    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        self.input.iterate(run)
    }

    fn buffer_size(&self) -> Option<usize> {
        // Also if another prefetch lies further inside: the last one of the pipeline counts.
        Some(self.size)
    }

    fn rows(&self) -> Option<u64> {
        self.input.rows()
    }

    fn row(&self, run: &Run<'_>, number: u64) -> Result<Element> {
        self.input.row(run, number)
    }

    fn components(&self) -> Option<&[Tensor]> {
        self.input.components()
    }
}
