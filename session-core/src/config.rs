//! Session configuration.

use crate::FileAccess;
use std::collections::BTreeMap;
use std::time::Duration;

/// Configures how a session runs; TensorFlow's `ConfigProto`.
///
/// ```
/// use session_core::SessionConfig;
/// use std::time::Duration;
/// let config = SessionConfig {
///     operation_timeout: Some(Duration::from_secs(60)),
///     ..SessionConfig::with_threads(4)
/// };
/// assert_eq!(config.intra_op_parallelism_threads, 4);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// The number of threads that share the work of one operation. Default: 0, one per CPU.
    pub intra_op_parallelism_threads: usize,
    /// The number of threads that run independent operations. Default: 0, the engine's choice.
    pub inter_op_parallelism_threads: usize,
    /// The time limit of each run that does not set its own. Default: none.
    pub operation_timeout: Option<Duration>,
    /// True if an operation may run elsewhere when its requested device cannot run it. Default: true.
    pub allow_soft_placement: bool,
    /// True if the session logs the device of each operation. Default: false.
    pub log_device_placement: bool,
    /// The number of devices by type, such as `CPU`. The engine chooses for types that are absent.
    pub device_count: BTreeMap<String, i32>,
    /// Patterns of the devices that may be used. Default: empty, all devices.
    pub device_filters: Vec<String>,
    /// True if sessions of one server do not share their variables. Default: false.
    pub isolate_session_state: bool,
    /// The maximum number of bytes that the variables of a session and the results of its operations occupy together.
    /// Default: none. An operation that needs more fails with `ResourceExhausted`, and the session stays usable. Fed
    /// tensors, restored ones, strings and tables do not count. TensorFlow's runtime has no such limit and refuses it.
    pub memory_limit: Option<usize>,
    /// True if the engine may fold constants and fuse operations. Default: true.
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
            memory_limit: None,
            optimize: true,
            file_access: FileAccess::everything(),
        }
    }
}

impl SessionConfig {
    /// Returns the default configuration with this number of threads for both pools.
    ///
    /// ```
    /// use session_core::SessionConfig;
    /// assert_eq!(SessionConfig::with_threads(2).inter_op_parallelism_threads, 2);
    /// ```
    #[must_use]
    pub fn with_threads(threads: usize) -> SessionConfig {
        SessionConfig {
            intra_op_parallelism_threads: threads,
            inter_op_parallelism_threads: threads,
            ..SessionConfig::default()
        }
    }
}
