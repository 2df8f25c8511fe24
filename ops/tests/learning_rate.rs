//! Learning rates are those of `tf.compat.v1.train`, computed here by a small interpreter of scalars.
#![allow(clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen
#![allow(clippy::unwrap_used)] // in a test a panic is the report

use ops::array::placeholder;
use ops::learning_rate::*;
use session_core::{DType, Graph, Output, PartialShape, Tensor};

/// The value of an output when the one placeholder holds this step.
fn evaluate(output: &Output, step: i64) -> f64 {
    let operation = output.operation();
    let input = |index: usize| evaluate(&operation.input(index), step);
    let value = match operation.op_type() {
        "Placeholder" => step as f64,
        "Const" => number(output.constant_value().unwrap()),
        "Cast" | "Identity" => input(0),
        "AddV2" => input(0) + input(1),
        "Sub" => input(0) - input(1),
        "Mul" => input(0) * input(1),
        "RealDiv" => input(0) / input(1),
        "Pow" => input(0).powf(input(1)),
        "Minimum" => input(0).min(input(1)),
        "Neg" => -input(0),
        "Floor" => input(0).floor(),
        "Ceil" => input(0).ceil(),
        "Exp" => input(0).exp(),
        "Log" => input(0).ln(),
        "Cos" => input(0).cos(),
        "Sqrt" => input(0).sqrt(),
        "Equal" => f64::from(u8::from(input(0) == input(1))),
        "LessEqual" => f64::from(u8::from(input(0) <= input(1))),
        "SelectV2" => input(if input(0) == 0.0 { 2 } else { 1 }),
        other => panic!("{other} is not interpreted"),
    };
    if output.dtype() == DType::Float32 { f64::from(value as f32) } else { value }
}

fn number(tensor: &Tensor) -> f64 {
    tensor.as_scalar_f64().unwrap_or_else(|_| tensor.as_scalar_i64().unwrap() as f64)
}

const STEPS: [i64; 12] = [0, 1, 10, 11, 50, 99, 100, 101, 150, 151, 250, 1000];

/// Holds a schedule against what TensorFlow 2.21 returns at `STEPS`.
fn check(schedule: impl Fn(&Output) -> Output, expected: [f64; 12]) {
    let graph = Graph::new();
    let step = placeholder(&graph.named("step"), DType::Int64, PartialShape::scalar());
    let rate = schedule(&step);
    graph.check().unwrap();
    assert_eq!((rate.dtype(), rate.shape().rank()), (DType::Float32, Some(0)));
    for (step, expected) in STEPS.into_iter().zip(expected) {
        let found = evaluate(&rate, step);
        assert!(
            (found - expected).abs() <= 3e-6 * expected.abs() + 1e-9,
            "step {step}: {found}, not {expected}"
        );
    }
}

#[test]
fn exponential_decay_has_tensorflows_values() {
    check(
        |step| exponential_decay(0.1, step, 100, 0.96, Decay::Smooth),
        [
            0.100000001,
            0.0999591872,
            0.0995926186,
            0.0995519683,
            0.0979795903,
            0.0960391983,
            0.0960000008,
            0.0959608182,
            0.0940604061,
            0.0940220132,
            0.0902979895,
            0.0664832518,
        ],
    );
    check(
        |step| exponential_decay(0.1, step, 100, 0.96, Decay::Staircase),
        [
            0.1,
            0.1,
            0.1,
            0.1,
            0.1,
            0.1,
            0.0960000008,
            0.0960000008,
            0.0960000008,
            0.0960000008,
            0.0921600014,
            0.0664832518,
        ],
    );
}

#[test]
fn natural_exponential_decay_has_tensorflows_values() {
    check(
        |step| natural_exp_decay(0.1, step, 100, 0.5, Decay::Smooth),
        [
            0.100000001,
            0.0995012447,
            0.0951229483,
            0.0946485177,
            0.0778800771,
            0.0609570928,
            0.0606530681,
            0.0603505634,
            0.0472366586,
            0.0470010638,
            0.0286504813,
            0.000673794828,
        ],
    );
    check(
        |step| natural_exp_decay(0.1, step, 100, 0.5, Decay::Staircase),
        [
            0.1,
            0.1,
            0.1,
            0.1,
            0.1,
            0.1,
            0.0606530681,
            0.0606530681,
            0.0606530681,
            0.0606530681,
            0.0367879458,
            0.000673794828,
        ],
    );
}

#[test]
fn inverse_time_decay_has_tensorflows_values() {
    check(
        |step| inverse_time_decay(0.1, step, 100, 0.5, Decay::Smooth),
        [
            0.100000001,
            0.099502489,
            0.0952381045,
            0.0947867334,
            0.0799999982,
            0.0668896362,
            0.0666666701,
            0.0664451867,
            0.0571428575,
            0.0569800586,
            0.0444444455,
            0.0166666675,
        ],
    );
    check(
        |step| inverse_time_decay(0.1, step, 100, 0.5, Decay::Staircase),
        [
            0.1,
            0.1,
            0.1,
            0.1,
            0.1,
            0.1,
            0.0666666701,
            0.0666666701,
            0.0666666701,
            0.0666666701,
            0.0500000007,
            0.0166666675,
        ],
    );
}

#[test]
fn piecewise_constants_have_tensorflows_values() {
    check(
        |step| piecewise_constant(step, &[10, 150], &[1.0, 0.5, 0.1]),
        [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.1, 0.1, 0.1],
    );
    let graph = Graph::new();
    let step = placeholder(&graph, DType::Int64, PartialShape::scalar());
    let _ = piecewise_constant(&step, &[10], &[1.0]);
    assert!(
        graph.check().unwrap_err().message().contains("1 increasing boundaries separate 2 values, not 1")
    );
}

#[test]
fn polynomial_decay_has_tensorflows_values() {
    check(
        |step| polynomial_decay(0.1, step, 100, 0.01, 2.0, AfterDecay::Hold),
        [
            0.100000001,
            0.0982090011,
            0.0828999951,
            0.0812889934,
            0.0324999988,
            0.0100090001,
            0.00999999978,
            0.00999999978,
            0.00999999978,
            0.00999999978,
            0.00999999978,
            0.00999999978,
        ],
    );
    check(
        |step| polynomial_decay(0.1, step, 100, 0.01, 0.5, AfterDecay::Cycle),
        [
            0.100000001,
            0.0995488688,
            0.0953814983,
            0.0949058309,
            0.0736396089,
            0.0189999957,
            0.00999999978,
            0.0733206123,
            0.0549999997,
            0.0545477271,
            0.0467423499,
            0.00999999978,
        ],
    );
}

#[test]
fn cosine_decays_have_tensorflows_values() {
    check(
        |step| cosine_decay(0.1, step, 100, 0.1),
        [
            0.100000001,
            0.0999777913,
            0.0977975428,
            0.0973396376,
            0.054999996,
            0.0100222062,
            0.0100000007,
            0.0100000007,
            0.0100000007,
            0.0100000007,
            0.0100000007,
            0.0100000007,
        ],
    );
    check(
        |step| cosine_decay_restarts(0.1, step, 30, 2.0, 0.9, 0.1),
        [
            0.100000001,
            0.0997534841,
            0.0775000006,
            0.0733031556,
            0.0707499906,
            0.0818928778,
            0.0816579908,
            0.0813989714,
            0.0464499816,
            0.0454958342,
            0.0712149516,
            0.0624499507,
        ],
    );
    check(
        |step| cosine_decay_restarts(0.1, step, 30, 1.0, 0.9, 0.1),
        [
            0.100000001,
            0.0997534841,
            0.0775000006,
            0.0733031556,
            0.0302499887,
            0.0620872751,
            0.0592074804,
            0.0561479814,
            0.0631440952,
            0.0629985258,
            0.0390564948,
            0.0120859519,
        ],
    );
    check(
        |step| linear_cosine_decay(0.1, step, 100, 0.5, 0.1, 0.001),
        [
            0.110100009,
            0.109073102,
            0.0976528227,
            0.0961735994,
            0.0300999973,
            0.000102714075,
            0.000100000005,
            0.000100000005,
            0.000100000005,
            0.000100000005,
            0.000100000005,
            0.000100000005,
        ],
    );
}

#[test]
fn warming_up_reaches_the_rate() {
    check(
        |step| linear_warmup(0.1, step, 100),
        [0.001, 0.002, 0.011, 0.012, 0.051, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1],
    );
}

#[test]
fn rates_keep_their_dtype() {
    let graph = Graph::new();
    let step = placeholder(&graph, DType::Int64, PartialShape::scalar());
    let rate = ops::array::constant(&graph, 0.1f64);
    assert_eq!(exponential_decay(&rate, &step, 100, 0.96, Decay::Smooth).dtype(), DType::Float64);
    let noisy = noisy_linear_cosine_decay(0.1, &step, 100, NoiseOptions::default(), 0.5, 0.0, 0.001);
    assert_eq!((noisy.dtype(), noisy.shape().rank()), (DType::Float32, Some(0)));
    graph.check().unwrap();
}
