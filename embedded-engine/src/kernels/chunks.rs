//! Parts of slices: work on them in several threads, and the contiguous runs of a tensor within a larger one.

use compute::Pool;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Calls `work(i, part)` for each part of `length` elements, in any order, several at once. A lock for each part records
/// in safe code that no two threads get the same one; no thread ever waits for it.
pub(super) fn for_chunks<T: Send>(
    pool: &Pool,
    output: &mut [T],
    length: usize,
    work: impl Fn(usize, &mut [T]) + Sync,
) {
    let chunks: Vec<Mutex<&mut [T]>> = output.chunks_mut(length.max(1)).map(Mutex::new).collect();
    pool.run(chunks.len(), |i| {
        let mut chunk = chunks[i].lock().unwrap_or_else(PoisonError::into_inner);
        work(i, &mut chunk);
    });
}

/// Returns the results of `work` for each of `count` parts, in order: the same for any number of threads.
pub(super) fn for_parts<R: Send + Sync>(
    pool: &Pool,
    count: usize,
    work: impl Fn(usize) -> R + Sync,
) -> impl Iterator<Item = R> {
    let parts: Vec<OnceLock<R>> = (0..count).map(|_| OnceLock::new()).collect();
    pool.run(count, |i| {
        let _ = parts[i].set(work(i));
    });
    parts.into_iter().filter_map(OnceLock::into_inner)
}

/// Calls with each run of elements along the last axis, and its place in a tensor of shape `into`, which is at least
/// as large along each axis.
pub(super) fn place<T>(source: &[T], shape: &[usize], into: &[usize], write: &mut dyn FnMut(usize, &[T])) {
    let Some(&last) = shape.last() else { return write(0, source) };
    if last == 0 {
        return;
    }
    for (number, run) in source.chunks_exact(last).enumerate() {
        let (mut rest, mut at, mut stride) = (number, 0, into[into.len() - 1]);
        for axis in (0..shape.len() - 1).rev() {
            at += rest % shape[axis] * stride;
            rest /= shape[axis];
            stride *= into[axis];
        }
        write(at, run);
    }
}
