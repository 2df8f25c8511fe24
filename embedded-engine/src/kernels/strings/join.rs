//! Strings joined.
//!
//! `StringJoin` broadcasts scalars. `ReduceJoin` joins along axes in the given order; `UnsortedSegmentJoin`
//! joins the strings of each segment in the order of their occurrence.
//!
//! # Semantics
//!
//! - `StringJoin` takes any number of tensors of one shape, or scalars, and joins element by element with
//!   `separator`.
//! - `ReduceJoin` takes axes as input 1, which may be negative, each at most once. Without axes the strings
//!   are returned as they are. `keep_dims` keeps axes of size 1. An axis without elements gives empty
//!   strings.
//! - `UnsortedSegmentJoin` has the segment ids as input 1, whose shape is a prefix of that of the strings,
//!   and the number of segments as input 2. A segment without members is empty. Negative ids are
//!   `InvalidArgument`, as are those that are too large.
//!
//! ```text
//! ReduceJoin of [[a, b], [c, d]]:   axes [0, 1] -> "acbd"   axes [1, 0] -> "abcd"   axes [0] -> ["ac", "bd"]
//! ```
//!
//! The length of each result is computed first, so a string is allocated once, and the memory limit is
//! checked for it.

use crate::kernel::KernelContext;
use crate::kernels::math::{axis, boxed};
use crate::registry::Registry;
use session_core::{Error, Result};
use tensor::{Bytes, Shape, Tensor, memory};

/// Registers the three op types.
pub(super) fn register(registry: &mut Registry) {
    registry.add("StringJoin", |spec| {
        let separator = spec.str("separator")?.to_owned();
        Ok(boxed(move |context| join(context, separator.as_bytes())))
    });
    registry.add("ReduceJoin", |spec| {
        let (separator, keep) = (spec.str("separator")?.to_owned(), spec.bool("keep_dims")?);
        Ok(boxed(move |context| reduce(context, separator.as_bytes(), keep)))
    });
    registry.add("UnsortedSegmentJoin", |spec| {
        let separator = spec.str("separator")?.to_owned();
        Ok(boxed(move |context| segments(context, separator.as_bytes())))
    });
}

/// Delivers pairs of strings joined: the sum of two string tensors, for `Add` and `AddV2`.
pub(in crate::kernels) fn add(context: &mut KernelContext<'_>) -> Result<()> {
    join(context, b"")
}

/// Delivers the inputs joined, with a separator between them. Fails with `InvalidArgument` if two inputs that
/// are not scalars have different shapes.
fn join(context: &mut KernelContext<'_>, separator: &[u8]) -> Result<()> {
    let inputs = (0..context.num_inputs()).map(|index| context.input(index));
    let mut shape = Shape::scalar();
    for input in inputs.clone().filter(|input| !input.shape().is_empty()) {
        if shape.is_empty() {
            shape = input.shape().clone();
        }
        if *input.shape() != shape {
            let text = format!("Input shapes do not match: {} and {shape}", input.shape());
            return Err(Error::invalid_argument(text));
        }
    }
    let parts: Vec<&[Bytes]> = inputs.map(Tensor::as_strings).collect::<Result<_, _>>()?;
    // A scalar is in every string.
    let repeated = parts.iter().filter(|part| part.len() == 1).map(|part| part[0].len());
    let repeated = repeated.fold(0, usize::saturating_add);
    memory::check(shape.elements().saturating_mul(repeated))?;
    let joined = memory::try_collected((0..shape.elements()).map(|place| {
        let here = parts.iter().map(|part| if part.len() == 1 { &part[0] } else { &part[place] });
        with_separator(here, separator)
    }))?;
    let joined = Tensor::from_strings(joined, shape.clone())?;
    context.set(0, joined);
    Ok(())
}

/// Joins the strings, or rows of them, of each segment, in their order.
///
/// The rows of a segment are joined column by column.
///
/// Ids of shape `[n]` and strings of shape `[n, w]` give `[num_segments, w]`; entry `[s, c]` joins the
/// strings of column `c` whose id is `s`.
fn segments(context: &mut KernelContext<'_>, separator: &[u8]) -> Result<()> {
    let (inputs, ids) = (context.input(0).shape().clone(), context.input(1).shape().clone());
    let count = usize::try_from(context.int(2)?)
        .map_err(|_| Error::invalid_argument("num_segments must not be negative"))?;
    if !inputs.dims().starts_with(ids.dims()) {
        let text = format!("the shape of segment_ids, {ids}, is not a prefix of that of inputs, {inputs}");
        return Err(Error::invalid_argument(text));
    }
    let inner = &inputs.dims()[ids.rank()..];
    let width: usize = inner.iter().product();
    // The rows of each segment, in the order of the input.
    let mut members = memory::filled(Vec::new(), count)?;
    for (row, id) in context.ints(1)?.into_iter().enumerate() {
        let segment = usize::try_from(id).ok().and_then(|id| members.get_mut(id));
        segment
            .ok_or_else(|| {
                let text = "segment_ids are not allowed to exceed num_segments or to have negative values";
                Error::invalid_argument(format!("{text}: {id}"))
            })?
            .push(row);
    }
    let strings = context.input(0).as_strings()?;
    let places =
        count.checked_mul(width).ok_or_else(|| Error::invalid_argument("there are too many segments"))?;
    let joined = memory::try_collected((0..places).map(|place| {
        let rows = members[place / width].iter();
        with_separator(rows.map(|row| &strings[row * width + place % width]), separator)
    }))?;
    let shape = Shape::from([&[count][..], inner].concat());
    let joined = Tensor::from_strings(joined, shape)?;
    context.set(0, joined);
    Ok(())
}

/// Joins along axes, the one listed first varying fastest.
///
/// The strings to join are at the sums of one offset of the kept axes and each offset of the others. Both
/// lists are built by adding one axis after the other.
///
/// For `[[a, b], [c, d]]` and axes `[0]` the kept offsets are `[0, 1]` and the joined ones `[0, 2]`, which
/// gives `ac` and `bd`.
fn reduce(context: &mut KernelContext<'_>, separator: &[u8], keep: bool) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let strings = context.input(0).as_strings()?;
    let axes = context.ints(1)?.into_iter().map(|at| axis(at, shape.rank())).collect::<Result<Vec<_>>>()?;
    if (1..axes.len()).any(|index| axes[..index].contains(&axes[index])) {
        return Err(Error::invalid_argument(format!("Duplicate reduction dimension in {axes:?}")));
    }
    let mut strides = vec![1; shape.rank()];
    for index in (0..shape.rank().saturating_sub(1)).rev() {
        strides[index] = strides[index + 1] * shape[index + 1];
    }
    let kept: Vec<usize> = (0..shape.rank()).filter(|at| !axes.contains(at)).collect();
    let offsets = |axes: &[usize]| -> Result<Vec<usize>> {
        let mut offsets = vec![0];
        for &at in axes {
            let mut longer = memory::reserve(offsets.len().saturating_mul(shape[at]))?;
            for offset in offsets {
                longer.extend((0..shape[at]).map(|index| offset + index * strides[at]));
            }
            offsets = longer;
        }
        Ok(offsets)
    };
    // The axis added last varies fastest, and that is the first one listed.
    let inner = offsets(&axes.iter().rev().copied().collect::<Vec<_>>())?;
    let joined = memory::try_collected(
        offsets(&kept)?
            .into_iter()
            .map(|start| with_separator(inner.iter().map(|offset| &strings[start + offset]), separator)),
    )?;
    let dims = (0..shape.rank()).filter(|at| keep || kept.contains(at));
    let dims: Shape = dims.map(|at| if kept.contains(&at) { shape[at] } else { 1 }).collect();
    let joined = Tensor::from_strings(joined, dims)?;
    context.set(0, joined);
    Ok(())
}

/// Returns strings with a separator between them. The parts are walked twice, for the length and for the
/// bytes.
fn with_separator<'a>(
    parts: impl ExactSizeIterator<Item = &'a Bytes> + Clone,
    separator: &[u8],
) -> Result<Bytes> {
    let separators = separator.len().saturating_mul(parts.len().saturating_sub(1));
    let length = parts.clone().fold(separators, |length, part| length.saturating_add(part.len()));
    let mut joined = memory::reserve(length)?;
    for (index, part) in parts.enumerate() {
        if index > 0 {
            joined.extend_from_slice(separator);
        }
        joined.extend_from_slice(part);
    }
    Ok(joined.into())
}
