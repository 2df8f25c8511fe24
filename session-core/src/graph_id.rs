//! Graph identity without a reference to the graph.

use crate::{Graph, Operation, Output};
use std::sync::Arc;

/// Identifies a graph: equal for all handles of one graph, and different for two graphs that exist at the
/// same time. It is a plain number, so that a list of endpoints can refer to its graph without keeping it
/// alive.
///
/// ```
/// use session_core::Graph;
/// let graph = Graph::new();
/// let op = graph.undefined_op("NoOp").finish();
/// assert_eq!(op.graph_id(), graph.id());
/// assert_ne!(graph.id(), Graph::new().id());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GraphId(usize);

impl Graph {
    /// Returns the identity of the graph.
    ///
    /// ```
    /// use session_core::Graph;
    /// let graph = Graph::new();
    /// assert_eq!(graph.id(), graph.scope("layer").id());
    /// ```
    #[must_use]
    #[inline]
    pub fn id(&self) -> GraphId {
        // The address of the shared state is unique for as long as the graph exists, and needs no counter.
        GraphId(Arc::as_ptr(&self.shared).addr())
    }
}

impl Operation {
    /// Returns the identity of the graph that the operation belongs to.
    #[must_use]
    #[inline]
    pub fn graph_id(&self) -> GraphId {
        GraphId(Arc::as_ptr(&self.shared).addr())
    }
}

impl Output {
    /// Returns the identity of the graph that the output belongs to.
    #[must_use]
    #[inline]
    pub fn graph_id(&self) -> GraphId {
        self.operation().graph_id()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_of_one_graph_have_one_id() {
        let (one, other) = (Graph::new(), Graph::new());
        let operation = one.undefined_op("NoOp").finish();
        assert_eq!(one.scope("a").id(), one.id());
        assert_eq!(operation.graph_id(), one.id());
        assert_ne!(one.id(), other.id());
    }
}
