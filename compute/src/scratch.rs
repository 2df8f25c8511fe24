//! Reusable working memory of the kernels.

use crate::conv::Span;
use crate::matmul::{Offset, Real, Run};
use std::fmt;

/// The error of working memory that cannot be allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory {
    /// The requested number of bytes.
    pub bytes: usize,
}

impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot allocate {} bytes of working memory", self.bytes)
    }
}

impl std::error::Error for OutOfMemory {}

/// Working memory that kernels borrow for one call. Its owner keeps it, so that repeated calls allocate nothing.
///
/// It grows to the largest demand so far and shrinks only by [`clear`](Scratch::clear). Its content has no meaning between calls. One `Scratch`
/// serves kernels of all element types, one call at a time.
pub struct Scratch {
    /// Packed operands and partial sums.
    pub(crate) memory: Memory,
    /// The lists that describe sums.
    pub(crate) tables: Tables,
}

/// Elements: packed operands and partial sums.
pub(crate) struct Memory {
    /// The memory, in units of cache lines so that every part is aligned.
    lines: Vec<Line>,
    /// Asks the owner before an allocation.
    allowed: fn(usize) -> bool,
}

/// Lists of the places of the parts of a sum.
#[derive(Default)]
pub(crate) struct Tables {
    /// The outer stretches of sums.
    pub(crate) offsets: Vec<Offset>,
    /// The inner stretches of sums.
    pub(crate) runs: Vec<Run>,
    /// Parts of a convolution's destination, along each axis.
    pub(crate) rows: Vec<Span>,
    /// The parts along the columns.
    pub(crate) columns: Vec<Span>,
    /// The order of a filter's taps in a row.
    pub(crate) order: Vec<usize>,
    /// The starts of the rows of tiles.
    pub(crate) starts: Vec<usize>,
}

/// One cache line, which is also the alignment of every part handed out.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; LINE]);

/// Bytes of a cache line.
const LINE: usize = 64;

impl Scratch {
    /// Creates working memory that holds nothing yet.
    ///
    /// ```
    /// use compute::Scratch;
    /// let mut scratch = Scratch::new();
    /// assert_eq!(scratch.capacity(), 0);
    /// scratch.clear();
    /// ```
    #[must_use]
    pub const fn new() -> Scratch {
        Scratch::asking(|_| true)
    }

    /// Makes working memory that calls `allowed` with the number of bytes before each allocation. If that returns false, the
    /// kernel fails with [`OutOfMemory`] and has written nothing.
    ///
    /// ```
    /// use compute::{OutOfMemory, Pool, Scratch, matmul::{Product, matmul}};
    /// let mut scratch = Scratch::asking(|bytes| bytes < 1 << 10);
    /// let (a, b, mut c) = ([1.0f32; 64 * 64], [1.0; 64 * 64], [0.0; 64 * 64]);
    /// let product = Product::new(64, 64, 64).transpose_b();
    /// let refused = matmul(&Pool::single(), &mut scratch, &product, &a, &b, &mut c);
    /// assert!(matches!(refused, Err(OutOfMemory { .. })));
    /// ```
    #[must_use]
    pub const fn asking(allowed: fn(usize) -> bool) -> Scratch {
        Scratch {
            memory: Memory { lines: Vec::new(), allowed },
            tables: Tables {
                offsets: Vec::new(),
                runs: Vec::new(),
                rows: Vec::new(),
                columns: Vec::new(),
                order: Vec::new(),
                starts: Vec::new(),
            },
        }
    }

    /// Returns the number of bytes that are held at present.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.memory.lines.len() * LINE
    }

    /// Frees the memory. The next call allocates it again.
    pub fn clear(&mut self) {
        *self = Scratch::asking(self.memory.allowed);
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Scratch::new()
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").field("capacity", &self.capacity()).finish()
    }
}

#[allow(unsafe_code)] // bytes are lent as elements
impl Memory {
    /// `counts[i]` elements for every `i`, each part on its own cache line, with any values.
    pub(crate) fn parts<T: Real, const N: usize>(
        &mut self,
        counts: [usize; N],
    ) -> Result<[&mut [T]; N], OutOfMemory> {
        let lines = counts.map(|count| count.saturating_mul(size_of::<T>()).div_ceil(LINE));
        let total = lines.iter().fold(0, |total: usize, &lines| total.saturating_add(lines));
        if self.lines.len() < total {
            // Freed first: nothing needs what it holds.
            self.lines = Vec::new();
            let bytes = total.saturating_mul(LINE);
            if !(self.allowed)(bytes) || self.lines.try_reserve_exact(total).is_err() {
                return Err(OutOfMemory { bytes });
            }
            // Written once, although kernels need no zeros: memory that was never written may not be read as
            // numbers.
            self.lines.resize(total, Line([0; LINE]));
        }
        let mut rest = self.lines.as_mut_slice();
        let mut part = 0;
        Ok(counts.map(|count| {
            let (taken, left) = std::mem::take(&mut rest).split_at_mut(lines[part]);
            rest = left;
            part += 1;
            // SAFETY: the lines hold `count` elements, are aligned for any, and were all written; `Real`
            // is sealed to floating-point numbers, for which all bits are values.
            unsafe { std::slice::from_raw_parts_mut(taken.as_mut_ptr().cast::<T>(), count) }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_apart_and_aligned() {
        let mut scratch = Scratch::new();
        let [a, b, c] = scratch.memory.parts::<f32, 3>([3, 0, 17]).unwrap();
        a.fill(1.0);
        c.fill(2.0);
        assert_eq!((a.len(), b.len(), c.len()), (3, 0, 17));
        assert!(a.iter().all(|&x| x == 1.0));
        assert_eq!(c.as_ptr().align_offset(64), 0);
        assert_eq!(scratch.capacity(), 3 * 64);
        let [d] = scratch.memory.parts::<f64, 1>([9]).unwrap();
        assert_eq!(d.len(), 9);
        assert_eq!(scratch.capacity(), 3 * 64);
        scratch.clear();
        assert_eq!(scratch.capacity(), 0);
    }

    #[test]
    fn refused_memory_is_not_allocated() {
        let mut scratch = Scratch::asking(|bytes| bytes <= 256);
        assert_eq!(scratch.memory.parts::<f32, 2>([64, 1]).unwrap_err(), OutOfMemory { bytes: 320 });
        assert_eq!(scratch.capacity(), 0);
        scratch.clear();
        assert!(scratch.memory.parts::<f64, 1>([usize::MAX]).is_err(), "it still asks");
        assert!(scratch.memory.parts::<f64, 1>([32]).is_ok());
    }
}
