//! The global step as hooks follow it.

use ops::global_step;
use session_core::{Error, Graph, Output, Result, Session, Variable};

/// The global step of a graph, and the read operation that hooks share (S-330).
#[derive(Clone, Debug)]
pub(crate) struct GlobalStep {
    variable: Variable,
    read: Output,
}

impl GlobalStep {
    /// Finds the global step. For use in `begin`, before the graph is frozen.
    pub(crate) fn of(graph: &Graph, hook: &str) -> Result<GlobalStep> {
        let missing = || Error::runtime(format!("global step should be created to use {hook}"));
        // The variable and its shared read are both found in `begin`, because creating the read adds an
        // operation to the graph.
        let variable = global_step::global_step(graph)?.ok_or_else(missing)?;
        let read = global_step::global_step_read(graph)?.ok_or_else(missing)?;
        Ok(GlobalStep { variable, read })
    }

    /// Returns the name of the variable's operation.
    pub(crate) fn name(&self) -> &str {
        self.variable.name()
    }

    /// Returns the output that holds the step before the run when it is fetched with it.
    #[inline]
    pub(crate) fn read(&self) -> &Output {
        &self.read
    }

    /// Reads the current step in a separate run.
    pub(crate) fn now(&self, session: &dyn Session) -> Result<i64> {
        global_step::evaluate(session, &self.variable)
    }
}

/// Returns the objects that a hook found in `begin`.
pub(crate) fn begun<'a, T>(found: &'a Option<T>, hook: &str) -> Result<&'a T> {
    found.as_ref().ok_or_else(|| Error::runtime(format!("{hook} was used before its begin was called")))
}
