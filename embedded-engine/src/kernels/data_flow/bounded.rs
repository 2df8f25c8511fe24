//! A bounded queue for many threads, which serves waiting operations in the order of their arrival.
//!
//! An operation that cannot be done at once becomes an *attempt* in a line, one line for each side. The
//! thread that changes the queue serves the heads of both lines as far as that goes, moving elements from or
//! to the attempts themselves, and then wakes the threads of those that are done. So no operation overtakes
//! another, no element is ever in two hands, and a thread is only woken when its attempt is done.
//!
//! # Locks
//!
//! The lock of the queue guards everything but the outcomes; the lock of an outcome is taken under it, never
//! the other way round. Threads are woken when no lock is held.
//!
//! # Invariants
//!
//! They hold whenever the lock is free. The crate `model` runs the queue under model checkers.
//!
//! - only the first attempt of a line may be half done;
//! - the first enqueue waits only while the queue is full, the first dequeue only while it lacks elements;
//! - each element is in the store, in a waiting attempt, or in one outcome;
//! - numbers of elements grow in the order of insertion, so an abandoned enqueue can remove exactly its own.
//!
//! # Differences from TensorFlow
//!
//! A dequeue-many that is abandoned puts its elements back; TensorFlow loses them (S-239). An abandoned
//! enqueue-many removes what it has put in, as far as nobody took it; in TensorFlow it stays (S-233). A plain
//! close returns at once and lets pending enqueues finish; TensorFlow's waits for them (S-241). A second
//! close is no error (S-244, Q-56).
//!
//! # Example
//!
//! A queue of capacity 2 holds `a b`, and nobody waits.
//!
//! ```text
//!  enqueue(c)           no room: attempt E1
//!  enqueue(d)           behind E1: attempt E2
//!  dequeue(3)           takes a b; E1 fills in c and E2 fills in d, both end; takes c: done at once
//!  dequeue(2)           takes d, and waits for one more: attempt D1
//!  size                 0, although d has not been delivered
//!  dropped: D1          d is put back in front
//! ```

use super::store::{Numbered, Store};
use super::sync::{Arc, AtomicBool, Mutex, MutexGuard, Ordering, Thread, current, lock};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::ops::Range;

/// The queue. Both sides write its first lines of memory all the time; nothing else may lie in them.
#[repr(align(128))]
pub(crate) struct Bounded<E> {
    /// The guarded part.
    state: Mutex<State<E>>,
}

/// The state of a queue. Fields are ordered so that what every operation writes shares a cache line with the
/// lock.
#[repr(C)]
struct State<E> {
    /// The number of the next element. Never used again, also if the element is removed.
    next: u64,
    /// The elements.
    store: Store<E>,
    /// The maximum number of elements.
    capacity: usize,
    /// The number of elements that stay while the queue is open: `min_after_dequeue` of a shuffling queue,
    /// otherwise 0.
    reserve: usize,
    /// True if no further elements are accepted.
    closed: bool,
    /// The operations that wait for room, in order. Only the first may have enqueued some elements.
    enqueues: VecDeque<Enqueue<E>>,
    /// The operations that wait for elements, in order. Only the first may have taken some elements.
    dequeues: VecDeque<Dequeue<E>>,
}

/// A waiting enqueue.
struct Enqueue<E> {
    /// The elements that are not in the queue yet.
    source: Source<E>,
    /// The numbers of what it has put in; other elements cannot be among them, because it is the first of its
    /// line.
    numbers: Range<u64>,
    /// The ticket of the attempt.
    ticket: Arc<Ticket<E>>,
}

/// A waiting dequeue.
struct Dequeue<E> {
    /// The number of elements.
    count: usize,
    /// True to return fewer elements from a queue that is closed.
    up_to: bool,
    /// The elements that were taken so far.
    taken: Taken<E>,
    /// The ticket of the attempt.
    ticket: Arc<Ticket<E>>,
}

/// Elements that were taken, in order.
pub(crate) type Taken<E> = SmallVec<[Numbered<E>; 1]>;

/// The elements of an enqueue.
pub(crate) enum Source<E> {
    /// One element, until it is in.
    One(Option<E>),
    /// Several, produced one by one as there is room.
    Many(Box<dyn ExactSizeIterator<Item = E> + Send>),
}

impl<E> Source<E> {
    /// Returns the next element to enqueue.
    fn next(&mut self) -> Option<E> {
        match self {
            Source::One(element) => element.take(),
            Source::Many(elements) => elements.next(),
        }
    }

    /// Returns true if all elements are in the queue.
    fn is_empty(&self) -> bool {
        match self {
            Source::One(element) => element.is_none(),
            Source::Many(elements) => elements.len() == 0,
        }
    }
}

/// The reason why an operation on a queue failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The queue takes nothing more (S-243).
    Closed,
    /// The queue was closed together with what waited to enqueue (S-242).
    Cancelled,
    /// The queue is closed and holds `size` elements where `requested` more are needed (S-245).
    Insufficient { requested: usize, size: usize },
}

/// The outcome of an operation.
pub(crate) type Outcome<E> = Result<Taken<E>, Failure>;

/// An operation that was begun.
pub(crate) enum Started<E> {
    /// The operation is complete.
    Done(Outcome<E>),
    /// The operation waits in its line.
    Waiting(Attempt<E>),
}

/// The place where an attempt receives its outcome. Shared by the attempt and the line.
struct Ticket<E> {
    /// True if `end` is set, for a look without the lock.
    done: AtomicBool,
    /// The outcome, once there is one.
    end: Mutex<Option<End<E>>>,
    /// The thread that began the attempt, woken when it is done. A step stays on its thread while it waits.
    thread: Thread,
}

/// The outcome of a waiting attempt.
enum End<E> {
    /// An enqueue, with the numbers of its elements.
    Enqueued(Range<u64>),
    /// The elements of a dequeue.
    Dequeued(Taken<E>),
    /// The error.
    Failed(Failure),
}

impl<E> Ticket<E> {
    /// Makes a ticket without an outcome, for the calling thread.
    fn new() -> Arc<Ticket<E>> {
        Arc::new(Ticket { done: AtomicBool::new(false), end: Mutex::new(None), thread: current() })
    }

    /// Gives the outcome. Called once, under the lock of the queue; the caller wakes the thread after it.
    fn finish(&self, end: End<E>) {
        *lock(&self.end) = Some(end);
        // Pairs with the load in `Attempt::is_done`.
        self.done.store(true, Ordering::Release);
    }
}

/// The threads to be woken.
type Woken = SmallVec<[Thread; 2]>;

/// Unparks the threads of completed attempts, after the lock was released.
fn wake(woken: Woken) {
    woken.iter().for_each(Thread::unpark);
}

impl<E> Bounded<E> {
    /// Creates an empty, open queue; without limit where `capacity` is `None`.
    pub(crate) fn new(store: Store<E>, capacity: Option<usize>, reserve: usize) -> Bounded<E> {
        Bounded {
            state: Mutex::new(State {
                store,
                capacity: capacity.unwrap_or(usize::MAX),
                reserve,
                closed: false,
                next: 0,
                enqueues: VecDeque::new(),
                dequeues: VecDeque::new(),
            }),
        }
    }

    /// Locks the queue.
    fn lock(&self) -> MutexGuard<'_, State<E>> {
        lock(&self.state)
    }

    /// Inserts elements in order as far as there is room. The rest becomes a waiting attempt.
    ///
    /// A closed queue refuses with [`Failure::Closed`], except for no elements at all (S-234).
    pub(crate) fn enqueue(self: &Arc<Self>, mut source: Source<E>) -> Started<E> {
        if source.is_empty() {
            return Started::Done(Ok(Taken::new())); // S-234
        }
        let mut state = self.lock();
        if state.closed {
            return Started::Done(Err(Failure::Closed));
        }
        let mut numbers = state.next..state.next;
        if state.enqueues.is_empty() {
            state.fill(&mut source, &mut numbers);
        }
        // The common case: room, and nobody waits. Returns without a second look at the lines.
        if source.is_empty() && state.dequeues.is_empty() {
            return Started::Done(Ok(Taken::new()));
        }
        if source.is_empty() {
            let woken = state.serve();
            drop(state);
            wake(woken);
            return Started::Done(Ok(Taken::new()));
        }
        let ticket = Ticket::new();
        state.enqueues.push_back(Enqueue { source, numbers, ticket: ticket.clone() });
        self.begun(state, ticket)
    }

    /// Takes `count` elements, or after a close at least one and up to `count` if `up_to` is set, provided
    /// they are available and no earlier attempt waits. Otherwise registers an attempt. `count` is at least
    /// 1.
    pub(crate) fn dequeue(self: &Arc<Self>, count: usize, up_to: bool) -> Started<E> {
        let mut state = self.lock();
        if state.dequeues.is_empty() && state.available() >= count {
            let mut taken = Taken::new();
            state.take(count, &mut taken);
            // The room may let waiting enqueues finish.
            if !state.enqueues.is_empty() {
                let woken = state.serve();
                drop(state);
                wake(woken);
            }
            return Started::Done(Ok(taken));
        }
        let ticket = Ticket::new();
        state.dequeues.push_back(Dequeue { count, up_to, taken: Taken::new(), ticket: ticket.clone() });
        self.begun(state, ticket)
    }

    /// Serves after a new attempt, which may be done at once.
    fn begun(self: &Arc<Self>, mut state: MutexGuard<'_, State<E>>, ticket: Arc<Ticket<E>>) -> Started<E> {
        let woken = state.serve();
        drop(state);
        wake(woken);
        let mut attempt = Attempt { queue: self.clone(), ticket: Some(ticket) };
        match attempt.poll() {
            Some(outcome) => Started::Done(outcome),
            None => Started::Waiting(attempt),
        }
    }

    /// Closes the queue: what waits to enqueue is cancelled, or still served (S-240, S-242). Called again, it
    /// does nothing but cancel.
    pub(crate) fn close(&self, cancel_pending_enqueues: bool) {
        let mut state = self.lock();
        state.closed = true;
        let mut woken = Woken::new();
        if cancel_pending_enqueues {
            for enqueue in std::mem::take(&mut state.enqueues) {
                enqueue.ticket.finish(End::Failed(Failure::Cancelled));
                woken.push(enqueue.ticket.thread.clone());
            }
        }
        // Dequeues that now lack elements for good fail, and a shuffling queue gives up its reserve.
        woken.extend(state.serve());
        drop(state);
        wake(woken);
    }

    /// Returns the number of elements that it holds at this moment.
    pub(crate) fn size(&self) -> usize {
        self.lock().store.len()
    }

    /// Returns true if it was closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Returns its size, whether it was closed, and how many wait to enqueue and to dequeue.
    pub(crate) fn status(&self) -> (usize, bool, [usize; 2]) {
        let state = self.lock();
        (state.store.len(), state.closed, [state.enqueues.len(), state.dequeues.len()])
    }
}

impl<E> State<E> {
    /// Moves elements in while there is room, and extends `numbers` by theirs.
    fn fill(&mut self, source: &mut Source<E>, numbers: &mut Range<u64>) {
        while self.store.len() < self.capacity {
            let Some(element) = source.next() else { break };
            if numbers.is_empty() {
                numbers.start = self.next;
            }
            self.store.push(self.next, element);
            self.next += 1;
            numbers.end = self.next;
        }
    }

    /// Returns true if no further elements will arrive: it is closed, and no enqueue waits.
    fn is_drained(&self) -> bool {
        self.closed && self.enqueues.is_empty()
    }

    /// Returns the number of elements that may be taken: all but the reserve, or all once the queue is
    /// drained.
    fn available(&self) -> usize {
        let reserve = if self.is_drained() { 0 } else { self.reserve };
        self.store.len().saturating_sub(reserve)
    }

    /// Takes elements out of the store.
    fn take(&mut self, count: usize, taken: &mut Taken<E>) {
        taken.reserve(count);
        taken.extend((0..count).map_while(|_| self.store.pop()));
    }

    /// Serves waiting operations until none can proceed. Returns the threads of those that are done.
    ///
    /// Each round moves at least one element or ends an attempt, so it ends.
    fn serve(&mut self) -> Woken {
        let mut woken = Woken::new();
        loop {
            let moved = self.serve_enqueues(&mut woken);
            if !(self.serve_dequeues(&mut woken) || moved) {
                return woken;
            }
        }
    }

    /// Serves the first waiting enqueues, as far as there is room. Returns true if any element was added.
    fn serve_enqueues(&mut self, woken: &mut Woken) -> bool {
        let before = self.next;
        let mut ended = false;
        while let Some(mut first) = self.enqueues.pop_front() {
            self.fill(&mut first.source, &mut first.numbers);
            if !first.source.is_empty() {
                self.enqueues.push_front(first);
                break;
            }
            first.ticket.finish(End::Enqueued(first.numbers));
            woken.push(first.ticket.thread.clone());
            ended = true;
        }
        ended || self.next > before
    }

    /// Serves the first waiting dequeues, as far as there are elements. Returns true if any element was
    /// taken, or any dequeue ended.
    fn serve_dequeues(&mut self, woken: &mut Woken) -> bool {
        let mut moved = false;
        while let Some(mut first) = self.dequeues.pop_front() {
            let missing = first.count - first.taken.len();
            let end = if self.is_drained() && self.store.len() < missing {
                self.end_short(&mut first, missing)
            } else {
                let available = self.available();
                // Others take what there is: a dequeue-many of more elements than the capacity must empty the
                // queue to let it be filled again.
                let whole = self.store.takes_whole_batches();
                let count = if whole && available < missing { 0 } else { available.min(missing) };
                self.take(count, &mut first.taken);
                moved |= count > 0;
                if count < missing {
                    self.dequeues.push_front(first);
                    break;
                }
                End::Dequeued(std::mem::take(&mut first.taken))
            };
            first.ticket.finish(end);
            woken.push(first.ticket.thread.clone());
            moved = true;
        }
        moved
    }

    /// Returns the end of a dequeue that will never have all it wants: what there is, or a failure with its
    /// elements put back (S-245).
    fn end_short(&mut self, dequeue: &mut Dequeue<E>, missing: usize) -> End<E> {
        let size = self.store.len();
        let mut taken = std::mem::take(&mut dequeue.taken);
        if dequeue.up_to && size + taken.len() > 0 {
            self.take(size, &mut taken);
            return End::Dequeued(taken);
        }
        self.store.put_back(taken.into_iter());
        End::Failed(Failure::Insufficient { requested: missing, size })
    }
}

/// An operation that waits. Dropped before its outcome was requested, it has had no effect: what it took is back in
/// the queue, and the elements that it put in are removed unless they have been taken since.
pub(crate) struct Attempt<E> {
    /// The queue.
    queue: Arc<Bounded<E>>,
    /// Gone once the outcome was given.
    ticket: Option<Arc<Ticket<E>>>,
}

impl<E> Attempt<E> {
    /// Returns true if the outcome is there. The thread that began the attempt is unparked when it is.
    pub(crate) fn is_done(&self) -> bool {
        // Pairs with the store in `Ticket::finish`.
        self.ticket.as_ref().is_none_or(|ticket| ticket.done.load(Ordering::Acquire))
    }

    /// Returns the outcome, once, when it is there.
    pub(crate) fn poll(&mut self) -> Option<Outcome<E>> {
        if !self.is_done() {
            return None;
        }
        let end = lock(&self.ticket.as_ref()?.end).take()?;
        self.ticket = None;
        Some(match end {
            End::Enqueued(_) => Ok(Taken::new()),
            End::Dequeued(taken) => Ok(taken),
            End::Failed(failure) => Err(failure),
        })
    }
}

impl<E> Drop for Attempt<E> {
    /// Undoes the attempt, wherever it is: waiting in a line, half done at its head, or done and not
    /// delivered. Serves the others after that.
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let mut state = self.queue.lock();
        let enqueue = state.enqueues.iter().position(|attempt| Arc::ptr_eq(&attempt.ticket, &ticket));
        let dequeue = state.dequeues.iter().position(|attempt| Arc::ptr_eq(&attempt.ticket, &ticket));
        if let Some(attempt) = enqueue.and_then(|place| state.enqueues.remove(place)) {
            state.store.remove(&attempt.numbers);
        } else if let Some(attempt) = dequeue.and_then(|place| state.dequeues.remove(place)) {
            state.store.put_back(attempt.taken.into_iter());
        } else {
            // Done, but never delivered: the outcome is undone.
            let end = lock(&ticket.end).take();
            match end {
                Some(End::Enqueued(numbers)) => state.store.remove(&numbers),
                Some(End::Dequeued(taken)) => state.store.put_back(taken.into_iter()),
                Some(End::Failed(_)) | None => {}
            }
        }
        // Room or elements have come back, which the next in line may use.
        let woken = state.serve();
        drop(state);
        wake(woken);
    }
}
