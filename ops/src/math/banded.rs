//! Linear systems of triangular matrices of which only some diagonals are not zero.

use super::linear::{Triangle, check_real, flag, of_matrix};
use super::product::sum_batches;
use crate::arguments::Ints;
use crate::array::constants::{constant, scalar_tensor};
use crate::array::diagonal::MATRIX_DIAG_PART_V3;
use crate::array::joining::{concat, stack};
use crate::array::{Index, expand_dims, reshape, shape, strided_slice};
use crate::library::op_defs;
use crate::shapes;
use session_core::{AsOutput, Error, OpDef, Operation, Output, PartialShape, Result, ShapeContext};

op_defs! {
    BANDED_TRIANGULAR_SOLVE: OpDef::new("BandedTriangularSolve", "matrix: T, rhs: T -> output: T")
        .attrs("lower: bool = true, adjoint: bool = false, T: {double, float, half, complex64, complex128}")
        .shape(solution_shape)
        .gradient(solve_gradient);
}

/// Infers the shape of the result.
fn solution_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (bands, sides) = (shapes::at_least_rank(context, 0, 2)?, shapes::at_least_rank(context, 1, 2)?);
    let (Some(of_bands), Some(of_sides)) = (bands.rank(), sides.rank()) else { return Ok(()) };
    if bands.dim(of_bands - 2) == Some(0) {
        return Err(Error::value(format!("bands of shape {bands} hold no diagonal")));
    }
    let stack = shapes::broadcast_shapes(&bands.range(0, of_bands - 2), &sides.range(0, of_sides - 2))?;
    let size = shapes::merge_dims(
        "columns of the bands and rows of the right-hand side",
        bands.dim(of_bands - 1),
        sides.dim(of_sides - 2),
    )?;
    context.set(0, stack.concat(&PartialShape::from([size, sides.dim(of_sides - 1)])));
    Ok(())
}

/// Builds the gradient.
fn solve_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    check_real(op)?;
    let Some(grad) = &grads[0] else { return Ok(vec![None; 2]) };
    let (bands, sides, lower) = (op.input(0), op.input(1), flag(op, "lower"));
    let of_sides = solve(&bands, grad, lower, !flag(op, "adjoint"));
    // The gradient of the whole matrix is dense; only its bands are inputs.
    let read = diagonals(&of_matrix(op, &of_sides), &bands, lower);
    Ok(vec![Some(sum_batches(&read, &bands, &sides)), Some(sum_batches(&of_sides, &sides, &bands))])
}

/// Returns as many diagonals of matrices as there are bands, in the form of bands.
fn diagonals(matrices: &Output, bands: &Output, lower: bool) -> Output {
    let graph = matrices.graph();
    let known = bands.shape().rank().and_then(|rank| bands.shape().dim(rank - 2));
    let offsets = match known.and_then(|count| i32::try_from(count).ok()) {
        Some(count) if lower => constant(&graph, [1 - count, 0]),
        // The main diagonal is the last band of a lower matrix and the first band of an upper one.
        Some(count) => constant(&graph, [0, count - 1]),
        None => {
            let count = strided_slice(shape(bands), &[Index::At(-2)]);
            let zero = constant(&graph, 0i32);
            if lower { stack(&[1 - &count, zero], 0) } else { stack(&[zero, &count - 1], 0) }
        }
    };
    let builder = graph.op(&MATRIX_DIAG_PART_V3).input(matrices);
    let builder = Ints::from(offsets).input_of(builder).constant(scalar_tensor(matrices.dtype(), 0.0));
    // How TensorFlow stores bands: those above the main diagonal end at the right,
    // those below begin at the left.
    let found = builder.attr("align", "LEFT_RIGHT").finish_output();
    // Of one diagonal the axis of diagonals is left out.
    match known {
        Some(1) => expand_dims(found, -2),
        Some(_) => found,
        None => {
            let stack = strided_slice(shape(matrices), &[Index::from(..-2)]);
            let both = strided_slice(shape(bands), &[Index::from(-2..)]);
            reshape(found, concat(&[stack, both], 0))
        }
    }
}

#[track_caller]
fn solve(bands: &Output, sides: &Output, lower: bool, adjoint: bool) -> Output {
    let builder = bands.graph().op(&BANDED_TRIANGULAR_SOLVE).input(bands).input(sides);
    builder.attr("lower", lower).attr("adjoint", adjoint).finish_output()
}

/// Solves `matrix * x = rhs` for triangular matrices that are given by their diagonals, by substitution. The leading dimensions are
/// broadcast.
///
/// `bands` has shape `[..., k, n]`. Each of its rows is one of the `k` diagonals next to the main one and including it, from top right to
/// bottom left; element `i` of a row belongs to row `i` of the matrix, and elements outside of the matrix are ignored. So the main diagonal is
/// the first row for [`Triangle::Lower`] and the last one for [`Triangle::Upper`]. `rhs` has shape `[..., n, columns]`.
///
/// ```
/// # use session_core::Graph;
/// # use ops::{array::constant, math::{Triangle, banded_triangular_solve}};
/// let graph = Graph::new();
/// // [[2, 0, 0], [2, 3, 0], [0, 3, 4]]
/// let bands = constant(&graph, [[2f32, 3.0, 4.0], [0.0, 2.0, 3.0]]);
/// let rhs = constant(&graph, [[1f32], [1.0], [1.0]]);
/// let x = banded_triangular_solve(&bands, &rhs, Triangle::Lower); // [[0.5], [0], [0.25]]
/// assert_eq!(x.shape().to_string(), "[3,1]");
/// ```
///
/// # Errors
/// In the graph, for bands and right-hand sides of different sizes; when it runs, an `InvalidArgument` error for a zero on the main
/// diagonal.
#[must_use]
#[track_caller]
pub fn banded_triangular_solve(bands: impl AsOutput, rhs: impl AsOutput, triangle: Triangle) -> Output {
    solve(bands.as_output(), rhs.as_output(), triangle == Triangle::Lower, false)
}
