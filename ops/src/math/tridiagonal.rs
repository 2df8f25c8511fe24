//! Tridiagonal matrices: products and solutions of linear systems.

use super::binary::mul;
use super::linear::check_real;
use super::reduce::reduce_sum;
use super::unary::neg;
use crate::array::slicing::{Index, strided_slice};
use crate::array::{concat, expand_dims, zeros_like};
use crate::library::op_defs;
use crate::shapes;
use session_core::{AsOutput, Error, OpDef, Operation, Output, PartialShape, Result, ShapeContext};

op_defs! {
    TRIDIAGONAL_MAT_MUL: OpDef::new(
        "TridiagonalMatMul",
        "superdiag: T, maindiag: T, subdiag: T, rhs: T -> output: T",
    )
    .attrs("T: {double, float, complex64, complex128}")
    .shape(product_shape)
    .gradient(product_gradient);
    TRIDIAGONAL_SOLVE: OpDef::new("TridiagonalSolve", "diagonals: T, rhs: T -> output: T")
        .attrs(
            "partial_pivoting: bool = true, perturb_singular: bool = false, \
             T: {double, float, complex64, complex128}",
        )
        .shape(solution_shape)
        .gradient(solution_gradient);
}

/// Infers the shape of `rhs`. Each diagonal is a row `[.., 1, n]`.
fn product_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    for input in 0..4 {
        let shape = shapes::at_least_rank(context, input, 2)?;
        if input < 3 && shape.dim_from_end(1).is_some_and(|rows| rows != 1) {
            return Err(Error::value(format!(
                "a diagonal must be a matrix of one row, not of shape {shape}"
            )));
        }
        let size = shape.dim_from_end(if input < 3 { 0 } else { 1 });
        let rows = context.input(3).dim_from_end(1);
        shapes::merge_dims("elements of a diagonal and rows of the right-hand side", size, rows)?;
    }
    let rhs = context.input(3);
    context.set(0, rhs);
    Ok(())
}

/// Infers the shape of `rhs`. The diagonals are three rows `[.., 3, n]`: above, main, below.
fn solution_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let diagonals = shapes::at_least_rank(context, 0, 2)?;
    let rhs = shapes::at_least_rank(context, 1, 2)?;
    shapes::merge_dims("rows of the diagonals", diagonals.dim_from_end(1), Some(3))?;
    let sizes = (diagonals.dim_from_end(0), rhs.dim_from_end(1));
    let size =
        shapes::merge_dims("elements of a diagonal and rows of the right-hand side", sizes.0, sizes.1)?;
    let (Some(rank), Some(of_rhs)) = (diagonals.rank(), rhs.rank()) else { return Ok(()) };
    let stack = shapes::merge(&diagonals.range(0, rank - 2), &rhs.range(0, of_rhs - 2))?;
    context.set(0, stack.concat(&PartialShape::from([size, rhs.dim_from_end(0)])));
    Ok(())
}

// ---- gradients -------------------------------------------------------------------------------------------

/// The direction in which rows move, by one; a row of zeros takes the place that becomes free.
#[derive(Clone, Copy, PartialEq)]
enum Toward {
    Start,
    End,
}

/// Moves the entries along an axis, the last or the one before it.
fn moved(x: &Output, axis: i64, toward: Toward) -> Output {
    let part = |range: Index| match axis {
        -1 => strided_slice(x, &[Index::Ellipsis, range]),
        _ => strided_slice(x, &[Index::Ellipsis, range, Index::ALL]),
    };
    match toward {
        Toward::Start => {
            let rest = part(Index::from(1..));
            concat(&[rest, zeros_like(part(Index::from(..1)))], axis)
        }
        Toward::End => {
            let rest = part(Index::from(..-1));
            concat(&[zeros_like(part(Index::from(..1))), rest], axis)
        }
    }
}

/// Returns the gradients of `y = A x`: for `x` the product of `grad` with the transposed matrix, and for each
/// diagonal the row sums of `grad * x`, with `x` moved by one row for the outer diagonals.
fn product_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    check_real(op)?;
    let Some(grad) = &grads[0] else { return Ok(vec![None; 4]) };
    let [above, main, below, rhs] = [0, 1, 2, 3].map(|index| op.input(index));
    // Of each diagonal: the product of row and column sums, as a matrix of one row.
    let of_diagonal = |rows: &Output| expand_dims(reduce_sum(mul(rows, grad), -1), -2);
    let of_above = of_diagonal(&moved(&rhs, -2, Toward::Start));
    let of_below = of_diagonal(&moved(&rhs, -2, Toward::End));
    // Transposed, the lower diagonal is the upper one. Both are rows of length n whose unused element is at
    // the other end, so they move by one.
    let builder = grad.graph().op(&TRIDIAGONAL_MAT_MUL).input(moved(&below, -1, Toward::Start)).input(&main);
    let of_rhs = builder.input(moved(&above, -1, Toward::End)).input(grad).finish_output();
    Ok(vec![Some(of_above), Some(of_diagonal(&rhs)), Some(of_below), Some(of_rhs)])
}

/// Returns the gradients of the solution `x`: `A^-T grad` for the right-hand side, and for each diagonal the
/// row sums of `-(A^-T grad) * x`, with `x` moved as for the product.
fn solution_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    check_real(op)?;
    let Some(grad) = &grads[0] else { return Ok(vec![None; 2]) };
    let (diagonals, solution) = (op.input(0), op.output(0));
    let row = |row: i64| strided_slice(&diagonals, &[Index::Ellipsis, Index::from(row..row + 1), Index::ALL]);
    let transposed =
        concat(&[moved(&row(2), -1, Toward::Start), row(1), moved(&row(0), -1, Toward::End)], -2);
    let builder = grad.graph().op(&TRIDIAGONAL_SOLVE).input(transposed).input(grad);
    let of_rhs = crate::nn::images::copied_attrs(builder, op, &["partial_pivoting", "perturb_singular"]);
    let of_rhs = of_rhs.finish_output();
    let of_diagonal = |rows: &Output| expand_dims(neg(reduce_sum(mul(&of_rhs, rows), -1)), -2);
    let of_diagonals = concat(
        &[
            of_diagonal(&moved(&solution, -2, Toward::Start)),
            of_diagonal(&solution),
            of_diagonal(&moved(&solution, -2, Toward::End)),
        ],
        -2,
    );
    Ok(vec![Some(of_diagonals), Some(of_rhs)])
}

// ---- constructors ----------------------------------------------------------------------------------------

/// Multiplies tridiagonal matrices by the matrices in the last two axes of `rhs`, `[.., n, columns]`. Each diagonal is given as
/// `[.., 1, n]`: of `superdiag` the last element is not read, of `subdiag` the first.
///
/// ```
/// use ops::{array::zeros, math::tridiagonal_mat_mul};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let diagonal = || zeros(&graph, DType::Float32, [5, 1, 4]);
/// let rhs = zeros(&graph, DType::Float32, [5, 4, 2]);
/// let y = tridiagonal_mat_mul(diagonal(), diagonal(), diagonal(), &rhs);
/// assert_eq!(y.shape().to_string(), "[5,4,2]");
/// ```
#[must_use]
#[track_caller]
pub fn tridiagonal_mat_mul(
    superdiag: impl AsOutput,
    maindiag: impl AsOutput,
    subdiag: impl AsOutput,
    rhs: impl AsOutput,
) -> Output {
    let builder = rhs.as_output().graph().op(&TRIDIAGONAL_MAT_MUL).input(superdiag).input(maindiag);
    builder.input(subdiag).input(rhs).finish_output()
}

/// Solves `matrix * x = rhs` for tridiagonal matrices, whose diagonals are rows of `diagonals`, `[.., 3, n]`: that above the main
/// one, of which the last element is not read, the main one, and that below, of which the first is not read. `rhs` is
/// `[.., n, columns]`. A singular matrix gives NaN.
///
/// ```
/// use ops::{array::zeros, math::tridiagonal_solve};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let (diagonals, rhs) = (zeros(&graph, DType::Float32, [5, 3, 4]), zeros(&graph, DType::Float32, [5, 4, 2]));
/// assert_eq!(tridiagonal_solve(&diagonals, &rhs).shape().to_string(), "[5,4,2]");
/// ```
#[must_use]
#[track_caller]
pub fn tridiagonal_solve(diagonals: impl AsOutput, rhs: impl AsOutput) -> Output {
    diagonals.as_output().graph().op(&TRIDIAGONAL_SOLVE).input(diagonals).input(rhs).finish_output()
}
