//! GraphDef and MetaGraphDef in and out.

mod collections_import;
mod convert;
mod definitions;
mod export;
mod function_export;
mod function_import;
mod import;
mod kept;
mod make;
mod meta_export;
mod meta_import;
mod nodes;
mod op_outputs;
pub mod proto;
mod saver_export;
mod saver_import;
mod signature;
mod structure;

pub use export::{ExportOptions, to_graph_def, to_graph_def_with};
pub use import::{ImportOptions, Imported, import_graph_def};
pub use meta_export::{export_meta_graph, export_meta_graph_with, write_meta_graph};
pub use meta_import::{
    MetaGraph, import_meta_graph, import_meta_graph_def, read_graph_file, read_meta_graph,
};

use session_core::{Error, Result};
