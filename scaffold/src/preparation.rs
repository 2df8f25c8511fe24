//! What a session is prepared with, and what comes out.

use checkpoint::{GraphSaver, RestoreOptions, Restored};
use session_core::{CancellationToken, Operation, Output, Result, Session, SessionConfig, Tensor};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// An init function that knows its scaffold already (S-73).
pub type BoundInitFn = Arc<dyn Fn(&dyn Session) -> Result<()> + Send + Sync>;

/// Where a checkpoint to be restored may be. TensorFlow has an argument for each and refuses both (S-100).
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

/// How a model is restored.
#[derive(Clone, Debug)]
pub struct Restoring {
    /// Knows the variables. Without it nothing is restored.
    pub saver: Option<GraphSaver>,
    /// Where the checkpoint is.
    pub source: CheckpointSource,
    /// What may be missing or different, and whether an older checkpoint may stand in for a damaged one. By default it
    /// may, and nothing may be missing.
    pub options: RestoreOptions,
    /// Whether to wait for a folder's first checkpoint. False by default.
    pub wait_for_checkpoint: bool,
    /// How long to wait. 7200 s by default.
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

/// What [`SessionManager::prepare_session`](crate::SessionManager::prepare_session) is given (S-93). The default gives
/// nothing.
#[derive(Clone, Default)]
pub struct Preparation {
    /// The engine's target; empty for this process.
    pub master: String,
    /// The session's configuration.
    pub config: SessionConfig,
    /// Initialise the model, in one run.
    pub init_ops: Vec<Operation>,
    /// What the init ops are fed.
    pub init_feed: Vec<(Output, Tensor)>,
    /// Called after the init ops.
    pub init_fn: Option<BoundInitFn>,
    /// Where to restore from.
    pub restoring: Restoring,
    /// Ends the preparation with `Cancelled`.
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
    /// What was restored; `None` if the model was initialised, or made ready by somebody else.
    pub restored: Option<Restored>,
}

impl fmt::Debug for CreatedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreatedSession").field("restored", &self.restored).finish_non_exhaustive()
    }
}
