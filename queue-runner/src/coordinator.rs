//! Threads that stop together.

use crate::stop::{StopReason, StopSource};
use crate::sync::{
    Arc, AtomicBool, Condvar, JoinHandle, Mutex, MutexGuard, Ordering, PoisonError, Weak, lock, spawn_scoped,
    thread,
};
use crate::thread::{FOREIGN_POLL, ManagedThread, Watcher};
use log::{debug, error, info, warn};
use session_core::{CancellationToken, Code, Error, ErrorKind, Result};
use std::borrow::Cow;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use tensor::text::escaped;

/// Stops several threads together and reports the first failure to the thread that joins them. Clones share one
/// coordinator.
///
/// # Thread by thread
///
/// *A worker* runs `while !coordinator.should_stop() { .. }`. When it fails it calls
/// [`report_error`](Coordinator::report_error) (threads from [`spawn`](Coordinator::spawn) and registered ones do so
/// by failing or panicking). The first request stops all threads: it sets the flag and keeps its error, unless that is
/// a clean end (S-189). Later requests change nothing; their errors are logged and listed by
/// [`late_errors`](Coordinator::late_errors).
///
/// *The main thread* calls [`join`](Coordinator::join). It waits without limit until all threads have ended or a stop
/// is requested. It then allows the remaining threads a grace period, and returns the kept error or names the threads
/// that did not end (S-198, S-199).
///
/// No lock is held while user code runs or a message is logged.
///
/// ```
/// use queue_runner::Coordinator;
/// use session_core::{Code, Error};
///
/// let coordinator = Coordinator::new();
/// coordinator.spawn("worker", |coordinator| {
///     while !coordinator.should_stop() {
///         return Err(Error::new(Code::DataLoss, "the disk is gone"));
///     }
///     Ok(())
/// })?;
/// let error = coordinator.join(&[]).unwrap_err();
/// assert_eq!(error.code(), Code::DataLoss);
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Beyond TensorFlow
///
/// A panic in a thread is an error of that thread. Late errors are kept and logged (Q-51), and an error need not be
/// the one being handled when it is reported (Q-52). The wait before the stop can be limited as well (Q-53), and needs
/// no polling. Stops carry a [reason](Coordinator::stop_reason).
#[derive(Clone)]
pub struct Coordinator(Arc<Shared>);

struct Shared {
    clean_stop: Vec<Code>,
    /// Copies of parts of `state` that can be read without the lock.
    stopped: AtomicBool,
    failed: AtomicBool,
    /// Neither user code nor the logger is called while this lock is held.
    state: Mutex<State>,
    /// A stop was requested, or a watched thread ended.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Present if and only if a stop was requested.
    reason: Option<StopReason>,
    error: Option<Error>,
    late: Vec<Error>,
    threads: Vec<ManagedThread>,
    joined: bool,
    /// Cancelled as soon as a stop is requested.
    token: CancellationToken,
}

/// Options of [`Coordinator::join_with`].
///
/// ```
/// use queue_runner::JoinOptions;
/// use std::time::Duration;
/// let options = JoinOptions::default().stop_grace_period(Duration::from_secs(5)).ignore_live_threads(true);
/// # let _ = options;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinOptions {
    stop_grace_period: Duration,
    ignore_live_threads: bool,
    limit: Option<Duration>,
}

impl Default for JoinOptions {
    fn default() -> JoinOptions {
        JoinOptions { stop_grace_period: Duration::from_secs(120), ignore_live_threads: false, limit: None }
    }
}

impl JoinOptions {
    /// Sets the time to wait for threads after a stop request: TensorFlow's `stop_grace_period_secs`. Default: 120 s.
    ///
    /// ```
    /// use queue_runner::{Coordinator, JoinOptions};
    /// use std::time::Duration;
    /// let coordinator = Coordinator::new();
    /// coordinator.spawn("worker", |coordinator| {
    ///     coordinator.wait_for_stop(None);
    ///     Ok(())
    /// })?;
    /// coordinator.request_stop();
    /// coordinator.join_with(&[], &JoinOptions::default().stop_grace_period(Duration::from_secs(10)))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn stop_grace_period(mut self, grace: Duration) -> JoinOptions {
        self.stop_grace_period = grace;
        self
    }

    /// Sets whether threads that still run are only logged. Default: false.
    ///
    /// ```
    /// use queue_runner::JoinOptions;
    /// let options = JoinOptions::default().ignore_live_threads(true);
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn ignore_live_threads(mut self, ignore: bool) -> JoinOptions {
        self.ignore_live_threads = ignore;
        self
    }

    /// Sets the time after which a stop is requested if the threads have not ended. Default: no limit, as in TensorFlow.
    ///
    /// ```
    /// use queue_runner::{Coordinator, JoinOptions};
    /// use std::time::Duration;
    /// let coordinator = Coordinator::new();
    /// coordinator.join_with(&[], &JoinOptions::default().limit(Duration::from_secs(1)))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> JoinOptions {
        self.limit = Some(limit);
        self
    }
}

impl Coordinator {
    /// Creates a coordinator for which the status `OutOfRange` is a clean end (S-187).
    ///
    /// ```
    /// assert!(!queue_runner::Coordinator::new().should_stop());
    /// ```
    #[must_use]
    pub fn new() -> Coordinator {
        Coordinator::with_clean_stop(&[Code::OutOfRange])
    }

    /// Creates a coordinator for which status errors with these codes are clean ends.
    ///
    /// ```
    /// use queue_runner::Coordinator;
    /// use session_core::{Code, Error};
    /// let coordinator = Coordinator::with_clean_stop(&[Code::OutOfRange]);
    /// coordinator.report_error(Error::new(Code::OutOfRange, "no more input"))?;
    /// assert!(coordinator.should_stop() && !coordinator.has_error());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_clean_stop(codes: &[Code]) -> Coordinator {
        Coordinator(Arc::new(Shared {
            clean_stop: codes.to_vec(),
            stopped: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            state: Mutex::default(),
            changed: Condvar::new(),
        }))
    }

    // ---- stopping -----------------------------------------------------------------------------------

    /// Requests all threads to stop. The first request wins (S-189).
    ///
    /// ```
    /// let coordinator = queue_runner::Coordinator::new();
    /// coordinator.request_stop();
    /// assert!(coordinator.should_stop());
    /// ```
    pub fn request_stop(&self) {
        self.request_stop_because("");
    }

    /// Requests a stop as [`request_stop`](Coordinator::request_stop) does, with a reason.
    ///
    /// ```
    /// let coordinator = queue_runner::Coordinator::new();
    /// coordinator.request_stop_because("enough steps");
    /// assert_eq!(coordinator.stop_reason().unwrap().text(), "enough steps");
    /// ```
    pub fn request_stop_because(&self, text: impl Into<Cow<'static, str>>) {
        self.request_stop_with(StopReason::new(StopSource::Coordinator, text));
    }

    /// Requests a stop as [`request_stop`](Coordinator::request_stop) does, with a complete [`StopReason`].
    ///
    /// ```
    /// use queue_runner::{Coordinator, StopReason, StopSource};
    /// let coordinator = Coordinator::new();
    /// coordinator.request_stop_with(StopReason::new(StopSource::Handle, "the user pressed a key"));
    /// assert!(coordinator.should_stop());
    /// ```
    pub fn request_stop_with(&self, reason: StopReason) {
        // Under the lock, so that of two requests exactly one sets the reason.
        let mut state = self.0.state();
        if state.reason.is_none() {
            let token = self.0.stop(&mut state, reason);
            drop(state);
            // After the lock was released: callbacks of the token run here, and may ask this coordinator.
            token.cancel();
        }
    }

    /// Returns a token that is cancelled when a stop is requested: a run that is given it (see
    /// [`RunOptions`](session_core::RunOptions)) does not keep its thread from stopping.
    ///
    /// ```
    /// use queue_runner::Coordinator;
    ///
    /// let coordinator = Coordinator::new();
    /// let token = coordinator.stop_token();
    /// assert!(!token.is_cancelled());
    /// coordinator.request_stop();
    /// assert!(token.is_cancelled());
    /// ```
    #[must_use]
    pub fn stop_token(&self) -> CancellationToken {
        self.0.state().token.clone()
    }

    /// Requests all threads to stop because of an error. The first request wins and keeps its error for
    /// [`join`](Coordinator::join), unless it is a clean end (S-189, S-190).
    ///
    /// ```
    /// use queue_runner::Coordinator;
    /// use session_core::{Code, Error};
    /// let coordinator = Coordinator::new();
    /// coordinator.report_error(Error::new(Code::Internal, "the reader failed"))?;
    /// assert!(coordinator.join(&[]).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns the error itself after `join`, unless it is a clean end (S-191).
    pub fn report_error(&self, failure: Error) -> Result<()> {
        self.0.report(failure)
    }

    /// Runs a block and reports its error or panic instead of propagating it (S-196). Returns the value of the block.
    ///
    /// ```
    /// use session_core::{Code, Error};
    /// let coordinator = queue_runner::Coordinator::new();
    /// let result = coordinator.stop_on_exception(|| Err::<(), _>(Error::new(Code::Internal, "failed")));
    /// assert!(result.is_none() && coordinator.should_stop());
    /// ```
    pub fn stop_on_exception<T>(&self, block: impl FnOnce() -> Result<T>) -> Option<T> {
        // Nothing of the block is used after a panic, so its state need not be unwind safe.
        let outcome = catch_unwind(AssertUnwindSafe(block)).unwrap_or_else(|payload| {
            let thread = thread::current();
            let place = format!("thread '{}'", thread.name().unwrap_or("unnamed"));
            Err(Error::from_panic(&place, payload.as_ref()))
        });
        match outcome {
            Ok(value) => Some(value),
            Err(failure) => {
                if let Err(failure) = self.report_error(failure) {
                    warn!("error after the coordinator was joined: {}", failure.chain());
                }
                None
            }
        }
    }

    /// Returns a guard that requests a stop if a panic drops it, with that panic as the cause.
    ///
    /// ```
    /// let coordinator = queue_runner::Coordinator::new();
    /// let guard = coordinator.stop_on_panic();
    /// drop(guard);
    /// assert!(!coordinator.should_stop()); // dropped without a panic
    /// ```
    pub fn stop_on_panic(&self) -> PanicGuard {
        PanicGuard { coordinator: self.clone() }
    }

    /// Returns true if a stop was requested. Does not lock.
    ///
    /// ```
    /// let coordinator = queue_runner::Coordinator::new();
    /// let mut step = 0;
    /// while !coordinator.should_stop() {
    ///     step += 1;
    ///     if step == 3 {
    ///         coordinator.request_stop();
    ///     }
    /// }
    /// assert_eq!(step, 3);
    /// ```
    #[must_use]
    #[inline]
    pub fn should_stop(&self) -> bool {
        // Pairs with the store in `Shared::stop`: a thread that sees the stop also sees what the requester wrote
        // before it.
        self.0.stopped.load(Ordering::Acquire)
    }

    /// Returns true if an error was reported and kept. Does not lock.
    ///
    /// ```
    /// use session_core::{Code, Error};
    /// let coordinator = queue_runner::Coordinator::new();
    /// coordinator.report_error(Error::new(Code::Internal, "failed"))?;
    /// assert!(coordinator.has_error());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn has_error(&self) -> bool {
        // Pairs with the stores in `Shared::report` and `keep`, which follow that of the error.
        self.0.failed.load(Ordering::Acquire)
    }

    /// Returns the error that was kept.
    ///
    /// ```
    /// use session_core::{Code, Error};
    /// let coordinator = queue_runner::Coordinator::new();
    /// coordinator.report_error(Error::new(Code::Internal, "failed"))?;
    /// assert_eq!(coordinator.error().unwrap().message(), "failed");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn error(&self) -> Option<Error> {
        self.0.state().error.clone()
    }

    /// Returns the errors that were reported after the stop, in order (at most the first hundred).
    ///
    /// ```
    /// assert!(queue_runner::Coordinator::new().late_errors().is_empty());
    /// ```
    #[must_use]
    pub fn late_errors(&self) -> Vec<Error> {
        self.0.state().late.clone()
    }

    /// Returns the reason of the stop request, if there was one.
    ///
    /// ```
    /// let coordinator = queue_runner::Coordinator::new();
    /// assert!(coordinator.stop_reason().is_none());
    /// coordinator.request_stop_because("done");
    /// assert_eq!(coordinator.stop_reason().unwrap().text(), "done");
    /// ```
    #[must_use]
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.0.state().reason.clone()
    }

    /// Fails with the kept error, without clearing it (S-194).
    ///
    /// ```
    /// let coordinator = queue_runner::Coordinator::new();
    /// coordinator.request_stop();
    /// assert!(coordinator.raise_requested_exception().is_ok()); // no failure was reported
    /// ```
    ///
    /// # Errors
    /// Returns the kept error.
    pub fn raise_requested_exception(&self) -> Result<()> {
        self.error().map_or(Ok(()), Err)
    }

    /// Waits until a stop is requested or the timeout expires. Returns true if a stop was requested (S-194).
    ///
    /// ```
    /// use std::time::Duration;
    /// let coordinator = queue_runner::Coordinator::new();
    /// assert!(!coordinator.wait_for_stop(Some(Duration::ZERO)));
    /// coordinator.request_stop();
    /// assert!(coordinator.wait_for_stop(None));
    /// ```
    pub fn wait_for_stop(&self, timeout: Option<Duration>) -> bool {
        // A deadline that cannot be represented is as good as none.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        self.0.wait_until(deadline, |state| state.reason.is_some())
    }

    /// Waits until a stop is requested (true) or until `done` is set and [`wake`](Coordinator::wake) called (false).
    pub(crate) fn wait_for_stop_or(&self, done: &AtomicBool) -> bool {
        // The flag is read under the lock that `wake` takes, so no wake-up is lost between the check and the
        // wait.
        self.0.wait_until(None, |state| state.reason.is_some() || done.load(Ordering::Acquire));
        self.should_stop()
    }

    /// Wakes all waiters so that they re-check their condition.
    pub(crate) fn wake(&self) {
        // Notified under the lock for the same reason.
        let state = self.0.state();
        self.0.changed.notify_all();
        drop(state);
    }

    /// Clears the stop, its error, and the joined state. Registered threads remain (S-195).
    ///
    /// ```
    /// let coordinator = queue_runner::Coordinator::new();
    /// coordinator.request_stop();
    /// coordinator.clear_stop();
    /// assert!(!coordinator.should_stop());
    /// ```
    pub fn clear_stop(&self) {
        let mut state = self.0.state();
        // Registered threads stay, because they may still run; everything else is as new, including the
        // token, which cannot be uncancelled.
        let threads = std::mem::take(&mut state.threads);
        let old = std::mem::replace(&mut *state, State { threads, ..State::default() });
        self.0.stopped.store(false, Ordering::Release);
        self.0.failed.store(false, Ordering::Release);
        drop(state);
        // Dropped without the lock: the last clone of an error or token may run code of the program.
        drop(old);
    }

    // ---- threads ------------------------------------------------------------------------------------

    /// Starts a thread that is registered from the start: its error or panic is reported.
    ///
    /// ```
    /// let coordinator = queue_runner::Coordinator::new();
    /// coordinator.spawn("worker", |_| Ok(()))?;
    /// coordinator.request_stop();
    /// coordinator.join(&[])?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Fails if the system cannot create a thread.
    pub fn spawn(
        &self,
        name: impl Into<String>,
        body: impl FnOnce(&Coordinator) -> Result<()> + Send + 'static,
    ) -> Result<ManagedThread> {
        let coordinator = self.clone();
        let thread = ManagedThread::new(name, move || body(&coordinator));
        // Before the start, so that a thread that fails at once finds its coordinator.
        self.register(&thread);
        thread.start()?;
        Ok(thread)
    }

    /// Registers a thread: [`join`](Coordinator::join) waits for it, and its failure requests a stop. A join that has
    /// already started does not wait for it (S-202).
    pub fn register(&self, thread: &ManagedThread) {
        self.0.state().threads.push(thread.clone());
        // Weak, because a coordinator holds its threads: a strong reference would keep both alive forever.
        let shared: Weak<Shared> = Arc::downgrade(&self.0);
        thread.watch(shared);
    }

    /// Works as [`register`](Coordinator::register), for a thread of the standard library. Such a thread does not
    /// announce its end, so `join` polls it. To register a thread that returns a result, convert it with
    /// [`ManagedThread::from_handle`] first.
    pub fn register_handle(&self, handle: JoinHandle<()>) -> ManagedThread {
        let thread = ManagedThread::from_handle(handle);
        self.register(&thread);
        thread
    }

    /// Runs a block that may start threads which borrow from its environment, and waits for them to end. Errors and
    /// panics of the threads and of the block are reported, which stops the others. When this returns, all threads of
    /// the scope have ended; no [`join`](Coordinator::join) is needed.
    ///
    /// ```
    /// use queue_runner::Coordinator;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// let (numbers, sum) = (vec![1u64, 2, 3, 4], AtomicU64::new(0));
    /// Coordinator::new().scope(|scope| {
    ///     for half in numbers.chunks(2) {
    ///         let sum = &sum;
    ///         scope.spawn("adder", move |_| {
    ///             sum.fetch_add(half.iter().sum(), Ordering::Relaxed);
    ///             Ok(())
    ///         })?;
    ///     }
    ///     Ok(())
    /// })?;
    /// assert_eq!(sum.into_inner(), 10);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns the error or panic of the block, or the error that the coordinator keeps.
    pub fn scope<'env, T>(
        &self,
        block: impl for<'scope> FnOnce(&Scope<'scope, 'env>) -> Result<T>,
    ) -> Result<T> {
        // The scope of the standard library waits for all threads, also if the block fails.
        let outcome = thread::scope(|threads| {
            let scope = Scope { coordinator: self.clone(), threads };
            // Caught here, so that the other threads are stopped before the scope waits for them.
            let outcome = catch_unwind(AssertUnwindSafe(|| block(&scope))).unwrap_or_else(|payload| {
                Err(Error::from_panic("the block of a coordinator's scope", payload.as_ref()))
            });
            if let Err(failure) = &outcome
                && let Err(failure) = self.report_error(failure.clone())
            {
                debug!("after the coordinator was joined: {}", failure.chain());
            }
            outcome
        })?;
        // The error of a thread comes before the value of the block, which may be incomplete without it.
        self.raise_requested_exception()?;
        Ok(outcome)
    }

    /// Returns the threads registered since the last join.
    ///
    /// ```
    /// let coordinator = queue_runner::Coordinator::new();
    /// coordinator.spawn("worker", |_| Ok(()))?;
    /// assert_eq!(coordinator.registered()[0].name(), "worker");
    /// # coordinator.request_stop();
    /// # coordinator.join(&[])?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn registered(&self) -> Vec<ManagedThread> {
        self.0.state().threads.clone()
    }

    /// Returns true if [`join`](Coordinator::join) has ended (S-194).
    ///
    /// ```
    /// let coordinator = queue_runner::Coordinator::new();
    /// coordinator.request_stop();
    /// coordinator.join(&[])?;
    /// assert!(coordinator.is_joined());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_joined(&self) -> bool {
        self.0.state().joined
    }

    /// Waits for these threads and the registered ones, with the default [`JoinOptions`] (S-197).
    ///
    /// ```
    /// use session_core::{Code, Error};
    /// let coordinator = queue_runner::Coordinator::new();
    /// coordinator.spawn("worker", |_| Err(Error::new(Code::Unavailable, "the peer is gone")))?;
    /// assert_eq!(coordinator.join(&[]).unwrap_err().code(), Code::Unavailable);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`join_with`](Coordinator::join_with).
    pub fn join(&self, threads: &[ManagedThread]) -> Result<()> {
        self.join_with(threads, &JoinOptions::default())
    }

    /// Waits for these threads and the registered ones: first without limit until all have ended or a stop is
    /// requested, then for the grace period (S-198). If all threads end on their own, that is not a stop (S-200).
    ///
    /// ```
    /// use queue_runner::{Coordinator, JoinOptions};
    /// use std::time::Duration;
    /// let coordinator = Coordinator::new();
    /// coordinator.request_stop();
    /// coordinator.join_with(&[], &JoinOptions::default().stop_grace_period(Duration::from_secs(1)))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns the kept error. If there is none, returns a runtime error that names the threads still running, unless
    /// the options ignore them (S-198, S-199).
    pub fn join_with(&self, threads: &[ManagedThread], options: &JoinOptions) -> Result<()> {
        // Taken out of the list: a second join does not wait for them again.
        let threads = self.take_threads(threads);
        self.wait_for_stop_or_end(&threads, options.limit);
        // The grace period begins with the stop and not with the join.
        let deadline = Instant::now().checked_add(options.stop_grace_period);
        self.wait_for_threads(&threads, deadline, |_| false);
        let mut alive = Vec::new();
        for thread in &threads {
            // A thread cannot wait for its own end, so one that joins itself is left out.
            if thread.is_alive() && !thread.is_current() {
                alive.push(thread);
            } else if let Err(failure) = thread.reap() {
                // Registered threads have already reported it; a thread that was only passed in here has not.
                self.keep(failure);
            }
        }
        // Set before the result is known, so that later errors go to their threads and not to a coordinator
        // that nobody asks.
        self.0.state().joined = true;
        self.finish_join(&alive, options.ignore_live_threads)
    }

    /// Returns the threads to wait for, each once, all watched.
    fn take_threads(&self, given: &[ManagedThread]) -> Vec<ManagedThread> {
        let mut threads = std::mem::take(&mut self.0.state().threads);
        for thread in given {
            if !threads.iter().any(|known| known.is_same(thread)) {
                let shared: Weak<Shared> = Arc::downgrade(&self.0);
                thread.watch(shared);
                threads.push(thread.clone());
            }
        }
        threads
    }

    fn wait_for_stop_or_end(&self, threads: &[ManagedThread], limit: Option<Duration>) {
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        let in_time = self.wait_for_threads(threads, deadline, |state| state.reason.is_some());
        if !in_time && limit.is_some() {
            self.request_stop_because("the time limit of join was reached");
        }
    }

    /// Waits until all threads ended or `enough`; false when the deadline came first.
    fn wait_for_threads(
        &self,
        threads: &[ManagedThread],
        deadline: Option<Instant>,
        enough: impl Fn(&State) -> bool,
    ) -> bool {
        // `is_alive` takes the lock of a thread while that of the coordinator is held; this order is the only
        // one used.
        let ended = || threads.iter().all(|thread| !thread.is_alive() || thread.is_current());
        if !threads.iter().any(ManagedThread::is_foreign) {
            return self.0.wait_until(deadline, |state| enough(state) || ended());
        }
        loop {
            // Threads of the standard library announce nothing, so they are polled.
            let pause = Instant::now() + FOREIGN_POLL;
            let until = deadline.map_or(pause, |deadline| deadline.min(pause));
            if self.0.wait_until(Some(until), |state| enough(state) || ended()) {
                return true;
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return false;
            }
        }
    }

    fn keep(&self, failure: Error) {
        let mut state = self.0.state();
        // After a stop request an error is a consequence of it.
        if state.error.is_none() && state.reason.is_none() && !self.0.is_clean(&failure) {
            state.error = Some(failure);
            self.0.failed.store(true, Ordering::Release);
        }
    }

    fn finish_join(&self, alive: &[&ManagedThread], ignore_live_threads: bool) -> Result<()> {
        let failure = self.error();
        if alive.is_empty() {
            return failure.map_or(Ok(()), Err);
        }
        let text = format!("Coordinator stopped with threads still running: {}", stragglers(alive));
        match failure {
            Some(failure) => {
                warn!("{}", escaped(text));
                Err(failure)
            }
            None if ignore_live_threads => {
                info!("{}", escaped(text));
                Ok(())
            }
            None => Err(Error::runtime(text)),
        }
    }
}

/// A scope for threads that borrow from their environment. See [`Coordinator::scope`].
#[derive(Debug)]
pub struct Scope<'scope, 'env> {
    coordinator: Coordinator,
    threads: &'scope thread::Scope<'scope, 'env>,
}

impl<'scope> Scope<'scope, '_> {
    /// Starts a thread whose error or panic is reported.
    ///
    /// # Errors
    /// Fails if the system cannot create a thread.
    pub fn spawn(
        &self,
        name: impl Into<String>,
        body: impl FnOnce(&Coordinator) -> Result<()> + Send + 'scope,
    ) -> Result<ManagedThread> {
        let (name, coordinator) = (name.into(), self.coordinator.clone());
        let managed = ManagedThread::scoped(name.clone());
        let shared: Weak<Shared> = Arc::downgrade(&coordinator.0);
        managed.watch(shared);
        let running = managed.clone();
        // The thread runs on the scope's own thread; `ManagedThread` only follows it.
        let run = move || running.run_here(|| body(&coordinator));
        spawn_scoped(self.threads, name.clone(), run).map_err(|error| {
            let text = format!("thread '{name}' could not be started");
            Error::new(Code::ResourceExhausted, text).with_source(error)
        })?;
        Ok(managed)
    }

    /// Returns the coordinator to which the threads report.
    #[must_use]
    pub fn coordinator(&self) -> &Coordinator {
        &self.coordinator
    }
}

impl Default for Coordinator {
    fn default() -> Coordinator {
        Coordinator::new()
    }
}

impl fmt::Debug for Coordinator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.state();
        f.debug_struct("Coordinator")
            .field("reason", &state.reason)
            .field("error", &state.error)
            .field("threads", &state.threads.len())
            .field("joined", &state.joined)
            .finish()
    }
}

/// Returns the names of threads, with the activities that they report.
fn stragglers(alive: &[&ManagedThread]) -> String {
    let names: Vec<&str> = alive.iter().map(|thread| thread.name()).collect();
    let doing = alive.iter().filter_map(|thread| Some(format!("{}: {}", thread.name(), thread.activity()?)));
    let doing: Vec<String> = doing.collect();
    match doing.as_slice() {
        [] => names.join(" "),
        _ => format!("{} ({})", names.join(" "), doing.join("; ")),
    }
}

/// The number of late errors that are kept.
const MAX_LATE: usize = 100;

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn is_clean(&self, failure: &Error) -> bool {
        // Misuse errors have codes too, but none of them ends the input.
        failure.kind() == ErrorKind::Status && self.clean_stop.contains(&failure.code())
    }

    /// Returns the token, which the caller cancels after it has released the lock.
    #[must_use]
    fn stop(&self, state: &mut State, reason: StopReason) -> CancellationToken {
        state.reason = Some(reason);
        self.stopped.store(true, Ordering::Release);
        self.changed.notify_all();
        state.token.clone()
    }

    fn report(&self, failure: Error) -> Result<()> {
        let clean = self.is_clean(&failure);
        let mut state = self.state();
        // Nobody asks a joined coordinator, so the error goes back to the caller instead of being lost.
        if state.joined {
            return if clean { Ok(()) } else { Err(failure) };
        }
        if state.reason.is_some() {
            // Bounded: a thread in a loop may fail any number of times.
            if state.late.len() < MAX_LATE {
                state.late.push(failure.clone());
            }
            drop(state);
            // Errors that the stop itself causes are expected.
            match failure.code() {
                Code::Cancelled | Code::OutOfRange => debug!("after the stop: {}", failure.chain()),
                _ => warn!("error after the stop was requested, not kept: {}", failure.chain()),
            }
            return Ok(());
        }
        let source = if clean { StopSource::EndOfInput } else { StopSource::Failure };
        // Set before the flags, which are read without the lock.
        if !clean {
            state.error = Some(failure.clone());
            self.failed.store(true, Ordering::Release);
        }
        let token = self.stop(&mut state, StopReason::new(source, failure.message().to_owned()));
        drop(state);
        token.cancel();
        // Logged without the lock, since a logger may block or use this coordinator.
        if !clean {
            error!("Error reported to Coordinator: {}", failure.chain());
        }
        Ok(())
    }

    /// Waits until something holds (true) or the deadline (false). `holds` may lock threads, whose locks come after
    /// this one.
    fn wait_until(&self, deadline: Option<Instant>, holds: impl Fn(&State) -> bool) -> bool {
        // The condition is checked in a loop, because wake-ups may be spurious.
        let mut state = self.state();
        loop {
            if holds(&state) {
                return true;
            }
            state = match deadline {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return false;
                    }
                    self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

impl Watcher for Shared {
    fn thread_ended(&self, name: &str, failure: Option<&Error>) {
        // The error before the wake-up, so that whoever is woken finds it.
        if let Some(failure) = failure
            && let Err(failure) = self.report(failure.clone())
        {
            warn!("thread '{name}' failed after the coordinator was joined: {}", failure.chain());
        }
        let state = self.state();
        self.changed.notify_all();
        drop(state);
    }
}

/// Requests a stop if a panic drops it. See [`Coordinator::stop_on_panic`].
#[derive(Debug)]
#[must_use = "dropped at once it guards nothing"]
pub struct PanicGuard {
    coordinator: Coordinator,
}

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        let thread = thread::current();
        let place = format!("thread '{}'", thread.name().unwrap_or("unnamed"));
        if let Err(failure) = self.coordinator.report_error(Error::from_panic(&place, &"see its output")) {
            warn!("{}", failure.chain());
        }
    }
}
