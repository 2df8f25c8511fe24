//! Optimizers against their formulas, in 64-bit numbers, step by step.
#![allow(clippy::unwrap_used)] // in a test a panic is the report

use embedded_engine::EmbeddedEngine;
use ops::array::{constant, gather};
use ops::math::{mul, reduce_sum, square};
use ops::optimizers::{
    AdadeltaOptimizer, AdagradOptimizer, AdamOptimizer, AdamWOptimizer, AdamaxOptimizer,
    DecoupledWeightDecay, FtrlOptimizer, GradientDescentOptimizer, LambOptimizer, LarsOptimizer,
    LionOptimizer, MomentumOptimizer, NadamOptimizer, Optimizer, RMSPropOptimizer,
};
use ops::variables::{VariableBuilder, global_variables, global_variables_initializer, variable};
use session_core::{AsOutput, Engine, Graph, Output, Session, SessionConfig, SessionExt, Tensor, Variable};
use std::sync::Arc;

const STEPS: i32 = 6;
const INITIAL: [f64; 3] = [1.0, -2.0, 3.0];
const CURVATURE: [f64; 3] = [1.0, 2.0, 0.5];
/// The gradient of `bias` is zero in its first number.
const BIAS: [f64; 3] = [0.0, 0.25, -0.5];

fn session(graph: &Graph) -> Arc<dyn Session> {
    graph.check().unwrap();
    EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(1)).unwrap()
}

fn loss(w: &dyn AsOutput) -> Output {
    let w = w.as_output();
    reduce_sum(mul(square(w), constant(&w.graph(), CURVATURE)), ..)
}

/// Returns the values of `w` and `bias` after some steps.
fn trained(optimizer: &dyn Optimizer) -> [Vec<f64>; 2] {
    let graph = Graph::new();
    let (w, bias) = (variable(&graph.named("w"), INITIAL), variable(&graph.named("bias"), BIAS));
    trained_on(&graph, optimizer, [&w, &bias])
}

fn trained_on(graph: &Graph, optimizer: &dyn Optimizer, [w, bias]: [&Variable; 2]) -> [Vec<f64>; 2] {
    let train_op = optimizer.minimize(&(loss(w) + loss(bias)), None);
    let init = global_variables_initializer(graph);
    let session = session(graph);
    session.run(&init, ()).unwrap();
    for _ in 0..STEPS {
        session.run(&train_op, ()).unwrap();
    }
    [w, bias].map(|variable| session.run(variable, ()).unwrap().to_vec::<f64>().unwrap())
}

/// Follows the formula: the step's number from one, the values, their gradient, and two slots.
fn followed(
    initial: [f64; 3],
    formula: &dyn Fn(i32, &mut [f64; 3], [f64; 3], &mut [[f64; 3]; 2]),
) -> Vec<f64> {
    let (mut w, mut slots) = (initial, [[0.0; 3]; 2]);
    for step in 1..=STEPS {
        let gradient = [0, 1, 2].map(|i| 2.0 * CURVATURE[i] * w[i]);
        formula(step, &mut w, gradient, &mut slots);
    }
    w.to_vec()
}

fn assert_close(name: &str, found: &[f64], expected: &[f64], slack: f64) {
    let near = found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() <= slack);
    assert!(near && found.len() == expected.len(), "{name}: {found:?}, not {expected:?}");
}

const SLACK: f64 = 1e-11;

/// Returns the power of a decay as a variable of 32-bit floats has it, in which TensorFlow keeps it.
fn power(decay: f32, step: i32) -> f64 {
    f64::from((1..step).fold(decay, |power, _| power * decay))
}

fn norm(values: &[f64; 3]) -> f64 {
    values.iter().map(|value| value * value).sum::<f64>().sqrt()
}

fn adam_step(step: i32, w: &mut [f64; 3], g: [f64; 3], slots: &mut [[f64; 3]; 2], nesterov: bool) {
    let rate = 0.1 * (1.0 - power(0.999, step)).sqrt() / (1.0 - power(0.9, step));
    for i in 0..3 {
        slots[0][i] = 0.9 * slots[0][i] + 0.1 * g[i];
        slots[1][i] = 0.999 * slots[1][i] + 0.001 * g[i] * g[i];
        let mean = if nesterov { 0.9 * slots[0][i] + 0.1 * g[i] } else { slots[0][i] };
        w[i] -= rate * mean / (slots[1][i].sqrt() + 1e-8);
    }
}

#[test]
fn adamax_and_nadam_follow_their_formulas() {
    let found = trained(&AdamaxOptimizer::new(0.1));
    for (found, initial) in found.iter().zip([INITIAL, BIAS]) {
        let expected = followed(initial, &|step, w, g, slots| {
            for i in 0..3 {
                slots[0][i] = 0.9 * slots[0][i] + 0.1 * g[i];
                slots[1][i] = f64::max(0.999 * slots[1][i], g[i].abs());
                w[i] -= 0.1 / (1.0 - power(0.9, step)) * slots[0][i] / (slots[1][i] + 1e-8);
            }
        });
        assert_close("AdaMax", found, &expected, SLACK);
    }
    let found = trained(&NadamOptimizer::new(0.1));
    for (found, initial) in found.iter().zip([INITIAL, BIAS]) {
        let expected = followed(initial, &|step, w, g, slots| adam_step(step, w, g, slots, true));
        assert_close("Nadam", found, &expected, SLACK);
    }
}

#[test]
fn decay_is_decoupled_and_uses_the_value_before_the_step() {
    let found = trained(&AdamWOptimizer::new(0.005, 0.1));
    for (found, initial) in found.iter().zip([INITIAL, BIAS]) {
        let expected = followed(initial, &|step, w, g, slots| {
            *w = w.map(|w| w - 0.005 * w);
            adam_step(step, w, g, slots, false);
        });
        assert_close("AdamW", found, &expected, SLACK);
    }
    let found = trained(&DecoupledWeightDecay::extend(MomentumOptimizer::new(0.1, 0.9), 0.02));
    let expected = followed(INITIAL, &|_, w, g, slots| {
        for i in 0..3 {
            slots[0][i] = 0.9 * slots[0][i] + g[i];
            w[i] -= 0.02 * w[i];
            w[i] -= 0.1 * slots[0][i];
        }
    });
    assert_close("MomentumW", &found[0], &expected, SLACK);
}

#[test]
fn variables_outside_the_list_do_not_decay() {
    let graph = Graph::new();
    let (w, bias) = (variable(&graph.named("w"), INITIAL), variable(&graph.named("bias"), INITIAL));
    let decayed = DecoupledWeightDecay::extend(GradientDescentOptimizer::new(0.1), 0.5);
    let train_op = decayed.decay_var_list(std::slice::from_ref(&w)).minimize(&(loss(&w) + loss(&bias)), None);
    let init = global_variables_initializer(&graph);
    let session = session(&graph);
    session.run(&init, ()).unwrap();
    session.run(&train_op, ()).unwrap();
    let [w, bias] = [&w, &bias].map(|variable| session.run(variable, ()).unwrap().to_vec::<f64>().unwrap());
    assert_close("w", &w, &[0.3, -0.2, 1.2], SLACK);
    assert_close("bias", &bias, &[0.8, -1.2, 2.7], SLACK);
}

fn lion_step(w: &mut [f64; 3], g: [f64; 3], slots: &mut [[f64; 3]; 2]) {
    for i in 0..3 {
        let direction = 0.9 * slots[0][i] + 0.1 * g[i];
        w[i] -= if direction == 0.0 { 0.0 } else { 0.1 * direction.signum() };
        slots[0][i] = 0.99 * slots[0][i] + 0.01 * g[i];
    }
}

#[test]
fn lion_follows_its_formula() {
    for (found, initial) in trained(&LionOptimizer::new(0.1)).iter().zip([INITIAL, BIAS]) {
        assert_close("Lion", found, &followed(initial, &|_, w, g, slots| lion_step(w, g, slots)), SLACK);
    }
}

fn lamb_step(step: i32, w: &mut [f64; 3], g: [f64; 3], slots: &mut [[f64; 3]; 2], decay: f64, adapts: bool) {
    let mut update = [0.0; 3];
    for i in 0..3 {
        slots[0][i] = 0.9 * slots[0][i] + 0.1 * g[i];
        slots[1][i] = 0.999 * slots[1][i] + 0.001 * g[i] * g[i];
        let (m, v) = (slots[0][i] / (1.0 - power(0.9, step)), slots[1][i] / (1.0 - power(0.999, step)));
        update[i] = m / (v.sqrt() + 1e-6) + decay * w[i];
    }
    let (of_w, of_update) = (norm(w), norm(&update));
    let ratio = if adapts && of_w > 0.0 && of_update > 0.0 { of_w / of_update } else { 1.0 };
    for i in 0..3 {
        w[i] -= ratio * 0.1 * update[i];
    }
}

#[test]
fn lamb_follows_its_formula() {
    let decaying = LambOptimizer::new(0.1).weight_decay_rate(0.05);
    let [w, bias] = trained(&decaying);
    let expect = |initial, decay, adapts| {
        followed(initial, &|step, w, g, slots| lamb_step(step, w, g, slots, decay, adapts))
    };
    assert_close("LAMB", &w, &expect(INITIAL, 0.05, true), SLACK);
    assert_close("LAMB", &bias, &expect(BIAS, 0.05, true), SLACK);
    let excluding = LambOptimizer::new(0.1)
        .weight_decay_rate(0.05)
        .exclude_from_weight_decay(&["bias"])
        .exclude_from_layer_adaptation(&["bias"]);
    let [w, bias] = trained(&excluding);
    assert_close("LAMB of w", &w, &expect(INITIAL, 0.05, true), SLACK);
    assert_close("LAMB of bias", &bias, &expect(BIAS, 0.0, false), SLACK);
}

fn lars_step(w: &mut [f64; 3], g: [f64; 3], slots: &mut [[f64; 3]; 2], skips: bool, nesterov: bool) {
    let (of_w, of_g) = (norm(w), norm(&g));
    let ratio = if of_w > 0.0 && of_g > 0.0 { 0.1 * of_w / (of_g + 0.01 * of_w + 0.001) } else { 1.0 };
    let (rate, decay) = if skips { (0.5, 0.0) } else { (0.5 * ratio, 0.01) };
    for i in 0..3 {
        let g = g[i] + decay * w[i];
        slots[0][i] = 0.8 * slots[0][i] + g;
        w[i] -= if nesterov { rate * (g + 0.8 * slots[0][i]) } else { rate * slots[0][i] };
    }
}

#[test]
fn lars_follows_its_formula() {
    for nesterov in [false, true] {
        let lars = || {
            let lars = LarsOptimizer::new(0.5).momentum(0.8).weight_decay(0.01).eeta(0.1).epsilon(0.001);
            lars.use_nesterov(nesterov)
        };
        let [w, bias] = trained(&lars());
        let expect =
            |initial, skips| followed(initial, &|_, w, g, slots| lars_step(w, g, slots, skips, nesterov));
        assert_close("LARS", &w, &expect(INITIAL, false), SLACK);
        assert_close("LARS", &bias, &expect(BIAS, false), SLACK);
        let [w, bias] = trained(&lars().skip_list(&["bias"]));
        assert_close("LARS of w", &w, &expect(INITIAL, false), SLACK);
        assert_close("LARS of bias", &bias, &expect(BIAS, true), SLACK);
    }
}

/// Three steps on a small quadratic function, as Keras 3 takes them in TensorFlow 2.21 with these options.
#[test]
fn steps_are_those_of_keras() {
    let cases: [(&dyn Optimizer, [f64; 3]); 7] = [
        (&AdamaxOptimizer::new(0.1), [0.715_499_534_148, -1.707_648_299_478, 2.705_009_578_180]),
        (&AdamWOptimizer::new(0.005, 0.1), [0.688_271_956_675, -1.672_349_858_995, 2.657_172_838_488]),
        (&LambOptimizer::new(0.1), [0.414_215_204_673, -1.407_527_916_904, 2.406_156_269_635]),
        (&LionOptimizer::new(0.1), [0.7, -1.7, 2.7]),
        (&GradientDescentOptimizer::new(0.1).clipvalue(1.5), [0.56, -1.55, 2.55]),
        (
            &GradientDescentOptimizer::new(0.1).clipnorm(1.5),
            [0.894_503_656_956, -1.593_380_576_631, 2.838_819_986_116],
        ),
        (
            &GradientDescentOptimizer::new(0.1).global_clipnorm(1.5),
            [0.894_503_656_956, -1.593_380_576_631, 2.838_819_986_116],
        ),
    ];
    for (optimizer, expected) in cases {
        let graph = Graph::new();
        let w = variable(&graph.named("w"), INITIAL);
        let train_op = optimizer.minimize(&loss(&w), None);
        let init = global_variables_initializer(&graph);
        let session = session(&graph);
        session.run(&init, ()).unwrap();
        for _ in 0..3 {
            session.run(&train_op, ()).unwrap();
        }
        let found = session.run(&w, ()).unwrap().to_vec::<f64>().unwrap();
        assert_close(optimizer.settings().name(), &found, &expected, 3e-5);
    }
}

#[test]
fn limits_apply_to_each_gradient_or_to_all() {
    let step = |optimizer: GradientDescentOptimizer| {
        let graph = Graph::new();
        let (a, b) =
            (variable(&graph.named("a"), [3.0f64, 4.0]), variable(&graph.named("b"), [12.0f64, 0.0]));
        let all = reduce_sum(square(&a) / 2.0, ..) + reduce_sum(square(&b) / 2.0, ..);
        let train_op = optimizer.minimize(&all, None);
        let init = global_variables_initializer(&graph);
        let session = session(&graph);
        session.run(&init, ()).unwrap();
        session.run(&train_op, ()).unwrap();
        [&a, &b].map(|variable| session.run(variable, ()).unwrap().to_vec::<f64>().unwrap()).concat()
    };
    let plain = || GradientDescentOptimizer::new(1.0);
    assert_close("by value", &step(plain().clipvalue(3.5)), &[0.0, 0.5, 8.5, 0.0], SLACK);
    assert_close("by norm", &step(plain().clipnorm(10.0)), &[0.0, 0.0, 2.0, 0.0], SLACK);
    let all = step(plain().global_clipnorm(6.5));
    assert_close("by norm of all", &all, &[1.5, 2.0, 6.0, 0.0], SLACK);
}

#[test]
fn invalid_limits_are_build_errors() {
    let message = |optimizer: &dyn Optimizer| {
        let graph = Graph::new();
        optimizer.minimize(&loss(&variable(&graph.named("w"), INITIAL)), None);
        let error = graph.check().unwrap_err();
        assert!(error.location().unwrap().file().ends_with("optimizer_formulas.rs"), "{error}");
        error.message().to_owned()
    };
    let two = AdamOptimizer::new(0.1).clipvalue(1.0).clipnorm(1.0);
    assert!(message(&two).contains(r#"one limit of its gradients, not ["clipvalue", "clipnorm"]"#));
    for limit in [0.0, -1.0, f64::NAN] {
        assert!(message(&LionOptimizer::new(0.1).global_clipnorm(limit)).contains("global_clipnorm is"));
    }
}

#[test]
fn rows_without_gradient_count_as_zero() {
    let graph = Graph::new();
    let table =
        variable(&graph.named("table"), Tensor::from_vec([INITIAL, INITIAL].concat(), [2, 3]).unwrap());
    let row = gather(&table, constant(&graph, 1i32));
    let train_op = LionOptimizer::new(0.1).minimize(&loss(&row), None);
    let init = global_variables_initializer(&graph);
    let session = session(&graph);
    session.run(&init, ()).unwrap();
    for _ in 0..STEPS {
        session.run(&train_op, ()).unwrap();
    }
    let found = session.run(&table, ()).unwrap().to_vec::<f64>().unwrap();
    assert_close("unused", &found[..3], &INITIAL, 0.0);
    assert_close("used", &found[3..], &followed(INITIAL, &|_, w, g, slots| lion_step(w, g, slots)), SLACK);
}

#[test]
fn reference_variables_are_trained_as_resources_are() {
    let centered = RMSPropOptimizer::new(0.1).momentum(0.5).centered(true);
    let decayed = DecoupledWeightDecay::extend(MomentumOptimizer::new(0.1, 0.9), 0.02);
    let cases: [&dyn Optimizer; 16] = [
        &GradientDescentOptimizer::new(0.1),
        &MomentumOptimizer::new(0.1, 0.9),
        &MomentumOptimizer::new(0.1, 0.9).use_nesterov(true),
        &AdagradOptimizer::new(0.1),
        &AdadeltaOptimizer::new(0.1),
        &AdamOptimizer::new(0.1),
        &AdamaxOptimizer::new(0.1),
        &NadamOptimizer::new(0.1),
        &RMSPropOptimizer::new(0.1),
        &centered,
        &FtrlOptimizer::new(0.1).l1_regularization_strength(0.01),
        &AdamWOptimizer::new(0.005, 0.1),
        &decayed,
        &LionOptimizer::new(0.1),
        &LambOptimizer::new(0.1).weight_decay_rate(0.05),
        &LarsOptimizer::new(0.5).momentum(0.8),
    ];
    for optimizer in cases {
        let name = optimizer.settings().name();
        let graph = Graph::new();
        let [w, bias] = [("w", INITIAL), ("bias", BIAS)].map(|(name, value)| {
            VariableBuilder::new(&graph.named(name)).initial_value(value).use_resource(false).build()
        });
        let found = trained_on(&graph, optimizer, [&w, &bias]);
        let kinds = optimizer.variables();
        assert!(
            kinds.iter().all(|slot| !slot.is_resource()),
            "the slots of {name} are of the variables' kind"
        );
        let expected = trained(optimizer);
        for (found, expected) in found.iter().zip(&expected) {
            assert_close(name, found, expected, SLACK);
            assert_ne!(found, &INITIAL, "{name} trains");
        }
    }
}

#[test]
fn slots_have_the_names_of_the_originals() {
    let cases: [(&dyn Optimizer, &[&str]); 6] = [
        (&AdamaxOptimizer::new(0.1), &["beta1_power", "w/AdaMax", "w/AdaMax_1"]),
        (&NadamOptimizer::new(0.1), &["beta1_power", "beta2_power", "w/Adam", "w/Adam_1"]),
        (&AdamWOptimizer::new(0.1, 0.1), &["beta1_power", "beta2_power", "w/AdamW", "w/AdamW_1"]),
        (&LambOptimizer::new(0.1), &["beta1_power", "beta2_power", "w/LAMB", "w/LAMB_1"]),
        (&LarsOptimizer::new(0.1), &["w/LARSOptimizer"]),
        (&LionOptimizer::new(0.1), &["w/Lion"]),
    ];
    for (optimizer, expected) in cases {
        let graph = Graph::new();
        let w = variable(&graph.named("w"), INITIAL);
        optimizer.minimize(&loss(&w), None);
        graph.check().unwrap();
        let variables = global_variables(&graph);
        let names: Vec<&str> = variables.iter().skip(1).map(Variable::name).collect();
        assert_eq!(names, expected);
    }
}

#[test]
fn a_variable_of_zeros_has_the_unscaled_learning_rate() {
    let graph = Graph::new();
    let w = variable(&graph.named("w"), [0.0f64, 0.0]);
    let all = reduce_sum(mul(&w, constant(&graph, [2.0f64, -4.0])), ..);
    let train_op = LarsOptimizer::new(0.5).minimize(&all, None);
    let init = global_variables_initializer(&graph);
    let session = session(&graph);
    session.run(&init, ()).unwrap();
    session.run(&train_op, ()).unwrap();
    let found = session.run(&w, ()).unwrap().to_vec::<f64>().unwrap();
    assert_close("LARS", &found, &[-1.0, 2.0], SLACK);
}
