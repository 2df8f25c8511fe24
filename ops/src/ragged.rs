//! Ragged tensors: values with the splits of their rows.
//!
//! They have definitions, so that imported graphs run, and no constructors.

use crate::library::op_defs;
use session_core::OpDef;

op_defs! {
    RAGGED_TENSOR_TO_TENSOR: OpDef::new("RaggedTensorToTensor", "shape: Tshape, values: T, default_value: T, row_partition_tensors: num_row_partition_tensors * Tindex -> result: T")
        .attrs("T: type, Tindex: {int64, int32}, Tshape: {int64, int32}, num_row_partition_tensors: int >= 1, row_partition_types: list(string)")
        .not_differentiable();
    RAGGED_TENSOR_TO_SPARSE: OpDef::new("RaggedTensorToSparse", "rt_nested_splits: RAGGED_RANK * Tsplits, rt_dense_values: T -> sparse_indices: int64, sparse_values: T, sparse_dense_shape: int64")
        .attrs("RAGGED_RANK: int >= 1, T: type, Tsplits: indextype = int64")
        .not_differentiable();
    RAGGED_GATHER: OpDef::new("RaggedGather", "params_nested_splits: PARAMS_RAGGED_RANK * Tsplits, params_dense_values: Tvalues, indices: Tindices -> output_nested_splits: OUTPUT_RAGGED_RANK * Tsplits, output_dense_values: Tvalues")
        .attrs("Tvalues: type, Tindices: indextype, Tsplits: indextype = int64, PARAMS_RAGGED_RANK: int >= 1, OUTPUT_RAGGED_RANK: int >= 0")
        .not_differentiable();
    RAGGED_RANGE: OpDef::new("RaggedRange", "starts: T, limits: T, deltas: T -> rt_nested_splits: Tsplits, rt_dense_values: T")
        .attrs("T: {bfloat16, float, double, int32, int64} = int32, Tsplits: indextype = int64")
        .not_differentiable();
    STRING_N_GRAMS: OpDef::new("StringNGrams", "data: string, data_splits: Tsplits -> ngrams: string, ngrams_splits: Tsplits")
        .attrs("separator: string, ngram_widths: list(int) >= 0, left_pad: string, right_pad: string, pad_width: int32, preserve_short_sequences: bool, Tsplits: indextype = int64")
        .not_differentiable();
}
