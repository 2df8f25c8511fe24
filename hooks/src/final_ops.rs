//! A last run.

use crate::SessionRunHook;
use session_core::{AsOutput, Fetch, Output, Result, Session, SessionExt, Tensor};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Runs something once more at a clean end, and keeps its values (S-362).
///
/// The run is made on the raw session, without hooks. The values are read through [`values`](FinalOpsHook::values),
/// which outlives the hook and its session. After a bad end nothing is run.
///
/// # Errors
///
/// `end`: those of the run; an end of the input is also logged as a warning.
///
/// ```
/// use hooks::FinalOpsHook;
/// # use session_core::{DType, Graph, OutputInfo, PartialShape};
/// # let graph = Graph::new();
/// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::scalar(), is_ref: false };
/// # let accuracy = graph.undefined_op("Accuracy").described_output(info).finish_output();
/// let hook = FinalOpsHook::new(accuracy);
/// let accuracy = hook.values();
/// // ... give the hook to a session, train, close ...
/// assert!(accuracy.get().is_none(), "not run yet");
/// ```
pub struct FinalOpsHook<F: Fetch> {
    fetch: F,
    feeds: Vec<(Output, Tensor)>,
    values: FinalValues<F::Value>,
}

/// The values of a [`FinalOpsHook`], once it ran. Clones read the same.
pub struct FinalValues<V>(Arc<Mutex<Option<V>>>);

impl<F: Fetch> FinalOpsHook<F> {
    /// Fetches this at the end: outputs, operations, tuples and lists of them.
    #[must_use]
    pub fn new(final_ops: F) -> FinalOpsHook<F> {
        FinalOpsHook { fetch: final_ops, feeds: Vec::new(), values: FinalValues(Arc::default()) }
    }

    /// Feeds a value to that run.
    #[must_use]
    pub fn feed(mut self, output: &impl AsOutput, value: impl Into<Tensor>) -> FinalOpsHook<F> {
        self.feeds.push((output.as_output().clone(), value.into()));
        self
    }

    /// Where the values will be.
    #[must_use]
    pub fn values(&self) -> FinalValues<F::Value> {
        self.values.clone()
    }
}

impl<V> FinalValues<V> {
    /// A copy of the values; `None` before the end, and after a bad one.
    #[must_use]
    pub fn get(&self) -> Option<V>
    where
        V: Clone,
    {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes the values out.
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
        let values = session.run(&self.fetch, self.feeds.clone()).inspect_err(|error| {
            if error.is_end_of_input() {
                log::warn!(
                    "An end of input was reported while the final operations ran: they read input that the training \
                     has used up."
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
