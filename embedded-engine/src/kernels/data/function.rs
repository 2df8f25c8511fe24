//! Functions that datasets call, with the values that they captured.
//!
//! A function's arguments are the components of the element (a scan and a reduction pass their state first),
//! then the captured values (D-1). Random operations in it have their states in the `Instance` of the
//! iterator (D-18).

use super::dataset::{Handle, Run};
use super::element::Element;
use crate::kernel::Body;
use session_core::{Error, Result};
use std::sync::Arc;
use tensor::Tensor;

/// A function of the graph and what it captured. A clone shares both.
#[derive(Clone)]
pub(super) struct Function {
    /// The compiled function. Its callees are compiled with it, so a call looks nothing up.
    pub(super) body: Arc<dyn Body>,
    /// The inputs of the operation that follow the arguments in each call.
    pub(super) captured: Vec<Tensor>,
    /// The dataset that calls the function, for messages: `MapDataset 'map'`.
    pub(super) owner: Arc<str>,
}

impl Function {
    /// Calls the function with these arguments and the captured values, and returns its results in order.
    ///
    /// # Errors
    ///
    /// Errors of the body keep their code; their message names the operation of the body.
    pub(super) fn call(&self, run: &Run<'_>, mut arguments: Element) -> Result<Element> {
        arguments.extend(self.captured.iter().cloned());
        run.call(self.body.as_ref(), arguments)
    }

    /// Works as [`call`](Self::call); an error names the dataset and the element: "... (element 5 of
    /// `MapDataset` 'map')".
    pub(super) fn call_for(&self, run: &Run<'_>, arguments: Element, element: u64) -> Result<Element> {
        self.call(run, arguments).map_err(|error| {
            // The message stays in front, so that checks for TensorFlow's text find it.
            let text = format!("{} (element {element} of {})", error.message(), self.owner);
            error.context(text)
        })
    }

    /// Returns true if the elements of each dataset that it makes depend on its arguments alone: the body is
    /// pure and has captured no dataset, whose caches and seeds several inner datasets would share. Only such
    /// datasets may be read at the same time.
    pub(super) fn makes_independent_datasets(&self) -> bool {
        self.body.is_pure() && !self.captured.iter().any(|value| value.as_handle::<Handle>().is_some())
    }

    /// Calls the function and returns the one integer that it yields: a key, a window size.
    pub(super) fn integer(&self, run: &Run<'_>, arguments: Element) -> Result<i64> {
        let results = self.call(run, arguments)?;
        match results.as_slice() {
            [result] => Ok(result.as_scalar_i64()?),
            other => Err(self.unlike("one integer", other)),
        }
    }

    /// Calls the function and returns the one truth value that it yields: a predicate.
    pub(super) fn truth(&self, run: &Run<'_>, arguments: Element) -> Result<bool> {
        let results = self.call(run, arguments)?;
        match results.as_slice() {
            [result] => Ok(result.value()?),
            other => Err(self.unlike("one truth value", other)),
        }
    }

    /// Calls the function and returns the one dataset that it yields.
    pub(super) fn dataset(&self, run: &Run<'_>, arguments: Element) -> Result<Handle> {
        let results = self.call(run, arguments)?;
        match results.as_slice() {
            [result] => Ok(Handle::of(result)?.clone()),
            other => Err(self.unlike("one dataset", other)),
        }
    }

    /// Creates the error for results of another number than one.
    fn unlike(&self, what: &str, results: &[Tensor]) -> Error {
        let text = format!("the function of {} returns {} results, not {what}", self.owner, results.len());
        Error::invalid_argument(text)
    }
}
