//! `MapAndBatchDataset`, which a map with a batch behind it becomes (D-12, D-15).

use super::batch::{batches, size};
use super::build::{Build, Op};
use super::dataset::{Dataset, Iterate, Run, Shared, Source};
use super::element::{self, Element};
use super::map::{self, Map};
use super::position::{Reader, Writer};
use session_core::{Error, Result};
use std::sync::Arc;
use tensor::Tensor;

pub(super) const OPS: &[Op] =
    &[Op { types: &["MapAndBatchDataset", "ExperimentalMapAndBatchDataset"], functions: &["f"], make }];

fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let size = size(build, "batch_size must be greater than zero.")?;
    let calls = build.int_or("num_parallel_calls", 1)?;
    if calls <= 0 && calls != -1 {
        return Err(Error::invalid_argument("num_parallel_calls must be greater than zero."));
    }
    let drop_remainder = build.bool_or("drop_remainder", false)?;
    Ok(Arc::new(MapAndBatch { map: map::of(build)?, size, drop_remainder }))
}

struct MapAndBatch {
    map: Map,
    size: u64,
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
        batches(self.map.input.cardinality(), self.size, self.drop_remainder)
    }

    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        fused(&self.map, self.size, self.drop_remainder, run)
    }
}

/// Batches of what a map gives.
pub(super) fn fused(map: &Map, size: u64, drop_remainder: bool, run: &Run<'_>) -> Result<Source> {
    let input = map.input.iterate(run)?;
    Ok(Box::new(MappedBatches { input, map: map.clone(), size, drop_remainder, number: 0, ended: false }))
}

struct MappedBatches {
    input: Source,
    map: Map,
    size: u64,
    drop_remainder: bool,
    /// Of the next element.
    number: u64,
    ended: bool,
}

impl Iterate for MappedBatches {
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        let (mut elements, mut failed) = (Vec::new(), None);
        let mut taken = 0;
        while taken < self.size && !self.ended {
            let mapped = match self.input.next(run) {
                Ok(Some(element)) => {
                    self.number += 1;
                    self.map.mapped(run, element, self.number - 1)
                }
                other => other,
            };
            match mapped {
                Ok(Some(element)) => elements.push(element),
                Ok(None) => self.ended = true,
                // The others of the batch go with it.
                Err(error) => failed = failed.or(Some(error)),
            }
            taken += u64::from(!self.ended);
        }
        if let Some(error) = failed {
            return Err(error);
        }
        if elements.is_empty() || taken < self.size && self.drop_remainder {
            return Ok(None);
        }
        check(&elements)?;
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

/// Says of a ragged batch what TensorFlow says where map and batch are one (D-13).
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
