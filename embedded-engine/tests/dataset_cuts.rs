//! A pipeline of any transformations, cut anywhere, continues as if it had not been cut.
#![allow(clippy::unwrap_used)] // a panic is the report

use dataset::{Dataset, Remainder};
use embedded_engine::EmbeddedEngine;
use proptest::prelude::*;
use session_core::keys::TABLE_INITIALIZERS;
use session_core::{
    Code, DType, Engine, Graph, Output, OutputInfo, PartialShape, Session, SessionConfig, SessionExt, Tensor,
};
use std::sync::Arc;

/// A pipeline whose elements are vectors of numbers, of whatever length.
#[derive(Clone, Debug)]
enum Pipeline {
    Range(i64),
    Rows(u64),
    Map(Box<Pipeline>),
    ParallelMap(Box<Pipeline>, u64),
    Noise(Box<Pipeline>),
    Filter(Box<Pipeline>, i64),
    Batch(Box<Pipeline>, u64, bool),
    Shuffle(Box<Pipeline>, u64, i64),
    ShuffleOnce(Box<Pipeline>, u64, i64),
    Repeat(Box<Pipeline>, u64),
    Take(Box<Pipeline>, u64),
    Skip(Box<Pipeline>, u64),
    Shard(Box<Pipeline>, u64, u64),
    Prefetch(Box<Pipeline>, u64),
    Interleave(Box<Pipeline>, u64, u64),
    ParallelInterleave(Box<Pipeline>, u64, u64),
    ShuffleAndRepeat(Box<Pipeline>, u64, u64),
    Window(Box<Pipeline>, u64, u64),
    Group(Box<Pipeline>, i64),
    Cache(Box<Pipeline>),
    Sample(Box<Pipeline>, Box<Pipeline>, i64),
    Zip(Box<Pipeline>, Box<Pipeline>),
    Concatenate(Box<Pipeline>, Box<Pipeline>),
}

fn pipelines() -> impl Strategy<Value = Pipeline> {
    let source = prop_oneof![(0i64..9).prop_map(Pipeline::Range), (0u64..9).prop_map(Pipeline::Rows)];
    source.prop_recursive(6, 10, 2, |inner| {
        let one = || inner.clone().prop_map(Box::new);
        prop_oneof![
            one().prop_map(Pipeline::Map),
            (one(), 1u64..4).prop_map(|(x, calls)| Pipeline::ParallelMap(x, calls)),
            one().prop_map(Pipeline::Noise),
            (one(), 1i64..4).prop_map(|(x, divisor)| Pipeline::Filter(x, divisor)),
            (one(), 1u64..4, any::<bool>()).prop_map(|(x, size, drop)| Pipeline::Batch(x, size, drop)),
            (one(), 1u64..12, 0i64..50).prop_map(|(x, buffer, seed)| Pipeline::Shuffle(x, buffer, seed)),
            (one(), 1u64..12, 0i64..50).prop_map(|(x, buffer, seed)| Pipeline::ShuffleOnce(x, buffer, seed)),
            (one(), 0u64..4).prop_map(|(x, count)| Pipeline::Repeat(x, count)),
            (one(), 0u64..12).prop_map(|(x, count)| Pipeline::Take(x, count)),
            (one(), 0u64..6).prop_map(|(x, count)| Pipeline::Skip(x, count)),
            (one(), 1u64..4, 0u64..4).prop_map(|(x, shards, index)| Pipeline::Shard(
                x,
                shards,
                index % shards
            )),
            (one(), 0u64..4).prop_map(|(x, buffer)| Pipeline::Prefetch(x, buffer)),
            (one(), 1u64..4, 1u64..3).prop_map(|(x, cycle, block)| Pipeline::Interleave(x, cycle, block)),
            (one(), 1u64..4, 1u64..3)
                .prop_map(|(x, cycle, block)| Pipeline::ParallelInterleave(x, cycle, block)),
            (one(), 1u64..12, 1u64..4)
                .prop_map(|(x, buffer, count)| Pipeline::ShuffleAndRepeat(x, buffer, count)),
            (one(), 1u64..4, 1u64..4).prop_map(|(x, size, shift)| Pipeline::Window(x, size, shift)),
            (one(), 1i64..4).prop_map(|(x, keys)| Pipeline::Group(x, keys)),
            one().prop_map(Pipeline::Cache),
            (one(), one(), 0i64..50).prop_map(|(x, y, seed)| Pipeline::Sample(x, y, seed)),
            (one(), one()).prop_map(|(x, y)| Pipeline::Zip(x, y)),
            (one(), one()).prop_map(|(x, y)| Pipeline::Concatenate(x, y)),
        ]
    })
}

/// A vector of a length that is not known.
fn vector(output: Output) -> Vec<Output> {
    let flat = ops::array::reshape(output, [-1i64]);
    vec![ops::array::placeholder_with_default(flat, PartialShape::from_sizes([-1]))]
}

/// A few elements of one.
fn several(graph: &Graph, element: &[Output]) -> Dataset {
    Dataset::from_tensors(graph, [&element[0]]).map(|_, x| vec![&x[0] + 1i64]).repeat(3).shuffle(2, Some(5))
}

/// The pipeline as a dataset.
fn build(graph: &Graph, pipeline: &Pipeline) -> Dataset {
    match pipeline {
        Pipeline::Range(stop) => Dataset::range(graph, 0, *stop, 1).map(|_, x| vector(x[0].clone())),
        Pipeline::Rows(len) => {
            let row =
                OutputInfo { dtype: DType::Int64, shape: PartialShape::from_sizes([-1]), is_ref: false };
            Dataset::from_rows(graph, *len, [row], |index| {
                Ok(vec![Tensor::from(vec![100 + index.cast_signed()])])
            })
        }
        Pipeline::Map(x) => build(graph, x).map(|_, x| vec![&x[0] * 3i64 + 1i64]),
        Pipeline::ParallelMap(x, calls) => build(graph, x).parallel_map(*calls, |_, x| vec![&x[0] * 5i64]),
        Pipeline::Noise(x) => build(graph, x).parallel_map(2, |graph, x| {
            let noise = ops::random::random_uniform_int(graph, [1i64], 0, 1000, DType::Int64, Some(3));
            vec![&x[0] + noise]
        }),
        Pipeline::Filter(x, divisor) => build(graph, x).filter(|graph, x| {
            let rest = ops::math::reduce_sum(&x[0], ..) % *divisor;
            ops::math::equal(rest, ops::array::constant(graph, 0i64))
        }),
        // Ragged elements fail, and are the same error at the same place with and without a cut.
        Pipeline::Batch(x, size, drop) => {
            let remainder = if *drop { Remainder::Drop } else { Remainder::Keep };
            build(graph, x).batch(*size, remainder).map(|_, x| vector(x[0].clone()))
        }
        Pipeline::Shuffle(x, buffer, seed) => build(graph, x).shuffle(*buffer, Some(*seed)),
        Pipeline::ShuffleOnce(x, buffer, seed) => build(graph, x).shuffle_once(*buffer, Some(*seed)),
        Pipeline::Repeat(x, count) => build(graph, x).repeat(*count),
        Pipeline::Take(x, count) => build(graph, x).take(*count),
        Pipeline::Skip(x, count) => build(graph, x).skip(*count),
        Pipeline::Shard(x, shards, index) => build(graph, x).shard(*shards, *index),
        Pipeline::Prefetch(x, buffer) => build(graph, x).prefetch(*buffer),
        Pipeline::Interleave(x, cycle, block) => build(graph, x).interleave(*cycle, *block, several),
        Pipeline::ParallelInterleave(x, cycle, block) => {
            build(graph, x).parallel_interleave(*cycle, *block, several)
        }
        Pipeline::ShuffleAndRepeat(x, buffer, count) => {
            build(graph, x).shuffle_and_repeat(*buffer, *count, Some(9))
        }
        Pipeline::Window(x, size, shift) => {
            let dataset = build(graph, x);
            let components = dataset.components().to_vec();
            let windows = dataset.window(*size, *shift, 1, Remainder::Keep);
            windows.flat_map(|_, window| Dataset::from_variant(&window[0], components))
        }
        Pipeline::Group(x, keys) => build(graph, x).group_by_window(
            |_, x| ops::math::reduce_sum(&x[0], ..) % *keys,
            |_, _, group| group.shuffle(2, Some(4)),
            |graph, _| ops::array::constant(graph, 3i64),
        ),
        Pipeline::Cache(x) => build(graph, x).cache(),
        Pipeline::Sample(x, y, seed) => {
            Dataset::sample_from_datasets(&[&build(graph, x), &build(graph, y)], None, Some(*seed))
        }
        Pipeline::Zip(x, y) => Dataset::zip(&[&build(graph, x), &build(graph, y)])
            .map(|_, x| vec![ops::array::concat(&[x[0].clone(), x[1].clone()], 0)]),
        Pipeline::Concatenate(x, y) => build(graph, x).concatenate(&build(graph, y)),
    }
}

fn session(graph: &Graph) -> Arc<dyn Session> {
    let session = EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(2)).unwrap();
    session.run(((), &graph.collection(&TABLE_INITIALIZERS)), ()).unwrap();
    session
}

/// The graph of a pipeline with the output of its elements. Each session gets one of its own, as each process has.
fn program(pipeline: &Pipeline) -> (Graph, Output) {
    let graph = Graph::new();
    let next = build(&graph, pipeline).make_initializable_iterator().get_next().remove(0);
    (graph, next)
}

/// Elements that are looked at, at most.
const MOST: usize = 60;

/// Returns at most `count` elements or errors, and none after the end.
fn take(session: &dyn Session, next: &Output, count: usize) -> Vec<Result<Vec<i64>, String>> {
    let mut taken = Vec::new();
    while taken.len() < count {
        match session.run(next, ()) {
            Ok(value) => taken.push(Ok(value.to_vec().unwrap())),
            Err(error) if error.code() == Code::OutOfRange => break,
            Err(error) => taken.push(Err(error.message().to_owned())),
        }
    }
    taken
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_interrupted_pipeline_continues_with_the_next_element(
        pipeline in pipelines(),
        place in any::<prop::sample::Index>(),
    ) {
        let (graph, next) = program(&pipeline);
        let expected = take(session(&graph).as_ref(), &next, MOST);
        let place = place.index(expected.len() + 1);
        let cut = session(&graph);
        prop_assert_eq!(&take(cut.as_ref(), &next, place), &expected[..place]);
        let state = cut.export_state().unwrap();
        let (resumed_graph, resumed_next) = program(&pipeline);
        let resumed = session(&resumed_graph);
        resumed.import_state(&state).unwrap();
        prop_assert_eq!(take(resumed.as_ref(), &resumed_next, MOST - place), &expected[place..]);
        // The interrupted session continues as well: to export a position does not move it.
        prop_assert_eq!(take(cut.as_ref(), &next, MOST - place), &expected[place..]);
    }
}
