//! Graphs cut down to what is needed to ask them: frozen, trimmed, folded.
//!
//! ```
//! use checkpoint::CheckpointReader;
//! use saved_model::graph_util::{FreezeOptions, extract_sub_graph, remove_training_nodes};
//! # fn freeze() -> session_core::Result<()> {
//! let graph = graph_def::read_graph_file("model.meta")?.graph_def.unwrap_or_default();
//! let values = CheckpointReader::open("run/model.ckpt-1000")?;
//! let frozen = saved_model::graph_util::convert_variables_to_constants(
//!     &values, &graph, &["probabilities"], &FreezeOptions::new())?;
//! let small = remove_training_nodes(&frozen, &["probabilities"]);
//! graph_def::write_graph("frozen.pb", &small)?;
//! # Ok(())
//! # }
//! ```

mod extract;
mod fold;
mod freeze;
mod functions;
mod handles;
mod node;
mod trim;

pub use extract::{extract_sub_graph, strip_unused};
pub use fold::fold_batch_norms;
pub use freeze::{FreezeOptions, VariableValues, convert_variables_to_constants};
pub use trim::{optimize_for_inference, remove_training_nodes};
