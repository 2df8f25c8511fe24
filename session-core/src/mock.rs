//! A scripted session for tests of code that drives sessions.

use crate::session::closed;
use crate::{Callable, Endpoint, Error, Graph, OpId, PreparedStep, Result, RunMetadata, RunOptions};
use crate::{Engine, Session, SessionConfig, Step, StepSignature};
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tensor::Tensor;

/// A run as a [`MockSession`] recorded it.
#[derive(Clone, Debug)]
pub struct RecordedRun {
    /// The names of the fetched outputs.
    pub fetches: Vec<String>,
    /// The names of the operations run.
    pub targets: Vec<String>,
    /// The names and values of the fed outputs.
    pub feeds: Vec<(String, Tensor)>,
    /// The options of the run.
    pub options: RunOptions,
}

type Answer = Box<dyn FnMut(&RecordedRun) -> Result<Vec<Tensor>> + Send>;

/// A session that returns scripted answers and records what it is asked. Clones share one session.
///
/// Without a scripted answer, a run returns a `float32` zero for each fetch.
///
/// ```
/// use session_core::mock::MockSession;
/// use session_core::{Error, SessionExt, Tensor};
/// # use session_core::{DType, Graph, OutputInfo, PartialShape};
/// let graph = Graph::new();
/// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
/// # let loss = graph.undefined_op("Placeholder").name("loss").described_output(info).finish_output();
/// let session = MockSession::new(&graph);
/// session.expect(|_| Ok(vec![Tensor::scalar(0.5f32)]));
/// session.expect_error(Error::value("the second run fails"));
/// assert_eq!(session.run(&loss, ())?.value::<f32>()?, 0.5);
/// assert!(session.run(&loss, ()).is_err());
/// assert_eq!(session.runs()[0].fetches, ["loss:0"]);
/// # Ok::<(), session_core::Error>(())
/// ```
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
    /// Creates a session on a graph.
    #[must_use]
    pub fn new(graph: &Graph) -> MockSession {
        MockSession(Arc::new(Inner { graph: graph.clone(), state: Mutex::default() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Scripts the answer to the next run that has none.
    ///
    /// ```
    /// use session_core::mock::MockSession;
    /// use session_core::{SessionExt, Tensor};
    /// # use session_core::{DType, Graph, OutputInfo, PartialShape};
    /// let graph = Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
    /// # let loss = graph.undefined_op("Placeholder").name("loss").described_output(info).finish_output();
    /// let session = MockSession::new(&graph);
    /// session.expect(|run| Ok(vec![Tensor::scalar(0.5f32); run.fetches.len()]));
    /// assert_eq!(session.run(&loss, ())?.value::<f32>()?, 0.5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn expect(&self, answer: impl FnMut(&RecordedRun) -> Result<Vec<Tensor>> + Send + 'static) {
        self.state().script.push_back(Box::new(answer));
    }

    /// Scripts a failure of the next run that has no answer.
    ///
    /// ```
    /// use session_core::mock::MockSession;
    /// use session_core::{Code, Error, Graph, SessionExt};
    /// let session = MockSession::new(&Graph::new());
    /// session.expect_error(Error::new(Code::Aborted, "the peer restarted"));
    /// assert!(session.run((), ()).unwrap_err().is_recoverable());
    /// ```
    pub fn expect_error(&self, error: Error) {
        self.expect(move |_| Err(error.clone()));
    }

    /// Answers all runs that the script does not cover.
    ///
    /// ```
    /// use session_core::mock::MockSession;
    /// use session_core::{SessionExt, Tensor};
    /// # use session_core::{DType, Graph, OutputInfo, PartialShape};
    /// let graph = Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
    /// # let loss = graph.undefined_op("Placeholder").name("loss").described_output(info).finish_output();
    /// let session = MockSession::new(&graph);
    /// session.otherwise(|_| Ok(vec![Tensor::scalar(2.0f32)]));
    /// assert_eq!(session.run(&loss, ())?.value::<f32>()?, 2.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn otherwise(&self, answer: impl FnMut(&RecordedRun) -> Result<Vec<Tensor>> + Send + 'static) {
        self.state().default = Some(Box::new(answer));
    }

    /// Returns the runs so far.
    ///
    /// ```
    /// use session_core::mock::MockSession;
    /// use session_core::SessionExt;
    /// # use session_core::{DType, Graph, OutputInfo, PartialShape};
    /// let graph = Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
    /// # let loss = graph.undefined_op("Placeholder").name("loss").described_output(info).finish_output();
    /// let session = MockSession::new(&graph);
    /// session.run(&loss, ())?;
    /// assert_eq!(session.runs()[0].fetches, ["loss:0"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn runs(&self) -> Vec<RecordedRun> {
        self.state().runs.clone()
    }

    /// Returns the number of scripted answers that were not used.
    ///
    /// ```
    /// use session_core::mock::MockSession;
    /// use session_core::Graph;
    /// let session = MockSession::new(&Graph::new());
    /// session.expect(|_| Ok(Vec::new()));
    /// assert_eq!(session.unused(), 1);
    /// ```
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
        // Taken out for the call, because the closure is mutable and the lock must not be held while it runs.
        let default = if scripted.is_none() { state.default.take() } else { None };
        drop(state); // the answer may use the session
        if let Some(mut answer) = scripted {
            return answer(&run);
        }
        let Some(mut answer) = default else { return Ok(vec![Tensor::from(0f32); run.fetches.len()]) };
        let values = answer(&run);
        // Put back unless the answer itself set another one.
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
///
/// ```
/// use session_core::mock::{MockEngine, MockSession};
/// use session_core::{Engine, Graph, SessionConfig};
/// let graph = Graph::new();
/// let engine = MockEngine::new();
/// engine.supply(Ok(MockSession::new(&graph)));
/// assert!(engine.new_session(&graph, "", &SessionConfig::default()).is_ok());
/// ```
#[derive(Debug, Default)]
pub struct MockEngine {
    sessions: Mutex<VecDeque<Result<MockSession>>>,
}

impl MockEngine {
    /// Creates an engine without sessions.
    #[must_use]
    pub fn new() -> MockEngine {
        MockEngine::default()
    }

    /// Supplies the next session, or the error of its creation.
    ///
    /// ```
    /// use session_core::mock::{MockEngine, MockSession};
    /// use session_core::{Code, Engine, Error, Graph, SessionConfig};
    /// let graph = Graph::new();
    /// let engine = MockEngine::new();
    /// engine.supply(Err(Error::new(Code::Unavailable, "the master is down")));
    /// assert!(engine.new_session(&graph, "", &SessionConfig::default()).is_err());
    /// ```
    pub fn supply(&self, session: Result<MockSession>) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).push_back(session);
    }
}

impl Engine for MockEngine {
    fn new_session(&self, graph: &Graph, _: &str, _: &SessionConfig) -> Result<Arc<dyn Session>> {
        let next = self.sessions.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        // Tests that do not care about sessions need not supply any.
        let session = next.unwrap_or_else(|| Ok(MockSession::new(graph)))?;
        Ok(Arc::new(session))
    }

    fn name(&self) -> &str {
        "mock"
    }
}
