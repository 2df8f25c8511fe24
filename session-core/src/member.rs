//! Graph membership: the one check of everything that is passed to a graph or to what runs it.

use crate::{Error, Graph, Operation, Output, Result, SavedTable, Variable};
use std::any::Any;
use std::sync::Arc;

/// An element of a graph, or an object made of such elements.
///
/// Operations and outputs are numbers within their graph, so an element of another graph would silently refer
/// to something else. Functions that take graph elements check them with [`check_belongs_to`](GraphMember::check_belongs_to).
///
/// ```
/// use session_core::{Graph, GraphMember};
/// let (graph, other) = (Graph::new(), Graph::new());
/// let operation = other.undefined_op("NoOp").finish();
/// assert!(operation.check_belongs_to(&other).is_ok());
/// assert!(operation.check_belongs_to(&graph).unwrap_err().message().contains("'NoOp' belongs to another graph"));
/// ```
pub trait GraphMember {
    /// Checks that the element belongs to this graph and is valid.
    ///
    /// # Errors
    /// Fails with a value error for an element of another graph, and with the error of an operation that
    /// could not be created.
    fn check_belongs_to(&self, graph: &Graph) -> Result<()>;
}

/// Creates the error for an element of another graph.
fn foreign(kind: &str, name: &str) -> Error {
    Error::value(format!(
        "{kind} '{name}' belongs to another graph; create it in this graph, or look it up there by its name"
    ))
}

impl GraphMember for Operation {
    fn check_belongs_to(&self, graph: &Graph) -> Result<()> {
        check(self, graph, "operation", || self.name().to_owned())
    }
}

impl GraphMember for Output {
    fn check_belongs_to(&self, graph: &Graph) -> Result<()> {
        check(self.operation(), graph, "tensor", || self.name())
    }
}

impl GraphMember for Variable {
    fn check_belongs_to(&self, graph: &Graph) -> Result<()> {
        let name = || self.name().to_owned();
        // All parts, because a variable may have been put together from several graphs.
        let outputs = [self.handle(), self.initial_value(), self.snapshot()];
        let operations = outputs.into_iter().map(Output::operation).chain([self.initializer()]);
        operations.into_iter().try_for_each(|operation| check(operation, graph, "variable", name))
    }
}

impl GraphMember for SavedTable {
    fn check_belongs_to(&self, graph: &Graph) -> Result<()> {
        check(self.import(), graph, "table", || self.name().to_owned())
    }
}

impl<T: GraphMember> GraphMember for [T] {
    fn check_belongs_to(&self, graph: &Graph) -> Result<()> {
        self.iter().try_for_each(|member| member.check_belongs_to(graph))
    }
}

impl<T: GraphMember> GraphMember for Option<T> {
    fn check_belongs_to(&self, graph: &Graph) -> Result<()> {
        self.as_ref().map_or(Ok(()), |member| member.check_belongs_to(graph))
    }
}

impl<T: GraphMember + ?Sized> GraphMember for &T {
    fn check_belongs_to(&self, graph: &Graph) -> Result<()> {
        (**self).check_belongs_to(graph)
    }
}

fn check(operation: &Operation, graph: &Graph, kind: &str, name: impl FnOnce() -> String) -> Result<()> {
    if let Some(error) = operation.error() {
        return Err(error.clone());
    }
    // By address rather than by id: both are alive here, so the address is exact.
    if Arc::ptr_eq(&operation.shared, &graph.shared) { Ok(()) } else { Err(foreign(kind, &name())) }
}

/// Checks an item of a collection if it is a graph element. Items of other types are checked where they are
/// used.
pub(crate) fn check_item(item: &(dyn Any + Send + Sync), graph: &Graph) -> Result<()> {
    fn of<T: GraphMember + 'static>(item: &(dyn Any + Send + Sync)) -> Option<&dyn GraphMember> {
        item.downcast_ref::<T>().map(|member| member as &dyn GraphMember)
    }
    // The types that the crates above put into collections are listed here, because `Any` cannot be asked for
    // a trait.
    let known = [of::<Operation>, of::<Output>, of::<Variable>, of::<SavedTable>];
    match known.iter().find_map(|of| of(item)) {
        // The error of a failed element was reported when it occurred.
        Some(member) => match member.check_belongs_to(graph) {
            // Errors of the membership check have no phase yet; that of a failed operation was placed while
            // building.
            Err(error) if error.phase().is_none() => Err(error),
            _ => Ok(()),
        },
        None => Ok(()),
    }
}
