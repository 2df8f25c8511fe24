//! Matrix products.

use super::cast::cast;
use super::unary::conj_of;
use crate::gradients::broadcasting::{shape_of, sum_to_input};
use crate::library::op_defs;
use crate::shapes::{self, broadcast_shapes};
use session_core::{
    AsOutput, AttrValue, DType, Error, OpDef, Operation, Output, PartialShape, Result, ShapeContext,
};

op_defs! {
    MAT_MUL: OpDef::new("MatMul", "a: T, b: T -> product: T")
        .attrs(
            "transpose_a: bool = false, transpose_b: bool = false, \
             T: {bfloat16, half, float, double, int32, int64, uint8, uint16, uint32, uint64, complex64, complex128}, \
             grad_a: bool = false, grad_b: bool = false",
        )
        .shape(matmul_shape)
        .gradient(matmul_gradient);
    // A product like any other; that many elements are zero was a hint.
    SPARSE_MAT_MUL: OpDef::new("SparseMatMul", "a: Ta, b: Tb -> product: float")
        .attrs(
            "transpose_a: bool = false, transpose_b: bool = false, a_is_sparse: bool = false, \
             b_is_sparse: bool = false, Ta: {float, bfloat16} = float, Tb: {float, bfloat16} = float",
        )
        .shape(matmul_shape)
        .gradient(sparse_matmul_gradient);
    BATCH_MAT_MUL: OpDef::new("BatchMatMul", "x: T, y: T -> output: T")
        .attrs(
            "T: {bfloat16, half, float, double, int32, int64, complex64, complex128}, adj_x: bool = false, \
             adj_y: bool = false, grad_x: bool = false, grad_y: bool = false",
        )
        .shape(batch_matmul_shape)
        .gradient(batch_matmul_gradient);
    BATCH_MAT_MUL_V2: OpDef::new("BatchMatMulV2", "x: T, y: T -> output: T")
        .attrs(
            "T: {bfloat16, half, float, double, int16, int32, int64, uint8, uint16, uint32, uint64, complex64, \
             complex128}, adj_x: bool = false, adj_y: bool = false, grad_x: bool = false, grad_y: bool = false",
        )
        .shape(batch_matmul_v2_shape)
        .gradient(batch_matmul_gradient);
    BATCH_MAT_MUL_V3: OpDef::new("BatchMatMulV3", "x: Ta, y: Tb -> output: Tout")
        .attrs(
            "Ta: {bfloat16, half, float, double, uint8, int8, int16, int32, int64, complex64, complex128}, \
             Tb: {bfloat16, half, float, double, uint8, int8, int16, int32, int64, complex64, complex128}, \
             Tout: {bfloat16, half, float, double, int16, int32, int64, complex64, complex128}, \
             adj_x: bool = false, adj_y: bool = false, grad_x: bool = false, grad_y: bool = false",
        )
        .shape(batch_matmul_v2_shape)
        .gradient(batch_matmul_gradient);
}

/// Infers `[rows, columns]` of a single product.
fn matmul_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (a, b) = (context.input_of_rank(0, 2)?, context.input_of_rank(1, 2)?);
    let (ta, tb) = (shapes::bool_attr(context, "transpose_a"), shapes::bool_attr(context, "transpose_b"));
    let (rows, columns) = product_dims(&a, &b, ta, tb)?;
    context.set(0, PartialShape::from([rows, columns]));
    Ok(())
}

/// Rows and columns of a product of the matrices in the last two axes.
fn product_dims(
    a: &PartialShape,
    b: &PartialShape,
    transpose_a: bool,
    transpose_b: bool,
) -> Result<(Option<usize>, Option<usize>)> {
    let dims = |shape: &PartialShape, turned: bool| {
        let (rows, columns) = (shape.dim_from_end(1), shape.dim_from_end(0));
        if turned { (columns, rows) } else { (rows, columns) }
    };
    let ((rows, left), (right, columns)) = (dims(a, transpose_a), dims(b, transpose_b));
    match (left, right) {
        (Some(left), Some(right)) if left != right => {
            let turned = |shape: &PartialShape, turned: bool| {
                if turned { format!("{shape} transposed") } else { shape.to_string() }
            };
            let (a, b) = (turned(a, transpose_a), turned(b, transpose_b));
            Err(Error::value(format!(
                "matrices of shapes {a} and {b} cannot be multiplied: {left} is not {right}"
            )))
        }
        // An unknown inner size is checked when the product is computed.
        _ => Ok((rows, columns)),
    }
}

/// Infers the shape of `BatchMatMul`, whose batch axes must be equal; the later versions broadcast them.
fn batch_matmul_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    batch_product(context, shapes::merge)
}

fn batch_matmul_v2_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    batch_product(context, broadcast_shapes)
}

/// Infers `batch + [rows, columns]`, with `join` for the batch axes.
fn batch_product(
    context: &mut ShapeContext<'_>,
    join: fn(&PartialShape, &PartialShape) -> Result<PartialShape>,
) -> Result<()> {
    let (x, y) = (shapes::at_least_rank(context, 0, 2)?, shapes::at_least_rank(context, 1, 2)?);
    let (ax, ay) = (shapes::bool_attr(context, "adj_x"), shapes::bool_attr(context, "adj_y"));
    let (rows, columns) = product_dims(&x, &y, ax, ay)?;
    let batch = |shape: &PartialShape| shape.range(0, shape.rank().unwrap_or(2) - 2);
    let shape = join(&batch(&x), &batch(&y))?.concat(&PartialShape::from([rows, columns]));
    context.set(0, shape);
    Ok(())
}

/// Returns a bool attribute, false where it is missing.
fn flag(op: &Operation, name: &str) -> bool {
    op.attr(name).and_then(AttrValue::as_bool).unwrap_or(false)
}

/// Returns the gradients of `a` and `b` in `a * b`, each of which may be turned; `multiply` takes which sides to turn.
fn product_gradients(
    (grad, a, b): (&Output, &Output, &Output),
    turned: (bool, bool),
    multiply: impl Fn(&Output, &Output, bool, bool) -> Output,
) -> (Output, Output) {
    // `d(a b) = da b + a db`: `da = grad b^T` and `db = a^T grad`. If a factor is transposed, so is its
    // gradient, and the product is reordered instead of transposing the result.
    match turned {
        (false, false) => (multiply(grad, b, false, true), multiply(a, grad, true, false)),
        (false, true) => (multiply(grad, b, false, false), multiply(grad, a, true, false)),
        (true, false) => (multiply(b, grad, false, true), multiply(a, grad, false, false)),
        (true, true) => (multiply(b, grad, true, true), multiply(grad, a, true, true)),
    }
}

/// Returns the gradients of `SparseMatMul`, in the dtype of each factor.
fn sparse_matmul_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 2]) };
    // The operation always returns `float`, also of `bfloat16`, so its gradient is computed in `float`.
    let [a, b] = [0, 1].map(|input| cast(op.input(input), DType::Float32));
    let (of_a, of_b) = matmul_gradients(op, (grad, &a, &b));
    Ok(vec![Some(cast(of_a, op.input(0).dtype())), Some(cast(of_b, op.input(1).dtype()))])
}

/// Returns the gradients of both matrices of a product that has the attributes of `MatMul`.
fn matmul_gradients(op: &Operation, values: (&Output, &Output, &Output)) -> (Output, Output) {
    let turned = (flag(op, "transpose_a"), flag(op, "transpose_b"));
    product_gradients(values, turned, |a, b, ta, tb| {
        matmul_with(a, b, MatMulOptions::default().transpose_a(ta).transpose_b(tb))
    })
}

fn matmul_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None, None]) };
    // `MatMul` transposes without conjugating, so the conjugation that gradients need comes first.
    let (a, b) = (conj_of(&op.input(0)), conj_of(&op.input(1)));
    let (of_a, of_b) = matmul_gradients(op, (grad, &a, &b));
    Ok(vec![Some(of_a), Some(of_b)])
}

/// `adj` is the conjugate transpose, so nothing is left to conjugate.
fn batch_matmul_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None, None]) };
    let (x, y) = (op.input(0), op.input(1));
    let turned = (flag(op, "adj_x"), flag(op, "adj_y"));
    let def = op.def().ok_or_else(|| op.place(Error::runtime("an operation without definition")))?;
    let (of_x, of_y) = product_gradients((grad, &x, &y), turned, |x, y, adj_x, adj_y| {
        let builder = x.graph().op(def).input(x).input(y).attr("adj_x", adj_x).attr("adj_y", adj_y);
        // Only the third version has its own dtype for the result.
        match def.signature().attr("Tout") {
            Some(_) => builder.attr("Tout", grad.dtype()).finish_output(),
            None => builder.finish_output(),
        }
    });
    // `BatchMatMulV3` may have factors of other dtypes than the result.
    let [of_x, of_y] = [(of_x, &x), (of_y, &y)].map(|(of, factor)| match of.dtype() == factor.dtype() {
        true => of,
        false => cast(of, factor.dtype()),
    });
    Ok(vec![Some(sum_batches(&of_x, &x, &y)), Some(sum_batches(&of_y, &y, &x))])
}

/// Sums over the batch axes along which a factor was broadcast.
pub(super) fn sum_batches(grad: &Output, input: &Output, other: &Output) -> Output {
    let batch = |shape: &PartialShape| shape.rank().map(|rank| shape.range(0, rank - 2));
    match (batch(input.shape()), batch(other.shape())) {
        (Some(own), Some(others)) if own == others && own.is_fully_known() => grad.clone(),
        // A gradient of unknown rank may have batch axes, so only the computed sum is right for it.
        (Some(own), Some(_)) if own.rank() == Some(0) && grad.shape().rank().is_some() => {
            let added = grad.shape().rank().unwrap_or(2).saturating_sub(2);
            if added == 0 { grad.clone() } else { super::reduce_sum(grad, (0..added).collect::<Vec<_>>()) }
        }
        // The last two axes already have the input's sizes, so they are never summed.
        _ => match shape_of(input) {
            crate::Ints::Vector(_) => sum_to_input(grad, input, &[]),
            _ => sum_to_input(grad, input, &[grad]),
        },
    }
}

/// Options of [`matmul_with`].
///
/// ```
/// use ops::array::placeholder;
/// use ops::math::{MatMulOptions, matmul_with};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let a = placeholder(&graph, DType::Float32, [None, Some(64)]);
/// let b = placeholder(&graph, DType::Float32, [10, 64]);
/// let y = matmul_with(&a, &b, MatMulOptions::default().transpose_b(true));
/// assert_eq!(y.shape().to_string(), "[?,10]");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MatMulOptions {
    transpose_a: bool,
    transpose_b: bool,
}

impl MatMulOptions {
    /// Sets whether the last two axes of `a` are transposed before the multiplication. Default: false.
    #[must_use]
    pub fn transpose_a(mut self, transpose: bool) -> Self {
        self.transpose_a = transpose;
        self
    }

    /// Sets whether the last two axes of `b` are transposed before the multiplication. Default: false.
    #[must_use]
    pub fn transpose_b(mut self, transpose: bool) -> Self {
        self.transpose_b = transpose;
        self
    }
}

/// Returns the matrix product of `[n, k]` and `[k, m]`. Of higher ranks, the products of the matrices in the last two axes,
/// whose batch axes are broadcast.
///
/// ```
/// use ops::{array, math};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// let y = array::zeros(&graph, DType::Float32, [3, 4]);
/// assert_eq!(math::matmul(&x, &y).shape().to_string(), "[2,4]");
/// ```
#[must_use]
#[track_caller]
pub fn matmul(a: impl AsOutput, b: impl AsOutput) -> Output {
    matmul_with(a, b, MatMulOptions::default())
}

/// Works as [`matmul`], of factors that are transposed first.
///
/// ```
/// use ops::{array, math};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2, 3]);
/// let options = math::MatMulOptions::default().transpose_b(true);
/// assert_eq!(math::matmul_with(&x, &x, options).shape().to_string(), "[2,2]");
/// ```
#[must_use]
#[track_caller]
pub fn matmul_with(a: impl AsOutput, b: impl AsOutput, options: MatMulOptions) -> Output {
    // Operands of unknown rank are multiplied as stacks, which is right for single matrices, too.
    let batches = |output: &Output| output.shape().rank().is_none_or(|rank| rank > 2);
    if batches(a.as_output()) || batches(b.as_output()) {
        return batch_matmul(a, b, options);
    }
    let builder = a.as_output().graph().op(&MAT_MUL).input(a).input(b);
    let MatMulOptions { transpose_a, transpose_b } = options;
    builder.attr("transpose_a", transpose_a).attr("transpose_b", transpose_b).finish_output()
}

/// Returns the products of the matrices in the last two axes, whose batch axes are broadcast.
#[track_caller]
fn batch_matmul(a: impl AsOutput, b: impl AsOutput, options: MatMulOptions) -> Output {
    let complex = a.as_output().dtype().is_complex();
    if complex && (options.transpose_a || options.transpose_b) {
        // The operation conjugates what it turns; conjugating before undoes that.
        let (mut a, mut b) = (a.as_output().clone(), b.as_output().clone());
        if options.transpose_a {
            a = conj_of(&a);
        }
        if options.transpose_b {
            b = conj_of(&b);
        }
        return batch_op(&a, &b, options);
    }
    batch_op(a.as_output(), b.as_output(), options)
}

#[track_caller]
fn batch_op(a: &Output, b: &Output, options: MatMulOptions) -> Output {
    let builder = a.graph().op(&BATCH_MAT_MUL_V2).default_name("MatMul").input(a).input(b);
    builder.attr("adj_x", options.transpose_a).attr("adj_y", options.transpose_b).finish_output()
}
