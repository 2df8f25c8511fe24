//! Gradients of which only some rows are nonzero.

use crate::array::joining::concat;
use crate::array::searching::unique;
use crate::array::shaping::{reshape, size};
use crate::math::unsorted_segment_sum;
use session_core::{Graph, Output};

/// Some rows of a larger tensor whose other rows are zero, such as the gradient of a lookup. Rows with the same index add up.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexedSlices {
    /// The rows. The first axis enumerates them.
    pub values: Output,
    /// The index of each row, a vector.
    pub indices: Output,
    /// The number of rows of the whole tensor, a scalar.
    pub rows: Output,
}

impl IndexedSlices {
    /// Returns the rows of which a gradient consists, or `None` if the gradient is dense. Lookups in a table have such gradients.
    ///
    /// As long as nothing else uses the gradient, the whole tensor is never computed.
    ///
    /// ```
    /// use ops::{IndexedSlices, gradients, nn::embedding_lookup, math::reduce_sum};
    /// let graph = session_core::Graph::new();
    /// let table = ops::variables::variable(&graph.named("table"), [[1f32, 2.0], [3.0, 4.0], [5.0, 6.0]]);
    /// let rows = embedding_lookup(&table, ops::array::constant(&graph, [0, 2]));
    /// let gradient = gradients(&[reduce_sum(&rows, ..)], &[table])?.remove(0).expect("connected");
    /// let slices = IndexedSlices::of(&gradient).expect("sparse");
    /// assert_eq!(slices.values.shape().to_string(), "[2,2]");
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn of(gradient: &Output) -> Option<IndexedSlices> {
        let operation = gradient.operation();
        // The gradient of a lookup is built as an `UnsortedSegmentSum`, the dense form of slices: its
        // inputs are values, indices and rows. Taking them back from the graph makes a separate type for
        // sparse gradients unnecessary.
        match operation.op_type() {
            "UnsortedSegmentSum" => {
                let [values, indices, rows] =
                    [0, 1, 2].map(|index| operation.input(index).within(&gradient.graph()));
                match indices.shape().rank()? {
                    1 => Some(IndexedSlices { values, indices, rows }),
                    // Indices of a higher rank, such as those of a batch of sentences, enumerate rows as
                    // well once both are flattened.
                    axes => Some(IndexedSlices {
                        values: reshape(&values, row_sizes(gradient)?),
                        indices: reshape(indices, [-1]),
                        rows,
                    })
                    .filter(|_| axes > 1),
                }
            }
            // Two lookups in one table: the sum of slices is their concatenation, as
            // long as every part is sparse.
            "AddN" => {
                let parts: Option<Vec<IndexedSlices>> =
                    operation.inputs().iter().map(IndexedSlices::of).collect();
                IndexedSlices::join(&parts?)
            }
            _ => None,
        }
    }

    /// Returns the same rows, those of one index added, so that each index occurs once.
    #[track_caller]
    pub(crate) fn summed(&self, graph: &Graph) -> IndexedSlices {
        let (indices, values) = summed(self.indices.within(graph), self.values.within(graph));
        IndexedSlices { values, indices, rows: self.rows.clone() }
    }

    /// Returns the numbers of a gradient, with the rows that they belong to if it [consists of rows](IndexedSlices::of).
    ///
    /// A function that changes each number, such as a limit, passes the new ones to [`joined`](IndexedSlices::joined): the gradient
    /// still consists of rows then. As in TensorFlow, rows of one index are changed before they are added.
    #[track_caller]
    pub(crate) fn split(gradient: &Output) -> (Output, Option<IndexedSlices>) {
        match IndexedSlices::of(gradient) {
            None => (gradient.clone(), None),
            Some(rows) => (rows.values.clone(), Some(rows)),
        }
    }

    /// Returns the gradient of these numbers and the rows that [`split`](IndexedSlices::split) returned.
    #[track_caller]
    pub(crate) fn joined(numbers: Output, rows: Option<IndexedSlices>) -> Output {
        match rows {
            None => numbers,
            Some(IndexedSlices { indices, rows, .. }) => unsorted_segment_sum(numbers, indices, rows),
        }
    }

    /// Returns all rows of several, one after the other.
    fn join(parts: &[IndexedSlices]) -> Option<IndexedSlices> {
        let values: Vec<Output> = parts.iter().map(|part| part.values.clone()).collect();
        let indices: Vec<Output> = parts.iter().map(|part| part.indices.clone()).collect();
        let first = parts.first()?;
        // The indices keep the dtype of the lookup; a conversion to `int32` could cut large row numbers.
        if indices.iter().any(|other| other.dtype() != first.indices.dtype()) {
            return None;
        }
        Some(IndexedSlices {
            values: concat(&values, 0),
            indices: concat(&indices, 0),
            rows: first.rows.clone(),
        })
    }
}

/// Returns each index once, and the sum of its rows.
#[track_caller]
pub(crate) fn summed(indices: Output, rows: Output) -> (Output, Output) {
    let (distinct, places) = unique(indices);
    let sums = unsorted_segment_sum(rows, places, size(&distinct));
    (distinct, sums)
}

/// Returns the shape of rows, with an unknown number of rows and the row sizes of the whole tensor.
///
/// `None` if a row size is unknown: `reshape` can infer only one size, and the number of rows takes it.
fn row_sizes(whole: &Output) -> Option<Vec<i64>> {
    let row = whole.shape().range(1, whole.shape().rank()?).to_shape()?;
    Some(std::iter::once(-1).chain(row.iter().map(|&size| i64::try_from(size).unwrap_or(i64::MAX))).collect())
}
