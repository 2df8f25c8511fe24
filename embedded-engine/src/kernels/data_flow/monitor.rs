//! State that operations of several steps wait for: areas of staged values, accumulators, barriers.
//!
//! The thread that changes the state wakes all waiting operations, and each tries again. That is simpler than
//! the queues, where the thread that changes something serves the waiting operations in order, and it
//! suffices where few wait at a time. It promises no order among waiting operations.
//!
//! An operation is a [`Job`]: it attempts to change the state under the lock, and delivers its outputs
//! outside it. A job that was done and not delivered, because the run ended, is undone.

use super::sync::{Arc, Mutex, MutexGuard, Thread, current, lock};
use crate::kernel::{Ability, Begin, Kernel, KernelContext, Wait};
use session_core::{Code, Error, Result};
use std::cell::RefCell;
use tensor::{DType, Tensor};

/// A state, and the operations that wait for it to change. Its lock is held only while the state itself is
/// read or changed.
pub(super) struct Monitor<S> {
    /// The guarded part.
    inner: Mutex<Inner<S>>,
}

/// The state and the waiting operations.
struct Inner<S> {
    /// The state.
    state: S,
    /// The numbers and threads of operations that wait, each at most once.
    waiting: Vec<(u64, Thread)>,
    /// The number of the next operation that waits.
    next: u64,
}

impl<S> Inner<S> {
    /// Wakes all waiters, which register again if they still have to wait.
    fn wake(&mut self) {
        self.waiting.drain(..).for_each(|(_, thread)| thread.unpark());
    }
}

/// Something to be done with a state as soon as that can be.
pub(super) trait Job<S> {
    /// Completes the operation if it can be done now, or fails if it never can; `None` to wait. Must leave
    /// the state unchanged unless it returns `Some(Ok(()))`.
    fn attempt(&mut self, state: &mut S) -> Option<Result<()>>;

    /// Reverts the change, because the run ended before the result was delivered. Other operations may have
    /// changed the state since.
    fn undo(&mut self, state: &mut S);

    /// Sets the outputs. Called once, after a successful attempt, without the lock.
    fn deliver(&mut self, context: &mut KernelContext<'_>) -> Result<()>;

    /// Describes the wait, for messages.
    fn describe(&self) -> String;
}

impl<S> Monitor<S> {
    /// Makes a monitor of a state for which nothing waits.
    pub(super) fn new(state: S) -> Monitor<S> {
        Monitor { inner: Mutex::new(Inner { state, waiting: Vec::new(), next: 0 }) }
    }

    /// Locks the state for a moment.
    fn lock(&self) -> MutexGuard<'_, Inner<S>> {
        lock(&self.inner)
    }

    /// Calls a function with the state, then wakes all waiters. For operations that never wait.
    pub(super) fn with<R>(&self, change: impl FnOnce(&mut S) -> R) -> R {
        let mut inner = self.lock();
        let result = change(&mut inner.state);
        // Also after a look that changed nothing: whether it did is not worth a flag.
        inner.wake();
        result
    }
}

/// Runs an operation, or registers its wait if it cannot complete now.
pub(super) fn begin<S: 'static>(
    monitor: &Arc<Monitor<S>>,
    mut job: impl Job<S> + 'static,
    context: &mut KernelContext<'_>,
) -> Result<Option<Box<dyn Wait>>> {
    let mut inner = monitor.lock();
    if let Some(done) = job.attempt(&mut inner.state) {
        inner.wake();
        drop(inner);
        return done.and_then(|()| job.deliver(context)).map(|()| None);
    }
    let number = inner.next;
    inner.next += 1;
    // Under the same lock as the attempt, so that no change in between is missed.
    inner.waiting.push((number, current()));
    drop(inner);
    let monitor = monitor.clone();
    Ok(Some(Box::new(Waiting { monitor, number, job: RefCell::new((Box::new(job), None)) })))
}

/// A job that could not be done at once.
struct Waiting<S> {
    /// The state.
    monitor: Arc<Monitor<S>>,
    /// The number under which the thread is registered.
    number: u64,
    /// The job, and its outcome from its deed to its delivery. In a cell, because a look at the wait attempts
    /// the job.
    job: RefCell<(Box<dyn Job<S>>, Option<Result<()>>)>,
}

impl<S> Wait for Waiting<S> {
    /// Attempts the job again, and registers the calling thread if it still has to wait. Returns true once it
    /// is done or has failed.
    fn is_done(&self) -> bool {
        let (job, outcome) = &mut *self.job.borrow_mut();
        if outcome.is_some() {
            return true;
        }
        let mut inner = self.monitor.lock();
        *outcome = job.attempt(&mut inner.state);
        inner.waiting.retain(|(number, _)| *number != self.number);
        match outcome {
            Some(_) => inner.wake(),
            // The thread that asks is the one to wake; it may be another one than began.
            None => inner.waiting.push((self.number, current())),
        }
        outcome.is_some()
    }

    /// Delivers the outputs of a job that was done, or returns its error.
    fn finish(&mut self, context: &mut KernelContext<'_>) -> Result<()> {
        let (job, outcome) = self.job.get_mut();
        let text = "the outcome of an operation was requested before it was available";
        outcome.take().unwrap_or_else(|| Err(Error::new(Code::Internal, text)))?;
        job.deliver(context)
    }

    fn describe(&self) -> String {
        self.job.borrow().0.describe()
    }
}

impl<S> Drop for Waiting<S> {
    /// Ends the wait, and undoes a job whose outcome was not delivered.
    fn drop(&mut self) {
        let (job, outcome) = self.job.get_mut();
        let mut inner = self.monitor.lock();
        inner.waiting.retain(|(number, _)| *number != self.number);
        // Delivered outcomes were taken out of the cell, and failed ones have changed nothing.
        if let Some(Ok(())) = outcome {
            job.undo(&mut inner.state);
            inner.wake();
        }
    }
}

/// A kernel that begins with a job.
struct Begins<F>(F);

/// Returns the kernel of an operation that may wait, from what begins it.
pub(super) fn begins<F>(begin: F) -> Box<dyn Kernel>
where
    F: Fn(&mut KernelContext<'_>) -> Result<Option<Box<dyn Wait>>> + Send + Sync + 'static,
{
    Box::new(Begins(begin))
}

impl<F> Kernel for Begins<F>
where
    F: Fn(&mut KernelContext<'_>) -> Result<Option<Box<dyn Wait>>> + Send + Sync,
{
    fn run(&self, context: &mut KernelContext<'_>) -> Result<()> {
        super::run_to_end(self, context)
    }

    fn ability(&self) -> Ability<'_> {
        Ability::Begins(self)
    }
}

impl<F> Begin for Begins<F>
where
    F: Fn(&mut KernelContext<'_>) -> Result<Option<Box<dyn Wait>>>,
{
    fn begin(&self, context: &mut KernelContext<'_>) -> Result<Option<Box<dyn Wait>>> {
        (self.0)(context)
    }
}

/// Returns the tensors that an operation takes, from an input on.
pub(super) fn taken(context: &mut KernelContext<'_>, first: usize) -> Vec<Tensor> {
    (first..context.num_inputs()).map(|index| context.take(index)).collect()
}

/// Sets outputs of these dtypes, the first of them at a place.
///
/// # Errors
///
/// `InvalidArgument` if the values have other dtypes: areas hold any values, so a mismatch shows only here.
/// The values are lost then.
pub(super) fn give(
    context: &mut KernelContext<'_>,
    first: usize,
    values: &mut Vec<Tensor>,
    dtypes: &[DType],
    from: &str,
) -> Result<()> {
    let found: Vec<DType> = values.iter().map(Tensor::dtype).collect();
    if found != dtypes {
        let text = format!("{from} holds values of {found:?}, {dtypes:?} are requested");
        return Err(Error::invalid_argument(text));
    }
    values.drain(..).enumerate().for_each(|(place, value)| context.set(first + place, value));
    Ok(())
}
