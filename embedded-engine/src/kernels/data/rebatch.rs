//! `RebatchDataset`, `RebatchDatasetV2`, `DenseToSparseBatchDataset`.
//!
//! # Semantics
//!
//! - `RebatchDataset`: inputs `input_dataset`, `num_replicas` (greater than zero). Each batch is cut into as
//!   many as there are replicas, of `ceil(rows / num_replicas)` rows each; the last ones may be smaller or
//!   empty: 4 rows for 3 replicas are 2, 2 and 0 rows.
//! - `RebatchDatasetV2`: inputs `input_dataset`, `batch_sizes` (each greater than zero, at least one),
//!   `drop_remainder`. Rows are regrouped into batches of these sizes in turn, across the batches of the
//!   input. `drop_remainder` drops a last batch that is too small.
//! - `DenseToSparseBatchDataset`: inputs `input_dataset` (elements of one component), `batch_size`,
//!   `row_shape`. Elements become the rows of one sparse tensor, a variant; see [`sparse::of_rows`] for
//!   shapes and errors.
//!
//! A scalar component cannot be cut: `InvalidArgument`. An error of the input loses the rows that were
//! collected for the batch.
//!
//! Cardinality: of sparse batches as of `batch`, otherwise unknown. Position: the rest of the batch that is
//! cut, its first unused row, the turn, and the input's.

use super::batch::size;
use super::build::{Build, Op, positive};
use super::dataset::{Dataset, Iterate, Run, Shared, Source};
use super::element::{self, Element};
use super::position::{Reader, Writer, damaged};
use super::sparse;
use crate::kernel::integers;
use session_core::{Error, Result};
use std::sync::Arc;
use tensor::Tensor;

pub(super) const OPS: &[Op] = &[
    Op { types: &["RebatchDataset", "ExperimentalRebatchDataset"], functions: &[], make: split },
    Op { types: &["RebatchDatasetV2"], functions: &[], make },
    Op {
        types: &["DenseToSparseBatchDataset", "ExperimentalDenseToSparseBatchDataset"],
        functions: &[],
        make: to_sparse,
    },
];

/// Makes the dataset of `RebatchDataset`: each batch is cut into as many as there are replicas.
fn split(build: &Build<'_, '_>) -> Result<Shared> {
    let replicas = build.positive("num_replicas", |_| "num_replicas must be greater than zero.")?;
    Ok(Arc::new(Rebatch { input: build.input()?, rule: Rule::Split(replicas) }))
}

/// Makes the dataset of `RebatchDatasetV2`: batches of sizes that take turns, whatever the input's.
fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let sizes: Vec<usize> = integers(&build.tensor("batch_sizes")?)?
        .into_iter()
        .map(|size| positive(size, |size| format!("batch sizes must be greater than zero, got {size}")))
        .collect::<Result<_>>()?;
    if sizes.is_empty() {
        return Err(Error::invalid_argument("batch_sizes must not be empty"));
    }
    let drop_remainder = build.bool_or("drop_remainder", false)?;
    Ok(Arc::new(Rebatch { input: build.input()?, rule: Rule::Sizes { sizes, drop_remainder } }))
}

/// Makes the dataset of `DenseToSparseBatchDataset`: batches as sparse tensors of a common row shape.
fn to_sparse(build: &Build<'_, '_>) -> Result<Shared> {
    let size = size(build, "Batch size must be greater than zero.")?;
    let row_shape = integers(&build.tensor("row_shape")?)?;
    Ok(Arc::new(Rebatch { input: build.input()?, rule: Rule::ToSparse { size, row_shape } }))
}

/// The ways to form new batches.
#[derive(Clone)]
enum Rule {
    /// Each batch is divided among a number of replicas.
    Split(usize),
    /// Batches of given sizes, in turn.
    Sizes { sizes: Vec<usize>, drop_remainder: bool },
    /// Rows are collected into sparse batches.
    ToSparse { size: u64, row_shape: Vec<i64> },
}

/// The dataset.
struct Rebatch {
    /// The dataset whose batches are changed.
    input: Shared,
    /// The way to form new batches.
    rule: Rule,
}

impl Dataset for Rebatch {
    fn name(&self) -> &'static str {
        match self.rule {
            Rule::Split(_) => "Rebatch",
            Rule::Sizes { .. } => "RebatchV2",
            Rule::ToSparse { .. } => "DenseToSparseBatch",
        }
    }

    fn inputs(&self) -> Vec<&Shared> {
        vec![&self.input]
    }

    fn cardinality(&self) -> i64 {
        match &self.rule {
            Rule::ToSparse { size, .. } => super::batch::batches(self.input.cardinality(), *size, false),
            _ => super::dataset::UNKNOWN,
        }
    }

    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        let (input, rule) = (self.input.iterate(run)?, self.rule.clone());
        Ok(Box::new(Batches { input, rule, batch: None, start: 0, turn: 0 }))
    }
}

/// An iterator.
struct Batches {
    /// The iterator over the input.
    input: Source,
    /// The way to form new batches.
    rule: Rule,
    /// A batch of the input of which rows are left.
    batch: Option<Element>,
    /// The first row of the input batch that was not used yet.
    start: usize,
    /// The number of batches returned, as far as it affects the next size: modulo the replicas where batches
    /// are split.
    turn: usize,
}

/// Returns the number of rows of a batch, that of the first component. All components of a batch have as
/// many.
fn rows(batch: &Element) -> Result<usize> {
    let rows = batch.first().and_then(element::rows);
    rows.ok_or_else(|| Error::invalid_argument("a scalar cannot be split into rows"))
}

/// Returns the rows from `start` to before `end` of each component. They share the batch's memory.
fn part(batch: &Element, start: usize, end: usize) -> Result<Element> {
    batch.iter().map(|component| Ok(component.rows(start, end)?)).collect()
}

impl Batches {
    /// Returns the next part of a batch; takes a batch from the input for the first part.
    fn split(&mut self, replicas: usize, run: &Run<'_>) -> Result<Option<Element>> {
        // The old batch is replaced only when all of its parts were returned, also the empty ones.
        if self.turn.is_multiple_of(replicas) {
            self.batch = self.input.next(run)?;
            self.start = 0;
        }
        let Some(batch) = &self.batch else { return Ok(None) };
        self.turn = (self.turn + 1) % replicas;
        let all = rows(batch)?;
        // The last ones may be empty.
        let (start, size) = (self.start, all.div_ceil(replicas));
        self.start = (start + size).min(all);
        part(batch, start, self.start).map(Some)
    }

    /// Returns a batch of a given size, of rows from as many batches of the input as it takes, or a smaller
    /// one at the end.
    fn sized(&mut self, size: usize, drop_remainder: bool, run: &Run<'_>) -> Result<Option<Element>> {
        let (mut parts, mut missing): (Vec<Element>, usize) = (Vec::new(), size);
        while missing > 0 {
            run.check_at(parts.len() as u64)?;
            let batch = match self.batch.take() {
                Some(batch) => batch,
                None => {
                    self.start = 0;
                    match self.input.next(run)? {
                        Some(batch) => batch,
                        None => break,
                    }
                }
            };
            let end = rows(&batch)?.min(self.start + missing);
            parts.push(part(&batch, self.start, end)?);
            missing -= end - self.start;
            if end < rows(&batch)? {
                (self.batch, self.start) = (Some(batch), end);
            }
        }
        // Nothing at all is the end; a part of a batch is one unless remainders are dropped.
        if missing == size || missing > 0 && drop_remainder {
            return Ok(None);
        }
        self.turn += 1;
        // One copy of each row, from all parts at once.
        let joined = |component: usize| -> Result<Tensor> {
            let rows: Vec<Tensor> = parts.iter().map(|part| part[component].clone()).collect();
            Ok(Tensor::concat_rows(&rows)?)
        };
        (0..parts[0].len()).map(joined).collect::<Result<_>>().map(Some)
    }

    /// Returns a sparse batch of up to `size` elements.
    fn sparse(&mut self, size: u64, row_shape: &[i64], run: &Run<'_>) -> Result<Option<Element>> {
        let mut values = Vec::new();
        while (values.len() as u64) < size {
            run.check_at(values.len() as u64)?;
            match self.input.next(run)?.as_deref() {
                Some([value]) => values.push(value.clone()),
                Some(other) => {
                    let text = format!("a sparse batch needs elements of one component, not {}", other.len());
                    return Err(Error::invalid_argument(text));
                }
                None => break,
            }
        }
        if values.is_empty() {
            return Ok(None);
        }
        Ok(Some(vec![sparse::of_rows(&values, row_shape)?]))
    }
}

impl Iterate for Batches {
    /// Returns the next batch according to the rule. The next size is that of the turn, which only complete
    /// batches advance.
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        match self.rule.clone() {
            Rule::Split(replicas) => self.split(replicas, run),
            Rule::Sizes { sizes, drop_remainder } => {
                self.sized(sizes[self.turn % sizes.len()], drop_remainder, run)
            }
            Rule::ToSparse { size, row_shape } => self.sparse(size, &row_shape, run),
        }
    }

    fn save(&self, to: &mut Writer) -> Result<()> {
        to.option(self.batch.as_ref(), |to, batch| to.element(batch))?;
        to.number(self.start as u64);
        to.number(self.turn as u64);
        self.input.save(to)
    }

    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
        self.batch = from.option(Reader::element)?;
        (self.start, self.turn) = (from.size()?, from.size()?);
        if let Some(batch) = &self.batch
            && self.start > rows(batch)?
        {
            return Err(damaged());
        }
        self.input.restore(from, run)
    }
}
