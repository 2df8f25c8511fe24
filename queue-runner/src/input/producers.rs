//! Producers: queues that hold the parts of a tensor, epoch by epoch.

use super::epochs::limit_epochs;
use crate::QueueRunner;
use ops::array::{Index, constant, gather, identity, shape, size, strided_slice};
use ops::control_flow::assert_true;
use ops::data_flow::{FifoQueue, Queue};
use ops::io::{IndexOptions, index_batch, matching_files};
use ops::math::{cast, greater, mul};
use ops::random::random_shuffle;
use ops::variables::VariableBuilder;
use ops::{Ints, summary};
use session_core::{AsOutput, DType, Error, Graph, Output, PartialShape, Variable};
use std::panic::Location;
use tensor::Tensor;

/// The type of a producer's queue.
const QUEUE: &str = "FIFOQueueV2";

/// Options for passing through the input of a producer.
///
/// ```
/// use queue_runner::input::ProducerOptions;
/// let options = ProducerOptions::default().num_epochs(2).shuffle(false).capacity(16);
/// # let _ = options;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerOptions {
    num_epochs: Option<u64>,
    shuffle: bool,
    seed: Option<i64>,
    capacity: i64,
    shared_name: String,
    element_shape: Option<PartialShape>,
    summary_name: Option<String>,
}

impl Default for ProducerOptions {
    /// Shuffled, without end, a queue for 32 elements.
    fn default() -> ProducerOptions {
        ProducerOptions {
            num_epochs: None,
            shuffle: true,
            seed: None,
            capacity: 32,
            shared_name: String::new(),
            element_shape: None,
            summary_name: None,
        }
    }
}

impl ProducerOptions {
    /// Sets the number of passes through the input. The count is a local variable (S-251). Default: unlimited.
    ///
    /// ```
    /// use queue_runner::input::ProducerOptions;
    /// let options = ProducerOptions::default().num_epochs(3);
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn num_epochs(mut self, num_epochs: u64) -> Self {
        self.num_epochs = Some(num_epochs);
        self
    }

    /// Sets whether each epoch has its own order, as by default, or the input's (S-255).
    #[must_use]
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.shuffle = shuffle;
        self
    }

    /// Sets the operation-level seed of the order, in addition to that of the graph. With either, every
    /// session has the same order.
    #[must_use]
    pub fn seed(mut self, seed: i64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets the number of elements that the queue holds; 32 by default.
    #[must_use]
    pub fn capacity(mut self, capacity: i64) -> Self {
        self.capacity = capacity;
        self
    }

    /// Sets the shared name. Producers with the same shared name share a queue (S-259).
    #[must_use]
    pub fn shared_name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.shared_name);
        self
    }

    /// Sets the shape of one element, where it does not follow from the input. For [`input_producer`] alone.
    #[must_use]
    pub fn element_shape(mut self, shape: impl Into<PartialShape>) -> Self {
        self.element_shape = Some(shape.into());
        self
    }

    /// Sets a summary of how full the queue is, from 0 to 1, under this name. For [`input_producer`] alone; the others have
    /// one named after the capacity.
    #[must_use]
    pub fn summary_name(mut self, name: &str) -> Self {
        self.summary_name = Some(name.to_owned());
        self
    }

    fn with_fraction_summary(&self) -> ProducerOptions {
        let name = format!("fraction_of_{}_full", self.capacity);
        ProducerOptions { summary_name: Some(name), ..self.clone() }
    }
}

/// Returns a queue of the slices of a tensor along its first dimension (S-254), with a runner that enqueues
/// them epoch by epoch, each epoch shuffled independently (S-255). The name of `graph`, `input_producer` by
/// default, is the scope.
///
/// ```
/// use ops::array::constant;
/// use queue_runner::input::{ProducerOptions, input_producer};
/// use session_core::Graph;
/// let graph = Graph::new();
/// input_producer(&graph, constant(&graph, [[1.0f32, 2.0], [3.0, 4.0]]), &ProducerOptions::default());
/// graph.finalize()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// In the graph, for elements whose shape is not fully known.
#[must_use]
#[track_caller]
pub fn input_producer(graph: &Graph, input: impl AsOutput, options: &ProducerOptions) -> Queue {
    let scope = graph.composite("input_producer").located_at(Location::caller());
    let named = graph.pending_name().map(str::to_owned);
    let queue_name = scope.named(named.as_deref().unwrap_or("FIFOQueueV2"));
    produce(&scope, &queue_name, input.as_output(), options).within(&unnamed(graph))
}

/// Returns the handle without a name for its next operation.
pub(super) fn unnamed(graph: &Graph) -> Graph {
    graph.scope(graph.scope_name())
}

fn produce(scope: &Graph, queue_name: &Graph, input: &Output, options: &ProducerOptions) -> Queue {
    let slices = match input.shape().rank() {
        Some(0) | None => PartialShape::unknown(),
        Some(rank) => input.shape().range(1, rank),
    };
    let element = match &options.element_shape {
        Some(shape) => shape.merge(&slices).unwrap_or_else(PartialShape::unknown),
        None => slices,
    };
    // The dequeue of elements without a shape could not be batched.
    if !element.is_fully_known() {
        let text = format!(
            "input_tensor must have a fully defined shape, not {}, or element_shape must be given",
            input.shape()
        );
        scope.add_error(of_scope(scope, Error::value(text), QUEUE));
    }
    let mut elements = input.within(scope);
    // In the graph, so that each epoch, which is one evaluation, has its own order.
    if options.shuffle {
        elements = random_shuffle(&elements, options.seed);
    }
    let elements = limit_epochs(&elements, options.num_epochs);
    let mut queue = FifoQueue::new(queue_name, options.capacity, elements.dtype());
    queue = queue.shared_name(options.shared_name.as_str());
    // Without a shape the error above is recorded already; a second one would hide it.
    let queue = if element.is_fully_known() { queue.shapes([element]).build() } else { queue.build() };
    let queue = queue.within(scope);
    add_runner(scope, &queue, [queue.enqueue_many(&elements)]);
    if let Some(name) = &options.summary_name {
        let size = cast(queue.size().within(scope), DType::Float32);
        let part = 1.0 / options.capacity as f32;
        let fraction = mul(
            size.within(&scope.named("mul")),
            constant(&scope.named("mul/y").without_control_dependencies(), Tensor::scalar(part)),
        );
        summary::scalar(name, fraction.within(scope));
    }
    queue
}

/// Returns an error of the queue or batch that a composite function makes: it bears the name of the function's scope.
pub(super) fn of_scope(scope: &Graph, error: Error, op_type: &str) -> Error {
    error.with_node(scope.scope_name().trim_end_matches('/'), op_type)
}

/// Adds the runner of a queue to the graph; what is wrong with it is recorded.
pub(super) fn add_runner(
    graph: &Graph,
    queue: &Queue,
    operations: impl IntoIterator<Item = session_core::Operation>,
) {
    let added = QueueRunner::for_queue(queue, operations).and_then(|runner| runner.add_to_graph());
    if let Err(error) = added {
        graph.add_error(error);
    }
}

/// File names: a text, an array, vector or slice of texts, or an output that computes them.
///
/// ```
/// use queue_runner::input::FileNames;
/// let names = FileNames::from(["a.tfrecord", "b.tfrecord"]);
/// # let _ = names;
/// ```
#[derive(Clone, Debug)]
pub enum FileNames {
    /// A list of names.
    Listed(Vec<String>),
    /// A vector of strings.
    Computed(Output),
}

impl<S: Into<String>, const N: usize> From<[S; N]> for FileNames {
    fn from(names: [S; N]) -> FileNames {
        FileNames::Listed(names.into_iter().map(Into::into).collect())
    }
}

impl From<&str> for FileNames {
    fn from(name: &str) -> FileNames {
        FileNames::Listed(vec![name.to_owned()])
    }
}

impl From<String> for FileNames {
    fn from(name: String) -> FileNames {
        FileNames::Listed(vec![name])
    }
}

impl<S: AsRef<str>> From<&[S]> for FileNames {
    fn from(names: &[S]) -> FileNames {
        FileNames::Listed(names.iter().map(|name| name.as_ref().to_owned()).collect())
    }
}

impl<S: AsRef<str>> From<&Vec<S>> for FileNames {
    fn from(names: &Vec<S>) -> FileNames {
        FileNames::from(names.as_slice())
    }
}

impl<S: AsRef<str>, const N: usize> From<&[S; N]> for FileNames {
    fn from(names: &[S; N]) -> FileNames {
        FileNames::from(names.as_slice())
    }
}

impl<S: Into<String>> From<Vec<S>> for FileNames {
    fn from(names: Vec<S>) -> FileNames {
        FileNames::Listed(names.into_iter().map(Into::into).collect())
    }
}

impl From<Output> for FileNames {
    fn from(names: Output) -> FileNames {
        FileNames::Computed(names)
    }
}

impl From<&Output> for FileNames {
    fn from(names: &Output) -> FileNames {
        FileNames::Computed(names.clone())
    }
}

impl From<&Variable> for FileNames {
    fn from(names: &Variable) -> FileNames {
        FileNames::Computed(names.as_output().clone())
    }
}

/// Returns a queue of strings, such as the names of files for a [`Reader`](ops::io::Reader) (S-256).
///
/// ```
/// use queue_runner::input::{ProducerOptions, string_input_producer};
/// use session_core::Graph;
/// let graph = Graph::new();
/// let names = string_input_producer(&graph, ["a.tfrecord", "b.tfrecord"], &ProducerOptions::default());
/// assert!(names.dequeue().operation().error().is_none());
/// ```
///
/// # Errors
/// In the graph, for an empty list. A computed one that is empty is `InvalidArgument` in the thread that fills the
/// queue, and so an error of the session.
#[must_use]
#[track_caller]
pub fn string_input_producer(
    graph: &Graph,
    strings: impl Into<FileNames>,
    options: &ProducerOptions,
) -> Queue {
    const EMPTY: &str = "string_input_producer requires a non-null input tensor";
    let scope = graph.composite("input_producer").located_at(Location::caller());
    let strings = match strings.into() {
        FileNames::Computed(strings) => strings,
        FileNames::Listed(names) => {
            if names.is_empty() {
                let error = Error::value(format!("{EMPTY}: the list of strings is empty"));
                scope.add_error(of_scope(&scope, error, QUEUE));
            }
            let count = names.len();
            let names = Tensor::from_strings(names.into_iter().map(String::into_bytes), [count]);
            constant(&scope, names.expect("one string for each"))
        }
    };
    let some =
        greater(size(strings.within(&scope)), constant(&scope.named("Greater/y"), Tensor::scalar(0i32)));
    let assertion = scope.scope("Assert");
    let text = constant(&assertion, Tensor::from(EMPTY));
    // At run time, because a computed list is known only then.
    let check = assert_true(some.within(&assertion), &[text], 3);
    let strings = identity(strings.within(&scope.control_dependencies([&check])));
    let options =
        ProducerOptions { element_shape: Some(PartialShape::scalar()), ..options.with_fraction_summary() };
    produce(&scope, &scope.named_as_scope(), &strings, &options).within(&unnamed(graph))
}

/// Returns a queue of the integers below `limit`, of dtype `int32` (S-257).
///
/// ```
/// use queue_runner::input::{ProducerOptions, range_input_producer};
/// use session_core::Graph;
/// let graph = Graph::new();
/// let queue = range_input_producer(&graph, 10, &ProducerOptions::default());
/// graph.finalize()?;
/// # let _ = queue;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
#[track_caller]
pub fn range_input_producer(graph: &Graph, limit: impl Into<Ints>, options: &ProducerOptions) -> Queue {
    let scope = graph.composite("input_producer").located_at(Location::caller());
    let parts = scope.scope("range").without_control_dependencies();
    let limit = match limit.into() {
        Ints::Computed(limit) => limit,
        given => {
            let value = given.known().and_then(|limits| i32::try_from(*limits.first()?).ok());
            if value.is_none() {
                let error = Error::value("limit must be one integer of 32 bits");
                scope.add_error(of_scope(&scope, error, QUEUE));
            }
            constant(&parts.named("limit"), Tensor::scalar(value.unwrap_or(1)))
        }
    };
    let start = constant(&parts.named("start"), Tensor::scalar(0i32));
    let delta = constant(&parts.named("delta"), Tensor::scalar(1i32));
    let range = ops::array::range(start.within(&parts.named_as_scope()), limit, delta);
    produce(&scope, &scope.named_as_scope(), &range.within(&scope), &options.with_fraction_summary())
        .within(&unnamed(graph))
}

/// One row of each tensor at a time, the same row of all (S-258): each evaluation takes the next.
///
/// For batches whose input can be resumed at once see [`slice_batch`].
///
/// ```
/// use ops::array::constant;
/// use queue_runner::input::{ProducerOptions, slice_input_producer};
/// use session_core::Graph;
/// let graph = Graph::new();
/// let images = constant(&graph, [[0.0f32, 0.5], [1.0, 0.25]]);
/// let labels = constant(&graph, [0i64, 1]);
/// let element = slice_input_producer(&graph, &[images, labels], &ProducerOptions::default());
/// assert_eq!(element[0].shape().to_string(), "[2]");
/// ```
///
/// # Errors
/// In the graph, for no tensors or tensors of unknown rank.
#[must_use]
#[track_caller]
pub fn slice_input_producer(graph: &Graph, tensors: &[Output], options: &ProducerOptions) -> Vec<Output> {
    let scope = graph.composite("input_producer").located_at(Location::caller());
    let Some(first) = tensors.first() else {
        let error = Error::value("slice_input_producer expects at least one tensor");
        scope.add_error(of_scope(&scope, error, QUEUE));
        return Vec::new();
    };
    let rows = strided_slice(shape(first.within(&scope)), &[Index::At(0)]);
    let queue = range_input_producer(&scope, rows, options);
    let index = queue.within(&scope).dequeue().output();
    let around = unnamed(graph);
    tensors.iter().map(|tensor| gather(tensor.within(&scope), &index).within(&around)).collect()
}

/// Batches of rows of tensors, the same rows of all, in a seeded order that a resumed run continues exactly and at once;
/// see [`index_batch`]. No thread and no queue is needed: the rows are gathered in the step that takes them.
///
/// # Errors
/// In the graph, for no tensors or tensors whose number of rows is unknown.
#[must_use]
#[track_caller]
pub fn slice_batch(
    graph: &Graph,
    tensors: &[Output],
    batch_size: usize,
    options: &IndexOptions,
) -> Vec<Output> {
    let scope = graph.composite("slice_batch").located_at(Location::caller());
    let rows = tensors.first().and_then(|tensor| tensor.shape().dim(0));
    let Some(rows) = rows else {
        let error = Error::value("slice_batch needs tensors with a known number of rows");
        scope.add_error(of_scope(&scope, error, "IndexBatch"));
        return tensors.to_vec();
    };
    if let Some(other) = tensors.iter().find(|tensor| tensor.shape().dim(0) != Some(rows)) {
        let text = format!("tensors of {rows} and of shape {} have no common rows", other.shape());
        scope.add_error(of_scope(&scope, Error::value(text), "IndexBatch"));
    }
    let indices = index_batch(&scope, rows, batch_size, options);
    let around = unnamed(graph);
    tensors.iter().map(|tensor| gather(tensor.within(&scope), &indices).within(&around)).collect()
}

/// Returns the files whose paths match one of the patterns at the time the local variables are initialized
/// (S-260).
///
/// ```
/// use queue_runner::input::match_filenames_once;
/// use session_core::{DType, Graph};
/// let files = match_filenames_once(&Graph::new(), "data/*.tfrecord");
/// assert_eq!(files.dtype(), DType::String);
/// ```
#[must_use]
#[track_caller]
pub fn match_filenames_once(graph: &Graph, pattern: impl Into<FileNames>) -> Variable {
    let scope = graph.composite("matching_filenames").located_at(Location::caller());
    let pattern = match pattern.into() {
        FileNames::Computed(pattern) => pattern,
        FileNames::Listed(patterns) => {
            let count = patterns.len();
            let patterns = Tensor::from_strings(patterns.into_iter().map(String::into_bytes), [count]);
            constant(&scope.named("MatchingFiles/pattern"), patterns.expect("one string for each"))
        }
    };
    let files = matching_files(pattern.within(&scope));
    VariableBuilder::new(&scope.named_as_scope()).initial_value(files).local().validate_shape(false).build()
}
