//! SavedModels: meta graphs with signatures.

use super::{MetaGraphDef, TensorShape, decode};
use bytes::Bytes;
use prost::{Message, Oneof};
use session_core::Result;
use std::collections::BTreeMap;

/// The content of a `saved_model.pb`: one or several meta graphs.
#[derive(Clone, PartialEq, Message)]
pub struct SavedModel {
    /// The version of the format; 1 for all that is written today.
    #[prost(int64, tag = "1")]
    pub saved_model_schema_version: i64,
    /// The graphs, identified by their tags.
    #[prost(message, repeated, tag = "2")]
    pub meta_graphs: Vec<MetaGraphDef>,
}

/// A signature of a model: the tensors to feed and to fetch, by the names that callers use.
///
/// ```
/// use graph_def::proto::{SignatureDef, TensorInfo, TensorInfoEncoding};
/// let x = TensorInfo { encoding: Some(TensorInfoEncoding::Name("x:0".into())), dtype: 1, ..TensorInfo::default() };
/// let signature = SignatureDef {
///     inputs: [("images".to_owned(), x)].into(),
///     method_name: "tensorflow/serving/predict".into(),
///     ..SignatureDef::default()
/// };
/// assert_eq!(signature.inputs.len(), 1);
/// ```
#[derive(Clone, PartialEq, Message)]
pub struct SignatureDef {
    /// The inputs, by their names in the signature.
    #[prost(btree_map = "string, message", tag = "1")]
    pub inputs: BTreeMap<String, TensorInfo>,
    /// The outputs, by their names in the signature.
    #[prost(btree_map = "string, message", tag = "2")]
    pub outputs: BTreeMap<String, TensorInfo>,
    /// The kind of signature, such as `tensorflow/serving/predict`.
    #[prost(string, tag = "3")]
    pub method_name: String,
    /// Values of inputs that are not fed, as serialized `TensorProto`s.
    #[prost(btree_map = "string, bytes", tag = "4")]
    pub defaults: BTreeMap<String, Vec<u8>>,
}

/// A tensor of a signature: its dtype, shape, and name in the graph.
#[derive(Clone, PartialEq, Message)]
pub struct TensorInfo {
    /// The number of its dtype; that of a reference is larger by 100.
    #[prost(int32, tag = "2")]
    pub dtype: i32,
    /// The known part of its shape.
    #[prost(message, optional, tag = "3")]
    pub tensor_shape: Option<TensorShape>,
    /// The tensors of the graph that it consists of.
    #[prost(oneof = "TensorInfoEncoding", tags = "1, 4, 5")]
    pub encoding: Option<TensorInfoEncoding>,
}

/// The tensors of the graph of which a tensor of a signature consists.
#[derive(Clone, PartialEq, Oneof)]
pub enum TensorInfoEncoding {
    /// One tensor, by its name.
    #[prost(string, tag = "1")]
    Name(String),
    /// The components of a sparse tensor.
    #[prost(message, tag = "4")]
    CooSparse(CooSparse),
    /// The components of another composite tensor, such as a ragged one.
    #[prost(message, tag = "5")]
    Composite(CompositeTensor),
}

/// The components of a sparse tensor, by the names of tensors.
#[derive(Clone, PartialEq, Message)]
pub struct CooSparse {
    /// The values that are stored.
    #[prost(string, tag = "1")]
    pub values_tensor_name: String,
    /// The name of the tensor with their coordinates.
    #[prost(string, tag = "2")]
    pub indices_tensor_name: String,
    /// The shape of the dense tensor.
    #[prost(string, tag = "3")]
    pub dense_shape_tensor_name: String,
}

/// The components of a composite tensor.
#[derive(Clone, PartialEq, Message)]
pub struct CompositeTensor {
    /// A serialized `TypeSpecProto`, which states the kind.
    #[prost(bytes = "bytes", tag = "1")]
    pub type_spec: Bytes,
    /// The components; those of a ragged tensor are its values and its row splits.
    #[prost(message, repeated, tag = "2")]
    pub components: Vec<TensorInfo>,
}

/// A file that a model needs.
#[derive(Clone, PartialEq, Message)]
pub struct AssetFileDef {
    /// The tensor that is fed the file's path.
    #[prost(message, optional, tag = "1")]
    pub tensor_info: Option<TensorInfo>,
    /// The file's name in the folder `assets`.
    #[prost(string, tag = "2")]
    pub filename: String,
}

/// A collection whose items are messages with their types.
#[derive(Clone, PartialEq, Message)]
pub struct AnyList {
    /// The messages.
    #[prost(message, repeated, tag = "1")]
    pub value: Vec<Any>,
}

/// A serialized message together with its type.
#[derive(Clone, PartialEq, Message)]
pub struct Any {
    /// The type, as `type.googleapis.com/tensorflow.AssetFileDef`.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// The serialized message.
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}

impl SavedModel {
    /// Reads a serialized SavedModel. Large attributes, such as constants, are not copied.
    ///
    /// ```
    /// use graph_def::proto::SavedModel;
    /// let model = SavedModel::default();
    /// assert_eq!(SavedModel::from_bytes(model.to_bytes())?, model);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// `DataLoss` for bytes that are not such a message.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Result<SavedModel> {
        decode(bytes.into(), "SavedModel")
    }

    /// Serializes the message. Equal messages have equal bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        self.encode_to_vec().into()
    }
}

impl AssetFileDef {
    /// The type that a collection declares for it.
    pub const TYPE_URL: &str = "type.googleapis.com/tensorflow.AssetFileDef";

    /// Decodes a serialized asset.
    ///
    /// # Errors
    /// `DataLoss` for bytes that are not such a message.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Result<AssetFileDef> {
        decode(bytes.into(), "AssetFileDef")
    }

    /// Serializes the asset as an item of a collection.
    #[must_use]
    pub fn to_any(&self) -> Any {
        Any { type_url: AssetFileDef::TYPE_URL.to_owned(), value: self.encode_to_vec().into() }
    }
}

impl AnyList {
    /// Decodes the items of a collection.
    ///
    /// # Errors
    /// `DataLoss` for bytes that are not such a message.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Result<AnyList> {
        decode(bytes.into(), "AnyList")
    }

    /// Serializes the items.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        self.encode_to_vec().into()
    }
}
