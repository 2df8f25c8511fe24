//! The queue under all interleavings of small programs.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)] // the sources are those of another crate, of which this uses a part

#[path = "../../embedded-engine/src/kernels/data_flow/bounded.rs"]
mod bounded;
#[path = "../../embedded-engine/src/kernels/data_flow/store.rs"]
mod store;

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicBool, Ordering};
    pub(crate) use loom::sync::{Mutex, MutexGuard};
    pub(crate) use loom::thread::{Thread, current};
    pub(crate) use std::sync::Arc;

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap()
    }
}

use bounded::{Attempt, Bounded, Failure, Source, Started};
use loom::thread;
use std::collections::VecDeque;
use std::sync::Arc;
use store::Store;

fn queue(capacity: usize) -> Arc<Bounded<u32>> {
    Arc::new(Bounded::new(Store::Fifo(VecDeque::new()), Some(capacity), 0))
}

fn wait(mut attempt: Attempt<u32>) -> Result<Vec<u32>, Failure> {
    while !attempt.is_done() {
        thread::park();
    }
    attempt.poll().unwrap().map(|taken| taken.into_iter().map(|(_, element)| element).collect())
}

fn end(started: Started<u32>) -> Result<Vec<u32>, Failure> {
    match started {
        Started::Done(outcome) => {
            outcome.map(|taken| taken.into_iter().map(|(_, element)| element).collect())
        }
        Started::Waiting(attempt) => wait(attempt),
    }
}

fn enqueue(queue: &Arc<Bounded<u32>>, element: u32) -> Result<Vec<u32>, Failure> {
    end(queue.enqueue(Source::One(Some(element))))
}

fn drain(queue: &Arc<Bounded<u32>>) -> Vec<u32> {
    let size = queue.size();
    (0..size).flat_map(|_| end(queue.dequeue(1, false)).unwrap()).collect()
}

#[test]
fn a_close_races_an_enqueue() {
    loom::model(|| {
        let queue = queue(1);
        let producer = {
            let queue = queue.clone();
            thread::spawn(move || enqueue(&queue, 1))
        };
        queue.close(false);
        let put = producer.join().unwrap();
        let held = drain(&queue);
        match put {
            Ok(_) => assert_eq!(held, [1]),
            Err(failure) => assert_eq!((failure, held.len()), (Failure::Closed, 0)),
        }
    });
}

#[test]
fn cancelling_close_against_an_enqueue_that_waits() {
    loom::model(|| {
        let queue = queue(1);
        enqueue(&queue, 1).unwrap();
        let producer = {
            let queue = queue.clone();
            thread::spawn(move || enqueue(&queue, 2))
        };
        queue.close(true);
        let failure = producer.join().unwrap().unwrap_err();
        assert!(matches!(failure, Failure::Closed | Failure::Cancelled));
        assert_eq!(drain(&queue), [1]);
    });
}

#[test]
fn a_close_races_a_dequeue() {
    loom::model(|| {
        let queue = queue(1);
        let consumer = {
            let queue = queue.clone();
            thread::spawn(move || end(queue.dequeue(1, false)))
        };
        queue.close(false);
        let failure = consumer.join().unwrap().unwrap_err();
        assert_eq!(failure, Failure::Insufficient { requested: 1, size: 0 });
    });
}

#[test]
fn a_close_races_an_enqueue_and_a_dequeue() {
    loom::model(|| {
        let queue = queue(1);
        let producer = {
            let queue = queue.clone();
            thread::spawn(move || enqueue(&queue, 1))
        };
        let consumer = {
            let queue = queue.clone();
            thread::spawn(move || end(queue.dequeue(1, false)))
        };
        queue.close(false);
        let (put, taken) = (producer.join().unwrap(), consumer.join().unwrap());
        // Exactly the elements that were put in come out, now or later.
        let taken = taken.unwrap_or_default().len();
        assert_eq!(usize::from(put.is_ok()), taken + queue.size());
    });
}

#[test]
fn a_wait_given_up_against_its_end() {
    loom::model(|| {
        let queue = queue(1);
        let Started::Waiting(attempt) = queue.dequeue(1, false) else { panic!("the queue is empty") };
        let producer = {
            let queue = queue.clone();
            thread::spawn(move || enqueue(&queue, 1))
        };
        drop(attempt);
        producer.join().unwrap().unwrap();
        assert_eq!(drain(&queue), [1], "the element is not lost");
    });
}

#[test]
fn an_enqueue_that_is_given_up_races_a_dequeue() {
    loom::model(|| {
        let queue = queue(1);
        enqueue(&queue, 1).unwrap();
        let Started::Waiting(attempt) = queue.enqueue(Source::One(Some(2))) else {
            panic!("the queue is full")
        };
        let consumer = {
            let queue = queue.clone();
            thread::spawn(move || end(queue.dequeue(1, false)).unwrap())
        };
        drop(attempt);
        assert_eq!(consumer.join().unwrap(), [1]);
        assert!(drain(&queue).is_empty(), "what was given up is not in it");
    });
}
