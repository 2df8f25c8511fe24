//! Rows distributed to several tensors and gathered back.
//!
//! # Semantics
//!
//! `DynamicPartition` sends the slice of each index `i` to output `partitions[i]` and keeps their order.
//! `DynamicStitch` writes slices to the places that its indices name; if an index occurs twice, the last one
//! counts. Places that no index names are zeros here and undefined in TensorFlow.
//!
//! The partitions and indices are `int32` and may have any rank; their shape is a prefix of the data's shape,
//! and what remains is the shape of a row.
//!
//! ```text
//! DynamicPartition of [10, 20, 30] by [1, 0, 1] into 2     ->   [20], [10, 30]
//! DynamicStitch of indices [0, 2], [1] and data [a, c], [b]   ->   [a, b, c]
//! ```
//!
//! - A label outside `[0, num_partitions)`, a negative index, and shapes that do not fit are
//!   `InvalidArgument`.
//! - An output that no row goes to has the shape `[0, ...]`. The size of a stitched tensor is the largest
//!   index plus 1, or 0 without indices.
//! - `ParallelDynamicStitch` may apply equal indices in any order in TensorFlow; here the last input counts
//!   for it, too.
//! - Rows are copied on the calling thread, in the order of the result.

use super::arrange::arrange;
use super::slice::non_negative;
use crate::kernel::KernelContext;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{Error, Result};
use tensor::{Shape, Tensor, memory};

/// Registers the op types.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("DynamicPartition", |_| Ok(boxed(dynamic_partition)));
    for op_type in ["DynamicStitch", "ParallelDynamicStitch"] {
        registry.add(op_type, |_| Ok(boxed(dynamic_stitch)));
    }
}

/// Delivers the rows of input 0 whose label in input 1 is `i` as output `i`.
fn dynamic_partition(context: &mut KernelContext<'_>) -> Result<()> {
    let (shape, labels) = (context.input(0).shape().clone(), context.input(1).shape().clone());
    if shape.rank() < labels.rank() || shape[..labels.rank()] != labels[..] {
        let text = format!("data.shape must start with partitions.shape, got {shape} and {labels}");
        return Err(Error::invalid_argument(text));
    }
    let rest = &shape[labels.rank()..];
    // One list of row numbers per output, so that every output is allocated with its exact size.
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

/// Writes rows to the positions that indices state. The last row for an index wins; positions without a row
/// are zero.
///
/// The first half of the inputs are the indices, the second half the data, in pairs.
///
/// The table of places grows to the largest index, which is read from a tensor, and therefore grows only as
/// far as the memory limit allows.
fn dynamic_stitch(context: &mut KernelContext<'_>) -> Result<()> {
    let count = context.num_inputs() / 2;
    // The shape of a row of pair `i`.
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
