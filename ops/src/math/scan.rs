//! Running sums and products along an axis.

use super::binary::{div_no_nan, mul, sub};
use super::compare::{greater, less};
use super::select::select;
use super::unary::{conj_of, exp, log, neg};
use crate::arguments::Ints;
use crate::array::constants::{scalar_like, scalar_tensor};
use crate::library::op_defs;
use crate::shapes;
use session_core::{AsOutput, AttrValue, OpDef, Operation, Output, Result, ShapeContext};
use tensor::{DType, Tensor, bf16, f16};

const NUMBERS: &str =
    "exclusive: bool = false, reverse: bool = false, T: numbertype, Tidx: indextype = int32";

op_defs! {
    CUMSUM: OpDef::new("Cumsum", "x: T, axis: Tidx -> out: T")
        .attrs(NUMBERS)
        .shape(scan_shape)
        .gradient(cumsum_gradient);
    CUMPROD: OpDef::new("Cumprod", "x: T, axis: Tidx -> out: T")
        .attrs(NUMBERS)
        .shape(scan_shape)
        .gradient(cumprod_gradient);
    CUMULATIVE_LOGSUMEXP: OpDef::new("CumulativeLogsumexp", "x: T, axis: Tidx -> out: T")
        .attrs("exclusive: bool = false, reverse: bool = false, T: floattype, Tidx: indextype = int32")
        .shape(scan_shape)
        .gradient(cumulative_logsumexp_gradient);
}

fn scan_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    shapes::must_be_scalar(context, 1)?;
    let shape = shapes::at_least_rank(context, 0, 1)?;
    // Only a check: a scan keeps the shape.
    if let (Some(axis), Some(rank)) = (shapes::int(context, 1), shape.rank()) {
        shapes::axis_index(axis, rank)?;
    }
    context.set(0, shape);
    Ok(())
}

/// Builds a scan along the axis of another one, with its flags except for `reverse`, which is inverted.
fn scan_back(def: &'static OpDef, op: &Operation, x: &Output) -> Output {
    let flag = |name: &str| op.attr(name).and_then(AttrValue::as_bool).unwrap_or(false);
    // `exclusive` stays: the element that the forward scan leaves out is left out backwards too.
    let builder = x.graph().op(def).input(x).input(op.input(1));
    builder.attr("exclusive", flag("exclusive")).attr("reverse", !flag("reverse")).finish_output()
}

fn cumsum_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    Ok(vec![grads[0].as_ref().map(|grad| scan_back(&CUMSUM, op, grad)), None])
}

/// Builds TensorFlow's gradient, which is correct unless an element is 0.
fn cumprod_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let gradient = |grad: &Output| {
        // The derivative of a product by one factor is the product over the factor. As in TensorFlow, that
        // is wrong where a factor is 0.
        let sum = scan_back(&CUMSUM, op, &mul(conj_of(&op.output(0)), grad));
        let x = conj_of(&op.input(0));
        // A factor of 0 gives 0 instead of NaN. Integers have no such quotient.
        if x.dtype().is_integer() { super::binary::floor_div(sum, x) } else { div_no_nan(sum, x) }
    };
    Ok(vec![grads[0].as_ref().map(gradient), None])
}

/// Returns the smallest finite number of a floating dtype.
fn lowest(dtype: DType) -> Tensor {
    // The logarithm of 0 for this purpose: adding to it changes nothing, and `exp` of it is 0.
    match dtype {
        DType::Float16 => Tensor::from(f16::MIN),
        DType::BFloat16 => Tensor::from(bf16::MIN),
        DType::Float32 => Tensor::from(f32::MIN),
        _ => scalar_tensor(dtype, f64::MIN),
    }
}

/// Positive and negative gradients go apart, each by its logarithm, so that nothing overflows.
fn cumulative_logsumexp_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None, None]) };
    let (x, result) = (op.input(0), op.output(0));
    let least = crate::array::constants::constant(&grad.graph(), lowest(grad.dtype()));
    // Sums of exponentials need positive terms, so positive and negative gradients are scanned separately.
    let one_sign = |positive: &Output, size: &Output| {
        // The logarithm is taken of positive numbers only, in both branches.
        let safe = select(positive, size, scalar_like(size, 1.0));
        let logarithm = select(positive, log(safe), &least);
        exp(super::binary::add(scan_back(&CUMULATIVE_LOGSUMEXP, op, &sub(logarithm, &result)), &x))
    };
    let zero = scalar_like(grad, 0.0);
    let above = one_sign(&greater(grad, &zero), grad);
    let below = one_sign(&less(grad, &zero), &neg(grad));
    Ok(vec![Some(sub(above, below)), None])
}

/// Options of [`cumsum_with`], [`cumprod_with`] and [`cumulative_logsumexp`].
///
/// ```
/// use ops::array::constant;
/// use ops::math::{CumulativeOptions, cumsum_with};
/// let graph = session_core::Graph::new();
/// let x = constant(&graph, [1.0f32, 2.0, 3.0]);
/// let before = cumsum_with(&x, 0, CumulativeOptions::default().exclusive(true)); // [0.0, 1.0, 3.0]
/// let from_end = cumsum_with(&x, 0, CumulativeOptions::default().reverse(true)); // [6.0, 5.0, 3.0]
/// # let _ = (before, from_end);
/// # graph.finalize().unwrap();
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CumulativeOptions {
    exclusive: bool,
    reverse: bool,
}

impl CumulativeOptions {
    /// Sets whether each result excludes the element at its own position. The first result is then 0 for sums, 1 for products, and the
    /// smallest number of the dtype for logarithms. Default: false.
    #[must_use]
    pub fn exclusive(mut self, exclusive: bool) -> Self {
        self.exclusive = exclusive;
        self
    }

    /// Sets whether the result accumulates from the last element to the first. Default: false.
    #[must_use]
    pub fn reverse(mut self, reverse: bool) -> Self {
        self.reverse = reverse;
        self
    }
}

#[track_caller]
fn scan(def: &'static OpDef, x: &Output, axis: Ints, options: CumulativeOptions) -> Output {
    let builder = axis.input_of(x.graph().op(def).input(x));
    builder.attr("exclusive", options.exclusive).attr("reverse", options.reverse).finish_output()
}

/// Returns the running sum along an axis: each element plus all before it.
///
/// ```
/// use ops::{array, math};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(math::cumsum(&x, 1).shape().to_string(), "[2,3]");
/// ```
#[must_use]
#[track_caller]
pub fn cumsum(x: impl AsOutput, axis: impl Into<Ints>) -> Output {
    scan(&CUMSUM, x.as_output(), axis.into(), CumulativeOptions::default())
}

/// Works as [`cumsum`], with options.
///
/// ```
/// use ops::{array, math};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// // [a, b, c] becomes [b + c, c, 0].
/// let options = math::CumulativeOptions::default().exclusive(true).reverse(true);
/// assert_eq!(math::cumsum_with(&x, 1, options).shape().to_string(), "[2,3]");
/// ```
#[must_use]
#[track_caller]
pub fn cumsum_with(x: impl AsOutput, axis: impl Into<Ints>, options: CumulativeOptions) -> Output {
    scan(&CUMSUM, x.as_output(), axis.into(), options)
}

/// Returns the running product along an axis: each element times all before it.
///
/// ```
/// use ops::{array, math};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(math::cumprod(&x, 1).shape().to_string(), "[2,3]");
/// ```
#[must_use]
#[track_caller]
pub fn cumprod(x: impl AsOutput, axis: impl Into<Ints>) -> Output {
    scan(&CUMPROD, x.as_output(), axis.into(), CumulativeOptions::default())
}

/// Works as [`cumprod`], with options.
///
/// ```
/// # use ops::{array::constant, math};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let x = constant(&graph, [2.0f32, 3.0, 4.0]);
/// let options = math::CumulativeOptions::default().exclusive(true);
/// let y = math::cumprod_with(&x, 0, options); // [1.0, 2.0, 6.0]
/// assert_eq!(y.shape().to_string(), "[3]");
/// ```
#[must_use]
#[track_caller]
pub fn cumprod_with(x: impl AsOutput, axis: impl Into<Ints>, options: CumulativeOptions) -> Output {
    scan(&CUMPROD, x.as_output(), axis.into(), options)
}

/// Returns the logarithm of the running sum of exponentials along an axis, without overflow.
///
/// ```
/// # use ops::{array::constant, math};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let x = constant(&graph, [0.0f32, 0.0]);
/// let y = math::cumulative_logsumexp(&x, 0, math::CumulativeOptions::default()); // [0.0, 0.6931]
/// assert_eq!(y.shape().to_string(), "[2]");
/// ```
#[must_use]
#[track_caller]
pub fn cumulative_logsumexp(x: impl AsOutput, axis: impl Into<Ints>, options: CumulativeOptions) -> Output {
    scan(&CUMULATIVE_LOGSUMEXP, x.as_output(), axis.into(), options)
}
