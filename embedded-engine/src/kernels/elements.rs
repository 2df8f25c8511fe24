//! Tensors as lists of equal elements: stacked, concatenated, split, and summed. Queues, tensor lists, and
//! datasets share these functions.
//!
//! # Memory
//!
//! Stacking and joining copy each element once, on one thread. Splitting copies nothing: rows and pieces are
//! views that keep the whole tensor alive, which is right for lists that are consumed soon.

use crate::kernel::KernelContext;
use crate::kernels::array::arrange;
use crate::kernels::variant_batch;
use compute::elementwise::{BinaryOp, Broadcast, Element as _};
use session_core::{Error, PartialShape, Result};
use tensor::{DType, Shape, Tensor, memory};

/// Stacks elements along a new first axis, with zeros for missing ones. All present elements have this shape.
///
/// Elements of shape `[2]` and a missing one give a tensor of shape `[n, 2]`, in which the missing row is 0.
/// The shape of variants is that of the present ones, which must be all.
///
/// # Errors
/// `InvalidArgument` for an element of another shape, and for missing variants.
pub(crate) fn stacked(
    context: &KernelContext<'_>,
    dtype: DType,
    elements: &[Option<Tensor>],
    shape: &Shape,
) -> Result<Tensor> {
    if dtype == DType::Variant {
        let present: Option<Vec<&Tensor>> = elements.iter().map(Option::as_ref).collect();
        let missing = || Error::invalid_argument("variants that were never written cannot be stacked");
        return variant_batch::stack(&present.ok_or_else(missing)?);
    }
    let whole: Shape = std::iter::once(elements.len()).chain(shape.iter().copied()).collect();
    if let Some(other) = elements.iter().flatten().find(|element| element.shape() != shape) {
        let text = format!("elements of shapes {shape} and {} cannot be stacked", other.shape());
        return Err(Error::invalid_argument(text));
    }
    // Without a source `arrange` could not tell the dtype.
    if elements.iter().all(Option::is_none) {
        return Ok(Tensor::zeros(dtype, whole)?);
    }
    let mut places = memory::reserve(elements.len())?;
    let mut sources = memory::reserve(elements.len())?;
    for element in elements {
        places.push(element.is_some().then_some((sources.len(), 0)));
        sources.extend(element);
    }
    arrange(context, &sources, whole, shape.elements(), &|row| places[row], None)
}

/// Returns the tensors joined along their first axis.
///
/// `rest` is the shape of a row, which all parts have. Parts of 2 and 3 rows give 5. No parts give a tensor
/// of no rows.
///
/// # Errors
/// `InvalidArgument` for a scalar, and for a part with other rows.
pub(crate) fn joined(
    context: &KernelContext<'_>,
    dtype: DType,
    parts: &[Tensor],
    rest: &Shape,
) -> Result<Tensor> {
    let mut rows = Vec::new();
    for (part, tensor) in parts.iter().enumerate() {
        match tensor.shape().split_first() {
            Some((&count, row)) if row == &rest[..] => {
                memory::grow(&mut rows, count)?;
                rows.extend((0..count).map(|row| (part, row)));
            }
            _ => {
                let text = format!("an element of shape {} does not end with {rest}", tensor.shape());
                return Err(Error::invalid_argument(text));
            }
        }
    }
    let whole: Shape = std::iter::once(rows.len()).chain(rest.iter().copied()).collect();
    if rows.is_empty() {
        return Ok(Tensor::zeros(dtype, whole)?);
    }
    let sources: Vec<&Tensor> = parts.iter().collect();
    arrange(context, &sources, whole, rest.elements(), &|row| Some(rows[row]), None)
}

/// Returns the rows of a tensor, each of the shape of the other axes. They share its memory.
///
/// # Errors
/// `InvalidArgument` for a scalar.
pub(crate) fn unstacked(tensor: &Tensor) -> Result<Vec<Tensor>> {
    if tensor.dtype() == DType::Variant {
        return variant_batch::unstack(tensor);
    }
    let Some((&count, rest)) = tensor.shape().split_first() else {
        return Err(Error::invalid_argument("a scalar has no rows"));
    };
    memory::try_collected((0..count).map(|row| Ok(tensor.rows(row, row + 1)?.reshaped(rest)?)))
}

/// Returns the pieces of a tensor of these numbers of rows, in order: `[2, 1]` of 3 rows are rows 0 and 1,
/// and row 2.
///
/// # Errors
/// `InvalidArgument` for a scalar, a negative length, and lengths that do not add up to the number of rows.
pub(crate) fn split(tensor: &Tensor, lengths: &[i64]) -> Result<Vec<Tensor>> {
    let rows = tensor.shape().first().copied();
    let rows = rows.ok_or_else(|| Error::invalid_argument("a scalar cannot be split"))?;
    let mut start = 0usize;
    let mut pieces = memory::reserve(lengths.len())?;
    for &length in lengths {
        let end = usize::try_from(length).ok().and_then(|length| start.checked_add(length));
        // A sum of lengths that overflows is as wrong as one beyond the rows.
        let end = end.filter(|&end| end <= rows).ok_or_else(|| wrong_lengths(lengths, rows))?;
        pieces.push(tensor.rows(start, end)?);
        start = end;
    }
    if start == rows { Ok(pieces) } else { Err(wrong_lengths(lengths, rows)) }
}

/// Returns the error for lengths that do not divide a tensor of `rows` rows.
fn wrong_lengths(lengths: &[i64], rows: usize) -> Error {
    Error::invalid_argument(format!("lengths {lengths:?} do not add up to {rows} rows"))
}

/// Returns the sum of two tensors of numbers of one shape, in place where nothing shares the first.
///
/// The result has the memory of `to` if nothing shares it, and otherwise a copy from the pool. Large sums use
/// the thread pool; each element is one addition, so the bits are the same.
///
/// # Errors
/// `InvalidArgument` for other shapes, and `Unimplemented` for dtypes that are not numeric.
pub(crate) fn sum(context: &KernelContext<'_>, mut to: Tensor, more: &Tensor) -> Result<Tensor> {
    if to.shape() != more.shape() {
        let text = format!("elements of shapes {} and {} cannot be added", to.shape(), more.shape());
        return Err(Error::invalid_argument(text));
    }
    // Both as vectors: equal shapes need no broadcast, and one dimension is the fastest plan.
    let plan = Broadcast::new([&[to.elements()], &[to.elements()]]);
    let plan = plan.map_err(|error| Error::runtime(error.to_string()))?;
    for_dtype!(number to.dtype(), T => {
        let target = to.make_mut::<T>(context.buffers())?;
        let addition = T::binary(BinaryOp::Add).expect("numbers can be added");
        let added = addition.run_in_place_left(context.pool(), &plan, target, more.as_slice::<T>()?);
        added.map_err(|error| Error::runtime(error.to_string()))?;
        Ok(to)
    })
}

/// Returns the shape given by a tensor of sizes, with -1 for unknown ones. A scalar -1 means an unknown rank.
///
/// `[2, -1]` is two rows of unknown length, and an empty vector a scalar.
pub(crate) fn declared_shape(context: &KernelContext<'_>, input: usize) -> Result<PartialShape> {
    let sizes = context.ints(input)?;
    if context.input(input).shape().rank() == 0 {
        return Ok(PartialShape::unknown());
    }
    Ok(PartialShape::from_sizes(sizes))
}
