//! A few threads for work that is limited by memory or disk.

use std::sync::{Mutex, PoisonError};
use std::thread;

/// More threads than this saturate no disk further and disturb the program.
const MAX_THREADS: usize = 4;

/// Returns the number of threads to use: the requested one, or that of this machine.
pub(crate) fn threads(asked: usize) -> usize {
    if asked > 0 {
        return asked;
    }
    thread::available_parallelism().map_or(1, |n| n.get().min(MAX_THREADS))
}

/// Runs all tasks on up to `threads` threads, of which this one is the first. After an error no new
/// task is begun; the first error is returned.
pub(crate) fn for_each<T: Send, E: Send>(
    threads: usize,
    tasks: Vec<T>,
    work: impl Fn(T) -> Result<(), E> + Sync,
) -> Result<(), E> {
    if threads <= 1 || tasks.len() <= 1 {
        // Most checkpoints are small: no thread is started for one task.
        return tasks.into_iter().try_for_each(work);
    }
    let extra = threads.min(tasks.len()) - 1;
    // Guards the list of tasks not begun; emptied after an error. Held for taking a task only.
    let queue = Mutex::new(tasks.into_iter());
    let failure = Mutex::new(None);
    let run = || {
        loop {
            let task = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(task) = task else { return };
            if let Err(error) = work(task) {
                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                // The others finish the task at hand. Emptying the queue stops them without a flag to be
                // checked.
                *queue.lock().unwrap_or_else(PoisonError::into_inner) = Vec::new().into_iter();
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..extra {
            scope.spawn(run);
        }
        run();
    });
    failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn every_task_is_done_once() {
        for threads in [1, 3] {
            let sum = AtomicUsize::new(0);
            for_each(threads, (0..1000).collect(), |n: usize| {
                sum.fetch_add(n, Ordering::Relaxed);
                Ok::<(), ()>(())
            })
            .unwrap();
            assert_eq!(sum.into_inner(), 499_500);
        }
    }

    #[test]
    fn an_error_stops_the_rest() {
        let done = AtomicUsize::new(0);
        let result = for_each(2, (0..100_000).collect(), |n: usize| {
            done.fetch_add(1, Ordering::Relaxed);
            if n == 5 { Err("five") } else { Ok(()) }
        });
        assert_eq!(result, Err("five"));
        assert!(done.into_inner() <= 100_000);
    }
}
