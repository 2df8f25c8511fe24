//! Optimizers around optimizers: accumulated gradients, averages, scaled losses.
#![allow(clippy::unwrap_used)] // a panic is the report

use embedded_engine::EmbeddedEngine;
use ops::array::{constant, placeholder};
use ops::global_step::get_or_create_global_step;
use ops::layers::embedding_lookup;
use ops::math::{self, reduce_mean, reduce_sum, square};
use ops::optimizers::{
    AdamOptimizer, GradientAccumulation, GradientDescentOptimizer, LossScale, LossScaleOptimizer,
    MomentumOptimizer, MovingAverageOptimizer, Optimizer,
};
use ops::variables::{global_variables_initializer, variable};
use session_core::{
    AsOutput, DType, Engine, Graph, Operation, Output, Session, SessionConfig, SessionExt, Tensor, Variable,
};
use std::sync::Arc;

fn open(graph: &Graph) -> Arc<dyn Session> {
    let init = global_variables_initializer(graph);
    graph.check().unwrap();
    let session = EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(1)).unwrap();
    session.run(&init, ()).unwrap();
    session
}

/// `x w + b` for rows of three numbers, with its mean squared error.
struct Line {
    graph: Graph,
    x: Output,
    y: Output,
    loss: Output,
    w: Variable,
}

fn line() -> Line {
    let graph = Graph::new();
    let x = placeholder(&graph.named("x"), DType::Float64, [None, Some(3)]);
    let y = placeholder(&graph.named("y"), DType::Float64, [None]);
    let w = variable(&graph.named("w"), [0.3f64, -0.2, 0.5]);
    let found = reduce_sum(&x * &w, 1);
    let loss = reduce_mean(square(found - &y), ..);
    Line { graph, x, y, loss, w }
}

fn rows(from: usize, count: usize) -> (Tensor, Tensor) {
    let number = |i: usize| ((i * 37 + 11) as f64 * 0.618).fract() - 0.4;
    let x = (from * 3..(from + count) * 3).map(number).collect::<Vec<f64>>();
    let y = (from..from + count).map(|i| number(i + 1000)).collect::<Vec<f64>>();
    (Tensor::from_vec(x, [count, 3]).unwrap(), Tensor::from(y))
}

fn step(session: &dyn Session, line: &Line, train_op: &Operation, from: usize, count: usize) {
    let (x, y) = rows(from, count);
    session.run(train_op, [(&line.x, x), (&line.y, y)]).unwrap();
}

fn numbers(session: &dyn Session, variable: &impl AsOutput) -> Vec<f64> {
    session.run(variable.as_output(), ()).unwrap().to_vec::<f64>().unwrap()
}

fn assert_close(found: &[f64], expected: &[f64]) {
    let same =
        found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12);
    assert!(same, "{found:?}, not {expected:?}");
}

#[test]
fn a_window_of_small_batches_is_a_large_one() {
    let large = line();
    let train = AdamOptimizer::new(0.1).clipnorm(0.05).minimize(&large.loss, None);
    let session = open(&large.graph);

    let small = line();
    let global_step = get_or_create_global_step(&small.graph);
    let optimizer = GradientAccumulation::new(AdamOptimizer::new(0.1), 3).clipnorm(0.05);
    let accumulate = optimizer.minimize(&small.loss, Some(&global_step));
    let accumulating = open(&small.graph);
    for window in 0..3 {
        let before = numbers(&*accumulating, &small.w);
        for part in 0..3 {
            assert_eq!(numbers(&*accumulating, &small.w), before, "nothing changes within a window");
            step(&*accumulating, &small, &accumulate, window * 6 + part * 2, 2);
        }
        step(&*session, &large, &train, window * 6, 6);
        assert_close(&numbers(&*accumulating, &small.w), &numbers(&*session, &large.w));
    }
    assert_eq!(accumulating.run(&global_step, ()).unwrap().value::<i64>().unwrap(), 9);
    let slots: Vec<String> = optimizer.variables().iter().map(|slot| slot.name().to_owned()).collect();
    assert!(slots.contains(&"w/GradientAccumulation".to_owned()), "{slots:?}");
    assert!(slots.contains(&"GradientAccumulation/count".to_owned()), "{slots:?}");
}

#[test]
fn sums_of_gradients_of_rows() {
    let build = |accumulated: bool| {
        let graph = Graph::new();
        let ids = placeholder(&graph.named("ids"), DType::Int64, [None]);
        let table = variable(&graph.named("table"), [[1.0f64, 2.0], [3.0, 4.0], [5.0, 6.0]]);
        let loss = reduce_sum(square(embedding_lookup(&table, &ids)), ..);
        let train = match accumulated {
            true => GradientAccumulation::new(GradientDescentOptimizer::new(0.1), 2)
                .average(false)
                .minimize(&loss, None),
            false => GradientDescentOptimizer::new(0.1).minimize(&loss, None),
        };
        (open(&graph), ids, train, table)
    };
    let (session, ids, train, table) = build(true);
    for batch in [vec![0i64, 2], vec![2]] {
        session.run(&train, [(&ids, batch)]).unwrap();
    }
    let (other, other_ids, at_once, other_table) = build(false);
    other.run(&at_once, [(&other_ids, vec![0i64, 2, 2])]).unwrap();
    assert_close(&numbers(&*session, &table), &numbers(&*other, &other_table));
}

#[test]
fn wrappers_are_optimizers_of_optimizers() {
    let line = line();
    let inner: Box<dyn Optimizer> = Box::new(GradientAccumulation::new(MomentumOptimizer::new(0.1, 0.9), 2));
    let optimizer = MovingAverageOptimizer::new(inner, 0.5);
    let train = optimizer.minimize(&line.loss, None);
    let session = open(&line.graph);
    let before = numbers(&*session, &line.w);
    step(&*session, &line, &train, 0, 2);
    assert_eq!(numbers(&*session, &line.w), before, "a box passes everything on");
    step(&*session, &line, &train, 2, 2);
    let after = numbers(&*session, &line.w);
    let average = optimizer.average().average(&line.w).unwrap();
    let expected: Vec<f64> = before.iter().zip(&after).map(|(a, b)| 0.5 * a + 0.5 * b).collect();
    assert_close(&numbers(&*session, &average), &expected);

    let keys: Vec<(String, String)> = optimizer
        .swapping_variables(&line.graph)
        .iter()
        .map(|variable| (variable.handle().operation().name().to_owned(), variable.key().to_owned()))
        .collect();
    let pair = |variable: &str, key: &str| (variable.to_owned(), key.to_owned());
    assert!(keys.contains(&pair("w", "w/ExponentialMovingAverage")), "{keys:?}");
    assert!(keys.contains(&pair("w/ExponentialMovingAverage", "w")), "{keys:?}");
    assert!(keys.contains(&pair("w/Momentum", "w/Momentum")), "{keys:?}");
}

/// A variable of 32 bits in a model of 16, whose gradient of 2^-26 is zero in the dtype `float16`.
fn narrow(dtype: DType) -> (Graph, Variable, Output) {
    let graph = Graph::new();
    let w = variable(&graph.named("w"), 1f32);
    let tiny = math::cast(constant(&graph, 2f32.powi(-13)), dtype);
    let loss = math::mul(math::mul(math::cast(&w, dtype), &tiny), &tiny);
    (graph, w, loss)
}

fn rate() -> f64 {
    2f64.powi(26)
}

#[test]
fn a_scaled_loss_keeps_small_gradients() {
    for (dtype, vanishes) in [(DType::Float16, true), (DType::BFloat16, false)] {
        let (graph, w, loss) = narrow(dtype);
        let train = GradientDescentOptimizer::new(rate()).minimize(&loss, None);
        let session = open(&graph);
        session.run(&train, ()).unwrap();
        let value = session.run(&w, ()).unwrap().value::<f32>().unwrap();
        assert_eq!(value, if vanishes { 1.0 } else { 0.0 }, "{dtype}");

        let (graph, w, loss) = narrow(dtype);
        let scale = LossScale::fixed(2f64.powi(15));
        let train =
            LossScaleOptimizer::new(GradientDescentOptimizer::new(rate()), scale).minimize(&loss, None);
        let session = open(&graph);
        session.run(&train, ()).unwrap();
        assert_eq!(session.run(&w, ()).unwrap().value::<f32>().unwrap(), 0.0, "{dtype}");
    }
}

#[test]
fn a_dynamic_scale_skips_steps_that_overflow_and_grows_after_good_ones() {
    let (graph, w, loss) = narrow(DType::Float16);
    let global_step = get_or_create_global_step(&graph);
    let scale = LossScale::dynamic().initial(2f64.powi(17)).increment_period(2);
    let optimizer = LossScaleOptimizer::new(AdamOptimizer::new(0.25), scale);
    let train = optimizer.minimize(&loss, Some(&global_step));
    let named = |name: &str| optimizer.variables().into_iter().find(|of| of.name() == name).unwrap();
    let (factor, good) = (named("current_loss_scale"), named("good_steps"));
    let session = open(&graph);
    let mut seen = Vec::new();
    for _ in 0..6 {
        session.run(&train, ()).unwrap();
        let (w, factor, good, step) = session.run((&w, &factor, &good, &global_step), ()).unwrap();
        let exponent = factor.value::<f32>().unwrap().log2() as i32;
        let (good, step) = (good.value::<i64>().unwrap(), step.value::<i64>().unwrap());
        seen.push((w.value::<f32>().unwrap() < 1.0, exponent, good, step));
    }
    // 2^16 and more are infinite in 16 bits.
    let expected = [
        (false, 16, 0, 0),
        (false, 15, 0, 0),
        (true, 15, 1, 1),
        (true, 16, 0, 2),
        (true, 15, 0, 2),
        (true, 15, 1, 3),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn what_wrappers_cannot_do_is_an_error() {
    let check = |scale: LossScale, text: &str| {
        let (graph, _, loss) = narrow(DType::Float16);
        LossScaleOptimizer::new(GradientDescentOptimizer::new(1.0), scale).minimize(&loss, None);
        let error = graph.check().unwrap_err();
        assert!(error.message().contains(text), "{error}");
        assert!(error.location().unwrap().file().ends_with("optimizer_wrappers.rs"), "{error}");
    };
    check(LossScale::fixed(0.0), "a positive number, not 0");
    check(LossScale::dynamic().multiplier(1.0), "a multiplier above 1, not 1");
    check(LossScale::dynamic().increment_period(0), "at least one good step");
    let line = line();
    GradientAccumulation::new(GradientDescentOptimizer::new(1.0), 0).minimize(&line.loss, None);
    let error = line.graph.check().unwrap_err();
    assert!(error.message().contains("at least one step, not 0"), "{error}");
}
