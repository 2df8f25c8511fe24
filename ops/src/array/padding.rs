//! Borders around tensors.

use super::slicing::slice;
use crate::arguments::{Ints, matrix};
use crate::gradients::broadcasting::shape_of;
use crate::library::op_defs;
use crate::shapes;
use crate::static_value;
use session_core::{AsOutput, Error, OpDef, Operation, Output, PartialShape, Result, ShapeContext};

op_defs! {
    PAD: OpDef::new("Pad", "input: T, paddings: Tpaddings -> output: T")
        .attrs("T: type, Tpaddings: indextype = int32")
        .shape(pad_shape)
        .gradient(pad_gradient);
    PAD_V2: OpDef::new("PadV2", "input: T, paddings: Tpaddings, constant_values: T -> output: T")
        .attrs("T: type, Tpaddings: indextype = int32")
        .shape(pad_shape)
        .gradient(pad_gradient);
    MIRROR_PAD: OpDef::new("MirrorPad", "input: T, paddings: Tpaddings -> output: T")
        .attrs("T: type, Tpaddings: indextype = int32, mode: {\"REFLECT\", \"SYMMETRIC\"}")
        .shape(pad_shape)
        .gradient(mirror_pad_gradient);
    MIRROR_PAD_GRAD: OpDef::new("MirrorPadGrad", "input: T, paddings: Tpaddings -> output: T")
        .attrs("T: type, Tpaddings: indextype = int32, mode: {\"REFLECT\", \"SYMMETRIC\"}")
        .shape(mirror_pad_grad_shape)
        .gradient(mirror_pad_grad_gradient);
}

/// Rank, and sizes before and after each axis when they are known.
fn paddings(context: &ShapeContext<'_>) -> Result<(Option<usize>, Option<Vec<i64>>)> {
    let (input, paddings) = (context.input(0), context.input_of_rank(1, 2)?);
    if paddings.dim(1).is_some_and(|size| size != 2) {
        return Err(Error::value(format!("paddings must have shape [rank,2], not {paddings}")));
    }
    let rank =
        shapes::merge_ranks("the rank of the input and the rows of paddings", input.rank(), paddings.dim(0))?;
    let values = shapes::ints(context, 1);
    if let Some(value) = values.iter().flatten().find(|&&value| value < 0) {
        return Err(Error::value(format!("paddings cannot be negative ({value})")));
    }
    Ok((rank, values))
}

/// Infers the shape of the result.
fn padded_shape(context: &mut ShapeContext<'_>, change: fn(usize, i64) -> Option<usize>) -> Result<()> {
    let input = context.input(0);
    let (Some(rank), values) = paddings(context)? else { return Ok(()) };
    // Paddings known only in the run leave no size known.
    let shape = match values {
        None => PartialShape::of_rank(rank),
        Some(values) => {
            let dim = |axis: usize| {
                let Some(size) = input.dim(axis) else { return Ok(None) };
                let padding = values[2 * axis].checked_add(values[2 * axis + 1]);
                let error = || Error::value(format!("paddings {values:?} do not fit shape {input}"));
                padding.and_then(|padding| change(size, padding)).map(Some).ok_or_else(error)
            };
            (0..rank).map(dim).collect::<Result<PartialShape>>()?
        }
    };
    context.set(0, shape);
    Ok(())
}

/// Infers the shape of the result.
fn pad_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    padded_shape(context, |size, padding| size.checked_add(usize::try_from(padding).ok()?))
}

/// Infers the shape of the result.
fn mirror_pad_grad_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    padded_shape(context, |size, padding| size.checked_sub(usize::try_from(padding).ok()?))
}

/// Builds the gradient.
fn pad_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let mut result = vec![None; op.num_inputs()];
    let Some(grad) = &grads[0] else { return Ok(result) };
    // The gradient of the border is dropped: what lies behind the numbers in the first
    // column of the paddings is kept.
    let begin = match static_value::ints(&op.input(1)) {
        Some(paddings) => Ints::from(paddings.iter().copied().step_by(2).collect::<Vec<i64>>()),
        None => {
            let first = slice(op.input(1), [0, 0], [-1, 1]);
            Ints::from(super::shaping::reshape(first, [-1]))
        }
    };
    // Begin and size must have one dtype.
    let size = match (&begin, shape_of(&op.input(0))) {
        (Ints::Computed(begin), _) => Ints::from(super::shaping::shape_as(op.input(0), begin.dtype())),
        (_, size) => size,
    };
    result[0] = Some(slice(grad, begin, size));
    Ok(result)
}

fn mode(op: &Operation) -> &str {
    op.attr("mode").and_then(|mode| mode.as_str()).unwrap_or("REFLECT")
}

/// Builds the gradient.
fn mirror_pad_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let gradient = |grad: &Output| {
        let builder = grad.graph().op(&MIRROR_PAD_GRAD).input(grad).input(op.input(1));
        builder.attr("mode", mode(op)).finish_output()
    };
    Ok(vec![grads[0].as_ref().map(gradient), None])
}

/// Builds the gradient.
fn mirror_pad_grad_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let gradient = |grad: &Output| {
        let builder = grad.graph().op(&MIRROR_PAD).input(grad).input(op.input(1));
        builder.attr("mode", mode(op)).finish_output()
    };
    Ok(vec![grads[0].as_ref().map(gradient), None])
}

/// The number of elements to add before and after each axis: pairs of numbers, or an integer output of shape `[rank, 2]`.
///
/// ```
/// use ops::array::{Paddings, constant, pad};
/// let graph = session_core::Graph::new();
/// let x = constant(&graph, [[1.0f32, 2.0], [3.0, 4.0]]);
/// assert_eq!(pad(&x, [[1, 1], [0, 2]]).shape().to_string(), "[4,4]");
/// let computed = constant(&graph, [[1, 1], [0, 2]]);
/// assert_eq!(pad(&x, Paddings::Computed(computed)).shape().to_string(), "[4,4]");
/// ```
#[derive(Clone, Debug)]
pub enum Paddings {
    /// One pair for each axis.
    Known(Vec<[i64; 2]>),
    /// Computed when the graph runs.
    Computed(Output),
}

impl<const N: usize> From<[[i64; 2]; N]> for Paddings {
    fn from(paddings: [[i64; 2]; N]) -> Paddings {
        Paddings::Known(paddings.to_vec())
    }
}

impl From<Vec<[i64; 2]>> for Paddings {
    fn from(paddings: Vec<[i64; 2]>) -> Paddings {
        Paddings::Known(paddings)
    }
}

impl From<&Output> for Paddings {
    fn from(paddings: &Output) -> Paddings {
        Paddings::Computed(paddings.clone())
    }
}

impl Paddings {
    pub(crate) fn input_of(self, builder: session_core::OpBuilder) -> session_core::OpBuilder {
        match self {
            Paddings::Known(rows) => builder.constant(matrix(&rows)),
            Paddings::Computed(output) => builder.input(output),
        }
    }
}

/// Pads a tensor with zeros.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(array::pad(&x, [[1, 1], [0, 2]]).shape().to_string(), "[4,5]");
/// ```
#[must_use]
#[track_caller]
pub fn pad(input: impl AsOutput, paddings: impl Into<Paddings>) -> Output {
    paddings.into().input_of(input.as_output().graph().op(&PAD).input(input)).finish_output()
}

/// Pads a tensor with a scalar of its dtype.
///
/// ```
/// # use ops::array::{self, constant};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let x = constant(&graph, [1.0f32, 2.0]);
/// let y = array::pad_with(&x, [[1, 2]], constant(&graph, -1.0f32)); // [-1.0, 1.0, 2.0, -1.0, -1.0]
/// assert_eq!(y.shape().to_string(), "[5]");
/// ```
#[must_use]
#[track_caller]
pub fn pad_with(input: impl AsOutput, paddings: impl Into<Paddings>, value: impl AsOutput) -> Output {
    let builder = input.as_output().graph().op(&PAD_V2).input(input);
    paddings.into().input_of(builder).input(value).finish_output()
}

/// The axis of symmetry of a mirrored border.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mirror {
    /// The elements beyond the outermost one, which is not repeated.
    Reflect,
    /// The elements beyond the border: the outermost element comes first.
    Symmetric,
}

/// Pads a tensor with its own mirrored elements.
///
/// ```
/// # use ops::array::{self, constant};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// use ops::array::Mirror;
/// let x = constant(&graph, [1, 2, 3]);
/// let reflected = array::mirror_pad(&x, [[2, 0]], Mirror::Reflect); // [3, 2, 1, 2, 3]
/// let symmetric = array::mirror_pad(&x, [[2, 0]], Mirror::Symmetric); // [2, 1, 1, 2, 3]
/// assert_eq!(reflected.shape(), symmetric.shape());
/// ```
#[must_use]
#[track_caller]
pub fn mirror_pad(input: impl AsOutput, paddings: impl Into<Paddings>, mirror: Mirror) -> Output {
    let builder = paddings.into().input_of(input.as_output().graph().op(&MIRROR_PAD).input(input));
    let mode = match mirror {
        Mirror::Reflect => "REFLECT",
        Mirror::Symmetric => "SYMMETRIC",
    };
    builder.attr("mode", mode).finish_output()
}
