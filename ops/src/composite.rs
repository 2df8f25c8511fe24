//! Functions that make several operations.

use session_core::{AsOutput, Graph, Output};
use std::panic::Location;

/// The scope of a function that makes several operations: they go into a name scope of the function's own, what
/// is built on its result does not, and errors name the function's caller.
#[derive(Debug)]
pub(crate) struct Composite {
    outer: Graph,
    inner: Graph,
}

impl Composite {
    /// Creates a scope of this name, unless the handle has another (`graph.named("x")`).
    #[track_caller]
    pub(crate) fn new(graph: &Graph, default: &str) -> Composite {
        let inner = graph.composite(default).located_at(Location::caller());
        Composite { outer: unnamed(graph), inner }
    }

    /// Works as [`new`](Composite::new), for a function that makes variables, too.
    #[track_caller]
    pub(crate) fn layer(graph: &Graph, default: &str) -> Composite {
        let inner = graph.layer_scope(default).located_at(Location::caller());
        Composite { outer: unnamed(graph), inner }
    }

    /// Creates the scope of a part of a function that makes variables: what it returns goes back to `outer`.
    pub(crate) fn within(outer: &Graph, inner: Graph) -> Composite {
        Composite { outer: outer.clone(), inner }
    }

    /// Returns the handle for the operations inside.
    pub(crate) fn graph(&self) -> &Graph {
        &self.inner
    }

    /// Returns an argument, for use inside.
    pub(crate) fn enter(&self, argument: impl AsOutput) -> Output {
        argument.as_output().within(&self.inner)
    }

    /// Returns an argument for the last operation inside, which bears the function's name.
    pub(crate) fn enter_last(&self, argument: impl AsOutput) -> Output {
        argument.as_output().within(&self.inner.named_as_scope())
    }

    /// Returns the result, for use outside.
    pub(crate) fn leave(&self, result: Output) -> Output {
        result.within(&self.outer)
    }
}

/// Returns the handle without the name that it has for its next operation.
pub(crate) fn unnamed(graph: &Graph) -> Graph {
    graph.scope(graph.scope_name())
}
