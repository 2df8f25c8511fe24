//! Operations that save and restore tensors, of which the savers of imported graphs consist.

use crate::library::op_defs;
use session_core::{DType, Graph, OpDef, Output};
use tensor::Tensor;

op_defs! {
    SAVE_V2: OpDef::new("SaveV2", "prefix: string, tensor_names: string, shape_and_slices: string, tensors: dtypes ->")
        .attrs("dtypes: list(type) >= 1").stateful().not_differentiable();
    RESTORE_V2: OpDef::new("RestoreV2", "prefix: string, tensor_names: string, shape_and_slices: string -> tensors: dtypes")
        .attrs("dtypes: list(type) >= 1").stateful().not_differentiable();
    SAVE: OpDef::new("Save", "filename: string, tensor_names: string, data: T ->")
        .attrs("T: list(type) >= 1").stateful().not_differentiable();
    SAVE_SLICES: OpDef::new("SaveSlices", "filename: string, tensor_names: string, shapes_and_slices: string, data: T ->")
        .attrs("T: list(type) >= 1").stateful().not_differentiable();
    RESTORE: OpDef::new("Restore", "file_pattern: string, tensor_name: string -> tensor: dt")
        .attrs("dt: type, preferred_shard: int = -1").stateful().not_differentiable();
    RESTORE_SLICE: OpDef::new("RestoreSlice", "file_pattern: string, tensor_name: string, shape_and_slice: string -> tensor: dt")
        .attrs("dt: type, preferred_shard: int = -1").stateful().not_differentiable();
    SHARDED_FILENAME: OpDef::new("ShardedFilename", "basename: string, shard: int32, num_shards: int32 -> filename: string").not_differentiable();
    SHARDED_FILESPEC: OpDef::new("ShardedFilespec", "basename: string, num_shards: int32 -> filename: string").not_differentiable();
    MERGE_V2_CHECKPOINTS: OpDef::new("MergeV2Checkpoints", "checkpoint_prefixes: string, destination_prefix: string ->")
        .attrs("delete_old_dirs: bool = true, allow_missing_files: bool = false").stateful().not_differentiable();
}

/// Returns tensors that are read from the checkpoint with this prefix at run time. Each is given by its name, its slice (empty for the
/// whole tensor), and its dtype.
///
/// ```
/// use ops::io::restore_v2;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let restored = restore_v2(&graph, "run/model.ckpt-100", &[("w", "", DType::Float32), ("global_step", "", DType::Int64)]);
/// assert_eq!(restored[1].dtype(), DType::Int64);
/// # graph.finalize().unwrap();
/// ```
#[must_use]
#[track_caller]
pub fn restore_v2(graph: &Graph, prefix: &str, tensors: &[(&str, &str, DType)]) -> Vec<Output> {
    let names: Vec<&str> = tensors.iter().map(|(name, ..)| *name).collect();
    let slices: Vec<&str> = tensors.iter().map(|(_, slice, _)| *slice).collect();
    let dtypes: Vec<DType> = tensors.iter().map(|(.., dtype)| *dtype).collect();
    let builder = graph.op(&RESTORE_V2).constant(Tensor::string(prefix.to_owned()));
    builder
        .constant(Tensor::from(names))
        .constant(Tensor::from(slices))
        .attr("dtypes", dtypes)
        .finish()
        .outputs()
}
