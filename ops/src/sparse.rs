//! Sparse tensors.
//!
//! They have definitions, so that imported graphs run, and no constructors.

use crate::library::op_defs;
use session_core::OpDef;

op_defs! {
    SPARSE_TENSOR_DENSE_MAT_MUL: OpDef::new("SparseTensorDenseMatMul", "a_indices: Tindices, a_values: T, a_shape: int64, b: T -> product: T")
        .attrs("T: type, Tindices: indextype = int64, adjoint_a: bool = false, adjoint_b: bool = false");
    SPARSE_ADD: OpDef::new("SparseAdd", "a_indices: int64, a_values: T, a_shape: int64, b_indices: int64, b_values: T, b_shape: int64, thresh: Treal -> sum_indices: int64, sum_values: T, sum_shape: int64")
        .attrs("T: numbertype, Treal: realnumbertype");
    SPARSE_REORDER: OpDef::new("SparseReorder", "input_indices: int64, input_values: T, input_shape: int64 -> output_indices: int64, output_values: T")
        .attrs("T: type");
    SPARSE_RESHAPE: OpDef::new("SparseReshape", "input_indices: int64, input_shape: int64, new_shape: int64 -> output_indices: int64, output_shape: int64");
    SPARSE_FILL_EMPTY_ROWS: OpDef::new("SparseFillEmptyRows", "indices: int64, values: T, dense_shape: int64, default_value: T -> output_indices: int64, output_values: T, empty_row_indicator: bool, reverse_index_map: int64")
        .attrs("T: type");
    SPARSE_FILL_EMPTY_ROWS_GRAD: OpDef::new("SparseFillEmptyRowsGrad", "reverse_index_map: int64, grad_values: T -> d_values: T, d_default_value: T")
        .attrs("T: type");
    SPARSE_SLICE: OpDef::new("SparseSlice", "indices: int64, values: T, shape: int64, start: int64, size: int64 -> output_indices: int64, output_values: T, output_shape: int64")
        .attrs("T: type");
    SPARSE_CONCAT: OpDef::new("SparseConcat", "indices: N * int64, values: N * T, shapes: N * int64 -> output_indices: int64, output_values: T, output_shape: int64")
        .attrs("concat_dim: int32, N: int >= 2, T: type");
    SPARSE_REDUCE_SUM: OpDef::new("SparseReduceSum", "input_indices: int64, input_values: T, input_shape: int64, reduction_axes: int32 -> output: T")
        .attrs("keep_dims: bool = false, T: numbertype");
    SPARSE_DENSE_CWISE_ADD: OpDef::new("SparseDenseCwiseAdd", "sp_indices: int64, sp_values: T, sp_shape: int64, dense: T -> output: T")
        .attrs("T: numbertype");
    SPARSE_DENSE_CWISE_MUL: OpDef::new("SparseDenseCwiseMul", "sp_indices: int64, sp_values: T, sp_shape: int64, dense: T -> output: T")
        .attrs("T: numbertype");
    SPARSE_DENSE_CWISE_DIV: OpDef::new("SparseDenseCwiseDiv", "sp_indices: int64, sp_values: T, sp_shape: int64, dense: T -> output: T")
        .attrs("T: numbertype");
    SPARSE_SOFTMAX: OpDef::new("SparseSoftmax", "sp_indices: int64, sp_values: T, sp_shape: int64 -> output: T")
        .attrs("T: {half, float, double}");
    SPARSE_TENSOR_DENSE_ADD: OpDef::new("SparseTensorDenseAdd", "a_indices: Tindices, a_values: T, a_shape: Tindices, b: T -> output: T")
        .attrs("T: numbertype, Tindices: indextype");
}
