//! The threads that share the work of one kernel.
//!
//! Work is handed out in seats of a job: a helper that begins takes a seat, and the caller waits only for seats that are taken. A helper that
//! is late therefore delays no other. Helpers watch for some fifty microseconds between jobs, because a step consists of many short kernels, and
//! then sleep.

mod workers;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use workers::Workers;

/// Threads that kernels may use. Cloning is cheap; clones share the threads.
///
/// The calling thread always takes part, so a pool of one thread owns no thread and costs nothing to enter. Idle threads sleep after about
/// fifty microseconds, during which they yield their CPU to others. No caller waits for a thread that has not begun to help, so another
/// program on the same machine slows a kernel down only by its share.
///
/// ```
/// use compute::Pool;
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// let pool = Pool::new(2)?;
/// let sum = AtomicUsize::new(0);
/// pool.run(10, |i| {
///     sum.fetch_add(i, Ordering::Relaxed);
/// });
/// assert_eq!((pool.threads(), sum.into_inner()), (2, 45));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Pool {
    /// The number of threads, the caller's included.
    threads: usize,
    /// The helpers of the calling thread. Absent in a pool of one thread.
    workers: Option<Arc<Workers>>,
}

impl Pool {
    /// Creates a pool in which `threads` threads work, including the caller's. 0 stands for the number of CPUs that this process may use.
    ///
    /// # Errors
    /// The error of the operating system if it cannot start a thread.
    pub fn new(threads: usize) -> std::io::Result<Pool> {
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        };
        if threads == 1 {
            return Ok(Pool::single());
        }
        let workers = Workers::start(threads - 1)?;
        Ok(Pool { threads, workers: Some(Arc::new(workers)) })
    }

    /// Returns the pool that runs everything on the calling thread.
    ///
    /// ```
    /// use compute::Pool;
    /// static POOL: Pool = Pool::single();
    /// assert_eq!(POOL.threads(), 1);
    /// ```
    #[must_use]
    pub const fn single() -> Pool {
        Pool { threads: 1, workers: None }
    }

    /// Returns the number of threads that take part, including the caller's.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Calls `work(i)` once for every `i` in `0..items`, in any order and on all threads. Returns after the last call. A panic in `work` is
    /// propagated.
    pub fn run(&self, items: usize, work: impl Fn(usize) + Sync) {
        self.run_with_worker(items, |_, i| work(i));
    }

    /// Works as [`run`](Pool::run), and passes the number of the worker to `work(worker, i)`: a number less than [`threads`](Pool::threads) that no
    /// two concurrent calls share. It can index memory that belongs to one worker.
    ///
    /// ```
    /// use compute::Pool;
    /// let pool = Pool::new(2)?;
    /// pool.run_with_worker(8, |worker, _item| assert!(worker < 2));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn run_with_worker(&self, items: usize, work: impl Fn(usize, usize) + Sync) {
        // Not generic from here on: a copy for every kernel would add to the library, not to its speed.
        self.run_dyn(items, &work);
    }

    /// [`run`](Pool::run) without generics, so that it is compiled once.
    fn run_dyn(&self, items: usize, work: &(dyn Fn(usize, usize) + Sync)) {
        // One item per helper at least: a seat without an item would wake a thread for nothing.
        let helpers = self.threads.min(items).saturating_sub(1);
        let Some(workers) = self.workers.as_ref().filter(|_| helpers > 0) else {
            (0..items).for_each(|i| work(0, i));
            return;
        };
        // Items are claimed one by one, so that a thread that was delayed leaves its share to others.
        let next = AtomicUsize::new(0);
        workers.run(helpers, &|worker| {
            loop {
                // Relaxed: only the number matters. What an item writes is ordered by the helper's leaving of
                // the job.
                let i = next.fetch_add(1, Ordering::Relaxed);
                if i >= items {
                    break;
                }
                work(worker, i);
            }
        });
    }

    /// Divides `0..len` into one contiguous range per thread and calls `work(start, end)` for each. All ranges but the last are multiples of
    /// `grain`; nothing shorter than `grain` is divided.
    ///
    /// ```
    /// use compute::Pool;
    /// use std::sync::Mutex;
    /// let ranges = Mutex::new(Vec::new());
    /// Pool::single().split(10, 4, |start, end| ranges.lock().unwrap().push((start, end)));
    /// assert_eq!(ranges.into_inner().unwrap(), [(0, 10)]);
    /// ```
    pub fn split(&self, len: usize, grain: usize, work: impl Fn(usize, usize) + Sync) {
        self.split_dyn(len, grain, &work);
    }

    /// [`split`](Pool::split) without generics, so that it is compiled once.
    fn split_dyn(&self, len: usize, grain: usize, work: &(dyn Fn(usize, usize) + Sync)) {
        let grain = grain.max(1);
        let parts = self.threads.min(len.div_ceil(grain)).max(1);
        if parts == 1 {
            return work(0, len);
        }
        // Rounded up to the grain, fewer parts may remain than there are threads; the second division counts
        // them.
        let step = len.div_ceil(parts).next_multiple_of(grain);
        let parts = len.div_ceil(step);
        self.run(parts, |i| work(i * step, ((i + 1) * step).min(len)));
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("threads", &self.threads).finish()
    }
}

/// A mutable slice that several threads write at once, each its own part.
///
/// The one place where the borrow checker cannot follow a kernel's partition of its output.
pub(crate) struct SharedSlice<'a, T> {
    /// The address of the first element.
    start: *mut T,
    /// The number of elements.
    len: usize,
    /// The borrowed slice, which nothing else can access meanwhile.
    slice: std::marker::PhantomData<&'a mut [T]>,
}

#[allow(unsafe_code)] // Parts handed out are disjoint by the contract of `part`.
mod shared {
    use super::SharedSlice;

    /// Panics for a part that is not within the slice.
    #[cold]
    fn outside(from: usize, to: usize, len: usize) -> ! {
        panic!("part {from}..{to} of {len}");
    }

    // SAFETY: a `SharedSlice` is a mutable borrow split by `part`, whose callers promise disjoint
    // parts; sending `&mut [T]` parts to threads needs `T: Send`.
    unsafe impl<T: Send> Send for SharedSlice<'_, T> {}
    // SAFETY: as above; `&SharedSlice` gives nothing but `part`.
    unsafe impl<T: Send> Sync for SharedSlice<'_, T> {}

    impl<'a, T> SharedSlice<'a, T> {
        /// Borrows a slice for disjoint parts.
        pub(crate) fn new(slice: &'a mut [T]) -> Self {
            SharedSlice { start: slice.as_mut_ptr(), len: slice.len(), slice: std::marker::PhantomData }
        }

        /// Returns the elements from `from` up to `to`.
        ///
        /// # Safety
        /// No two parts that are alive at the same time may overlap.
        #[allow(clippy::mut_from_ref)] // that is its purpose; see the contract
        pub(crate) unsafe fn part(&self, from: usize, to: usize) -> &mut [T] {
            if from > to || to > self.len {
                outside(from, to, self.len);
            }
            // SAFETY: inside the slice by the check above, and not aliased by the caller's promise.
            unsafe { std::slice::from_raw_parts_mut(self.start.add(from), to - from) }
        }

        /// Returns the address of element `at`, for kernels whose parts interleave.
        ///
        /// # Safety
        /// No two threads may use the address for the same element, nor any one beyond the slice.
        pub(crate) unsafe fn at(&self, at: usize) -> *mut T {
            assert!(at <= self.len, "element {at} of {}", self.len);
            self.start.wrapping_add(at)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    #[test]
    fn every_item_is_done_once() {
        for threads in [1, 2, 3] {
            let pool = Pool::new(threads).unwrap();
            let sum = AtomicU64::new(0);
            pool.run(1000, |i| {
                sum.fetch_add(i as u64, Ordering::Relaxed);
            });
            assert_eq!(sum.into_inner(), 999 * 1000 / 2);
        }
    }

    #[test]
    fn split_covers_the_range_without_overlap() {
        let pool = Pool::new(3).unwrap();
        for len in [0, 1, 7, 64, 1000] {
            let mut seen = vec![0u8; len];
            let shared = SharedSlice::new(&mut seen);
            pool.split(len, 16, |a, b| {
                #[allow(unsafe_code)]
                // SAFETY: `split` gives disjoint ranges.
                unsafe { shared.part(a, b) }.iter_mut().for_each(|x| *x += 1);
            });
            assert!(seen.iter().all(|&x| x == 1), "{len}");
        }
    }

    #[test]
    fn a_panic_reaches_the_caller() {
        let pool = Pool::new(2).unwrap();
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            pool.run(8, |i| assert!(i != 5));
        }));
        assert!(caught.is_err());
        pool.run(2, |_| ());
    }
}
