//! Sampled classes: the numbers that TensorFlow 2.21 returns for the same seeds.
#![allow(clippy::unwrap_used)] // a panic is the report

use embedded_engine::EmbeddedEngine;
use ops::array::constant;
use ops::nn::{
    Candidates, SamplerOptions, compute_accidental_hits, log_uniform_candidate_sampler,
    uniform_candidate_sampler,
};
use session_core::{Code, Engine, Graph, SessionConfig, SessionExt, Tensor};

fn options(unique: bool) -> SamplerOptions {
    SamplerOptions::default().unique(unique).seed(5)
}

/// Returns the samples of two consecutive runs, and the counts that the second expects.
fn two_runs(build: impl Fn(&Tensor, &Graph) -> Candidates) -> ([Vec<i64>; 2], Vec<f32>, Vec<f32>) {
    let graph = Graph::new();
    let classes = Tensor::from_vec(vec![1i64, 3, 7, 0], [2, 2]).unwrap();
    let found = build(&classes, &graph);
    let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::default()).unwrap();
    let fetch = (&found.sampled, &found.true_expected_count, &found.sampled_expected_count);
    let first = session.run(fetch, ()).unwrap();
    let (sampled, truths, expected) = session.run(fetch, ()).unwrap();
    let runs = [first.0, sampled].map(|run| run.to_vec::<i64>().unwrap());
    (runs, truths.to_vec::<f32>().unwrap(), expected.to_vec::<f32>().unwrap())
}

#[track_caller]
fn near(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-5 * expected.abs(), "{found} is not {expected}");
    }
}

#[test]
fn log_uniform_samples_are_tensorflows() {
    let draw = |unique, range| {
        move |classes: &Tensor, graph: &Graph| {
            log_uniform_candidate_sampler(constant(graph, classes.clone()), 6, range, options(unique))
        }
    };
    let (runs, truths, expected) = two_runs(draw(true, 10));
    assert_eq!(runs, [[0, 2, 4, 1, 7, 8], [4, 1, 2, 0, 7, 6]]);
    near(&truths, &[0.843134, 0.623474, 0.395689, 0.967016]);
    near(&expected, &[0.546518, 0.843134, 0.721413, 0.967016, 0.395689, 0.436155]);
    let (runs, truths, expected) = two_runs(draw(false, 64));
    assert_eq!(runs, [[0, 8, 18, 15, 0, 10], [16, 3, 8, 1, 43, 2]]);
    near(&truths, &[0.58279, 0.320732, 0.169294, 0.996286]);
    near(&expected, &[0.0821559, 0.320732, 0.151439, 0.58279, 0.0323011, 0.413496]);
    assert_eq!(two_runs(draw(true, 1000)).0, [[1, 39, 129, 106, 0, 51], [108, 10, 38, 2, 533, 6]]);
}

#[test]
fn uniform_samples_are_tensorflows() {
    let draw = |unique, range| {
        move |classes: &Tensor, graph: &Graph| {
            uniform_candidate_sampler(constant(graph, classes.clone()), 6, range, options(unique))
        }
    };
    let (runs, truths, expected) = two_runs(draw(true, 10));
    assert_eq!(runs, [[5, 8, 6, 1, 0, 4], [1, 0, 7, 4, 5, 3]]);
    near(&truths, &[0.61258; 4]);
    near(&expected, &[0.61258; 6]);
    assert_eq!(two_runs(draw(false, 64)).0, [[47, 8, 24, 41, 0, 41], [17, 32, 31, 26, 15, 38]]);
    assert_eq!(two_runs(draw(true, 1000)).0, [[135, 8, 416, 361, 200, 945], [961, 280, 327, 810, 791, 30]]);
}

#[test]
fn more_unique_classes_than_there_are_is_an_error() {
    let graph = Graph::new();
    let classes = constant(&graph, Tensor::from_vec(vec![0i64], [1, 1]).unwrap());
    let found = uniform_candidate_sampler(&classes, 6, 5, options(true));
    let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::default()).unwrap();
    let error = session.run(&found.sampled, ()).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().contains("num_sampled (6)"), "{error}");
}

#[test]
fn hits_are_sampled_classes_that_are_true() {
    let graph = Graph::new();
    let classes = constant(&graph, Tensor::from_vec(vec![1i64, 3, 7, 1], [2, 2]).unwrap());
    let [rows, ids, weights] = compute_accidental_hits(&classes, constant(&graph, vec![3i64, 1, 9]));
    let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::default()).unwrap();
    let (rows, ids, weights) = session.run((&rows, &ids, &weights), ()).unwrap();
    assert_eq!(rows.to_vec::<i32>().unwrap(), [0, 0, 1]);
    assert_eq!(ids.to_vec::<i64>().unwrap(), [1, 0, 1]);
    assert_eq!(weights.to_vec::<f32>().unwrap(), [-f32::MAX; 3]);
}
