//! `IgnoreErrorsDataset` (D-14).
//!
//! # Semantics
//!
//! Input: `input_dataset`; attribute `log_warning` (false). Elements that fail are left out, with a warning
//! if `log_warning` is set. What an error takes with it depends on the input: of a batch the whole batch, of
//! records the rest of the file. `Cancelled` and `DeadlineExceeded` are passed on, since they may be those of
//! the run.
//!
//! TensorFlow never gives up; here an input that fails 2^20 times in a row returns its error, so that a
//! missing file does not keep a step without a deadline forever.
//!
//! Cardinality: unknown. Position: the input's.

use super::build::{Build, Op};
use super::dataset::{Dataset, Iterate, Run, Shared, Source};
use super::element::Element;
use super::position::{Reader, Writer};
use session_core::{Code, Result};
use std::sync::Arc;

pub(super) const OPS: &[Op] =
    &[Op { types: &["IgnoreErrorsDataset", "ExperimentalIgnoreErrorsDataset"], functions: &[], make }];

/// Makes the dataset.
fn make(build: &Build<'_, '_>) -> Result<Shared> {
    Ok(Arc::new(IgnoreErrors { input: build.input()?, warns: build.is_set("log_warning") }))
}

/// The dataset.
struct IgnoreErrors {
    /// The dataset whose errors are ignored.
    input: Shared,
    /// True if each error is logged.
    warns: bool,
}

impl Dataset for IgnoreErrors {
    fn name(&self) -> &'static str {
        "IgnoreErrors"
    }

    fn inputs(&self) -> Vec<&Shared> {
        vec![&self.input]
    }

    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        Ok(Box::new(Whole { input: self.input.iterate(run)?, warns: self.warns }))
    }
}

/// The number of consecutive errors after which they count as permanent, such as those of a missing file
/// (D-81). Far more than a pipeline with damaged elements has.
const IN_A_ROW: u32 = 1 << 20;

/// An iterator.
struct Whole {
    /// The iterator over the input.
    input: Source,
    /// True if each error is logged.
    warns: bool,
}

impl Iterate for Whole {
    /// Requests elements until one does not fail, at most [`IN_A_ROW`] times.
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        // Counted for each request: an element in between proves that the input works.
        let mut left = IN_A_ROW;
        loop {
            match self.input.next(run) {
                // The end of the run is not a fault of an element.
                Err(error)
                    if left > 0 && !matches!(error.code(), Code::Cancelled | Code::DeadlineExceeded) =>
                {
                    run.limits.check()?;
                    left -= 1;
                    if self.warns {
                        log::warn!("an element is left out: {error}");
                    }
                }
                other => return other,
            }
        }
    }

    fn save(&self, to: &mut Writer) -> Result<()> {
        self.input.save(to)
    }

    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
        self.input.restore(from, run)
    }
}
