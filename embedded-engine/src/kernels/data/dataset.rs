//! The traits of datasets and their iterators.
//!
//! # Lifetimes
//!
//! | object | made by | lives until |
//! | --- | --- | --- |
//! | [`Dataset`] | the kernel of a dataset op, in each step | its last iterator or tensor |
//! | [`Iterate`] | [`Dataset::iterate`], for an initialization, epoch or call | its end, or the next initialization |
//! | [`Kept`] | an iterator of the session | its next initialization |
//! | `Instance` | an iterator of the session | the same |
//!
//! A dataset is immutable and shared by threads. Whatever changes while elements are made is in the iterator,
//! in the [`Kept`] of its session iterator (seeds of the next epoch, caches), or in the `Instance` (random
//! operations in functions). These three together are the position that a checkpoint holds.
//!
//! # Errors and ends
//!
//! [`Iterate::next`] returns an error for one element and continues with the element after it (D-10); `None`
//! is the end, and every later call returns `None` again, except where a function signals the end (see
//! `map`). An error with the code `OutOfRange` is one of an element, too: whoever takes elements out of a
//! pipeline turns it into `Internal` ([`no_end`]), because a program reads `OutOfRange` as the end of its data.
//!
//! # Determinism
//!
//! The elements and their order do not depend on the number of threads. Parallel work is limited to calls of
//! pure functions ([`Drawn`]) and to independent inputs of an interleave (`read_ahead`); results are
//! collected in the order of the elements.
//!
//! # Adding a dataset
//!
//! - Write a file with an [`Op`](super::build::Op) list, and add the list to `ops` in `data.rs`. The op types
//!   need definitions in the crate `ops` as well.
//! - Check scalar inputs in `make`. Hold inputs as [`Shared`], and list all of them in [`Dataset::inputs`].
//! - Implement [`Iterate`] so that an error leaves the iterator after the failed element, and call
//!   `limits.check` in each loop that may pass many elements.
//! - Write everything that the next element depends on in [`Iterate::save`], and read it in
//!   [`Iterate::restore`] in the same order. State that outlives an iterator goes through [`Kept`].
//! - Pass on [`Iterate::draw`], [`Iterate::skip`], [`Dataset::rows`] and [`Dataset::row`] where the elements
//!   are the input's.
//! - Test that a position after each element continues with the next one, in the step and ahead of it.

use super::element::Element;
use super::kept::Kept;
use super::map::Map;
use super::position::{Reader, Writer};
use crate::kernel::{Body, Caller, Environment};
use crate::limits::Limits;
use crate::resources::Instance;
use session_core::{Code, Error, PartialShape, Result};
use std::sync::{Arc, Mutex, PoisonError};
use tensor::{DType, Tensor};

/// The number of elements of a dataset that has no end.
pub(super) const INFINITE: i64 = -1;

/// The number of elements of a dataset of unknown size.
pub(super) const UNKNOWN: i64 = -2;

/// A shared dataset. Iterators keep one, so that they can begin another epoch without the operation that made
/// it.
pub(super) type Shared = Arc<dyn Dataset>;

/// An iterator in the making or at work. It has one owner and is moved between threads, never shared by them.
pub(super) type Source = Box<dyn Iterate>;

/// A description of elements, from which any number of iterators can be made.
///
/// Implementations hold other datasets ([`inputs`](Dataset::inputs)), captured functions and checked numbers.
/// Scalar inputs are checked when the description is made, so their errors are those of the initializer and
/// not of the first element (D-6).
pub(super) trait Dataset: Send + Sync {
    /// TensorFlow's name for its kind of iterator: `Map`.
    ///
    /// The names form the [`chain`] that a position contains: a renamed dataset cannot be restored from older
    /// checkpoints.
    fn name(&self) -> &'static str;

    /// The datasets that it takes elements from, in a fixed order.
    ///
    /// [`Kept::save`] and [`Kept::restore`] visit them in this order, so the order is part of the layout of a
    /// position. The datasets that functions return are not among them.
    fn inputs(&self) -> Vec<&Shared> {
        Vec::new()
    }

    /// Returns the number of elements, [`INFINITE`], or [`UNKNOWN`] (D-70), without making any.
    ///
    /// A known number is exact. It is the result of `DatasetCardinality`, and lets `cache` warn of an input
    /// without end.
    fn cardinality(&self) -> i64 {
        UNKNOWN
    }

    /// Makes an iterator at the first element.
    ///
    /// Draws the seeds of the iterator from `run.kept`: each epoch makes an iterator of its own, and has
    /// other seeds than the one before (D-32). Files are opened later, with their first element.
    fn iterate(&self, run: &Run<'_>) -> Result<Source>;

    /// Returns the number of elements that can be accessed by index, if any can. Each is the same whenever it
    /// is accessed, by whichever thread. `shuffle` then keeps 8-byte indices in its buffer instead of
    /// elements.
    fn rows(&self) -> Option<u64> {
        None
    }

    /// Returns the element of a number below [`rows`](Dataset::rows).
    ///
    /// # Errors
    ///
    /// Fails where the element itself fails, for example in the function of a map; a number that is too large
    /// is `InvalidArgument`.
    fn row(&self, run: &Run<'_>, number: u64) -> Result<Element> {
        let _ = run;
        Err(Error::invalid_argument(format!("{} has no element number {number}", self.name())))
    }

    /// Returns tensors of which row `n` is component by component the element of number `n`, if there are any.
    /// Then iterators can copy a batch at once ([`Iterate::next_batch`]) and no element can fail. None of the
    /// tensors is a variant, whose rows are not elements side by side.
    fn components(&self) -> Option<&[Tensor]> {
        None
    }

    /// Writes the state that iterators leave for later ones over this dataset: the seed generator of a
    /// shuffle, the elements of a cache in memory. Only this dataset's own; [`Kept::save`] visits the inputs.
    fn save(&self, kept: &Kept, to: &mut Writer) -> Result<()> {
        let _ = (kept, to);
        Ok(())
    }

    /// Reads what [`save`](Dataset::save) wrote, and replaces the state in `kept`.
    fn restore(&self, kept: &Kept, from: &mut Reader<'_>) -> Result<()> {
        let _ = (kept, from);
        Ok(())
    }

    /// Returns the map, if this dataset is one. A following `BatchDatasetV2` then becomes a fused map and
    /// batch (D-15).
    fn as_map(&self) -> Option<&Arc<Map>> {
        None
    }

    /// Makes an iterator that repeats this dataset `count` times, or without end, if repeating is a part of
    /// it where datasets are rewritten (D-15): shuffle and repeat become one iterator, which reads into the
    /// next epoch before the buffer is empty. `None` where this dataset has no such form.
    fn iterate_repeated(&self, run: &Run<'_>, count: Option<u64>) -> Option<Result<Source>> {
        let _ = (run, count);
        None
    }

    /// Returns the number of elements that may be made ahead of the steps that take them, if this dataset is
    /// a prefetch.
    fn buffer_size(&self) -> Option<usize> {
        None
    }
}

/// Yields the elements of a dataset.
///
/// # Positions
///
/// [`save`](Iterate::save) writes where the iterator stands, [`restore`](Iterate::restore) moves a new
/// iterator over an equal dataset there: the next element is then the one that the saved iterator would have
/// returned, bit by bit. Both must agree in the order and the kinds of values. There are no tags and no
/// version in the bytes; [`chain`] and the bounds that [`Reader`] checks are the only guards, so a changed
/// layout makes older positions fail as damaged.
///
/// A position that cannot be written (`Unimplemented`, see [`unsavable`](super::position::unsavable)) is no
/// failure of the checkpoint: the iterator is then replayed from its beginning.
pub(super) trait Iterate: Send {
    /// Returns the next element, or `None` at the end. The call after an error continues with the element
    /// after the failed one (D-10).
    ///
    /// Long loops inside call `run.limits.check()`, so that a run ends within its deadline although the
    /// iterator finds no element.
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>>;

    /// Returns up to `size` next elements stacked under a new first dimension, and their number, which is smaller
    /// only at the end. `None` if elements are to be taken one by one, which depends on the pipeline only and not
    /// on its position.
    ///
    /// A batch of rows of large tensors then costs a copy of each row, without a tensor for each of them.
    fn next_batch(&mut self, run: &Run<'_>, size: u64) -> Option<Result<(Element, u64)>> {
        let _ = (run, size);
        None
    }

    /// Takes the next element out of the input, and leaves calls of pure functions that may run in parallel
    /// to the code that [finishes](Drawn::finish) it. Then the iterator has the same position as after
    /// [`next`](Iterate::next).
    ///
    /// An iterator that passes elements on as they are should pass on `draw` too; the default ends the chain
    /// of deferred calls here.
    fn draw(&mut self, run: &Run<'_>) -> Result<Option<Drawn>> {
        Ok(self.next(run)?.map(Drawn::from))
    }

    /// Skips up to `count` elements, and returns the number that there were: less than `count` only at the
    /// end.
    ///
    /// # Errors
    ///
    /// The error of a skipped element ends the call, and the number skipped before it is lost, as in
    /// TensorFlow: the callers `skip` and `shard` then begin to count again after the failed element.
    fn skip(&mut self, run: &Run<'_>, count: u64) -> Result<u64> {
        for passed in 0..count {
            run.check_at(passed)?;
            if self.next(run)?.is_none() {
                return Ok(passed);
            }
        }
        Ok(count)
    }

    /// Writes the position after the last element that was returned. Called after every element of a pipeline
    /// that works ahead, so it must be cheap: large values are referred to and not copied (see [`Writer`]).
    fn save(&self, to: &mut Writer) -> Result<()>;

    /// Restores the position of another iterator over an equal dataset. Called before the first element.
    ///
    /// After an error the iterator is in no usable state, and the caller drops it.
    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()>;
}

/// An element that was taken out of the input, and the calls that make it what it is, in their order.
///
/// `range.map(f).map(g)` draws `Drawn { element: 5, calls: [(f, 5), (g, 5)] }`, where the numbers are the
/// elements' own in each map. The calls are pure, so they may be made by any thread and at any time.
pub(super) struct Drawn {
    /// The element before the calls.
    element: Element,
    /// The maps whose functions are still to be called, innermost first, each with the number of the element
    /// for messages.
    calls: Vec<(Arc<Map>, u64)>,
}

impl From<Element> for Drawn {
    /// Returns an element for which nothing is left to be called.
    fn from(element: Element) -> Drawn {
        Drawn { element, calls: Vec::new() }
    }
}

impl Drawn {
    /// Adds the call of a map's function for the element of a number.
    pub(super) fn through(mut self, map: &Arc<Map>, number: u64) -> Drawn {
        self.calls.push((map.clone(), number));
        self
    }

    /// Returns the number of elements that may be finished at the same time: the largest number that any of
    /// the maps requests, 1 if there is nothing to call.
    pub(super) fn parallel_calls(&self) -> usize {
        self.calls.iter().map(|(map, _)| map.parallel_calls).max().unwrap_or(1)
    }

    /// Makes the calls, each with the result of the one before. `None` stands for an end that a function
    /// signals with `OutOfRange`; only `map_and_batch` defers calls that may do so, as its last ones.
    pub(super) fn finish(self, run: &Run<'_>) -> Result<Option<Element>> {
        let mut element = self.element;
        for (map, number) in self.calls {
            match map.mapped(run, element, number)? {
                Some(mapped) => element = mapped,
                // A map that may end makes its calls when elements are drawn (`map::of`).
                None => return Ok(None),
            }
        }
        Ok(Some(element))
    }
}

/// Finishes elements on the threads of the session, in whatever order; the results are in the order of the
/// elements.
///
/// An error is the result of its element and does not affect the others. A single element is finished on the
/// calling thread, because waking another one costs more than most functions.
pub(super) fn finish_all(drawn: Vec<Drawn>, run: &Run<'_>) -> Vec<Result<Option<Element>>> {
    let threads = drawn.iter().map(Drawn::parallel_calls).max().unwrap_or(1);
    if threads == 1 || drawn.len() == 1 {
        return drawn.into_iter().map(|drawn| drawn.finish(run)).collect();
    }
    // Each thread writes to the places that it takes, so the order of the results is fixed before any call is
    // made.
    let mut places: Vec<_> = drawn.into_iter().map(|drawn| (Some(drawn), None)).collect();
    for_each(run, threads, &mut places, |(drawn, result)| {
        *result = drawn.take().map(|drawn| drawn.finish(run));
    });
    // Only if a call panicked on another thread; the pool reports the panic itself.
    let missing = || Err(Error::runtime("an element was not finished"));
    places.into_iter().map(|(_, result)| result.unwrap_or_else(missing)).collect()
}

/// Calls a function for each item on up to `threads` threads of the session, the calling thread among them.
/// Each thread takes the next item when it is done with one, so items of unequal cost are balanced. Returns
/// when all are done.
pub(super) fn for_each<T: Send>(
    run: &Run<'_>,
    threads: usize,
    items: &mut [T],
    work: impl Fn(&mut T) + Sync,
) {
    let threads = threads.min(items.len());
    // One lock per item is cheap next to a call of a function, and needs no partition in advance.
    let items = Mutex::new(items.iter_mut());
    let next = || items.lock().unwrap_or_else(PoisonError::into_inner).next();
    run.environment.pool.run(threads, |_| {
        while let Some(item) = next() {
            work(item);
        }
    });
}

/// The step that requests an element, as an iterator sees it.
///
/// Iterators do not keep it: the next element may be requested by another step, or by a thread that works
/// ahead.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    /// The session's threads, buffers, files and resources.
    pub(super) environment: &'a Environment,
    /// The deadline and the cancellations that end the request.
    pub(super) limits: &'a Limits<'a>,
    /// The states of the operations in its functions (D-18): they continue over the epochs of one
    /// initialization, and start from their seeds with the next one.
    pub(super) instance: &'a Instance,
    /// The states of its datasets, which one epoch leaves to the next.
    pub(super) kept: &'a Kept,
    /// True if datasets are rewritten as TensorFlow does at the outermost level (D-15).
    pub(super) rewrites: bool,
}

impl Run<'_> {
    /// Checks at every 64th element whether the run has ended, for loops over elements that are counted by a
    /// number of the graph. A check may read the clock, which would be felt in a loop over numbers.
    pub(super) fn check_at(&self, element: u64) -> Result<()> {
        if element.is_multiple_of(64) { self.limits.check() } else { Ok(()) }
    }

    /// Runs a function with the states of this iterator, under the limits of the request.
    pub(super) fn call(&self, body: &dyn Body, arguments: Vec<Tensor>) -> Result<Vec<Tensor>> {
        let Run { environment, limits, instance, .. } = *self;
        body.call(&Caller { environment, limits, instance: Some(instance) }, arguments)
    }

    /// Returns the same run for datasets that functions make. TensorFlow does not rewrite those, so map and
    /// batch stay apart there, and errors in batches lose other elements (D-12, D-15).
    pub(super) fn inner(&self) -> Run<'_> {
        Run { rewrites: false, ..*self }
    }
}

/// A dataset as a value of the graph, with the dtypes and shapes that its operation declares.
///
/// The tensor is a `DT_VARIANT` scalar. Declared shapes are those of the attribute `output_shapes`; elements
/// are compared with them only when an iterator delivers them (D-22).
#[derive(Clone)]
pub(super) struct Handle {
    /// The description itself.
    pub(super) dataset: Shared,
    /// The declared dtypes of the components of an element.
    pub(super) types: Vec<DType>,
    /// The declared static shapes of the components, as many as dtypes.
    pub(super) shapes: Vec<PartialShape>,
    /// The relation of the elements to the steps.
    pub(super) ties: Ties,
}

/// The relation between the elements of a dataset and the steps of the session.
#[derive(Clone, Copy, Default)]
pub(super) struct Ties {
    /// True if the elements depend on what steps change, such as variables or queues, so that an element is made when a step requests
    /// it.
    pub(super) follows_steps: bool,
    /// True if a function takes from a queue, which the very step that requests an element may have to fill.
    pub(super) awaits_steps: bool,
    /// True if a function may block until another thread does something.
    pub(super) may_block: bool,
}

impl Ties {
    /// Returns the ties of a dataset that is made of both.
    pub(super) fn and(self, other: Ties) -> Ties {
        Ties {
            follows_steps: self.follows_steps || other.follows_steps,
            awaits_steps: self.awaits_steps || other.awaits_steps,
            may_block: self.may_block || other.may_block,
        }
    }
}

impl Handle {
    /// Returns the dataset that a tensor holds.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for any other tensor, with its dtype and shape.
    pub(super) fn of(tensor: &Tensor) -> Result<&Handle> {
        tensor.as_handle().ok_or_else(|| {
            let text = format!("a {} of shape {} is not a dataset", tensor.dtype(), tensor.shape());
            Error::invalid_argument(text)
        })
    }

    /// Returns the dataset as a variant scalar.
    pub(super) fn into_tensor(self) -> Tensor {
        Tensor::from_handle(DType::Variant, Arc::new(self))
    }
}

/// Returns the error of an element in the form in which it leaves a pipeline: an `OutOfRange` becomes
/// `Internal`, as in TensorFlow.
///
/// A function may fail with that code, for example where it takes from a queue that was closed. A training
/// loop would take it for the end of the data and leave out the rest in silence. `place` is the iterator or
/// operation that passes the error on.
pub(super) fn no_end(error: Error, place: impl std::fmt::Display) -> Error {
    if error.code() != Code::OutOfRange {
        return error;
    }
    let text = format!(
        "an element of {place} failed with `OutOfRange`, which stands for the end of the data only and is no error of an element: {}",
        error.message()
    );
    Error::new(Code::Internal, text).with_source(error)
}

/// Writes an iterator, which is `None` after its end: a flag, then its position.
///
/// ```text
/// [0]                      ended
/// [1] position             open
/// ```
pub(super) fn save_open(input: Option<&Source>, to: &mut Writer) -> Result<()> {
    to.option(input, |to, input| input.save(to))
}

/// Restores the state that [`save_open`] wrote into a new iterator. `input` must be open; it is dropped if
/// the saved one had ended. A damaged position leaves `None`.
pub(super) fn restore_open(input: &mut Option<Source>, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
    // Taken out first, so that a failed restore leaves no iterator at a half-restored position.
    let made = input.take();
    *input = from.option(|from| {
        let mut made = made.ok_or_else(super::position::damaged)?;
        made.restore(from, run)?;
        Ok(made)
    })?;
    Ok(())
}

/// Returns the number of elements that may be made ahead of the steps: that of a final prefetch, or one where
/// a prefetch lies further inside; 0 without any prefetch.
///
/// A prefetch in the middle of a pipeline therefore moves the whole pipeline to the thread: its position is
/// then one, and not one for each side of a buffer.
pub(super) fn buffer_size(dataset: &dyn Dataset) -> usize {
    // A prefetch inside another dataset asks for a thread too, but its own size would count other
    // elements.
    let inside = || dataset.inputs().into_iter().any(|input| buffer_size(input.as_ref()) > 0);
    dataset.buffer_size().unwrap_or_else(|| usize::from(inside()))
}

/// Returns the pipeline as text, sources first: `Range > Map > Batch`, or `(Range, TFRecord) > Zip > Batch`.
///
/// It identifies a pipeline in its position. Parameters such as batch sizes are not part of it.
pub(super) fn chain(dataset: &dyn Dataset) -> String {
    let inputs: Vec<String> = dataset.inputs().into_iter().map(|input| chain(input.as_ref())).collect();
    match inputs.as_slice() {
        [] => dataset.name().to_owned(),
        [one] => format!("{one} > {}", dataset.name()),
        several => format!("({}) > {}", several.join(", "), dataset.name()),
    }
}
