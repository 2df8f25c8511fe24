//! The op types whose gradients TensorFlow 2.21 registers, against those that have one here.
#![allow(clippy::print_stdout)] // what is printed is meant to be seen

use session_core::{Gradient, OpLibrary};

/// One op type a line, as TensorFlow's registry of gradients lists them; those without derivative are included.
const REGISTERED: &str = include_str!("registered/tf_gradients.txt");

/// The op types of that list that are defined here and have no gradient.
const MISSING: &str = include_str!("registered/missing.txt");

#[test]
fn the_list_of_missing_gradients_is_current() {
    let all: Vec<&str> = REGISTERED.lines().collect();
    let defined: Vec<_> = all.iter().filter_map(|op_type| OpLibrary::find(ops::library(), op_type)).collect();
    let missing: Vec<&str> = defined
        .iter()
        .filter(|def| matches!(def.gradient_rule(), Gradient::Undefined))
        .map(|def| def.name())
        .collect();
    println!(
        "{} of TensorFlow's {} registered gradients; {} op types are defined here without theirs, {} are not defined",
        defined.len() - missing.len(),
        all.len(),
        missing.len(),
        all.len() - defined.len()
    );
    let listed: Vec<&str> = MISSING.lines().collect();
    assert_eq!(missing, listed, "tests/registered/missing.txt is not current");
}
