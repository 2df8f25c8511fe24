//! A last run at the end of a training.

use crate::SessionRunHook;
use session_core::{AsOutput, Fetch, Output, Result, Session, SessionExt, Tensor};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Runs operations once more at a clean end, and keeps their values (S-362).
///
/// The run uses the raw session and calls no hooks. Read the values through [`values`](FinalOpsHook::values), which outlives
/// the hook and its session. After an error nothing is run.
///
/// # Errors
///
/// `end`: the errors of the run. An end of input is also logged as a warning.
///
/// ```
/// use hooks::FinalOpsHook;
/// # use session_core::{DType, Graph, OutputInfo, PartialShape};
/// # let graph = Graph::new();
/// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::scalar(), is_ref: false };
/// # let accuracy = graph.undefined_op("Accuracy").described_output(info).finish_output();
/// let hook = FinalOpsHook::new(accuracy);
/// let accuracy = hook.values();
/// // ... pass the hook to a session, train, close ...
/// assert!(accuracy.get().is_none(), "not run yet");
/// ```
pub struct FinalOpsHook<F: Fetch> {
    fetch: F,
    feeds: Vec<(Output, Tensor)>,
    values: FinalValues<F::Value>,
}

/// Values of a [`FinalOpsHook`], available after its run. Clones share the values.
///
/// ```
/// use hooks::FinalOpsHook;
/// # use session_core::{DType, Graph, OutputInfo, PartialShape};
/// # let graph = Graph::new();
/// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::scalar(), is_ref: false };
/// # let accuracy = graph.undefined_op("Accuracy").described_output(info).finish_output();
/// let hook = FinalOpsHook::new(accuracy);
/// let values = hook.values();
/// assert!(values.clone().take().is_none(), "the session has not ended");
/// ```
pub struct FinalValues<V>(Arc<Mutex<Option<V>>>);

impl<F: Fetch> FinalOpsHook<F> {
    /// Fetches `final_ops` at the end: outputs, operations, and tuples and lists of them.
    #[must_use]
    pub fn new(final_ops: F) -> FinalOpsHook<F> {
        FinalOpsHook { fetch: final_ops, feeds: Vec::new(), values: FinalValues(Arc::default()) }
    }

    /// Feeds a value to the last run.
    #[must_use]
    pub fn feed(mut self, output: &impl AsOutput, value: impl Into<Tensor>) -> FinalOpsHook<F> {
        self.feeds.push((output.as_output().clone(), value.into()));
        self
    }

    /// Returns a handle to the values of the last run.
    #[must_use]
    pub fn values(&self) -> FinalValues<F::Value> {
        self.values.clone()
    }
}

impl<V> FinalValues<V> {
    /// Returns a copy of the values; `None` before the end, and after an error.
    #[must_use]
    pub fn get(&self) -> Option<V>
    where
        V: Clone,
    {
        // A panic while the lock is held cannot leave half a value, because the value is replaced in one
        // assignment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes the values out of the handle.
    #[must_use]
    pub fn take(&self) -> Option<V> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<F> SessionRunHook for FinalOpsHook<F>
where
    F: Fetch + Send,
    F::Value: Send,
{
    fn end(&mut self, session: &dyn Session) -> Result<()> {
        // Cloned, because `end` only borrows the hook; the tensors are shared, not copied.
        let values = session.run(&self.fetch, self.feeds.clone()).inspect_err(|error| {
            if error.is_end_of_input() {
                log::warn!(
                    "An end of input was reported while the final operations ran: they read input that the training \
                    has consumed. Feed them, or give them an input of their own."
                );
            }
        })?;
        *self.values.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(values);
        Ok(())
    }
}

impl<V> Clone for FinalValues<V> {
    fn clone(&self) -> FinalValues<V> {
        FinalValues(self.0.clone())
    }
}

impl<V: fmt::Debug> fmt::Debug for FinalValues<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FinalValues").field(&*self.0.lock().unwrap_or_else(PoisonError::into_inner)).finish()
    }
}

impl<F: Fetch> fmt::Debug for FinalOpsHook<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FinalOpsHook").field("feeds", &self.feeds).finish_non_exhaustive()
    }
}
