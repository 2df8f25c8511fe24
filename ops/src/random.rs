//! Random operations, with TensorFlow's seed rules: equal seeds give equal numbers.
//!
//! An operation draws from a stream that is fixed by two seeds, one of the graph and one of the operation; see
//! [`get_seed`]. Each run continues in the stream; a new session starts it again.

pub(crate) mod generator;
pub(crate) mod keyed;

use crate::arguments::{Ints, vector};
use crate::array::constant;
use crate::array::constants::number;
use crate::composite::Composite;
use crate::gradients::broadcasting::sum_to_input;
use crate::library::op_defs;
use crate::math::{add, mul, sub};
use crate::scalar::Scalar;
use crate::shapes::{broadcast, shape_from, unchanged};
use session_core::{
    AsOutput, AttrValue, DType, Error, Graph, OpDef, Operation, Output, PartialShape, Result, ShapeContext,
    Tensor,
};

op_defs! {
    RANDOM_UNIFORM: sampler_def("RandomUniform");
    RANDOM_STANDARD_NORMAL: sampler_def("RandomStandardNormal");
    TRUNCATED_NORMAL: sampler_def("TruncatedNormal");
    RANDOM_UNIFORM_INT: OpDef::new("RandomUniformInt", "shape: T, minval: Tout, maxval: Tout -> output: Tout")
        .attrs("seed: int = 0, seed2: int = 0, Tout: indextype, T: indextype")
        .stateful().shape(given_shape).not_differentiable();
    PARAMETERIZED_TRUNCATED_NORMAL: OpDef::new(
            "ParameterizedTruncatedNormal",
            "shape: T, means: dtype, stdevs: dtype, minvals: dtype, maxvals: dtype -> output: dtype",
        )
        .attrs("seed: int = 0, seed2: int = 0, dtype: floattype, T: indextype")
        .stateful().shape(given_shape).not_differentiable();
    RANDOM_SHUFFLE: OpDef::new("RandomShuffle", "value: T -> output: T")
        .attrs("seed: int = 0, seed2: int = 0, T: type").stateful().shape(unchanged).not_differentiable();
    MULTINOMIAL: OpDef::new("Multinomial", "logits: T, num_samples: int32 -> output: output_dtype")
        .attrs("seed: int = 0, seed2: int = 0, T: realnumbertype, output_dtype: indextype = int64")
        .stateful().shape(multinomial_shape).not_differentiable();
    RANDOM_GAMMA: OpDef::new("RandomGamma", "shape: S, alpha: T -> output: T")
        .attrs("seed: int = 0, seed2: int = 0, S: indextype, T: {half, float, double}")
        .stateful().shape(shape_then_parameter).gradient(gamma_gradient);
    RANDOM_GAMMA_GRAD: OpDef::new("RandomGammaGrad", "alpha: T, sample: T -> output: T")
        .attrs("T: {float, double}").shape(broadcast);
    RANDOM_POISSON_V2: OpDef::new("RandomPoissonV2", "shape: S, rate: R -> output: dtype")
        .attrs("seed: int = 0, seed2: int = 0, S: indextype, R: {half, float, double, int32, int64} = double, dtype: {half, float, double, int32, int64} = int64")
        .stateful().shape(shape_then_parameter).not_differentiable();
    STATELESS_RANDOM_UNIFORM: stateless_def("StatelessRandomUniform");
    STATELESS_RANDOM_NORMAL: stateless_def("StatelessRandomNormal");
    STATELESS_TRUNCATED_NORMAL: stateless_def("StatelessTruncatedNormal");
    STATELESS_RANDOM_UNIFORM_INT: OpDef::new(
            "StatelessRandomUniformInt",
            "shape: T, seed: Tseed, minval: dtype, maxval: dtype -> output: dtype",
        )
        .attrs("dtype: indextype, T: indextype, Tseed: indextype = int64").shape(given_shape).not_differentiable();
    STATELESS_RANDOM_GET_KEY_COUNTER: OpDef::new("StatelessRandomGetKeyCounter", "seed: Tseed -> key: uint64, counter: uint64")
        .attrs("Tseed: indextype = int64").shape(key_and_counter).not_differentiable();
    STATELESS_RANDOM_UNIFORM_V2: keyed_def("StatelessRandomUniformV2");
    STATELESS_RANDOM_NORMAL_V2: keyed_def("StatelessRandomNormalV2");
    STATELESS_TRUNCATED_NORMAL_V2: keyed_def("StatelessTruncatedNormalV2");
    STATELESS_RANDOM_UNIFORM_INT_V2: OpDef::new(
            "StatelessRandomUniformIntV2",
            "shape: Tshape, key: uint64, counter: uint64, alg: int32, minval: dtype, maxval: dtype -> output: dtype",
        )
        .attrs("dtype: {int32, int64, uint32, uint64}, Tshape: indextype = int32").shape(given_shape).not_differentiable();
    STATELESS_MULTINOMIAL: OpDef::new(
            "StatelessMultinomial",
            "logits: T, num_samples: int32, seed: Tseed -> output: output_dtype",
        )
        .attrs("T: realnumbertype, Tseed: indextype = int64, output_dtype: indextype = int64")
        .shape(multinomial_shape).not_differentiable();
}

/// Defines a generator of a shape, whose state is a stream of the session.
const fn sampler_def(name: &'static str) -> OpDef {
    OpDef::new(name, "shape: T -> output: dtype")
        .attrs("seed: int = 0, seed2: int = 0, dtype: floattype, T: indextype")
        .stateful()
        .shape(given_shape)
        .not_differentiable()
}

/// Defines a generator whose numbers depend on the seed in its inputs alone.
const fn stateless_def(name: &'static str) -> OpDef {
    OpDef::new(name, "shape: T, seed: Tseed -> output: dtype")
        .attrs("dtype: floattype = float, T: indextype = int32, Tseed: indextype = int64")
        .shape(given_shape)
        .not_differentiable()
}

/// Defines a generator whose numbers depend on a key and a counter in its inputs;
/// `alg` selects Philox or ThreeFry.
const fn keyed_def(name: &'static str) -> OpDef {
    OpDef::new(name, "shape: Tshape, key: uint64, counter: uint64, alg: int32 -> output: dtype")
        .attrs("dtype: floattype = float, Tshape: indextype = int32")
        .shape(given_shape)
        .not_differentiable()
}

// ---- shape functions -------------------------------------------------------------------------------------

/// Sets the shape of the output to the value of the first input.
fn given_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = shape_in_input(context)?;
    context.set(0, shape);
    Ok(())
}

/// Infers the key of one number and the counter of two, those of Philox.
fn key_and_counter(context: &mut ShapeContext<'_>) -> Result<()> {
    context.set(0, PartialShape::from_sizes([1]));
    context.set(1, PartialShape::from_sizes([2]));
    Ok(())
}

/// Returns the shape that the first input describes.
///
/// # Errors
/// A value error for a constant with a negative size.
fn shape_in_input(context: &ShapeContext<'_>) -> Result<PartialShape> {
    let shape = context.inputs().first().map(shape_from).transpose()?.unwrap_or_default();
    match shape.sizes().and_then(|sizes| sizes.iter().find(|&&size| size < 0)) {
        // A constant is known as a whole, so the size is not just unknown.
        Some(size) if context.constant(0).is_some() => {
            Err(Error::value(format!("a size of {size} in the shape")))
        }
        _ => Ok(shape),
    }
}

/// Infers the given shape, followed by that of the parameter: one sample for each parameter.
fn shape_then_parameter(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = shape_in_input(context)?.concat(&context.input(1));
    context.set(0, shape);
    Ok(())
}

/// Builds the gradient of samples: how far each moves with its shape parameter while the probability of smaller ones stays.
fn gamma_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let mut result = vec![None; op.num_inputs()];
    let Some(grad) = &grads[0] else { return Ok(result) };
    let last = result.len() - 1; // the parameter
    let alpha = op.input(last);
    let builder = grad.graph().op(&RANDOM_GAMMA_GRAD).input(&alpha).input(op.output(0));
    // The samples have leading axes that the parameter lacks; the sum over them is the parameter's gradient.
    result[last] = Some(sum_to_input(&mul(grad, builder.finish_output()), &alpha, &[]));
    Ok(result)
}

/// Infers `[batch, num_samples]`.
fn multinomial_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let logits = context.input_of_rank(0, 2)?;
    context.input_of_rank(1, 0)?;
    let samples = context.constant_ints(1).and_then(|values| usize::try_from(*values.first()?).ok());
    context.set(0, PartialShape::from([logits.dim(0), samples]));
    Ok(())
}

// ---- seeds -----------------------------------------------------------------------------------------------

/// The graph-level seed that is used if only the operation has a seed.
const DEFAULT_GRAPH_SEED: i64 = 87_654_321;

/// Seeds are kept below this, as in TensorFlow.
const SEED_LIMIT: i64 = i32::MAX as i64;

/// Returns the two seeds of a random operation, from the graph's seed and its own:
///
/// | graph's | own | result |
/// | --- | --- | --- |
/// | none | none | (0, 0): different numbers in each session |
/// | none | `b` | a fixed number and `b` |
/// | `a` | none | `a` and a count: 0 for the first operation of the graph that needs one, then 1, 2 ... |
/// | `a` | `b` | `a` and `b` |
///
/// Seeds are taken modulo 2^31 - 1; two zeros, which would mean no seed, become (0, 2^31 - 1).
///
/// ```
/// use ops::random::get_seed;
/// let graph = session_core::Graph::new();
/// graph.set_random_seed(7);
/// assert_eq!(get_seed(&graph, Some(3)), (7, 3));
/// ```
#[must_use]
pub fn get_seed(graph: &Graph, op_seed: Option<i64>) -> (i64, i64) {
    // TensorFlow's rule: (0, 0) asks the session for a seed, and a seed of the graph alone is
    // completed by a counter of operations.
    let (first, second) = match (graph.random_seed(), op_seed) {
        (None, None) => return (0, 0),
        (None, Some(own)) => (DEFAULT_GRAPH_SEED, own),
        (Some(seed), None) => (seed, graph.next_op_seed()),
        (Some(seed), Some(own)) => (seed, own),
    };
    // Both seeds must be below 2^31 - 1, and (0, 0) would mean "no seed".
    match (first.rem_euclid(SEED_LIMIT), second.rem_euclid(SEED_LIMIT)) {
        (0, 0) => (0, SEED_LIMIT),
        seeds => seeds,
    }
}

/// Returns the shape as an output: a constant vector named `shape`, or what computes it.
#[track_caller]
fn shape_output(scope: &Graph, shape: Ints) -> Output {
    let sizes = match shape {
        Ints::Computed(output) => return output,
        Ints::Scalar(size) => vec![size],
        Ints::Vector(sizes) => sizes,
    };
    constant(&scope.named("shape"), vector(&sizes))
}

// ---- constructors ----------------------------------------------------------------------------------------

/// Returns numbers drawn uniformly from `[0, 1)`, of a floating-point dtype.
///
/// ```
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// use ops::random::random_uniform_unit;
/// let x = random_uniform_unit(&graph, [2, 3], DType::Float32, Some(1));
/// assert_eq!(x.shape().to_string(), "[2,3]");
/// ```
#[must_use]
#[track_caller]
pub fn random_uniform_unit(graph: &Graph, shape: impl Into<Ints>, dtype: DType, seed: Option<i64>) -> Output {
    let scope = Composite::new(graph, "random_uniform");
    let shape = shape_output(scope.graph(), shape.into());
    scope.leave(sample(scope.graph(), &RANDOM_UNIFORM, &shape, dtype, seed))
}

/// Returns numbers drawn uniformly from `[minval, maxval)`, of a floating-point dtype.
///
/// ```
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// use ops::random::random_uniform;
/// let x = random_uniform(&graph, [2, 3], -1.0, 1.0, DType::Float32, None);
/// assert_eq!(x.shape().to_string(), "[2,3]");
/// ```
#[must_use]
#[track_caller]
pub fn random_uniform(
    graph: &Graph,
    shape: impl Into<Ints>,
    minval: impl Into<Scalar>,
    maxval: impl Into<Scalar>,
    dtype: DType,
    seed: Option<i64>,
) -> Output {
    let scope = Composite::new(graph, "random_uniform");
    let inner = scope.graph();
    let shape = shape_output(inner, shape.into());
    let low = minval.into().to_output(&inner.named("min"), dtype);
    let high = maxval.into().to_output(&inner.named("max"), dtype);
    let unit = sample(inner, &RANDOM_UNIFORM, &shape, dtype, seed);
    // TensorFlow's form and names, `random_uniform/sub`, `mul`, and the scope itself for the
    // sum, with the same rounding.
    let width = sub(high.within(&inner.named("sub")), &low);
    let scaled = mul(unit.within(&inner.named("mul")), width);
    scope.leave(add(scope.enter_last(scaled), low))
}

/// Returns integers drawn uniformly from `[minval, maxval)`, of dtype `int32` or `int64`.
///
/// ```
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// use ops::random::random_uniform_int;
/// let dice = random_uniform_int(&graph, [10], 1, 7, DType::Int32, Some(1)); // from 1 to 6
/// assert_eq!(dice.dtype(), DType::Int32);
/// ```
#[must_use]
#[track_caller]
pub fn random_uniform_int(
    graph: &Graph,
    shape: impl Into<Ints>,
    minval: i64,
    maxval: i64,
    dtype: DType,
    seed: Option<i64>,
) -> Output {
    let scope = Composite::new(graph, "random_uniform");
    let inner = scope.graph();
    let shape = shape_output(inner, shape.into());
    let bound = |name: &str, value: i64| number(&inner.named(name), dtype, value);
    let (low, high) = (bound("min", minval), bound("max", maxval));
    // An operation without a seed of its own takes the next number of the graph's count of random operations.
    let seeds = get_seed(graph, seed);
    let builder = inner.named_as_scope().op(&RANDOM_UNIFORM_INT).input(&shape).input(&low).input(&high);
    scope.leave(builder.attr("seed", seeds.0).attr("seed2", seeds.1).finish_output())
}

/// Returns numbers drawn from the normal distribution with this mean and standard deviation.
///
/// ```
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// use ops::random::random_normal;
/// let noise = random_normal(&graph, [2, 3], 0.0, 0.1, DType::Float32, None);
/// assert_eq!(noise.shape().to_string(), "[2,3]");
/// ```
#[must_use]
#[track_caller]
pub fn random_normal(
    graph: &Graph,
    shape: impl Into<Ints>,
    mean: impl Into<Scalar>,
    stddev: impl Into<Scalar>,
    dtype: DType,
    seed: Option<i64>,
) -> Output {
    let scope = Composite::new(graph, "random_normal");
    let shape = shape_output(scope.graph(), shape.into());
    normal(&scope, &RANDOM_STANDARD_NORMAL, &shape, (&mean.into(), &stddev.into()), dtype, seed)
}

/// Works as [`random_normal`], but numbers more than two standard deviations from the mean are drawn again.
///
/// ```
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// use ops::random::truncated_normal;
/// let x = truncated_normal(&graph, [2, 3], 0.0, 0.1, DType::Float32, None); // from -0.2 to 0.2
/// assert_eq!(x.shape().to_string(), "[2,3]");
/// ```
#[must_use]
#[track_caller]
pub fn truncated_normal(
    graph: &Graph,
    shape: impl Into<Ints>,
    mean: impl Into<Scalar>,
    stddev: impl Into<Scalar>,
    dtype: DType,
    seed: Option<i64>,
) -> Output {
    let scope = Composite::new(graph, "truncated_normal");
    let shape = shape_output(scope.graph(), shape.into());
    normal(&scope, &TRUNCATED_NORMAL, &shape, (&mean.into(), &stddev.into()), dtype, seed)
}

/// Returns `unit * stddev + mean`, in TensorFlow's order and under its names.
fn normal(
    scope: &Composite,
    def: &'static OpDef,
    shape: &Output,
    (mean, stddev): (&Scalar, &Scalar),
    dtype: DType,
    seed: Option<i64>,
) -> Output {
    let inner = scope.graph();
    let mean = mean.to_output(&inner.named("mean"), dtype);
    let stddev = stddev.to_output(&inner.named("stddev"), dtype);
    let unit = sample(inner, def, shape, dtype, seed);
    let scaled = mul(unit.within(&inner.named("mul")), stddev);
    scope.leave(add(scope.enter_last(scaled), mean))
}

/// Returns numbers of a unit distribution. The seeds are drawn when the operation is built.
fn sample(inner: &Graph, def: &'static OpDef, shape: &Output, dtype: DType, seed: Option<i64>) -> Output {
    let seeds = get_seed(inner, seed);
    let builder = inner.op(def).input(shape).attr("dtype", dtype);
    builder.attr("seed", seeds.0).attr("seed2", seeds.1).finish_output()
}

/// Returns the rows of `value` in random order.
///
/// ```
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// use ops::{array::constant, random::random_shuffle};
/// let rows = random_shuffle(constant(&graph, [[1, 2], [3, 4], [5, 6]]), Some(1));
/// assert_eq!(rows.shape().to_string(), "[3,2]");
/// ```
#[must_use]
#[track_caller]
pub fn random_shuffle(value: impl AsOutput, seed: Option<i64>) -> Output {
    let value = value.as_output();
    let graph = value.graph();
    let seeds = get_seed(&graph, seed);
    graph.op(&RANDOM_SHUFFLE).input(value).attr("seed", seeds.0).attr("seed2", seeds.1).finish_output()
}

/// Draws `num_samples` classes, as `int64`, for each row of `logits` (unnormalized log probabilities).
///
/// ```
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// use ops::{array::constant, random::multinomial};
/// let logits = constant(&graph, [[0.0f32, 0.0, 10.0]]); // mostly class 2
/// assert_eq!(multinomial(&logits, 5, Some(1)).shape().to_string(), "[1,5]");
/// ```
#[must_use]
#[track_caller]
pub fn multinomial(logits: impl AsOutput, num_samples: usize, seed: Option<i64>) -> Output {
    let logits = logits.as_output();
    let scope = Composite::new(&logits.graph(), "multinomial");
    // The operation takes the number as `int32`.
    let count = i32::try_from(num_samples).unwrap_or_else(|_| {
        scope.graph().add_error(Error::value(format!("{num_samples} samples are too many")));
        0
    });
    let seeds = get_seed(scope.graph(), seed);
    let builder = scope.graph().op(&MULTINOMIAL).input(logits).constant(Tensor::from(count));
    let builder = builder.attr("seed", seeds.0).attr("seed2", seeds.1).attr("output_dtype", DType::Int64);
    scope.leave(builder.finish_output())
}

/// Returns numbers from the uniform distribution over `[0, 1)` that depend only on the shape, the dtype, and `seed`, two integers. The
/// operation has no state: each run returns the same numbers.
///
/// ```
/// use ops::{array::constant, random::stateless_random_uniform};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = stateless_random_uniform(&graph, [2, 3], constant(&graph, [1, 2]), DType::Float32);
/// assert_eq!(x.shape().to_string(), "[2,3]");
/// # graph.finalize().unwrap();
/// ```
#[must_use]
#[track_caller]
pub fn stateless_random_uniform(
    graph: &Graph,
    shape: impl Into<Ints>,
    seed: impl AsOutput,
    dtype: DType,
) -> Output {
    stateless(graph, &STATELESS_RANDOM_UNIFORM, shape.into(), seed.as_output(), dtype)
}

/// Returns numbers from the standard normal distribution that depend only on the shape, the dtype, and `seed`, two integers.
///
/// ```
/// use ops::{array::constant, random::stateless_random_normal};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = stateless_random_normal(&graph, [100], constant(&graph, [1, 2]), DType::Float32);
/// assert_eq!(x.dtype(), DType::Float32);
/// # graph.finalize().unwrap();
/// ```
#[must_use]
#[track_caller]
pub fn stateless_random_normal(
    graph: &Graph,
    shape: impl Into<Ints>,
    seed: impl AsOutput,
    dtype: DType,
) -> Output {
    stateless(graph, &STATELESS_RANDOM_NORMAL, shape.into(), seed.as_output(), dtype)
}

#[track_caller]
fn stateless(graph: &Graph, def: &'static OpDef, shape: Ints, seed: &Output, dtype: DType) -> Output {
    let scope = Composite::new(graph, def.name());
    let shape = shape_output(scope.graph(), shape);
    let builder = scope.graph().named_as_scope().op(def).input(&shape).input(seed);
    scope.leave(builder.attr("dtype", AttrValue::Type(dtype)).finish_output())
}
