//! Operations that wait inside loops, in a graph that TensorFlow exported (`graphs/make_graphs.py`): a step that cannot continue ends by
//! its time limit or its cancellation, and the session continues. That such steps do continue where another part of them lets
//! them is among the graphs of `tensorflow_graphs.rs`.
#![allow(clippy::unwrap_used)] // a panic is the report

use crate::graphs;
use embedded_engine::EmbeddedEngine;
use ops::array::{constant, placeholder};
use ops::data_flow::FifoQueue;
use session_core::{
    CancellationToken, Code, DType, Engine, Graph, Output, PartialShape, RunMetadata, RunOptions, Session,
    SessionConfig, SessionExt, Tensor,
};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

fn load() -> (Graph, Arc<dyn Session>) {
    let graph = graphs::import("queues_in_loops").unwrap();
    let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::with_threads(1)).unwrap();
    (graph, session)
}

fn soon() -> RunOptions {
    RunOptions::with_timeout(Duration::from_millis(20))
}

#[test]
fn a_loop_that_waits_forever_times_out_and_names_the_queue() {
    let (graph, session) = load();
    let (n, filled, drained) =
        (graph.output("n:0").unwrap(), graph.output("filled:0").unwrap(), graph.output("drained:0").unwrap());
    let mut metadata = RunMetadata::default();
    let error = session.run_with(&filled, [(&n, 5i32)], &soon(), Some(&mut metadata)).unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded, "{error}");
    assert!(
        error.message().contains("enqueue of 1 element to FIFOQueue 'queue' (size 2, capacity 2)"),
        "{error}"
    );
    assert_eq!(error.op_type(), Some("QueueEnqueueV2"), "{error}");
    assert!(metadata.input_wait > Duration::ZERO);
    // The elements of earlier rounds are there; the one that waited is taken back.
    let value: i32 = session.run(&drained, [(&n, 2i32)]).unwrap().value().unwrap();
    assert_eq!(value, 1);
    let error = session.run_with(&drained, [(&n, 1i32)], &soon(), None).unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded, "{error}");
    // Two loops of one step, one of which takes more elements than the other provides.
    let five = session.run((&filled, &drained), [(&n, 5i32)]).unwrap();
    assert_eq!(five.0, Tensor::from(5i32));
}

#[test]
fn a_loop_that_waits_forever_ends_by_cancellation_or_closing() {
    let (graph, session) = load();
    let (n, drained) = (graph.output("n:0").unwrap(), graph.output("drained:0").unwrap());
    let filled = graph.output("filled:0").unwrap();
    let until_it_waits = || loop {
        let mut metadata = RunMetadata::default();
        session.run_with(&filled, [(&n, 0i32)], &RunOptions::default(), Some(&mut metadata)).unwrap();
        if metadata.queues.iter().any(|queue| queue.name == "queue" && queue.pending_dequeues == 1) {
            break;
        }
        thread::yield_now();
    };
    let token = CancellationToken::new();
    let options = RunOptions::default().cancellation(token.clone());
    let aside = |options: RunOptions| {
        let (session, n, drained) = (session.clone(), n.clone(), drained.clone());
        thread::spawn(move || session.run_with(&drained, [(&n, 3i32)], &options, None))
    };
    let waiting = aside(options);
    until_it_waits();
    token.cancel();
    let error = waiting.join().unwrap().unwrap_err();
    assert_eq!(error.code(), Code::Cancelled, "{error}");
    let waiting = aside(RunOptions::default());
    until_it_waits();
    session.close().unwrap();
    let error = waiting.join().unwrap().unwrap_err();
    assert_eq!(error.code(), Code::Cancelled, "{error}");
}

/// Of two values that are waited for, the one that comes first is used by something that waits for both, and by something
/// that is the last to need it.
#[test]
fn late_values_are_kept_for_waiting_operations() {
    let graph = Graph::new();
    let make = |name: &str| {
        FifoQueue::new(&graph.named(name), 9, DType::Float32).shapes([PartialShape::from([2])]).build()
    };
    let (first, second, last) = (make("first"), make("second"), make("last"));
    let (a, b) = (first.dequeue().output(), second.dequeue().output());
    let sum = &a + &b;
    let double = &a * constant(&graph, 2.0f32);
    // The second element arrives only after the computation with the first.
    let step = last.enqueue(&double);
    let relay = second.enqueue(last.dequeue().output() + constant(&graph, 1.0f32));
    let x = placeholder(&graph, DType::Float32, [2]);
    let begin = first.enqueue(&x);
    let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::with_threads(1)).unwrap();
    let fetches: (&Output, _) = (&sum, (&step, &relay, &begin));
    let options = RunOptions::with_timeout(Duration::from_secs(60));
    let (sum, _) = session.run_with(fetches, [(&x, vec![1.0f32, 5.0])], &options, None).unwrap();
    assert_eq!(sum.to_vec::<f32>().unwrap(), [4.0, 16.0]);
}
