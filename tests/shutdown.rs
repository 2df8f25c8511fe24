//! A session shuts down quickly, whatever its threads are doing, and names threads that did not stop.
//!
//! Every state of the threads is tested with every way to end.
#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used)] // helpers of tests

use log::{Log, Metadata, Record};
use monitored_session::hooks::SessionRunHook;
use monitored_session::ops::data_flow::{FifoQueue, Queue};
use monitored_session::prelude::*;
use monitored_session::queue_runner::{QueueRunner, report_activity};
use monitored_session::session_core::{Callable, Code, Error, PartialShape, RunMetadata};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// The state of the threads at the end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// A thread produces elements in code that never returns.
    StuckProducer,
    /// A thread consumes elements in code that never returns.
    StuckConsumer,
    /// A thread has panicked.
    PanickingThread,
    /// A thread has failed.
    ErrorThread,
    /// Eight queue-runner threads wait for room.
    FullQueue,
    /// Eight queue-runner threads wait for elements of another queue.
    EmptyQueue,
}

/// The way to end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ending {
    Close,
    /// A thread fails, the loop receives the error, and the session is closed.
    Error,
    /// A stop is requested from outside, as by a signal, and the session is closed.
    Signal,
    Drop,
}

const STATES: [State; 6] = [
    State::StuckProducer,
    State::StuckConsumer,
    State::PanickingThread,
    State::ErrorThread,
    State::FullQueue,
    State::EmptyQueue,
];
const ENDINGS: [Ending; 4] = [Ending::Close, Ending::Error, Ending::Signal, Ending::Drop];

/// The recorded log, which shows the named threads.
struct Kept(Mutex<Vec<String>>);

impl Log for Kept {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &Record<'_>) {
        self.0.lock().unwrap().push(record.args().to_string());
    }
    fn flush(&self) {}
}

static KEPT: Kept = Kept(Mutex::new(Vec::new()));

/// A gate at which stuck threads wait until the test ends.
#[derive(Clone, Default)]
struct Door(Arc<(Mutex<bool>, Condvar)>);

impl Door {
    fn wait(&self) {
        let mut open = self.0.0.lock().unwrap();
        while !*open {
            open = self.0.1.wait(open).unwrap();
        }
    }

    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}

/// Starts the threads of a state once the session exists.
struct Threads {
    state: State,
    door: Door,
    dequeue: Operation,
    coordinator: Arc<OnceLock<Coordinator>>,
}

impl SessionRunHook for Threads {
    fn after_create_session(&mut self, session: &dyn Session, coordinator: &Coordinator) -> Result<()> {
        self.coordinator.get_or_init(|| coordinator.clone());
        let door = self.door.clone();
        let stuck = |what: &'static str| {
            let door = door.clone();
            coordinator.spawn(what, move |_| {
                let _activity = report_activity("waiting at the door");
                door.wait();
                Ok(())
            })
        };
        match self.state {
            State::StuckProducer => drop(stuck("producer")?),
            State::StuckConsumer => {
                let taken: Callable = session.make_callable(&self.dequeue, &[])?;
                let door = door.clone();
                coordinator.spawn("consumer", move |_| {
                    taken.call(&[])?;
                    let _activity = report_activity("waiting at the door");
                    door.wait();
                    Ok(())
                })?;
            }
            State::PanickingThread => drop(coordinator.spawn("fragile", |_| panic!("it broke"))?),
            State::ErrorThread => {
                coordinator.spawn("failing", |_| Err(Error::new(Code::DataLoss, "it failed")))?;
            }
            State::FullQueue => {}
            State::EmptyQueue => {
                // A thread that ignores stop requests.
                let taken: Callable = session.make_callable(&self.dequeue, &[])?;
                coordinator.spawn("waiting", move |_| match taken.call(&[]) {
                    Err(error) if matches!(error.code(), Code::Cancelled | Code::OutOfRange) => Ok(()),
                    other => other.map(drop),
                })?;
            }
        }
        Ok(())
    }
}

fn scalars(graph: &Graph, name: &str, capacity: i64) -> Queue {
    FifoQueue::new(&graph.named(name), capacity, DType::Float32).shapes([PartialShape::scalar()]).build()
}

/// Returns the number of operations that wait at a queue.
fn waiting(session: &dyn Session, queue: &Queue, look: &Operation) -> usize {
    let mut metadata = RunMetadata::default();
    session.run_with(look, (), &RunOptions::default(), Some(&mut metadata)).unwrap();
    let stats = metadata.queues.iter().find(|stats| stats.name == queue.name());
    stats.map_or(0, |stats| stats.pending_enqueues + stats.pending_dequeues)
}

/// Sets up the state, ends it, and returns the time of the shutdown and its result.
fn end(state: State, ending: Ending) -> (Duration, Result<()>) {
    let door = Door::default();
    let graph = Graph::new();
    let (queue, source) = (scalars(&graph, "queue", 8), scalars(&graph, "source", 8));
    let enqueue = match state {
        State::EmptyQueue => queue.enqueue(source.dequeue().output()),
        _ => queue.enqueue(1.0f32),
    };
    QueueRunner::for_queue(&queue, vec![enqueue; 8]).unwrap().add_to_graph().unwrap();
    let (dequeue, looks) = (queue.dequeue().operation().clone(), [queue.size(), source.size()]);
    let coordinator = Arc::new(OnceLock::new());
    let threads = Threads { state, door: door.clone(), dequeue, coordinator: coordinator.clone() };
    let grace = Duration::from_millis(150);
    let mut session =
        SingularMonitoredSession::builder(&graph).stop_grace_period(grace).hook(threads).build().unwrap();

    // The state is reached: all eight threads wait, or the failing one has failed.
    let raw = session.raw_session().unwrap().clone();
    let fails = matches!(state, State::PanickingThread | State::ErrorThread);
    let (place, count) = if state == State::EmptyQueue { (&source, 8) } else { (&queue, 8) };
    let coordinator = coordinator.get().unwrap();
    if fails {
        coordinator.wait_for_stop(None);
    } else {
        let look = looks[usize::from(state == State::EmptyQueue)].operation().clone();
        while waiting(&*raw, place, &look) < count {
            thread::yield_now();
        }
    }
    let start = Instant::now();
    let ended = match ending {
        Ending::Close => session.close(),
        Ending::Error => {
            coordinator.report_error(Error::new(Code::Unavailable, "the peer is gone")).unwrap();
            session.close()
        }
        Ending::Signal => {
            let stop = session.stop_handle();
            let signal = thread::spawn(move || stop.interrupt("SIGTERM"));
            while !session.should_stop() {
                thread::yield_now();
            }
            signal.join().unwrap();
            session.close()
        }
        Ending::Drop => {
            drop(session);
            Ok(())
        }
    };
    let took = start.elapsed();
    door.open();
    (took, ended)
}

#[test]
fn a_session_shuts_down_whatever_its_threads_are_doing() {
    log::set_logger(&KEPT).unwrap();
    log::set_max_level(log::LevelFilter::Debug);
    for state in STATES {
        for ending in ENDINGS {
            KEPT.0.lock().unwrap().clear();
            let (took, ended) = end(state, ending);
            let case = format!("{state:?}, {ending:?}, {took:?}");
            assert!(took < Duration::from_secs(20), "{case}");
            let failure = match (state, ending) {
                (_, Ending::Drop) => None,
                (State::PanickingThread, _) => Some("it broke"),
                (State::ErrorThread, _) => Some("it failed"),
                (_, Ending::Error) => Some("the peer is gone"),
                _ => None,
            };
            match failure {
                None => ended.unwrap_or_else(|error| panic!("{case}: {error}")),
                Some(text) => assert!(ended.unwrap_err().to_string().contains(text), "{case}"),
            }
            let named = KEPT.0.lock().unwrap().iter().any(|line| line.contains("threads still running: "));
            let stuck = matches!(state, State::StuckProducer | State::StuckConsumer);
            assert_eq!(named, stuck, "{case}: {:?}", KEPT.0.lock().unwrap());
            if stuck {
                let name = if state == State::StuckProducer { "producer" } else { "consumer" };
                let text = format!("threads still running: {name} ({name}: waiting at the door)");
                let logged = KEPT.0.lock().unwrap().iter().any(|line| line.contains(&text));
                assert!(logged, "{case}: {:?}", KEPT.0.lock().unwrap());
            }
        }
    }
}
