//! `BatchDataset` (D-12, D-13, D-61).
//!
//! # Semantics
//!
//! Inputs: `input_dataset`, `batch_size` (`int64`, greater than zero, else `InvalidArgument` from the
//! initializer), except in `BatchDataset` also `drop_remainder` (`bool`). `ParallelBatchDataset` gives the
//! same batches; its `num_parallel_calls` and the attributes `parallel_copy` and `deterministic` are not
//! read.
//!
//! Each component of a batch has the elements' shape under a new first dimension. The last batch may be
//! smaller, unless `drop_remainder` is set; an input without elements gives no batch. Shapes that differ
//! within a batch are `InvalidArgument`; that batch is lost, and the next one begins after it.
//!
//! An error of the input is returned at once, and what was collected for the batch is lost (D-12):
//!
//! ```text
//! range(6) with an error at 2, batch_size 3:   error, [3, 4, 5]
//! the same, map and batch fused:               error, [3, 4, 5]
//! range(5) with an error at 2, batch_size 2:   [0, 1], error, [3, 4]     fused: [0, 1], error, [4]
//! ```
//!
//! A `BatchDatasetV2` directly after a map becomes `MapAndBatch` outside functions (D-15).
//!
//! Random access: batch `n` holds the elements `n * batch_size` and following of an input with random access.
//! Position: the input's, since nothing is held between two batches.

use super::build::{Build, Op};
use super::dataset::{Dataset, Iterate, Run, Shared, Source};
use super::element::{self, Element};
use super::map_and_batch;
use super::position::{Reader, Writer};
use session_core::Result;
use std::sync::Arc;

/// The op types. `BatchDataset` is that of graphs before about TensorFlow 1.12, without `drop_remainder`
/// (D-4); only `BatchDatasetV2` is fused with a map.
pub(super) const OPS: &[Op] =
    &[Op { types: &["BatchDataset", "BatchDatasetV2", "ParallelBatchDataset"], functions: &[], make }];

/// Makes the dataset.
fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let size = size(build, "Batch size must be greater than zero.")?;
    let drop_remainder = build.bool_or("drop_remainder", false)?;
    let fuses = build.op_type() == "BatchDatasetV2";
    Ok(Arc::new(Batch { input: build.input()?, size, drop_remainder, fuses }))
}

/// Returns the input `batch_size`, or `InvalidArgument` with this text for a size below 1.
pub(super) fn size(build: &Build<'_, '_>, otherwise: &str) -> Result<u64> {
    build.positive("batch_size", |_| otherwise)
}

/// Returns the number of batches of a number of elements: rounded up, or down if the remainder is dropped. A
/// negative number, infinite or unknown, is returned unchanged.
pub(super) fn batches(elements: i64, size: u64, drop_remainder: bool) -> i64 {
    match u64::try_from(elements) {
        Ok(elements) if drop_remainder => (elements / size).cast_signed(),
        Ok(elements) => elements.div_ceil(size).cast_signed(),
        Err(_) => elements,
    }
}

/// The dataset.
struct Batch {
    /// The dataset whose elements are batched.
    input: Shared,
    /// The number of elements of a batch.
    size: u64,
    /// True if a last batch of fewer elements is left out.
    drop_remainder: bool,
    /// True if it is fused with a preceding map. TensorFlow rewrites one spelling only (D-15).
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

/// An iterator.
struct Batches {
    /// The iterator over the input.
    input: Source,
    /// The number of elements of a batch.
    size: u64,
    /// True if a last batch of fewer elements is left out.
    drop_remainder: bool,
}

impl Iterate for Batches {
    /// Returns the next batch, at once where the input can copy the rows of tensors, and otherwise element by
    /// element. Both ways give the same batches and positions; elements that may fail are always taken one by
    /// one.
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        if let Some(batch) = self.input.next_batch(run, self.size) {
            let (batch, count) = batch?;
            // Fewer elements than requested are the end of the input, so a short batch is the last one.
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

    /// Skips batches by skipping elements, without stacking them; one of unequal shapes is thus no error.
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
