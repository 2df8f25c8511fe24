//! Convolutions of groups of channels, each group by itself.
//!
//! The channels of a group lie apart in memory, one slice of each pixel. Each group is copied together,
//! computed with the kernels for a single group, and its result is copied back: three copies more, and no
//! second set of kernels.

use crate::kernel::{KernelContext, no_room};
use compute::{OutOfMemory, Pool, Scratch};
use session_core::Result;
use tensor::Element;

/// Computes `output`, which has rows of `width` channels, from inputs `first` and `second` of the context.
/// The last axes of all three contain the channels of the groups one after another. Calls `compute` for each
/// group with its index, its channels of both inputs, and its part of the output; all are contiguous. A
/// single group is not copied. Fails if memory is refused.
///
/// `first` and `second` are numbers of inputs, `width` is the number of channels of the output, and `groups`
/// divides the channels of all three.
pub(super) fn by_groups<T: Element>(
    context: &mut KernelContext<'_>,
    groups: usize,
    [first, second]: [usize; 2],
    (output, width): (&mut [T], usize),
    compute: impl Fn(&Pool, &mut Scratch, usize, [&[T]; 2], &mut [T]) -> Result<(), OutOfMemory>,
) -> Result<()> {
    let pool = context.pool();
    // The usual case, in which the channels of the group are all channels.
    if groups == 1 {
        let (inputs, scratch) = context.split();
        let operands = [inputs.slice(first)?, inputs.slice(second)?];
        return compute(pool, scratch, 0, operands, output).map_err(no_room);
    }
    let widths = [first, second].map(|input| context.input(input).shape().last().copied().unwrap_or(1));
    // One buffer for each operand, reused by all groups.
    let part = |len: usize| context.allocate::<T>([len / groups]);
    let (mut a, mut b) = (part(context.input(first).elements())?, part(context.input(second).elements())?);
    let mut c = part(output.len())?;
    let [a, b, c] =
        [&mut a, &mut b, &mut c].map(|part| part.as_mut_slice::<T>().expect("new memory has one owner"));
    let (inputs, scratch) = context.split();
    let operands = [inputs.slice::<T>(first)?, inputs.slice::<T>(second)?];
    for group in 0..groups {
        gather(operands[0], widths[0], groups, group, a);
        gather(operands[1], widths[1], groups, group, b);
        compute(pool, scratch, group, [a, b], c).map_err(no_room)?;
        let part = width / groups;
        for (to, from) in output.chunks_exact_mut(width.max(1)).zip(c.chunks_exact(part.max(1))) {
            to[group * part..][..part].copy_from_slice(from);
        }
    }
    Ok(())
}

/// Copies one group's channels out of rows of `width`. Of 6 channels in 3 groups, group 1 has channels 2 and
/// 3.
///
/// `rows` are pixels of `width` channels, `group` is one of `groups`, and `to` has room for its channels of
/// all pixels.
fn gather<T: Element>(rows: &[T], width: usize, groups: usize, group: usize, to: &mut [T]) {
    let part = width / groups;
    for (to, from) in to.chunks_exact_mut(part.max(1)).zip(rows.chunks_exact(width.max(1))) {
        to.copy_from_slice(&from[group * part..][..part]);
    }
}
