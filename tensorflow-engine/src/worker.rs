//! Threads that make runs on behalf of callers who do not want to wait for them to the end.
//!
//! TensorFlow's C API cannot cancel one run of a session. A run whose options hold a cancellation token is therefore
//! made on a thread of the session's own while the caller waits for the result or the token, whichever comes first.

use session_core::{CancellationToken, Code, Error, Result};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

type Job = Box<dyn FnOnce() + Send>;

/// The threads of one session: as many as there are runs at once. Dropping it ends those that are idle, and the others
/// when they are done.
pub(crate) struct Workers(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Guards what is to be done. No job is run under it.
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    idle: usize,
    ended: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a thread does.
    fn work(&self) {
        let mut queue = self.lock();
        while !queue.ended {
            if let Some(job) = queue.jobs.pop_front() {
                drop(queue);
                job();
                queue = self.lock();
            } else {
                queue.idle += 1;
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
                queue.idle -= 1;
            }
        }
    }
}

/// Where a result is left and waited for.
struct Slot<T> {
    /// Guards what has happened.
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    result: Option<T>,
    cancelled: bool,
}

impl<T> Slot<T> {
    fn change(&self, change: impl FnOnce(&mut State<T>)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
    }

    fn wait(&self, deadline: Option<Instant>) -> Result<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(result) = state.result.take() {
                return Ok(result);
            }
            if state.cancelled {
                return Err(Error::new(Code::Cancelled, "the run was cancelled"));
            }
            state = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => {
                    return Err(Error::new(Code::DeadlineExceeded, "the run did not end in time"));
                }
                Some(left) => {
                    self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

impl Workers {
    pub(crate) fn new() -> Workers {
        Workers(Arc::default())
    }

    /// Runs the job on another thread and waits for it, the token or the end of the time limit.
    ///
    /// # Errors
    /// `Cancelled` when the token came first, `DeadlineExceeded` when the time was over: the job then goes on alone, and
    /// what it gives is dropped.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        token: Option<&CancellationToken>,
        limit: Option<Duration>,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        token.map_or(Ok(()), CancellationToken::check)?;
        let state = Mutex::new(State { result: None, cancelled: false });
        let slot = Arc::new(Slot { state, changed: Condvar::new() });
        let seen = slot.clone();
        let _guard = token.map(|token| token.on_cancel(move || seen.change(|state| state.cancelled = true)));
        let done = slot.clone();
        self.start(Box::new(move || {
            let result = job();
            done.change(|state| state.result = Some(result));
        }))?;
        slot.wait(limit.and_then(|limit| Instant::now().checked_add(limit)))
    }

    fn start(&self, job: Job) -> Result<()> {
        let mut queue = self.0.lock();
        queue.jobs.push_back(job);
        let enough = queue.jobs.len() <= queue.idle;
        drop(queue);
        if enough {
            self.0.changed.notify_one();
            return Ok(());
        }
        let shared = self.0.clone();
        let thread = std::thread::Builder::new().name("tensorflow-run".to_owned());
        thread.spawn(move || shared.work()).map(drop).map_err(|error| {
            Error::new(Code::ResourceExhausted, "no thread for a run that can be cancelled")
                .with_source(error)
        })
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn the_result_comes_back_and_threads_are_used_again() {
        let workers = Workers::new();
        let token = CancellationToken::new();
        for i in 0..10 {
            assert_eq!(workers.run(Some(&token), None, move || i * 2).unwrap(), i * 2);
        }
    }

    #[test]
    fn a_caller_that_is_cancelled_does_not_wait() {
        let workers = Workers::new();
        let token = CancellationToken::new();
        let (release, held) = channel::<()>();
        let (started, begun) = channel();
        let canceller = token.clone();
        let helper = std::thread::spawn(move || {
            begun.recv().unwrap();
            canceller.cancel();
        });
        let error = workers
            .run(Some(&token), None, move || {
                started.send(()).unwrap();
                held.recv().unwrap();
            })
            .unwrap_err();
        assert_eq!(error.code(), Code::Cancelled);
        release.send(()).unwrap();
        helper.join().unwrap();
    }

    #[test]
    fn a_caller_whose_time_is_over_does_not_wait() {
        let workers = Workers::new();
        let (release, held) = channel::<()>();
        let error = workers.run(None, Some(Duration::from_millis(1)), move || held.recv()).unwrap_err();
        assert_eq!(error.code(), Code::DeadlineExceeded);
        release.send(()).unwrap();
    }
}
