//! Threads that fill a queue.

use crate::Coordinator;
use crate::sync::{Arc, AtomicBool, Mutex, Ordering, Weak, lock};
use crate::thread::{ManagedThread, report_activity};
use log::{debug, error, warn};
use ops::data_flow::Queue;
use session_core::{
    Callable, CancellationToken, Code, CollectionKey, Endpoint, Error, ErrorKind, Graph, GraphMember, Named,
    Operation, Result, RunOptions, Session, StepSignature,
};
use std::borrow::Borrow;
use std::fmt;
use tensor::Tensor;
use tensor::text::escaped;

/// The queue runners of a graph, started with each monitored session (S-23, S-217).
pub const QUEUE_RUNNERS: CollectionKey<QueueRunner> = CollectionKey::new("queue_runners");

/// Fills a queue: one thread for each of its enqueue operations runs that operation again and again, until the input
/// ends or the coordinator stops (S-207 to S-215). Clones are one runner.
///
/// # How its threads end
///
/// | an enqueue ends with | the thread |
/// |---|---|
/// | one of the closed codes (`OutOfRange` unless set) | ends quietly; the last one of the session closes the queue |
/// | another error, with a coordinator | reports it; everybody stops |
/// | another error, without one | logs it and keeps it in [`exceptions_raised`](QueueRunner::exceptions_raised); the last one of the session closes the queue, so that no thread waits forever (TensorFlow leaves it open, Q-54) |
/// | success, and the coordinator has stopped | ends quietly |
///
/// With a coordinator one more thread waits for the stop and then cancels the queue, so that no thread stays blocked in
/// it. It ends when all enqueue threads ended by themselves (in TensorFlow it outlives them, S-214).
///
/// ```
/// use ops::{array::constant, data_flow::FifoQueue};
/// use queue_runner::QueueRunner;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let queue = FifoQueue::new(&graph, 10, [DType::Float32]).build();
/// let enqueue = queue.enqueue(constant(&graph, 1.0f32));
/// let runner = QueueRunner::for_queue(&queue, [&enqueue])?;
/// runner.add_to_graph()?;
/// assert_eq!(runner.enqueue_ops(), [enqueue]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct QueueRunner(Arc<Inner>);

struct Inner {
    queue: String,
    enqueue_ops: Vec<Operation>,
    close_op: Operation,
    cancel_op: Operation,
    closed_codes: Vec<Code>,
    /// The program's source of elements, for a runner that feeds them.
    source: Option<Source>,
    /// Guards the counts of threads by session and the list of exceptions; nothing is called under it.
    state: Mutex<State>,
}

/// Values that a runner's threads feed to its operations, one element for each run.
#[derive(Clone)]
pub(crate) struct Source {
    /// The outputs to which the components of an element are fed.
    pub(crate) feeds: Vec<Endpoint>,
    /// Begins, in each thread of each session.
    pub(crate) open: Arc<Open>,
}

/// Makes the iterator of a source.
pub(crate) type Open = dyn Fn() -> Items + Send + Sync;

/// The elements of a source.
pub(crate) type Items = Box<dyn Iterator<Item = Result<Vec<Tensor>>> + Send>;

#[derive(Default)]
struct State {
    running: Vec<Running>,
    raised: Vec<Error>,
}

/// The threads of one session that have not ended, started or not.
struct Running {
    session: Weak<dyn Session>,
    threads: usize,
}

impl QueueRunner {
    /// Creates a runner for the queue of this name: what its threads run, what closes the queue at the end of the input, and
    /// what closes it and cancels what waits in it. An operation listed n times means n threads (S-209).
    ///
    /// # Errors
    /// A value error without a name or operations (S-207), or for operations of different graphs or that could not be
    /// made.
    pub fn new(
        queue: impl Into<String>,
        enqueue_ops: impl IntoIterator<Item = Operation>,
        close_op: &Operation,
        cancel_op: &Operation,
    ) -> Result<QueueRunner> {
        let queue = queue.into();
        let enqueue_ops: Vec<Operation> = enqueue_ops.into_iter().collect();
        if queue.is_empty() || enqueue_ops.is_empty() {
            return Err(Error::value("Must provide queue and enqueue_ops"));
        }
        // All operations of one graph: the runner is added to it and runs in its sessions.
        let graph = close_op.graph();
        for operation in enqueue_ops.iter().chain([close_op, cancel_op]) {
            operation.check_belongs_to(&graph).map_err(|error| match operation.error() {
                Some(_) => error,
                None => {
                    let name = operation.name();
                    Error::value(format!(
                        "operation '{name}' of the runner of queue '{queue}' belongs to another graph"
                    ))
                }
            })?;
        }
        Ok(QueueRunner(Arc::new(Inner {
            queue,
            enqueue_ops,
            close_op: close_op.clone(),
            cancel_op: cancel_op.clone(),
            closed_codes: vec![Code::OutOfRange],
            source: None,
            state: Mutex::default(),
        })))
    }

    /// Returns a runner for a queue, with its own operations to close and to cancel it, named after the queue with `_Close`
    /// and `_Close_1` (S-208). It must be made before the graph is frozen.
    ///
    /// ```
    /// use ops::data_flow::FifoQueue;
    /// use queue_runner::QueueRunner;
    /// use session_core::{DType, Graph};
    ///
    /// let graph = Graph::new();
    /// let queue = FifoQueue::new(&graph.named("numbers"), 8, DType::Float32).build();
    /// let enqueue = queue.enqueue(1.0f32);
    /// let runner = QueueRunner::for_queue(&queue, [&enqueue; 2])?; // two threads
    /// runner.add_to_graph()?;
    /// assert_eq!(runner.queue(), "numbers");
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`new`](QueueRunner::new).
    pub fn for_queue<O: Borrow<Operation>>(
        queue: &Queue,
        enqueue_ops: impl IntoIterator<Item = O>,
    ) -> Result<QueueRunner> {
        // New operations, which a finalized graph does not accept.
        let (close, cancel) = (queue.close(), queue.close_and_cancel_pending_enqueues());
        let enqueue_ops = enqueue_ops.into_iter().map(|operation| operation.borrow().clone());
        QueueRunner::new(queue.name(), enqueue_ops, &close, &cancel)
    }

    /// Returns the same runner, with other codes for the end of the input. Running threads keep theirs.
    ///
    /// # Errors
    /// A type error for an empty list (S-207).
    pub fn with_closed_codes(self, codes: &[Code]) -> Result<QueueRunner> {
        if codes.is_empty() {
            return Err(Error::type_mismatch("queue_closed_exception_types must not be empty"));
        }
        // A new runner rather than a change: threads of this one may be running.
        let inner = &*self.0;
        Ok(QueueRunner(Arc::new(Inner {
            queue: inner.queue.clone(),
            enqueue_ops: inner.enqueue_ops.clone(),
            close_op: inner.close_op.clone(),
            cancel_op: inner.cancel_op.clone(),
            closed_codes: codes.to_vec(),
            source: inner.source.clone(),
            state: Mutex::default(),
        })))
    }

    /// Returns the same runner, whose threads feed what a source yields; its end is the end of the input.
    pub(crate) fn with_source(self, source: Source) -> QueueRunner {
        let inner = &*self.0;
        QueueRunner(Arc::new(Inner {
            queue: inner.queue.clone(),
            enqueue_ops: inner.enqueue_ops.clone(),
            close_op: inner.close_op.clone(),
            cancel_op: inner.cancel_op.clone(),
            closed_codes: inner.closed_codes.clone(),
            source: Some(source),
            state: Mutex::default(),
        }))
    }

    /// Adds it to the collection of its graph from which monitored sessions start runners (S-217).
    ///
    /// # Errors
    /// On a finalized graph (S-12).
    pub fn add_to_graph(&self) -> Result<()> {
        self.close_op().graph().add_to_collection(&QUEUE_RUNNERS, self.clone())
    }

    /// Returns the name of the queue.
    #[must_use]
    pub fn queue(&self) -> &str {
        &self.0.queue
    }

    /// Returns the operations its threads run, one for each thread.
    #[must_use]
    pub fn enqueue_ops(&self) -> &[Operation] {
        &self.0.enqueue_ops
    }

    /// Returns the operation that closes the queue at the end of the input.
    #[must_use]
    pub fn close_op(&self) -> &Operation {
        &self.0.close_op
    }

    /// Returns the operation that closes the queue and cancels pending enqueues.
    #[must_use]
    pub fn cancel_op(&self) -> &Operation {
        &self.0.cancel_op
    }

    /// Returns the codes that mean the end of the input.
    #[must_use]
    pub fn closed_codes(&self) -> &[Code] {
        &self.0.closed_codes
    }

    /// Returns the errors of threads without a coordinator since threads were last created (S-215).
    #[must_use]
    pub fn exceptions_raised(&self) -> Vec<Error> {
        lock(&self.0.state).raised.clone()
    }

    /// Makes the threads for a session, not started yet: `QueueRunnerThread-<queue>-<op>` for each operation, and with
    /// a coordinator, which then knows them all, `QueueRunnerThread-<queue>-close_on_stop` (S-210).
    ///
    /// Gives none while threads of an earlier call for this session have not ended, even if they were never started
    /// (S-211).
    #[must_use]
    pub fn create_threads(
        &self,
        session: &Arc<dyn Session>,
        coordinator: Option<&Coordinator>,
    ) -> Vec<ManagedThread> {
        // Before anything is created, and under the lock, so that two callers do not start two sets.
        if !self.count_threads(session) {
            return Vec::new();
        }
        let work = Work {
            runner: self.clone(),
            session: session.clone(),
            coordinator: coordinator.cloned(),
            cancellation: CancellationToken::new(),
            all_ended: Arc::new(AtomicBool::new(false)),
        };
        // One thread per operation, also if it is listed several times.
        let mut threads: Vec<ManagedThread> =
            self.enqueue_ops().iter().map(|operation| work.clone().enqueue_thread(operation)).collect();
        if let Some(coordinator) = coordinator {
            threads.push(work.close_on_stop_thread(coordinator.clone()));
            threads.iter().for_each(|thread| coordinator.register(thread));
        }
        threads
    }

    /// Counts a new set of threads for a session; false when it has one.
    fn count_threads(&self, session: &Arc<dyn Session>) -> bool {
        let mut state = lock(&self.0.state);
        // Sessions that are gone are forgotten, since a runner may outlive many.
        state.running.retain(|running| running.threads > 0 && running.session.strong_count() > 0);
        if state.running.iter().any(|running| running.is_of(session)) {
            return false;
        }
        state.running.push(Running { session: Arc::downgrade(session), threads: self.enqueue_ops().len() });
        state.raised.clear();
        true
    }

    /// Counts one thread of a session less; true when it was the last.
    fn thread_ended(&self, session: &Arc<dyn Session>) -> bool {
        let mut state = lock(&self.0.state);
        let Some(running) = state.running.iter_mut().find(|running| running.is_of(session)) else {
            return false;
        };
        running.threads = running.threads.saturating_sub(1);
        running.threads == 0
    }

    fn is_closed(&self, failure: &Error) -> bool {
        failure.kind() == ErrorKind::Status && self.0.closed_codes.contains(&failure.code())
    }
}

impl GraphMember for QueueRunner {
    fn check_belongs_to(&self, graph: &Graph) -> Result<()> {
        // All its operations are of one graph.
        self.close_op().check_belongs_to(graph).map_err(|error| {
            Error::value(format!("the runner of queue '{}': {}", self.queue(), error.message()))
        })
    }
}

/// Runners are named after their queues.
impl Named for QueueRunner {
    fn name(&self) -> String {
        self.queue().to_owned()
    }
}

impl Running {
    fn is_of(&self, session: &Arc<dyn Session>) -> bool {
        // By address: a weak reference keeps the address from being used again.
        std::ptr::addr_eq(self.session.as_ptr(), Arc::as_ptr(session))
    }
}

impl fmt::Debug for QueueRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.enqueue_ops().iter().map(Operation::name).collect();
        f.debug_struct("QueueRunner")
            .field("queue", &self.0.queue)
            .field("enqueue_ops", &names)
            .finish_non_exhaustive()
    }
}

/// The state that the threads of one set share.
#[derive(Clone)]
struct Work {
    runner: QueueRunner,
    session: Arc<dyn Session>,
    coordinator: Option<Coordinator>,
    /// Ends an enqueue that is in flight once the queue was cancelled.
    cancellation: CancellationToken,
    all_ended: Arc<AtomicBool>,
}

/// The way in which an enqueue thread ended.
enum End {
    Stopped,
    InputEnded,
    Failed(Error),
}

impl Work {
    fn enqueue_thread(self, operation: &Operation) -> ManagedThread {
        let name = format!("QueueRunnerThread-{}-{}", self.runner.queue(), operation.name());
        let operation = operation.clone();
        ManagedThread::new(name, move || {
            // Counted down also when the engine panics.
            let counted = CountDown { work: &self, end: None };
            counted.finish(self.enqueue_until_end(&operation))
        })
    }

    fn stopped(&self) -> bool {
        self.coordinator.as_ref().is_some_and(Coordinator::should_stop)
    }

    fn enqueue_until_end(&self, operation: &Operation) -> End {
        if let Err(failure) = self.runner.check_belongs_to(self.session.graph()) {
            return End::Failed(failure);
        }
        let options = RunOptions::default().cancellation(self.cancellation.clone());
        let source = self.runner.0.source.as_ref();
        let feeds = source.map_or_else(Vec::new, |source| source.feeds.clone());
        let signature = StepSignature { targets: vec![operation.id()], feeds, ..StepSignature::default() };
        // Compiled once: the thread runs the same step until the end.
        let callable = match self.session.prepare(&signature) {
            Ok(callable) => callable,
            Err(failure) => return self.end_of(failure),
        };
        let queue = self.runner.queue();
        if let Some(source) = source {
            return self.enqueue_items(&callable, &options, (source.open)());
        }
        let _activity =
            report_activity(format!("running '{}', which fills queue '{queue}'", operation.name()));
        while !self.stopped() {
            if let Err(failure) = callable.call_with(&[], &options, None) {
                return self.end_of(failure);
            }
        }
        End::Stopped
    }

    fn enqueue_items(&self, callable: &Callable, options: &RunOptions, mut items: Items) -> End {
        let queue = self.runner.queue();
        while !self.stopped() {
            // The activity ends with the item, so that a thread that hangs names what it waits for.
            let item = {
                let _activity = report_activity(format!("waiting for an item of host producer '{queue}'"));
                items.next()
            };
            let values = match item {
                None => return End::InputEnded,
                // Never the end of the input, whatever its code: the source ends by returning nothing.
                Some(Err(failure)) => return End::Failed(failure),
                Some(Ok(values)) => values,
            };
            let _activity = report_activity(format!("enqueuing an item of host producer '{queue}'"));
            if let Err(failure) = callable.call_with(&values, options, None) {
                return self.end_of(failure);
            }
        }
        End::Stopped
    }

    fn end_of(&self, failure: Error) -> End {
        if self.runner.is_closed(&failure) {
            return End::InputEnded;
        }
        // An operation that this runner cancelled itself has not failed.
        if failure.code() == Code::Cancelled && self.cancellation.is_cancelled() {
            return End::Stopped;
        }
        End::Failed(failure)
    }

    fn close_on_stop_thread(self, coordinator: Coordinator) -> ManagedThread {
        let name = format!("QueueRunnerThread-{}-close_on_stop", self.runner.queue());
        ManagedThread::new(name, move || {
            // Before the stop: a thread that stops waits for everything after it.
            let cancel = self.prepare(self.runner.cancel_op());
            // Ends without a stop when all enqueue threads have, so that it does not keep a session alive.
            if coordinator.wait_for_stop_or(&self.all_ended) {
                let _activity = report_activity(format!("cancelling queue '{}'", self.runner.queue()));
                // The queue before the token: what waits in it then ends with the queue's own error.
                self.run_ignoring_errors(self.runner.cancel_op(), cancel);
                self.cancellation.cancel();
            }
            Ok(())
        })
    }

    fn prepare(&self, operation: &Operation) -> Result<Callable> {
        operation.check_belongs_to(self.session.graph())?;
        let signature = StepSignature { targets: vec![operation.id()], ..StepSignature::default() };
        self.session.prepare(&signature)
    }

    fn run_ignoring_errors(&self, operation: &Operation, callable: Result<Callable>) {
        if let Err(failure) = callable.and_then(|callable| callable.call(&[])) {
            let queue = escaped(self.runner.queue());
            debug!("'{}' of queue '{queue}': {}", escaped(operation.name()), failure.chain());
        }
    }
}

/// Removes a thread from the count when it ends, also when it panics.
struct CountDown<'a> {
    work: &'a Work,
    end: Option<End>,
}

impl CountDown<'_> {
    fn finish(mut self, end: End) -> Result<()> {
        let failure = match &end {
            End::Failed(failure) => Some(failure.clone()),
            End::Stopped | End::InputEnded => None,
        };
        if let Some(failure) = &failure {
            // Before the count, so that a thread that learns of the last thread's end finds the stop.
            self.report(failure);
        }
        self.end = Some(end);
        match failure {
            // Nothing else reports it (S-212).
            Some(failure) if self.work.coordinator.is_none() => Err(failure),
            _ => Ok(()),
        }
    }

    fn report(&self, failure: &Error) {
        match &self.work.coordinator {
            Some(coordinator) => {
                if let Err(failure) = coordinator.report_error(failure.clone()) {
                    warn!(
                        "queue '{}' after the coordinator was joined: {}",
                        escaped(self.work.runner.queue()),
                        failure.chain()
                    );
                }
            }
            None => {
                error!("Exception in QueueRunner: {}", failure.chain());
                lock(&self.work.runner.0.state).raised.push(failure.clone());
            }
        }
    }
}

impl Drop for CountDown<'_> {
    fn drop(&mut self) {
        let work = self.work;
        if !work.runner.thread_ended(&work.session) {
            return;
        }
        // The last thread decides, because the others may still have had elements to put in.
        let close = match &self.end {
            Some(End::InputEnded) => true,
            Some(End::Stopped) => false,
            // A coordinator stops, and cancels the queue.
            Some(End::Failed(_)) | None => work.coordinator.is_none(),
        };
        // Compiled only now, since most runners end with a cancelled queue.
        if close {
            let close = work.runner.close_op();
            work.run_ignoring_errors(close, work.prepare(close));
        }
        if self.end.is_none() {
            // A panic: the coordinator is about to hear of it, and the queue must then be cancelled.
            return;
        }
        // Pairs with the load in `wait_for_stop_or`.
        work.all_ended.store(true, Ordering::Release);
        if let Some(coordinator) = &work.coordinator {
            coordinator.wake();
        }
    }
}

/// Makes and starts the threads of all queue runners of the session's graph (S-218); see [`QUEUE_RUNNERS`].
///
/// Without any runner this logs a warning and gives an empty list.
///
/// # Errors
/// A value error for a runner of another graph; when the system cannot start a thread.
pub fn start_queue_runners(
    session: &Arc<dyn Session>,
    coordinator: Option<&Coordinator>,
) -> Result<Vec<ManagedThread>> {
    start_queue_runners_of(session, coordinator, &QUEUE_RUNNERS)
}

/// Works as [`start_queue_runners`], for the runners of another collection.
///
/// # Errors
/// A value error for a runner of another graph; when the system cannot start a thread.
pub fn start_queue_runners_of(
    session: &Arc<dyn Session>,
    coordinator: Option<&Coordinator>,
    collection: &CollectionKey<QueueRunner>,
) -> Result<Vec<ManagedThread>> {
    start_queue_runners_in_scope(session, coordinator, collection, "")
}

/// Works as [`start_queue_runners_of`], for the runners of queues whose names begin with `scope`: of the part of a graph that was
/// built in one name scope, such as the input of an evaluation.
///
/// # Errors
/// A value error for a runner of another graph; when the system cannot start a thread.
pub fn start_queue_runners_in_scope(
    session: &Arc<dyn Session>,
    coordinator: Option<&Coordinator>,
    collection: &CollectionKey<QueueRunner>,
    scope: &str,
) -> Result<Vec<ManagedThread>> {
    let runners = session.graph().collection_in_scope(collection, scope);
    if runners.is_empty() {
        let (name, scope) = (escaped(collection.name()), escaped(scope));
        warn!(
            "start_queue_runners was called, but the graph has no queue runner in '{name}' under '{scope}'"
        );
    }
    // All of them before any is started.
    runners.as_slice().check_belongs_to(session.graph())?;
    let threads: Vec<ManagedThread> =
        runners.iter().flat_map(|runner| runner.create_threads(session, coordinator)).collect();
    threads.iter().try_for_each(ManagedThread::start)?;
    Ok(threads)
}
