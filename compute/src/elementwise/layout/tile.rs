//! Repetition of arrays.

use super::walk::{Walk, copy_row, dense_strides};
use crate::Pool;
use crate::elementwise::work::{split_outputs, units_per_part};
use crate::elementwise::{Broadcast, BroadcastError, PerDim};

/// Writes `input`, of shape `shape`, `repeats[i]` times over along each dimension `i`.
///
/// ```
/// use compute::elementwise::layout::tile;
/// let mut output = [0; 8];
/// tile(&[1, 2], &[2, 2], &[1, 2], &mut output);
/// assert_eq!(output, [1, 2, 1, 2, 1, 2, 1, 2]);
/// ```
///
/// # Panics
/// When the ranks differ or the length of a slice differs from its shape.
pub fn tile<T: Clone>(shape: &[usize], repeats: &[usize], input: &[T], output: &mut [T]) {
    assert_eq!(shape.len(), repeats.len(), "repeats of {} dimensions", shape.len());
    let len = |sizes: &[usize]| sizes.iter().product::<usize>();
    assert_eq!(input.len(), len(shape), "input");
    assert_eq!(output.len(), len(shape) * len(repeats), "output");
    if !output.is_empty() {
        tile_dimension(shape, repeats, input, output);
    }
}

/// Fills `output` with its first repetition, and repeats that.
///
/// `output` is the part that belongs to `input`, with the repetitions of all dimensions from this one on;
/// neither is empty.
fn tile_dimension<T: Clone>(shape: &[usize], repeats: &[usize], input: &[T], output: &mut [T]) {
    let Some((&size, inner_shape)) = shape.split_first() else {
        output.clone_from_slice(input);
        return;
    };
    let once = output.len() / repeats[0];
    // The repetitions are copies of the output, not of the input: blocks that are already in order, as long
    // as possible.
    let (first, rest) = output.split_at_mut(once);
    for (from, to) in input.chunks_exact(input.len() / size).zip(first.chunks_exact_mut(once / size)) {
        tile_dimension(inner_shape, &repeats[1..], from, to);
    }
    for copy in rest.chunks_exact_mut(once) {
        copy.clone_from_slice(first);
    }
}

/// Writes `input`, of shape `shape`, broadcast to the shape `target`.
///
/// ```
/// use compute::{Pool, elementwise::layout::broadcast_to};
/// let mut output = [0; 6];
/// broadcast_to(&Pool::single(), &[2, 1], &[2, 3], &[1, 2], &mut output)?;
/// assert_eq!(output, [1, 1, 1, 2, 2, 2]);
/// # Ok::<(), compute::elementwise::BroadcastError>(())
/// ```
///
/// # Errors
/// [`BroadcastError`] if `shape` cannot be broadcast to `target`.
///
/// # Panics
/// Panics if the length of a slice contradicts its shape.
pub fn broadcast_to<T: Clone + Send + Sync>(
    pool: &Pool,
    shape: &[usize],
    target: &[usize],
    input: &[T],
    output: &mut [T],
) -> Result<(), BroadcastError> {
    // Only for its checks. The copy below also takes elements that are not numbers.
    let plan = Broadcast::new([target, shape])?;
    if plan.output_shape() != target {
        // The first dimension from the end that the target lacks or has with another size.
        let expected = |from_end: usize| target.iter().rev().nth(from_end).copied().unwrap_or(1);
        let differs = |&(from_end, &size): &(usize, &usize)| {
            from_end >= target.len() || (size != 1 && size != expected(from_end))
        };
        let found = shape.iter().rev().enumerate().find(differs);
        let (dimension_from_end, &size) = found.unwrap_or((0, &1));
        let expected = expected(dimension_from_end);
        return Err(BroadcastError::Incompatible { operand: 1, dimension_from_end, size, expected });
    }
    assert_eq!(input.len(), plan.operand_len(1), "input");
    assert_eq!(output.len(), plan.len(), "output");
    if output.is_empty() {
        return Ok(());
    }
    let rank = target.len();
    let own = dense_strides(shape);
    let mut from = PerDim::from_elem(0, rank);
    for i in 0..shape.len() {
        from[rank - shape.len() + i] = if shape[i] == 1 { 0 } else { own[i] };
    }
    let walk = Walk::new(target, &from, &dense_strides(target));
    let (outer, width) = (walk.outer_len(), walk.len() / walk.outer_len());
    split_outputs(pool, outer, 1, units_per_part(200 * width), [(output, width)], |range, [output]| {
        let start = range.start * walk.outer_stride(0) as usize;
        walk.narrowed(range.len()).rows([start, 0], |row| copy_row(row, input, output));
    });
    Ok(())
}
