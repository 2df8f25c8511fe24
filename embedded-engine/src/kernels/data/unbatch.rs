//! `UnbatchDataset` (D-63).
//!
//! # Semantics
//!
//! Input: `input_dataset`. Each element is cut into the rows of its components, which must have equally many;
//! an element without rows gives nothing. A scalar component, or unequal numbers of rows, are
//! `InvalidArgument`; that element is lost. Rows share the memory of their element.
//!
//! Cardinality: infinite if the input's is; known if the input's is and a static shape tells the rows of an
//! element; else unknown. Position: the present element if rows are left, the number of its rows, the next
//! row, then the input's.

use super::build::{Build, Op};
use super::dataset::{Dataset, Handle, Iterate, Run, Shared, Source, UNKNOWN};
use super::element::{self, Element};
use super::position::{Reader, Writer, damaged};
use session_core::{Error, Result};
use std::sync::Arc;

pub(super) const OPS: &[Op] =
    &[Op { types: &["UnbatchDataset", "ExperimentalUnbatchDataset"], functions: &[], make }];

/// Makes the dataset.
fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let Handle { dataset, shapes, .. } = build.handle("input_dataset")?;
    let rows = shapes.iter().find_map(|shape| shape.dim(0));
    Ok(Arc::new(Unbatch { input: dataset, rows }))
}

/// The dataset.
struct Unbatch {
    /// The dataset whose elements are cut.
    input: Shared,
    /// The rows of each element, where the static shape of a component tells them.
    rows: Option<usize>,
}

impl Dataset for Unbatch {
    fn name(&self) -> &'static str {
        "Unbatch"
    }

    fn inputs(&self) -> Vec<&Shared> {
        vec![&self.input]
    }

    fn cardinality(&self) -> i64 {
        let rows = self.rows.and_then(|rows| i64::try_from(rows).ok());
        match self.input.cardinality() {
            all if all < 0 => all,
            all => rows.and_then(|rows| all.checked_mul(rows)).unwrap_or(UNKNOWN),
        }
    }

    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        Ok(Box::new(Rows { input: self.input.iterate(run)?, batch: Element::new(), count: 0, next: 0 }))
    }
}

/// An iterator.
struct Rows {
    /// The iterator over the input.
    input: Source,
    /// The element of which rows are returned.
    batch: Element,
    /// The number of rows of `batch`.
    count: usize,
    /// The next row; `count` when all were returned.
    next: usize,
}

impl Iterate for Rows {
    /// Returns the next row of the present element; takes elements until one has rows.
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        while self.next == self.count {
            run.limits.check()?;
            let Some(batch) = self.input.next(run)? else { return Ok(None) };
            let counts: Option<Vec<usize>> = batch.iter().map(element::rows).collect();
            let scalar = "Input element must have a non-scalar value in each component.";
            let counts = counts.ok_or_else(|| Error::invalid_argument(scalar))?;
            let count = counts.first().copied().unwrap_or(0);
            if counts.iter().any(|&other| other != count) {
                let text =
                    format!("Input tensors to unbatch must have the same 0th dimension, not {counts:?}");
                return Err(Error::invalid_argument(text));
            }
            // Assigned only after all checks, so a refused element is skipped as a whole.
            (self.batch, self.count, self.next) = (batch, count, 0);
        }
        self.next += 1;
        let row = self.next - 1;
        self.batch.iter().map(|component| element::row(component, row)).collect::<Result<_>>().map(Some)
    }

    fn save(&self, to: &mut Writer) -> Result<()> {
        // A used-up element would be written for nothing.
        let left = self.next < self.count;
        to.option(left.then_some(&self.batch), |to, batch| to.element(batch))?;
        to.number(self.count as u64);
        to.number(self.next as u64);
        self.input.save(to)
    }

    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
        self.batch = from.option(Reader::element)?.unwrap_or_default();
        (self.count, self.next) = (from.size()?, from.size()?);
        let left = self.next < self.count;
        let fits = self.batch.iter().all(|component| element::rows(component) == Some(self.count));
        if left == self.batch.is_empty() || self.next > self.count || !fits {
            return Err(damaged());
        }
        self.input.restore(from, run)
    }
}
