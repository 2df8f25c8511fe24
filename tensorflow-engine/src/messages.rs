//! The protocol buffer messages of TensorFlow, other than graphs, that this crate uses: configurations, clusters, options, records of runs.
//!
//! Only the fields that this crate sets or reads are declared. Decoding skips the others, and encoding leaves them at
//! their defaults. The tags are those of TensorFlow's `.proto` files.

use graph_def::proto::{self, NodeExecStats};
use prost::Message;
use session_core::{OpStats, RunMetadata, RunOptions, SessionConfig, TraceLevel};
use std::collections::BTreeMap;
use std::time::Duration;

/// `tensorflow.ConfigProto`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ConfigProto {
    /// The number of devices of each type.
    #[prost(btree_map = "string, int32", tag = "1")]
    device_count: BTreeMap<String, i32>,
    /// The threads of one operation; 0 lets TensorFlow choose.
    #[prost(int32, tag = "2")]
    intra_op_parallelism_threads: i32,
    /// The devices that the session may use; none for all.
    #[prost(string, repeated, tag = "4")]
    device_filters: Vec<String>,
    /// The threads that run independent operations; 0 lets TensorFlow choose.
    #[prost(int32, tag = "5")]
    inter_op_parallelism_threads: i32,
    /// True to run an operation on another device if the requested one has no kernel for it.
    #[prost(bool, tag = "7")]
    allow_soft_placement: bool,
    /// True to log the device of each operation.
    #[prost(bool, tag = "8")]
    log_device_placement: bool,
    /// The optimizations of the graph; absent for the defaults.
    #[prost(message, optional, tag = "10")]
    graph_options: Option<GraphOptions>,
    /// The time limit of each call in milliseconds; 0 for none.
    #[prost(int64, tag = "11")]
    operation_timeout_in_ms: i64,
    /// True if the session does not share variables with other sessions of the server.
    #[prost(bool, tag = "15")]
    isolate_session_state: bool,
}

/// `tensorflow.GraphOptions`.
#[derive(Clone, PartialEq, Message)]
struct GraphOptions {
    /// The optimizer of plans: constant folding and common subexpressions.
    #[prost(message, optional, tag = "3")]
    optimizer_options: Option<OptimizerOptions>,
    /// The rewrites of the graph before a session uses it.
    #[prost(message, optional, tag = "10")]
    rewrite_options: Option<RewriterConfig>,
}

/// `tensorflow.OptimizerOptions`.
#[derive(Clone, PartialEq, Message)]
struct OptimizerOptions {
    /// 0 is the default level, -1 disables optimization.
    #[prost(int32, tag = "3")]
    opt_level: i32,
}

/// `tensorflow.RewriterConfig`.
#[derive(Clone, PartialEq, Message)]
struct RewriterConfig {
    /// True to switch off all graph rewrites (Grappler).
    #[prost(bool, tag = "19")]
    disable_meta_optimizer: bool,
}

/// `tensorflow.ServerDef`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ServerDef {
    /// The cluster, with all tasks that the server has to know.
    #[prost(message, optional, tag = "1")]
    pub(crate) cluster: Option<ClusterDef>,
    /// The job of the server's own task.
    #[prost(string, tag = "2")]
    pub(crate) job_name: String,
    /// The index of the server's own task.
    #[prost(int32, tag = "3")]
    pub(crate) task_index: i32,
    /// The configuration of sessions on the server.
    #[prost(message, optional, tag = "4")]
    pub(crate) default_session_config: Option<ConfigProto>,
    /// The protocol, always `grpc`.
    #[prost(string, tag = "5")]
    pub(crate) protocol: String,
}

/// `tensorflow.ClusterDef`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ClusterDef {
    /// The jobs.
    #[prost(message, repeated, tag = "1")]
    pub(crate) job: Vec<JobDef>,
}

/// `tensorflow.JobDef`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct JobDef {
    /// The name of the job.
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    /// The address of each task.
    #[prost(btree_map = "int32, string", tag = "2")]
    pub(crate) tasks: BTreeMap<i32, String>,
}

/// Converts a number to the 32 bits that TensorFlow uses for counts.
fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// Converts a time limit to whole milliseconds, at least one.
fn milliseconds(limit: Duration) -> i64 {
    i64::try_from(limit.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX).max(1)
}

/// Treats a time limit of zero as none.
pub(crate) fn limit(timeout: Option<Duration>) -> Option<Duration> {
    timeout.filter(|timeout| !timeout.is_zero())
}

impl ConfigProto {
    /// Converts the configuration of a session. Without optimization, both the optimizer of plans and the graph
    /// rewrites are switched off.
    pub(crate) fn new(config: &SessionConfig) -> ConfigProto {
        let unoptimized = || GraphOptions {
            optimizer_options: Some(OptimizerOptions { opt_level: -1 }),
            rewrite_options: Some(RewriterConfig { disable_meta_optimizer: true }),
        };
        ConfigProto {
            device_count: config.device_count.clone(),
            intra_op_parallelism_threads: count(config.intra_op_parallelism_threads),
            device_filters: config.device_filters.clone(),
            inter_op_parallelism_threads: count(config.inter_op_parallelism_threads),
            allow_soft_placement: config.allow_soft_placement,
            log_device_placement: config.log_device_placement,
            graph_options: (!config.optimize).then(unoptimized),
            operation_timeout_in_ms: limit(config.operation_timeout).map_or(0, milliseconds),
            isolate_session_state: config.isolate_session_state,
        }
    }
}

/// `tensorflow.RunOptions`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RunOptionsProto {
    /// The extent of the record of the run.
    #[prost(int32, tag = "1")]
    trace_level: i32,
    /// The time limit of the run in milliseconds; 0 for none.
    #[prost(int64, tag = "2")]
    timeout_in_ms: i64,
    /// The thread pool to use.
    #[prost(int32, tag = "3")]
    inter_op_thread_pool: i32,
    /// True to record the graphs that were executed.
    #[prost(bool, tag = "5")]
    output_partition_graphs: bool,
    /// True to list all allocations in an error for a lack of memory.
    #[prost(bool, tag = "7")]
    report_tensor_allocations_upon_oom: bool,
}

impl RunOptionsProto {
    /// Returns `None` for options that request nothing.
    pub(crate) fn new(options: &RunOptions) -> Option<RunOptionsProto> {
        let proto = RunOptionsProto {
            trace_level: options.trace_level as i32,
            timeout_in_ms: limit(options.timeout).map_or(0, milliseconds),
            inter_op_thread_pool: options.inter_op_thread_pool,
            output_partition_graphs: options.output_partition_graphs,
            report_tensor_allocations_upon_oom: options.report_tensor_allocations_upon_oom,
        };
        (proto != RunOptionsProto::default()).then_some(proto)
    }
}

/// Returns a duration, in nanoseconds if the record has them, otherwise in microseconds.
fn time(nanos: i64, micros: i64) -> Duration {
    let nanos = if nanos > 0 { nanos } else { micros.saturating_mul(1000) };
    Duration::from_nanos(nanos.try_into().unwrap_or(0))
}

/// Returns the start of an operation, since 1970.
fn start(node: &NodeExecStats) -> Duration {
    time(node.all_start_nanos, node.all_start_micros)
}

/// Returns the op type in a label such as `y = Mul(x, c)`; empty if there is none.
fn op_type(label: &str) -> &str {
    let rest = label.split_once(" = ").map_or("", |(_, rest)| rest);
    rest.split_once('(').map_or("", |(op_type, _)| op_type)
}

/// Returns the bytes that the outputs of an operation allocated.
fn output_bytes(node: &NodeExecStats) -> usize {
    let described = node.output.iter().filter_map(|output| output.tensor_description.as_ref());
    let bytes = described
        .filter_map(|tensor| tensor.allocation_description.as_ref())
        .map(|allocation| usize::try_from(allocation.requested_bytes).unwrap_or(0));
    bytes.sum()
}

/// Fills in TensorFlow's record of a run. Fields that are missing in the record, such as its start, keep their values.
///
/// Times of TensorFlow count from 1970, in microseconds and, in newer versions, also in nanoseconds. Here
/// they count from the first operation, so that records of both engines can be compared.
pub(crate) fn record(bytes: &[u8], metadata: &mut RunMetadata) {
    metadata.raw = bytes.to_vec();
    metadata.step_stats.clear();
    // A message that another version of TensorFlow changed is still available as bytes.
    let stats = proto::RunMetadata::decode(bytes).ok().and_then(|proto| proto.step_stats).unwrap_or_default();
    let nodes =
        || stats.dev_stats.iter().flat_map(|device| device.node_stats.iter().map(move |node| (device, node)));
    let began = nodes().map(|(_, node)| start(node)).min().unwrap_or_default();
    for (device, node) in nodes() {
        metadata.step_stats.push(OpStats {
            node: node.node_name.clone(),
            op_type: op_type(&node.timeline_label).to_owned(),
            device: device.device.clone(),
            start: start(node).saturating_sub(began),
            elapsed: time(node.all_end_rel_nanos, node.all_end_rel_micros),
            thread: node.thread_id as usize,
            output_bytes: output_bytes(node),
        });
    }
    metadata.step_stats.sort_by_key(|stats| stats.start);
}

/// Returns true if this level records anything.
pub(crate) fn traces(level: TraceLevel) -> bool {
    level != TraceLevel::None
}
