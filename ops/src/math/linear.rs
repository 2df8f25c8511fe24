//! Stacks of square matrices.
//!
//! They have definitions, so that imported graphs run, and no constructors.

use crate::library::op_defs;
use crate::shapes;
use session_core::{OpDef, PartialShape, Result, ShapeContext};

op_defs! {
    MATRIX_DETERMINANT: OpDef::new("MatrixDeterminant", "input: T -> output: T")
        .attrs("T: {half, float, double, complex64, complex128}").shape(determinant_shape);
    MATRIX_INVERSE: OpDef::new("MatrixInverse", "input: T -> output: T")
        .attrs("adjoint: bool = false, T: {double, float, half, complex64, complex128}").shape(shapes::unchanged);
    MATRIX_SOLVE: OpDef::new("MatrixSolve", "matrix: T, rhs: T -> output: T")
        .attrs("adjoint: bool = false, T: {double, float, half, complex64, complex128}").shape(solution_shape);
    MATRIX_TRIANGULAR_SOLVE: OpDef::new("MatrixTriangularSolve", "matrix: T, rhs: T -> output: T")
        .attrs("lower: bool = true, adjoint: bool = false, T: inexacttype").shape(solution_shape);
    CHOLESKY: OpDef::new("Cholesky", "input: T -> output: T")
        .attrs("T: {double, float, half, complex64, complex128}").shape(shapes::unchanged);
}

fn determinant_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let input = shapes::at_least_rank(context, 0, 2)?;
    let shape = input.rank().map_or_else(PartialShape::unknown, |rank| input.range(0, rank - 2));
    context.set(0, shape);
    Ok(())
}

/// Returns the right sides, for each of the stacked matrices.
fn solution_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (matrix, sides) = (shapes::at_least_rank(context, 0, 2)?, shapes::at_least_rank(context, 1, 2)?);
    let (Some(of_matrix), Some(of_sides)) = (matrix.rank(), sides.rank()) else { return Ok(()) };
    let stack = shapes::broadcast_shapes(&matrix.range(0, of_matrix - 2), &sides.range(0, of_sides - 2))?;
    context.set(0, stack.concat(&sides.range(of_sides - 2, of_sides)));
    Ok(())
}
