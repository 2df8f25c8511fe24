//! The values of sparse tensors and indexed slices, as fetches and feeds.

use crate::gradients::IndexedSlices;
use crate::parsing::SparseTensor;
use session_core::{Fetch, FetchList, FetchValues, Output, Result};
use tensor::Tensor;

/// The value of a [`SparseTensor`]: the result of fetching one, and what feeds it.
#[derive(Clone, Debug, PartialEq)]
pub struct SparseTensorValue {
    /// The index of each value: one row of `int64` per value, in order.
    pub indices: Tensor,
    /// The values.
    pub values: Tensor,
    /// The shape of the dense tensor, a vector of `int64`.
    pub dense_shape: Tensor,
}

/// The value of [`IndexedSlices`]: the result of fetching them, and what feeds them.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexedSlicesValue {
    /// The rows.
    pub values: Tensor,
    /// The index of each row.
    pub indices: Tensor,
    /// The number of rows of the whole tensor, a scalar.
    pub rows: Tensor,
}

impl SparseTensor {
    /// Returns the feeds for this value of the tensor.
    ///
    /// ```
    /// # use session_core::{DType, Graph, PartialShape, Tensor};
    /// use ops::{array::placeholder, parsing::SparseTensor, SparseTensorValue};
    /// let graph = Graph::new();
    /// let sparse = SparseTensor {
    ///     indices: placeholder(&graph, DType::Int64, [None, Some(2)]),
    ///     values: placeholder(&graph, DType::Float32, [None]),
    ///     dense_shape: placeholder(&graph, DType::Int64, [2]),
    /// };
    /// let value = SparseTensorValue {
    ///     indices: Tensor::from([[0i64, 1], [2, 0]]),
    ///     values: Tensor::from([1.0f32, 2.0]),
    ///     dense_shape: Tensor::from([3i64, 2]),
    /// };
    /// let feeds = sparse.feed(value); // session.run(&loss, feeds)
    /// assert_eq!(feeds[1].0, sparse.values);
    /// ```
    #[must_use]
    pub fn feed(&self, value: SparseTensorValue) -> [(Output, Tensor); 3] {
        [
            (self.indices.clone(), value.indices),
            (self.values.clone(), value.values),
            (self.dense_shape.clone(), value.dense_shape),
        ]
    }
}

impl IndexedSlices {
    /// Returns the feeds that replace these slices by a value.
    #[must_use]
    pub fn feed(&self, value: IndexedSlicesValue) -> [(Output, Tensor); 3] {
        [
            (self.values.clone(), value.values),
            (self.indices.clone(), value.indices),
            (self.rows.clone(), value.rows),
        ]
    }
}

impl Fetch for SparseTensor {
    type Value = SparseTensorValue;

    fn expand(&self, list: &mut FetchList<'_>) -> Result<()> {
        [&self.indices, &self.values, &self.dense_shape]
            .into_iter()
            .try_for_each(|part| list.push_output(part))
    }

    fn collect(&self, values: &mut FetchValues<'_>) -> SparseTensorValue {
        let [indices, values, dense_shape] = std::array::from_fn(|_| values.next_tensor());
        SparseTensorValue { indices, values, dense_shape }
    }
}

impl Fetch for IndexedSlices {
    type Value = IndexedSlicesValue;

    fn expand(&self, list: &mut FetchList<'_>) -> Result<()> {
        [&self.values, &self.indices, &self.rows].into_iter().try_for_each(|part| list.push_output(part))
    }

    fn collect(&self, values: &mut FetchValues<'_>) -> IndexedSlicesValue {
        let [values, indices, rows] = std::array::from_fn(|_| values.next_tensor());
        IndexedSlicesValue { values, indices, rows }
    }
}
