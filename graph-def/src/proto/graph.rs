//! Graphs and nodes.

use super::{AttrValue, FunctionDefLibrary, decode};
use bytes::Bytes;
use prost::Message;
use session_core::Result;
use std::collections::BTreeMap;

/// A graph: nodes, functions, and the version of the format.
///
/// ```
/// use graph_def::proto::GraphDef;
/// let text = "node { name: 'x' op: 'NoOp' } node { name: 'y' op: 'NoOp' input: '^x' }";
/// let graph = GraphDef::from_text(text)?;
/// assert_eq!(graph.node[1].input, ["^x"]);
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Message)]
pub struct GraphDef {
    /// The nodes, in any order.
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<NodeDef>,
    /// The function library.
    #[prost(message, optional, tag = "2")]
    pub library: Option<FunctionDefLibrary>,
    /// The versions of TensorFlow that wrote it and that can read it.
    #[prost(message, optional, tag = "4")]
    pub versions: Option<VersionDef>,
    /// The origin of the nodes, serialized; not decoded.
    #[prost(bytes = "bytes", tag = "5")]
    pub debug_info: Bytes,
}

/// One operation of a graph.
#[derive(Clone, PartialEq, Message)]
pub struct NodeDef {
    /// The name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The op type.
    #[prost(string, tag = "2")]
    pub op: String,
    /// The inputs: `node` for output 0, `node:2` for output 2, `^node` for a control input. In the body of a function `argument`,
    /// `node:output_arg:index` and `^node`.
    #[prost(string, repeated, tag = "3")]
    pub input: Vec<String>,
    /// The requested device.
    #[prost(string, tag = "4")]
    pub device: String,
    /// The attributes.
    #[prost(btree_map = "string, message", tag = "5")]
    pub attr: BTreeMap<String, AttrValue>,
    /// The nodes that it was created from, serialized; not decoded.
    #[prost(bytes = "bytes", tag = "6")]
    pub experimental_debug_info: Bytes,
    /// The full type, serialized; not decoded.
    #[prost(bytes = "bytes", tag = "7")]
    pub experimental_type: Bytes,
}

/// The version of the format. TensorFlow changes the meaning of some attributes between producer versions.
#[derive(Clone, PartialEq, Message)]
pub struct VersionDef {
    /// The version of the writer.
    #[prost(int32, tag = "1")]
    pub producer: i32,
    /// The minimum version of a reader.
    #[prost(int32, tag = "2")]
    pub min_consumer: i32,
    /// Versions that must not read it.
    #[prost(int32, repeated, tag = "3")]
    pub bad_consumers: Vec<i32>,
}

impl GraphDef {
    /// Decodes a serialized graph. Large attributes, such as constants, are not copied.
    ///
    /// ```
    /// use graph_def::proto::{GraphDef, NodeDef};
    /// let node = NodeDef { name: "x".into(), op: "Placeholder".into(), ..NodeDef::default() };
    /// let graph = GraphDef { node: vec![node], ..GraphDef::default() };
    /// assert_eq!(GraphDef::from_bytes(graph.to_bytes())?, graph);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// `DataLoss` for bytes that are not such a message.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Result<GraphDef> {
        decode(bytes.into(), "GraphDef")
    }

    /// Serializes the graph. Equal graphs have equal bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        self.encode_to_vec().into()
    }
}

/// Serializes the graph for functions that take bytes: `writer.add_graph(to_graph_def(&graph)?, 0)`.
impl From<GraphDef> for Bytes {
    fn from(message: GraphDef) -> Bytes {
        message.to_bytes()
    }
}
