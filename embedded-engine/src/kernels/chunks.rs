//! Parts of slices: work on them in several threads, and the contiguous runs of a tensor within a larger one.
//!
//! # Determinism
//!
//! Work that is divided gives the same bits on any number of threads if the parts do not depend on the
//! threads. Callers therefore choose the length of a part from the size of the work alone, and combine
//! results of parts in order.

use compute::Pool;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Calls `work(i, part)` for each part of `length` elements, in any order, several at once. A lock for each
/// part records in safe code that no two threads get the same one; no thread ever waits for it.
///
/// The last part is shorter if `output` is not a multiple of `length`; a length of 0 counts as 1. The calling
/// thread takes part, and the function returns when all parts are done.
pub(super) fn for_chunks<T: Send>(
    pool: &Pool,
    output: &mut [T],
    length: usize,
    work: impl Fn(usize, &mut [T]) + Sync,
) {
    let chunks: Vec<Mutex<&mut [T]>> = output.chunks_mut(length.max(1)).map(Mutex::new).collect();
    pool.run(chunks.len(), |i| {
        // A poisoned lock only means that `work` panicked in another thread, which the pool passes on.
        let mut chunk = chunks[i].lock().unwrap_or_else(PoisonError::into_inner);
        work(i, &mut chunk);
    });
}

/// Returns the results of `work` for each of `count` parts, in order: the same for any number of threads.
///
/// Several parts may be computed at the same time. All results are there when the iterator is returned.
pub(super) fn for_parts<R: Send + Sync>(
    pool: &Pool,
    count: usize,
    work: impl Fn(usize) -> R + Sync,
) -> impl Iterator<Item = R> {
    // A cell for each part instead of a shared list: results arrive in any order and need no lock.
    let parts: Vec<OnceLock<R>> = (0..count).map(|_| OnceLock::new()).collect();
    pool.run(count, |i| {
        let _ = parts[i].set(work(i));
    });
    parts.into_iter().filter_map(OnceLock::into_inner)
}

/// Calls `write(position, run)` for each run of elements along the last axis of a tensor of shape `shape`,
/// with the position of the run in a tensor of shape `into`, which is at least as large along each axis and
/// has as many.
///
/// A `[2, 2]` within a `[3, 4]` calls `write(0, ..)` and `write(4, ..)`. A scalar is one run at position 0; a
/// tensor without elements has none.
pub(super) fn place<T>(source: &[T], shape: &[usize], into: &[usize], write: &mut dyn FnMut(usize, &[T])) {
    let Some(&last) = shape.last() else { return write(0, source) };
    if last == 0 {
        return;
    }
    for (number, run) in source.chunks_exact(last).enumerate() {
        // The coordinates of the run, from the innermost axis before the last to the outermost.
        let (mut rest, mut at, mut stride) = (number, 0, into[into.len() - 1]);
        for axis in (0..shape.len() - 1).rev() {
            at += rest % shape[axis] * stride;
            rest /= shape[axis];
            stride *= into[axis];
        }
        write(at, run);
    }
}
