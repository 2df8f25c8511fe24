//! Measures the embedded engine's queue without graphs: its sources, one producer and one consumer. A hand-written deque with
//! a mutex and two condition variables shows the speed of the machine for comparison.
#![allow(dead_code, unreachable_pub)] // the sources are those of another crate, of which this uses a part

#[path = "../../embedded-engine/src/kernels/data_flow/bounded.rs"]
mod bounded;
#[path = "../../embedded-engine/src/kernels/data_flow/store.rs"]
mod store;
#[path = "../../embedded-engine/src/kernels/data_flow/sync.rs"]
mod sync;

use crate::support::emit;
use bounded::{Bounded, Source, Started};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use store::Store;

/// Waits like the engine.
fn end(started: Started<u64>) -> Option<u64> {
    let outcome = match started {
        Started::Done(outcome) => outcome,
        Started::Waiting(mut attempt) => loop {
            for _ in 0..100 {
                if attempt.is_done() {
                    break;
                }
                std::hint::spin_loop();
            }
            if let Some(outcome) = attempt.poll() {
                break outcome;
            }
            thread::park();
        },
    };
    outcome.ok().map(|taken| taken.first().map_or(0, |(_, element)| *element))
}

const CAPACITY: usize = 1024;

pub(crate) fn run() {
    ours();
    by_hand();
}

fn ours() {
    let queue = Arc::new(Bounded::new(Store::Fifo(VecDeque::new()), Some(CAPACITY), 0));
    let producer = {
        let queue = queue.clone();
        thread::spawn(move || {
            let mut number = 0;
            while end(queue.enqueue(Source::One(Some(number)))).is_some() {
                number += 1;
            }
        })
    };
    let runs = crate::pump(1, || _ = std::hint::black_box(end(queue.dequeue(1, false))));
    queue.close(true);
    producer.join().expect("the producer ends when the queue is closed");
    emit("w3/ours/queue/1p1c", "elements_per_s", "1/s", &runs, "");
}

#[derive(Default)]
struct ByHand {
    state: Mutex<(VecDeque<u64>, bool)>,
    room: Condvar,
    elements: Condvar,
}

impl ByHand {
    /// Returns true if the queue was open.
    fn put(&self, element: u64) -> bool {
        let full = |state: &mut (VecDeque<u64>, bool)| state.0.len() == CAPACITY && !state.1;
        let mut state = self.room.wait_while(self.state.lock().unwrap(), full).unwrap();
        state.0.push_back(element);
        let open = !state.1;
        drop(state);
        self.elements.notify_one();
        open
    }

    fn take(&self) -> Option<u64> {
        let mut state =
            self.elements.wait_while(self.state.lock().unwrap(), |state| state.0.is_empty()).unwrap();
        let element = state.0.pop_front();
        drop(state);
        self.room.notify_one();
        element
    }
}

fn by_hand() {
    let queue = Arc::new(ByHand::default());
    let producer = {
        let queue = queue.clone();
        thread::spawn(move || (0..).take_while(|&number| queue.put(number)).count())
    };
    let runs = crate::pump(1, || _ = std::hint::black_box(queue.take()));
    queue.state.lock().unwrap().1 = true;
    queue.room.notify_all();
    producer.join().expect("the producer ends when the queue is closed");
    emit("w3/by_hand/queue/1p1c", "elements_per_s", "1/s", &runs, "");
}
