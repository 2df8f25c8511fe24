//! The rows of lists of tensors.

use checkpoint::{CheckpointReader, TensorInfo, UnknownTensor};
use tensor::Shape;

/// A tensor, whether its dtype is known or not.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) dtype: String,
    pub(super) shape: Shape,
    pub(super) bytes: u64,
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
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        rows
    }
}
