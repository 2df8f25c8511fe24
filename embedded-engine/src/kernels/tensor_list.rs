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
//! request, and the other elements; if that leaves a size open, it is an error. A gather merges the elements
//! that it gathers, and no others.
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
//! The length of an unset element in a concatenation is that of its place in `leading_dims`. If these are too
//! few, it is the first size of the merged shape, or the length that all set elements have. Set elements keep
//! their own lengths. A declared shape must fit the elements that are joined or stacked, and the rows that
//! become elements; of the shape for pieces (`TensorListSplit`) the first size is not compared, as in
//! TensorFlow.
//!
//! Errors about inputs are `InvalidArgument`, among them an `element_dtype` that is not the list's. Elements
//! have any dtype, variants included. Everything runs on one thread.
//!
//! # Examples
//!
//! ```text
//! TensorListReserve   3 elements of shape [-1, 1]            -> [unset, unset, unset]
//! TensorListSetItem   index 1, [[1], [1]]                    -> [unset, [[1], [1]], unset]
//! TensorListConcatV2  leading_dims [5, 2, 3]                 -> 10 rows, lengths [5, 2, 3]: zeros for both unset ones
//! TensorListGetItem   index 0, element_shape [4, 1]          -> zeros of shape [4, 1]
//! TensorListGather    indices [1, 1]                         -> shape [2, 2, 1]
//! TensorListSplit     [[1], [2], [3]], lengths [1, 2]        -> [[[1]], [[2], [3]]]
//! ```

use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::elements::{declared_shape, joined, split, stacked, unstacked};
use crate::kernels::math::boxed;
use crate::kernels::variant_batch::shape_of;
use crate::registry::Registry;
use session_core::{Error, PartialShape, Result};
use std::sync::Arc;
use tensor::{DType, Shape, Tensor, memory};

/// A list. An element that was never set has no value, and reads as zeros if its shape is known.
///
/// Every element that is set has this dtype and fits `shape`, which hold for the whole life of the list. Only
/// of pieces of a tensor (`TensorListSplit`) the first size may be another one.
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
    registry.add("TensorListGetItem", |spec| {
        let dtype = spec.dtype("element_dtype")?;
        Ok(boxed(move |context| get_item(context, dtype)))
    });
    registry.add("TensorListStack", |spec| {
        let dtype = spec.dtype("element_dtype")?;
        let expected = usize::try_from(spec.int("num_elements").unwrap_or(-1)).ok();
        Ok(boxed(move |context| stack(context, dtype, expected)))
    });
    registry.add("TensorListGather", |spec| {
        let dtype = spec.dtype("element_dtype")?;
        Ok(boxed(move |context| gather(context, dtype)))
    });
    registry.add("TensorListFromTensor", |_| {
        Ok(boxed(|context| {
            let (tensor, shape) = (context.input(0), declared_shape(context, 1)?);
            check_rows(tensor, &shape)?;
            let elements = unstacked(tensor)?.into_iter().map(Some).collect();
            let dtype = tensor.dtype();
            give(context, TensorList { dtype, shape, elements, limit: None });
            Ok(())
        }))
    });
    registry.add("TensorListPushBack", |_| Ok(boxed(push_back)));
    registry.add("TensorListPopBack", |spec| {
        let dtype = spec.dtype("element_dtype")?;
        Ok(boxed(move |context| pop_back(context, dtype)))
    });
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
            let shape = declared_shape(context, 1)?;
            let rest = match shape.rank() {
                Some(0) => {
                    let text = "TensorListSplit requires element_shape to be at least of rank 1, but saw: []";
                    return Err(Error::invalid_argument(text));
                }
                Some(rank) => shape.range(1, rank),
                None => PartialShape::unknown(),
            };
            check_rows(context.input(0), &rest)?;
            let pieces = split(context.input(0), &context.ints(2)?)?;
            let dtype = context.input(0).dtype();
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
    registry.add("TensorListConcatLists", |spec| {
        let dtype = spec.dtype("element_dtype")?;
        Ok(boxed(move |context| {
            let more = take(context, 1)?;
            let mut list = take(context, 0)?;
            list.check_dtype(dtype)?;
            more.check_dtype(dtype)?;
            if list.shape != more.shape {
                let text = format!("lists of elements {} and {} cannot be joined", list.shape, more.shape);
                return Err(Error::invalid_argument(text));
            }
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

/// Returns the list of input 0, whose elements must have the dtype that the operation declares.
fn list_of<'c>(context: &'c KernelContext<'_>, dtype: DType) -> Result<&'c TensorList> {
    let list = list(context, 0)?;
    list.check_dtype(dtype)?;
    Ok(list)
}

/// Returns an error if the rows of a tensor do not fit the shape that a list declares for its elements. A
/// tensor without rows is checked, too.
fn check_rows(tensor: &Tensor, shape: &PartialShape) -> Result<()> {
    match shape_of(tensor).get(1..) {
        Some(row) if !shape.is_compatible_with(row) => {
            let text = format!("a list of elements {shape} from rows of shape {}", Shape::new(row));
            Err(Error::invalid_argument(text))
        }
        // What needs rows refuses a scalar itself.
        _ => Ok(()),
    }
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

    /// Returns an error if the operation declares another dtype than that of the elements.
    fn check_dtype(&self, declared: DType) -> Result<()> {
        if declared != self.dtype {
            let text = format!("the operation declares elements of {declared}, the list has {}", self.dtype);
            return Err(Error::invalid_argument(text));
        }
        Ok(())
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

    /// Returns the shape of the list, merged with the requested one.
    fn declared(&self, declared: &PartialShape) -> Result<PartialShape> {
        self.shape.merge(declared).ok_or_else(|| {
            let text = format!("the list has elements of shape {}, but {declared} was requested", self.shape);
            Error::invalid_argument(text)
        })
    }

    /// Returns the shape of elements, merged from the requested shape, the shape of the list, and those of the
    /// present elements.
    ///
    /// Shape `[2, ?]` of the list and `[?, 3]` of the request give `[2, 3]`. The present elements are only
    /// looked at if a size is still open.
    fn known_shape(&self, declared: &PartialShape) -> Result<PartialShape> {
        let known = self.declared(declared)?;
        if known.is_fully_known() {
            return Ok(known);
        }
        // A list of unknown shape takes that of its elements, as TensorFlow does for unset ones.
        self.elements.iter().flatten().try_fold(known, |known, element| merged(&known, element))
    }

    /// Returns the shape of elements, or an error if a size is unknown.
    fn full_shape(&self, declared: &PartialShape) -> Result<Shape> {
        full(&self.known_shape(declared)?)
    }

    /// Returns the length of elements that are joined, as far as it is known without `leading_dims`, and the
    /// shape of their rows.
    ///
    /// # Errors
    /// `InvalidArgument` for scalars, for elements that contradict each other or the declared shape, and for
    /// rows of an unknown shape.
    fn shape_of_parts(&self, declared: &PartialShape) -> Result<(Option<usize>, Shape)> {
        let known = self.declared(declared)?;
        let scalar =
            || Error::invalid_argument("Concat requires elements to be at least vectors, found scalars");
        let mut rows = match known.rank() {
            Some(0) => return Err(scalar()),
            Some(rank) => known.range(1, rank),
            None => PartialShape::unknown(),
        };
        // The length of all set elements; two different ones leave it open.
        let mut common = None;
        for (place, element) in self.elements.iter().enumerate() {
            let Some(element) = element else { continue };
            let (&length, row) = element.shape().split_first().ok_or_else(scalar)?;
            let fits = known.dim(0).is_none_or(|size| size == length);
            let merged = rows.merge(&PartialShape::from(row)).filter(|_| fits);
            rows = merged.ok_or_else(|| {
                Error::invalid_argument(format!(
                    "element {place} of shape {} cannot be joined with elements of shape {}",
                    element.shape(),
                    PartialShape::from([known.dim(0)]).concat(&rows)
                ))
            })?;
            common = match common {
                None => Some(Some(length)),
                Some(other) => Some(other.filter(|&other| other == length)),
            };
        }
        let rest = rows.to_shape().ok_or_else(|| {
            let text = format!("the shape of the rows of the list's elements is not fully known: {rows}");
            Error::invalid_argument(text)
        })?;
        Ok((known.dim(0).or(common.flatten()), rest))
    }

    /// Returns the element of an index, or none if it was not set.
    fn at(&self, index: i64) -> Result<&Option<Tensor>> {
        let size = self.elements.len();
        let place = usize::try_from(index).ok().and_then(|place| self.elements.get(place));
        place.ok_or_else(|| {
            let text = format!("Trying to access element {index} in a list with {size} elements");
            Error::invalid_argument(text)
        })
    }

    /// Returns an element; zeros for one that was not set.
    ///
    /// `declared` is the shape that the operation requests; it only matters for an element that was not set.
    fn get(&self, index: i64, declared: &PartialShape) -> Result<Tensor> {
        match self.at(index)? {
            Some(element) => Ok(element.clone()),
            None => Ok(Tensor::zeros(self.dtype, self.full_shape(declared)?)?),
        }
    }
}

/// Returns the shape of elements, all of whose sizes must be known.
fn full(known: &PartialShape) -> Result<Shape> {
    known.to_shape().ok_or_else(|| {
        Error::invalid_argument(format!("the shape of the list's elements is not fully known: {known}"))
    })
}

/// Returns a shape, merged with that of an element.
fn merged(known: &PartialShape, element: &Tensor) -> Result<PartialShape> {
    known.merge(&PartialShape::from(element.shape())).ok_or_else(|| {
        Error::invalid_argument(format!("an element of shape {} where {known} is expected", element.shape()))
    })
}

/// Returns the element of the index in input 1. It shares the list's memory.
fn get_item(context: &mut KernelContext<'_>, dtype: DType) -> Result<()> {
    let item = list_of(context, dtype)?.get(context.int(1)?, &declared_shape(context, 2)?)?;
    context.set(0, item);
    Ok(())
}

/// Stacks all elements, unset ones as zeros. `expected` is the number of elements that the attribute
/// `num_elements` requires, if it does.
fn stack(context: &mut KernelContext<'_>, dtype: DType, expected: Option<usize>) -> Result<()> {
    let declared = declared_shape(context, 1)?;
    let list = list_of(context, dtype)?;
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

/// Stacks the elements of the indices in input 1, in their order. An index may occur several times. Elements
/// that are not gathered may have other shapes.
fn gather(context: &mut KernelContext<'_>, dtype: DType) -> Result<()> {
    let (indices, declared) = (context.ints(1)?, declared_shape(context, 2)?);
    let list = list_of(context, dtype)?;
    let elements = memory::try_collected(indices.iter().map(|&index| list.at(index).cloned()))?;
    let mut known = list.declared(&declared)?;
    // The shape of a variant is not that of what it holds.
    if dtype != DType::Variant {
        known = elements.iter().flatten().try_fold(known, |known, element| merged(&known, element))?;
    }
    let value = stacked(context, list.dtype, &elements, &full(&known)?)?;
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
fn pop_back(context: &mut KernelContext<'_>, dtype: DType) -> Result<()> {
    let declared = declared_shape(context, 1)?;
    let mut list = take(context, 0)?;
    list.check_dtype(dtype)?;
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
    let (dtype, shape) = (context.input(0).dtype(), declared_shape(context, 2)?);
    check_rows(context.input(0), &shape)?;
    let (rows, indices) = (unstacked(context.input(0))?, context.ints(1)?);
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
/// of unset elements are an input, by the places of the elements; the first version has none, and then some
/// element must be set.
fn make_concat(spec: &NodeSpec<'_>, by_input: bool) -> Result<Box<dyn crate::kernel::Kernel>> {
    let dtype = spec.dtype("element_dtype")?;
    let attr = spec.operation.attr("element_shape").and_then(|shape| shape.as_shape()).cloned();
    Ok(boxed(move |context| {
        let declared = if by_input { declared_shape(context, 1)? } else { attr.clone().unwrap_or_default() };
        let lengths = if by_input { context.ints(2)? } else { Vec::new() };
        let list = list_of(context, dtype)?;
        let is_unset = list.elements.iter().all(Option::is_none);
        if !by_input && is_unset && !list.elements.is_empty() {
            let text = "TensorListConcat cannot join a list of unset elements; TensorListConcatV2 can";
            return Err(Error::invalid_argument(text));
        }
        let (first, rest) = list.shape_of_parts(&declared)?;
        let mut parts = memory::reserve(list.elements.len())?;
        for (place, element) in list.elements.iter().enumerate() {
            parts.push(match element {
                Some(element) => element.clone(),
                None => {
                    let length = lengths.get(place).copied().map(count).transpose()?.or(first);
                    let length = length.ok_or_else(|| {
                        Error::invalid_argument(format!(
                            "element {place} of the list was not set, and leading_dims has only {} elements",
                            lengths.len()
                        ))
                    })?;
                    let shape: Shape = std::iter::once(length).chain(rest.iter().copied()).collect();
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
