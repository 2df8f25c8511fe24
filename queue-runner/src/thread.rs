//! Named threads whose end is reported.

use crate::sync::{Arc, Condvar, JoinHandle, Mutex, Weak, is_finished, lock, thread};
use session_core::{Code, Error, Result};
use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

type Body = Box<dyn FnOnce() -> Result<()> + Send>;

/// Hears of the end of a thread.
pub(crate) trait Watcher: Send + Sync {
    /// A thread ended, with this error if it failed or panicked.
    fn thread_ended(&self, name: &str, failure: Option<&Error>);
}

/// A thread that a [`Coordinator`](crate::Coordinator) can wait for: named, made before it is started, and never lost
/// in silence. Clones are one thread.
///
/// The result of its body, or the panic that ended it, goes to every coordinator that it is registered with, and to
/// the caller of [`join`](ManagedThread::join).
///
/// ```
/// use queue_runner::ManagedThread;
/// let thread = ManagedThread::new("counting", || { let _sum: u64 = (0..10).sum(); Ok(()) });
/// assert!(!thread.is_alive());
/// thread.start()?;
/// thread.join()?;
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone)]
pub struct ManagedThread(Arc<Inner>);

struct Inner {
    name: String,
    /// Guards the state; neither the body nor a watcher is called under it.
    state: Mutex<State>,
    ended: Condvar,
}

struct State {
    life: Life,
    failure: Option<Error>,
    watchers: Vec<Weak<dyn Watcher>>,
    /// The activities that the thread reports, the innermost last.
    doing: Vec<Cow<'static, str>>,
}

thread_local! {
    /// The managed thread that this thread is.
    static CURRENT: RefCell<Option<ManagedThread>> = const { RefCell::new(None) };
}

/// Reports the activity of the calling thread for as long as the returned guard exists: a thread that waits for it in vain
/// then tells more than its name. Does nothing in threads that are no [`ManagedThread`].
///
/// ```
/// use queue_runner::{Coordinator, JoinOptions, report_activity};
/// use std::{sync::mpsc, time::Duration};
///
/// let (answer, question) = mpsc::channel::<()>();
/// let (ready, is_ready) = mpsc::channel::<()>();
/// let coordinator = Coordinator::new();
/// coordinator.spawn("reader", move |_| {
///     let _activity = report_activity("waiting for the answer of the file server");
///     ready.send(()).ok();
///     question.recv().ok();
///     Ok(())
/// })?;
/// is_ready.recv().ok();
/// coordinator.request_stop();
/// let error = coordinator.join_with(&[], &JoinOptions::default().stop_grace_period(Duration::ZERO)).unwrap_err();
/// assert!(error.message().ends_with("reader (reader: waiting for the answer of the file server)"));
/// # drop(answer);
/// # Ok::<(), session_core::Error>(())
/// ```
pub fn report_activity(what: impl Into<Cow<'static, str>>) -> ActivityGuard {
    // Cloned, so that the cell is not borrowed while the lock of the thread is taken.
    let thread = CURRENT.with_borrow(Clone::clone);
    if let Some(thread) = &thread {
        lock(&thread.0.state).doing.push(what.into());
    }
    ActivityGuard(thread)
}

/// Clears the activity of [`report_activity`] when it is dropped.
#[derive(Debug)]
#[must_use = "the activity is cleared when the guard is dropped"]
pub struct ActivityGuard(Option<ManagedThread>);

impl Drop for ActivityGuard {
    fn drop(&mut self) {
        if let Some(thread) = &self.0 {
            lock(&thread.0.state).doing.pop();
        }
    }
}

enum Life {
    /// Made, not started.
    Waiting(Body),
    Running(Option<JoinHandle<()>>),
    /// Started elsewhere, so that only polling shows whether it ended. `None` while another thread joins it.
    Foreign(Option<Box<dyn Foreign>>),
    Ended(Option<JoinHandle<()>>),
}

/// The result of a standard library thread: nothing, or a `Result` whose error is the failure of the thread.
///
/// ```
/// use queue_runner::ManagedThread;
/// let handle = std::thread::spawn(|| Ok::<(), session_core::Error>(()));
/// assert!(ManagedThread::from_handle(handle).join().is_ok());
/// ```
pub trait ThreadOutcome: Send + 'static {
    /// Returns the failure, if it is one.
    fn failure(self) -> Option<Error>;
}

impl ThreadOutcome for () {
    fn failure(self) -> Option<Error> {
        None
    }
}

impl<T: Send + 'static, E: Into<Error> + Send + 'static> ThreadOutcome for Result<T, E> {
    fn failure(self) -> Option<Error> {
        self.err().map(Into::into)
    }
}

/// A thread that was started elsewhere, whatever it returns.
trait Foreign: Send {
    fn is_finished(&self) -> bool;
    fn is_current(&self) -> bool;
    /// Waits for its end and gives its failure, or its panic.
    fn join(self: Box<Self>, name: &str) -> Option<Error>;
}

impl<T: ThreadOutcome> Foreign for JoinHandle<T> {
    fn is_finished(&self) -> bool {
        is_finished(self)
    }

    fn is_current(&self) -> bool {
        self.thread().id() == thread::current().id()
    }

    fn join(self: Box<Self>, name: &str) -> Option<Error> {
        match JoinHandle::join(*self) {
            Ok(outcome) => outcome.failure(),
            Err(payload) => Some(Error::from_panic(&format!("thread '{name}'"), payload.as_ref())),
        }
    }
}

impl ManagedThread {
    /// Creates a thread that is not started yet.
    ///
    /// ```
    /// use queue_runner::ManagedThread;
    /// let thread = ManagedThread::new("reader", || Ok(()));
    /// thread.start()?;
    /// thread.join()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn new(name: impl Into<String>, body: impl FnOnce() -> Result<()> + Send + 'static) -> ManagedThread {
        ManagedThread::of(name.into(), Life::Waiting(Box::new(body)))
    }

    /// Wraps a thread that was started elsewhere. Its panic counts as its failure, and so does the error of a result that it
    /// returns.
    ///
    /// ```
    /// use queue_runner::ManagedThread;
    /// let handle = std::thread::spawn(|| std::fs::read("no such file"));
    /// let failure = ManagedThread::from_handle(handle).join().unwrap_err();
    /// assert_eq!(failure.code(), session_core::Code::NotFound);
    /// ```
    #[must_use]
    pub fn from_handle<T: ThreadOutcome>(handle: JoinHandle<T>) -> ManagedThread {
        let name = handle.thread().name().unwrap_or("unnamed").to_owned();
        ManagedThread::of(name, Life::Foreign(Some(Box::new(handle))))
    }

    fn of(name: String, life: Life) -> ManagedThread {
        let state = State { life, failure: None, watchers: Vec::new(), doing: Vec::new() };
        ManagedThread(Arc::new(Inner { name, state: Mutex::new(state), ended: Condvar::new() }))
    }

    /// Returns its name, also that of the thread of the operating system.
    ///
    /// ```
    /// use queue_runner::ManagedThread;
    /// assert_eq!(ManagedThread::new("reader", || Ok(())).name(), "reader");
    /// ```
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the activity that the thread has [reported](report_activity), if any.
    #[must_use]
    pub fn activity(&self) -> Option<Cow<'static, str>> {
        lock(&self.0.state).doing.last().cloned()
    }

    /// Returns a thread that is about to run in a scope, where the caller starts it.
    pub(crate) fn scoped(name: String) -> ManagedThread {
        ManagedThread::of(name, Life::Running(None))
    }

    /// Runs the body as this thread.
    pub(crate) fn run_here(&self, body: impl FnOnce() -> Result<()>) {
        self.0.run(body);
    }

    /// Starts the thread.
    ///
    /// ```
    /// use queue_runner::ManagedThread;
    /// let thread = ManagedThread::new("reader", || Ok(()));
    /// thread.start()?;
    /// thread.join()?;
    /// assert!(!thread.is_alive());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When it was started before, and `ResourceExhausted` when the system cannot start a thread.
    pub fn start(&self) -> Result<()> {
        let mut state = lock(&self.0.state);
        // Checked before the body is taken out, so that a thread that runs is left as it is.
        let Life::Waiting(_) = state.life else {
            return Err(Error::runtime(format!("thread '{}' was started before", self.0.name)));
        };
        let Life::Waiting(body) = std::mem::replace(&mut state.life, Life::Running(None)) else {
            return Ok(());
        };
        let inner = self.0.clone();
        let builder = thread::Builder::new().name(self.0.name.clone());
        // The new thread waits for the lock that is held here before it can end.
        match builder.spawn(move || inner.run(body)) {
            Ok(handle) => {
                state.life = Life::Running(Some(handle));
                Ok(())
            }
            Err(error) => {
                state.life = Life::Ended(None);
                // The body is dropped with the failed attempt, so the thread counts as ended.
                let text = format!("thread '{}' could not be started", self.0.name);
                Err(Error::new(Code::ResourceExhausted, text).with_source(error))
            }
        }
    }

    /// Returns true if it was started and has not ended.
    ///
    /// ```
    /// use queue_runner::ManagedThread;
    /// assert!(!ManagedThread::new("reader", || Ok(())).is_alive()); // not started
    /// ```
    #[must_use]
    pub fn is_alive(&self) -> bool {
        match &lock(&self.0.state).life {
            Life::Running(_) => true,
            Life::Foreign(handle) => handle.as_ref().is_none_or(|handle| !handle.is_finished()),
            Life::Waiting(_) | Life::Ended(_) => false,
        }
    }

    /// Returns true if both are one thread.
    ///
    /// ```
    /// use queue_runner::ManagedThread;
    /// let thread = ManagedThread::new("reader", || Ok(()));
    /// assert!(thread.is_same(&thread.clone()));
    /// ```
    #[must_use]
    pub fn is_same(&self, other: &ManagedThread) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Returns true if only asking again tells that it ended.
    pub(crate) fn is_foreign(&self) -> bool {
        matches!(lock(&self.0.state).life, Life::Foreign(_))
    }

    /// Waits for the thread to end. A thread that was never started counts as ended.
    ///
    /// ```
    /// use queue_runner::ManagedThread;
    /// use session_core::{Code, Error};
    /// let thread = ManagedThread::new("reader", || Err(Error::new(Code::NotFound, "no such file")));
    /// thread.start()?;
    /// assert_eq!(thread.join().unwrap_err().code(), Code::NotFound);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns the result of the body, or its panic; the same each time.
    pub fn join(&self) -> Result<()> {
        self.wait(None);
        self.reap()
    }

    /// Waits for the thread to end, up to a timeout. Returns true if it has ended.
    ///
    /// ```
    /// use queue_runner::ManagedThread;
    /// use std::time::Duration;
    /// let thread = ManagedThread::new("reader", || Ok(()));
    /// thread.start()?;
    /// assert!(thread.join_timeout(Duration::from_secs(60)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn join_timeout(&self, timeout: Duration) -> bool {
        self.wait(Instant::now().checked_add(timeout))
    }

    fn wait(&self, deadline: Option<Instant>) -> bool {
        let mut state = lock(&self.0.state);
        // Without a deadline the thread can be joined, which needs no polling.
        if let (Life::Foreign(handle @ Some(_)), None) = (&mut state.life, deadline) {
            let handle = handle.take();
            drop(state);
            self.0.reap_foreign(handle);
            return true;
        }
        loop {
            let pause = match &state.life {
                Life::Waiting(_) | Life::Ended(_) => return true,
                Life::Foreign(Some(handle)) if handle.is_finished() => return true,
                Life::Foreign(Some(_)) => Some(FOREIGN_POLL),
                // Whoever joins a foreign thread announces its end.
                Life::Running(_) | Life::Foreign(None) => None,
            };
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return false;
            }
            let timeout = pause.into_iter().chain(left).min();
            state = match timeout {
                Some(timeout) => {
                    let woken = self.0.ended.wait_timeout(state, timeout);
                    woken.unwrap_or_else(crate::sync::PoisonError::into_inner).0
                }
                None => self.0.ended.wait(state).unwrap_or_else(crate::sync::PoisonError::into_inner),
            };
        }
    }

    /// Releases the resources of an ended thread.
    ///
    /// # Errors
    /// As [`join`](ManagedThread::join).
    pub(crate) fn reap(&self) -> Result<()> {
        let mut state = lock(&self.0.state);
        let (foreign, ended) = match &mut state.life {
            // Only if it has ended: a join would block.
            Life::Foreign(handle) => (handle.take_if(|handle| handle.is_finished()), None),
            Life::Ended(handle) => (None, handle.take()),
            Life::Waiting(_) | Life::Running(_) => (None, None),
        };
        drop(state);
        self.0.reap_foreign(foreign);
        // The body has returned; what is left is the end of the thread itself, unless it is this very one.
        if let Some(handle) = ended.filter(|handle| handle.thread().id() != thread::current().id()) {
            let _caught_in_the_thread = handle.join();
        }
        lock(&self.0.state).failure.clone().map_or(Ok(()), Err)
    }

    /// Returns true if the caller is this thread.
    pub(crate) fn is_current(&self) -> bool {
        match &lock(&self.0.state).life {
            Life::Running(Some(handle)) => handle.thread().id() == thread::current().id(),
            Life::Foreign(Some(handle)) => handle.is_current(),
            _ => false,
        }
    }

    /// Notifies a watcher of the end, immediately if the thread has already ended.
    pub(crate) fn watch(&self, watcher: Weak<dyn Watcher>) {
        // Under the lock, so that a thread that ends now either sees the watcher or was seen to have ended.
        let mut state = lock(&self.0.state);
        if !matches!(state.life, Life::Ended(_)) {
            state.watchers.push(watcher);
            return;
        }
        let failure = state.failure.clone();
        // Called without the lock, because the watcher takes that of the coordinator.
        drop(state);
        if let Some(watcher) = watcher.upgrade() {
            watcher.thread_ended(&self.0.name, failure.as_ref());
        }
    }
}

/// The polling interval for threads that do not announce their end.
pub(crate) const FOREIGN_POLL: Duration = Duration::from_millis(10);

impl Inner {
    fn run(self: &Arc<Self>, body: impl FnOnce() -> Result<()>) {
        CURRENT.set(Some(ManagedThread(self.clone())));
        let outcome = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
            Err(Error::from_panic(&format!("thread '{}'", self.name), payload.as_ref()))
        });
        CURRENT.set(None);
        self.end(outcome.err());
    }

    fn end(&self, failure: Option<Error>) {
        let watchers = {
            let mut state = lock(&self.state);
            // The handle is kept, so that a later `reap` can join the thread itself.
            let handle = match &mut state.life {
                Life::Running(handle) => handle.take(),
                // That of a foreign thread was joined before.
                Life::Foreign(_) | Life::Waiting(_) | Life::Ended(_) => None,
            };
            state.life = Life::Ended(handle);
            state.failure.clone_from(&failure);
            // Taken out: each watcher hears of the end once.
            std::mem::take(&mut state.watchers)
        };
        // First those who wait, then the watchers, which may do more.
        self.ended.notify_all();
        for watcher in watchers.iter().filter_map(Weak::upgrade) {
            watcher.thread_ended(&self.name, failure.as_ref());
        }
    }

    fn reap_foreign(&self, handle: Option<Box<dyn Foreign>>) {
        let Some(handle) = handle else { return };
        self.end(handle.join(&self.name));
    }
}

impl fmt::Debug for ManagedThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManagedThread").field("name", &self.0.name).field("alive", &self.is_alive()).finish()
    }
}
