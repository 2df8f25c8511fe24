//! The traits of datasets and their iterators.

use super::element::Element;
use super::kept::Kept;
use super::map::Map;
use super::position::{Reader, Writer};
use crate::kernel::{Body, Caller, Environment};
use crate::limits::Limits;
use crate::resources::Instance;
use session_core::{Error, PartialShape, Result};
use std::sync::{Arc, Mutex, PoisonError};
use tensor::{DType, Tensor};

/// The number of elements of a dataset that has no end.
pub(super) const INFINITE: i64 = -1;

/// The number of elements of a dataset of unknown size.
pub(super) const UNKNOWN: i64 = -2;

/// A shared dataset.
pub(super) type Shared = Arc<dyn Dataset>;

/// An iterator in the making or at work.
pub(super) type Source = Box<dyn Iterate>;

/// A description of elements.
pub(super) trait Dataset: Send + Sync {
    /// TensorFlow's name for its kind of iterator: `Map`.
    fn name(&self) -> &'static str;

    /// The datasets that it takes elements from.
    fn inputs(&self) -> Vec<&Shared> {
        Vec::new()
    }

    /// Returns the number of elements, [`INFINITE`], or [`UNKNOWN`] (D-70).
    fn cardinality(&self) -> i64 {
        UNKNOWN
    }

    /// Makes an iterator at the first element.
    fn iterate(&self, run: &Run<'_>) -> Result<Source>;

    /// Returns the number of elements that can be accessed by index, if any can. Each is the same whenever it
    /// is accessed.
    fn rows(&self) -> Option<u64> {
        None
    }

    /// The element of a number below [`rows`](Dataset::rows).
    fn row(&self, run: &Run<'_>, number: u64) -> Result<Element> {
        let _ = run;
        Err(Error::invalid_argument(format!("{} has no element number {number}", self.name())))
    }

    /// Writes the state that iterators leave for later ones over this dataset.
    fn save(&self, kept: &Kept, to: &mut Writer) -> Result<()> {
        let _ = (kept, to);
        Ok(())
    }

    /// Reads what [`save`](Dataset::save) wrote.
    fn restore(&self, kept: &Kept, from: &mut Reader<'_>) -> Result<()> {
        let _ = (kept, from);
        Ok(())
    }

    /// Itself, if it maps elements one by one.
    fn as_map(&self) -> Option<&Arc<Map>> {
        None
    }

    /// Makes an iterator that repeats this dataset, if repeating is a part of it where datasets are rewritten (D-15).
    fn iterate_repeated(&self, run: &Run<'_>, count: Option<u64>) -> Option<Result<Source>> {
        let _ = (run, count);
        None
    }

    /// Returns the number of elements that may be made ahead of the steps that take them, if this dataset is a prefetch.
    fn buffer_size(&self) -> Option<usize> {
        None
    }
}

/// Yields the elements of a dataset.
pub(super) trait Iterate: Send {
    /// The next element, or nothing at the end. The call after an error continues with the element after the failed one (D-10).
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>>;

    /// Takes the next element out of the input, and leaves calls of pure functions that may run in parallel to the code that
    /// [finishes](Drawn::finish) it. Then the iterator has the same position as after [`next`](Iterate::next).
    fn draw(&mut self, run: &Run<'_>) -> Result<Option<Drawn>> {
        Ok(self.next(run)?.map(Drawn::from))
    }

    /// Skips some elements, and returns their number.
    fn skip(&mut self, run: &Run<'_>, count: u64) -> Result<u64> {
        for passed in 0..count {
            run.check_at(passed)?;
            if self.next(run)?.is_none() {
                return Ok(passed);
            }
        }
        Ok(count)
    }

    /// Writes where it stands.
    fn save(&self, to: &mut Writer) -> Result<()>;

    /// Restores the position of another iterator over an equal dataset. Called before the first element.
    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()>;
}

/// An element that was taken out of the input, and the calls that make it what it is, in their order.
pub(super) struct Drawn {
    element: Element,
    calls: Vec<(Arc<Map>, u64)>,
}

impl From<Element> for Drawn {
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

    /// Returns the number of elements that may be finished at the same time.
    pub(super) fn parallel_calls(&self) -> usize {
        self.calls.iter().map(|(map, _)| map.parallel_calls).max().unwrap_or(1)
    }

    /// Makes the calls. None stands for an end that a function signals.
    pub(super) fn finish(self, run: &Run<'_>) -> Result<Option<Element>> {
        let mut element = self.element;
        for (map, number) in self.calls {
            match map.mapped(run, element, number)? {
                Some(mapped) => element = mapped,
                None => return Ok(None),
            }
        }
        Ok(Some(element))
    }
}

/// Finishes elements on the threads of the session, in whatever order; the results are in the order of the elements.
pub(super) fn finish_all(drawn: Vec<Drawn>, run: &Run<'_>) -> Vec<Result<Option<Element>>> {
    let threads = drawn.iter().map(Drawn::parallel_calls).max().unwrap_or(1);
    if threads == 1 || drawn.len() == 1 {
        return drawn.into_iter().map(|drawn| drawn.finish(run)).collect();
    }
    let mut places: Vec<_> = drawn.into_iter().map(|drawn| (Some(drawn), None)).collect();
    for_each(run, threads, &mut places, |(drawn, result)| {
        *result = drawn.take().map(|drawn| drawn.finish(run));
    });
    let missing = || Err(Error::runtime("an element was not finished"));
    places.into_iter().map(|(_, result)| result.unwrap_or_else(missing)).collect()
}

/// Calls a function for each item on up to `threads` threads of the session. Each thread takes the next item when it is done with one.
pub(super) fn for_each<T: Send>(
    run: &Run<'_>,
    threads: usize,
    items: &mut [T],
    work: impl Fn(&mut T) + Sync,
) {
    let threads = threads.min(items.len());
    let items = Mutex::new(items.iter_mut());
    let next = || items.lock().unwrap_or_else(PoisonError::into_inner).next();
    run.environment.pool.run(threads, |_| {
        while let Some(item) = next() {
            work(item);
        }
    });
}

/// The step that requests an element, as an iterator sees it.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    pub(super) environment: &'a Environment,
    pub(super) limits: &'a Limits<'a>,
    /// The states of the operations in its functions (D-18).
    pub(super) instance: &'a Instance,
    /// The states of its datasets.
    pub(super) kept: &'a Kept,
    /// True if datasets are rewritten as TensorFlow does at the outermost level (D-15).
    pub(super) rewrites: bool,
}

impl Run<'_> {
    /// Checks now and then whether the run has ended, for loops over elements that are counted by a number of the graph.
    pub(super) fn check_at(&self, element: u64) -> Result<()> {
        if element.is_multiple_of(64) { self.limits.check() } else { Ok(()) }
    }

    /// Runs a function.
    pub(super) fn call(&self, body: &dyn Body, arguments: Vec<Tensor>) -> Result<Vec<Tensor>> {
        let Run { environment, limits, instance, .. } = *self;
        body.call(&Caller { environment, limits, instance: Some(instance) }, arguments)
    }

    /// The same for datasets that functions make.
    pub(super) fn inner(&self) -> Run<'_> {
        Run { rewrites: false, ..*self }
    }
}

/// A dataset as a value of the graph, with the dtypes and shapes that its operation declares.
#[derive(Clone)]
pub(super) struct Handle {
    pub(super) dataset: Shared,
    pub(super) types: Vec<DType>,
    pub(super) shapes: Vec<PartialShape>,
    /// True if the elements depend on what steps change, such as variables or queues, so that an element is made in the step that
    /// takes it.
    pub(super) follows_steps: bool,
}

impl Handle {
    pub(super) fn of(tensor: &Tensor) -> Result<&Handle> {
        tensor.as_handle().ok_or_else(|| {
            let text = format!("a {} of shape {} is not a dataset", tensor.dtype(), tensor.shape());
            Error::invalid_argument(text)
        })
    }

    pub(super) fn into_tensor(self) -> Tensor {
        Tensor::from_handle(DType::Variant, Arc::new(self))
    }
}

/// Writes an iterator, which is `None` after its end.
pub(super) fn save_open(input: Option<&Source>, to: &mut Writer) -> Result<()> {
    to.option(input, |to, input| input.save(to))
}

/// Restores the state that [`save_open`] wrote into a new iterator.
pub(super) fn restore_open(input: &mut Option<Source>, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
    let made = input.take();
    *input = from.option(|from| {
        let mut made = made.ok_or_else(super::position::damaged)?;
        made.restore(from, run)?;
        Ok(made)
    })?;
    Ok(())
}

/// Returns the number of elements that may be made ahead of the steps: that of a final prefetch, or one where a prefetch lies
/// further inside.
pub(super) fn buffer_size(dataset: &dyn Dataset) -> usize {
    let inside = || dataset.inputs().into_iter().any(|input| buffer_size(input.as_ref()) > 0);
    dataset.buffer_size().unwrap_or_else(|| usize::from(inside()))
}

/// The pipeline as text, sources first: `Range > Map > Batch`.
pub(super) fn chain(dataset: &dyn Dataset) -> String {
    let inputs: Vec<String> = dataset.inputs().into_iter().map(|input| chain(input.as_ref())).collect();
    match inputs.as_slice() {
        [] => dataset.name().to_owned(),
        [one] => format!("{one} > {}", dataset.name()),
        several => format!("({}) > {}", several.join(", "), dataset.name()),
    }
}
