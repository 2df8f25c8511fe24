//! Slices chosen by whole coordinates.
//!
//! # Semantics
//!
//! The last axis of `indices` holds coordinates into the first axes of the tensor; what remains of the
//! tensor's shape is a slice. `GatherNd` reads slices, the others write them.
//!
//! - An index out of range is an error that names its position among the indices, as on TensorFlow's CPU
//!   kernels, unless the attribute `bad_indices_policy` is `IGNORE`: then such an index gathers zeros (or the
//!   empty string), and its update is left out.
//! - `ScatterNd` begins with zeros and adds slices with equal coordinates.
//! - `TensorScatterUpdate` with equal coordinates keeps the last slice, in the order of the indices. The
//!   variants `Add`, `Sub`, `Min` and `Max` combine them.
//! - Updates happen in the order of the indices, so the bits do not depend on the number of threads.
//!
//! The depth of the coordinates, the size of the last axis of `indices`, may be 0 to the rank of the tensor:
//! with 0 each coordinate selects the whole tensor, with the full rank single elements. Indices count from 0;
//! negative ones are errors and do not count from the end. `indices` is `int16`, `int32` or `int64`, as the
//! definition of each op type allows.
//!
//! All op types convert coordinates to row numbers first (`rows`), so that a step which fails on an index has
//! not written anything. `TensorScatterAdd`, `Sub`, `Min` and `Max` write in place if the tensor is at its
//! last use and nobody else holds it, and otherwise into a copy. An empty tensor accepts no coordinates, only
//! empty indices.
//!
//! `TensorScatterMin` and `TensorScatterMax` keep the old element if one of the two is NaN, because every
//! comparison with NaN is false. Integers wrap on overflow. `ScatterNd` of `bool` is a logical or and that of
//! strings concatenates in the order of the indices, as in TensorFlow.
//!
//! The work is one addition or copy per element on the calling thread: parallel updates would need an order
//! for equal coordinates.
//!
//! # Examples
//!
//! ```text
//! GatherNd             [[1, 2], [3, 4]] at [[1, 0], [0, 1]]      -> [3, 2]
//! GatherNd             the same at [[1], [7]]                    -> an error; [[3, 4], [0, 0]] if IGNORE
//! ScatterNd            [[0], [2], [0]], [1, 2, 3], shape [4]     -> [4, 0, 2, 0]
//! TensorScatterUpdate  [1, 2, 3] at [[0], [0]], [8, 9]           -> [9, 2, 3]
//! TensorScatterMax     [1, 2, 3] at [[0], [1]], [5, 0]           -> [5, 2, 3]
//! ```

use super::arrange::arrange;
use crate::dispatch::check_number;
use crate::kernel::{Kernel, KernelContext, NodeSpec, integers, values};
use crate::kernels::Moved;
use crate::kernels::math::boxed;
use crate::kernels::random::shape as shape_input;
use crate::registry::Registry;
use compute::elementwise::layout;
use session_core::{Error, Result};
use tensor::{Bytes, DType, Element, Shape, Tensor, memory};

/// Registers the op types. `ResourceGatherNd` only reads its variable, so that the schedule may place it
/// before updates of the same step.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("GatherNd", |spec| {
        let bad = BadIndices::of(spec)?;
        Ok(boxed(move |context| {
            // A clone shares the elements; it ends the borrow of the context that `gather_nd` needs.
            let params = context.input(0).clone();
            gather_nd(context, &params, bad)
        }))
    });
    registry
        .add("ResourceGatherNd", |_| {
            Ok(boxed(|context| {
                let params = crate::kernels::state::variable(context, 0)?.read()?;
                gather_nd(context, &params, BadIndices::Refused)
            }))
        })
        .reads();
    registry.add("ScatterNd", |spec| {
        let bad = BadIndices::of(spec)?;
        match spec.input_dtype(1) {
            // Where two updates meet, a truth value holds if one of them does, and strings are joined.
            DType::Bool => {
                Ok(boxed(move |context| scatter_moved::<u8>(context, bad, |to, from| *to |= from)))
            }
            DType::String => Ok(boxed(move |context| scatter_moved::<Bytes>(context, bad, append))),
            dtype => check_number(dtype).map(|()| boxed(move |context| scatter_nd(context, bad))),
        }
    });
    for op_type in ["TensorScatterAdd", "ScatterNdNonAliasingAdd"] {
        registry.add(op_type, |spec| match spec.input_dtype(0) {
            // The sum of truth values holds if one of them does.
            DType::Bool => combined::<bool>(spec, |kept, update| kept | update),
            dtype => {
                let bad = BadIndices::of(spec)?;
                for_dtype!(number dtype, T => {
                    Ok(boxed(move |context| tensor_scatter_add::<T>(context, bad)))
                })
            }
        });
    }
    registry.add("TensorScatterSub", |spec| {
        let dtype = spec.input_dtype(0);
        if dtype.is_integer() {
            // Differences wrap as in TensorFlow; `kept - update` would panic in builds with overflow checks.
            return for_dtype!(@arms dtype, T => combined::<T>(spec, T::wrapping_sub),
                Int8: i8, Int16: i16, Int32: i32, Int64: i64, UInt8: u8, UInt16: u16, UInt32: u32, UInt64: u64);
        }
        if dtype.is_complex() {
            return for_dtype!(complex dtype, T => combined::<T>(spec, |kept, update| kept - update));
        }
        for_dtype!(float dtype, T => combined::<T>(spec, |kept, update| kept - update))
    });
    registry.add("TensorScatterMin", |spec| {
        // A comparison, not `min`: an update that is NaN leaves the element as it is.
        for_dtype!(real spec.input_dtype(0), T => {
            combined::<T>(spec, |kept, update| if update < kept { update } else { kept })
        })
    });
    registry.add("TensorScatterMax", |spec| {
        for_dtype!(real spec.input_dtype(0), T => {
            combined::<T>(spec, |kept, update| if update > kept { update } else { kept })
        })
    });
    registry.add("TensorScatterUpdate", |spec| {
        let bad = BadIndices::of(spec)?;
        Ok(boxed(move |context| tensor_scatter_update(context, bad)))
    });
}

/// The attribute `bad_indices_policy`: what becomes of an index that is out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadIndices {
    /// It is an error of the step: `ERROR`, and what `DEFAULT` and the empty string mean without a GPU.
    Refused,
    /// It gathers zeros, and its update is left out: `IGNORE`.
    Skipped,
}

impl BadIndices {
    /// Returns the policy of an operation; a name that TensorFlow does not know is `InvalidArgument`.
    pub(crate) fn of(spec: &NodeSpec<'_>) -> Result<BadIndices> {
        match spec.str("bad_indices_policy")? {
            "" | "DEFAULT" | "ERROR" => Ok(BadIndices::Refused),
            "IGNORE" => Ok(BadIndices::Skipped),
            other => Err(Error::invalid_argument(format!(
                "bad_indices_policy is {other:?}, but must be DEFAULT, ERROR or IGNORE"
            ))),
        }
    }
}

/// Returns the kernel that merges updates into input 0 by `combine`; see [`tensor_scatter`].
fn combined<T: Element>(spec: &NodeSpec<'_>, combine: fn(T, T) -> T) -> Result<Box<dyn Kernel>> {
    let bad = BadIndices::of(spec)?;
    Ok(boxed(move |context| tensor_scatter::<T>(context, bad, combine)))
}

/// Coordinates into an array, as rows of it.
///
/// With an array of shape `[2, 3, 4]`, the coordinates `[[1, 2], [0, 0]]` are the rows `[5, 0]` of `width` 4;
/// `dims` is `[2, 3]`, `shape` `[2, 4]`.
pub(crate) struct Rows {
    /// The row of each coordinate that is not skipped. Each is less than the product of `dims`. Equal
    /// coordinates are equal rows; the order is that of the indices.
    pub(crate) rows: Vec<usize>,
    /// The positions of the coordinates that are not skipped, if some are: `rows[i]` is that of coordinate
    /// `kept[i]`.
    kept: Option<Vec<usize>>,
    /// The leading dimensions that coordinates count.
    pub(crate) dims: Vec<usize>,
    /// The number of elements in a row. It is 1 for coordinates of single elements, and 0 if a dimension of
    /// the slice is 0.
    pub(crate) width: usize,
    /// The shape of what the coordinates name. That is the shape of the indices without its last axis,
    /// followed by the dimensions that coordinates do not count.
    pub(crate) shape: Shape,
}

impl Rows {
    /// Returns rows of the first axis, of which there are `size` with the shape `row`.
    ///
    /// `shape` is that of the indices and then of a row.
    pub(crate) fn of_first_axis(rows: Vec<usize>, size: usize, row: &[usize], shape: Shape) -> Rows {
        Rows { rows, kept: None, dims: vec![size], width: row.iter().product(), shape }
    }

    /// Returns the updates for the rows, from an input that has one for each index.
    ///
    /// # Errors
    /// `InvalidArgument` if the input has another shape than what the indices name: updates are not broadcast,
    /// as they are in the `Scatter*` family of variables.
    pub(crate) fn updates(&self, context: &KernelContext<'_>, input: usize) -> Result<Tensor> {
        let updates = context.input(input);
        check_updates(&self.shape, updates.shape())?;
        let Some(kept) = &self.kept else {
            return Ok(updates.clone());
        };
        let shape = Shape::from([kept.len(), self.width]);
        arrange(context, &[updates], shape, self.width, &|i| Some((0, kept[i])), None)
    }

    /// Returns the rows as an index dtype.
    ///
    /// The loops in `compute` check indices themselves and therefore want signed ones; these pass the check
    /// by construction.
    pub(crate) fn numbers(&self) -> Result<Vec<i64>> {
        Ok(memory::collected(self.rows.iter().map(|&row| row as i64))?)
    }
}

/// Returns the elements or slices that `indices`, whose last axis holds coordinates, select in an array of
/// shape `target`.
///
/// `target` may come from an input of the graph, so its number of elements is checked for overflow before
/// anything is multiplied.
///
/// # Errors
/// `InvalidArgument` if `indices` is a scalar, if its last axis is longer than the rank of `target`, if a
/// coordinate is out of range (the message has the position of the coordinate and its numbers) and `bad` does
/// not skip it, or if `target` has no elements although there are indices.
pub(crate) fn rows(indices: &Tensor, target: &Shape, bad: BadIndices) -> Result<Rows> {
    let Some((&depth, outer)) = indices.shape().split_last() else {
        return Err(Error::invalid_argument("indices must be at least a vector"));
    };
    if depth > target.rank() {
        let text = format!(
            "index innermost dimension length must be <= params rank; saw: {depth} vs. {}",
            target.rank()
        );
        return Err(Error::invalid_argument(text));
    }
    if target.checked_elements().is_none() {
        return Err(Error::invalid_argument(format!("no tensor is as large as the shape {target}")));
    }
    let (dims, row) = target.split_at(depth);
    let shape = outer.iter().chain(row).copied().collect();
    let (dims, width) = (dims.to_vec(), row.iter().product());
    // A target without elements has no rows to name, whatever their numbers would be.
    if target.elements() == 0 {
        return match indices.elements() {
            0 => Ok(Rows { rows: Vec::new(), kept: None, dims, width, shape }),
            _ => Err(no_elements(indices.shape(), target)),
        };
    }
    let count: usize = outer.iter().product();
    let numbers = integers(indices)?;
    let mut rows = memory::reserve(count)?;
    let mut kept: Option<Vec<usize>> = None;
    for i in 0..count {
        let coordinates = &numbers[i * depth..(i + 1) * depth];
        // `None` after the first index that is out of range; the error below shows the coordinate as a whole.
        let mut at = Some(0);
        for (&index, &size) in coordinates.iter().zip(&dims) {
            let index = usize::try_from(index).ok().filter(|&index| index < size);
            at = at.zip(index).map(|(at, index)| at * size + index);
        }
        match at {
            Some(row) => {
                rows.push(row);
                if let Some(kept) = &mut kept {
                    kept.push(i);
                }
            }
            // Up to the first that is skipped, all have been kept.
            None if bad == BadIndices::Skipped => {
                kept.get_or_insert_with(|| (0..i).collect());
            }
            None => {
                return Err(Error::invalid_argument(format!(
                    "indices[{i}] = {coordinates:?} does not index into shape {target}"
                )));
            }
        }
    }
    Ok(Rows { rows, kept, dims, width, shape })
}

/// Returns the error for indices into an array without elements, where even a valid row has nothing to read
/// or write.
fn no_elements(indices: &Shape, target: &Shape) -> Error {
    Error::invalid_argument(format!(
        "indices of shape {indices} select from the shape {target}, which has no elements"
    ))
}

/// Delivers the slices of `params` at the coordinates in input 1: the shape of the indices without its last
/// axis, then the shape of a slice.
fn gather_nd(context: &mut KernelContext<'_>, params: &Tensor, bad: BadIndices) -> Result<()> {
    let indices = context.input(1);
    let Rows { rows, kept, width, shape, .. } = rows(indices, params.shape(), bad)?;
    // Of no elements, none can be selected, not even all of them.
    if params.elements() == 0 && indices.shape().iter().rev().skip(1).all(|&size| size > 0) {
        return Err(no_elements(indices.shape(), params.shape()));
    }
    // A row is a slice, so a gather of whole rows costs one copy each.
    let place = |i| match &kept {
        None => Some((0, rows[i])),
        Some(kept) => kept.binary_search(&i).ok().map(|at| (0, rows[at])),
    };
    let picked = arrange(context, &[params], shape, width, &place, None)?;
    context.set(0, picked);
    Ok(())
}

/// Refuses updates of another shape than what the indices name.
///
/// `named` is [`Rows::shape`]. The shapes must be equal; updates are not broadcast, as they are in the
/// `Scatter*` family of variables.
pub(crate) fn check_updates(named: &Shape, updates: &Shape) -> Result<()> {
    if named == updates {
        return Ok(());
    }
    Err(Error::invalid_argument(format!(
        "updates must have the shape {named} that indices name, not {updates}"
    )))
}

/// Delivers zeros of the shape in input 2 with the updates in input 1 added at the coordinates in input 0,
/// for numeric dtypes.
///
/// Additions are in the order of the indices and in the dtype itself, so `float16` sums round after each
/// addition.
fn scatter_nd(context: &mut KernelContext<'_>, bad: BadIndices) -> Result<()> {
    let (shape, dtype) = (shape_input(context, 2)?, context.input(1).dtype());
    let named = rows(context.input(0), &shape, bad)?;
    let updates = named.updates(context, 1)?;
    let (rows, count) = (named.numbers()?, named.dims.iter().product());
    context.produce_values(0, dtype, shape, &|_, output| {
        layout::scatter_values(count, named.width, output, &rows, values(&updates)?)
            .map_err(super::index::outside)
    })
}

/// Works as `scatter_nd`, for dtypes without arithmetic: `add` combines the old element with an update,
/// starting from `false` or the empty string.
fn scatter_moved<T: Moved>(
    context: &mut KernelContext<'_>,
    bad: BadIndices,
    add: fn(&mut T, &T),
) -> Result<()> {
    let shape = shape_input(context, 2)?;
    let named = rows(context.input(0), &shape, bad)?;
    let updates = named.updates(context, 1)?;
    context.produce_moved::<T>(0, updates.dtype(), shape, |_, output| {
        output.fill(T::default());
        // Slices without elements have a width of 0: then there are no chunks, and nothing is added.
        let updates = T::elements(&updates)?.chunks_exact(named.width.max(1));
        for (&row, update) in named.rows.iter().zip(updates) {
            let slice = &mut output[row * named.width..][..named.width];
            slice.iter_mut().zip(update).for_each(|(to, from)| add(to, from));
        }
        Ok(())
    })
}

/// Appends to a string. The first update shares its bytes; only a second one at the same coordinate copies.
fn append(to: &mut Bytes, more: &Bytes) {
    *to = if to.is_empty() { more.clone() } else { [to.as_ref(), more.as_ref()].concat().into() };
}

/// Adds the updates to the named rows of `data`, in the order of the indices.
///
/// The coordinates are one-dimensional here, row numbers instead of the original tuples: `rows` has
/// multiplied them out.
fn add_rows<T: Element + compute::elementwise::Element>(
    named: &Rows,
    data: &mut [T],
    updates: &[T],
) -> Result<()> {
    let count = named.dims.iter().product();
    layout::scatter_nd(&[count], named.width, data, &named.numbers()?, updates).map_err(super::index::outside)
}

/// Delivers input 0 with the updates in input 2 added at the coordinates in input 1. Used for numeric dtypes;
/// `bool` takes `tensor_scatter`.
fn tensor_scatter_add<T: Element + compute::elementwise::Element>(
    context: &mut KernelContext<'_>,
    bad: BadIndices,
) -> Result<()> {
    let named = rows(context.input(1), context.input(0).shape(), bad)?;
    let updates = named.updates(context, 2)?;
    // Taken only after all checks, so that a failing step leaves the value where it is.
    let mut data = context.take(0);
    add_rows(&named, data.make_mut::<T>(context.buffers())?, updates.as_slice()?)?;
    context.set(0, data);
    Ok(())
}

/// Combines each element of the slices that are named with those of the updates, one after the other.
///
/// `combine` gets the element as it is, including updates of earlier equal coordinates, and the update:
/// `(kept, update)`.
fn tensor_scatter<T: Element>(
    context: &mut KernelContext<'_>,
    bad: BadIndices,
    combine: fn(T, T) -> T,
) -> Result<()> {
    let named = rows(context.input(1), context.input(0).shape(), bad)?;
    let updates = named.updates(context, 2)?;
    let mut data = context.take(0);
    let elements = data.make_mut::<T>(context.buffers())?;
    let width = named.width;
    for (&row, update) in named.rows.iter().zip(updates.as_slice::<T>()?.chunks_exact(width.max(1))) {
        let slice = &mut elements[row * width..][..width];
        slice.iter_mut().zip(update).for_each(|(to, &from)| *to = combine(*to, from));
    }
    context.set(0, data);
    Ok(())
}

/// Delivers input 0 with the slices at the coordinates in input 1 replaced by those in input 2.
fn tensor_scatter_update(context: &mut KernelContext<'_>, bad: BadIndices) -> Result<()> {
    let data = context.input(0).clone();
    let updated = updated(context, &data, 1, 2, bad)?;
    context.set(0, updated);
    Ok(())
}

/// Returns `data` with the slices that input `indices` names overwritten by those of input `updates`; the
/// last update of a slice stays.
///
/// `indices` and `updates` are the numbers of the inputs. The result is a new tensor unless there is nothing
/// to write; then `data` itself is shared. It is filled in one pass that takes each row from `data` or from
/// the updates, so no row is written twice, at the price of a table with an entry per row.
pub(crate) fn updated(
    context: &KernelContext<'_>,
    data: &Tensor,
    indices: usize,
    updates: usize,
    bad: BadIndices,
) -> Result<Tensor> {
    let named = rows(context.input(indices), data.shape(), bad)?;
    let updates = named.updates(context, updates)?;
    if named.width == 0 || named.rows.is_empty() {
        return Ok(data.clone());
    }
    // Later entries overwrite earlier ones, which makes the last update win.
    let mut places = memory::collected((0..named.dims.iter().product()).map(|row| (0, row)))?;
    for (i, &row) in named.rows.iter().enumerate() {
        places[row] = (1, i);
    }
    let shape = data.shape().clone();
    arrange(context, &[data, &updates], shape, named.width, &|row| Some(places[row]), None)
}
