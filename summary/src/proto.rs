//! The protocol messages of event files, as far as they are looked into. Messages that are only passed
//! on (graphs, tensors, run metadata) are their serialized bytes, which keeps them as they were.

use bytes::Bytes;
use prost::{Message, Oneof};

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Event {
    #[prost(double, tag = "1")]
    pub wall_time: f64,
    #[prost(int64, tag = "2")]
    pub step: i64,
    #[prost(oneof = "What", tags = "3, 4, 5, 6, 7, 8, 9")]
    pub what: Option<What>,
    #[prost(message, optional, tag = "10")]
    pub source_metadata: Option<SourceMetadata>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(bytes = "bytes", tag = "4")]
    GraphDef(Bytes),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(bytes = "bytes", tag = "6")]
    LogMessage(Bytes),
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
    #[prost(message, tag = "8")]
    TaggedRunMetadata(TaggedRunMetadata),
    #[prost(bytes = "bytes", tag = "9")]
    MetaGraphDef(Bytes),
}

/// A `GraphDef`, a `MetaGraphDef` and a `RunMetadata`, as far as tells them from other bytes.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<Node>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Node {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub op: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct MetaGraph {
    #[prost(message, optional, tag = "2")]
    pub graph: Option<Graph>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct RunMetadata {
    #[prost(message, optional, tag = "1")]
    pub step_stats: Option<StepStats>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StepStats {
    #[prost(message, repeated, tag = "1")]
    pub devices: Vec<DeviceStats>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct DeviceStats {
    #[prost(string, tag = "1")]
    pub device: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SourceMetadata {
    #[prost(string, tag = "1")]
    pub writer: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SessionLog {
    #[prost(int32, tag = "1")]
    pub status: i32,
    #[prost(string, tag = "2")]
    pub checkpoint_path: String,
    #[prost(string, tag = "3")]
    pub msg: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TaggedRunMetadata {
    #[prost(string, tag = "1")]
    pub tag: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub run_metadata: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Summary {
    #[prost(message, repeated, tag = "1")]
    pub value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Value {
    #[prost(string, tag = "1")]
    pub tag: String,
    #[prost(oneof = "ValueData", tags = "2, 3, 4, 5, 6, 8")]
    pub data: Option<ValueData>,
    #[prost(string, tag = "7")]
    pub node_name: String,
    #[prost(message, optional, tag = "9")]
    pub metadata: Option<Metadata>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum ValueData {
    #[prost(float, tag = "2")]
    SimpleValue(f32),
    #[prost(bytes = "bytes", tag = "3")]
    OldStyleHistogram(Bytes),
    #[prost(message, tag = "4")]
    Image(Image),
    #[prost(message, tag = "5")]
    Histo(Histogram),
    #[prost(message, tag = "6")]
    Audio(Audio),
    #[prost(bytes = "bytes", tag = "8")]
    Tensor(Bytes),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Metadata {
    #[prost(message, optional, tag = "1")]
    pub plugin_data: Option<PluginData>,
    #[prost(string, tag = "2")]
    pub display_name: String,
    #[prost(string, tag = "3")]
    pub summary_description: String,
    #[prost(int32, tag = "4")]
    pub data_class: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct PluginData {
    #[prost(string, tag = "1")]
    pub plugin_name: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub content: Bytes,
}

/// The numbers are optional so that -0 is written, as TensorFlow does: `prost` leaves out numbers that equal 0, and
/// -0 does.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Histogram {
    #[prost(double, optional, tag = "1")]
    pub min: Option<f64>,
    #[prost(double, optional, tag = "2")]
    pub max: Option<f64>,
    #[prost(double, optional, tag = "3")]
    pub num: Option<f64>,
    #[prost(double, optional, tag = "4")]
    pub sum: Option<f64>,
    #[prost(double, optional, tag = "5")]
    pub sum_squares: Option<f64>,
    #[prost(double, repeated, tag = "6")]
    pub bucket_limit: Vec<f64>,
    #[prost(double, repeated, tag = "7")]
    pub bucket: Vec<f64>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Image {
    #[prost(int32, tag = "1")]
    pub height: i32,
    #[prost(int32, tag = "2")]
    pub width: i32,
    #[prost(int32, tag = "3")]
    pub colorspace: i32,
    #[prost(bytes = "bytes", tag = "4")]
    pub encoded_image_string: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Audio {
    #[prost(float, tag = "1")]
    pub sample_rate: f32,
    #[prost(int64, tag = "2")]
    pub num_channels: i64,
    #[prost(int64, tag = "3")]
    pub length_frames: i64,
    #[prost(bytes = "bytes", tag = "4")]
    pub encoded_audio_string: Bytes,
    #[prost(string, tag = "5")]
    pub content_type: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TensorProto {
    #[prost(int32, tag = "1")]
    pub dtype: i32,
    #[prost(message, optional, tag = "2")]
    pub tensor_shape: Option<TensorShape>,
    #[prost(bytes = "bytes", tag = "4")]
    pub tensor_content: Bytes,
    #[prost(float, repeated, tag = "5")]
    pub float_val: Vec<f32>,
    #[prost(double, repeated, tag = "6")]
    pub double_val: Vec<f64>,
    #[prost(int32, repeated, tag = "7")]
    pub int_val: Vec<i32>,
    #[prost(bytes = "bytes", repeated, tag = "8")]
    pub string_val: Vec<Bytes>,
    #[prost(float, repeated, tag = "9")]
    pub scomplex_val: Vec<f32>,
    #[prost(int64, repeated, tag = "10")]
    pub int64_val: Vec<i64>,
    #[prost(bool, repeated, tag = "11")]
    pub bool_val: Vec<bool>,
    #[prost(double, repeated, tag = "12")]
    pub dcomplex_val: Vec<f64>,
    #[prost(int32, repeated, tag = "13")]
    pub half_val: Vec<i32>,
    #[prost(uint32, repeated, tag = "16")]
    pub uint32_val: Vec<u32>,
    #[prost(uint64, repeated, tag = "17")]
    pub uint64_val: Vec<u64>,
    #[prost(bytes = "bytes", tag = "18")]
    pub float8_val: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TensorShape {
    #[prost(message, repeated, tag = "2")]
    pub dim: Vec<Dimension>,
    #[prost(bool, tag = "3")]
    pub unknown_rank: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Dimension {
    #[prost(int64, tag = "1")]
    pub size: i64,
}

/// The content of the plug-in `hparams`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct HParamsPluginData {
    #[prost(message, optional, tag = "3")]
    pub session_start_info: Option<SessionStartInfo>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SessionStartInfo {
    /// A map on the wire.
    #[prost(message, repeated, tag = "1")]
    pub hparams: Vec<HParamEntry>,
    #[prost(string, tag = "4")]
    pub group_name: String,
    #[prost(double, tag = "5")]
    pub start_time_secs: f64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct HParamEntry {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(message, optional, tag = "2")]
    pub value: Option<HParamValue>,
}

/// `google.protobuf.Value`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct HParamValue {
    #[prost(oneof = "HParamKind", tags = "2, 3, 4")]
    pub kind: Option<HParamKind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum HParamKind {
    #[prost(double, tag = "2")]
    Number(f64),
    #[prost(string, tag = "3")]
    Text(String),
    #[prost(bool, tag = "4")]
    Flag(bool),
}
