//! Constants, placeholders, and tensors made from nothing but sizes.

use crate::arguments::Ints;
use crate::library::op_defs;
use crate::math::{mul, reduce_sum, sub};
use crate::shapes::{self, shape_from};
use session_core::{AsOutput, Error, Graph, OpDef, Operation, Output, PartialShape, Result, ShapeContext};
use std::fmt::Display;
use tensor::{DType, Number, Tensor, bf16, f16};

op_defs! {
    CONST: OpDef::new("Const", "-> output: dtype")
        .attrs("value: tensor, dtype: type")
        .shape(const_shape)
        .not_differentiable()
        .captured_by(capture_const);
    PLACEHOLDER: OpDef::new("Placeholder", "-> output: dtype")
        .attrs("dtype: type, shape: shape = unknown")
        .shape(shape_from_attr)
        .not_differentiable();
    PLACEHOLDER_V2: OpDef::new("PlaceholderV2", "-> output: dtype")
        .attrs("dtype: type, shape: shape")
        .shape(shape_from_attr)
        .not_differentiable();
    PLACEHOLDER_WITH_DEFAULT: OpDef::new("PlaceholderWithDefault", "input: dtype -> output: dtype")
        .attrs("dtype: type, shape: shape")
        .shape(placeholder_with_default_shape)
        .gradient(pass_on);
    FILL: OpDef::new("Fill", "dims: index_type, value: T -> output: T")
        .attrs("T: type, index_type: indextype = int32")
        .shape(fill_shape)
        .gradient(fill_gradient);
    ZEROS_LIKE: OpDef::new("ZerosLike", "x: T -> y: T")
        .attrs("T: type")
        .shape(shapes::unchanged)
        .not_differentiable();
    ONES_LIKE: OpDef::new("OnesLike", "x: T -> y: T")
        .attrs("T: {bfloat16, half, float, double, int8, uint8, int16, uint16, int32, uint32, int64, uint64, complex64, complex128, bool}")
        .shape(shapes::unchanged)
        .not_differentiable();
    RANGE: OpDef::new("Range", "start: Tidx, limit: Tidx, delta: Tidx -> output: Tidx")
        .attrs("Tidx: {bfloat16, half, float, double, int8, int16, int32, int64, uint16, uint32, uint64} = int32")
        .shape(range_shape)
        .not_differentiable();
    LIN_SPACE: OpDef::new("LinSpace", "start: T, stop: T, num: Tidx -> output: T")
        .attrs("T: floattype, Tidx: indextype = int32")
        .shape(lin_space_shape)
        .gradient(lin_space_gradient);
    EMPTY: OpDef::new("Empty", "shape: int32 -> output: dtype")
        .attrs("dtype: type, init: bool = false")
        .stateful()
        .shape(empty_shape)
        .not_differentiable();
}

/// Infers the shape of a constant from its value.
fn const_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let value = context.attr("value").and_then(|value| value.as_tensor());
    let value = value.ok_or_else(|| Error::value("attribute 'value' must be a tensor"))?;
    if context.attr("dtype").and_then(|dtype| dtype.as_type()) != Some(value.dtype()) {
        return Err(Error::type_mismatch(format!(
            "the value is {}, which is not the attribute 'dtype'",
            value.dtype()
        )));
    }
    context.set(0, value.shape().into());
    Ok(())
}

/// More elements are an argument: a copy in each body would make graph files larger.
const MAX_COPIED: usize = 64;

/// A function's body has small constants itself, so that shapes follow from them. Those that gradients may be taken with
/// respect to are arguments.
fn capture_const(body: &Graph, constant: &Output) -> Result<Option<Output>> {
    let dtype = constant.dtype();
    let small = constant.shape().elements().is_some_and(|count| count <= MAX_COPIED);
    if !small || dtype.is_floating() || dtype.is_complex() {
        return Ok(None);
    }
    let Some(value) = constant.constant_value() else { return Ok(None) };
    let name = constant.operation().name().replace('/', "_");
    let builder = body.root().op(&CONST).name(name).attr("value", value.clone());
    Ok(Some(builder.attr("dtype", dtype).try_finish()?.output(0)))
}

/// Returns the attribute `shape`, unknown if absent.
fn shape_attr(context: &ShapeContext<'_>) -> PartialShape {
    context.attr("shape").and_then(|shape| shape.as_shape()).cloned().unwrap_or_default()
}

/// Infers the shape of the output from the attribute `shape`.
pub(crate) fn shape_from_attr(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = shape_attr(context);
    context.set(0, shape);
    Ok(())
}

/// Infers the shape of a placeholder with a default, whose attribute may leave dimensions open.
fn placeholder_with_default_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = shape_attr(context);
    shapes::merge(&shape, &context.input(0))?;
    // A fed tensor may differ from the default where the attribute leaves the shape open.
    context.set(0, shape);
    Ok(())
}

/// Infers the shape of a filled tensor from the sizes, as far as they are constant.
fn fill_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    shapes::must_be_scalar(context, 1)?;
    let shape = shape_from(&context.inputs()[0])?;
    context.set(0, shape);
    Ok(())
}

/// Infers the shape of an uninitialized tensor from the sizes, as far as they are constant.
fn empty_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = shape_from(&context.inputs()[0])?;
    context.set(0, shape);
    Ok(())
}

/// Infers the number of elements of a range from constant ends.
fn range_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    for index in 0..3 {
        shapes::must_be_scalar(context, index)?;
    }
    let ints = [0, 1, 2].map(|index| shapes::int(context, index));
    let floats = [0, 1, 2].map(|index| context.constant(index)?.as_scalar_f64().ok());
    let size = match (ints, floats) {
        ([Some(start), Some(limit), Some(delta)], _) => Some(range_of_ints(start, limit, delta)?),
        (_, [Some(start), Some(limit), Some(delta)]) => {
            let dtype = context.constant(0).map_or(DType::Float64, |start| start.dtype());
            Some(range_of_floats(start, limit, delta, dtype)?)
        }
        _ => None,
    };
    context.set(0, PartialShape::from([size]));
    Ok(())
}

/// Returns the number of elements of a range of integers, rounded up.
fn range_of_ints(start: i64, limit: i64, delta: i64) -> Result<usize> {
    check_range(start, limit, delta, 0)?;
    // The difference of two numbers of 64 bits may need one bit more.
    let count = (i128::from(limit) - i128::from(start)).unsigned_abs().div_ceil(delta.unsigned_abs().into());
    usize::try_from(count).map_err(|_| Error::value(format!("a range of {count} elements is too long")))
}

/// Returns the number of elements of a range of floats, rounded up. It is computed in their dtype, as when the
/// graph runs: the quotient may round to an integer.
fn range_of_floats(start: f64, limit: f64, delta: f64, dtype: DType) -> Result<usize> {
    check_range(start, limit, delta, 0.0)?;
    let round = |x: f64| match dtype {
        DType::Float32 => f64::from(x as f32),
        DType::Float16 => f16::from_f64(x).to_f64(),
        DType::BFloat16 => bf16::from_f64(x).to_f64(),
        _ => x,
    };
    let count = round(round(limit - start) / delta).ceil();
    if count.is_finite() && count < usize::MAX as f64 {
        return Ok(count as usize);
    }
    Err(Error::value(format!("a range from {start} to {limit} by {delta} is too long")))
}

/// Fails if `delta` is 0 or leads away from `limit`. NaN leads nowhere.
fn check_range<N: PartialOrd + Display>(start: N, limit: N, delta: N, zero: N) -> Result<()> {
    let leads = if delta > zero { start <= limit } else { delta < zero && start >= limit };
    if leads {
        return Ok(());
    }
    Err(Error::value(format!("no steps of {delta} lead from {start} to {limit}")))
}

/// Returns the gradients of the two ends: each number is a mean of both, weighted by its place.
///
/// TensorFlow's operation passes no gradient, but its `tf.linspace`, which is made of others, has this one.
fn lin_space_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 3]) };
    let graph = grad.graph();
    let ends = [0.0, 1.0].map(|end| constant(&graph, scalar_tensor(grad.dtype(), end)));
    let [zero, one] = &ends;
    // The only number of a list of one is the start.
    let weights = graph.op(&LIN_SPACE).input(zero).input(one).input(op.input(2)).finish_output();
    let of_stop = reduce_sum(mul(grad, weights), ..);
    let of_start = sub(reduce_sum(grad, ..), &of_stop);
    Ok(vec![Some(of_start), Some(of_stop), None])
}

/// Infers the number of elements of evenly spaced numbers.
fn lin_space_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    for index in 0..3 {
        shapes::must_be_scalar(context, index)?;
    }
    let size = match shapes::int(context, 2) {
        Some(size) if size < 1 => return Err(Error::value(format!("num must be positive, not {size}"))),
        size => size.and_then(|size| usize::try_from(size).ok()),
    };
    context.set(0, PartialShape::from([size]));
    Ok(())
}

/// Returns the gradient of an operation whose one output is its one input.
pub(crate) fn pass_on(_: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    Ok(grads.to_vec())
}

/// Returns the gradient of an operation whose one output is its first input; the others do not count.
pub(crate) fn pass_first(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let mut result = vec![None; op.num_inputs()];
    result[0] = grads[0].clone();
    Ok(result)
}

/// Builds the gradient with respect to the filling value: the sum of the gradients of all elements.
fn fill_gradient(_: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    Ok(vec![None, grads[0].as_ref().map(|grad| crate::math::reduce_sum(grad, ..))])
}

/// Returns a tensor that is part of the graph.
///
/// ```
/// # use session_core::Graph;
/// let graph = Graph::new();
/// let rate = ops::array::constant(&graph.named("rate"), 0.1f32);
/// assert_eq!(rate.name(), "rate:0");
/// ```
#[must_use]
#[track_caller]
pub fn constant(graph: &Graph, value: impl Into<Tensor>) -> Output {
    let value = value.into();
    let dtype = value.dtype();
    graph.op(&CONST).attr("value", value).attr("dtype", dtype).finish_output()
}

/// Returns a tensor that every run must be fed with.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// assert_eq!(array::placeholder(&graph.named("x"), DType::Float32, [None, Some(3)]).shape().to_string(), "[?,3]");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
#[track_caller]
pub fn placeholder(graph: &Graph, dtype: DType, shape: impl Into<PartialShape>) -> Output {
    graph.op(&PLACEHOLDER).attr("dtype", dtype).attr("shape", shape.into()).finish_output()
}

/// Returns a tensor that a run may be fed with; otherwise it is `input`. A fed tensor must fit `shape`.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(array::placeholder_with_default(&x, [None, Some(3)]).shape().to_string(), "[?,3]");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
#[track_caller]
pub fn placeholder_with_default(input: impl AsOutput, shape: impl Into<PartialShape>) -> Output {
    let input = input.as_output();
    let builder = input.graph().op(&PLACEHOLDER_WITH_DEFAULT).input(input);
    builder.attr("shape", shape.into()).attr("dtype", input.dtype()).finish_output()
}

/// Returns a tensor of this shape in which every element is the scalar `value`.
///
/// ```
/// # use ops::array::{self, constant};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let nines = array::fill([2, 3], constant(&graph, 9.0f32));
/// assert_eq!(nines.shape().to_string(), "[2,3]");
/// ```
#[must_use]
#[track_caller]
pub fn fill(dims: impl Into<Ints>, value: impl AsOutput) -> Output {
    let value = value.as_output();
    let builder = dims.into().input_of(value.graph().op(&FILL));
    builder.input(value).finish_output()
}

/// The largest tensor that `zeros` and `ones` put into the graph as it is.
const LARGEST_CONSTANT: usize = 1000;

/// Returns zeros (or `false`, or empty strings) of this shape.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// assert_eq!(array::zeros(&graph, DType::Float32, [2, 3]).shape().to_string(), "[2,3]");
/// ```
#[must_use]
#[track_caller]
pub fn zeros(graph: &Graph, dtype: DType, shape: impl Into<Ints>) -> Output {
    filled(graph, "zeros", scalar_tensor(dtype, 0.0), shape.into())
}

/// Returns ones of this shape, for a numeric or boolean dtype.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// assert_eq!(array::ones(&graph, DType::Float32, [2, 3]).shape().to_string(), "[2,3]");
/// ```
#[must_use]
#[track_caller]
pub fn ones(graph: &Graph, dtype: DType, shape: impl Into<Ints>) -> Output {
    filled(graph, "ones", scalar_tensor(dtype, 1.0), shape.into())
}

/// Builds a tensor in which every element is one value, as a constant if the sizes are constant.
#[track_caller]
pub(crate) fn filled(graph: &Graph, name: &str, value: Tensor, shape: Ints) -> Output {
    let known = shape.known().and_then(|sizes| {
        sizes.into_iter().map(|size| usize::try_from(size).ok()).collect::<Option<Vec<usize>>>()
    });
    let elements = known.as_ref().and_then(|sizes| tensor::Shape::new(sizes).checked_elements());
    if let (Some(sizes), Some(..LARGEST_CONSTANT)) = (known, elements) {
        let dtype = value.dtype();
        let value = repeated(&value, &sizes);
        return graph.op(&CONST).default_name(name).attr("value", value).attr("dtype", dtype).finish_output();
    }
    let builder = shape.input_of(graph.op(&FILL).default_name(name));
    builder.constant(value).finish_output()
}

/// Returns a scalar repeated to fill a shape.
fn repeated(value: &Tensor, sizes: &[usize]) -> Tensor {
    let elements = sizes.iter().product();
    if let Ok(strings) = value.as_strings() {
        let strings = strings.iter().cycle().take(elements).cloned();
        return Tensor::from_strings(strings, sizes).expect("as many strings as the shape has elements");
    }
    let bytes = value.as_bytes().map_or_else(|_| Vec::new(), |bytes| bytes.repeat(elements));
    Tensor::from_bytes(value.dtype(), sizes, bytes).expect("as many bytes as the shape needs")
}

/// Returns zeros with the shape and dtype of a tensor: a constant if the shape is known and small.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(array::zeros_like(&x).shape().to_string(), "[2,3]");
/// ```
#[must_use]
#[track_caller]
pub fn zeros_like(tensor: impl AsOutput) -> Output {
    like(tensor.as_output(), &ZEROS_LIKE, "zeros_like", 0.0)
}

/// Returns ones with the shape and dtype of a tensor: a constant if the shape is known and small.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(array::ones_like(&x).shape().to_string(), "[2,3]");
/// ```
#[must_use]
#[track_caller]
pub fn ones_like(tensor: impl AsOutput) -> Output {
    like(tensor.as_output(), &ONES_LIKE, "ones_like", 1.0)
}

/// Builds a tensor with the shape and dtype of another one, in which every element is one value.
#[track_caller]
fn like(tensor: &Output, def: &'static OpDef, name: &str, value: f64) -> Output {
    let plain = tensor.dtype() != DType::Variant && tensor.dtype() != DType::Resource;
    match tensor.shape().to_shape().filter(|shape| plain && shape.elements() < LARGEST_CONSTANT) {
        Some(shape) => {
            let value = repeated(&scalar_tensor(tensor.dtype(), value), shape.dims());
            let builder = tensor.graph().op(&CONST).default_name(name);
            builder.attr("value", value).attr("dtype", tensor.dtype()).finish_output()
        }
        None => tensor.graph().op(def).default_name(name).input(tensor).finish_output(),
    }
}

/// Returns the numbers from `start` up to, but not including, `limit`, in steps of `delta`: scalars of one dtype.
///
/// ```
/// # use ops::array::{self, constant};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let (start, limit, delta) = (constant(&graph, 3), constant(&graph, 10), constant(&graph, 3));
/// let numbers = array::range(&start, &limit, &delta); // [3, 6, 9]
/// assert_eq!(numbers.shape().to_string(), "[3]");
/// ```
#[must_use]
#[track_caller]
pub fn range(start: impl AsOutput, limit: impl AsOutput, delta: impl AsOutput) -> Output {
    let builder = start.as_output().graph().op(&RANGE).default_name("range");
    builder.input(start).input(limit).input(delta).finish_output()
}

/// Returns `num` evenly spaced numbers from `start` to `stop`, both included.
///
/// ```
/// # use ops::array::{self, constant};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let numbers = array::linspace(constant(&graph, 0.0f32), constant(&graph, 1.0f32), 5); // [0.0, 0.25, 0.5, 0.75, 1.0]
/// assert_eq!(numbers.shape().to_string(), "[5]");
/// ```
#[must_use]
#[track_caller]
pub fn linspace(start: impl AsOutput, stop: impl AsOutput, num: impl Into<Ints>) -> Output {
    let builder = start.as_output().graph().op(&LIN_SPACE).default_name("linspace");
    num.into().input_of(builder.input(start).input(stop)).finish_output()
}

/// Returns a scalar tensor of a dtype and value, which is rounded to the dtype. For dtypes that are not
/// numeric: `false` for 0 and `true` otherwise, and the empty string.
///
/// ```
/// use ops::array::scalar_tensor;
/// use session_core::{DType, Tensor};
/// assert_eq!(scalar_tensor(DType::Int64, 3.0), Tensor::from(3i64));
/// assert_eq!(scalar_tensor(DType::Bool, 1.0), Tensor::from(true));
/// ```
#[must_use]
pub fn scalar_tensor(dtype: DType, value: f64) -> Tensor {
    Tensor::of_number(dtype, value)
}

/// Returns a constant scalar that a caller gave as a number. One that the dtype cannot hold is recorded as a build error.
#[track_caller]
pub(crate) fn number(graph: &Graph, dtype: DType, value: impl Into<Number>) -> Output {
    match Tensor::try_of_number(dtype, value) {
        Ok(tensor) => constant(graph, tensor),
        Err(error) => {
            let error = Error::type_mismatch(error.to_string());
            graph.add_error(error.clone());
            graph.invalid_output(graph.pending_name().unwrap_or("Const"), dtype, error)
        }
    }
}

/// Returns a constant scalar with the dtype, scope, and device of another output.
#[track_caller]
pub(crate) fn scalar_like(like: &Output, value: f64) -> Output {
    constant(&like.graph(), scalar_tensor(like.dtype(), value))
}
