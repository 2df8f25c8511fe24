//! Datasets that pass on the elements of another dataset unchanged: assertions, statistics, threads, and hints for TensorFlow's optimizer.
//!
//! Many have a twin with the prefix `Experimental`, the name under which early releases of TensorFlow wrote them into files.
//!
//! None of them changes dtypes or shapes of elements, except `UnbatchDataset`, which takes batches apart.

use super::shapes::scalars;
use crate::library::op_defs;
use session_core::OpDef;

op_defs! {
    ASSERT_CARDINALITY_DATASET: OpDef::new("AssertCardinalityDataset", "input_dataset: variant, cardinality: int64 -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .shape(scalars::<0b11>).not_differentiable();
    ASSERT_NEXT_DATASET: OpDef::new("AssertNextDataset", "input_dataset: variant, transformations: string -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .shape(scalars::<0b1>).not_differentiable();
    AUTO_SHARD_DATASET: OpDef::new("AutoShardDataset", "input_dataset: variant, num_workers: int64, index: int64 -> handle: variant")
        .attrs("auto_shard_policy: int = 0, output_types: list(type) >= 1, output_shapes: list(shape) >= 1, num_replicas: int = 0")
        .shape(scalars::<0b111>).not_differentiable();
    BYTES_PRODUCED_STATS_DATASET: OpDef::new("BytesProducedStatsDataset", "input_dataset: variant, tag: string -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .shape(scalars::<0b11>).not_differentiable();
    CHOOSE_FASTEST_DATASET: OpDef::new("ChooseFastestDataset", "input_datasets: N * variant -> handle: variant")
        .attrs("N: int >= 2, num_experiments: int, output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .shape(scalars::<0b0>).not_differentiable();
    EXPERIMENTAL_ASSERT_NEXT_DATASET: OpDef::new("ExperimentalAssertNextDataset", "input_dataset: variant, transformations: string -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .shape(scalars::<0b1>).not_differentiable();
    EXPERIMENTAL_AUTO_SHARD_DATASET: OpDef::new("ExperimentalAutoShardDataset", "input_dataset: variant, num_workers: int64, index: int64 -> handle: variant")
        .attrs("auto_shard_policy: int = 0, output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .shape(scalars::<0b111>).not_differentiable();
    EXPERIMENTAL_BYTES_PRODUCED_STATS_DATASET: OpDef::new("ExperimentalBytesProducedStatsDataset", "input_dataset: variant, tag: string -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .shape(scalars::<0b11>).not_differentiable();
    EXPERIMENTAL_CHOOSE_FASTEST_DATASET: OpDef::new("ExperimentalChooseFastestDataset", "input_datasets: N * variant -> handle: variant")
        .attrs("N: int >= 2, num_experiments: int, output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .shape(scalars::<0b0>).not_differentiable();
    EXPERIMENTAL_IGNORE_ERRORS_DATASET: OpDef::new("ExperimentalIgnoreErrorsDataset", "input_dataset: variant -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1, log_warning: bool = false")
        .shape(scalars::<0b1>).not_differentiable();
    EXPERIMENTAL_LATENCY_STATS_DATASET: OpDef::new("ExperimentalLatencyStatsDataset", "input_dataset: variant, tag: string -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .shape(scalars::<0b11>).not_differentiable();
    EXPERIMENTAL_MAX_INTRA_OP_PARALLELISM_DATASET: OpDef::new("ExperimentalMaxIntraOpParallelismDataset", "input_dataset: variant, max_intra_op_parallelism: int64 -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .shape(scalars::<0b11>).not_differentiable();
    EXPERIMENTAL_NON_SERIALIZABLE_DATASET: OpDef::new("ExperimentalNonSerializableDataset", "input_dataset: variant -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .shape(scalars::<0b1>).not_differentiable();
    EXPERIMENTAL_PRIVATE_THREAD_POOL_DATASET: OpDef::new("ExperimentalPrivateThreadPoolDataset", "input_dataset: variant, num_threads: int64 -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .shape(scalars::<0b11>).not_differentiable();
    EXPERIMENTAL_SET_STATS_AGGREGATOR_DATASET: OpDef::new("ExperimentalSetStatsAggregatorDataset", "input_dataset: variant, stats_aggregator: resource, tag: string, counter_prefix: string -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .stateful().shape(scalars::<0b1111>).not_differentiable();
    EXPERIMENTAL_SLEEP_DATASET: OpDef::new("ExperimentalSleepDataset", "input_dataset: variant, sleep_microseconds: int64 -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .shape(scalars::<0b11>).not_differentiable();
    EXPERIMENTAL_THREAD_POOL_DATASET: OpDef::new("ExperimentalThreadPoolDataset", "input_dataset: variant, thread_pool: resource -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .stateful().shape(scalars::<0b11>).not_differentiable();
    EXPERIMENTAL_UNBATCH_DATASET: OpDef::new("ExperimentalUnbatchDataset", "input_dataset: variant -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .shape(scalars::<0b1>).not_differentiable();
    FINALIZE_DATASET: OpDef::new("FinalizeDataset", "input_dataset: variant -> handle: variant")
        .attrs("has_captured_ref: bool = false, output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .shape(scalars::<0b1>).not_differentiable();
    IGNORE_ERRORS_DATASET: OpDef::new("IgnoreErrorsDataset", "input_dataset: variant -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1, log_warning: bool = false")
        .shape(scalars::<0b1>).not_differentiable();
    LATENCY_STATS_DATASET: OpDef::new("LatencyStatsDataset", "input_dataset: variant, tag: string -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .shape(scalars::<0b11>).not_differentiable();
    MAX_INTRA_OP_PARALLELISM_DATASET: OpDef::new("MaxIntraOpParallelismDataset", "input_dataset: variant, max_intra_op_parallelism: int64 -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .shape(scalars::<0b11>).not_differentiable();
    MODEL_DATASET: OpDef::new("ModelDataset", "input_dataset: variant -> handle: variant")
        .attrs("algorithm: int = 0, cpu_budget: int = 0, ram_budget: int = 0, output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .shape(scalars::<0b1>).not_differentiable();
    NON_SERIALIZABLE_DATASET: OpDef::new("NonSerializableDataset", "input_dataset: variant -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .shape(scalars::<0b1>).not_differentiable();
    OPTIMIZE_DATASET: OpDef::new("OptimizeDataset", "input_dataset: variant, optimizations: string -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1, optimization_configs: list(string) = []")
        .shape(scalars::<0b1>).not_differentiable();
    OPTIMIZE_DATASET_V2: OpDef::new("OptimizeDatasetV2", "input_dataset: variant, optimizations_enabled: string, optimizations_disabled: string, optimizations_default: string -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1, optimization_configs: list(string) = []")
        .shape(scalars::<0b1>).not_differentiable();
    OPTIONS_DATASET: OpDef::new("OptionsDataset", "input_dataset: variant -> handle: variant")
        .attrs("serialized_options: string, output_types: list(type) >= 1, output_shapes: list(shape) >= 1, metadata: string = \"\"")
        .shape(scalars::<0b1>).not_differentiable();
    PREFETCH_DATASET: OpDef::new("PrefetchDataset", "input_dataset: variant, buffer_size: int64 -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1, slack_period: int = 0, legacy_autotune: bool = true, buffer_size_min: int = 0, metadata: string = \"\"")
        .shape(scalars::<0b11>).not_differentiable();
    PRIVATE_THREAD_POOL_DATASET: OpDef::new("PrivateThreadPoolDataset", "input_dataset: variant, num_threads: int64 -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .shape(scalars::<0b11>).not_differentiable();
    REWRITE_DATASET: OpDef::new("RewriteDataset", "input_dataset: variant, rewrite_name: string -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .shape(scalars::<0b11>).not_differentiable();
    SET_STATS_AGGREGATOR_DATASET: OpDef::new("SetStatsAggregatorDataset", "input_dataset: variant, stats_aggregator: resource, tag: string, counter_prefix: string -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .stateful().shape(scalars::<0b1111>).not_differentiable();
    SLEEP_DATASET: OpDef::new("SleepDataset", "input_dataset: variant, sleep_microseconds: int64 -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .shape(scalars::<0b11>).not_differentiable();
    THREAD_POOL_DATASET: OpDef::new("ThreadPoolDataset", "input_dataset: variant, thread_pool: resource -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .stateful().shape(scalars::<0b11>).not_differentiable();
    UNBATCH_DATASET: OpDef::new("UnbatchDataset", "input_dataset: variant -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1, metadata: string = \"\"")
        .shape(scalars::<0b1>).not_differentiable();
    UNWRAP_DATASET_VARIANT: OpDef::new("UnwrapDatasetVariant", "input_handle: variant -> output_handle: variant")
        .shape(scalars::<0b1>).not_differentiable();
}
