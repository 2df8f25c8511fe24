//! The record of a run: the part of `RunMetadata` that states which operations ran, where, and when.

use super::decode;
use bytes::Bytes;
use prost::Message;
use session_core::Result;

/// The record of a run: the statistics of TensorFlow's message. Its partition graphs and costs are left out.
#[derive(Clone, PartialEq, Message)]
pub struct RunMetadata {
    /// The operations that ran.
    #[prost(message, optional, tag = "1")]
    pub step_stats: Option<StepStats>,
}

impl RunMetadata {
    /// Decodes serialized run metadata.
    ///
    /// # Errors
    /// `DataLoss` for bytes that are not such a message.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Result<RunMetadata> {
        decode(bytes.into(), "RunMetadata")
    }
}

/// The operations of one run, by device.
#[derive(Clone, PartialEq, Message)]
pub struct StepStats {
    /// The operations of each device.
    #[prost(message, repeated, tag = "1")]
    pub dev_stats: Vec<DeviceStepStats>,
}

/// The operations that ran on one device.
#[derive(Clone, PartialEq, Message)]
pub struct DeviceStepStats {
    /// The device.
    #[prost(string, tag = "1")]
    pub device: String,
    /// The operations of the device.
    #[prost(message, repeated, tag = "2")]
    pub node_stats: Vec<NodeExecStats>,
}

/// The execution of one operation. Times are those of the device's clock, relative times count from the start of this operation. Old writers
/// set only microseconds; both units mean the same.
#[derive(Clone, PartialEq, Message)]
pub struct NodeExecStats {
    /// The node.
    #[prost(string, tag = "1")]
    pub node_name: String,
    /// The start, in microseconds since 1970.
    #[prost(int64, tag = "2")]
    pub all_start_micros: i64,
    /// The start of the kernel, relative, in microseconds.
    #[prost(int64, tag = "3")]
    pub op_start_rel_micros: i64,
    /// The end of the kernel, relative, in microseconds.
    #[prost(int64, tag = "4")]
    pub op_end_rel_micros: i64,
    /// The end, relative, in microseconds.
    #[prost(int64, tag = "5")]
    pub all_end_rel_micros: i64,
    /// The outputs.
    #[prost(message, repeated, tag = "7")]
    pub output: Vec<NodeOutput>,
    /// The label for viewers, such as `y = Mul(x, c)`.
    #[prost(string, tag = "8")]
    pub timeline_label: String,
    /// The thread that ran it.
    #[prost(uint32, tag = "10")]
    pub thread_id: u32,
    /// The start, in nanoseconds since 1970.
    #[prost(int64, tag = "13")]
    pub all_start_nanos: i64,
    /// The end of the kernel, relative, in nanoseconds.
    #[prost(int64, tag = "15")]
    pub op_end_rel_nanos: i64,
    /// The end, relative, in nanoseconds.
    #[prost(int64, tag = "16")]
    pub all_end_rel_nanos: i64,
}

/// One output of an operation that ran.
#[derive(Clone, PartialEq, Message)]
pub struct NodeOutput {
    /// The output tensor.
    #[prost(message, optional, tag = "3")]
    pub tensor_description: Option<TensorDescription>,
}

/// A tensor without its values.
#[derive(Clone, PartialEq, Message)]
pub struct TensorDescription {
    /// The memory of the tensor.
    #[prost(message, optional, tag = "4")]
    pub allocation_description: Option<AllocationDescription>,
}

/// A piece of memory.
#[derive(Clone, PartialEq, Message)]
pub struct AllocationDescription {
    /// The number of requested bytes.
    #[prost(int64, tag = "1")]
    pub requested_bytes: i64,
}
