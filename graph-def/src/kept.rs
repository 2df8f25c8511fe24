//! The parts of an imported meta graph that an export writes again.

use crate::proto::{AssetFileDef, MetaInfoDef, SaverDef, SignatureDef};
use bytes::Bytes;
use session_core::CollectionKey;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The parts of a meta graph that have no place in a graph.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) info: MetaInfoDef,
    pub(crate) signature_def: BTreeMap<String, SignatureDef>,
    pub(crate) asset_file_def: Vec<AssetFileDef>,
    pub(crate) object_graph_def: Bytes,
    /// The savers whose operations are in the graph, with their names there.
    pub(crate) savers: Vec<SaverDef>,
}

pub(crate) const KEPT: CollectionKey<Arc<Kept>> = CollectionKey::new("imported_meta_graph");
