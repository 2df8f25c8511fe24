//! Feeds from a function.

use crate::{SessionRunArgs, SessionRunContext, SessionRunHook};
use session_core::{AsOutput, Result, Tensor};
use std::fmt;

/// Calls a function before each run and feeds what it returns (S-363).
///
/// When a run is repeated after a recovery, the function is called again. If the user or another hook feeds the same
/// output, the run fails (S-128).
///
/// # Errors
///
/// Runs: the errors of the function.
///
/// ```
/// use hooks::FeedFnHook;
/// # use session_core::{DType, Graph, OutputInfo, PartialShape};
/// # let graph = Graph::new();
/// # let info = OutputInfo { dtype: DType::Float32, shape: PartialShape::scalar(), is_ref: false };
/// # let x = graph.undefined_op("Placeholder").described_output(info).finish_output();
/// let mut batches = (0..10).map(|i| i as f32);
/// let hook = FeedFnHook::new(move || batches.next().map(|value| (x.clone(), value)));
/// ```
pub struct FeedFnHook<F>(F);

impl<F, I, K, V> FeedFnHook<F>
where
    F: FnMut() -> I + Send,
    I: IntoIterator<Item = (K, V)>,
    K: AsOutput,
    V: Into<Tensor>,
{
    /// Feeds the pairs of outputs and values that the function returns. It may return none.
    #[must_use]
    pub fn new(mut feeds: F) -> FeedFnHook<impl FnMut() -> Result<SessionRunArgs> + Send> {
        FeedFnHook(move || {
            // A feed that fails its check is recorded in the arguments and reported by the session
            // together with the hook's name.
            let add = |args: SessionRunArgs, (output, value): (K, V)| args.feed(&output, value);
            Ok(feeds().into_iter().fold(SessionRunArgs::new(), add))
        })
    }
}

impl<F: FnMut() -> Result<SessionRunArgs> + Send> FeedFnHook<F> {
    /// Adds the arguments that the function returns to each run. The function may fail.
    ///
    /// ```
    /// use hooks::{FeedFnHook, SessionRunArgs};
    /// let hook = FeedFnHook::with_args(|| Ok(SessionRunArgs::new().with_metadata()));
    /// ```
    #[must_use]
    pub fn with_args(args: F) -> FeedFnHook<F> {
        FeedFnHook(args)
    }
}

impl<F: FnMut() -> Result<SessionRunArgs> + Send> SessionRunHook for FeedFnHook<F> {
    fn name(&self) -> std::borrow::Cow<'_, str> {
        "FeedFnHook".into()
    }

    fn before_run(&mut self, _: &mut SessionRunContext<'_>) -> Result<Option<SessionRunArgs>> {
        (self.0)().map(Some)
    }
}

impl<F> fmt::Debug for FeedFnHook<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FeedFnHook")
    }
}
