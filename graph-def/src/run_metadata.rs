//! Run metadata in TensorFlow's format.

use crate::proto::{self, DeviceStepStats, NodeExecStats, StepStats};
use bytes::Bytes;
use prost::Message;
use session_core::{OpStats, RunMetadata};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// Serializes run metadata as TensorFlow's message `RunMetadata`, for
/// [`EventWriter::add_run_metadata`](summary::EventWriter::add_run_metadata). If the engine has serialized it already, returns
/// the engine's bytes.
///
/// ```
/// use graph_def::{encode_run_metadata, to_graph_def};
/// use session_core::{Graph, RunMetadata};
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// let graph = Graph::new();
/// ops::array::constant(&graph, 1.0f32);
/// let writer = summary::EventWriter::open(folder)?;
/// writer.add_graph(to_graph_def(&graph)?, 0)?;
/// let metadata = RunMetadata::default(); // filled by `run_with`
/// writer.add_run_metadata("step_7", encode_run_metadata(&metadata), 7)?;
/// # Ok::<(), session_core::Error>(())
/// ```
#[must_use]
pub fn encode_run_metadata(metadata: &RunMetadata) -> Bytes {
    if !metadata.raw.is_empty() {
        return metadata.raw.clone().into();
    }
    let began = metadata.started.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    let began = began.unwrap_or_default();
    // Sorted, so that equal runs have equal bytes; within a device the operations keep the engine's order.
    let mut devices: BTreeMap<&str, Vec<NodeExecStats>> = BTreeMap::new();
    for stats in &metadata.step_stats {
        devices.entry(&stats.device).or_default().push(node(stats, began));
    }
    let device = |(device, node_stats): (&str, _)| DeviceStepStats { device: device.to_owned(), node_stats };
    let step_stats = StepStats { dev_stats: devices.into_iter().map(device).collect() };
    proto::RunMetadata { step_stats: Some(step_stats) }.encode_to_vec().into()
}

/// Converts the record of one operation. Times are relative to the start of the run.
fn node(stats: &OpStats, began: Duration) -> NodeExecStats {
    let start = began + stats.start;
    NodeExecStats {
        node_name: stats.node.clone(),
        all_start_micros: count(start.as_micros()),
        // Both ends are equal, because an operation here has no phases after its kernel. Viewers require
        // both.
        op_end_rel_micros: count(stats.elapsed.as_micros()),
        all_end_rel_micros: count(stats.elapsed.as_micros()),
        timeline_label: format!("{} = {}", stats.node, stats.op_type),
        thread_id: u32::try_from(stats.thread).unwrap_or(u32::MAX),
        all_start_nanos: count(start.as_nanos()),
        op_end_rel_nanos: count(stats.elapsed.as_nanos()),
        all_end_rel_nanos: count(stats.elapsed.as_nanos()),
        ..NodeExecStats::default()
    }
}

/// Converts a number to the signed type of messages.
fn count(number: u128) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
