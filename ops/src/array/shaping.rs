//! Shapes as tensors, and the same elements under other shapes.

use super::constants::{constant, range};
use super::joining::{concat, stack};
use crate::arguments::{Axes, Ints, vector};
use crate::composite::Composite;
use crate::gradients::broadcasting::{reshaped, sum_to_input};
use crate::library::op_defs;
use crate::shapes::{self, shape_from};
use crate::static_value;
use session_core::{AsOutput, Error, OpDef, Operation, Output, PartialShape, Result, ShapeContext};
use tensor::DType;

op_defs! {
    SHAPE: OpDef::new("Shape", "input: T -> output: out_type")
        .attrs("T: type, out_type: indextype = int32")
        .shape(shape_shape)
        .not_differentiable();
    SHAPE_N: OpDef::new("ShapeN", "input: N * T -> output: N * out_type")
        .attrs("N: int >= 1, T: type, out_type: indextype = int32")
        .shape(shape_shape)
        .not_differentiable();
    SIZE: OpDef::new("Size", "input: T -> output: out_type")
        .attrs("T: type, out_type: indextype = int32")
        .shape(shapes::scalar)
        .not_differentiable();
    RANK: OpDef::new("Rank", "input: T -> output: int32")
        .attrs("T: type")
        .shape(shapes::scalar)
        .not_differentiable();
    RESHAPE: OpDef::new("Reshape", "tensor: T, shape: Tshape -> output: T")
        .attrs("T: type, Tshape: indextype = int32")
        .shape(reshape_shape)
        .gradient(reshape_gradient);
    EXPAND_DIMS: OpDef::new("ExpandDims", "input: T, dim: Tdim -> output: T")
        .attrs("T: type, Tdim: indextype = int32")
        .shape(expand_dims_shape)
        .gradient(reshape_gradient);
    SQUEEZE: OpDef::new("Squeeze", "input: T -> output: T")
        .attrs("T: type, squeeze_dims: list(int32) >= 0 = []")
        .shape(squeeze_shape)
        .gradient(reshape_gradient);
    TRANSPOSE: OpDef::new("Transpose", "x: T, perm: Tperm -> y: T")
        .attrs("T: type, Tperm: indextype = int32")
        .shape(transpose_shape)
        .gradient(transpose_gradient);
    CONJUGATE_TRANSPOSE: OpDef::new("ConjugateTranspose", "x: T, perm: Tperm -> y: T")
        .attrs("T: type, Tperm: indextype = int32")
        .shape(transpose_shape)
        .gradient(conjugate_transpose_gradient);
    INVERT_PERMUTATION: OpDef::new("InvertPermutation", "x: T -> y: T")
        .attrs("T: indextype = int32")
        .shape(vector_shape)
        .not_differentiable();
    BROADCAST_TO: OpDef::new("BroadcastTo", "input: T, shape: Tidx -> output: T")
        .attrs("T: type, Tidx: indextype = int32")
        .shape(broadcast_to_shape)
        .gradient(broadcast_to_gradient);
    BROADCAST_ARGS: OpDef::new("BroadcastArgs", "s0: T, s1: T -> r0: T")
        .attrs("T: indextype = int32")
        .shape(broadcast_args_shape)
        .not_differentiable();
    BROADCAST_GRADIENT_ARGS: OpDef::new("BroadcastGradientArgs", "s0: T, s1: T -> r0: T, r1: T")
        .attrs("T: indextype = int32")
        .shape(broadcast_gradient_args_shape)
        .not_differentiable();
    BITCAST: OpDef::new("Bitcast", "input: T -> output: type")
        .attrs(
            "T: {bfloat16, half, float, double, int64, int32, uint8, uint16, uint32, uint64, int8, int16, complex64, \
             complex128, qint8, quint8, qint16, quint16, qint32}, \
             type: {bfloat16, half, float, double, int64, int32, uint8, uint16, uint32, uint64, int8, int16, \
             complex64, complex128, qint8, quint8, qint16, quint16, qint32}",
        )
        .shape(bitcast_shape);
}

/// Infers the shape of the result.
fn shape_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    for index in 0..context.outputs() {
        let rank = context.input(index).rank();
        context.set(index, PartialShape::from([rank]));
    }
    Ok(())
}

/// Infers the shape of the result.
fn vector_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = context.input_of_rank(0, 1)?;
    context.set(0, shape);
    Ok(())
}

/// Infers the shape of the result.
fn reshape_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let input = context.input(0);
    let asked = shape_from(&context.inputs()[1])?;
    // A -1 in the value means "what remains"; an element that is not known yet may be any size.
    let given = shapes::ints(context, 1);
    let inferred = given.as_ref().and_then(|sizes| sizes.iter().position(|&size| size == -1));
    let shape = match (&given, inferred) {
        (Some(sizes), Some(_)) if sizes.iter().filter(|&&size| size == -1).count() > 1 => {
            return Err(Error::value(format!("only one size of the new shape {asked} can be left open")));
        }
        (Some(_), Some(open)) => infer_size(&input, &asked, open)?,
        _ => asked,
    };
    if let (Some(from), Some(to)) = (input.elements(), shape.elements())
        && from != to
    {
        return Err(Error::value(format!(
            "shape {input} ({from} elements) cannot become {shape} ({to} elements)"
        )));
    }
    context.set(0, shape);
    Ok(())
}

/// Fills the size left open with what remains of the input's elements.
fn infer_size(input: &PartialShape, asked: &PartialShape, open: usize) -> Result<PartialShape> {
    // The product of the other sizes; 0 determines nothing, and the engine decides at run time.
    let rest = asked.with_dim(open, Some(1)).elements();
    match (input.elements(), rest) {
        (Some(elements), Some(rest)) if rest > 0 => {
            if elements % rest != 0 {
                let text = format!("shape {input} ({elements} elements) cannot become {asked}");
                return Err(Error::value(text));
            }
            Ok(asked.with_dim(open, Some(elements / rest)))
        }
        _ => Ok(asked.clone()),
    }
}

/// Infers the shape of the result.
fn expand_dims_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let input = context.input(0);
    let (Some(rank), Some(axis)) = (input.rank(), shapes::int(context, 1)) else { return Ok(()) };
    // There is one place more than there are axes: behind the last one.
    let axis = shapes::axis_index(axis, rank + 1)
        .map_err(|_| Error::value(format!("axis {axis} cannot be added to shape {input}")))?;
    let shape = input.range(0, axis).concat(&PartialShape::from([1])).concat(&input.range(axis, rank));
    context.set(0, shape);
    Ok(())
}

/// Infers the shape of the result.
fn squeeze_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let input = context.input(0);
    let axes = context.attr("squeeze_dims").and_then(|axes| axes.as_ints()).unwrap_or_default();
    let Some(rank) = input.rank() else { return Ok(()) };
    let axes = axes.iter().map(|&axis| shapes::axis_index(axis, rank)).collect::<Result<Vec<usize>>>()?;
    if axes.is_empty() && !input.is_fully_known() {
        return Ok(()); // any unknown size may be 1
    }
    if let Some(axis) = axes.iter().find(|&&axis| input.dim(axis).is_some_and(|size| size != 1)) {
        return Err(Error::value(format!("axis {axis} of shape {input} is not of size 1")));
    }
    // Without axes all sizes of 1 go.
    let goes = |axis: usize| if axes.is_empty() { input.dim(axis) == Some(1) } else { axes.contains(&axis) };
    let shape = (0..rank).filter(|&axis| !goes(axis)).map(|axis| input.dim(axis)).collect();
    context.set(0, shape);
    Ok(())
}

/// Infers the shape of the result.
fn transpose_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (input, perm) = (context.input(0), context.input_of_rank(1, 1)?);
    let rank = shapes::merge_ranks("the rank of x and the size of perm", input.rank(), perm.dim(0))?;
    let Some(rank) = rank else { return Ok(()) };
    let Some(perm) = shapes::ints(context, 1) else {
        context.set(0, PartialShape::of_rank(rank));
        return Ok(());
    };
    let axes = perm.iter().map(|&axis| shapes::axis_index(axis, rank)).collect::<Result<Vec<usize>>>()?;
    if (0..rank).any(|axis| !axes.contains(&axis)) {
        return Err(Error::value(format!("{perm:?} is not a permutation of the axes of shape {input}")));
    }
    context.set(0, axes.into_iter().map(|axis| input.dim(axis)).collect());
    Ok(())
}

/// Infers the shape of the result.
fn broadcast_to_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (input, shape) = (context.input(0), shape_from(&context.inputs()[1])?);
    let cannot = || Error::value(format!("shape {input} cannot be broadcast to {shape}"));
    if let (Some(from), Some(to)) = (input.rank(), shape.rank()) {
        if from > to {
            return Err(cannot());
        }
        let fits = |back: usize| match (input.dim_from_end(back), shape.dim_from_end(back)) {
            (Some(from), Some(to)) => from == 1 || from == to,
            _ => true,
        };
        if !(0..from).all(fits) {
            return Err(cannot());
        }
        // A size other than 1 stays what it is.
        let kept = |axis: usize| {
            let own = (axis + from).checked_sub(to).and_then(|own| input.dim(own)).filter(|&size| size != 1);
            shape.dim(axis).or(own)
        };
        context.set(0, (0..to).map(kept).collect());
        return Ok(());
    }
    context.set(0, shape);
    Ok(())
}

/// Infers the shape of the result.
fn broadcast_args_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (a, b) = (context.input_of_rank(0, 1)?.dim(0), context.input_of_rank(1, 1)?.dim(0));
    context.set(0, PartialShape::from([a.zip(b).map(|(a, b)| a.max(b))]));
    Ok(())
}

/// Infers the shape of the result.
fn broadcast_gradient_args_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    context.input_of_rank(0, 1)?;
    context.input_of_rank(1, 1)?;
    context.set(0, PartialShape::of_rank(1));
    context.set(1, PartialShape::of_rank(1));
    Ok(())
}

/// Infers the shape of the result.
fn bitcast_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let input = context.input(0);
    let size = |name: &str| context.attr(name).and_then(|dtype| dtype.as_type()).map_or(0, DType::size);
    let (from, to) = (size("T"), size("type"));
    let Some(rank) = input.rank() else { return Ok(()) };
    let shape = if from == to {
        input
    } else if from > to {
        input.concat(&PartialShape::from([from / to]))
    } else {
        let last = rank.checked_sub(1).filter(|&last| input.dim(last).is_none_or(|size| size == to / from));
        let last = last.ok_or_else(|| {
            Error::value(format!(
                "the last size of shape {input} must be {} to become one element",
                to / from
            ))
        })?;
        input.range(0, last)
    };
    context.set(0, shape);
    Ok(())
}

/// Returns the gradient of what only changes the shape.
pub(crate) fn reshape_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let mut result = vec![None; op.num_inputs()];
    result[0] = grads[0].as_ref().map(|grad| reshaped(grad, &op.input(0)));
    Ok(result)
}

/// Returns the permutation that undoes another.
fn inverse(perm: &Output) -> Ints {
    let known = static_value::ints(perm).and_then(|perm| {
        let rank = i64::try_from(perm.len()).ok()?;
        let place = |axis: i64| perm.iter().position(|&p| p == axis || p + rank == axis);
        (0..rank).map(place).collect::<Option<Vec<usize>>>()
    });
    known.map_or_else(|| Ints::from(invert_permutation(perm)), Ints::from)
}

/// Builds the gradient.
fn transpose_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    Ok(vec![grads[0].as_ref().map(|grad| transpose(grad, inverse(&op.input(1)))), None])
}

/// Builds the gradient.
fn conjugate_transpose_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let gradient = |grad: &Output| {
        inverse(&op.input(1)).input_of(grad.graph().op(&CONJUGATE_TRANSPOSE).input(grad)).finish_output()
    };
    Ok(vec![grads[0].as_ref().map(gradient), None])
}

/// Builds the gradient.
fn broadcast_to_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    Ok(vec![grads[0].as_ref().map(|grad| sum_to_input(grad, &op.input(0), &[])), None])
}

/// Returns the shape as a tensor, `int32`; a constant when it is known.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(array::shape(&x).shape().to_string(), "[2]");
/// ```
#[must_use]
#[track_caller]
pub fn shape(input: impl AsOutput) -> Output {
    let input = input.as_output();
    let known = input.shape().sizes().filter(|_| input.shape().is_fully_known());
    match known.map(vector).filter(|sizes| sizes.dtype() == DType::Int32) {
        Some(sizes) => {
            let builder = input.graph().op(&super::constants::CONST).default_name("Shape");
            builder.attr("value", sizes).attr("dtype", DType::Int32).finish_output()
        }
        None => input.graph().op(&SHAPE).input(input).finish_output(),
    }
}

/// Returns the shape as a tensor of `int32` or `int64`, taken when the graph runs.
///
/// ```
/// # use ops::array::{self, constant};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let x = array::placeholder(&graph, DType::Float32, [None, Some(4)]);
/// assert_eq!(array::shape_as(&x, DType::Int64).dtype(), DType::Int64);
/// ```
#[must_use]
#[track_caller]
pub fn shape_as(input: impl AsOutput, dtype: DType) -> Output {
    input.as_output().graph().op(&SHAPE).input(input).attr("out_type", dtype).finish_output()
}

/// Returns the shapes of several tensors of one dtype.
///
/// ```
/// # use ops::array::{self, constant};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let (a, b) = (constant(&graph, [1, 2]), constant(&graph, [[3]]));
/// let shapes = array::shape_n(&[&a, &b]); // [2] and [1, 1]
/// assert_eq!(shapes.len(), 2);
/// ```
///
/// # Panics
/// When the list is empty: there is no graph to build in.
#[must_use]
#[track_caller]
pub fn shape_n<O: AsOutput>(inputs: &[O]) -> Vec<Output> {
    super::graph_of(inputs).op(&SHAPE_N).input_list(inputs).finish().outputs()
}

/// Returns the number of elements as a scalar tensor.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(array::size(&x).shape().to_string(), "[]");
/// ```
#[must_use]
#[track_caller]
pub fn size(input: impl AsOutput) -> Output {
    input.as_output().graph().op(&SIZE).input(input).finish_output()
}

/// Returns the number of dimensions as a scalar tensor.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(array::rank(&x).shape().to_string(), "[]");
/// ```
#[must_use]
#[track_caller]
pub fn rank(input: impl AsOutput) -> Output {
    input.as_output().graph().op(&RANK).input(input).finish_output()
}

/// Returns the same elements in the same order under another shape, of which one size may be -1: what remains.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(array::reshape(&x, [3, -1]).shape().to_string(), "[3,2]");
/// ```
#[must_use]
#[track_caller]
pub fn reshape(tensor: impl AsOutput, shape: impl Into<Ints>) -> Output {
    shape.into().input_of(tensor.as_output().graph().op(&RESHAPE).input(tensor)).finish_output()
}

/// Inserts an axis of size 1 at a position; -1 appends it.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(array::expand_dims(&x, 0).shape().to_string(), "[1,2,3]");
/// ```
#[must_use]
#[track_caller]
pub fn expand_dims(input: impl AsOutput, axis: impl Into<Ints>) -> Output {
    axis.into().input_of(input.as_output().graph().op(&EXPAND_DIMS).input(input)).finish_output()
}

/// Removes these axes, which must be of size 1; with `..`, all axes of size 1.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [1, 2, 1]);
/// assert_eq!(array::squeeze(&x, ..).shape().to_string(), "[2]");
/// ```
#[must_use]
#[track_caller]
pub fn squeeze(input: impl AsOutput, axes: impl Into<Axes>) -> Output {
    let builder = input.as_output().graph().op(&SQUEEZE).input(input);
    match axes.into() {
        Axes::All => builder.finish_output(),
        Axes::Listed(axes) => match axes.known() {
            Some(axes) => builder.attr("squeeze_dims", axes.as_slice()).finish_output(),
            None => {
                builder.error(Error::value("the axes must be known when the graph is built")).finish_output()
            }
        },
    }
}

/// Permutes the axes: axis `i` of the result is axis `perm[i]` of `x`.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(array::transpose(&x, [1, 0]).shape().to_string(), "[3,2]");
/// ```
#[must_use]
#[track_caller]
pub fn transpose(x: impl AsOutput, perm: impl Into<Ints>) -> Output {
    let builder = x.as_output().graph().op(&TRANSPOSE).default_name("transpose");
    perm.into().input_of(builder.input(x)).finish_output()
}

/// Transposes the last two axes, that is, each matrix of a stack.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [4, 2, 3]);
/// assert_eq!(array::matrix_transpose(&x).shape().to_string(), "[4,3,2]");
/// ```
#[must_use]
#[track_caller]
pub fn matrix_transpose(x: impl AsOutput) -> Output {
    let scope = Composite::new(&x.as_output().graph(), "matrix_transpose");
    let x = scope.enter(x);
    let Some(rank) = x.shape().rank() else {
        let rank = rank(&x);
        let before = |count: i32| crate::math::sub(&rank, constant(scope.graph(), count));
        let others = range(constant(scope.graph(), 0i32), before(2), constant(scope.graph(), 1i32));
        let perm = concat(&[others, stack(&[before(1), before(2)], 0)], 0);
        return scope.leave(transpose(&x, &perm));
    };
    let Some(others) = rank.checked_sub(2) else {
        let text = format!("a matrix has at least two axes, not the shape {}", x.shape());
        scope.graph().add_error(Error::value(text));
        return scope.leave(x);
    };
    let perm: Vec<i64> = (0..others).chain([rank - 1, rank - 2]).map(|axis| axis as i64).collect();
    scope.leave(transpose(&x, perm))
}

/// Returns the inverse of the permutation `x`.
///
/// ```
/// # use ops::array::{self, constant};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let inverse = array::invert_permutation(constant(&graph, [2, 0, 1])); // [1, 2, 0]
/// assert_eq!(inverse.shape().to_string(), "[3]");
/// ```
#[must_use]
#[track_caller]
pub fn invert_permutation(x: impl AsOutput) -> Output {
    x.as_output().graph().op(&INVERT_PERMUTATION).input(x).finish_output()
}

/// Broadcasts a tensor to a shape, along axes of size 1 and along new leading axes.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [3]);
/// assert_eq!(array::broadcast_to(&x, [2, 3]).shape().to_string(), "[2,3]");
/// ```
#[must_use]
#[track_caller]
pub fn broadcast_to(input: impl AsOutput, shape: impl Into<Ints>) -> Output {
    shape.into().input_of(input.as_output().graph().op(&BROADCAST_TO).input(input)).finish_output()
}

/// Returns the shape that two shapes, `int32` or `int64` vectors, broadcast to.
///
/// ```
/// # use ops::array::{self, constant};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let shape = array::broadcast_dynamic_shape(constant(&graph, [3, 1]), constant(&graph, [4])); // [3, 4]
/// assert_eq!(shape.dtype(), DType::Int32);
/// ```
#[must_use]
#[track_caller]
pub fn broadcast_dynamic_shape(a: impl AsOutput, b: impl AsOutput) -> Output {
    a.as_output().graph().op(&BROADCAST_ARGS).input(a).input(b).finish_output()
}

/// Returns the same bits as elements of another dtype.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(array::bitcast(&x, DType::Int32).shape().to_string(), "[2,3]");
/// ```
#[must_use]
#[track_caller]
pub fn bitcast(input: impl AsOutput, dtype: DType) -> Output {
    input.as_output().graph().op(&BITCAST).input(input).attr("type", dtype).finish_output()
}
