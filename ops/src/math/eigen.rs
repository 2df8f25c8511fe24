//! Eigenvalues and eigenvectors of square matrices that need not be symmetric.

use super::linear::flag;
use super::product::matmul;
use super::spectral::{eigen_shape, reciprocal_gaps};
use super::unary::{conj, real};
use super::{cast, matrix_solve, mul};
use crate::array::{matrix_diag, matrix_diag_part, matrix_transpose, zeros_like};
use crate::library::op_defs;
use session_core::{AsOutput, DType, OpDef, Operation, Output, Result};

op_defs! {
    EIG: OpDef::new("Eig", "input: T -> e: Tout, v: Tout")
        .attrs("compute_v: bool = true, T: {float, double, complex64, complex128}, Tout: {complex64, complex128}")
        .shape(eigen_shape)
        .gradient(eig_gradient);
}

/// Builds the gradient of Giles, "Collected matrix derivative results", less what would change the lengths of the vectors, which are one.
fn eig_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    if grads.iter().all(Option::is_none) {
        return Ok(vec![None]);
    }
    let (input, with_vectors) = (op.input(0), flag(op, "compute_v"));
    let (values, vectors) = match with_vectors {
        true => (op.output(0), op.output(1)),
        // The gradient of the values needs the vectors as well.
        false => eig(&input),
    };
    let adjoint = adjoint(&vectors);
    let mut inner = matrix_diag(match &grads[0] {
        Some(grad) => grad.clone(),
        None => zeros_like(&values),
    });
    if let Some(grad) = grads[1].as_ref().filter(|_| with_vectors) {
        let turned = matmul(&adjoint, grad);
        let lengths = matrix_diag(cast(real(matrix_diag_part(&turned)), turned.dtype()));
        let kept = matmul(matmul(&adjoint, &vectors), lengths);
        inner = inner + mul(conj(reciprocal_gaps(&values)), turned - kept);
    }
    let whole = matrix_solve(&adjoint, matmul(inner, &adjoint));
    Ok(vec![Some(if input.dtype().is_complex() { whole } else { cast(real(whole), input.dtype()) })])
}

/// Returns the conjugate transposes of matrices.
pub(super) fn adjoint(matrices: &Output) -> Output {
    let transposed = matrix_transpose(matrices);
    if matrices.dtype().is_complex() { conj(transposed) } else { transposed }
}

/// Returns the eigenvalues of the square matrices in the last two axes, by rising absolute value, and the eigenvectors, which are columns
/// of length one. Both are complex, also for real matrices. A vector is determined up to a factor of absolute value one. TensorFlow
/// sorts the values of complex matrices only; those of real ones come in the order of its algorithm.
///
/// ```
/// # use session_core::{DType, Graph};
/// # use ops::{array::constant, math::eig};
/// let graph = Graph::new();
/// let (values, vectors) = eig(constant(&graph, [[0f32, 1.0], [-1.0, 0.0]])); // i and -i
/// assert_eq!((values.dtype(), values.shape().to_string()), (DType::Complex64, "[2]".to_owned()));
/// assert_eq!(vectors.shape().to_string(), "[2,2]");
/// ```
///
/// For symmetric matrices, [`self_adjoint_eig`](super::self_adjoint_eig) is faster and more precise.
///
/// # Errors
/// When it runs, an `InvalidArgument` error for numbers that are not finite.
#[must_use]
#[track_caller]
pub fn eig(tensor: impl AsOutput) -> (Output, Output) {
    let found = decomposed(tensor.as_output(), true);
    (found.output(0), found.output(1))
}

/// Returns the eigenvalues of the square matrices in the last two axes, as [`eig`] does, without the vectors.
///
/// ```
/// # use session_core::Graph;
/// # use ops::{array::constant, math::eigvals};
/// let graph = Graph::new();
/// assert_eq!(eigvals(constant(&graph, [[2f64, 1.0], [0.0, 3.0]])).shape().to_string(), "[2]"); // 2 and 3
/// ```
#[must_use]
#[track_caller]
pub fn eigvals(tensor: impl AsOutput) -> Output {
    decomposed(tensor.as_output(), false).output(0)
}

#[track_caller]
fn decomposed(tensor: &Output, compute_v: bool) -> Operation {
    let dtype = match tensor.dtype() {
        DType::Float32 | DType::Complex64 => DType::Complex64,
        _ => DType::Complex128,
    };
    tensor.graph().op(&EIG).input(tensor).attr("compute_v", compute_v).attr("Tout", dtype).finish()
}
