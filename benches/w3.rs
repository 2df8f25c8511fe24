//! W3, the queues: elements per second at the consumer. A producer computes each element with one addition and enqueues it;
//! the consumer dequeues 1 or 128 elements and sums them.
//!
//! `w3 w3/ours/queue` measures the queue alone, without graphs.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic reports the failure, and the output is meant to be read

mod queue_alone;
mod support;

use monitored_session::ops::data_flow::{FifoQueue, Queue, RandomShuffleQueue};
use monitored_session::ops::variables::{self, VariableExt as _};
use monitored_session::ops::{array, math};
use monitored_session::prelude::*;
use monitored_session::queue_runner::{JoinOptions, QueueRunner, start_queue_runners};
use monitored_session::session_core::PartialShape;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{emit, rounds, threads};

/// Returns the elements per second of each round.
pub(crate) fn pump(per_call: usize, mut call: impl FnMut()) -> Vec<f64> {
    let warm = Instant::now();
    while warm.elapsed() < Duration::from_millis(400) {
        call();
    }
    let round = || {
        let (mut count, start) = (0, Instant::now());
        loop {
            // Reading the clock takes up to a tenth of the shortest call.
            for _ in 0..16 {
                call();
            }
            count += 16 * per_call;
            let elapsed = start.elapsed();
            if elapsed > Duration::from_millis(600) {
                return count as f64 / elapsed.as_secs_f64();
            }
        }
    };
    std::iter::repeat_with(round).take(rounds(5)).collect()
}

struct Case {
    kind: &'static str,
    label: &'static str,
    producers: usize,
    many: usize,
    enqueue_many: bool,
}

impl Case {
    fn name(&self) -> String {
        let Case { kind, label, producers, many, enqueue_many } = self;
        let many = if *many > 1 { "_many(128)" } else { "" };
        let enqueue = if *enqueue_many { "+enqueue_many(128)" } else { "" };
        format!("w3/ours/{kind}/{label}/{producers}p1c/dequeue{many}{enqueue}")
    }

    fn queue(&self, graph: &Graph, shape: &PartialShape) -> Queue {
        let capacity = if self.label == "scalar" { 1024 } else { 512 };
        match self.kind {
            "fifo" => FifoQueue::new(graph, capacity, DType::Float32).shapes([shape]).build(),
            _ => {
                RandomShuffleQueue::new(graph, capacity, capacity / 2, DType::Float32).shapes([shape]).build()
            }
        }
    }

    fn run(&self) -> Result<()> {
        let graph = Graph::new();
        let size: &[usize] = if self.label == "scalar" { &[] } else { &[16384] };
        let queue = self.queue(&graph, &PartialShape::from(size));
        let counter = variables::variable(&graph.named("c"), 0.0f32);
        let counted = counter.read(&graph.control_dependencies([&counter.assign_add(1.0f32)]));
        let batch: &[usize] = if self.enqueue_many { &[128] } else { &[] };
        let base = array::ones(&graph, DType::Float32, [batch, size].concat());
        let x = base + counted;
        let enqueue = if self.enqueue_many { queue.enqueue_many(&x) } else { queue.enqueue(&x) };
        let taken = if self.many > 1 { queue.dequeue_many(self.many) } else { queue.dequeue() };
        let sum = math::reduce_sum(taken.output(), ..);
        QueueRunner::for_queue(&queue, vec![enqueue; self.producers])?.add_to_graph()?;

        let config = SessionConfig::with_threads(threads());
        let session: Arc<dyn Session> = EmbeddedEngine::new().new_session(&graph, "", &config)?;
        session.run(&variables::global_variables_initializer(&graph), ())?;
        let coordinator = Coordinator::new();
        start_queue_runners(&session, Some(&coordinator))?;
        let take = session.make_callable(&sum, &[])?;
        let runs = pump(self.many, || drop(std::hint::black_box(take.call(&[]).unwrap())));
        let bytes = 4.0 * size.iter().product::<usize>().max(1) as f64;
        let mut sorted = runs.clone();
        sorted.sort_by(f64::total_cmp);
        let rate = format!("\"mb_per_s\": {:.1}", sorted[sorted.len() / 2] * bytes / 1e6);
        emit(&self.name(), "elements_per_s", "1/s", &runs, &rate);
        coordinator.request_stop();
        coordinator.join_with(&[], &JoinOptions::default().stop_grace_period(Duration::from_secs(10)))?;
        session.close()
    }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in ["fifo", "shuffle"] {
        for label in ["scalar", "64KiB"] {
            for producers in [1, 4] {
                for (many, enqueue_many) in [(1, false), (128, false), (128, true)] {
                    if !enqueue_many || producers == 1 {
                        cases.push(Case { kind, label, producers, many, enqueue_many });
                    }
                }
            }
        }
    }
    cases
}

fn main() -> Result<()> {
    let only = std::env::args().skip(1).find(|arg| !arg.starts_with("--")).unwrap_or_default();
    if "w3/ours/queue/1p1c".contains(&only) {
        queue_alone::run();
    }
    for case in cases().iter().filter(|case| case.name().contains(&only)) {
        case.run()?;
    }
    Ok(())
}
