//! The project's automation: `cargo xtask` prints what there is.

mod adapters;
mod bench;
mod board;
mod book;
mod dependencies;
mod docs;
mod features;
mod fuzz;
mod layers;
mod modules;
mod rules;
mod scale;
mod shell;
mod skipped;
mod tensorflow;
mod test;
mod timings;
mod torture;

use anyhow::{Result, bail};

/// The commands, as `cargo xtask` prints them.
const HELP: &str = "\
cargo xtask COMMAND

  test                 formatting, lints, tests, doctests, docs, links, layers, features, dependencies, single-crate builds
  rules [--write]      hold the table of rules and tests, docs/rules.md, against the tests; or write it
  layers               hold the dependency table against cargo's metadata, and the embedded engine's order of modules
  features             hold the facade's features against the README and the defaults of its crates
  dependencies         hold licenses and duplicates against deny.toml, and find what is declared and not used
  docs --stats | --check | --write | --places CRATE
                       print figures on the documentation of each crate, hold them against docs/documentation.tsv, write that
                       table, or list the places that a crate's counts refer to
  adapters [NAME..]    format, lint and test the crates in `adapters` (candle and burn), which are workspaces of their own
  bench [W..] [--python PY] [--rounds N] [--out FILE]
                       the workloads w1 w2 w3 w4 w5 w6 (all without names) in release mode, as JSON lines, in turn with
                       TensorFlow where a Python with it is found
  fuzz [--seconds N]   feed damaged files to every reader for N seconds each (default: 10)
  scale [--release]    costs at three sizes of a graph, each with its exponent (about two minutes after the build), in the
                       profile of benchmarks or in that of `cargo run --release`, which is compiled sooner
  timings [--all]      how long people wait: the first example from nothing and the size of its program, and a changed line of a
                       kernel until its tests have run; with --all also `cargo xtask test` from nothing
  torture [--kills N] [--steps N] [--seed N] [--release]
                       kill a training with SIGKILL at random moments and compare what is left in the end
  board [--screenshots FOLDER]
                       the page of `monitored board` in a headless Chromium; pictures of it where a folder is named
  book                 check the links of all Markdown files, and build the guide in docs/ with mdbook into target/book
  model [N]            the model-checked tests of queues and coordinators, with N (10000) interleavings of each program
  tensorflow           fetch TensorFlow into target/tensorflow: the oracle of the tests
  ci                   what a submission must pass: tensorflow, test, and the slow suites
";

/// Runs the command that the first argument names.
fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    match command.as_str() {
        "test" => test::test(),
        "layers" => layers::check(),
        "features" => features::check(),
        "dependencies" => dependencies::check(),
        "docs" => docs::docs(&rest),
        "rules" => rules::rules(&rest),
        "adapters" => adapters::adapters(&rest),
        "board" => board::board(&rest),
        "book" => book::book(),
        "bench" => bench::bench(&rest),
        "model" => test::model(rest.first().map_or("10000", String::as_str)),
        "scale" => scale::scale(&rest),
        "fuzz" => fuzz::fuzz(&rest),
        "timings" => timings::timings(&rest),
        "torture" => torture::torture(&rest),
        "tensorflow" => tensorflow::install(),
        "ci" => test::ci(),
        "" | "help" | "-h" | "--help" => {
            shell::say(HELP);
            Ok(())
        }
        other => bail!("no command '{other}'\n\n{HELP}"),
    }
}
