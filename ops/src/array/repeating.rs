//! Repeating, reversing and rolling.

use super::constants::{range, scalar_like};
use super::joining::stack;
use super::shaping::{reshape, shape, size, transpose};
use crate::arguments::Ints;
use crate::gradients::broadcasting::spread_scalar;
use crate::library::op_defs;
use crate::math::binary::mul;
use crate::math::reduce::reduce_sum;
use crate::math::unary::neg;
use crate::shapes;
use crate::static_value;
use session_core::{AsOutput, Error, OpDef, Operation, Output, PartialShape, Result, ShapeContext};

op_defs! {
    TILE: OpDef::new("Tile", "input: T, multiples: Tmultiples -> output: T")
        .attrs("T: type, Tmultiples: indextype = int32")
        .shape(tile_shape)
        .gradient(tile_gradient);
    REVERSE: OpDef::new("Reverse", "tensor: T, dims: bool -> output: T")
        .attrs(
            "T: {uint8, int8, uint16, int16, uint32, int32, uint64, int64, bool, bfloat16, half, float, double, \
             complex64, complex128, string}",
        )
        .shape(reverse_shape)
        .gradient(reverse_gradient);
    REVERSE_V2: OpDef::new("ReverseV2", "tensor: T, axis: Tidx -> output: T")
        .attrs(
            "Tidx: indextype = int32, T: {uint8, int8, uint16, int16, int32, uint32, int64, uint64, bool, bfloat16, \
             half, float, double, complex64, complex128, string}",
        )
        .shape(reverse_v2_shape)
        .gradient(reverse_v2_gradient);
    REVERSE_SEQUENCE: OpDef::new("ReverseSequence", "input: T, seq_lengths: Tlen -> output: T")
        .attrs("seq_dim: int32, batch_dim: int32 = 0, T: type, Tlen: indextype = int64")
        .shape(reverse_sequence_shape)
        .gradient(reverse_sequence_gradient);
    ROLL: OpDef::new("Roll", "input: T, shift: Tshift, axis: Taxis -> output: T")
        .attrs("T: type, Tshift: indextype, Taxis: indextype")
        .shape(roll_shape)
        .gradient(roll_gradient);
}

/// Infers the shape of the result.
fn tile_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (input, multiples) = (context.input(0), context.input_of_rank(1, 1)?);
    let rank =
        shapes::merge_ranks("the rank of the input and the multiples", input.rank(), multiples.dim(0))?;
    let Some(rank) = rank else { return Ok(()) };
    // A multiple that is not known leaves only its own axis unknown.
    let multiples = static_value::partial_ints(&context.inputs()[1]).unwrap_or_else(|| vec![None; rank]);
    if let Some(multiple) = multiples.iter().flatten().find(|&&multiple| multiple < 0) {
        return Err(Error::value(format!("multiples must not be negative ({multiple})")));
    }
    let dim = |axis: usize| {
        let multiple =
            multiples.get(axis).copied().flatten().and_then(|multiple| usize::try_from(multiple).ok());
        shapes::times(input.dim(axis), multiple)
    };
    context.set(0, (0..rank).map(dim).collect::<Result<PartialShape>>()?);
    Ok(())
}

/// Infers the shape of the result.
fn reverse_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (tensor, dims) = (context.input(0), context.input_of_rank(1, 1)?);
    let rank =
        shapes::merge_ranks("the rank of the tensor and the size of dims", tensor.rank(), dims.dim(0))?;
    // The flags tell the rank if the tensor does not.
    context.set(0, if tensor.rank().is_some() { tensor } else { rank.map_or(tensor, PartialShape::of_rank) });
    Ok(())
}

/// Infers the shape of the result.
fn reverse_v2_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let tensor = context.input(0);
    context.input_of_rank(1, 1)?;
    if let (Some(axes), Some(rank)) = (shapes::ints(context, 1), tensor.rank()) {
        let mut axes =
            axes.iter().map(|&axis| shapes::axis_index(axis, rank)).collect::<Result<Vec<usize>>>()?;
        axes.sort_unstable();
        if let Some(twice) = axes.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::value(format!("axis {} of shape {tensor} is listed twice", twice[0])));
        }
    }
    context.set(0, tensor);
    Ok(())
}

/// Infers the shape of the result.
fn reverse_sequence_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (input, lengths) = (context.input(0), context.input_of_rank(1, 1)?);
    if let Some(rank) = input.rank() {
        shapes::axis_index(shapes::int_attr(context, "seq_dim")?, rank)?;
        let batch = shapes::axis_index(shapes::int_attr(context, "batch_dim")?, rank)?;
        shapes::merge_dims("the batch and the number of seq_lengths", input.dim(batch), lengths.dim(0))?;
    }
    context.set(0, input);
    Ok(())
}

/// Infers the shape of the result.
fn roll_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (input, shift, axis) = (shapes::at_least_rank(context, 0, 1)?, context.input(1), context.input(2));
    shapes::merge(&shift, &axis)?;
    if let (Some(axes), Some(rank)) = (shapes::ints(context, 2), input.rank()) {
        axes.iter().try_for_each(|&axis| shapes::axis_index(axis, rank).map(drop))?;
    }
    context.set(0, input);
    Ok(())
}

/// Each axis is split into repeats and size, and the repeats are summed.
fn tile_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None, None]) };
    let (input, multiples) = (op.input(0), op.input(1));
    let rank = input.shape().rank().or(multiples.shape().dim(0));
    // Each axis becomes two, the copies and the elements of one copy, so that a sum over the first
    // of each pair adds the copies.
    let sizes = match (static_value::ints(&multiples), input.shape().to_shape()) {
        (Some(multiples), Some(shape)) => {
            let pairs = multiples
                .iter()
                .zip(shape.iter())
                .flat_map(|(&multiple, &size)| [multiple, i64::try_from(size).unwrap_or(i64::MAX)]);
            Ints::from(pairs.collect::<Vec<i64>>())
        }
        _ => {
            let multiples = crate::math::cast(&multiples, tensor::DType::Int32);
            Ints::from(reshape(transpose(stack(&[multiples, shape(&input)], 0), [1, 0]), [-1]))
        }
    };
    // A gradient that is one number everywhere is expanded by the gradient functions that need it.
    let grad = spread_scalar(grad).map_or_else(
        || reshape(grad, sizes.clone()),
        |number| super::shaping::broadcast_to(number, sizes.clone()),
    );
    let repeats = match (rank, sizes) {
        (None, Ints::Computed(sizes)) => {
            let first = scalar_like(&sizes, 0.0);
            Ints::from(range(first, size(&sizes), scalar_like(&sizes, 2.0)))
        }
        (rank, _) => Ints::from((0..rank.unwrap_or(0)).map(|axis| 2 * axis).collect::<Vec<usize>>()),
    };
    Ok(vec![Some(reduce_sum(grad, repeats)), None])
}

/// Builds the gradient.
fn reverse_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    // Reversed once more, everything is where it was.
    let again = |grad: &Output| grad.graph().op(&REVERSE).input(grad).input(op.input(1)).finish_output();
    Ok(vec![grads[0].as_ref().map(again), None])
}

/// Builds the gradient.
fn reverse_v2_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    Ok(vec![grads[0].as_ref().map(|grad| reverse(grad, op.input(1))), None])
}

/// Builds the gradient.
fn reverse_sequence_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let again = |grad: &Output| {
        let builder = grad.graph().op(&REVERSE_SEQUENCE).input(grad).input(op.input(1));
        ["seq_dim", "batch_dim"]
            .iter()
            .fold(builder, |builder, name| match op.attr(name) {
                Some(value) => builder.attr(name, value.clone()),
                None => builder,
            })
            .finish_output()
    };
    Ok(vec![grads[0].as_ref().map(again), None])
}

/// Builds the gradient.
fn roll_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    // Rolled the other way.
    let back = |grad: &Output| {
        grad.graph().op(&ROLL).input(grad).input(neg(op.input(1))).input(op.input(2)).finish_output()
    };
    Ok(vec![grads[0].as_ref().map(back), None, None])
}

/// Repeats a tensor this many times along each axis.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(array::tile(&x, [2, 1]).shape().to_string(), "[4,3]");
/// ```
#[must_use]
#[track_caller]
pub fn tile(input: impl AsOutput, multiples: impl Into<Ints>) -> Output {
    multiples.into().input_of(input.as_output().graph().op(&TILE).input(input)).finish_output()
}

/// Reverses a tensor along these axes.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(array::reverse(&x, [1]).shape().to_string(), "[2,3]");
/// ```
#[must_use]
#[track_caller]
pub fn reverse(tensor: impl AsOutput, axes: impl Into<Ints>) -> Output {
    axes.into().input_of(tensor.as_output().graph().op(&REVERSE_V2).input(tensor)).finish_output()
}

/// Reverses the first elements along `seq_axis`, with a separate length for each entry of `batch_axis`.
///
/// ```
/// # use ops::array::{self, constant};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let x = constant(&graph, [[1, 2, 3], [4, 5, 6]]);
/// let lengths = constant(&graph, [2, 3]);
/// let y = array::reverse_sequence(&x, &lengths, 1, 0); // [[2, 1, 3], [6, 5, 4]]
/// assert_eq!(y.shape().to_string(), "[2,3]");
/// ```
#[must_use]
#[track_caller]
pub fn reverse_sequence(
    input: impl AsOutput,
    lengths: impl AsOutput,
    seq_axis: i64,
    batch_axis: i64,
) -> Output {
    let builder = input.as_output().graph().op(&REVERSE_SEQUENCE).input(input).input(lengths);
    builder.attr("seq_dim", seq_axis).attr("batch_dim", batch_axis).finish_output()
}

/// Shifts a tensor along axes. Elements shifted out at one end reenter at the other.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(array::roll(&x, 1, 0).shape().to_string(), "[2,3]");
/// ```
#[must_use]
#[track_caller]
pub fn roll(input: impl AsOutput, shift: impl Into<Ints>, axis: impl Into<Ints>) -> Output {
    let builder = input.as_output().graph().op(&ROLL).default_name("roll").input(input);
    axis.into().input_of(shift.into().input_of(builder)).finish_output()
}

/// Repeats each entry along an axis `repeats` times.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(array::repeat(&x, 2, 0).shape().to_string(), "[4,3]");
/// ```
#[must_use]
#[track_caller]
pub fn repeat(input: impl AsOutput, repeats: usize, axis: i64) -> Output {
    let scope = crate::composite::Composite::new(&input.as_output().graph(), "Repeat");
    let input = scope.enter(input);
    let Some(index) = input.shape().rank().map(|rank| shapes::axis_index(axis, rank)) else {
        scope.graph().add_error(Error::value("the rank of the input must be known"));
        return scope.leave(input);
    };
    let rank = input.shape().rank().unwrap_or(0);
    let index = index.unwrap_or(rank); // the operation reports an axis that does not exist
    let added = super::shaping::expand_dims(&input, i64::try_from(index + 1).unwrap_or(i64::MAX));
    let multiples: Vec<i64> = (0..=rank)
        .map(|at| if at == index + 1 { i64::try_from(repeats).unwrap_or(i64::MAX) } else { 1 })
        .collect();
    // Copies along an axis of their own, put behind the repeated one and then joined with it: each
    // element stands next to its copies.
    let tiled = tile(added, multiples);
    let sizes = match joined_size(input.shape(), index, repeats) {
        Some(sizes) => Ints::from(sizes),
        None => {
            let ones: Vec<i64> = (0..rank).map(|at| if at == index { repeats as i64 } else { 1 }).collect();
            let factors = super::constants::constant(scope.graph(), crate::arguments::vector(&ones));
            Ints::from(mul(shape(&input), factors))
        }
    };
    scope.leave(reshape(tiled, sizes))
}

/// Returns the sizes with one of them multiplied, when all are known.
fn joined_size(shape: &PartialShape, axis: usize, factor: usize) -> Option<Vec<usize>> {
    let mut sizes = shape.to_shape()?.to_vec();
    *sizes.get_mut(axis)? *= factor;
    Some(sizes)
}
