//! The inputs and results of preparing a session.

use checkpoint::{GraphSaver, RestoreOptions, Restored};
use session_core::{CancellationToken, Operation, Output, Result, Session, SessionConfig, Tensor};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// An init function that is bound to its scaffold (S-73).
pub type BoundInitFn = Arc<dyn Fn(&dyn Session) -> Result<()> + Send + Sync>;

/// The source of a checkpoint to restore. TensorFlow has an argument for each kind and rejects both together (S-100).
///
/// ```
/// use scaffold::CheckpointSource;
/// let source = CheckpointSource::Directory("run".into());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CheckpointSource {
    /// Nothing is restored.
    #[default]
    None,
    /// The newest checkpoint of this folder, if it has one.
    Directory(PathBuf),
    /// The checkpoint with this prefix, which must exist.
    File(PathBuf),
}

/// Describes how a model is restored.
///
/// ```
/// use scaffold::{CheckpointSource, Restoring};
/// let restoring = Restoring::default().source(CheckpointSource::Directory("run".into()));
/// # let _ = restoring;
/// ```
#[derive(Clone, Debug)]
pub struct Restoring {
    pub(crate) saver: Option<GraphSaver>,
    pub(crate) source: CheckpointSource,
    pub(crate) options: RestoreOptions,
    pub(crate) wait_for_checkpoint: bool,
    pub(crate) max_wait: Duration,
}

impl Default for Restoring {
    fn default() -> Restoring {
        Restoring {
            saver: None,
            source: CheckpointSource::None,
            options: RestoreOptions::new(),
            wait_for_checkpoint: false,
            max_wait: Duration::from_secs(7200),
        }
    }
}

impl Restoring {
    /// Sets the saver, which knows the variables. Default: none, so nothing is restored.
    ///
    /// ```
    /// use checkpoint::{GraphSaver, SaverOptions};
    /// use scaffold::Restoring;
    /// let restoring = Restoring::default().saver(GraphSaver::new(SaverOptions::new()));
    /// # let _ = restoring;
    /// ```
    #[must_use]
    pub fn saver(mut self, saver: impl Into<Option<GraphSaver>>) -> Self {
        self.saver = saver.into();
        self
    }

    /// Sets the source of the checkpoint. Default: [`CheckpointSource::None`].
    ///
    /// ```
    /// use scaffold::{CheckpointSource, Restoring};
    /// let restoring = Restoring::default().source(CheckpointSource::File("run/model.ckpt-1000".into()));
    /// # let _ = restoring;
    /// ```
    #[must_use]
    pub fn source(mut self, source: CheckpointSource) -> Self {
        self.source = source;
        self
    }

    /// Sets the variables that may be missing or different, and whether an older checkpoint may replace a damaged one. Default:
    /// an older one may, and nothing may be missing.
    ///
    /// ```
    /// use checkpoint::RestoreOptions;
    /// use scaffold::Restoring;
    /// // Variables that the checkpoint lacks keep their initial values.
    /// let restoring = Restoring::default().options(RestoreOptions::new().allow_missing(true));
    /// # let _ = restoring;
    /// ```
    #[must_use]
    pub fn options(mut self, options: RestoreOptions) -> Self {
        self.options = options;
        self
    }

    /// Sets whether the preparation waits for the first checkpoint of a folder. Default: false.
    ///
    /// ```
    /// use scaffold::Restoring;
    /// use std::time::Duration;
    /// let restoring = Restoring::default().wait_for_checkpoint(true).max_wait(Duration::from_secs(60));
    /// # let _ = restoring;
    /// ```
    #[must_use]
    pub fn wait_for_checkpoint(mut self, wait: bool) -> Self {
        self.wait_for_checkpoint = wait;
        self
    }

    /// Sets the time limit of that wait: TensorFlow's `max_wait_secs`. Default: 7200 s.
    #[must_use]
    pub fn max_wait(mut self, max_wait: Duration) -> Self {
        self.max_wait = max_wait;
        self
    }
}

/// The arguments of [`SessionManager::prepare_session`](crate::SessionManager::prepare_session) (S-93). The default has no init
/// ops and restores nothing.
///
/// ```
/// use scaffold::Preparation;
/// # let init_op = session_core::Graph::new().undefined_op("NoOp").finish();
/// let preparation = Preparation::default().init_op(init_op);
/// # let _ = preparation;
/// ```
#[derive(Clone, Default)]
pub struct Preparation {
    pub(crate) master: String,
    pub(crate) config: SessionConfig,
    pub(crate) init_ops: Vec<Operation>,
    pub(crate) init_feed: Vec<(Output, Tensor)>,
    pub(crate) init_fn: Option<BoundInitFn>,
    pub(crate) restoring: Restoring,
    pub(crate) cancellation: CancellationToken,
}

impl Preparation {
    /// Sets the engine's target. Default: empty, which is this process.
    #[must_use]
    pub fn master(mut self, master: impl Into<String>) -> Self {
        self.master = master.into();
        self
    }

    /// Sets the session's configuration. Default: [`SessionConfig::default`].
    ///
    /// ```
    /// use scaffold::Preparation;
    /// use session_core::SessionConfig;
    /// let preparation = Preparation::default().config(SessionConfig::with_threads(2));
    /// # let _ = preparation;
    /// ```
    #[must_use]
    pub fn config(mut self, config: SessionConfig) -> Self {
        self.config = config;
        self
    }

    /// Adds an operation that initializes the model. All of them are one run.
    ///
    /// ```
    /// use scaffold::Preparation;
    /// # let graph = session_core::Graph::new();
    /// let init = ops::variables::global_variables_initializer(&graph);
    /// let preparation = Preparation::default().init_op(init);
    /// # let _ = preparation;
    /// ```
    #[must_use]
    pub fn init_op(mut self, init_op: Operation) -> Self {
        self.init_ops.push(init_op);
        self
    }

    /// Sets the feeds of the init ops: TensorFlow's `init_feed_dict`. Default: none.
    ///
    /// ```
    /// use scaffold::Preparation;
    /// use session_core::{DType, Tensor};
    /// # let graph = session_core::Graph::new();
    /// let scale = ops::array::placeholder(&graph, DType::Float32, session_core::PartialShape::scalar());
    /// let preparation = Preparation::default().init_feed([(scale, Tensor::from(0.1f32))]);
    /// # let _ = preparation;
    /// ```
    #[must_use]
    pub fn init_feed(mut self, feed: impl IntoIterator<Item = (Output, Tensor)>) -> Self {
        self.init_feed = feed.into_iter().collect();
        self
    }

    /// Sets a function that runs after the init ops. Default: none.
    ///
    /// ```
    /// use scaffold::{BoundInitFn, Preparation};
    /// use std::sync::Arc;
    /// let init_fn: BoundInitFn = Arc::new(|session| {
    ///     let _ = session; // load a table, check a device ...
    ///     Ok(())
    /// });
    /// let preparation = Preparation::default().init_fn(init_fn);
    /// # let _ = preparation;
    /// ```
    #[must_use]
    pub fn init_fn(mut self, init_fn: impl Into<Option<BoundInitFn>>) -> Self {
        self.init_fn = init_fn.into();
        self
    }

    /// Sets the source and options of the restore. Default: nothing is restored.
    #[must_use]
    pub fn restoring(mut self, restoring: Restoring) -> Self {
        self.restoring = restoring;
        self
    }

    /// Sets a token whose cancellation ends the preparation with `Cancelled`.
    #[must_use]
    pub fn cancellation(mut self, token: CancellationToken) -> Self {
        self.cancellation = token;
        self
    }
}

impl fmt::Debug for Preparation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Preparation")
            .field("master", &self.master)
            .field("init_ops", &self.init_ops)
            .field("init_fn", &self.init_fn.is_some())
            .field("restoring", &self.restoring)
            .finish_non_exhaustive()
    }
}

/// A session whose model is ready.
pub struct CreatedSession {
    /// The raw session.
    pub session: Arc<dyn Session>,
    /// The result of the restore; `None` if the model was initialized, or made ready by another process.
    pub restored: Option<Restored>,
}

impl fmt::Debug for CreatedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreatedSession").field("restored", &self.restored).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_93_defaults_are_as_documented() {
        let Preparation { master, init_ops, init_feed, init_fn, restoring, .. } = Preparation::default();
        assert!(master.is_empty() && init_ops.is_empty() && init_feed.is_empty() && init_fn.is_none());
        assert!(restoring.saver.is_none() && !restoring.wait_for_checkpoint);
        assert_eq!(restoring.max_wait, Duration::from_secs(7200));
    }
}
