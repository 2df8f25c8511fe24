//! The spellings of TensorFlow's first releases for stacks of matrices, which the plain ones take as well by now.
//!
//! They have definitions, so that imported graphs run, and no constructors.

use super::linear::{determinant_shape, solution_shape, square_shape};
use super::spectral::{eigen_shape, stacked_shape, svd_shape};
use crate::array::diagonal::{band_shape, matrix_diag_part_shape, matrix_diag_shape, matrix_set_diag_shape};
use crate::library::op_defs;
use session_core::OpDef;

const REAL: &str = "T: {double, float}";
const ADJOINT: &str = "adjoint: bool = false, T: {double, float}";

op_defs! {
    BATCH_CHOLESKY: OpDef::new("BatchCholesky", "input: T -> output: T").attrs(REAL).shape(square_shape);
    BATCH_MATRIX_BAND_PART: OpDef::new("BatchMatrixBandPart", "input: T, num_lower: int64, num_upper: int64 -> band: T")
        .attrs("T: type").shape(band_shape);
    BATCH_MATRIX_DETERMINANT: OpDef::new("BatchMatrixDeterminant", "input: T -> output: T")
        .attrs("T: {float, double, complex64, complex128}").shape(determinant_shape);
    BATCH_MATRIX_DIAG: OpDef::new("BatchMatrixDiag", "diagonal: T -> output: T").attrs("T: type").shape(matrix_diag_shape);
    BATCH_MATRIX_DIAG_PART: OpDef::new("BatchMatrixDiagPart", "input: T -> diagonal: T")
        .attrs("T: type").shape(matrix_diag_part_shape);
    BATCH_MATRIX_SET_DIAG: OpDef::new("BatchMatrixSetDiag", "input: T, diagonal: T -> output: T")
        .attrs("T: type").shape(matrix_set_diag_shape);
    BATCH_MATRIX_INVERSE: OpDef::new("BatchMatrixInverse", "input: T -> output: T").attrs(ADJOINT).shape(square_shape);
    BATCH_MATRIX_SOLVE: OpDef::new("BatchMatrixSolve", "matrix: T, rhs: T -> output: T").attrs(ADJOINT).shape(solution_shape);
    BATCH_MATRIX_TRIANGULAR_SOLVE: OpDef::new("BatchMatrixTriangularSolve", "matrix: T, rhs: T -> output: T")
        .attrs("lower: bool = true, adjoint: bool = false, T: {double, float}").shape(solution_shape);
    BATCH_SELF_ADJOINT_EIG: OpDef::new("BatchSelfAdjointEig", "input: T -> output: T").attrs(REAL).shape(stacked_shape);
    BATCH_SELF_ADJOINT_EIG_V2: OpDef::new("BatchSelfAdjointEigV2", "input: T -> e: T, v: T")
        .attrs("compute_v: bool = true, T: {double, float}").shape(eigen_shape);
    BATCH_SVD: OpDef::new("BatchSvd", "input: T -> s: T, u: T, v: T")
        .attrs("compute_uv: bool = true, full_matrices: bool = false, T: {double, float, complex64, complex128}")
        .shape(svd_shape);
}
