//! The test command and what CI adds to it.

use crate::shell::{cargo, cargo_workspace, exists, section};
use crate::skipped::Skipped;
use crate::{
    adapters, board, book, dependencies, docs, features, fuzz, layers, rules, scale, tensorflow, torture,
};
use anyhow::Result;

/// Crates that people take alone: each builds without its default features and without the rest of the workspace.
const ALONE: [&str; 9] = [
    "monitored-wire",
    "monitored-tensor",
    "session-core",
    "monitored-compute",
    "monitored-checkpoint",
    "monitored-summary",
    "monitored-ops",
    "queue-runner",
    "embedded-engine",
];

/// Everything that should hold at every commit. At its end it prints how many tests were skipped.
pub(crate) fn test() -> Result<()> {
    let skipped = Skipped::new()?;
    let outcome = all(&skipped);
    // After a failure, too: the number shows how much the run covers.
    skipped.report();
    outcome
}

/// Runs the checks in order; the first that fails ends the run.
fn all(skipped: &Skipped) -> Result<()> {
    tensorflow::report();
    // First the checks that take seconds.
    section("format", cargo(&["fmt", "--all", "--check"]))?;
    layers::check()?;
    features::check()?;
    dependencies::check()?;
    rules::rules(&[])?;
    docs::check()?;
    book::links()?;
    section(
        "clippy",
        cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]),
    )?;
    tests(skipped)?;
    // `cargo nextest` runs no doctests.
    section("doctests", cargo(&["test", "--quiet", "--workspace", "--all-features", "--doc"]))?;
    let mut pages = cargo(&["doc", "--workspace", "--all-features", "--no-deps", "--quiet"]);
    pages.env("RUSTDOCFLAGS", "-D warnings");
    section("docs", pages)?;
    for name in ALONE {
        section(&format!("{name} alone"), cargo(&["check", "--quiet", "-p", name, "--no-default-features"]))?;
    }
    Ok(())
}

/// Runs unit and integration tests with `cargo nextest`, or with `cargo test` where it is not installed.
fn tests(skipped: &Skipped) -> Result<()> {
    let features = ["--workspace", "--all-features", "--lib", "--bins", "--tests", "--examples"];
    let mut args = if exists("cargo", &["nextest", "--version"]) {
        vec!["nextest", "run", "--no-fail-fast"]
    } else {
        vec!["test", "--quiet", "--no-fail-fast"]
    };
    args.extend(features);
    let mut command = cargo(&args);
    if let Some(python) = tensorflow::python() {
        command.env("MONITORED_SESSION_TF_PYTHON", python);
    }
    skipped.collect(&mut command);
    section("tests", command)
}

/// Runs the model-checked tests with this many interleavings of each program.
pub(crate) fn model(iterations: &str) -> Result<()> {
    let mut command = cargo_workspace("test");
    command.args(["--test", "loom_*", "--test", "shuttle_*"]);
    command.env("MODEL_ITERATIONS", iterations);
    section("model", command)
}

/// Runs all checks that a submission must pass.
pub(crate) fn ci() -> Result<()> {
    tensorflow::install()?;
    test()?;
    // As a user builds it: without what other crates' features add.
    section(
        "the facade with its default features",
        cargo(&["test", "--quiet", "-p", "monitored-session", "--tests"]),
    )?;
    // Each by itself: a helper that families of two features share must not be compiled with one of them only.
    for feature in features::of("embedded-engine")? {
        let check = cargo(&["check", "--quiet", "-p", "embedded-engine", "--features", &feature]);
        section(&format!("embedded-engine with {feature}"), check)?;
    }
    section("packages", packages())?;
    if exists("cargo", &["deny", "--version"]) {
        section("deny", cargo(&["deny", "check"]))?;
    }
    board::board(&[])?;
    torture::torture(&[])?;
    // Building burn takes as long again: `cargo xtask adapters burn` tests it on demand.
    adapters::adapters(&["candle".to_owned()])?;
    torture::torture(&["--input".to_owned(), "candle".to_owned()])?;
    model("10000")?;
    // A cost that grows with the square of a graph is invisible at the sizes of tests.
    scale::scale(&["--release".to_owned()])?;
    fuzz::fuzz(&["--seconds".to_owned(), "10".to_owned()])
}

/// Packs every crate that can be published, to the last check before an upload.
fn packages() -> std::process::Command {
    let mut command = cargo(&["package", "--quiet", "--workspace", "--no-verify", "--allow-dirty"]);
    // These are not published.
    command.args(["--exclude", "xtask", "--exclude", "model"]);
    command
}
