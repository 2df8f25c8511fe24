//! Elements that a thread makes ahead of the steps that take them.
//!
//! The thread belongs to the session and works for one iterator. With each element comes the position after
//! it, so that the iterator is the place to which steps have taken it, however far the thread has read.
//!
//! ```text
//!  thread: Producer ──make──► (element, position) ──► Channel ──► step: Ahead::next, Ahead::poll
//!             ▲                                          │
//!             └───────── room, a request, stop ──────────┘
//! ```
//!
//! # Order and determinism
//!
//! One thread draws the elements, so their order is that of the pipeline. Where maps request parallel calls,
//! several elements are drawn, then finished together on the threads of the session, and delivered in the
//! order in which they were drawn.
//!
//! # Ends
//!
//! - An end or an error is an outcome like an element. After an end the thread rests until a step asks again;
//!   otherwise it would fill the buffer with ends.
//! - A panic ends the thread; the step that takes its place in the buffer gets the error, and later ones are
//!   advised to initialize the iterator.
//! - The session's cancellation and a dropped [`Ahead`] interrupt the element that is being made. It is
//!   dropped and made again later, since positions are those of delivered elements.
//!
//! # Cancellation and time limits
//!
//! | what ends | consequence |
//! | --- | --- |
//! | the run that waits | it returns its error; the element is still made, and the next run takes it |
//! | the session | the element is interrupted, the thread ends |
//! | the iterator, by an initializer | the element is interrupted; the step waits up to a second for the thread |
//!
//! Limits of a run never reach the thread: it works for whichever run comes next. A pipeline without a
//! prefetch gets a thread of capacity 0 when a run has a limit, for the same reason: an element whose step
//! has given up must not be lost. So does one whose functions take from queues: the step that requests the
//! element may be the one that fills the queue, and continues meanwhile.

use super::dataset::{Drawn, Run, Shared, Source, finish_all};
use super::element::Element;
use super::flat_map::save_states;
use super::kept::Kept;
use super::position::Writer;
use crate::kernel::{Caller, Environment};
use crate::limits::Limits;
use crate::resources::Instance;
use session_core::{CancellationToken, Error, Result};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Makes the elements of one iterator: its iterators, and all states that they depend on.
pub(super) struct Producer {
    /// The dataset, whose state the position contains.
    pub(super) dataset: Shared,
    /// The iterator over the dataset.
    pub(super) source: Source,
    /// The states of the operations in its functions (D-18).
    pub(super) instance: Instance,
    /// The states of its datasets, such as seeds of further epochs.
    pub(super) kept: Kept,
}

/// An element, or an end, or an error.
pub(super) type Given = Result<Option<Element>>;

impl Producer {
    /// Begins with a dataset whose iterators left these states; `kept` is empty for a first iterator.
    pub(super) fn new(dataset: Shared, kept: Kept, caller: &Caller<'_>) -> Result<Producer> {
        let instance = Instance::default();
        let source = dataset.iterate(&run(caller.environment, caller.limits, &instance, &kept))?;
        Ok(Producer { dataset, source, instance, kept })
    }

    /// Returns the next element, made on the calling thread.
    pub(super) fn next(&mut self, caller: &Caller<'_>) -> Given {
        self.source.next(&run(caller.environment, caller.limits, &self.instance, &self.kept))
    }

    /// Returns the position of the pipeline, if it can be written: the iterators, the datasets, the
    /// operations in functions. Values are referred to and not copied.
    pub(super) fn states(&self) -> Result<Writer> {
        let mut states = Writer::default();
        self.source.save(&mut states)?;
        self.kept.save(self.dataset.as_ref(), &mut states)?;
        save_states(&self.instance.export(), &mut states)?;
        Ok(states)
    }

    /// Makes the next element, or as many up to `limit` as parallel calls on the threads of the session make
    /// at the same time.
    ///
    /// Each outcome has the position after it, noted when it was drawn: pure calls change no state. The first
    /// end or error of the input ends the list.
    fn make(&mut self, limit: usize, environment: &Environment, limits: &Limits<'_>) -> Vec<Made> {
        let run = run(environment, limits, &self.instance, &self.kept);
        let (mut drawn, mut states, mut last) = (Vec::new(), Vec::new(), None);
        // Raised by the first element, which tells how many calls its maps may make at the same time.
        let mut most = 1;
        while drawn.len() < most {
            match self.source.draw(&run) {
                Ok(Some(element)) => {
                    most = element.parallel_calls().min(environment.pool.threads()).min(limit);
                    drawn.push(element);
                    states.push(self.states());
                }
                // The position after an error or an end, from which a restored run continues after it.
                end => {
                    last = Some(Made { given: end.map(|_: Option<Drawn>| None), states: self.states() });
                    break;
                }
            }
        }
        let made = finish_all(drawn, &run).into_iter().zip(states);
        made.map(|(given, states)| Made { given, states }).chain(last).collect()
    }
}

/// Returns a run of the outermost datasets, where TensorFlow's rewriting applies (D-15).
pub(super) fn run<'a>(
    environment: &'a Environment,
    limits: &'a Limits<'a>,
    instance: &'a Instance,
    kept: &'a Kept,
) -> Run<'a> {
    Run { environment, limits, instance, kept, rewrites: true }
}

/// An outcome of the producer, and the position after it.
pub(super) struct Made {
    /// The element, the end, or the error.
    pub(super) given: Given,
    /// The position after it, or an error where that cannot be written.
    pub(super) states: Result<Writer>,
}

/// The steps' side of a thread that works ahead. Dropping it lets the thread end, without waiting for it.
pub(super) struct Ahead {
    /// The elements that were made.
    channel: Arc<Channel>,
    /// Passes the producer to the thread once it has been started. If it is dropped before, the thread ends.
    begins: Sender<Producer>,
}

/// The elements on their way from the thread to the steps.
pub(super) struct Channel {
    /// The number of elements that are made before a step requests them; 0 if they are made on request only.
    capacity: usize,
    /// Guards what is made; nothing is made under the lock.
    buffer: Mutex<Buffer>,
    /// Notified when there is room for elements, or the thread shall end.
    room: Condvar,
    /// Notified when something was made, or the thread has ended.
    made: Condvar,
    /// Interrupts the element that is being made, through the limits of its functions and loops.
    stop: CancellationToken,
}

/// The elements and requests that pass between the thread and the steps.
#[derive(Default)]
struct Buffer {
    /// The elements that were made and not taken, oldest first. May exceed the capacity by the parallel calls of one burst.
    elements: VecDeque<Made>,
    /// An end was made, after which nothing is made until the next request.
    rests: bool,
    /// A step waits for an element, so one is made even with a capacity of 0. Set again by each look that finds
    /// nothing: of two waiting steps, one may take what was made for both.
    wanted: bool,
    /// The thread makes nothing more. Set when it ends for whatever reason.
    ended: bool,
    /// Threads of steps to be woken when something is made, each once; each has looked before and found
    /// nothing. A thread that is woken in vain is added again by its next look.
    waiting: Vec<Thread>,
}

/// The interval at which a thread that waits for an element looks for the end of its run.
const PAUSE: Duration = Duration::from_millis(10);

/// The longest wait for a thread that was asked to end. One that program code blocks is left to end by
/// itself.
const PATIENCE: Duration = Duration::from_secs(1);

impl Ahead {
    /// Starts a thread that will keep up to `capacity` elements of an iterator. With a capacity of 0 it makes
    /// an element only while a step waits for one.
    ///
    /// The thread waits for [`begin`](Self::begin): the producer stays with the caller if the thread cannot
    /// be started.
    ///
    /// # Errors
    ///
    /// The error of the operating system, or of a session that is closing.
    pub(super) fn spawn(name: &str, capacity: usize, caller: &Caller<'_>) -> Result<Ahead> {
        let channel = Arc::new(Channel {
            capacity,
            buffer: Mutex::default(),
            room: Condvar::new(),
            made: Condvar::new(),
            stop: CancellationToken::new(),
        });
        let (begins, begin) = mpsc::channel();
        // The thread outlives the step, so it must not be subject to the step's deadline.
        let (environment, session) = (caller.environment.clone(), caller.limits.session.clone());
        let shared = channel.clone();
        let work = move || {
            let _ended = Ended(&shared);
            if let Ok(producer) = begin.recv() {
                shared.work(producer, &environment, &session);
            }
        };
        let thread = if capacity == 0 { "element" } else { "prefetch" };
        let doing = format!("{thread} of iterator '{name}'");
        caller.environment.threads.spawn(&format!("{thread}-{name}"), doing, work)?;
        Ok(Ahead { channel, begins })
    }

    /// Lets the thread begin with the producer, at the producer's present position.
    pub(super) fn begin(&self, producer: Producer) {
        // A thread that has ended already reports that to the step that requests an element.
        let _ = self.begins.send(producer);
    }

    /// Returns true if an element is made only while a step waits for it.
    pub(super) fn is_on_demand(&self) -> bool {
        self.channel.capacity == 0
    }

    /// Returns the channel, for a step that waits.
    pub(super) fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    /// Returns what comes next as soon as it is made; blocks the thread until then.
    ///
    /// # Errors
    ///
    /// The error of the limits, or that of a thread that has ended. Errors of elements are in the [`Made`].
    pub(super) fn next(&self, limits: &Limits<'_>) -> Result<Made> {
        let channel = &self.channel;
        let mut buffer = channel.lock();
        loop {
            if let Some(made) = channel.pop(&mut buffer) {
                return Ok(made);
            }
            // First: the end of the session ends the thread as well, and is the reason then.
            limits.check()?;
            if buffer.ended {
                return Err(Error::runtime(
                    "no more elements are made after a panic: initialize the iterator again",
                ));
            }
            buffer = channel.made.wait_timeout(buffer, PAUSE).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Returns what comes next if it is made; if not, this thread is unparked when it is. A thread may be
    /// unparked although another step has taken the element, so callers look again.
    pub(super) fn poll(&self) -> Option<Made> {
        let mut buffer = self.channel.lock();
        let made = self.channel.pop(&mut buffer);
        if made.is_none() {
            buffer.wake_this_thread();
        }
        made
    }

    /// Asks the thread to end and waits for it, unless the program's own code blocks it beyond the limits.
    pub(super) fn end(self, limits: &Limits<'_>) {
        let channel = self.channel.clone();
        drop(self);
        let begun = Instant::now();
        let mut buffer = channel.lock();
        while !buffer.ended && limits.check().is_ok() && begun.elapsed() < PATIENCE {
            buffer = channel.made.wait_timeout(buffer, PAUSE).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Buffer {
    /// Asks the thread to continue, also after an end. Returns true if it was not asked before.
    fn ask(&mut self) -> bool {
        let is_new = self.rests || !self.wanted;
        (self.rests, self.wanted) = (false, true);
        is_new
    }

    /// Notes the calling thread, to be unparked with the next element.
    fn wake_this_thread(&mut self) {
        let this = thread::current();
        if self.waiting.iter().all(|thread| thread.id() != this.id()) {
            self.waiting.push(this);
        }
    }
}

impl Drop for Ahead {
    /// Interrupts the thread and returns at once; [`end`](Ahead::end) waits for it.
    fn drop(&mut self) {
        self.channel.interrupt();
    }
}

impl Channel {
    /// Locks the buffer for a moment.
    fn lock(&self) -> MutexGuard<'_, Buffer> {
        // Nothing that runs under the lock leaves it half done.
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next finished element. If there is none, the thread is asked to continue, also after an end.
    fn pop(&self, buffer: &mut Buffer) -> Option<Made> {
        let made = buffer.elements.pop_front();
        if made.is_none() {
            buffer.ask();
        }
        self.room.notify_one();
        made
    }

    /// Returns true if there is something to take, or nothing to wait for because the thread has ended.
    /// Otherwise an element is requested, and this thread is unparked when it is made: another step may have
    /// taken the one that this thread was woken for.
    pub(super) fn is_ready(&self) -> bool {
        let mut buffer = self.lock();
        if !buffer.elements.is_empty() || buffer.ended {
            return true;
        }
        if buffer.ask() {
            self.room.notify_one();
        }
        buffer.wake_this_thread();
        false
    }

    /// Returns the number of elements that are made, and the number that may be made ahead.
    pub(super) fn fill(&self) -> (usize, usize) {
        (self.lock().elements.len().min(self.capacity), self.capacity)
    }

    /// Asks the thread to end, and interrupts the element that it makes.
    fn interrupt(&self) {
        self.stop.cancel();
        // Under the lock, so that the thread is either before its look at the token or in its sleep.
        drop(self.lock());
        self.room.notify_all();
    }

    /// Makes elements until the thread is asked to end: the life of the thread.
    fn work(
        self: &Arc<Self>,
        mut producer: Producer,
        environment: &Environment,
        session: &CancellationToken,
    ) {
        let _interrupts = session.on_cancel({
            let channel = self.clone();
            move || channel.interrupt()
        });
        // No deadline: the element belongs to no step.
        let limits = Limits { session, run: Some(&self.stop), deadline: None };
        while self.wait_for_room() {
            let limit = if self.capacity == 0 { 1 } else { usize::MAX };
            let made = catch_unwind(AssertUnwindSafe(|| producer.make(limit, environment, &limits)));
            if self.stop.is_cancelled() {
                // An element whose making was interrupted is made again by the caller that continues from the last position.
                return;
            }
            match made {
                Ok(made) => self.push(made),
                Err(panic) => {
                    // A panic may leave the dataset half changed, so there are no elements after it.
                    let error = Error::from_panic("a dataset", &*panic);
                    let states = Err(error.clone());
                    return self.push(vec![Made { given: Err(error), states }]);
                }
            }
        }
    }

    /// Returns true when there is room for an element, false when the thread shall end. Parallel calls may
    /// make some more.
    fn wait_for_room(&self) -> bool {
        let mut buffer = self.lock();
        loop {
            if self.stop.is_cancelled() {
                return false;
            }
            let is_asked = buffer.wanted && buffer.elements.is_empty();
            if !buffer.rests && (is_asked || buffer.elements.len() < self.capacity) {
                return true;
            }
            buffer = self.room.wait(buffer).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Adds outcomes and wakes all waiters, of which one will find each outcome.
    fn push(&self, made: Vec<Made>) {
        let mut buffer = self.lock();
        // Without the rest, a thread at the end of its input would fill the buffer with ends.
        buffer.rests = matches!(made.last(), Some(Made { given: Ok(None), .. }));
        buffer.elements.extend(made);
        buffer.wanted = false;
        let waiting = std::mem::take(&mut buffer.waiting);
        // Woken threads need the lock at once.
        drop(buffer);
        self.made.notify_all();
        waiting.into_iter().for_each(|thread| thread.unpark());
    }
}

/// Wakes all waiters when the thread has ended.
struct Ended<'c>(&'c Channel);

impl Drop for Ended<'_> {
    /// Marks the channel as ended, also while the thread panics, so that no step waits forever.
    fn drop(&mut self) {
        let mut buffer = self.0.lock();
        buffer.ended = true;
        let waiting = std::mem::take(&mut buffer.waiting);
        drop(buffer);
        self.0.made.notify_all();
        waiting.into_iter().for_each(|thread| thread.unpark());
    }
}
