//! Queues as graph operations, by the rules of their chapter.
#![allow(clippy::unwrap_used)] // helpers of tests

use embedded_engine::EmbeddedEngine;
use ops::array::{self, placeholder};
use ops::control_flow::group;
use ops::data_flow::{FifoQueue, PaddingFifoQueue, PriorityQueue, Queue, RandomShuffleQueue};
use ops::library;
use ops::math::reduce_sum;
use ops::variables::{VariableExt as _, global_variables_initializer, variable};
use session_core::{
    CancellationToken, Code, DType, Engine, Error, ErrorKind, Fetch, Graph, OpLibrary, Operation, Output,
    PartialShape, RunMetadata, RunOptions, Session, SessionConfig, SessionExt,
};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tensor::{Tensor, TensorError};

fn session(graph: &Graph) -> Arc<dyn Session> {
    EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(1)).unwrap()
}

fn scalars() -> [PartialShape; 1] {
    [PartialShape::scalar()]
}

fn fifo(graph: &Graph, capacity: i64) -> Queue {
    FifoQueue::new(graph, capacity, DType::Float32).shapes(scalars()).build()
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    tensor.to_vec().unwrap()
}

/// Takes all elements one by one, as floats.
fn drain(session: &dyn Session, queue: &Queue) -> Vec<f32> {
    let (size, dequeue) = (queue.size(), queue.dequeue().output());
    let count: i32 = session.run(&size, ()).unwrap().value().unwrap();
    (0..count).map(|_| session.run(&dequeue, ()).unwrap().value().unwrap()).collect()
}

/// Runs in another thread, and returns when `waiting` is true, which means that the step waits there.
fn run_aside<F: Fetch + Send + 'static>(
    session: &Arc<dyn Session>,
    fetch: F,
    options: RunOptions,
) -> JoinHandle<Result<F::Value, Error>>
where
    F::Value: Send,
{
    let session = session.clone();
    thread::spawn(move || session.run_with(fetch, (), &options, None))
}

/// Waits until the size of a queue, as its operation returns it, is this.
fn wait_for_size(session: &dyn Session, size: &Output, expected: i32) {
    while session.run(size, ()).unwrap().value::<i32>().unwrap() != expected {
        thread::yield_now();
    }
}

fn soon() -> RunOptions {
    RunOptions::with_timeout(Duration::from_millis(20))
}

#[test]
fn s_247_fifo_keeps_the_order() {
    let graph = Graph::new();
    let queue = fifo(&graph, 10);
    let many = queue.enqueue_many(Tensor::from(vec![1.0f32]));
    let one = queue.enqueue(9.0f32);
    let x = placeholder(&graph, DType::Float32, [None]);
    let fed = queue.enqueue_many(&x);
    let session = session(&graph);
    session.run(&many, ()).unwrap();
    session.run(&one, ()).unwrap();
    session.run(&fed, [(&x, vec![4.0f32, 5.0])]).unwrap();
    assert_eq!(drain(&*session, &queue), [1.0, 9.0, 4.0, 5.0]);
}

#[test]
fn s_222_s_225_s_228_errors_are_found_when_the_graph_is_built() {
    let build_error = |build: fn(&Graph)| {
        let graph = Graph::new();
        build(&graph);
        let error = graph.finalize().expect_err("a build error");
        (error.kind(), error.to_string())
    };
    let named =
        |graph: &Graph| FifoQueue::new(graph, 2, [DType::Float32, DType::Int32]).names(["a", "b"]).build();
    let cases: [(fn(&Graph), ErrorKind, &str); 9] = [
        (
            |g| drop(FifoQueue::new(g, 1, DType::Int32).shapes([[1], [2]]).build()),
            ErrorKind::Value,
            "2 shapes for 1",
        ),
        (
            |g| drop(FifoQueue::new(g, 1, DType::Int32).names(["a", "b"]).build()),
            ErrorKind::Value,
            "2 names for 1",
        ),
        (
            |g| drop(PaddingFifoQueue::new(g, 1, DType::Int32, [PartialShape::unknown()]).build()),
            ErrorKind::Value,
            "known ranks",
        ),
        (|g| drop(fifo(g, 1).enqueue(Tensor::from(vec![1.0f32, 2.0]))), ErrorKind::Value, "does not fit"),
        (|g| drop(fifo(g, 1).enqueue(true)), ErrorKind::Type, "has dtype bool"),
        (|g| drop(fifo(g, 1).enqueue([("a", 1.0f32)])), ErrorKind::Value, "have no names"),
        (|g| drop(fifo(g, 1).dequeue_many(-1)), ErrorKind::Value, "must not be negative"),
        (
            |g| {
                drop(
                    PriorityQueue::new(g, 1, DType::Int32)
                        .shapes(scalars())
                        .build()
                        .enqueue((vec![1i64, 2], 1)),
                )
            },
            ErrorKind::Value,
            "component 0",
        ),
        (
            |g| drop(FifoQueue::new(g, 1, [DType::Int32; 2]).build().dequeue().output()),
            ErrorKind::Value,
            "2 components",
        ),
    ];
    for (build, kind, text) in cases {
        let (found, message) = build_error(build);
        assert!(found == kind && message.contains(text), "{message}");
    }
    for wrong in [vec![("a", 1.0f32)], vec![("a", 1.0), ("c", 2.0)], vec![("a", 1.0), ("a", 2.0)]] {
        let graph = Graph::new();
        named(&graph).enqueue(wrong);
        assert!(graph.finalize().unwrap_err().to_string().contains("names of the components"));
    }
    let graph = Graph::new();
    named(&graph).enqueue((1.0f32, 2));
    assert!(graph.finalize().unwrap_err().to_string().contains("a list has none"));
}

#[test]
fn s_225_s_226_components_can_have_names() {
    let graph = Graph::new();
    let queue = FifoQueue::new(&graph, 2, [DType::Float32, DType::Int32]).names(["a", "b"]).build();
    let enqueue = queue.enqueue([("b", Tensor::from(7i32)), ("a", Tensor::from(1.5f32))]);
    let taken = queue.dequeue();
    let session = session(&graph);
    session.run(&enqueue, ()).unwrap();
    let (a, b) = session.run((taken.by_name("a").unwrap(), taken.by_name("b").unwrap()), ()).unwrap();
    assert_eq!((a, b), (Tensor::from(1.5f32), Tensor::from(7i32)));
    assert!(taken.by_name("c").is_none());
}

#[test]
fn s_227_s_228_incompatible_elements_fail_at_run_time() {
    let graph = Graph::new();
    let queue = fifo(&graph.named("q"), 10);
    let pair = FifoQueue::new(&graph.named("pair"), 10, [DType::Float32; 2]).build();
    let x = placeholder(&graph, DType::Float32, PartialShape::unknown());
    let y = placeholder(&graph, DType::Float32, PartialShape::unknown());
    let n = placeholder(&graph, DType::Int32, PartialShape::scalar());
    let session = session(&graph);
    let vector = || Tensor::from(vec![1.0f32, 2.0]);
    let fails = |operation: &Operation, feeds: Vec<(&Output, Tensor)>, text: &str| {
        let error = session.run(operation, feeds).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!(error.node(), Some(operation.name()));
    };
    fails(&queue.enqueue(&x), vec![(&x, vector())], "Expected [], got [2]");
    fails(&queue.enqueue_many(&x), vec![(&x, Tensor::from(1.0f32))], "scalar");
    fails(&queue.enqueue_many(&x), vec![(&x, Tensor::from([[1.0f32]]))], "Expected [], got [1]");
    fails(&pair.enqueue(&x), vec![(&x, vector())], "1 components for a queue of 2");
    fails(&pair.enqueue_many([&x, &y]), vec![(&x, vector()), (&y, Tensor::from([1.0f32]))], "same size");
    fails(queue.dequeue_many(&n).operation(), vec![(&n, Tensor::from(-2i32))], "requested -2 < 0");
    fails(queue.dequeue_up_to(&n).operation(), vec![(&n, Tensor::from(-2i32))], "requested -2 < 0");
    fails(
        pair.dequeue_many(&n).operation(),
        vec![(&n, Tensor::from(1i32))],
        "specified shapes. (in FIFOQueue 'pair')",
    );
    assert!(drain(&*session, &queue).is_empty(), "what failed left nothing behind");
}

#[test]
fn s_224_shuffle_minimum_is_checked_when_touched() {
    for (capacity, min) in [(3, 3), (3, -1)] {
        let graph = Graph::new();
        let queue = RandomShuffleQueue::new(&graph, capacity, min, DType::Float32).build();
        let error = session(&graph).run(&queue.size(), ()).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
        assert!(error.to_string().contains("min_after_dequeue"), "{error}");
    }
}

#[test]
fn s_223_a_negative_capacity_is_unlimited() {
    let graph = Graph::new();
    let (unbounded, none) = (fifo(&graph, -1), fifo(&graph, 0));
    let many = unbounded.enqueue_many(Tensor::from(vec![0.0f32; 10_000]));
    let one = none.enqueue(1.0f32);
    let session = session(&graph);
    session.run(&many, ()).unwrap();
    assert_eq!(session.run(&unbounded.size(), ()).unwrap(), Tensor::from(10_000i32));
    let error = session.run_with(&one, (), &soon(), None).unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded);
}

#[test]
fn s_229_shared_names_denote_one_queue() {
    let graph = Graph::new();
    let shared =
        |capacity| FifoQueue::new(&graph, capacity, DType::Float32).shapes(scalars()).shared_name("z");
    let (first, second) = (shared(3).build(), shared(3).build());
    let session_ = session(&graph);
    session_.run(&first.enqueue(4.0f32), ()).unwrap();
    assert_eq!(drain(&*session_, &second), [4.0]);

    let other = [
        (shared(2).build(), "has capacity 3 but requested capacity was 2"),
        (
            FifoQueue::new(&graph, 3, DType::Int32).shapes(scalars()).shared_name("z").build(),
            "component types",
        ),
        (FifoQueue::new(&graph, 3, DType::Float32).shared_name("z").build(), "component shapes"),
        (PaddingFifoQueue::new(&graph, 3, DType::Float32, scalars()).shared_name("z").build(), "kind"),
    ];
    for (queue, text) in other {
        let error = session_.run(&queue.size(), ()).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
        assert!(error.to_string().contains(text), "{error}");
    }
    let shuffle = |min, seed| {
        RandomShuffleQueue::new(&graph, 3, min, DType::Float32).seed(seed).shared_name("r").build().size()
    };
    session_.run(&shuffle(1, 1), ()).unwrap();
    assert!(session_.run(&shuffle(2, 1), ()).unwrap_err().to_string().contains("min_after_dequeue"));
    assert!(session_.run(&shuffle(1, 2), ()).unwrap_err().to_string().contains("random seeds"));
    // Without seeds it is the queue that there is.
    let unseeded =
        || RandomShuffleQueue::new(&graph, 3, 1, DType::Float32).shared_name("r").shapes(scalars());
    session_
        .run(&RandomShuffleQueue::new(&graph, 3, 1, DType::Float32).shared_name("r").build().size(), ())
        .unwrap();
    let (one, other) = (unseeded().shared_name("u").build(), unseeded().shared_name("u").build());
    session_.run(&one.enqueue(1.0f32), ()).unwrap();
    assert_eq!(session_.run(&other.size(), ()).unwrap(), Tensor::from(1i32));

    // Sessions share nothing.
    session_.run(&first.enqueue(4.0f32), ()).unwrap();
    assert!(drain(&*session(&graph), &first).is_empty());
}

#[test]
fn s_231_size_and_is_closed_are_answered_at_once() {
    let graph = Graph::new();
    let queue = fifo(&graph, 1);
    let look = (queue.size(), queue.is_closed());
    let session = session(&graph);
    let see = || {
        let (size, closed) = session.run((&look.0, &look.1), ()).unwrap();
        (size.value::<i32>().unwrap(), closed.value::<bool>().unwrap())
    };
    assert_eq!(see(), (0, false));
    session.run(&queue.enqueue(1.0f32), ()).unwrap();
    let waiting = run_aside(&session, queue.enqueue(2.0f32), RunOptions::default());
    assert_eq!(see(), (1, false));
    session.run(&queue.close_and_cancel_pending_enqueues(), ()).unwrap();
    assert_eq!(see(), (1, true));
    assert_eq!(waiting.join().unwrap().unwrap_err().code(), Code::Cancelled);
}

#[test]
fn s_232_s_233_enqueue_many_fills_the_available_space() {
    let graph = Graph::new();
    let queue = fifo(&graph, 3);
    let many = queue.enqueue_many(Tensor::from(vec![0.0f32, 1.0, 2.0, 3.0, 4.0]));
    let (size, dequeue) = (queue.size(), queue.dequeue().output());
    let session = session(&graph);
    let waiting = run_aside(&session, many, RunOptions::default());
    wait_for_size(&*session, &size, 3);
    let taken: Vec<Tensor> = (0..5).map(|_| session.run(&dequeue, ()).unwrap()).collect();
    waiting.join().unwrap().unwrap();
    assert_eq!(taken, [0.0f32, 1.0, 2.0, 3.0, 4.0].map(Tensor::from));
}

#[test]
fn s_234_enqueuing_no_slices_is_allowed_even_when_closed() {
    let graph = Graph::new();
    let queue = fifo(&graph, 3);
    let none = queue.enqueue_many(Tensor::from(Vec::<f32>::new()));
    let session = session(&graph);
    session.run(&queue.close(), ()).unwrap();
    session.run(&none, ()).unwrap();
}

#[test]
fn s_235_waiting_enqueues_are_served_in_the_order_of_arrival() {
    let graph = Graph::new();
    let queue = fifo(&graph, 1);
    let session = session(&graph);
    session.run(&queue.enqueue(0.0f32), ()).unwrap();
    let mut waiting = Vec::new();
    for number in 1..6 {
        let enqueue = queue.enqueue(number as f32);
        waiting.push(run_aside(&session, enqueue, RunOptions::default()));
        wait_until_waiting(&session, &queue, number);
    }
    let dequeue = queue.dequeue().output();
    let order: Vec<f32> = (0..6).map(|_| session.run(&dequeue, ()).unwrap().value().unwrap()).collect();
    assert_eq!(order, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    waiting.into_iter().for_each(|thread| thread.join().unwrap().unwrap());
}

/// Waits until this many threads wait at a queue, according to the state of the session.
fn wait_until_waiting(session: &Arc<dyn Session>, queue: &Queue, count: usize) {
    let size = queue.size();
    loop {
        let mut metadata = RunMetadata::default();
        session.run_with(&size, (), &RunOptions::default(), Some(&mut metadata)).unwrap();
        let stats = metadata.queues.iter().find(|stats| stats.name == queue.name()).unwrap();
        if stats.pending_enqueues + stats.pending_dequeues == count {
            return;
        }
        thread::yield_now();
    }
}

#[test]
fn s_236_a_dequeue_waits_for_an_earlier_dequeue_many() {
    let graph = Graph::new();
    let queue = fifo(&graph, 10);
    let (many, one) = (queue.dequeue_many(3).output(), queue.dequeue().output());
    let session = session(&graph);
    let first = run_aside(&session, many, RunOptions::default());
    wait_until_waiting(&session, &queue, 1);
    let second = run_aside(&session, one, RunOptions::default());
    wait_until_waiting(&session, &queue, 2);
    let add = |x: f32| session.run(&queue.enqueue(x), ()).unwrap();
    (0..4).for_each(|i| add(i as f32));
    assert_eq!(floats(&first.join().unwrap().unwrap()), [0.0, 1.0, 2.0]);
    assert_eq!(second.join().unwrap().unwrap(), Tensor::from(3.0f32));
}

#[test]
fn s_237_dequeue_many_collects_elements_while_it_waits() {
    let graph = Graph::new();
    let queue = fifo(&graph, 2);
    let (many, none) =
        (queue.dequeue_many(ops::array::constant(&graph, 5i32)).output(), queue.dequeue_many(0).output());
    let add = queue.enqueue(1.0f32);
    let session = session(&graph);
    assert_eq!(session.run(&none, ()).unwrap().shape().dims(), [0]);
    // More than fit in at once.
    let waiting = run_aside(&session, many, RunOptions::default());
    (0..5).for_each(|_| session.run(&add, ()).unwrap());
    assert_eq!(floats(&waiting.join().unwrap().unwrap()), [1.0; 5]);
    assert_eq!(session.run(&queue.size(), ()).unwrap(), Tensor::from(0i32));
}

#[test]
fn s_238_dequeue_up_to_returns_the_remaining_elements() {
    let graph = Graph::new();
    let queue = fifo(&graph, 10);
    let add = queue.enqueue_many(Tensor::from(vec![1.0f32, 2.0, 3.0]));
    let up_to = queue.dequeue_up_to(2).output();
    let session = session(&graph);
    session.run(&add, ()).unwrap();
    assert_eq!(floats(&session.run(&up_to, ()).unwrap()), [1.0, 2.0]);
    let error = session.run_with(&up_to, (), &soon(), None).unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded, "an open queue is waited for");
    session.run(&queue.close(), ()).unwrap();
    assert_eq!(floats(&session.run(&up_to, ()).unwrap()), [3.0]);
    let error = session.run(&up_to, ()).unwrap_err();
    assert_eq!(error.code(), Code::OutOfRange);
    assert!(error.message().contains("(requested 2, current size 0)"), "{error}");
}

#[test]
fn s_239_q_55_a_wait_that_is_ended_has_no_effect() {
    let graph = Graph::new();
    let queue = fifo(&graph, 3);
    let fill = queue.enqueue_many(Tensor::from(vec![1.0f32, 2.0]));
    let (too_many, over_full) =
        (queue.dequeue_many(3).output(), queue.enqueue_many(Tensor::from(vec![7.0f32, 8.0, 9.0])));
    let session = session(&graph);
    session.run(&fill, ()).unwrap();
    let error = session.run_with(&too_many, (), &soon(), None).unwrap_err();
    assert_eq!((error.code(), error.node()), (Code::DeadlineExceeded, Some("fifo_queue_DequeueMany")));
    let text = "dequeue of 3 elements from FIFOQueue 'fifo_queue' (size 0, capacity 3)";
    assert!(error.message().contains(text), "{error}");

    let token = CancellationToken::new();
    let options = RunOptions::default().cancellation(token.clone());
    let waiting = run_aside(&session, over_full, options);
    wait_until_waiting(&session, &queue, 1);
    assert_eq!(session.run(&queue.size(), ()).unwrap(), Tensor::from(3i32));
    token.cancel();
    let error = waiting.join().unwrap().unwrap_err();
    assert_eq!(error.code(), Code::Cancelled);
    assert!(error.message().contains("enqueue of 3 elements to FIFOQueue 'fifo_queue'"), "{error}");
    assert_eq!(drain(&*session, &queue), [1.0, 2.0]);
}

#[test]
fn s_240_s_243_s_245_after_a_close_the_rest_can_be_taken() {
    let graph = Graph::new();
    let queue = fifo(&graph.named("q"), 10);
    let add = queue.enqueue_many(Tensor::from(vec![1.0f32, 2.0, 3.0]));
    let (two, five) = (queue.dequeue_many(2).output(), queue.dequeue_many(5).output());
    let session = session(&graph);
    session.run(&add, ()).unwrap();
    session.run(&queue.close(), ()).unwrap();
    let error = session.run(&add, ()).unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::Cancelled, "FIFOQueue 'q' is closed."));
    let error = session.run(&five, ()).unwrap_err();
    assert_eq!(error.code(), Code::OutOfRange);
    let text = "FIFOQueue 'q' is closed and has insufficient elements (requested 5, current size 3)";
    assert_eq!(error.message(), text);
    assert_eq!(floats(&session.run(&two, ()).unwrap()), [1.0, 2.0]);
    assert_eq!(session.run(&queue.dequeue().output(), ()).unwrap(), Tensor::from(3.0f32));
    let error = session.run(&queue.dequeue().output(), ()).unwrap_err();
    assert!(error.message().ends_with("(requested 1, current size 0)"), "{error}");
}

#[test]
fn s_241_q_56_a_close_does_not_wait_for_pending_enqueues_which_are_served() {
    let graph = Graph::new();
    let queue = fifo(&graph, 1);
    let (first, second) = (queue.enqueue(1.0f32), queue.enqueue(2.0f32));
    let dequeue = queue.dequeue().output();
    let session = session(&graph);
    session.run(&first, ()).unwrap();
    let waiting = run_aside(&session, second.clone(), RunOptions::default());
    wait_until_waiting(&session, &queue, 1);
    session.run(&queue.close(), ()).unwrap();
    assert_eq!(session.run(&second, ()).unwrap_err().code(), Code::Cancelled);
    assert_eq!(session.run(&dequeue, ()).unwrap(), Tensor::from(1.0f32));
    waiting.join().unwrap().unwrap();
    assert_eq!(session.run(&dequeue, ()).unwrap(), Tensor::from(2.0f32));
    assert_eq!(session.run(&dequeue, ()).unwrap_err().code(), Code::OutOfRange);
}

#[test]
fn s_244_q_56_closing_a_closed_queue_is_no_error() {
    let graph = Graph::new();
    let queue = fifo(&graph, 1);
    let session = session(&graph);
    session.run(&queue.enqueue(1.0f32), ()).unwrap();
    for _ in 0..2 {
        // TensorFlow's second close without cancel ends with Cancelled.
        session.run(&queue.close(), ()).unwrap();
        session.run(&queue.close_and_cancel_pending_enqueues(), ()).unwrap();
    }
    assert_eq!(session.run(&queue.enqueue(2.0f32), ()).unwrap_err().code(), Code::Cancelled);
    assert_eq!(drain(&*session, &queue), [1.0]);
}

#[test]
fn s_242_a_close_can_cancel_pending_enqueues() {
    let graph = Graph::new();
    let queue = fifo(&graph, 1);
    let session = session(&graph);
    session.run(&queue.enqueue(1.0f32), ()).unwrap();
    let waiting = run_aside(&session, queue.enqueue(2.0f32), RunOptions::default());
    wait_until_waiting(&session, &queue, 1);
    session.run(&queue.close_and_cancel_pending_enqueues(), ()).unwrap();
    let error = waiting.join().unwrap().unwrap_err();
    assert_eq!(error.code(), Code::Cancelled);
    assert!(error.message().contains("operation was cancelled"), "{error}");
    assert_eq!(drain(&*session, &queue), [1.0]);
}

#[test]
fn s_245_closing_returns_the_elements_of_a_waiting_dequeue_many() {
    let graph = Graph::new();
    let queue = fifo(&graph, 10);
    let add = queue.enqueue_many(Tensor::from(vec![1.0f32, 2.0, 3.0]));
    let five = queue.dequeue_many(5).output();
    let size = queue.size();
    let session = session(&graph);
    session.run(&add, ()).unwrap();
    let waiting = run_aside(&session, five, RunOptions::default());
    wait_for_size(&*session, &size, 0);
    session.run(&queue.close(), ()).unwrap();
    let error = waiting.join().unwrap().unwrap_err();
    assert_eq!(error.code(), Code::OutOfRange);
    assert!(error.message().ends_with("(requested 2, current size 0)"), "{error}");
    assert_eq!(drain(&*session, &queue), [1.0, 2.0, 3.0]);
}

#[test]
fn s_246_s_55_closing_the_session_ends_all_that_waits() {
    let graph = Graph::new();
    let (full, empty) = (fifo(&graph.named("full"), 0), fifo(&graph.named("empty"), 1));
    let (enqueue, dequeue) = (full.enqueue(1.0f32), empty.dequeue().output());
    let session = session(&graph);
    let enqueues: Vec<_> =
        (0..4).map(|_| run_aside(&session, enqueue.clone(), RunOptions::default())).collect();
    let dequeues: Vec<_> =
        (0..4).map(|_| run_aside(&session, dequeue.clone(), RunOptions::default())).collect();
    wait_until_waiting(&session, &full, 4);
    wait_until_waiting(&session, &empty, 4);
    session.close().unwrap();
    let errors = enqueues.into_iter().map(|thread| thread.join().unwrap().unwrap_err());
    let errors = errors.chain(dequeues.into_iter().map(|thread| thread.join().unwrap().unwrap_err()));
    for error in errors {
        assert_eq!(error.code(), Code::Cancelled);
        assert!(error.message().contains("operation was cancelled"), "{error}");
    }
}

#[test]
fn s_248_shuffle_keeps_a_minimum_while_it_is_open() {
    let graph = Graph::new();
    let queue = RandomShuffleQueue::new(&graph, 10, 2, DType::Float32).shapes(scalars()).seed(3).build();
    let add = queue.enqueue_many(Tensor::from((0..5).map(|i| i as f32).collect::<Vec<_>>()));
    let (three, one) = (queue.dequeue_many(3).output(), queue.dequeue().output());
    let session = session(&graph);
    session.run(&add, ()).unwrap();
    let mut taken = floats(&session.run(&three, ()).unwrap());
    let error = session.run_with(&one, (), &soon(), None).unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded);
    session.run(&queue.close(), ()).unwrap();
    taken.extend(drain(&*session, &queue));
    taken.sort_by(f32::total_cmp);
    assert_eq!(taken, [0.0, 1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn s_248_shuffle_order_is_tensorflows() {
    // TensorFlow 2.21 returns this for ten elements enqueued at once and dequeued one by one, by graph and own seed.
    let cases: [(Option<i64>, Option<i64>, [i32; 10]); 3] = [
        (None, Some(3), [7, 1, 4, 5, 6, 8, 0, 9, 2, 3]),
        (Some(7), Some(3), [3, 9, 0, 6, 4, 7, 2, 1, 5, 8]),
        (Some(5), None, [7, 3, 8, 6, 0, 5, 2, 1, 4, 9]),
    ];
    for (graph_seed, own, expected) in cases {
        let graph = Graph::new();
        if let Some(seed) = graph_seed {
            graph.set_random_seed(seed);
        }
        let mut queue = RandomShuffleQueue::new(&graph, 20, 0, DType::Int32).shapes(scalars());
        if let Some(seed) = own {
            queue = queue.seed(seed);
        }
        let queue = queue.build();
        let add = queue.enqueue_many(Tensor::from((0..10).collect::<Vec<i32>>()));
        let one = queue.dequeue().output();
        for _ in 0..2 {
            let session = session(&graph);
            session.run(&add, ()).unwrap();
            let order: Vec<i32> = (0..10).map(|_| session.run(&one, ()).unwrap().value().unwrap()).collect();
            assert_eq!(order, expected);
        }
    }
}

#[test]
fn s_249_a_padding_queue_fills_batches_up() {
    let graph = Graph::new();
    let shapes = [PartialShape::from([None, Some(2)]), PartialShape::from([None])];
    let queue = PaddingFifoQueue::new(&graph, 10, [DType::Int32, DType::String], shapes).build();
    let numbers = placeholder(&graph, DType::Int32, [None, None]);
    let words = placeholder(&graph, DType::String, [None]);
    let enqueue = queue.enqueue([&numbers, &words]);
    let (two, one) = (queue.dequeue_many(2), queue.dequeue());
    assert_eq!(two[0].shape().to_string(), "[2,?,2]");
    let session = session(&graph);
    let put = |rows: Vec<i32>, texts: &[&str]| {
        let count = rows.len() / 2;
        let rows = Tensor::from_vec(rows, [count, 2]).unwrap();
        session.run(&enqueue, [(&numbers, rows), (&words, Tensor::from(texts))]).unwrap();
    };
    put(vec![1, 2], &["a", "b", "c"]);
    put(vec![3, 4, 5, 6], &["d"]);
    put(vec![], &[]);
    let batch = session.run(&two, ()).unwrap();
    assert_eq!(batch[0], Tensor::from_vec(vec![1, 2, 0, 0, 3, 4, 5, 6], [2, 2, 2]).unwrap());
    let texts = Tensor::from_strings(["a", "b", "c", "d", "", ""], [2, 3]).unwrap();
    assert_eq!(batch[1], texts);
    let single = session.run(&one, ()).unwrap();
    assert_eq!((single[0].shape().dims(), single[1].shape().dims()), (&[0, 2][..], &[0][..]));

    let wrong = Tensor::from_vec(vec![1, 2, 3], [1, 3]).unwrap();
    let error = session.run(&enqueue, [(&numbers, wrong), (&words, Tensor::from(&["x"][..]))]).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().contains("Expected [?,2], got [1,3]"), "{error}");
}

#[test]
fn s_250_the_smallest_priority_comes_first() {
    let graph = Graph::new();
    let queue = PriorityQueue::new(&graph, 10, DType::String).shapes(scalars()).build();
    let priorities = Tensor::from(vec![5i64, -1, 5, 3]);
    let enqueue = queue.enqueue_many([&priorities, &Tensor::from(&["a", "b", "c", "d"][..])]);
    let rank = placeholder(&graph, DType::Int64, PartialShape::unknown());
    let wrong = queue.enqueue((&rank, "x"));
    let all = queue.dequeue_many(4);
    let session = session(&graph);
    session.run(&enqueue, ()).unwrap();
    let batch = session.run(&all, ()).unwrap();
    assert_eq!(batch[0], Tensor::from(vec![-1i64, 3, 5, 5]));
    assert_eq!(batch[1], Tensor::from(&["b", "d", "a", "c"][..]));
    let error = session.run(&wrong, [(&rank, vec![1i64, 2])]).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().contains("component 0. Expected [], got [2]"), "{error}");
}

#[test]
fn s_237_s_250_a_batch_of_a_priority_queue_is_taken_at_one_moment() {
    let graph = Graph::new();
    let queue = PriorityQueue::new(&graph, 3, DType::Int32).shapes(scalars()).build();
    let (batch, up_to) = (queue.dequeue_many(2), queue.dequeue_up_to(3));
    let first = queue.enqueue((5i64, 50));
    let second = queue.within(&graph.control_dependencies([&first])).enqueue((1i64, 10));
    let third = queue.within(&graph.control_dependencies([&second])).enqueue((3i64, 30));
    let session = session(&graph);
    // The dequeue waits while one element comes after the other.
    let (batch, ()) = session.run((&batch, &second), ()).unwrap();
    assert_eq!(batch[0], Tensor::from([1i64, 5]));
    let (rest, ()) = session.run((&up_to, &third), ()).unwrap();
    assert_eq!(rest[1], Tensor::from([10, 30, 50]));

    // One that can never be had is refused.
    let count = placeholder(&graph, DType::Int32, PartialShape::scalar());
    let error = session.run(&queue.dequeue_many(&count), [(&count, 4)]).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().contains("whose capacity is 3"), "{error}");
}

#[test]
fn a_step_does_not_wait_for_itself() {
    // One step puts in and takes out, whichever comes first in the graph, on a full and on an empty queue.
    for (dequeue_first, filled) in [(false, false), (true, false), (false, true), (true, true)] {
        let graph = Graph::new();
        let queue = fifo(&graph, 1);
        let fill = queue.enqueue(1.0f32);
        let taken = dequeue_first.then(|| queue.dequeue().output());
        let put = queue.enqueue(2.0f32);
        let taken = taken.unwrap_or_else(|| queue.dequeue().output());
        let doubled = &taken + &taken;
        let session = session(&graph);
        if filled {
            session.run(&fill, ()).unwrap();
        }
        let options = RunOptions::with_timeout(Duration::from_secs(20));
        let (value, ()) = session.run_with((&doubled, &put), (), &options, None).unwrap();
        assert_eq!(value, Tensor::from(if filled { 2.0f32 } else { 4.0 }));
    }
}

#[test]
fn independent_operations_run_before_the_step_waits() {
    // The chain `full -> side` frees what the first operation waits for.
    let graph = Graph::new();
    let (first, second) = (fifo(&graph.named("first"), 1), fifo(&graph.named("second"), 1));
    let fill = first.enqueue(1.0f32);
    let blocked = first.enqueue(2.0f32);
    let trigger = second.dequeue();
    let frees = first.within(&graph.control_dependencies([trigger.operation()])).dequeue().output();
    let start = second.enqueue(0.0f32);
    let all = group(&graph, [&blocked]);
    let session = session(&graph);
    session.run(&fill, ()).unwrap();
    let waiting = run_aside(&session, (frees, all), RunOptions::with_timeout(Duration::from_secs(20)));
    wait_until_waiting(&session, &first, 1);
    session.run(&start, ()).unwrap();
    assert_eq!(waiting.join().unwrap().unwrap().0, Tensor::from(1.0f32));
    assert_eq!(drain(&*session, &first), [2.0]);
}

#[test]
fn what_ends_a_wait_is_not_held_back_for_reads_that_wait() {
    // Reads of a variable come before its updates where they can. Here the product that shares what was read
    // waits for an operation behind the update.
    for closes in [false, true] {
        let graph = Graph::new();
        let queue = fifo(&graph, 10);
        let fill = queue.enqueue(5.0f32);
        let v = variable(&graph.named("v"), Tensor::from(2.0f32));
        let taken = reduce_sum(queue.dequeue_up_to(3).output(), ..);
        let product = v.read(&graph) * taken;
        let update = v.assign_add(array::constant(&graph, 1.0f32));
        let after = queue.within(&graph.control_dependencies([&update]));
        let end =
            if closes { after.close() } else { after.enqueue_many(array::constant(&graph, [3.0f32, 4.0])) };
        let session = session(&graph);
        session.run(&global_variables_initializer(&graph), ()).unwrap();
        session.run(&fill, ()).unwrap();
        let options = RunOptions::with_timeout(Duration::from_secs(20));
        let (value, ()) = session.run_with((&product, &end), (), &options, None).unwrap();
        assert_eq!(value, Tensor::from(if closes { 10.0f32 } else { 24.0 }));
        assert_eq!(session.run(&v.read(&graph), ()).unwrap(), Tensor::from(3.0f32));
    }
}

#[test]
fn input_wait_is_in_the_metadata() -> Result<(), TensorError> {
    let graph = Graph::new();
    let queue = fifo(&graph, 4);
    let (add, take) = (queue.enqueue(1.0f32), queue.dequeue().output());
    let session = session(&graph);
    let mut metadata = RunMetadata::default();
    session.run(&add, ()).unwrap();
    session.run(&add, ()).unwrap();
    session.run_with(&take, (), &RunOptions::with_full_trace(), Some(&mut metadata)).unwrap();
    assert_eq!(metadata.input_wait, Duration::ZERO);
    assert_eq!((metadata.queues[0].name.as_str(), metadata.queues[0].size), ("fifo_queue", 1));
    assert_eq!(metadata.queues[0].capacity, Some(4));

    session.run(&take, ()).unwrap();
    session.run_with(&take, (), &soon(), Some(&mut metadata)).unwrap_err();
    assert!(metadata.input_wait >= Duration::from_millis(20), "{:?}", metadata.input_wait);
    assert!(metadata.input_wait <= metadata.elapsed);

    let waiting = {
        let (session, take) = (session.clone(), take.clone());
        thread::spawn(move || {
            let mut metadata = RunMetadata::default();
            let taken = session.run_with(&take, (), &RunOptions::with_full_trace(), Some(&mut metadata));
            (taken, metadata)
        })
    };
    wait_until_waiting(&session, &queue, 1);
    session.run(&add, ()).unwrap();
    let (taken, metadata) = waiting.join().unwrap();
    assert_eq!(taken.unwrap().value::<f32>()?, 1.0);
    assert!(metadata.input_wait > Duration::ZERO);
    let dequeue = metadata.step_stats.iter().find(|stats| stats.op_type == "QueueDequeueV2").unwrap();
    assert!(dequeue.elapsed >= metadata.input_wait, "the wait counts as the operation's");
    Ok(())
}

#[test]
fn many_threads_neither_lose_nor_duplicate_elements() {
    let graph = Graph::new();
    let queue = FifoQueue::new(&graph, 7, DType::Int32).shapes(scalars()).build();
    let x = placeholder(&graph, DType::Int32, PartialShape::scalar());
    let enqueue = queue.enqueue(&x);
    let (one, many) = (queue.dequeue().output(), queue.dequeue_up_to(5).output());
    let session = session(&graph);
    let put = session.make_callable(&enqueue, &[&x]).unwrap();
    let producers: Vec<_> = (0..4)
        .map(|thread_number| {
            let put = put.clone();
            thread::spawn(move || {
                (0..500).for_each(|i| drop(put.call(&[Tensor::from(thread_number * 1000 + i)]).unwrap()))
            })
        })
        .collect();
    let consumers: Vec<_> = [one, many]
        .into_iter()
        .map(|fetch| {
            let take = session.make_callable(&fetch, &[]).unwrap();
            thread::spawn(move || {
                let mut taken = Vec::new();
                while let Ok(values) = take.call(&[]) {
                    taken.extend(values[0].to_vec::<i32>().unwrap());
                }
                taken
            })
        })
        .collect();
    producers.into_iter().for_each(|thread| thread.join().unwrap());
    session.run(&queue.close(), ()).unwrap();
    let taken: Vec<Vec<i32>> = consumers.into_iter().map(|thread| thread.join().unwrap()).collect();
    for taken in &taken {
        // The elements of one producer come in its order.
        for producer in 0..4 {
            let own: Vec<i32> = taken.iter().copied().filter(|value| value / 1000 == producer).collect();
            assert!(own.is_sorted());
        }
    }
    let mut all = taken.concat();
    all.sort_unstable();
    let expected: Vec<i32> = (0..4).flat_map(|t| (0..500).map(move |i| t * 1000 + i)).collect();
    assert_eq!(all, expected);
}

#[test]
fn queues_of_older_graphs_are_references() {
    let graph = Graph::new();
    let op = |op_type: &str| graph.op(library().find(op_type).unwrap());
    let old = op("FIFOQueue").attr("component_types", vec![DType::Float32]).attr("capacity", 3i64);
    let old = old.attr("shapes", scalars().to_vec()).finish();
    let queue = Queue::from_operation(&old).unwrap();
    assert!(queue.handle().is_ref());
    let add = queue.enqueue_many(Tensor::from(vec![1.0f32, 2.0, 3.0]));
    assert_eq!(add.op_type(), "QueueEnqueueMany");
    let (two, rest) = (queue.dequeue_many(2).output(), queue.dequeue_up_to(2).output());
    let session = session(&graph);
    session.run(&add, ()).unwrap();
    assert_eq!(floats(&session.run(&two, ()).unwrap()), [1.0, 2.0]);
    session.run(&queue.close(), ()).unwrap();
    assert_eq!(session.run(&queue.is_closed(), ()).unwrap(), Tensor::from(true));
    assert_eq!(floats(&session.run(&rest, ()).unwrap()), [3.0]);
    assert_eq!(session.run(queue.dequeue().operation(), ()).unwrap_err().code(), Code::OutOfRange);
    assert!(Queue::from_operation(queue.size().operation()).is_err());
}

#[test]
fn the_fill_level_is_a_summary() {
    let graph = Graph::new();
    let queue = fifo(&graph.scope("input").named("examples"), 4);
    let summary = queue.summarize_fullness().unwrap();
    assert!(fifo(&graph, -1).summarize_fullness().is_none());
    assert_eq!(graph.collection(&session_core::keys::SUMMARIES).len(), 1);
    let session = session(&graph);
    session.run(&queue.enqueue(1.0f32), ()).unwrap();
    let bytes = session.run(&summary, ()).unwrap();
    let text = bytes.as_strings().unwrap()[0].clone();
    let tag = b"queue/input/examples/fraction_of_4_full";
    assert!(text.windows(tag.len()).any(|window| window == tag));
    assert!(text.windows(4).any(|window| window == 0.25f32.to_le_bytes()));
}

#[test]
fn batches_are_split_and_merged_to_other_sizes() {
    let graph = Graph::new();
    let queue = FifoQueue::new(&graph, -1, DType::Int32).shapes([[2]]).build();
    let rows = |first: i32, count: i32| {
        Tensor::from_vec((2 * first..2 * (first + count)).collect(), [count as usize, 2]).unwrap()
    };
    let puts =
        [queue.enqueue_many(rows(0, 4)), queue.enqueue(Tensor::from([8, 9])), queue.enqueue_many(rows(5, 3))];
    let takes = [3usize, 2, 2].map(|count| queue.dequeue_many(count).output());
    let one = queue.dequeue().output();
    let session = session(&graph);
    puts.iter().for_each(|put| session.run(put, ()).unwrap());
    // Requests within one batch, across its end, and across two ends.
    let taken = takes.map(|take| session.run(&take, ()).unwrap());
    assert_eq!(taken, [rows(0, 3), rows(3, 2), rows(5, 2)]);
    assert_eq!(session.run(&one, ()).unwrap(), Tensor::from([14, 15]));
}

#[test]
fn large_rows_and_strings_go_through_a_shuffling_queue() {
    let graph = Graph::new();
    let shapes = [PartialShape::from([2000]), PartialShape::scalar()];
    let queue =
        RandomShuffleQueue::new(&graph, 100, 0, [DType::Int32, DType::String]).shapes(shapes).seed(1).build();
    let numbers: Vec<i32> = (0..5).flat_map(|row| vec![row; 2000]).collect();
    let texts = Tensor::from(&["0", "1", "2", "3", "4"][..]);
    let put = queue.enqueue_many([&Tensor::from_vec(numbers, [5, 2000]).unwrap(), &texts]);
    let (two, rest) = (queue.dequeue_many(2), queue.dequeue_many(3));
    let session = session(&graph);
    session.run(&put, ()).unwrap();
    let mut seen = Vec::new();
    for batch in [session.run(&two, ()).unwrap(), session.run(&rest, ()).unwrap()] {
        let rows = batch[0].as_slice::<i32>().unwrap().chunks(2000);
        for (row, text) in rows.zip(batch[1].as_strings().unwrap()) {
            assert!(row.iter().all(|value| value.to_string().as_bytes() == text));
            seen.push(row[0]);
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2, 3, 4]);
}

#[test]
fn dequeues_beyond_the_capacity_are_errors_unless_the_number_is_a_tensor() {
    let ask = |build: &dyn Fn(&Graph) -> Vec<Output>| {
        let graph = Graph::new();
        drop(build(&graph));
        graph.finalize().expect_err("a build error")
    };
    let shuffling = |graph: &Graph| {
        RandomShuffleQueue::new(&graph.named("shuffled"), 3, 1, DType::Float32).shapes(scalars()).build()
    };
    type Build<'a> = &'a dyn Fn(&Graph) -> Vec<Output>;
    let cases: [(Build<'_>, &str, &str, &str); 3] = [
        (
            &|g| fifo(&g.named("q"), 3).dequeue_many(4).into_outputs(),
            "q_DequeueMany",
            "QueueDequeueManyV2",
            "FIFOQueue 'q'",
        ),
        (
            &|g| fifo(&g.named("q"), 3).dequeue_up_to(4).into_outputs(),
            "q_DequeueUpTo",
            "QueueDequeueUpToV2",
            "FIFOQueue 'q'",
        ),
        (
            &|g| shuffling(g).dequeue_many(4).into_outputs(),
            "shuffled_DequeueMany",
            "QueueDequeueManyV2",
            "RandomShuffleQueue 'shuffled'",
        ),
    ];
    for (build, node, op_type, queue) in cases {
        let error = ask(build);
        assert_eq!(
            (error.code(), error.node(), error.op_type()),
            (Code::InvalidArgument, Some(node), Some(op_type))
        );
        let text = format!("4 elements are dequeued at once from {queue}, whose capacity is 3");
        assert_eq!(error.message(), text);
    }

    // S-237: taken piece by piece where something refills the queue, also with a reserve (S-248).
    let graph = Graph::new();
    let without_limit = fifo(&graph, -1).dequeue_many(1000);
    assert_eq!(without_limit[0].shape(), &PartialShape::from([1000]));
    for queue in [fifo(&graph, 3), shuffling(&graph)] {
        let many = queue.dequeue_many(ops::array::constant(&graph, 9i32)).output();
        let fill = queue.enqueue_many(Tensor::from(vec![1.0f32; 12]));
        let session = session(&graph);
        let fetches = (&many, &fill);
        let taken = session.run_with(fetches, (), &RunOptions::with_timeout(Duration::from_secs(60)), None);
        assert_eq!(floats(&taken.unwrap().0), [1.0; 9]);
    }
}

#[test]
fn s_230_a_queue_is_selected_by_its_number() {
    let graph = Graph::new();
    let which = placeholder(&graph, DType::Int32, PartialShape::scalar());
    let queues = [fifo(&graph.named("a"), 3), fifo(&graph.named("b"), 3)];
    let chosen = Queue::select(&which, &queues);
    assert_eq!((chosen.dtypes(), chosen.shapes().unwrap()), (&[DType::Float32][..], &scalars()[..]));
    let (enqueue, two) = (chosen.enqueue(7.0f32), chosen.dequeue_many(2));
    assert_eq!(two[0].shape(), &PartialShape::from([2]));
    let (size, close) = (chosen.size(), chosen.close());
    let inside = ops::control_flow::group(&graph, [&enqueue]);
    let session = session(&graph);
    let run = |fetch: &Operation, index: i32| session.run(fetch, [(&which, index)]).map(drop);
    for index in [0, 1, 1] {
        run(&inside, index).unwrap();
    }
    let sizes = [0, 1].map(|index| session.run(&size, [(&which, index)]).unwrap().value::<i32>().unwrap());
    assert_eq!(sizes, [1, 2]);
    assert_eq!(floats(&session.run(two.operation().output(0), [(&which, 1)]).unwrap()), [7.0, 7.0]);
    for index in [2, -1] {
        let error = run(&enqueue, index).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
        assert!(error.message().contains(&format!("{index} is not in [0, 2)")), "{error}");
    }
    run(&close, 1).unwrap();
    let error = run(&enqueue, 1).unwrap_err();
    assert!(error.message().contains("FIFOQueue 'b' is closed."), "{error}");
    run(&enqueue, 0).unwrap();

    let build_error = |build: &dyn Fn(&Graph, Output) -> Queue| {
        let graph = Graph::new();
        drop(build(&graph, ops::array::constant(&graph, 0i32)));
        graph.finalize().expect_err("a build error")
    };
    let others = |g: &Graph| FifoQueue::new(g, 3, DType::Int64).shapes(scalars()).build();
    let error = build_error(&|g, index| Queue::select(index, &[fifo(g, 3), others(g)]));
    assert_eq!(error.kind(), ErrorKind::Type);
    assert!(error.message().contains("matching component dtypes"), "{error}");
    let named = |g: &Graph| FifoQueue::new(g, 3, DType::Float32).names(["x"]).build();
    let error = build_error(&|g, index| Queue::select(index, &[fifo(g, 3), named(g)]));
    assert_eq!(error.kind(), ErrorKind::Value);
    assert!(error.message().contains("matching component names"), "{error}");
    assert_eq!(build_error(&|_, index| Queue::select(index, &[])).kind(), ErrorKind::Type);
    // A dimension that they do not have in common is unknown.
    let graph = Graph::new();
    let open = PaddingFifoQueue::new(&graph, 3, DType::Float32, [[None]]).build();
    let wide = FifoQueue::new(&graph, 3, DType::Float32).shapes([[2]]).build();
    let index = ops::array::constant(&graph, 0i32);
    assert_eq!(Queue::select(&index, &[open, wide]).shapes().unwrap(), [PartialShape::from([None])]);
    let any = FifoQueue::new(&graph, 3, DType::Float32).build();
    assert_eq!(Queue::select(&index, &[fifo(&graph, 3), any]).shapes(), None);
}
