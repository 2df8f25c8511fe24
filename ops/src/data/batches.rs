//! Datasets that combine consecutive elements to batches, or split batches into elements.
//!
//! The shapes of the components follow from `output_shapes`, so the shape functions only check the scalar arguments.
//!
//! Batches stack elements along a new first axis, which is known only if the last, smaller batch is dropped.

use super::shapes::scalars;
use crate::library::op_defs;
use session_core::OpDef;

op_defs! {
    BATCH_DATASET: OpDef::new("BatchDataset", "input_dataset: variant, batch_size: int64 -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1, metadata: string = \"\"")
        .shape(scalars::<0b11>).not_differentiable();
    BATCH_DATASET_V2: OpDef::new("BatchDatasetV2", "input_dataset: variant, batch_size: int64, drop_remainder: bool -> handle: variant")
        .attrs("parallel_copy: bool = false, output_types: list(type) >= 1, output_shapes: list(shape) >= 1, metadata: string = \"\"")
        .shape(scalars::<0b111>).not_differentiable();
    DENSE_TO_SPARSE_BATCH_DATASET: OpDef::new("DenseToSparseBatchDataset", "input_dataset: variant, batch_size: int64, row_shape: int64 -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .shape(scalars::<0b11>).not_differentiable();
    EXPERIMENTAL_DENSE_TO_SPARSE_BATCH_DATASET: OpDef::new("ExperimentalDenseToSparseBatchDataset", "input_dataset: variant, batch_size: int64, row_shape: int64 -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .shape(scalars::<0b11>).not_differentiable();
    EXPERIMENTAL_REBATCH_DATASET: OpDef::new("ExperimentalRebatchDataset", "input_dataset: variant, num_replicas: int64 -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1, use_fallback: bool = true")
        .shape(scalars::<0b11>).not_differentiable();
    EXPERIMENTAL_SLIDING_WINDOW_DATASET: OpDef::new("ExperimentalSlidingWindowDataset", "input_dataset: variant, window_size: int64, window_shift: int64, window_stride: int64 -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .shape(scalars::<0b1111>).not_differentiable();
    PADDED_BATCH_DATASET: OpDef::new("PaddedBatchDataset", "input_dataset: variant, batch_size: int64, padded_shapes: N * int64, padding_values: Toutput_types -> handle: variant")
        .attrs("Toutput_types: list(type) >= 1, output_shapes: list(shape) >= 1, N: int >= 1, metadata: string = \"\"")
        .shape(scalars::<0b11>).not_differentiable();
    PADDED_BATCH_DATASET_V2: OpDef::new("PaddedBatchDatasetV2", "input_dataset: variant, batch_size: int64, padded_shapes: N * int64, padding_values: Toutput_types, drop_remainder: bool -> handle: variant")
        .attrs("parallel_copy: bool = false, Toutput_types: list(type) >= 1, output_shapes: list(shape) >= 1, N: int >= 1, metadata: string = \"\"")
        .shape(scalars::<0b11>).not_differentiable();
    PARALLEL_BATCH_DATASET: OpDef::new("ParallelBatchDataset", "input_dataset: variant, batch_size: int64, num_parallel_calls: int64, drop_remainder: bool -> handle: variant")
        .attrs("parallel_copy: bool = false, output_types: list(type) >= 1, output_shapes: list(shape) >= 1, deterministic: string = \"default\", metadata: string = \"\"")
        .shape(scalars::<0b1111>).not_differentiable();
    REBATCH_DATASET: OpDef::new("RebatchDataset", "input_dataset: variant, num_replicas: int64 -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1, use_fallback: bool = true")
        .shape(scalars::<0b11>).not_differentiable();
    REBATCH_DATASET_V2: OpDef::new("RebatchDatasetV2", "input_dataset: variant, batch_sizes: int64, drop_remainder: bool -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .shape(scalars::<0b101>).not_differentiable();
    SLIDING_WINDOW_DATASET: OpDef::new("SlidingWindowDataset", "input_dataset: variant, window_size: int64, window_shift: int64, window_stride: int64 -> handle: variant")
        .attrs("drop_remainder: bool = true, output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .shape(scalars::<0b1111>).not_differentiable();
    WINDOW_DATASET: OpDef::new("WindowDataset", "input_dataset: variant, size: int64, shift: int64, stride: int64, drop_remainder: bool -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1, metadata: string = \"\"")
        .shape(scalars::<0b11111>).not_differentiable();
}
