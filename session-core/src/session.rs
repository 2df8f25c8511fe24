//! The session and engine traits.

use crate::feed::{FeedList, Feeds, check_key};
use crate::fetch::{Fetch, FetchList};
use crate::{Endpoint, Error, Graph, OpId, Output, Result, RunMetadata, RunOptions, SessionConfig};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tensor::Tensor;

/// A live graph that can be run, along with the values of its variables. Several threads may run it at once,
/// hence `&self` and `Sync`.
///
/// This trait is the small core that engines implement. Callers use [`SessionExt`], above all its `run`.
///
/// Implementations must uphold: all fetches of a step are evaluated in one execution (S-35). Feeding an
/// output cuts the graph there (S-48). After [`close`](Session::close), everything fails with "a closed
/// Session" (S-53), blocked calls in other threads return `Cancelled` (S-55), and further calls to `close` do
/// nothing.
pub trait Session: Send + Sync {
    /// Returns the graph. It may grow while the session is open (S-56).
    fn graph(&self) -> &Graph;

    /// Runs one step and returns the fetched values in order.
    ///
    /// # Errors
    /// Returns errors of the graph, the feeds, or the state, and errors that operations report, with node and
    /// place.
    fn execute(&self, step: &Step<'_>, metadata: Option<&mut RunMetadata>) -> Result<Vec<Tensor>>;

    /// Compiles a step once, to be called many times (S-66).
    ///
    /// # Errors
    /// Fails for errors of the graph and for fetches that cannot be computed from these feeds.
    fn prepare(&self, signature: &StepSignature) -> Result<Callable>;

    /// Closes the session: cancels what blocks and drops the variables.
    ///
    /// # Errors
    /// Returns errors of the engine's peers. The session is closed in any case.
    fn close(&self) -> Result<()>;

    /// Returns true if the session was closed.
    fn is_closed(&self) -> bool;

    /// Waits until the background threads of the closed session have ended, at most for `grace`. Returns what those do that
    /// have not, such as an iterator whose generator does not return. Empty by default.
    ///
    /// ```
    /// use session_core::{Graph, Session};
    /// let session = session_core::mock::MockSession::new(&Graph::new());
    /// session.close()?;
    /// assert!(session.join_threads(std::time::Duration::from_secs(1)).is_empty());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    fn join_threads(&self, grace: Duration) -> Vec<String> {
        // An engine without threads of its own has nothing to wait for.
        let _ = grace;
        Vec::new()
    }

    /// Exports the state, other than variables, that a resumed run needs to continue exactly, such as the state
    /// of random operations: opaque bytes by key, which belong in a checkpoint. Empty by default.
    ///
    /// # Errors
    /// Returns errors of the engine.
    fn export_state(&self) -> Result<Vec<(String, Vec<u8>)>> {
        Ok(Vec::new())
    }

    /// Imports what [`export_state`](Session::export_state) returned. Keys that this session does not know
    /// are ignored.
    ///
    /// # Errors
    /// Fails for bytes that are invalid for their key. Nothing is imported in that case.
    fn import_state(&self, state: &[(String, Vec<u8>)]) -> Result<()> {
        let _ = state;
        Ok(())
    }
}

impl fmt::Debug for dyn Session + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operations = self.graph().len();
        f.debug_struct("Session")
            .field("operations", &operations)
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// A step as an engine sees it: numbers instead of names, with checked feeds.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The outputs to deliver, each once.
    pub fetches: &'a [Endpoint],
    /// The operations to run for their effect.
    pub targets: &'a [OpId],
    /// The values that replace outputs, one per output.
    pub feeds: &'a [(Endpoint, Tensor)],
    /// The time limit, tracing, and cancellation.
    pub options: &'a RunOptions,
}

/// The fetches, targets, and feeds of a step without the fed values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct StepSignature {
    /// The outputs to deliver.
    pub fetches: Vec<Endpoint>,
    /// The operations to run for their effect.
    pub targets: Vec<OpId>,
    /// The outputs to be fed, in the order of the values.
    pub feeds: Vec<Endpoint>,
}

/// A step that an engine has compiled.
pub trait PreparedStep: Send + Sync {
    /// Runs the step. Missing values count as not fed, and surplus ones are ignored (S-66). Dtypes and shapes
    /// are checked.
    ///
    /// # Errors
    /// As [`Session::execute`]; `Cancelled` after the session was closed (S-54).
    fn call(
        &self,
        feeds: &[Tensor],
        options: &RunOptions,
        metadata: Option<&mut RunMetadata>,
    ) -> Result<Vec<Tensor>>;
}

/// A compiled step. It takes feed values by position and returns the fetched values in order. This is the
/// cheapest way to run the same step many times.
///
/// ```
/// use session_core::SessionExt;
/// use session_core::mock::MockSession;
/// # use session_core::{DType, Graph, OutputInfo, PartialShape};
/// let graph = Graph::new();
/// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
/// # let x = graph.undefined_op("Placeholder").name("x").described_output(info).finish_output();
/// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
/// # let y = graph.undefined_op("Placeholder").name("y").described_output(info).finish_output();
/// let session = MockSession::new(&graph);
/// let step = session.make_callable(&y, &[&x])?;
/// let values = step.call(&[[1.0f32, 2.0].into()])?;
/// assert_eq!(values.len(), 1);
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Callable(Arc<dyn PreparedStep>);

impl Callable {
    /// Wraps a compiled step of an engine.
    #[must_use]
    pub fn new(step: impl PreparedStep + 'static) -> Callable {
        Callable(Arc::new(step))
    }

    /// Runs the step.
    ///
    /// # Errors
    /// As [`PreparedStep::call`].
    pub fn call(&self, feeds: &[Tensor]) -> Result<Vec<Tensor>> {
        self.0.call(feeds, &RunOptions::default(), None)
    }

    /// Runs the step with options and records metadata.
    ///
    /// # Errors
    /// As [`PreparedStep::call`].
    pub fn call_with(
        &self,
        feeds: &[Tensor],
        options: &RunOptions,
        metadata: Option<&mut RunMetadata>,
    ) -> Result<Vec<Tensor>> {
        self.0.call(feeds, options, metadata)
    }
}

impl fmt::Debug for Callable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Callable")
    }
}

/// An implementation that creates sessions.
pub trait Engine: Send + Sync {
    /// Creates a session on a graph. `target` is empty for this process, or names a master such as
    /// `grpc://host:port`.
    ///
    /// # Errors
    /// Fails with `NotFound` for a target that the engine does not know (S-51), and for errors of the graph.
    fn new_session(&self, graph: &Graph, target: &str, config: &SessionConfig) -> Result<Arc<dyn Session>>;

    /// Returns the name of the engine, for messages.
    fn name(&self) -> &str;
}

/// Convenience methods for callers. Implemented for every [`Session`]; do not implement it.
///
/// ```
/// use session_core::SessionExt;
/// use session_core::mock::MockSession;
/// # use session_core::{DType, Graph, OutputInfo, PartialShape};
/// let graph = Graph::new();
/// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
/// # let x = graph.undefined_op("Placeholder").name("x").described_output(info).finish_output();
/// let session = MockSession::new(&graph);
/// let value = session.run(&x, ())?;
/// assert_eq!(value.dtype(), DType::Float32);
/// # Ok::<(), session_core::Error>(())
/// ```
pub trait SessionExt: Session {
    /// Runs one step and returns the fetched values in the structure of the fetch.
    ///
    /// ```
    /// use session_core::SessionExt;
    /// use session_core::mock::MockSession;
    /// # use session_core::{DType, Graph, OutputInfo, PartialShape};
    /// let graph = Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
    /// # let x = graph.undefined_op("Placeholder").name("x").described_output(info).finish_output();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
    /// # let y = graph.undefined_op("Placeholder").name("y").described_output(info).finish_output();
    /// let session = MockSession::new(&graph);
    /// let (a, b) = session.run((&x, &y), ())?;
    /// assert_eq!((a, b), (0.0f32.into(), 0.0f32.into())); // the mock session returns zeros
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns errors of the fetches (S-36), the feeds (S-40 to S-45), the state, and the running operations.
    fn run<F: Fetch>(&self, fetch: F, feeds: impl Feeds) -> Result<F::Value> {
        self.run_with(fetch, feeds, &RunOptions::default(), None)
    }

    /// Runs one step with options and records metadata.
    ///
    /// # Errors
    /// As [`run`](SessionExt::run).
    fn run_with<F: Fetch>(
        &self,
        fetch: F,
        feeds: impl Feeds,
        options: &RunOptions,
        metadata: Option<&mut RunMetadata>,
    ) -> Result<F::Value> {
        // Before the names are resolved, so that a closed session is always reported as such.
        if self.is_closed() {
            return Err(closed());
        }
        let graph = self.graph();
        let mut list = FetchList::new(graph);
        // All fetches are listed before anything runs: an unknown name must not leave half a step behind.
        fetch.expand(&mut list)?;
        let mut fed = FeedList::new(graph);
        feeds.collect(&mut fed)?;
        let step = Step { fetches: list.fetches(), targets: list.targets(), feeds: fed.feeds(), options };
        let results = self.execute(&step, metadata)?;
        Ok(fetch.collect(&mut list.values(&results)))
    }

    /// Compiles a step from its fetches and the outputs to be fed, in the order of the values (S-66). The
    /// results come in the order of the distinct tensor leaves of the fetch.
    ///
    /// ```
    /// use session_core::SessionExt;
    /// use session_core::mock::MockSession;
    /// # use session_core::{DType, Graph, OutputInfo, PartialShape};
    /// let graph = Graph::new();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
    /// # let x = graph.undefined_op("Placeholder").name("x").described_output(info).finish_output();
    /// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::from([Some(2)]), is_ref: false };
    /// # let y = graph.undefined_op("Placeholder").name("y").described_output(info).finish_output();
    /// let step = MockSession::new(&graph).make_callable(&y, &[&x])?;
    /// assert_eq!(step.call(&[[1.0f32, 2.0].into()])?.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns errors of the fetches (S-36) and of feeds that belong to another graph or must not be fed
    /// (S-40, S-45). Fails for an output that is fed twice and for fetches that cannot be computed from these
    /// feeds.
    fn make_callable<F: Fetch>(&self, fetch: F, feeds: &[&Output]) -> Result<Callable> {
        if self.is_closed() {
            return Err(closed());
        }
        let mut list = FetchList::new(self.graph());
        fetch.expand(&mut list)?;
        for (index, feed) in feeds.iter().enumerate() {
            check_key(self.graph(), feed)?;
            // By position a second value would be indistinguishable from the first, unlike in a dictionary.
            if feeds[..index].contains(feed) {
                return Err(Error::value(format!("'{}' is fed twice", feed.name())));
            }
        }
        self.prepare(&StepSignature {
            fetches: list.fetches().to_vec(),
            targets: list.targets().to_vec(),
            feeds: feeds.iter().map(|feed| feed.endpoint()).collect(),
        })
    }
}

impl<S: Session + ?Sized> SessionExt for S {}

/// Creates the error of every call on a closed session (S-53).
///
/// ```
/// assert!(session_core::closed().message().contains("closed Session"));
/// ```
#[must_use]
pub fn closed() -> Error {
    Error::runtime("attempted to use a closed Session")
}

/// Creates the error of every call of a callable whose session was closed (S-54).
///
/// ```
/// use session_core::{Code, closed_callable};
/// assert_eq!(closed_callable().code(), Code::Cancelled);
/// ```
#[must_use]
pub fn closed_callable() -> Error {
    Error::new(crate::Code::Cancelled, "the callable cannot run: its session has been closed")
}

/// Implements the traits for pointers to a session.
macro_rules! session_behind {
    ($pointer:ty) => {
        impl<S: Session + ?Sized> Session for $pointer {
            fn graph(&self) -> &Graph {
                (**self).graph()
            }
            fn execute(&self, step: &Step<'_>, metadata: Option<&mut RunMetadata>) -> Result<Vec<Tensor>> {
                (**self).execute(step, metadata)
            }
            fn prepare(&self, signature: &StepSignature) -> Result<Callable> {
                (**self).prepare(signature)
            }
            fn close(&self) -> Result<()> {
                (**self).close()
            }
            fn join_threads(&self, grace: Duration) -> Vec<String> {
                (**self).join_threads(grace)
            }
            fn is_closed(&self) -> bool {
                (**self).is_closed()
            }
            fn export_state(&self) -> Result<Vec<(String, Vec<u8>)>> {
                (**self).export_state()
            }
            fn import_state(&self, state: &[(String, Vec<u8>)]) -> Result<()> {
                (**self).import_state(state)
            }
        }
    };
}

session_behind!(&S);
session_behind!(Arc<S>);
