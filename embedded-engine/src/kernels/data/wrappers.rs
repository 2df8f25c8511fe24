//! Datasets that hand on the elements of their input as they are (D-67, D-69), and the handles that some of
//! them take.
//!
//! # Semantics
//!
//! The dataset ops of the list return their input itself: they are no part of a pipeline, of its position, or
//! of its text in messages. Options, optimizations, statistics, thread pools and sleeps therefore have no
//! effect; `num_threads` and `max_intra_op_parallelism` below 0 are `InvalidArgument` from the initializer.
//!
//! `StatsAggregatorHandle` and `ThreadPoolHandle` output an empty resource. `WrapDatasetVariant` and
//! `UnwrapDatasetVariant` output their input.

use super::build::{Build, Op};
use super::dataset::Shared;
use crate::kernels::math::boxed;
use crate::registry::{Registry, Role};
use session_core::{Error, Result};
use std::sync::Arc;
use tensor::{DType, Tensor};

pub(super) const OPS: &[Op] = &[Op {
    types: &[
        "BytesProducedStatsDataset",
        "ExperimentalBytesProducedStatsDataset",
        "ExperimentalLatencyStatsDataset",
        "ExperimentalMaxIntraOpParallelismDataset",
        "ExperimentalNonSerializableDataset",
        "ExperimentalPrivateThreadPoolDataset",
        "ExperimentalSetStatsAggregatorDataset",
        "ExperimentalSleepDataset",
        "ExperimentalThreadPoolDataset",
        "FinalizeDataset",
        "LatencyStatsDataset",
        "MaxIntraOpParallelismDataset",
        "ModelDataset",
        "NonSerializableDataset",
        "OptimizeDataset",
        "OptimizeDatasetV2",
        "OptionsDataset",
        "PrivateThreadPoolDataset",
        "RewriteDataset",
        "SetStatsAggregatorDataset",
        "SleepDataset",
        "ThreadPoolDataset",
    ],
    functions: &[],
    make: input,
}];

/// Returns the input, after the checks of numbers.
fn input(build: &Build<'_, '_>) -> Result<Shared> {
    for argument in ["num_threads", "max_intra_op_parallelism"] {
        if build.int_or(argument, 0)? < 0 {
            return Err(Error::invalid_argument(format!("`{argument}` must be >= 0")));
        }
    }
    build.input()
}

/// Registers the ops that make handles or pass datasets on.
pub(super) fn register(registry: &mut Registry) {
    for op_type in [
        "StatsAggregatorHandle",
        "StatsAggregatorHandleV2",
        "ExperimentalStatsAggregatorHandle",
        "ThreadPoolHandle",
        "ExperimentalThreadPoolHandle",
    ] {
        registry.add(op_type, |_| {
            Ok(boxed(|context| {
                context.set(0, Tensor::from_handle(DType::Resource, Arc::new(())));
                Ok(())
            }))
        });
    }
    registry.add_compiled(["WrapDatasetVariant", "UnwrapDatasetVariant"], Role::PassOn);
}
