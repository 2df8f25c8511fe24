//! A finalized scaffold.

use crate::builder::ScaffoldBuilder;
use crate::pieces::Pieces;
use checkpoint::GraphSaver;
use session_core::{Error, Graph, Operation, Output, Result, Session, Tensor};
use std::fmt;
use std::sync::Arc;

/// The pieces that bring a graph to a runnable state, all settled, the graph frozen. Cheap to clone.
///
/// ```
/// use scaffold::Scaffold;
/// use session_core::Graph;
///
/// let graph = Graph::new();
/// let _steps = ops::variables::variable(&graph.named("steps"), 0i64);
/// let scaffold = Scaffold::builder().finalize(&graph)?;
/// assert!(graph.is_finalized());
/// assert!(scaffold.summary_op().is_none()); // the graph has no summaries
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Scaffold(Arc<Settled>);

struct Settled {
    graph: Graph,
    /// The pieces that the builder was given; the others were found or made.
    given: Pieces,
    pieces: Pieces,
    init_op: Operation,
    ready_op: Output,
    ready_for_local_init_op: Output,
    local_init_op: Operation,
    saver: GraphSaver,
}

impl Scaffold {
    /// A scaffold to be given pieces.
    pub fn builder() -> ScaffoldBuilder {
        ScaffoldBuilder::new()
    }

    pub(crate) fn settled(graph: Graph, given: Pieces, pieces: Pieces) -> Result<Scaffold> {
        let missing = || Error::runtime("a piece of the scaffold was not settled");
        Ok(Scaffold(Arc::new(Settled {
            graph,
            given,
            init_op: pieces.init_op.clone().ok_or_else(missing)?,
            ready_op: pieces.ready_op.clone().ok_or_else(missing)?,
            ready_for_local_init_op: pieces.ready_for_local_init_op.clone().ok_or_else(missing)?,
            local_init_op: pieces.local_init_op.clone().ok_or_else(missing)?,
            saver: pieces.saver.clone().ok_or_else(missing)?,
            pieces,
        })))
    }

    pub(crate) fn as_pieces(&self) -> &Pieces {
        &self.0.pieces
    }

    pub(crate) fn given(&self) -> &Pieces {
        &self.0.given
    }

    /// The graph.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.0.graph
    }

    /// Initialises the model.
    #[must_use]
    pub fn init_op(&self) -> &Operation {
        &self.0.init_op
    }

    /// What the init op is fed.
    #[must_use]
    pub fn init_feed(&self) -> &[(Output, Tensor)] {
        &self.0.pieces.init_feed
    }

    /// Whether there is an init function.
    #[must_use]
    pub fn has_init_fn(&self) -> bool {
        self.0.pieces.init_fn.is_some()
    }

    /// Calls the init function, if there is one, with this scaffold (S-73).
    ///
    /// # Errors
    /// Those of the function.
    pub fn run_init_fn(&self, session: &dyn Session) -> Result<()> {
        self.0.pieces.init_fn.as_ref().map_or(Ok(()), |function| function(self, session))
    }

    /// Gives the names of what keeps the model from being ready.
    #[must_use]
    pub fn ready_op(&self) -> &Output {
        &self.0.ready_op
    }

    /// Gives the names of what keeps the local init op from being run.
    #[must_use]
    pub fn ready_for_local_init_op(&self) -> &Output {
        &self.0.ready_for_local_init_op
    }

    /// Initialises what is local to the process.
    #[must_use]
    pub fn local_init_op(&self) -> &Operation {
        &self.0.local_init_op
    }

    /// What the local init op is fed.
    #[must_use]
    pub fn local_init_feed(&self) -> &[(Output, Tensor)] {
        &self.0.pieces.local_init_feed
    }

    /// Gives all summaries; `None` for a graph without any (S-29).
    #[must_use]
    pub fn summary_op(&self) -> Option<&Output> {
        self.0.pieces.summary_op.as_ref()
    }

    /// Saves and restores the model.
    #[must_use]
    pub fn saver(&self) -> &GraphSaver {
        &self.0.saver
    }
}

impl fmt::Debug for Scaffold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scaffold").field(&self.0.pieces).finish()
    }
}
