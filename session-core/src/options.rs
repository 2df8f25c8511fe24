//! Run options and run metadata.

use crate::CancellationToken;
use std::time::{Duration, SystemTime};

/// Options of one run (S-62). The default requests nothing special.
///
/// ```
/// use session_core::RunOptions;
/// use std::time::Duration;
/// let options = RunOptions::with_timeout(Duration::from_secs(10));
/// assert_eq!(options.timeout, Some(Duration::from_secs(10)));
/// ```
///
/// Fields are read by engines and hooks, and written through the setters of the same names.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RunOptions {
    /// The extent to which the run is recorded.
    pub trace_level: TraceLevel,
    /// The time limit, after which the run fails with `DeadlineExceeded` and the session stays usable (S-63).
    /// `None` or zero: only the limit of the session's configuration applies.
    pub timeout: Option<Duration>,
    /// The pool that runs independent operations. Engines with a single pool ignore it.
    pub inter_op_thread_pool: i32,
    /// True if the graphs are returned as the engine ran them.
    pub output_partition_graphs: bool,
    /// True if an out-of-memory error lists the allocations.
    pub report_tensor_allocations_upon_oom: bool,
    /// Cancels the run from outside, with `Cancelled`.
    pub cancellation: Option<CancellationToken>,
}

/// The extent to which a run is recorded.
///
/// ```
/// use session_core::{RunOptions, TraceLevel};
/// assert_eq!(RunOptions::default().trace_level, TraceLevel::None);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum TraceLevel {
    /// Nothing.
    #[default]
    None = 0,
    /// Software events.
    Software = 1,
    /// Hardware events.
    Hardware = 2,
    /// Everything.
    Full = 3,
}

impl RunOptions {
    /// Returns options with only a time limit.
    ///
    /// ```
    /// use session_core::RunOptions;
    /// use std::time::Duration;
    /// assert_eq!(RunOptions::with_timeout(Duration::from_secs(1)).timeout, Some(Duration::from_secs(1)));
    /// ```
    #[must_use]
    pub fn with_timeout(timeout: Duration) -> RunOptions {
        RunOptions { timeout: Some(timeout), ..RunOptions::default() }
    }

    /// Returns options that record everything.
    ///
    /// ```
    /// use session_core::{RunOptions, TraceLevel};
    /// assert_eq!(RunOptions::with_full_trace().trace_level, TraceLevel::Full);
    /// ```
    #[must_use]
    pub fn with_full_trace() -> RunOptions {
        RunOptions { trace_level: TraceLevel::Full, ..RunOptions::default() }
    }

    /// Sets the extent to which the run is recorded. Default: [`TraceLevel::None`].
    #[must_use]
    pub fn trace_level(mut self, level: TraceLevel) -> RunOptions {
        self.trace_level = level;
        self
    }

    /// Sets the time limit, after which the run fails with `DeadlineExceeded` and the session stays usable (S-63). Default: that of the
    /// session's configuration.
    ///
    /// ```
    /// use session_core::{RunOptions, TraceLevel};
    /// use std::time::Duration;
    /// let options = RunOptions::default().timeout(Duration::from_secs(1)).trace_level(TraceLevel::Full);
    /// assert_eq!(options.timeout, Some(Duration::from_secs(1)));
    /// ```
    #[must_use]
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> RunOptions {
        self.timeout = timeout.into();
        self
    }

    /// Sets the pool that runs independent operations. Engines with a single pool ignore it. Default: 0.
    #[must_use]
    pub fn inter_op_thread_pool(mut self, pool: i32) -> RunOptions {
        self.inter_op_thread_pool = pool;
        self
    }

    /// Sets whether the run returns the graphs as the engine ran them. Default: false.
    #[must_use]
    pub fn output_partition_graphs(mut self, output: bool) -> RunOptions {
        self.output_partition_graphs = output;
        self
    }

    /// Sets whether an out-of-memory error lists the allocations. Default: false.
    #[must_use]
    pub fn report_tensor_allocations_upon_oom(mut self, report: bool) -> RunOptions {
        self.report_tensor_allocations_upon_oom = report;
        self
    }

    /// Sets the token that cancels the run from outside, with `Cancelled`. Default: none.
    ///
    /// ```
    /// use session_core::{CancellationToken, RunOptions};
    /// let token = CancellationToken::new();
    /// let options = RunOptions::default().cancellation(token.clone());
    /// token.cancel(); // from any thread: the run fails with `Cancelled`
    /// assert!(options.cancellation.is_some());
    /// ```
    #[must_use]
    pub fn cancellation(mut self, token: impl Into<Option<CancellationToken>>) -> RunOptions {
        self.cancellation = token.into();
        self
    }

    /// Merges the options of another party of the same run (S-130): the maximum of numbers; flags that are
    /// set in either. The longer of two time limits therefore wins, and any limit wins over none (S-131).
    ///
    /// ```
    /// use session_core::RunOptions;
    /// use std::time::Duration;
    /// let mut options = RunOptions::default();
    /// options.merge(&RunOptions::with_timeout(Duration::from_secs(1)));
    /// assert_eq!(options.timeout, Some(Duration::from_secs(1)));
    /// ```
    pub fn merge(&mut self, other: &RunOptions) {
        self.trace_level = self.trace_level.max(other.trace_level);
        // `None` is smaller than any limit.
        self.timeout = self.timeout.max(other.timeout);
        self.inter_op_thread_pool = self.inter_op_thread_pool.max(other.inter_op_thread_pool);
        self.output_partition_graphs |= other.output_partition_graphs;
        self.report_tensor_allocations_upon_oom |= other.report_tensor_allocations_upon_oom;
        // A run has one token. That of the first party, the user, is kept.
        if self.cancellation.is_none() {
            self.cancellation.clone_from(&other.cancellation);
        }
    }
}

/// Statistics of a run. Each run that it is passed to overwrites it (S-64).
///
/// ```
/// use session_core::RunMetadata;
/// assert!(RunMetadata::default().step_stats.is_empty());
/// ```
#[derive(Clone, Debug, Default)]
pub struct RunMetadata {
    /// The statistics of each operation, recorded from [`TraceLevel::Software`] up.
    pub step_stats: Vec<OpStats>,
    /// The time at which the run started.
    pub started: Option<SystemTime>,
    /// The duration of the run.
    pub elapsed: Duration,
    /// The time for which the run was blocked by empty or full queues and iterators.
    pub input_wait: Duration,
    /// The queues of the session at the end of the run, by name, and after them the iterators that make elements ahead of the
    /// steps: their size is the number of elements that are made.
    pub queues: Vec<QueueStats>,
    /// The serialized record of an engine of another implementation.
    pub raw: Vec<u8>,
}

/// The fill level of a queue at one moment, and its waiters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// The name, or the shared name.
    pub name: String,
    /// The number of elements.
    pub size: usize,
    /// The capacity; `None` if it is unlimited.
    pub capacity: Option<usize>,
    /// True if the queue was closed.
    pub closed: bool,
    /// The number of operations that wait for free space.
    pub pending_enqueues: usize,
    /// The number of operations that wait for elements.
    pub pending_dequeues: usize,
}

/// The statistics of one operation in one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OpStats {
    /// The name of the operation. Several names, joined by `+`, if the engine fused them.
    pub node: String,
    /// The op type, likewise.
    pub op_type: String,
    /// The device that ran the operation.
    pub device: String,
    /// The start time, relative to the start of the run.
    pub start: Duration,
    /// The duration.
    pub elapsed: Duration,
    /// The number of the thread that ran the operation.
    pub thread: usize,
    /// The size of the outputs in bytes.
    pub output_bytes: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_130_s_131_options_are_merged_to_the_larger() {
        let mut options = RunOptions::with_timeout(Duration::from_secs(2));
        let hook = RunOptions { timeout: Some(Duration::from_secs(1)), ..RunOptions::with_full_trace() };
        options.merge(&hook);
        assert_eq!(options.timeout, Some(Duration::from_secs(2)));
        assert_eq!(options.trace_level, TraceLevel::Full);
        let mut none = RunOptions::default();
        none.merge(&hook);
        assert_eq!(none.timeout, Some(Duration::from_secs(1)), "a limit beats no limit");
    }
}
