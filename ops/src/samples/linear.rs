//! Samples of linear algebra.

use super::math::rows;
use super::{Inputs, Known, Sample, shaped};
use crate::array::eye;
use crate::math::*;
use session_core::{DType, Output};

/// Two matrices with large pivots, not symmetric.
fn matrices(i: &mut Inputs<'_>) -> Output {
    i.given(shaped(vec![2.0f64, 1.0, 0.5, 3.0, 4.0, -1.5, -1.0, -1.0], &[2, 2, 2]))
}

/// Right-hand sides for them.
fn sides(i: &mut Inputs<'_>) -> Output {
    i.doubles(&[2, 2, 3])
}

fn solution(i: &mut Inputs<'_>, adjoint: bool) -> Vec<Output> {
    let (x, y) = (matrices(i), sides(i));
    vec![i.op("MatrixSolve").input(x).input(y).attr("adjoint", adjoint).finish_output()]
}

fn triangular_solution(i: &mut Inputs<'_>, lower: bool, adjoint: bool) -> Vec<Output> {
    let (x, y) = (matrices(i), sides(i));
    let builder = i.op("MatrixTriangularSolve").input(x).input(y);
    vec![builder.attr("lower", lower).attr("adjoint", adjoint).finish_output()]
}

/// Two matrices of four rows with two diagonals each, one above the other.
fn bands(i: &mut Inputs<'_>) -> Output {
    let main = [2.0f64, 3.0, -4.0, 1.5];
    let other = [0.5f64, -1.0, 2.0, 1.0];
    let both = [main, other, other, main].concat();
    i.given(shaped(both, &[2, 2, 4]))
}

fn banded_solution(i: &mut Inputs<'_>, lower: bool, adjoint: bool) -> Vec<Output> {
    let (x, y) = (bands(i), i.doubles(&[2, 4, 3]));
    let builder = i.op("BandedTriangularSolve").input(x).input(y);
    vec![builder.attr("lower", lower).attr("adjoint", adjoint).finish_output()]
}

/// A matrix with two eigenvalues that are not real, and one that is.
fn turning(i: &mut Inputs<'_>) -> Output {
    i.given(shaped(vec![1.0f64, 2.0, 0.5, -1.5, 1.0, 0.0, 0.5, 0.0, 4.0], &[3, 3]))
}

/// A symmetric, positive definite matrix, that of a stack for each entry of a batch.
fn definite(i: &mut Inputs<'_>, shape: &[usize]) -> Output {
    let x = i.doubles(shape);
    let square = matmul_with(&x, &x, MatMulOptions::default().transpose_b(true));
    let last = shape.len() - 2;
    square + eye(i.graph, shape[last], DType::Float64)
}

fn factorized(i: &mut Inputs<'_>, shape: &[usize], full: bool) -> Vec<Output> {
    let x = i.doubles(shape);
    let (q, r) = if full { qr_full_matrices(x) } else { qr(x) };
    vec![q, r]
}

const LINEAR: &[Sample] = rows! {
    "SelfAdjointEigV2" => |i| {
        let (e, v) = self_adjoint_eig(matrices(i));
        [e, square(v)]
    };
    "Svd" => |i| {
        let (s, u, v) = svd(i.given(shaped(vec![2.0f64, 1.0, -1.0, 0.5, 3.0, 1.0], &[3, 2])));
        [s, square(u), square(v)]
    };
    "Svd of more columns" => |i| {
        let (s, u, v) = svd(i.given(shaped(vec![2.0f64, 1.0, -1.0, 0.5, 3.0, 1.0], &[2, 3])));
        [s, square(u), square(v)]
    };
    "Svd full, of square matrices" needs Shapes => |i| {
        let (s, u, v) = svd_full_matrices(matrices(i));
        [s, square(u), square(v)]
    };
    "Svd of values" => |i| {
        let x = i.doubles(&[4, 3]);
        [i.op("Svd").input(x).attr("compute_uv", false).finish_output()]
    };
    "SelfAdjointEigV2 of values" => |i| {
        let x = matrices(i);
        [i.op("SelfAdjointEigV2").input(x).attr("compute_v", false).finish_output()]
    };
    "MatrixSolveLs" needs Shapes => |i| { let (a, b) = (i.doubles(&[2, 4, 3]), i.doubles(&[2, 4, 2])); [matrix_solve_ls(a, b, 0.25)] };
    "MatrixSolveLs of more columns" needs Shapes => |i| {
        let (a, b) = (i.doubles(&[3, 5]), i.doubles(&[3, 2]));
        [matrix_solve_ls(a, b, 0.25)]
    };
    "MatrixSolveLs of any rank" => |i| {
        let a = i.other(shaped(vec![1.0f64, 1.0, 2.0, 2.0, -1.0, -1.0], &[3, 2]));
        let b = i.other([[1.0f64], [0.5], [2.0]]);
        [matrix_solve_ls_of_any_rank(a, b)]
    };
    "TridiagonalSolve" => |i| {
        let (diagonals, rhs) = (i.doubles(&[2, 3, 4]), i.doubles(&[2, 4, 3]));
        [tridiagonal_solve(diagonals, rhs)]
    };
    "TridiagonalSolve without pivoting" => |i| {
        let (diagonals, rhs) = (i.doubles(&[3, 4]), i.doubles(&[4, 1]));
        [i.op("TridiagonalSolve").input(diagonals).input(rhs).attr("partial_pivoting", false).finish_output()]
    };
    "TridiagonalMatMul" => |i| {
        let [above, main, below] = [(); 3].map(|()| i.doubles(&[2, 1, 4]));
        let rhs = i.doubles(&[2, 4, 3]);
        [tridiagonal_mat_mul(above, main, below, rhs)]
    };
    "BandedTriangularSolve" => |i| banded_solution(i, true, false);
    "BandedTriangularSolve upper" => |i| banded_solution(i, false, false);
    "BandedTriangularSolve adjoint" => |i| banded_solution(i, true, true);
    "BandedTriangularSolve upper adjoint" => |i| banded_solution(i, false, true);
    "BandedTriangularSolve broadcast" needs Ranks => |i| {
        let x = i.given(shaped(vec![2.0f64, 3.0, -4.0], &[1, 3]));
        let y = i.doubles(&[2, 3, 1]);
        [banded_triangular_solve(x, y, Triangle::Upper)]
    };
    // TensorFlow sorts the values of complex matrices only; those of real ones are compared in any order.
    "Eig" => |i| {
        let (e, v) = eig(matrices(i));
        [reduce_sum(square(real(&e)), -1), square(imag(e)), reduce_sum(abs(v), -1)]
    };
    "Eig of turning matrices" => |i| {
        let (e, v) = eig(turning(i));
        // Two values have the same absolute value, in any order.
        [real(&e), square(imag(e)), abs(v)]
    };
    "Eig of complex matrices" => |i| {
        let (x, y) = (turning(i), i.doubles(&[3, 3]));
        let (e, v) = eig(complex(x, y));
        [real(&e), imag(e), abs(v)]
    };
    "Eig of values" => |i| [reduce_sum(square(real(eigvals(matrices(i)))), -1)];
    "MatrixSquareRoot" needs Ranks => |i| {
        let x = i.given(shaped(vec![4.0f64, 1.0, 0.5, 3.0, 2.0, -1.0, 1.0, 2.5], &[2, 2, 2]));
        [sqrtm(x)]
    };
    "MatrixSquareRoot of symmetric matrices" needs Ranks => |i| [sqrtm(definite(i, &[3, 3]))];
    "MatrixSquareRoot of complex matrices" needs Ranks => |i| {
        let (x, y) = (turning(i), i.doubles(&[3, 3]));
        let root = sqrtm(complex(x, y));
        [real(&root), imag(root)]
    };
    "MatrixLogarithm" but not_numerical => |i| {
        let x = i.other(shaped(vec![1.0f64, 2.0, 0.5, -1.5, 1.0, 0.0, 0.5, 0.0, 4.0], &[3, 3]));
        let y = i.other(shaped(vec![0.0f64, 0.5, -1.0, 0.25, 2.0, 0.0, 0.0, 1.0, -3.0], &[3, 3]));
        let log = logm(complex(x, y));
        [real(&log), imag(log)]
    };
    "MatrixDeterminant" => |i| [matrix_determinant(matrices(i))];
    "MatrixDeterminant of one" => |i| {
        let x = i.given(shaped(vec![2.0f64, 1.0, -1.0, 0.5, 3.0, 1.0, 1.0, -1.0, 2.5], &[3, 3]));
        [matrix_determinant(x)]
    };
    "LogMatrixDeterminant" => |i| { let (sign, log) = log_matrix_determinant(matrices(i)); [sign, log] };
    "MatrixInverse" => |i| [matrix_inverse(matrices(i))];
    "MatrixInverse adjoint" => |i| {
        let x = matrices(i);
        [i.op("MatrixInverse").input(x).attr("adjoint", true).finish_output()]
    };
    "MatrixSolve" => |i| { let (x, y) = (matrices(i), sides(i)); [matrix_solve(x, y)] };
    "MatrixSolve adjoint" => |i| solution(i, true);
    "MatrixTriangularSolve" => |i| triangular_solution(i, true, false);
    "MatrixTriangularSolve upper" => |i| triangular_solution(i, false, false);
    "MatrixTriangularSolve adjoint" => |i| triangular_solution(i, true, true);
    "MatrixTriangularSolve upper adjoint" => |i| triangular_solution(i, false, true);
    "MatrixTriangularSolve broadcast" needs Ranks => |i| {
        let (x, y) = (matrices(i), i.doubles(&[3, 1, 2, 2]));
        [matrix_triangular_solve(x, y, Triangle::Lower)]
    };
    "Lu" but not_numerical => |i| {
        let x = i.other([[1.0f64, 2.0, 0.5], [4.0, -1.0, 3.0], [2.0, 5.0, 1.0]]);
        i.op("Lu").input(x).finish().outputs()
    };
    "Cholesky" => |i| [cholesky(definite(i, &[3, 3]))];
    "Cholesky of stacked matrices" => |i| [cholesky(definite(i, &[2, 3, 3]))];
    "Qr" needs Shapes => |i| {
        let (q, r) = qr(i.given(shaped(vec![2.0f64, 1.0, -1.0, 0.5, 3.0, 1.0, 1.0, -1.0, 2.5], &[3, 3])));
        [q, r]
    };
    "Qr of stacked matrices with more rows" needs Shapes => |i| factorized(i, &[2, 4, 3], false);
    "Qr of more columns" needs Shapes => |i| factorized(i, &[3, 5], false);
    "Qr full" needs Shapes => |i| factorized(i, &[3, 4], true);
    "Qr full, of more rows" => |i| {
        let x = i.other(shaped(vec![1.0f64, 2.0, 3.0, 4.0, 5.0, -6.0], &[3, 2]));
        let (q, r) = qr_full_matrices(&x);
        [q, r]
    };
};

pub(super) static SAMPLES: &[&[Sample]] = &[LINEAR];
