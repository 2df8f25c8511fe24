//! Graphs reduced to what inference needs: frozen, trimmed, folded.
//!
//! ```
//! use checkpoint::CheckpointReader;
//! use saved_model::graph_util::{FreezeOptions, convert_variables_to_constants, remove_training_nodes};
//!
//! # let (graph_file, prefix) = ("tests/fixtures/frozen_dense/source.pb", "tests/fixtures/frozen_dense/source");
//! # let folder = tempfile::tempdir().unwrap();
//! # let target = folder.path().join("frozen.pb");
//! let graph = graph_def::read_graph_file(graph_file)?.graph_def.unwrap_or_default();
//! let values = CheckpointReader::open(prefix)?;
//! let frozen = convert_variables_to_constants(&values, &graph, &["relu"], &FreezeOptions::new())?;
//! let small = remove_training_nodes(&frozen, &["relu"]);
//! graph_def::write_graph(target, &small)?;
//! # Ok::<(), session_core::Error>(())
//! ```
//!
//! | function | effect |
//! | --- | --- |
//! | [`extract_sub_graph`] | keeps the nodes that some outputs need |
//! | [`strip_unused`] | also turns inputs into placeholders and drops the nodes before them |
//! | [`convert_variables_to_constants`] | replaces variables by their values |
//! | [`remove_training_nodes`] | removes `Identity` and checks that only training needs |
//! | [`fold_batch_norms`] | folds batch normalization into convolutions and matrix products |
//! | [`optimize_for_inference`] | the last three combined |
//!
//! All functions take messages and return new ones. None of them needs a session.

mod extract;
mod fold;
mod freeze;
mod functions;
mod handles;
mod node;
mod scale;
mod trim;

pub use extract::{extract_sub_graph, strip_unused};
pub use fold::fold_batch_norms;
pub use freeze::{FreezeOptions, VariableValues, convert_variables_to_constants};
pub use trim::{optimize_for_inference, remove_training_nodes};
