//! The iterators of a session, and where they stand.
//!
//! # States
//!
//! ```text
//!  Empty ──make──► Here ──take──► Taken ──drop──► Here
//!    ▲                                     │
//!    └──────────── clear, panic ───────────┘
//! ```
//!
//! A step takes the iterator out of its resource, works with it without any lock, and puts it back. Steps
//! that request elements of one iterator at the same time therefore get different elements, one after the
//! other, in no promised order (D-23).
//!
//! A function of the pipeline may wait for something that only the thread that saves can bring about, such as
//! an element of a queue. While such an iterator is out, its position before the request is noted in its
//! place, and a checkpoint holds that one.
//!
//! # Errors
//!
//! The end is `None`. An error of a pipeline with the code `OutOfRange` would read as the end of the data, so
//! it becomes `Internal` here ([`no_end`]), for elements as well as for factories and restored positions.
//!
//! # Positions
//!
//! | value | content |
//! | --- | --- |
//! | text | the operation that made the iterator, empty for a one-shot iterator |
//! | text | the pipeline, see `chain` |
//! | number | the requests for an element so far, errors and ends included |
//! | flag | true if the states follow |
//! | states | the position of the iterators, the states of the datasets, the states of operations in functions |
//! | text | the state of the datasets before the first element |
//!
//! With states a restore costs what the buffers cost. Without them, where something in the pipeline has no
//! bytes, the pipeline is replayed: as many elements are made and dropped as were requested before.
//!
//! A restored position waits in the resource until a step requests an element, because the initializer may
//! run after the restore. It is applied to the iterator of the same operation only; that of another operation
//! keeps waiting.

use super::ahead::{Ahead, Channel, Made, Producer, run};
use super::dataset::{Handle, Run, Shared, Source, buffer_size, chain, no_end};
use super::element::{self, Element};
use super::flat_map::restored_states;
use super::kept::Kept;
use super::position::{Reader, Writer, damaged};
use crate::kernel::{Body, Caller};
use crate::limits::Limits;
use crate::resources::OpState;
use session_core::{Code, Error, PartialShape, QueueStats, Result};
use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tensor::DType;

/// An iterator that a session keeps under a name, or an anonymous one.
///
/// Dtypes and shapes are those of the iterator op. A dataset that does not fit them is refused, and the old
/// iterator stays (D-21).
pub(super) struct IteratorResource {
    /// The name under which steps find the iterator.
    pub(super) name: String,
    /// The container of the resource.
    pub(super) container: String,
    /// Distinguishes it from iterators of other sessions: the string handle of an iterator contains it
    /// (D-24).
    pub(super) id: u64,
    /// The dtypes of the components of an element.
    pub(super) types: Vec<DType>,
    /// The static shapes of the components.
    pub(super) shapes: Vec<PartialShape>,
    /// Guards what is there; held for a moment. An iterator at work is taken out.
    state: Mutex<State>,
    /// Notified when one that was taken out is back. Waiters also look for the end of their runs, see
    /// [`PAUSE`].
    back: Condvar,
}

/// The guarded part of an iterator.
#[derive(Default)]
struct State {
    /// The iterator, unless a step works with it.
    live: Place,
    /// The place where an iterator stood that a step has taken out, if its pipeline may wait for other threads.
    noted: Option<Standing>,
    /// The position from a checkpoint, until the iterator has moved there. Exported as it is if a checkpoint is
    /// written before. Shared, so that a step that moves the iterator does not copy it.
    restored: Option<Arc<[u8]>>,
}

/// The place of the iterator, which one step at a time may take.
#[derive(Default)]
enum Place {
    /// No dataset was set yet.
    #[default]
    Empty,
    /// The iterator is available.
    Here(Box<Live>),
    /// A step works with it.
    Taken,
}

/// An iterator over a dataset, from one initialization to the next.
pub(super) struct Live {
    /// The operation that made it; empty for one that makes itself. A program may initialize one iterator
    /// from several datasets; the origin tells to which of them a position belongs.
    origin: Arc<str>,
    /// The dataset.
    dataset: Handle,
    /// The state of the dataset before the iterator was made; empty if it cannot be written. A replay starts
    /// from it, because unset seeds are random in each run.
    begin: Arc<[u8]>,
    /// The place where elements are made.
    front: Front,
    /// The number of requests for an element, errors and ends included: a replay repeats as many.
    calls: u64,
    /// The number of elements that are made ahead of the steps, 0 without a prefetch; `None` if no thread can
    /// be started.
    buffer_size: Option<usize>,
}

/// The place where an iterator stands, apart from the iterator itself. The values in it are referred to.
#[derive(Clone)]
struct Standing {
    /// The operation that made the iterator.
    origin: Arc<str>,
    /// The dataset.
    dataset: Shared,
    /// The number of requests for an element.
    calls: u64,
    /// The states of everything in the pipeline, if they can be written.
    states: Result<Writer>,
    /// The state of the dataset before the iterator was made.
    begin: Arc<[u8]>,
}

/// The place where elements are made.
enum Front {
    /// Elements are made in the step that takes them.
    Step(Producer),
    /// Elements are made in a thread, ahead of the steps or for steps that may stop waiting. The other value is the position after the last
    /// element that was taken.
    Ahead(Ahead, Result<Writer>),
    /// A step has taken the iterator out for a moment.
    Moving,
}

/// The interval at which a thread that waits for an iterator looks for the end of its run. Condition
/// variables cannot wait for a cancellation as well.
const PAUSE: Duration = Duration::from_millis(10);

/// The interval at which a replay logs its progress.
const PATIENCE: Duration = Duration::from_secs(1);

impl IteratorResource {
    /// Makes a resource without a dataset. Each has a number of its own, which is not used again in the
    /// process.
    pub(super) fn new(
        container: &str,
        name: &str,
        types: Vec<DType>,
        shapes: Vec<PartialShape>,
    ) -> IteratorResource {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let (name, container) = (name.to_owned(), container.to_owned());
        IteratorResource { name, container, id, types, shapes, state: Mutex::default(), back: Condvar::new() }
    }

    /// Locks the state for a moment; nothing is made under the lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the iterator out, once no other step works with it. It returns when the result is dropped.
    ///
    /// # Errors
    ///
    /// The error of `limits` if the run ends first.
    fn take(&self, limits: &Limits<'_>) -> Result<Taken<'_>> {
        let mut state = self.state();
        // A step that takes long does not hold the lock: only the place says that the iterator is in use.
        while matches!(state.live, Place::Taken) {
            limits.check()?;
            state = self.back.wait_timeout(state, PAUSE).unwrap_or_else(PoisonError::into_inner).0;
        }
        let live = match std::mem::replace(&mut state.live, Place::Taken) {
            Place::Here(live) => Some(live),
            _ => None,
        };
        Ok(Taken { resource: self, live })
    }

    /// Begins with a dataset, in place of an earlier one: the op `MakeIterator`.
    ///
    /// The new iterator is made before the old one ends, so after an error the old one goes on where it
    /// stands (D-21).
    ///
    /// # Errors
    ///
    /// `InvalidArgument` if dtypes or shapes do not fit; errors of the datasets themselves.
    pub(super) fn make(&self, dataset: &Handle, origin: &str, caller: &Caller<'_>) -> Result<()> {
        element::check_types(&self.types, &self.shapes, &dataset.types, &dataset.shapes)?;
        // Made first: an error leaves the old iterator, which other steps may use meanwhile.
        let live = Live::make(dataset, origin, caller)?;
        self.take(caller.limits)?.replace(Some(live), caller.limits);
        Ok(())
    }

    /// Ends the iterator and forgets it; the resource is as new.
    pub(super) fn clear(&self, limits: &Limits<'_>) -> Result<()> {
        self.take(limits)?.replace(None, limits);
        Ok(())
    }

    /// Returns the next element, or `None` at the end. One that was not initialized makes itself with its
    /// factory.
    ///
    /// # Errors
    ///
    /// `FailedPrecondition` without dataset and factory (D-20); the error of an element, never `OutOfRange`;
    /// that of a position that the pipeline cannot reach, again for every request.
    pub(super) fn next(
        &self,
        factory: Option<&Arc<dyn Body>>,
        caller: &Caller<'_>,
    ) -> Result<Option<Element>> {
        let next = || self.request(&mut self.ready(factory, caller)?, caller);
        next().map_err(|error| self.no_end(error))
    }

    /// Works as [`next`](Self::next) if the element is made already or is made in the step. If not, this
    /// thread is unparked when it is, and the step continues meanwhile with operations that do not need the
    /// element.
    pub(super) fn poll(&self, factory: Option<&Arc<dyn Body>>, caller: &Caller<'_>) -> Result<Polled> {
        let poll = || {
            let mut taken = self.ready(factory, caller)?;
            let live = taken.live()?;
            let ahead = match &live.front {
                // On demand the thread makes an element only while a step waits. The step goes on only where the
                // element may need what it does: it would otherwise change variables while a function reads them.
                Front::Ahead(ahead, _) if !ahead.is_on_demand() || live.dataset.ties.awaits_steps => ahead,
                // No other operation of the step runs while its element is made.
                _ => return self.request(&mut taken, caller).map(Polled::Element),
            };
            match ahead.poll() {
                Some(made) => live.given(made).map(Polled::Element),
                None => Ok(Polled::Later(ahead.channel().clone())),
            }
        };
        poll().map_err(|error| self.no_end(error))
    }

    /// Makes the next element of an iterator that was taken out, and notes the position before where that may
    /// take until another thread does something.
    fn request(&self, taken: &mut Taken<'_>, caller: &Caller<'_>) -> Result<Option<Element>> {
        let live = taken.live()?;
        if live.dataset.ties.may_block {
            let standing = live.standing();
            self.state().noted = Some(standing);
        }
        live.next(caller)
    }

    /// Returns the error of an element in the form in which a step gets it.
    fn no_end(&self, error: Error) -> Error {
        no_end(error, format_args!("iterator '{}'", self.name))
    }

    /// Returns the place where the iterator stands, or `None` before a dataset was set.
    ///
    /// Waits while a step works with the iterator, unless its position was noted: such a step may go on only
    /// after the checkpoint.
    fn standing(&self) -> Option<Standing> {
        let mut state = self.state();
        loop {
            match (&state.live, &state.noted) {
                (Place::Here(live), _) => return Some(live.standing()),
                (Place::Empty, _) => return None,
                (Place::Taken, Some(noted)) => return Some(noted.clone()),
                (Place::Taken, None) => {}
            }
            state = self.back.wait_timeout(state, PAUSE).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Takes the iterator out at the position where it is to continue: makes it with the factory if there is
    /// none, applies a restored position of the same origin, and starts the thread that works ahead.
    ///
    /// A position that could not be applied stays, and the next request tries again; so does one of another
    /// origin, whose initializer has not run yet.
    fn ready(&self, factory: Option<&Arc<dyn Body>>, caller: &Caller<'_>) -> Result<Taken<'_>> {
        let mut taken = self.take(caller.limits)?;
        if taken.live.is_none() {
            let made = factory.ok_or_else(uninitialized)?.call(caller, Vec::new())?;
            let made = made
                .first()
                .ok_or_else(|| Error::invalid_argument("a dataset factory must return a dataset"))?;
            taken.live = Some(Box::new(Live::make(Handle::of(made)?, "", caller)?));
        }
        let live = taken.live()?;
        // It stays in its place until the iterator is there: every request fails until it can go there, and a
        // checkpoint that is written meanwhile has it.
        let restored = self.state().restored.clone();
        // That of another origin is for a dataset that is not initialized yet.
        if let Some(position) = restored
            && *origin_of(&position)? == *live.origin
        {
            live.go_to(&position, caller).map_err(|error| {
                let text = format!(
                    "iterator '{}' cannot continue at its saved position: {}",
                    self.name,
                    error.message()
                );
                error.context(text)
            })?;
            // One that was restored meanwhile is another one.
            self.state().restored.take_if(|now| Arc::ptr_eq(now, &position));
        }
        live.work_ahead(&self.name, caller);
        Ok(taken)
    }

    /// Returns the number of elements that are made ahead of the steps, and the limit, if any are. `None` while
    /// a step has the iterator.
    pub(super) fn stats(&self) -> Option<QueueStats> {
        let state = self.state();
        let Place::Here(live) = &state.live else { return None };
        let Front::Ahead(ahead, _) = &live.front else { return None };
        if ahead.is_on_demand() {
            return None;
        }
        let (size, capacity) = ahead.channel().fill();
        Some(QueueStats { name: self.name.clone(), size, capacity: Some(capacity), ..QueueStats::default() })
    }

    /// Returns the dataset and the position of the iterator, for `SerializeIterator`.
    pub(super) fn position(&self, limits: &Limits<'_>) -> Result<(Handle, Vec<u8>)> {
        let mut taken = self.take(limits)?;
        let live = taken.live()?;
        Ok((live.dataset.clone(), live.standing().position()?))
    }

    /// Restores the position of another iterator, for `DeserializeIterator`.
    ///
    /// An initialized dataset with the same pipeline is kept, since its captured values belong to this
    /// session; otherwise the dataset of the position is used. The old iterator goes on if the position
    /// cannot be reached.
    ///
    /// # Errors
    ///
    /// `FailedPrecondition` for an iterator that was not initialized, or another pipeline than that of the
    /// position.
    pub(super) fn go_to(&self, dataset: &Handle, position: &[u8], caller: &Caller<'_>) -> Result<()> {
        let mut taken = self.take(caller.limits)?;
        if taken.live.is_none() {
            let text = "Restore() failed because the iterator has not been initialized. Ensure that you have run the initializer \
                        operation for this iterator before restoring it.";
            return Err(Error::new(Code::FailedPrecondition, text));
        }
        // The pipeline as text decides: two runs of one operation make datasets that are equal but not the
        // same.
        let own = taken.live.as_ref().filter(|live| live.chain() == chain(dataset.dataset.as_ref()));
        let (dataset, origin) = own.map_or((dataset, ""), |live| (&live.dataset, &live.origin));
        let mut live = Live::make(dataset, origin, caller)?;
        live.go_to(position, caller)?;
        taken.replace(Some(live), caller.limits);
        // A position from a checkpoint would otherwise be applied after this one.
        self.state().restored = None;
        Ok(())
    }
}

/// The outcome of [`IteratorResource::poll`].
pub(super) enum Polled {
    /// An element, or the end.
    Element(Option<Element>),
    /// The channel to the thread that makes the element; the calling thread is unparked when the element is
    /// made.
    Later(Arc<Channel>),
}

/// Returns the error of an iterator without a dataset (D-20).
fn uninitialized() -> Error {
    let text = "GetNext() failed because the iterator has not been initialized. Ensure that you have run the initializer operation \
                for this iterator before getting the next element.";
    Error::new(Code::FailedPrecondition, text)
}

/// An iterator that a step works with; it goes back when this is dropped.
struct Taken<'r> {
    /// The resource to which the iterator returns.
    resource: &'r IteratorResource,
    /// The iterator; `None` before a dataset was set.
    live: Option<Box<Live>>,
}

impl Taken<'_> {
    /// Returns the iterator, or the error of one without a dataset.
    fn live(&mut self) -> Result<&mut Live> {
        self.live.as_deref_mut().ok_or_else(uninitialized)
    }

    /// Ends the previous iterator before another one replaces it, because both may use the same files: a
    /// cache that is being written has a lock file until then.
    fn replace(&mut self, live: Option<Live>, limits: &Limits<'_>) {
        if let Some(old) = self.live.take() {
            old.front.end(limits);
        }
        self.live = live.map(Box::new);
    }
}

impl Drop for Taken<'_> {
    /// Puts the iterator back, and wakes one waiter. After a panic the iterator is dropped: it counts as not
    /// initialized.
    fn drop(&mut self) {
        // A panic may leave the dataset half changed.
        let live = self.live.take().filter(|_| !std::thread::panicking());
        let live = live.map_or(Place::Empty, Place::Here);
        let noted = {
            let mut state = self.resource.state();
            state.live = live;
            state.noted.take()
        };
        // Dropped without the lock, with the elements that it refers to.
        drop(noted);
        self.resource.back.notify_one();
    }
}

impl Front {
    /// Ends the thread, if there is one, and waits for it within the limits.
    fn end(self, limits: &Limits<'_>) {
        if let Front::Ahead(ahead, _) = self {
            ahead.end(limits);
        }
    }
}

impl Live {
    /// Begins to iterate over a dataset. No element is made, and no thread is started.
    fn make(dataset: &Handle, origin: &str, caller: &Caller<'_>) -> Result<Live> {
        let (shared, kept, mut begin) = (&dataset.dataset, Kept::default(), Writer::default());
        // A dataset whose state cannot be written is replayed from fresh seeds.
        let begin = kept.save(shared.as_ref(), &mut begin).and_then(|()| begin.bytes()).unwrap_or_default();
        let buffer_size = if dataset.ties.follows_steps { 0 } else { buffer_size(shared.as_ref()) };
        let front = Front::Step(Producer::new(shared.clone(), kept, caller)?);
        let (origin, begin, dataset) = (origin.into(), begin.into(), dataset.clone());
        Ok(Live { origin, dataset, begin, front, calls: 0, buffer_size: Some(buffer_size) })
    }

    /// Returns the next element, made in this step or ahead of it.
    fn next(&mut self, caller: &Caller<'_>) -> Result<Option<Element>> {
        match &mut self.front {
            Front::Step(producer) => {
                // Counted before the call: a replay repeats a request that failed.
                self.calls += 1;
                producer.next(caller)
            }
            Front::Ahead(ahead, _) => {
                let made = ahead.next(caller.limits)?;
                self.given(made)
            }
            Front::Moving => Err(uninitialized()),
        }
    }

    /// Takes an element that was made ahead, and the position after it: the iterator stands where the steps
    /// are, not where the thread is.
    fn given(&mut self, made: Made) -> Result<Option<Element>> {
        self.calls += 1;
        if let Front::Ahead(_, states) = &mut self.front {
            *states = made.states;
        }
        made.given
    }

    /// Begins to make elements in a thread, where the pipeline asks for that, where an element may need what the
    /// step does meanwhile, or where the step may end while it waits: an element that the step no longer takes is
    /// then finished for the next one. Not before a step requests an element: what the functions need may be
    /// initialized after the iterator.
    ///
    /// If no thread can be started, elements are made in the steps from then on; a warning is logged once.
    fn work_ahead(&mut self, name: &str, caller: &Caller<'_>) {
        let is_aside = self.dataset.ties.awaits_steps || caller.limits.may_end_early();
        let Some(size) = self.buffer_size.filter(|&size| size > 0 || is_aside) else { return };
        if !matches!(self.front, Front::Step(_)) {
            return;
        }
        match Ahead::spawn(name, size, caller) {
            Ok(ahead) => {
                if let Front::Step(producer) = std::mem::replace(&mut self.front, Front::Moving) {
                    // The position before the first element that the thread makes.
                    let states = producer.states();
                    ahead.begin(producer);
                    self.front = Front::Ahead(ahead, states);
                }
            }
            Err(error) => {
                log::warn!("iterator '{name}' makes its elements in the steps: {}", error.chain());
                self.buffer_size = None;
            }
        }
    }

    /// Returns the pipeline as text.
    fn chain(&self) -> String {
        chain(self.dataset.dataset.as_ref())
    }

    /// Returns the states of everything in it, if all of it can be written. For an iterator that works ahead,
    /// these are the states after the last element that a step took.
    fn states(&self) -> Result<Writer> {
        match &self.front {
            Front::Step(producer) => producer.states(),
            Front::Ahead(_, states) => states.clone(),
            Front::Moving => Err(uninitialized()),
        }
    }

    /// Returns the place where it stands. Values are referred to and not copied.
    fn standing(&self) -> Standing {
        let Live { origin, dataset, calls, begin, .. } = self;
        let (origin, dataset, begin) = (origin.clone(), dataset.dataset.clone(), begin.clone());
        Standing { origin, dataset, calls: *calls, states: self.states(), begin }
    }

    /// Restores a position into an iterator that is at its beginning, and ends the thread that worked ahead.
    ///
    /// # Errors
    ///
    /// `FailedPrecondition` if the pipeline is another one, `DataLoss` for damaged bytes, and whatever
    /// opening files again reports. The iterator is unusable then; the caller replaces it or repeats the
    /// attempt with the same position.
    fn go_to(&mut self, position: &[u8], caller: &Caller<'_>) -> Result<()> {
        std::mem::replace(&mut self.front, Front::Moving).end(caller.limits);
        let mut from = Reader::new(position);
        from.bytes()?;
        let (then, now) = (String::from_utf8_lossy(from.bytes()?), self.chain());
        if then != now {
            let text = format!("the pipeline was {then} when the checkpoint was written, and is {now}");
            return Err(Error::new(Code::FailedPrecondition, text));
        }
        let (calls, dataset) = (from.number()?, &self.dataset.dataset);
        let has_states = from.flag()?;
        // Seeds and caches are restored into a state that no running iterator uses.
        let kept = Kept::default();
        if !has_states {
            // A replay begins with the seeds with which the interrupted run began.
            self.begin = from.bytes()?.into();
            if !self.begin.is_empty() {
                kept.restore(dataset.as_ref(), &mut Reader::new(&self.begin))?;
            }
        }
        let mut producer = Producer::new(dataset.clone(), kept, caller)?;
        // The states of operations in functions are imported last: restoring inner datasets calls functions,
        // which advance them.
        let run = run(caller.environment, caller.limits, &producer.instance, &producer.kept);
        if has_states {
            producer.source.restore(&mut from, &run)?;
            producer.kept.restore(dataset.as_ref(), &mut from)?;
            producer.instance.import(restored_states(&mut from)?);
            self.begin = from.bytes()?.into();
            if !from.is_empty() {
                return Err(damaged());
            }
        } else {
            replay(&mut producer.source, calls, &run)?;
        }
        self.calls = calls;
        self.front = Front::Step(producer);
        Ok(())
    }
}

impl Standing {
    /// Returns the position: the origin and pipeline of the iterator, the number of requests, and the state of
    /// everything in it if all of it can be serialized.
    fn position(&self) -> Result<Vec<u8>> {
        let mut to = Writer::default();
        to.text(self.origin.as_bytes());
        to.text(chain(self.dataset.as_ref()).as_bytes());
        to.number(self.calls);
        // What cannot be written is replayed; the count of requests and the beginning suffice for that.
        let states = self.states.as_ref().map_err(Clone::clone).and_then(Writer::bytes);
        to.flag(states.is_ok());
        to.raw(&states.unwrap_or_default());
        to.text(&self.begin);
        to.bytes()
    }
}

/// Returns the origin of the iterator of a position.
fn origin_of(position: &[u8]) -> Result<String> {
    Ok(String::from_utf8_lossy(Reader::new(position).bytes()?).into_owned())
}

/// Draws as many elements as were returned before, and logs its progress from time to time. Costs as much as
/// the run up to the checkpoint did for its input.
fn replay(source: &mut Source, calls: u64, run: &Run<'_>) -> Result<()> {
    let mut said = Instant::now();
    for call in 0..calls {
        run.limits.check()?;
        // An element that failed then fails again; its error was already reported. The end of the run is another
        // error, which leaves the iterator before the element.
        if source.next(run).is_err() {
            run.limits.check()?;
        }
        if said.elapsed() > PATIENCE {
            log::info!("an input without random access goes to where it stood: {call} of {calls} elements");
            said = Instant::now();
        }
    }
    Ok(())
}

/// An iterator's position as a state that goes into checkpoints, under the name of the iterator's operation.
pub(super) struct Position(pub(super) Arc<IteratorResource>);

impl OpState for Position {
    /// Returns the position as bytes, or no bytes as long as the iterator is not initialized. That of an iterator
    /// whose step waits for another thread is the one before the element.
    fn export(&self) -> Vec<u8> {
        // No step has requested an element since the restore, so the iterator still stands there.
        if let Some(restored) = &self.0.state().restored {
            return restored.to_vec();
        }
        let standing = self.0.standing();
        standing.and_then(|standing| standing.position().ok()).unwrap_or_default()
    }

    /// Notes the position for the next request; no bytes stand for an iterator that was not initialized.
    fn import(&self, bytes: &[u8]) -> Result<()> {
        self.0.state().restored = (!bytes.is_empty()).then(|| bytes.into());
        Ok(())
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}
