//! Queues in a graph, and the operations on them.

use super::components::Components;
use super::queue_ops::{self, Declared};
use crate::arguments::Ints;
use crate::array::{constant, gather, stack};
use crate::composite::{Composite, unnamed};
use crate::control_flow::frames::REF_SELECT;
use crate::variables::Value;
use crate::{math, summary};
use session_core::{
    AsOutput, AttrValue, DType, Error, Fetch, FetchList, FetchValues, Graph, OpDef, Operation, Output,
    PartialShape, Phase, Result, Tensor,
};
use std::ops::Deref;
use std::panic::Location;
use std::sync::Arc;

/// A queue in a graph, built by [`FifoQueue`](super::FifoQueue), [`RandomShuffleQueue`](super::RandomShuffleQueue),
/// [`PaddingFifoQueue`](super::PaddingFifoQueue), or [`PriorityQueue`](super::PriorityQueue). The kinds differ only in the element that is
/// dequeued next. Cloning a queue is cheap.
///
/// ```
/// use ops::{array::placeholder, data_flow::FifoQueue};
/// use session_core::{DType, Graph, PartialShape};
///
/// let graph = Graph::new();
/// let example = placeholder(&graph, DType::Float32, [3]);
/// let label = placeholder(&graph, DType::Int64, PartialShape::scalar());
/// let queue = FifoQueue::new(&graph, 32, [DType::Float32, DType::Int64])
///     .shapes([PartialShape::from([3]), PartialShape::scalar()])
///     .build();
/// let enqueue = queue.enqueue((&example, &label)); // for the threads of a queue runner
/// let outputs = queue.dequeue_many(8).into_outputs(); // for the model
/// assert_eq!((outputs[0].shape().to_string(), outputs[1].shape().to_string()), ("[8,3]".into(), "[8]".into()));
/// # let _ = enqueue;
/// # graph.finalize().unwrap();
/// ```
///
/// # Operations at run time
///
/// Operations wait for elements or space until the run or the session ends the wait. Errors name the queue and the operation:
///
/// | | waits while | fails with |
/// |---|---|---|
/// | enqueue | the queue is full | `Cancelled`: the queue is closed, or was closed with `cancel_pending_enqueues` |
/// | dequeue | there are too few elements | `OutOfRange`: the queue is closed and has too few elements |
/// | any | | `InvalidArgument` for incompatible components, `Cancelled` when the session is closed or the run is cancelled, `DeadlineExceeded` after the run's time limit |
///
/// Waiting operations are served in the order of their arrival (S-235, S-236). A wait that a time limit or a cancellation ends has no
/// effect: a dequeue returns the elements that it had taken, an enqueue removes those elements that have not been taken since. (TensorFlow
/// loses the former and leaves the latter, Q-55.)
#[derive(Clone, Debug)]
pub struct Queue {
    handle: Output,
    declared: Arc<Declaration>,
}

#[derive(Debug)]
struct Declaration {
    dtypes: Vec<DType>,
    shapes: Option<Vec<PartialShape>>,
    names: Option<Arc<[String]>>,
}

impl Queue {
    /// Returns the queue that a queue operation of a graph represents, such as an imported one.
    ///
    /// ```
    /// # use ops::data_flow::FifoQueue;
    /// # use session_core::{DType, Graph, PartialShape};
    /// # let graph = Graph::new();
    /// use ops::data_flow::Queue;
    /// let queue = FifoQueue::new(&graph.named("examples"), 8, DType::Float32).build();
    /// let again = Queue::from_operation(queue.handle().operation())?;
    /// assert_eq!(again.name(), "examples");
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn from_operation(operation: &Operation) -> Result<Queue> {
        let declared = Declared::of(operation);
        let text = || format!("'{}' is not a queue but {}", operation.name(), operation.op_type());
        let declared = declared.ok_or_else(|| Error::type_mismatch(text()))?;
        Ok(Queue::new(operation.output(0), declared, None))
    }

    /// Returns the one of several queues that an integer names when the graph runs (S-230): an index outside of the list is then
    /// `InvalidArgument`. TensorFlow's `QueueBase.from_list`.
    ///
    /// Elements have the shapes that all queues have in common; where there is none, they are taken one by one only.
    ///
    /// ```
    /// use ops::array::placeholder;
    /// use ops::data_flow::{FifoQueue, Queue};
    /// use session_core::{DType, Graph, PartialShape};
    ///
    /// let graph = Graph::new();
    /// let make = |name: &str| FifoQueue::new(&graph.named(name), 8, DType::Float32).shapes([PartialShape::scalar()]).build();
    /// let which = placeholder(&graph.named("which"), DType::Int32, PartialShape::scalar());
    /// let queue = Queue::select(&which, &[make("train"), make("test")]);
    /// assert_eq!(queue.dequeue_many(4).output().shape().to_string(), "[4]");
    /// # graph.finalize().unwrap();
    /// ```
    ///
    /// # Errors
    /// In the graph: no queues, and queues that differ in the dtypes of their components, are type errors; queues that
    /// differ in their names are value errors.
    #[must_use]
    #[track_caller]
    pub fn select(index: impl AsOutput, queues: &[Queue]) -> Queue {
        let graph = index.as_output().graph().located_at(Location::caller());
        let record_error = |error: Error| graph.add_error(error.with_phase(Phase::Build));
        let Some(first) = queues.first() else {
            record_error(Error::type_mismatch("A list of queues expected"));
            // The recorded error keeps the graph from being finished; any queue will do until then.
            return super::FifoQueue::new(&graph, -1, DType::Float32).build();
        };
        for other in &queues[1..] {
            if other.dtypes() != first.dtypes() {
                let text = format!(
                    "Queues do not have matching component dtypes: '{}' has {:?}, '{}' {:?}",
                    first.name(),
                    first.dtypes(),
                    other.name(),
                    other.dtypes()
                );
                record_error(Error::type_mismatch(text));
            } else if other.names() != first.names() {
                let text = format!(
                    "Queues do not have matching component names: '{}' has {:?}, '{}' {:?}",
                    first.name(),
                    first.names(),
                    other.name(),
                    other.names()
                );
                record_error(Error::value(text));
            }
        }
        let handles: Vec<Output> = queues.iter().map(|queue| queue.handle.within(&graph)).collect();
        // Handles of the old kind are references, which cannot be stacked.
        let handle = if first.handle.is_ref() {
            graph.op(&REF_SELECT).input(index).input_list(handles).finish_output()
        } else {
            gather(stack(&handles, 0), index)
        };
        let shapes = queue_ops::common_shapes(queues.iter().map(Queue::shapes));
        let declared = Declared { dtypes: first.dtypes().to_vec(), shapes };
        Queue::new(handle, declared, first.names().map(<[String]>::to_vec))
    }

    pub(super) fn new(handle: Output, declared: Declared, names: Option<Vec<String>>) -> Queue {
        let Declared { dtypes, shapes } = declared;
        let names = names.map(Arc::from);
        Queue { handle, declared: Arc::new(Declaration { dtypes, shapes, names }) }
    }

    /// Returns the handle of the queue, an input of every operation on it.
    #[must_use]
    pub fn handle(&self) -> &Output {
        &self.handle
    }

    /// Returns the name of its operation.
    ///
    /// ```
    /// # use ops::data_flow::FifoQueue;
    /// # use session_core::{DType, Graph};
    /// # let graph = Graph::new();
    /// let queue = FifoQueue::new(&graph.named("examples"), 8, DType::Float32).build();
    /// assert_eq!(queue.name(), "examples");
    /// ```
    #[must_use]
    pub fn name(&self) -> &str {
        self.handle.operation().name()
    }

    /// Returns the dtypes of an element's components, the priority's included.
    ///
    /// ```
    /// # use ops::data_flow::FifoQueue;
    /// # use session_core::{DType, Graph};
    /// # let graph = Graph::new();
    /// let queue = FifoQueue::new(&graph.named("examples"), 8, DType::Float32).build();
    /// assert_eq!(queue.dtypes(), [DType::Float32]);
    /// ```
    #[must_use]
    pub fn dtypes(&self) -> &[DType] {
        &self.declared.dtypes
    }

    /// Returns the declared shapes of an element's components, or `None` if none were declared.
    #[must_use]
    pub fn shapes(&self) -> Option<&[PartialShape]> {
        self.declared.shapes.as_deref()
    }

    /// Returns the declared names of an element's components, or `None` if none were declared.
    #[must_use]
    pub fn names(&self) -> Option<&[String]> {
        self.declared.names.as_deref()
    }

    /// Returns the same queue, whose operations are built in the scope, on the device, and with the control inputs of this handle. Default:
    /// those with which the queue was built.
    #[must_use]
    pub fn within(&self, graph: &Graph) -> Queue {
        Queue { handle: self.handle.within(graph), declared: self.declared.clone() }
    }

    /// Returns the same queue, and names the next operation that is built on it.
    ///
    /// ```
    /// # use ops::data_flow::FifoQueue;
    /// # use session_core::{DType, Graph, PartialShape};
    /// # let graph = Graph::new();
    /// # let queue = FifoQueue::new(&graph, 8, DType::Float32).shapes([PartialShape::scalar()]).build();
    /// let enqueue = queue.named("fill").enqueue(1.0f32);
    /// assert_eq!(enqueue.name(), "fill");
    /// ```
    #[must_use]
    pub fn named(&self, name: &str) -> Queue {
        Queue { handle: self.handle.named(name), declared: self.declared.clone() }
    }

    /// Adds one element. Waits while the queue is full (S-232).
    ///
    /// Numbers, single or in lists, are converted to the queue's dtype, which must be able to hold them. Dtypes and known shapes are
    /// checked when the operation is built (S-228), the number of components only when it runs (S-227).
    ///
    /// ```
    /// # use ops::data_flow::FifoQueue;
    /// # use session_core::{DType, Graph, PartialShape};
    /// # let graph = Graph::new();
    /// let shapes = [PartialShape::from([2]), PartialShape::scalar()];
    /// let queue = FifoQueue::new(&graph, 8, [DType::Float32, DType::Int64]).shapes(shapes).build();
    /// let enqueue = queue.enqueue(([0.5f32, 1.5], 7i64));
    /// assert_eq!(enqueue.op_type(), "QueueEnqueueV2");
    /// ```
    #[track_caller]
    pub fn enqueue(&self, element: impl Into<Components>) -> Operation {
        self.add(&queue_ops::QUEUE_ENQUEUE_V2, &queue_ops::QUEUE_ENQUEUE, "enqueue", element.into())
    }

    /// Adds the entries of components along their first dimension one after another, as far as there is room, and waits for more room
    /// (S-232). Without entries it does nothing, even on a closed queue (S-234).
    ///
    /// Other operations see the entries that were already added while it waits (S-233).
    ///
    /// ```
    /// # use ops::data_flow::FifoQueue;
    /// # use session_core::{DType, Graph, PartialShape};
    /// # let graph = Graph::new();
    /// # let queue = FifoQueue::new(&graph, 8, DType::Float32).shapes([PartialShape::scalar()]).build();
    /// let enqueue = queue.enqueue_many(ops::array::constant(&graph, [1.0f32, 2.0, 3.0])); // three elements
    /// assert_eq!(enqueue.op_type(), "QueueEnqueueManyV2");
    /// ```
    #[track_caller]
    pub fn enqueue_many(&self, elements: impl Into<Components>) -> Operation {
        self.add(
            &queue_ops::QUEUE_ENQUEUE_MANY_V2,
            &queue_ops::QUEUE_ENQUEUE_MANY,
            "EnqueueMany",
            elements.into(),
        )
    }

    /// Takes one element. Waits while there is none.
    ///
    /// ```
    /// # use ops::data_flow::FifoQueue;
    /// # use session_core::{DType, Graph, PartialShape};
    /// # let graph = Graph::new();
    /// # let queue = FifoQueue::new(&graph, 8, DType::Float32).shapes([PartialShape::scalar()]).build();
    /// let element = queue.dequeue().output();
    /// assert_eq!(element.shape().to_string(), "[]");
    /// ```
    #[must_use]
    #[track_caller]
    pub fn dequeue(&self) -> Dequeued {
        self.take(&queue_ops::QUEUE_DEQUEUE_V2, &queue_ops::QUEUE_DEQUEUE, "Dequeue", None)
    }

    /// Dequeues n elements, stacked along a new first dimension. Waits for all of them and takes elements as
    /// they arrive (S-237). A priority queue takes all at one moment, so that they have the smallest
    /// priorities. Requires declared shapes.
    ///
    /// After a close it fails when fewer are left, which then stay in the queue (S-245).
    ///
    /// A number that exceeds the capacity of the queue is a build error (`InvalidArgument`): such a dequeue
    /// hangs unless something refills the queue while it waits. If something does, pass the number as a
    /// tensor, `queue.dequeue_many(constant(&graph, 64))`, which is not checked at construction. TensorFlow
    /// accepts both.
    ///
    /// ```
    /// # use ops::data_flow::FifoQueue;
    /// # use session_core::{DType, Graph, PartialShape};
    /// # let graph = Graph::new();
    /// # let queue = FifoQueue::new(&graph, 8, DType::Float32).shapes([PartialShape::scalar()]).build();
    /// let batch = queue.dequeue_many(4).output();
    /// assert_eq!(batch.shape().to_string(), "[4]");
    /// ```
    #[must_use]
    #[track_caller]
    pub fn dequeue_many(&self, n: impl Into<Ints>) -> Dequeued {
        let ops = (&queue_ops::QUEUE_DEQUEUE_MANY_V2, &queue_ops::QUEUE_DEQUEUE_MANY);
        self.take(ops.0, ops.1, "DequeueMany", Some(n.into()))
    }

    /// Works as [`dequeue_many`](Queue::dequeue_many), but returns the remaining elements, if any, after the
    /// queue was closed (S-238). While the queue is open it waits for all n, so a number that exceeds the
    /// capacity is a build error here as well.
    ///
    /// ```
    /// # use ops::data_flow::FifoQueue;
    /// # use session_core::{DType, Graph, PartialShape};
    /// # let graph = Graph::new();
    /// # let queue = FifoQueue::new(&graph, 8, DType::Float32).shapes([PartialShape::scalar()]).build();
    /// let batch = queue.dequeue_up_to(4).output(); // the last batch may be smaller
    /// assert_eq!(batch.shape().to_string(), "[?]");
    /// ```
    #[must_use]
    #[track_caller]
    pub fn dequeue_up_to(&self, n: impl Into<Ints>) -> Dequeued {
        let ops = (&queue_ops::QUEUE_DEQUEUE_UP_TO_V2, &queue_ops::QUEUE_DEQUEUE_UP_TO);
        self.take(ops.0, ops.1, "DequeueUpTo", Some(n.into()))
    }

    /// Closes the queue: new enqueues fail, dequeues continue until it is empty (S-240). Enqueues that wait at this moment
    /// are still served; [`close_and_cancel_pending_enqueues`](Queue::close_and_cancel_pending_enqueues) ends them.
    ///
    /// It does not wait, and closing again does nothing. In TensorFlow a close waits for the pending enqueues, and a
    /// second one fails (Q-56).
    ///
    /// ```
    /// use ops::data_flow::FifoQueue;
    /// use session_core::{DType, Graph};
    /// let graph = Graph::new();
    /// let queue = FifoQueue::new(&graph, 8, [DType::Int64]).build();
    /// let close = queue.close();
    /// assert_eq!(close.op_type(), "QueueCloseV2");
    /// ```
    #[track_caller]
    pub fn close(&self) -> Operation {
        self.closing(false)
    }

    /// Closes the queue as [`close`](Queue::close) does, and lets the enqueues that wait at this moment fail with `Cancelled`
    /// (S-242): TensorFlow's `cancel_pending_enqueues=True`.
    ///
    /// ```
    /// # use ops::data_flow::FifoQueue;
    /// # use session_core::{DType, Graph};
    /// # let graph = Graph::new();
    /// let queue = FifoQueue::new(&graph.named("examples"), 8, DType::Float32).build();
    /// let cancel = queue.close_and_cancel_pending_enqueues();
    /// assert_eq!(cancel.attr("cancel_pending_enqueues").and_then(|flag| flag.as_bool()), Some(true));
    /// ```
    #[track_caller]
    pub fn close_and_cancel_pending_enqueues(&self) -> Operation {
        self.closing(true)
    }

    #[track_caller]
    fn closing(&self, cancel_pending_enqueues: bool) -> Operation {
        let builder = self.op(&queue_ops::QUEUE_CLOSE_V2, &queue_ops::QUEUE_CLOSE, "Close");
        builder.attr("cancel_pending_enqueues", cancel_pending_enqueues).finish()
    }

    /// Returns the number of elements that the queue holds at this moment, an `int32`.
    ///
    /// ```
    /// # use ops::data_flow::FifoQueue;
    /// # use session_core::{DType, Graph};
    /// # let graph = Graph::new();
    /// let queue = FifoQueue::new(&graph.named("examples"), 8, DType::Float32).build();
    /// assert_eq!(queue.size().dtype(), DType::Int32);
    /// ```
    #[must_use]
    #[track_caller]
    pub fn size(&self) -> Output {
        self.op(&queue_ops::QUEUE_SIZE_V2, &queue_ops::QUEUE_SIZE, "Size").finish_output()
    }

    /// Returns a summary of how full the queue is, between 0 and 1, tagged `queue/<name>/fraction_of_<capacity>_full` as
    /// TensorFlow's input pipelines tag theirs; it joins the collection `summaries`. None for a queue without limit.
    ///
    /// A queue that feeds a training and is mostly empty starves it.
    ///
    /// ```
    /// use ops::data_flow::FifoQueue;
    /// use session_core::{DType, Graph};
    ///
    /// let graph = Graph::new();
    /// let queue = FifoQueue::new(&graph.named("examples"), 32, DType::Int64).build();
    /// let summary = queue.summarize_fullness().expect("it has a limit");
    /// assert_eq!(summary.operation().name(), "queue/examples/fraction_of_32_full");
    /// # graph.finalize().unwrap();
    /// ```
    #[track_caller]
    pub fn summarize_fullness(&self) -> Option<Output> {
        let capacity = self.handle.operation().attr("capacity")?.as_int().filter(|&capacity| capacity > 0)?;
        // Without a limit (a negative capacity) or at a capacity of 0 there is no fraction.
        let name = format!("queue/{}/fraction_of_{capacity}_full", self.name());
        let graph = self.handle.graph().root();
        let size = self.within(&graph).size();
        let fraction = math::cast(&size, DType::Float32) * constant(&graph, 1.0 / capacity as f32);
        Some(summary::scalar(&name, fraction.within(&graph)))
    }

    /// Returns true if the queue was closed.
    ///
    /// ```
    /// # use ops::data_flow::FifoQueue;
    /// # use session_core::{DType, Graph};
    /// # let graph = Graph::new();
    /// let queue = FifoQueue::new(&graph.named("examples"), 8, DType::Float32).build();
    /// assert_eq!(queue.is_closed().dtype(), DType::Bool);
    /// ```
    #[must_use]
    #[track_caller]
    pub fn is_closed(&self) -> Output {
        self.op(&queue_ops::QUEUE_IS_CLOSED_V2, &queue_ops::QUEUE_IS_CLOSED, "Is_Closed").finish_output()
    }

    /// Returns the error for a dequeue of more elements than the queue can hold, or `None` if they fit.
    ///
    /// Dequeues of a constant count check this themselves. The method is for code that builds dequeue operations without [`Queue`].
    #[must_use]
    pub fn exceeds_capacity(&self, count: i64) -> Option<Error> {
        let capacity = self.handle.operation().attr("capacity")?.as_int()?;
        if capacity < 0 || count <= capacity {
            return None;
        }
        let kind = self.handle.operation().op_type().trim_end_matches("V2");
        let text = format!(
            "{count} elements are dequeued at once from {kind} '{}', whose capacity is {capacity}",
            self.name()
        );
        Some(Error::invalid_argument(text))
    }

    /// Returns the last part of the queue's name and what is done, as TensorFlow names operations on queues.
    fn default_name(&self, suffix: &str) -> String {
        let name = self.name().rsplit('/').next().unwrap_or_default();
        format!("{name}_{suffix}")
    }

    /// Resource handles and the references of older graphs have op types of their own.
    fn def(&self, new: &'static OpDef, old: &'static OpDef) -> &'static OpDef {
        if self.handle.is_ref() { old } else { new }
    }

    #[track_caller]
    fn op(&self, new: &'static OpDef, old: &'static OpDef, suffix: &str) -> session_core::OpBuilder {
        let builder = self.handle.graph().op(self.def(new, old)).default_name(&self.default_name(suffix));
        builder.input(&self.handle)
    }

    #[track_caller]
    fn add(
        &self,
        new: &'static OpDef,
        old: &'static OpDef,
        suffix: &str,
        components: Components,
    ) -> Operation {
        let graph = self.handle.graph();
        let scope = Composite::new(&graph, &self.default_name(suffix));
        // The components are converted in the scope; the operation itself bears the name of the scope.
        let handle = scope.enter_last(&self.handle);
        let builder = handle.graph().op(self.def(new, old)).input(&handle);
        let values = match self.ordered(components).and_then(|values| self.converted(values)) {
            Ok(values) => values,
            Err(error) => return builder.error(error).finish(),
        };
        // Constants need not wait for what the enqueuing waits for.
        let place = scope.graph().without_control_dependencies();
        let input =
            |(index, value): (usize, Value)| value.to_output(&place.named(&format!("component_{index}")));
        builder.input_list(values.into_iter().enumerate().map(input).collect::<Vec<Output>>()).finish()
    }

    /// Numbers in the dtypes of the declaration.
    fn converted(&self, values: Vec<Value>) -> Result<Vec<Value>> {
        let convert = |(index, value): (usize, Value)| match self.declared.dtypes.get(index) {
            Some(&dtype) => value.all_for_dtype(dtype).map_err(|error| {
                let text = format!("component {index} of queue '{}': {}", self.name(), error.message());
                Error::type_mismatch(text)
            }),
            None => Ok(value),
        };
        values.into_iter().enumerate().map(convert).collect()
    }

    /// Returns the components in the order of the declaration (S-225).
    fn ordered(&self, components: Components) -> Result<Vec<Value>> {
        match (components, &self.declared.names) {
            (Components::Listed(values), None) => Ok(values),
            (Components::Named(mut values), Some(names)) => {
                let given = values.len();
                let mut take = |name: &String| {
                    let place = values.iter().position(|(known, _)| known == name)?;
                    Some(values.swap_remove(place).1)
                };
                // Components in the order of the names, which need not be the order given; none
                // may be missing or left over.
                let ordered: Option<Vec<Value>> = names.iter().map(&mut take).collect();
                let text = || format!("the names of the components must be {names:?}");
                ordered.filter(|values| values.len() == given).ok_or_else(|| Error::value(text()))
            }
            (Components::Listed(_), Some(names)) => {
                Err(Error::value(format!("the queue's components have names ({names:?}), a list has none")))
            }
            (Components::Named(_), None) => Err(Error::value("the queue's components have no names")),
        }
    }

    #[track_caller]
    fn take(&self, new: &'static OpDef, old: &'static OpDef, suffix: &str, count: Option<Ints>) -> Dequeued {
        // Only a number known while building can be compared with the capacity.
        let asked = match count {
            Some(Ints::Scalar(count)) => Some(count),
            _ => None,
        };
        let mut builder = self.op(new, old, suffix);
        builder = match count {
            None => builder,
            Some(count) => count.input_of(builder),
        };
        let operation = builder.attr("component_types", self.declared.dtypes.clone()).finish();
        let problem = asked.and_then(|asked| self.exceeds_capacity(asked));
        if let Some(problem) = problem.filter(|_| operation.error().is_none()) {
            self.handle.graph().add_error(operation.place(problem).with_phase(Phase::Build));
        }
        // The name of this handle does not apply to operations that are built on the result.
        let around = unnamed(&self.handle.graph());
        let outputs = operation.outputs().into_iter().map(|output| output.within(&around)).collect();
        Dequeued { operation, outputs, names: self.declared.names.clone() }
    }
}

/// The components of a dequeued element, in the order of the queue's declaration.
#[derive(Clone, Debug)]
pub struct Dequeued {
    operation: Operation,
    outputs: Vec<Output>,
    names: Option<Arc<[String]>>,
}

impl Dequeued {
    /// Returns the operation that dequeues the element.
    #[must_use]
    pub fn operation(&self) -> &Operation {
        &self.operation
    }

    /// Returns the component of an element with a single component (S-226). For other elements it is a build error.
    #[must_use]
    #[track_caller]
    pub fn output(&self) -> Output {
        if self.outputs.len() != 1 && self.operation.error().is_none() {
            let count = self.outputs.len();
            let error =
                self.operation.place(Error::value(format!("the element has {count} components, not one")));
            self.operation.graph().add_error(error.with_phase(Phase::Build));
        }
        self.operation.output(0).within(&self.around())
    }

    fn around(&self) -> Graph {
        self.outputs.first().map_or_else(|| self.operation.graph(), Output::graph)
    }

    /// Returns the component of this name, if the queue's components have names.
    ///
    /// ```
    /// # use ops::data_flow::FifoQueue;
    /// # use session_core::{DType, Graph, PartialShape};
    /// # let graph = Graph::new();
    /// let queue = FifoQueue::new(&graph, 8, [DType::Float32, DType::Int64]).names(["image", "label"]).build();
    /// let element = queue.dequeue();
    /// assert_eq!(element.by_name("label").map(|label| label.dtype()), Some(DType::Int64));
    /// ```
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Output> {
        let place = self.names.as_ref()?.iter().position(|known| known == name)?;
        self.outputs.get(place)
    }

    /// Returns all components.
    #[must_use]
    pub fn into_outputs(self) -> Vec<Output> {
        self.outputs
    }
}

impl Deref for Dequeued {
    type Target = [Output];

    fn deref(&self) -> &[Output] {
        &self.outputs
    }
}

impl Fetch for Dequeued {
    type Value = Vec<Tensor>;

    fn expand(&self, list: &mut FetchList<'_>) -> Result<()> {
        self.outputs.expand(list)
    }

    fn collect(&self, values: &mut FetchValues<'_>) -> Vec<Tensor> {
        self.outputs.collect(values)
    }
}

pub(super) fn shapes_attr(shapes: &[PartialShape]) -> AttrValue {
    AttrValue::from(shapes.to_vec())
}
