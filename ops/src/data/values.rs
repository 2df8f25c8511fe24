//! Operations that convert between datasets, their elements, and their options.

use super::shapes::{components, scalars};
use crate::library::op_defs;
use session_core::OpDef;

op_defs! {
    ANONYMOUS_MEMORY_CACHE: OpDef::new("AnonymousMemoryCache", "-> handle: resource, deleter: variant")
        .stateful().shape(scalars::<0b0>).not_differentiable();
    ANONYMOUS_RANDOM_SEED_GENERATOR: OpDef::new("AnonymousRandomSeedGenerator", "seed: int64, seed2: int64 -> handle: resource, deleter: variant")
        .stateful().shape(scalars::<0b11>).not_differentiable();
    ANONYMOUS_SEED_GENERATOR: OpDef::new("AnonymousSeedGenerator", "seed: int64, seed2: int64, reshuffle: bool -> handle: resource, deleter: variant")
        .stateful().shape(scalars::<0b111>).not_differentiable();
    DATASET_CARDINALITY: OpDef::new("DatasetCardinality", "input_dataset: variant -> cardinality: int64")
        .attrs("cardinality_options: string = \"\"")
        .shape(scalars::<0b1>).not_differentiable();
    DATASET_TO_SINGLE_ELEMENT: OpDef::new("DatasetToSingleElement", "dataset: variant -> components: output_types")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1, metadata: string = \"\"")
        .stateful().shape(components).not_differentiable();
    DATASET_TO_TF_RECORD: OpDef::new("DatasetToTFRecord", "input_dataset: variant, filename: string, compression_type: string ->")
        .stateful().shape(scalars::<0b111>).not_differentiable();
    DELETE_MEMORY_CACHE: OpDef::new("DeleteMemoryCache", "handle: resource, deleter: variant ->")
        .stateful().shape(scalars::<0b11>).not_differentiable();
    DELETE_RANDOM_SEED_GENERATOR: OpDef::new("DeleteRandomSeedGenerator", "handle: resource, deleter: variant ->")
        .stateful().shape(scalars::<0b11>).not_differentiable();
    DELETE_SEED_GENERATOR: OpDef::new("DeleteSeedGenerator", "handle: resource, deleter: variant ->")
        .stateful().shape(scalars::<0b11>).not_differentiable();
    DUMMY_MEMORY_CACHE: OpDef::new("DummyMemoryCache", "-> handle: resource")
        .stateful().shape(scalars::<0b0>).not_differentiable();
    DUMMY_SEED_GENERATOR: OpDef::new("DummySeedGenerator", "-> handle: resource")
        .stateful().shape(scalars::<0b0>).not_differentiable();
    EXPERIMENTAL_DATASET_CARDINALITY: OpDef::new("ExperimentalDatasetCardinality", "input_dataset: variant -> cardinality: int64")
        .shape(scalars::<0b1>).not_differentiable();
    EXPERIMENTAL_DATASET_TO_TF_RECORD: OpDef::new("ExperimentalDatasetToTFRecord", "input_dataset: variant, filename: string, compression_type: string ->")
        .stateful().shape(scalars::<0b111>).not_differentiable();
    EXPERIMENTAL_STATS_AGGREGATOR_HANDLE: OpDef::new("ExperimentalStatsAggregatorHandle", "-> handle: resource")
        .attrs("container: string = \"\", shared_name: string = \"\"")
        .stateful().shape(scalars::<0b0>).not_differentiable();
    EXPERIMENTAL_THREAD_POOL_HANDLE: OpDef::new("ExperimentalThreadPoolHandle", "-> handle: resource")
        .attrs("num_threads: int, max_intra_op_parallelism: int = 1, display_name: string, container: string = \"\", shared_name: string = \"\"")
        .stateful().shape(scalars::<0b0>).not_differentiable();
    REDUCE_DATASET: OpDef::new("ReduceDataset", "input_dataset: variant, initial_state: Tstate, other_arguments: Targuments -> components: output_types")
        .attrs("f: func, Tstate: list(type) >= 1, Targuments: list(type) >= 0, output_types: list(type) >= 1, output_shapes: list(shape) >= 1, use_inter_op_parallelism: bool = true, metadata: string = \"\"")
        .stateful().shape(components).not_differentiable();
    STATS_AGGREGATOR_HANDLE: OpDef::new("StatsAggregatorHandle", "-> handle: resource")
        .attrs("container: string = \"\", shared_name: string = \"\"")
        .stateful().shape(scalars::<0b0>).not_differentiable();
    STATS_AGGREGATOR_HANDLE_V2: OpDef::new("StatsAggregatorHandleV2", "-> handle: resource")
        .attrs("container: string = \"\", shared_name: string = \"\"")
        .stateful().shape(scalars::<0b0>).not_differentiable();
    THREAD_POOL_HANDLE: OpDef::new("ThreadPoolHandle", "-> handle: resource")
        .attrs("num_threads: int, max_intra_op_parallelism: int = 1, display_name: string, container: string = \"\", shared_name: string = \"\"")
        .stateful().shape(scalars::<0b0>).not_differentiable();
    WRAP_DATASET_VARIANT: OpDef::new("WrapDatasetVariant", "input_handle: variant -> output_handle: variant")
        .shape(scalars::<0b1>).not_differentiable();
}
