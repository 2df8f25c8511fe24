//! Counting elements by value.

use crate::arguments::Ints;
use crate::composite::Composite;
use crate::library::op_defs;
use crate::math::binary::add;
use crate::math::reduce::reduce_max;
use crate::shapes;
use session_core::{AsOutput, AttrValue, Error, OpDef, Output, PartialShape, Result, ShapeContext};
use tensor::{DType, Tensor};

op_defs! {
    BINCOUNT: OpDef::new("Bincount", "arr: int32, size: int32, weights: T -> bins: T")
        .attrs("T: {int32, int64, float, double}")
        .shape(bincount_shape);
    DENSE_BINCOUNT: OpDef::new("DenseBincount", "input: Tidx, size: Tidx, weights: T -> output: T")
        .attrs("Tidx: indextype, T: {int32, int64, float, double}, binary_output: bool = false")
        .shape(dense_bincount_shape);
    HISTOGRAM_FIXED_WIDTH: OpDef::new("HistogramFixedWidth", "values: T, value_range: T, nbins: int32 -> out: dtype")
        .attrs("T: {int32, int64, float, double}, dtype: indextype = int32")
        .shape(histogram_shape)
        .not_differentiable();
    BUCKETIZE: OpDef::new("Bucketize", "input: T -> output: int32")
        .attrs("T: {int32, int64, float, double}, boundaries: list(float)")
        .shape(shapes::unchanged)
        .not_differentiable();
}

/// Returns a vector whose length is the scalar input.
fn sized_by(context: &ShapeContext<'_>, index: usize) -> Result<PartialShape> {
    shapes::must_be_scalar(context, index)?;
    let size = shapes::int(context, index).map(|size| {
        usize::try_from(size)
            .map_err(|_| Error::value(format!("a number of bins must not be negative ({size})")))
    });
    Ok(PartialShape::from([size.transpose()?]))
}

fn bincount_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = sized_by(context, 1)?;
    context.set(0, shape);
    Ok(())
}

/// One row of bins, or one for each row of the input.
fn dense_bincount_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let bins = sized_by(context, 1)?;
    let shape = match context.input(0).rank() {
        Some(2) => PartialShape::from([context.input(0).dim(0)]).concat(&bins),
        Some(0 | 1) => bins,
        Some(rank) => return Err(Error::value(format!("input must have rank 1 or 2, not {rank}"))),
        None => PartialShape::unknown(),
    };
    context.set(0, shape);
    Ok(())
}

fn histogram_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let range = context.input_of_rank(1, 1)?;
    if range.dim(0).is_some_and(|size| size != 2) {
        return Err(Error::value(format!("value_range must be two numbers, not of shape {range}")));
    }
    let shape = sized_by(context, 2)?;
    context.set(0, shape);
    Ok(())
}

/// Counts the occurrences of each number from 0 up in the `int32` tensor `arr`, as `int32`.
///
/// ```
/// # use ops::{array::constant, math};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let counts = math::bincount(constant(&graph, [1i32, 1, 3])); // [0, 2, 0, 1]
/// assert_eq!(counts.dtype(), DType::Int32);
/// ```
#[must_use]
#[track_caller]
pub fn bincount(arr: impl AsOutput) -> Output {
    let scope = Composite::new(&arr.as_output().graph(), "bincount");
    let arr = scope.enter(arr);
    let one = crate::array::constants::constant(scope.graph(), 1i32);
    let size = add(reduce_max(&arr, ..), one);
    let builder = scope.graph().op(&BINCOUNT).input(&arr).input(size);
    scope.leave(builder.constant(Tensor::from(Vec::<i32>::new())).finish_output())
}

/// Returns, for each number below `size`, the sum of the weights of its occurrences in the `int32` tensor `arr`. `weights` has the
/// shape of `arr`; its dtype is that of the result.
///
/// ```
/// # use ops::{array::constant, math};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let (arr, weights) = (constant(&graph, [1i32, 1, 3]), constant(&graph, [0.5f32, 0.25, 2.0]));
/// let sums = math::weighted_bincount(&arr, 4, &weights); // [0.0, 0.75, 0.0, 2.0]
/// assert_eq!(sums.shape().to_string(), "[4]");
/// ```
#[must_use]
#[track_caller]
pub fn weighted_bincount(arr: impl AsOutput, size: impl Into<Ints>, weights: impl AsOutput) -> Output {
    let builder = arr.as_output().graph().op(&BINCOUNT).input(arr);
    size.into().input_of(builder).input(weights).finish_output()
}

/// Returns the number of `values` in each of `bins` equal parts of `[range[0], range[1])`, as `int32`. Values outside count in the
/// first or last part.
///
/// ```
/// # use ops::{array::constant, math};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let (values, range) = (constant(&graph, [-1.0f32, 0.1, 0.6, 7.0]), constant(&graph, [0.0f32, 1.0]));
/// let counts = math::histogram_fixed_width(&values, &range, 2); // [2, 2]
/// assert_eq!(counts.shape().to_string(), "[2]");
/// ```
#[must_use]
#[track_caller]
pub fn histogram_fixed_width(values: impl AsOutput, range: impl AsOutput, bins: impl Into<Ints>) -> Output {
    let builder = values.as_output().graph().op(&HISTOGRAM_FIXED_WIDTH).default_name("histogram_fixed_width");
    let builder = bins.into().input_of(builder.input(values).input(range));
    builder.attr("dtype", DType::Int32).finish_output()
}

/// Returns the bucket of each element: the number of boundaries, in increasing order, that it is greater than
/// or equal to.
///
/// ```
/// # use ops::{array::constant, math};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let ages = constant(&graph, [3.0f32, 18.0, 70.0]);
/// let buckets = math::bucketize(&ages, &[18.0, 65.0]); // [0, 1, 2]
/// assert_eq!(buckets.dtype(), DType::Int32);
/// ```
#[must_use]
#[track_caller]
pub fn bucketize(input: impl AsOutput, boundaries: &[f32]) -> Output {
    let boundaries: Vec<AttrValue> = boundaries.iter().map(|&boundary| AttrValue::Float(boundary)).collect();
    let builder = input.as_output().graph().op(&BUCKETIZE).input(input);
    builder.attr("boundaries", boundaries).finish_output()
}
