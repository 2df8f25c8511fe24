//! Borders that mirror what they surround.
//!
//! # Semantics
//!
//! `MirrorPad` with the mode `REFLECT` does not repeat the border itself, so at most `size - 1` elements can
//! be added on a side; `SYMMETRIC` repeats it, and at most `size` can be added. `MirrorPadGrad` adds each
//! padded element's gradient to that of the element it was copied from.
//!
//! Input 0 has any rank and dtype (the gradient: any numeric dtype), input 1 the paddings of shape
//! `[rank, 2]`. Larger paddings than the mode allows, negative ones, and other modes are `InvalidArgument`.
//! An axis of size 0 can only be padded by 0.
//!
//! ```text
//! [1, 2, 3] padded by [2, 2]:   REFLECT -> [3, 2, 1, 2, 3, 2, 1]   SYMMETRIC -> [2, 1, 1, 2, 3, 3, 2]
//! ```
//!
//! Both directions use the same index function, `mirrored`: the forward pass reads through it, the gradient
//! adds through it. The gradient adds in the order of the padded elements on one thread, so its bits are the
//! same in every run.

use super::arrange::{arrange, ravel, unravel};
use super::slice::non_negative;
use crate::dispatch::check_number;
use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::registry::Registry;
use compute::elementwise::layout;
use session_core::{Error, Result};
use tensor::{Shape, memory};

/// Registers the op types. The mode is read when the plan is compiled.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("MirrorPad", |spec| {
        let edge = edge(spec)?;
        Ok(boxed(move |context| mirror_pad(context, edge)))
    });
    registry.add("MirrorPadGrad", |spec| {
        let edge = edge(spec)?;
        check_number(spec.input_dtype(0))?;
        Ok(boxed(move |context| mirror_pad_grad(context, edge)))
    });
}

/// Returns the number of elements that next to the border are not repeated: 1 for a reflection, 0 for a
/// symmetric border.
pub(crate) fn edge(spec: &NodeSpec<'_>) -> Result<usize> {
    match spec.str("mode")? {
        "REFLECT" => Ok(1),
        "SYMMETRIC" => Ok(0),
        other => Err(Error::invalid_argument(format!("mode must be either REFLECT or SYMMETRIC: '{other}'"))),
    }
}

/// Returns pairs of `[before, after]`, one for each of the `rank` axes, or `InvalidArgument` if input 1 has
/// another shape or negative numbers.
fn borders(context: &KernelContext<'_>, rank: usize) -> Result<Vec<[usize; 2]>> {
    let pads = non_negative(&context.ints(1)?, "paddings")?;
    if context.input(1).shape().dims() != [rank, 2] {
        let text = format!("paddings must be [{rank}, 2]: {}", context.input(1).shape());
        return Err(Error::invalid_argument(text));
    }
    Ok(pads.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect())
}

/// Fails if a padding needs more elements than there are to mirror, `size - edge` on each side. `shape` is
/// the one without padding.
fn check(shape: &[usize], pads: &[[usize; 2]], edge: usize) -> Result<()> {
    for (&size, pad) in shape.iter().zip(pads) {
        if pad.iter().any(|pad| *pad > size.saturating_sub(edge)) {
            let text = format!("paddings {pads:?} must not be greater than the mirrored part of {shape:?}");
            return Err(Error::invalid_argument(text));
        }
    }
    Ok(())
}

/// Returns the index in an axis of `size` of the element at `place` of the padded axis.
///
/// `before` is the padding in front; `edge` as in `edge`. For `size` 3, `before` 2 and `edge` 1, the places 0
/// to 6 map to `2, 1, 0, 1, 2, 1, 0`. The result is in range if `check` passed.
fn mirrored(place: usize, size: usize, before: usize, edge: usize) -> usize {
    if place < before {
        before - place - 1 + edge
    } else if place < before + size {
        place - before
    } else {
        2 * size - 1 - edge - (place - before)
    }
}

/// Delivers input 0 with mirrored borders. `edge` is 1 for `REFLECT` and 0 for `SYMMETRIC`; `FusedPadConv2D`
/// calls it as well.
pub(crate) fn mirror_pad(context: &mut KernelContext<'_>, edge: usize) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let pads = borders(context, shape.rank())?;
    check(&shape, &pads, edge)?;
    let dims: Shape = shape.iter().zip(&pads).map(|(&size, pad)| size + pad[0] + pad[1]).collect();
    let place = |i: usize| {
        let mut at = vec![0; dims.rank()];
        unravel(i, &dims, &mut at);
        let from = (0..at.len()).map(|axis| mirrored(at[axis], shape[axis], pads[axis][0], edge));
        Some((0, ravel(from, &shape)))
    };
    let padded = arrange(context, &[context.input(0)], dims.clone(), 1, &place, None)?;
    context.set(0, padded);
    Ok(())
}

/// Adds the gradients of the mirrored elements to those of their originals.
///
/// Input 0 is the gradient of the padded tensor, from whose shape and the paddings the shape of the result
/// follows. The index of the original is computed for each padded element first, and then all are added in
/// one pass.
fn mirror_pad_grad(context: &mut KernelContext<'_>, edge: usize) -> Result<()> {
    let dtype = context.input(0).dtype();
    let padded = context.input(0).shape().clone();
    let pads = borders(context, padded.rank())?;
    let inner = |(&size, pad): (&usize, &[usize; 2])| size.checked_sub(pad[0])?.checked_sub(pad[1]);
    // A gradient that is smaller than its paddings has no original.
    let shape: Option<Shape> = padded.iter().zip(&pads).map(inner).collect();
    let shape = shape.ok_or_else(|| {
        Error::invalid_argument(format!("paddings {pads:?} exceed the shape {padded} of the gradient"))
    })?;
    check(&shape, &pads, edge)?;
    let mut at = vec![0; padded.rank()];
    // Reserved in full, so that a large gradient fails for memory before it has computed anything.
    let mut rows = memory::reserve(padded.elements())?;
    for i in 0..padded.elements() {
        unravel(i, &padded, &mut at);
        let from = (0..at.len()).map(|axis| mirrored(at[axis], shape[axis], pads[axis][0], edge));
        rows.push(ravel(from, &shape) as i64);
    }
    let count = shape.elements();
    context.produce_values(0, dtype, shape, &|context, output| {
        layout::scatter_values(count, 1, output, &rows, context.values(0)?).map_err(super::index::outside)
    })
}
