//! Axes reversed and shifted.
//!
//! # Semantics
//!
//! - `ReverseSequence` reverses the first `seq_lengths[b]` elements along `seq_dim` of each entry `b` along
//!   `batch_dim`, and keeps the rest.
//! - `Roll` shifts cyclically; several shifts of one axis add up, and negative ones shift toward the front.
//! - `Reverse` is the older form of `ReverseV2`, with a bool for each axis.
//!
//! Axes may be negative, except for the positions of the bools. All dtypes are moved. Lengths that are
//! negative or exceed the axis, numbers of shifts and axes that differ, and a scalar input of `Roll` are
//! `InvalidArgument`.
//!
//! ```text
//! ReverseSequence of [[0, 1, 2], [3, 4, 5]] with lengths [3, 0], seq_dim 1   ->   [[2, 1, 0], [3, 4, 5]]
//! Roll of [0, 1, 2, 3, 4] by 2                                               ->   [3, 4, 0, 1, 2]
//! ```
//!
//! Each kernel maps a place of the result to its source; axes after the last one that changes are moved as
//! whole rows.

use super::arrange::{arrange, ravel, unravel};
use crate::kernel::KernelContext;
use crate::kernels::math::{axis, boxed};
use crate::registry::Registry;
use session_core::{Error, Result};

/// Registers the op types.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("ReverseSequence", |spec| {
        let (sequence, batch) = (spec.int("seq_dim")?, spec.int("batch_dim")?);
        Ok(boxed(move |context| reverse_sequence(context, sequence, batch)))
    });
    registry.add("Roll", |_| Ok(boxed(roll)));
    registry.add("Reverse", |_| Ok(boxed(reverse)));
}

/// Delivers input 0 with a prefix of each sequence reversed. Input 1 has a length for each entry along
/// `batch`; `sequence` is the axis that is reversed.
fn reverse_sequence(context: &mut KernelContext<'_>, sequence: i64, batch: i64) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let (sequence, batch) = (axis(sequence, shape.rank())?, axis(batch, shape.rank())?);
    let lengths = context.ints(1)?;
    if sequence == batch || lengths.len() != shape[batch] {
        let text = format!(
            "{} lengths do not fit axes {sequence} and {batch} of an input of shape {shape}",
            lengths.len()
        );
        return Err(Error::invalid_argument(text));
    }
    if let Some(wrong) = lengths.iter().find(|&&length| length < 0 || length > shape[sequence] as i64) {
        let text = format!("seq_lens {wrong} is not in [0, {}]", shape[sequence]);
        return Err(Error::invalid_argument(text));
    }
    // Axes after both are moved together, as the row of `arrange`.
    let (outer, inner) = shape.split_at(sequence.max(batch) + 1);
    let place = |i: usize| {
        let mut at = vec![0; outer.len()];
        unravel(i, outer, &mut at);
        let length = lengths[at[batch]] as usize;
        if at[sequence] < length {
            at[sequence] = length - 1 - at[sequence];
        }
        Some((0, ravel(at, outer)))
    };
    let width = inner.iter().product();
    let reversed = arrange(context, &[context.input(0)], shape.clone(), width, &place, None)?;
    context.set(0, reversed);
    Ok(())
}

/// Delivers input 0 shifted cyclically by the shifts in input 1 along the axes in input 2. Element `i` of an
/// axis moves to `(i + shift) mod size`.
fn roll(context: &mut KernelContext<'_>) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let (shifts, axes) = (context.ints(1)?, context.ints(2)?);
    if shifts.len() != axes.len() || shape.rank() == 0 {
        let text = format!("{} shifts along {} axes of shape {shape}", shifts.len(), axes.len());
        return Err(Error::invalid_argument(text));
    }
    // Where the first element of each axis comes from.
    let mut first = vec![0; shape.rank()];
    for (&shift, &at) in shifts.iter().zip(&axes) {
        let at = axis(at, shape.rank())?;
        let size = shape[at].max(1) as i64;
        // The sum is kept reduced, so any number of large shifts cannot overflow.
        first[at] = (first[at] + (size - shift.rem_euclid(size)) as usize) % shape[at].max(1);
    }
    // Without any shift, the whole tensor is one row.
    let moved = first.iter().rposition(|&from| from != 0).map_or(0, |last| last + 1);
    let (outer, inner) = shape.split_at(moved);
    let place = |i: usize| {
        let mut at = vec![0; outer.len()];
        unravel(i, outer, &mut at);
        Some((0, ravel((0..at.len()).map(|axis| (at[axis] + first[axis]) % outer[axis]), outer)))
    };
    let width = inner.iter().product();
    let rolled = arrange(context, &[context.input(0)], shape.clone(), width, &place, None)?;
    context.set(0, rolled);
    Ok(())
}

/// Reverses axes: the older form, with a truth value for each axis.
///
/// Elements are moved one by one: the op type is rare, and `ReverseV2` has the fast loop.
fn reverse(context: &mut KernelContext<'_>) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let backwards = context.slice::<bool>(1)?.to_vec();
    if backwards.len() != shape.rank() {
        let text = format!("'dims' must have {} elements, not {}", shape.rank(), backwards.len());
        return Err(Error::invalid_argument(text));
    }
    let place = |i: usize| {
        let mut at = vec![0; shape.rank()];
        unravel(i, &shape, &mut at);
        let from =
            (0..at.len()).map(|axis| if backwards[axis] { shape[axis] - 1 - at[axis] } else { at[axis] });
        Some((0, ravel(from, &shape)))
    };
    let reversed = arrange(context, &[context.input(0)], shape.clone(), 1, &place, None)?;
    context.set(0, reversed);
    Ok(())
}
