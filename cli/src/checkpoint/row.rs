//! The rows of lists of tensors.
//!
//! Rows are sorted by name, whatever the order in the file.
//!
//! Lists show tensors of unknown dtypes as well: a user who asks for the content of a file should see all of it, and
//! the reason why a value cannot be shown.

use checkpoint::{CheckpointReader, TensorInfo, UnknownTensor};
use tensor::Shape;

/// A tensor, whether its dtype is known or not.
#[derive(Debug)]
pub(super) struct Row {
    /// The name of the tensor.
    pub(super) name: String,
    /// The name of the dtype, or the number or name that the file has for an unknown one.
    pub(super) dtype: String,
    /// The full shape, also of a tensor that is stored in slices.
    pub(super) shape: Shape,
    /// The number of bytes of the elements.
    pub(super) bytes: u64,
    /// False if this program does not know the dtype, so that values cannot be read.
    pub(super) known: bool,
}

impl Row {
    /// Returns all tensors of a checkpoint by name.
    pub(super) fn all(reader: &CheckpointReader) -> Vec<Row> {
        let known = reader.variables().into_iter().map(|info| {
            let TensorInfo { name, dtype, shape, bytes, .. } = info;
            Row { name, dtype: dtype.name().to_owned(), shape, bytes, known: true }
        });
        let unknown = reader.unsupported_tensors().into_iter().map(|tensor| {
            let UnknownTensor { name, dtype, shape, bytes, .. } = tensor;
            Row { name, dtype, shape, bytes, known: false }
        });
        let mut rows: Vec<Row> = known.chain(unknown).collect();
        // The two kinds are sorted together, since a reader looks for a name and not for a kind.
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        rows
    }
}
