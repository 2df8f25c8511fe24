//! Operations that save and restore tensors, which the savers of imported graphs are made of.

use crate::library::op_defs;
use session_core::OpDef;

op_defs! {
    SAVE_V2: OpDef::new("SaveV2", "prefix: string, tensor_names: string, shape_and_slices: string, tensors: dtypes ->")
        .attrs("dtypes: list(type) >= 1").stateful().not_differentiable();
    RESTORE_V2: OpDef::new("RestoreV2", "prefix: string, tensor_names: string, shape_and_slices: string -> tensors: dtypes")
        .attrs("dtypes: list(type) >= 1").stateful().not_differentiable();
    SHARDED_FILENAME: OpDef::new("ShardedFilename", "basename: string, shard: int32, num_shards: int32 -> filename: string").not_differentiable();
    SHARDED_FILESPEC: OpDef::new("ShardedFilespec", "basename: string, num_shards: int32 -> filename: string").not_differentiable();
    MERGE_V2_CHECKPOINTS: OpDef::new("MergeV2Checkpoints", "checkpoint_prefixes: string, destination_prefix: string ->")
        .attrs("delete_old_dirs: bool = true, allow_missing_files: bool = false").stateful().not_differentiable();
}
