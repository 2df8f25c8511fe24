//! Queue runners, from the threads that fill a queue to the end of a monitored session's loop.
#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used)] // helpers of tests

use monitored_session::ops::data_flow::{FifoQueue, Queue};
use monitored_session::ops::state::resource_count_up_to;
use monitored_session::ops::{array, math, variables};
use monitored_session::prelude::*;
use monitored_session::queue_runner::{QueueRunner, start_queue_runners};
use monitored_session::session_core::{Code, Error, Output, PartialShape};
use std::sync::Arc;

/// Numbers below a limit, then the end of the input, like `limit_epochs`.
fn numbers(graph: &Graph, limit: i64) -> Output {
    let count = variables::local_variable(&graph.named("count"), 0i64);
    resource_count_up_to(count.handle(), limit)
}

fn queue(graph: &Graph, capacity: i64) -> Queue {
    FifoQueue::new(&graph.named("numbers"), capacity, DType::Int64).shapes([PartialShape::scalar()]).build()
}

#[test]
fn the_end_of_the_input_ends_the_loop_without_an_error() {
    for threads in [1, 3] {
        let graph = Graph::new();
        let queue = queue(&graph, 4);
        let enqueue = queue.enqueue(numbers(&graph, 100));
        QueueRunner::for_queue(&queue, vec![enqueue; threads]).unwrap().add_to_graph().unwrap();
        let squares = math::square(queue.dequeue_many(array::constant(&graph, 10i32)).output());

        let mut session = SingularMonitoredSession::builder(&graph).build().unwrap();
        let mut seen: Vec<i64> = Vec::new();
        let end = loop {
            match session.run(&squares, ()) {
                Ok(squares) => seen.extend(squares.to_vec::<i64>().unwrap()),
                Err(error) => break error,
            }
        };
        assert!(end.is_end_of_input(), "{end}");
        assert!(end.to_string().contains("numbers"), "the error names the queue: {end}");
        session.close().unwrap();
        seen.sort_unstable();
        assert_eq!(seen, (0..100).map(|i| i * i).collect::<Vec<i64>>());
    }
}

#[test]
fn s_163_scoped_treats_the_end_of_the_input_as_success() {
    let graph = Graph::new();
    let queue = queue(&graph, 4);
    let enqueue = queue.enqueue(numbers(&graph, 25));
    QueueRunner::for_queue(&queue, [enqueue]).unwrap().add_to_graph().unwrap();
    let batch = queue.dequeue_up_to(array::constant(&graph, 10i32)).output();
    let mut sizes = Vec::new();
    let finished = SingularMonitoredSession::builder(&graph)
        .scoped(|session| -> Result<()> {
            while !session.should_stop() {
                sizes.push(session.run(&batch, ())?.elements());
            }
            Ok(())
        })
        .unwrap();
    assert!(finished.value.is_none());
    assert_eq!(sizes, [10, 10, 5]);
}

#[test]
fn s_167_q_2_an_error_of_the_input_is_reported_as_the_cause() {
    let graph = Graph::new();
    let queue = queue(&graph, 4);
    // Fails at the third element: 1 / (2 - i).
    let number = numbers(&graph, 100);
    let divisor = array::constant(&graph, 2i64) - &number;
    let enqueue = queue.enqueue(math::floor_div(array::constant(&graph, 1i64), &divisor));
    QueueRunner::for_queue(&queue, [enqueue]).unwrap().add_to_graph().unwrap();
    let taken = queue.dequeue().output();
    let error = SingularMonitoredSession::builder(&graph)
        .scoped(|session| -> Result<()> {
            loop {
                session.run(&taken, ())?;
            }
        })
        .unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    assert!(!error.is_end_of_input());
}

#[test]
fn one_queue_feeds_another() {
    let graph = Graph::new();
    let first = queue(&graph, 4);
    let fill = first.enqueue(numbers(&graph, 50));
    QueueRunner::for_queue(&first, [fill]).unwrap().add_to_graph().unwrap();
    let second =
        FifoQueue::new(&graph.named("doubled"), 4, DType::Int64).shapes([PartialShape::scalar()]).build();
    let doubled = first.dequeue().output() + array::constant(&graph, 1000i64);
    let pass = second.enqueue(&doubled);
    QueueRunner::for_queue(&second, vec![pass; 2]).unwrap().add_to_graph().unwrap();
    let taken = second.dequeue().output();
    let mut session = SingularMonitoredSession::builder(&graph).build().unwrap();
    let mut seen = Vec::new();
    while let Ok(value) = session.run(&taken, ()) {
        seen.push(value.value::<i64>().unwrap() - 1000);
    }
    session.close().unwrap();
    seen.sort_unstable();
    assert_eq!(seen, (0..50).collect::<Vec<i64>>());
}

#[test]
fn s_211_several_sessions_have_threads_of_their_own() {
    let graph = Graph::new();
    let queue = queue(&graph, 4);
    let enqueue = queue.enqueue(numbers(&graph, 20));
    QueueRunner::for_queue(&queue, [enqueue]).unwrap().add_to_graph().unwrap();
    let init = variables::local_variables_initializer(&graph);
    let taken = queue.dequeue().output();
    let run = || -> std::result::Result<i64, Error> {
        let session: Arc<dyn Session> =
            EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::default())?;
        session.run(&init, ())?;
        let coordinator = Coordinator::new();
        start_queue_runners(&session, Some(&coordinator))?;
        let mut sum = 0;
        while let Ok(value) = session.run(&taken, ()) {
            sum += value.value::<i64>()?;
        }
        coordinator.request_stop();
        coordinator.join(&[])?;
        Ok(sum)
    };
    let sums: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(sums.into_iter().all(|sum| sum.unwrap() == 190));
}
