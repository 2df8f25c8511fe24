//! Batches of slices are copied or shared as a whole: the same elements as one by one, and nothing writes into them.
#![allow(clippy::unwrap_used)] // a panic is the report

use dataset::{Dataset, Remainder};
use embedded_engine::EmbeddedEngine;
use ops::variables::VariableExt as _;
use session_core::keys::TABLE_INITIALIZERS;
use session_core::{Code, DType, Engine, Graph, Output, Session, SessionConfig, SessionExt, Tensor};
use std::sync::Arc;

fn session(graph: &Graph) -> Arc<dyn Session> {
    let session = EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(1)).unwrap();
    session.run(((), &graph.collection(&TABLE_INITIALIZERS)), ()).unwrap();
    session
}

/// Slices of numbers, strings, vectors, rows without elements, and complex numbers.
fn slices(graph: &Graph, rows: usize) -> Dataset {
    let floats = |inner: usize| (0..rows * inner).map(|number| number as f32 / 4.0).collect::<Vec<f32>>();
    let strings: Vec<String> = (0..rows).map(|number| format!("row {number}")).collect();
    let complex: Vec<tensor::Complex<f64>> =
        (0..rows).map(|number| tensor::Complex::new(number as f64, -1.0)).collect();
    let components = [
        Tensor::from((0..rows as i64).collect::<Vec<i64>>()),
        Tensor::from_strings(strings, [rows]).unwrap(),
        Tensor::from_vec(floats(6), [rows, 2, 3]).unwrap(),
        Tensor::zeros(DType::Int32, [rows, 4, 0]).unwrap(),
        Tensor::from_vec(complex, [rows]).unwrap(),
    ];
    let components = components.map(|component| ops::array::constant(graph, component));
    Dataset::from_tensor_slices(graph, components)
}

/// The pipelines before the batch.
const PIPELINES: [(&str, fn(Dataset) -> Dataset); 14] = [
    ("slices", |slices| slices),
    ("take", |slices| slices.take(7)),
    ("take none", |slices| slices.take(0)),
    ("take more than there are", |slices| slices.take(100)),
    ("prefetch", |slices| slices.prefetch(2)),
    ("repeat", |slices| slices.repeat(3)),
    ("shuffle one", |slices| slices.shuffle(1, Some(5))),
    ("shuffle", |slices| slices.shuffle(4, Some(5))),
    ("shuffle all", |slices| slices.shuffle(100, Some(5))),
    ("shuffle and repeat", |slices| slices.shuffle(4, Some(5)).repeat(3)),
    ("shuffle, repeat and take", |slices| slices.shuffle(4, Some(5)).repeat(3).take(17)),
    ("take and shuffle", |slices| slices.take(7).shuffle(3, Some(5))),
    ("prefetch and shuffle", |slices| slices.prefetch(2).shuffle(4, Some(5))),
    ("shuffle and prefetch", |slices| slices.shuffle(4, Some(5)).prefetch(2)),
];

fn next(dataset: &Dataset) -> Vec<Output> {
    dataset.make_initializable_iterator().get_next()
}

/// Returns the elements up to the end, at most `most`.
fn take(session: &dyn Session, next: &Vec<Output>, most: usize) -> Vec<Vec<Tensor>> {
    let mut found = Vec::new();
    while found.len() < most {
        match session.run(next, ()) {
            Ok(element) => found.push(element),
            Err(error) if error.code() == Code::OutOfRange => break,
            Err(error) => panic!("{}", error.chain()),
        }
    }
    found
}

fn all(graph: &Graph, dataset: &Dataset) -> Vec<Vec<Tensor>> {
    let next = next(dataset);
    take(session(graph).as_ref(), &next, usize::MAX)
}

#[test]
fn batches_of_slices_have_the_elements_one_by_one() {
    for rows in [0, 1, 11] {
        for (name, pipeline) in PIPELINES {
            let graph = Graph::new();
            let elements = all(&graph, &pipeline(slices(&graph, rows)));
            for size in [1, 3, 4, 11, 100] {
                for remainder in [Remainder::Keep, Remainder::Drop] {
                    let case = format!("{rows} rows, {name}, batch {size}, {remainder:?}");
                    let graph = Graph::new();
                    let batches = all(&graph, &pipeline(slices(&graph, rows)).batch(size, remainder));
                    // Elements behind a skip are taken one by one.
                    let graph = Graph::new();
                    let single = all(&graph, &pipeline(slices(&graph, rows)).skip(0).batch(size, remainder));
                    assert_eq!(batches, single, "{case}");
                    let mut expected = elements.chunks(size as usize).collect::<Vec<_>>();
                    if remainder == Remainder::Drop {
                        expected.retain(|chunk| chunk.len() == size as usize);
                    }
                    assert_eq!(batches.len(), expected.len(), "{case}");
                    for (batch, elements) in batches.iter().zip(expected) {
                        for (component, batch) in batch.iter().enumerate() {
                            assert_eq!(batch.shape()[0], elements.len(), "{case}");
                            for (row, element) in elements.iter().enumerate() {
                                let row = batch.rows(row, row + 1).unwrap();
                                let row = row.reshaped(element[component].shape().clone()).unwrap();
                                assert_eq!(row, element[component], "{case}");
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_pipeline_of_batches_of_slices_continues_at_any_batch() {
    for (name, pipeline) in PIPELINES {
        for (size, remainder) in [(1, Remainder::Keep), (4, Remainder::Keep), (4, Remainder::Drop)] {
            let program = || {
                let graph = Graph::new();
                let next = next(&pipeline(slices(&graph, 11)).batch(size, remainder));
                (session(&graph), next)
            };
            let (whole, next) = program();
            let expected = take(whole.as_ref(), &next, usize::MAX);
            for place in 0..=expected.len() {
                let (cut, next) = program();
                assert_eq!(take(cut.as_ref(), &next, place), expected[..place]);
                let (resumed, next) = program();
                resumed.import_state(&cut.export_state().unwrap()).unwrap();
                let rest = take(resumed.as_ref(), &next, usize::MAX);
                assert_eq!(rest, expected[place..], "{name}, batch {size}, {remainder:?}, at {place}");
            }
        }
    }
}

#[test]
fn a_position_beyond_the_rows_is_the_end() {
    let program = |rows: usize| {
        let graph = Graph::new();
        let next = next(&slices(&graph, rows).batch(4, Remainder::Keep));
        (session(&graph), next)
    };
    let (cut, next) = program(11);
    assert_eq!(take(cut.as_ref(), &next, 2).len(), 2);
    let (resumed, next) = program(5);
    resumed.import_state(&cut.export_state().unwrap()).unwrap();
    assert!(take(resumed.as_ref(), &next, usize::MAX).is_empty());
}

#[test]
fn operations_in_place_do_not_write_into_slices() {
    let graph = Graph::new();
    let numbers: Vec<f32> = (0..4096).map(|number| number as f32).collect();
    let rows = ops::array::constant(&graph, Tensor::from_vec(numbers.clone(), [64, 64]).unwrap());
    let dataset = Dataset::from_tensor_slices(&graph, [rows]).batch(16, Remainder::Keep).repeat(3);
    let doubled = ops::nn::relu(&next(&dataset).remove(0) * 2.0f32 + 1.0f32);
    let whole = |value: f32| Tensor::from_vec(vec![value; 1024], [16, 64]).unwrap();
    let held = ops::variables::variable(&graph.named("held"), whole(0.0));
    let (hold, add) = (held.assign(next(&dataset).remove(0)), held.assign_add(whole(1.0)));
    let value = ops::array::identity(&held);
    let session = session(&graph);
    session.run(held.initializer(), ()).unwrap();
    for _ in 0..3 {
        for part in numbers.chunks(1024) {
            let found = session.run(&doubled, ()).unwrap();
            let expected: Vec<f32> = part.iter().map(|number| number * 2.0 + 1.0).collect();
            assert_eq!(found.to_vec::<f32>().unwrap(), expected);
            session.run(((), &hold), ()).unwrap();
            session.run(((), &add), ()).unwrap();
            let expected: Vec<f32> = part.iter().map(|number| number + 1.0).collect();
            assert_eq!(session.run(&value, ()).unwrap().to_vec::<f32>().unwrap(), expected);
        }
    }
}
