//! Import and export of TensorFlow's graph files: `GraphDef` and `MetaGraphDef`, binary and text.
//!
//! ```
//! use graph_def::{export_meta_graph, import_meta_graph, write_meta_graph};
//! use ops::optimizers::{GradientDescentOptimizer, Optimizer};
//! use ops::{array::placeholder, math, variables::variable};
//! use session_core::{DType, Graph, Result, keys};
//!
//! fn main() -> Result<()> {
//! #   let folder = tempfile::tempdir().expect("a folder");
//! #   let file = folder.path().join("model.meta");
//!     let graph = Graph::new();
//!     let x = placeholder(&graph.named("x"), DType::Float32, [None]);
//!     let w = variable(&graph.named("w"), 0.5f32);
//!     let loss = math::reduce_mean(math::square(&x * &w), ..);
//!     GradientDescentOptimizer::new(0.1).minimize(&loss, None);
//!
//!     // What `tf.train.import_meta_graph` reads, with operations that save and restore.
//!     write_meta_graph(&file, &export_meta_graph(&graph, None)?)?;
//!
//!     // And back: the graph with its variables, collections and saver.
//!     let meta = import_meta_graph(&file)?;
//!     assert_eq!(meta.graph.collection(&keys::VARIABLES)[0].name(), "w");
//!     assert_eq!(meta.graph.collection(&keys::TRAIN_OP).len(), 1);
//!     Ok(())
//! }
//! ```
//!
//! # Overview
//!
//! | | import | export |
//! | --- | --- | --- |
//! | a graph: nodes, functions | [`import_graph_def`] | [`to_graph_def`] |
//! | with collections, savers, signatures (`.meta`) | [`import_meta_graph`], [`import_meta_graph_def`] | [`export_meta_graph`] |
//! | a graph straight from a file | [`Graph::import`](GraphFiles::import) | |
//! | the messages themselves, binary or text (`.pbtxt`) | [`read_graph_file`], [`read_meta_graph`], [`proto`] | [`write_graph`], [`write_meta_graph`], [`proto`] |
//!
//! Graphs are imported whatever engine will run them. Operations of types that the op library does not define are kept; their
//! outputs come from the definitions in the file, or from a table of all op types of TensorFlow 2.21.
//!
//! # Limits
//!
//! The contexts of conditionals and loops are kept as bytes, so gradients through imported ones cannot be built. Damaged input is
//! an error, never a panic. A damaged number cannot exhaust the memory: counts are limited, and a constant that repeats one value
//! may take at most 256 MiB.
//!
//! # The files
//!
//! | file | message | contents |
//! | --- | --- | --- |
//! | `graph.pb`, `frozen.pb` | `GraphDef` | nodes and functions; variables by name only, unless the graph is frozen |
//! | `model.ckpt-1000.meta` | `MetaGraphDef` | a `GraphDef`, collections (variables, training operations, queue runners), a saver, signatures |
//! | `saved_model.pb` | `SavedModel` | one or several meta graphs with their tags |
//! | `*.pbtxt` | any of these | protobuf's text form |
//!
//! A binary file has no header: nothing in it names the message. [`read_graph_file`] therefore tries the messages in turn, and reports a file
//! that is none of them.
//!
//! # Errors
//!
//! | code | meaning |
//! | --- | --- |
//! | `NotFound`, `PermissionDenied`, ... | the file cannot be read or written |
//! | `DataLoss` | the file is damaged, truncated, or of another format; a text form names line and column |
//! | `InvalidArgument` | the message contradicts itself: a missing input, a duplicate name, a cycle outside of loops, a wrong dtype or shape |
//! | `Unimplemented` | a value, field, or use of a function that the other form cannot express |
//!
//! Errors of an import name the node, its op type, and, with [`ImportOptions::file`], the file.

mod collections_import;
mod convert;
mod definitions;
mod export;
mod files;
mod function_export;
mod function_import;
mod graph_files;
mod import;
mod instances;
mod kept;
mod make;
mod meta_export;
mod meta_import;
mod nodes;
mod op_outputs;
pub mod proto;
mod py_func;
mod run_metadata;
mod saver_export;
mod saver_import;
mod signature;
mod structure;
mod text;

pub use export::{ExportOptions, to_graph_def, to_graph_def_with};
pub use files::{read_graph_file, read_meta_graph, write_graph, write_meta_graph};
pub use graph_files::GraphFiles;
pub use import::{ImportOptions, Imported, import_graph_def};
pub use meta_export::{export_meta_graph, export_meta_graph_with};
pub use meta_import::{MetaGraph, import_meta_graph, import_meta_graph_def};
pub use py_func::py_funcs;
pub use run_metadata::encode_run_metadata;

use session_core::{Error, Result};

/// Compiles the program of the README as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
