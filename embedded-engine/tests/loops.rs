//! Events that end a loop before its condition does, and their errors.
#![allow(clippy::unwrap_used)] // a panic is the report

use crate::graphs;
use embedded_engine::EmbeddedEngine;
use session_core::{
    CancellationToken, Code, Engine, Graph, Result, RunOptions, Session, SessionConfig, SessionExt, Step,
    Tensor,
};
use std::sync::Arc;
use std::time::Duration;

fn load(name: &str) -> (Graph, Arc<dyn Session>) {
    let graph = graphs::import(name).unwrap();
    let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::with_threads(1)).unwrap();
    (graph, session)
}

fn run(graph: &Graph, session: &Arc<dyn Session>, options: &RunOptions) -> Result<Vec<Tensor>> {
    let count = graph.output("n:0")?.endpoint();
    let fetches = [graph.output("while/Exit:0")?.endpoint()];
    let feeds = [(count, Tensor::from(i32::MAX))];
    session.execute(&Step { fetches: &fetches, targets: &[], feeds: &feeds, options }, None)
}

#[test]
fn a_deadline_ends_a_loop() {
    let (graph, session) = load("while_counts");
    let options = RunOptions::default().timeout(Duration::from_millis(20));
    assert_eq!(run(&graph, &session, &options).unwrap_err().code(), Code::DeadlineExceeded);
}

#[test]
fn a_cancelled_run_ends_in_the_loop() {
    let (graph, session) = load("while_counts");
    let token = CancellationToken::new();
    let options = RunOptions::default().cancellation(token.clone());
    std::thread::scope(|scope| {
        let running = scope.spawn(|| run(&graph, &session, &options));
        token.cancel();
        assert_eq!(running.join().unwrap().unwrap_err().code(), Code::Cancelled);
    });
}

#[test]
fn an_error_in_a_loop_names_the_operation() {
    let (graph, session) = load("dynamic_lstm");
    session.run(&graph.operation("initialize_all").unwrap(), ()).unwrap();
    let inputs = Tensor::from_vec(vec![0.5f32; 2 * 5 * 3], [2, 5, 3]).unwrap();
    let lengths = Tensor::from([5i32, 3, 2]); // one more than there are sequences
    let feeds = [(graph.output("x:0").unwrap(), inputs), (graph.output("lengths:0").unwrap(), lengths)];
    let error = session.run(&graph.output("rnn/while/Exit_2:0").unwrap(), feeds).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.to_string().contains("'rnn/while/"), "{error}");
}

#[test]
fn values_inside_a_loop_cannot_be_fetched() {
    let (graph, session) = load("while_counts");
    let inside = graph.output("while/Merge:0").unwrap();
    let error = session.run(&inside, [(graph.output("n:0").unwrap(), Tensor::from(3i32))]).unwrap_err();
    assert!(error.message().contains("inside of the loop of frame"), "{error}");
}
