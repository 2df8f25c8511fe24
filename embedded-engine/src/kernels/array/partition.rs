//! Rows dealt out to several tensors and gathered back.
//!
//! # Semantics
//!
//! `DynamicPartition` sends the slice of each index `i` to output `partitions[i]` and keeps their order.
//! `DynamicStitch` writes slices to the places that its indices name; if an index occurs twice, the last one counts.
//! Places that no index names are zeros here and undefined in TensorFlow.

use super::arrange::arrange;
use super::slice::non_negative;
use crate::kernel::KernelContext;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{Error, Result};
use tensor::{Shape, Tensor, memory};

pub(crate) fn register(registry: &mut Registry) {
    registry.add("DynamicPartition", |_| Ok(boxed(dynamic_partition)));
    for op_type in ["DynamicStitch", "ParallelDynamicStitch"] {
        registry.add(op_type, |_| Ok(boxed(dynamic_stitch)));
    }
}

fn dynamic_partition(context: &mut KernelContext<'_>) -> Result<()> {
    let (shape, labels) = (context.input(0).shape().clone(), context.input(1).shape().clone());
    if shape.rank() < labels.rank() || shape[..labels.rank()] != labels[..] {
        let text = format!("data.shape must start with partitions.shape, got {shape} and {labels}");
        return Err(Error::invalid_argument(text));
    }
    let rest = &shape[labels.rank()..];
    let mut parts = vec![Vec::new(); context.outputs.len()];
    let count = parts.len();
    for (row, label) in context.ints(1)?.into_iter().enumerate() {
        let part = usize::try_from(label).ok().and_then(|label| parts.get_mut(label));
        let part = part.ok_or_else(|| {
            Error::invalid_argument(format!("partitions[{row}] = {label} is not in [0, {count})"))
        })?;
        part.push(row);
    }
    let width = rest.iter().product();
    for (i, rows) in parts.iter().enumerate() {
        let dims: Shape = std::iter::once(rows.len()).chain(rest.iter().copied()).collect();
        let part = arrange(context, &[context.input(0)], dims, width, &|row| Some((0, rows[row])), None)?;
        context.set(i, part);
    }
    Ok(())
}

/// Writes rows to the positions that indices state. The last row for an index wins; positions without a row are zero.
fn dynamic_stitch(context: &mut KernelContext<'_>) -> Result<()> {
    let count = context.num_inputs() / 2;
    let rest = |i: usize| {
        let (indices, data) = (context.input(i).shape(), context.input(count + i).shape());
        let fits = data.rank() >= indices.rank() && data[..indices.rank()] == indices[..];
        fits.then(|| &data[indices.rank()..]).ok_or_else(|| {
            Error::invalid_argument(format!(
                "data[{i}].shape = {data} does not start with indices[{i}].shape = {indices}"
            ))
        })
    };
    let inner = rest(0)?.to_vec();
    let mut places: Vec<Option<(usize, usize)>> = Vec::new();
    for i in 0..count {
        if rest(i)? != inner {
            let text = format!("data[{i}] has rows of shape {:?}, data[0] of {inner:?}", rest(i)?);
            return Err(Error::invalid_argument(text));
        }
        for (row, index) in non_negative(&context.ints(i)?, "indices")?.into_iter().enumerate() {
            if index >= places.len() {
                memory::resize(&mut places, index.saturating_add(1), None)?;
            }
            places[index] = Some((i, row));
        }
    }
    let dims: Shape = std::iter::once(places.len()).chain(inner.iter().copied()).collect();
    let data: Vec<&Tensor> = (count..2 * count).map(|i| context.input(i)).collect();
    let merged = arrange(context, &data, dims, inner.iter().product(), &|row| places[row], None)?;
    context.set(0, merged);
    Ok(())
}
