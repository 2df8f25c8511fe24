//! The threads that work for a session in the background, such as those that make elements of datasets ahead
//! of the steps.
//!
//! They belong to the session rather than to a step: closing the session asks them to end and joins them.
//!
//! # Life of a thread
//!
//! ```text
//! spawn ──► by_number has its text, handles its handle
//! work ends or panics ──► Ends::drop removes the text and notifies `ended`
//! join ──► waits on `ended` until by_number is empty, then joins the handles
//! ```
//!
//! A thread is not stopped from outside: the session cancels its token first, and the work of a thread must
//! look at that token. `join` is therefore only a bounded wait, and a thread that does not return in time is
//! reported by its text and stays detached.

use session_core::{Code, Error, Result};
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The background threads of one session. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Threads(Arc<Shared>);

/// The state that a session shares with its threads.
#[derive(Default)]
struct Shared {
    /// Guards the table; no thread works under the lock.
    running: Mutex<Running>,
    /// Notified when a thread ends.
    ended: Condvar,
}

/// The threads of a session that have not been joined. `by_number` shrinks when a thread ends, `handles` only
/// when the next thread is spawned or all are joined.
#[derive(Default)]
struct Running {
    /// The number of the next thread. Numbers are not reused, so a thread that ends removes its own entry
    /// only.
    next: u64,
    /// The work of each running thread, by its number, in the words that `join` reports. Empty if no thread
    /// runs.
    by_number: BTreeMap<u64, String>,
    /// The handles of all threads that have not been joined yet, including some that have ended.
    handles: Vec<JoinHandle<()>>,
}

impl Threads {
    /// Locks the list of threads. A poisoned lock is used as it is: the table is consistent after every
    /// single statement under it.
    fn lock(&self) -> MutexGuard<'_, Running> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a thread of a name that does something, reported as `doing`.
    ///
    /// `name` is the name of the operating system's thread, `doing` the text that [`join`](Threads::join)
    /// returns if the thread does not end. The thread is in the table before it runs, so a `join` at the same
    /// moment cannot miss it.
    ///
    /// # Errors
    /// `ResourceExhausted` if the system starts no further thread; the entry in the table is then removed
    /// again.
    pub(crate) fn spawn(
        &self,
        name: &str,
        doing: String,
        work: impl FnOnce() + Send + 'static,
    ) -> Result<()> {
        let number = {
            let mut running = self.lock();
            // Without this, a session that creates an iterator in each epoch would collect handles for as
            // long as it lives.
            running.handles.retain(|handle| !handle.is_finished());
            running.next += 1;
            let number = running.next;
            running.by_number.insert(number, doing);
            number
        };
        // Made before the thread and moved into it: if the thread cannot be started, the closure is dropped,
        // and the entry with it.
        let ends = Ends { threads: self.clone(), number };
        let spawned = thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _ends = ends;
            work();
        });
        let handle = spawned.map_err(|error| {
            let text = format!("thread '{name}' could not be started");
            Error::new(Code::ResourceExhausted, text).with_source(error)
        })?;
        self.lock().handles.push(handle);
        Ok(())
    }

    /// Waits until all threads have ended, for at most `grace`. Returns the work of those that have not.
    ///
    /// With a `grace` of zero it only looks. If some thread is still running, no handle is joined and a later
    /// call starts over, so the function may be called repeatedly. A grace too large for the clock means no
    /// limit.
    pub(crate) fn join(&self, grace: Duration) -> Vec<String> {
        let deadline = Instant::now().checked_add(grace);
        let mut running = self.lock();
        while !running.by_number.is_empty() {
            let left =
                deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return running.by_number.values().cloned().collect();
            }
            running = self.0.ended.wait_timeout(running, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let handles = std::mem::take(&mut running.handles);
        // A thread that is ending may still need the lock.
        drop(running);
        for handle in handles {
            // One of them may be closing the session. Panics were caught where they happened.
            if handle.thread().id() != thread::current().id() {
                let _ = handle.join();
            }
        }
        Vec::new()
    }
}

/// Removes a thread from the list when it is dropped, which is when the thread's work returns or panics.
struct Ends {
    /// The list to remove the thread from.
    threads: Threads,
    /// The number of the thread.
    number: u64,
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.threads.lock().by_number.remove(&self.number);
        self.threads.0.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn threads_that_do_not_end_are_named() {
        let threads = Threads::default();
        let (ends, end) = channel::<()>();
        threads
            .spawn("waits", "waits for a test".to_owned(), move || {
                let _ = end.recv();
            })
            .unwrap();
        assert_eq!(threads.join(Duration::ZERO), ["waits for a test"]);
        drop(ends);
        assert!(threads.join(Duration::MAX).is_empty());
    }
}
