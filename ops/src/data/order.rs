//! Datasets that change the order or the number of elements: shuffles, repetitions, takes, skips, samples.
//!
//! The seeds of shuffles are inputs, not attributes. The second and third versions take a seed generator, a
//! resource from which each iteration draws, so that iterations differ.

use super::shapes::scalars;
use crate::library::op_defs;
use session_core::OpDef;

op_defs! {
    CACHE_DATASET: OpDef::new("CacheDataset", "input_dataset: variant, filename: string -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1, metadata: string = \"\"")
        .shape(scalars::<0b11>).not_differentiable();
    CACHE_DATASET_V2: OpDef::new("CacheDatasetV2", "input_dataset: variant, filename: string, cache: resource -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1, metadata: string = \"\"")
        .stateful().shape(scalars::<0b111>).not_differentiable();
    CONCATENATE_DATASET: OpDef::new("ConcatenateDataset", "input_dataset: variant, another_dataset: variant -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1, metadata: string = \"\"")
        .shape(scalars::<0b11>).not_differentiable();
    DIRECTED_INTERLEAVE_DATASET: OpDef::new("DirectedInterleaveDataset", "selector_input_dataset: variant, data_input_datasets: N * variant -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1, N: int >= 1, stop_on_empty_dataset: bool = false")
        .shape(scalars::<0b1>).not_differentiable();
    EXPERIMENTAL_DIRECTED_INTERLEAVE_DATASET: OpDef::new("ExperimentalDirectedInterleaveDataset", "selector_input_dataset: variant, data_input_datasets: N * variant -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1, N: int >= 1")
        .shape(scalars::<0b1>).not_differentiable();
    EXPERIMENTAL_PARSE_EXAMPLE_DATASET: OpDef::new("ExperimentalParseExampleDataset", "input_dataset: variant, num_parallel_calls: int64, dense_defaults: Tdense -> handle: variant")
        .attrs("sparse_keys: list(string) >= 0, dense_keys: list(string) >= 0, sparse_types: list({float, int64, string}) >= 0, Tdense: list({float, int64, string}) >= 0, dense_shapes: list(shape) >= 0, output_types: list(type) >= 1, output_shapes: list(shape) >= 1, sloppy: bool = false")
        .shape(scalars::<0b11>).not_differentiable();
    EXPERIMENTAL_UNIQUE_DATASET: OpDef::new("ExperimentalUniqueDataset", "input_dataset: variant -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .shape(scalars::<0b1>).not_differentiable();
    FILTER_BY_LAST_COMPONENT_DATASET: OpDef::new("FilterByLastComponentDataset", "input_dataset: variant -> output: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .shape(scalars::<0b1>).not_differentiable();
    PARSE_EXAMPLE_DATASET: OpDef::new("ParseExampleDataset", "input_dataset: variant, num_parallel_calls: int64, dense_defaults: Tdense -> handle: variant")
        .attrs("sparse_keys: list(string) >= 0, dense_keys: list(string) >= 0, sparse_types: list({float, int64, string}) >= 0, Tdense: list({float, int64, string}) >= 0, dense_shapes: list(shape) >= 0, output_types: list(type) >= 1, output_shapes: list(shape) >= 1, sloppy: bool = false, ragged_keys: list(string) >= 0 = [], ragged_value_types: list({float, int64, string}) >= 0 = [], ragged_split_types: list({int32, int64}) >= 0 = []")
        .shape(scalars::<0b11>).not_differentiable();
    PARSE_EXAMPLE_DATASET_V2: OpDef::new("ParseExampleDatasetV2", "input_dataset: variant, num_parallel_calls: int64, dense_defaults: Tdense -> handle: variant")
        .attrs("sparse_keys: list(string) >= 0, dense_keys: list(string) >= 0, sparse_types: list({float, int64, string}) >= 0, Tdense: list({float, int64, string}) >= 0, dense_shapes: list(shape) >= 0, output_types: list(type) >= 1, output_shapes: list(shape) >= 1, deterministic: string = \"default\", ragged_keys: list(string) >= 0 = [], ragged_value_types: list({float, int64, string}) >= 0 = [], ragged_split_types: list({int32, int64}) >= 0 = []")
        .shape(scalars::<0b11>).not_differentiable();
    REPEAT_DATASET: OpDef::new("RepeatDataset", "input_dataset: variant, count: int64 -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1, metadata: string = \"\"")
        .shape(scalars::<0b11>).not_differentiable();
    SAMPLING_DATASET: OpDef::new("SamplingDataset", "input_dataset: variant, rate: float, seed: int64, seed2: int64 -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .shape(scalars::<0b1111>).not_differentiable();
    SHARD_DATASET: OpDef::new("ShardDataset", "input_dataset: variant, num_shards: int64, index: int64 -> handle: variant")
        .attrs("require_non_empty: bool = false, output_types: list(type) >= 1, output_shapes: list(shape) >= 1, metadata: string = \"\"")
        .shape(scalars::<0b111>).not_differentiable();
    SHUFFLE_AND_REPEAT_DATASET: OpDef::new("ShuffleAndRepeatDataset", "input_dataset: variant, buffer_size: int64, seed: int64, seed2: int64, count: int64 -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1, reshuffle_each_iteration: bool = true, metadata: string = \"\"")
        .shape(scalars::<0b11111>).not_differentiable();
    SHUFFLE_AND_REPEAT_DATASET_V2: OpDef::new("ShuffleAndRepeatDatasetV2", "input_dataset: variant, buffer_size: int64, seed: int64, seed2: int64, count: int64, seed_generator: resource -> handle: variant")
        .attrs("reshuffle_each_iteration: bool = true, output_types: list(type) >= 1, output_shapes: list(shape) >= 1, metadata: string = \"\"")
        .stateful().shape(scalars::<0b111111>).not_differentiable();
    SHUFFLE_DATASET: OpDef::new("ShuffleDataset", "input_dataset: variant, buffer_size: int64, seed: int64, seed2: int64 -> handle: variant")
        .attrs("reshuffle_each_iteration: bool = true, output_types: list(type) >= 1, output_shapes: list(shape) >= 1, metadata: string = \"\"")
        .shape(scalars::<0b1111>).not_differentiable();
    SHUFFLE_DATASET_V2: OpDef::new("ShuffleDatasetV2", "input_dataset: variant, buffer_size: int64, seed_generator: resource -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1, metadata: string = \"\"")
        .stateful().shape(scalars::<0b111>).not_differentiable();
    SHUFFLE_DATASET_V3: OpDef::new("ShuffleDatasetV3", "input_dataset: variant, buffer_size: int64, seed: int64, seed2: int64, seed_generator: resource -> handle: variant")
        .attrs("reshuffle_each_iteration: bool = true, output_types: list(type) >= 1, output_shapes: list(shape) >= 1, metadata: string = \"\"")
        .stateful().shape(scalars::<0b11111>).not_differentiable();
    SKIP_DATASET: OpDef::new("SkipDataset", "input_dataset: variant, count: int64 -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1, metadata: string = \"\"")
        .shape(scalars::<0b11>).not_differentiable();
    TAKE_DATASET: OpDef::new("TakeDataset", "input_dataset: variant, count: int64 -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1, metadata: string = \"\"")
        .shape(scalars::<0b11>).not_differentiable();
    UNIQUE_DATASET: OpDef::new("UniqueDataset", "input_dataset: variant -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1, metadata: string = \"\"")
        .shape(scalars::<0b1>).not_differentiable();
    ZIP_DATASET: OpDef::new("ZipDataset", "input_datasets: N * variant -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1, N: int >= 1, metadata: string = \"\"")
        .shape(scalars::<0b0>).not_differentiable();
}
