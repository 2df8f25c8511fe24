//! Lists of handles, out of which an operation chooses one by its number (S-230).
//!
//! `Pack` and `Gather` of the dtype `resource` come here from `join` and `index`. A graph uses them to choose
//! one of several queues at run time: it packs the handles and gathers by a computed index.
//!
//! A list is one handle of the dtype `resource` whose value is the vector of packed handles, so it passes
//! through every operation that only forwards values. Its own shape is that of a scalar; only these two
//! kernels look inside. Lists of lists, joins along another axis and slices of lists are not supported and
//! fail with `Unimplemented`.

use super::index::outside;
use crate::kernel::{Kernel, KernelContext};
use crate::kernels::math::boxed;
use compute::elementwise::layout::IndexError;
use session_core::{Error, Result};
use std::sync::Arc;
use tensor::{DType, Tensor};

/// Handles that were packed into a vector, from which a graph then chooses.
///
/// It is not empty, and none of its elements is itself a list. Cloning an element clones a reference, so all
/// lists share what the handles refer to.
struct Handles(Vec<Tensor>);

/// Wraps handles in one tensor.
fn list(handles: Vec<Tensor>) -> Tensor {
    Tensor::from_handle(DType::Resource, Arc::new(Handles(handles)))
}

/// Returns the error for a handle that is not a list, or a list where a single handle is expected. `what` is
/// the verb of the message, such as "packed".
fn many(what: &str) -> Error {
    let text = format!("handles can be {what} in one list only");
    Error::new(session_core::Code::Unimplemented, text)
}

/// Returns the kernel of `Pack` for handles: one list of all inputs, in order. The attribute `axis` cannot
/// matter, because the inputs are scalars.
pub(super) fn pack() -> Result<Box<dyn Kernel>> {
    Ok(boxed(|context| {
        // A list in a list would need a shape of its own, which a list does not have.
        let handles: Vec<Tensor> = (0..context.num_inputs()).map(|index| context.take(index)).collect();
        if handles.iter().any(|handle| handle.as_handle::<Handles>().is_some()) {
            return Err(many("packed"));
        }
        context.set(0, list(handles));
        Ok(())
    }))
}

/// Returns the handle of an index, or a list of those of several.
///
/// Input 0 is a list, input 1 the indices. A scalar index gives the handle itself, indices of another rank
/// give a list in row-major order. An index out of range is `InvalidArgument` with its position.
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
        // Operations on resources understand a single handle; a list is understood by these kernels alone.
        let result = match (context.input(1).shape().rank(), chosen.as_slice()) {
            (0, [one]) => one.clone(),
            _ => list(chosen),
        };
        context.set(0, result);
        Ok(())
    }))
}
