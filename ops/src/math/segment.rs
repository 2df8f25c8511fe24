//! Sums, means, products and extremes of rows that share a number.

use super::binary::{maximum, mul, real_div};
use super::cast::cast;
use super::compare::{equal, greater, greater_equal, logical_and};
use super::select::select;
use crate::arguments::Ints;
use crate::array::constants::{constant, ones_like, scalar_like};
use crate::array::gathering::gather;
use crate::array::joining::concat;
use crate::array::shaping::{expand_dims, reshape, shape, size};
use crate::array::slicing::{Index, slice, strided_slice};
use crate::library::op_defs;
use crate::shapes;
use session_core::{AsOutput, Error, OpDef, Operation, Output, PartialShape, Result, ShapeContext};
use tensor::DType;

const fn sorted(name: &'static str, attrs: &'static str) -> OpDef {
    OpDef::new(name, "data: T, segment_ids: Tindices -> output: T").attrs(attrs).shape(segment_shape)
}

const fn unsorted(name: &'static str, attrs: &'static str) -> OpDef {
    OpDef::new(name, "data: T, segment_ids: Tindices, num_segments: Tnumsegments -> output: T")
        .attrs(attrs)
        .shape(unsorted_shape)
}

const fn sparse(name: &'static str, attrs: &'static str) -> OpDef {
    OpDef::new(name, "data: T, indices: Tidx, segment_ids: Tsegmentids -> output: T")
        .attrs(attrs)
        .shape(sparse_shape)
}

/// Defines the same op with a given number of segments.
const fn sparse_of_count(name: &'static str, attrs: &'static str) -> OpDef {
    OpDef::new(
        name,
        "data: T, indices: Tidx, segment_ids: Tsegmentids, num_segments: Tnumsegments -> output: T",
    )
    .attrs(attrs)
    .shape(sparse_count_shape)
}

/// Gradients of the chosen rows alone, as newer exporters make them.
const fn sparse_rows(name: &'static str) -> OpDef {
    OpDef::new(
        name,
        "grad: T, indices: Tidx, segment_ids: Tsegmentids, dense_output_dim0: int32 -> output: T, sorted_unique_indices: Tidx",
    )
    .attrs("T: floattype, Tidx: indextype = int32, Tsegmentids: indextype = int32")
    .shape(used_rows_shape)
}

const fn sparse_grad(name: &'static str) -> OpDef {
    OpDef::new(name, "grad: T, indices: Tidx, segment_ids: Tsegmentids, output_dim0: int32 -> output: T")
        .attrs("T: floattype, Tidx: indextype = int32, Tsegmentids: indextype = int32")
        .shape(sparse_grad_shape)
}

const UNSORTED_REALS: &str = "T: realnumbertype, Tindices: indextype, Tnumsegments: indextype = int32";
const SPARSE_FLOATS_OF_COUNT: &str = "T: floattype, Tidx: indextype = int32, Tnumsegments: indextype = int32, \
                                      Tsegmentids: indextype = int32, sparse_gradient: bool = false";
const SPARSE_FLOATS: &str = "T: floattype, Tidx: indextype = int32, Tsegmentids: indextype = int32, \
                             sparse_gradient: bool = false";

op_defs! {
    SEGMENT_SUM: sorted("SegmentSum", "T: numbertype, Tindices: indextype").gradient(segment_sum_gradient);
    SEGMENT_MEAN: sorted("SegmentMean", "T: numbertype, Tindices: indextype").gradient(segment_mean_gradient);
    SEGMENT_MAX: sorted("SegmentMax", "T: realnumbertype, Tindices: indextype").gradient(segment_extreme_gradient);
    SEGMENT_MIN: sorted("SegmentMin", "T: realnumbertype, Tindices: indextype").gradient(segment_extreme_gradient);
    SEGMENT_PROD: sorted("SegmentProd", "T: numbertype, Tindices: indextype").gradient(segment_prod_gradient);
    UNSORTED_SEGMENT_SUM: unsorted(
        "UnsortedSegmentSum",
        "T: numbertype, Tindices: {int16, int32, int64}, Tnumsegments: indextype = int32",
    )
    .gradient(unsorted_sum_gradient);
    UNSORTED_SEGMENT_MAX: unsorted("UnsortedSegmentMax", UNSORTED_REALS).gradient(unsorted_extreme_gradient);
    UNSORTED_SEGMENT_MIN: unsorted("UnsortedSegmentMin", UNSORTED_REALS).gradient(unsorted_extreme_gradient);
    UNSORTED_SEGMENT_PROD: unsorted(
        "UnsortedSegmentProd",
        "T: numbertype, Tindices: indextype, Tnumsegments: indextype = int32",
    )
    .gradient(unsorted_prod_gradient);
    SPARSE_SEGMENT_SUM: sparse(
        "SparseSegmentSum",
        "T: realnumbertype, Tidx: indextype = int32, Tsegmentids: indextype = int32, sparse_gradient: bool = false",
    )
    .gradient(sparse_sum_gradient);
    SPARSE_SEGMENT_MEAN: sparse("SparseSegmentMean", SPARSE_FLOATS).gradient(sparse_mean_gradient);
    SPARSE_SEGMENT_SQRT_N: sparse("SparseSegmentSqrtN", SPARSE_FLOATS).gradient(sparse_sqrt_n_gradient);
    SPARSE_SEGMENT_SUM_WITH_NUM_SEGMENTS: sparse_of_count(
        "SparseSegmentSumWithNumSegments",
        "T: realnumbertype, Tidx: indextype = int32, Tnumsegments: indextype = int32, Tsegmentids: indextype = int32, \
         sparse_gradient: bool = false",
    )
    .gradient(sparse_sum_gradient);
    SPARSE_SEGMENT_MEAN_WITH_NUM_SEGMENTS:
        sparse_of_count("SparseSegmentMeanWithNumSegments", SPARSE_FLOATS_OF_COUNT).gradient(sparse_mean_gradient);
    SPARSE_SEGMENT_SQRT_N_WITH_NUM_SEGMENTS:
        sparse_of_count("SparseSegmentSqrtNWithNumSegments", SPARSE_FLOATS_OF_COUNT).gradient(sparse_sqrt_n_gradient);
    SPARSE_SEGMENT_SUM_GRAD: sparse_grad("SparseSegmentSumGrad");
    SPARSE_SEGMENT_MEAN_GRAD: sparse_grad("SparseSegmentMeanGrad");
    SPARSE_SEGMENT_SQRT_N_GRAD: sparse_grad("SparseSegmentSqrtNGrad");
    SPARSE_SEGMENT_SUM_GRAD_V2: sparse_rows("SparseSegmentSumGradV2");
    SPARSE_SEGMENT_MEAN_GRAD_V2: sparse_rows("SparseSegmentMeanGradV2");
    SPARSE_SEGMENT_SQRT_N_GRAD_V2: sparse_rows("SparseSegmentSqrtNGradV2");
}

/// Sets the shape of the result: a row for each different index, whose number is only known at run time.
fn used_rows_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let gradient = shapes::at_least_rank(context, 0, 1)?;
    let rows = if gradient.rank().is_some() { gradient.with_dim(0, None) } else { gradient };
    context.set(0, rows);
    context.set(1, PartialShape::from([None]));
    Ok(())
}

/// Infers one row for each segment, whose number the last id determines at run time.
fn segment_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (data, ids) = (shapes::at_least_rank(context, 0, 1)?, context.input_of_rank(1, 1)?);
    shapes::merge_dims("the rows of data and of segment_ids", data.dim(0), ids.dim(0))?;
    // The last number determines the number of segments when the graph runs.
    let shape = data.with_dim(0, None);
    context.set(0, shape);
    Ok(())
}

/// Infers `[num_segments]` and the axes of data after those of the ids.
fn unsorted_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    shapes::must_be_scalar(context, 2)?;
    let (data, ids) = (context.input(0), context.input(1));
    let (Some(rank), Some(ids_rank)) = (data.rank(), ids.rank()) else { return Ok(()) };
    if ids_rank > rank || data.range(0, ids_rank).merge(&ids).is_none() {
        return Err(Error::value(format!(
            "the shape {data} of data must begin with that of segment_ids, {ids}"
        )));
    }
    let segments = match shapes::int(context, 2) {
        Some(count) => {
            Some(usize::try_from(count).map_err(|_| Error::value("num_segments must not be negative"))?)
        }
        None => None,
    };
    context.set(0, PartialShape::from([segments]).concat(&data.range(ids_rank, rank)));
    Ok(())
}

/// Infers rows of data, one for each segment, whose number is open.
fn sparse_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let data = shapes::at_least_rank(context, 0, 1)?;
    let (indices, ids) = (context.input_of_rank(1, 1)?, context.input_of_rank(2, 1)?);
    shapes::merge(&indices, &ids)?;
    context.set(0, data.with_dim(0, None));
    Ok(())
}

/// Works as [`sparse_shape`], with the number of segments from the last input.
fn sparse_count_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    sparse_shape(context)?;
    shapes::must_be_scalar(context, 3)?;
    let data = context.input(0);
    if let Some(segments) = shapes::int(context, 3) {
        let segments = usize::try_from(segments)
            .map_err(|_| Error::value(format!("num_segments must not be negative ({segments})")))?;
        context.set(0, data.with_dim(0, Some(segments)));
    }
    Ok(())
}

/// Infers the shape of the data: `output_dim0` rows as wide as the gradient's.
fn sparse_grad_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    shapes::must_be_scalar(context, 3)?;
    let grad = shapes::at_least_rank(context, 0, 1)?;
    let (indices, ids) = (context.input_of_rank(1, 1)?, context.input_of_rank(2, 1)?);
    shapes::merge(&indices, &ids)?;
    let rows = shapes::int(context, 3).and_then(|rows| usize::try_from(rows).ok());
    context.set(0, grad.with_dim(0, rows));
    Ok(())
}

fn segment_sum_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    // Each row went into one sum, so it receives that sum's gradient.
    Ok(vec![grads[0].as_ref().map(|grad| gather(grad, op.input(1))), None])
}

/// Returns a vector of one number per row, under a shape that broadcasts along rows.
fn per_row(numbers: &Output, data: &Output) -> Output {
    match data.shape().rank() {
        Some(rank) => {
            let sizes: Vec<i64> =
                std::iter::once(-1).chain(std::iter::repeat_n(1, rank.saturating_sub(1))).collect();
            reshape(numbers, sizes)
        }
        None => {
            let rest = ones_like(strided_slice(shape(data), &[(1..).into()]));
            reshape(numbers, concat(&[shape(numbers), rest], 0))
        }
    }
}

fn segment_mean_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let gradient = |grad: &Output| {
        let ids = op.input(1);
        // The size of each segment, as a sum of ones.
        let counts = segment_sum(cast(ones_like(&ids), grad.dtype()), &ids);
        gather(real_div(grad, per_row(&counts, grad)), &ids)
    };
    Ok(vec![grads[0].as_ref().map(gradient), None])
}

/// Builds the gradient. If several rows are extreme, they share it.
fn segment_extreme_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let gradient = |grad: &Output| {
        let (data, ids) = (op.input(0), op.input(1));
        let taken = equal(&data, gather(op.output(0), &ids));
        // Rows that share an extreme share its gradient evenly.
        let counts = segment_sum(cast(&taken, grad.dtype()), &ids);
        select(taken, gather(real_div(grad, counts), &ids), scalar_like(grad, 0.0))
    };
    Ok(vec![grads[0].as_ref().map(gradient), None])
}

fn segment_prod_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let gradient = |grad: &Output| {
        let (data, ids) = (op.input(0), op.input(1));
        let sum = |x: Output| segment_sum(x, &ids);
        let prod = |x: Output| segment_prod(x, &ids);
        product_gradient(grad, &data, &op.output(0), sum, prod, |x| gather(x, &ids))
    };
    Ok(vec![grads[0].as_ref().map(gradient), None])
}

/// Returns the gradient of products of rows: the product of the others, which is right also where one element is 0.
fn product_gradient(
    grad: &Output,
    data: &Output,
    product: &Output,
    sum: impl Fn(Output) -> Output,
    prod: impl Fn(Output) -> Output,
    spread: impl Fn(&Output) -> Output,
) -> Output {
    let zero = scalar_like(data, 0.0);
    let is_zero = equal(data, &zero);
    // With one zero only that element has a gradient, the product of the others; with two or more nobody has.
    // The quotient would be 0 / 0.
    let zeros = sum(cast(&is_zero, DType::Int32));
    let grad = select(greater(&zeros, scalar_like(&zeros, 1.0)), scalar_like(grad, 0.0), grad);
    let nonzero = select(&is_zero, scalar_like(data, 1.0), data);
    let nonzero_product = prod(nonzero.clone());
    let others = select(&is_zero, spread(&nonzero_product), real_div(spread(product), nonzero));
    mul(spread(&grad), others)
}

/// Rows by number, and zeros for negative numbers.
fn gather_or_zeros(rows: &Output, ids: &Output) -> Output {
    // Negative ids belong to no segment, as in TensorFlow: their rows receive zero.
    let valid = greater_equal(ids, scalar_like(ids, 0.0));
    // Any valid row will do for the others, which are not selected.
    let found = gather(rows, maximum(ids, scalar_like(ids, 0.0)));
    select(spread_condition(valid, ids, &found), &found, scalar_like(&found, 0.0))
}

/// One truth value for each number, under a shape that broadcasts along rows.
fn spread_condition(condition: Output, ids: &Output, rows: &Output) -> Output {
    match (ids.shape().rank(), rows.shape().rank()) {
        (Some(ids_rank), Some(rank)) => {
            (ids_rank..rank).fold(condition, |condition, _| expand_dims(condition, -1))
        }
        _ => {
            let sizes = shape(ids);
            let count = size(&sizes);
            let rest = slice(ones_like(shape(rows)), reshape(count, [1]), constant(&rows.graph(), [-1i32]));
            reshape(condition, concat(&[sizes, rest], 0))
        }
    }
}

fn unsorted_sum_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    Ok(vec![grads[0].as_ref().map(|grad| gather_or_zeros(grad, &op.input(1))), None, None])
}

/// Builds the gradient. If several rows are extreme, they share it.
fn unsorted_extreme_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let gradient = |grad: &Output| {
        let (data, ids) = (op.input(0), op.input(1));
        let found = gather(op.output(0), maximum(&ids, scalar_like(&ids, 0.0)));
        let valid = spread_condition(greater_equal(&ids, scalar_like(&ids, 0.0)), &ids, &found);
        let taken = logical_and(equal(&data, found), valid);
        let counts = unsorted_segment_sum(cast(&taken, grad.dtype()), &ids, op.input(2));
        let share = gather_or_zeros(&real_div(grad, counts), &ids);
        select(taken, share, scalar_like(grad, 0.0))
    };
    Ok(vec![grads[0].as_ref().map(gradient), None, None])
}

fn unsorted_prod_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let gradient = |grad: &Output| {
        let (data, ids, count) = (op.input(0), op.input(1), op.input(2));
        let sum = |x: Output| unsorted_segment_sum(x, &ids, &count);
        let prod = |x: Output| unsorted_segment_prod(x, &ids, &count);
        product_gradient(grad, &data, &op.output(0), sum, prod, |x| gather_or_zeros(x, &ids))
    };
    Ok(vec![grads[0].as_ref().map(gradient), None, None])
}

/// Returns the rows of a tensor, as an `int32` scalar or a number.
fn rows_of(data: &Output) -> Ints {
    match data.shape().dim(0) {
        Some(rows) => Ints::from(rows),
        None => Ints::from(strided_slice(shape(data), &[Index::At(0)])),
    }
}

fn sparse_sum_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let (data, indices, ids) = (op.input(0), op.input(1), op.input(2));
    // Each row of data receives the gradients of all segments that it was added to, however often.
    let gradient = |grad: &Output| unsorted_segment_sum(gather(grad, &ids), &indices, rows_of(&data));
    Ok(of_data(op, grads[0].as_ref().map(gradient)))
}

fn sparse_gradient(
    op: &Operation,
    grads: &[Option<Output>],
    def: &'static OpDef,
) -> Result<Vec<Option<Output>>> {
    // Mean and root mean divide by the number of rows, which these operations count again from the ids.
    let gradient = |grad: &Output| {
        let builder = grad.graph().op(def).input(grad).input(op.input(1)).input(op.input(2));
        rows_of(&op.input(0)).input_of(builder).finish_output()
    };
    Ok(of_data(op, grads[0].as_ref().map(gradient)))
}

/// Returns a gradient of the first input, and none of the others.
fn of_data(op: &Operation, gradient: Option<Output>) -> Vec<Option<Output>> {
    let mut result = vec![None; op.num_inputs()];
    result[0] = gradient;
    result
}

fn sparse_mean_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    sparse_gradient(op, grads, &SPARSE_SEGMENT_MEAN_GRAD)
}

fn sparse_sqrt_n_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    sparse_gradient(op, grads, &SPARSE_SEGMENT_SQRT_N_GRAD)
}

macro_rules! sorted_segments {
    ($($(#[$doc:meta])* $name:ident => $def:ident;)*) => {$(
        $(#[$doc])*
        /// Segment ids are sorted and start at 0. Rows of `data` with the same id form a segment.
        #[must_use]
        #[track_caller]
        pub fn $name(data: impl AsOutput, segment_ids: impl AsOutput) -> Output {
            data.as_output().graph().op(&$def).input(data).input(segment_ids).finish_output()
        }
    )*};
}

sorted_segments! {
    /// Returns the sum of the rows of each segment.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let (data, ids) = (constant(&graph, [1.0f32, 3.0, 5.0]), constant(&graph, [0i32, 0, 1]));
    /// let y = math::segment_sum(&data, &ids); // [4.0, 5.0]
    /// assert_eq!(y.shape().to_string(), "[?]");
    /// ```
    segment_sum => SEGMENT_SUM;
    /// Returns the mean of the rows of each segment.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let (data, ids) = (constant(&graph, [1.0f32, 3.0, 5.0]), constant(&graph, [0i32, 0, 1]));
    /// let y = math::segment_mean(&data, &ids); // [2.0, 5.0]
    /// assert_eq!(y.shape().to_string(), "[?]");
    /// ```
    segment_mean => SEGMENT_MEAN;
    /// Returns the maximum of the rows of each segment.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let (data, ids) = (constant(&graph, [1.0f32, 3.0, 5.0]), constant(&graph, [0i32, 0, 1]));
    /// let y = math::segment_max(&data, &ids); // [3.0, 5.0]
    /// assert_eq!(y.shape().to_string(), "[?]");
    /// ```
    segment_max => SEGMENT_MAX;
    /// Returns the minimum of the rows of each segment.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let (data, ids) = (constant(&graph, [1.0f32, 3.0, 5.0]), constant(&graph, [0i32, 0, 1]));
    /// let y = math::segment_min(&data, &ids); // [1.0, 5.0]
    /// assert_eq!(y.shape().to_string(), "[?]");
    /// ```
    segment_min => SEGMENT_MIN;
    /// Returns the product of the rows of each segment.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let (data, ids) = (constant(&graph, [1.0f32, 3.0, 5.0]), constant(&graph, [0i32, 0, 1]));
    /// let y = math::segment_prod(&data, &ids); // [3.0, 5.0]
    /// assert_eq!(y.shape().to_string(), "[?]");
    /// ```
    segment_prod => SEGMENT_PROD;
}

macro_rules! unsorted_segments {
    ($($(#[$doc:meta])* $name:ident => $def:ident;)*) => {$(
        $(#[$doc])*
        /// Segment ids are less than `num_segments` and in any order; rows with negative ids are dropped. The
        /// shape of the ids is a prefix of that of `data`.
        #[must_use]
        #[track_caller]
        pub fn $name(data: impl AsOutput, segment_ids: impl AsOutput, num_segments: impl Into<Ints>) -> Output {
            let builder = data.as_output().graph().op(&$def).input(data).input(segment_ids);
            num_segments.into().input_of(builder).finish_output()
        }
    )*};
}

unsorted_segments! {
    /// Returns the sum of the rows of each segment. An empty segment yields 0.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let (data, ids) = (constant(&graph, [1.0f32, 5.0, 3.0]), constant(&graph, [1i32, 0, 1]));
    /// let y = math::unsorted_segment_sum(&data, &ids, 2); // [5.0, 4.0]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    unsorted_segment_sum => UNSORTED_SEGMENT_SUM;
    /// Returns the maximum of the rows of each segment. An empty segment yields the lowest number of the
    /// dtype.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let (data, ids) = (constant(&graph, [1.0f32, 5.0, 3.0]), constant(&graph, [1i32, 0, 1]));
    /// let y = math::unsorted_segment_max(&data, &ids, 2); // [5.0, 3.0]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    unsorted_segment_max => UNSORTED_SEGMENT_MAX;
    /// Returns the minimum of the rows of each segment. An empty segment yields the highest number of the
    /// dtype.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let (data, ids) = (constant(&graph, [1.0f32, 5.0, 3.0]), constant(&graph, [1i32, 0, 1]));
    /// let y = math::unsorted_segment_min(&data, &ids, 2); // [5.0, 1.0]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    unsorted_segment_min => UNSORTED_SEGMENT_MIN;
    /// Returns the product of the rows of each segment. An empty segment yields 1.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let (data, ids) = (constant(&graph, [1.0f32, 5.0, 3.0]), constant(&graph, [1i32, 0, 1]));
    /// let y = math::unsorted_segment_prod(&data, &ids, 2); // [5.0, 3.0]
    /// assert_eq!(y.shape().to_string(), "[2]");
    /// ```
    unsorted_segment_prod => UNSORTED_SEGMENT_PROD;
}

macro_rules! sparse_segments {
    ($($(#[$doc:meta])* $name:ident => $def:ident;)*) => {$(
        $(#[$doc])*
        /// Row `indices[i]` of `data` belongs to segment `segment_ids[i]`. Segment ids are sorted and start
        /// at 0.
        #[must_use]
        #[track_caller]
        pub fn $name(data: impl AsOutput, indices: impl AsOutput, segment_ids: impl AsOutput) -> Output {
            let builder = data.as_output().graph().op(&$def).input(data);
            builder.input(indices).input(segment_ids).finish_output()
        }
    )*};
}

sparse_segments! {
    /// Returns the sum of the selected rows of each segment.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let data = constant(&graph, [1.0f32, 3.0, 5.0]);
    /// let (rows, ids) = (constant(&graph, [0i32, 2, 1]), constant(&graph, [0i32, 0, 1]));
    /// let y = math::sparse_segment_sum(&data, &rows, &ids); // [6.0, 3.0]
    /// assert_eq!(y.dtype(), DType::Float32);
    /// ```
    sparse_segment_sum => SPARSE_SEGMENT_SUM;
    /// Returns the mean of the selected rows of each segment.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let data = constant(&graph, [1.0f32, 3.0, 5.0]);
    /// let (rows, ids) = (constant(&graph, [0i32, 2, 1]), constant(&graph, [0i32, 0, 1]));
    /// let y = math::sparse_segment_mean(&data, &rows, &ids); // [3.0, 3.0]
    /// assert_eq!(y.dtype(), DType::Float32);
    /// ```
    sparse_segment_mean => SPARSE_SEGMENT_MEAN;
    /// Returns the sum of the selected rows of each segment, divided by the square root of their number.
    ///
    /// ```
    /// # use ops::{array::constant, math};
    /// # use session_core::{DType, Graph, Tensor};
    /// # let graph = Graph::new();
    /// let data = constant(&graph, [1.0f32, 3.0, 5.0]);
    /// let (rows, ids) = (constant(&graph, [0i32, 2, 1]), constant(&graph, [0i32, 0, 1]));
    /// let y = math::sparse_segment_sqrt_n(&data, &rows, &ids); // [4.243, 3.0]
    /// assert_eq!(y.dtype(), DType::Float32);
    /// ```
    sparse_segment_sqrt_n => SPARSE_SEGMENT_SQRT_N;
}

macro_rules! counted_sparse_segments {
    ($($(#[$doc:meta])* $name:ident => $def:ident;)*) => {$(
        $(#[$doc])*
        /// A segment without rows is zeros.
        ///
        /// ```
        /// # use ops::{array::constant, math};
        /// # let graph = session_core::Graph::new();
        /// let data = constant(&graph, [[1.0f32], [2.0], [3.0]]);
        /// let (indices, ids) = (constant(&graph, [0, 2]), constant(&graph, [1, 1]));
        #[doc = concat!("let y = math::", stringify!($name), "(&data, &indices, &ids, 3);")]
        /// assert_eq!(y.shape().to_string(), "[3,1]");
        /// ```
        #[must_use]
        #[track_caller]
        pub fn $name(
            data: impl AsOutput,
            indices: impl AsOutput,
            segment_ids: impl AsOutput,
            num_segments: impl Into<Ints>,
        ) -> Output {
            let builder = data.as_output().graph().op(&$def).input(data).input(indices).input(segment_ids);
            num_segments.into().input_of(builder).finish_output()
        }
    )*};
}

counted_sparse_segments! {
    /// Returns the sum of the selected rows of each segment, as [`sparse_segment_sum`], for a given number of segments.
    sparse_segment_sum_with_num_segments => SPARSE_SEGMENT_SUM_WITH_NUM_SEGMENTS;
    /// Returns the mean of the selected rows of each segment, as [`sparse_segment_mean`], for a given number of segments.
    sparse_segment_mean_with_num_segments => SPARSE_SEGMENT_MEAN_WITH_NUM_SEGMENTS;
    /// Returns the sum of the selected rows of each segment, divided by the square root of their number, as
    /// [`sparse_segment_sqrt_n`], for a given number of segments.
    sparse_segment_sqrt_n_with_num_segments => SPARSE_SEGMENT_SQRT_N_WITH_NUM_SEGMENTS;
}
