//! Shapes, layouts, pieces of tensors.

use crate::kernel::{KernelContext, Registry};
use session_core::{Error, Result};
use tensor::{DType, Shape, Tensor};

pub(crate) fn register(registry: &mut Registry) {
    registry.add("Shape", |spec| {
        let dtype = spec.dtype("out_type").unwrap_or(DType::Int32);
        Ok(Box::new(move |context: &mut KernelContext<'_>| {
            let shape = shape_tensor(context.input(0).shape(), dtype)?;
            context.set(0, shape);
            Ok(())
        }))
    });
}

/// A shape as a vector of `int32` or `int64`.
pub(crate) fn shape_tensor(shape: &Shape, dtype: DType) -> Result<Tensor> {
    if dtype == DType::Int64 {
        return Ok(Tensor::from(shape.iter().map(|&dim| dim as i64).collect::<Vec<_>>()));
    }
    let dims: std::result::Result<Vec<i32>, _> = shape.iter().map(|&dim| i32::try_from(dim)).collect();
    dims.map(Tensor::from)
        .map_err(|_| Error::invalid_argument(format!("a dimension of {shape} does not fit an int32")))
}
