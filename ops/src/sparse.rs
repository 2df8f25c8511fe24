//! Sparse tensors: sums, products, parts, other shapes.
//!
//! ```
//! use ops::{array::constant, sparse};
//! let graph = session_core::Graph::new();
//! let x = sparse::from_dense(constant(&graph, [[0f32, 2.0], [3.0, 0.0]]));
//! let doubled = sparse::sparse_to_dense(&sparse::sparse_add(&x, &x), 0f32); // [[0, 4], [6, 0]]
//! assert_eq!(doubled.dtype(), session_core::DType::Float32);
//! # graph.finalize()?;
//! # Ok::<(), session_core::Error>(())
//! ```
//!
//! A sparse tensor is three tensors: coordinates `[n, rank]` (`int64`), values `[n]`, and the dense
//! shape `[rank]`. The coordinates are in row-major order and occur once, unless an operation says
//! otherwise; `SparseReorder` sorts them.

mod constructors;
mod gradients;

pub use crate::parsing::{SparseTensor, sparse_to_dense};
pub use constructors::*;

use crate::library::op_defs;
use crate::shapes;
use gradients::{
    add_grad_gradient, add_gradient, dense_add_gradient, dense_cwise_add_gradient, dense_cwise_div_gradient,
    dense_cwise_mul_gradient, fill_empty_rows_grad_gradient, fill_empty_rows_gradient, matmul_gradient,
    reduce_sum_gradient, reorder_gradient, slice_grad_gradient, slice_gradient, softmax_gradient,
};
use session_core::{OpDef, PartialShape, Result, ShapeContext};

const EXTREME: &str = "a_indices: int64, a_values: T, a_shape: int64, b_indices: int64, b_values: T, b_shape: int64 -> output_indices: int64, output_values: T";

op_defs! {
    SPARSE_TENSOR_DENSE_MAT_MUL: OpDef::new("SparseTensorDenseMatMul", "a_indices: Tindices, a_values: T, a_shape: int64, b: T -> product: T")
        .attrs("T: type, Tindices: indextype = int64, adjoint_a: bool = false, adjoint_b: bool = false")
        .shape(matmul_shape)
        .gradient(matmul_gradient);
    SPARSE_ADD: OpDef::new("SparseAdd", "a_indices: int64, a_values: T, a_shape: int64, b_indices: int64, b_values: T, b_shape: int64, thresh: Treal -> sum_indices: int64, sum_values: T, sum_shape: int64")
        .attrs("T: numbertype, Treal: realnumbertype")
        .shape(add_shape)
        .gradient(add_gradient);
    SPARSE_REORDER: OpDef::new("SparseReorder", "input_indices: int64, input_values: T, input_shape: int64 -> output_indices: int64, output_values: T")
        .attrs("T: type")
        .shape(reorder_shape)
        .gradient(reorder_gradient);
    SPARSE_RESHAPE: OpDef::new("SparseReshape", "input_indices: int64, input_shape: int64, new_shape: int64 -> output_indices: int64, output_shape: int64")
        .shape(reshape_shape);
    SPARSE_FILL_EMPTY_ROWS: OpDef::new("SparseFillEmptyRows", "indices: int64, values: T, dense_shape: int64, default_value: T -> output_indices: int64, output_values: T, empty_row_indicator: bool, reverse_index_map: int64")
        .attrs("T: type")
        .shape(fill_empty_rows_shape)
        .gradient(fill_empty_rows_gradient);
    SPARSE_FILL_EMPTY_ROWS_GRAD: OpDef::new("SparseFillEmptyRowsGrad", "reverse_index_map: int64, grad_values: T -> d_values: T, d_default_value: T")
        .attrs("T: type")
        .shape(fill_empty_rows_grad_shape)
        .gradient(fill_empty_rows_grad_gradient);
    SPARSE_SLICE: OpDef::new("SparseSlice", "indices: int64, values: T, shape: int64, start: int64, size: int64 -> output_indices: int64, output_values: T, output_shape: int64")
        .attrs("T: type")
        .shape(slice_shape)
        .gradient(slice_gradient);
    SPARSE_CONCAT: OpDef::new("SparseConcat", "indices: N * int64, values: N * T, shapes: N * int64 -> output_indices: int64, output_values: T, output_shape: int64")
        .attrs("concat_dim: int32, N: int >= 2, T: type")
        .shape(concat_shape)
        .not_differentiable();
    SPARSE_SPLIT: OpDef::new("SparseSplit", "split_dim: int64, indices: int64, values: T, shape: int64 -> output_indices: num_split * int64, output_values: num_split * T, output_shape: num_split * int64")
        .attrs("num_split: int >= 1, T: type")
        .shape(split_shape);
    SPARSE_SPARSE_MAXIMUM: OpDef::new("SparseSparseMaximum", EXTREME).attrs("T: realnumbertype")
        .shape(extreme_shape)
        .not_differentiable();
    SPARSE_SPARSE_MINIMUM: OpDef::new("SparseSparseMinimum", EXTREME).attrs("T: numbertype")
        .shape(extreme_shape)
        .not_differentiable();
    SPARSE_REDUCE_SUM: OpDef::new("SparseReduceSum", "input_indices: int64, input_values: T, input_shape: int64, reduction_axes: int32 -> output: T")
        .attrs("keep_dims: bool = false, T: numbertype")
        .shape(reduce_shape)
        .gradient(reduce_sum_gradient);
    SPARSE_DENSE_CWISE_ADD: OpDef::new("SparseDenseCwiseAdd", "sp_indices: int64, sp_values: T, sp_shape: int64, dense: T -> output: T")
        .attrs("T: numbertype")
        .shape(values_shape)
        .gradient(dense_cwise_add_gradient);
    SPARSE_DENSE_CWISE_MUL: OpDef::new("SparseDenseCwiseMul", "sp_indices: int64, sp_values: T, sp_shape: int64, dense: T -> output: T")
        .attrs("T: numbertype")
        .shape(values_shape)
        .gradient(dense_cwise_mul_gradient);
    SPARSE_DENSE_CWISE_DIV: OpDef::new("SparseDenseCwiseDiv", "sp_indices: int64, sp_values: T, sp_shape: int64, dense: T -> output: T")
        .attrs("T: numbertype")
        .shape(values_shape)
        .gradient(dense_cwise_div_gradient);
    SPARSE_SOFTMAX: OpDef::new("SparseSoftmax", "sp_indices: int64, sp_values: T, sp_shape: int64 -> output: T")
        .attrs("T: {half, float, double}")
        .shape(values_shape)
        .gradient(softmax_gradient);
    SPARSE_CROSS: OpDef::new("SparseCross", "indices: N * int64, values: sparse_types, shapes: N * int64, dense_inputs: dense_types -> output_indices: int64, output_values: out_type, output_shape: int64")
        .attrs("N: int >= 0, hashed_output: bool, num_buckets: int >= 0, hash_key: int, sparse_types: list({int64, string}) >= 0, dense_types: list({int64, string}) >= 0, out_type: {int64, string}, internal_type: {int64, string}")
        .not_differentiable();
    SPARSE_CROSS_V2: OpDef::new("SparseCrossV2", "indices: N * int64, values: sparse_types, shapes: N * int64, dense_inputs: dense_types, sep: string -> output_indices: int64, output_values: string, output_shape: int64")
        .attrs("N: int >= 0, sparse_types: list({int64, string}) >= 0, dense_types: list({int64, string}) >= 0")
        .shape(crossed).not_differentiable();
    SPARSE_CROSS_HASHED: OpDef::new("SparseCrossHashed", "indices: N * int64, values: sparse_types, shapes: N * int64, dense_inputs: dense_types, num_buckets: int64, strong_hash: bool, salt: int64 -> output_indices: int64, output_values: int64, output_shape: int64")
        .attrs("N: int >= 0, sparse_types: list({int64, string}) >= 0, dense_types: list({int64, string}) >= 0")
        .shape(crossed).not_differentiable();
    EDIT_DISTANCE: OpDef::new("EditDistance", "hypothesis_indices: int64, hypothesis_values: T, hypothesis_shape: int64, truth_indices: int64, truth_values: T, truth_shape: int64 -> output: float")
        .attrs("normalize: bool = true, T: type")
        .not_differentiable();
    SPARSE_TENSOR_DENSE_ADD: OpDef::new("SparseTensorDenseAdd", "a_indices: Tindices, a_values: T, a_shape: Tindices, b: T -> output: T")
        .attrs("T: numbertype, Tindices: indextype")
        .shape(dense_add_shape)
        .gradient(dense_add_gradient);
    SPARSE_ADD_GRAD: OpDef::new("SparseAddGrad", "backprop_val_grad: T, a_indices: int64, b_indices: int64, sum_indices: int64 -> a_val_grad: T, b_val_grad: T")
        .attrs("T: numbertype")
        .shape(add_grad_shape)
        .gradient(add_grad_gradient);
    SPARSE_SLICE_GRAD: OpDef::new("SparseSliceGrad", "backprop_val_grad: T, input_indices: int64, input_start: int64, output_indices: int64 -> val_grad: T")
        .attrs("T: numbertype")
        .shape(slice_grad_shape)
        .gradient(slice_grad_gradient);
}

/// A sparse matrix.
fn crossed(context: &mut ShapeContext<'_>) -> Result<()> {
    context.set(0, PartialShape::from([None, Some(2)]));
    context.set(1, PartialShape::of_rank(1));
    context.set(2, PartialShape::from([2]));
    Ok(())
}

/// Checks the ranks of coordinates, values and shape, which begin at an input, and returns the number of values, as
/// far as it is known, and the rank of the tensor.
fn sparse(context: &ShapeContext<'_>, first: usize) -> Result<(Option<usize>, Option<usize>)> {
    sparse_at(context, [first, first + 1, first + 2])
}

/// Works as [`sparse`], for parts at these inputs: lists of sparse tensors have all coordinates first, then
/// all values, then all shapes.
fn sparse_at(
    context: &ShapeContext<'_>,
    [indices, values, shape]: [usize; 3],
) -> Result<(Option<usize>, Option<usize>)> {
    let indices = context.input_of_rank(indices, 2)?;
    let (values, shape) = (context.input_of_rank(values, 1)?, context.input_of_rank(shape, 1)?);
    let count = shapes::merge_dims("the numbers of indices and of values", indices.dim(0), values.dim(0))?;
    let rank = shapes::merge_dims("the lengths of indices and of the shape", indices.dim(1), shape.dim(0))?;
    Ok((count, rank))
}

/// Returns the shape of a vector.
fn vector(count: Option<usize>) -> PartialShape {
    PartialShape::from([count])
}

/// Sets the first outputs: coordinates, values, and, where it is an output, the shape.
fn set_sparse(context: &mut ShapeContext<'_>, count: Option<usize>, rank: Option<usize>) {
    context.set(0, PartialShape::from([count, rank]));
    context.set(1, vector(count));
    if context.outputs() == 3 {
        context.set(2, vector(rank));
    }
}

/// Infers `[rows, columns]` of the product from the value of the dense shape, which
/// the coordinates do not tell.
fn matmul_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    sparse(context, 0)?;
    let (a, b) = (shapes::shape_from(&context.inputs()[2])?, context.input_of_rank(3, 2)?);
    let a = shapes::merge(&a, &PartialShape::of_rank(2))?;
    let (adjoint_a, adjoint_b) =
        (shapes::bool_attr(context, "adjoint_a"), shapes::bool_attr(context, "adjoint_b"));
    let (rows, inner) = if adjoint_a { (a.dim(1), a.dim(0)) } else { (a.dim(0), a.dim(1)) };
    let (depth, columns) = if adjoint_b { (b.dim(1), b.dim(0)) } else { (b.dim(0), b.dim(1)) };
    shapes::merge_dims("the inner sizes of a product", inner, depth)?;
    context.set(0, PartialShape::from([rows, columns]));
    Ok(())
}

/// Infers the ranks; how many coordinates the sum has depends on how many coincide.
fn add_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let ((_, a), (_, b)) = (sparse(context, 0)?, sparse(context, 3)?);
    shapes::must_be_scalar(context, 6)?;
    let rank = shapes::merge_dims("the ranks of summands", a, b)?;
    set_sparse(context, None, rank);
    Ok(())
}

/// Infers the ranks. Entries of both tensors are united, so their number is open.
fn extreme_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let ((_, a), (_, b)) = (sparse(context, 0)?, sparse(context, 3)?);
    let rank = shapes::merge_dims("the ranks of both", a, b)?;
    set_sparse(context, None, rank);
    Ok(())
}

/// Infers the ranks of all parts. Which entries fall into which part is known at run time.
fn split_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    shapes::must_be_scalar(context, 0)?;
    let (_, rank) = sparse_at(context, [1, 2, 3])?;
    let parts = context.outputs() / 3;
    shapes::set_sparse_lists(context, 0, parts, rank);
    Ok(())
}

/// Infers one gradient for each value of both summands.
fn add_grad_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    context.input_of_rank(3, 2)?;
    for output in 0..2 {
        let count = context.input_of_rank(output + 1, 2)?.dim(0);
        context.set(output, vector(count));
    }
    Ok(())
}

fn reorder_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (count, rank) = sparse(context, 0)?;
    set_sparse(context, count, rank);
    Ok(())
}

/// Infers one new coordinate for each old one, and the rank from the length of the new shape.
fn reshape_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (indices, new) = (context.input_of_rank(0, 2)?, context.input_of_rank(2, 1)?);
    let old = context.input_of_rank(1, 1)?;
    shapes::merge_dims("the lengths of indices and of the shape", indices.dim(1), old.dim(0))?;
    context.set(0, PartialShape::from([indices.dim(0), new.dim(0)]));
    context.set(1, new);
    Ok(())
}

/// Infers the indicator of rows from the value of the dense shape. The number of entries grows by that of
/// the empty rows, which is open.
fn fill_empty_rows_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (count, rank) = sparse(context, 0)?;
    shapes::must_be_scalar(context, 3)?;
    let rows = shapes::shape_from(&context.inputs()[2])?.dim(0);
    context.set(0, PartialShape::from([None, rank]));
    context.set(1, vector(None));
    context.set(2, vector(rows));
    context.set(3, vector(count));
    Ok(())
}

/// Infers the shapes of the gradients of values and of the default value, also for ragged rows.
pub(crate) fn fill_empty_rows_grad_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let map = context.input_of_rank(0, 1)?;
    context.input_of_rank(1, 1)?;
    context.set(0, map);
    context.set(1, PartialShape::scalar());
    Ok(())
}

/// Infers the ranks, which a slice keeps.
fn slice_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (_, rank) = sparse(context, 0)?;
    set_sparse(context, None, rank);
    Ok(())
}

/// Infers one gradient for each value of the sliced tensor.
fn slice_grad_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    context.input_of_rank(3, 2)?;
    let count = context.input_of_rank(1, 2)?.dim(0);
    context.set(0, vector(count));
    Ok(())
}

/// Infers the number of entries as the sum of all parts', if all are known.
fn concat_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let parts = context.inputs().len() / 3;
    let (mut count, mut rank) = (Some(0usize), None);
    for part in 0..parts {
        let (values, own) = sparse_at(context, [part, parts + part, 2 * parts + part])?;
        count = count.zip(values).and_then(|(count, values)| count.checked_add(values));
        rank = shapes::merge_dims("the ranks of the joined tensors", rank, own)?;
    }
    set_sparse(context, count, rank);
    Ok(())
}

/// Infers the shape where the graph tells both the shape and the axes.
fn reduce_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (sizes, axes) = (shapes::ints(context, 2), shapes::ints(context, 3));
    let (Some(sizes), Some(axes)) = (sizes, axes) else { return Ok(()) };
    let mut reduced = vec![false; sizes.len()];
    for axis in axes {
        reduced[shapes::axis_index(axis, sizes.len())?] = true;
    }
    let keep = shapes::bool_attr(context, "keep_dims");
    let kept = sizes.into_iter().zip(reduced).filter_map(|(size, reduced)| match (reduced, keep) {
        (false, _) => Some(size),
        (true, true) => Some(1),
        (true, false) => None,
    });
    let shape = PartialShape::from_sizes(kept.collect::<Vec<_>>());
    context.set(0, shape);
    Ok(())
}

/// Infers one value for each entry: the coordinates stay.
fn values_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (count, _) = sparse(context, 0)?;
    context.set(0, vector(count));
    Ok(())
}

/// Infers the shape of the dense summand: the result is dense.
fn dense_add_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = context.input(3);
    context.set(0, shape);
    Ok(())
}
