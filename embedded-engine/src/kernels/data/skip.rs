//! `SkipDataset` (D-60).
//!
//! # Semantics
//!
//! Inputs: `input_dataset`, `count` (`int64`): the number of elements to leave out, negative for all. They
//! are skipped with the first request, without being made where the input allows it. The error of a skipped
//! element is returned, and the next request skips the full number again after it, as in TensorFlow:
//! `range(10)` with an error at 1 and a count of 3 gives error, 5, 6 and so on.
//!
//! Cardinality: known if the input's is. Random access: element `n` is the input's `n + count`. Position: the
//! elements still to skip, -1 for all, then the input's.

use super::build::{Build, Op};
use super::dataset::{Dataset, Iterate, Run, Shared, Source};
use super::element::Element;
use super::position::{Reader, Writer};
use session_core::Result;
use std::sync::Arc;

pub(super) const OPS: &[Op] = &[Op { types: &["SkipDataset"], functions: &[], make }];

/// Makes the dataset.
fn make(build: &Build<'_, '_>) -> Result<Shared> {
    // A negative count leaves out all.
    let count = u64::try_from(build.int("count")?).ok();
    Ok(Arc::new(Skip { input: build.input()?, count }))
}

/// The dataset.
struct Skip {
    /// The dataset whose first elements are left out.
    input: Shared,
    /// The number of elements to leave out; `None` for all.
    count: Option<u64>,
}

impl Dataset for Skip {
    fn name(&self) -> &'static str {
        "Skip"
    }

    fn inputs(&self) -> Vec<&Shared> {
        vec![&self.input]
    }

    fn cardinality(&self) -> i64 {
        match (self.input.cardinality(), self.count) {
            (_, None) => 0,
            (all, Some(_)) if all < 0 => all,
            (all, Some(count)) => (all - count.cast_signed().max(0)).max(0),
        }
    }

    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        Ok(Box::new(Skipped { input: self.input.iterate(run)?, left: self.count }))
    }

    fn rows(&self) -> Option<u64> {
        let rows = self.input.rows()?;
        Some(self.count.map_or(0, |count| rows.saturating_sub(count)))
    }

    fn row(&self, run: &Run<'_>, number: u64) -> Result<Element> {
        self.input.row(run, number.saturating_add(self.count.unwrap_or(0)))
    }
}

/// An iterator.
struct Skipped {
    /// The iterator over the input.
    input: Source,
    /// The number of elements still to skip; `None` at the end, or where all are left out.
    left: Option<u64>,
}

impl Iterate for Skipped {
    /// Skips what is to be skipped at the first request; an input that ends meanwhile is at its end for good.
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        let Some(left) = self.left else { return Ok(None) };
        if left > 0 {
            let passed = self.input.skip(run, left)?;
            self.left = (passed == left).then_some(0);
            if self.left.is_none() {
                return Ok(None);
            }
        }
        self.input.next(run)
    }

    fn save(&self, to: &mut Writer) -> Result<()> {
        to.integer(self.left.map_or(-1, u64::cast_signed));
        self.input.save(to)
    }

    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
        self.left = u64::try_from(from.integer()?).ok();
        self.input.restore(from, run)
    }
}
