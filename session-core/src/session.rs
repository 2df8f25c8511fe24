//! Sessions and engines.

use crate::feed::{FeedList, Feeds, check_key};
use crate::fetch::{Fetch, FetchList};
use crate::{Endpoint, Error, Graph, OpId, Output, Result, RunMetadata, RunOptions, SessionConfig};
use std::fmt;
use std::sync::Arc;
use tensor::Tensor;

/// One live graph that can be run, with the values of its variables. Many threads may run it at once, hence
/// `&self` and `Sync`.
///
/// This is the small core that engines implement; callers use [`SessionExt`], above all its `run`.
///
/// What must hold: all fetches of one step are evaluated in one execution (S-35); feeding an output cuts the graph
/// there (S-48); after [`close`](Session::close) everything fails with "a closed Session" (S-53), what blocks in other
/// threads ends with `Cancelled` (S-55), and closing again does nothing.
pub trait Session: Send + Sync {
    /// The graph. It may grow while the session is open (S-56).
    fn graph(&self) -> &Graph;

    /// Runs one step and gives the fetched values in order.
    ///
    /// # Errors
    /// Mistakes of the graph, the feeds or the state, and whatever an operation reports, with node and place.
    fn execute(&self, step: &Step<'_>, metadata: Option<&mut RunMetadata>) -> Result<Vec<Tensor>>;

    /// Compiles a step once, to be called many times (S-66).
    ///
    /// # Errors
    /// Mistakes of the graph and what cannot be computed from these feeds.
    fn prepare(&self, signature: &StepSignature) -> Result<Callable>;

    /// Ends the session: what blocks is cancelled, variables are dropped.
    ///
    /// # Errors
    /// Of the engine's peers. The session is closed all the same.
    fn close(&self) -> Result<()>;

    /// Whether it was closed.
    fn is_closed(&self) -> bool;

    /// What the session holds beside variables and a resumed run needs to go on exactly, such as the state of random
    /// operations: opaque bytes by key, which belong into a checkpoint. Empty by default.
    ///
    /// # Errors
    /// Of the engine.
    fn export_state(&self) -> Result<Vec<(String, Vec<u8>)>> {
        Ok(Vec::new())
    }

    /// Takes back what [`export_state`](Session::export_state) gave. Keys that mean nothing to this session are ignored.
    ///
    /// # Errors
    /// Bytes that do not fit their key; nothing is taken over then.
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

/// One step as an engine sees it: numbers instead of names, feeds checked.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The outputs to deliver, each once.
    pub fetches: &'a [Endpoint],
    /// The operations to run for their effect.
    pub targets: &'a [OpId],
    /// Values in the place of outputs, each output once.
    pub feeds: &'a [(Endpoint, Tensor)],
    /// Time limit, tracing, cancellation.
    pub options: &'a RunOptions,
}

/// Which outputs a step delivers, what it runs, and what it is fed: all but the values.
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
    /// Runs it. Values that are missing count as not fed, surplus ones are ignored (S-66); their dtypes and shapes
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

/// A compiled step: called with feed values by position, it gives the fetched values in order. The cheapest way to
/// run the same step many times.
#[derive(Clone)]
pub struct Callable(Arc<dyn PreparedStep>);

impl Callable {
    /// Wraps an engine's compiled step.
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

    /// Runs the step with options, recording metadata.
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

/// Something that runs graphs.
pub trait Engine: Send + Sync {
    /// A new session on a graph. `target` is empty for this process, or names a master such as `grpc://host:port`.
    ///
    /// # Errors
    /// `NotFound` for a target that the engine does not know (S-51); mistakes of the graph.
    fn new_session(&self, graph: &Graph, target: &str, config: &SessionConfig) -> Result<Arc<dyn Session>>;

    /// The engine's name, for messages.
    fn name(&self) -> &str;
}

/// Shorthands for callers. Implemented for every [`Session`]; do not implement it.
pub trait SessionExt: Session {
    /// Runs one step and gives what was fetched, in the same shape.
    ///
    /// # Errors
    /// Of the fetches (S-36), the feeds (S-40 to S-45), the state and the running operations.
    fn run<F: Fetch>(&self, fetch: F, feeds: impl Feeds) -> Result<F::Value> {
        self.run_with(fetch, feeds, &RunOptions::default(), None)
    }

    /// Runs one step with options, recording metadata.
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
        if self.is_closed() {
            return Err(closed());
        }
        let graph = self.graph();
        let mut list = FetchList::new(graph);
        fetch.expand(&mut list)?;
        let mut fed = FeedList::new(graph);
        feeds.collect(&mut fed)?;
        let step = Step { fetches: list.fetches(), targets: list.targets(), feeds: fed.feeds(), options };
        let results = self.execute(&step, metadata)?;
        Ok(fetch.collect(&mut list.values(&results)))
    }

    /// Compiles a step: what it fetches, and which outputs will be fed, in the order of the values (S-66). The values
    /// come back in the order of the distinct tensor leaves of the fetch.
    ///
    /// # Errors
    /// Of the fetches (S-36), of feeds of another graph or that may not be fed (S-40, S-45), of an output that is fed twice,
    /// and for what cannot be computed from these feeds.
    fn make_callable<F: Fetch>(&self, fetch: F, feeds: &[&Output]) -> Result<Callable> {
        if self.is_closed() {
            return Err(closed());
        }
        let mut list = FetchList::new(self.graph());
        fetch.expand(&mut list)?;
        for (index, feed) in feeds.iter().enumerate() {
            check_key(self.graph(), feed)?;
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

/// The error of every call on a closed session (S-53).
#[must_use]
pub fn closed() -> Error {
    Error::runtime("attempted to use a closed Session")
}

/// The error of every call of a callable whose session was closed (S-54).
#[must_use]
pub fn closed_callable() -> Error {
    Error::new(crate::Code::Cancelled, "the callable cannot run: its session has been closed")
}

/// What points to a session is one.
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
