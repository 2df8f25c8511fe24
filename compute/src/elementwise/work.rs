//! The division of a kernel's output among threads.
//!
//! A part must be worth waking a thread: `units_per_part` converts the cost of a unit to the least number of units.
//! Parts begin at multiples of `align`, such as a cache line, so that two threads do not write one line. The division
//! never changes results, since every element is computed on its own.

use crate::Pool;
use crate::parallel::SharedSlice;
use std::ops::Range;

/// Nanoseconds of work that one part must hold before another thread is worth waking.
pub(crate) const PART_NANOSECONDS: usize = 12_000;

/// Returns the number of units that of `picoseconds` each make a part worth splitting off.
/// At 150 picoseconds these are 80 000 units.
pub(crate) const fn units_per_part(picoseconds: usize) -> usize {
    let picoseconds = if picoseconds == 0 { 1 } else { picoseconds };
    let units = PART_NANOSECONDS * 1000 / picoseconds;
    if units == 0 { 1 } else { units }
}

/// Calls `work` for consecutive ranges that cover `0..units`, at most one per thread, none shorter
/// than `least` units, each but the last a multiple of `align` long.
///
/// Not generic over the work: a copy for every kernel would double the library.
///
/// For 10 units, 4 threads, an `align` of 4 and a `least` of 1, the ranges are `0..4`, `4..8` and `8..10`.
pub(crate) fn split(
    pool: &Pool,
    units: usize,
    align: usize,
    least: usize,
    work: &(dyn Fn(Range<usize>) + Sync),
) {
    // Fewer parts than threads if one would take less time than waking its thread.
    let parts = pool.threads().min(units / least.max(1));
    if parts <= 1 {
        if units > 0 {
            work(0..units);
        }
        return;
    }
    // Rounding up may leave fewer parts, but never an empty one.
    let step = units.div_ceil(parts).next_multiple_of(align.max(1));
    pool.run(units.div_ceil(step), |part| work(part * step..units.min((part + 1) * step)));
}

/// Works as [`split`], and passes each call its part of every output: `outputs[k]` has `width_k` elements
/// for each unit.
///
/// # Panics
/// When an output is not `units * width` long.
#[allow(unsafe_code)] // The ranges of `split` are disjoint, and so are the parts made of them.
pub(crate) fn split_outputs<T: Send, const N: usize>(
    pool: &Pool,
    units: usize,
    align: usize,
    least: usize,
    outputs: [(&mut [T], usize); N],
    work: impl Fn(Range<usize>, [&mut [T]; N]) + Sync,
) {
    let outputs = Outputs::new(units, outputs);
    split(pool, units, align, least, &|range| {
        // SAFETY: ranges do not overlap.
        let parts = unsafe { outputs.parts(&range) };
        work(range, parts);
    });
}

/// Several outputs with the number of their elements for each unit. Its functions are compiled for the types of outputs
/// and not for each kernel, which would be a fifth of the library.
struct Outputs<'a, T, const N: usize>([(SharedSlice<'a, T>, usize); N]);

impl<'a, T: Send, const N: usize> Outputs<'a, T, N> {
    /// Checks that each output has the number of elements that the units need.
    #[inline(never)]
    fn new(units: usize, outputs: [(&'a mut [T], usize); N]) -> Self {
        Outputs(outputs.map(|(slice, width)| {
            assert_eq!(slice.len(), units * width, "output of {units} units of {width}");
            (SharedSlice::new(slice), width)
        }))
    }

    /// Returns the elements that the units of a range stand for.
    ///
    /// # Safety
    /// No two ranges whose parts are alive at the same time may overlap.
    #[allow(unsafe_code, clippy::mut_from_ref)] // Ranges that do not overlap stand for elements that do not.
    #[inline(never)]
    unsafe fn parts(&self, range: &Range<usize>) -> [&mut [T]; N] {
        self.0.each_ref().map(|(shared, width)| {
            // SAFETY: by the caller's promise.
            unsafe { shared.part(range.start * width, range.end * width) }
        })
    }
}

/// [`split_outputs`] for one output.
#[allow(unsafe_code)] // as there
pub(crate) fn split_output<T: Send>(
    pool: &Pool,
    output: &mut [T],
    align: usize,
    least: usize,
    work: impl Fn(Range<usize>, &mut [T]) + Sync,
) {
    let units = output.len();
    let output = SharedSlice::new(output);
    split(pool, units, align, least, &|range| {
        // SAFETY: ranges do not overlap.
        let part = unsafe { output.part(range.start, range.end) };
        work(range, part);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_everything_once() {
        for threads in [1, 2, 3] {
            let pool = Pool::new(threads).unwrap();
            for units in [0, 1, 5, 64, 1000] {
                let (mut a, mut b) = (vec![0; units], vec![0; units * 3]);
                split_outputs(&pool, units, 8, 10, [(&mut a, 1), (&mut b, 3)], |range, [a, b]| {
                    assert_eq!(a.len() * 3, b.len());
                    assert_eq!(range.len(), a.len());
                    a.iter_mut().chain(b).for_each(|x| *x += 1);
                });
                assert!(a.iter().chain(&b).all(|&x| x == 1));
            }
        }
    }

    #[test]
    fn small_work_stays_on_the_calling_thread() {
        let pool = Pool::new(2).unwrap();
        let caller = std::thread::current().id();
        split(&pool, 19, 1, 10, &|_| assert_eq!(std::thread::current().id(), caller));
    }
}
