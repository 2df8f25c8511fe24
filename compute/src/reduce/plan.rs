//! Plans of reductions: the mapping from elements to results.

use crate::elementwise::{MAX_RANK, PerDim};
use std::fmt;

/// The dimensions of a reduction; neighbors that are treated alike are merged. It is created once for a shape and allocates nothing.
///
/// ```
/// use compute::reduce::ReducePlan;
/// let plan = ReducePlan::new(&[2, 3, 4], &[0, 2])?;
/// assert_eq!((plan.input_len(), plan.output_len(), plan.count()), (24, 3, 8));
/// assert_eq!(plan.output_shape(true).collect::<Vec<_>>(), [1, 3, 1]);
/// assert!(ReducePlan::new(&[2, 3], &[2]).is_err());
/// # Ok::<(), compute::reduce::ReduceError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReducePlan {
    /// The shape of the input.
    shape: PerDim<usize>,
    /// True for each reduced axis.
    reduced: PerDim<bool>,
    /// The dimensions that stay, outermost first.
    pub(super) kept: Dims,
    /// The dimensions that are reduced, outermost first.
    pub(super) gone: Dims,
    /// True if the innermost dimension is reduced.
    pub(super) inner_gone: bool,
}

/// Sizes and strides of merged dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dims {
    /// The number of dimensions after merging.
    rank: usize,
    /// The sizes, outermost first.
    sizes: [usize; MAX_RANK],
    /// The strides in the input, in elements.
    strides: [usize; MAX_RANK],
}

impl Dims {
    /// No dimensions, which is one combination of indices.
    const NONE: Dims = Dims { rank: 0, sizes: [1; MAX_RANK], strides: [0; MAX_RANK] };

    /// Appends a dimension, or returns false if there is no place for it. While `merge` works, the order is
    /// innermost first, so it lies around the others.
    fn push(&mut self, size: usize, stride: usize) -> bool {
        if self.rank == MAX_RANK {
            return false;
        }
        (self.sizes[self.rank], self.strides[self.rank]) = (size, stride);
        self.rank += 1;
        true
    }

    /// Elements in all.
    pub(super) fn len(&self) -> usize {
        self.sizes[..self.rank].iter().product()
    }

    /// Returns the size of the innermost dimension; 1 without any.
    pub(super) fn inner(&self) -> usize {
        if self.rank == 0 { 1 } else { self.sizes[self.rank - 1] }
    }

    /// Returns the dimensions but the innermost.
    pub(super) fn outer(mut self) -> Dims {
        self.rank = self.rank.saturating_sub(1);
        self
    }

    /// Returns the offset of the `index`th combination of indices.
    /// Indices count in the order of the dimensions, the last one fastest.
    pub(super) fn offset(&self, mut index: usize) -> usize {
        let mut offset = 0;
        for i in (0..self.rank).rev() {
            offset += index % self.sizes[i] * self.strides[i];
            index /= self.sizes[i];
        }
        offset
    }

    /// Returns the distance of neighbors, when there is one dimension only.
    pub(super) fn single_stride(&self) -> Option<usize> {
        match self.rank {
            0 => Some(0),
            1 => Some(self.strides[0]),
            _ => None,
        }
    }
}

/// The error of an axis that the shape does not have, or of too many dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReduceError {
    /// An axis is not a dimension of the input.
    Axis {
        /// The dimension.
        axis: usize,
        /// The number of them.
        rank: usize,
    },
    /// More than [`MAX_RANK`] dimensions stay, or are reduced, after neighboring ones are merged.
    RankTooHigh {
        /// The number of dimensions.
        rank: usize,
    },
}

impl fmt::Display for ReduceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReduceError::Axis { axis, rank } => write!(f, "axis {axis} of a tensor of rank {rank}"),
            ReduceError::RankTooHigh { rank } => write!(
                f,
                "a tensor of rank {rank} has more than {MAX_RANK} separate groups of axes to reduce or to keep"
            ),
        }
    }
}

impl std::error::Error for ReduceError {}

impl ReducePlan {
    /// Returns the reduction of a tensor of `shape` over `axes`, in any order. An axis that occurs twice counts once.
    ///
    /// # Errors
    /// [`ReduceError`] if there is no such dimension, or if there are too many.
    pub fn new(shape: &[usize], axes: &[usize]) -> Result<ReducePlan, ReduceError> {
        let rank = shape.len();
        let mut plan = ReducePlan {
            shape: PerDim::from_elem(1, rank),
            reduced: PerDim::from_elem(false, rank),
            kept: Dims::NONE,
            gone: Dims::NONE,
            inner_gone: true,
        };
        plan.shape.copy_from_slice(shape);
        for &axis in axes {
            *plan.reduced.get_mut(axis).ok_or(ReduceError::Axis { axis, rank })? = true;
        }
        if plan.merge() { Ok(plan) } else { Err(ReduceError::RankTooHigh { rank }) }
    }

    /// Merges neighbors that are contiguous in the input.
    ///
    /// Of a shape `[2, 3, 4, 5]` reduced over the last two axes, one dimension of 6 with a stride of 20
    /// stays, and one of 20 neighbors is reduced. Returns false if too many dimensions remain.
    fn merge(&mut self) -> bool {
        let mut stride = 1;
        let mut last: Option<bool> = None;
        for i in (0..self.shape.len()).rev() {
            let (size, gone) = (self.shape[i], self.reduced[i]);
            // Whether it is reduced or not, it moves nothing.
            if size == 1 {
                continue;
            }
            let dims = if gone { &mut self.gone } else { &mut self.kept };
            // Contiguous in the input, because at most dimensions of 1 lie between them.
            if last == Some(gone) {
                dims.sizes[dims.rank - 1] *= size;
            } else if !dims.push(size, stride) {
                return false;
            }
            if last.is_none() {
                self.inner_gone = gone;
            }
            last = Some(gone);
            stride *= size;
        }
        for dims in [&mut self.kept, &mut self.gone] {
            dims.sizes[..dims.rank].reverse();
            dims.strides[..dims.rank].reverse();
        }
        true
    }

    /// Returns the number of elements of the input.
    #[must_use]
    pub fn input_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Returns the number of elements of the result.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.kept.len()
    }

    /// Returns the number of elements that are reduced to each element of the result.
    #[must_use]
    pub fn count(&self) -> usize {
        self.gone.len()
    }

    /// Returns the dimensions of the result. Reduced dimensions are left out, or have size 1 if `keep_dims`.
    pub fn output_shape(&self, keep_dims: bool) -> impl Iterator<Item = usize> + '_ {
        (0..self.shape.len()).filter_map(move |i| match (self.reduced[i], keep_dims) {
            (false, _) => Some(self.shape[i]),
            (true, true) => Some(1),
            (true, false) => None,
        })
    }
}
