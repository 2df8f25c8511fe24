//! Joining tensors along an axis, and taking them apart.

use super::constants::zeros_like;
use super::graph_of;
use super::identity::same_tensor;
use super::shaping::shape_n;
use super::slicing::slice;
use crate::arguments::Ints;
use crate::library::op_defs;
use crate::shapes;
use crate::static_value;
use session_core::{
    AsOutput, AttrValue, Error, OpDef, Operation, Output, PartialShape, Result, ShapeContext,
};

op_defs! {
    CONCAT_V2: OpDef::new("ConcatV2", "values: N * T, axis: Tidx -> output: T")
        .attrs("N: int >= 2, T: type, Tidx: indextype = int32")
        .shape(concat_v2_shape)
        .gradient(concat_v2_gradient);
    CONCAT: OpDef::new("Concat", "concat_dim: int32, values: N * T -> output: T")
        .attrs("N: int >= 2, T: type")
        .shape(concat_shape)
        .gradient(concat_gradient);
    CONCAT_OFFSET: OpDef::new("ConcatOffset", "concat_dim: int32, shape: N * shape_type -> offset: N * shape_type")
        .attrs("N: int >= 2, shape_type: indextype = int32")
        .shape(concat_offset_shape)
        .not_differentiable();
    SPLIT: OpDef::new("Split", "split_dim: int32, value: T -> output: num_split * T")
        .attrs("num_split: int >= 1, T: type")
        .shape(split_shape)
        .gradient(split_gradient);
    SPLIT_V: OpDef::new("SplitV", "value: T, size_splits: Tlen, split_dim: int32 -> output: num_split * T")
        .attrs("num_split: int >= 1, T: type, Tlen: {int8, int32, int64} = int64")
        .shape(split_v_shape)
        .gradient(split_v_gradient);
    PACK: OpDef::new("Pack", "values: N * T -> output: T")
        .attrs("N: int >= 1, T: type, axis: int32 = 0")
        .shape(pack_shape)
        .gradient(pack_gradient);
    UNPACK: OpDef::new("Unpack", "value: T -> output: num * T")
        .attrs("num: int >= 0, T: type, axis: int32 = 0")
        .shape(unpack_shape)
        .gradient(unpack_gradient);
    PARALLEL_CONCAT: OpDef::new("ParallelConcat", "values: N * T -> output: T")
        .attrs("N: int >= 1, T: type, shape: shape")
        .shape(parallel_concat_shape);
}

/// Infers the shape of the result.
fn concat_v2_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let count = context.inputs().len() - 1;
    join_shape(context, 0..count, count)
}

/// Infers the shape of the result.
fn concat_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let count = context.inputs().len();
    join_shape(context, 1..count, 0)
}

/// Infers the shape of the result.
fn join_shape(context: &mut ShapeContext<'_>, values: std::ops::Range<usize>, axis: usize) -> Result<()> {
    shapes::must_be_scalar(context, axis)?;
    let parts: Vec<PartialShape> = values.map(|index| context.input(index)).collect();
    if parts.len() < 2 {
        return Err(Error::value("at least two tensors are needed to join them"));
    }
    // One known rank is enough: all parts have the same.
    let Some(rank) = parts.iter().find_map(PartialShape::rank) else { return Ok(()) };
    let shape = match shapes::int(context, axis) {
        Some(axis) => joined(&parts, shapes::axis_index(axis, rank)?)?,
        // The axis is computed, so any size may be a sum.
        None => PartialShape::of_rank(rank),
    };
    context.set(0, shape);
    Ok(())
}

/// Returns the shape of tensors joined along an axis; the other sizes must be equal.
fn joined(parts: &[PartialShape], axis: usize) -> Result<PartialShape> {
    let mut shape = PartialShape::unknown();
    for part in parts {
        // Along the axis the sizes may differ; everywhere else they complete each other.
        let open = part.with_dim(axis, None);
        shape = shape.merge(&open).ok_or_else(|| {
            let first = &parts[0];
            Error::value(format!(
                "shapes {first} and {part} differ in more than axis {axis}, along which they are joined"
            ))
        })?;
    }
    let sum = parts.iter().try_fold(Some(0), |sum, part| shapes::plus(sum, part.dim(axis)))?;
    Ok(shape.with_dim(axis, sum))
}

/// Infers the shape of the result.
fn concat_offset_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    shapes::must_be_scalar(context, 0)?;
    for index in 0..context.outputs() {
        let shape = context.input_of_rank(index + 1, 1)?;
        context.set(index, shape);
    }
    Ok(())
}

/// Infers the shape of the result.
fn split_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    shapes::must_be_scalar(context, 0)?;
    let (value, count) = (context.input(1), context.outputs());
    let Some(rank) = value.rank() else { return Ok(()) };
    let part = match shapes::int(context, 0) {
        None => PartialShape::of_rank(rank),
        Some(axis) => {
            let axis = shapes::axis_index(axis, rank)?;
            if value.dim(axis).is_some_and(|size| count == 0 || size % count != 0) {
                let text = format!("axis {axis} of shape {value} cannot be split into {count} equal parts");
                return Err(Error::value(text));
            }
            value.with_dim(axis, value.dim(axis).map(|size| size / count))
        }
    };
    (0..count).for_each(|index| context.set(index, part.clone()));
    Ok(())
}

/// Infers the shape of the result.
fn split_v_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    shapes::must_be_scalar(context, 2)?;
    let (value, count) = (context.input(0), context.outputs());
    let Some(rank) = value.rank() else { return Ok(()) };
    let Some(axis) = shapes::int(context, 2) else {
        (0..count).for_each(|index| context.set(index, PartialShape::of_rank(rank)));
        return Ok(());
    };
    let axis = shapes::axis_index(axis, rank)?;
    let sizes = match shapes::ints(context, 1) {
        Some(sizes) => part_sizes(&sizes, value.dim(axis), count)?,
        None => vec![None; count],
    };
    for (index, size) in sizes.into_iter().enumerate() {
        context.set(index, value.with_dim(axis, size));
    }
    Ok(())
}

/// Returns the sizes of parts, of which one may be -1: what remains.
fn part_sizes(sizes: &[i64], whole: Option<usize>, count: usize) -> Result<Vec<Option<usize>>> {
    if sizes.len() != count {
        return Err(Error::value(format!("{} sizes for {count} parts", sizes.len())));
    }
    let given = sizes.iter().filter_map(|&size| usize::try_from(size).ok());
    let given = given.into_iter().try_fold(0, |sum: usize, size| sum.checked_add(size));
    let given = given.ok_or_else(|| Error::value(format!("the sum of the sizes {sizes:?} overflows")))?;
    let open = sizes.iter().filter(|&&size| size < 0).count();
    // At most one size may be -1, and without one the sizes must fill the axis exactly.
    if open > 1 || whole.is_some_and(|whole| given > whole || (open == 0 && given != whole)) {
        let whole = whole.map_or_else(|| "?".to_owned(), |whole| whole.to_string());
        return Err(Error::value(format!(
            "an axis of size {whole} cannot be split into the sizes {sizes:?}"
        )));
    }
    let rest = whole.map(|whole| whole - given);
    Ok(sizes.iter().map(|&size| usize::try_from(size).map_or(rest, Some)).collect())
}

/// Infers the shape of the result.
fn pack_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let part = shapes::same_inputs(context)?;
    let Some(rank) = part.rank() else { return Ok(()) };
    let axis = shapes::axis_index(shapes::int_attr(context, "axis")?, rank + 1)?;
    let count = PartialShape::from([context.inputs().len()]);
    context.set(0, part.range(0, axis).concat(&count).concat(&part.range(axis, rank)));
    Ok(())
}

/// Infers the shape of the result.
fn unpack_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (value, count) = (context.input(0), context.outputs());
    let Some(rank) = value.rank() else { return Ok(()) };
    let axis = shapes::axis_index(shapes::int_attr(context, "axis")?, rank)?;
    if value.dim(axis).is_some_and(|size| size != count) {
        let text = format!("axis {axis} of shape {value} cannot be split into {count} tensors");
        return Err(Error::value(text));
    }
    let part = value.range(0, axis).concat(&value.range(axis + 1, rank));
    (0..count).for_each(|index| context.set(index, part.clone()));
    Ok(())
}

/// Infers the shape of the result.
fn parallel_concat_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = context.attr("shape").and_then(|shape| shape.as_shape()).cloned().unwrap_or_default();
    shapes::same_inputs(context)?;
    context.set(0, shape);
    Ok(())
}

/// Builds the gradient.
fn concat_v2_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let mut inputs = op.inputs();
    let axis = inputs.pop();
    let mut result = parts_of(grads[0].as_ref(), axis.as_ref(), &inputs);
    result.push(None);
    Ok(result)
}

/// Builds the gradient.
fn concat_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let inputs = op.inputs();
    let mut result = vec![None];
    result.extend(parts_of(grads[0].as_ref(), inputs.first(), &inputs[1..]));
    Ok(result)
}

/// Returns the part of a gradient that belongs to each of the tensors that were joined.
fn parts_of(grad: Option<&Output>, axis: Option<&Output>, values: &[Output]) -> Vec<Option<Output>> {
    let (Some(grad), Some(axis)) = (grad, axis) else { return vec![None; values.len()] };
    // Constant bounds keep the static shapes of the gradients.
    let parts = match known_sizes(axis, values) {
        Some((axis, rank, sizes)) => cut(grad, axis, rank, &sizes),
        None => cut_computed(grad, axis, values),
    };
    parts.into_iter().map(Some).collect()
}

/// Axis, rank and sizes along the axis, when all are known.
fn known_sizes(axis: &Output, values: &[Output]) -> Option<(usize, usize, Vec<usize>)> {
    let rank = values.iter().find_map(|value| value.shape().rank())?;
    let axis = shapes::axis_index(static_value::int(axis)?, rank).ok()?;
    let sizes = values.iter().map(|value| value.shape().dim(axis)).collect::<Option<Vec<usize>>>()?;
    Some((axis, rank, sizes))
}

fn cut(grad: &Output, axis: usize, rank: usize, sizes: &[usize]) -> Vec<Output> {
    let mut begin = vec![0i64; rank];
    let mut parts = Vec::with_capacity(sizes.len());
    for &size in sizes {
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        // -1 takes everything along the other axes.
        let mut count = vec![-1i64; rank];
        count[axis] = size;
        parts.push(slice(grad, begin.as_slice(), count));
        begin[axis] += size;
    }
    parts
}

fn cut_computed(grad: &Output, axis: &Output, values: &[Output]) -> Vec<Output> {
    let graph = grad.graph();
    let sizes = shape_n(values);
    // Negative axes count from the end, which ConcatOffset knows.
    let axis = crate::math::cast(axis, tensor::DType::Int32);
    let offsets = graph.op(&CONCAT_OFFSET).input(axis).input_list(&sizes).finish().outputs();
    offsets.iter().zip(&sizes).map(|(begin, size)| slice(grad, begin, size)).collect()
}

/// Gradients of all outputs, zeros for those nothing depends on; `None` when there is none at all.
fn all_grads(op: &Operation, grads: &[Option<Output>]) -> Option<Vec<Output>> {
    // Without any gradient nothing is built; with one, the others count as zeros,
    // because all parts are joined.
    if grads.iter().all(Option::is_none) {
        return None;
    }
    let or_zeros = |(index, grad): (usize, &Option<Output>)| {
        grad.clone().unwrap_or_else(|| zeros_like(op.output(index)))
    };
    Some(grads.iter().enumerate().map(or_zeros).collect())
}

/// Builds the gradient.
fn split_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    Ok(vec![None, all_grads(op, grads).map(|grads| concat(&grads, op.input(0)))])
}

/// Builds the gradient.
fn split_v_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    Ok(vec![all_grads(op, grads).map(|grads| concat(&grads, op.input(2))), None, None])
}

fn axis_attr(op: &Operation) -> i64 {
    op.attr("axis").and_then(AttrValue::as_int).unwrap_or(0)
}

/// Builds the gradient.
fn pack_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None; op.num_inputs()]) };
    Ok(unstack_into(grad, op.num_inputs(), axis_attr(op)).into_iter().map(Some).collect())
}

/// Builds the gradient.
fn unpack_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    Ok(vec![all_grads(op, grads).map(|grads| stack(&grads, axis_attr(op)))])
}

/// Concatenates tensors along an existing axis; the other dimensions must be equal. A single tensor is
/// returned unchanged.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// let y = array::zeros(&graph, DType::Float32, [4, 3]);
/// assert_eq!(array::concat(&[&x, &y], 0).shape().to_string(), "[6,3]");
/// ```
///
/// # Panics
/// When the list is empty: there is no graph to build in.
#[must_use]
#[track_caller]
pub fn concat<O: AsOutput>(values: &[O], axis: impl Into<Ints>) -> Output {
    let graph = graph_of(values);
    // The operation needs two inputs at least.
    if let [only] = values {
        return same_tensor(only.as_output());
    }
    axis.into().input_of(graph.op(&CONCAT_V2).default_name("concat").input_list(values)).finish_output()
}

/// Returns a tensor in `count` equal parts along an axis.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [6, 3]);
/// assert_eq!(array::split(&x, 3, 0)[0].shape().to_string(), "[2,3]");
/// ```
#[must_use]
#[track_caller]
pub fn split(value: impl AsOutput, count: usize, axis: impl Into<Ints>) -> Vec<Output> {
    let builder = axis.into().input_of(value.as_output().graph().op(&SPLIT).default_name("split"));
    builder.input(value).attr("num_split", count).finish().outputs()
}

/// Returns a tensor in parts of these sizes along an axis; one size may be -1: what remains.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [6, 3]);
/// assert_eq!(array::split_sizes(&x, &[1, 5], 0)[1].shape().to_string(), "[5,3]");
/// ```
#[must_use]
#[track_caller]
pub fn split_sizes(value: impl AsOutput, sizes: &[i64], axis: impl Into<Ints>) -> Vec<Output> {
    let builder = value.as_output().graph().op(&SPLIT_V).default_name("split").input(value);
    let builder = axis
        .into()
        .input_of(builder.constant(crate::arguments::vector(sizes)))
        .attr("num_split", sizes.len());
    builder.finish().outputs()
}

/// Stacks tensors of one shape along a new axis.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [3]);
/// let y = array::zeros(&graph, DType::Float32, [3]);
/// assert_eq!(array::stack(&[&x, &y], 0).shape().to_string(), "[2,3]");
/// ```
///
/// # Panics
/// When the list is empty: there is no graph to build in.
#[must_use]
#[track_caller]
pub fn stack<O: AsOutput>(values: &[O], axis: i64) -> Output {
    let builder = graph_of(values).op(&PACK).default_name("stack");
    builder.input_list(values).attr("axis", axis).finish_output()
}

/// Returns the entries along an axis, whose size must be known.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(array::unstack(&x, 0)[0].shape().to_string(), "[3]");
/// ```
#[must_use]
#[track_caller]
pub fn unstack(value: impl AsOutput, axis: i64) -> Vec<Output> {
    let value = value.as_output();
    let known = value
        .shape()
        .rank()
        .and_then(|rank| shapes::axis_index(axis, rank).ok().map(|index| value.shape().dim(index)));
    match known {
        Some(Some(count)) => unstack_into(value, count, axis),
        // The operation itself reports an axis that does not exist.
        _ if value.shape().rank().is_some_and(|rank| shapes::axis_index(axis, rank).is_err()) => {
            unstack_into(value, 0, axis)
        }
        _ => {
            let text = format!("the size of axis {axis} of shape {} is not known", value.shape());
            value.graph().add_error(value.operation().place(Error::value(text)));
            Vec::new()
        }
    }
}

/// Returns the entries along an axis whose size is `count`, for tensors whose shape is not known.
///
/// ```
/// # use ops::array::{self, constant};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let x = array::placeholder(&graph, DType::Float32, [None, Some(4)]);
/// let rows = array::unstack_into(&x, 3, 0); // fails when the graph runs unless x has 3 rows
/// assert_eq!((rows.len(), rows[0].shape().to_string()), (3, "[4]".to_owned()));
/// ```
#[must_use]
#[track_caller]
pub fn unstack_into(value: impl AsOutput, count: usize, axis: i64) -> Vec<Output> {
    let builder = value.as_output().graph().op(&UNPACK).default_name("unstack").input(value);
    builder.attr("num", count).attr("axis", axis).finish().outputs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_parts_are_inferred() {
        assert_eq!(part_sizes(&[1, -1], Some(4), 2).unwrap(), [Some(1), Some(3)]);
        assert_eq!(part_sizes(&[1, -1], None, 2).unwrap(), [Some(1), None]);
        for (sizes, whole) in
            [(&[1, 2][..], Some(4)), (&[-1, -1], None), (&[5, -1], Some(4)), (&[1], Some(1))]
        {
            assert!(part_sizes(sizes, whole, 2).is_err(), "{sizes:?} of {whole:?}");
        }
        let part = |sizes: &[i64]| PartialShape::from_sizes(sizes.to_vec());
        assert_eq!(joined(&[part(&[2, 3]), part(&[-1, 3])], 0).unwrap().to_string(), "[?,3]");
        assert_eq!(joined(&[part(&[2, -1]), part(&[1, 3])], 0).unwrap().to_string(), "[3,3]");
        let error = joined(&[part(&[2, 3]), part(&[2, 4])], 0).unwrap_err();
        assert!(error.message().contains("[2,3] and [2,4]"), "{error}");
    }
}
