//! The rules of queue runners, S-207 to S-219, on a scripted session.
#![allow(clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen
#![allow(clippy::unwrap_used)] // helpers of tests

use ops::data_flow::FifoQueue;
use queue_runner::{
    Coordinator, JoinOptions, ManagedThread, QUEUE_RUNNERS, QueueRunner, start_queue_runners,
};
use session_core::mock::{MockSession, RecordedRun};
use session_core::{Code, DType, Error, ErrorKind, Graph, Operation, Result, Session, Tensor};
use std::sync::{Arc, mpsc};
use std::time::Duration;

struct Fixture {
    graph: Graph,
    runner: QueueRunner,
    mock: MockSession,
    session: Arc<dyn Session>,
}

fn operation(graph: &Graph, name: &str) -> Operation {
    graph.undefined_op("NoOp").name(name).finish()
}

/// A runner of the queue `q` with these enqueue operations, and a session on its graph.
fn fixture(enqueue_ops: &[&str]) -> Fixture {
    let graph = Graph::new();
    let mut operations: Vec<Operation> = Vec::new();
    for name in enqueue_ops {
        let known = operations.iter().find(|known| known.name() == *name).cloned();
        operations.push(known.unwrap_or_else(|| operation(&graph, name)));
    }
    let close = operation(&graph, "q_Close");
    let cancel = operation(&graph, "q_Close_1");
    let runner = QueueRunner::new("q", operations, &close, &cancel).unwrap();
    let mock = MockSession::new(&graph);
    let session = Arc::new(mock.clone());
    Fixture { graph, runner, mock, session }
}

fn targets(mock: &MockSession) -> Vec<String> {
    mock.runs().into_iter().flat_map(|run| run.targets).collect()
}

fn fails(code: Code) -> Result<Vec<Tensor>> {
    Err(Error::new(code, "scripted"))
}

fn start_all(threads: &[ManagedThread]) {
    threads.iter().for_each(|thread| thread.start().unwrap());
}

#[test]
fn s_207_a_runner_needs_a_name_and_operations() {
    let f = fixture(&["enqueue"]);
    let (close, cancel) = (f.runner.close_op(), f.runner.cancel_op());
    let no_name = QueueRunner::new("", [close.clone()], close, cancel).unwrap_err();
    let no_ops = QueueRunner::new("q", [], close, cancel).unwrap_err();
    for error in [no_name, no_ops] {
        assert_eq!(error.kind(), ErrorKind::Value);
        assert!(error.message().starts_with("Must provide queue"), "{error}");
    }
    assert_eq!(f.runner.closed_codes(), [Code::OutOfRange]);
    let error = f.runner.clone().with_closed_codes(&[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Type);
    let foreign = operation(&Graph::new(), "elsewhere");
    let error = QueueRunner::new("q", [foreign], close, cancel).unwrap_err();
    assert!(error.message().contains("'elsewhere' of the runner of queue 'q'"), "{error}");
}

#[test]
fn s_209_s_210_one_thread_for_each_listed_operation_and_one_that_waits_for_the_stop() {
    let f = fixture(&["a", "a", "b"]);
    let names = |threads: &[ManagedThread]| -> Vec<String> {
        threads.iter().map(|thread| thread.name().to_owned()).collect()
    };
    let alone = f.runner.create_threads(&f.session, None);
    assert_eq!(names(&alone), ["QueueRunnerThread-q-a", "QueueRunnerThread-q-a", "QueueRunnerThread-q-b"]);

    let other: Arc<dyn Session> = Arc::new(MockSession::new(&f.graph));
    let coordinator = Coordinator::new();
    let coordinated = f.runner.create_threads(&other, Some(&coordinator));
    assert_eq!(coordinated.len(), 4);
    assert_eq!(coordinated[3].name(), "QueueRunnerThread-q-close_on_stop");
    assert_eq!(names(&coordinator.registered()), names(&coordinated));
}

#[test]
fn s_211_each_session_has_its_own_threads() {
    let f = fixture(&["enqueue"]);
    f.mock.otherwise(|_| fails(Code::Internal));
    let first = f.runner.create_threads(&f.session, None);
    assert_eq!(first.len(), 1);
    assert!(f.runner.create_threads(&f.session, None).is_empty(), "made, though not started");
    start_all(&first);
    assert!(first[0].join().is_err());
    assert_eq!(f.runner.exceptions_raised().len(), 1);

    let second = f.runner.create_threads(&f.session, None);
    assert_eq!(second.len(), 1, "the first set has ended");
    assert!(f.runner.exceptions_raised().is_empty(), "a new set clears the list");
}

#[test]
fn s_212_s_213_the_last_thread_that_sees_the_end_closes_the_queue() {
    let f = fixture(&["a", "b"]);
    for _ in 0..3 {
        f.mock.expect(|_| Ok(Vec::new()));
    }
    for _ in 0..2 {
        f.mock.expect(|_| fails(Code::OutOfRange));
    }
    let threads = f.runner.create_threads(&f.session, None);
    start_all(&threads);
    threads.iter().for_each(|thread| thread.join().unwrap());
    let targets = targets(&f.mock);
    assert_eq!(targets.len(), 3 + 2 + 1, "three elements, two ends, one close: {targets:?}");
    assert_eq!(targets.last().unwrap(), "q_Close");
    assert!(f.runner.exceptions_raised().is_empty());
}

#[test]
fn s_207_s_212_other_codes_can_mean_the_end_of_input() {
    let f = fixture(&["enqueue"]);
    let runner = f.runner.with_closed_codes(&[Code::Cancelled, Code::OutOfRange]).unwrap();
    f.mock.expect(|_| fails(Code::Cancelled));
    let threads = runner.create_threads(&f.session, None);
    start_all(&threads);
    threads[0].join().unwrap();
    assert_eq!(targets(&f.mock), ["enqueue", "q_Close"]);
}

#[test]
fn s_212_s_214_an_error_stops_the_coordinator_and_cancels_the_queue() {
    let f = fixture(&["enqueue"]);
    f.mock.expect(|_| fails(Code::DataLoss));
    let coordinator = Coordinator::new();
    start_all(&f.runner.create_threads(&f.session, Some(&coordinator)));
    let error = coordinator.join(&[]).unwrap_err();
    assert_eq!(error.code(), Code::DataLoss);
    assert_eq!(targets(&f.mock), ["enqueue", "q_Close_1"]);
    assert!(f.runner.exceptions_raised().is_empty(), "S-215: only without coordinator");
    assert!(coordinator.late_errors().is_empty(), "reported once");
}

#[test]
fn s_212_s_215_q_54_without_coordinator_an_error_is_listed_and_the_queue_closed() {
    let f = fixture(&["enqueue"]);
    f.mock.expect(|_| fails(Code::DataLoss));
    let threads = f.runner.create_threads(&f.session, None);
    start_all(&threads);
    assert_eq!(threads[0].join().unwrap_err().code(), Code::DataLoss);
    assert_eq!(f.runner.exceptions_raised()[0].code(), Code::DataLoss);
    assert_eq!(targets(&f.mock), ["enqueue", "q_Close"], "consumers end; TensorFlow leaves them waiting");
}

#[test]
fn s_212_s_213_a_stop_ends_the_thread_without_closing() {
    let f = fixture(&["enqueue"]);
    let coordinator = Coordinator::new();
    let stop = coordinator.clone();
    f.mock.expect(move |_| {
        stop.request_stop();
        Ok(Vec::new())
    });
    start_all(&f.runner.create_threads(&f.session, Some(&coordinator)));
    coordinator.join(&[]).unwrap();
    assert_eq!(targets(&f.mock), ["enqueue", "q_Close_1"]);
}

#[test]
fn s_214_q_54_the_end_of_the_input_ends_the_join() {
    let f = fixture(&["enqueue"]);
    f.mock.expect(|_| fails(Code::OutOfRange));
    let coordinator = Coordinator::new();
    start_all(&f.runner.create_threads(&f.session, Some(&coordinator)));
    // There is no stop request, and still the join ends.
    coordinator.join(&[]).unwrap();
    assert!(!coordinator.should_stop());
    assert_eq!(targets(&f.mock), ["enqueue", "q_Close"]);
}

#[test]
fn s_214_errors_of_the_cancel_operation_are_ignored() {
    let f = fixture(&["enqueue"]);
    f.mock.otherwise(|_| fails(Code::Internal));
    let coordinator = Coordinator::new();
    coordinator.request_stop();
    start_all(&f.runner.create_threads(&f.session, Some(&coordinator)));
    coordinator.join(&[]).unwrap();
    assert_eq!(targets(&f.mock), ["q_Close_1"]);
}

#[test]
fn a_blocked_enqueue_is_cancelled_after_the_queue() {
    let f = fixture(&["enqueue"]);
    let (blocked, is_blocked) = mpsc::channel();
    // An enqueue that no queue operation can end, only its own cancellation.
    f.mock.otherwise(move |run: &RecordedRun| {
        if run.targets == ["enqueue"] {
            let token = run.options.cancellation.clone().unwrap();
            let (wake, woken) = mpsc::channel();
            let _guard = token.on_cancel(move || wake.send(()).unwrap_or_default());
            blocked.send(()).unwrap();
            woken.recv().unwrap();
            return fails(Code::Cancelled);
        }
        Ok(Vec::new())
    });
    let coordinator = Coordinator::new();
    start_all(&f.runner.create_threads(&f.session, Some(&coordinator)));
    is_blocked.recv().unwrap();
    coordinator.request_stop();
    coordinator.join(&[]).unwrap();
    assert!(coordinator.late_errors().is_empty());
}

#[test]
fn a_panic_of_the_engine_is_the_cause_and_cancels_the_queue() {
    let f = fixture(&["enqueue"]);
    f.mock.expect(|_| panic!("kernel"));
    let coordinator = Coordinator::new();
    start_all(&f.runner.create_threads(&f.session, Some(&coordinator)));
    let error = coordinator.join(&[]).unwrap_err();
    assert_eq!(error.message(), "thread 'QueueRunnerThread-q-enqueue' panicked: kernel");
    assert_eq!(targets(&f.mock), ["enqueue", "q_Close_1"]);
}

#[test]
fn s_217_s_218_the_runners_of_the_sessions_graph_are_started() {
    let f = fixture(&["enqueue"]);
    f.runner.add_to_graph().unwrap();
    assert_eq!(f.graph.collection(&QUEUE_RUNNERS).len(), 1);
    f.mock.otherwise(|_| fails(Code::OutOfRange));
    let coordinator = Coordinator::new();
    let threads = start_queue_runners(&f.session, Some(&coordinator)).unwrap();
    assert_eq!(threads.len(), 2);
    coordinator.join(&threads).unwrap();
}

#[test]
fn s_218_a_graph_without_runners_has_no_threads() {
    let f = fixture(&["enqueue"]);
    assert!(start_queue_runners(&f.session, None).unwrap().is_empty());
}

#[test]
fn s_219_a_closed_session_is_an_error_like_any_other() {
    let f = fixture(&["enqueue"]);
    f.session.close().unwrap();
    let coordinator = Coordinator::new();
    start_all(&f.runner.create_threads(&f.session, Some(&coordinator)));
    let error = coordinator
        .join_with(&[], &JoinOptions::default().stop_grace_period(Duration::from_secs(60)))
        .unwrap_err();
    assert!(error.message().contains("a closed Session"), "{error}");
}

#[test]
fn s_208_a_runner_of_a_queue_makes_its_close_and_cancel_operations() {
    let graph = Graph::new();
    let queue = FifoQueue::new(&graph.scope("input").named("names"), 4, DType::String).build();
    let enqueue = queue.enqueue("a");
    let runner = QueueRunner::for_queue(&queue, [enqueue]).unwrap();
    assert_eq!(runner.queue(), "input/names");
    let cancels =
        |operation: &Operation| operation.attr("cancel_pending_enqueues").and_then(|value| value.as_bool());
    assert_eq!((runner.close_op().name(), cancels(runner.close_op())), ("input/names_Close", Some(false)));
    assert_eq!((runner.cancel_op().name(), cancels(runner.cancel_op())), ("input/names_Close_1", Some(true)));

    graph.finalize().unwrap();
    let error = QueueRunner::for_queue(&queue, [runner.enqueue_ops()[0].clone()]).unwrap_err();
    assert!(error.message().contains("finalized"), "{error}");
}
