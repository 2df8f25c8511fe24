//! Distributing rows by number, and putting them together again.

use super::constants::{range, scalar_like, zeros_like};
use super::gathering::gather;
use super::graph_of;
use super::shaping::{reshape, size};
use crate::gradients::broadcasting::shape_of;
use crate::library::op_defs;
use crate::shapes;
use session_core::{
    AsOutput, AttrValue, Error, OpDef, Operation, Output, PartialShape, Result, ShapeContext,
};

op_defs! {
    DYNAMIC_PARTITION: OpDef::new("DynamicPartition", "data: T, partitions: int32 -> outputs: num_partitions * T")
        .attrs("num_partitions: int >= 1, T: type")
        .shape(dynamic_partition_shape)
        .gradient(dynamic_partition_gradient);
    DYNAMIC_STITCH: OpDef::new("DynamicStitch", "indices: N * int32, data: N * T -> merged: T")
        .attrs("N: int >= 1, T: type")
        .shape(dynamic_stitch_shape)
        .gradient(dynamic_stitch_gradient);
    PARALLEL_DYNAMIC_STITCH: OpDef::new("ParallelDynamicStitch", "indices: N * int32, data: N * T -> merged: T")
        .attrs("N: int >= 1, T: type")
        .shape(dynamic_stitch_shape)
        .gradient(dynamic_stitch_gradient);
}

/// Returns the shape of a row: the dimensions of `data` after those of `indices`, with which it must begin.
fn row_shape(data: &PartialShape, indices: &PartialShape) -> Result<PartialShape> {
    let (Some(rank), Some(data_rank)) = (indices.rank(), data.rank()) else {
        return Ok(PartialShape::unknown());
    };
    if rank > data_rank || data.range(0, rank).merge(indices).is_none() {
        return Err(Error::value(format!("the shape {data} of the data must begin with {indices}")));
    }
    Ok(data.range(rank, data_rank))
}

/// Infers the shape of the result.
fn dynamic_partition_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let row = row_shape(&context.input(0), &context.input(1))?;
    // How many rows go to each part is known only in the run.
    let shape = PartialShape::of_rank(1).concat(&row);
    (0..context.outputs()).for_each(|index| context.set(index, shape.clone()));
    Ok(())
}

/// Infers the shape of the result.
fn dynamic_stitch_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let count = context.inputs().len() / 2;
    let mut row = PartialShape::unknown();
    for index in 0..count {
        let own = row_shape(&context.input(count + index), &context.input(index))?;
        row = shapes::merge(&row, &own)?;
    }
    let indices: Option<Vec<i64>> = (0..count)
        .map(|index| shapes::ints(context, index))
        .collect::<Option<Vec<_>>>()
        .map(|all| all.concat());
    // Rows up to the largest index are made, also those that no index names.
    let rows = indices.and_then(|all| usize::try_from(all.into_iter().max().map_or(0, |last| last + 1)).ok());
    context.set(0, PartialShape::from([rows]).concat(&row));
    Ok(())
}

/// Builds the gradient: row numbers are partitioned as the rows were, so they show which row each gradient belongs to.
fn dynamic_partition_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    if grads.iter().all(Option::is_none) {
        return Ok(vec![None, None]);
    }
    let (data, partitions) = (op.input(0), op.input(1));
    let count = size(&partitions);
    // Partitioned like the data, the places of the elements tell where each gradient belongs.
    let numbers =
        reshape(range(scalar_like(&count, 0.0), &count, scalar_like(&count, 1.0)), shape_of(&partitions));
    let parts = op.attr("num_partitions").and_then(AttrValue::as_int).unwrap_or(0);
    let numbers = dynamic_partition(numbers, &partitions, usize::try_from(parts).unwrap_or(0));
    let grads: Vec<Output> = grads
        .iter()
        .enumerate()
        .map(|(index, grad)| grad.clone().unwrap_or_else(|| zeros_like(op.output(index))))
        .collect();
    Ok(vec![Some(reshape(dynamic_stitch(&numbers, &grads), shape_of(&data))), None])
}

/// Builds the gradient.
fn dynamic_stitch_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    // An index listed twice keeps the row that was written last, but its gradient
    // goes to both, as in TensorFlow.
    let inputs = op.inputs();
    let mut result = vec![None; inputs.len()];
    let Some(grad) = &grads[0] else { return Ok(result) };
    let count = inputs.len() / 2;
    for (index, indices) in inputs[..count].iter().enumerate() {
        result[count + index] = Some(gather(grad, indices));
    }
    Ok(result)
}

/// Splits `data` into `count` tensors: row `i` goes into the tensor of number `partitions[i]`. The shape of `partitions` is a prefix of
/// that of `data`.
///
/// ```
/// # use ops::array::{self, constant};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let data = constant(&graph, [10, 20, 30]);
/// let parts = array::dynamic_partition(&data, constant(&graph, [1, 0, 1]), 2); // [20] and [10, 30]
/// assert_eq!(parts.len(), 2);
/// ```
#[must_use]
#[track_caller]
pub fn dynamic_partition(data: impl AsOutput, partitions: impl AsOutput, count: usize) -> Vec<Output> {
    let builder = data.as_output().graph().op(&DYNAMIC_PARTITION).input(data).input(partitions);
    builder.attr("num_partitions", count).finish().outputs()
}

/// Merges the rows of all of `data` into one tensor: row `j` of `data[i]` goes to position `indices[i][j]`. If several rows have one
/// position, the last one is taken.
///
/// ```
/// # use ops::array::{self, constant};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let indices = [constant(&graph, [1]), constant(&graph, [0, 2])];
/// let data = [constant(&graph, [20]), constant(&graph, [10, 30])];
/// let merged = array::dynamic_stitch(&indices, &data); // [10, 20, 30]
/// assert_eq!(merged.dtype(), DType::Int32);
/// ```
#[must_use]
#[track_caller]
pub fn dynamic_stitch<I: AsOutput, D: AsOutput>(indices: &[I], data: &[D]) -> Output {
    graph_of(indices).op(&DYNAMIC_STITCH).input_list(indices).input_list(data).finish_output()
}
