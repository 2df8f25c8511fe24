//! Gradients of the values of sparse tensors. Coordinates and shapes have none.

use super::{
    SPARSE_ADD_GRAD, SPARSE_DENSE_CWISE_ADD, SPARSE_FILL_EMPTY_ROWS_GRAD, SPARSE_REDUCE_SUM, SPARSE_REORDER,
    SPARSE_SLICE_GRAD, SPARSE_TENSOR_DENSE_MAT_MUL,
};
use crate::Ints;
use crate::array::{
    Index, constant, expand_dims, fill, gather, gather_nd, invert_permutation, matrix_transpose, range, rank,
    reshape, scatter_nd, shape, shape_as, slice, stack, strided_slice, tensor_scatter_update, zeros_like,
};
use crate::gradients::broadcasting::shape_of;
use crate::math::reduce::kept_sizes;
use crate::math::unary::conj_of;
use crate::math::{add_n, cast, minimum, mul, neg, real_div, reduce_sum, square};
use crate::shapes::axis_index;
use crate::static_value;
use session_core::{AttrValue, DType, Operation, Output, Result};

/// Returns a bool attribute, false where it is missing.
fn flag(op: &Operation, name: &str) -> bool {
    op.attr(name).and_then(AttrValue::as_bool).unwrap_or(false)
}

/// Places one gradient at an input and leaves the others without.
fn only<const N: usize>(input: usize, grad: Option<Output>) -> Result<Vec<Option<Output>>> {
    let mut all = vec![None; N];
    all[input] = grad;
    Ok(all)
}

/// Returns the gradients of `A * B`. That of `B` is `A^T * grad`; that of the value at `(i, k)` of `A` is the
/// product of row `i` of `grad` and row `k` of `B`, for the entries alone.
pub(super) fn matmul_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 4]) };
    let (indices, b) = (op.input(0), op.input(3));
    let (adjoint_a, adjoint_b) = (flag(op, "adjoint_a"), flag(op, "adjoint_b"));
    let builder = grad.graph().op(&SPARSE_TENSOR_DENSE_MAT_MUL);
    let builder = builder.input(&indices).input(op.input(1)).input(op.input(2)).input(grad);
    // The same operation with the other side of `A`, so no dense form of `A` exists.
    let product = builder.attr("adjoint_a", !adjoint_a).finish_output();
    // With `adjoint_b` both the gradient and the rows that are looked up are those of the transposed matrix. The rows are
    // conjugated, which undoes the conjugate of the adjoint.
    let (of_b, columns) = match adjoint_b {
        true => (conj_of(&matrix_transpose(product)), matrix_transpose(b)),
        false => (product, conj_of(&b)),
    };
    let of_axis = |axis: i64| strided_slice(&indices, &[Index::ALL, Index::At(axis)]);
    let (row, column) = if adjoint_a { (1, 0) } else { (0, 1) };
    // A value appears in one row of the product, times one row of the dense matrix.
    let pairs = mul(gather(grad, of_axis(row)), gather(columns, of_axis(column)));
    let of_values = reduce_sum(pairs, 1);
    let of_values = if adjoint_a { conj_of(&of_values) } else { of_values };
    Ok(vec![None, Some(of_values), None, Some(of_b)])
}

/// Returns the gradients of both summands' values: each looks up the sum at its own coordinates. An entry
/// that `thresh` dropped has zero.
pub(super) fn add_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let mut all = vec![None; 7];
    if let Some(grad) = &grads[1] {
        let builder = grad.graph().op(&SPARSE_ADD_GRAD).input(grad).input(op.input(0)).input(op.input(3));
        let found = builder.input(op.output(0)).finish();
        all[1] = Some(found.output(0));
        all[4] = Some(found.output(1));
    }
    Ok(all)
}

/// Builds the gradient of a gradient of sums: each sum has what arrives at the two summands that it is made of. With sums and
/// summands exchanged, the operation looks just that up.
pub(super) fn add_grad_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let sums = op.input(3);
    let parts: Vec<Output> = [(0, op.input(1)), (1, op.input(2))]
        .into_iter()
        .filter_map(|(output, indices)| {
            let grad = grads[output].as_ref()?;
            let builder = grad.graph().op(&SPARSE_ADD_GRAD).input(grad).input(&sums).input(&sums);
            Some(builder.input(indices).finish().output(0))
        })
        .collect();
    only::<4>(0, if parts.is_empty() { None } else { Some(add_n(&parts)) })
}

/// Returns the gradient of the values: the incoming one in the old order.
pub(super) fn reorder_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[1] else { return only::<3>(1, None) };
    let indices = op.input(0);
    // The numbers of the entries, sorted like the entries, are the old places of each.
    let graph = grad.graph();
    let entries = strided_slice(shape(&indices), &[Index::At(0)]);
    // Found by sorting numbers, because the operation does not return its permutation.
    let numbers = range(constant(&graph, 0i32), entries, constant(&graph, 1i32));
    let ordered = graph.op(&SPARSE_REORDER).input(&indices).input(numbers).input(op.input(2)).finish();
    only::<3>(1, Some(gather(grad, invert_permutation(ordered.output(1)))))
}

/// Returns the gradients of values and of the default value. `reverse_index_map`, the fourth output,
/// tells where each value went.
pub(super) fn fill_empty_rows_gradient(
    op: &Operation,
    grads: &[Option<Output>],
) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[1] else { return only::<4>(1, None) };
    let builder = grad.graph().op(&SPARSE_FILL_EMPTY_ROWS_GRAD).input(op.output(3)).input(grad);
    let found = builder.finish();
    Ok(vec![None, Some(found.output(0)), None, Some(found.output(1))])
}

/// Builds the gradient: what arrives at the values that rows of the gradient went to, and at the default for the others.
pub(super) fn fill_empty_rows_grad_gradient(
    op: &Operation,
    grads: &[Option<Output>],
) -> Result<Vec<Option<Output>>> {
    let (map, like) = (op.input(0), op.input(1));
    let [of_values, of_default] = [&grads[0], &grads[1]];
    let rest = match of_default {
        Some(grad) => fill(shape_of(&like), grad),
        None if of_values.is_none() => return only::<2>(1, None),
        None => zeros_like(&like),
    };
    let of_values = match of_values {
        Some(grad) => grad.clone(),
        None => zeros_like(gather(&like, &map)),
    };
    only::<2>(1, Some(tensor_scatter_update(rest, expand_dims(map, 1), of_values)))
}

/// Returns the gradient of the values, zeros for those outside of the slice.
pub(super) fn slice_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[1] else { return only::<5>(1, None) };
    let builder = grad.graph().op(&SPARSE_SLICE_GRAD).input(grad).input(op.input(0)).input(op.input(3));
    only::<5>(1, Some(builder.input(op.output(0)).finish_output()))
}

/// Builds the gradient of a gradient of a slice, which is a slice. With the parts exchanged, the operation looks it up.
pub(super) fn slice_grad_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return only::<4>(0, None) };
    // The start is negated, because the coordinates of the slice are moved back instead of forth.
    let builder = grad.graph().op(&SPARSE_SLICE_GRAD).input(grad).input(op.input(3));
    only::<4>(0, Some(builder.input(neg(op.input(2))).input(op.input(1)).finish_output()))
}

/// Builds the gradient: each value has that of the sum it is part of.
pub(super) fn reduce_sum_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return only::<4>(1, None) };
    let (indices, kept) = (op.input(0), kept_shape(op)?);
    // Coordinates along reduced axes, where the sum has size 1, become 0.
    let last = cast(&kept, DType::Int64) - constant(&grad.graph(), 1i64);
    only::<4>(1, Some(gather_nd(reshape(grad, kept), minimum(indices, last))))
}

/// Returns the shape of a sum that has size 1 along what was summed. Without axes, that is nothing.
fn kept_shape(op: &Operation) -> Result<Output> {
    let (sizes, axes) = (op.input(2), op.input(3));
    let graph = sizes.graph();
    if let (Some(mut sizes), Some(axes)) = (static_value::ints(&sizes), static_value::ints(&axes)) {
        for axis in axes {
            let axis = axis_index(axis, sizes.len())?;
            sizes[axis] = 1;
        }
        return Ok(constant(&graph, sizes));
    }
    // A shape that is computed: the same with operations.
    let rank = strided_slice(shape(&sizes), &[Index::At(0)]);
    Ok(kept_sizes(&cast(sizes, DType::Int32), &rank, &reshape(axes, [-1])))
}

/// Returns `(grad - sum(grad * y)) * y`, with the sum over the entries of each row of the last axis.
pub(super) fn softmax_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return only::<3>(1, None) };
    let (indices, sizes, output) = (op.input(0), op.input(2), op.output(0));
    let graph = grad.graph();
    // The sums are dense, `[.., 1]`, and a dense tensor can be added to the entries of each row.
    let sums = graph.op(&SPARSE_REDUCE_SUM).input(&indices).input(mul(&output, grad)).input(&sizes);
    let sums = sums.constant([-1i32]).attr("keep_dims", true).finish_output();
    let less = graph.op(&SPARSE_DENSE_CWISE_ADD).input(indices).input(grad).input(sizes).input(neg(sums));
    only::<3>(1, Some(mul(less.finish_output(), output)))
}

/// Returns the gradient of the sparse values, those of `grad` at their coordinates, and of the
/// dense summand, all of `grad`.
pub(super) fn dense_add_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 4]) };
    Ok(vec![None, Some(gather_nd(grad, op.input(0))), None, Some(grad.clone())])
}

/// Returns the place in the dense operand that each value meets: 0 along the axes that are broadcast.
fn places(op: &Operation) -> Output {
    let (indices, dense) = (op.input(0), op.input(3));
    let graph = indices.graph();
    // A dense operand of smaller rank lacks the leading axes, whose coordinates are cut off.
    let added = match (indices.shape().dim(1), dense.shape().rank()) {
        (Some(all), Some(own)) => Ints::from([0, i64::try_from(all - own.min(all)).unwrap_or(i64::MAX)]),
        _ => {
            let added = strided_slice(shape(&indices), &[Index::At(1)]) - rank(&dense);
            Ints::from(stack(&[constant(&graph, 0i32), added], 0))
        }
    };
    let own = slice(indices, added, [-1, -1]);
    minimum(own, shape_as(&dense, DType::Int64) - constant(&graph, 1i64))
}

/// Returns the gradient of the dense operand: the sum of what belongs to each of its elements.
fn gathered(op: &Operation, values: &Output, places: &Output) -> Output {
    let dense = op.input(3);
    match dense.shape().rank() {
        // A scalar has no coordinates to scatter to.
        Some(0) => reduce_sum(values, ..),
        _ => scatter_nd(places, values, shape_as(dense, DType::Int64)),
    }
}

/// Returns the gradients of `value + dense`: both receive `grad`, which for the dense operand is
/// summed where it was broadcast.
pub(super) fn dense_cwise_add_gradient(
    op: &Operation,
    grads: &[Option<Output>],
) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 4]) };
    Ok(vec![None, Some(grad.clone()), None, Some(gathered(op, grad, &places(op)))])
}

/// Returns the gradients of `value * dense`: `grad * dense` for values, the sum of `grad *
/// value` for each dense element.
pub(super) fn dense_cwise_mul_gradient(
    op: &Operation,
    grads: &[Option<Output>],
) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 4]) };
    let places = places(op);
    let of_values = mul(grad, gather_nd(op.input(3), &places));
    let of_dense = gathered(op, &mul(grad, op.input(1)), &places);
    Ok(vec![None, Some(of_values), None, Some(of_dense)])
}

/// Returns the gradients of `value / dense`: `grad / dense`, and the sum of `-grad * value / dense^2`.
pub(super) fn dense_cwise_div_gradient(
    op: &Operation,
    grads: &[Option<Output>],
) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 4]) };
    let places = places(op);
    let divisors = gather_nd(op.input(3), &places);
    let of_values = real_div(grad, &divisors);
    let slopes = neg(real_div(op.input(1), square(&divisors)));
    Ok(vec![None, Some(of_values), None, Some(gathered(op, &mul(grad, slopes), &places))])
}
