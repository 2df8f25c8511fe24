//! `MapAndBatchDataset`, which a map with a batch after it becomes (D-12, D-15).
//!
//! # Semantics
//!
//! Inputs: `input_dataset`, `other_arguments`, `batch_size` (greater than zero), `num_parallel_calls`,
//! `drop_remainder`. Attributes `f`, `preserve_cardinality` as of `MapDataset`. The batches are those of a
//! map followed by a batch, except after errors: an error of any element fails its whole batch, and later
//! batches are unaffected (D-12). If several elements fail, the error of the first one is returned. Unequal
//! shapes have another message (D-13).
//!
//! ```text
//! range(5) with an error at 2, batch_size 2:   [0, 1], error, [4]       (map, then batch: [0, 1], error, [3, 4])
//! ```
//!
//! All elements of a batch are drawn, then the pure calls are made in parallel, then the results are stacked
//! in order. Functions that are not pure are called one after another, and none after an end that the
//! function signals.
//!
//! Cardinality: as of `batch` over the map. Position: the number of elements drawn, a flag for the end, the
//! input's.

use super::batch::{batches, size};
use super::build::{Build, Op};
use super::dataset::{Dataset, Iterate, Run, Shared, Source, finish_all};
use super::element::{self, Element};
use super::map::{self, Map};
use super::position::{Reader, Writer};
use session_core::{Error, Result};
use std::sync::Arc;
use tensor::Tensor;

/// The op types. Clients no longer write them; TensorFlow's rewriting does, which here happens in `batch.rs`.
pub(super) const OPS: &[Op] =
    &[Op { types: &["MapAndBatchDataset", "ExperimentalMapAndBatchDataset"], functions: &["f"], make }];

/// Makes the dataset.
fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let size = size(build, "batch_size must be greater than zero.")?;
    let map = Arc::new(map::of(build, map::parallel_calls(build)?)?);
    let drop_remainder = build.bool_or("drop_remainder", false)?;
    Ok(Arc::new(MapAndBatch { map, size, drop_remainder }))
}

/// The dataset.
struct MapAndBatch {
    /// The function and its input.
    map: Arc<Map>,
    /// The number of elements of a batch.
    size: u64,
    /// True if a last batch of fewer elements is left out.
    drop_remainder: bool,
}

impl Dataset for MapAndBatch {
    fn name(&self) -> &'static str {
        "MapAndBatch"
    }

    fn inputs(&self) -> Vec<&Shared> {
        vec![&self.map.input]
    }

    fn cardinality(&self) -> i64 {
        batches(self.map.cardinality(), self.size, self.drop_remainder)
    }

    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        fused(&self.map, self.size, self.drop_remainder, run)
    }
}

/// Returns an iterator over batches of what a map yields, for this op and for a `BatchDatasetV2` after a map.
pub(super) fn fused(map: &Arc<Map>, size: u64, drop_remainder: bool, run: &Run<'_>) -> Result<Source> {
    let input = map.input.iterate(run)?;
    Ok(Box::new(MappedBatches { input, map: map.clone(), size, drop_remainder, number: 0, ended: false }))
}

/// An iterator.
struct MappedBatches {
    /// The iterator over the map's input; the map itself is called here.
    input: Source,
    /// The function.
    map: Arc<Map>,
    /// The number of elements of a batch.
    size: u64,
    /// True if a last batch of fewer elements is left out.
    drop_remainder: bool,
    /// The number of the next element, for messages.
    number: u64,
    /// True after the end of the input, or one that the function signaled.
    ended: bool,
}

impl Iterate for MappedBatches {
    /// Collects one batch in rounds: it draws as many elements as are missing, calls the function for all of
    /// them, and adds the results in order. Results after an end that the function signals are dropped.
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        let (mut elements, mut failed, mut taken) = (Vec::new(), None, 0);
        // Calls that may not run in parallel are made one by one, so that none is made after an end.
        let at_once = if self.map.parallel_calls == 1 { 1 } else { self.size };
        // Usually one round; a function that is called one by one takes a round for each element.
        while taken < self.size && !self.ended {
            let (mut drawn, mut asked) = (Vec::new(), 0);
            while asked < at_once && !self.ended {
                run.check_at(taken + asked)?;
                match self.input.draw(run) {
                    Ok(Some(element)) => {
                        self.number += 1;
                        drawn.push(element.through(&self.map, self.number - 1));
                    }
                    Ok(None) => self.ended = true,
                    // The others of the batch go with it.
                    Err(error) => failed = failed.or(Some(error)),
                }
                // A failed element takes a place in the batch, which keeps the boundaries of later batches.
                asked += u64::from(!self.ended);
            }
            taken += asked;
            for (place, finished) in (1..).zip(finish_all(drawn, run)) {
                match finished {
                    Ok(Some(element)) => elements.push(element),
                    Ok(None) => {
                        // Elements that were drawn after an end that the function signals are not part of the batch.
                        (self.ended, taken) = (true, taken - asked + place - 1);
                        break;
                    }
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        // After all calls: the batch is consumed whatever is wrong with it.
        check(&elements)?;
        if elements.is_empty() || taken < self.size && self.drop_remainder {
            return Ok(None);
        }
        element::stack(&elements, run.environment).map(Some)
    }

    fn save(&self, to: &mut Writer) -> Result<()> {
        to.number(self.number);
        to.flag(self.ended);
        self.input.save(to)
    }

    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
        (self.number, self.ended) = (from.number()?, from.flag()?);
        self.input.restore(from, run)
    }
}

/// Checks that the elements of a batch have equal shapes, with TensorFlow's error for fused map and batch,
/// whose text differs (D-13). `element::stack` would report it in the other words.
fn check(elements: &[Element]) -> Result<()> {
    let Some(first) = elements.first() else { return Ok(()) };
    let differs = |(part, first): (&Tensor, &Tensor)| part.shape() != first.shape();
    for element in elements {
        if let Some(place) = element.iter().zip(first).position(differs) {
            let text = format!(
                "Cannot add tensor to the batch: number of elements does not match. Shapes are: [tensor]: {}, [batch]: {}",
                element[place].shape(),
                first[place].shape()
            );
            return Err(Error::invalid_argument(text));
        }
    }
    Ok(())
}
