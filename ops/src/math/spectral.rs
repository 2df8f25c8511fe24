//! Eigenvalues of symmetric matrices, and singular values.

use super::binary::{div_no_nan, mul};
use super::linear::{adjoint_a, adjoint_b, check_real, flag};
use super::product::{matmul, matmul_with};
use crate::array::{
    expand_dims, matrix_band_part, matrix_diag, matrix_diag_part, matrix_set_diag, matrix_transpose,
    ones_like, zeros_like,
};
use crate::library::op_defs;
use crate::shapes;
use session_core::{AsOutput, Code, Error, OpDef, Operation, Output, PartialShape, Result, ShapeContext};

op_defs! {
    SELF_ADJOINT_EIG: OpDef::new("SelfAdjointEig", "input: T -> output: T")
        .attrs("T: {double, float, half}").shape(stacked_shape);
    SELF_ADJOINT_EIG_V2: OpDef::new("SelfAdjointEigV2", "input: T -> e: T, v: T")
        .attrs("compute_v: bool = true, T: {double, float, half, complex64, complex128}")
        .shape(eigen_shape).gradient(eigen_gradient);
    SVD: OpDef::new("Svd", "input: T -> s: T, u: T, v: T")
        .attrs("compute_uv: bool = true, full_matrices: bool = false, T: {double, float, half, complex64, complex128}")
        .shape(svd_shape).gradient(svd_gradient);
}

/// Returns the stack of square matrices and their size.
fn square(context: &ShapeContext<'_>) -> Result<Option<(PartialShape, Option<usize>)>> {
    let input = shapes::at_least_rank(context, 0, 2)?;
    let Some(rank) = input.rank() else { return Ok(None) };
    let size = shapes::merge_dims("sides of a square matrix", input.dim(rank - 2), input.dim(rank - 1))?;
    Ok(Some((input.range(0, rank - 2), size)))
}

/// The eigenvalues are a row above the vectors.
pub(super) fn stacked_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    if let Some((stack, size)) = square(context)? {
        context.set(0, stack.concat(&PartialShape::from([shapes::plus(size, Some(1))?, size])));
    }
    Ok(())
}

/// Infers `[.., n]` values and `[.., n, n]` vectors; without `compute_v` the second output is an
/// empty vector, as TensorFlow's.
pub(super) fn eigen_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let vectors = shapes::bool_attr(context, "compute_v");
    if let Some((stack, size)) = square(context)? {
        context.set(0, stack.concat(&PartialShape::from([size])));
        if vectors {
            context.set(1, stack.concat(&PartialShape::from([size, size])));
        }
    }
    if !vectors {
        context.set(1, PartialShape::from([Some(0)]));
    }
    Ok(())
}

/// Infers `k = min(rows, columns)` values, `[.., rows, k]` left and `[.., columns, k]` right vectors,
/// square ones with `full_matrices`.
pub(super) fn svd_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let input = shapes::at_least_rank(context, 0, 2)?;
    let (vectors, full) =
        (shapes::bool_attr(context, "compute_uv"), shapes::bool_attr(context, "full_matrices"));
    if !vectors {
        context.set(1, PartialShape::from([Some(0)]));
        context.set(2, PartialShape::from([Some(0)]));
    }
    let Some(rank) = input.rank() else { return Ok(()) };
    let (stack, rows, columns) = (input.range(0, rank - 2), input.dim(rank - 2), input.dim(rank - 1));
    let inner = rows.zip(columns).map(|(rows, columns)| rows.min(columns));
    context.set(0, stack.concat(&PartialShape::from([inner])));
    if vectors {
        context.set(1, stack.concat(&PartialShape::from([rows, if full { rows } else { inner }])));
        context.set(2, stack.concat(&PartialShape::from([columns, if full { columns } else { inner }])));
    }
    Ok(())
}

/// Only the lower triangle is read, so only that has gradients.
fn eigen_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    check_real(op)?;
    if grads.iter().all(Option::is_none) {
        return Ok(vec![None]);
    }
    let with_vectors = flag(op, "compute_v");
    let (values, vectors) = match with_vectors {
        true => (op.output(0), op.output(1)),
        // The gradient of the values needs the vectors as well.
        false => self_adjoint_eig(op.input(0)),
    };
    let mut inner = match &grads[0] {
        Some(grad) => matrix_diag(grad),
        None => zeros_like(&vectors),
    };
    if let Some(grad) = grads[1].as_ref().filter(|_| with_vectors) {
        let factors = matrix_set_diag(reciprocal_gaps(&values), zeros_like(&values));
        inner = inner + factors * matmul_with(&vectors, grad, adjoint_a());
    }
    // `v (diag(de) + f . (v^T dv)) v^T`, with `f[i, j] = 1 / (e[j] - e[i])`.
    let whole = matmul_with(matmul(&vectors, inner), &vectors, adjoint_b());
    let lower = matrix_band_part(&whole + matrix_transpose(&whole), -1, 0);
    // The sum with the transpose counts the diagonal twice.
    let halved = matrix_diag_part(&lower) * 0.5;
    Ok(vec![Some(matrix_set_diag(lower, halved))])
}

/// Returns the reciprocals of the differences between values, and 0 for equal ones.
pub(super) fn reciprocal_gaps(values: &Output) -> Output {
    let difference = expand_dims(values, -2) - expand_dims(values, -1);
    div_no_nan(ones_like(&difference), &difference)
}

/// Builds the gradient of Townsend, "Differentiating the singular value decomposition". Vectors of equal values, of which only the
/// space they span is determined, have none.
fn svd_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    check_real(op)?;
    let with_vectors = flag(op, "compute_uv");
    let [of_values, of_left, of_right] = [0, 1, 2].map(|index| grads[index].as_ref());
    let (of_left, of_right) = (of_left.filter(|_| with_vectors), of_right.filter(|_| with_vectors));
    if of_values.is_none() && of_left.is_none() && of_right.is_none() {
        return Ok(vec![None]);
    }
    let input = op.input(0);
    let shape = input.shape();
    let is_square = shape.dim_from_end(0).is_some() && shape.dim_from_end(0) == shape.dim_from_end(1);
    if with_vectors && flag(op, "full_matrices") && !is_square {
        let text = "there is no gradient of Svd with full_matrices of matrices that are not square: take svd, which has no \
                    vectors without a singular value";
        return Err(op.place(Error::new(Code::Unimplemented, text)));
    }
    let (s, u, v) = match with_vectors {
        true => (op.output(0), op.output(1), op.output(2)),
        // The gradient of the values needs the vectors as well.
        false => svd(&input),
    };
    let squares = mul(&s, &s);
    // Differences of squares: left and right vectors are eigenvectors of `A A^T` and `A^T A`.
    let factors = matrix_set_diag(reciprocal_gaps(&squares), zeros_like(&s));
    let (rows, columns) = (expand_dims(&s, -2), expand_dims(&s, -1));
    let mut inner = match of_values {
        Some(grad) => matrix_diag(grad),
        None => matrix_diag(zeros_like(&s)),
    };
    // Of the vectors of one side: what turns them among themselves.
    let turned = |vectors: &Output, grad: &Output| {
        let product = matmul_with(vectors, grad, adjoint_a());
        mul(&factors, &product - matrix_transpose(&product))
    };
    if let Some(grad) = of_left {
        inner = inner + mul(turned(&u, grad), &rows);
    }
    if let Some(grad) = of_right {
        inner = inner + mul(&columns, turned(&v, grad));
    }
    let mut found = matmul_with(matmul(&u, inner), &v, adjoint_b());
    // The part that turns them out of the space that they span.
    let beyond = |vectors: &Output, grad: &Output| {
        let rest = grad - matmul(vectors, matmul_with(vectors, grad, adjoint_a()));
        // A singular value of 0 has a vector that is not determined, and contributes
        // nothing instead of infinity.
        div_no_nan(rest, &rows)
    };
    if let Some(grad) = of_left {
        found = found + matmul_with(beyond(&u, grad), &v, adjoint_b());
    }
    if let Some(grad) = of_right {
        found = found + matmul_with(&u, beyond(&v, grad), adjoint_b());
    }
    Ok(vec![Some(found)])
}

/// Returns the eigenvalues of symmetric matrices, which rise, and the eigenvectors, as columns: `(e, v)`. Only the lower
/// triangles are read.
///
/// ```
/// # use session_core::{DType, Graph};
/// # use ops::{array::placeholder, math::self_adjoint_eig};
/// let graph = Graph::new();
/// let (e, v) = self_adjoint_eig(placeholder(&graph, DType::Float32, [5, 3, 3]));
/// assert_eq!((e.shape().to_string(), v.shape().to_string()), ("[5,3]".into(), "[5,3,3]".into()));
/// ```
#[must_use]
#[track_caller]
pub fn self_adjoint_eig(input: impl AsOutput) -> (Output, Output) {
    let operation = input.as_output().graph().op(&SELF_ADJOINT_EIG_V2).input(input).finish();
    (operation.output(0), operation.output(1))
}

/// Returns the singular values of matrices, which fall, and the left and right singular vectors, as columns:
/// `(s, u, v)`. There are as many vectors as values.
///
/// ```
/// # use session_core::{DType, Graph};
/// # use ops::{array::placeholder, math::svd};
/// let graph = Graph::new();
/// let (s, u, v) = svd(placeholder(&graph, DType::Float32, [5, 3]));
/// assert_eq!([s, u, v].map(|x| x.shape().to_string()), ["[3]", "[5,3]", "[3,3]"]);
/// ```
#[must_use]
#[track_caller]
pub fn svd(input: impl AsOutput) -> (Output, Output, Output) {
    decomposed(input, false)
}

/// Works as [`svd`], with square matrices of singular vectors: vectors without a singular value complete the basis.
#[must_use]
#[track_caller]
pub fn svd_full_matrices(input: impl AsOutput) -> (Output, Output, Output) {
    decomposed(input, true)
}

#[track_caller]
fn decomposed(input: impl AsOutput, full_matrices: bool) -> (Output, Output, Output) {
    let builder = input.as_output().graph().op(&SVD).input(input);
    let operation = builder.attr("full_matrices", full_matrices).finish();
    (operation.output(0), operation.output(1), operation.output(2))
}
