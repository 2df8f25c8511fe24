//! Threads that help callers with their jobs.
//!
//! A caller offers *seats* at its job, one for each helper that could take part, and starts to work on
//! the job itself. Idle helpers take seats. When the caller finds nothing left to do it withdraws the
//! seats that were not taken and waits for the helpers that did. So it never waits for a thread that the
//! operating system has not scheduled yet: with a CPU taken by a neighbor, a job costs what it
//! costs on one thread and no more. (A scope of rayon waits until each of its tasks has begun and ended.)
//!
//! An idle helper first watches for new jobs for about as long as it takes to wake a sleeping thread,
//! yielding its CPU in the meantime, and then sleeps.
//!
//! # Memory order
//!
//! The list of jobs is behind a mutex, which orders all that is written before and after. Two counters can be read
//! without it: `seats`, which idle helpers watch, and `helpers` of a job, which its caller watches. Reading them
//! early only decides how long a thread watches; every decision is made again under the lock, apart from the end of a
//! job. There the caller reads `helpers` with Acquire, which pairs with the Release of the last helper to leave.
//!
//! # Lifetime of a job
//!
//! A job is on the stack of its caller, and the list holds a pointer to it. The pointer is valid while the job has
//! seats in the list or helpers inside: `Guest` withdraws the seats and waits for the helpers before the caller
//! returns, even if the caller's own part panics.
#![allow(unsafe_code)] // a job lies on its caller's stack; see `Offer`

use std::any::Any;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long an idle helper watches before it sleeps, and a caller that waits for helpers.
const WATCH: Duration = Duration::from_micros(50);

/// The number of reads of an atomic between two calls of the operating system or the clock.
const LOOKS: usize = 64;

/// The threads of a pool. Dropping it lets them end.
pub(super) struct Workers {
    /// The state that the pool shares with its threads.
    shared: Arc<Shared>,
}

/// The state of a pool.
struct Shared {
    /// The jobs with free seats, oldest first. Held for a few instructions at a time; no job runs under it.
    offers: Mutex<Offers>,
    /// Free seats of all jobs: what helpers watch before they sleep. Written under `offers`.
    seats: AtomicUsize,
    /// Notified when seats become available or the pool is closed.
    offered: Condvar,
    /// Notified when the last helper has left a job.
    left: Condvar,
}

/// The jobs that helpers may join.
#[derive(Default)]
struct Offers {
    /// The jobs with free seats, oldest first.
    jobs: VecDeque<Offer>,
    /// The number of helpers that sleep, so that a caller wakes no more than there are.
    sleeping: usize,
    /// True once the pool was dropped.
    closed: bool,
}

/// A job with free seats.
struct Offer {
    /// The job to work on.
    job: JobPointer,
    /// The number of further threads that may join.
    seats: usize,
}

/// A job on the stack of its caller, who does not return before the offer is out of the list and
/// [`Job::helpers`] has fallen to zero. Helpers touch it only between taking a seat, which raises that
/// count under the lock, and lowering it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct JobPointer(*const Job<'static>);

// SAFETY: all that a job holds may be used from any thread, as long as the job exists.
unsafe impl Send for JobPointer {}

/// A job while its caller works on it.
struct Job<'a> {
    /// The work of each participant, which receives its number: 0 for the caller.
    work: &'a (dyn Fn(usize) + Sync),
    /// Helpers inside.
    helpers: AtomicUsize,
    /// The panic of a helper, which the caller raises again.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Job<'_> {
    /// Takes part as a helper.
    fn help(&self, number: usize) {
        let work = std::panic::AssertUnwindSafe(|| (self.work)(number));
        if let Err(panic) = std::panic::catch_unwind(work) {
            self.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(panic);
        }
    }
}

impl Workers {
    /// Starts `count` threads.
    pub(super) fn start(count: usize) -> std::io::Result<Workers> {
        let workers = Workers {
            shared: Arc::new(Shared {
                offers: Mutex::default(),
                seats: AtomicUsize::new(0),
                offered: Condvar::new(),
                left: Condvar::new(),
            }),
        };
        for i in 0..count {
            let shared = Arc::clone(&workers.shared);
            // If one cannot start, dropping `workers` closes the list and ends the others.
            std::thread::Builder::new().name(format!("compute-{i}")).spawn(move || shared.help())?;
        }
        Ok(workers)
    }

    /// Makes the caller and up to `seats` helpers each call `work` once, with different numbers up to
    /// `seats`. Helpers that come too late do not call it.
    pub(super) fn run(&self, seats: usize, work: &(dyn Fn(usize) + Sync)) {
        let job = Job { work, helpers: AtomicUsize::new(0), panic: Mutex::new(None) };
        // Withdraws the offer even when `work` unwinds.
        let guest = Guest { shared: &self.shared, job: JobPointer(std::ptr::from_ref(&job).cast()) };
        self.shared.offer(Offer { job: guest.job, seats });
        work(0);
        drop(guest);
        if let Some(panic) = job.panic.into_inner().unwrap_or_else(PoisonError::into_inner) {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.offered.notify_all();
    }
}

/// The time that a caller spends in its own job. Dropping it waits for all helpers, so the job outlives their work.
struct Guest<'a> {
    /// The state that the pool's threads share.
    shared: &'a Shared,
    /// The caller's job.
    job: JobPointer,
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        self.shared.withdraw(self.job);
        self.shared.wait(self.job);
    }
}

impl Shared {
    /// Locks the list of jobs.
    fn lock(&self) -> MutexGuard<'_, Offers> {
        // Nothing that runs under the lock leaves it half done.
        self.offers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a job to the list and wakes sleeping helpers.
    ///
    /// At most as many helpers are woken as there are seats. Helpers that watch find the seats by themselves.
    fn offer(&self, offer: Offer) {
        let mut offers = self.lock();
        let seats = offer.seats;
        offers.jobs.push_back(offer);
        // Release, with the watchers' Acquire, only so that they look soon; the lock orders the rest.
        self.seats.fetch_add(seats, Ordering::Release);
        // Counted under the lock. A helper that falls asleep later looks at the list before.
        let woken = offers.sleeping.min(seats);
        drop(offers);
        for _ in 0..woken {
            self.offered.notify_one();
        }
    }

    /// Removes the job's remaining seats from the list.
    fn withdraw(&self, job: JobPointer) {
        let mut offers = self.lock();
        if let Some(at) = offers.jobs.iter().position(|offer| offer.job == job) {
            let seats = offers.jobs.remove(at).map_or(0, |offer| offer.seats);
            self.seats.fetch_sub(seats, Ordering::Relaxed);
        }
    }

    /// Returns when no helper is inside `job`, which must have no seats left.
    fn wait(&self, job: JobPointer) {
        // Acquire: pairs with the Release of `leave`, so that what helpers wrote is seen.
        // SAFETY: called by the job's caller, so the job exists.
        let empty = || unsafe { (*job.0).helpers.load(Ordering::Acquire) } == 0;
        if watch(empty) {
            return;
        }
        let mut offers = self.lock();
        while !empty() {
            offers = self.left.wait(offers).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The life of a helper.
    fn help(&self) {
        while let Some((job, number)) = self.take_seat() {
            // SAFETY: the seat keeps the job alive, and this borrow ends before it is left.
            unsafe { (*job.0).help(number) };
            self.leave(job);
        }
    }

    /// Returns a seat at a job and its number, or nothing when the pool has closed.
    fn take_seat(&self) -> Option<(JobPointer, usize)> {
        watch(|| self.seats.load(Ordering::Acquire) > 0);
        let mut offers = self.lock();
        loop {
            if let Some(offer) = offers.jobs.front_mut() {
                // Seats count down to 1, so numbers are unique, and 0 remains the caller's.
                let number = offer.seats;
                let job = offer.job;
                offer.seats -= 1;
                if offer.seats == 0 {
                    offers.jobs.pop_front();
                }
                self.seats.fetch_sub(1, Ordering::Relaxed);
                // Under the lock, so that the thread that withdraws the other seats sees it.
                // SAFETY: an offer in the list has its caller waiting.
                unsafe { (*job.0).helpers.fetch_add(1, Ordering::Relaxed) };
                return Some((job, number));
            }
            if offers.closed {
                return None;
            }
            offers.sleeping += 1;
            offers = self.offered.wait(offers).unwrap_or_else(PoisonError::into_inner);
            offers.sleeping -= 1;
        }
    }

    /// Leaves a job, which is not touched any more once its count has fallen.
    fn leave(&self, job: JobPointer) {
        // SAFETY: the seat that is given up here has kept the job alive.
        if unsafe { (*job.0).helpers.fetch_sub(1, Ordering::Release) } == 1 {
            // The lock, so that a caller is either before its look at the count or in its sleep.
            drop(self.lock());
            self.left.notify_all();
        }
    }
}

/// Spins until `seen` returns true, or for about [`WATCH`]. Returns the last result of `seen`.
fn watch(seen: impl Fn() -> bool) -> bool {
    let mut start = None;
    loop {
        for _ in 0..LOOKS {
            if seen() {
                return true;
            }
            std::hint::spin_loop();
        }
        // Yields the CPU to other threads.
        std::thread::yield_now();
        if start.get_or_insert_with(Instant::now).elapsed() > WATCH {
            return seen();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worker_numbers_are_unique_and_include_the_caller() {
        let workers = Workers::start(3).unwrap();
        for _ in 0..2000 {
            let seen: [AtomicUsize; 4] = Default::default();
            workers.run(3, &|number| {
                seen[number].fetch_add(1, Ordering::Relaxed);
            });
            let seen = seen.map(AtomicUsize::into_inner);
            assert!(seen[0] == 1 && seen.iter().all(|&count| count <= 1), "{seen:?}");
        }
    }

    #[test]
    fn callers_share_the_helpers_and_may_nest() {
        let workers = Workers::start(2).unwrap();
        let total = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..300 {
                        workers.run(2, &|_| {
                            let inner = AtomicUsize::new(0);
                            workers.run(1, &|number| {
                                inner.fetch_add(number + 1, Ordering::Relaxed);
                            });
                            let inner = inner.into_inner();
                            assert!(inner == 1 || inner == 3, "{inner}");
                            total.fetch_add(1, Ordering::Relaxed);
                        });
                    }
                });
            }
        });
        let total = total.into_inner();
        assert!((900..=2700).contains(&total), "{total}");
        let offers = workers.shared.lock();
        assert!(offers.jobs.is_empty());
        assert_eq!(workers.shared.seats.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn the_caller_waits_for_its_helpers() {
        let workers = Workers::start(1).unwrap();
        for _ in 0..50 {
            let (come, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
            workers.run(1, &|number| {
                if number == 0 {
                    while come.load(Ordering::Acquire) == 0 {
                        std::thread::yield_now();
                    }
                } else {
                    come.store(1, Ordering::Release);
                    // Longer than the caller watches, so that it has to be woken.
                    let start = Instant::now();
                    while start.elapsed() < 3 * WATCH {}
                    done.store(1, Ordering::Relaxed);
                }
            });
            assert_eq!(done.into_inner(), 1);
        }
    }

    #[test]
    fn a_panic_of_a_helper_is_raised_in_the_caller() {
        let workers = Workers::start(1).unwrap();
        let come = AtomicUsize::new(0);
        let run = std::panic::AssertUnwindSafe(|| {
            workers.run(1, &|number| {
                if number == 0 {
                    while come.load(Ordering::Acquire) == 0 {
                        std::thread::yield_now();
                    }
                } else {
                    come.store(1, Ordering::Release);
                    panic!("in a helper");
                }
            });
        });
        let panic = std::panic::catch_unwind(run).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"in a helper"));
        workers.run(1, &|_| ());
    }

    #[test]
    fn no_thread_outlasts_its_pool() {
        let workers = Workers::start(2).unwrap();
        let shared = Arc::downgrade(&workers.shared);
        workers.run(2, &|_| ());
        drop(workers);
        while shared.strong_count() > 0 {
            std::thread::yield_now();
        }
    }
}
