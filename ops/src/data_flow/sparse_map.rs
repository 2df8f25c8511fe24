//! Sparse tensors that the session stores while their handles pass through a queue.

use crate::library::op_defs;
use crate::parsing::SparseTensor;
use crate::shapes::scalar;
use session_core::{AsOutput, OpDef, Output, PartialShape, Result, ShapeContext};

const ATTRS: &str = "T: type, container: string = \"\", shared_name: string = \"\"";

/// The rank of the tensors that were put in, where the caller declares it; nothing else reads it.
const RANK: &str = "_rank";

op_defs! {
    ADD_SPARSE_TO_TENSORS_MAP: OpDef::new("AddSparseToTensorsMap", "sparse_indices: int64, sparse_values: T, sparse_shape: int64 -> sparse_handle: int64")
        .attrs(ATTRS).stateful().shape(scalar).not_differentiable();
    ADD_MANY_SPARSE_TO_TENSORS_MAP: OpDef::new("AddManySparseToTensorsMap", "sparse_indices: int64, sparse_values: T, sparse_shape: int64 -> sparse_handles: int64")
        .attrs(ATTRS).stateful().shape(vector).not_differentiable();
    TAKE_MANY_SPARSE_FROM_TENSORS_MAP: OpDef::new("TakeManySparseFromTensorsMap", "sparse_handles: int64 -> sparse_indices: int64, sparse_values: dtype, sparse_shape: int64")
        .attrs("dtype: type, container: string = \"\", shared_name: string = \"\"")
        .stateful().shape(taken_shape).not_differentiable();
}

fn vector(context: &mut ShapeContext<'_>) -> Result<()> {
    context.set(0, PartialShape::of_rank(1));
    Ok(())
}

/// Infers the shape of the result.
fn taken_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let rank = context.attr(RANK).and_then(|rank| usize::try_from(rank.as_int()?).ok());
    let rank = rank.map(|rank| rank + 1);
    context.set(0, PartialShape::from([None, rank]));
    context.set(1, PartialShape::of_rank(1));
    context.set(2, PartialShape::from([rank]));
    Ok(())
}

/// Stores a sparse tensor in the session and returns its handle, a scalar `int64`, which can pass through a queue.
///
/// The session stores the tensor until [`take_many_sparse`] takes it, so a lost handle is lost memory. Operations with the same
/// `shared_name` share their handles. Without a shared name the operation has handles of its own, under its name.
#[must_use]
#[track_caller]
pub fn add_sparse(sparse: &SparseTensor, shared_name: &str) -> Output {
    let builder = sparse.input_of(sparse.indices.graph().op(&ADD_SPARSE_TO_TENSORS_MAP));
    builder.attr("shared_name", shared_name).finish_output()
}

/// Works as [`add_sparse`] for each entry along the first dimension: returns a vector of handles.
#[must_use]
#[track_caller]
pub fn add_many_sparse(sparse: &SparseTensor, shared_name: &str) -> Output {
    let builder = sparse.input_of(sparse.indices.graph().op(&ADD_MANY_SPARSE_TO_TENSORS_MAP));
    builder.attr("shared_name", shared_name).finish_output()
}

/// Returns the sparse tensors that a vector of numbers stands for, as one of one dimension more, as large as the largest of them;
/// the session forgets them. `added` is what [`add_sparse`] or [`add_many_sparse`] gave for `like`, of which only the
/// dtype and the rank matter.
///
/// Numbers that were never returned, or that were taken already, are `InvalidArgument` when it runs.
///
/// ```
/// use ops::array::{constant, stack};
/// use ops::data_flow::{add_sparse, take_many_sparse};
/// use ops::parsing::SparseTensor;
/// use session_core::{Graph, Tensor};
///
/// let graph = Graph::new();
/// let row = SparseTensor {
///     indices: constant(&graph, Tensor::from([[1i64]])),
///     values: constant(&graph, Tensor::from([2.5f32])),
///     dense_shape: constant(&graph, Tensor::from([4i64])),
/// };
/// let number = add_sparse(&row, "");
/// let both = take_many_sparse(stack(&[&number, &number], 0), &number, &row);
/// assert_eq!(both.indices.shape().to_string(), "[?,2]");
/// # graph.finalize().unwrap();
/// ```
#[must_use]
#[track_caller]
pub fn take_many_sparse(numbers: impl AsOutput, added: &Output, like: &SparseTensor) -> SparseTensor {
    let adder = added.operation();
    let shared = adder.attr("shared_name").and_then(|name| name.as_str()).filter(|name| !name.is_empty());
    let name = shared.unwrap_or(adder.name()).to_owned();
    let numbers = numbers.as_output();
    let builder = numbers.graph().op(&TAKE_MANY_SPARSE_FROM_TENSORS_MAP).input(numbers);
    let mut builder = builder.attr("dtype", like.values.dtype()).attr("shared_name", name);
    let whole = like.rank();
    let rank = if adder.op_type() == ADD_MANY_SPARSE_TO_TENSORS_MAP.name() {
        whole.map(|rank| rank.saturating_sub(1))
    } else {
        whole
    };
    if let Some(rank) = rank {
        builder = builder.attr(RANK, rank);
    }
    SparseTensor::of(&builder.finish(), [0, 1, 2])
}
