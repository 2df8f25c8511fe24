//! Broadcasting: the mapping from output elements to operand elements.

use super::PerDim;
use std::fmt;
use std::ops::Range;

/// The number of dimensions that plans hold, after neighboring dimensions are merged. Arrays may have more, as
/// long as no more remain.
pub const MAX_RANK: usize = 8;

/// The alignment of `N` operands of different shapes, by the rules of NumPy and TensorFlow: shapes are
/// aligned at their last dimension, and a dimension that is 1 or missing is repeated.
///
/// Built once for given shapes and used for any number of calls. Building allocates nothing for operands of up to
/// [`MAX_RANK`] dimensions.
///
/// ```
/// use compute::elementwise::Broadcast;
/// let plan = Broadcast::new([&[3, 1], &[4]])?;
/// assert_eq!(plan.output_shape(), [3, 4]);
/// assert!(Broadcast::new([&[3], &[4]]).is_err());
/// # Ok::<(), compute::elementwise::BroadcastError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broadcast<const N: usize> {
    /// The sizes of the output.
    shape: PerDim<usize>,
    /// Dimensions after merging, outermost first; at least two, so that every kernel sees rows.
    dims: [usize; MAX_RANK],
    /// The number of dimensions after merging.
    rank: usize,
    /// Elements between neighbors along each merged dimension; 0 where the operand is repeated.
    strides: [[usize; MAX_RANK]; N],
    /// The number of elements of the output.
    len: usize,
    /// The number of elements of each operand.
    operand_lens: [usize; N],
}

/// The reason why operands cannot be broadcast against each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BroadcastError {
    /// Two dimensions differ and neither is 1.
    Incompatible {
        /// The operand that is incompatible with those before it.
        operand: usize,
        /// The dimension, counted from the end: 0 is the last.
        dimension_from_end: usize,
        /// The size of the dimension in that operand.
        size: usize,
        /// The size of the dimension in the operands before.
        expected: usize,
    },
    /// More dimensions than [`MAX_RANK`] remain after neighboring ones are merged.
    RankTooHigh {
        /// The operand with the most dimensions.
        operand: usize,
        /// The rank of the operand.
        rank: usize,
    },
    /// The sizes of the result, those that are 0 left out, have a product beyond `usize`.
    TooLarge,
}

impl fmt::Display for BroadcastError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BroadcastError::Incompatible { operand, dimension_from_end, size, expected } => write!(
                f,
                "incompatible shapes: dimension {dimension_from_end} from the end of operand {operand} \
                 is {size}, the others have {expected}"
            ),
            BroadcastError::RankTooHigh { operand, rank } => {
                write!(
                    f,
                    "operand {operand} has rank {rank}, and more than {MAX_RANK} of its dimensions are broadcast \
                     differently from their neighbors"
                )
            }
            BroadcastError::TooLarge => f.write_str("the operands broadcast to a shape that is too large"),
        }
    }
}

impl std::error::Error for BroadcastError {}

/// Consecutive elements of the output that lie in whole rows, or within one row.
#[derive(Clone, Debug)]
pub(crate) struct Piece<const N: usize> {
    /// The output elements.
    pub(crate) output: Range<usize>,
    /// The number of them that make a row.
    pub(crate) cols: usize,
    /// The start of each operand.
    pub(crate) offsets: [usize; N],
}

impl<const N: usize> Broadcast<N> {
    /// Aligns operands of these shapes.
    ///
    /// # Errors
    /// [`BroadcastError`] if the shapes are incompatible, have too many dimensions, or are too large.
    pub fn new(shapes: [&[usize]; N]) -> Result<Self, BroadcastError> {
        let shape = output_shape(&shapes)?;
        check_size(&shape)?; // no operand has larger sizes
        let mut plan = Broadcast {
            len: shape.iter().product(),
            shape,
            dims: [1; MAX_RANK],
            rank: 0,
            strides: [[0; MAX_RANK]; N],
            operand_lens: shapes.map(|shape| shape.iter().product()),
        };
        plan.merge(&shapes)?;
        Ok(plan)
    }

    /// Returns the shape of the result.
    #[must_use]
    pub fn output_shape(&self) -> &[usize] {
        &self.shape
    }

    /// Returns the number of elements of the result.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns true if the result has no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the number of elements of an operand.
    ///
    /// # Panics
    /// Panics if there is no such operand.
    #[must_use]
    pub fn operand_len(&self, operand: usize) -> usize {
        self.operand_lens[operand]
    }

    /// Returns true if each element of the operand is used once and in order, so that the result may be written over it.
    ///
    /// ```
    /// use compute::elementwise::Broadcast;
    /// let plan = Broadcast::new([&[2, 3], &[3]])?;
    /// assert!(plan.is_full(0) && !plan.is_full(1));
    /// assert_eq!((plan.len(), plan.operand_len(1)), (6, 3));
    /// # Ok::<(), compute::elementwise::BroadcastError>(())
    /// ```
    ///
    /// # Panics
    /// Panics if there is no such operand.
    #[must_use]
    pub fn is_full(&self, operand: usize) -> bool {
        self.operand_lens[operand] == self.len
    }

    /// Fills `dims` and `strides`, innermost dimension first, and then turns them around.
    ///
    /// Shapes `[2, 3, 4]` and `[4]` become dimensions `[6, 4]` with strides `[4, 1]` and `[0, 1]`: the second
    /// operand is one row that is used six times.
    ///
    /// # Errors
    /// [`BroadcastError::RankTooHigh`] if more than [`MAX_RANK`] dimensions remain.
    fn merge(&mut self, shapes: &[&[usize]; N]) -> Result<(), BroadcastError> {
        let mut steps = [1; N];
        for i in (0..self.shape.len()).rev() {
            let size = self.shape[i];
            let mut strides = [0; N];
            for (k, shape) in shapes.iter().enumerate() {
                let missing = self.shape.len() - shape.len();
                let own = if i < missing { 1 } else { shape[i - missing] };
                // With a stride of 0 an operand stays where it is: kernels know no other form of repetition.
                strides[k] = if own == 1 { 0 } else { steps[k] };
                steps[k] *= own;
            }
            if size != 1 && !self.push_outer(size, strides) {
                let operand = shapes.iter().position(|shape| shape.len() == self.shape.len()).unwrap_or(0);
                return Err(BroadcastError::RankTooHigh { operand, rank: self.shape.len() });
            }
        }
        // An empty dimension can push nothing useful, but rows must not have length 0.
        while self.rank < 2 {
            self.push(1, [0; N]);
        }
        self.dims[..self.rank].reverse();
        self.strides.iter_mut().for_each(|strides| strides[..self.rank].reverse());
        Ok(())
    }

    /// Adds a dimension around those so far, merged into the last when every operand walks straight on. Returns
    /// false if there is no place for it.
    fn push_outer(&mut self, size: usize, strides: [usize; N]) -> bool {
        if let Some(last) = self.rank.checked_sub(1) {
            // If one step outwards is as far as all steps inwards, both are one longer dimension. Fewer and
            // longer rows mean fewer calls.
            let straight = |k: usize| {
                strides[k] == self.strides[k][last] * self.dims[last]
                    && self.repeats_alike(k, last, strides[k])
            };
            if (0..N).all(straight) {
                self.dims[last] *= size;
                return true;
            }
        }
        if self.rank == MAX_RANK {
            return false;
        }
        self.push(size, strides);
        true
    }

    /// Returns true if operand `k` is repeated along both or neither of the last dimension and one of `stride`.
    fn repeats_alike(&self, k: usize, last: usize, stride: usize) -> bool {
        // Follows from the product of stride and size, except for a size of 0.
        (self.strides[k][last] == 0) == (stride == 0)
    }

    /// Appends a dimension. While `merge` works, the order is innermost first, so it lies around those so far.
    fn push(&mut self, size: usize, strides: [usize; N]) {
        self.dims[self.rank] = size;
        for k in 0..N {
            self.strides[k][self.rank] = strides[k];
        }
        self.rank += 1;
    }

    /// Returns the stride of operand `k` from element to element of a row.
    pub(crate) fn inner_stride(&self, k: usize) -> usize {
        self.strides[k][self.rank - 1]
    }

    /// Returns the stride of operand `k` from row to row within a piece.
    pub(crate) fn outer_stride(&self, k: usize) -> usize {
        self.strides[k][self.rank - 2]
    }

    /// Returns the length of a row.
    pub(crate) fn cols(&self) -> usize {
        self.dims[self.rank - 1]
    }

    /// Visits the output elements of `range` in order, in pieces of at most `longest` elements (or one
    /// row's part when rows are longer).
    ///
    /// With rows of 4, the range `2..14` is visited as `2..4`, `4..12` (two rows) and `12..14`.
    pub(crate) fn pieces(&self, range: Range<usize>, longest: usize, mut visit: impl FnMut(Piece<N>)) {
        let (cols, rows) = (self.cols(), self.dims[self.rank - 2]);
        let mut at = range.start;
        while at < range.end {
            let (row, col) = (at / cols, at % cols);
            let left = range.end - at;
            // A part of a row, where the range begins or ends within one or rows are too long; otherwise as
            // many rows as there are up to the end of the dimension around them, beyond which the operands
            // continue at another distance.
            let (count, piece_cols) = if col != 0 || left < cols || longest < cols {
                let count = left.min(cols - col).min(longest);
                (count, count)
            } else {
                let whole = (left / cols).min(rows - row % rows).min(longest / cols);
                (whole * cols, cols)
            };
            let offsets = std::array::from_fn(|k| self.offset(k, row, col));
            visit(Piece { output: at..at + count, cols: piece_cols, offsets });
            at += count;
        }
    }

    /// Returns the offset of operand `k` at column `col` of the `row`th row of the output.
    fn offset(&self, k: usize, mut row: usize, col: usize) -> usize {
        let strides = &self.strides[k];
        let mut offset = col * strides[self.rank - 1];
        // The number of the row, taken apart into the indices of all outer dimensions.
        for i in (0..self.rank - 1).rev() {
            offset += row % self.dims[i] * strides[i];
            row /= self.dims[i];
        }
        offset
    }
}

/// Refuses sizes whose products could overflow. A 0 does not help: the kernels also multiply the sizes before and after it.
fn check_size(shape: &[usize]) -> Result<(), BroadcastError> {
    let product = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size.max(1)));
    product.map(|_| ()).ok_or(BroadcastError::TooLarge)
}

/// Returns the shape to which all operands broadcast.
///
/// # Errors
/// [`BroadcastError::Incompatible`] for the first dimension that does not fit those of the operands before
/// it.
fn output_shape<const N: usize>(shapes: &[&[usize]; N]) -> Result<PerDim<usize>, BroadcastError> {
    let rank = shapes.iter().map(|shape| shape.len()).max().unwrap_or(0);
    let mut sizes = PerDim::from_elem(1, rank);
    for (operand, shape) in shapes.iter().enumerate() {
        let missing = rank - shape.len();
        for (i, &size) in shape.iter().enumerate() {
            let so_far = &mut sizes[missing + i];
            match (*so_far, size) {
                // Repeated, even 0 times.
                (_, 1) => {}
                (1, _) => *so_far = size,
                (expected, _) if expected == size => {}
                (expected, _) => {
                    let dimension_from_end = shape.len() - 1 - i;
                    return Err(BroadcastError::Incompatible { operand, dimension_from_end, size, expected });
                }
            }
        }
    }
    Ok(sizes)
}
