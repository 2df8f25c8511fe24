//! Operations on sparse tensors, as programs call them.

use super::{
    EDIT_DISTANCE, SPARSE_ADD, SPARSE_CONCAT, SPARSE_DENSE_CWISE_ADD, SPARSE_DENSE_CWISE_DIV,
    SPARSE_DENSE_CWISE_MUL, SPARSE_FILL_EMPTY_ROWS, SPARSE_REDUCE_SUM, SPARSE_REORDER, SPARSE_RESHAPE,
    SPARSE_SLICE, SPARSE_SOFTMAX, SPARSE_SPARSE_MAXIMUM, SPARSE_SPARSE_MINIMUM, SPARSE_SPLIT,
    SPARSE_TENSOR_DENSE_ADD, SPARSE_TENSOR_DENSE_MAT_MUL,
};
use crate::arguments::{Ints, ReductionAxes};
use crate::array::{constant, gather, gather_along, range, reshape, scalar_tensor, size, where_true};
use crate::composite::Composite;
use crate::math::{cast, not_equal};
use crate::parsing::SparseTensor;
use session_core::{AsOutput, DType, Graph, OpBuilder, OpDef, Operation, Output, PartialShape, Tensor};

/// Returns an operation with a sparse tensor as its first inputs.
#[track_caller]
fn of(def: &'static OpDef, input: &SparseTensor) -> OpBuilder {
    input.input_of(input.values.graph().op(def))
}

fn first_three(operation: &Operation) -> SparseTensor {
    SparseTensor::of(operation, [0, 1, 2])
}

/// Returns the first two outputs as a sparse tensor of the same shape as another one.
fn shaped_as(operation: &Operation, like: &SparseTensor) -> SparseTensor {
    let [indices, values] = [0, 1].map(|output| operation.output(output));
    SparseTensor { indices, values, dense_shape: like.dense_shape.clone() }
}

/// Returns integers as `int64`, as these operations take them.
#[track_caller]
fn long(graph: &Graph, ints: impl Into<Ints>) -> Output {
    match ints.into() {
        Ints::Scalar(value) => constant(graph, value),
        Ints::Vector(values) => constant(graph, values),
        Ints::Computed(output) => cast(output, DType::Int64),
    }
}

/// Returns the sparse form of a tensor: the elements that are not zero.
///
/// ```
/// use ops::{array::constant, sparse};
/// let graph = session_core::Graph::new();
/// let x = sparse::from_dense(constant(&graph, [[0f32, 2.0], [3.0, 0.0]])); // values [2, 3]
/// assert_eq!(x.indices.shape().to_string(), "[?,2]");
/// # graph.finalize().unwrap();
/// ```
#[must_use]
#[track_caller]
pub fn from_dense(tensor: impl AsOutput) -> SparseTensor {
    let tensor = tensor.as_output();
    let scope = Composite::new(&tensor.graph(), "dense_to_sparse");
    let inner = scope.enter(tensor);
    let indices = where_true(not_equal(&inner, constant(scope.graph(), scalar_tensor(inner.dtype(), 0.0))));
    let values = crate::array::gather_nd(&inner, &indices);
    let dense_shape = cast(crate::array::shape(&inner), DType::Int64);
    SparseTensor {
        indices: scope.leave(indices),
        values: scope.leave(values),
        dense_shape: scope.leave(dense_shape),
    }
}

/// Returns the sum of two sparse tensors of the same shape. Sums of 0 stay as values.
///
/// ```
/// use ops::{array::constant, sparse};
/// let graph = session_core::Graph::new();
/// let x = sparse::from_dense(constant(&graph, [[0f32, 2.0], [3.0, 0.0]]));
/// let sum = sparse::sparse_add(&x, &x);
/// assert_eq!(sum.rank(), Some(2));
/// # graph.finalize().unwrap();
/// ```
#[must_use]
#[track_caller]
pub fn sparse_add(a: &SparseTensor, b: &SparseTensor) -> SparseTensor {
    let threshold = match a.values.dtype() {
        DType::Complex64 => DType::Float32,
        DType::Complex128 => DType::Float64,
        dtype => dtype,
    };
    let threshold = scalar_tensor(threshold, 0.0);
    first_three(&b.input_of(of(&SPARSE_ADD, a)).constant(threshold).finish())
}

/// Returns the sum of a sparse tensor and a dense one of the same shape, which is dense.
///
/// ```
/// use ops::{array::constant, sparse};
/// let graph = session_core::Graph::new();
/// let dense = constant(&graph, [[0f32, 2.0], [3.0, 0.0]]);
/// let sum = sparse::sparse_tensor_dense_add(&sparse::from_dense(&dense), &dense);
/// assert_eq!(sum.shape().to_string(), "[2,2]");
/// # graph.finalize().unwrap();
/// ```
#[must_use]
#[track_caller]
pub fn sparse_tensor_dense_add(a: &SparseTensor, b: impl AsOutput) -> Output {
    of(&SPARSE_TENSOR_DENSE_ADD, a).input(b).finish_output()
}

/// The factors of a product of matrices that are transposed, and conjugated if they are complex.
///
/// ```
/// let options = ops::sparse::SparseMatMulOptions::default().adjoint_a(true);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct SparseMatMulOptions {
    adjoint_a: bool,
    adjoint_b: bool,
}

impl SparseMatMulOptions {
    /// Sets whether the sparse matrix is transposed. Default: false.
    pub fn adjoint_a(mut self, adjoint: bool) -> Self {
        self.adjoint_a = adjoint;
        self
    }

    /// Sets whether the dense matrix is transposed. Default: false.
    pub fn adjoint_b(mut self, adjoint: bool) -> Self {
        self.adjoint_b = adjoint;
        self
    }
}

/// Returns the product of a sparse matrix and a dense one, which is dense.
///
/// ```
/// use ops::{array::constant, sparse};
/// let graph = session_core::Graph::new();
/// let dense = constant(&graph, [[0f32, 2.0], [3.0, 0.0]]);
/// let product = sparse::sparse_tensor_dense_matmul(&sparse::from_dense(&dense), &dense);
/// assert_eq!(product.shape().rank(), Some(2));
/// # graph.finalize().unwrap();
/// ```
#[must_use]
#[track_caller]
pub fn sparse_tensor_dense_matmul(a: &SparseTensor, b: impl AsOutput) -> Output {
    sparse_tensor_dense_matmul_with(a, b, SparseMatMulOptions::default())
}

/// Works as [`sparse_tensor_dense_matmul`], with factors transposed.
#[must_use]
#[track_caller]
pub fn sparse_tensor_dense_matmul_with(
    a: &SparseTensor,
    b: impl AsOutput,
    options: SparseMatMulOptions,
) -> Output {
    let builder = of(&SPARSE_TENSOR_DENSE_MAT_MUL, a).input(b);
    builder.attr("adjoint_a", options.adjoint_a).attr("adjoint_b", options.adjoint_b).finish_output()
}

/// Returns the sums along axes, as a dense tensor.
///
/// ```
/// use ops::{array::constant, keep_dims, sparse};
/// let graph = session_core::Graph::new();
/// let x = sparse::from_dense(constant(&graph, [[0f32, 2.0], [3.0, 0.0]]));
/// let (rows, all) = (sparse::sparse_reduce_sum(&x, keep_dims(1)), sparse::sparse_reduce_sum(&x, ..));
/// assert_eq!(rows.dtype(), all.dtype());
/// # graph.finalize().unwrap();
/// ```
#[must_use]
#[track_caller]
pub fn sparse_reduce_sum(input: &SparseTensor, axes: impl Into<ReductionAxes>) -> Output {
    let ReductionAxes { axes, keep_dims } = axes.into();
    let builder = of(&SPARSE_REDUCE_SUM, input).attr("keep_dims", keep_dims);
    let shape = input.rank().map_or_else(PartialShape::unknown, PartialShape::of_rank);
    let builder = match axes.into_ints(&shape) {
        Some(axes) => axes.input_of(builder),
        None => {
            let number = |value: i32| constant(&input.values.graph(), value);
            builder.input(range(number(0), size(&input.dense_shape), number(1)))
        }
    };
    builder.finish_output()
}

/// Returns the softmax over the values of each row of the last axis; elements without a value have no part in it.
///
/// ```
/// use ops::{array::constant, sparse};
/// let graph = session_core::Graph::new();
/// let x = sparse::from_dense(constant(&graph, [[0f32, 2.0], [3.0, 0.0]]));
/// let y = sparse::sparse_softmax(&x); // values [1, 1]
/// assert_eq!(y.values.shape().to_string(), "[?]");
/// # graph.finalize().unwrap();
/// ```
#[must_use]
#[track_caller]
pub fn sparse_softmax(logits: &SparseTensor) -> SparseTensor {
    SparseTensor { values: of(&SPARSE_SOFTMAX, logits).finish_output(), ..logits.clone() }
}

macro_rules! with_dense {
    ($($(#[$doc:meta])* $name:ident => $def:ident;)*) => {$(
        $(#[$doc])*
        /// The dense tensor is broadcast to the shape of the sparse one.
        ///
        /// ```
        /// use ops::{array::constant, sparse};
        /// let graph = session_core::Graph::new();
        /// let x = sparse::from_dense(constant(&graph, [[0f32, 2.0], [3.0, 0.0]]));
        #[doc = concat!("let y = sparse::", stringify!($name), "(&x, constant(&graph, [1f32, 4.0]));")]
        /// assert_eq!(y.rank(), Some(2));
        /// # graph.finalize().unwrap();
        /// ```
        #[must_use]
        #[track_caller]
        pub fn $name(sparse: &SparseTensor, dense: impl AsOutput) -> SparseTensor {
            SparseTensor { values: of(&$def, sparse).input(dense).finish_output(), ..sparse.clone() }
        }
    )*};
}

with_dense! {
    /// Adds the elements of a dense tensor to the values of a sparse one; elements without a value stay without.
    sparse_dense_cwise_add => SPARSE_DENSE_CWISE_ADD;
    /// Multiplies the values of a sparse tensor by the elements of a dense one.
    sparse_dense_cwise_mul => SPARSE_DENSE_CWISE_MUL;
    /// Divides the values of a sparse tensor by the elements of a dense one.
    sparse_dense_cwise_div => SPARSE_DENSE_CWISE_DIV;
}

/// Returns the larger of the elements of two sparse tensors of the same shape, where either has a value; the other counts as 0.
///
/// ```
/// use ops::{array::constant, sparse};
/// let graph = session_core::Graph::new();
/// let x = sparse::from_dense(constant(&graph, [[0f32, 2.0], [-3.0, 0.0]]));
/// let y = sparse::sparse_maximum(&x, &sparse::from_dense(constant(&graph, [[1f32, 0.0], [0.0, 0.0]]))); // [1, 2, 0]
/// assert_eq!(y.rank(), Some(2));
/// # graph.finalize().unwrap();
/// ```
#[must_use]
#[track_caller]
pub fn sparse_maximum(a: &SparseTensor, b: &SparseTensor) -> SparseTensor {
    extreme(&SPARSE_SPARSE_MAXIMUM, a, b)
}

/// Returns the smaller of the elements of two sparse tensors of the same shape, where either has a value; the other counts as 0.
#[must_use]
#[track_caller]
pub fn sparse_minimum(a: &SparseTensor, b: &SparseTensor) -> SparseTensor {
    extreme(&SPARSE_SPARSE_MINIMUM, a, b)
}

#[track_caller]
fn extreme(def: &'static OpDef, a: &SparseTensor, b: &SparseTensor) -> SparseTensor {
    shaped_as(&b.input_of(of(def, a)).finish(), a)
}

/// Joins sparse tensors, two or more, along an axis, which is counted from the end when negative. They agree in all other sizes.
///
/// ```
/// use ops::{array::constant, sparse};
/// let graph = session_core::Graph::new();
/// let x = sparse::from_dense(constant(&graph, [[0f32, 2.0], [3.0, 0.0]]));
/// let joined = sparse::sparse_concat(0, &[x.clone(), x]); // of shape [4, 2]
/// assert_eq!(joined.rank(), Some(2));
/// # graph.finalize().unwrap();
/// ```
///
/// # Errors
/// A build error for fewer than two.
#[must_use]
#[track_caller]
pub fn sparse_concat(axis: i64, inputs: &[SparseTensor]) -> SparseTensor {
    let graph = inputs.first().map_or_else(Graph::new, |first| first.values.graph());
    let list = |part: fn(&SparseTensor) -> &Output| inputs.iter().map(part).cloned().collect::<Vec<Output>>();
    let builder = graph.op(&SPARSE_CONCAT).input_list(list(|input| &input.indices));
    let builder =
        builder.input_list(list(|input| &input.values)).input_list(list(|input| &input.dense_shape));
    first_three(&builder.attr("concat_dim", axis).finish())
}

/// Splits a sparse tensor along an axis into parts of the same size; if it does not divide, the first parts are larger by one.
///
/// ```
/// use ops::{array::constant, sparse};
/// let graph = session_core::Graph::new();
/// let x = sparse::from_dense(constant(&graph, [[0f32, 2.0], [3.0, 0.0]]));
/// assert_eq!(sparse::sparse_split(&x, 2, 0).len(), 2);
/// # graph.finalize().unwrap();
/// ```
#[must_use]
#[track_caller]
pub fn sparse_split(input: &SparseTensor, num_split: usize, axis: i64) -> Vec<SparseTensor> {
    let builder = input.values.graph().op(&SPARSE_SPLIT).constant(axis);
    let operation = input.input_of(builder).attr("num_split", num_split).finish();
    let part = |at: usize| SparseTensor::of(&operation, [at, num_split + at, 2 * num_split + at]);
    (0..num_split).map(part).collect()
}

/// Returns the part of a sparse tensor that begins at `start` and has at most `size` entries along each axis.
///
/// ```
/// use ops::{array::constant, sparse};
/// let graph = session_core::Graph::new();
/// let x = sparse::from_dense(constant(&graph, [[0f32, 2.0], [3.0, 0.0]]));
/// let y = sparse::sparse_slice(&x, [0, 1], [2, 1]); // of shape [2, 1]
/// assert_eq!(y.rank(), Some(2));
/// # graph.finalize().unwrap();
/// ```
#[must_use]
#[track_caller]
pub fn sparse_slice(input: &SparseTensor, start: impl Into<Ints>, size: impl Into<Ints>) -> SparseTensor {
    let graph = input.values.graph();
    let builder = of(&SPARSE_SLICE, input).input(long(&graph, start)).input(long(&graph, size));
    first_three(&builder.finish())
}

/// Returns the sparse tensor with a value in each row, the first axis: rows without any have `default_value`, a scalar of its dtype, at
/// their beginning. The second result marks the rows that were empty.
///
/// ```
/// use ops::{array::constant, sparse};
/// let graph = session_core::Graph::new();
/// let x = sparse::from_dense(constant(&graph, [[0f32, 2.0], [0.0, 0.0]]));
/// let (filled, was_empty) = sparse::sparse_fill_empty_rows(&x, -1f32);
/// assert_eq!((filled.rank(), was_empty.shape().rank()), (Some(2), Some(1)));
/// # graph.finalize().unwrap();
/// ```
#[must_use]
#[track_caller]
pub fn sparse_fill_empty_rows(
    input: &SparseTensor,
    default_value: impl Into<Tensor>,
) -> (SparseTensor, Output) {
    let operation = of(&SPARSE_FILL_EMPTY_ROWS, input).constant(default_value).finish();
    (shaped_as(&operation, input), operation.output(2))
}

/// Returns the same sparse tensor with its values in row-major order.
#[must_use]
#[track_caller]
pub fn sparse_reorder(input: &SparseTensor) -> SparseTensor {
    shaped_as(&of(&SPARSE_REORDER, input).finish(), input)
}

/// Returns the same elements under another shape, of which one size may be -1: what remains.
///
/// ```
/// use ops::{array::constant, sparse};
/// let graph = session_core::Graph::new();
/// let x = sparse::from_dense(constant(&graph, [[0f32, 2.0], [3.0, 0.0]]));
/// assert_eq!(sparse::sparse_reshape(&x, [-1]).rank(), Some(1));
/// # graph.finalize().unwrap();
/// ```
#[must_use]
#[track_caller]
pub fn sparse_reshape(input: &SparseTensor, shape: impl Into<Ints>) -> SparseTensor {
    let graph = input.values.graph();
    let builder = graph.op(&SPARSE_RESHAPE).input(&input.indices).input(&input.dense_shape);
    let operation = builder.input(long(&graph, shape)).finish();
    let [indices, dense_shape] = [0, 1].map(|output| operation.output(output));
    SparseTensor { indices, values: input.values.clone(), dense_shape }
}

/// Returns the sparse tensor with its axes in this order.
///
/// ```
/// use ops::{array::constant, sparse};
/// let graph = session_core::Graph::new();
/// let x = sparse::from_dense(constant(&graph, [[0f32, 2.0], [3.0, 0.0]]));
/// assert_eq!(sparse::sparse_transpose(&x, [1, 0]).rank(), Some(2));
/// # graph.finalize().unwrap();
/// ```
#[must_use]
#[track_caller]
pub fn sparse_transpose(input: &SparseTensor, perm: impl Into<Ints>) -> SparseTensor {
    let scope = Composite::new(&input.values.graph(), "SparseTranspose");
    let (inner, order) = (input.within(scope.graph()), long(scope.graph(), perm));
    let moved = SparseTensor {
        indices: gather_along(&inner.indices, &order, 1),
        values: inner.values,
        dense_shape: gather(&inner.dense_shape, &order),
    };
    let SparseTensor { indices, values, dense_shape } = sparse_reorder(&moved);
    SparseTensor {
        indices: scope.leave(indices),
        values: scope.leave(values),
        dense_shape: scope.leave(dense_shape),
    }
}

/// Returns the sparse tensor with those of its values for which `to_retain`, a vector of truth values, holds.
///
/// ```
/// use ops::{array::constant, sparse};
/// let graph = session_core::Graph::new();
/// let x = sparse::from_dense(constant(&graph, [[0f32, 2.0], [3.0, 0.0]]));
/// let y = sparse::sparse_retain(&x, constant(&graph, [true, false])); // values [2]
/// assert_eq!(y.rank(), Some(2));
/// # graph.finalize().unwrap();
/// ```
#[must_use]
#[track_caller]
pub fn sparse_retain(input: &SparseTensor, to_retain: impl AsOutput) -> SparseTensor {
    let kept = reshape(where_true(to_retain), [-1]);
    SparseTensor {
        indices: gather(&input.indices, &kept),
        values: gather(&input.values, &kept),
        dense_shape: input.dense_shape.clone(),
    }
}

/// Returns the Levenshtein distances between the sequences along the last axis of two sparse tensors, divided by the lengths of those
/// of `truth`.
///
/// ```
/// use ops::{array::constant, sparse};
/// let graph = session_core::Graph::new();
/// let x = sparse::from_dense(constant(&graph, [[1i64, 2], [3, 4]]));
/// let distances = sparse::edit_distance(&x, &x); // [0, 0]
/// assert_eq!(distances.dtype(), session_core::DType::Float32);
/// # graph.finalize().unwrap();
/// ```
#[must_use]
#[track_caller]
pub fn edit_distance(hypothesis: &SparseTensor, truth: &SparseTensor) -> Output {
    truth.input_of(of(&EDIT_DISTANCE, hypothesis)).finish_output()
}

/// Works as [`edit_distance`], without the division by lengths.
#[must_use]
#[track_caller]
pub fn edit_distance_not_normalized(hypothesis: &SparseTensor, truth: &SparseTensor) -> Output {
    truth.input_of(of(&EDIT_DISTANCE, hypothesis)).attr("normalize", false).finish_output()
}
