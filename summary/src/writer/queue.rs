//! The queue between the threads that add events and the thread that writes them.

use super::log::EventLog;
use crate::{Event, EventError};
use bytes::Bytes;
use std::collections::HashSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// An event that is to be written.
#[derive(Debug)]
pub(super) enum Pending {
    Event(Event),
    /// A summary event whose values are serialized.
    EncodedSummary {
        wall_time: f64,
        step: i64,
        bytes: Bytes,
    },
}

/// A bounded queue that wakes its reader late: when it is half full, when a thread waits, or when the
/// reader's own patience ends. Waking a thread costs a system call, which most adds then go without.
pub(super) struct Queue {
    capacity: usize,
    /// The reader is woken for this many events.
    ripe: usize,
    /// Guards all there is; only moves and comparisons happen under it.
    state: Mutex<State>,
    /// Tells the reader that there is work.
    work: Condvar,
    /// Tells everybody else that something was done.
    done: Condvar,
}

struct State {
    events: Vec<Pending>,
    /// The reader waits for `work`, and was not woken yet.
    asleep: bool,
    /// The next event is the first one: it is not to wait.
    eager: bool,
    /// The number of threads that wait until something was done.
    waiting: usize,
    flushes_asked: u64,
    flushes_done: u64,
    phase: Phase,
}

enum Phase {
    Open,
    /// The queue accepts nothing more; the reader is to finish.
    Closing,
    /// The reader has finished, perhaps by an error.
    Ended(Option<EventError>),
}

/// The reader's work.
struct Work {
    /// Flushes requested so far, if there are new ones.
    flush: Option<u64>,
    /// True if nothing happened for as long as the reader waited.
    idle: bool,
    close: bool,
}

impl Queue {
    /// Makes a closed queue for at most `capacity` events. With `prompt`, the reader sees every event at once.
    pub(super) fn new(capacity: usize, prompt: bool) -> Queue {
        // Half full: the thread wakes once for several events, and has time to empty the queue before it is
        // full.
        let ripe = if prompt { 1 } else { capacity.div_ceil(2) };
        let state = State {
            events: Vec::with_capacity(capacity.min(1024)),
            asleep: false,
            eager: true,
            waiting: 0,
            flushes_asked: 0,
            flushes_done: 0,
            phase: Phase::Ended(None),
        };
        Queue { capacity, ripe, state: Mutex::new(state), work: Condvar::new(), done: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock panics half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the queue for a new reader.
    pub(super) fn open(&self) {
        let mut state = self.state();
        state.events.clear();
        (state.asleep, state.eager) = (false, true);
        state.phase = Phase::Open;
    }

    /// Adds an event, waiting while the queue is full; `false` when the queue is closed.
    pub(super) fn push(&self, pending: Pending) -> Result<bool, EventError> {
        let mut state = self.state();
        loop {
            match &state.phase {
                Phase::Open if state.events.len() < self.capacity => break,
                Phase::Open => state = self.wait(state),
                Phase::Closing | Phase::Ended(None) => return Ok(false),
                Phase::Ended(Some(error)) => return Err(error.clone()),
            }
        }
        state.events.push(pending);
        let wake = self.is_ripe(&state) && std::mem::take(&mut state.asleep);
        // Woken under the lock, the reader would only wait for the lock.
        drop(state);
        if wake {
            self.work.notify_one();
        }
        Ok(true)
    }

    /// Returns true if there are enough events to wake the reader for.
    fn is_ripe(&self, state: &State) -> bool {
        state.events.len() >= if state.eager { 1 } else { self.ripe }
    }

    fn wake(&self, state: &mut State) {
        if std::mem::take(&mut state.asleep) {
            self.work.notify_one();
        }
    }

    /// Waits until the reader has done something.
    fn wait<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.wake(&mut state);
        state.waiting += 1;
        state = self.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        state
    }

    /// Waits until all events added before have been written and flushed.
    pub(super) fn flush(&self) -> Result<(), EventError> {
        let mut state = self.state();
        state.flushes_asked += 1;
        let ticket = state.flushes_asked;
        loop {
            match &state.phase {
                Phase::Ended(Some(error)) => return Err(error.clone()),
                Phase::Ended(None) => return Ok(()),
                _ if state.flushes_done >= ticket => return Ok(()),
                _ => state = self.wait(state),
            }
        }
    }

    /// Asks the reader to finish.
    pub(super) fn close(&self) {
        let mut state = self.state();
        if matches!(state.phase, Phase::Open) {
            state.phase = Phase::Closing;
        }
        self.wake(&mut state);
    }

    /// Notes that the reader has finished.
    pub(super) fn end(&self, result: Result<(), EventError>) {
        let mut state = self.state();
        state.events.clear();
        state.phase = Phase::Ended(result.err());
        // All of them: those that wait for room and those that wait for a flush share the condition.
        self.done.notify_all();
    }

    /// Takes the error by which the reader ended.
    pub(super) fn take_error(&self) -> Option<EventError> {
        match &mut self.state().phase {
            Phase::Ended(error) => error.take(),
            _ => None,
        }
    }

    pub(super) fn is_ended(&self) -> bool {
        !matches!(self.state().phase, Phase::Open)
    }

    /// Waits for work, but not longer than `patience`, and swaps the events for an empty vector.
    fn take(&self, events: &mut Vec<Pending>, patience: Duration) -> Work {
        let mut state = self.state();
        let mut idle = false;
        let must_work = |state: &State| {
            self.is_ripe(state)
                || state.flushes_asked > state.flushes_done
                || matches!(state.phase, Phase::Closing)
        };
        // A wake-up without a reason is possible, so the condition is checked again.
        while !idle && !must_work(&state) {
            state.asleep = true;
            let (woken, timeout) =
                self.work.wait_timeout(state, patience).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.asleep = false;
            idle = timeout.timed_out();
        }
        // The two vectors change places: in a steady state neither side allocates.
        std::mem::swap(&mut state.events, events);
        // After the first events the thread becomes patient. The first ones are written at once, so that a
        // file is never empty for long.
        state.eager &= events.is_empty();
        if state.waiting > 0 {
            self.done.notify_all();
        }
        Work {
            flush: Some(state.flushes_asked).filter(|&asked| asked > state.flushes_done),
            idle,
            close: matches!(state.phase, Phase::Closing),
        }
    }

    /// Notes that everything which was added before this many flushes were requested is in the file.
    fn flushed(&self, asked: u64) {
        let mut state = self.state();
        // Flushes that were requested in the meantime have a higher number and cause another one.
        state.flushes_done = asked;
        if state.waiting > 0 {
            self.done.notify_all();
        }
    }
}

/// Runs the thread: writes until the queue is closed, or writing fails. Returns the tags whose metadata were
/// written.
pub(super) fn work(queue: &Queue, mut log: EventLog) -> HashSet<String> {
    /// Tells the queue, whatever happens.
    struct End<'a>(&'a Queue, Result<(), EventError>);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.end(std::mem::replace(&mut self.1, Ok(())));
        }
    }
    // Dropped in every case, also by a panic: otherwise callers would wait for room in a queue that nobody
    // empties.
    let mut end = End(queue, Err(EventError::Panicked));
    end.1 = write_all(queue, &mut log);
    log.into_described()
}

fn write_all(queue: &Queue, log: &mut EventLog) -> Result<(), EventError> {
    let mut events = Vec::new();
    loop {
        let work = queue.take(&mut events, log.patience());
        for pending in events.drain(..) {
            log.write(pending)?;
        }
        if work.close {
            // `take` has emptied the queue before, so nothing that was added before the close is lost.
            return Ok(log.finish()?);
        }
        if work.flush.is_some() || work.idle {
            log.flush()?;
        } else {
            log.flush_if_due()?;
        }
        if let Some(asked) = work.flush {
            queue.flushed(asked);
        }
    }
}
