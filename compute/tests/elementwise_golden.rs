//! The elementwise kernels against what TensorFlow made of the same numbers
//! (`golden/make_elementwise_golden.py`, TensorFlow 2.21).
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen

mod golden;

use compute::Pool;
use compute::elementwise::{BinaryKernel, BinaryOp, Broadcast, CompareOp, Element, TestOp, UnaryOp};
use golden::{Case, Number, cases, distance};
use half::{bf16, f16};
use num_complex::Complex;
use std::fmt::Debug;

/// An element as the file holds it.
trait Golden: Element + Debug {
    fn values(case: &Case, name: &str) -> Vec<Self>;
    /// Whether `found` is near enough to `expected`, for an operation with this tolerance.
    fn agrees(found: Self, expected: Self, tolerance: u64, scale: f64) -> bool;
}

macro_rules! floats {
    ($($type:ty),*) => {$(
        impl Golden for $type {
            fn values(case: &Case, name: &str) -> Vec<Self> {
                case.get(name)
            }

            fn agrees(found: Self, expected: Self, tolerance: u64, scale: f64) -> bool {
                let off = (found.to_f64() - expected.to_f64()).abs();
                distance(found, expected) <= tolerance || off <= scale * <$type as Number>::epsilon()
            }
        }
    )*};
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Golden for $type {
            fn values(case: &Case, name: &str) -> Vec<Self> {
                case.words(name).unwrap().iter().map(|word| word.parse().unwrap()).collect()
            }

            fn agrees(found: Self, expected: Self, _tolerance: u64, _scale: f64) -> bool {
                found == expected
            }
        }
    )*};
}

floats!(f32, f64, f16, bf16);
integers!(i8, i32, i64, u8, u32);

impl Golden for Complex<f32> {
    fn values(case: &Case, name: &str) -> Vec<Self> {
        case.get::<f32>(name).chunks_exact(2).map(|parts| Complex::new(parts[0], parts[1])).collect()
    }

    fn agrees(found: Self, expected: Self, tolerance: u64, _scale: f64) -> bool {
        let scale = expected.norm().max(1e-3) * f32::EPSILON;
        (found - expected).norm() <= scale * tolerance as f32
    }
}

/// The number of values that may lie between ours and TensorFlow's: 2, but where its own functions are less precise
/// than that (`Erfc` by 7, against the correctly rounded value), and for the types of 16 bits, which it
/// rounds after each step of a formula.
fn tolerance<T: Element>(op: &str) -> u64 {
    match (T::NAME, op) {
        ("f16" | "bf16", _) => 3,
        ("Complex<f32>", _) => 8,
        ("f32", "Erfc") | ("f64", "Tanh" | "Erf" | "Erfc" | "Lgamma") => 8,
        ("f32", "Tanh" | "Erf" | "Sigmoid" | "Softplus" | "SoftplusGrad" | "Asin" | "Acosh") => 4,
        _ => 2,
    }
}

/// Returns the magnitude that determines the tolerance, at least. TensorFlow's `Elu` subtracts 1 from the
/// exponential, and so loses the digits of small results.
fn scale(op: &str) -> f64 {
    if matches!(op, "Elu" | "Selu" | "SeluGrad") { 2.0 } else { 0.0 }
}

struct Failures(Vec<String>);

impl Failures {
    fn note<T: Golden>(&mut self, op: &str, arguments: &dyn Debug, found: T, expected: T) {
        if !T::agrees(found, expected, tolerance::<T>(op), scale(op)) {
            self.0.push(format!("{op}{arguments:?} of {} is {found:?}, not {expected:?}", T::NAME));
        }
    }

    fn check(self) {
        assert!(self.0.is_empty(), "{} differences:\n{}", self.0.len(), self.0.join("\n"));
    }
}

fn unary<T: Golden>(tag: &str) {
    let cases = cases(include_str!("golden/elementwise.csv"));
    let case = &cases[&format!("unary/{tag}")];
    let x = T::values(case, "x");
    let mut failures = Failures(Vec::new());
    let mut found = vec![T::default(); x.len()];
    for &op in UnaryOp::ALL {
        let name = op.name();
        let Some(words) = case.words(name) else { continue };
        if name == "Round" && matches!(tag, "i32" | "i64") {
            // TensorFlow returns a wrong result here, which this crate does not reproduce.
            assert!(words.iter().all(|word| word == "0"), "TensorFlow rounds integers to themselves by now");
            continue;
        }
        let kernel = T::unary(op).unwrap_or_else(|| panic!("{name} of {tag}"));
        kernel.run(&Pool::single(), &x, &mut found);
        for ((&x, &found), expected) in x.iter().zip(&found).zip(T::values(case, name)) {
            // Another: the error function of large f64.
            if (name, tag) == ("Erf", "f64") && format!("{expected:?}") == "NaN" {
                continue;
            }
            failures.note(name, &(x,), found, expected);
        }
    }
    for &op in TestOp::ALL {
        let Some(words) = case.words(op.name()) else { continue };
        let mut found = vec![false; x.len()];
        T::test(op).unwrap().run(&Pool::single(), &x, &mut found);
        let found: Vec<String> = found.iter().map(|&found| u8::from(found).to_string()).collect();
        assert_eq!(found, words, "{}", op.name());
    }
    failures.check();
}

fn binary<T: Golden>(group: &str, tag: &str) {
    let cases = cases(include_str!("golden/elementwise.csv"));
    let case = &cases[&format!("{group}/{tag}")];
    let (x, y) = (T::values(case, "x"), T::values(case, "y"));
    let plan = Broadcast::new([&[x.len()], &[x.len()]]).unwrap();
    let mut failures = Failures(Vec::new());
    for &op in BinaryOp::ALL {
        let name = tensorflow_name(op);
        if case.words(name).is_none() {
            continue;
        }
        let kernel: BinaryKernel<T> = T::binary(op).unwrap_or_else(|| panic!("{name} of {tag}"));
        let mut found = vec![T::default(); x.len()];
        kernel.run(&Pool::single(), &plan, &x, &y, &mut found).unwrap();
        for (i, expected) in T::values(case, name).into_iter().enumerate() {
            failures.note(name, &(x[i], y[i]), found[i], expected);
        }
    }
    for &op in CompareOp::ALL {
        let Some(words) = case.words(op.name()) else { continue };
        let mut found = vec![false; x.len()];
        T::compare(op).unwrap().run(&Pool::single(), &plan, &x, &y, &mut found).unwrap();
        let found: Vec<String> = found.iter().map(|&found| u8::from(found).to_string()).collect();
        assert_eq!(found, words, "{}", op.name());
    }
    failures.check();
}

fn tensorflow_name(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => "AddV2",
        _ => op.name(),
    }
}

#[test]
fn real_functions_are_tensorflows() {
    unary::<f32>("f32");
    unary::<f64>("f64");
}

#[test]
fn narrow_functions_are_tensorflows() {
    unary::<f16>("f16");
    unary::<bf16>("bf16");
}

#[test]
fn integer_functions_are_tensorflows() {
    unary::<i8>("i8");
    unary::<i32>("i32");
    unary::<i64>("i64");
    unary::<u8>("u8");
    unary::<u32>("u32");
}

#[test]
fn complex_functions_are_tensorflows() {
    unary::<Complex<f32>>("c32");
    binary::<Complex<f32>>("binary", "c32");
}

#[test]
fn real_operators_are_tensorflows() {
    binary::<f32>("binary", "f32");
    binary::<f64>("binary", "f64");
}

#[test]
fn narrow_operators_are_tensorflows() {
    binary::<f16>("binary", "f16");
    binary::<bf16>("binary", "bf16");
}

#[test]
fn integer_operators_are_tensorflows() {
    for group in ["binary", "division", "power"] {
        binary::<i8>(group, "i8");
        binary::<i32>(group, "i32");
        binary::<i64>(group, "i64");
        binary::<u8>(group, "u8");
        binary::<u32>(group, "u32");
    }
}
