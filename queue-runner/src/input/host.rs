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
    /// A queue for 32 elements, components without names.
    fn default() -> HostOptions {
        HostOptions { capacity: 32, names: None }
    }
}

impl HostOptions {
    /// How many elements the queue holds; 32 by default.
    #[must_use]
    pub fn capacity(mut self, capacity: i64) -> Self {
        self.capacity = capacity;
        self
    }

    /// The names of the components, in the order in which the iterator gives them.
    #[must_use]
    pub fn names<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.names = Some(names.into_iter().map(Into::into).collect());
        self
    }
}

/// A queue that an iterator of the program fills: each item is one element, a tensor for each of `specs` (dtype and shape
/// of each). The thread that asks the iterator is a queue runner's, so monitored sessions start and stop it.
///
/// The end of the iterator closes the queue, so that who takes elements finds `OutOfRange` after the last. An error of
/// the iterator, and a panic, stop the session, which reports them.
///
/// The queue is what there is to build on: [`dequeue_many`](Queue::dequeue_many) for batches, or
/// [`shuffle_batch`](super::shuffle_batch) on what [`dequeue`](Queue::dequeue) gives.
///
/// The iterator belongs to the graph: a second session goes on where the first one stopped asking. For one that begins
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

/// As [`producer`], with an iterator of its own for each session. With a source that gives the same items whenever it
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
    let scope = graph.composite("producer").located_at(Location::caller());
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
    let feeds: Vec<Output> = dtypes.iter().zip(&shapes).enumerate().map(feed).collect();
    let enqueue = match queue.names() {
        Some(names) => queue.enqueue(names.iter().cloned().zip(feeds.iter().cloned()).collect::<Vec<_>>()),
        None => queue.enqueue(&feeds),
    };
    let title = queue.name().to_owned();
    let source = Source {
        feeds: feeds.iter().map(Output::endpoint).collect(),
        open: Arc::new(move || {
            let title = title.clone();
            let items = open().into_iter().enumerate();
            Box::new(items.map(move |(index, item)| item.map_err(|error| described(error, &title, index))))
        }),
    };
    let runner = QueueRunner::for_queue(&queue, [enqueue]).map(|runner| runner.with_source(source));
    if let Err(error) = runner.and_then(|runner| runner.add_to_graph()) {
        scope.add_error(error);
    }
    queue.within(&unnamed(graph))
}

/// The error of an item; the code of one of ours is kept.
fn described<E: StdError + Send + Sync + 'static>(error: E, title: &str, index: usize) -> Error {
    let text = format!("item {index} of host producer '{title}' failed");
    match (&error as &dyn Any).downcast_ref::<Error>() {
        Some(own) => own.clone().context(text),
        None => Error::new(Code::Unknown, text).with_source(error),
    }
}
