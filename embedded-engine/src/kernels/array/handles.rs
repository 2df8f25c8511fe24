//! Lists of handles, out of which an operation chooses one by its number (S-230).

use super::index::outside;
use crate::kernel::{Kernel, KernelContext};
use crate::kernels::math::boxed;
use compute::elementwise::layout::IndexError;
use session_core::{Error, Result};
use std::sync::Arc;
use tensor::{DType, Tensor};

/// Handles that were packed into a vector, from which a graph then chooses.
struct Handles(Vec<Tensor>);

fn list(handles: Vec<Tensor>) -> Tensor {
    Tensor::from_handle(DType::Resource, Arc::new(Handles(handles)))
}

fn many(what: &str) -> Error {
    let text = format!("handles can be {what} in one list only");
    Error::new(session_core::Code::Unimplemented, text)
}

/// One list of scalar handles.
pub(super) fn pack() -> Result<Box<dyn Kernel>> {
    Ok(boxed(|context| {
        let handles: Vec<Tensor> = (0..context.num_inputs()).map(|index| context.take(index)).collect();
        if handles.iter().any(|handle| handle.as_handle::<Handles>().is_some()) {
            return Err(many("packed"));
        }
        context.set(0, list(handles));
        Ok(())
    }))
}

/// Returns the handle of an index, or a list of those of several.
pub(super) fn gather() -> Result<Box<dyn Kernel>> {
    Ok(boxed(|context: &mut KernelContext<'_>| {
        let indices = context.ints(1)?;
        let handles = context.input(0).as_handle::<Handles>().ok_or_else(|| many("chosen from"))?;
        let limit = handles.0.len();
        let chosen = indices.iter().enumerate().map(|(position, &index)| {
            let handle = usize::try_from(index).ok().and_then(|place| handles.0.get(place));
            handle.cloned().ok_or_else(|| outside(IndexError { position, index, limit }))
        });
        let chosen = chosen.collect::<Result<Vec<Tensor>>>()?;
        let result = match (context.input(1).shape().rank(), chosen.as_slice()) {
            (0, [one]) => one.clone(),
            _ => list(chosen),
        };
        context.set(0, result);
        Ok(())
    }))
}
