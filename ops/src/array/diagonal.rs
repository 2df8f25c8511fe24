//! Diagonals and bands of matrices.

use super::constants::{scalar_like, zeros_like};
use crate::arguments::Ints;
use crate::library::op_defs;
use crate::shapes;
use session_core::{
    AsOutput, AttrValue, Error, OpBuilder, OpDef, Operation, Output, PartialShape, Result, ShapeContext,
};

const ALIGN: &str =
    "T: type, align: {\"LEFT_RIGHT\", \"RIGHT_LEFT\", \"LEFT_LEFT\", \"RIGHT_RIGHT\"} = \"RIGHT_LEFT\"";
const SQUARE: &str = "T: {bfloat16, half, float, double, int32, int64, complex64, complex128}";

op_defs! {
    MATRIX_DIAG: OpDef::new("MatrixDiag", "diagonal: T -> output: T")
        .attrs("T: type")
        .shape(matrix_diag_shape)
        .gradient(matrix_diag_gradient);
    MATRIX_DIAG_PART: OpDef::new("MatrixDiagPart", "input: T -> diagonal: T")
        .attrs("T: type")
        .shape(matrix_diag_part_shape)
        .gradient(matrix_diag_part_gradient);
    MATRIX_SET_DIAG: OpDef::new("MatrixSetDiag", "input: T, diagonal: T -> output: T")
        .attrs("T: type")
        .shape(matrix_set_diag_shape)
        .gradient(matrix_set_diag_gradient);
    MATRIX_BAND_PART: OpDef::new("MatrixBandPart", "input: T, num_lower: Tindex, num_upper: Tindex -> band: T")
        .attrs("T: type, Tindex: indextype = int64")
        .shape(band_shape)
        .gradient(band_gradient);
    MATRIX_DIAG_V3: OpDef::new(
        "MatrixDiagV3",
        "diagonal: T, k: int32, num_rows: int32, num_cols: int32, padding_value: T -> output: T",
    )
    .attrs(ALIGN)
    .shape(matrix_diag_v3_shape)
    .gradient(matrix_diag_v3_gradient);
    MATRIX_DIAG_PART_V3: OpDef::new("MatrixDiagPartV3", "input: T, k: int32, padding_value: T -> diagonal: T")
        .attrs(ALIGN)
        .shape(matrix_diag_part_v3_shape)
        .gradient(matrix_diag_part_v3_gradient);
    MATRIX_SET_DIAG_V3: OpDef::new("MatrixSetDiagV3", "input: T, diagonal: T, k: int32 -> output: T")
        .attrs(ALIGN)
        .shape(matrix_set_diag_v3_shape)
        .gradient(matrix_set_diag_v3_gradient);
    // The second versions are the third ones, aligned left.
    MATRIX_DIAG_V2: OpDef::new(
        "MatrixDiagV2",
        "diagonal: T, k: int32, num_rows: int32, num_cols: int32, padding_value: T -> output: T",
    )
    .attrs("T: type")
    .shape(matrix_diag_v3_shape)
    .gradient(matrix_diag_v3_gradient);
    MATRIX_DIAG_PART_V2: OpDef::new("MatrixDiagPartV2", "input: T, k: int32, padding_value: T -> diagonal: T")
        .attrs("T: type")
        .shape(matrix_diag_part_v3_shape)
        .gradient(matrix_diag_part_v3_gradient);
    MATRIX_SET_DIAG_V2: OpDef::new("MatrixSetDiagV2", "input: T, diagonal: T, k: int32 -> output: T")
        .attrs("T: type")
        .shape(matrix_set_diag_v3_shape)
        .gradient(matrix_set_diag_v3_gradient);
    DIAG: OpDef::new("Diag", "diagonal: T -> output: T").attrs(SQUARE).shape(diag_shape).gradient(diag_gradient);
    DIAG_PART: OpDef::new("DiagPart", "input: T -> diagonal: T")
        .attrs(SQUARE)
        .shape(diag_part_shape)
        .gradient(diag_part_gradient);
}

/// Infers the shape of a matrix from that of its diagonal.
pub(crate) fn matrix_diag_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let diagonal = shapes::at_least_rank(context, 0, 1)?;
    let last = diagonal.rank().map_or_else(PartialShape::unknown, |rank| diagonal.range(rank - 1, rank));
    context.set(0, diagonal.concat(&last));
    Ok(())
}

/// Batch axes, rows and columns; `None` for an unknown rank.
fn matrices(shape: &PartialShape) -> Option<(PartialShape, Option<usize>, Option<usize>)> {
    let rank = shape.rank()?;
    Some((shape.range(0, rank - 2), shape.dim(rank - 2), shape.dim(rank - 1)))
}

/// Infers the shape of the main diagonal.
pub(crate) fn matrix_diag_part_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let input = shapes::at_least_rank(context, 0, 2)?;
    let Some((batch, rows, columns)) = matrices(&input) else { return Ok(()) };
    let length = rows.zip(columns).map(|(rows, columns)| rows.min(columns));
    context.set(0, batch.concat(&PartialShape::from([length])));
    Ok(())
}

/// Infers the shape of a matrix whose diagonal is replaced.
pub(crate) fn matrix_set_diag_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (input, diagonal) = (shapes::at_least_rank(context, 0, 2)?, shapes::at_least_rank(context, 1, 1)?);
    if let Some((batch, rows, columns)) = matrices(&input) {
        let expected =
            batch.concat(&PartialShape::from([rows.zip(columns).map(|(rows, columns)| rows.min(columns))]));
        if expected.merge(&diagonal).is_none() {
            return Err(Error::value(format!(
                "a diagonal of shape {diagonal} does not fit matrices {input}"
            )));
        }
    }
    context.set(0, input);
    Ok(())
}

/// Infers the shape of a matrix of which only a band is kept.
pub(crate) fn band_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    shapes::must_be_scalar(context, 1)?;
    shapes::must_be_scalar(context, 2)?;
    let input = shapes::at_least_rank(context, 0, 2)?;
    context.set(0, input);
    Ok(())
}

/// Returns the lowest and highest diagonal that `k` names: one number, or two.
fn diagonals(context: &ShapeContext<'_>, index: usize) -> Result<Option<(i64, i64)>> {
    match shapes::ints(context, index).as_deref() {
        Some(&[k]) => Ok(Some((k, k))),
        Some(&[low, high]) if low <= high => Ok(Some((low, high))),
        Some(other) => Err(Error::value(format!("k must be one number, or two in order, not {other:?}"))),
        None => Ok(None),
    }
}

/// Returns the length of the longest of some diagonals of a matrix.
fn longest(rows: usize, columns: usize, (low, high): (i64, i64)) -> i64 {
    let (rows, columns) = (rows as i64, columns as i64);
    // A diagonal above the main one loses columns, one below it loses rows; the longest is the
    // nearest to the main diagonal.
    (rows + high.min(0)).min(columns - low.max(0))
}

/// Infers the shape of a matrix from that of one or several diagonals.
fn matrix_diag_v3_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let diagonal = shapes::at_least_rank(context, 0, 1)?;
    let (Some(rank), Some((low, high))) = (diagonal.rank(), diagonals(context, 1)?) else { return Ok(()) };
    let band = low != high;
    if band && rank < 2 {
        return Err(Error::value(format!(
            "several diagonals need an axis of their own, unlike shape {diagonal}"
        )));
    }
    // A band has an axis for its diagonals.
    let batch = diagonal.range(0, rank - if band { 2 } else { 1 });
    // The smallest matrix that holds the diagonals.
    let least = |offset: i64| diagonal.dim(rank - 1).and_then(|length| (length as i64).checked_add(offset));
    let (least_rows, least_columns) = (least(-high.min(0)), least(low.max(0)));
    let asked = |index: usize| shapes::int(context, index);
    let given = |asked: i64| usize::try_from(asked).ok();
    // -1 leaves the size to the diagonals, or to the other size where the matrix is square.
    let (rows, columns) = match (asked(2), asked(3)) {
        (Some(-1), Some(-1)) => {
            let side = least_rows.zip(least_columns).and_then(|(rows, columns)| given(rows.max(columns)));
            (side, side)
        }
        (Some(-1), Some(columns)) => (least_rows.and_then(given), given(columns)),
        (Some(rows), Some(-1)) => (given(rows), least_columns.and_then(given)),
        (Some(rows), Some(columns)) => (given(rows), given(columns)),
        _ => (None, None),
    };
    context.set(0, batch.concat(&PartialShape::from([rows, columns])));
    Ok(())
}

/// Infers the shape of one or several diagonals, as far as their numbers are constant.
fn matrix_diag_part_v3_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let input = shapes::at_least_rank(context, 0, 2)?;
    let (Some((batch, rows, columns)), Some((low, high))) = (matrices(&input), diagonals(context, 1)?) else {
        return Ok(());
    };
    let length = match rows.zip(columns) {
        Some((rows, columns)) => {
            let (below, above) = (-(rows as i64), columns as i64);
            // Diagonal 0 exists even in a matrix without elements.
            let outside = |k: i64| k != 0 && (k <= below || k >= above);
            if outside(low) || outside(high) {
                return Err(Error::value(format!(
                    "diagonals {low} to {high} are outside of matrices {input}"
                )));
            }
            usize::try_from(longest(rows, columns, (low, high))).ok()
        }
        None => None,
    };
    // One diagonal has no axis of its own, as in TensorFlow.
    let count = if low == high {
        PartialShape::scalar()
    } else {
        PartialShape::from([usize::try_from(high - low + 1).ok()])
    };
    context.set(0, batch.concat(&count).concat(&PartialShape::from([length])));
    Ok(())
}

/// Infers the shape of a matrix in which diagonals are replaced.
fn matrix_set_diag_v3_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let input = shapes::at_least_rank(context, 0, 2)?;
    shapes::at_least_rank(context, 1, 1)?;
    diagonals(context, 2)?;
    context.set(0, input);
    Ok(())
}

/// Infers the shape of a diagonal tensor, which repeats that of the diagonal.
fn diag_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = shapes::at_least_rank(context, 0, 1)?;
    context.set(0, shape.concat(&shape));
    Ok(())
}

/// Infers the shape of the diagonal of a tensor.
fn diag_part_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = context.input(0);
    let Some(rank) = shape.rank() else { return Ok(()) };
    // The shape consists of the diagonal's shape twice.
    let (first, second) = (shape.range(0, rank / 2), shape.range(rank / 2, rank));
    let merged = first.merge(&second).filter(|_| rank > 0 && rank % 2 == 0);
    let merged = merged
        .ok_or_else(|| Error::value(format!("the shape {shape} does not consist of one shape twice")))?;
    context.set(0, merged);
    Ok(())
}

fn one(grads: &[Option<Output>], formula: impl FnOnce(&Output) -> Output) -> Vec<Option<Output>> {
    vec![grads[0].as_ref().map(formula)]
}

/// Builds the gradient.
fn matrix_diag_gradient(_: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    Ok(one(grads, |grad| grad.graph().op(&MATRIX_DIAG_PART).input(grad).finish_output()))
}

/// Builds the gradient.
fn matrix_diag_part_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    Ok(one(grads, |grad| {
        let zeros = zeros_like(op.input(0));
        zeros.graph().op(&MATRIX_SET_DIAG).input(&zeros).input(grad).finish_output()
    }))
}

/// Builds the gradient.
fn matrix_set_diag_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None, None]) };
    // The diagonal was replaced: its gradient is that of the new diagonal, and the matrix has none there.
    let diagonal = grad.graph().op(&MATRIX_DIAG_PART).input(grad).finish_output();
    let rest = grad.graph().op(&MATRIX_SET_DIAG).input(grad).input(zeros_like(op.input(1))).finish_output();
    Ok(vec![Some(rest), Some(diagonal)])
}

/// Builds the gradient.
fn band_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    // Outside of the band the result is constantly 0, so the gradient is cut off in the same way.
    let again = |grad: &Output| {
        grad.graph().op(&MATRIX_BAND_PART).input(grad).input(op.input(1)).input(op.input(2)).finish_output()
    };
    Ok(vec![grads[0].as_ref().map(again), None, None])
}

/// Finishes an operation with the alignment of `op`; the second versions are aligned left.
fn aligned(builder: OpBuilder, op: &Operation) -> Output {
    let align = op.attr("align").and_then(AttrValue::as_str).unwrap_or("LEFT_LEFT");
    builder.attr("align", align).finish_output()
}

/// Extracts the diagonals `k` of matrices, aligned as in `op`.
fn diag_part_v3(op: &Operation, matrices: &Output, k: &Output) -> Output {
    let builder = matrices.graph().op(&MATRIX_DIAG_PART_V3).input(matrices).input(k);
    aligned(builder.input(scalar_like(matrices, 0.0)), op)
}

/// Replaces the diagonals `k` of matrices, aligned as in `op`.
fn set_diag_v3(op: &Operation, matrices: &Output, diagonal: &Output, k: &Output) -> Output {
    aligned(matrices.graph().op(&MATRIX_SET_DIAG_V3).input(matrices).input(diagonal).input(k), op)
}

/// Builds the gradient.
fn matrix_diag_v3_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let mut result = vec![None; 5];
    result[0] = grads[0].as_ref().map(|grad| diag_part_v3(op, grad, &op.input(1)));
    Ok(result)
}

/// Builds the gradient.
fn matrix_diag_part_v3_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let gradient = |grad: &Output| set_diag_v3(op, &zeros_like(op.input(0)), grad, &op.input(1));
    Ok(vec![grads[0].as_ref().map(gradient), None, None])
}

/// Builds the gradient.
fn matrix_set_diag_v3_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 3]) };
    let k = op.input(2);
    let rest = set_diag_v3(op, grad, &zeros_like(op.input(1)), &k);
    Ok(vec![Some(rest), Some(diag_part_v3(op, grad, &k)), None])
}

/// Builds the gradient.
fn diag_gradient(_: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    Ok(one(grads, |grad| tensor_diag_part(grad)))
}

/// Builds the gradient.
fn diag_part_gradient(_: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    Ok(one(grads, |grad| tensor_diag(grad)))
}

/// Returns square matrices with the last axis as main diagonals and zeros elsewhere.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(array::matrix_diag(&x).shape().to_string(), "[2,3,3]");
/// ```
#[must_use]
#[track_caller]
pub fn matrix_diag(diagonal: impl AsOutput) -> Output {
    let diagonal = diagonal.as_output();
    let padding = super::constants::scalar_tensor(diagonal.dtype(), 0.0);
    let builder = diagonal.graph().op(&MATRIX_DIAG_V3).input(diagonal);
    // The main diagonal, of a matrix as large as it needs.
    builder.constant(0i32).constant(-1i32).constant(-1i32).constant(padding).finish_output()
}

/// Returns the main diagonals of matrices in the last two axes.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3, 3]);
/// assert_eq!(array::matrix_diag_part(&x).shape().to_string(), "[2,3]");
/// ```
#[must_use]
#[track_caller]
pub fn matrix_diag_part(input: impl AsOutput) -> Output {
    let input = input.as_output();
    let padding = super::constants::scalar_tensor(input.dtype(), 0.0);
    input.graph().op(&MATRIX_DIAG_PART_V3).input(input).constant(0i32).constant(padding).finish_output()
}

/// Replaces the main diagonals of matrices.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3, 3]);
/// let d = array::zeros(&graph, DType::Float32, [2, 3]);
/// assert_eq!(array::matrix_set_diag(&x, &d).shape().to_string(), "[2,3,3]");
/// ```
#[must_use]
#[track_caller]
pub fn matrix_set_diag(input: impl AsOutput, diagonal: impl AsOutput) -> Output {
    let builder = input.as_output().graph().op(&MATRIX_SET_DIAG_V3).input(input).input(diagonal);
    builder.constant(0i32).finish_output()
}

/// Returns matrices in which all but this many diagonals below and above the main one are zero; -1 keeps all.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [3, 3]);
/// assert_eq!(array::matrix_band_part(&x, 0, -1).shape().to_string(), "[3,3]");
/// ```
#[must_use]
#[track_caller]
pub fn matrix_band_part(input: impl AsOutput, lower: i64, upper: i64) -> Output {
    let builder = input.as_output().graph().op(&MATRIX_BAND_PART).input(input);
    builder.constant(lower).constant(upper).finish_output()
}

/// Returns a tensor of the shape twice over, with these elements where both indices agree.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [3]);
/// assert_eq!(array::tensor_diag(&x).shape().to_string(), "[3,3]");
/// ```
#[must_use]
#[track_caller]
pub fn tensor_diag(diagonal: impl AsOutput) -> Output {
    diagonal.as_output().graph().op(&DIAG).input(diagonal).finish_output()
}

/// Returns the generalized diagonal of a tensor whose shape is one shape repeated twice.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [3, 3]);
/// assert_eq!(array::tensor_diag_part(&x).shape().to_string(), "[3]");
/// ```
#[must_use]
#[track_caller]
pub fn tensor_diag_part(input: impl AsOutput) -> Output {
    input.as_output().graph().op(&DIAG_PART).input(input).finish_output()
}

/// Returns the `size` identity matrix.
///
/// ```
/// use ops::array;
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// assert_eq!(array::eye(&graph, 3, DType::Float32).shape().to_string(), "[3,3]");
/// ```
#[must_use]
#[track_caller]
pub fn eye(graph: &session_core::Graph, size: usize, dtype: tensor::DType) -> Output {
    let scope = crate::composite::Composite::new(graph, "eye");
    let ones = super::constants::ones(scope.graph(), dtype, Ints::from([size]));
    scope.leave(matrix_diag(ones))
}
