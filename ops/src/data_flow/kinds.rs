//! The four kinds of queues.

use super::components::Dtypes;
use super::queue::{Queue, shapes_attr};
use super::queue_ops::{
    Declared, FIFO_QUEUE_V2, PADDING_FIFO_QUEUE_V2, PRIORITY_QUEUE_V2, RANDOM_SHUFFLE_QUEUE_V2,
};
use crate::arguments::location_of;
use crate::random::get_seed;
use session_core::{AttrValue, DType, Error, Graph, OpDef, Operation, PartialShape, Phase, Variable};
use std::panic::Location;

/// The description shared by all kinds of queues.
#[derive(Clone, Debug)]
struct Description {
    graph: Graph,
    capacity: i64,
    dtypes: Vec<DType>,
    shapes: Option<Vec<PartialShape>>,
    names: Option<Vec<String>>,
    shared_name: String,
    /// The operation on whose device the queue is, wherever that comes to be.
    colocated_with: Option<Operation>,
    location: &'static Location<'static>,
}

impl Description {
    #[track_caller]
    fn new(graph: &Graph, capacity: i64, dtypes: Dtypes) -> Description {
        Description {
            graph: graph.clone(),
            capacity,
            dtypes: dtypes.0,
            shapes: None,
            names: None,
            shared_name: String::new(),
            colocated_with: None,
            location: graph.location(),
        }
    }

    /// `components` counts the priority in, which is not declared.
    fn problem(&self, components: usize) -> Option<String> {
        let wrong = |what: &str, count: usize, of: usize| {
            (count != of).then(|| format!("the queue has {count} {what} for {of} components"))
        };
        let shapes = self.shapes.as_ref().and_then(|shapes| wrong("shapes", shapes.len(), self.dtypes.len()));
        shapes.or_else(|| self.names.as_ref().and_then(|names| wrong("names", names.len(), components)))
    }

    fn build(
        self,
        def: &'static OpDef,
        name: &str,
        attrs: impl IntoIterator<Item = (&'static str, AttrValue)>,
        problem: Option<String>,
    ) -> Queue {
        let components = self.dtypes.len() + usize::from(def.name() == PRIORITY_QUEUE_V2.name());
        if let Some(problem) = problem.or_else(|| self.problem(components)) {
            let node = self.graph.pending_name().unwrap_or(name).to_owned();
            let error = Error::value(problem).with_node(node, def.name());
            self.graph.add_error(error.with_location(self.location).with_phase(Phase::Build));
        }
        // A queue is shared between steps and waits for nothing.
        let place = self.graph.without_control_dependencies().located_at(self.location);
        let mut builder = place.op(def).default_name(name).attr("component_types", self.dtypes.clone());
        builder = builder.attr("capacity", self.capacity).attr("shared_name", self.shared_name.as_str());
        builder = builder.attr("shapes", shapes_attr(self.shapes.as_deref().unwrap_or_default()));
        if let Some(other) = &self.colocated_with {
            builder = builder.attr("_class", location_of(other));
        }
        builder = builder.attrs(attrs.into_iter().map(|(name, value)| (name.to_owned(), value)));
        let operation: Operation = builder.finish();
        let declared =
            Declared::of(&operation).unwrap_or(Declared { dtypes: self.dtypes, shapes: self.shapes });
        let around = self.graph.scope(self.graph.scope_name());
        Queue::new(operation.output(0).within(&around), declared, self.names)
    }
}

macro_rules! setters {
    () => {
        /// Sets the names of the components. Elements are then enqueued by name (S-225). Default: none.
        pub fn names<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
            self.0.names = Some(names.into_iter().map(Into::into).collect());
            self
        }

        /// Sets the shared name. Queues of one session with the same shared name are the same queue and must agree in all settings (S-229).
        /// Default: none, the queue is identified by the name of its operation.
        pub fn shared_name(mut self, name: impl Into<String>) -> Self {
            self.0.shared_name = name.into();
            self
        }
    };
}

macro_rules! optional_shapes {
    () => {
        /// Sets the shapes of the components, one for each dtype. Without them components may have any shape, and elements can only be dequeued
        /// one by one. Default: none.
        pub fn shapes<S: Into<PartialShape>>(mut self, shapes: impl IntoIterator<Item = S>) -> Self {
            self.0.shapes = Some(shapes.into_iter().map(Into::into).collect());
            self
        }
    };
}

/// A first-in-first-out queue (S-247). TensorFlow's `FIFOQueue`.
/// ```
/// use ops::data_flow::FifoQueue;
/// use session_core::{DType, Graph, PartialShape};
///
/// let graph = Graph::new();
/// let shapes = [PartialShape::from([28, 28]), PartialShape::scalar()];
/// let queue = FifoQueue::new(&graph.named("examples"), 100, [DType::Float32, DType::Int32]).shapes(shapes).build();
/// let batch = queue.dequeue_many(32);
/// assert_eq!(batch[0].shape().to_string(), "[32,28,28]");
/// assert_eq!(batch[1].name(), "examples_DequeueMany:1");
/// # graph.finalize().unwrap();
/// ```
#[derive(Clone, Debug)]
#[must_use = "the queue exists after `build`"]
pub struct FifoQueue(Description);

impl FifoQueue {
    /// Describes a queue with this capacity. A negative capacity is unlimited; a queue of capacity 0 accepts no elements (S-223).
    #[track_caller]
    pub fn new(graph: &Graph, capacity: i64, dtypes: impl Into<Dtypes>) -> FifoQueue {
        FifoQueue(Description::new(graph, capacity, dtypes.into()))
    }

    optional_shapes!();
    setters!();

    /// Keeps the queue on the device of a variable, wherever that comes to be.
    pub(crate) fn colocate_with(mut self, variable: &Variable) -> Self {
        self.0.colocated_with = Some(variable.handle().operation().clone());
        self
    }

    /// Builds the queue. Errors (a wrong number of shapes or names, S-222) are recorded in the graph.
    #[must_use]
    pub fn build(self) -> Queue {
        self.0.build(&FIFO_QUEUE_V2, "fifo_queue", [], None)
    }
}

/// A first-in-first-out queue whose elements differ in size. A batch is padded at the end of each dimension,
/// with zeros, empty strings, or `false`, to the largest element in it (S-249). TensorFlow's
/// `PaddingFIFOQueue`.
/// ```
/// use ops::data_flow::PaddingFifoQueue;
/// use session_core::{DType, Graph};
///
/// let graph = Graph::new();
/// let queue = PaddingFifoQueue::new(&graph, 100, DType::Int64, [[None]]).build();
/// let sentences = queue.dequeue_many(32).output();
/// assert_eq!(sentences.shape().to_string(), "[32,?]");
/// # graph.finalize().unwrap();
/// ```
#[derive(Clone, Debug)]
#[must_use = "the queue exists after `build`"]
pub struct PaddingFifoQueue(Description);

impl PaddingFifoQueue {
    /// Describes a queue with this capacity; a negative one is unlimited. The shapes, one for each dtype, may have unknown dimensions, but
    /// not an unknown rank.
    #[track_caller]
    pub fn new<S: Into<PartialShape>>(
        graph: &Graph,
        capacity: i64,
        dtypes: impl Into<Dtypes>,
        shapes: impl IntoIterator<Item = S>,
    ) -> PaddingFifoQueue {
        let mut description = Description::new(graph, capacity, dtypes.into());
        description.shapes = Some(shapes.into_iter().map(Into::into).collect());
        PaddingFifoQueue(description)
    }

    setters!();

    /// Builds the queue. Errors (S-222, unknown ranks) are recorded in the graph.
    #[must_use]
    pub fn build(self) -> Queue {
        let unknown = self.0.shapes.iter().flatten().any(|shape| shape.rank().is_none());
        let problem = unknown.then(|| "the shapes of a padding queue must have known ranks".to_owned());
        self.0.build(&PADDING_FIFO_QUEUE_V2, "padding_fifo_queue", [], problem)
    }
}

/// A queue that returns its elements in random order, drawn uniformly (S-248). TensorFlow's
/// `RandomShuffleQueue`.
///
/// While the queue is open it keeps at least `min_after_dequeue` elements, so that there are enough to draw
/// from.
/// ```
/// use ops::data_flow::RandomShuffleQueue;
/// use session_core::{DType, Graph, PartialShape};
///
/// let graph = Graph::new();
/// let queue = RandomShuffleQueue::new(&graph, 1000, 500, DType::Float32).shapes([PartialShape::scalar()]).seed(1).build();
/// assert_eq!(queue.dequeue_many(32).output().shape().to_string(), "[32]");
/// # graph.finalize().unwrap();
/// ```
#[derive(Clone, Debug)]
#[must_use = "the queue exists after `build`"]
pub struct RandomShuffleQueue(Description, i64, Option<i64>, bool);

impl RandomShuffleQueue {
    /// Describes a queue with this capacity; a negative one is unlimited. `min_after_dequeue` is the number of elements that remain after a
    /// dequeue, so that the order is random enough. It must be at least 0 and less than the capacity; otherwise every use of the queue fails
    /// (S-224).
    #[track_caller]
    pub fn new(
        graph: &Graph,
        capacity: i64,
        min_after_dequeue: i64,
        dtypes: impl Into<Dtypes>,
    ) -> RandomShuffleQueue {
        RandomShuffleQueue(Description::new(graph, capacity, dtypes.into()), min_after_dequeue, None, false)
    }

    /// Sets the operation-level seed. Together with the graph-level seed it determines the order; see [`get_seed`]. Without seeds, each
    /// session has a different order.
    pub fn seed(mut self, seed: i64) -> RandomShuffleQueue {
        self.2 = Some(seed);
        self
    }

    /// Sets whether the order depends only on the seeds and the enqueued elements. Each element is then drawn from the
    /// `min_after_dequeue + 1` oldest; otherwise it is drawn from all elements that are in the queue at the time of the dequeue. Default:
    /// false. TensorFlow has no such queues and ignores the setting.
    pub fn replayable(mut self, replayable: bool) -> RandomShuffleQueue {
        self.3 = replayable;
        self
    }

    optional_shapes!();
    setters!();

    /// Builds the queue. Errors (S-222) are recorded in the graph.
    #[must_use]
    pub fn build(self) -> Queue {
        let RandomShuffleQueue(description, min_after_dequeue, seed, replayable) = self;
        let (seed, seed2) = get_seed(&description.graph, seed);
        let mut attrs = vec![
            ("min_after_dequeue", min_after_dequeue.into()),
            ("seed", seed.into()),
            ("seed2", seed2.into()),
        ];
        if replayable {
            attrs.push(("_replayable", true.into()));
        }
        description.build(&RANDOM_SHUFFLE_QUEUE_V2, "random_shuffle_queue", attrs, None)
    }
}

/// A queue from which the element with the smallest priority comes first (S-250). TensorFlow's `PriorityQueue`.
///
/// Elements have one component more than declared: the first is the priority, an `int64` scalar, when they are put in
/// and when they come out. Among equal priorities the one that was put in first comes out first (in TensorFlow, any).
///
/// ```
/// use ops::data_flow::PriorityQueue;
/// use session_core::{DType, Graph, PartialShape};
///
/// let graph = Graph::new();
/// let queue = PriorityQueue::new(&graph, 10, DType::String).shapes([PartialShape::scalar()]).build();
/// queue.enqueue((7i64, "less urgent"));
/// assert_eq!(queue.dequeue()[1].dtype(), DType::String);
/// # graph.finalize().unwrap();
/// ```
#[derive(Clone, Debug)]
#[must_use = "the queue exists after `build`"]
pub struct PriorityQueue(Description);

impl PriorityQueue {
    /// Describes a queue with this capacity; a negative one is unlimited. `dtypes` are those of the components after the priority.
    #[track_caller]
    pub fn new(graph: &Graph, capacity: i64, dtypes: impl Into<Dtypes>) -> PriorityQueue {
        PriorityQueue(Description::new(graph, capacity, dtypes.into()))
    }

    optional_shapes!();
    setters!();

    /// Builds the queue. Errors (S-222) are recorded in the graph.
    #[must_use]
    pub fn build(self) -> Queue {
        self.0.build(&PRIORITY_QUEUE_V2, "priority_queue", [], None)
    }
}
