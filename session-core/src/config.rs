//! Session configuration.

use crate::FileAccess;
use std::collections::BTreeMap;
use std::time::Duration;

/// Configures how a session runs; TensorFlow's `ConfigProto`.
///
/// ```
/// use session_core::SessionConfig;
/// use std::time::Duration;
/// let config = SessionConfig::with_threads(4).operation_timeout(Duration::from_secs(60));
/// assert_eq!(config.intra_op_parallelism_threads, 4);
/// ```
///
/// Fields are read by engines, and written through the setters of the same names.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
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
            // The program's own graph is as trusted as the program.
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

    /// Sets the number of threads that share the work of one operation. Default: 0, one per CPU. Results do not depend on it.
    ///
    /// ```
    /// use session_core::SessionConfig;
    /// let config = SessionConfig::default().intra_op_parallelism_threads(2);
    /// assert_eq!(config.intra_op_parallelism_threads, 2);
    /// ```
    #[must_use]
    pub fn intra_op_parallelism_threads(mut self, threads: usize) -> SessionConfig {
        self.intra_op_parallelism_threads = threads;
        self
    }

    /// Sets the number of threads that run independent operations. Default: 0, the engine's choice.
    #[must_use]
    pub fn inter_op_parallelism_threads(mut self, threads: usize) -> SessionConfig {
        self.inter_op_parallelism_threads = threads;
        self
    }

    /// Sets the time limit of each run that does not set its own. Default: none.
    #[must_use]
    pub fn operation_timeout(mut self, timeout: impl Into<Option<Duration>>) -> SessionConfig {
        self.operation_timeout = timeout.into();
        self
    }

    /// Sets whether an operation may run elsewhere if its requested device cannot run it. Default: true.
    #[must_use]
    pub fn allow_soft_placement(mut self, allow: bool) -> SessionConfig {
        self.allow_soft_placement = allow;
        self
    }

    /// Sets whether the session logs the device of each operation. Default: false.
    #[must_use]
    pub fn log_device_placement(mut self, log: bool) -> SessionConfig {
        self.log_device_placement = log;
        self
    }

    /// Sets the number of devices by type. The engine chooses for types that are absent. Default: none is set.
    ///
    /// ```
    /// use session_core::SessionConfig;
    /// let config = SessionConfig::default().device_count([("CPU", 2)]);
    /// assert_eq!(config.device_count["CPU"], 2);
    /// ```
    #[must_use]
    pub fn device_count(
        mut self,
        counts: impl IntoIterator<Item = (impl Into<String>, i32)>,
    ) -> SessionConfig {
        self.device_count = counts.into_iter().map(|(device, count)| (device.into(), count)).collect();
        self
    }

    /// Sets the patterns of the devices that may be used. Default: none, which allows all devices.
    ///
    /// ```
    /// use session_core::SessionConfig;
    /// // A worker that sees its own devices and those of the parameter servers.
    /// let config = SessionConfig::default().device_filters(["/job:ps", "/job:worker/task:1"]);
    /// assert_eq!(config.device_filters.len(), 2);
    /// ```
    #[must_use]
    pub fn device_filters(mut self, patterns: impl IntoIterator<Item = impl Into<String>>) -> SessionConfig {
        self.device_filters = patterns.into_iter().map(Into::into).collect();
        self
    }

    /// Sets whether sessions of one server keep their variables to themselves. Default: false.
    #[must_use]
    pub fn isolate_session_state(mut self, isolate: bool) -> SessionConfig {
        self.isolate_session_state = isolate;
        self
    }

    /// Sets the maximum number of bytes that the variables of a session and the results of its operations occupy together. Default:
    /// none.
    ///
    /// ```
    /// use session_core::SessionConfig;
    /// let config = SessionConfig::default().memory_limit(1 << 30);
    /// assert_eq!(config.memory_limit, Some(1 << 30));
    /// ```
    #[must_use]
    pub fn memory_limit(mut self, bytes: impl Into<Option<usize>>) -> SessionConfig {
        self.memory_limit = bytes.into();
        self
    }

    /// Sets whether the engine may fold constants and fuse operations. Default: true.
    #[must_use]
    pub fn optimize(mut self, optimize: bool) -> SessionConfig {
        self.optimize = optimize;
        self
    }

    /// Sets the files that operations of the graph may read and write. Default: all files.
    ///
    /// ```
    /// use session_core::{FileAccess, SessionConfig};
    /// let config = SessionConfig::default().file_access(FileAccess::everything());
    /// # let _ = config;
    /// ```
    #[must_use]
    pub fn file_access(mut self, access: FileAccess) -> SessionConfig {
        self.file_access = access;
        self
    }
}
