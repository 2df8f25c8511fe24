//! Reductions over axes.

use super::binary::{add, div_no_nan, floor_div, floor_mod, maximum, mul, real_div, sub};
use super::cast::cast;
use super::compare::{equal, not_equal};
use super::scan::{CumulativeOptions, cumprod_with};
use super::unary::{conj_of, exp, is_finite, log, sqrt, square};
use crate::arguments::{Ints, ReductionAxes, keep_dims};
use crate::array::constants::{constant, fill, range, scalar_like, scalar_tensor, zeros_like};
use crate::array::gathering::gather;
use crate::array::identity::stop_gradient;
use crate::array::joining::{concat, stack};
use crate::array::partition::dynamic_stitch;
use crate::array::searching::setdiff1d;
use crate::array::shaping::{broadcast_to, invert_permutation, rank, reshape, shape, size, transpose};
use crate::array::slicing::slice;
use crate::composite::Composite;
use crate::gradients::broadcasting::shape_of;
use crate::library::op_defs;
use crate::math::select::select;
use crate::shapes;
use crate::static_value;
use session_core::{
    AsOutput, AttrValue, Error, Graph, OpDef, Operation, Output, PartialShape, Result, ShapeContext,
};
use tensor::DType;

const NUMBERS: &str = "keep_dims: bool = false, T: numbertype, Tidx: indextype = int32";
const REALS: &str = "keep_dims: bool = false, T: realnumbertype, Tidx: indextype = int32";

const fn reduction(name: &'static str, attrs: &'static str) -> OpDef {
    OpDef::new(name, "input: T, reduction_indices: Tidx -> output: T").attrs(attrs).shape(reduction_shape)
}

const fn logical(name: &'static str) -> OpDef {
    OpDef::new(name, "input: bool, reduction_indices: Tidx -> output: bool")
        .attrs("keep_dims: bool = false, Tidx: indextype = int32")
        .shape(reduction_shape)
        .not_differentiable()
}

op_defs! {
    SUM: reduction("Sum", NUMBERS).gradient(sum_gradient);
    MEAN: reduction("Mean", NUMBERS).gradient(mean_gradient);
    PROD: reduction("Prod", NUMBERS).gradient(prod_gradient);
    MAX: reduction("Max", REALS).gradient(extreme_gradient);
    MIN: reduction("Min", REALS).gradient(extreme_gradient);
    EUCLIDEAN_NORM: reduction("EuclideanNorm", NUMBERS).gradient(norm_gradient);
    ALL: logical("All");
    ANY: logical("Any");
    ARG_MAX: OpDef::new("ArgMax", "input: T, dimension: Tidx -> output: output_type")
        .attrs(
            "T: {float, double, int32, uint8, int16, int8, int64, bfloat16, uint16, half, uint32, uint64, bool}, \
             Tidx: {int16, int32, int64} = int32, output_type: {int16, uint16, int32, int64} = int64",
        )
        .shape(arg_shape)
        .not_differentiable();
    ARG_MIN: OpDef::new("ArgMin", "input: T, dimension: Tidx -> output: output_type")
        .attrs(
            "T: {float, double, int32, uint8, int16, int8, int64, bfloat16, uint16, half, uint32, uint64, bool}, \
             Tidx: indextype = int32, output_type: indextype = int64",
        )
        .shape(arg_shape)
        .not_differentiable();
}

fn reduction_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (input, keep) = (context.input(0), shapes::bool_attr(context, "keep_dims"));
    if let Some(rank) = context.input(1).rank().filter(|&rank| rank > 1) {
        return Err(Error::value(format!("axes must be a scalar or a vector, not of rank {rank}")));
    }
    let Some(rank) = input.rank() else { return Ok(()) };
    let shape = match shapes::ints(context, 1) {
        Some(axes) => reduced(&input, &axis_set(&axes, rank)?, keep),
        // Axes that are computed: with `keep_dims` at least the rank stays.
        None if keep => PartialShape::of_rank(rank),
        None => PartialShape::unknown(),
    };
    context.set(0, shape);
    Ok(())
}

/// Axes as indices.
fn axis_set(axes: &[i64], rank: usize) -> Result<Vec<usize>> {
    axes.iter().map(|&axis| shapes::axis_index(axis, rank)).collect()
}

/// Returns the shape without the axes, or with 1 in their places.
fn reduced(input: &PartialShape, axes: &[usize], keep: bool) -> PartialShape {
    let rank = input.rank().unwrap_or(0);
    let kept = (0..rank).filter(|axis| keep || !axes.contains(axis));
    kept.map(|axis| if axes.contains(&axis) { Some(1) } else { input.dim(axis) }).collect()
}

fn arg_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    shapes::must_be_scalar(context, 1)?;
    let input = context.input(0);
    let shape = match (input.rank(), shapes::int(context, 1)) {
        (Some(0), _) => PartialShape::scalar(),
        (Some(rank), Some(axis)) => reduced(&input, &[shapes::axis_index(axis, rank)?], false),
        // The axis is computed; one of them disappears.
        (Some(rank), None) => PartialShape::of_rank(rank - 1),
        (None, _) => PartialShape::unknown(),
    };
    context.set(0, shape);
    Ok(())
}

/// Returns axes counted from the start, where the run tells which of them are negative and count from the end.
pub(crate) fn from_start(axes: &Output, rank: &Output) -> Output {
    floor_mod(add(axes, rank), rank)
}

/// Returns sizes with those of the given axes replaced by 1, computed.
pub(crate) fn kept_sizes(sizes: &Output, rank: &Output, axes: &Output) -> Output {
    let graph = sizes.graph();
    let one = constant(&graph, 1i32);
    let axes = reshape(from_start(axes, rank), [-1]);
    let ones = fill(shape(&axes), &one);
    let all = range(constant(&graph, 0i32), rank, &one);
    dynamic_stitch(&[all, axes], &[sizes.clone(), ones])
}

/// The properties of a reduction that gradient functions need.
struct Reduction {
    input: Output,
    axes: Output,
    /// The axes as indices, when they follow from the graph and the rank is known.
    known_axes: Option<Vec<usize>>,
    keep_dims: bool,
}

impl Reduction {
    fn of(op: &Operation) -> Result<Reduction> {
        let (input, axes) = (op.input(0), op.input(1));
        let known = static_value::ints(&axes).zip(input.shape().rank());
        let known_axes = known.map(|(axes, rank)| axis_set(&axes, rank)).transpose()?;
        let keep_dims = op.attr("keep_dims").and_then(AttrValue::as_bool).unwrap_or(false);
        Ok(Reduction { input, axes, known_axes, keep_dims })
    }

    /// Creates a tensor of the result's shape under the shape it has when reduced axes are kept with size 1.
    fn with_axes(&self, result: &Output) -> Output {
        match &self.known_axes {
            _ if self.keep_dims => result.clone(),
            // Axes in front are added by broadcasting anyhow.
            Some(axes) if (0..axes.len()).all(|axis| axes.contains(&axis)) => result.clone(),
            Some(axes) => {
                let kept = reduced(self.input.shape(), axes, true);
                match kept.to_shape() {
                    Some(kept) => reshape(result, kept),
                    None => reshape(result, self.kept_shape()),
                }
            }
            None => reshape(result, self.kept_shape()),
        }
    }

    /// Returns the shape with reduced axes of size 1, computed.
    fn kept_shape(&self) -> Output {
        let (sizes, axes, rank) = (shape(&self.input), cast(&self.axes, DType::Int32), rank(&self.input));
        kept_sizes(&sizes, &rank, &axes)
    }

    /// Returns a tensor of the result's shape, repeated along the reduced axes.
    fn spread(&self, result: &Output) -> Output {
        let result = self.with_axes(result);
        if self.input.shape().is_fully_known() && result.shape() == self.input.shape() {
            return result; // axes of size 1 only
        }
        broadcast_to(result, shape_of(&self.input))
    }

    /// Returns the number of elements that went into one of the result's, when that is known and a tensor can have as many.
    fn count(&self) -> Option<usize> {
        let axes = self.known_axes.as_ref()?;
        axes.iter().try_fold(1usize, |count, &axis| count.checked_mul(self.input.shape().dim(axis)?))
    }
}

fn sum_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None, None]) };
    Ok(vec![Some(Reduction::of(op)?.spread(grad)), None])
}

fn mean_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None, None]) };
    let reduction = Reduction::of(op)?;
    // Divided before it is spread out, where there is less to divide.
    let share = match reduction.count() {
        Some(count) => real_div(grad, scalar_like(grad, count as f64)),
        None => real_div(grad, cast(computed_count(op, &reduction), grad.dtype())),
    };
    Ok(vec![Some(reduction.spread(&share)), None])
}

/// Returns the number of elements of each mean: the elements of the input over those of the result.
fn computed_count(op: &Operation, reduction: &Reduction) -> Output {
    let all = size(&reduction.input);
    if op.output(0).shape().rank() == Some(0) {
        return all;
    }
    // At least 1, since an empty result would divide by 0.
    floor_div(&all, maximum(size(op.output(0)), scalar_like(&all, 1.0)))
}

/// Builds the gradient. If several elements are extreme, they share it.
fn extreme_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None, None]) };
    let reduction = Reduction::of(op)?;
    let (result, grad) = (reduction.with_axes(&op.output(0)), reduction.with_axes(grad));
    // Elements that equal the extreme share its gradient evenly, as in TensorFlow.
    let taken = cast(equal(&reduction.input, result), grad.dtype());
    let axes = ReductionAxes { axes: (&reduction.axes).into(), keep_dims: reduction.keep_dims };
    let count = reduction.with_axes(&reduce_sum(&taken, axes));
    Ok(vec![Some(mul(taken, real_div(grad, count))), None])
}

fn norm_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None, None]) };
    let reduction = Reduction::of(op)?;
    // For a norm of 0 the gradient is 0: it is not differentiable there, and TensorFlow's NaN
    // would spread through the model.
    let share = reduction.with_axes(&div_no_nan(grad, op.output(0)));
    Ok(vec![Some(mul(&reduction.input, share)), None])
}

/// Returns the product of all other elements along the axes, which is right also where elements are 0.
fn prod_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None, None]) };
    let reduction = Reduction::of(op)?;
    let (Some(axes), Some(rank)) = (&reduction.known_axes, reduction.input.shape().rank()) else {
        let others = others_computed(&reduction);
        return Ok(vec![Some(mul(reduction.with_axes(grad), others)), None]);
    };
    // With the reduced axes joined into the first, the rest into the second.
    let rest: Vec<usize> = (0..rank).filter(|axis| !axes.contains(axis)).collect();
    let mut sorted = axes.clone();
    sorted.sort_unstable();
    sorted.dedup();
    let order: Vec<usize> = sorted.iter().chain(&rest).copied().collect();
    let turned = transpose(&reduction.input, order.as_slice());
    // -1 lets `reshape` infer the size; one unknown size is all it can infer.
    let count = reduction.count().map_or(-1, |count| i64::try_from(count).unwrap_or(-1));
    let flat = match count {
        -1 => reshape(&turned, flat_shape(&turned, sorted.len())),
        count => reshape(&turned, [count, if count == 0 { 1 } else { -1 }]),
    };
    let others = reshape(products_of_others(&flat), shape_of(&turned));
    // The inverse of `order`, which moves the axes back.
    let place = |axis: usize| order.iter().position(|&from| from == axis).unwrap_or(axis);
    let others = transpose(others, (0..rank).map(place).collect::<Vec<usize>>());
    Ok(vec![Some(mul(reduction.with_axes(grad), others)), None])
}

/// Returns for each element of a matrix the product of all others in its column, conjugated as gradients are.
fn products_of_others(flat: &Output) -> Output {
    // The product of all other elements as (those before) * (those after), which holds for
    // zeros too; a quotient would not.
    let before = cumprod_with(flat, 0, CumulativeOptions::default().exclusive(true));
    let after = cumprod_with(flat, 0, CumulativeOptions::default().exclusive(true).reverse(true));
    mul(conj_of(&before), conj_of(&after))
}

/// Returns for each element of the input the product of all others along the axes, where only the run tells what the axes
/// are.
fn others_computed(reduction: &Reduction) -> Output {
    let (input, sizes) = (&reduction.input, shape(&reduction.input));
    let (rank, axes) = (rank(input), reshape(cast(&reduction.axes, DType::Int32), [-1]));
    let axes = from_start(&axes, &rank);
    let all = range(scalar_like(&rank, 0.0), &rank, scalar_like(&rank, 1.0));
    let (rest, _) = setdiff1d(all, &axes);
    let order = concat(&[axes.clone(), rest.clone()], 0);
    let turned = transpose(input, &order);
    let product = |axes: &Output| reduce_prod(gather(&sizes, axes), ..);
    let flat = reshape(&turned, stack(&[product(&axes), product(&rest)], 0));
    let others = reshape(products_of_others(&flat), shape(&turned));
    reshape(transpose(others, invert_permutation(order)), shape_of(input))
}

/// `[product of the first sizes, product of the rest]`, computed.
fn flat_shape(tensor: &Output, first: usize) -> Output {
    let sizes = shape(tensor);
    let part = |begin: usize, count: i64| {
        let part = slice(&sizes, [begin], [count]);
        reduce_prod(part, ..)
    };
    let first_count = i64::try_from(first).unwrap_or(i64::MAX);
    stack(&[part(0, first_count), part(first, -1)], 0)
}

/// Builds a reduction over axes of which an empty list means none.
#[track_caller]
fn reduce(def: &'static OpDef, input: &Output, axes: ReductionAxes) -> Output {
    let graph = input.graph();
    let builder = match axes.axes.into_ints(input.shape()) {
        Some(axes) => axes.input_of(graph.op(def).input(input)),
        None => graph.op(def).input(input).input(all_axes(&graph, input)),
    };
    builder.attr("keep_dims", axes.keep_dims).finish_output()
}

/// Returns the axes of a tensor whose rank is known only when the graph runs.
#[track_caller]
fn all_axes(graph: &Graph, input: &Output) -> Output {
    let graph = crate::composite::unnamed(graph);
    range(constant(&graph, 0i32), rank(input.within(&graph)), constant(&graph, 1i32))
}

macro_rules! reductions {
    ($($(#[$doc:meta])* $name:ident => $def:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// `axes` is `..` for all axes, one number or a list; negative numbers count from the end. The axes are removed,
        /// unless they are given as [`keep_dims(axes)`](crate::keep_dims).
        #[must_use]
        #[track_caller]
        pub fn $name(input: impl AsOutput, axes: impl Into<ReductionAxes>) -> Output {
            reduce(&$def, input.as_output(), axes.into())
        }
    )*};
}

reductions! {
    /// Returns the sum over axes. An empty sum is 0.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let x = constant(&graph, [[1.0f32, 2.0], [3.0, 4.0]]);
    /// let y = math::reduce_sum(&x, 1); // [3.0, 7.0]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    reduce_sum => SUM;
    /// Returns the mean over axes. An empty mean is NaN.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let x = constant(&graph, [[1.0f32, 2.0], [3.0, 4.0]]);
    /// let y = math::reduce_mean(&x, 1); // [1.5, 3.5]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    reduce_mean => MEAN;
    /// Returns the product over axes. An empty product is 1.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let x = constant(&graph, [[1.0f32, 2.0], [3.0, 4.0]]);
    /// let y = math::reduce_prod(&x, 1); // [2.0, 12.0]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    reduce_prod => PROD;
    /// Returns the maximum over axes.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let x = constant(&graph, [[1.0f32, 2.0], [3.0, 4.0]]);
    /// let y = math::reduce_max(&x, 1); // [2.0, 4.0]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    reduce_max => MAX;
    /// Returns the minimum over axes.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let x = constant(&graph, [[1.0f32, 2.0], [3.0, 4.0]]);
    /// let y = math::reduce_min(&x, 1); // [1.0, 3.0]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    reduce_min => MIN;
    /// Returns the Euclidean norm over axes.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let x = constant(&graph, [[1.0f32, 2.0], [3.0, 4.0]]);
    /// let y = math::reduce_euclidean_norm(&x, 1); // [2.236, 5.0]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    reduce_euclidean_norm => EUCLIDEAN_NORM;
    /// Returns true if all elements are true.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let x = constant(&graph, [[true, false], [true, true]]);
    /// let y = math::reduce_all(&x, 1); // [false, true]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    reduce_all => ALL;
    /// Returns true if any element is true.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let x = constant(&graph, [[true, false], [true, true]]);
    /// let y = math::reduce_any(&x, 1); // [true, true]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    reduce_any => ANY;
}

/// Returns the logarithm of the sum of exponentials, without overflow.
///
/// ```
/// use ops::{array, math};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(math::reduce_logsumexp(&x, 1).shape().to_string(), "[2]");
/// ```
#[must_use]
#[track_caller]
pub fn reduce_logsumexp(input: impl AsOutput, axes: impl Into<ReductionAxes>) -> Output {
    let axes = axes.into();
    let scope = Composite::new(&input.as_output().graph(), "ReduceLogSumExp");
    let input = scope.enter(input);
    let largest = reduce_max(&input, keep_dims(axes.axes.clone()));
    // Infinities would give NaN as a difference.
    let shift = stop_gradient(select(is_finite(&largest), &largest, zeros_like(&largest)));
    let kept = axes.keep_dims;
    // After the shift the largest exponent is 0, so nothing overflows and one term at least is 1.
    let sum = log(reduce_sum(exp(sub(&input, &shift)), axes));
    // The shift has the reduced axes with size 1; without `keep_dims` they go.
    let shift = if kept { shift } else { reshape(&shift, shape_of(&sum)) };
    scope.leave(add(sum, shift))
}

/// Returns the variance over axes: the mean of squared differences from the mean.
///
/// ```
/// use ops::{array, math};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(math::reduce_variance(&x, 0).shape().to_string(), "[3]");
/// ```
#[must_use]
#[track_caller]
pub fn reduce_variance(input: impl AsOutput, axes: impl Into<ReductionAxes>) -> Output {
    let axes = axes.into();
    let scope = Composite::new(&input.as_output().graph(), "reduce_variance");
    let input = scope.enter(input);
    // Two passes: the difference of mean square and squared mean would cancel for a mean far from 0.
    let mean = reduce_mean(&input, keep_dims(axes.axes.clone()));
    scope.leave(reduce_mean(square(sub(&input, mean)), axes))
}

/// Returns the standard deviation over axes: the square root of the variance.
///
/// ```
/// use ops::{array, math};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(math::reduce_std(&x, ..).shape().to_string(), "[]");
/// ```
#[must_use]
#[track_caller]
pub fn reduce_std(input: impl AsOutput, axes: impl Into<ReductionAxes>) -> Output {
    let scope = Composite::new(&input.as_output().graph(), "reduce_std");
    let variance = reduce_variance(scope.enter(input), axes);
    scope.leave(sqrt(variance))
}

/// Returns the index of the largest element along an axis, the first of equals, as `int64`.
///
/// ```
/// use ops::{array, math};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(math::argmax(&x, 1).shape().to_string(), "[2]");
/// ```
#[must_use]
#[track_caller]
pub fn argmax(input: impl AsOutput, axis: impl Into<Ints>) -> Output {
    axis.into().input_of(input.as_output().graph().op(&ARG_MAX).input(input)).finish_output()
}

/// Returns the index of the smallest element along an axis, the first of equals, as `int64`.
///
/// ```
/// use ops::{array, math};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(math::argmin(&x, 0).shape().to_string(), "[3]");
/// ```
#[must_use]
#[track_caller]
pub fn argmin(input: impl AsOutput, axis: impl Into<Ints>) -> Output {
    axis.into().input_of(input.as_output().graph().op(&ARG_MIN).input(input)).finish_output()
}

/// Returns the number of elements that differ from zero, as `int64`.
///
/// ```
/// use ops::{array, math};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(math::count_nonzero(&x, ..).shape().to_string(), "[]");
/// ```
#[must_use]
#[track_caller]
pub fn count_nonzero(input: impl AsOutput, axes: impl Into<ReductionAxes>) -> Output {
    let scope = Composite::new(&input.as_output().graph(), "count_nonzero");
    let input = scope.enter(input);
    let zero = constant(scope.graph(), scalar_tensor(input.dtype(), 0.0));
    let nonzero = cast(not_equal(&input, zero), DType::Int64);
    scope.leave(reduce_sum(nonzero, axes))
}
