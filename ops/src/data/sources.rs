//! Datasets without an input dataset: ranges, tensors, slices of tensors, generators.

use super::shapes::scalars;
use crate::library::op_defs;
use session_core::OpDef;

op_defs! {
    EXPERIMENTAL_RANDOM_DATASET: OpDef::new("ExperimentalRandomDataset", "seed: int64, seed2: int64 -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .stateful().shape(scalars::<0b11>).not_differentiable();
    GENERATOR_DATASET: OpDef::new("GeneratorDataset", "init_func_other_args: Tinit_func_args, next_func_other_args: Tnext_func_args, finalize_func_other_args: Tfinalize_func_args -> handle: variant")
        .attrs("init_func: func, next_func: func, finalize_func: func, Tinit_func_args: list(type) >= 0, Tnext_func_args: list(type) >= 0, Tfinalize_func_args: list(type) >= 0, output_types: list(type) >= 1, output_shapes: list(shape) >= 1, metadata: string = \"\"")
        .stateful().shape(scalars::<0b0>).not_differentiable();
    LIST_DATASET: OpDef::new("ListDataset", "tensors: Tinput_types -> handle: variant")
        .attrs("Tinput_types: list(type) >= 1, output_types: list(type) >= 1, output_shapes: list(shape) >= 1, metadata: string = \"\"")
        .stateful().shape(scalars::<0b0>).not_differentiable();
    RANDOM_DATASET: OpDef::new("RandomDataset", "seed: int64, seed2: int64 -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1, metadata: string = \"\"")
        .stateful().shape(scalars::<0b11>).not_differentiable();
    RANDOM_DATASET_V2: OpDef::new("RandomDatasetV2", "seed: int64, seed2: int64, seed_generator: resource -> handle: variant")
        .attrs("rerandomize_each_iteration: bool = false, output_types: list(type) >= 1, output_shapes: list(shape) >= 1, metadata: string = \"\"")
        .stateful().shape(scalars::<0b111>).not_differentiable();
    RANGE_DATASET: OpDef::new("RangeDataset", "start: int64, stop: int64, step: int64 -> handle: variant")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1, metadata: string = \"\", replicate_on_split: bool = false")
        .stateful().shape(scalars::<0b111>).not_differentiable();
    SPARSE_TENSOR_SLICE_DATASET: OpDef::new("SparseTensorSliceDataset", "indices: int64, values: Tvalues, dense_shape: int64 -> handle: variant")
        .attrs("Tvalues: type")
        .stateful().shape(scalars::<0b0>).not_differentiable();
    TENSOR_DATASET: OpDef::new("TensorDataset", "components: Toutput_types -> handle: variant")
        .attrs("Toutput_types: list(type) >= 1, output_shapes: list(shape) >= 1, metadata: string = \"\"")
        .stateful().shape(scalars::<0b0>).not_differentiable();
    TENSOR_SLICE_DATASET: OpDef::new("TensorSliceDataset", "components: Toutput_types -> handle: variant")
        .attrs("Toutput_types: list(type) >= 1, output_shapes: list(shape) >= 1, is_files: bool = false, metadata: string = \"\", replicate_on_split: bool = false")
        .stateful().shape(scalars::<0b0>).not_differentiable();
}
