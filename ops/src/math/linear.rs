//! Stacks of square matrices.
//!
//! They have definitions, so that imported graphs run, and no constructors.

use crate::library::op_defs;
use session_core::OpDef;

op_defs! {
    MATRIX_DETERMINANT: OpDef::new("MatrixDeterminant", "input: T -> output: T")
        .attrs("T: {half, float, double, complex64, complex128}");
    MATRIX_INVERSE: OpDef::new("MatrixInverse", "input: T -> output: T")
        .attrs("adjoint: bool = false, T: {double, float, half, complex64, complex128}");
    MATRIX_SOLVE: OpDef::new("MatrixSolve", "matrix: T, rhs: T -> output: T")
        .attrs("adjoint: bool = false, T: {double, float, half, complex64, complex128}");
    MATRIX_TRIANGULAR_SOLVE: OpDef::new("MatrixTriangularSolve", "matrix: T, rhs: T -> output: T")
        .attrs("lower: bool = true, adjoint: bool = false, T: inexacttype");
    CHOLESKY: OpDef::new("Cholesky", "input: T -> output: T")
        .attrs("T: {double, float, half, complex64, complex128}");
}
