//! Concatenation of arrays, and its inverse.

use crate::Pool;
use crate::elementwise::work::{split_outputs, units_per_part};

/// Joins arrays along one dimension. Each input is `rows` rows, whose length is its second part; row `i`
/// of the output is row `i` of each input, one after the other.
///
/// For shapes `[a, b_k, c]` joined along the middle, `rows` is `a` and the `k`th length `b_k * c`. For
/// stacking (`Pack`) along dimension `d`, `rows` is the product of the dimensions before `d` and every
/// length that of the rest.
///
/// ```
/// use compute::{Pool, elementwise::layout::concat};
/// let mut output = [0; 6];
/// concat(&Pool::single(), 2, &[(&[1, 2, 3, 4], 2), (&[5, 6], 1)], &mut output);
/// assert_eq!(output, [1, 2, 5, 3, 4, 6]);
/// ```
///
/// # Panics
/// When a slice is not `rows` times its length.
pub fn concat<T: Clone + Send + Sync>(pool: &Pool, rows: usize, inputs: &[(&[T], usize)], output: &mut [T]) {
    let width = inputs.iter().map(|input| input.1).sum::<usize>();
    for (input, width) in inputs {
        assert_eq!(input.len(), rows * width, "input of {rows} rows of {width}");
    }
    if width == 0 {
        assert!(output.is_empty(), "output of {rows} rows of 0");
        return;
    }
    split_outputs(pool, rows, 1, units_per_part(100 * width), [(output, width)], |range, [output]| {
        for (i, output) in range.zip(output.chunks_exact_mut(width)) {
            // Row by row, so that the output is written once from its start to its end.
            let mut left = output;
            for &(input, width) in inputs {
                let (to, rest) = left.split_at_mut(width);
                to.clone_from_slice(&input[i * width..(i + 1) * width]);
                left = rest;
            }
        }
    });
}

/// Splits what [`concat()`] joins: row `i` of the input consists of row `i` of each output, one after the other. Each output comes with the
/// length of its rows.
///
/// ```
/// use compute::elementwise::layout::split;
/// let (mut left, mut right) = ([0; 2], [0; 4]);
/// split(2, &[1, 2, 3, 4, 5, 6], &mut [(&mut left, 1), (&mut right, 2)]);
/// assert_eq!((left, right), ([1, 4], [2, 3, 5, 6]));
/// ```
///
/// # Panics
/// Panics if a slice is not `rows` times as long as its rows.
pub fn split<T: Clone>(rows: usize, input: &[T], outputs: &mut [(&mut [T], usize)]) {
    let width = outputs.iter().map(|output| output.1).sum::<usize>();
    assert_eq!(input.len(), rows * width, "input of {rows} rows of {width}");
    let mut from = 0;
    for (output, part) in outputs {
        let part = *part;
        assert_eq!(output.len(), rows * part, "output of {rows} rows of {part}");
        // Chunks of 0 elements are not allowed.
        if part > 0 {
            for (i, output) in output.chunks_exact_mut(part).enumerate() {
                output.clone_from_slice(&input[i * width + from..][..part]);
            }
        }
        from += part;
    }
}
