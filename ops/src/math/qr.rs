//! The QR factorization of matrices.

use super::linear::{MATRIX_TRIANGULAR_SOLVE, adjoint_a, adjoint_b};
use super::product::{matmul, matmul_with};
use crate::array::{Index, concat, matrix_band_part, matrix_transpose, strided_slice, zeros_like};
use crate::library::op_defs;
use crate::shapes;
use session_core::{AsOutput, Code, Error, OpDef, Operation, Output, PartialShape, Result, ShapeContext};

op_defs! {
    QR: OpDef::new("Qr", "input: T -> q: T, r: T")
        .attrs("full_matrices: bool = false, T: {double, float, half, complex64, complex128}")
        .shape(qr_shape)
        .gradient(qr_gradient);
}

/// Infers `[.., rows, k]` and `[.., k, columns]` with `k = min(rows, columns)`, or
/// `rows` with `full_matrices`.
fn qr_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let input = shapes::at_least_rank(context, 0, 2)?;
    let Some(rank) = input.rank() else { return Ok(()) };
    let (stack, rows, columns) = (input.range(0, rank - 2), input.dim(rank - 2), input.dim(rank - 1));
    let inner = match shapes::bool_attr(context, "full_matrices") {
        true => rows,
        false => rows.zip(columns).map(|(rows, columns)| rows.min(columns)),
    };
    context.set(0, stack.concat(&PartialShape::from([rows, inner])));
    context.set(1, stack.concat(&PartialShape::from([inner, columns])));
    Ok(())
}

/// Returns the gradient of the matrix.
///
/// # Errors
/// An `Unimplemented` error for complex matrices, unknown sizes, and full factors of matrices with more rows
/// than columns, whose last columns of `q` are not determined.
fn qr_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let (q, r) = (op.output(0), op.output(1));
    let cannot = |why: &str| {
        let text = format!("there is no gradient of the QR factorization {why}");
        Err(op.place(Error::new(Code::Unimplemented, text)))
    };
    if q.dtype().is_complex() {
        return cannot("of complex matrices");
    }
    let sizes = [q.shape().dim_from_end(1), q.shape().dim_from_end(0), r.shape().dim_from_end(0)];
    let [Some(rows), Some(inner), Some(columns)] = sizes else {
        return cannot("of matrices whose sizes are not known");
    };
    if rows > columns && rows == inner {
        return cannot("with full matrices when there are more rows than columns");
    }
    // Both are needed, and a missing one counts as zero.
    let given = |grad: &Option<Output>, like: &Output| grad.clone().unwrap_or_else(|| zeros_like(like));
    let (dq, dr) = (given(&grads[0], &q), given(&grads[1], &r));
    if rows >= columns {
        return Ok(vec![Some(of_deep(&q, &r, &dq, &dr))]);
    }
    // The left square of the matrix has the same orthogonal factor; the rest is that factor times the rest of `r`.
    let at = i64::try_from(rows).unwrap_or(i64::MAX);
    let left = |x: &Output| strided_slice(x, &[Index::Ellipsis, (..at).into()]);
    let right = |x: &Output| strided_slice(x, &[Index::Ellipsis, (at..).into()]);
    let rest = matmul(&q, right(&dr));
    let dq = dq + matmul_with(right(&op.input(0)), right(&dr), adjoint_b());
    let square = of_deep(&q, &left(&r), &dq, &left(&dr));
    Ok(vec![Some(concat(&[square, rest], -1))])
}

/// Returns the gradient of a matrix of no more columns than rows.
fn of_deep(q: &Output, r: &Output, dq: &Output, dr: &Output) -> Output {
    let turning = matmul_with(q, dq, adjoint_a());
    let stretching = matmul_with(r, dr, adjoint_b());
    let skew = |x: &Output| x - matrix_transpose(x);
    // `r` must stay upper triangular, so only the part below the diagonal is left to correct.
    let lower = matrix_band_part(skew(&turning) + skew(&stretching), -1, 0);
    matmul(q, dr + over(&lower, r)) + over(&(dq - matmul(q, &turning)), r)
}

/// `x` times the adjoint of the inverse of the upper triangular `r`.
fn over(x: &Output, r: &Output) -> Output {
    let builder = x.graph().op(&MATRIX_TRIANGULAR_SOLVE).input(r).input(matrix_transpose(x));
    matrix_transpose(builder.attr("lower", false).attr("adjoint", false).finish_output())
}

/// Factorizes the matrices in the last two axes into orthogonal and upper triangular ones: returns `(q, r)`.
///
/// `q` has as many columns and `r` as many rows as the smaller side of a matrix; [`qr_full_matrices`] returns all of them.
///
/// ```
/// # use session_core::{DType, Graph};
/// # use ops::{array::placeholder, math::qr};
/// let graph = Graph::new();
/// let (q, r) = qr(placeholder(&graph, DType::Float32, [5, 3]));
/// assert_eq!((q.shape().to_string(), r.shape().to_string()), ("[5,3]".into(), "[3,3]".into()));
/// ```
#[must_use]
#[track_caller]
pub fn qr(input: impl AsOutput) -> (Output, Output) {
    factorized(input.as_output(), false)
}

/// Works as [`qr`], with all columns of `q` and all rows of `r`: TensorFlow's `full_matrices=True`.
///
/// ```
/// # use session_core::{DType, Graph};
/// # use ops::{array::placeholder, math::qr_full_matrices};
/// let graph = Graph::new();
/// let (q, r) = qr_full_matrices(placeholder(&graph, DType::Float32, [5, 3]));
/// assert_eq!((q.shape().to_string(), r.shape().to_string()), ("[5,5]".into(), "[5,3]".into()));
/// ```
#[must_use]
#[track_caller]
pub fn qr_full_matrices(input: impl AsOutput) -> (Output, Output) {
    factorized(input.as_output(), true)
}

#[track_caller]
fn factorized(input: &Output, full_matrices: bool) -> (Output, Output) {
    let builder = input.graph().op(&QR).input(input);
    let operation = builder.attr("full_matrices", full_matrices).finish();
    (operation.output(0), operation.output(1))
}
