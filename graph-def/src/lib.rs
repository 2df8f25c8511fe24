//! GraphDef and MetaGraphDef in and out.

mod convert;
mod export;
mod function_export;
pub mod proto;
mod signature;

pub use export::{ExportOptions, to_graph_def, to_graph_def_with};

use session_core::{Error, Result};
