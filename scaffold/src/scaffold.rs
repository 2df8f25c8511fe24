//! Finalized scaffolds.

use crate::builder::ScaffoldBuilder;
use crate::pieces::Pieces;
use checkpoint::GraphSaver;
use session_core::{Error, Graph, Operation, Output, Result, Session, Tensor};
use std::fmt;
use std::sync::Arc;

/// The pieces that bring a graph into a runnable state, all settled, with a frozen graph. Clones are cheap.
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
    /// The pieces that the builder was given. The others were found or created.
    given: Pieces,
    pieces: Pieces,
    init_op: Operation,
    ready_op: Output,
    ready_for_local_init_op: Output,
    local_init_op: Operation,
    saver: GraphSaver,
}

impl Scaffold {
    /// Creates a builder without any piece.
    ///
    /// ```
    /// # use ops::variables::variable;
    /// # use scaffold::Scaffold;
    /// # use session_core::Graph;
    /// let graph = Graph::new();
    /// variable(&graph.named("w"), 1.0f32);
    /// let scaffold = Scaffold::builder().finalize(&graph)?;
    /// assert!(graph.is_finalized() && scaffold.summary_op().is_none());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn builder() -> ScaffoldBuilder {
        ScaffoldBuilder::new()
    }

    pub(crate) fn settled(graph: Graph, given: Pieces, pieces: Pieces) -> Result<Scaffold> {
        // Settling has set all of these; the copies spare the accessors an `Option`.
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

    /// Returns the graph.
    ///
    /// ```
    /// # use ops::variables::variable;
    /// # use scaffold::Scaffold;
    /// # let graph = session_core::Graph::new();
    /// # variable(&graph.named("w"), 1.0f32);
    /// let scaffold = Scaffold::builder().finalize(&graph)?;
    /// assert!(scaffold.graph().is_finalized());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.0.graph
    }

    /// Returns the operation that initializes the model.
    ///
    /// ```
    /// # use ops::variables::variable;
    /// # use scaffold::Scaffold;
    /// # let graph = session_core::Graph::new();
    /// # variable(&graph.named("w"), 1.0f32);
    /// let scaffold = Scaffold::builder().finalize(&graph)?;
    /// assert_eq!(scaffold.init_op().op_type(), "NoOp");
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn init_op(&self) -> &Operation {
        &self.0.init_op
    }

    /// Returns the feeds of the init op.
    ///
    /// ```
    /// # use ops::variables::variable;
    /// # use scaffold::Scaffold;
    /// # let graph = session_core::Graph::new();
    /// # variable(&graph.named("w"), 1.0f32);
    /// let scaffold = Scaffold::builder().finalize(&graph)?;
    /// assert!(scaffold.init_feed().is_empty());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn init_feed(&self) -> &[(Output, Tensor)] {
        &self.0.pieces.init_feed
    }

    /// Returns true if there is an init function.
    ///
    /// ```
    /// # use ops::variables::variable;
    /// # use scaffold::Scaffold;
    /// # let graph = session_core::Graph::new();
    /// # variable(&graph.named("w"), 1.0f32);
    /// let scaffold = Scaffold::builder().finalize(&graph)?;
    /// assert!(!scaffold.has_init_fn());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn has_init_fn(&self) -> bool {
        self.0.pieces.init_fn.is_some()
    }

    /// Calls the init function, if there is one, with this scaffold (S-73).
    ///
    /// # Errors
    /// Returns the errors of the function.
    pub fn run_init_fn(&self, session: &dyn Session) -> Result<()> {
        self.0.pieces.init_fn.as_ref().map_or(Ok(()), |function| function(self, session))
    }

    /// Returns the output that lists the names of the variables that are not ready.
    ///
    /// ```
    /// # use ops::variables::variable;
    /// # use scaffold::Scaffold;
    /// # let graph = session_core::Graph::new();
    /// # variable(&graph.named("w"), 1.0f32);
    /// let scaffold = Scaffold::builder().finalize(&graph)?;
    /// assert_eq!(scaffold.ready_op().dtype(), session_core::DType::String);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn ready_op(&self) -> &Output {
        &self.0.ready_op
    }

    /// Returns the output that lists the names of the variables that the local init op needs.
    #[must_use]
    pub fn ready_for_local_init_op(&self) -> &Output {
        &self.0.ready_for_local_init_op
    }

    /// Returns the operation that initializes process-local state.
    ///
    /// ```
    /// # use ops::variables::variable;
    /// # use scaffold::Scaffold;
    /// # let graph = session_core::Graph::new();
    /// # variable(&graph.named("w"), 1.0f32);
    /// let scaffold = Scaffold::builder().finalize(&graph)?;
    /// assert_eq!(scaffold.local_init_op().op_type(), "NoOp");
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn local_init_op(&self) -> &Operation {
        &self.0.local_init_op
    }

    /// Returns the feeds of the local init op.
    #[must_use]
    pub fn local_init_feed(&self) -> &[(Output, Tensor)] {
        &self.0.pieces.local_init_feed
    }

    /// Returns the output that evaluates all summaries; `None` for a graph without summaries (S-29).
    ///
    /// ```
    /// # use ops::variables::variable;
    /// # use scaffold::Scaffold;
    /// # let graph = session_core::Graph::new();
    /// # variable(&graph.named("w"), 1.0f32);
    /// let scaffold = Scaffold::builder().finalize(&graph)?;
    /// assert!(scaffold.summary_op().is_none(), "the graph has no summaries");
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn summary_op(&self) -> Option<&Output> {
        self.0.pieces.summary_op.as_ref()
    }

    /// Returns the saver that saves and restores the model.
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
