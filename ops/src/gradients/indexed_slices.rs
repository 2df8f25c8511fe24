//! Gradients of which only some rows are not zero.

use crate::array::joining::concat;
use crate::array::shaping::reshape;
use session_core::Output;

/// Rows of a larger tensor that is zero elsewhere, such as the gradient of a lookup. Rows with the same index
/// add up.
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
    /// Returns the rows that a gradient was added up from, when it was: what [`gradients`](crate::gradients) gives for the
    /// table of a lookup, or for a table that is looked up several times. `None` for any other gradient.
    ///
    /// The whole tensor is then computed only if somebody uses it.
    #[must_use]
    pub fn of(gradient: &Output) -> Option<IndexedSlices> {
        let operation = gradient.operation();
        match operation.op_type() {
            "UnsortedSegmentSum" => {
                let [values, indices, rows] =
                    [0, 1, 2].map(|index| operation.input(index).within(&gradient.graph()));
                match indices.shape().rank()? {
                    1 => Some(IndexedSlices { values, indices, rows }),
                    axes => Some(IndexedSlices {
                        values: reshape(&values, row_sizes(gradient)?),
                        indices: reshape(indices, [-1]),
                        rows,
                    })
                    .filter(|_| axes > 1),
                }
            }
            "AddN" => {
                let parts: Option<Vec<IndexedSlices>> =
                    operation.inputs().iter().map(IndexedSlices::of).collect();
                IndexedSlices::join(&parts?)
            }
            _ => None,
        }
    }

    /// Returns all rows of several, one after the other.
    fn join(parts: &[IndexedSlices]) -> Option<IndexedSlices> {
        let values: Vec<Output> = parts.iter().map(|part| part.values.clone()).collect();
        let indices: Vec<Output> = parts.iter().map(|part| part.indices.clone()).collect();
        let first = parts.first()?;
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

/// As many rows as there are, of the sizes that those of the whole have.
fn row_sizes(whole: &Output) -> Option<Vec<i64>> {
    let row = whole.shape().range(1, whole.shape().rank()?).to_shape()?;
    Some(std::iter::once(-1).chain(row.iter().map(|&size| i64::try_from(size).unwrap_or(i64::MAX))).collect())
}
