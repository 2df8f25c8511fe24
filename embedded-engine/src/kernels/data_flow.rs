//! Queues, barriers, accumulators, and staging areas: resources that pass values between steps and threads.
//!
//! Operations that may wait return a `Wait` (see `kernel.rs`); two mechanisms complete it. Queues serve
//! waiting operations in the order of their arrival (`bounded.rs`). The other resources wake all waiting
//! operations, and each tries again (`monitor.rs`).
//!
//! # Semantics of queues
//!
//! | op | inputs | result |
//! | --- | --- | --- |
//! | `FIFOQueueV2`, `PaddingFIFOQueueV2`, `RandomShuffleQueueV2`, `PriorityQueueV2` | | a handle |
//! | `QueueEnqueueV2` | handle, components | nothing; waits for room |
//! | `QueueEnqueueManyV2` | handle, batches of components | nothing; the rows enter as there is room, which is not atomic (S-233) |
//! | `QueueDequeueV2` | handle | the components of one element; waits for one |
//! | `QueueDequeueManyV2`, `QueueDequeueUpToV2` | handle, count | the components of `count` elements, stacked |
//! | `QueueCloseV2`, `QueueSizeV2`, `QueueIsClosedV2` | handle | nothing, an `int32`, a `bool`; none of them waits |
//!
//! The versions without `V2` are the same. A dequeue of 0 elements returns empty batches at once. `UpTo`
//! returns fewer elements only from a closed queue (S-238).
//!
//! Errors: `Cancelled` for an enqueue to a closed queue (S-243) and for one that a close cancels (S-242);
//! `OutOfRange` for a dequeue from a closed queue with too few elements (S-245); `InvalidArgument` for
//! components that do not fit the queue, a negative count, and a queue whose attributes differ from those of
//! the operation that created it (S-229); the limits of the run for a wait.
//!
//! Two differences from TensorFlow: a close does not wait for pending enqueues, which are still served
//! (S-241), and closing a closed queue is no error (S-244, Q-56).
//!
//! # How an operation waits
//!
//! ```text
//! begin ──► the queue serves it at once ──► outputs
//!    └────► it stands in line: `Waiting` ──► is_done ──► finish ──► outputs
//!                 └─ dropped: it leaves the line, and a dequeue gives back what it had taken
//! ```

mod accumulator;
#[cfg(feature = "staging")]
mod barrier;
mod batch;
mod bounded;
mod component;
mod consumed;
#[cfg(feature = "staging")]
mod map_staging;
mod monitor;
mod queue;
mod sparse_map;
#[cfg(feature = "staging")]
mod staging;
mod store;
mod sync;

pub(crate) use consumed::replayed;

use crate::kernel::{Ability, Begin, Kernel, KernelContext, MakeKernel, NodeSpec, Wait, gives};
use crate::kernels::math::boxed;
use crate::kernels::state::resource_name;
use crate::limits::Limits;
use crate::registry::Registry;
use crate::resources::Resources;
use crate::waiting::wait_until;
use bounded::{Attempt, Failure, Outcome, Source, Started};
use component::Component;
use consumed::Consumed;
use queue::{Element, Kind, Queue, QueueSpec};
use session_core::{Code, Error, QueueStats, Result};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use tensor::{DType, Tensor};

pub(crate) fn register(registry: &mut Registry) {
    let kinds: [([&'static str; 2], MakeKernel); 4] = [
        (["FIFOQueueV2", "FIFOQueue"], |spec| make_queue(spec, Kind::Fifo)),
        (["PaddingFIFOQueueV2", "PaddingFIFOQueue"], |spec| make_queue(spec, Kind::PaddingFifo)),
        (["RandomShuffleQueueV2", "RandomShuffleQueue"], |spec| make_queue(spec, Kind::RandomShuffle)),
        (["PriorityQueueV2", "PriorityQueue"], |spec| make_queue(spec, Kind::Priority)),
    ];
    for (op_types, make) in kinds {
        for op_type in op_types {
            registry.add_handle(op_type, make);
        }
    }
    registry.add_both(["QueueEnqueueV2", "QueueEnqueue"], |_| Ok(Enqueue::kernel(false))).waits();
    registry.add_both(["QueueEnqueueManyV2", "QueueEnqueueMany"], |_| Ok(Enqueue::kernel(true))).waits();
    registry.add_both(["QueueDequeueV2", "QueueDequeue"], |spec| Dequeue::kernel(spec, Form::One)).waits();
    registry
        .add_both(["QueueDequeueManyV2", "QueueDequeueMany"], |spec| {
            Dequeue::kernel(spec, Form::Many { up_to: false })
        })
        .waits();
    registry
        .add_both(["QueueDequeueUpToV2", "QueueDequeueUpTo"], |spec| {
            Dequeue::kernel(spec, Form::Many { up_to: true })
        })
        .waits();
    registry
        .add_both(["QueueCloseV2", "QueueClose"], |spec| {
            let cancel = spec.bool("cancel_pending_enqueues")?;
            Ok(boxed(move |context| {
                queue(context)?.elements.close(cancel);
                Ok(())
            }))
        })
        .wakes();
    registry.add_both(["QueueSizeV2", "QueueSize"], |_| {
        Ok(boxed(|context| {
            let size = queue(context)?.elements.size();
            context.set_count(size);
            Ok(())
        }))
    });
    accumulator::register(registry);
    #[cfg(feature = "staging")]
    registry.of_feature("staging", [barrier::register, map_staging::register, staging::register]);
    sparse_map::register(registry);
    registry.add_both(["QueueIsClosedV2", "QueueIsClosed"], |_| {
        Ok(boxed(|context| {
            let closed = queue(context)?.elements.is_closed();
            context.set(0, Tensor::scalar(closed));
            Ok(())
        }))
    });
}

/// Returns the kernel that gives the handle of a queue of the session, created at the first use of its name.
///
/// Attributes that make no queue, or that differ from those of the existing one, are an error when the
/// operation runs and not when it is compiled (S-224, S-229).
fn make_queue(spec: &NodeSpec<'_>, kind: Kind) -> Result<Box<dyn Kernel>> {
    let name = resource_name(spec);
    let container = spec.str("container").unwrap_or_default();
    let wanted = QueueSpec::of(spec, kind)?;
    if let Err(error) = wanted.check() {
        // A plan that contains the operation but does not run it, such as in a branch, must compile.
        return Ok(boxed(move |_| Err(error.clone())));
    }
    let handle = spec.resources.handle("queue", container, name, || Queue::new(name, wanted.clone()));
    let known = handle.as_handle::<Queue>().map(|queue| queue.agrees_with(&wanted));
    if let Some(Err(error)) = known {
        return Ok(boxed(move |_| Err(error.clone())));
    }
    Ok(gives(handle))
}

/// Returns the sizes and counts of the session's queues as they are at this moment, sorted by container and
/// name.
pub(crate) fn queue_stats(resources: &Resources) -> Vec<QueueStats> {
    resources
        .of_kind("queue")
        .iter()
        .filter_map(|handle| handle.as_handle::<Queue>())
        .map(Queue::stats)
        .collect()
}

/// Returns the queue of the first input.
fn queue(context: &KernelContext<'_>) -> Result<Arc<Queue>> {
    context.shared_handle(0, "a queue")
}

/// The queue of the first input, for kernels that need it in every step. Nearly always it is the same one:
/// then its count of references, which the threads on both sides would fight for, is not touched.
///
/// Empty until the first run. The queue is kept alive by the kernel as long as the plan exists.
#[derive(Default)]
struct QueueInput(OnceLock<Arc<Queue>>);

impl QueueInput {
    /// Returns the queue of input 0. A handle that is the same in every step, as almost all are, costs one
    /// comparison.
    ///
    /// # Errors
    /// `InvalidArgument` if the input is not the handle of a queue.
    #[inline]
    fn get(&self, context: &KernelContext<'_>) -> Result<Cow<'_, Arc<Queue>>> {
        if let (Some(known), Some(given)) = (self.0.get(), context.input(0).as_handle::<Queue>())
            && std::ptr::eq(Arc::as_ptr(known), given)
        {
            return Ok(Cow::Borrowed(known));
        }
        let queue = queue(context)?;
        self.0.get_or_init(|| queue.clone());
        Ok(Cow::Owned(queue))
    }
}

/// The kernel of the enqueue operations, which insert one element, or the slices of a batch.
struct Enqueue {
    /// The queue.
    queue: QueueInput,
    /// True if the rows of the inputs are the elements, and false if the inputs are one element.
    many: bool,
}

impl Enqueue {
    /// Returns the kernel that enqueues one element, or with `many` the rows of a batch.
    fn kernel(many: bool) -> Box<dyn Kernel> {
        Box::new(Enqueue { queue: QueueInput::default(), many })
    }
}

impl Kernel for Enqueue {
    fn run(&self, context: &mut KernelContext<'_>) -> Result<()> {
        run_to_end(self, context)
    }

    fn ability(&self) -> Ability<'_> {
        Ability::Begins(self)
    }
}

impl Begin for Enqueue {
    fn begin(&self, context: &mut KernelContext<'_>) -> Result<Option<Box<dyn Wait>>> {
        let queue = self.queue.get(context)?;
        // Taken: at its last use a value then belongs to the queue alone, and its consumer may write in
        // place.
        let components: SmallVec<[Tensor; 1]> =
            (1..context.num_inputs()).map(|index| context.take(index)).collect();
        // Checked before the element stands in line, so that a wrong one is an error at once, whatever the
        // queue holds.
        queue.spec.check_element(&components, self.many).map_err(|error| queue.refused(&error))?;
        let (source, asked) = if self.many {
            let count =
                components.first().and_then(|component| component.shape().first()).copied().unwrap_or(0);
            (queue.slices(components, count, context.buffers()), Asked::EnqueueMany(count))
        } else {
            let element = components.into_iter().map(Component::Whole).collect();
            (Source::One(Some(element)), Asked::Enqueue)
        };
        match queue.elements.enqueue(source) {
            Started::Done(outcome) => outcome.map(|_| None).map_err(|failure| queue.failed(failure, asked)),
            Started::Waiting(attempt) => {
                let queue = queue.into_owned();
                Ok(Some(Box::new(Waiting { attempt, queue, asked, consumed: None })))
            }
        }
    }
}

/// The kernel of the dequeue operations, which return one element, or several as one batch.
struct Dequeue {
    /// The queue.
    queue: QueueInput,
    /// One element, or several.
    form: Form,
    /// Counts the elements that steps took, for an input that a restored run continues exactly; `None` for
    /// other queues.
    consumed: Option<Arc<Consumed>>,
}

/// The form of a dequeue.
#[derive(Clone, Copy)]
enum Form {
    /// One element.
    One,
    /// Several elements as one batch; `up_to` allows fewer from a closed queue.
    Many { up_to: bool },
}

impl Kernel for Dequeue {
    fn run(&self, context: &mut KernelContext<'_>) -> Result<()> {
        run_to_end(self, context)
    }

    fn ability(&self) -> Ability<'_> {
        Ability::Begins(self)
    }
}

impl Begin for Dequeue {
    fn begin(&self, context: &mut KernelContext<'_>) -> Result<Option<Box<dyn Wait>>> {
        let queue = self.queue.get(context)?;
        let asked = self.asked(context, &queue)?;
        let (count, up_to) = match asked {
            Asked::DequeueMany(count) => (count, false),
            Asked::DequeueUpTo(count) => (count, true),
            _ => (1, false),
        };
        // S-237: also on a closed queue, and without a place in the line.
        if count == 0 {
            return deliver(context, &queue, asked, Ok(SmallVec::new())).map(|()| None);
        }
        queue.spec.check_count(count)?;
        let consumed = self.consumed.clone();
        // Elements that steps before a restore had seen are skipped here, by the first dequeue, and not by
        // the pipeline, whose threads have begun already.
        if let Some(consumed) = &consumed {
            consumed.catch_up(|missing| leave_out(context.limits, &queue, missing))?;
        }
        match queue.elements.dequeue(count, up_to) {
            Started::Done(outcome) => {
                Consumed::note(consumed.as_ref(), &outcome);
                deliver(context, &queue, asked, outcome).map(|()| None)
            }
            Started::Waiting(attempt) => {
                let queue = queue.into_owned();
                Ok(Some(Box::new(Waiting { attempt, queue, asked, consumed })))
            }
        }
    }
}

impl Dequeue {
    /// Returns the kernel, with the count that checkpoints keep if the operation has one.
    fn kernel(spec: &NodeSpec<'_>, form: Form) -> Result<Box<dyn Kernel>> {
        Ok(Box::new(Dequeue { queue: QueueInput::default(), form, consumed: Consumed::of(spec)? }))
    }

    /// Returns the request, with the number of elements from input 1.
    ///
    /// # Errors
    /// `InvalidArgument` for a negative number, and for a queue whose elements have no shape that could be
    /// stacked.
    fn asked(&self, context: &KernelContext<'_>, queue: &Queue) -> Result<Asked> {
        let Form::Many { up_to } = self.form else { return Ok(Asked::Dequeue) };
        queue.spec.check_batches().map_err(|error| queue.refused(&error))?;
        let asked = context.int(1)?;
        let count = usize::try_from(asked).map_err(|_| {
            let name = if up_to { "DequeueUpTo" } else { "DequeueMany" };
            Error::invalid_argument(format!("{name} requested {asked} < 0 elements of {}", queue.title()))
        })?;
        Ok(if up_to { Asked::DequeueUpTo(count) } else { Asked::DequeueMany(count) })
    }
}

/// The request of an operation to a queue, for carrying it out and for messages.
#[derive(Clone, Copy, Debug)]
enum Asked {
    /// One element is enqueued.
    Enqueue,
    /// This number of elements is enqueued.
    EnqueueMany(usize),
    /// One element is dequeued.
    Dequeue,
    /// This number of elements is dequeued.
    DequeueMany(usize),
    /// At most this number of elements is dequeued.
    DequeueUpTo(usize),
}

impl Asked {
    /// Describes the request for messages.
    ///
    /// The title or the status of the queue follows: `dequeue of 5 elements from FIFOQueue 'q'`.
    fn describe(self) -> String {
        match self {
            Asked::Enqueue => "enqueue of 1 element to".to_owned(),
            Asked::EnqueueMany(count) => format!("enqueue of {count} elements to"),
            Asked::Dequeue => "dequeue of 1 element from".to_owned(),
            Asked::DequeueMany(count) => format!("dequeue of {count} elements from"),
            Asked::DequeueUpTo(count) => format!("dequeue of up to {count} elements from"),
        }
    }
}

/// A queue whose elements an operation takes one by one on its way, such as the names of files.
///
/// Readers of files use it: the queue has one string component.
pub(crate) struct Feed(Arc<Queue>);

/// An element of a [`Feed`], which is there or not yet.
pub(crate) enum Next {
    /// The value is known.
    Here(Tensor),
    /// The value arrives when the dequeue in progress is done.
    Later(Coming),
}

/// A dequeue in progress. If it is dropped before completion, nothing was taken.
pub(crate) struct Coming {
    /// The waiting attempt.
    attempt: Attempt<Element>,
    /// The queue, from which the next value is taken afterwards.
    feed: Feed,
}

impl Feed {
    /// Returns the queue of an input.
    ///
    /// # Errors
    /// `InvalidArgument` if the input is not the handle of a queue.
    pub(crate) fn of(context: &KernelContext<'_>, input: usize) -> Result<Feed> {
        context.shared_handle(input, "a queue").map(Feed)
    }

    /// Takes an element, or begins to.
    ///
    /// # Errors
    /// `OutOfRange` from a closed queue without elements, and `InvalidArgument` for elements of several
    /// components.
    pub(crate) fn next(&self) -> Result<Next> {
        match self.0.elements.dequeue(1, false) {
            Started::Done(outcome) => self.one(outcome).map(Next::Here),
            Started::Waiting(attempt) => Ok(Next::Later(Coming { attempt, feed: Feed(self.0.clone()) })),
        }
    }

    /// Takes an element, and blocks the thread until it arrives. For kernels that run where nothing can be
    /// suspended.
    ///
    /// # Errors
    /// Those of [`next`](Self::next), and the limits of the run.
    pub(crate) fn wait(&self, limits: &Limits<'_>) -> Result<Tensor> {
        self.one(Ok(take_now(limits, &self.0, 1, Asked::Dequeue)?))
    }

    /// Returns the component of the single element of an outcome, or the error with which the dequeue ended.
    fn one(&self, outcome: Outcome<Element>) -> Result<Tensor> {
        let taken = outcome.map_err(|failure| self.0.failed(failure, Asked::Dequeue))?;
        let mut components = taken.into_iter().flat_map(|(_, element)| element);
        match (components.next(), components.next()) {
            (Some(component), None) => Ok(component.into_tensor()),
            _ => {
                let text = format!("the elements of {} have not one component", self.0.title());
                Err(Error::invalid_argument(text))
            }
        }
    }
}

impl Coming {
    /// Returns true if [`take`](Self::take) has a value or an error to return.
    pub(crate) fn is_here(&self) -> bool {
        self.attempt.is_done()
    }

    /// Returns the component, once, after it is there; and the queue for more.
    ///
    /// # Errors
    /// Those of the dequeue, and `Internal` if the value is not there or was taken before.
    pub(crate) fn take(&mut self) -> Result<(Tensor, &Feed)> {
        let text = "the outcome of a dequeue was requested before it was available";
        let outcome = self.attempt.poll().ok_or_else(|| Error::new(Code::Internal, text))?;
        Ok((self.feed.one(outcome)?, &self.feed))
    }

    /// Describes what the value waits for.
    pub(crate) fn describe(&self) -> String {
        format!("{} {}", Asked::Dequeue.describe(), self.feed.0.status())
    }
}

/// Takes `count` elements, and blocks the thread until they arrive. `asked` says whether fewer are accepted
/// from a closed queue, and is named in errors.
fn take_now(
    limits: &Limits<'_>,
    queue: &Queue,
    count: usize,
    asked: Asked,
) -> Result<bounded::Taken<Element>> {
    let up_to = matches!(asked, Asked::DequeueUpTo(_));
    let outcome = match queue.elements.dequeue(count, up_to) {
        Started::Done(outcome) => outcome,
        Started::Waiting(mut attempt) => {
            let describe = || format!("{} {}", asked.describe(), queue.status());
            wait_until(limits, || attempt.is_done(), describe)?;
            let text = "the outcome of a dequeue was requested before it was available";
            attempt.poll().ok_or_else(|| Error::new(Code::Internal, text))?
        }
    };
    outcome.map_err(|failure| queue.failed(failure, asked))
}

/// Takes elements that steps before a restore had taken, some of `missing`, and drops them.
///
/// Returns the number of elements that were dropped; the caller asks again until none are missing.
///
/// # Errors
/// `FailedPrecondition` if the input ends too early: the files or the pipeline have changed since the
/// checkpoint.
fn leave_out(limits: &Limits<'_>, queue: &Queue, missing: usize) -> Result<usize> {
    // One by one where elements cannot be stacked; in both cases few at a time, so that no more is requested
    // of the queue than it can hold.
    take_now(limits, queue, 1, Asked::DequeueUpTo(1)).map(|taken| taken.len()).map_err(|error| {
        let text = format!(
            "the input ends before the position of the checkpoint: {missing} elements of {} are missing",
            queue.title()
        );
        if error.code() == Code::OutOfRange {
            Error::new(Code::FailedPrecondition, text).with_source(error)
        } else {
            error
        }
    })
}

/// Sets the outputs of a queue operation, or returns the error with which it ended. An enqueue has no
/// outputs.
fn deliver(
    context: &mut KernelContext<'_>,
    queue: &Queue,
    asked: Asked,
    outcome: Outcome<Element>,
) -> Result<()> {
    let taken = outcome.map_err(|failure| queue.failed(failure, asked))?;
    match asked {
        Asked::Enqueue | Asked::EnqueueMany(_) => Ok(()),
        Asked::Dequeue => {
            let components = taken.into_iter().flat_map(|(_, element)| element);
            components.enumerate().for_each(|(index, component)| context.set(index, component.into_tensor()));
            Ok(())
        }
        Asked::DequeueMany(_) | Asked::DequeueUpTo(_) => {
            let elements: Vec<Element> = taken.into_iter().map(|(_, element)| element).collect();
            batch::deliver(context, &queue.spec, &elements)
        }
    }
}

/// An operation that waits for room or elements.
///
/// Dropping it before it is done takes the attempt out of its line.
struct Waiting {
    /// The waiting attempt.
    attempt: Attempt<Element>,
    /// The queue.
    queue: Arc<Queue>,
    /// The request.
    asked: Asked,
    /// The count of the elements that steps took; `None` for enqueues and for queues that are not counted.
    consumed: Option<Arc<Consumed>>,
}

impl Wait for Waiting {
    fn is_done(&self) -> bool {
        self.attempt.is_done()
    }

    fn finish(&mut self, context: &mut KernelContext<'_>) -> Result<()> {
        let text = "the outcome of a queue operation was requested before it was available";
        let outcome = self.attempt.poll().ok_or_else(|| Error::new(Code::Internal, text))?;
        // Only now: elements of a step that fails while it waits were not consumed.
        Consumed::note(self.consumed.as_ref(), &outcome);
        deliver(context, &self.queue, self.asked, outcome)
    }

    fn describe(&self) -> String {
        format!("{} {}", self.asked.describe(), self.queue.status())
    }
}

/// Runs a kernel that may wait where nothing else can run meanwhile.
///
/// This is `run` for kernels that implement `begin`. Functions of datasets and folded operations end up here;
/// it cannot end if only a later operation of the same step would complete the wait.
pub(crate) fn run_to_end(kernel: &dyn Kernel, context: &mut KernelContext<'_>) -> Result<()> {
    let Some(mut wait) = kernel.begin(context)? else { return Ok(()) };
    let limits: &Limits<'_> = context.limits;
    wait_until(limits, || wait.is_done(), || wait.describe())?;
    wait.finish(context)
}

/// The dtype of a priority.
///
/// The first component of an element of a `PriorityQueue`.
const PRIORITY: DType = DType::Int64;

impl Queue {
    /// Returns the error of an invalid enqueue or dequeue, with the name of the queue.
    fn refused(&self, error: &Error) -> Error {
        Error::new(error.code(), format!("{} (in {})", error.message(), self.title()))
    }

    /// Returns the error of an operation on this queue (S-242 to S-245).
    fn failed(&self, failure: Failure, asked: Asked) -> Error {
        let title = self.title();
        match failure {
            Failure::Closed => Error::new(Code::Cancelled, format!("{title} is closed.")),
            Failure::Cancelled => {
                let text = format!(
                    "{} {title}: operation was cancelled: the queue was closed with cancel_pending_enqueues",
                    asked.describe()
                );
                Error::new(Code::Cancelled, text)
            }
            Failure::Insufficient { requested, size } => {
                let text = format!(
                    "{title} is closed and has insufficient elements (requested {requested}, current size {size})"
                );
                Error::new(Code::OutOfRange, text)
            }
        }
    }
}
