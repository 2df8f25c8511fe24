//! Telling graphs apart without holding them.

use crate::{Graph, Operation, Output};
use std::sync::Arc;

/// Which graph something belongs to: equal for all handles of one graph, different for two graphs that live at the
/// same time. A plain number, so that a list of endpoints can say whose they are without keeping the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GraphId(usize);

impl Graph {
    /// Which graph this is a handle of.
    #[must_use]
    #[inline]
    pub fn id(&self) -> GraphId {
        GraphId(Arc::as_ptr(&self.shared).addr())
    }
}

impl Operation {
    /// Which graph it belongs to.
    #[must_use]
    #[inline]
    pub fn graph_id(&self) -> GraphId {
        GraphId(Arc::as_ptr(&self.shared).addr())
    }
}

impl Output {
    /// Which graph it belongs to.
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
