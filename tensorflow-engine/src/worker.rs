//! Threads that execute runs for callers that may stop waiting.
//!
//! TensorFlow's C API cannot cancel a single run of a session. A run whose options have a cancellation token is therefore
//! executed on a thread of the session, while the caller waits for the result or the token, whichever comes first.

use crossbeam::channel::{Receiver, Sender, at, bounded, never, select, unbounded};
use session_core::{CancellationToken, Code, Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A run with its result channel.
type Job = Box<dyn FnOnce() + Send>;

/// The threads of one session, one for each concurrent run. Dropping the value ends idle threads at once, and the others when
/// their runs end.
pub(crate) struct Workers {
    /// The channel to the thread.
    jobs: Sender<Job>,
    /// The channel from which the threads receive jobs.
    waiting: Receiver<Job>,
    /// The number of idle threads, minus the jobs that are in the channel.
    idle: Arc<AtomicUsize>,
}

impl Workers {
    /// Creates an empty set of threads.
    pub(crate) fn new() -> Workers {
        let (jobs, waiting) = unbounded();
        Workers { jobs, waiting, idle: Arc::default() }
    }

    /// Runs the job on another thread and waits for its result, the token or the end of the time limit.
    ///
    /// # Errors
    /// `Cancelled` if the token came first, `DeadlineExceeded` if the time limit ended: then the job continues alone, and its result
    /// is dropped. `Internal` if the job panics.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        token: Option<&CancellationToken>,
        limit: Option<Duration>,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        token.map_or(Ok(()), CancellationToken::check)?;
        let over = limit.and_then(|limit| Instant::now().checked_add(limit)).map_or_else(never, at);
        // Each channel has room for what is sent, so that senders never block.
        let (done, result) = bounded(1);
        let (cancel, cancelled) = bounded(1);
        let _guard = token.map(|token| {
            let cancel = cancel.clone();
            token.on_cancel(move || {
                // Full if it was cancelled before.
                let _ = cancel.try_send(());
            })
        });
        self.start(Box::new(move || {
            // After a cancellation nothing receives it.
            let _ = done.send(job());
        }))?;
        let late = |code, text: &str| result.try_recv().map_err(|_| Error::new(code, text));
        select! {
            recv(result) -> result => {
                result.map_err(|_| Error::new(Code::Internal, "the thread of a run panicked"))
            }
            // An available result counts, even if something else happened at the same time.
            recv(cancelled) -> _ => late(Code::Cancelled, "the run was cancelled"),
            recv(over) -> _ => late(Code::DeadlineExceeded, "the run did not end in time"),
        }
    }

    /// Passes a job to an idle thread, or starts a new one.
    /// A thread is claimed by lowering the count, so that two jobs never wait for one thread while another
    /// one could be started.
    fn start(&self, job: Job) -> Result<()> {
        // Relaxed: the count guards nothing, because jobs reach their thread through the channel.
        let claimed =
            self.idle.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |idle| idle.checked_sub(1));
        if claimed.is_ok() {
            // Cannot fail, because this value holds a receiver.
            return self.jobs.send(job).map_err(|_| Error::runtime("no thread takes jobs"));
        }
        let (waiting, idle) = (self.waiting.clone(), self.idle.clone());
        let thread = std::thread::Builder::new().name("tensorflow-run".to_owned());
        let work = move || {
            job();
            loop {
                idle.fetch_add(1, Ordering::Relaxed);
                match waiting.recv() {
                    Ok(job) => job(),
                    // The session was dropped.
                    Err(_) => break,
                }
            }
        };
        thread.spawn(work).map(drop).map_err(|error| {
            Error::new(Code::ResourceExhausted, "no thread for a run that can be cancelled")
                .with_source(error)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn results_are_returned_and_threads_reused() {
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

    #[test]
    fn a_job_that_panics_is_an_error() {
        let workers = Workers::new();
        let error = workers.run::<()>(None, None, || panic!("on purpose")).unwrap_err();
        assert_eq!(error.code(), Code::Internal);
        assert_eq!(workers.run(None, None, || 1).unwrap(), 1);
    }
}
