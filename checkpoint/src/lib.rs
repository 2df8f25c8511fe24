//! TensorFlow checkpoints: read, write, save, restore, retain.

mod assignment;
pub mod bundle;
mod clock;
mod commit;
mod crc;
mod error;
#[cfg(all(feature = "session", feature = "sidecar"))]
mod graph_saver;
mod info;
mod memory;
mod object_graph;
mod parallel;
mod prefix;
mod reader;
#[cfg(feature = "safetensors")]
pub mod safetensors;
mod saver;
#[cfg(feature = "session")]
mod session;
pub mod sidecar;
mod state;
pub mod storage;
mod watch;
mod wire;

pub use assignment::{Assignment, init_from_checkpoint};
pub use clock::{Clock, SystemClock};
pub use error::{BoxError, Code, Error, Result};
#[cfg(all(feature = "session", feature = "sidecar"))]
pub use graph_saver::{GraphSaver, Restored, SAVERS, SessionState};
pub use info::{Problem, TensorInfo};
pub use prefix::{data_path, index_path, meta_graph_path, sidecar_path};
pub use reader::{CheckpointReader, checkpoints_in, list_variables, load_variable};
pub use saver::{
    Better, RestoreOptions, RestoreReport, RestoreTarget, SaveOptions, SaveSource, Saver, SaverOptions,
    Slice, Snapshot, VariableSpec, read_all,
};
#[cfg(feature = "session")]
pub use session::SessionVariables;
pub use sidecar::{read_session_state, read_session_state_with};
pub use state::{
    CheckpointState, Note, STATE_FILE, checkpoint_exists, checkpoint_exists_with, checkpoint_mtimes,
    get_checkpoint_state, get_checkpoint_state_with, latest_checkpoint, latest_checkpoint_with,
    remove_checkpoint, remove_checkpoint_with, update_checkpoint_state,
};
pub use watch::{
    CheckpointsIterator, WatchOptions, checkpoints_iterator, require_new_checkpoint, wait_for_new_checkpoint,
};
