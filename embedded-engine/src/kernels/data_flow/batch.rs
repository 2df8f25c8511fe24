//! Batches of elements.
//!
//! The copy of a batch is the largest cost of a dequeue-many, so it is avoided where it can be: elements that
//! were put in as rows of one batch and come out in the same order are a part of that batch, and are returned
//! as such without a copy.

use super::component::{self, Component};
use super::queue::{Element, QueueSpec};
use crate::kernel::KernelContext;
use crate::kernels::chunks::place;
use session_core::{Error, Result};
use tensor::{Bits, Bytes, DType, Shape, Tensor, memory};

/// Sets each output to a component of all elements, stacked, and padded where the queue pads (S-237, S-249).
///
/// Without elements the batch has no rows, and the declared shape with 0 for unknown sizes. Padding is zero,
/// false, or the empty string, at the end of each dimension.
///
/// # Errors
///
/// `InvalidArgument` for variants and resources, which cannot be stacked.
pub(super) fn deliver(context: &mut KernelContext<'_>, spec: &QueueSpec, elements: &[Element]) -> Result<()> {
    for (index, &dtype) in spec.dtypes().iter().enumerate() {
        let parts = || elements.iter().map(|element| &element[index]);
        if let Some(batch) = component::run(parts()) {
            context.set(index, batch);
            continue;
        }
        let inner = inner_shape(spec, index, elements);
        let mut dims = vec![elements.len()];
        dims.extend_from_slice(&inner);
        let shape = Shape::from(dims);
        let batch = match dtype {
            DType::String => stack_strings(parts(), shape, &inner)?,
            dtype if dtype.is_plain() => for_dtype!(bits dtype, T => {
                let mut batch = Tensor::from_pool_dtype(context.buffers(), dtype, shape)?;
                stack_bits::<T>(parts(), &mut batch, &inner)?;
                Ok(batch)
            })?,
            _ => return Err(Error::invalid_argument(format!("elements of dtype {dtype} cannot be stacked"))),
        };
        context.set(index, batch);
    }
    Ok(())
}

/// Returns the shape of one component in a batch: the declared one, its open sizes those of the largest
/// element. Declared shapes were checked when the elements were put in, so all of them have this rank.
fn inner_shape(spec: &QueueSpec, index: usize, elements: &[Element]) -> Vec<usize> {
    let rank = spec.shape(index).and_then(|shape| shape.rank()).unwrap_or(0);
    let size = |axis: usize| match spec.shape(index).and_then(|shape| shape.dim(axis)) {
        Some(size) => size,
        None => elements.iter().map(|element| element[index].dims()[axis]).max().unwrap_or(0),
    };
    (0..rank).map(size).collect()
}

/// Copies components into a new batch, each into its own row, with zeros around those that are smaller.
/// `inner` is the shape of a row, in which each component fits.
fn stack_bits<'a, T: Bits + Default>(
    parts: impl Iterator<Item = &'a Component>,
    batch: &mut Tensor,
    inner: &[usize],
) -> Result<()> {
    // The batch has these sizes, so their product is that of a tensor.
    let size: usize = inner.iter().product();
    let written = batch.write_bits::<T, Result<()>>(|target| {
        for (index, part) in parts.enumerate() {
            let (target, source) = (&mut target[index * size..(index + 1) * size], part.bits::<T>()?);
            if part.dims() == inner {
                target.copy_from_slice(source);
            } else {
                // Memory of the pool holds older values.
                target.fill(T::default());
                place(source, part.dims(), inner, &mut |at, run| {
                    target[at..at + run.len()].copy_from_slice(run);
                });
            }
        }
        Ok(())
    });
    written.expect("new memory has one owner, its elements the right size")
}

/// Stacks components of strings. The bytes are shared; only references are copied.
fn stack_strings<'a>(
    parts: impl Iterator<Item = &'a Component>,
    shape: Shape,
    inner: &[usize],
) -> Result<Tensor> {
    // First: the largest sizes of several elements may be those of no tensor.
    let mut strings = memory::filled(Bytes::new(), shape.elements())?;
    let size: usize = inner.iter().product();
    for (index, part) in parts.enumerate() {
        let target = &mut strings[index * size..(index + 1) * size];
        place(part.strings()?, part.dims(), inner, &mut |at, run| {
            target[at..at + run.len()].clone_from_slice(run);
        });
    }
    Ok(Tensor::from_strings(strings, shape)?)
}
