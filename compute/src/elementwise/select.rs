//! Selection between two operands, element by element.

use super::work::{split_output, units_per_part};
use super::{Broadcast, Element};
use crate::Pool;

/// Computes `output = condition ? a : b` with all three operands broadcast: TensorFlow's `SelectV2`. Operand 0 of `plan` is the condition,
/// operand 1 is `a`, operand 2 is `b`.
///
/// ```
/// use compute::{Pool, elementwise::{Broadcast, select}};
/// let plan = Broadcast::new([&[2, 1], &[2, 2], &[]])?;
/// let mut output = [0; 4];
/// select(&Pool::single(), &plan, &[true, false], &[1, 2, 3, 4], &[9], &mut output);
/// assert_eq!(output, [1, 2, 9, 9]);
/// # Ok::<(), compute::elementwise::BroadcastError>(())
/// ```
///
/// # Panics
/// Panics if the length of a slice contradicts `plan`.
pub fn select<T: Element>(
    pool: &Pool,
    plan: &Broadcast<3>,
    condition: &[bool],
    a: &[T],
    b: &[T],
    output: &mut [T],
) {
    assert_eq!(condition.len(), plan.operand_len(0), "condition");
    assert_eq!(a.len(), plan.operand_len(1), "left operand");
    assert_eq!(b.len(), plan.operand_len(2), "right operand");
    assert_eq!(output.len(), plan.len(), "output");
    split_output(pool, output, 64, units_per_part(500), |range, output| {
        let start = range.start;
        plan.pieces(range, usize::MAX, |piece| {
            let output = &mut output[piece.output.start - start..piece.output.end - start];
            for (i, output) in output.chunks_mut(piece.cols).enumerate() {
                let from = |k: usize| piece.offsets[k] + i * plan.outer_stride(k);
                let steps = [0, 1, 2].map(|k| plan.inner_stride(k));
                select_row(&condition[from(0)..], &a[from(1)..], &b[from(2)..], steps, output);
            }
        });
    });
}

/// One row; the operands are repeated (step 0), or walked through in steps.
/// Element `i` of an operand is at `i` times its step. Operands have at least as many elements as that takes
/// for the row.
fn select_row<T: Element>(condition: &[bool], a: &[T], b: &[T], steps: [usize; 3], output: &mut [T]) {
    match steps {
        // One condition for the whole row, as for a mask of rows: a copy.
        [0, 1, _] if condition[0] => output.copy_from_slice(&a[..output.len()]),
        [0, _, 1] if !condition[0] => output.copy_from_slice(&b[..output.len()]),
        [1, 1, 1] => {
            for (((out, &c), &x), &y) in output.iter_mut().zip(condition).zip(a).zip(b) {
                *out = if c { x } else { y };
            }
        }
        [1, 1, 0] => {
            for ((out, &c), &x) in output.iter_mut().zip(condition).zip(a) {
                *out = if c { x } else { b[0] };
            }
        }
        [1, 0, 1] => {
            for ((out, &c), &y) in output.iter_mut().zip(condition).zip(b) {
                *out = if c { a[0] } else { y };
            }
        }
        // Rare combinations share one loop, which is not vectorized.
        [c_step, a_step, b_step] => {
            for (i, out) in output.iter_mut().enumerate() {
                *out = if condition[i * c_step] { a[i * a_step] } else { b[i * b_step] };
            }
        }
    }
}
