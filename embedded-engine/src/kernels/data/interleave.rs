//! `InterleaveDataset` and the parallel forms that return the same order (D-40, D-41).
//!
//! # Semantics
//!
//! Inputs: `input_dataset`, `other_arguments`, `cycle_length`, `block_length`; in the parallel forms
//! `num_parallel_calls`, in `V4` also `buffer_output_elements` and `prefetch_input_elements`. Attribute `f`,
//! a function that returns a dataset for an element. There are `cycle_length` places, each with an open
//! dataset, which return `block_length` elements in turn:
//!
//! ```text
//! f(x) = [x, x, x] over [1, 2, 3], cycle_length 2, block_length 2:   1 1 2 2 1 2 3 3 3
//! ```
//!
//! Lengths below 1 are `InvalidArgument` from the initializer; -1 stands for the runtime's choice in the
//! parallel forms: `cycle_length` 10, calls as threads. More calls than a given cycle length are
//! `InvalidArgument`. The order never depends on threads: `deterministic` and `sloppy` are not read.
//!
//! After an error of an inner dataset or of `f` the next request continues after it; the two forms differ in
//! what an error counts as, see [`Errors`].
//!
//! # Parallel forms
//!
//! They read ahead in the datasets of all places at once ([`read_ahead`](super::read_ahead)), if the
//! function's datasets are independent. Side effects such as opened files then happen earlier; the order is
//! the same.
//!
//! # Position
//!
//! The current place, its count, each place (whether it is open, and its position), and the inputs that were
//! opened ahead. Cardinality: unknown; of a parallel form infinite if the input's is, as in TensorFlow.

use super::build::{Build, Op};
use super::dataset::{Dataset, INFINITE, Iterate, Run, Shared, Source, UNKNOWN};
use super::element::Element;
use super::function::Function;
use super::position::{Reader, Writer, damaged};
use super::read_ahead::{Inputs, Opened, ReadAhead};
use session_core::{Error, Result};
use std::sync::Arc;
use tensor::memory;

/// The op types with the order of D-40. The first parallel form (`ParallelInterleaveDataset`) has another
/// order, see `legacy_interleave.rs`.
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

/// Makes the dataset, after the checks of the op type at hand.
fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let (input, function) = (build.input()?, build.function("f", "other_arguments")?);
    if build.op_type() == "InterleaveDataset" {
        let length = |name: &str| build.positive(name, |_| format!("{name} must be greater than zero."));
        let (cycle, block, ahead) = (length("cycle_length")?, length("block_length")?, ReadAhead::NONE);
        let cycle = places(cycle);
        return Ok(Arc::new(Interleave { input, function, cycle, block, ahead, errors: Errors::Between }));
    }
    let block = build.positive("block_length", |_| "`block_length` must be > 0")?;
    let calls = build.int("num_parallel_calls")?;
    if calls != -1 && calls <= 0 {
        return Err(Error::invalid_argument("num_parallel_calls must be greater than zero."));
    }
    // -1 asks for any length; the order depends on it, so it is the same on all machines.
    let cycle = match build.int("cycle_length")? {
        -1 => AUTO_CYCLE,
        _ => {
            let text =
                |cycle| format!("`cycle_length` must be `tf.data.AUTOTUNE` or greater than 0 but is {cycle}");
            let cycle = places(build.positive("cycle_length", text)?);
            if usize::try_from(calls).is_ok_and(|calls| calls > cycle) {
                let text = format!(
                    "If `cycle_length` is set to a fixed value, `num_parallel_calls` must be either `tf.data.AUTOTUNE` or a value less \
                     than or equal to `cycle_length`. However, `num_parallel_calls` is {calls} and `cycle_length` is {cycle}."
                );
                return Err(Error::invalid_argument(text));
            }
            cycle
        }
    };
    // -1 and a missing input both leave the number to `ReadAhead::of`.
    let size = |name: &str, least: i64, relation: &str| match build.int_or(name, -1)? {
        -1 => Ok(None),
        size if size >= least => Ok(usize::try_from(size).ok()),
        size => {
            let text = format!("`{name}` must be `tf.data.AUTOTUNE` or {relation} 0 but is {size}");
            Err(Error::invalid_argument(text))
        }
    };
    let (elements, inputs) =
        (size("buffer_output_elements", 1, ">")?, size("prefetch_input_elements", 0, ">=")?);
    let threads = usize::try_from(calls).unwrap_or(usize::MAX);
    let ahead = ReadAhead::of(build, &function, threads, elements, inputs)?;
    Ok(Arc::new(Interleave { input, function, cycle, block, ahead, errors: Errors::Counted }))
}

/// Returns a number of places that fits into `usize`; memory for them is reserved when an iterator is made,
/// and fails there.
pub(super) fn places(cycle: u64) -> usize {
    usize::try_from(cycle).unwrap_or(usize::MAX)
}

/// The dataset.
struct Interleave {
    /// The dataset whose elements are the arguments of the function.
    input: Shared,
    /// The function that returns a dataset.
    function: Function,
    /// The number of places; at least 1.
    cycle: usize,
    /// The number of elements that a place returns in a row; at least 1.
    block: u64,
    /// The extent of reading ahead.
    ahead: ReadAhead,
    /// The place of errors among the elements.
    errors: Errors,
}

/// The place of errors among the elements, in which TensorFlow's sequential and parallel forms differ.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Errors {
    /// Failed elements are not counted, and the next element comes from the same input.
    Between,
    /// Failed elements count as elements, and an input that cannot be opened as an input with one element.
    Counted,
}

impl Dataset for Interleave {
    fn name(&self) -> &'static str {
        "Interleave"
    }

    fn inputs(&self) -> Vec<&Shared> {
        vec![&self.input]
    }

    fn cardinality(&self) -> i64 {
        let is_endless = self.errors == Errors::Counted && self.input.cardinality() == INFINITE;
        if is_endless { INFINITE } else { UNKNOWN }
    }

    /// Reserves memory for all places, and opens none of them; an impossible `cycle_length` fails here.
    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        let mut places = memory::reserve(self.cycle)?;
        places.resize_with(self.cycle, || None);
        Ok(Box::new(Interleaved {
            inputs: Inputs::new(&self.input, &self.function, self.ahead, run)?,
            places,
            current: 0,
            block: self.block,
            count: 0,
            errors: self.errors,
        }))
    }
}

/// An iterator. A place without a dataset gets the next one when its turn comes, so that a dataset that has ended early does not change
/// the turns of the others.
struct Interleaved {
    /// The datasets of further elements of the input.
    inputs: Inputs,
    /// The places, each `None` while it has no dataset.
    places: Vec<Option<Opened>>,
    /// The index of the place whose turn it is.
    current: usize,
    /// The number of elements that a place returns in a row.
    block: u64,
    /// The number of elements that the current place has returned in a row.
    count: u64,
    /// The place of errors among the elements.
    errors: Errors,
}

impl Interleaved {
    /// Reads ahead if the next element of the current place was not read yet.
    fn read_ahead(&mut self, run: &Run<'_>) {
        if self.inputs.reads_ahead() && self.places[self.current].as_ref().is_some_and(Opened::is_empty) {
            // The inputs that will fill the empty places are read in the same burst.
            let empty = self.places.iter().filter(|place| place.is_none()).count();
            self.inputs.read(self.places.iter_mut().flatten(), empty, run);
        }
    }

    /// Turns to the next place, whose count begins at 0.
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
}

impl Iterate for Interleaved {
    /// Goes from place to place until one has an element: an open place is read, an empty one filled, and the
    /// end is reached when all places are empty and no inputs are left. Reading ahead only fills buffers of
    /// the places in between.
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        loop {
            self.read_ahead(run);
            if let Some(opened) = &mut self.places[self.current] {
                match opened.next(run) {
                    Ok(Some(element)) => {
                        self.count();
                        return Ok(Some(element));
                    }
                    Ok(None) => {
                        self.places[self.current] = None;
                        self.go_on();
                    }
                    Err(error) => {
                        if self.errors == Errors::Counted {
                            self.count();
                        }
                        return Err(error);
                    }
                }
            // A place is filled in its own turn and keeps it, so that the new dataset's elements follow at
            // once (D-40).
            } else if !self.inputs.is_over() {
                match self.inputs.next(run) {
                    Ok(opened) => self.places[self.current] = opened,
                    Err(error) => {
                        if self.errors == Errors::Counted {
                            self.go_on();
                        }
                        return Err(error);
                    }
                }
            } else if self.places.iter().all(Option::is_none) {
                return Ok(None);
            } else {
                self.go_on();
            }
            // Places without datasets are passed in this loop, and empty datasets are opened in it.
            run.limits.check()?;
        }
    }

    fn save(&self, to: &mut Writer) -> Result<()> {
        to.number(self.current as u64);
        to.number(self.count);
        to.list(self.places.iter(), |to, place| to.option(place.as_ref(), |to, opened| opened.save(to)))?;
        self.inputs.save(to)
    }

    /// Restores the places, then the inputs. Another number of places than that of the dataset is damage.
    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
        let (current, count) = (from.size()?, from.number()?);
        let places = from.list(|from| from.option(|from| self.inputs.restored(from, run)))?;
        // The cycle length is an input, which another run may give differently.
        if places.len() != self.places.len() || current >= places.len() {
            return Err(damaged());
        }
        (self.current, self.count, self.places) = (current, count, places);
        self.inputs.restore(from, run)
    }
}
