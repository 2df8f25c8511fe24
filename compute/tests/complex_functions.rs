//! Functions of complex numbers at zeros of either sign, infinities and NaN, against TensorFlow's values.

#![allow(clippy::unwrap_used)] // tests

use compute::Pool;
use compute::elementwise::{BinaryOp, Broadcast, Element, UnaryOp};
use num_complex::Complex;

/// One line each: the operation, the parts of its operand, the parts of TensorFlow's result.
const VALUES: &str = include_str!("data/complex_functions.txt");

fn same(found: f64, expected: f64, tolerance: f64) -> bool {
    found.is_nan() && expected.is_nan()
        || found == expected && (found.is_sign_negative() == expected.is_sign_negative())
        || (found - expected).abs() <= tolerance * expected.abs()
}

#[test]
fn complex_functions_are_those_of_tensorflow_on_branch_cuts_and_at_infinities() {
    let mut wrong = Vec::new();
    for line in VALUES.lines() {
        let (name, numbers) = line.split_once(' ').unwrap();
        let numbers: Vec<f64> = numbers.split(' ').map(|number| number.parse().unwrap()).collect();
        let [re, im, expected_re, expected_im] = numbers[..] else { panic!("{line}") };
        let op = UnaryOp::from_name(name).unwrap();
        let (mut double, mut single) = ([Complex::default()], [Complex::default()]);
        Complex::<f64>::unary(op).unwrap().run(&Pool::single(), &[Complex::new(re, im)], &mut double);
        let narrow = Complex::new(re as f32, im as f32);
        Complex::<f32>::unary(op).unwrap().run(&Pool::single(), &[narrow], &mut single);
        let single = Complex::new(f64::from(single[0].re), f64::from(single[0].im));
        for (found, tolerance) in [(double[0], 1e-13), (single, 1e-6)] {
            if !same(found.re, expected_re, tolerance) || !same(found.im, expected_im, tolerance) {
                wrong.push(format!("{line}: found {found}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn quotients_of_large_divisors_neither_vanish_nor_become_nan() {
    let large = 5e307;
    let cases = [
        (Complex::new(large, large), Complex::new(large, large), Complex::new(1.0, 0.0)),
        (Complex::new(large, 0.0), Complex::new(0.0, large), Complex::new(0.0, -1.0)),
        (Complex::new(1e-300, 0.0), Complex::new(1e-300, 0.0), Complex::new(1.0, 0.0)),
    ];
    let plan = Broadcast::new([&[1], &[1]]).unwrap();
    for op in [BinaryOp::Div, BinaryOp::DivNoNan, BinaryOp::Xdivy] {
        for (x, y, expected) in cases {
            let mut found = [Complex::default()];
            Complex::<f64>::binary(op).unwrap().run(&Pool::single(), &plan, &[x], &[y], &mut found).unwrap();
            assert_eq!(found[0], expected, "{op:?} of {x} and {y}");
        }
    }
}

/// TensorFlow's own formulas make these NaN or lose the angle.
#[test]
fn logarithms_and_roots_reach_their_limits() {
    let (inf, large) = (f64::INFINITY, 1e308);
    let half_turn = std::f64::consts::FRAC_PI_2;
    let cases = [
        (UnaryOp::Log1p, (0.0, inf), (inf, half_turn)),
        (UnaryOp::Log1p, (0.0, large), (large.ln(), half_turn)),
        (UnaryOp::Log, (0.0, large), (large.ln(), half_turn)),
        (UnaryOp::Expm1, (inf, 0.0), (inf, 0.0)),
        (UnaryOp::Expm1, (-inf, 0.0), (-1.0, 0.0)),
        (UnaryOp::Sqrt, (large, 0.0), (1e154, 0.0)),
        (UnaryOp::Sqrt, (-large, -0.0), (0.0, -1e154)),
    ];
    for (op, (re, im), (expected_re, expected_im)) in cases {
        let mut found = [Complex::default()];
        Complex::<f64>::unary(op).unwrap().run(&Pool::single(), &[Complex::new(re, im)], &mut found);
        let found = found[0];
        let right = same(found.re, expected_re, 1e-14) && same(found.im, expected_im, 1e-14);
        assert!(right, "{op:?} of {re} {im}: {found}");
    }
}
