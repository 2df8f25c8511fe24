//! Least squares.

use super::binary::{add, sub};
use super::cast::cast;
use super::compare::greater_equal;
use super::linear::{adjoint_a, adjoint_b, cholesky, triangular};
use super::product::{matmul, matmul_with};
use super::unary::neg;
use crate::array::slicing::{Index, strided_slice};
use crate::array::{expand_dims, matrix_diag_part, matrix_set_diag, matrix_transpose, shape};
use crate::control_flow::cond;
use crate::library::op_defs;
use crate::shapes;
use session_core::{
    AsOutput, AttrValue, Code, Error, OpDef, Operation, Output, PartialShape, Result, ShapeContext,
};

op_defs! {
    MATRIX_SOLVE_LS: OpDef::new("MatrixSolveLs", "matrix: T, rhs: T, l2_regularizer: double -> output: T")
        .attrs("T: {double, float, half, complex64, complex128}, fast: bool = true")
        .shape(solution_shape)
        .gradient(gradient);
}

fn solution_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    shapes::must_be_scalar(context, 2)?;
    let (matrix, rhs) = (shapes::at_least_rank(context, 0, 2)?, shapes::at_least_rank(context, 1, 2)?);
    shapes::merge_dims(
        "rows of a matrix and of its right-hand side",
        matrix.dim_from_end(1),
        rhs.dim_from_end(1),
    )?;
    let (Some(rank), Some(of_rhs)) = (matrix.rank(), rhs.rank()) else { return Ok(()) };
    let stack = shapes::merge(&matrix.range(0, rank - 2), &rhs.range(0, of_rhs - 2))?;
    context.set(0, stack.concat(&PartialShape::from([matrix.dim_from_end(0), rhs.dim_from_end(0)])));
    Ok(())
}

/// The inputs and outputs of a solution, and the gradient of the latter.
struct Solved {
    matrix: Output,
    rhs: Output,
    l2: Output,
    solution: Output,
    grad: Output,
}

impl Solved {
    /// Returns `(A' A + l2)^-1 y`, or `(A A' + l2)^-1 y`, for several `y`.
    fn inverse(&self, tall: bool) -> impl Fn(&Output) -> Output {
        let options = if tall { adjoint_a() } else { adjoint_b() };
        // The smaller of the two Gram matrices, which `fast` factors in the forward pass too.
        let gram = matmul_with(&self.matrix, &self.matrix, options);
        let regular = add(matrix_diag_part(&gram), expand_dims(cast(&self.l2, gram.dtype()), -1));
        let factor = cholesky(matrix_set_diag(&gram, regular));
        // The two triangular solutions are the product with the inverse: `L^-T (L^-1 y)`.
        move |y| triangular(&factor, &triangular(&factor, y, true, false), true, true)
    }

    /// Returns the gradients of the matrix and the right-hand side, for at least as many rows as columns.
    fn tall(&self) -> [Output; 2] {
        let z = self.inverse(true)(&self.grad);
        let xz = matmul_with(&self.solution, &z, adjoint_b());
        let symmetric = add(&xz, matrix_transpose(&xz));
        let of_matrix = sub(matmul_with(&self.rhs, &z, adjoint_b()), matmul(&self.matrix, symmetric));
        [of_matrix, matmul(&self.matrix, &z)]
    }

    /// Returns the gradients of the matrix and the right-hand side, for more columns than rows.
    fn wide(&self) -> [Output; 2] {
        let inverse = self.inverse(false);
        let of_rhs = inverse(&matmul(&self.matrix, &self.grad));
        let solved = inverse(&self.rhs);
        let first = matmul(&of_rhs, matmul_with(&solved, &self.matrix, adjoint_a()));
        let rest = sub(&self.grad, matmul_with(&self.matrix, &of_rhs, adjoint_a()));
        [add(neg(first), matmul_with(&solved, rest, adjoint_b())), of_rhs]
    }
}

fn gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 3]) };
    let fast = op.attr("fast").and_then(AttrValue::as_bool).unwrap_or(true);
    // Without `fast` the forward pass uses an orthogonal factorization, whose gradient
    // TensorFlow does not define either.
    if !fast || op.input(0).dtype().is_complex() {
        let text = "there is no gradient of MatrixSolveLs with fast = false, or of complex matrices";
        return Err(op.place(Error::new(Code::Unimplemented, text)));
    }
    let [matrix, rhs, l2] = [0, 1, 2].map(|index| op.input(index));
    let solution = op.output(0);
    let (rows, columns) = (matrix.shape().dim_from_end(1), matrix.shape().dim_from_end(0));
    let solved = Solved { matrix, rhs, l2, solution, grad: grad.clone() };
    let [of_matrix, of_rhs] = match rows.zip(columns) {
        Some((rows, columns)) if rows >= columns => solved.tall(),
        Some(_) => solved.wide(),
        // The form is chosen when the graph runs, since both have the same result only where the sizes fit.
        None => {
            let sizes = shape(&solved.matrix);
            let size = |back: i64| strided_slice(&sizes, &[Index::At(-1 - back)]);
            cond(greater_equal(size(1), size(0)), |_| solved.tall(), |_| solved.wide())
        }
    };
    Ok(vec![Some(of_matrix), Some(of_rhs), None])
}

/// Solves `matrix * x = rhs` in the sense of least squares for the matrices in the last two axes, with a regularizer: `x` has the
/// least sum of the squares of `matrix * x - rhs` and of `l2_regularizer` times those of `x`. For a matrix of more columns than rows
/// it is the shortest of the solutions.
///
/// It solves the normal equations, which is fast, but needs a matrix of full rank or a positive regularizer.
/// [`matrix_solve_ls_of_any_rank`] does not.
///
/// ```
/// # use session_core::{DType, Graph};
/// # use ops::{array::placeholder, math::matrix_solve_ls};
/// let graph = Graph::new();
/// let a = placeholder(&graph, DType::Float32, [5, 9, 3]);
/// let b = placeholder(&graph, DType::Float32, [5, 9, 2]);
/// assert_eq!(matrix_solve_ls(&a, &b, 0.0).shape().to_string(), "[5,3,2]");
/// ```
#[must_use]
#[track_caller]
pub fn matrix_solve_ls(matrix: impl AsOutput, rhs: impl AsOutput, l2_regularizer: f64) -> Output {
    let builder = matrix.as_output().graph().op(&MATRIX_SOLVE_LS).input(matrix).input(rhs);
    builder.constant(l2_regularizer).finish_output()
}

/// Solves `matrix * x = rhs` in the sense of least squares, as [`matrix_solve_ls`], for matrices of any rank: TensorFlow's
/// `fast=False`. It has no gradient.
///
/// ```
/// # use session_core::{DType, Graph};
/// # use ops::{array::placeholder, math::matrix_solve_ls_of_any_rank};
/// let graph = Graph::new();
/// let a = placeholder(&graph, DType::Float32, [9, 3]);
/// let b = placeholder(&graph, DType::Float32, [9, 2]);
/// assert_eq!(matrix_solve_ls_of_any_rank(&a, &b).shape().to_string(), "[3,2]");
/// ```
#[must_use]
#[track_caller]
pub fn matrix_solve_ls_of_any_rank(matrix: impl AsOutput, rhs: impl AsOutput) -> Output {
    let builder = matrix.as_output().graph().op(&MATRIX_SOLVE_LS).input(matrix).input(rhs);
    builder.constant(0f64).attr("fast", false).finish_output()
}
