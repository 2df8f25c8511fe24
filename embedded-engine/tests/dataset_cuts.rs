//! A pipeline of any transformations, cut anywhere, continues as if it had not been cut.
#![allow(clippy::unwrap_used)] // a panic is the report

use dataset::{BucketOptions, Dataset, Options, Remainder};
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
    Slices(i64),
    Random(u64),
    Generator(i64),
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
    MapHost(Box<Pipeline>),
    MapAndBatch(Box<Pipeline>, u64, bool),
    PaddedBatch(Box<Pipeline>, u64, bool),
    Bucket(Box<Pipeline>, i64),
    Unbatch(Box<Pipeline>),
    FlatMap(Box<Pipeline>),
    Scan(Box<Pipeline>),
    TakeWhile(Box<Pipeline>, i64),
    Enumerate(Box<Pipeline>),
    Unique(Box<Pipeline>),
    IgnoreErrors(Box<Pipeline>, i64),
    Fails(Box<Pipeline>, i64),
    Options(Box<Pipeline>),
    Choose(Box<Pipeline>, Box<Pipeline>),
    Zip(Box<Pipeline>, Box<Pipeline>),
    Concatenate(Box<Pipeline>, Box<Pipeline>),
}

fn pipelines() -> impl Strategy<Value = Pipeline> {
    let source = prop_oneof![
        (0i64..9).prop_map(Pipeline::Range),
        (0u64..9).prop_map(Pipeline::Rows),
        (1i64..9).prop_map(Pipeline::Slices),
        (0u64..9).prop_map(Pipeline::Random),
        (0i64..9).prop_map(Pipeline::Generator),
    ];
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
            one().prop_map(Pipeline::MapHost),
            (one(), 1u64..4, any::<bool>()).prop_map(|(x, size, drop)| Pipeline::MapAndBatch(x, size, drop)),
            (one(), 1u64..4, any::<bool>()).prop_map(|(x, size, drop)| Pipeline::PaddedBatch(x, size, drop)),
            (one(), 1i64..4).prop_map(|(x, bound)| Pipeline::Bucket(x, bound)),
            one().prop_map(Pipeline::Unbatch),
            one().prop_map(Pipeline::FlatMap),
            one().prop_map(Pipeline::Scan),
            (one(), 0i64..300).prop_map(|(x, bound)| Pipeline::TakeWhile(x, bound)),
            one().prop_map(Pipeline::Enumerate),
            one().prop_map(Pipeline::Unique),
            (one(), 1i64..4).prop_map(|(x, divisor)| Pipeline::IgnoreErrors(x, divisor)),
            (one(), 1i64..4).prop_map(|(x, divisor)| Pipeline::Fails(x, divisor)),
            one().prop_map(Pipeline::Options),
            (one(), one()).prop_map(|(x, y)| Pipeline::Choose(x, y)),
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

/// The description of a vector of a length that is not known.
fn vector_info() -> OutputInfo {
    OutputInfo { dtype: DType::Int64, shape: PartialShape::from_sizes([-1]), is_ref: false }
}

fn remainder(drop: bool) -> Remainder {
    if drop { Remainder::Drop } else { Remainder::Keep }
}

/// Fails for elements whose sum a number divides.
fn failing(x: &Output, divisor: i64) -> Output {
    let rest = ops::math::reduce_sum(x, ..) % divisor;
    x * ops::math::floordiv(&rest, &rest)
}

/// The pipeline as a dataset.
fn build(graph: &Graph, pipeline: &Pipeline) -> Dataset {
    match pipeline {
        Pipeline::Range(stop) => Dataset::range(graph, 0, *stop, 1).map(|_, x| vector(x[0].clone())),
        Pipeline::Slices(len) => {
            let rows: Vec<i64> = (0..*len).map(|number| number * number).collect();
            let rows = ops::array::constant(graph, Tensor::from(rows));
            Dataset::from_tensor_slices(graph, [rows]).map(|_, x| vector(x[0].clone()))
        }
        Pipeline::Random(count) => {
            Dataset::random(graph, Some(6)).take(*count).map(|_, x| vector(&x[0] % 1000i64))
        }
        Pipeline::Generator(count) => {
            let count = *count;
            Dataset::from_generator(graph, [vector_info()], move || {
                (0..count).map(|number| Ok(vec![Tensor::from(vec![number, number + 1])]))
            })
        }
        Pipeline::Rows(len) => Dataset::from_rows(graph, *len, [vector_info()], |index| {
            Ok(vec![Tensor::from(vec![100 + index.cast_signed()])])
        }),
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
            build(graph, x).batch(*size, remainder(*drop)).map(|_, x| vector(x[0].clone()))
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
        Pipeline::MapHost(x) => build(graph, x).map_host([vector_info()], |values| {
            let doubled: Vec<i64> =
                values[0].to_vec::<i64>()?.into_iter().map(|x| x.wrapping_mul(2)).collect();
            Ok(vec![Tensor::from(doubled)])
        }),
        Pipeline::MapAndBatch(x, size, drop) => build(graph, x)
            .map_and_batch(*size, remainder(*drop), 2, |_, x| vec![&x[0] + 7i64])
            .map(|_, x| vector(x[0].clone())),
        Pipeline::PaddedBatch(x, size, drop) => build(graph, x)
            .padded_batch(*size, &[PartialShape::from([None])], remainder(*drop))
            .map(|_, x| vector(x[0].clone())),
        Pipeline::Bucket(x, bound) => build(graph, x)
            .bucket_by_sequence_length(
                |_, x| ops::array::size(&x[0]),
                &[*bound, bound + 2],
                &[2, 3, 1],
                BucketOptions::default(),
            )
            .map(|_, x| vector(x[0].clone())),
        Pipeline::Unbatch(x) => build(graph, x).unbatch().map(|_, x| vector(x[0].clone())),
        Pipeline::FlatMap(x) => build(graph, x).flat_map(several),
        Pipeline::Scan(x) => {
            let start = ops::array::constant(graph, 0i64);
            build(graph, x).scan(&[start], |_, state, x| {
                let next = &state[0] + ops::math::reduce_sum(&x[0], ..) % 100i64;
                (vec![next.clone()], vec![&x[0] + next])
            })
        }
        Pipeline::TakeWhile(x, bound) => build(graph, x).take_while(|graph, x| {
            let sum = ops::math::reduce_sum(&x[0], ..);
            ops::math::less(sum, ops::array::constant(graph, *bound))
        }),
        Pipeline::Enumerate(x) => build(graph, x).enumerate(3).map(|_, x| vec![&x[1] + &x[0]]),
        Pipeline::Unique(x) => build(graph, x)
            .map(|_, x| vec![ops::math::reduce_sum(&x[0], ..) % 5i64])
            .unique()
            .map(|_, x| vector(x[0].clone())),
        Pipeline::IgnoreErrors(x, divisor) => {
            build(graph, x).map(|_, x| vec![failing(&x[0], *divisor)]).ignore_errors()
        }
        Pipeline::Fails(x, divisor) => build(graph, x).map(|_, x| vec![failing(&x[0], *divisor)]),
        Pipeline::Options(x) => {
            build(graph, x).with_options(&Options::default().private_threadpool_size(2).deterministic(true))
        }
        Pipeline::Choose(x, y) => {
            let turns = Dataset::range(graph, 0, 2, 1).repeat(9);
            Dataset::choose_from_datasets(&[&build(graph, x), &build(graph, y)], &turns)
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

/// The maximum number of elements that are compared.
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
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() })]

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
