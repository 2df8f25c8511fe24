//! A value for each dimension of an array.

use super::MAX_RANK;
use std::ops::{Deref, DerefMut};

/// A value for each dimension, in place for up to [`MAX_RANK`] dimensions and on the heap for more.
///
/// Plans are made in every step, so the usual ranks must not allocate; higher ones only have to work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PerDim<T> {
    /// The number of dimensions.
    rank: usize,
    /// The values, for up to [`MAX_RANK`] dimensions.
    inline: [T; MAX_RANK],
    /// The values of a higher rank; otherwise empty.
    spilled: Vec<T>,
}

impl<T: Copy> PerDim<T> {
    /// Returns the same value for each of `rank` dimensions.
    pub(crate) fn filled(value: T, rank: usize) -> Self {
        let spilled = if rank > MAX_RANK { vec![value; rank] } else { Vec::new() };
        PerDim { rank, inline: [value; MAX_RANK], spilled }
    }
}

impl<T> Deref for PerDim<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        if self.rank > MAX_RANK { &self.spilled } else { &self.inline[..self.rank] }
    }
}

impl<T> DerefMut for PerDim<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        if self.rank > MAX_RANK { &mut self.spilled } else { &mut self.inline[..self.rank] }
    }
}
