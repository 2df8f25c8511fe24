//! Square roots and logarithms of square matrices.

use super::eigen::adjoint;
use super::linear::square_shape;
use super::unary::conj;
use super::{matrix_solve, mul};
use crate::array::joining::concat;
use crate::array::{
    Index, expand_dims, matrix_diag, matrix_diag_part, ones_like, reshape, shape, strided_slice,
};
use crate::gradients::broadcasting::shape_of;
use crate::library::op_defs;
use session_core::{AsOutput, OpDef, Operation, Output, Result};

op_defs! {
    MATRIX_SQUARE_ROOT: OpDef::new("MatrixSquareRoot", "input: T -> output: T")
        .attrs("T: {double, float, half, complex64, complex128}")
        .shape(square_shape)
        .gradient(square_root_gradient);
    MATRIX_LOGARITHM: OpDef::new("MatrixLogarithm", "input: T -> output: T")
        .attrs("T: {complex64, complex128}")
        .shape(square_shape);
}

/// Solves `Y' g + g Y' = grad` for `g`, where `Y` is the root and `'` the adjoint: the adjoint of what a small change of the matrix does to
/// its root. The equations of the elements of `g` are one linear system.
fn square_root_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None]) };
    let root = op.output(0);
    let one = matrix_diag(ones_like(matrix_diag_part(&root)));
    let conjugate = if root.dtype().is_complex() { conj(&root) } else { root.clone() };
    let system = kronecker(&adjoint(&root), &one) + kronecker(&one, &conjugate);
    let sides = expand_dims(reshape(grad, flat_sizes(&root, 1)), -1);
    Ok(vec![Some(reshape(matrix_solve(system, sides), shape_of(&root)))])
}

/// Returns the Kronecker products of two stacks of matrices of one size.
fn kronecker(a: &Output, b: &Output) -> Output {
    let (a_rows, b_rows) = (expand_dims(expand_dims(a, -2), -1), expand_dims(expand_dims(b, -3), -2));
    reshape(mul(a_rows, b_rows), flat_sizes(a, 2))
}

/// Returns the sizes of the stack of matrices, and then `count` times the number of elements of one matrix.
fn flat_sizes(matrices: &Output, count: usize) -> Output {
    let sizes = shape(matrices);
    let stack = strided_slice(&sizes, &[Index::from(..-2)]);
    let side = strided_slice(&sizes, &[Index::from(-1..)]);
    let elements = mul(&side, &side);
    let parts: Vec<Output> = std::iter::once(stack).chain(std::iter::repeat_n(elements, count)).collect();
    concat(&parts, 0)
}

/// Returns the principal square roots of the square matrices in the last two axes: the matrices whose squares they are, with eigenvalues
/// whose real parts are not negative.
///
/// ```
/// # use session_core::Graph;
/// # use ops::{array::constant, math::sqrtm};
/// let graph = Graph::new();
/// let root = sqrtm(constant(&graph, [[5f32, 4.0], [4.0, 5.0]])); // [[2, 1], [1, 2]]
/// assert_eq!(root.shape().to_string(), "[2,2]");
/// ```
///
/// A real matrix with a negative eigenvalue has no real root of this kind; the result is NaN.
#[must_use]
#[track_caller]
pub fn sqrtm(input: impl AsOutput) -> Output {
    input.as_output().graph().op(&MATRIX_SQUARE_ROOT).input(input).finish_output()
}

/// Returns the principal logarithms of the complex square matrices in the last two axes: the matrices whose exponentials they are, with
/// eigenvalues whose imaginary parts are between -π and π.
///
/// ```
/// # use session_core::{DType, Graph};
/// # use ops::{array::constant, math::{cast, logm}};
/// let graph = Graph::new();
/// let log = logm(cast(constant(&graph, [[1f64, 2.0], [0.0, 3.0]]), DType::Complex128));
/// assert_eq!(log.shape().to_string(), "[2,2]");
/// ```
///
/// A singular matrix has no logarithm; the result is NaN.
#[must_use]
#[track_caller]
pub fn logm(input: impl AsOutput) -> Output {
    input.as_output().graph().op(&MATRIX_LOGARITHM).input(input).finish_output()
}
