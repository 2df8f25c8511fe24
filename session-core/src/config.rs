//! The configuration of a session.

use crate::FileAccess;
use std::collections::BTreeMap;
use std::time::Duration;

/// How a session runs; TensorFlow's `ConfigProto`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// Threads that share the work of one operation; 0 (the default) for as many as there are CPUs.
    pub intra_op_parallelism_threads: usize,
    /// Threads that run independent operations; 0 (the default) lets the engine choose.
    pub inter_op_parallelism_threads: usize,
    /// A limit for every run that has none of its own; none by default.
    pub operation_timeout: Option<Duration>,
    /// Whether operations may run elsewhere when they cannot run on the device they ask for. True by default.
    pub allow_soft_placement: bool,
    /// Whether to log where operations run.
    pub log_device_placement: bool,
    /// Number of devices by type, such as `CPU`; the engine's choice where absent.
    pub device_count: BTreeMap<String, i32>,
    /// Patterns of the devices that may be used; all when empty.
    pub device_filters: Vec<String>,
    /// Whether sessions of one server keep their variables to themselves.
    pub isolate_session_state: bool,
    /// Whether the engine may fold constants and fuse operations. True by default.
    pub optimize: bool,
    /// The files that operations of the graph may read and write. Everything by default: right for graphs that the program
    /// builds; graphs from elsewhere get folders. The embedded engine enforces it; TensorFlow's runtime has no such policy.
    pub file_access: FileAccess,
}

impl Default for SessionConfig {
    fn default() -> SessionConfig {
        SessionConfig {
            intra_op_parallelism_threads: 0,
            inter_op_parallelism_threads: 0,
            operation_timeout: None,
            allow_soft_placement: true,
            log_device_placement: false,
            device_count: BTreeMap::new(),
            device_filters: Vec::new(),
            isolate_session_state: false,
            optimize: true,
            file_access: FileAccess::everything(),
        }
    }
}

impl SessionConfig {
    /// The default with this many threads for each of the two kinds.
    #[must_use]
    pub fn with_threads(threads: usize) -> SessionConfig {
        SessionConfig {
            intra_op_parallelism_threads: threads,
            inter_op_parallelism_threads: threads,
            ..SessionConfig::default()
        }
    }
}
