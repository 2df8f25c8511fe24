//! Optimizers around optimizers: accumulated gradients, averages, scaled losses.
#![allow(clippy::unwrap_used)] // a panic is the report

use embedded_engine::EmbeddedEngine;
use ops::array::{constant, placeholder};
use ops::global_step::get_or_create_global_step;
use ops::layers::embedding_lookup;
use ops::math::{self, reduce_mean, reduce_sum, square};
use ops::optimizers::{
    AdamOptimizer, DecoupledWeightDecay, GradientAccumulation, GradientDescentOptimizer, LossScale,
    LossScaleOptimizer, MomentumOptimizer, MovingAverageOptimizer, Optimizer, SyncReplicasOptimizer,
};
use ops::variables::{VariableExt, global_variables_initializer, local_variables_initializer, variable};
use session_core::{
    AsOutput, DType, Engine, Graph, Operation, Output, RunOptions, Session, SessionConfig, SessionExt,
    Tensor, Variable,
};
use std::sync::Arc;
use std::time::Duration;

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
fn unsupported_wrapper_options_are_errors() {
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

/// An optimizer around another one.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Around {
    Accumulation,
    Average,
    Decay,
    Scale,
}

const ALL: [Around; 4] = [Around::Accumulation, Around::Average, Around::Decay, Around::Scale];

const DECAY: f64 = 0.125;

/// Builds the optimizer, outermost first.
fn wrapped(order: &[Around]) -> Box<dyn Optimizer> {
    let Some((first, rest)) = order.split_first() else {
        return Box::new(MomentumOptimizer::new(0.1, 0.5).clipvalue(4.0));
    };
    let inner = wrapped(rest);
    match first {
        Around::Accumulation => Box::new(GradientAccumulation::new(inner, 2)),
        Around::Average => Box::new(MovingAverageOptimizer::new(inner, 0.75)),
        Around::Decay => Box::new(DecoupledWeightDecay::extend(inner, DECAY)),
        Around::Scale => Box::new(LossScaleOptimizer::new(inner, LossScale::dynamic().initial(8.0))),
    }
}

/// Computes in plain numbers what such an optimizer does.
#[derive(Default)]
struct Expected {
    w: f64,
    momentum: f64,
    /// The state of each wrapper: the sum and the number of gradients, or the average.
    states: Vec<(f64, usize)>,
}

impl Expected {
    fn new(order: &[Around], w: f64) -> Expected {
        let state = |around: &Around| if *around == Around::Average { (w, 0) } else { (0.0, 0) };
        Expected { w, momentum: 0.0, states: order.iter().map(state).collect() }
    }

    fn apply(&mut self, order: &[Around], at: usize, gradient: f64) {
        let Some(around) = order.get(at) else {
            self.momentum = 0.5 * self.momentum + gradient.clamp(-4.0, 4.0);
            let decays = order.iter().filter(|around| **around == Around::Decay).count();
            self.w *= (1.0 - DECAY).powi(decays as i32);
            self.w -= 0.1 * self.momentum;
            return;
        };
        match around {
            Around::Accumulation => {
                let (sum, count) = &mut self.states[at];
                (*sum, *count) = (*sum + gradient, *count + 1);
                if *count == 2 {
                    let mean = *sum / 2.0;
                    self.states[at] = (0.0, 0);
                    self.apply(order, at + 1, mean);
                }
            }
            Around::Average => {
                self.apply(order, at + 1, gradient);
                self.states[at].0 = 0.75 * self.states[at].0 + 0.25 * self.w;
            }
            Around::Decay => self.apply(order, at + 1, gradient),
            Around::Scale if gradient.is_finite() => self.apply(order, at + 1, gradient),
            Around::Scale => {}
        }
    }
}

/// Trains `w * x`, whose gradient is `x`, in each of these steps.
fn check_order(order: &[Around]) {
    let graph = Graph::new();
    let x = placeholder(&graph.named("x"), DType::Float64, [0usize; 0]);
    let w = variable(&graph.named("w"), 3.0f64);
    let optimizer = wrapped(order);
    let train = optimizer.minimize(&math::mul(&w, &x), None);
    let averages: Vec<Variable> = optimizer
        .variables()
        .into_iter()
        .filter(|of| of.name().contains("ExponentialMovingAverage"))
        .collect();
    let session = open(&graph);
    let infinite = if order.contains(&Around::Scale) { f64::INFINITY } else { 2.5 };
    let mut expected = Expected::new(order, 3.0);
    for gradient in [1.0, -2.0, 0.5, infinite, 0.25, 9.0, -0.75, 1.5] {
        session.run(&train, [(&x, gradient)]).unwrap();
        expected.apply(order, 0, gradient);
        let found = numbers(&*session, &w)[0];
        assert!((found - expected.w).abs() < 1e-12, "{order:?}: {found}, not {}", expected.w);
        let states = order.iter().zip(&expected.states);
        let expected: Vec<f64> =
            states.filter(|(around, _)| **around == Around::Average).map(|(_, state)| state.0).collect();
        let mut found: Vec<f64> = averages.iter().map(|average| numbers(&*session, average)[0]).collect();
        // The inner one is created first.
        found.reverse();
        assert_eq!(found.len(), expected.len(), "{order:?}");
        let near = found.iter().zip(&expected).all(|(found, expected)| (found - expected).abs() < 1e-12);
        assert!(near, "{order:?}: averages {found:?}, not {expected:?}");
    }
}

#[test]
fn wrappers_work_in_every_order() {
    check_order(&[]);
    for first in ALL {
        check_order(&[first]);
        for second in ALL {
            check_order(&[first, second]);
            for third in ALL.into_iter().filter(|third| ![first, second].contains(third) && first != second) {
                check_order(&[first, second, third]);
            }
        }
    }
}

/// Trains like [`check_order`], with the means of several batches.
fn check_synchronized(order: &[Around], batches: usize) {
    let graph = Graph::new();
    let x = placeholder(&graph.named("x"), DType::Float64, [0usize; 0]);
    let w = variable(&graph.named("w"), 3.0f64);
    let step = get_or_create_global_step(&graph);
    let optimizer = SyncReplicasOptimizer::new(wrapped(order), batches).total_num_replicas(1);
    let train = optimizer.minimize(&math::mul(&w, &x), Some(&step));
    let replica = optimizer.synchronization();
    // The last batch of each step waits for the tokens of the next step, since there is one token fewer than batches.
    let tokens = replica.init_tokens_op(Some(batches - 1)).unwrap();
    let (start, sync) = (replica.chief_init_op().unwrap(), replica.sync_op().unwrap());
    let local = local_variables_initializer(&graph);
    let session = open(&graph);
    for begin in [&local, &start, &tokens] {
        session.run(begin, ()).unwrap();
    }
    let infinite = if order.contains(&Around::Scale) { f64::INFINITY } else { 2.5 };
    let mut expected = Expected::new(order, 3.0);
    let limit = RunOptions::with_timeout(Duration::from_secs(60));
    for gradients in [1.0, -2.0, 0.5, infinite, 0.25, 9.0, -0.75, 1.5].chunks(batches) {
        std::thread::scope(|scope| {
            scope.spawn(|| session.run_with(&sync, (), &limit, None).unwrap());
            for &gradient in gradients {
                session.run_with(&train, [(&x, gradient)], &limit, None).unwrap();
            }
        });
        expected.apply(order, 0, gradients.iter().sum::<f64>() / batches as f64);
        let found = numbers(&*session, &w)[0];
        assert!((found - expected.w).abs() < 1e-12, "{order:?} {batches}: {found}, not {}", expected.w);
    }
}

#[test]
fn replicas_share_the_steps_of_every_wrapper() {
    for batches in [1, 2] {
        check_synchronized(&[], batches);
        for first in ALL {
            check_synchronized(&[first], batches);
            for second in ALL {
                check_synchronized(&[first, second], batches);
            }
        }
    }
}

#[test]
fn replicas_are_not_synchronized_within_a_branch() {
    let synchronized = || SyncReplicasOptimizer::new(GradientDescentOptimizer::new(0.1), 2);
    let wrappers: [Box<dyn Optimizer>; 3] = [
        Box::new(GradientAccumulation::new(synchronized(), 2)),
        Box::new(LossScaleOptimizer::new(synchronized(), LossScale::dynamic())),
        Box::new(MovingAverageOptimizer::new(GradientAccumulation::new(synchronized(), 2), 0.5)),
    ];
    for optimizer in wrappers {
        let graph = Graph::new();
        let w = variable(&graph.named("w"), 3.0f32);
        let step = get_or_create_global_step(&graph);
        let _ = optimizer.minimize(&square(&w), Some(&step));
        let error = graph.check().unwrap_err();
        assert!(error.to_string().contains("cannot be collected in a branch"), "{error}");
        assert!(error.location().unwrap().file().ends_with("optimizer_wrappers.rs"), "{error}");
    }
}

#[test]
fn wrappers_within_a_scope_update_once_per_window() {
    let graph = Graph::new();
    let x = placeholder(&graph.named("x"), DType::Float64, [0usize; 0]);
    let w = variable(&graph.named("w"), 3.0f64);
    let count = variable(&graph.named("runs"), 0.0f64);
    let counted = count.assign_add(1.0f64);
    let within = graph.scope("training").control_dependencies([&counted]);
    let inner = GradientDescentOptimizer::new(1.0).within(&within);
    let inner = LossScaleOptimizer::new(inner, LossScale::dynamic());
    let train = GradientAccumulation::new(inner, 2).minimize(&math::mul(&w, &x), None);
    let session = open(&graph);
    let mut seen = Vec::new();
    for gradient in [1.0, 2.0, 3.0, 4.0] {
        session.run(&train, [(&x, gradient)]).unwrap();
        seen.push((numbers(&*session, &w)[0], numbers(&*session, &count)[0]));
    }
    assert_eq!(seen, [(3.0, 1.0), (1.5, 2.0), (1.5, 3.0), (-2.0, 4.0)]);
    assert!(train.name().starts_with("training/"), "{}", train.name());
}

#[test]
fn a_decay_of_some_variables_reaches_the_innermost_optimizer() {
    let graph = Graph::new();
    let (w, b) = (variable(&graph.named("w"), 3.0f64), variable(&graph.named("b"), 5.0f64));
    let inner = GradientAccumulation::new(GradientDescentOptimizer::new(0.5), 2);
    let inner = DecoupledWeightDecay::extend(inner, 0.5).decay_var_list(std::slice::from_ref(&w));
    let optimizer = DecoupledWeightDecay::extend(inner, 0.25).decay_var_list(std::slice::from_ref(&b));
    let train = optimizer.minimize(&(&w * 1.0 + &b * 2.0), None);
    assert!(optimizer.slot(&w, "sum").is_some());
    let session = open(&graph);
    for expected in [[3.0, 5.0], [1.0, 2.75], [1.0, 2.75], [0.0, 1.0625]] {
        session.run(&train, ()).unwrap();
        assert_eq!([&w, &b].map(|of| numbers(&*session, of)[0]), expected);
    }
}

#[test]
fn elements_of_another_graph_are_an_error_of_both() {
    let check = |misuse: &dyn Fn(&Graph, &Variable, &Variable), text: &str| {
        let (graph, other) = (Graph::new(), Graph::new());
        // The same numbers in both graphs lead to other operations.
        let [w, foreign] = [&graph, &other].map(|graph| variable(&graph.named("w"), 3.0f32));
        misuse(&graph, &w, &foreign);
        for graph in [&graph, &other] {
            let error = graph.finalize().unwrap_err();
            assert!(error.message().contains(text), "{error}");
            assert!(error.location().unwrap().file().ends_with("optimizer_wrappers.rs"), "{error}");
        }
    };
    let descent = || GradientDescentOptimizer::new(0.1);
    let list = |of: &Variable| vec![of.clone()];
    check(
        &|_, w, foreign| {
            let decay = DecoupledWeightDecay::extend(descent(), 0.1).decay_var_list(&list(foreign));
            let _ = decay.minimize(&square(w), None);
        },
        "the weight decay of optimizer 'GradientDescent': variable 'w' belongs to another graph",
    );
    let given: [&dyn Fn(&Variable, &Variable) -> Operation; 9] = [
        &|w, foreign| descent().minimize_over(&square(w), &list(foreign), None),
        &|w, foreign| AdamOptimizer::new(0.1).minimize(&square(w), Some(foreign)),
        &|w, foreign| descent().apply_gradients(&[(Some(square(foreign)), w.clone())], None),
        &|w, foreign| descent().apply_gradients(&[(Some(square(w)), foreign.clone())], None),
        &|w, foreign| AdamOptimizer::new(square(foreign)).minimize(&square(w), None),
        &|w, foreign| DecoupledWeightDecay::extend(descent(), square(foreign)).minimize(&square(w), None),
        &|w, foreign| {
            GradientAccumulation::new(descent(), 2)
                .apply_gradients(&[(Some(square(foreign)), w.clone())], None)
        },
        &|w, foreign| {
            LossScaleOptimizer::new(descent(), LossScale::dynamic())
                .apply_gradients(&[(Some(square(foreign)), w.clone())], None)
        },
        &|w, foreign| descent().clipnorm(square(foreign)).minimize(&square(w), None),
    ];
    for misuse in given {
        check(
            &|_, w, foreign| {
                let _ = misuse(w, foreign);
            },
            "another graph",
        );
    }
    check(
        &|_, w, foreign| {
            let _ = descent().within(&foreign.graph()).minimize(&square(w), None);
        },
        "given a handle of another graph to work within",
    );
}
