//! The queue under many random interleavings of large programs.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)] // the sources are those of another crate, of which this uses a part

#[path = "../../embedded-engine/src/kernels/data_flow/bounded.rs"]
mod bounded;
#[path = "../../embedded-engine/src/kernels/data_flow/store.rs"]
mod store;

mod sync {
    pub(crate) use shuttle::sync::atomic::{AtomicBool, Ordering};
    pub(crate) use shuttle::sync::{Arc, Mutex, MutexGuard};
    pub(crate) use shuttle::thread::{Thread, current};

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap()
    }
}

use bounded::{Bounded, Failure, Source, Started};
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::{Arc, Mutex};
use shuttle::thread::{self, JoinHandle};
use std::collections::VecDeque;
use store::{Draw, Store};

/// Always returns the first, because the choice of a shuffling queue does not matter here.
struct First;

impl Draw for First {
    fn below(&mut self, _: u32) -> u32 {
        0
    }
}

type Queue = Arc<Bounded<u32>>;

fn fifo(capacity: usize) -> Queue {
    Arc::new(Bounded::new(Store::Fifo(VecDeque::new()), Some(capacity), 0))
}

fn shuffle(capacity: usize, reserve: usize) -> Queue {
    Arc::new(Bounded::new(Store::Shuffle(Vec::new(), Box::new(First)), Some(capacity), reserve))
}

/// Waits for the end. With `patience`, gives up after this number of checks.
fn end(started: Started<u32>, patience: Option<u32>) -> Option<Result<Vec<u32>, Failure>> {
    let values = |taken: bounded::Taken<u32>| taken.into_iter().map(|(_, element)| element).collect();
    let mut attempt = match started {
        Started::Done(outcome) => return Some(outcome.map(values)),
        Started::Waiting(attempt) => attempt,
    };
    let mut looks = 0;
    while !attempt.is_done() {
        match patience {
            Some(limit) if looks == limit => return None,
            Some(_) => thread::yield_now(),
            None => thread::park(),
        }
        looks += 1;
    }
    Some(attempt.poll().unwrap().map(values))
}

fn spawn(body: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    thread::spawn(body)
}

/// Producers, consumers and a close: nothing is lost, doubled or made up, also where consumers give up now and then. Where
/// none does, a FIFO queue keeps the order of each producer. (What is given up at the very moment when it was done comes
/// back after what others took meanwhile.)
fn traffic(make: fn() -> Queue, gives_up: bool, ordered: bool) {
    let queue = make();
    let (put, taken) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let mut threads = Vec::new();
    for producer in 0..3u32 {
        let (queue, put) = (queue.clone(), put.clone());
        threads.push(spawn(move || {
            for round in 0..3u32 {
                let first = producer * 100 + round * 10;
                let count = thread_rng().gen_range(1..4);
                let elements: Vec<u32> = (first..first + count).collect();
                let source = match count {
                    1 => Source::One(Some(first)),
                    _ => Source::Many(Box::new(elements.clone().into_iter())),
                };
                match end(queue.enqueue(source), None) {
                    Some(Ok(_)) => put.lock().unwrap().extend(elements),
                    _ => return,
                }
            }
        }));
    }
    for consumer in 0..3 {
        let (queue, taken) = (queue.clone(), taken.clone());
        threads.push(spawn(move || {
            let count = consumer + 1;
            loop {
                let patience = (gives_up && thread_rng().gen_bool(0.3)).then_some(2);
                match end(queue.dequeue(count, true), patience) {
                    Some(Ok(elements)) => taken.lock().unwrap().push(elements),
                    Some(Err(_)) => return,
                    None => {}
                }
            }
        }));
    }
    let producers = threads.drain(..3).collect::<Vec<_>>();
    producers.into_iter().for_each(|thread| thread.join().unwrap());
    queue.close(false);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(queue.size(), 0);
    let batches = taken.lock().unwrap().clone();
    if ordered {
        for batch in &batches {
            for producer in 0..3 {
                assert!(batch.iter().filter(|&&element| element / 100 == producer).is_sorted(), "{batch:?}");
            }
        }
    }
    let (mut put, mut taken) = (put.lock().unwrap().clone(), batches.concat());
    put.sort_unstable();
    taken.sort_unstable();
    assert_eq!(put, taken);
}

/// The number of interleavings of each program that are tried.
fn iterations() -> usize {
    std::env::var("MODEL_ITERATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(1000)
}

#[test]
fn all_elements_pass_a_fifo_queue() {
    for gives_up in [false, true] {
        shuttle::check_random(move || traffic(|| fifo(2), gives_up, !gives_up), iterations());
        shuttle::check_pct(move || traffic(|| fifo(2), gives_up, !gives_up), iterations(), 3);
    }
}

#[test]
fn all_elements_pass_a_shuffling_queue() {
    shuttle::check_random(|| traffic(|| shuffle(3, 1), true, false), iterations());
    shuttle::check_pct(|| traffic(|| shuffle(3, 1), true, false), iterations(), 3);
}

/// A close that cancels, at any moment: everybody ends, and what was put in is either taken or still there.
fn cancelling_close() {
    let queue = fifo(2);
    let (put, taken) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
    let mut threads = Vec::new();
    for producer in 0..4 {
        let (queue, put) = (queue.clone(), put.clone());
        threads.push(spawn(move || {
            for round in 0..3 {
                match end(queue.enqueue(Source::One(Some(producer * 10 + round))), None) {
                    Some(Ok(_)) => *put.lock().unwrap() += 1,
                    _ => return,
                }
            }
        }));
    }
    for _ in 0..2 {
        let (queue, taken) = (queue.clone(), taken.clone());
        threads.push(spawn(move || {
            while let Some(Ok(elements)) = end(queue.dequeue(2, false), None) {
                *taken.lock().unwrap() += elements.len();
            }
        }));
    }
    queue.close(true);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(*put.lock().unwrap(), *taken.lock().unwrap() + queue.size());
}

#[test]
fn everybody_ends_when_the_queue_is_cancelled() {
    shuttle::check_random(cancelling_close, iterations());
    shuttle::check_pct(cancelling_close, iterations(), 3);
}
