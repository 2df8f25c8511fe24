//! `BatchDataset` (D-12, D-13, D-61).

use super::build::{Build, Op};
use super::dataset::{Dataset, Iterate, Run, Shared, Source};
use super::element::{self, Element};
use super::map_and_batch;
use super::position::{Reader, Writer};
use session_core::Result;
use std::sync::Arc;

pub(super) const OPS: &[Op] =
    &[Op { types: &["BatchDataset", "BatchDatasetV2", "ParallelBatchDataset"], functions: &[], make }];

fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let size = size(build, "Batch size must be greater than zero.")?;
    let drop_remainder = build.bool_or("drop_remainder", false)?;
    let fuses = build.op_type() == "BatchDatasetV2";
    Ok(Arc::new(Batch { input: build.input()?, size, drop_remainder, fuses }))
}

/// The size of batches.
pub(super) fn size(build: &Build<'_, '_>, otherwise: &str) -> Result<u64> {
    build.positive("batch_size", |_| otherwise)
}

/// Returns the number of batches of a number of elements. A negative number is returned unchanged.
pub(super) fn batches(elements: i64, size: u64, drop_remainder: bool) -> i64 {
    match u64::try_from(elements) {
        Ok(elements) if drop_remainder => (elements / size).cast_signed(),
        Ok(elements) => elements.div_ceil(size).cast_signed(),
        Err(_) => elements,
    }
}

struct Batch {
    input: Shared,
    size: u64,
    drop_remainder: bool,
    /// True if it is fused with a preceding map. TensorFlow rewrites one spelling only.
    fuses: bool,
}

impl Dataset for Batch {
    fn name(&self) -> &'static str {
        "Batch"
    }

    fn inputs(&self) -> Vec<&Shared> {
        vec![&self.input]
    }

    fn cardinality(&self) -> i64 {
        batches(self.input.cardinality(), self.size, self.drop_remainder)
    }

    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        if self.fuses
            && run.rewrites
            && let Some(map) = self.input.as_map()
        {
            return map_and_batch::fused(map, self.size, self.drop_remainder, run);
        }
        let Batch { size, drop_remainder, .. } = *self;
        Ok(Box::new(Batches { input: self.input.iterate(run)?, size, drop_remainder }))
    }

    fn rows(&self) -> Option<u64> {
        let rows = self.input.rows()?;
        Some(if self.drop_remainder { rows / self.size } else { rows.div_ceil(self.size) })
    }

    fn row(&self, run: &Run<'_>, number: u64) -> Result<Element> {
        let first = number.saturating_mul(self.size);
        let end = first.saturating_add(self.size).min(self.input.rows().unwrap_or(0));
        let elements = (first..end).map(|row| self.input.row(run, row)).collect::<Result<Vec<_>>>()?;
        element::stack(&elements, run.environment)
    }
}

struct Batches {
    input: Source,
    size: u64,
    drop_remainder: bool,
}

impl Iterate for Batches {
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        if let Some(batch) = self.input.next_batch(run, self.size) {
            let (batch, count) = batch?;
            let is_batch = count == self.size || (count > 0 && !self.drop_remainder);
            return Ok(is_batch.then_some(batch));
        }
        let mut elements = Vec::new();
        while (elements.len() as u64) < self.size {
            run.check_at(elements.len() as u64)?;
            match self.input.next(run)? {
                Some(element) => elements.push(element),
                None if elements.is_empty() || self.drop_remainder => return Ok(None),
                None => break,
            }
        }
        element::stack(&elements, run.environment).map(Some)
    }

    fn skip(&mut self, run: &Run<'_>, count: u64) -> Result<u64> {
        let passed = self.input.skip(run, count.saturating_mul(self.size))?;
        Ok(if self.drop_remainder { passed / self.size } else { passed.div_ceil(self.size) })
    }

    fn save(&self, to: &mut Writer) -> Result<()> {
        self.input.save(to)
    }

    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
        self.input.restore(from, run)
    }
}
