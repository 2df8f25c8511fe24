//! The suite that every engine must pass, and tests of this engine. They share a process, because each process that loads
//! TensorFlow needs about 300 MB.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic reports the failure, and the output is meant to be read

#[path = "engine/creation.rs"]
mod creation;
#[path = "engine/growth.rs"]
mod growth;
#[path = "engine/host_functions.rs"]
mod host_functions;
mod support;
#[path = "engine/values.rs"]
mod values;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Known differences of TensorFlow itself, with the reason.
const DIFFERENT: [(&str, &str); 0] = [];

#[test]
fn the_engine_conforms() {
    let Some(engine) = support::engine() else { return };
    let mut failed = Vec::new();
    let checks = ops::conformance::checks();
    for (name, check) in &checks {
        let outcome = catch_unwind(AssertUnwindSafe(|| check(&engine)));
        let known = DIFFERENT.iter().find(|(different, _)| different == name);
        match (outcome, known) {
            (Err(_), None) => failed.push(format!("{name} fails")),
            (Ok(()), Some(_)) => failed.push(format!("{name} passes, though it is listed as different")),
            (Err(_), Some((_, reason))) => println!("{name} is different: {reason}"),
            (Ok(()), None) => {}
        }
    }
    println!("{} checks", checks.len());
    assert!(failed.is_empty(), "{failed:#?}");
}
