//! The embedded engine's queue without graphs: its own sources, one producer and one consumer.
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
use std::sync::Arc;
use std::thread;
use store::Store;

/// Waits as the engine does.
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

pub(crate) fn run() {
    let queue = Arc::new(Bounded::new(Store::Fifo(VecDeque::new()), Some(1024), 0));
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
