//! `DatasetCardinality` (D-70).

use super::dataset::Handle;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use tensor::Tensor;

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
