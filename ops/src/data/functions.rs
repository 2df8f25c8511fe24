//! Datasets that call functions of the graph: maps, filters, scans, interleaving, grouping.
//!
//! Captured values are inputs after the dataset (`other_arguments`). A dataset is stateful if TensorFlow declares it so, not by what its
//! functions do.
//!
//! Inputs and attributes follow TensorFlow's registry. Each dataset is a scalar `variant`; `scalars::<MASK>`
//! checks that the inputs of the bits of the mask are scalars, bit 0 for the first input. Lists of captured
//! values come in between and are not checked.

use super::shapes::scalars;
use crate::library::op_defs;
use session_core::OpDef;

op_defs! {
    EXPERIMENTAL_GROUP_BY_REDUCER_DATASET: OpDef::new("ExperimentalGroupByReducerDataset", "input_dataset: variant, key_func_other_arguments: Tkey_func_other_arguments, init_func_other_arguments: Tinit_func_other_arguments, reduce_func_other_arguments: Treduce_func_other_arguments, finalize_func_other_arguments: Tfinalize_func_other_arguments -> handle: variant")
        .attrs("key_func: func, init_func: func, reduce_func: func, finalize_func: func, Tkey_func_other_arguments: list(type) >= 0, Tinit_func_other_arguments: list(type) >= 0, Treduce_func_other_arguments: list(type) >= 0, Tfinalize_func_other_arguments: list(type) >= 0, output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .stateful().shape(scalars::<0b1>).not_differentiable();
    EXPERIMENTAL_GROUP_BY_WINDOW_DATASET: OpDef::new("ExperimentalGroupByWindowDataset", "input_dataset: variant, key_func_other_arguments: Tkey_func_other_arguments, reduce_func_other_arguments: Treduce_func_other_arguments, window_size_func_other_arguments: Twindow_size_func_other_arguments -> handle: variant")
        .attrs("key_func: func, reduce_func: func, window_size_func: func, Tkey_func_other_arguments: list(type) >= 0, Treduce_func_other_arguments: list(type) >= 0, Twindow_size_func_other_arguments: list(type) >= 0, output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .shape(scalars::<0b1>).not_differentiable();
    EXPERIMENTAL_MAP_AND_BATCH_DATASET: OpDef::new("ExperimentalMapAndBatchDataset", "input_dataset: variant, other_arguments: Targuments, batch_size: int64, num_parallel_calls: int64, drop_remainder: bool -> handle: variant")
        .attrs("f: func, Targuments: list(type) >= 0, output_types: list(type) >= 1, output_shapes: list(shape) >= 1, preserve_cardinality: bool = false")
        .shape(scalars::<0b1>).not_differentiable();
    EXPERIMENTAL_MAP_DATASET: OpDef::new("ExperimentalMapDataset", "input_dataset: variant, other_arguments: Targuments -> handle: variant")
        .attrs("f: func, Targuments: list(type) >= 0, output_types: list(type) >= 1, output_shapes: list(shape) >= 1, use_inter_op_parallelism: bool = true, preserve_cardinality: bool = false, force_synchronous: bool = false")
        .shape(scalars::<0b1>).not_differentiable();
    EXPERIMENTAL_PARALLEL_INTERLEAVE_DATASET: OpDef::new("ExperimentalParallelInterleaveDataset", "input_dataset: variant, other_arguments: Targuments, cycle_length: int64, block_length: int64, sloppy: bool, buffer_output_elements: int64, prefetch_input_elements: int64 -> handle: variant")
        .attrs("f: func, Targuments: list(type) >= 0, output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .shape(scalars::<0b1>).not_differentiable();
    EXPERIMENTAL_SCAN_DATASET: OpDef::new("ExperimentalScanDataset", "input_dataset: variant, initial_state: Tstate, other_arguments: Targuments -> handle: variant")
        .attrs("f: func, Tstate: list(type) >= 1, Targuments: list(type) >= 0, output_types: list(type) >= 1, output_shapes: list(shape) >= 1, preserve_cardinality: bool = false")
        .shape(scalars::<0b1>).not_differentiable();
    EXPERIMENTAL_TAKE_WHILE_DATASET: OpDef::new("ExperimentalTakeWhileDataset", "input_dataset: variant, other_arguments: Targuments -> handle: variant")
        .attrs("predicate: func, Targuments: list(type) >= 0, output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .shape(scalars::<0b1>).not_differentiable();
    FILTER_DATASET: OpDef::new("FilterDataset", "input_dataset: variant, other_arguments: Targuments -> handle: variant")
        .attrs("predicate: func, Targuments: list(type) >= 0, output_types: list(type) >= 1, output_shapes: list(shape) >= 1, metadata: string = \"\"")
        .shape(scalars::<0b1>).not_differentiable();
    FLAT_MAP_DATASET: OpDef::new("FlatMapDataset", "input_dataset: variant, other_arguments: Targuments -> handle: variant")
        .attrs("f: func, Targuments: list(type) >= 0, output_types: list(type) >= 1, output_shapes: list(shape) >= 1, metadata: string = \"\"")
        .shape(scalars::<0b1>).not_differentiable();
    GROUP_BY_REDUCER_DATASET: OpDef::new("GroupByReducerDataset", "input_dataset: variant, key_func_other_arguments: Tkey_func_other_arguments, init_func_other_arguments: Tinit_func_other_arguments, reduce_func_other_arguments: Treduce_func_other_arguments, finalize_func_other_arguments: Tfinalize_func_other_arguments -> handle: variant")
        .attrs("key_func: func, init_func: func, reduce_func: func, finalize_func: func, Tkey_func_other_arguments: list(type) >= 0, Tinit_func_other_arguments: list(type) >= 0, Treduce_func_other_arguments: list(type) >= 0, Tfinalize_func_other_arguments: list(type) >= 0, output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .stateful().shape(scalars::<0b1>).not_differentiable();
    GROUP_BY_WINDOW_DATASET: OpDef::new("GroupByWindowDataset", "input_dataset: variant, key_func_other_arguments: Tkey_func_other_arguments, reduce_func_other_arguments: Treduce_func_other_arguments, window_size_func_other_arguments: Twindow_size_func_other_arguments -> handle: variant")
        .attrs("key_func: func, reduce_func: func, window_size_func: func, Tkey_func_other_arguments: list(type) >= 0, Treduce_func_other_arguments: list(type) >= 0, Twindow_size_func_other_arguments: list(type) >= 0, output_types: list(type) >= 1, output_shapes: list(shape) >= 1, metadata: string = \"\"")
        .shape(scalars::<0b1>).not_differentiable();
    INTERLEAVE_DATASET: OpDef::new("InterleaveDataset", "input_dataset: variant, other_arguments: Targuments, cycle_length: int64, block_length: int64 -> handle: variant")
        .attrs("f: func, Targuments: list(type) >= 0, output_types: list(type) >= 1, output_shapes: list(shape) >= 1, metadata: string = \"\"")
        .shape(scalars::<0b1>).not_differentiable();
    LEGACY_PARALLEL_INTERLEAVE_DATASET_V2: OpDef::new("LegacyParallelInterleaveDatasetV2", "input_dataset: variant, other_arguments: Targuments, cycle_length: int64, block_length: int64, buffer_output_elements: int64, prefetch_input_elements: int64 -> handle: variant")
        .attrs("f: func, deterministic: string = \"default\", Targuments: list(type) >= 0, output_types: list(type) >= 1, output_shapes: list(shape) >= 1, metadata: string = \"\"")
        .shape(scalars::<0b1>).not_differentiable();
    MAP_AND_BATCH_DATASET: OpDef::new("MapAndBatchDataset", "input_dataset: variant, other_arguments: Targuments, batch_size: int64, num_parallel_calls: int64, drop_remainder: bool -> handle: variant")
        .attrs("f: func, Targuments: list(type) >= 0, output_types: list(type) >= 1, output_shapes: list(shape) >= 1, preserve_cardinality: bool = false, metadata: string = \"\"")
        .shape(scalars::<0b1>).not_differentiable();
    MAP_DATASET: OpDef::new("MapDataset", "input_dataset: variant, other_arguments: Targuments -> handle: variant")
        .attrs("f: func, Targuments: list(type) >= 0, output_types: list(type) >= 1, output_shapes: list(shape) >= 1, use_inter_op_parallelism: bool = true, preserve_cardinality: bool = false, force_synchronous: bool = false, metadata: string = \"\"")
        .shape(scalars::<0b1>).not_differentiable();
    PARALLEL_FILTER_DATASET: OpDef::new("ParallelFilterDataset", "input_dataset: variant, other_arguments: Targuments, num_parallel_calls: int64 -> handle: variant")
        .attrs("predicate: func, deterministic: string = \"default\", Targuments: list(type) >= 0, output_types: list(type) >= 1, output_shapes: list(shape) >= 1, metadata: string = \"\"")
        .shape(scalars::<0b1>).not_differentiable();
    PARALLEL_INTERLEAVE_DATASET: OpDef::new("ParallelInterleaveDataset", "input_dataset: variant, other_arguments: Targuments, cycle_length: int64, block_length: int64, sloppy: bool, buffer_output_elements: int64, prefetch_input_elements: int64 -> handle: variant")
        .attrs("f: func, Targuments: list(type) >= 0, output_types: list(type) >= 1, output_shapes: list(shape) >= 1, metadata: string = \"\"")
        .shape(scalars::<0b1>).not_differentiable();
    PARALLEL_INTERLEAVE_DATASET_V2: OpDef::new("ParallelInterleaveDatasetV2", "input_dataset: variant, other_arguments: Targuments, cycle_length: int64, block_length: int64, num_parallel_calls: int64 -> handle: variant")
        .attrs("f: func, Targuments: list(type) >= 0, output_types: list(type) >= 1, output_shapes: list(shape) >= 1, sloppy: bool = false, metadata: string = \"\"")
        .shape(scalars::<0b1>).not_differentiable();
    PARALLEL_INTERLEAVE_DATASET_V3: OpDef::new("ParallelInterleaveDatasetV3", "input_dataset: variant, other_arguments: Targuments, cycle_length: int64, block_length: int64, num_parallel_calls: int64 -> handle: variant")
        .attrs("f: func, deterministic: string = \"default\", Targuments: list(type) >= 0, output_types: list(type) >= 1, output_shapes: list(shape) >= 1, metadata: string = \"\"")
        .shape(scalars::<0b1>).not_differentiable();
    PARALLEL_INTERLEAVE_DATASET_V4: OpDef::new("ParallelInterleaveDatasetV4", "input_dataset: variant, other_arguments: Targuments, cycle_length: int64, block_length: int64, buffer_output_elements: int64, prefetch_input_elements: int64, num_parallel_calls: int64 -> handle: variant")
        .attrs("f: func, deterministic: string = \"default\", Targuments: list(type) >= 0, output_types: list(type) >= 1, output_shapes: list(shape) >= 1, metadata: string = \"\"")
        .shape(scalars::<0b1>).not_differentiable();
    PARALLEL_MAP_DATASET: OpDef::new("ParallelMapDataset", "input_dataset: variant, other_arguments: Targuments, num_parallel_calls: int32 -> handle: variant")
        .attrs("f: func, Targuments: list(type) >= 0, output_types: list(type) >= 1, output_shapes: list(shape) >= 1, use_inter_op_parallelism: bool = true, sloppy: bool = false, preserve_cardinality: bool = false, metadata: string = \"\"")
        .shape(scalars::<0b1>).not_differentiable();
    PARALLEL_MAP_DATASET_V2: OpDef::new("ParallelMapDatasetV2", "input_dataset: variant, other_arguments: Targuments, num_parallel_calls: int64 -> handle: variant")
        .attrs("f: func, Targuments: list(type) >= 0, output_types: list(type) >= 1, output_shapes: list(shape) >= 1, use_inter_op_parallelism: bool = true, deterministic: string = \"default\", preserve_cardinality: bool = false, use_unbounded_threadpool: bool = false, metadata: string = \"\"")
        .shape(scalars::<0b1>).not_differentiable();
    SCAN_DATASET: OpDef::new("ScanDataset", "input_dataset: variant, initial_state: Tstate, other_arguments: Targuments -> handle: variant")
        .attrs("f: func, Tstate: list(type) >= 1, Targuments: list(type) >= 0, output_types: list(type) >= 1, output_shapes: list(shape) >= 1, preserve_cardinality: bool = false, use_default_device: bool = true, metadata: string = \"\"")
        .shape(scalars::<0b1>).not_differentiable();
    TAKE_WHILE_DATASET: OpDef::new("TakeWhileDataset", "input_dataset: variant, other_arguments: Targuments -> handle: variant")
        .attrs("predicate: func, Targuments: list(type) >= 0, output_types: list(type) >= 1, output_shapes: list(shape) >= 1, metadata: string = \"\"")
        .shape(scalars::<0b1>).not_differentiable();
}
