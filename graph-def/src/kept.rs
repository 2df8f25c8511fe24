//! The parts of an imported meta graph that an export writes again.

use crate::proto::{AssetFileDef, MetaInfoDef, SaverDef, SignatureDef};
use bytes::Bytes;
use session_core::CollectionKey;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The parts of a meta graph that have no place in a graph.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// The general information: TensorFlow's version, tags, and the list of op types.
    pub(crate) info: MetaInfoDef,
    /// The signatures of a SavedModel.
    pub(crate) signature_def: BTreeMap<String, SignatureDef>,
    /// The assets of a SavedModel.
    pub(crate) asset_file_def: Vec<AssetFileDef>,
    /// The serialized graph of objects of a TensorFlow 2 model.
    pub(crate) object_graph_def: Bytes,
    /// The savers whose operations are in the graph, with their names there.
    pub(crate) savers: Vec<SaverDef>,
}

/// The collection of a graph that holds the parts of the meta graph it was imported from.
pub(crate) const KEPT: CollectionKey<Arc<Kept>> = CollectionKey::new("imported_meta_graph");
