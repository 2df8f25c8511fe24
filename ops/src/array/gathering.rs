//! Picking entries by index, and putting entries at indices.

use super::constants::{range, scalar_like, scalar_tensor, zeros_like};
use super::shaping::{invert_permutation, rank, reshape, shape, transpose};
use super::slicing::{Index, slice, strided_slice};
use crate::arguments::Ints;
use crate::gradients::broadcasting::shape_of;
use crate::library::op_defs;
use crate::math::binary::{add, mul, real_div};
use crate::math::cast::cast;
use crate::math::compare::equal;
use crate::math::reduce::{from_start, reduce_prod};
use crate::math::segment::unsorted_segment_sum;
use crate::math::unary::neg;
use crate::shapes::{self, shape_from};
use crate::static_value;
use session_core::{
    AsOutput, AttrValue, Code, Error, OpDef, Operation, Output, PartialShape, Result, ShapeContext,
};
use tensor::{DType, Tensor};

op_defs! {
    GATHER: OpDef::new("Gather", "params: Tparams, indices: Tindices -> output: Tparams")
        .attrs("validate_indices: bool = true, Tparams: type, Tindices: indextype")
        .shape(gather_shape)
        .gradient(gather_gradient);
    GATHER_V2: OpDef::new("GatherV2", "params: Tparams, indices: Tindices, axis: Taxis -> output: Tparams")
        .attrs("batch_dims: int32 = 0, Tparams: type, Tindices: {int16, int32, int64}, Taxis: indextype")
        .shape(gather_v2_shape)
        .gradient(gather_v2_gradient);
    GATHER_ND: OpDef::new("GatherNd", "params: Tparams, indices: Tindices -> output: Tparams")
        .attrs("Tparams: type, Tindices: {int16, int32, int64}, bad_indices_policy: string = \"\"")
        .shape(gather_nd_shape)
        .gradient(gather_nd_gradient);
    SCATTER_ND: OpDef::new("ScatterNd", "indices: Tindices, updates: T, shape: Tindices -> output: T")
        .attrs("T: type, Tindices: {int16, int32, int64}, bad_indices_policy: string = \"\"")
        .shape(scatter_nd_shape)
        .gradient(scatter_nd_gradient);
    TENSOR_SCATTER_UPDATE: OpDef::new(
        "TensorScatterUpdate",
        "tensor: T, indices: Tindices, updates: T -> output: T",
    )
    .attrs("T: type, Tindices: {int16, int32, int64, uint16}, bad_indices_policy: string = \"\"")
    .shape(tensor_scatter_shape)
    .gradient(tensor_scatter_update_gradient);
    TENSOR_SCATTER_ADD: OpDef::new("TensorScatterAdd", "tensor: T, indices: Tindices, updates: T -> output: T")
        .attrs("T: type, Tindices: indextype, bad_indices_policy: string = \"\"")
        .shape(tensor_scatter_shape)
        .gradient(tensor_scatter_add_gradient);
    SCATTER_ND_NON_ALIASING_ADD: OpDef::new(
        "ScatterNdNonAliasingAdd",
        "input: T, indices: Tindices, updates: T -> output: T",
    )
    .attrs(
        "T: {float, double, int32, uint8, int16, int8, complex64, int64, qint8, quint8, qint32, bfloat16, qint16, quint16, \
         uint16, complex128, half, uint32, uint64, bool}, Tindices: indextype, bad_indices_policy: string = \"\"",
    )
    .shape(tensor_scatter_shape)
    .gradient(tensor_scatter_add_gradient);
    TENSOR_SCATTER_SUB: OpDef::new("TensorScatterSub", "tensor: T, indices: Tindices, updates: T -> output: T")
        .attrs("T: type, Tindices: indextype, bad_indices_policy: string = \"\"")
        .shape(tensor_scatter_shape)
        .gradient(tensor_scatter_sub_gradient);
    TENSOR_SCATTER_MIN: OpDef::new("TensorScatterMin", "tensor: T, indices: Tindices, updates: T -> output: T")
        .attrs("T: type, Tindices: indextype, bad_indices_policy: string = \"\"")
        .shape(tensor_scatter_shape)
        .gradient(tensor_scatter_extreme_gradient);
    TENSOR_SCATTER_MAX: OpDef::new("TensorScatterMax", "tensor: T, indices: Tindices, updates: T -> output: T")
        .attrs("T: type, Tindices: indextype, bad_indices_policy: string = \"\"")
        .shape(tensor_scatter_shape)
        .gradient(tensor_scatter_extreme_gradient);
    ONE_HOT: OpDef::new("OneHot", "indices: TI, depth: int32, on_value: T, off_value: T -> output: T")
        .attrs("axis: int32 = -1, T: type, TI: {uint8, int8, int32, int64} = int64")
        .shape(one_hot_shape)
        .not_differentiable();
}

/// Infers the shape of the result.
fn gather_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (params, indices) = (shapes::at_least_rank(context, 0, 1)?, context.input(1));
    let rest = params.rank().map_or_else(PartialShape::unknown, |rank| params.range(1, rank));
    context.set(0, indices.concat(&rest));
    Ok(())
}

/// Infers the shape of the result.
fn gather_v2_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    shapes::must_be_scalar(context, 2)?;
    let (params, indices) = (shapes::at_least_rank(context, 0, 1)?, context.input(1));
    let batch_dims = shapes::int_attr(context, "batch_dims")?;
    let (Some(rank), Some(indices_rank), Some(axis)) =
        (params.rank(), indices.rank(), shapes::int(context, 2))
    else {
        return Ok(());
    };
    let axis = shapes::axis_index(axis, rank)?;
    // Counted from the end of the indices' axes, as in TensorFlow.
    let batch = if batch_dims < 0 { batch_dims + indices_rank as i64 } else { batch_dims };
    let batch = usize::try_from(batch).ok().filter(|&batch| batch <= axis && batch <= indices_rank);
    let batch = batch.ok_or_else(|| {
        Error::value(format!(
            "{batch_dims} batch axes do not fit axis {axis} of {params} and indices {indices}"
        ))
    })?;
    shapes::merge(&params.range(0, batch), &indices.range(0, batch))?;
    // `params[:axis] + indices[batch:] + params[axis + 1:]`
    let shape = params.range(0, axis).concat(&indices.range(batch, indices_rank));
    context.set(0, shape.concat(&params.range(axis + 1, rank)));
    Ok(())
}

/// Returns the number of leading axes that each index of `indices` picks from, if it is known.
fn index_depth(indices: &PartialShape) -> Result<Option<usize>> {
    match indices.rank() {
        Some(0) => Err(Error::value("indices must have at least one axis")),
        _ => Ok(indices.dim_from_end(0)),
    }
}

/// Infers the shape of the result.
fn gather_nd_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (params, indices) = (context.input(0), context.input(1));
    let (Some(depth), Some(rank)) = (index_depth(&indices)?, params.rank()) else { return Ok(()) };
    if depth > rank {
        return Err(Error::value(format!("indices of {depth} numbers are too long for shape {params}")));
    }
    let places = indices.range(0, indices.rank().unwrap_or(1) - 1);
    context.set(0, places.concat(&params.range(depth, rank)));
    Ok(())
}

/// Checks that updates fit indices into a tensor of this shape.
fn check_updates(shape: &PartialShape, indices: &PartialShape, updates: &PartialShape) -> Result<()> {
    let (Some(depth), Some(rank), Some(indices_rank)) = (index_depth(indices)?, shape.rank(), indices.rank())
    else {
        return Ok(());
    };
    let error = || {
        Error::value(format!(
            "updates of shape {updates} do not fit indices {indices} into a tensor of shape {shape}"
        ))
    };
    if depth > rank {
        return Err(error());
    }
    // `indices[:-1] + shape[depth:]`
    let expected = indices.range(0, indices_rank - 1).concat(&shape.range(depth, rank));
    expected.merge(updates).map(drop).ok_or_else(error)
}

/// Infers the shape of the result.
fn scatter_nd_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = shape_from(&context.inputs()[2])?;
    check_updates(&shape, &context.input(0), &context.input(1))?;
    context.set(0, shape);
    Ok(())
}

/// Infers the shape of the result.
fn tensor_scatter_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = shapes::at_least_rank(context, 0, 1)?;
    check_updates(&shape, &context.input(1), &context.input(2))?;
    context.set(0, shape);
    Ok(())
}

/// Infers the shape of the result.
fn one_hot_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    for index in 1..4 {
        shapes::must_be_scalar(context, index)?;
    }
    let indices = context.input(0);
    let depth = match shapes::int(context, 1) {
        Some(depth) if depth < 0 => {
            return Err(Error::value(format!("depth must not be negative ({depth})")));
        }
        depth => depth.and_then(|depth| usize::try_from(depth).ok()),
    };
    let Some(rank) = indices.rank() else { return Ok(()) };
    let axis = shapes::axis_index(shapes::int_attr(context, "axis")?, rank + 1)?;
    let shape =
        indices.range(0, axis).concat(&PartialShape::from([depth])).concat(&indices.range(axis, rank));
    context.set(0, shape);
    Ok(())
}

/// Builds the gradient.
fn gather_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let gradient = |grad: &Output| scatter_rows(grad, &op.input(1), &op.input(0));
    Ok(vec![grads[0].as_ref().map(gradient), None])
}

/// Adds up the gradients of rows where the rows came from. A sparse optimizer looks for this operation, see
/// [`IndexedSlices`](crate::IndexedSlices).
pub(crate) fn scatter_rows(grad: &Output, indices: &Output, params: &Output) -> Output {
    let rows = match params.shape().dim(0) {
        Some(rows) => Ints::from(rows),
        None => Ints::from(strided_slice(shape(params), &[Index::At(0)])),
    };
    // Indices of any other rank, unknown ones too, are flattened together with the rows of the gradient.
    if indices.shape().rank() == Some(1) {
        return unsorted_segment_sum(grad, indices, rows);
    }
    let values = match params.shape().range(1, usize::MAX).to_shape() {
        Some(row) => {
            let sizes =
                std::iter::once(-1).chain(row.iter().map(|&size| i64::try_from(size).unwrap_or(i64::MAX)));
            reshape(grad, sizes.collect::<Vec<i64>>())
        }
        None => {
            let row = strided_slice(shape(params), &[(1..).into()]);
            reshape(grad, super::joining::concat(&[one_open(&row), row], 0))
        }
    };
    unsorted_segment_sum(values, reshape(indices, [-1]), rows)
}

/// Returns the vector `[-1]` of the dtype of another.
fn one_open(like: &Output) -> Output {
    let minus_one = scalar_tensor(like.dtype(), -1.0).reshaped([1]).expect("a scalar is one element");
    super::constants::constant(&like.graph(), minus_one)
}

/// Builds the gradient.
fn gather_v2_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 3]) };
    let (params, indices) = (op.input(0), op.input(1));
    let batch_dims = op.attr("batch_dims").and_then(AttrValue::as_int).unwrap_or(0);
    let axis = static_value::int(&op.input(2));
    let rank = params.shape().rank();
    let axis = match (axis, rank) {
        (Some(axis), Some(rank)) => Some(shapes::axis_index(axis, rank)?),
        // From the end of an unknown number of axes it is computed.
        (axis, _) => axis.and_then(|axis| usize::try_from(axis).ok()),
    };
    let batch = match (usize::try_from(batch_dims), indices.shape().rank()) {
        (Ok(batch), _) => batch,
        (Err(_), Some(rank)) => usize::try_from(batch_dims + rank as i64)
            .map_err(|_| op.place(Error::value(format!("{batch_dims} batch axes do not fit the indices"))))?,
        (Err(_), None) => {
            let text = "there is no gradient of a gather with batch axes counted from the end of indices of unknown rank";
            return Err(op.place(Error::new(Code::Unimplemented, text)));
        }
    };
    let gradient = match (axis, batch, rank, indices.shape().rank()) {
        // Along the first axis no ranks are needed, and the result is recognized as rows of a table.
        (Some(0), 0, _, _) => scatter_rows(grad, &indices, &params),
        (Some(axis), 0, Some(_), Some(_)) => scatter_along(grad, &indices, &params, axis),
        (Some(axis), batch, _, _) if axis == batch => scatter_batches(grad, &indices, &shape(&params), batch),
        _ => scatter_moved(grad, &indices, &params, (&op.input(2), batch)),
    };
    Ok(vec![Some(gradient), None, None])
}

/// Works as [`scatter_along`] for an axis that is not the first after the batch axes, or that only the run tells: it is moved
/// there and back by permutations that are computed.
fn scatter_moved(
    grad: &Output,
    indices: &Output,
    params: &Output,
    (axis, batch): (&Output, usize),
) -> Output {
    let (sizes, rank) = (shape(params), rank(params));
    let (zero, one) = (scalar_like(&rank, 0.0), scalar_like(&rank, 1.0));
    let axis = from_start(&cast(axis, DType::Int32), &rank);
    let at = reshape(&axis, [1]);
    let next = add(&at, &one);
    let outer = slice(&sizes, [0], &at);
    let inner = slice(&sizes, &next, [-1]);
    // The axes of the indices are one here. Their number is not left for `reshape` to find, which could not where another
    // size is 0.
    let picked = strided_slice(shape(indices), &[Index::from(i64::try_from(batch).unwrap_or(i64::MAX)..)]);
    let picked = reshape(reduce_prod(picked, ..), [1]);
    let values = reshape(grad, super::joining::concat(&[outer, picked, inner], 0));
    let first = scalar_like(&rank, batch as f64);
    let parts = [
        range(&zero, &first, &one),
        at,
        range(&first, &axis, &one),
        range(reshape(&next, Ints::Vector(Vec::new())), &rank, &one),
    ];
    let forward = super::joining::concat(&parts, 0);
    let turned = gather(&sizes, &forward);
    let sum = scatter_batches(&transpose(values, &forward), indices, &turned, batch);
    reshape(transpose(sum, invert_permutation(forward)), shape_of(params))
}

/// Works as [`scatter_rows`] for entries along another axis, which is brought to the front and back.
fn scatter_along(grad: &Output, indices: &Output, params: &Output, axis: usize) -> Output {
    let (rank, added) = (params.shape().rank().unwrap_or(0), indices.shape().rank().unwrap_or(0));
    let all = grad.shape().rank().unwrap_or(rank + added - 1);
    // The axis moves to the front, rows are summed there, and the axes move back.
    let forward: Vec<usize> = (axis..axis + added).chain(0..axis).chain(axis + added..all).collect();
    let front: Vec<usize> = std::iter::once(axis).chain((0..rank).filter(|&other| other != axis)).collect();
    let turned_params = transpose(params, front.as_slice());
    let sum = scatter_rows(&transpose(grad, forward), indices, &turned_params);
    let back: Vec<usize> =
        (0..rank).map(|at| front.iter().position(|&from| from == at).unwrap_or(at)).collect();
    transpose(sum, back)
}

/// Works as [`scatter_rows`] within each batch, for entries of these sizes: batches are joined into one, in which each has its
/// own row numbers.
fn scatter_batches(grad: &Output, indices: &Output, sizes: &Output, batch: usize) -> Output {
    let upto = |end: usize| Index::from(..i64::try_from(end).unwrap_or(i64::MAX));
    let batches = reduce_prod(strided_slice(sizes, &[upto(batch)]), ..);
    let rows = strided_slice(sizes, &[Index::At(i64::try_from(batch).unwrap_or(i64::MAX))]);
    let (zero, one) = (scalar_like(&rows, 0.0), scalar_like(&rows, 1.0));
    // All batches are one table: the index of a row is counted from the beginning of its batch.
    let starts = mul(range(zero, &batches, one), &rows);
    let starts = crate::math::cast(reshape(starts, [-1, 1]), indices.dtype());
    // The number of indices is left open on one side only, so that it can be determined even if there are
    // none.
    let per_batch =
        reshape(indices, super::joining::stack(&[batches.clone(), scalar_like(&batches, -1.0)], 0));
    let numbers = reshape(add(per_batch, starts), [-1]);
    let row =
        strided_slice(sizes, &[Index::from(i64::try_from(batch).unwrap_or(i64::MAX).saturating_add(1)..)]);
    let values = reshape(grad, super::joining::concat(&[one_open(&row), row], 0));
    reshape(unsorted_segment_sum(values, numbers, mul(batches, rows)), sizes)
}

/// Returns a tensor's shape with the dtype of indices into it.
///
/// Returns the shape of a tensor in the dtype of the indices, as `ScatterNd` requires.
fn shape_for(indices: &Output, tensor: &Output) -> Output {
    match (indices.dtype(), tensor.shape().to_shape()) {
        (DType::Int64, Some(known)) => {
            let sizes: Vec<i64> = known.iter().map(|&size| i64::try_from(size).unwrap_or(i64::MAX)).collect();
            super::constants::constant(&indices.graph(), Tensor::from(sizes))
        }
        (DType::Int64, None) => super::shaping::shape_as(tensor, DType::Int64),
        (dtype, _) => crate::math::cast(shape(tensor), dtype),
    }
}

/// Builds the gradient.
fn gather_nd_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let (params, indices) = (op.input(0), op.input(1));
    let gradient = |grad: &Output| scatter_nd(&indices, grad, shape_for(&indices, &params));
    Ok(vec![grads[0].as_ref().map(gradient), None])
}

/// Builds the gradient.
fn scatter_nd_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    Ok(vec![None, grads[0].as_ref().map(|grad| gather_nd(grad, op.input(0))), None])
}

/// Builds the gradient.
fn tensor_scatter_update_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 3]) };
    let (indices, updates) = (op.input(1), op.input(2));
    // What was overwritten has no influence.
    let kept = tensor_scatter_update(grad, &indices, zeros_like(updates));
    Ok(vec![Some(kept), None, Some(gather_nd(grad, &indices))])
}

/// Builds the gradient.
fn tensor_scatter_add_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 3]) };
    Ok(vec![Some(grad.clone()), None, Some(gather_nd(grad, op.input(1)))])
}

/// Builds the gradient.
fn tensor_scatter_sub_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 3]) };
    Ok(vec![Some(grad.clone()), None, Some(neg(gather_nd(grad, op.input(1))))])
}

/// Builds the gradient, which goes to the tensor or to the update that was taken; equal ones share it.
fn tensor_scatter_extreme_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 3]) };
    let (tensor, indices, updates, result) = (op.input(0), op.input(1), op.input(2), op.output(0));
    // The old value and all updates that equal the extreme share its gradient evenly, as in TensorFlow.
    let kept = cast(equal(&tensor, &result), grad.dtype());
    let taken = cast(equal(updates, gather_nd(&result, &indices)), grad.dtype());
    let counts = add(&kept, scatter_nd(&indices, &taken, shape_for(&indices, &tensor)));
    let share = real_div(grad, counts);
    Ok(vec![Some(mul(&share, kept)), None, Some(mul(gather_nd(share, indices), taken))])
}

/// Returns the entries of `params` along its first axis that the integers `indices` name.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [5, 2]);
/// let i = array::zeros(&graph, DType::Int32, [3]);
/// assert_eq!(array::gather(&x, &i).shape().to_string(), "[3,2]");
/// ```
#[must_use]
#[track_caller]
pub fn gather(params: impl AsOutput, indices: impl AsOutput) -> Output {
    gather_along(params, indices, 0)
}

/// Returns the entries of `params` along an axis that the integers `indices` name; the axis is replaced by the axes of
/// `indices`.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [5, 2]);
/// let i = array::zeros(&graph, DType::Int32, [3]);
/// assert_eq!(array::gather_along(&x, &i, 1).shape().to_string(), "[5,3]");
/// ```
#[must_use]
#[track_caller]
pub fn gather_along(params: impl AsOutput, indices: impl AsOutput, axis: impl Into<Ints>) -> Output {
    let builder = params.as_output().graph().op(&GATHER_V2).input(params).input(indices);
    axis.into().input_of(builder).finish_output()
}

/// Works as [`gather_along`] within each entry of the first `batch_dims` axes, which `params` and `indices`
/// have in common.
///
/// ```
/// # use ops::array::{self, constant};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let params = constant(&graph, [[10, 11, 12], [20, 21, 22]]);
/// let indices = constant(&graph, [[2], [0]]);
/// let y = array::gather_batches(&params, &indices, 1, 1); // [[12], [20]]
/// assert_eq!(y.shape().to_string(), "[2,1]");
/// ```
#[must_use]
#[track_caller]
pub fn gather_batches(
    params: impl AsOutput,
    indices: impl AsOutput,
    axis: impl Into<Ints>,
    batch_dims: i64,
) -> Output {
    let builder = params.as_output().graph().op(&GATHER_V2).input(params).input(indices);
    axis.into().input_of(builder).attr("batch_dims", batch_dims).finish_output()
}

/// Returns the entries of `params` that indices of several numbers name: those along the last axis of `indices`.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [5, 2]);
/// let i = array::zeros(&graph, DType::Int32, [3, 2]);
/// assert_eq!(array::gather_nd(&x, &i).shape().to_string(), "[3]");
/// ```
#[must_use]
#[track_caller]
pub fn gather_nd(params: impl AsOutput, indices: impl AsOutput) -> Output {
    params.as_output().graph().op(&GATHER_ND).input(params).input(indices).finish_output()
}

/// Returns a tensor of this shape whose elements are the sums of the updates at each index, and 0 elsewhere. `shape` has the dtype of
/// `indices`.
///
/// ```
/// # use ops::array::{self, constant};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let indices = constant(&graph, [[1], [3], [1]]);
/// let updates = constant(&graph, [1.0f32, 2.0, 4.0]);
/// let y = array::scatter_nd(&indices, &updates, constant(&graph, [5])); // [0.0, 5.0, 0.0, 2.0, 0.0]
/// assert_eq!(y.shape().to_string(), "[5]");
/// ```
#[must_use]
#[track_caller]
pub fn scatter_nd(indices: impl AsOutput, updates: impl AsOutput, shape: impl AsOutput) -> Output {
    let builder = indices.as_output().graph().op(&SCATTER_ND);
    builder.input(indices).input(updates).input(shape).finish_output()
}

/// Returns a copy of a tensor with the entries at these indices replaced.
///
/// ```
/// # use ops::array::{self, constant};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let x = constant(&graph, [1.0f32, 2.0, 3.0]);
/// let y = array::tensor_scatter_update(&x, constant(&graph, [[1]]), constant(&graph, [9.0f32])); // [1.0, 9.0, 3.0]
/// assert_eq!(y.shape().to_string(), "[3]");
/// ```
#[must_use]
#[track_caller]
pub fn tensor_scatter_update(
    tensor: impl AsOutput,
    indices: impl AsOutput,
    updates: impl AsOutput,
) -> Output {
    let builder = tensor.as_output().graph().op(&TENSOR_SCATTER_UPDATE);
    builder.input(tensor).input(indices).input(updates).finish_output()
}

/// Returns a copy of a tensor with updates added to the entries at these indices.
///
/// ```
/// # use ops::array::{self, constant};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let x = constant(&graph, [1.0f32, 2.0, 3.0]);
/// let y = array::tensor_scatter_add(&x, constant(&graph, [[1]]), constant(&graph, [9.0f32])); // [1.0, 11.0, 3.0]
/// assert_eq!(y.shape().to_string(), "[3]");
/// ```
#[must_use]
#[track_caller]
pub fn tensor_scatter_add(tensor: impl AsOutput, indices: impl AsOutput, updates: impl AsOutput) -> Output {
    let builder = tensor.as_output().graph().op(&TENSOR_SCATTER_ADD);
    builder.input(tensor).input(indices).input(updates).finish_output()
}

/// Returns a copy of a tensor with updates added to the entries at these indices, as [`tensor_scatter_add`] does: TensorFlow 1's name
/// for it.
///
/// ```
/// # use ops::array::{self, constant};
/// # let graph = session_core::Graph::new();
/// let x = constant(&graph, [1.0f32, 2.0, 3.0]);
/// let y = array::scatter_nd_non_aliasing_add(&x, constant(&graph, [[1]]), constant(&graph, [9.0f32])); // [1.0, 11.0, 3.0]
/// assert_eq!(y.shape().to_string(), "[3]");
/// ```
#[must_use]
#[track_caller]
pub fn scatter_nd_non_aliasing_add(
    input: impl AsOutput,
    indices: impl AsOutput,
    updates: impl AsOutput,
) -> Output {
    let builder = input.as_output().graph().op(&SCATTER_ND_NON_ALIASING_ADD).input(input);
    builder.input(indices).input(updates).finish_output()
}

/// Returns a copy of the tensor from which the updates are subtracted at these indices. Updates of the same index add up.
///
/// ```
/// use ops::array::{constant, tensor_scatter_sub};
/// let graph = session_core::Graph::new();
/// let x = constant(&graph, [1.0f32, 2.0, 3.0]);
/// let y = tensor_scatter_sub(&x, constant(&graph, [[1], [1]]), constant(&graph, [9.0f32, 1.0])); // [1.0, -8.0, 3.0]
/// assert_eq!(y.shape().to_string(), "[3]");
/// ```
#[must_use]
#[track_caller]
pub fn tensor_scatter_sub(tensor: impl AsOutput, indices: impl AsOutput, updates: impl AsOutput) -> Output {
    let builder = tensor.as_output().graph().op(&TENSOR_SCATTER_SUB).input(tensor);
    builder.input(indices).input(updates).finish_output()
}

/// Returns a copy of the tensor in which each slice at an index is the elementwise minimum of the slice and all updates of the index.
///
/// ```
/// use ops::array::{constant, tensor_scatter_min};
/// let graph = session_core::Graph::new();
/// let x = constant(&graph, [1.0f32, 2.0, 3.0]);
/// let y = tensor_scatter_min(&x, constant(&graph, [[1], [2]]), constant(&graph, [9.0f32, 0.0])); // [1.0, 2.0, 0.0]
/// assert_eq!(y.shape().to_string(), "[3]");
/// ```
#[must_use]
#[track_caller]
pub fn tensor_scatter_min(tensor: impl AsOutput, indices: impl AsOutput, updates: impl AsOutput) -> Output {
    let builder = tensor.as_output().graph().op(&TENSOR_SCATTER_MIN).input(tensor);
    builder.input(indices).input(updates).finish_output()
}

/// Returns a copy of the tensor in which each slice at an index is the elementwise maximum of the slice and all updates of the index.
///
/// ```
/// use ops::array::{constant, tensor_scatter_max};
/// let graph = session_core::Graph::new();
/// let x = constant(&graph, [1.0f32, 2.0, 3.0]);
/// let y = tensor_scatter_max(&x, constant(&graph, [[1], [2]]), constant(&graph, [9.0f32, 0.0])); // [1.0, 9.0, 3.0]
/// assert_eq!(y.shape().to_string(), "[3]");
/// ```
#[must_use]
#[track_caller]
pub fn tensor_scatter_max(tensor: impl AsOutput, indices: impl AsOutput, updates: impl AsOutput) -> Output {
    let builder = tensor.as_output().graph().op(&TENSOR_SCATTER_MAX).input(tensor);
    builder.input(indices).input(updates).finish_output()
}

/// Returns for each index a vector of `depth` numbers along a new last axis: 1 at the index, 0 elsewhere. For an index
/// out of range, all numbers are 0.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let i = array::zeros(&graph, DType::Int32, [4]);
/// assert_eq!(array::one_hot(&i, 10, DType::Float32).shape().to_string(), "[4,10]");
/// ```
#[must_use]
#[track_caller]
pub fn one_hot(indices: impl AsOutput, depth: impl Into<Ints>, dtype: DType) -> Output {
    one_hot_with(indices, depth, scalar_tensor(dtype, 1.0), scalar_tensor(dtype, 0.0), -1)
}

/// Works as [`one_hot`], with other numbers than 1 and 0, which are scalars of one dtype, along a new axis at position `axis`.
///
/// ```
/// # use ops::array::{self, constant};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let labels = constant(&graph, [0, 2]);
/// let y = array::one_hot_with(&labels, 3, 0.9f32, 0.05f32, 0); // [[0.9, 0.05], [0.05, 0.05], [0.05, 0.9]]
/// assert_eq!(y.shape().to_string(), "[3,2]");
/// ```
#[must_use]
#[track_caller]
pub fn one_hot_with(
    indices: impl AsOutput,
    depth: impl Into<Ints>,
    on_value: impl Into<Tensor>,
    off_value: impl Into<Tensor>,
    axis: i64,
) -> Output {
    let builder = indices.as_output().graph().op(&ONE_HOT).default_name("one_hot").input(indices);
    let builder = depth.into().input_of(builder).constant(on_value).constant(off_value);
    builder.attr("axis", axis).finish_output()
}
