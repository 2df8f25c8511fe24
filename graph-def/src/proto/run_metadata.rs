//! What was recorded of a run: the part of `RunMetadata` that says which operation ran where, when and how long.

use super::decode;
use bytes::Bytes;
use prost::Message;
use session_core::Result;

/// What was recorded of a run. Of TensorFlow's message only the statistics; its partition graphs and costs are left out.
#[derive(Clone, PartialEq, Message)]
pub struct RunMetadata {
    /// Which operations ran.
    #[prost(message, optional, tag = "1")]
    pub step_stats: Option<StepStats>,
}

impl RunMetadata {
    /// Reads serialized run metadata.
    ///
    /// # Errors
    /// `DataLoss` for bytes that are no such message.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Result<RunMetadata> {
        decode(bytes.into(), "RunMetadata")
    }
}

/// The operations of one run.
#[derive(Clone, PartialEq, Message)]
pub struct StepStats {
    /// By device.
    #[prost(message, repeated, tag = "1")]
    pub dev_stats: Vec<DeviceStepStats>,
}

/// The operations of one device.
#[derive(Clone, PartialEq, Message)]
pub struct DeviceStepStats {
    /// The device.
    #[prost(string, tag = "1")]
    pub device: String,
    /// Its operations.
    #[prost(message, repeated, tag = "2")]
    pub node_stats: Vec<NodeExecStats>,
}

/// One operation that ran. Times are those of the device's clock; "relative" ones count from the beginning of this
/// operation. Old programs know microseconds only; both units say the same.
#[derive(Clone, PartialEq, Message)]
pub struct NodeExecStats {
    /// The node.
    #[prost(string, tag = "1")]
    pub node_name: String,
    /// When it began, in microseconds since 1970.
    #[prost(int64, tag = "2")]
    pub all_start_micros: i64,
    /// When its kernel began, relative, in microseconds.
    #[prost(int64, tag = "3")]
    pub op_start_rel_micros: i64,
    /// When its kernel ended, relative, in microseconds.
    #[prost(int64, tag = "4")]
    pub op_end_rel_micros: i64,
    /// When it ended, relative, in microseconds.
    #[prost(int64, tag = "5")]
    pub all_end_rel_micros: i64,
    /// What it gave.
    #[prost(message, repeated, tag = "7")]
    pub output: Vec<NodeOutput>,
    /// What a viewer writes on it, such as `y = Mul(x, c)`.
    #[prost(string, tag = "8")]
    pub timeline_label: String,
    /// The thread that ran it.
    #[prost(uint32, tag = "10")]
    pub thread_id: u32,
    /// When it began, in nanoseconds since 1970.
    #[prost(int64, tag = "13")]
    pub all_start_nanos: i64,
    /// When its kernel ended, relative, in nanoseconds.
    #[prost(int64, tag = "15")]
    pub op_end_rel_nanos: i64,
    /// When it ended, relative, in nanoseconds.
    #[prost(int64, tag = "16")]
    pub all_end_rel_nanos: i64,
}

/// One output of an operation that ran.
#[derive(Clone, PartialEq, Message)]
pub struct NodeOutput {
    /// What it gave there.
    #[prost(message, optional, tag = "3")]
    pub tensor_description: Option<TensorDescription>,
}

/// A tensor without its values.
#[derive(Clone, PartialEq, Message)]
pub struct TensorDescription {
    /// Its memory.
    #[prost(message, optional, tag = "4")]
    pub allocation_description: Option<AllocationDescription>,
}

/// A piece of memory.
#[derive(Clone, PartialEq, Message)]
pub struct AllocationDescription {
    /// How many bytes were asked for.
    #[prost(int64, tag = "1")]
    pub requested_bytes: i64,
}
