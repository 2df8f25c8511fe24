//! `InterleaveDataset` and the parallel forms that give the same order (D-40, D-41).

use super::build::{Build, Op};
use super::dataset::{Dataset, Iterate, Run, Shared, Source, restore_open, save_open};
use super::element::Element;
use super::flat_map::Inner;
use super::function::Function;
use super::position::{Reader, Writer, damaged};
use session_core::{Error, Result};
use std::sync::Arc;
use tensor::memory;

pub(super) const OPS: &[Op] = &[Op {
    types: &[
        "InterleaveDataset",
        "ParallelInterleaveDatasetV2",
        "ParallelInterleaveDatasetV3",
        "ParallelInterleaveDatasetV4",
    ],
    functions: &["f"],
    make,
}];

/// The cycle length that -1 stands for, chosen by measurement.
const AUTO_CYCLE: usize = 10;

fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let function = build.function("f", "other_arguments")?;
    let (cycle, block) = (build.int("cycle_length")?, block_length(build)?);
    let auto = cycle == -1 && build.op_type() != "InterleaveDataset";
    if auto {
        return Ok(Arc::new(Interleave { input: build.input()?, function, cycle: AUTO_CYCLE, block }));
    }
    let calls = build.int_or("num_parallel_calls", -1)?;
    let cycle = cycle_length(cycle)?;
    if calls != -1 && calls <= 0 {
        return Err(Error::invalid_argument("`num_parallel_calls` must be greater than zero."));
    }
    if usize::try_from(calls).is_ok_and(|calls| calls > cycle) {
        let text = format!(
            "If `cycle_length` is set to a fixed value, `num_parallel_calls` must be either `tf.data.AUTOTUNE` or a value less \
             than or equal to `cycle_length`. However, `num_parallel_calls` is {calls} and `cycle_length` is {cycle}."
        );
        return Err(Error::invalid_argument(text));
    }
    Ok(Arc::new(Interleave { input: build.input()?, function, cycle, block }))
}

/// Returns the number of inputs that take turns.
pub(super) fn cycle_length(cycle: i64) -> Result<usize> {
    let length = usize::try_from(cycle).ok().filter(|&length| length > 0);
    length.ok_or_else(|| Error::invalid_argument("cycle_length must be greater than zero."))
}

/// Returns the number of consecutive elements of one input.
pub(super) fn block_length(build: &Build<'_, '_>) -> Result<u64> {
    let length = u64::try_from(build.int("block_length")?).ok().filter(|&length| length > 0);
    length.ok_or_else(|| Error::invalid_argument("block_length must be greater than zero."))
}

struct Interleave {
    input: Shared,
    function: Function,
    cycle: usize,
    block: u64,
}

impl Dataset for Interleave {
    fn name(&self) -> &'static str {
        "Interleave"
    }

    fn inputs(&self) -> Vec<&Shared> {
        vec![&self.input]
    }

    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        let mut places = memory::reserve(self.cycle)?;
        places.resize_with(self.cycle, || None);
        Ok(Box::new(Interleaved {
            input: Some(self.input.iterate(run)?),
            function: self.function.clone(),
            places,
            current: 0,
            block: self.block,
            count: 0,
        }))
    }
}

struct Interleaved {
    /// None behind its end.
    input: Option<Source>,
    function: Function,
    places: Vec<Option<Inner>>,
    current: usize,
    block: u64,
    /// Elements that the current place gave in a row.
    count: u64,
}

impl Interleaved {
    fn go_on(&mut self) {
        self.current = (self.current + 1) % self.places.len();
        self.count = 0;
    }
}

impl Iterate for Interleaved {
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        loop {
            if let Some(inner) = &mut self.places[self.current] {
                if let Some(element) = inner.source.next(&run.inner())? {
                    self.count += 1;
                    if self.count == self.block {
                        self.go_on();
                    }
                    return Ok(Some(element));
                }
                self.places[self.current] = None;
                self.go_on();
            } else if let Some(input) = &mut self.input {
                match input.next(run)? {
                    Some(element) => {
                        self.places[self.current] = Some(Inner::make(&self.function, element, run)?);
                    }
                    None => self.input = None,
                }
            } else if self.places.iter().all(Option::is_none) {
                return Ok(None);
            } else {
                self.go_on();
            }
            run.limits.check()?;
        }
    }

    fn save(&self, to: &mut Writer) -> Result<()> {
        to.number(self.current as u64);
        to.number(self.count);
        to.list(self.places.iter(), |to, place| to.option(place.as_ref(), |to, inner| inner.save(to)))?;
        save_open(self.input.as_ref(), to)
    }

    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
        let (current, count) = (from.size()?, from.number()?);
        let places = from.list(|from| from.option(|from| Inner::restored(&self.function, from, run)))?;
        if places.len() != self.places.len() || current >= places.len() {
            return Err(damaged());
        }
        (self.current, self.count, self.places) = (current, count, places);
        restore_open(&mut self.input, from, run)
    }
}
