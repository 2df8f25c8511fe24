//! The global step as hooks follow it.

use ops::global_step;
use session_core::{Error, Graph, Output, Result, Session, Variable};

/// The global step of a graph, and the read of it that hooks share (S-330).
#[derive(Clone, Debug)]
pub(crate) struct GlobalStep {
    variable: Variable,
    read: Output,
}

impl GlobalStep {
    /// For use in `begin`, before the graph is frozen.
    pub(crate) fn of(graph: &Graph, hook: &str) -> Result<GlobalStep> {
        let missing = || Error::runtime(format!("global step should be created to use {hook}"));
        let variable = global_step::global_step(graph)?.ok_or_else(missing)?;
        let read = global_step::global_step_read(graph)?.ok_or_else(missing)?;
        Ok(GlobalStep { variable, read })
    }

    /// The name of the variable's operation.
    pub(crate) fn name(&self) -> &str {
        self.variable.name()
    }

    /// Fetched with a run, gives the step before it.
    #[inline]
    pub(crate) fn read(&self) -> &Output {
        &self.read
    }

    /// The step as it is now: a run of its own.
    pub(crate) fn now(&self, session: &dyn Session) -> Result<i64> {
        global_step::evaluate(session, &self.variable)
    }
}

/// What a hook found in `begin`.
pub(crate) fn begun<'a, T>(found: &'a Option<T>, hook: &str) -> Result<&'a T> {
    found.as_ref().ok_or_else(|| Error::runtime(format!("{hook} is used before its begin was called")))
}
