//! Lists of tensors as values: every change returns a new list, and is made in place if nothing else holds
//! the old one.
//!
//! Loops accumulate their intermediate values for gradients in such lists.
//!
//! # Semantics
//!
//! A list is a variant: copying it copies a reference, and what an operation returns is independent of its
//! input. Indices and sizes are `int32`; shapes are inputs, with -1 for an unknown size and a scalar -1 for
//! an unknown rank. An element that was never set reads as zeros of the merged shape of the list, the
//! request, and another element; if that leaves a size open, it is an error.
//!
//! | op | result |
//! | --- | --- |
//! | `EmptyTensorList`, `TensorListReserve` | a list of no elements, or of a number of unset ones |
//! | `TensorListSetItem`, `TensorListGetItem` | one element; setting may grow the list (`resize_if_index_out_of_bounds`) |
//! | `TensorListPushBack`, `TensorListPopBack` | a longer or shorter list; popping also returns the element |
//! | `TensorListStack`, `TensorListGather` | all elements, or those of some indices, along a new first axis |
//! | `TensorListConcat`, `TensorListConcatV2` | elements joined along their first axes, with their lengths |
//! | `TensorListFromTensor`, `TensorListScatter*`, `TensorListSplit` | a list of rows or pieces, which share the tensor's memory |
//! | `TensorListLength`, `TensorListElementShape`, `TensorListResize`, `TensorListConcatLists` | as named |
//!
//! Errors about inputs are `InvalidArgument`. Elements have any dtype, variants included. Everything runs on
//! one thread.

use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::elements::{declared_shape, joined, split, stacked, unstacked};
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{Error, PartialShape, Result};
use std::sync::Arc;
use tensor::{DType, Shape, Tensor, memory};

/// A list. An element that was never set has no value, and reads as zeros if its shape is known.
///
/// Every element that is set fits `dtype` and `shape`, which hold for the whole life of the list.
#[derive(Clone)]
pub(super) struct TensorList {
    /// The dtype of the elements.
    dtype: DType,
    /// The static shape that each element must fit.
    shape: PartialShape,
    /// The elements; `None` for those that were not set.
    pub(super) elements: Vec<Option<Tensor>>,
    /// The number of elements beyond which a push fails; `None` for no limit. Other operations ignore it.
    limit: Option<usize>,
}

pub(crate) fn register(registry: &mut Registry) {
    registry.add("EmptyTensorList", |spec| {
        let dtype = spec.dtype("element_dtype")?;
        Ok(boxed(move |context| {
            let limit = usize::try_from(context.int(1)?).ok();
            give(
                context,
                TensorList { dtype, shape: declared_shape(context, 0)?, elements: Vec::new(), limit },
            );
            Ok(())
        }))
    });
    registry.add("TensorListReserve", |spec| {
        let dtype = spec.dtype("element_dtype")?;
        Ok(boxed(move |context| {
            let elements = memory::filled(None, count(context.int(1)?)?)?;
            give(context, TensorList { dtype, shape: declared_shape(context, 0)?, elements, limit: None });
            Ok(())
        }))
    });
    registry.add("TensorListSetItem", |spec| {
        let grows = spec.bool("resize_if_index_out_of_bounds").unwrap_or(false);
        Ok(boxed(move |context| {
            let (index, item, mut list) = (context.int(1)?, context.take(2), take(context, 0)?);
            list.set(index, item, grows)?;
            give(context, list);
            Ok(())
        }))
    });
    registry.add("TensorListGetItem", |_| Ok(boxed(get_item)));
    registry.add("TensorListStack", |spec| {
        let expected = usize::try_from(spec.int("num_elements").unwrap_or(-1)).ok();
        Ok(boxed(move |context| stack(context, expected)))
    });
    registry.add("TensorListGather", |_| Ok(boxed(gather)));
    registry.add("TensorListFromTensor", |_| {
        Ok(boxed(|context| {
            let elements = unstacked(context.input(0))?.into_iter().map(Some).collect();
            let dtype = context.input(0).dtype();
            give(context, TensorList { dtype, shape: declared_shape(context, 1)?, elements, limit: None });
            Ok(())
        }))
    });
    registry.add("TensorListPushBack", |_| Ok(boxed(push_back)));
    registry.add("TensorListPopBack", |_| Ok(boxed(pop_back)));
    registry.add("TensorListLength", |_| {
        Ok(boxed(|context| {
            let length = list(context, 0)?.elements.len();
            context.set_count(length);
            Ok(())
        }))
    });
    registry.add("TensorListElementShape", |spec| {
        let dtype = spec.dtype("shape_type")?;
        Ok(boxed(move |context| element_shape(context, dtype)))
    });
    register_many(registry);
}

/// Registers the operations on many elements at once.
fn register_many(registry: &mut Registry) {
    registry.add("TensorListScatter", |_| Ok(boxed(|context| scatter(context, false))));
    registry.add("TensorListScatterV2", |_| Ok(boxed(|context| scatter(context, true))));
    registry.add("TensorListScatterIntoExistingList", |_| {
        Ok(boxed(|context| {
            let (rows, indices) = (unstacked(context.input(1))?, context.ints(2)?);
            let mut list = take(context, 0)?;
            list.set_rows(&indices, rows)?;
            give(context, list);
            Ok(())
        }))
    });
    registry.add("TensorListConcat", |spec| make_concat(spec, false));
    registry.add("TensorListConcatV2", |spec| make_concat(spec, true));
    registry.add("TensorListSplit", |_| {
        Ok(boxed(|context| {
            let pieces = split(context.input(0), &context.ints(2)?)?;
            let (dtype, shape) = (context.input(0).dtype(), declared_shape(context, 1)?);
            let elements = pieces.into_iter().map(Some).collect();
            give(context, TensorList { dtype, shape, elements, limit: None });
            Ok(())
        }))
    });
    registry.add("TensorListResize", |_| {
        Ok(boxed(|context| {
            let size = count(context.int(1)?)?;
            let mut list = take(context, 0)?;
            memory::resize(&mut list.elements, size, None)?;
            give(context, list);
            Ok(())
        }))
    });
    registry.add("TensorListConcatLists", |_| {
        Ok(boxed(|context| {
            let more = take(context, 1)?;
            let mut list = take(context, 0)?;
            list.elements.extend(more.elements);
            give(context, list);
            Ok(())
        }))
    });
}

/// Returns a number of elements, from 0 to the largest `int32`. TensorFlow counts them with 32 bits, so no
/// graph can rely on more.
fn count(count: i64) -> Result<usize> {
    let small = usize::try_from(count).ok().filter(|&count| count <= i32::MAX as usize);
    small.ok_or_else(|| Error::invalid_argument(format!("a list cannot have {count} elements")))
}

/// Sets the list as output 0.
fn give(context: &mut KernelContext<'_>, list: TensorList) {
    context.set(0, Tensor::from_handle(DType::Variant, Arc::new(list)));
}

/// Returns the error for an input that is not a list.
fn not_a_list(input: usize) -> Error {
    Error::invalid_argument(format!("input {input} is not a list of tensors"))
}

/// Returns the list of an input for reading.
fn list<'c>(context: &'c KernelContext<'_>, input: usize) -> Result<&'c TensorList> {
    context.input(input).as_handle().ok_or_else(|| not_a_list(input))
}

/// Returns a list to be changed: the same one if nothing else holds it, otherwise a copy. In a loop that
/// appends, nothing else does, so each iteration costs one element and not the whole list.
///
/// # Errors
/// `InvalidArgument` if the input is not a list.
fn take(context: &mut KernelContext<'_>, input: usize) -> Result<TensorList> {
    let value = context.take(input);
    let list: Arc<TensorList> = value.to_handle().ok_or_else(|| not_a_list(input))?;
    // The tensor is dropped first: it holds a reference, with which the list would always be copied.
    drop(value);
    Ok(Arc::unwrap_or_clone(list))
}

impl TensorList {
    /// Sets an element. With `grows`, an index past the end makes the list longer, with unset elements before
    /// it.
    ///
    /// # Errors
    /// `InvalidArgument` for an index outside of the list, and for an element that does not fit.
    fn set(&mut self, index: i64, item: Tensor, grows: bool) -> Result<()> {
        let size = self.elements.len();
        let place = usize::try_from(index).ok().filter(|&place| place < size || grows);
        let place = place.ok_or_else(|| {
            let text = format!("Trying to modify element {index} in a list with {size} elements");
            Error::invalid_argument(text)
        })?;
        // Before the list grows, so that a rejected element leaves it as it was.
        self.check(&item)?;
        if place >= size {
            memory::resize(&mut self.elements, count(index)? + 1, None)?;
        }
        self.elements[place] = Some(item);
        Ok(())
    }

    /// Sets `rows[n]` as the element of index `indices[n]`. An index past the end makes the list longer; of
    /// two equal indices the later one counts.
    fn set_rows(&mut self, indices: &[i64], rows: Vec<Tensor>) -> Result<()> {
        if indices.len() != rows.len() {
            let text = format!("{} indices for {} values", indices.len(), rows.len());
            return Err(Error::invalid_argument(text));
        }
        indices.iter().zip(rows).try_for_each(|(&index, row)| self.set(index, row, true))
    }

    /// Returns an error if an element has not the dtype of the list or does not fit its shape.
    fn check(&self, item: &Tensor) -> Result<()> {
        if item.dtype() != self.dtype {
            let text = format!("a value of {} in a list of {}", item.dtype(), self.dtype);
            return Err(Error::invalid_argument(text));
        }
        if !self.shape.is_compatible_with(item.shape()) {
            let text = format!("a value of shape {} in a list of elements {}", item.shape(), self.shape);
            return Err(Error::invalid_argument(text));
        }
        Ok(())
    }

    /// Returns the shape of elements, merged from the requested shape, the shape of the list, and that of a
    /// present element.
    ///
    /// Shape `[2, ?]` of the list and `[?, 3]` of the request give `[2, 3]`. The present element is only
    /// looked at if a size is still open.
    fn known_shape(&self, declared: &PartialShape) -> Result<PartialShape> {
        let text = || format!("the list has elements of shape {}, but {declared} was requested", self.shape);
        let known = self.shape.merge(declared).ok_or_else(|| Error::invalid_argument(text()))?;
        // A list of unknown shape takes that of its elements, as TensorFlow does for unset ones.
        match self.elements.iter().flatten().next() {
            Some(element) if known.to_shape().is_none() => Ok(known
                .merge(&PartialShape::from(element.shape()))
                .ok_or_else(|| Error::invalid_argument(text()))?),
            _ => Ok(known),
        }
    }

    /// Returns the shape of elements, or an error if a size is unknown.
    fn full_shape(&self, declared: &PartialShape) -> Result<Shape> {
        let known = self.known_shape(declared)?;
        known.to_shape().ok_or_else(|| {
            let text = format!("the shape of the list's elements is not fully known: {known}");
            Error::invalid_argument(text)
        })
    }

    /// Returns an element; zeros for one that was not set.
    ///
    /// `declared` is the shape that the operation requests; it only matters for an element that was not set.
    fn get(&self, index: i64, declared: &PartialShape) -> Result<Tensor> {
        let size = self.elements.len();
        let place = usize::try_from(index).ok().and_then(|place| self.elements.get(place));
        let element = place.ok_or_else(|| {
            let text = format!("Trying to access element {index} in a list with {size} elements");
            Error::invalid_argument(text)
        })?;
        match element {
            Some(element) => Ok(element.clone()),
            None => Ok(Tensor::zeros(self.dtype, self.full_shape(declared)?)?),
        }
    }
}

/// Returns the element of the index in input 1. It shares the list's memory.
fn get_item(context: &mut KernelContext<'_>) -> Result<()> {
    let item = list(context, 0)?.get(context.int(1)?, &declared_shape(context, 2)?)?;
    context.set(0, item);
    Ok(())
}

/// Stacks all elements, unset ones as zeros. `expected` is the number of elements that the attribute
/// `num_elements` requires, if it does.
fn stack(context: &mut KernelContext<'_>, expected: Option<usize>) -> Result<()> {
    let declared = declared_shape(context, 1)?;
    let list = list(context, 0)?;
    if let Some(expected) = expected.filter(|&expected| expected != list.elements.len()) {
        let text = format!(
            "Operation expected a list with {expected} elements but got a list with {}",
            list.elements.len()
        );
        return Err(Error::invalid_argument(text));
    }
    let value = stacked(context, list.dtype, &list.elements, &list.full_shape(&declared)?)?;
    context.set(0, value);
    Ok(())
}

/// Stacks the elements of the indices in input 1, in their order. An index may occur several times.
fn gather(context: &mut KernelContext<'_>) -> Result<()> {
    let (indices, declared) = (context.ints(1)?, declared_shape(context, 2)?);
    let list = list(context, 0)?;
    let elements = memory::try_collected(indices.iter().map(|&index| list.get(index, &declared).map(Some)))?;
    let value = stacked(context, list.dtype, &elements, &list.full_shape(&declared)?)?;
    context.set(0, value);
    Ok(())
}

/// Appends the element of input 1. In place, if nothing else holds the list.
fn push_back(context: &mut KernelContext<'_>) -> Result<()> {
    let item = context.take(1);
    let mut list = take(context, 0)?;
    if list.limit.is_some_and(|limit| list.elements.len() >= limit) {
        return Err(Error::invalid_argument("Tried to push item into a full list"));
    }
    list.check(&item)?;
    list.elements.push(Some(item));
    give(context, list);
    Ok(())
}

/// Returns the list without its last element, and that element; zeros for one that was not set.
fn pop_back(context: &mut KernelContext<'_>) -> Result<()> {
    let declared = declared_shape(context, 1)?;
    let mut list = take(context, 0)?;
    let last = list.elements.len().checked_sub(1);
    let last = last.ok_or_else(|| Error::invalid_argument("Trying to pop from an empty list"))?;
    let item = list.get(last as i64, &declared)?;
    list.elements.pop();
    give(context, list);
    context.set(1, item);
    Ok(())
}

/// Returns the static shape of the elements as a tensor: -1 for an unknown size, and a scalar -1 for an
/// unknown rank.
fn element_shape(context: &mut KernelContext<'_>, dtype: DType) -> Result<()> {
    let shape = &list(context, 0)?.shape;
    let size = |dim: Option<usize>| dim.and_then(|dim| i64::try_from(dim).ok()).unwrap_or(-1);
    let sizes = shape.rank().map(|rank| (0..rank).map(|axis| size(shape.dim(axis))).collect::<Vec<_>>());
    let value = match (sizes, dtype) {
        (Some(sizes), DType::Int64) => Tensor::from(sizes),
        (Some(sizes), _) => Tensor::from(sizes.into_iter().map(|size| size as i32).collect::<Vec<_>>()),
        (None, DType::Int64) => Tensor::from(-1i64),
        (None, _) => Tensor::from(-1i32),
    };
    context.set(0, value);
    Ok(())
}

/// Makes a list from rows and their indices. Its length is input 3 if `sized` and the input is not negative,
/// otherwise it ends at the largest index.
fn scatter(context: &mut KernelContext<'_>, sized: bool) -> Result<()> {
    let (rows, indices) = (unstacked(context.input(0))?, context.ints(1)?);
    let (dtype, shape) = (context.input(0).dtype(), declared_shape(context, 2)?);
    let size = if sized { context.int(3)? } else { -1 };
    let size = match usize::try_from(size) {
        Ok(size) => size,
        Err(_) => count(indices.iter().max().map_or(0, |&last| last.saturating_add(1)))?,
    };
    let mut list = TensorList { dtype, shape, elements: memory::filled(None, size)?, limit: None };
    // `set_rows` would make the list longer instead.
    if let Some(index) = indices.iter().find(|&&index| index < 0 || index >= size as i64) {
        let text = format!("Trying to scatter to element {index} of a list with {size} elements");
        return Err(Error::invalid_argument(text));
    }
    list.set_rows(&indices, rows)?;
    give(context, list);
    Ok(())
}

/// Concatenates elements along their first axis. With `by_input` (the second version of the op) the lengths
/// of unset elements are an input, in their order; the first version has none, and an unset element is an
/// error.
///
/// The sizes beyond the first axis come from the first element that is set, or else from the list and the
/// request.
fn make_concat(spec: &NodeSpec<'_>, by_input: bool) -> Result<Box<dyn crate::kernel::Kernel>> {
    let attr = spec.operation.attr("element_shape").and_then(|shape| shape.as_shape()).cloned();
    Ok(boxed(move |context| {
        let declared = if by_input { declared_shape(context, 1)? } else { attr.clone().unwrap_or_default() };
        let missing = if by_input { context.ints(2)? } else { Vec::new() };
        let list = list(context, 0)?;
        let rest = |shape: PartialShape| shape.rank().map(|rank| shape.range(1.min(rank), rank));
        let known = rest(list.shape.clone()).zip(rest(declared)).and_then(|(a, b)| a.merge(&b));
        let known = match list.elements.iter().flatten().next() {
            Some(first) => rest(PartialShape::from(first.shape())),
            None => known.or_else(|| rest(list.shape.clone())),
        };
        let rest = known.and_then(|known| known.to_shape());
        let rest = rest.ok_or_else(|| {
            Error::invalid_argument(
                "the shape of the elements of the list is not fully known beyond the first axis",
            )
        })?;
        // The lengths are those of the unset elements only, one after the other.
        let mut unset = missing.into_iter();
        let mut parts = memory::reserve(list.elements.len())?;
        for element in &list.elements {
            parts.push(match element {
                Some(element) => element.clone(),
                None => {
                    let rows = unset.next().ok_or_else(|| {
                        Error::invalid_argument(
                            "an element of the list was not set and its length is not known",
                        )
                    })?;
                    let shape: Shape = std::iter::once(count(rows)?).chain(rest.iter().copied()).collect();
                    Tensor::zeros(list.dtype, shape)?
                }
            });
        }
        let value = joined(context, list.dtype, &parts, &rest)?;
        let lengths = memory::collected(parts.iter().map(|part| part.shape()[0] as i64))?;
        context.set(0, value);
        context.set(1, Tensor::from(lengths));
        Ok(())
    }))
}
