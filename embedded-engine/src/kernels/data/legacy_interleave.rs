//! `ParallelInterleaveDataset` and `LegacyParallelInterleaveDatasetV2`, whose places are filled at once
//! (D-42).
//!
//! # Semantics
//!
//! Inputs: `input_dataset`, `other_arguments`, `cycle_length`, `block_length`, `buffer_output_elements`,
//! `prefetch_input_elements`, and `sloppy` or the attribute `deterministic`, which are not read: the order is
//! always the deterministic one. Numbers below 1 (for prefetched inputs below 0) are `InvalidArgument` from
//! the initializer.
//!
//! The first `cycle_length` inputs are opened together. An input that ends is replaced at once by the next
//! one in its place, which gets its first turn when that place is next. An error counts as an element. With
//! `block_length` 1 the order is TensorFlow's; with longer blocks TensorFlow's own order varies once the
//! input has ended, and the one here is fixed.
//!
//! Up to `buffer_output_elements` elements of each input are read ahead, and `prefetch_input_elements` inputs
//! are opened ahead. Position: as of `InterleaveDataset`, preceded by a flag that is set once the places were
//! filled. It cannot be written while a failed input waits for its turn.

use super::build::{Build, Op};
use super::dataset::{Dataset, Iterate, Run, Shared, Source};
use super::element::Element;
use super::function::Function;
use super::interleave::places;
use super::position::{Reader, Writer, damaged, unsavable};
use super::read_ahead::{Inputs, Opened, ReadAhead};
use session_core::{Error, Result};
use std::sync::Arc;
use tensor::memory;

/// The op types with the order of D-42: `parallel_interleave`, and several parallel readers of records (D-3).
pub(super) const OPS: &[Op] = &[Op {
    types: &[
        "ParallelInterleaveDataset",
        "ExperimentalParallelInterleaveDataset",
        "LegacyParallelInterleaveDatasetV2",
    ],
    functions: &["f"],
    make,
}];

/// Makes the dataset.
fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let (input, function) = (build.input()?, build.function("f", "other_arguments")?);
    let length = |name: &str| build.positive(name, |_| format!("`{name}` must be > 0"));
    let (cycle, block) = (places(length("cycle_length")?), length("block_length")?);
    let (elements, inputs) =
        (places(length("buffer_output_elements")?), build.int("prefetch_input_elements")?);
    let inputs = usize::try_from(inputs);
    let inputs = inputs.map_err(|_| Error::invalid_argument("`prefetch_input_elements` must be >= 0"))?;
    let ahead = ReadAhead::of(build, &function, cycle, Some(elements), Some(inputs))?;
    Ok(Arc::new(Interleave { input, function, cycle, block, ahead }))
}

/// The dataset.
struct Interleave {
    /// The dataset whose elements select the interleaved datasets.
    input: Shared,
    /// Makes a dataset of an element of the input.
    function: Function,
    /// The number of places.
    cycle: usize,
    /// The number of consecutive elements of a place.
    block: u64,
    /// The limits of reading ahead.
    ahead: ReadAhead,
}

impl Dataset for Interleave {
    fn name(&self) -> &'static str {
        "LegacyParallelInterleave"
    }

    fn inputs(&self) -> Vec<&Shared> {
        vec![&self.input]
    }

    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        let mut places = memory::reserve(self.cycle)?;
        places.resize_with(self.cycle, || Place::Empty);
        Ok(Box::new(Interleaved {
            inputs: Inputs::new(&self.input, &self.function, self.ahead, run)?,
            places,
            is_filled: false,
            current: 0,
            block: self.block,
            count: 0,
        }))
    }
}

/// A place for one dataset.
enum Place {
    /// No dataset is open.
    Empty,
    /// A dataset that elements are taken from.
    Open(Opened),
    /// The error of an input that could not be opened, reported when its turn comes.
    Failed(Error),
}

/// An iterator.
struct Interleaved {
    /// The datasets of further elements of the input.
    inputs: Inputs,
    /// The places.
    places: Vec<Place>,
    /// True once all places were filled for the first time.
    is_filled: bool,
    /// The place that elements are taken from.
    current: usize,
    /// The number of consecutive elements of a place.
    block: u64,
    /// Elements that the current place gave in a row.
    count: u64,
}

impl Interleaved {
    /// Continues with the next place.
    fn go_on(&mut self) {
        self.current = (self.current + 1) % self.places.len();
        self.count = 0;
    }

    /// Counts an element of the current place.
    fn count(&mut self) {
        self.count += 1;
        // A position may come from a dataset with longer blocks.
        if self.count >= self.block {
            self.go_on();
        }
    }

    /// Returns the next input as a place; a failed one is kept until its turn.
    fn open(&mut self, run: &Run<'_>) -> Place {
        match self.inputs.next(run) {
            Ok(Some(opened)) => Place::Open(opened),
            Ok(None) => Place::Empty,
            Err(error) => Place::Failed(error),
        }
    }

    /// Reads ahead if the next element of the current place was not read yet.
    fn read_ahead(&mut self, run: &Run<'_>) {
        if self.inputs.reads_ahead()
            && matches!(&self.places[self.current], Place::Open(opened) if opened.is_empty())
        {
            let open = self.places.iter_mut().filter_map(|place| match place {
                Place::Open(opened) => Some(opened),
                _ => None,
            });
            self.inputs.read(open, 0, run);
        }
    }
}

impl Iterate for Interleaved {
    /// Fills all places at the first request, then goes from place to place until one has an element or an
    /// error.
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        if !self.is_filled {
            self.is_filled = true;
            // In order of the places, whatever is read ahead: it decides which input is where.
            for place in 0..self.places.len() {
                self.places[place] = self.open(run);
            }
        }
        // A full round without an element is the end, unless an input was reopened.
        let mut empty = 0;
        // One look more than there are places: the current one may have been emptied by this call.
        while empty <= self.places.len() {
            run.limits.check()?;
            self.read_ahead(run);
            match std::mem::replace(&mut self.places[self.current], Place::Empty) {
                Place::Open(mut opened) => {
                    let given = opened.next(run);
                    // Put back before the outcome is examined, so that an error leaves the place open.
                    if !matches!(given, Ok(None)) {
                        self.places[self.current] = Place::Open(opened);
                    }
                    match given {
                        Ok(Some(element)) => {
                            self.count();
                            return Ok(Some(element));
                        }
                        Ok(None) => {
                            // It gets its turn when this place's comes again.
                            self.places[self.current] = self.open(run);
                            self.go_on();
                            empty = 0;
                        }
                        Err(error) => {
                            self.count();
                            return Err(error);
                        }
                    }
                }
                Place::Failed(error) => {
                    self.go_on();
                    return Err(error);
                }
                Place::Empty => {
                    empty += 1;
                    // The place of an input that failed is free from its next turn on.
                    if !self.inputs.is_over() {
                        self.places[self.current] = self.open(run);
                        empty = 0;
                    }
                    self.go_on();
                }
            }
        }
        Ok(None)
    }

    /// Writes the flag, the current place and its count, the places, and the inputs.
    ///
    /// # Errors
    ///
    /// `Unimplemented` for a failed input whose error was not returned yet.
    fn save(&self, to: &mut Writer) -> Result<()> {
        to.flag(self.is_filled);
        to.number(self.current as u64);
        to.number(self.count);
        to.list(self.places.iter(), |to, place| match place {
            Place::Open(opened) => to.option(Some(opened), |to, opened| opened.save(to)),
            Place::Empty => to.option(None::<&Opened>, |_, _| Ok(())),
            Place::Failed(_) => Err(unsavable("failed input")),
        })?;
        self.inputs.save(to)
    }

    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
        self.is_filled = from.flag()?;
        let (current, count) = (from.size()?, from.number()?);
        let places = from.list(|from| from.option(|from| self.inputs.restored(from, run)))?;
        if places.len() != self.places.len() || current >= places.len() {
            return Err(damaged());
        }
        (self.current, self.count) = (current, count);
        self.places = places.into_iter().map(|place| place.map_or(Place::Empty, Place::Open)).collect();
        self.inputs.restore(from, run)
    }
}
