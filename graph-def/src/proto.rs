//! The protocol buffer messages of graph files and of run metadata, with TensorFlow's names and numbers.
//!
//! Messages that are only passed on (tensors, debug information, types that an importer does not use) are kept as their serialized
//! bytes, which preserves them exactly. Maps are sorted, so that equal messages have equal bytes.
//!
//! All message types have public fields, `Default`, and equality. Build a message with struct update syntax, so that new fields are not a breaking
//! change:
//!
//! ```
//! use graph_def::proto::{AttrValue, GraphDef, NodeDef, Value};
//! let dtype = AttrValue { value: Some(Value::Type(1)) }; // DT_FLOAT
//! let node = NodeDef {
//!     name: "x".into(),
//!     op: "Placeholder".into(),
//!     attr: [("dtype".to_owned(), dtype)].into(),
//!     ..NodeDef::default()
//! };
//! let graph = GraphDef { node: vec![node], ..GraphDef::default() };
//! assert!(graph.to_text()?.contains("type: DT_FLOAT"));
//! # Ok::<(), session_core::Error>(())
//! ```

mod attr;
mod function;
mod graph;
mod meta_graph;
mod op;
mod run_metadata;
mod saved_model;

pub use attr::{AttrList, AttrValue, Dim, NameAttrList, TensorShape, Value};
pub use function::{ArgAttrs, FunctionDef, FunctionDefLibrary, GradientDef};
pub use graph::{GraphDef, NodeDef, VersionDef};
pub use meta_graph::{
    BytesList, Collection, CollectionDef, FloatList, Int64List, MetaGraphDef, MetaInfoDef, NodeList,
    QueueRunnerDef, SaveSliceInfoDef, SaverDef, VariableDef,
};
pub use op::{ArgDef, AttrDef, OpDef, OpList};
pub use run_metadata::{
    AllocationDescription, DeviceStepStats, NodeExecStats, NodeOutput, RunMetadata, StepStats,
    TensorDescription,
};
pub use saved_model::{
    Any, AnyList, AssetFileDef, CompositeTensor, CooSparse, SavedModel, SignatureDef, TensorInfo,
    TensorInfoEncoding,
};

use bytes::Bytes;
use prost::Message;
use session_core::{Code, Error, Result};

/// Decodes one message of a file. `what` names the message in the error.
pub(crate) fn decode<M: Message + Default>(bytes: Bytes, what: &str) -> Result<M> {
    let length = bytes.len();
    M::decode(bytes).map_err(|error| {
        Error::new(Code::DataLoss, format!("these {length} bytes are not a {what}")).with_source(error)
    })
}
