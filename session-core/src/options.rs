//! What one run is asked for beside its fetches, and what it tells of itself.

use crate::CancellationToken;
use std::time::{Duration, SystemTime};

/// Options of one run (S-62). The default asks for nothing.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// What to record of the run.
    pub trace_level: TraceLevel,
    /// After this time the run fails with `DeadlineExceeded`; the session stays usable (S-63). `None` or zero:
    /// no limit but that of the session's configuration.
    pub timeout: Option<Duration>,
    /// Which pool runs independent operations; engines with one pool ignore it.
    pub inter_op_thread_pool: i32,
    /// Whether to return the graphs as the engine ran them.
    pub output_partition_graphs: bool,
    /// Whether an out-of-memory error lists what is allocated.
    pub report_tensor_allocations_upon_oom: bool,
    /// Stops the run from outside, with `Cancelled`.
    pub cancellation: Option<CancellationToken>,
}

/// How much of a run is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum TraceLevel {
    /// Nothing.
    #[default]
    None = 0,
    /// What software does.
    Software = 1,
    /// What hardware does.
    Hardware = 2,
    /// Everything.
    Full = 3,
}

impl RunOptions {
    /// Options that hold nothing but a time limit.
    #[must_use]
    pub fn with_timeout(timeout: Duration) -> RunOptions {
        RunOptions { timeout: Some(timeout), ..RunOptions::default() }
    }

    /// Options that record everything.
    #[must_use]
    pub fn with_full_trace() -> RunOptions {
        RunOptions { trace_level: TraceLevel::Full, ..RunOptions::default() }
    }

    /// Joins the options of another party of the same run (S-130): the larger of numbers, the or of flags. So
    /// the longer of two time limits wins, and no limit loses against any (S-131).
    pub fn merge(&mut self, other: &RunOptions) {
        self.trace_level = self.trace_level.max(other.trace_level);
        self.timeout = self.timeout.max(other.timeout);
        self.inter_op_thread_pool = self.inter_op_thread_pool.max(other.inter_op_thread_pool);
        self.output_partition_graphs |= other.output_partition_graphs;
        self.report_tensor_allocations_upon_oom |= other.report_tensor_allocations_upon_oom;
        if self.cancellation.is_none() {
            self.cancellation.clone_from(&other.cancellation);
        }
    }
}

/// What a run tells of itself. Overwritten by each run it is given to (S-64).
#[derive(Clone, Debug, Default)]
pub struct RunMetadata {
    /// What each operation took; filled with [`TraceLevel::Software`] and above.
    pub step_stats: Vec<OpStats>,
    /// When the run began.
    pub started: Option<SystemTime>,
    /// How long it took as a whole.
    pub elapsed: Duration,
    /// How long it stood still because queues were empty or full.
    pub input_wait: Duration,
    /// The session's queues at the end of the run, by name.
    pub queues: Vec<QueueStats>,
    /// What an engine of another implementation recorded, serialised by it.
    pub raw: Vec<u8>,
}

/// How full a queue is at one moment, and who waits for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// Its name, or its shared name.
    pub name: String,
    /// How many elements it holds.
    pub size: usize,
    /// How many it can hold; without limit when `None`.
    pub capacity: Option<usize>,
    /// Whether it was closed.
    pub closed: bool,
    /// How many operations wait for room.
    pub pending_enqueues: usize,
    /// How many operations wait for elements.
    pub pending_dequeues: usize,
}

/// What one operation took in one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OpStats {
    /// The operation's name; several, joined by `+`, where the engine ran them as one.
    pub node: String,
    /// Its type, likewise.
    pub op_type: String,
    /// The device that ran it.
    pub device: String,
    /// When it began, counted from the start of the run.
    pub start: Duration,
    /// How long it took.
    pub elapsed: Duration,
    /// The number of the thread that ran it.
    pub thread: usize,
    /// Bytes of its outputs.
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
