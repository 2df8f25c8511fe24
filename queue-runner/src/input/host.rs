//! Iterators of the program as a source.

use super::producers::unnamed;
use crate::queue_runner::{QueueRunner, Source};
use crate::sync::{Arc, Mutex, lock};
use ops::array::placeholder;
use ops::data_flow::{FifoQueue, Queue};
use session_core::{Code, DType, Error, Graph, Output, PartialShape, Result};
use std::any::Any;
use std::error::Error as StdError;
use std::panic::Location;
use tensor::Tensor;

/// The queue of a host producer.
#[derive(Clone, Debug, PartialEq)]
pub struct HostOptions {
    capacity: i64,
    names: Option<Vec<String>>,
}

impl Default for HostOptions {
    /// Returns a queue for 32 elements, components without names.
    fn default() -> HostOptions {
        HostOptions { capacity: 32, names: None }
    }
}

impl HostOptions {
    /// Sets the number of elements that the queue holds; 32 by default.
    #[must_use]
    pub fn capacity(mut self, capacity: i64) -> Self {
        self.capacity = capacity;
        self
    }

    /// Sets the names of the components, in the order in which the iterator yields them.
    #[must_use]
    pub fn names<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.names = Some(names.into_iter().map(Into::into).collect());
        self
    }
}

/// Returns a queue that an iterator of the program fills: each item is one element, a tensor for each of `specs` (dtype and shape
/// of each). The thread that asks the iterator is a queue runner's, so monitored sessions start and stop it.
///
/// The end of the iterator closes the queue, so that a dequeue after the last element fails with `OutOfRange`. An error of
/// the iterator, a panic, and an item that is not as declared (`InvalidArgument`) stop the session, which reports them
/// with the number of the item.
///
/// The queue is what there is to build on: [`dequeue_many`](Queue::dequeue_many) for batches, or
/// [`shuffle_batch`](super::shuffle_batch) on what [`dequeue`](Queue::dequeue) gives.
///
/// The iterator belongs to the graph: a second session continues where the first one stopped asking. For one that begins
/// again with each session see [`producer_with`].
///
/// ```
/// use queue_runner::input::{HostOptions, producer};
/// use session_core::{DType, Error, Graph, PartialShape, Tensor};
///
/// let graph = Graph::new();
/// let squares = (0..100i64).map(|i| Ok::<_, Error>(vec![Tensor::scalar(i), Tensor::from([i as f32, (i * i) as f32])]));
/// let specs = [(DType::Int64, PartialShape::scalar()), (DType::Float32, PartialShape::from([2]))];
/// let queue = producer(&graph.named("squares"), specs, squares, &HostOptions::default());
/// let batch = queue.dequeue_many(10);
/// assert_eq!(batch[1].shape().to_string(), "[10,2]");
/// graph.finalize()?;
/// # Ok::<(), Error>(())
/// ```
#[must_use]
#[track_caller]
pub fn producer<I, E>(
    graph: &Graph,
    specs: impl IntoIterator<Item = (DType, PartialShape)>,
    items: I,
    options: &HostOptions,
) -> Queue
where
    I: IntoIterator<Item = Result<Vec<Tensor>, E>>,
    I::IntoIter: Send + 'static,
    E: StdError + Send + Sync + 'static,
{
    // Shared, because the closure is called for each session and must continue the one iterator.
    let items = Arc::new(Mutex::new(items.into_iter()));
    producer_with(graph, specs, options, move || Shared(items.clone()))
}

/// An iterator that the threads of several sessions ask.
struct Shared<I>(Arc<Mutex<I>>);

impl<I: Iterator> Iterator for Shared<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        lock(&self.0).next()
    }
}

/// Works as [`producer`], with its own iterator for each session. With a source that gives the same items whenever it
/// begins, batches of it can be [resumed exactly](super::BatchOptions::exact_resume).
#[must_use]
#[track_caller]
pub fn producer_with<I, E>(
    graph: &Graph,
    specs: impl IntoIterator<Item = (DType, PartialShape)>,
    options: &HostOptions,
    open: impl Fn() -> I + Send + Sync + 'static,
) -> Queue
where
    I: IntoIterator<Item = Result<Vec<Tensor>, E>>,
    I::IntoIter: Send + 'static,
    E: StdError + Send + Sync + 'static,
{
    let location = Location::caller();
    let scope = graph.composite("producer").located_at(location);
    let (dtypes, shapes): (Vec<DType>, Vec<PartialShape>) = specs.into_iter().unzip();
    let mut queue =
        FifoQueue::new(&scope.named_as_scope(), options.capacity, dtypes.clone()).shapes(shapes.clone());
    if let Some(names) = &options.names {
        queue = queue.names(names.clone());
    }
    let queue = queue.build().within(&scope);
    let feed = |(index, (dtype, shape)): (usize, (&DType, &PartialShape))| {
        placeholder(&scope.named(&format!("component_{index}")), *dtype, shape.clone())
    };
    // Fed and not captured: the operation is built once, and each run has other values.
    let feeds: Vec<Output> = dtypes.iter().zip(&shapes).enumerate().map(feed).collect();
    let enqueue = match queue.names() {
        Some(names) => queue.enqueue(names.iter().cloned().zip(feeds.iter().cloned()).collect::<Vec<_>>()),
        None => queue.enqueue(&feeds),
    };
    let element = Arc::new(Element { title: queue.name().to_owned(), dtypes, shapes });
    let source = Source {
        feeds: feeds.iter().map(Output::endpoint).collect(),
        open: Arc::new(move || {
            // Numbered from 0 in each session, for the messages.
            let (element, items) = (element.clone(), open().into_iter().enumerate());
            Box::new(items.map(move |(index, item)| {
                let values = item.map_err(|error| element.failed(error, index))?;
                element.check(&values, index).map_err(|error| error.with_location(location))?;
                Ok(values)
            }))
        }),
    };
    let runner = QueueRunner::for_queue(&queue, [enqueue]).map(|runner| runner.with_source(source));
    if let Err(error) = runner.and_then(|runner| runner.add_to_graph()) {
        scope.add_error(error);
    }
    queue.within(&unnamed(graph))
}

/// The declared dtypes and shapes of a producer's items.
struct Element {
    /// The queue's name.
    title: String,
    dtypes: Vec<DType>,
    shapes: Vec<PartialShape>,
}

impl Element {
    /// Returns the error of an item; the code of one of ours is kept.
    fn failed<E: StdError + Send + Sync + 'static>(&self, error: E, index: usize) -> Error {
        let text = format!("item {index} of host producer '{}' failed", self.title);
        match (&error as &dyn Any).downcast_ref::<Error>() {
            Some(own) => own.clone().context(text),
            None => Error::new(Code::Unknown, text).with_source(error),
        }
    }

    /// Here, and not where the values are fed, it is known which item it is.
    fn check(&self, values: &[Tensor], index: usize) -> Result<()> {
        let wrong = |what: String| {
            let title = &self.title;
            Err(Error::invalid_argument(format!("item {index} of host producer '{title}' {what}")))
        };
        if values.len() != self.dtypes.len() {
            return wrong(format!(
                "has {} components instead of the declared {}",
                values.len(),
                self.dtypes.len()
            ));
        }
        for (place, value) in values.iter().enumerate() {
            let (dtype, shape) = (self.dtypes[place], &self.shapes[place]);
            if value.dtype() != dtype {
                return wrong(format!("has {} in component {place}, declared is {dtype}", value.dtype()));
            }
            if !shape.is_compatible_with(value.shape().dims()) {
                let found = value.shape();
                return wrong(format!("has shape {found} in component {place}, declared is {shape}"));
            }
        }
        Ok(())
    }
}
