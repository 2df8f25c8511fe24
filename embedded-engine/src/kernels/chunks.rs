//! Work on parts of a slice in several threads.

use compute::Pool;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Calls `work(i, part)` for each part of `length` elements, in any order, several at once. A lock for each part says
/// in safe code that no two threads get the same one; nobody ever waits for it.
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
