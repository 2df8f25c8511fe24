//! Work whose length a number of the graph decides ends with the time limit of its run.
#![allow(clippy::unwrap_used)] // a panic is the report

use dataset::{Dataset, Remainder};
use embedded_engine::EmbeddedEngine;
use ops::array::placeholder;
use ops::random::random_shuffle;
use session_core::keys::TABLE_INITIALIZERS;
use session_core::{
    Code, DType, Engine, Graph, OpLibrary as _, RunOptions, Session, SessionConfig, SessionExt, Tensor,
};
use std::sync::Arc;
use std::time::Duration;

fn session(graph: &Graph) -> Arc<dyn Session> {
    graph.check().unwrap();
    let session = EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(1)).unwrap();
    session.run(((), &graph.collection(&TABLE_INITIALIZERS)), ()).unwrap();
    session
}

const HUGE: u64 = 1 << 62;

#[test]
fn endless_datasets_are_cut_off_while_an_element_is_made() {
    let kinds: [(&str, fn(Dataset) -> Dataset); 7] = [
        ("skip", |endless| endless.skip(HUGE)),
        ("shuffle", |endless| endless.shuffle(HUGE, Some(1))),
        ("shuffle and skip", |endless| endless.shuffle(2, Some(1)).skip(HUGE)),
        ("batch", |endless| endless.batch(HUGE, Remainder::Keep)),
        ("padded batch", |endless| {
            endless.padded_batch(HUGE, &[session_core::PartialShape::scalar()], Remainder::Keep)
        }),
        ("window", |endless| endless.window(HUGE, 1, 1, Remainder::Keep)),
        ("shift of a window", |endless| endless.window(1, HUGE, 1, Remainder::Keep)),
    ];
    for (kind, build) in kinds {
        let graph = Graph::new();
        let endless = Dataset::range(&graph, 0, 3, 1).repeat(None);
        let next = build(endless).make_initializable_iterator().get_next().remove(0);
        let session = session(&graph);
        let options = RunOptions::with_timeout(Duration::from_millis(20));
        let error = session.run_with(&next, (), &options, None).unwrap_err();
        assert_eq!(error.code(), Code::DeadlineExceeded, "{kind}: {error}");
        session.close().unwrap();
        assert!(session.join_threads(Duration::from_secs(60)).is_empty(), "{kind} ends with its session");
    }
}

#[test]
fn rows_without_elements_take_no_time() {
    let graph = Graph::new();
    let rows = placeholder(&graph, DType::Float32, [None, Some(0)]);
    let shuffled = random_shuffle(&rows, Some(1));
    let session = session(&graph);
    let many = Tensor::zeros(DType::Float32, [1 << 40, 0]).unwrap();
    let found = session.run(&shuffled, [(&rows, many)]).unwrap();
    assert_eq!(found.shape().dims(), [1 << 40, 0]);
}

#[test]
fn sizes_of_images_see_the_time_limit() {
    let graph = Graph::new();
    let images = placeholder(&graph, DType::Float32, [None, Some(1), Some(1), None]);
    let op = |op_type: &str| graph.op(ops::library().find(op_type).unwrap());
    let size = ops::array::constant(&graph, [1i32, i32::MAX]);
    let resized = op("ResizeArea").input(&images).input(&size).finish_output();
    let session = session(&graph);
    let options = RunOptions::with_timeout(Duration::from_millis(20));
    let ends = |fetch: &session_core::Output, feed: &session_core::Output, value: Tensor| {
        session.run_with(fetch, [(feed, value)], &options, None).unwrap_err().code()
    };
    let pixel = Tensor::zeros(DType::Float32, [1, 1, 1, 1]).unwrap();
    let code = ends(&resized, &images, pixel);
    assert!(matches!(code, Code::DeadlineExceeded | Code::ResourceExhausted), "{code:?}");
    let none = Tensor::zeros(DType::Float32, [0, 1, 1, 1]).unwrap();
    let found = session.run(&resized, [(&images, none)]).unwrap();
    assert_eq!(found.shape().dims(), [0, 1, i32::MAX as usize, 1]);
}
