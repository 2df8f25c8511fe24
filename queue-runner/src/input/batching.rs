//! Batches of elements.

use super::batch::Batch;
use super::elements::{BatchTensor, BatchTensors};
use super::producers::{add_runner, of_scope, unnamed};
use super::replay;
use super::sparse::{self, Stored};
use ops::array::{constant, dynamic_partition, expand_dims};
use ops::data_flow::{FifoQueue, PaddingFifoQueue, Queue, RandomShuffleQueue};
use ops::math::{cast, maximum, mul, sub};
use ops::parsing::SparseTensor;
use ops::{LIBRARY, summary};
use session_core::{AsOutput, AttrValue, DType, Error, Graph, OpLibrary, Operation, Output, PartialShape};
use std::panic::Location;
use tensor::Tensor;

/// Options for collecting elements into batches.
///
/// ```
/// use queue_runner::input::BatchOptions;
/// let options = BatchOptions::default().num_threads(4).capacity(256).allow_smaller_final_batch(true);
/// # let _ = options;
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct BatchOptions {
    num_threads: usize,
    capacity: Option<i64>,
    enqueue_many: bool,
    shapes: Option<Vec<PartialShape>>,
    dynamic_pad: bool,
    allow_smaller_final_batch: bool,
    seed: Option<i64>,
    shared_name: String,
    exact_resume: bool,
}

impl Default for BatchOptions {
    /// One thread, a queue for 32 elements or one batch, whole batches.
    fn default() -> BatchOptions {
        BatchOptions {
            num_threads: 1,
            capacity: None,
            enqueue_many: false,
            shapes: None,
            dynamic_pad: false,
            allow_smaller_final_batch: false,
            seed: None,
            shared_name: String::new(),
            exact_resume: false,
        }
    }
}

impl BatchOptions {
    /// Sets the number of threads that run the input; with several, the order of elements is not defined (S-265).
    #[must_use]
    pub fn num_threads(mut self, num_threads: usize) -> Self {
        self.num_threads = num_threads;
        self
    }

    /// Sets the number of elements that the queue holds. Default: 32, or the batch size if that is more; for the shuffling
    /// functions `min_after_dequeue + (num_threads + 3) * batch_size`, which TensorFlow recommends.
    ///
    /// A batch that exceeds this capacity is a build error (`InvalidArgument`) that names the queue and the
    /// dequeue. TensorFlow fills such batches piece by piece.
    #[must_use]
    pub fn capacity(mut self, capacity: i64) -> Self {
        self.capacity = Some(capacity);
        self
    }

    /// Sets whether tensors are batches of elements themselves.
    #[must_use]
    pub fn enqueue_many(mut self, enqueue_many: bool) -> Self {
        self.enqueue_many = enqueue_many;
        self
    }

    /// Sets the shapes of one element's tensors, where they do not follow from them.
    #[must_use]
    pub fn shapes<S: Into<PartialShape>>(mut self, shapes: impl IntoIterator<Item = S>) -> Self {
        self.shapes = Some(shapes.into_iter().map(Into::into).collect());
        self
    }

    /// Sets whether elements may differ in size: a batch is then padded to its largest. Not for the shuffling functions.
    #[must_use]
    pub fn dynamic_pad(mut self, pad: bool) -> Self {
        self.dynamic_pad = pad;
        self
    }

    /// Sets whether what is left at the end is given as a smaller batch; by default it is dropped (S-264).
    #[must_use]
    pub fn allow_smaller_final_batch(mut self, allow: bool) -> Self {
        self.allow_smaller_final_batch = allow;
        self
    }

    /// Sets the operation-level seed of the shuffling functions, in addition to that of the graph.
    #[must_use]
    pub fn seed(mut self, seed: i64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets the shared name. Batches with the same shared name share a queue.
    #[must_use]
    pub fn shared_name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.shared_name);
        self
    }

    /// Makes a run that is restored from a checkpoint continue with the element that would have come next.
    ///
    /// The session counts the elements that its steps took, and checkpoints keep the count. Threads run ahead of the
    /// steps, so what they have done is *not* kept: after a restore the pipeline runs again from its beginning, and the
    /// first step leaves out as many elements as were taken before. That is exact when the pipeline yields the same
    /// elements in the same order whenever it runs, which this option sees to as far as it can:
    ///
    /// - random operations that the pipeline's threads run begin again after a restore, and do not continue where the
    ///   checkpoint was made;
    /// - the shuffling functions draw each element from the `min_after_dequeue + 1` oldest in the queue, however many more
    ///   the threads have put in by then;
    /// - a pipeline with several threads in one place, or without seeds where it shuffles, is refused.
    ///
    /// A step whose wait for a batch is ended by a time limit draws from a shuffling queue without taking anything; the
    /// order after it is another than that of a run without it.
    ///
    /// Going through what was taken before costs as much as reading it did. [`slice_batch`](super::slice_batch) continues at
    /// once.
    #[must_use]
    pub fn exact_resume(mut self) -> Self {
        self.exact_resume = true;
        self
    }
}

/// The kind of queue in which the elements wait.
#[derive(Clone, Copy)]
enum Order {
    Kept,
    Shuffled { min_after_dequeue: i64 },
}

/// Batches of elements that a queue runner's threads evaluate again and again (S-261). Named by `graph`, `batch` by
/// default.
///
/// Elements may hold [sparse tensors](SparseTensor), whose batches are sparse tensors of one dimension more, as large as
/// the largest element (S-267):
///
/// ```
/// use ops::parsing::{FeatureSpec, parse_single_example};
/// use queue_runner::input::{BatchOptions, batch};
/// use session_core::{DType, Graph, Tensor};
///
/// let graph = Graph::new();
/// let record = ops::array::constant(&graph, Tensor::from("an example"));
/// let specs = [("label", FeatureSpec::fixed([], DType::Int64)), ("words", FeatureSpec::var_len(DType::String))];
/// let example = parse_single_example(&record, &specs);
/// let batch = batch(&graph, (example.dense("label"), example.sparse("words")), 32, &BatchOptions::default());
/// assert_eq!(batch[0].shape().to_string(), "[32]");
/// assert_eq!(batch.sparse(1).indices.shape().to_string(), "[?,2]");
/// graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// In the graph (S-266): no tensors, unknown ranks, shapes that are not fully known without `dynamic_pad`.
#[must_use]
#[track_caller]
pub fn batch(
    graph: &Graph,
    tensors: impl Into<BatchTensors>,
    batch_size: usize,
    options: &BatchOptions,
) -> Batch {
    Maker::new(graph, "batch", batch_size, options, Order::Kept).threads(tensors.into(), None)
}

/// Works as [`batch`], for the elements for which `keep_input` is true: one bool, or with `enqueue_many` one for each element
/// (S-270, S-271).
///
/// # Errors
/// As [`batch`]; a vector without `enqueue_many`, and an unknown rank.
#[must_use]
#[track_caller]
pub fn maybe_batch(
    graph: &Graph,
    tensors: impl Into<BatchTensors>,
    keep_input: impl AsOutput,
    batch_size: usize,
    options: &BatchOptions,
) -> Batch {
    let keep = Some(keep_input.as_output().clone());
    Maker::new(graph, "batch", batch_size, options, Order::Kept).threads(tensors.into(), keep)
}

/// Works as [`batch`], with one thread for each of several ways to make an element, such as one reader each (S-269).
///
/// # Errors
/// As [`batch`]; elements that differ in dtypes or names.
#[must_use]
#[track_caller]
pub fn batch_join<C: Into<BatchTensors>>(
    graph: &Graph,
    tensors_list: impl IntoIterator<Item = C>,
    batch_size: usize,
    options: &BatchOptions,
) -> Batch {
    let list = tensors_list.into_iter().map(Into::into).collect();
    Maker::new(graph, "batch_join", batch_size, options, Order::Kept).join(list, None)
}

/// Works as [`batch_join`], for the elements for which `keep_input` is true; see [`maybe_batch`]. All elements, however they are made, have
/// the same `keep_input`.
///
/// # Errors
/// As [`batch_join`] and [`maybe_batch`].
#[must_use]
#[track_caller]
pub fn maybe_batch_join<C: Into<BatchTensors>>(
    graph: &Graph,
    tensors_list: impl IntoIterator<Item = C>,
    keep_input: impl AsOutput,
    batch_size: usize,
    options: &BatchOptions,
) -> Batch {
    let list = tensors_list.into_iter().map(Into::into).collect();
    let keep = Some(keep_input.as_output().clone());
    Maker::new(graph, "batch_join", batch_size, options, Order::Kept).join(list, keep)
}

/// Works as [`batch`], of elements that are drawn at random from at least `min_after_dequeue` others (S-268).
///
/// The queue holds [`capacity`](BatchOptions::capacity) elements, which must exceed `min_after_dequeue`.
///
/// ```
/// use queue_runner::input::{BatchOptions, ProducerOptions, shuffle_batch, slice_input_producer};
/// use session_core::Graph;
///
/// let graph = Graph::new();
/// let rows = ops::array::constant(&graph, [[1.0f32, 2.0], [3.0, 4.0], [5.0, 6.0]]);
/// let row = slice_input_producer(&graph, &[rows], &ProducerOptions::default());
/// let batch = shuffle_batch(&graph, &row, 32, 1000, &BatchOptions::default().capacity(2000));
/// assert_eq!(batch[0].shape().to_string(), "[32,2]");
/// graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// As [`batch`]; a capacity that is not larger than `min_after_dequeue`.
#[must_use]
#[track_caller]
pub fn shuffle_batch(
    graph: &Graph,
    tensors: impl Into<BatchTensors>,
    batch_size: usize,
    min_after_dequeue: i64,
    options: &BatchOptions,
) -> Batch {
    Maker::new(graph, "shuffle_batch", batch_size, options, Order::Shuffled { min_after_dequeue })
        .threads(tensors.into(), None)
}

/// Works as [`shuffle_batch`], for the elements for which `keep_input` is true; see [`maybe_batch`].
///
/// # Errors
/// As [`shuffle_batch`] and [`maybe_batch`].
#[must_use]
#[track_caller]
pub fn maybe_shuffle_batch(
    graph: &Graph,
    tensors: impl Into<BatchTensors>,
    keep_input: impl AsOutput,
    batch_size: usize,
    min_after_dequeue: i64,
    options: &BatchOptions,
) -> Batch {
    let keep = Some(keep_input.as_output().clone());
    Maker::new(graph, "shuffle_batch", batch_size, options, Order::Shuffled { min_after_dequeue })
        .threads(tensors.into(), keep)
}

/// Works as [`shuffle_batch`], with one thread for each of several ways to make an element; see [`batch_join`].
///
/// # Errors
/// As [`shuffle_batch`] and [`batch_join`].
#[must_use]
#[track_caller]
pub fn shuffle_batch_join<C: Into<BatchTensors>>(
    graph: &Graph,
    tensors_list: impl IntoIterator<Item = C>,
    batch_size: usize,
    min_after_dequeue: i64,
    options: &BatchOptions,
) -> Batch {
    let list = tensors_list.into_iter().map(Into::into).collect();
    Maker::new(graph, "shuffle_batch_join", batch_size, options, Order::Shuffled { min_after_dequeue })
        .join(list, None)
}

/// Works as [`shuffle_batch_join`], for the elements for which `keep_input` is true; see [`maybe_batch_join`].
///
/// # Errors
/// As [`shuffle_batch_join`] and [`maybe_batch`].
#[must_use]
#[track_caller]
pub fn maybe_shuffle_batch_join<C: Into<BatchTensors>>(
    graph: &Graph,
    tensors_list: impl IntoIterator<Item = C>,
    keep_input: impl AsOutput,
    batch_size: usize,
    min_after_dequeue: i64,
    options: &BatchOptions,
) -> Batch {
    let list = tensors_list.into_iter().map(Into::into).collect();
    let keep = Some(keep_input.as_output().clone());
    Maker::new(graph, "shuffle_batch_join", batch_size, options, Order::Shuffled { min_after_dequeue })
        .join(list, keep)
}

/// Makes the operations of one of the functions above.
struct Maker {
    scope: Graph,
    around: Graph,
    batch_size: usize,
    options: BatchOptions,
    order: Order,
}

/// One way to make an element.
struct Element {
    names: Vec<String>,
    parts: Vec<Part>,
}

/// One tensor of an element.
enum Part {
    Dense(Output),
    Sparse(SparseTensor),
}

impl Part {
    /// Returns the components that the queue holds.
    fn dtype(&self) -> DType {
        match self {
            Part::Dense(tensor) => tensor.dtype(),
            Part::Sparse(_) => DType::Int64,
        }
    }

    /// Returns the common declaration of the producers of one element.
    fn kind(&self) -> (DType, &'static str) {
        match self {
            Part::Dense(tensor) => (tensor.dtype(), "dense"),
            Part::Sparse(sparse) => (sparse.values.dtype(), "sparse"),
        }
    }
}

impl Maker {
    #[track_caller]
    fn new(graph: &Graph, default: &str, batch_size: usize, options: &BatchOptions, order: Order) -> Maker {
        let scope = graph.composite(default).located_at(Location::caller());
        Maker { scope, around: unnamed(graph), batch_size, options: options.clone(), order }
    }

    fn record_error(&self, text: impl Into<String>) {
        self.record(Error::value(text));
    }

    /// Records an error under the name that the batch would have.
    fn record(&self, error: Error) {
        self.scope.add_error(of_scope(&self.scope, error, self.dequeue_type()));
    }

    /// Returns the type of the operation that returns batches.
    fn dequeue_type(&self) -> &'static str {
        if self.options.allow_smaller_final_batch { "QueueDequeueUpToV2" } else { "QueueDequeueManyV2" }
    }

    /// S-262.
    fn element(&self, components: BatchTensors) -> Element {
        let (names, values): (Vec<String>, Vec<_>) = match components {
            BatchTensors::Listed(values) => (Vec::new(), values),
            BatchTensors::Named(mut pairs) => {
                // By name, because the queue has no names, and two dictionaries of the same names must agree.
                pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
                pairs.into_iter().unzip()
            }
        };
        // Constants among the tensors do not depend on what the batch waits for.
        let place = self.scope.without_control_dependencies();
        let part = |tensor: BatchTensor| match tensor {
            BatchTensor::Dense(value) => {
                let output = value.to_output(&place);
                // This error first: the unknown shape follows from it.
                if let Some(error) = output.operation().error() {
                    self.scope.add_error(error.clone());
                }
                Part::Dense(output)
            }
            BatchTensor::Sparse(sparse) => Part::Sparse(sparse),
        };
        Element { names, parts: values.into_iter().map(part).collect() }
    }

    /// Returns the same element in all threads.
    fn threads(self, components: BatchTensors, keep: Option<Output>) -> Batch {
        let element = self.element(components);
        // The original does this if `keep_input` is not given.
        if keep.is_none() {
            let _ = constant(&self.scope, Tensor::scalar(true));
        }
        let shapes = self.shapes(&[&element]);
        let queue = self.queue(&element, &shapes);
        let mut stored = vec![None; element.parts.len()];
        let enqueue = self.enqueue(&queue, &element, keep.as_ref(), &mut stored);
        self.finish(&queue, element.names, vec![enqueue; self.options.num_threads.max(1)], &stored)
    }

    /// Returns an element for each thread.
    fn join(self, list: Vec<BatchTensors>, keep: Option<Output>) -> Batch {
        let elements: Vec<Element> = list.into_iter().map(|components| self.element(components)).collect();
        let Some(first) = elements.first() else {
            self.record_error("Expected at least one set of tensors in tensors_list");
            return Batch::new(Vec::new(), Vec::new(), self.around);
        };
        // The original does this if `keep_input` is not given.
        if keep.is_none() {
            let _ = constant(&self.scope, Tensor::scalar(true));
        }
        let kinds = |element: &Element| element.parts.iter().map(Part::kind).collect::<Vec<_>>();
        for other in &elements[1..] {
            if other.names != first.names {
                self.record_error(format!(
                    "elements have different names: {:?} and {:?}",
                    first.names, other.names
                ));
            } else if kinds(other) != kinds(first) {
                let text =
                    format!("elements have different dtypes: {:?} and {:?}", kinds(first), kinds(other));
                self.record(Error::type_mismatch(text));
            }
        }
        let shapes = self.shapes(&elements.iter().collect::<Vec<_>>());
        let queue = self.queue(first, &shapes);
        let mut stored = vec![None; first.parts.len()];
        let enqueue = |element: &Element| self.enqueue(&queue, element, keep.as_ref(), &mut stored);
        let enqueues = elements.iter().map(enqueue).collect();
        self.finish(&queue, first.names.clone(), enqueues, &stored)
    }

    /// Returns the shape of each tensor of an element, what all ways to make one have in common (S-266, S-269).
    fn shapes(&self, elements: &[&Element]) -> Vec<PartialShape> {
        let count = elements.first().map_or(0, |element| element.parts.len());
        if count == 0 {
            self.record_error("Expected at least one tensor in batch().");
        }
        if let Some(given) = &self.options.shapes {
            if given.len() != count {
                self.record_error(format!("{} shapes for {count} tensors", given.len()));
            }
            let of_queue = |(place, shape): (usize, &PartialShape)| match elements[0].parts.get(place) {
                Some(Part::Sparse(_)) => PartialShape::from([1]),
                _ => shape.clone(),
            };
            return given.iter().enumerate().map(of_queue).collect();
        }
        let own = |tensor: &Output| match (tensor.shape().rank(), self.options.enqueue_many) {
            (None, _) => {
                self.record_error(format!("Cannot infer Tensor's rank: {}", tensor.name()));
                PartialShape::unknown()
            }
            (Some(0), true) => {
                self.record_error(format!("'{}' is a scalar and holds no elements", tensor.name()));
                PartialShape::unknown()
            }
            (Some(rank), true) => tensor.shape().range(1, rank),
            (Some(_), false) => tensor.shape().clone(),
        };
        let common = |index: usize| {
            let own = |part: &Part| match part {
                Part::Dense(tensor) => own(tensor),
                Part::Sparse(_) => PartialShape::from([1]),
            };
            let shapes = elements.iter().filter_map(|element| element.parts.get(index)).map(own);
            shapes.reduce(|a, b| a.relax(&b)).unwrap_or_else(PartialShape::unknown)
        };
        (0..count).map(common).collect()
    }

    fn capacity(&self) -> i64 {
        let batch = i64::try_from(self.batch_size).unwrap_or(i64::MAX);
        self.options.capacity.unwrap_or_else(|| match self.order {
            // TensorFlow's default, raised to the batch, since a batch that never fits could never be taken.
            Order::Kept => batch.max(32),
            Order::Shuffled { min_after_dequeue } => {
                let threads = i64::try_from(self.options.num_threads).unwrap_or(i64::MAX);
                let margin = threads.saturating_add(3).saturating_mul(batch);
                min_after_dequeue.saturating_add(margin)
            }
        })
    }

    fn queue(&self, element: &Element, shapes: &[PartialShape]) -> Queue {
        let dtypes: Vec<DType> = element.parts.iter().map(Part::dtype).collect();
        let (capacity, shared_name) = (self.capacity(), &self.options.shared_name);
        let known = shapes.iter().all(PartialShape::is_fully_known);
        // An unknown rank was reported already.
        if !known && !self.options.dynamic_pad && shapes.iter().all(|shape| shape.rank().is_some()) {
            let shapes: Vec<String> = shapes.iter().map(PartialShape::to_string).collect();
            self.record_error(format!("All shapes must be fully defined: {}", shapes.join(", ")));
        }
        let shapes = shapes.iter().cloned();
        let queue = match self.order {
            Order::Kept if self.options.dynamic_pad => {
                PaddingFifoQueue::new(&self.scope, capacity, dtypes, shapes).shared_name(shared_name).build()
            }
            Order::Kept => {
                FifoQueue::new(&self.scope, capacity, dtypes).shapes(shapes).shared_name(shared_name).build()
            }
            Order::Shuffled { min_after_dequeue } => {
                if capacity <= min_after_dequeue {
                    let text = format!(
                        "capacity {capacity} must be bigger than min_after_dequeue {min_after_dequeue}."
                    );
                    self.record_error(text);
                }
                let queue = RandomShuffleQueue::new(&self.scope, capacity, min_after_dequeue, dtypes);
                let queue = match self.options.seed {
                    Some(seed) => queue.seed(seed),
                    None => queue,
                };
                // Replayable: the order of the elements must not depend on how far the thread has run ahead.
                queue.shapes(shapes).shared_name(shared_name).replayable(self.options.exact_resume).build()
            }
        };
        queue.within(&self.scope)
    }

    /// Returns the tensors of an element as the queue takes them.
    fn components(
        &self,
        element: &Element,
        stored: &mut [Option<Stored>],
        many: bool,
        dense: &dyn Fn(&Output) -> Output,
        changed: &dyn Fn(SparseTensor) -> SparseTensor,
    ) -> Vec<Output> {
        let component = |(part, stored): (&Part, &mut Option<Stored>)| match part {
            Part::Dense(tensor) => dense(tensor),
            Part::Sparse(whole) => {
                let whole = changed(whole.within(&self.scope));
                let (component, now) = Stored::new(&whole, many, stored.as_ref());
                *stored = Some(now);
                component
            }
        };
        element.parts.iter().zip(stored).map(component).collect()
    }

    fn enqueue(
        &self,
        queue: &Queue,
        element: &Element,
        keep: Option<&Output>,
        stored: &mut [Option<Stored>],
    ) -> Operation {
        let many = self.options.enqueue_many;
        let mut whole = |many: bool| {
            let components = self.components(element, stored, many, &Output::clone, &|sparse| sparse);
            if many { queue.enqueue_many(&components) } else { queue.enqueue(&components) }
        };
        let Some(keep) = keep else { return whole(many) };
        let keep = keep.within(&self.scope);
        let keep = match (keep.shape().rank(), many) {
            (Some(1), true) => keep,
            // One element is a batch of one, of which none is put in when it is dropped.
            (Some(0), false) => expand_dims(keep, 0),
            // One bool for all elements of the batch.
            (Some(0), true) => match element.parts.first() {
                Some(Part::Dense(tensor)) => spread(&keep, ops::array::shape(tensor.within(&self.scope))),
                Some(Part::Sparse(sparse)) => spread(&keep, sparse.dense_shape.within(&self.scope)),
                None => keep,
            },
            (Some(_), false) => {
                self.record_error("keep_input cannot be a vector when enqueue_many is false");
                return whole(false);
            }
            _ => {
                self.record_error("keep_input must have a known rank of 0 or 1");
                return whole(false);
            }
        };
        let batch = |tensor: &Output| match many {
            true => tensor.within(&self.scope),
            false => expand_dims(tensor.within(&self.scope), 0),
        };
        let parts = element.parts.iter().map(|part| match part {
            Part::Dense(tensor) => Part::Dense(batch(tensor)),
            Part::Sparse(sparse) => Part::Sparse(sparse.clone()),
        });
        let batches = Element { names: Vec::new(), parts: parts.collect() };
        // Partition 1 holds the elements to keep.
        let partitions = cast(&keep, DType::Int32);
        let kept = |tensor: &Output| {
            let parts = dynamic_partition(tensor.within(&self.scope), &partitions, 2);
            // The last of the two partitions.
            parts.into_iter().next_back().unwrap_or_else(|| tensor.clone())
        };
        let kept_rows = |whole: SparseTensor| {
            let rows = if many { whole } else { sparse::batch_of_one(&whole) };
            sparse::kept_rows(&rows, &keep)
        };
        let kept = self.components(&batches, stored, true, &kept, &kept_rows);
        queue.enqueue_many(&kept)
    }

    fn finish(
        &self,
        queue: &Queue,
        names: Vec<String>,
        enqueues: Vec<Operation>,
        stored: &[Option<Stored>],
    ) -> Batch {
        let replayed = self.options.exact_resume.then(|| self.replayed(&enqueues));
        add_runner(&self.scope, queue, enqueues);
        self.summarize(queue);
        let definition = LIBRARY.find(self.dequeue_type()).expect("the library has queues");
        let count = i32::try_from(self.batch_size).unwrap_or(i32::MAX);
        let place = self.scope.named_as_scope();
        let mut builder = place.op(definition).input(queue.handle()).constant(Tensor::scalar(count));
        builder = builder.attr("component_types", queue.dtypes().to_vec());
        if let Some(replayed) = replayed {
            builder = builder.attr(replay::ATTRIBUTE, AttrValue::List(replayed));
        }
        let operation = builder.finish();
        if let Some(problem) = queue.exceeds_capacity(count.into()) {
            self.scope.add_error(operation.place(problem));
        }
        self.batch(&operation, names, stored)
    }

    /// Returns the tensors of a dequeue. Using one of them takes all sparse ones out of their maps, so that
    /// none is left behind.
    fn batch(&self, dequeue: &Operation, names: Vec<String>, stored: &[Option<Stored>]) -> Batch {
        let scope = self.around.clone();
        let outputs = dequeue.outputs();
        if stored.iter().all(Option::is_none) {
            let parts = outputs.iter().map(|output| output.within(&self.around).into());
            return Batch::new(parts.collect(), names, scope);
        }
        let taken: Vec<Option<SparseTensor>> = outputs
            .iter()
            .zip(stored)
            .map(|(numbers, stored)| Some(stored.as_ref()?.take(&numbers.within(&self.scope))))
            .collect();
        // Every sparse tensor is taken as soon as one of them is used, since those left in the map would
        // never be freed.
        let takers = taken.iter().flatten().map(|sparse| sparse::taker(sparse).clone());
        let all: Vec<Operation> = std::iter::once(dequeue.clone()).chain(takers).collect();
        let after = |output: &Output| sparse::after(&all, &output.within(&self.scope)).within(&self.around);
        let whole = |sparse: &SparseTensor| SparseTensor {
            indices: after(&sparse.indices),
            values: after(&sparse.values),
            dense_shape: after(&sparse.dense_shape),
        };
        let part = |(output, taken): (&Output, &Option<SparseTensor>)| match taken {
            Some(taken) => BatchTensor::Sparse(whole(taken)),
            None => BatchTensor::Dense(after(output).into()),
        };
        Batch::new(outputs.iter().zip(&taken).map(part).collect(), names, scope)
    }

    /// Returns the operations that restart after a restore. It is a build error if one cannot be replayed.
    fn replayed(&self, enqueues: &[Operation]) -> Vec<AttrValue> {
        // Threads enqueue in an order that nothing determines.
        if enqueues.len() > 1 {
            self.record_error(
                "exact_resume needs one thread: the order of elements of several is not defined",
            );
        }
        let pipeline = replay::Pipeline::of(enqueues);
        for problem in pipeline.problems {
            self.record_error(problem);
        }
        pipeline.stateful.iter().map(|name| AttrValue::from(name.as_str())).collect()
    }

    /// S-261, S-268, S-272.
    fn summarize(&self, queue: &Queue) {
        let capacity = self.capacity();
        let size = queue.size().within(&self.scope);
        let number = |name: &str, value: Tensor| {
            constant(&self.scope.named(name).without_control_dependencies(), value)
        };
        let (size, room, name) = match self.order {
            Order::Kept => (size, capacity, format!("fraction_of_{capacity}_full")),
            Order::Shuffled { min_after_dequeue: min } => {
                let least = number("sub/y", Tensor::scalar(i32::try_from(min).unwrap_or(i32::MAX)));
                let above = sub(size.within(&self.scope.named("sub")), least).within(&self.scope);
                let zero = number("Maximum/x", Tensor::scalar(0i32));
                let room = capacity.saturating_sub(min);
                (maximum(zero, above), room, format!("fraction_over_{min}_of_{room}_full"))
            }
        };
        let size = cast(size.within(&self.scope), DType::Float32).within(&self.scope.named("mul"));
        let fraction = mul(size, number("mul/y", Tensor::scalar((1.0 / room as f64) as f32)));
        summary::scalar(&name, fraction.within(&self.scope));
    }
}

/// Returns a bool for each row of a tensor of this shape.
fn spread(keep: &Output, shape: Output) -> Output {
    let count = ops::array::strided_slice(shape, &[ops::array::Index::At(0)]);
    ops::array::fill(expand_dims(count, 0), keep)
}
