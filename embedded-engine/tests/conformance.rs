//! The suite that every engine must pass.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen

use embedded_engine::EmbeddedEngine;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[test]
fn the_engine_conforms() {
    let mut failed = Vec::new();
    let checks = ops::conformance::checks();
    for (name, check) in &checks {
        let outcome = catch_unwind(AssertUnwindSafe(|| check(&EmbeddedEngine::new())));
        if outcome.is_err() {
            failed.push(*name);
        }
    }
    println!("{} checks", checks.len());
    assert!(failed.is_empty(), "{failed:?}");
}
