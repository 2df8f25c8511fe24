//! `MapDataset` and its parallel forms, which yield the same elements in the same order.
//!
//! # Semantics
//!
//! Inputs: `input_dataset`, `other_arguments`, in the parallel forms `num_parallel_calls` (-1 for the number
//! of threads; 0 and below -1 are `InvalidArgument`). Attribute `f`, a function whose results for an element
//! are the new element; `preserve_cardinality` (false). `deterministic`, `sloppy` and
//! `use_inter_op_parallelism` are not read.
//!
//! An error of the function loses its element, and the next request continues with the element after it
//! (D-10). Its message names the element and the operation: "... (element 5 of `MapDataset` 'map')", where
//! TensorFlow has a prefix (D-11). An `OutOfRange` of the function is an end, or `InvalidArgument` with
//! `preserve_cardinality`; the request after such an end calls the function for the next element.
//!
//! # Parallel calls
//!
//! Only pure functions are called in parallel: TensorFlow promises no order of random numbers in a parallel
//! map (D-17), and this crate gives the same elements for any number of threads. A function that may signal an
//! end is called in order, too, so that a repeat after the map begins its next epoch there, as in TensorFlow,
//! whatever number of calls is requested. Calls run in parallel where
//! elements are made ahead (`ahead.rs`) or collected into batches (`map_and_batch.rs`), by way of [`Drawn`];
//! a plain request calls the function itself.
//!
//! Cardinality: the input's with `preserve_cardinality`, else unknown, but infinite stays infinite. Position:
//! the number of elements so far, then the input's.

use super::build::{Build, Op};
use super::dataset::{Dataset, Drawn, INFINITE, Iterate, Run, Shared, Source, UNKNOWN};
use super::element::Element;
use super::function::Function;
use super::position::{Reader, Writer};
use session_core::{Code, Error, Result};
use std::sync::Arc;

/// The op types. `num_parallel_calls` is `int32` in `ParallelMapDataset` and `int64` in `V2` (D-1).
/// TensorFlow itself has no kernel for `ExperimentalMapDataset`.
pub(super) const OPS: &[Op] = &[Op {
    types: &["MapDataset", "ExperimentalMapDataset", "ParallelMapDataset", "ParallelMapDatasetV2"],
    functions: &["f"],
    make,
}];

/// Makes the dataset.
fn make(build: &Build<'_, '_>) -> Result<Shared> {
    Ok(Arc::new(Mapping(Arc::new(of(build, parallel_calls(build)?)?))))
}

/// Returns the number of calls that an operation requests at the same time; 1 for an op type without the
/// input.
pub(super) fn parallel_calls(build: &Build<'_, '_>) -> Result<usize> {
    match build.int_or("num_parallel_calls", 1)? {
        -1 => Ok(build.context.pool().threads()),
        calls if calls > 0 => Ok(usize::try_from(calls).unwrap_or(usize::MAX)),
        _ => Err(Error::invalid_argument("num_parallel_calls must be greater than zero.")),
    }
}

/// Returns the map of an operation that requests a number of calls at the same time. Functions that are not
/// pure, or that may signal an end, are called in the order of the elements, whatever is requested.
pub(super) fn of(build: &Build<'_, '_>, parallel_calls: usize) -> Result<Map> {
    let function = build.function("f", "other_arguments")?;
    let keeps_count = build.is_set("preserve_cardinality");
    let by_number = build.is_set("_random_access");
    // Random operations in a function must be called in the order of the elements to be repeatable. A function
    // that may signal the end must have been called before the next element is taken: a repeat begins another
    // epoch there.
    let in_order = !function.body.is_pure() || !keeps_count && function.body.may_end();
    let parallel_calls = if in_order { 1 } else { parallel_calls };
    Ok(Map { input: build.input()?, function, keeps_count, by_number, parallel_calls })
}

/// A function over a dataset: what `map` and `map_and_batch` share.
pub(super) struct Map {
    /// The dataset whose elements are the arguments.
    pub(super) input: Shared,
    /// The function.
    pub(super) function: Function,
    /// True if an end reported by the function is an error, so that there are as many elements as in the
    /// input.
    keeps_count: bool,
    /// True if elements can be accessed by index, for functions that return the same for a number whenever
    /// they are called. Set by an attribute of the crate `dataset`; TensorFlow's graphs do not have it.
    by_number: bool,
    /// The number of calls that may run at the same time; 1 for a function that is not pure or may signal an
    /// end.
    pub(super) parallel_calls: usize,
}

/// The dataset.
struct Mapping(Arc<Map>);

/// Returns the number of results of a function for a number of elements. An infinite number stays infinite,
/// so that no caller tries to keep all elements.
pub(super) fn preserved(elements: i64, keeps_count: bool) -> i64 {
    if keeps_count || elements == INFINITE { elements } else { UNKNOWN }
}

impl Map {
    /// Returns the number of results, which is known if the function may not signal an end (D-70).
    pub(super) fn cardinality(&self) -> i64 {
        preserved(self.input.cardinality(), self.keeps_count)
    }

    /// Returns the result of the function for an element, or `None` if the function signals the end. `number`
    /// is that of the element in the map, for messages.
    pub(super) fn mapped(&self, run: &Run<'_>, element: Element, number: u64) -> Result<Option<Element>> {
        or_end(self.function.call_for(run, element, number), self.keeps_count)
    }
}

/// Returns the result of a function, or `None` where its `OutOfRange` is the end of its dataset. It is
/// `InvalidArgument` where the dataset has as many elements as its input.
pub(super) fn or_end(result: Result<Element>, keeps_count: bool) -> Result<Option<Element>> {
    match result {
        // A function ends its dataset in this way in TensorFlow, too.
        Err(error) if error.code() == Code::OutOfRange => {
            if keeps_count {
                let text = format!("Function invocation produced OutOfRangeError: {}", error.message());
                return Err(Error::invalid_argument(text));
            }
            Ok(None)
        }
        other => other.map(Some),
    }
}

impl Dataset for Mapping {
    fn name(&self) -> &'static str {
        "Map"
    }

    fn inputs(&self) -> Vec<&Shared> {
        vec![&self.0.input]
    }

    fn cardinality(&self) -> i64 {
        self.0.cardinality()
    }

    fn iterate(&self, run: &Run<'_>) -> Result<Source> {
        Ok(Box::new(Mapped { input: self.0.input.iterate(run)?, map: self.0.clone(), number: 0 }))
    }

    /// Returns the input's number where the function allows access by index.
    fn rows(&self) -> Option<u64> {
        self.0.input.rows().filter(|_| self.0.by_number)
    }

    /// Calls the function for one element. An end that it signals is an error here: there is no order in
    /// which to end.
    fn row(&self, run: &Run<'_>, number: u64) -> Result<Element> {
        let element = self.0.input.row(run, number)?;
        let missing = || Error::invalid_argument(format!("there is no element number {number}"));
        self.0.mapped(run, element, number)?.ok_or_else(missing)
    }

    fn as_map(&self) -> Option<&Arc<Map>> {
        Some(&self.0)
    }
}

/// An iterator.
struct Mapped {
    /// The iterator over the input.
    input: Source,
    /// The function.
    map: Arc<Map>,
    /// The number of the next element, counted from 0 over failed ones too.
    number: u64,
}

impl Iterate for Mapped {
    /// Calls the function on this thread, whatever number of parallel calls is requested.
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        let Some(element) = self.input.next(run)? else { return Ok(None) };
        // Counted before the call, so that an error does not repeat the number.
        self.number += 1;
        self.map.mapped(run, element, self.number - 1)
    }

    /// Leaves the call to the caller if calls may run in parallel, and otherwise makes it.
    fn draw(&mut self, run: &Run<'_>) -> Result<Option<Drawn>> {
        // A function with side effects is called now: its state must be in the position that is noted after
        // the draw.
        if self.map.parallel_calls == 1 {
            return Ok(self.next(run)?.map(Drawn::from));
        }
        let Some(drawn) = self.input.draw(run)? else { return Ok(None) };
        self.number += 1;
        Ok(Some(drawn.through(&self.map, self.number - 1)))
    }

    fn save(&self, to: &mut Writer) -> Result<()> {
        to.number(self.number);
        self.input.save(to)
    }

    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
        self.number = from.number()?;
        self.input.restore(from, run)
    }
}
