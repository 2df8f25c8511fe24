//! Stacks of square matrices: determinants, inverses, solutions of linear systems, Cholesky factors.

use super::binary::mul;
use super::product::{MatMulOptions, matmul, matmul_with, sum_batches};
use super::unary::neg;
use crate::array::constants::{scalar_like, zeros_like};
use crate::array::{expand_dims, matrix_band_part, matrix_diag_part, matrix_set_diag, matrix_transpose};
use crate::library::op_defs;
use crate::shapes;
use session_core::{
    AsOutput, AttrValue, Code, Error, OpDef, Operation, Output, PartialShape, Result, ShapeContext,
};

op_defs! {
    MATRIX_DETERMINANT: OpDef::new("MatrixDeterminant", "input: T -> output: T")
        .attrs("T: {half, float, double, complex64, complex128}")
        .shape(determinant_shape)
        .gradient(determinant_gradient);
    LOG_MATRIX_DETERMINANT: OpDef::new("LogMatrixDeterminant", "input: T -> sign: T, log_abs_determinant: T")
        .attrs("T: {half, float, double, complex64, complex128}")
        .shape(determinant_shape)
        .gradient(log_determinant_gradient);
    MATRIX_INVERSE: OpDef::new("MatrixInverse", "input: T -> output: T")
        .attrs("adjoint: bool = false, T: {double, float, half, complex64, complex128}")
        .shape(square_shape)
        .gradient(inverse_gradient);
    MATRIX_SOLVE: OpDef::new("MatrixSolve", "matrix: T, rhs: T -> output: T")
        .attrs("adjoint: bool = false, T: {double, float, half, complex64, complex128}")
        .shape(solution_shape)
        .gradient(solve_gradient);
    MATRIX_TRIANGULAR_SOLVE: OpDef::new("MatrixTriangularSolve", "matrix: T, rhs: T -> output: T")
        .attrs("lower: bool = true, adjoint: bool = false, T: inexacttype")
        .shape(broadcast_solution_shape)
        .gradient(triangular_solve_gradient);
    LU: OpDef::new("Lu", "input: T -> lu: T, p: output_idx_type")
        .attrs("T: {double, float, half, complex64, complex128}, output_idx_type: indextype = int32")
        .shape(factors_shape);
    CHOLESKY: OpDef::new("Cholesky", "input: T -> output: T")
        .attrs("T: {double, float, half, complex64, complex128}")
        .shape(square_shape)
        .gradient(cholesky_gradient);
}

/// Returns the shape of input 0, which must be a stack of square matrices.
fn square(context: &ShapeContext<'_>) -> Result<PartialShape> {
    let input = shapes::at_least_rank(context, 0, 2)?;
    let Some(rank) = input.rank() else { return Ok(input) };
    let size = shapes::merge_dims("rows and columns of a matrix", input.dim(rank - 2), input.dim(rank - 1))?;
    Ok(input.with_dim(rank - 2, size).with_dim(rank - 1, size))
}

pub(super) fn square_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = square(context)?;
    context.set(0, shape);
    Ok(())
}

pub(super) fn determinant_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let input = square(context)?;
    let shape = input.rank().map_or_else(PartialShape::unknown, |rank| input.range(0, rank - 2));
    (0..context.outputs()).for_each(|output| context.set(output, shape.clone()));
    Ok(())
}

pub(super) fn solution_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    solved(context, shapes::merge)
}

/// Infers the factors in one matrix, and a permutation of the rows.
fn factors_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = square(context)?;
    let rows = shape.rank().map_or_else(PartialShape::unknown, |rank| shape.range(0, rank - 1));
    context.set(0, shape);
    context.set(1, rows);
    Ok(())
}

fn broadcast_solution_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    solved(context, shapes::broadcast_shapes)
}

/// Sets the shape of the solutions, one for each of the stacked matrices.
fn solved(
    context: &mut ShapeContext<'_>,
    join: fn(&PartialShape, &PartialShape) -> Result<PartialShape>,
) -> Result<()> {
    let (matrix, sides) = (square(context)?, shapes::at_least_rank(context, 1, 2)?);
    let (Some(of_matrix), Some(of_sides)) = (matrix.rank(), sides.rank()) else { return Ok(()) };
    let stack = join(&matrix.range(0, of_matrix - 2), &sides.range(0, of_sides - 2))?;
    let size = shapes::merge_dims(
        "rows of a matrix and of its right-hand side",
        matrix.dim(of_matrix - 1),
        sides.dim(of_sides - 2),
    )?;
    context.set(0, stack.concat(&PartialShape::from([size, sides.dim(of_sides - 1)])));
    Ok(())
}

// ---- gradients -------------------------------------------------------------------------------------------

/// The adjoint of the first factor, times the second.
pub(super) fn adjoint_a() -> MatMulOptions {
    MatMulOptions::default().transpose_a(true)
}

/// The first factor, times the adjoint of the second.
pub(super) fn adjoint_b() -> MatMulOptions {
    MatMulOptions::default().transpose_b(true)
}

/// Returns a boolean attribute.
pub(super) fn flag(op: &Operation, name: &str) -> bool {
    op.attr(name).and_then(AttrValue::as_bool).unwrap_or(false)
}

/// The formulas here have transposes where those of complex matrices have adjoints.
pub(super) fn check_real(op: &Operation) -> Result<()> {
    match op.input(0).dtype().is_complex() {
        true => {
            let text = format!("there is no gradient of {} of complex matrices", op.op_type());
            Err(op.place(Error::new(Code::Unimplemented, text)))
        }
        false => Ok(()),
    }
}

/// Returns a number for each matrix of a stack times the transposed inverse of that matrix.
fn scaled_inverse(op: &Operation, factor: &Output) -> Output {
    // `adjoint` is the transposed inverse of a real matrix: the cofactors over the determinant.
    let builder = factor.graph().op(&MATRIX_INVERSE).input(op.input(0)).attr("adjoint", true);
    mul(expand_dims(expand_dims(factor, -1), -1), builder.finish_output())
}

fn determinant_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    check_real(op)?;
    // The derivative of the determinant is the determinant times the transposed inverse: TensorFlow's form,
    // which needs an invertible matrix although the derivative exists for any.
    Ok(vec![grads[0].as_ref().map(|grad| scaled_inverse(op, &mul(grad, op.output(0))))])
}

/// Builds the gradient of the logarithm; the sign does not change under small changes, so that its gradient alone gives zeros.
fn log_determinant_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    check_real(op)?;
    let of_sign = || grads[0].as_ref().map(|_| zeros_like(op.input(0)));
    Ok(vec![grads[1].as_ref().map(|grad| scaled_inverse(op, grad)).or_else(of_sign)])
}

fn inverse_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    check_real(op)?;
    let Some(grad) = &grads[0] else { return Ok(vec![None]) };
    // From the inverse that exists: `-A^-T grad A^-T`.
    let inverse = op.output(0);
    let found = match flag(op, "adjoint") {
        false => matmul_with(&inverse, matmul_with(grad, &inverse, adjoint_b()), adjoint_a()),
        true => matmul(&inverse, matmul_with(grad, &inverse, adjoint_a())),
    };
    Ok(vec![Some(neg(found))])
}

/// Returns the gradient of the matrix, from that of the right-hand side and the solution.
pub(super) fn of_matrix(op: &Operation, of_sides: &Output) -> Output {
    let solution = op.output(0);
    neg(match flag(op, "adjoint") {
        false => matmul_with(of_sides, solution, adjoint_b()),
        true => matmul_with(solution, of_sides, adjoint_b()),
    })
}

fn solve_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    check_real(op)?;
    let Some(grad) = &grads[0] else { return Ok(vec![None; 2]) };
    let builder = grad.graph().op(&MATRIX_SOLVE).input(op.input(0)).input(grad);
    // `A^-T grad`, a solution with the transposed matrix; the matrix is not inverted.
    let of_sides = builder.attr("adjoint", !flag(op, "adjoint")).finish_output();
    Ok(vec![Some(of_matrix(op, &of_sides)), Some(of_sides)])
}

fn triangular_solve_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    check_real(op)?;
    let Some(grad) = &grads[0] else { return Ok(vec![None; 2]) };
    let (matrix, sides, lower) = (op.input(0), op.input(1), flag(op, "lower"));
    let of_sides = triangular(&matrix, grad, lower, !flag(op, "adjoint"));
    let whole = of_matrix(op, &of_sides);
    // The other triangle is not read.
    let read = if lower { matrix_band_part(whole, -1, 0) } else { matrix_band_part(whole, 0, -1) };
    Ok(vec![Some(sum_batches(&read, &matrix, &sides)), Some(sum_batches(&of_sides, &sides, &matrix))])
}

/// Builds the gradient after Iain Murray, "Differentiation of the Cholesky decomposition": with `P` the lower triangle of
/// `L' dL`, its diagonal halved, the symmetric part of `L^-T P L^-1`.
fn cholesky_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    check_real(op)?;
    let Some(grad) = &grads[0] else { return Ok(vec![None]) };
    let factor = op.output(0);
    // Murray (2016): with `P = tril(L^T dL)`, its diagonal halved, the gradient is the
    // symmetric part of `L^-T P L^-1`.
    let inner = matmul_with(&factor, grad, adjoint_a());
    let half = scalar_like(grad, 0.5);
    let inner = matrix_set_diag(&inner, mul(&half, matrix_diag_part(&inner)));
    let left = triangular(&factor, &matrix_band_part(inner, -1, 0), true, true);
    let whole = triangular(&factor, &matrix_transpose(left), true, true);
    // Symmetric, although only the lower triangle is read: TensorFlow's convention.
    Ok(vec![Some(mul(&half, &whole + matrix_transpose(&whole)))])
}

// ---- constructors ----------------------------------------------------------------------------------------

/// Returns the determinants of the matrices in the last two axes.
///
/// ```
/// # use session_core::{DType, Graph};
/// # use ops::{array::placeholder, math::matrix_determinant};
/// let graph = Graph::new();
/// let x = placeholder(&graph, DType::Float32, [5, 3, 3]);
/// assert_eq!(matrix_determinant(&x).shape().to_string(), "[5]");
/// ```
#[must_use]
#[track_caller]
pub fn matrix_determinant(input: impl AsOutput) -> Output {
    input.as_output().graph().op(&MATRIX_DETERMINANT).input(input).finish_output()
}

/// Returns the sign and the logarithm of the absolute value of the determinant of each matrix in the last two axes. A singular matrix
/// has the sign 0 and the logarithm minus infinity. Unlike [`matrix_determinant`], it does not overflow for large matrices.
///
/// ```
/// # use session_core::{DType, Graph};
/// # use ops::{array::placeholder, math::log_matrix_determinant};
/// let graph = Graph::new();
/// let x = placeholder(&graph, DType::Float32, [5, 3, 3]);
/// let (sign, logarithm) = log_matrix_determinant(&x);
/// assert_eq!((sign.shape().to_string(), logarithm.shape().to_string()), ("[5]".into(), "[5]".into()));
/// ```
#[must_use]
#[track_caller]
pub fn log_matrix_determinant(input: impl AsOutput) -> (Output, Output) {
    let operation = input.as_output().graph().op(&LOG_MATRIX_DETERMINANT).input(input).finish();
    (operation.output(0), operation.output(1))
}

/// Returns the inverses of the matrices in the last two axes; an engine reports singular ones.
///
/// ```
/// # use session_core::{DType, Graph};
/// # use ops::{array::placeholder, math::matrix_inverse};
/// let graph = Graph::new();
/// let x = placeholder(&graph, DType::Float32, [5, 3, 3]);
/// assert_eq!(matrix_inverse(&x).shape().to_string(), "[5,3,3]");
/// ```
#[must_use]
#[track_caller]
pub fn matrix_inverse(input: impl AsOutput) -> Output {
    input.as_output().graph().op(&MATRIX_INVERSE).input(input).finish_output()
}

/// Solves `matrix * x = rhs` for the matrices in the last two axes; an engine reports singular ones.
///
/// ```
/// # use session_core::{DType, Graph};
/// # use ops::{array::placeholder, math::matrix_solve};
/// let graph = Graph::new();
/// let a = placeholder(&graph, DType::Float32, [5, 3, 3]);
/// let b = placeholder(&graph, DType::Float32, [5, 3, 2]);
/// assert_eq!(matrix_solve(&a, &b).shape().to_string(), "[5,3,2]");
/// ```
#[must_use]
#[track_caller]
pub fn matrix_solve(matrix: impl AsOutput, rhs: impl AsOutput) -> Output {
    matrix.as_output().graph().op(&MATRIX_SOLVE).input(matrix).input(rhs).finish_output()
}

/// The half of a square matrix that an operation reads, including the diagonal. It ignores the other half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Triangle {
    /// The elements on and below the diagonal.
    Lower,
    /// The elements on and above the diagonal.
    Upper,
}

/// Solves `matrix * x = rhs` for triangular matrices in the last two axes, by substitution. The leading dimensions are broadcast.
///
/// ```
/// # use session_core::{DType, Graph};
/// # use ops::{array::placeholder, math::{Triangle, matrix_triangular_solve}};
/// let graph = Graph::new();
/// let a = placeholder(&graph, DType::Float32, [5, 3, 3]);
/// let b = placeholder(&graph, DType::Float32, [5, 3, 2]);
/// assert_eq!(matrix_triangular_solve(&a, &b, Triangle::Lower).shape().to_string(), "[5,3,2]");
/// ```
#[must_use]
#[track_caller]
pub fn matrix_triangular_solve(matrix: impl AsOutput, rhs: impl AsOutput, triangle: Triangle) -> Output {
    triangular(matrix.as_output(), rhs.as_output(), triangle == Triangle::Lower, false)
}

#[track_caller]
pub(super) fn triangular(matrix: &Output, sides: &Output, lower: bool, adjoint: bool) -> Output {
    let builder = matrix.graph().op(&MATRIX_TRIANGULAR_SOLVE).input(matrix).input(sides);
    builder.attr("lower", lower).attr("adjoint", adjoint).finish_output()
}

/// Returns the lower triangular factors `L` of the symmetric, positive definite matrices `L * L'` in the last two axes, of
/// which only the lower triangles are read.
///
/// ```
/// # use session_core::{DType, Graph};
/// # use ops::{array::placeholder, math::cholesky};
/// let graph = Graph::new();
/// let x = placeholder(&graph, DType::Float32, [3, 3]);
/// assert_eq!(cholesky(&x).shape().to_string(), "[3,3]");
/// ```
#[must_use]
#[track_caller]
pub fn cholesky(input: impl AsOutput) -> Output {
    input.as_output().graph().op(&CHOLESKY).input(input).finish_output()
}
