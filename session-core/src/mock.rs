//! A scripted session, for tests of code that drives sessions.

use crate::session::closed;
use crate::{Callable, Endpoint, Error, Graph, OpId, PreparedStep, Result, RunMetadata, RunOptions};
use crate::{Engine, Session, SessionConfig, Step, StepSignature};
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tensor::Tensor;

/// What a scripted step saw.
#[derive(Clone, Debug)]
pub struct RecordedRun {
    /// Names of the outputs fetched.
    pub fetches: Vec<String>,
    /// Names of the operations run.
    pub targets: Vec<String>,
    /// Names of the outputs fed, with the values.
    pub feeds: Vec<(String, Tensor)>,
    /// The options.
    pub options: RunOptions,
}

type Answer = Box<dyn FnMut(&RecordedRun) -> Result<Vec<Tensor>> + Send>;

/// A session that answers what the test tells it to, and remembers what it was asked. Clones are one session.
///
/// Without a scripted answer a run gives a `float32` zero for each fetch.
#[derive(Clone)]
pub struct MockSession(Arc<Inner>);

struct Inner {
    graph: Graph,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    script: VecDeque<Answer>,
    default: Option<Answer>,
    runs: Vec<RecordedRun>,
    closed: bool,
}

impl MockSession {
    /// A session on a graph.
    #[must_use]
    pub fn new(graph: &Graph) -> MockSession {
        MockSession(Arc::new(Inner { graph: graph.clone(), state: Mutex::default() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers the next run that has no answer yet.
    pub fn expect(&self, answer: impl FnMut(&RecordedRun) -> Result<Vec<Tensor>> + Send + 'static) {
        self.state().script.push_back(Box::new(answer));
    }

    /// Lets the next run that has no answer yet fail.
    pub fn expect_error(&self, error: Error) {
        self.expect(move |_| Err(error.clone()));
    }

    /// Answers every run that the script does not.
    pub fn otherwise(&self, answer: impl FnMut(&RecordedRun) -> Result<Vec<Tensor>> + Send + 'static) {
        self.state().default = Some(Box::new(answer));
    }

    /// What it was asked so far.
    #[must_use]
    pub fn runs(&self) -> Vec<RecordedRun> {
        self.state().runs.clone()
    }

    /// How many scripted answers were not asked for.
    #[must_use]
    pub fn unused(&self) -> usize {
        self.state().script.len()
    }

    fn output_name(&self, endpoint: Endpoint) -> String {
        format!("{}:{}", self.operation_name(endpoint.op), endpoint.index)
    }

    fn operation_name(&self, id: OpId) -> String {
        self.0.graph.operation_by_id(id).map_or_else(|| format!("#{id}"), |op| op.name().to_owned())
    }
}

impl fmt::Debug for MockSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("MockSession").field("runs", &state.runs.len()).field("closed", &state.closed).finish()
    }
}

impl Session for MockSession {
    fn graph(&self) -> &Graph {
        &self.0.graph
    }

    fn execute(&self, step: &Step<'_>, _: Option<&mut RunMetadata>) -> Result<Vec<Tensor>> {
        let run = RecordedRun {
            fetches: step.fetches.iter().map(|&fetch| self.output_name(fetch)).collect(),
            targets: step.targets.iter().map(|&target| self.operation_name(target)).collect(),
            feeds: step.feeds.iter().map(|(key, value)| (self.output_name(*key), value.clone())).collect(),
            options: step.options.clone(),
        };
        let mut state = self.state();
        if state.closed {
            return Err(closed());
        }
        state.runs.push(run.clone());
        let scripted = state.script.pop_front();
        let default = if scripted.is_none() { state.default.take() } else { None };
        drop(state); // an answer may use the session
        if let Some(mut answer) = scripted {
            return answer(&run);
        }
        let Some(mut answer) = default else { return Ok(vec![Tensor::from(0f32); run.fetches.len()]) };
        let values = answer(&run);
        self.state().default.get_or_insert(answer);
        values
    }

    fn prepare(&self, signature: &StepSignature) -> Result<Callable> {
        if self.is_closed() {
            return Err(closed());
        }
        Ok(Callable::new(MockStep { session: self.clone(), signature: signature.clone() }))
    }

    fn close(&self) -> Result<()> {
        self.state().closed = true;
        Ok(())
    }

    fn is_closed(&self) -> bool {
        self.state().closed
    }
}

struct MockStep {
    session: MockSession,
    signature: StepSignature,
}

impl PreparedStep for MockStep {
    fn call(
        &self,
        feeds: &[Tensor],
        options: &RunOptions,
        metadata: Option<&mut RunMetadata>,
    ) -> Result<Vec<Tensor>> {
        let feeds: Vec<_> = self.signature.feeds.iter().copied().zip(feeds.iter().cloned()).collect();
        let StepSignature { fetches, targets, .. } = &self.signature;
        self.session.execute(&Step { fetches, targets, feeds: &feeds, options }, metadata)
    }
}

/// An engine whose sessions are scripted: each new session is the next one that the test supplied.
#[derive(Debug, Default)]
pub struct MockEngine {
    sessions: Mutex<VecDeque<Result<MockSession>>>,
}

impl MockEngine {
    /// An engine without sessions.
    #[must_use]
    pub fn new() -> MockEngine {
        MockEngine::default()
    }

    /// Supplies the next session, or the failure to make it.
    pub fn supply(&self, session: Result<MockSession>) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).push_back(session);
    }
}

impl Engine for MockEngine {
    fn new_session(&self, graph: &Graph, _: &str, _: &SessionConfig) -> Result<Arc<dyn Session>> {
        let next = self.sessions.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let session = next.unwrap_or_else(|| Ok(MockSession::new(graph)))?;
        Ok(Arc::new(session))
    }

    fn name(&self) -> &str {
        "mock"
    }
}
