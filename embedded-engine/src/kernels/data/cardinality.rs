//! `DatasetCardinality` (D-70).
//!
//! # Semantics
//!
//! Input: a dataset. Output: its number of elements as an `int64` scalar, -1 for an infinite and -2 for an
//! unknown number. Nothing is read: the number follows from the description, so a filter or a file makes it
//! unknown. `ExperimentalDatasetCardinality` is the same op.

use super::dataset::Handle;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use tensor::Tensor;

/// Registers both spellings. The result is not a constant of the graph: a dataset's size may come from a
/// placeholder.
pub(super) fn register(registry: &mut Registry) {
    for op_type in ["DatasetCardinality", "ExperimentalDatasetCardinality"] {
        registry
            .add(op_type, |_| {
                Ok(boxed(|context| {
                    let cardinality = Handle::of(context.input(0))?.dataset.cardinality();
                    context.set(0, Tensor::scalar(cardinality));
                    Ok(())
                }))
            })
            .changes();
    }
}
