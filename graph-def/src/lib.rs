//! GraphDef and MetaGraphDef in and out.

mod convert;
mod definitions;
mod export;
mod function_export;
mod function_import;
mod import;
mod make;
mod nodes;
mod op_outputs;
pub mod proto;
mod signature;

pub use export::{ExportOptions, to_graph_def, to_graph_def_with};
pub use import::{ImportOptions, Imported, import_graph_def};

use session_core::{Error, Result};
