//! Meta graphs: graphs with their collections, savers and signatures.

use super::{AssetFileDef, GraphDef, OpList, SignatureDef, decode};
use bytes::Bytes;
use prost::{Message, Oneof};
use session_core::Result;
use std::collections::BTreeMap;

/// A graph with its collections, saver, and signatures: the content of a `.meta` file.
///
/// ```
/// use graph_def::read_meta_graph;
/// # let path = "tests/fixtures/mlp_ref/model.meta";
/// let message = read_meta_graph(path)?;
/// let names: Vec<&str> = message.collection_def.keys().map(String::as_str).collect();
/// assert!(names.contains(&"trainable_variables"), "{names:?}");
/// println!("written by TensorFlow {}", message.meta_info_def.unwrap_or_default().tensorflow_version);
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Message)]
pub struct MetaGraphDef {
    /// The origin.
    #[prost(message, optional, tag = "1")]
    pub meta_info_def: Option<MetaInfoDef>,
    /// The graph.
    #[prost(message, optional, tag = "2")]
    pub graph_def: Option<GraphDef>,
    /// The saver.
    #[prost(message, optional, tag = "3")]
    pub saver_def: Option<SaverDef>,
    /// The collections.
    #[prost(btree_map = "string, message", tag = "4")]
    pub collection_def: BTreeMap<String, CollectionDef>,
    /// The signatures of the model, by name.
    #[prost(btree_map = "string, message", tag = "5")]
    pub signature_def: BTreeMap<String, SignatureDef>,
    /// The files that the model needs.
    #[prost(message, repeated, tag = "6")]
    pub asset_file_def: Vec<AssetFileDef>,
    /// The objects of a TensorFlow 2 model, serialized; not decoded.
    #[prost(bytes = "bytes", tag = "7")]
    pub object_graph_def: Bytes,
}

/// The origin of a meta graph: the program that wrote it, its op definitions, its tags.
#[derive(Clone, PartialEq, Message)]
pub struct MetaInfoDef {
    /// A version set by the user.
    #[prost(string, tag = "1")]
    pub meta_graph_version: String,
    /// The definitions of the op types in the graph.
    #[prost(message, optional, tag = "2")]
    pub stripped_op_list: Option<OpList>,
    /// Any message, serialized; not decoded.
    #[prost(bytes = "bytes", tag = "3")]
    pub any_info: Bytes,
    /// Tags such as `train` or `serve`.
    #[prost(string, repeated, tag = "4")]
    pub tags: Vec<String>,
    /// The version of TensorFlow that wrote it.
    #[prost(string, tag = "5")]
    pub tensorflow_version: String,
    /// The revision of TensorFlow that wrote it.
    #[prost(string, tag = "6")]
    pub tensorflow_git_version: String,
    /// True if attributes with their default values are left out.
    #[prost(bool, tag = "7")]
    pub stripped_default_attrs: bool,
    /// The names of functions, and the user's names for them.
    #[prost(btree_map = "string, string", tag = "8")]
    pub function_aliases: BTreeMap<String, String>,
}

/// The options of a saver, and the operations with which it saves and restores.
#[derive(Clone, PartialEq, Message)]
pub struct SaverDef {
    /// The tensor to feed with the prefix of the checkpoint.
    #[prost(string, tag = "1")]
    pub filename_tensor_name: String,
    /// The tensor that saves when it is fetched.
    #[prost(string, tag = "2")]
    pub save_tensor_name: String,
    /// The operation that restores.
    #[prost(string, tag = "3")]
    pub restore_op_name: String,
    /// The number of checkpoints to keep; 0 for all.
    #[prost(int32, tag = "4")]
    pub max_to_keep: i32,
    /// True if each device writes its own files.
    #[prost(bool, tag = "5")]
    pub sharded: bool,
    /// The interval at which a checkpoint is kept forever, in hours.
    #[prost(float, tag = "6")]
    pub keep_checkpoint_every_n_hours: f32,
    /// The format version: 2 for everything that is written today.
    #[prost(int32, tag = "7")]
    pub version: i32,
}

/// A collection: a named list of items of one kind.
#[derive(Clone, PartialEq, Message)]
pub struct CollectionDef {
    /// The items; `None` for an empty collection.
    #[prost(oneof = "Collection", tags = "1, 2, 3, 4, 5")]
    pub kind: Option<Collection>,
}

/// The kinds of collections.
#[derive(Clone, PartialEq, Oneof)]
pub enum Collection {
    /// Names of operations and tensors.
    #[prost(message, tag = "1")]
    Nodes(NodeList),
    /// Byte strings: messages of the collection's own kind, or text.
    #[prost(message, tag = "2")]
    Bytes(BytesList),
    /// Integers.
    #[prost(message, tag = "3")]
    Ints(Int64List),
    /// Floating-point numbers.
    #[prost(message, tag = "4")]
    Floats(FloatList),
    /// Any message, serialized; not decoded.
    #[prost(bytes = "bytes", tag = "5")]
    Any(Bytes),
}

/// Names of operations and tensors.
#[derive(Clone, PartialEq, Message)]
pub struct NodeList {
    /// The names.
    #[prost(string, repeated, tag = "1")]
    pub value: Vec<String>,
}

/// Byte strings.
#[derive(Clone, PartialEq, Message)]
pub struct BytesList {
    /// The strings.
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub value: Vec<Bytes>,
}

/// Integers.
#[derive(Clone, PartialEq, Message)]
pub struct Int64List {
    /// The integers.
    #[prost(int64, repeated, tag = "1")]
    pub value: Vec<i64>,
}

/// Floating-point numbers.
#[derive(Clone, PartialEq, Message)]
pub struct FloatList {
    /// The numbers.
    #[prost(float, repeated, tag = "1")]
    pub value: Vec<f32>,
}

/// A variable, by the names of its operations and tensors.
#[derive(Clone, PartialEq, Message)]
pub struct VariableDef {
    /// The tensor of the variable: its reference or handle.
    #[prost(string, tag = "1")]
    pub variable_name: String,
    /// The operation that assigns the initial value.
    #[prost(string, tag = "2")]
    pub initializer_name: String,
    /// The tensor with its value.
    #[prost(string, tag = "3")]
    pub snapshot_name: String,
    /// The slice of a partitioned variable.
    #[prost(message, optional, tag = "4")]
    pub save_slice_info_def: Option<SaveSliceInfoDef>,
    /// True for a resource variable.
    #[prost(bool, tag = "5")]
    pub is_resource: bool,
    /// The tensor of the initial value.
    #[prost(string, tag = "6")]
    pub initial_value_name: String,
    /// True if optimizers train it.
    #[prost(bool, tag = "7")]
    pub trainable: bool,
    /// The time at which copies of it are synchronized.
    #[prost(int32, tag = "8")]
    pub synchronization: i32,
    /// The method by which copies of it are aggregated.
    #[prost(int32, tag = "9")]
    pub aggregation: i32,
}

/// The slice of a partitioned variable.
#[derive(Clone, PartialEq, Message)]
pub struct SaveSliceInfoDef {
    /// The name under which the whole variable is saved.
    #[prost(string, tag = "1")]
    pub full_name: String,
    /// The shape of the whole variable.
    #[prost(int64, repeated, tag = "2")]
    pub full_shape: Vec<i64>,
    /// The offset of the slice.
    #[prost(int64, repeated, tag = "3")]
    pub var_offset: Vec<i64>,
    /// The shape of the slice.
    #[prost(int64, repeated, tag = "4")]
    pub var_shape: Vec<i64>,
}

/// A queue runner, by the names of its operations.
#[derive(Clone, PartialEq, Message)]
pub struct QueueRunnerDef {
    /// The queue's operation.
    #[prost(string, tag = "1")]
    pub queue_name: String,
    /// The operations of its threads, one for each thread.
    #[prost(string, repeated, tag = "2")]
    pub enqueue_op_name: Vec<String>,
    /// The operation that closes the queue.
    #[prost(string, tag = "3")]
    pub close_op_name: String,
    /// The operation that closes the queue and cancels waiting operations.
    #[prost(string, tag = "4")]
    pub cancel_op_name: String,
    /// The codes that mean the end of the input; empty for `OutOfRange`.
    #[prost(int32, repeated, tag = "5")]
    pub queue_closed_exception_types: Vec<i32>,
}

impl VariableDef {
    /// Decodes a serialized variable, an item of a collection of variables.
    ///
    /// ```
    /// use graph_def::proto::{Collection, VariableDef};
    /// use graph_def::read_meta_graph;
    /// # let path = "tests/fixtures/mlp_ref/model.meta";
    /// let message = read_meta_graph(path)?;
    /// let Some(Collection::Bytes(items)) = &message.collection_def["variables"].kind else { panic!("not serialized") };
    /// let first = VariableDef::from_bytes(items.value[0].clone())?;
    /// println!("{} is initialized by {}", first.variable_name, first.initializer_name);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// `DataLoss` for bytes that are not such a message.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Result<VariableDef> {
        decode(bytes.into(), "VariableDef")
    }
}

impl MetaGraphDef {
    /// Decodes a serialized meta graph.
    ///
    /// ```
    /// use graph_def::proto::{GraphDef, MetaGraphDef};
    /// let meta = MetaGraphDef { graph_def: Some(GraphDef::default()), ..MetaGraphDef::default() };
    /// assert_eq!(MetaGraphDef::from_bytes(meta.to_bytes())?, meta);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// `DataLoss` for bytes that are not such a message.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Result<MetaGraphDef> {
        decode(bytes.into(), "MetaGraphDef")
    }

    /// Serializes the meta graph. Equal meta graphs have equal bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        self.encode_to_vec().into()
    }
}

/// Serializes the meta graph for functions that take bytes: `writer.add_meta_graph(export_meta_graph(&graph, None)?, 0)`.
impl From<MetaGraphDef> for Bytes {
    fn from(message: MetaGraphDef) -> Bytes {
        message.to_bytes()
    }
}
