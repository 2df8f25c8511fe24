//! `IgnoreErrorsDataset` (D-14).

use super::build::{Build, Op};
use super::dataset::{Dataset, Iterate, Run, Shared, Source};
use super::element::Element;
use super::position::{Reader, Writer};
use session_core::{Code, Result};
use std::sync::Arc;

pub(super) const OPS: &[Op] =
    &[Op { types: &["IgnoreErrorsDataset", "ExperimentalIgnoreErrorsDataset"], functions: &[], make }];

fn make(build: &Build<'_, '_>) -> Result<Shared> {
    Ok(Arc::new(IgnoreErrors { input: build.input()?, warns: build.is_set("log_warning") }))
}

struct IgnoreErrors {
    input: Shared,
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
/// (D-81).
const IN_A_ROW: u32 = 1 << 20;

struct Whole {
    input: Source,
    warns: bool,
}

impl Iterate for Whole {
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
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
