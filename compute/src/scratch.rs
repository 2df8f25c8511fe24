//! Reusable working memory of the kernels.

use crate::conv::Span;
use crate::matmul::{Offset, Real, Run};

/// Working memory that kernels borrow for the length of one call and that its owner keeps, so that a
/// repeated call allocates nothing.
///
/// It grows to the largest demand it has met and never shrinks by itself; what it held means nothing to
/// the next call. One `Scratch` serves kernels of any element type, one call at a time.
#[derive(Default)]
pub struct Scratch {
    pub(crate) memory: Memory,
    pub(crate) tables: Tables,
}

/// Elements: packed operands and partial sums.
#[derive(Default)]
pub(crate) struct Memory {
    lines: Vec<Line>,
}

/// Lists that say where the parts of a sum are.
#[derive(Default)]
pub(crate) struct Tables {
    pub(crate) offsets: Vec<Offset>,
    pub(crate) runs: Vec<Run>,
    /// Parts of a convolution's destination, along each axis.
    pub(crate) rows: Vec<Span>,
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
    /// Working memory that owns nothing yet.
    #[must_use]
    pub const fn new() -> Scratch {
        Scratch {
            memory: Memory { lines: Vec::new() },
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

    /// Bytes held for elements at present.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.memory.lines.len() * LINE
    }

    /// Gives the memory back; the next call allocates again.
    pub fn clear(&mut self) {
        *self = Scratch::new();
    }
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scratch").field("capacity", &self.capacity()).finish()
    }
}

#[allow(unsafe_code)] // bytes are lent as elements
impl Memory {
    /// `counts[i]` elements for every `i`, each part on a cache line of its own, with any values.
    pub(crate) fn parts<T: Real, const N: usize>(&mut self, counts: [usize; N]) -> [&mut [T]; N] {
        let lines = counts.map(|count| (count * size_of::<T>()).div_ceil(LINE));
        let total = lines.iter().sum();
        if self.lines.len() < total {
            // Not `resize`, which would copy what nobody needs and touch every page at once.
            self.lines = Vec::new();
            self.lines = vec![Line([0; LINE]); total];
        }
        let mut rest = self.lines.as_mut_slice();
        let mut part = 0;
        counts.map(|count| {
            let (taken, left) = std::mem::take(&mut rest).split_at_mut(lines[part]);
            rest = left;
            part += 1;
            // SAFETY: the lines hold `count` elements, are aligned for any, and were all written; `Real`
            // is sealed to floating-point numbers, for which all bits are values.
            unsafe { std::slice::from_raw_parts_mut(taken.as_mut_ptr().cast::<T>(), count) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_apart_and_aligned() {
        let mut scratch = Scratch::new();
        let [a, b, c] = scratch.memory.parts::<f32, 3>([3, 0, 17]);
        a.fill(1.0);
        c.fill(2.0);
        assert_eq!((a.len(), b.len(), c.len()), (3, 0, 17));
        assert!(a.iter().all(|&x| x == 1.0));
        assert_eq!(c.as_ptr().align_offset(64), 0);
        assert_eq!(scratch.capacity(), 3 * 64);
        let [d] = scratch.memory.parts::<f64, 1>([9]);
        assert_eq!(d.len(), 9);
        assert_eq!(scratch.capacity(), 3 * 64);
        scratch.clear();
        assert_eq!(scratch.capacity(), 0);
    }
}
