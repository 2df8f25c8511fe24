//! Functions that datasets call, with the values that they captured.

use super::dataset::{Handle, Run};
use super::element::Element;
use crate::kernel::Body;
use session_core::{Error, Result};
use std::sync::Arc;
use tensor::Tensor;

/// A function of the graph and what it captured.
#[derive(Clone)]
pub(super) struct Function {
    pub(super) body: Arc<dyn Body>,
    pub(super) captured: Vec<Tensor>,
    /// The dataset that calls the function, for messages: `MapDataset 'map'`.
    pub(super) owner: Arc<str>,
}

impl Function {
    /// Calls it with these arguments, after which it takes what it captured.
    pub(super) fn call(&self, run: &Run<'_>, mut arguments: Element) -> Result<Element> {
        arguments.extend(self.captured.iter().cloned());
        run.call(self.body.as_ref(), arguments)
    }

    /// Works as [`call`](Self::call); an error names the dataset and the element.
    pub(super) fn call_for(&self, run: &Run<'_>, arguments: Element, element: u64) -> Result<Element> {
        self.call(run, arguments).map_err(|error| {
            let text = format!("{} (element {element} of {})", error.message(), self.owner);
            error.context(text)
        })
    }

    /// Returns true if the elements of each dataset that it makes depend on its arguments alone.
    pub(super) fn makes_independent_datasets(&self) -> bool {
        self.body.is_pure() && !self.captured.iter().any(|value| value.as_handle::<Handle>().is_some())
    }

    /// The one integer that it yields.
    pub(super) fn integer(&self, run: &Run<'_>, arguments: Element) -> Result<i64> {
        let results = self.call(run, arguments)?;
        match results.as_slice() {
            [result] => Ok(result.as_scalar_i64()?),
            other => Err(self.unlike("one integer", other)),
        }
    }

    /// The one truth value that it yields.
    pub(super) fn truth(&self, run: &Run<'_>, arguments: Element) -> Result<bool> {
        let results = self.call(run, arguments)?;
        match results.as_slice() {
            [result] => Ok(result.value()?),
            other => Err(self.unlike("one truth value", other)),
        }
    }

    /// The one dataset that it yields.
    pub(super) fn dataset(&self, run: &Run<'_>, arguments: Element) -> Result<Handle> {
        let results = self.call(run, arguments)?;
        match results.as_slice() {
            [result] => Ok(Handle::of(result)?.clone()),
            other => Err(self.unlike("one dataset", other)),
        }
    }

    fn unlike(&self, what: &str, results: &[Tensor]) -> Error {
        let text = format!("the function of {} returns {} results, not {what}", self.owner, results.len());
        Error::invalid_argument(text)
    }
}
