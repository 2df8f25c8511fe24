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
/// let restoring = Restoring { source: CheckpointSource::Directory("run".into()), ..Restoring::default() };
/// assert!(!restoring.wait_for_checkpoint);
/// ```
#[derive(Clone, Debug)]
pub struct Restoring {
    /// The saver, which knows the variables. Without it nothing is restored.
    pub saver: Option<GraphSaver>,
    /// The source of the checkpoint.
    pub source: CheckpointSource,
    /// The variables that may be missing or different, and whether an older checkpoint may replace a damaged one. Default: an older
    /// one may, and nothing may be missing.
    pub options: RestoreOptions,
    /// Set to true to wait for the first checkpoint of a folder. Default: false.
    pub wait_for_checkpoint: bool,
    /// The time limit of that wait. Default: 7200 s.
    pub max_wait: Duration,
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

/// The arguments of [`SessionManager::prepare_session`](crate::SessionManager::prepare_session) (S-93). The default has no init
/// ops and restores nothing.
///
/// ```
/// use scaffold::Preparation;
/// # let init_op = session_core::Graph::new().undefined_op("NoOp").finish();
/// let preparation = Preparation { init_ops: vec![init_op], ..Preparation::default() };
/// ```
#[derive(Clone, Default)]
pub struct Preparation {
    /// The engine's target; empty for this process.
    pub master: String,
    /// The session's configuration.
    pub config: SessionConfig,
    /// The operations that initialize the model, in one run.
    pub init_ops: Vec<Operation>,
    /// The feeds of the init ops.
    pub init_feed: Vec<(Output, Tensor)>,
    /// A function that runs after the init ops.
    pub init_fn: Option<BoundInitFn>,
    /// The source and options of the restore.
    pub restoring: Restoring,
    /// Cancelling this token ends the preparation with `Cancelled`.
    pub cancellation: CancellationToken,
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
