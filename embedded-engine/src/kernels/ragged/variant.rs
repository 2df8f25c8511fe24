//! Ragged tensors as variants: the form in which they pass through datasets, arrays and lists.
//!
//! # Semantics
//!
//! - `RaggedTensorToVariant` wraps a ragged tensor in one variant, or with `batched_input` in a vector of
//!   variants, one for each row of the outermost axis. A variant without splits may hold a scalar.
//! - `RaggedTensorFromVariant` reverses either. A tensor of variants with `d` axes adds these as `d` outer
//!   ragged axes; `output_ragged_rank` must be `input_ragged_rank + d`.
//! - `RaggedTensorToVariantGradient` puts the gradients of the rows together again, in the shape
//!   `dense_values_shape`.
//!
//! A variant shares its tensors, except that the splits of rows are recomputed to begin at 0. The values of a
//! row are a slice of all values. Variants of another kind, and dtypes or ranks other than the attributes
//! state, are `InvalidArgument`.
//!
//! ```text
//! splits [0, 2, 3], values [1, 2, 3]   ->   a variant of splits [0, 2, 3], or with batched_input
//!                                           variants of the values [1, 2] and [3], without splits
//! ```

use super::{nested, row_of};
use crate::kernel::KernelContext;
use crate::kernels::data::name;
use crate::kernels::elements::sum;
use crate::kernels::math::boxed;
use crate::kernels::variant_batch::{self, Variants};
use crate::registry::Registry;
use session_core::{Error, Result};
use std::sync::Arc;
use tensor::{DType, Shape, Tensor, memory};

/// Registers the op types.
pub(super) fn register(registry: &mut Registry) {
    registry.add("RaggedTensorToVariant", |spec| {
        let rank = spec.operation.num_inputs() - 1;
        let is_batched = spec.bool("batched_input")?;
        let splits = spec.dtype("Tsplits")?;
        Ok(boxed(move |context| to_variant(context, rank, is_batched, splits)))
    });
    registry.add("RaggedTensorFromVariant", |spec| {
        let (input, output) = (spec.int("input_ragged_rank")?, spec.int("output_ragged_rank")?);
        let (values, splits) = (spec.dtype("Tvalues")?, spec.dtype("Tsplits")?);
        let wanted = Wanted { input, output, values, splits };
        Ok(boxed(move |context| from_variant(context, &wanted)))
    });
    registry.add("RaggedTensorToVariantGradient", |spec| {
        let dtype = spec.dtype("Tvalues")?;
        Ok(boxed(move |context| gradient(context, dtype)))
    });
}

/// A ragged tensor: the splits of each ragged axis, the outermost first, and the values. Without splits it is
/// a dense tensor.
///
/// The splits belong together: each ends with the number of rows of the next axis, the last with that of the
/// values. Kernels check this before they build one.
#[derive(Clone)]
pub(in crate::kernels) struct Ragged {
    /// The splits of each ragged axis, all of one dtype.
    splits: Vec<Tensor>,
    /// The values, whose first axis the innermost splits count.
    values: Tensor,
}

impl Ragged {
    /// Returns a ragged tensor with one ragged axis.
    pub(in crate::kernels) fn new(values: Tensor, splits: Tensor) -> Ragged {
        Ragged { splits: vec![splits], values }
    }

    /// Wraps it in a scalar variant.
    pub(in crate::kernels) fn into_tensor(self) -> Tensor {
        Tensor::from_handle(DType::Variant, Arc::new(self))
    }

    /// Returns the number of rows of the outermost axis, which a scalar does not have.
    fn rows(&self) -> Option<usize> {
        match self.splits.first() {
            Some(splits) => splits.elements().checked_sub(1),
            None => self.values.shape().first().copied(),
        }
    }
}

/// Returns a ragged tensor of the same form with zeros.
///
/// The splits are shared.
pub(in crate::kernels) fn zeros(ragged: &Ragged) -> Result<Ragged> {
    let values = Tensor::zeros(ragged.values.dtype(), ragged.values.shape().clone())?;
    Ok(Ragged { splits: ragged.splits.clone(), values })
}

/// Returns the sum of two ragged tensors of the same form.
///
/// Fails with `InvalidArgument` unless the splits are equal.
pub(in crate::kernels) fn added(
    context: &KernelContext<'_>,
    ragged: &Ragged,
    more: &Ragged,
) -> Result<Ragged> {
    if ragged.splits != more.splits {
        return Err(Error::invalid_argument("ragged tensors with different row splits cannot be added"));
    }
    let values = sum(context, ragged.values.clone(), &more.values)?;
    Ok(Ragged { splits: ragged.splits.clone(), values })
}

/// Delivers a ragged tensor as a variant, or as one variant for each row. `rank` is the number of splits,
/// which are the inputs before the values. `dtype` is that of the splits.
///
/// The inner splits of a row are the part of the splits of each axis that lies within the row, with its first
/// number subtracted. The values are a slice of the values of all rows.
fn to_variant(context: &mut KernelContext<'_>, rank: usize, is_batched: bool, dtype: DType) -> Result<()> {
    // Values without splits have no rows to be checked, and may be a scalar.
    let nested = if rank == 0 && !is_batched { Vec::new() } else { nested(context, rank, rank)? };
    let values = context.input(rank).clone();
    if !is_batched {
        let splits = (0..rank).map(|input| context.input(input).clone()).collect();
        context.set(0, Ragged { splits, values }.into_tensor());
        return Ok(());
    }
    let rows = nested.first().map_or(values.shape()[0], |splits| splits.len() - 1);
    let row = |row: usize| -> Result<Ragged> {
        let Some((outer, inner)) = nested.split_first() else {
            let dims = values.shape().get(1..).map(Shape::new).unwrap_or_default();
            return Ok(Ragged { splits: Vec::new(), values: values.rows(row, row + 1)?.reshaped(dims)? });
        };
        // The rows of each axis that belong to this row, from the outermost axis inward.
        let (mut start, mut end) = (outer[row], outer[row + 1]);
        let mut splits = Vec::with_capacity(inner.len());
        for axis in inner {
            let own = memory::collected(axis[start..=end].iter().map(|split| split - axis[start]))?;
            splits.push(super::indices(own, dtype)?);
            (start, end) = (axis[start], axis[end]);
        }
        Ok(Ragged { splits, values: values.rows(start, end)? })
    };
    let items = memory::try_collected((0..rows).map(|number| row(number).map(Ragged::into_tensor)))?;
    context.set(0, Variants::tensor(items, [rows]));
    Ok(())
}

/// The form in which a ragged tensor is wanted back.
struct Wanted {
    /// The number of ragged axes of each variant, or -1: the rest of those of the output.
    input: i64,
    /// The number of ragged axes of the output.
    output: i64,
    /// The dtype of the values.
    values: DType,
    /// The dtype of all splits.
    splits: DType,
}

/// Delivers the splits, the outermost first, and the values.
///
/// Fails with `InvalidArgument` if the ranks in the attributes and the dimensions of the variants do not add
/// up, or if a variant has another form than the attributes state.
fn from_variant(context: &mut KernelContext<'_>, wanted: &Wanted) -> Result<()> {
    let (items, dims) = variant_batch::parts::<Ragged>(context.input(0), "ragged tensors")?;
    let depth = dims.len() as i64;
    let rank = if wanted.input < 0 { wanted.output - depth } else { wanted.input };
    if rank < 0 || rank + depth != wanted.output {
        let text = format!(
            "output_ragged_rank must be input_ragged_rank plus the rank of the variants: {} is not {rank} + {depth}",
            wanted.output
        );
        return Err(Error::invalid_argument(text));
    }
    for item in &items {
        // All are checked before any is joined, so that errors name the first that is wrong.
        wanted.check(item, rank as usize)?;
    }
    let found =
        if dims.is_empty() { items[0].clone() } else { wanted.nested(&items, dims, rank as usize)? };
    let axes = found.splits.len();
    for (output, splits) in found.splits.into_iter().enumerate() {
        context.set(output, splits);
    }
    context.set(axes, found.values);
    Ok(())
}

impl Wanted {
    /// Checks a variant, which must have `rank` ragged axes.
    ///
    /// The texts are TensorFlow's, with two blanks between sentences.
    fn check(&self, item: &Ragged, rank: usize) -> Result<()> {
        let text = if item.splits.len() != rank {
            format!(
                "Encoded input RaggedTensorVariant has ragged_rank={}.  Expected ragged_rank={rank}.",
                item.splits.len()
            )
        } else if item.values.dtype() != self.values {
            let (expected, found) = (name(self.values), name(item.values.dtype()));
            format!("Expected values Tensor dtype: {expected}, found: {found}")
        } else if let Some(splits) = item.splits.iter().find(|splits| splits.dtype() != self.splits) {
            let (expected, found) = (name(self.splits), name(splits.dtype()));
            format!("Expected row_splits Tensor dtype: {expected}, found: {found}")
        } else {
            return Ok(());
        };
        Err(Error::invalid_argument(text))
    }

    /// Returns variants as one ragged tensor, whose outer axes are the dimensions of the variants.
    ///
    /// `items` are in row-major order of `dims`, which is not empty. `rank` is the number of ragged axes of
    /// each item.
    ///
    /// The outer splits are regular except for the innermost of them, which counts the rows of each item. The
    /// items' own splits are joined axis by axis.
    fn nested(&self, items: &[&Ragged], dims: &[usize], rank: usize) -> Result<Ragged> {
        let mut splits = Vec::with_capacity(dims.len() + rank);
        let mut groups = 1usize;
        for pair in dims.windows(2) {
            groups = groups.saturating_mul(pair[0]);
            // Each group has as many rows as the dimension states.
            let even = (0..groups + 1).map(|group| group.saturating_mul(pair[1]));
            splits.push(super::indices(memory::collected(even)?, self.splits)?);
        }
        let mut rows = memory::reserve(items.len())?;
        for (place, item) in items.iter().enumerate() {
            let scalar = || {
                let text =
                    format!("Ragged values must have rank >= 1; encoded scalar element at index {place}");
                Error::invalid_argument(text)
            };
            rows.push(item.rows().ok_or_else(scalar)?);
        }
        splits.push(super::indices(ends(rows.into_iter())?, self.splits)?);
        for axis in 0..rank {
            let mut lengths = Vec::new();
            for item in items {
                let own = crate::kernel::integers(&item.splits[axis])?;
                memory::grow(&mut lengths, own.len())?;
                lengths.extend(own.windows(2).map(|pair| (pair[1] - pair[0]) as usize));
            }
            splits.push(super::indices(ends(lengths.into_iter())?, self.splits)?);
        }
        Ok(Ragged { splits, values: joined(items, self.values)? })
    }
}

/// Returns the splits of rows of these lengths.
///
/// For `[2, 0, 1]` these are `[0, 2, 2, 3]`.
fn ends(lengths: impl ExactSizeIterator<Item = usize>) -> Result<Vec<usize>> {
    let mut ends = memory::reserve(lengths.len() + 1)?;
    let mut end = 0;
    ends.push(end);
    for length in lengths {
        end += length;
        ends.push(end);
    }
    Ok(ends)
}

/// Returns the values of all items, one after the other.
///
/// Without items, a vector of no values. Fails if the shapes of a value differ.
fn joined(items: &[&Ragged], dtype: DType) -> Result<Tensor> {
    let Some(first) = items.first() else { return Ok(Tensor::zeros(dtype, [0])?) };
    let (_, inner) = row_of(&first.values);
    let differs = |item: &&Ragged| item.values.shape().get(1..) != Some(inner.as_slice());
    if let Some(place) = items.iter().position(differs) {
        let block = |item: &Ragged| item.values.shape().get(1..).map(Shape::new).unwrap_or_default();
        let text = format!(
            "All flat_values must have compatible shapes.  Shape at index 0: {}.  Shape at index {place}: {}.",
            block(first),
            block(items[place])
        );
        return Err(Error::invalid_argument(text));
    }
    let values: Vec<Tensor> = items.iter().map(|item| item.values.clone()).collect();
    Ok(Tensor::concat_rows(&values)?)
}

/// Returns the values of the gradient of a `RaggedTensorToVariant`.
///
/// Input 0 holds the variants, input 2 the shape. Rows of dense values have lost an axis, which they get back
/// before they are joined.
fn gradient(context: &mut KernelContext<'_>, dtype: DType) -> Result<()> {
    let (items, dims) = variant_batch::parts::<Ragged>(context.input(0), "ragged tensors")?;
    let sizes =
        context.ints(2)?.into_iter().map(|size| usize::try_from(size).ok()).collect::<Option<Vec<_>>>();
    let sizes = sizes.ok_or_else(|| Error::invalid_argument("dense_values_shape has a negative size"))?;
    if let Some(item) = items.iter().find(|item| item.values.dtype() != dtype) {
        let text = format!("a gradient of {} for values of {dtype}", item.values.dtype());
        return Err(Error::invalid_argument(text));
    }
    let values = match (items.as_slice(), dims) {
        ([item], []) => item.values.clone(),
        // Rows of dense values are variants without a dimension of rows.
        (items, _) if items.first().is_some_and(|item| item.values.shape().rank() + 1 == sizes.len()) => {
            let rows = items.iter().map(|item| {
                let row = std::iter::once(1).chain(item.values.shape().iter().copied());
                item.values.clone().reshaped(row.collect::<Shape>())
            });
            Tensor::concat_rows(&rows.collect::<Result<Vec<_>, _>>()?)?
        }
        (items, _) => joined(items, dtype)?,
    };
    context.set(0, values.reshaped(sizes)?);
    Ok(())
}
