//! Regular selections: every n-th element of each dimension.

use super::walk::{Row, Walk, copy_row, dense_strides};
use crate::Pool;
use crate::elementwise::PerDim;
use crate::elementwise::work::{split_outputs, units_per_part};

/// A regular selection of the elements of an array: in each dimension, `sizes[i]` indices that start at `begin[i]` and are `strides[i]` apart.
/// A negative stride selects backwards.
#[derive(Clone, Copy, Debug)]
pub struct StridedRegion<'a> {
    /// The array's shape.
    pub shape: &'a [usize],
    /// The first index in each dimension.
    pub begin: &'a [usize],
    /// The distance between indices in each dimension; not 0.
    pub strides: &'a [isize],
    /// The number of indices in each dimension: the shape of the selection.
    pub sizes: &'a [usize],
}

impl StridedRegion<'_> {
    /// Walks through the array (array 0) and the dense selection (array 1), and where it starts.
    ///
    /// # Panics
    /// Panics if the ranks differ, or if the region exceeds the shape.
    fn walk(&self) -> (usize, Walk) {
        let rank = self.shape.len();
        assert!(
            self.begin.len() == rank && self.strides.len() == rank && self.sizes.len() == rank,
            "parts of the region differ in rank"
        );
        let mut steps = dense_strides(self.shape);
        let mut start = 0;
        for i in 0..rank {
            if self.sizes[i] > 0 {
                // Signed, since a negative stride walks from `begin` towards 0.
                let last = self.begin[i] as isize + self.strides[i] * (self.sizes[i] as isize - 1);
                let size = self.shape[i] as isize;
                assert!(
                    self.begin[i] < self.shape[i] && (0..size).contains(&last),
                    "region leaves dimension {i}"
                );
            }
            // The step is still that of the array here; the stride of the region comes into it afterwards.
            start += self.begin[i] * steps[i] as usize;
            steps[i] *= self.strides[i];
        }
        (start, Walk::new(self.sizes, &steps, &dense_strides(self.sizes)))
    }

    /// Returns the number of elements of the array.
    fn array_len(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Copies the elements of `region` from `input` to the dense `output`. A slice has strides of 1, a reversal -1.
///
/// ```
/// use compute::{Pool, elementwise::layout::{StridedRegion, strided_slice}};
/// let reversed = StridedRegion { shape: &[4], begin: &[3], strides: &[-1], sizes: &[4] };
/// let mut output = [0; 4];
/// strided_slice(&Pool::single(), reversed, &[1, 2, 3, 4], &mut output);
/// assert_eq!(output, [4, 3, 2, 1]);
/// ```
///
/// # Panics
/// Panics if the region exceeds the shape, or if the length of a slice contradicts its shape.
pub fn strided_slice<T: Clone + Send + Sync>(
    pool: &Pool,
    region: StridedRegion<'_>,
    input: &[T],
    output: &mut [T],
) {
    let (start, walk) = region.walk();
    assert_eq!(input.len(), region.array_len(), "input");
    assert_eq!(output.len(), walk.len(), "output");
    if output.is_empty() {
        return;
    }
    let (outer, width) = (walk.outer_len(), walk.len() / walk.outer_len());
    split_outputs(pool, outer, 1, units_per_part(300 * width), [(output, width)], |range, [output]| {
        let start = start.wrapping_add_signed(range.start as isize * walk.outer_stride(0));
        walk.narrowed(range.len()).rows([start, 0], |row| copy_row(row, input, output));
    });
}

/// Copies the dense `input` to the elements of `region` in `output`. Other elements are not changed.
///
/// ```
/// use compute::elementwise::layout::{StridedRegion, strided_assign};
/// let even = StridedRegion { shape: &[4], begin: &[0], strides: &[2], sizes: &[2] };
/// let mut output = [0; 4];
/// strided_assign(even, &[7, 8], &mut output);
/// assert_eq!(output, [7, 0, 8, 0]);
/// ```
///
/// # Panics
/// Panics if the region exceeds the shape, or if the length of a slice contradicts its shape.
pub fn strided_assign<T: Clone>(region: StridedRegion<'_>, input: &[T], output: &mut [T]) {
    let (start, walk) = region.walk();
    assert_eq!(output.len(), region.array_len(), "output");
    assert_eq!(input.len(), walk.len(), "input");
    // `walk` has the array first; a copy goes from the dense side to it.
    walk.rows([start, 0], |Row { starts: [array, dense], len, steps: [array_step, dense_step] }| {
        copy_row(Row { starts: [dense, array], len, steps: [dense_step, array_step] }, input, output);
    });
}

/// Writes `input`, of shape `shape`, with `before[i]` elements of `value` before it and `after[i]` after it in dimension `i`.
///
/// ```
/// use compute::elementwise::layout::pad;
/// let mut output = [0; 5];
/// pad(&[2], &[1], &[2], &9, &[1, 2], &mut output);
/// assert_eq!(output, [9, 1, 2, 9, 9]);
/// ```
///
/// # Panics
/// Panics if the ranks differ, or if the length of a slice contradicts its shape.
pub fn pad<T: Clone>(
    shape: &[usize],
    before: &[usize],
    after: &[usize],
    value: &T,
    input: &[T],
    output: &mut [T],
) {
    let rank = shape.len();
    assert!(before.len() == rank && after.len() == rank, "paddings of {rank} dimensions");
    let mut padded = PerDim::from_elem(1, rank);
    for i in 0..rank {
        padded[i] = before[i] + shape[i] + after[i];
    }
    // Everything, also what is overwritten: a loop for the frame alone would be long and save little.
    output.fill(value.clone());
    let strides = PerDim::from_elem(1, rank);
    let region = StridedRegion { shape: &padded, begin: before, strides: &strides, sizes: shape };
    strided_assign(region, input, output);
}
