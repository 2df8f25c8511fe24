//! Orders of examples: what steps take, and that a restored session continues where the state was exported.
#![allow(clippy::unwrap_used)] // a panic is the report

use embedded_engine::EmbeddedEngine;
use ops::io::{IndexOptions, index_batch};
use session_core::{Code, Engine, Error, Graph, Output, Session, SessionConfig, SessionExt};
use std::sync::Arc;

fn session(graph: &Graph) -> Arc<dyn Session> {
    EmbeddedEngine::new().new_session(graph, "", &SessionConfig::default()).unwrap()
}

fn built(limit: usize, batch: usize, options: &IndexOptions) -> (Graph, Output) {
    let graph = Graph::new();
    let indices = index_batch(&graph.named("order"), limit, batch, options);
    graph.finalize().unwrap();
    (graph, indices)
}

fn next(session: &Arc<dyn Session>, indices: &Output) -> Result<Vec<i64>, Error> {
    Ok(session.run(indices, ())?.to_vec::<i64>().unwrap())
}

/// All batches up to the end, and the error there.
fn drain(session: &Arc<dyn Session>, indices: &Output) -> (Vec<Vec<i64>>, Error) {
    let mut batches = Vec::new();
    loop {
        match next(session, indices) {
            Ok(batch) => batches.push(batch),
            Err(error) => return (batches, error),
        }
    }
}

#[test]
fn unshuffled_batches_cross_epochs_and_drop_the_incomplete_one() {
    let (graph, indices) = built(5, 4, &IndexOptions::default().shuffle(false).num_epochs(3));
    assert_eq!(indices.shape().to_string(), "[4]");
    let (batches, error) = drain(&session(&graph), &indices);
    assert_eq!(batches, [[0, 1, 2, 3], [4, 0, 1, 2], [3, 4, 0, 1]]);
    assert_eq!((error.code(), error.node()), (Code::OutOfRange, Some("order")));
    assert!(error.message().contains("3 epochs of 5 examples (requested 4, 3 left)"), "{error}");
}

#[test]
fn a_smaller_final_batch_is_returned_if_allowed() {
    let options = IndexOptions::default().shuffle(false).num_epochs(1).allow_smaller_final_batch(true);
    let (graph, indices) = built(5, 3, &options);
    assert_eq!(indices.shape().to_string(), "[?]");
    let (batches, error) = drain(&session(&graph), &indices);
    assert_eq!(batches, [vec![0, 1, 2], vec![3, 4]]);
    assert!(error.is_end_of_input());
}

#[test]
fn each_epoch_has_another_order_and_equal_seeds_have_equal_orders() {
    let options = IndexOptions::default().seed(3).num_epochs(2);
    let (graph, indices) = built(100, 10, &options);
    let (batches, _) = drain(&session(&graph), &indices);
    let epochs: Vec<Vec<i64>> = batches.chunks(10).map(<[Vec<i64>]>::concat).collect();
    for epoch in &epochs {
        let mut sorted = epoch.clone();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..100));
    }
    assert_ne!(epochs[0], epochs[1]);
    assert_eq!(drain(&session(&graph), &indices).0, batches, "another session");
    let (graph, indices) = built(100, 10, &IndexOptions::default().seed(4).num_epochs(2));
    assert_ne!(drain(&session(&graph), &indices).0, batches, "another seed");
}

#[test]
fn a_restored_session_continues_exactly() {
    // With a seed and without, few examples and many.
    for (limit, options) in [
        (50, IndexOptions::default().seed(9)),
        (50, IndexOptions::default()),
        (100_000, IndexOptions::default().seed(9)),
    ] {
        let (graph, indices) = built(limit, 16, &options);
        let whole = session(&graph);
        next(&whole, &indices).unwrap(); // a session has a state, and an order without seed begins, at the first step
        for steps in 0..8 {
            let state = whole.export_state().unwrap();
            let ahead: Vec<_> = (0..3).map(|_| next(&whole, &indices).unwrap()).collect();
            whole.import_state(&state).unwrap();
            let resumed = session(&graph);
            resumed.import_state(&state).unwrap();
            let again: Vec<_> = (0..3).map(|_| next(&resumed, &indices).unwrap()).collect();
            assert_eq!(again, ahead, "{limit} examples after {steps} steps");
            assert_eq!(next(&whole, &indices).unwrap(), ahead[0]);
        }
    }
}

/// A position of ten billion examples costs no more than one of none: the test would not end otherwise.
#[test]
fn resuming_far_ahead_costs_nothing() {
    let (graph, indices) = built(1_000_000_000, 4, &IndexOptions::default().seed(1));
    let first = session(&graph);
    next(&first, &indices).unwrap();
    let mut state = first.export_state().unwrap();
    state[0].1[1..9].copy_from_slice(&9_876_543_210u64.to_le_bytes());
    first.import_state(&state).unwrap();
    assert_eq!(next(&first, &indices).unwrap().len(), 4);
}

#[test]
fn a_position_in_other_examples_and_damaged_states_are_refused() {
    let (graph, indices) = built(50, 16, &IndexOptions::default());
    let first = session(&graph);
    next(&first, &indices).unwrap();
    let mut state = first.export_state().unwrap();

    let (other, other_indices) = built(51, 16, &IndexOptions::default());
    let second = session(&other);
    second.import_state(&state).unwrap();
    let error = next(&second, &other_indices).unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert!(error.message().contains("'order' has 51 examples"), "{error}");

    state[0].1.pop();
    assert_eq!(first.import_state(&state).unwrap_err().code(), Code::DataLoss);
}

#[test]
fn no_examples_and_no_batch_are_errors() {
    let (graph, indices) = built(0, 1, &IndexOptions::default());
    let error = next(&session(&graph), &indices).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().contains("at least one example"), "{error}");
    for options in [IndexOptions::default(), IndexOptions::default().num_epochs(0)] {
        let graph = Graph::new();
        let _ = index_batch(&graph, 5, usize::from(options != IndexOptions::default()), &options);
        assert_eq!(graph.finalize().unwrap_err().code(), Code::InvalidArgument);
    }
}
