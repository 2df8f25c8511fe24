//! Sparse tensors on their way through a queue (S-267): the queue holds numbers, the session the tensors.

use ops::array::{
    Index, boolean_mask, concat, constant, expand_dims, gather, reshape, squeeze, strided_slice, zeros_like,
};
use ops::control_flow::with_dependencies;
use ops::data_flow::{add_many_sparse, add_sparse, take_many_sparse};
use ops::math::{CumulativeOptions, cast, cumsum_with, reduce_sum};
use ops::parsing::SparseTensor;
use session_core::{DType, Operation, Output};
use tensor::Tensor;

/// A component of a queue that stands for sparse tensors.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    /// The operation that stores the tensors.
    added: Output,
    /// A tensor with the dtype and shape of the stored ones.
    like: SparseTensor,
}

impl Stored {
    /// Stores a tensor, or each of its rows, in a map and returns the component of its handles. `with` is an
    /// earlier store of the same component, whose map is reused.
    pub(super) fn new(sparse: &SparseTensor, many: bool, with: Option<&Stored>) -> (Output, Stored) {
        // The same map for all ways to make an element: a dequeue reads from one map only.
        let name = with.map_or("", |stored| stored.added.operation().name());
        let added = if many { add_many_sparse(sparse, name) } else { add_sparse(sparse, name) };
        // As in TensorFlow, the component of an element is a vector with one handle.
        let component = expand_dims(&added, -1i64);
        let first = with.cloned();
        (component, first.unwrap_or(Stored { added, like: sparse.clone() }))
    }

    /// Returns a batch of them, out of the batch of their numbers.
    pub(super) fn take(&self, numbers: &Output) -> SparseTensor {
        take_many_sparse(squeeze(numbers, [1]), &self.added, &self.like)
    }
}

/// Returns the operation that takes a sparse tensor.
pub(super) fn taker(sparse: &SparseTensor) -> &Operation {
    sparse.values.operation()
}

/// Returns the same tensor, which exists only when all of these operations have run.
pub(super) fn after(operations: &[Operation], output: &Output) -> Output {
    with_dependencies(operations.iter().filter(|operation| *operation != output.operation()), output)
}

/// Returns a batch of this one tensor.
pub(super) fn batch_of_one(sparse: &SparseTensor) -> SparseTensor {
    let rows = strided_slice(&sparse.indices, &[Index::ALL, Index::from(0..1)]);
    let one = constant(&sparse.indices.graph(), Tensor::from([1i64]));
    SparseTensor {
        indices: concat(&[zeros_like(rows), sparse.indices.clone()], 1i64),
        values: sparse.values.clone(),
        dense_shape: concat(&[one, sparse.dense_shape.clone()], 0i64),
    }
}

/// Returns the rows of a batch for which a bool is true.
pub(super) fn kept_rows(sparse: &SparseTensor, keep: &Output) -> SparseTensor {
    let row = strided_slice(&sparse.indices, &[Index::ALL, Index::At(0)]);
    let rest = strided_slice(&sparse.indices, &[Index::ALL, Index::from(1..)]);
    let numbers = cast(keep, DType::Int64);
    // The new number of a row is the count of the rows before it that are kept.
    let places = cumsum_with(&numbers, 0i64, CumulativeOptions::default().exclusive(true));
    let mask = reshape(gather(keep, &row), [-1i64]);
    let indices = concat(&[expand_dims(gather(places, &row), 1i64), rest], 1i64);
    let sizes = strided_slice(&sparse.dense_shape, &[Index::from(1..)]);
    SparseTensor {
        indices: boolean_mask(indices, &mask),
        values: boolean_mask(&sparse.values, mask),
        dense_shape: concat(&[expand_dims(reduce_sum(numbers, ..), 0i64), sizes], 0i64),
    }
}
