//! Slices chosen by whole coordinates.
//!
//! # Semantics
//!
//! The last axis of `indices` holds coordinates into the first axes of the tensor; what remains of the tensor's shape
//! is a slice. `GatherNd` reads slices, the others write them.
//!
//! - An index out of range is an error that names its position among the indices, as on TensorFlow's CPU kernels.
//! - `ScatterNd` begins with zeros and adds slices with equal coordinates.
//! - `TensorScatterUpdate` with equal coordinates keeps the last slice, in the order of the indices. The variants
//!   `Add`, `Sub`, `Min` and `Max` combine them.
//! - Updates happen in the order of the indices, so the bits do not depend on the number of threads.

use super::arrange::arrange;
use crate::dispatch::check_number;
use crate::kernel::{KernelContext, integers};
use crate::kernels::Moved;
use crate::kernels::math::boxed;
use crate::kernels::random::shape as shape_input;
use crate::registry::Registry;
use compute::elementwise::layout;
use session_core::{Error, Result};
use tensor::{Bytes, DType, Element, Shape, Tensor, memory};

pub(crate) fn register(registry: &mut Registry) {
    registry.add("GatherNd", |_| {
        Ok(boxed(|context| {
            let params = context.input(0).clone();
            gather_nd(context, &params)
        }))
    });
    registry
        .add("ResourceGatherNd", |_| {
            Ok(boxed(|context| {
                let params = crate::kernels::state::variable(context, 0)?.read()?;
                gather_nd(context, &params)
            }))
        })
        .reads();
    registry.add("ScatterNd", |spec| match spec.input_dtype(1) {
        // Where two updates meet, a truth value holds if one of them does, and strings are joined.
        DType::Bool => Ok(boxed(|context| scatter_moved::<u8>(context, |to, from| *to |= from))),
        DType::String => Ok(boxed(|context| scatter_moved::<Bytes>(context, append))),
        dtype => check_number(dtype).map(|()| boxed(scatter_nd)),
    });
    for op_type in ["TensorScatterAdd", "ScatterNdNonAliasingAdd"] {
        registry.add(op_type, |spec| match spec.input_dtype(0) {
            // The sum of truth values holds if one of them does.
            DType::Bool => Ok(boxed(|context| tensor_scatter::<bool>(context, |kept, update| kept | update))),
            dtype => for_dtype!(number dtype, T => Ok(boxed(tensor_scatter_add::<T>))),
        });
    }
    registry.add("TensorScatterSub", |spec| {
        let dtype = spec.input_dtype(0);
        if dtype.is_integer() {
            return for_dtype!(@arms dtype, T => Ok(boxed(|context| tensor_scatter::<T>(context, T::wrapping_sub))),
                Int8: i8, Int16: i16, Int32: i32, Int64: i64, UInt8: u8, UInt16: u16, UInt32: u32, UInt64: u64);
        }
        for_dtype!(float dtype, T => {
            Ok(boxed(|context| tensor_scatter::<T>(context, |kept, update| kept - update)))
        })
    });
    registry.add("TensorScatterMin", |spec| {
        for_dtype!(real spec.input_dtype(0), T => {
            let least = |kept: T, update: T| if update < kept { update } else { kept };
            Ok(boxed(move |context| tensor_scatter::<T>(context, least)))
        })
    });
    registry.add("TensorScatterMax", |spec| {
        for_dtype!(real spec.input_dtype(0), T => {
            let largest = |kept: T, update: T| if update > kept { update } else { kept };
            Ok(boxed(move |context| tensor_scatter::<T>(context, largest)))
        })
    });
    registry.add("TensorScatterUpdate", |_| Ok(boxed(tensor_scatter_update)));
}

/// Coordinates into an array, as rows of it.
pub(crate) struct Rows {
    /// The row of each coordinate.
    pub(crate) rows: Vec<usize>,
    /// The leading dimensions that coordinates count.
    pub(crate) dims: Vec<usize>,
    /// The number of elements in a row.
    pub(crate) width: usize,
    /// The shape of what the coordinates name.
    pub(crate) shape: Shape,
}

impl Rows {
    /// Returns the rows as an index dtype.
    pub(crate) fn numbers(&self) -> Result<Vec<i64>> {
        Ok(memory::collected(self.rows.iter().map(|&row| row as i64))?)
    }
}

/// Returns the elements or slices that `indices`, whose last axis holds coordinates, select in an array of
/// shape `target`.
pub(crate) fn rows(indices: &Tensor, target: &Shape) -> Result<Rows> {
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
    if target.elements() == 0 {
        return match indices.elements() {
            0 => Ok(Rows { rows: Vec::new(), dims, width, shape }),
            _ => Err(no_elements(indices.shape(), target)),
        };
    }
    let count: usize = outer.iter().product();
    let values = integers(indices)?;
    let mut rows = memory::reserve(count)?;
    for i in 0..count {
        let coordinates = &values[i * depth..(i + 1) * depth];
        let mut at = Some(0);
        for (&index, &size) in coordinates.iter().zip(&dims) {
            let index = usize::try_from(index).ok().filter(|&index| index < size);
            at = at.zip(index).map(|(at, index)| at * size + index);
        }
        rows.push(at.ok_or_else(|| {
            Error::invalid_argument(format!(
                "indices[{i}] = {coordinates:?} does not index into shape {target}"
            ))
        })?);
    }
    Ok(Rows { rows, dims, width, shape })
}

fn no_elements(indices: &Shape, target: &Shape) -> Error {
    Error::invalid_argument(format!(
        "indices of shape {indices} select from the shape {target}, which has no elements"
    ))
}

fn gather_nd(context: &mut KernelContext<'_>, params: &Tensor) -> Result<()> {
    let indices = context.input(1);
    let Rows { rows, width, shape, .. } = rows(indices, params.shape())?;
    // Of no elements, none can be selected, not even all of them.
    if params.elements() == 0 && indices.shape().iter().rev().skip(1).all(|&size| size > 0) {
        return Err(no_elements(indices.shape(), params.shape()));
    }
    let picked = arrange(context, &[params], shape, width, &|i| Some((0, rows[i])), None)?;
    context.set(0, picked);
    Ok(())
}

/// Refuses updates of another shape than what the indices name.
pub(crate) fn check_updates(named: &Shape, updates: &Shape) -> Result<()> {
    if named == updates {
        return Ok(());
    }
    Err(Error::invalid_argument(format!(
        "updates must have the shape {named} that indices name, not {updates}"
    )))
}

fn scatter_nd(context: &mut KernelContext<'_>) -> Result<()> {
    let (shape, dtype) = (shape_input(context, 2)?, context.input(1).dtype());
    let named = rows(context.input(0), &shape)?;
    check_updates(&named.shape, context.input(1).shape())?;
    let (rows, count) = (named.numbers()?, named.dims.iter().product());
    context.produce_values(0, dtype, shape, &|context, output| {
        layout::scatter_values(count, named.width, output, &rows, context.values(1)?)
            .map_err(super::index::outside)
    })
}

fn scatter_moved<T: Moved>(context: &mut KernelContext<'_>, add: fn(&mut T, &T)) -> Result<()> {
    let shape = shape_input(context, 2)?;
    let named = rows(context.input(0), &shape)?;
    check_updates(&named.shape, context.input(1).shape())?;
    let dtype = context.input(1).dtype();
    context.produce_moved::<T>(0, dtype, shape, |context, output| {
        output.fill(T::default());
        let updates = context.moved::<T>(1)?.chunks_exact(named.width.max(1));
        for (&row, update) in named.rows.iter().zip(updates) {
            let slice = &mut output[row * named.width..][..named.width];
            slice.iter_mut().zip(update).for_each(|(to, from)| add(to, from));
        }
        Ok(())
    })
}

fn append(to: &mut Bytes, more: &Bytes) {
    *to = if to.is_empty() { more.clone() } else { [to.as_ref(), more.as_ref()].concat().into() };
}

fn add_rows<T: Element + compute::elementwise::Element>(
    named: &Rows,
    data: &mut [T],
    updates: &[T],
) -> Result<()> {
    let count = named.dims.iter().product();
    layout::scatter_nd(&[count], named.width, data, &named.numbers()?, updates).map_err(super::index::outside)
}

fn tensor_scatter_add<T: Element + compute::elementwise::Element>(
    context: &mut KernelContext<'_>,
) -> Result<()> {
    let named = rows(context.input(1), context.input(0).shape())?;
    check_updates(&named.shape, context.input(2).shape())?;
    let mut data = context.take(0);
    add_rows(&named, data.make_mut::<T>(context.buffers())?, context.slice(2)?)?;
    context.set(0, data);
    Ok(())
}

/// Combines each element of the slices that are named with those of the updates, one after the other.
fn tensor_scatter<T: Element>(context: &mut KernelContext<'_>, combine: fn(T, T) -> T) -> Result<()> {
    let named = rows(context.input(1), context.input(0).shape())?;
    check_updates(&named.shape, context.input(2).shape())?;
    let mut data = context.take(0);
    let elements = data.make_mut::<T>(context.buffers())?;
    let (updates, width) = (context.slice::<T>(2)?, named.width);
    for (&row, update) in named.rows.iter().zip(updates.chunks_exact(width.max(1))) {
        let slice = &mut elements[row * width..][..width];
        slice.iter_mut().zip(update).for_each(|(to, &from)| *to = combine(*to, from));
    }
    context.set(0, data);
    Ok(())
}

fn tensor_scatter_update(context: &mut KernelContext<'_>) -> Result<()> {
    let data = context.input(0).clone();
    let updated = updated(context, &data, 1, 2)?;
    context.set(0, updated);
    Ok(())
}

/// `data` with the slices that input `indices` names overwritten by those of input `updates`; the last update of a
/// slice stays.
pub(crate) fn updated(
    context: &KernelContext<'_>,
    data: &Tensor,
    indices: usize,
    updates: usize,
) -> Result<Tensor> {
    let named = rows(context.input(indices), data.shape())?;
    let updates = context.input(updates);
    check_updates(&named.shape, updates.shape())?;
    if named.width == 0 || named.rows.is_empty() {
        return Ok(data.clone());
    }
    let mut places = memory::collected((0..named.dims.iter().product()).map(|row| (0, row)))?;
    for (i, &row) in named.rows.iter().enumerate() {
        places[row] = (1, i);
    }
    let shape = data.shape().clone();
    arrange(context, &[data, updates], shape, named.width, &|row| Some(places[row]), None)
}
