//! Pooling of regions whose sizes are drawn at random, so that an image shrinks by a factor that need not be whole (Graham, "Fractional
//! max-pooling").

use crate::library::op_defs;
use crate::random::get_seed;
use crate::shapes;
use session_core::{
    AsOutput, AttrValue, DType, Error, OpDef, Operation, Output, PartialShape, Result, ShapeContext,
};

const ATTRS: &str = "pooling_ratio: list(float) >= 4, pseudo_random: bool = false, overlapping: bool = false, \
                     deterministic: bool = false, seed: int = 0, seed2: int = 0, T: {float, double, int32, int64}";
const GRAD_ATTRS: &str = "overlapping: bool = false, T: {float, double, int32, int64}";

op_defs! {
    FRACTIONAL_AVG_POOL: OpDef::new(
            "FractionalAvgPool",
            "value: T -> output: T, row_pooling_sequence: int64, col_pooling_sequence: int64",
        )
        .attrs(ATTRS)
        .shape(pooled_shape)
        .gradient(mean_gradient);
    FRACTIONAL_MAX_POOL: OpDef::new(
            "FractionalMaxPool",
            "value: T -> output: T, row_pooling_sequence: int64, col_pooling_sequence: int64",
        )
        .attrs(ATTRS)
        .shape(pooled_shape)
        .gradient(maximum_gradient);
    FRACTIONAL_AVG_POOL_GRAD: OpDef::new(
            "FractionalAvgPoolGrad",
            "orig_input_tensor_shape: int64, out_backprop: T, row_pooling_sequence: int64, col_pooling_sequence: int64 -> output: T",
        )
        .attrs(GRAD_ATTRS)
        .shape(mean_gradient_shape);
    FRACTIONAL_MAX_POOL_GRAD: OpDef::new(
            "FractionalMaxPoolGrad",
            "orig_input: T, orig_output: T, out_backprop: T, row_pooling_sequence: int64, col_pooling_sequence: int64 -> output: T",
        )
        .attrs(GRAD_ATTRS)
        .shape(maximum_gradient_shape);
}

fn ratios(context: &ShapeContext<'_>) -> Result<Vec<f32>> {
    let list = context.attr("pooling_ratio").and_then(AttrValue::as_list).unwrap_or(&[]);
    let ratios: Vec<f32> = list.iter().filter_map(AttrValue::as_float).collect();
    if ratios.len() != 4 {
        return Err(Error::value(format!("pooling_ratio has {} numbers, not 4", ratios.len())));
    }
    if let Some(small) = ratios.iter().find(|ratio| ratio.is_nan() || **ratio < 1.0) {
        return Err(Error::value(format!("pooling_ratio cannot be smaller than 1, got: {small}")));
    }
    Ok(ratios)
}

fn pooled_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (input, ratios) = (context.input_of_rank(0, 4)?, ratios(context)?);
    if ratios[0] != 1.0 || ratios[3] != 1.0 {
        return Err(Error::value("pooling_ratio is 1 for the batch and the channels, which are not pooled"));
    }
    // In 32-bit floats, as the kernel computes: another width could round a size to a different whole number.
    let sizes: Vec<Option<usize>> = ratios
        .iter()
        .enumerate()
        .map(|(axis, ratio)| Some((input.dim(axis)? as f32 / ratio).floor() as usize))
        .collect();
    // The sequences list where the regions begin, and the end of the last.
    context.set(1, PartialShape::from([sizes[1].map(|size| size + 1)]));
    context.set(2, PartialShape::from([sizes[2].map(|size| size + 1)]));
    context.set(0, PartialShape::from(sizes));
    Ok(())
}

fn mean_gradient_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    context.input_of_rank(1, 4)?;
    let shape = shapes::shape_from(&context.inputs()[0])?;
    context.set(0, shapes::merge(&shape, &PartialShape::from([None; 4]))?);
    Ok(())
}

fn maximum_gradient_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = context.input_of_rank(0, 4)?;
    context.set(0, shape);
    Ok(())
}

fn overlapping(op: &Operation) -> bool {
    op.attr("overlapping").and_then(AttrValue::as_bool).unwrap_or(false)
}

fn mean_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None]) };
    // A mean needs only the shape of its input, a maximum also the values, to find where they were equal.
    let sizes = crate::array::shaping::shape_as(op.input(0), DType::Int64);
    let builder = op.graph().op(&FRACTIONAL_AVG_POOL_GRAD).input(sizes).input(grad);
    let builder = builder.input(op.output(1)).input(op.output(2));
    Ok(vec![Some(builder.attr("overlapping", overlapping(op)).finish_output())])
}

fn maximum_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None]) };
    let builder = op.graph().op(&FRACTIONAL_MAX_POOL_GRAD).input(op.input(0)).input(op.output(0)).input(grad);
    let builder = builder.input(op.output(1)).input(op.output(2));
    Ok(vec![Some(builder.attr("overlapping", overlapping(op)).finish_output())])
}

/// Options of [`fractional_avg_pool_with`] and [`fractional_max_pool_with`].
///
/// ```
/// use ops::nn::FractionalPoolOptions;
/// let options = FractionalPoolOptions::default().pseudo_random(true).seed(7);
/// # let _ = options;
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct FractionalPoolOptions {
    pseudo_random: bool,
    overlapping: bool,
    seed: Option<i64>,
}

impl FractionalPoolOptions {
    /// Sets whether regions of different sizes alternate as evenly as the ratio allows, after a random start, instead of in random order.
    /// Default: false.
    #[must_use]
    pub fn pseudo_random(mut self, pseudo_random: bool) -> Self {
        self.pseudo_random = pseudo_random;
        self
    }

    /// Sets whether the last row and column of a region are the first ones of the next region as well. Default: false.
    #[must_use]
    pub fn overlapping(mut self, overlapping: bool) -> Self {
        self.overlapping = overlapping;
        self
    }

    /// Sets the seed of the regions, which are then the same in each run. Default: none; each run draws other regions.
    #[must_use]
    pub fn seed(mut self, seed: i64) -> Self {
        self.seed = Some(seed);
        self
    }
}

/// The outputs of fractional pooling.
#[derive(Clone, Debug, PartialEq)]
pub struct FractionalPool {
    /// The pooled images, of the dtype of the input.
    pub output: Output,
    /// The first row of each region, and the number of rows: `int64` of shape `[rows of the output + 1]`.
    pub row_pooling_sequence: Output,
    /// The first column of each region, and the number of columns: `int64` of shape `[columns of the output + 1]`.
    pub col_pooling_sequence: Output,
}

#[track_caller]
fn pool(
    def: &'static OpDef,
    value: &Output,
    [rows, columns]: [f32; 2],
    options: FractionalPoolOptions,
) -> FractionalPool {
    let graph = value.graph();
    // Only a deterministic operation may have seeds; the kernel refuses others unless both are 0.
    let (seed, seed2) = match options.seed {
        Some(_) => get_seed(&graph, options.seed),
        None => (0, 0),
    };
    let ratios = [1.0, rows, columns, 1.0].map(AttrValue::Float);
    let builder = graph.op(def).input(value).attr("pooling_ratio", AttrValue::List(ratios.to_vec()));
    let builder =
        builder.attr("pseudo_random", options.pseudo_random).attr("overlapping", options.overlapping);
    let builder = builder.attr("deterministic", options.seed.is_some());
    let made = builder.attr("seed", seed).attr("seed2", seed2).finish();
    FractionalPool {
        output: made.output(0),
        row_pooling_sequence: made.output(1),
        col_pooling_sequence: made.output(2),
    }
}

/// Returns the mean of each of a grid of regions, of images of shape `[batch, rows, columns, channels]` that shrink by these two ratios. The
/// borders of the regions are drawn at random.
///
/// ```
/// use ops::{array, nn};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [1, 10, 10, 3]);
/// assert_eq!(nn::fractional_avg_pool(&x, [1.44, 1.73]).output.shape().to_string(), "[1,6,5,3]");
/// ```
///
/// # Errors
/// In the graph, for a ratio below 1.
#[must_use]
#[track_caller]
pub fn fractional_avg_pool(value: impl AsOutput, pooling_ratio: [f32; 2]) -> FractionalPool {
    fractional_avg_pool_with(value, pooling_ratio, FractionalPoolOptions::default())
}

/// Works as [`fractional_avg_pool`], with options.
#[must_use]
#[track_caller]
pub fn fractional_avg_pool_with(
    value: impl AsOutput,
    pooling_ratio: [f32; 2],
    options: FractionalPoolOptions,
) -> FractionalPool {
    pool(&FRACTIONAL_AVG_POOL, value.as_output(), pooling_ratio, options)
}

/// Returns the largest element of each of a grid of regions, as [`fractional_avg_pool`] returns the mean.
///
/// ```
/// use ops::{array, nn};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [1, 10, 10, 3]);
/// assert_eq!(nn::fractional_max_pool(&x, [1.44, 1.73]).output.shape().to_string(), "[1,6,5,3]");
/// ```
///
/// # Errors
/// In the graph, for a ratio below 1.
#[must_use]
#[track_caller]
pub fn fractional_max_pool(value: impl AsOutput, pooling_ratio: [f32; 2]) -> FractionalPool {
    fractional_max_pool_with(value, pooling_ratio, FractionalPoolOptions::default())
}

/// Works as [`fractional_max_pool`], with options.
#[must_use]
#[track_caller]
pub fn fractional_max_pool_with(
    value: impl AsOutput,
    pooling_ratio: [f32; 2],
    options: FractionalPoolOptions,
) -> FractionalPool {
    pool(&FRACTIONAL_MAX_POOL, value.as_output(), pooling_ratio, options)
}
