//! Runs both engines on the same graphs in one process and compares dtypes, shapes and values, of outputs and gradients.
//!
//! Each file of `differential/` is one table or family of graphs. Known differences are listed by name with the reason and
//! printed, and so are operations that our engine lacks.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic reports the failure, and the output is meant to be read

#[path = "differential/arrays.rs"]
mod arrays;
#[path = "differential/cases.rs"]
mod cases;
#[path = "differential/compare.rs"]
mod compare;
#[path = "differential/containers.rs"]
mod containers;
#[path = "differential/control_flow.rs"]
mod control_flow;
#[path = "differential/elementwise.rs"]
mod elementwise;
#[path = "differential/engines.rs"]
mod engines;
#[path = "differential/functions.rs"]
mod functions;
#[path = "differential/layers.rs"]
mod layers;
#[path = "differential/library_samples.rs"]
mod library_samples;
#[path = "differential/random_numbers.rs"]
mod random_numbers;
#[path = "differential/reductions.rs"]
mod reductions;
mod support;
#[path = "differential/training.rs"]
mod training;
#[path = "differential/updates.rs"]
mod updates;

/// The number of op types that all tables together must cover. It may only grow.
const AIM: usize = 340;

/// The tables. The environment variable `DIFFERENTIAL_ONLY` names those to run, separated by commas.
const TABLES: &[(&str, fn(&engines::Engines, &mut engines::Report))] = &[
    ("samples", library_samples::run),
    ("elementwise", elementwise::all),
    ("reductions", reductions::all),
    ("arrays", arrays::all),
    ("containers", containers::all),
    ("layers", layers::all),
    ("random", random_numbers::all),
    ("updates", updates::all),
    ("training", training::all),
];

#[test]
fn both_engines_give_the_same() {
    let Some(engines) = engines::Engines::new() else { return };
    let mut report = engines::Report::default();
    let only = std::env::var("DIFFERENTIAL_ONLY").ok().filter(|only| !only.is_empty());
    for (name, run) in TABLES {
        if only.as_deref().is_none_or(|only| only.split(',').any(|only| only == *name)) {
            run(&engines, &mut report);
        }
    }
    report.print();
    assert!(report.is_good(), "{}", report.problems());
    assert!(only.is_some() || report.covered() >= AIM, "only {} op types are covered", report.covered());
}
