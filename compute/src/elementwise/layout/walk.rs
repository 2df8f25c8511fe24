//! Walking through two arrays at once, each with its own strides.
//!
//! Transposing, slicing, padding and broadcasting all copy elements from one array to another whose dimensions lie
//! differently. They differ only in the strides, so they share this walk. Merging neighboring dimensions makes rows
//! longer: a transposition that keeps the last two of four dimensions becomes one of three.

use crate::elementwise::PerDim;

/// The common dimensions of two arrays and the distance of neighbors in each, merged where both walk
/// straight on.
///
/// The transposition of `[2, 3, 4]` to `[3, 2, 4]` walks dimensions `[3, 2, 4]`, with strides `[4, 12, 1]` in
/// the input and `[8, 4, 1]` in the output. The copy of rows 1 and 2 out of `[5, 4]` walks a single dimension
/// of 8.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    /// The number of merged dimensions, at least 1.
    rank: usize,
    /// The sizes of the merged dimensions, outermost first; only the first `rank` are in use.
    dims: PerDim<usize>,
    /// The strides of both arrays, in elements. They may be negative or 0.
    strides: [PerDim<isize>; 2],
}

/// A row of the innermost dimension.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// The start in each array.
    pub(super) starts: [usize; 2],
    /// The number of elements.
    pub(super) len: usize,
    /// The distance from element to element in each array.
    pub(super) steps: [isize; 2],
}

impl Walk {
    /// # Panics
    /// When the slices differ in length.
    pub(super) fn new(dims: &[usize], a: &[isize], b: &[isize]) -> Walk {
        assert!(dims.len() == a.len() && dims.len() == b.len(), "dimensions and strides differ in number");
        let rank = dims.len().max(1);
        let strides = PerDim::from_elem(0, rank);
        let mut walk =
            Walk { rank: 0, dims: PerDim::from_elem(1, rank), strides: [strides.clone(), strides] };
        for i in 0..dims.len() {
            walk.push_inner(dims[i], [a[i], b[i]]);
        }
        // A single element is a row of one.
        if walk.rank == 0 {
            walk.rank = 1;
            walk.strides.iter_mut().for_each(|strides| strides[0] = 1);
        }
        walk
    }

    /// Adds a dimension inside those so far.
    /// It is merged with the last one if both arrays continue without a gap.
    fn push_inner(&mut self, size: usize, strides: [isize; 2]) {
        // Nothing moves along it, and its stride may be anything.
        if size == 1 {
            return;
        }
        let last = self.rank.wrapping_sub(1);
        let straight = |k: usize| self.strides[k][last] == strides[k] * size as isize;
        if self.rank > 0 && straight(0) && straight(1) {
            self.dims[last] *= size;
        } else {
            self.dims[self.rank] = size;
            self.rank += 1;
        }
        let last = self.rank - 1;
        self.strides[0][last] = strides[0];
        self.strides[1][last] = strides[1];
    }

    /// Elements in all.
    pub(super) fn len(&self) -> usize {
        self.dims[..self.rank].iter().product()
    }

    /// Returns the size of the outermost dimension.
    pub(super) fn outer_len(&self) -> usize {
        self.dims[0]
    }

    /// Returns the distance of neighbors along the outermost dimension in array `k`.
    pub(super) fn outer_stride(&self, k: usize) -> isize {
        self.strides[k][0]
    }

    /// Returns the part with only `count` of the outermost dimension.
    pub(super) fn narrowed(&self, count: usize) -> Walk {
        let mut part = self.clone();
        part.dims[0] = count;
        part
    }

    /// Returns the merged dimensions and their strides, outermost first.
    pub(super) fn parts(&self) -> (&[usize], [&[isize]; 2]) {
        (&self.dims[..self.rank], [&self.strides[0][..self.rank], &self.strides[1][..self.rank]])
    }

    /// Visits every row, in the order of the dimensions, from these starts on.
    ///
    /// The starts are places in the two arrays, so that a part of a walk can begin in the middle of one.
    pub(super) fn rows(&self, starts: [usize; 2], mut visit: impl FnMut(Row)) {
        if self.len() == 0 {
            return;
        }
        let inner = self.rank - 1;
        let (dims, strides) = self.parts();
        let (len, steps) = (dims[inner], [strides[0][inner], strides[1][inner]]);
        let mut index = PerDim::from_elem(0, self.rank);
        let index = &mut index[..];
        let mut at = starts;
        loop {
            visit(Row { starts: at, len, steps });
            let mut i = inner;
            loop {
                if i == 0 {
                    return;
                }
                i -= 1;
                index[i] += 1;
                let forward = index[i] < dims[i];
                // One step on, or back to the start of this dimension before the next one outwards is moved.
                let by = if forward { 1 } else { 1 - dims[i] as isize };
                for k in 0..2 {
                    at[k] = at[k].wrapping_add_signed(by * strides[k][i]);
                }
                if forward {
                    break;
                }
                index[i] = 0;
            }
        }
    }
}

/// Returns the strides of a dense array of this shape.
pub(super) fn dense_strides(shape: &[usize]) -> PerDim<isize> {
    let mut strides = PerDim::from_elem(1, shape.len());
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i] * shape[i] as isize;
    }
    strides
}

/// Copies one row: neighbors as a block, a repeated element by filling, and any other row element by element.
///
/// # Panics
/// When the row leaves a slice.
pub(super) fn copy_row<T: Clone>(row: Row, from: &[T], to: &mut [T]) {
    let Row { starts: [a, b], len, steps } = row;
    match steps {
        [1, 1] => to[b..b + len].clone_from_slice(&from[a..a + len]),
        [0, 1] => to[b..b + len].fill(from[a].clone()),
        [step, 1] => {
            let mut a = a;
            for to in &mut to[b..b + len] {
                to.clone_from(&from[a]);
                // Wrapping, since a negative step leads from the first element of an array to in front of it,
                // where nothing is read any more.
                a = a.wrapping_add_signed(step);
            }
        }
        [from_step, to_step] => {
            let (mut a, mut b) = (a, b);
            for _ in 0..len {
                to[b].clone_from(&from[a]);
                a = a.wrapping_add_signed(from_step);
                b = b.wrapping_add_signed(to_step);
            }
        }
    }
}
