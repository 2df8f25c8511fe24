//! Engines, models and clocks that tests share.

use embedded_engine::EmbeddedEngine;
use scaffold::Waiter;
use session_core::mock::MockSession;
use session_core::{
    CancellationToken, DType, Engine, Error, Graph, Operation, Output, OutputInfo, PartialShape, Result,
    Session, SessionConfig, Tensor,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) fn embedded() -> Arc<dyn Engine> {
    Arc::new(EmbeddedEngine::new())
}

pub(crate) fn open(graph: &Graph) -> Arc<dyn Session> {
    embedded().new_session(graph, "", &SessionConfig::default()).unwrap()
}

/// Creates an operation that only a scripted session can run.
pub(crate) fn op(graph: &Graph, name: &str) -> Operation {
    graph.undefined_op("NoOp").name(name).finish()
}

/// Creates an output that only a scripted session can compute.
pub(crate) fn output(graph: &Graph, name: &str, dtype: DType) -> Output {
    let info = OutputInfo { dtype, shape: PartialShape::unknown(), is_ref: false };
    graph.undefined_op("Scripted").name(name).described_output(info).finish_output()
}

/// Returns the value of a ready op that reports these names.
pub(crate) fn missing(names: &[&str]) -> Tensor {
    Tensor::from(names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>())
}

/// An engine whose sessions are scripted by a function and recorded.
pub(crate) struct Scripted {
    make: Box<dyn Fn(&MockSession, usize) + Send + Sync>,
    pub(crate) sessions: Mutex<Vec<MockSession>>,
}

impl Scripted {
    /// Creates an engine. The function scripts each new session, and receives its number.
    pub(crate) fn new(make: impl Fn(&MockSession, usize) + Send + Sync + 'static) -> Arc<Scripted> {
        Arc::new(Scripted { make: Box::new(make), sessions: Mutex::default() })
    }

    /// Creates an engine in whose sessions everything is ready.
    pub(crate) fn ready() -> Arc<Scripted> {
        Scripted::new(|session, _| session.otherwise(|run| Ok(vec![missing(&[]); run.fetches.len()])))
    }

    pub(crate) fn session(&self, index: usize) -> MockSession {
        self.sessions.lock().unwrap()[index].clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.sessions.lock().unwrap().len()
    }

    /// Returns the operations that a session has run, in order.
    pub(crate) fn ran(&self, index: usize) -> Vec<String> {
        let runs = self.session(index).runs();
        runs.into_iter().flat_map(|run| run.fetches.into_iter().chain(run.targets)).collect()
    }
}

impl Engine for Scripted {
    fn new_session(&self, graph: &Graph, _: &str, _: &SessionConfig) -> Result<Arc<dyn Session>> {
        let session = MockSession::new(graph);
        let mut sessions = self.sessions.lock().unwrap();
        (self.make)(&session, sessions.len());
        sessions.push(session.clone());
        Ok(Arc::new(session))
    }
    fn name(&self) -> &str {
        "scripted"
    }
}

/// A clock that advances only when a thread waits.
#[derive(Debug, Default)]
pub(crate) struct Hand {
    pub(crate) waits: Mutex<Vec<Duration>>,
}

impl Waiter for Hand {
    fn now(&self) -> Duration {
        self.waits.lock().unwrap().iter().sum()
    }
    fn wait(&self, time: Duration, cancellation: &CancellationToken) -> Result<()> {
        cancellation.check()?;
        self.waits.lock().unwrap().push(time);
        Ok(())
    }
}

pub(crate) fn seconds(hand: &Hand) -> Vec<u64> {
    hand.waits.lock().unwrap().iter().map(Duration::as_secs).collect()
}

/// Returns the text of an error and its causes.
pub(crate) fn error_text(error: &Error) -> String {
    error.chain().to_string()
}
