//! The threads that work for a session in the background, such as those that make elements of datasets ahead of the steps.
//!
//! They belong to the session rather than to a step: closing the session asks them to end and joins them.

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

/// The threads of a session that have not been joined.
#[derive(Default)]
struct Running {
    /// The number of the next thread. Numbers are not reused, so a thread that ends removes its own entry only.
    next: u64,
    /// The work of each thread, for reports.
    by_number: BTreeMap<u64, String>,
    /// The handles of all threads that have not been joined yet.
    handles: Vec<JoinHandle<()>>,
}

impl Threads {
    /// Locks the list of threads.
    fn lock(&self) -> MutexGuard<'_, Running> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a thread of a name that does something, reported as `doing`.
    pub(crate) fn spawn(
        &self,
        name: &str,
        doing: String,
        work: impl FnOnce() + Send + 'static,
    ) -> Result<()> {
        let number = {
            let mut running = self.lock();
            running.handles.retain(|handle| !handle.is_finished());
            running.next += 1;
            let number = running.next;
            running.by_number.insert(number, doing);
            number
        };
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

/// Removes a thread from the list when it ends, also when it panics.
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
