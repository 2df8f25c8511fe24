//! The iterators of a session, and where they stand.

use super::dataset::{Handle, Run, Shared, Source, chain, restore_kept, save_kept};
use super::element::{self, Element};
use super::flat_map::{restored_states, save_states};
use super::position::{Reader, Writer, damaged};
use crate::kernel::{Body, Caller};
use crate::limits::Limits;
use crate::resources::{Instance, OpState};
use session_core::{Code, Error, PartialShape, Result};
use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tensor::DType;

/// An iterator that a session keeps under a name.
pub(super) struct IteratorResource {
    pub(super) name: String,
    pub(super) container: String,
    /// Tells it from iterators of other sessions.
    pub(super) id: u64,
    pub(super) types: Vec<DType>,
    pub(super) shapes: Vec<PartialShape>,
    /// Guards what is there; held for a moment. An iterator at work is taken out.
    state: Mutex<State>,
    /// Notified when one that was taken out is back.
    back: Condvar,
}

#[derive(Default)]
struct State {
    live: Place,
    /// The position from a checkpoint, until the iterator moves there.
    restored: Option<Vec<u8>>,
}

#[derive(Default)]
enum Place {
    #[default]
    Empty,
    Here(Box<Live>),
    /// A step works with it.
    Taken,
}

/// An iterator over a dataset.
pub(super) struct Live {
    /// The operation that made it; none for one that makes itself.
    origin: String,
    dataset: Shared,
    /// The state of the dataset before the iterator was made; empty if it cannot be written.
    begin: Vec<u8>,
    source: Source,
    instance: Instance,
    /// The number of requests for an element.
    calls: u64,
}

/// A thread that waits for an iterator looks for the end of its run as often.
const PAUSE: Duration = Duration::from_millis(10);

/// A replay that lasts longer says how far it is.
const PATIENCE: Duration = Duration::from_secs(1);

impl IteratorResource {
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

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the iterator out, once no other step works with it.
    fn take(&self, limits: Option<&Limits<'_>>) -> Result<Taken<'_>> {
        let mut state = self.state();
        while matches!(state.live, Place::Taken) {
            if let Some(limits) = limits {
                limits.check()?;
            }
            state = self.back.wait_timeout(state, PAUSE).unwrap_or_else(PoisonError::into_inner).0;
        }
        let live = match std::mem::replace(&mut state.live, Place::Taken) {
            Place::Here(live) => Some(live),
            _ => None,
        };
        Ok(Taken { resource: self, live })
    }

    /// Begins with a dataset, whatever was there.
    pub(super) fn make(&self, dataset: &Handle, origin: &str, caller: &Caller<'_>) -> Result<()> {
        element::check_types(&self.types, &self.shapes, &dataset.types, &dataset.shapes)?;
        let live = Live::make(dataset.dataset.clone(), origin, caller)?;
        self.take(Some(caller.limits))?.live = Some(Box::new(live));
        Ok(())
    }

    /// Forgets everything.
    pub(super) fn clear(&self, limits: &Limits<'_>) -> Result<()> {
        self.take(Some(limits))?.live = None;
        Ok(())
    }

    /// The next element, or nothing at the end. One that nobody has initialized makes itself with its factory.
    pub(super) fn next(
        &self,
        factory: Option<&Arc<dyn Body>>,
        caller: &Caller<'_>,
    ) -> Result<Option<Element>> {
        let mut taken = self.take(Some(caller.limits))?;
        let restored = self.state().restored.take();
        if taken.live.is_none() {
            let Some(factory) = factory else {
                self.state().restored = restored;
                return Err(uninitialized());
            };
            let made = factory.call(caller, Vec::new())?;
            let made =
                made.first().ok_or_else(|| Error::invalid_argument("a dataset factory gives a dataset"))?;
            taken.live = Some(Box::new(Live::make(Handle::of(made)?.dataset.clone(), "", caller)?));
        }
        let live = taken.live.as_mut().ok_or_else(uninitialized)?;
        if let Some(position) = restored {
            if origin_of(&position)? == live.origin {
                live.go_to(&position, caller).map_err(|error| {
                    let text =
                        format!("iterator '{}' cannot go on where it stood: {}", self.name, error.message());
                    error.context(text)
                })?;
            } else {
                // That of another dataset, which is not initialized yet.
                self.state().restored = Some(position);
            }
        }
        live.next(caller)
    }

    /// Its dataset and where it stands.
    pub(super) fn position(&self, limits: &Limits<'_>) -> Result<(Shared, Vec<u8>)> {
        let taken = self.take(Some(limits))?;
        let live = taken.live.as_ref().ok_or_else(uninitialized)?;
        Ok((live.dataset.clone(), live.position()))
    }

    /// Goes to where another iterator stood.
    pub(super) fn go_to(&self, dataset: &Shared, position: &[u8], caller: &Caller<'_>) -> Result<()> {
        let mut taken = self.take(Some(caller.limits))?;
        let own = taken.live.as_ref().filter(|live| chain(live.dataset.as_ref()) == chain(dataset.as_ref()));
        let (dataset, origin) = match own {
            Some(live) => (live.dataset.clone(), live.origin.clone()),
            None => (dataset.clone(), String::new()),
        };
        let mut live = Live::make(dataset, &origin, caller)?;
        live.go_to(position, caller)?;
        taken.live = Some(Box::new(live));
        Ok(())
    }
}

/// D-20.
fn uninitialized() -> Error {
    let text = "GetNext() failed because the iterator has not been initialized. Ensure that you have run the initializer operation \
                for this iterator before getting the next element.";
    Error::new(Code::FailedPrecondition, text)
}

/// An iterator that a step works with; it goes back when this is dropped.
struct Taken<'r> {
    resource: &'r IteratorResource,
    live: Option<Box<Live>>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        // What a panic leaves may be half changed.
        let live = self.live.take().filter(|_| !std::thread::panicking());
        self.resource.state().live = live.map_or(Place::Empty, Place::Here);
        self.resource.back.notify_one();
    }
}

impl Live {
    fn make(dataset: Shared, origin: &str, caller: &Caller<'_>) -> Result<Live> {
        let instance = Instance::default();
        let mut begin = Writer::default();
        let begin = save_kept(dataset.as_ref(), &mut begin).map(|()| begin.into_bytes()).unwrap_or_default();
        let source = dataset.iterate(&run(caller, &instance))?;
        Ok(Live { origin: origin.to_owned(), dataset, begin, source, instance, calls: 0 })
    }

    fn next(&mut self, caller: &Caller<'_>) -> Result<Option<Element>> {
        self.calls += 1;
        self.source.next(&run(caller, &self.instance))
    }

    /// Returns the position: the origin and input of the iterator, the number of requests, and the state of
    /// everything in it if all of it can be serialized.
    fn position(&self) -> Vec<u8> {
        let mut to = Writer::default();
        to.bytes(self.origin.as_bytes());
        to.bytes(chain(self.dataset.as_ref()).as_bytes());
        to.number(self.calls);
        let mut states = Writer::default();
        let whole =
            self.source.save(&mut states).and_then(|()| save_kept(self.dataset.as_ref(), &mut states));
        let whole = whole.and_then(|()| save_states(&self.instance.export(), &mut states));
        to.flag(whole.is_ok());
        if whole.is_ok() {
            to.raw(&states.into_bytes());
        }
        to.bytes(&self.begin);
        to.into_bytes()
    }

    /// Goes to a position, from the beginning.
    fn go_to(&mut self, position: &[u8], caller: &Caller<'_>) -> Result<()> {
        let mut from = Reader::new(position);
        from.bytes()?;
        let (then, now) = (String::from_utf8_lossy(from.bytes()?), chain(self.dataset.as_ref()));
        if then != now {
            let text = format!("the pipeline was {then} when the checkpoint was written, and is {now}");
            return Err(Error::new(Code::FailedPrecondition, text));
        }
        let calls = from.number()?;
        let has_states = from.flag()?;
        if !has_states {
            // A replay begins with the seeds with which the interrupted run began.
            self.begin = from.bytes()?.to_vec();
            if !self.begin.is_empty() {
                restore_kept(self.dataset.as_ref(), &mut Reader::new(&self.begin))?;
            }
        }
        self.instance = Instance::default();
        let run = run(caller, &self.instance);
        self.source = self.dataset.iterate(&run)?;
        self.calls = calls;
        if has_states {
            self.source.restore(&mut from, &run)?;
            restore_kept(self.dataset.as_ref(), &mut from)?;
            self.instance.import(restored_states(&mut from)?);
            self.begin = from.bytes()?.to_vec();
            return if from.is_empty() { Ok(()) } else { Err(damaged()) };
        }
        replay(&mut self.source, calls, &run)
    }
}

fn run<'a>(caller: &Caller<'a>, instance: &'a Instance) -> Run<'a> {
    Run { environment: caller.environment, limits: caller.limits, instance, rewrites: true }
}

/// Returns the origin of the iterator of a position.
fn origin_of(position: &[u8]) -> Result<String> {
    Ok(String::from_utf8_lossy(Reader::new(position).bytes()?).into_owned())
}

/// Asks for as many elements as were given before, and says now and then how far this is.
fn replay(source: &mut Source, calls: u64, run: &Run<'_>) -> Result<()> {
    let mut said = Instant::now();
    for call in 0..calls {
        run.limits.check()?;
        // An element that failed then fails again; its error was already reported.
        let _ = source.next(run);
        if said.elapsed() > PATIENCE {
            log::info!("an input without random access goes to where it stood: {call} of {calls} elements");
            said = Instant::now();
        }
    }
    Ok(())
}

/// An iterator's position as a state that goes into checkpoints.
pub(super) struct Position(pub(super) Arc<IteratorResource>);

impl OpState for Position {
    /// Nothing as long as it is not initialized.
    fn export(&self) -> Vec<u8> {
        if let Some(restored) = &self.0.state().restored {
            return restored.clone();
        }
        let Ok(taken) = self.0.take(None) else { return Vec::new() };
        taken.live.as_ref().map_or_else(Vec::new, |live| live.position())
    }

    fn import(&self, bytes: &[u8]) -> Result<()> {
        self.0.state().restored = (!bytes.is_empty()).then(|| bytes.to_vec());
        Ok(())
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}
