//! Elements in another order, repeated, or padded.
//!
//! # Semantics
//!
//! - `Transpose` takes a permutation of all axes. `ConjugateTranspose` conjugates complex numbers as well.
//! - `Tile` repeats the tensor along each axis; 0 repetitions make an empty tensor.
//! - `Pad` surrounds with zeros, `PadV2` with a given value. Both take pairs of counts, which must not be
//!   negative.
//! - `ReverseV2` takes a list of axes, each at most once.
//! - `InvertPermutation` requires each number from 0 on exactly once.
//!
//! Negative axes count from the end. Permutations, counts and axes are inputs and are checked in each run;
//! violations are `InvalidArgument`. All dtypes are moved by their bits, except that `ConjugateTranspose`
//! changes complex numbers afterwards.
//!
//! The loops are in `compute::elementwise::layout`. `Transpose` and `ReverseV2` divide the output among the
//! threads of the pool; `Tile` and `Pad` run on the calling thread. A transpose that moves no axis shares its
//! input. Tensors may have any number of axes.
//!
//! Sizes of results are checked for overflow before memory is allocated, since repetitions and paddings may
//! come from a feed.

use crate::kernel::KernelContext;
use crate::kernels::Moved;
use crate::kernels::math::{axis, boxed, conjugated};
use crate::registry::Registry;
use compute::elementwise::layout::{self, StridedRegion};
use session_core::{Error, Result};
use tensor::{Element, Shape};

/// Registers the op types, one instantiation for each width of an element.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("Transpose", |spec| for_dtype!(moved spec.input_dtype(0), T => Ok(boxed(transpose::<T>))));
    registry.add("ConjugateTranspose", |spec| {
        for_dtype!(moved spec.input_dtype(0), T => Ok(boxed(|context| {
            transpose::<T>(context)?;
            if let Some(transposed) = context.take_output(0) {
                // In place where the transposed tensor has no other owner. Dtypes that are not complex come
                // back as they are.
                let conjugates = conjugated(context, transposed)?;
                context.set(0, conjugates);
            }
            Ok(())
        })))
    });
    registry.add("Tile", |spec| for_dtype!(moved spec.input_dtype(0), T => Ok(boxed(tile::<T>))));
    registry.add(
        "Pad",
        |spec| for_dtype!(moved spec.input_dtype(0), T => Ok(boxed(|context| pad::<T>(context, false)))),
    );
    registry.add(
        "PadV2",
        |spec| for_dtype!(moved spec.input_dtype(0), T => Ok(boxed(|context| pad::<T>(context, true)))),
    );
    registry.add("ReverseV2", |spec| for_dtype!(moved spec.input_dtype(0), T => Ok(boxed(reverse::<T>))));
    registry.add(
        "InvertPermutation",
        |spec| for_dtype!(index spec.input_dtype(0), T => Ok(boxed(invert_permutation::<T>))),
    );
}

/// Delivers input 0 with its axes in the order of input 1: axis `i` of the result is axis `perm[i]` of the
/// input.
fn transpose<T: Moved>(context: &mut KernelContext<'_>) -> Result<()> {
    let dtype = context.input(0).dtype();
    let shape = context.input(0).shape().clone();
    let rank = shape.rank();
    let order = context.ints(1)?.into_iter().map(|at| axis(at, rank)).collect::<Result<Vec<_>>>()?;
    let mut seen = vec![false; rank];
    order.iter().for_each(|&at| seen[at] = true);
    if order.len() != rank || seen.contains(&false) {
        return Err(Error::invalid_argument(format!("{order:?} is not a permutation of {rank} dimensions")));
    }
    // Nothing moves, so the input is shared.
    if order.iter().enumerate().all(|(i, &at)| i == at) {
        let value = context.take(0);
        context.set(0, value);
        return Ok(());
    }
    let output: Shape = order.iter().map(|&at| shape[at]).collect();
    context.produce_moved::<T>(0, dtype, output, |context, output| {
        layout::transpose(context.pool(), &shape, &order, context.moved::<T>(0)?, output);
        Ok(())
    })
}

/// Delivers `y` with `y[x[i]] = i`; `[2, 0, 1]` gives `[1, 2, 0]`. A number that is negative, too large or
/// repeated is `InvalidArgument`.
fn invert_permutation<T: Element + TryInto<usize> + TryFrom<usize>>(
    context: &mut KernelContext<'_>,
) -> Result<()> {
    let input = context.input(0).clone();
    let values = input.as_slice::<T>()?;
    let wrong = || Error::invalid_argument("the input is not a permutation");
    let mut inverse = vec![None; values.len()];
    for (place, &value) in values.iter().enumerate() {
        let value: usize = value.try_into().map_err(|_| wrong())?;
        let slot = inverse.get_mut(value).ok_or_else(wrong)?;
        *slot = T::try_from(place).ok();
    }
    // A place that is still empty means that another number occurred twice.
    let inverse: Option<Vec<T>> = inverse.into_iter().collect();
    context.set(0, tensor::Tensor::from(inverse.ok_or_else(wrong)?));
    Ok(())
}

/// Delivers input 0 repeated `multiples[i]` times (input 1) along each axis `i`.
///
/// The loop writes each repetition once from the input and copies it for the others, so the cost is that of
/// the result's size.
fn tile<T: Moved>(context: &mut KernelContext<'_>) -> Result<()> {
    let dtype = context.input(0).dtype();
    let shape = context.input(0).shape().clone();
    let repeats = super::slice::non_negative(&context.ints(1)?, "multiples")?;
    if repeats.len() != shape.rank() {
        let text = format!(
            "Expected multiples argument to be a vector of length {}, got {}",
            shape.rank(),
            repeats.len()
        );
        return Err(Error::invalid_argument(text));
    }
    let dims: Option<Shape> =
        shape.iter().zip(&repeats).map(|(&dim, &times)| dim.checked_mul(times)).collect();
    let dims = dims.ok_or_else(|| Error::invalid_argument("the repeated tensor is too large"))?;
    context.produce_moved::<T>(0, dtype, dims, |context, output| {
        layout::tile(&shape, &repeats, context.moved::<T>(0)?, output);
        Ok(())
    })
}

/// Delivers input 0 surrounded by zeros, or by the scalar in input 2 if `with_value` is true.
///
/// Input 1 has the shape `[rank, 2]`: the counts before and after each axis. For strings, the padding is the
/// empty string.
fn pad<T: Moved>(context: &mut KernelContext<'_>, with_value: bool) -> Result<()> {
    let dtype = context.input(0).dtype();
    let shape = context.input(0).shape().clone();
    let pads = super::slice::non_negative(&context.ints(1)?, "paddings")?;
    if context.input(1).shape().dims() != [shape.rank(), 2] {
        let text = format!("paddings must be [{}, 2]: {}", shape.rank(), context.input(1).shape());
        return Err(Error::invalid_argument(text));
    }
    let value = if with_value { context.moved_value::<T>(2)? } else { T::default() };
    let before: Vec<usize> = pads.iter().step_by(2).copied().collect();
    let after: Vec<usize> = pads.iter().skip(1).step_by(2).copied().collect();
    let padded = |i: usize| before[i].checked_add(shape[i])?.checked_add(after[i]);
    let dims: Option<Shape> = (0..shape.rank()).map(padded).collect();
    let dims = dims.ok_or_else(|| Error::invalid_argument("the padded tensor is too large"))?;
    context.produce_moved::<T>(0, dtype, dims, |context, output| {
        layout::pad(&shape, &before, &after, &value, context.moved::<T>(0)?, output);
        Ok(())
    })
}

/// Delivers input 0 with the elements along the axes in input 1 in reverse order. An axis that is listed
/// twice is `InvalidArgument`.
fn reverse<T: Moved>(context: &mut KernelContext<'_>) -> Result<()> {
    let dtype = context.input(0).dtype();
    let shape = context.input(0).shape().clone();
    let axes = context.ints(1)?.into_iter().map(|at| axis(at, shape.rank())).collect::<Result<Vec<_>>>()?;
    if let Some(twice) = (1..axes.len()).find(|&i| axes[..i].contains(&axes[i])) {
        return Err(Error::invalid_argument(format!("axis {} specified more than once", axes[twice])));
    }
    let backwards = |i: usize| axes.contains(&i) && shape[i] > 0;
    // A region that starts at the last element and has a stride of -1. An axis without elements has no last
    // one.
    let begin: Vec<usize> = (0..shape.rank()).map(|i| if backwards(i) { shape[i] - 1 } else { 0 }).collect();
    let strides: Vec<isize> = (0..shape.rank()).map(|i| if backwards(i) { -1 } else { 1 }).collect();
    context.produce_moved::<T>(0, dtype, shape.clone(), |context, output| {
        let region = StridedRegion { shape: &shape, begin: &begin, strides: &strides, sizes: &shape };
        layout::strided_slice(context.pool(), region, context.moved::<T>(0)?, output);
        Ok(())
    })
}
