//! `monitored`: inspects the files of trainings, and trains graphs.
//!
//! Each command has a module, which parses its arguments, does its work through the libraries, and writes to the standard output.
//! The page below is what `--help` prints.
//!
//! # For contributors
//!
//! - A command is a module with `Arguments`, whose documentation is the help text, and a function that returns an `Outcome` (`output.rs`).
//! - Results go to the standard output, warnings and errors to the standard error. `--json` prints one JSON object per line or command, whose
//!   keys are an interface: they are only added to.
//! - The exit code is 0 for success, 1 for an error or a negative result (such as damage that was found), and 128 plus the number of a signal
//!   that ended the command.
//! - Text from files is escaped before it reaches a terminal.
//! - The program only combines libraries of the workspace. Anything that another program could need belongs in a library.

#![doc = include_str!("../docs/commands.md")]
#![doc = include_str!("../docs/json-output.md")]

#[cfg(feature = "board")]
mod board;
mod checkpoint;
mod evaluate;
mod events;
mod export;
mod graph;
mod iterators;
#[cfg(feature = "board")]
mod listener;
mod model;
mod output;
mod run;
#[cfg(feature = "tensorflow")]
mod server;
#[cfg(feature = "board")]
mod terminal;
mod train;
mod warnings;
#[cfg(feature = "board")]
mod watch;

use clap::{Parser, Subcommand};
use std::io::{self, Write};
use std::process::ExitCode;

/// Inspect the files of trainings, and train and run models that TensorFlow exported.
#[derive(Debug, Parser)]
#[command(name = "monitored", version, about)]
struct Arguments {
    #[command(subcommand)]
    family: Family,
}

#[derive(Debug, Subcommand)]
enum Family {
    /// Show curves, histograms, images, graphs, checkpoints and the session's story of runs on a web page.
    #[cfg(feature = "board")]
    Board(board::Arguments),
    /// List, verify, show, convert, compare and prune checkpoints.
    #[command(subcommand)]
    Checkpoint(checkpoint::Command),
    /// Evaluate the checkpoints of a training as they appear.
    Evaluate(evaluate::Arguments),
    /// List, show and plot the content of event files.
    #[command(subcommand)]
    Events(events::Command),
    /// Convert a meta graph and a checkpoint to a SavedModel or a frozen graph.
    Export(export::Arguments),
    /// Show the content of graph files.
    #[command(subcommand)]
    Graph(graph::Command),
    /// Run a SavedModel, a frozen graph, or a meta graph with a checkpoint.
    Run(run::Arguments),
    /// Serve a task of a cluster with TensorFlow's runtime.
    #[cfg(feature = "tensorflow")]
    Server(server::Arguments),
    /// Train a graph that TensorFlow exported.
    Train(train::Arguments),
    /// Show the state of runs, live: step, loss, speed, input wait, last checkpoint.
    #[cfg(feature = "board")]
    Watch(watch::Arguments),
}

/// Parses the arguments, runs the command, and turns its result into an exit code. Output is buffered; commands that
/// wait flush it themselves.
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // After the arguments were parsed, whose errors clap prints itself.
    warnings::print();
    // Locked once for the whole command, which is the only writer.
    let mut out = io::BufWriter::new(io::stdout().lock());
    let result = match arguments.family {
        #[cfg(feature = "board")]
        Family::Board(arguments) => arguments.run(&mut out),
        Family::Checkpoint(command) => command.run(&mut out),
        Family::Evaluate(arguments) => arguments.run(&mut out),
        Family::Events(command) => command.run(&mut out),
        Family::Export(arguments) => arguments.run(&mut out),
        Family::Graph(command) => command.run(&mut out),
        #[cfg(feature = "tensorflow")]
        Family::Server(arguments) => arguments.run(&mut out),
        Family::Run(arguments) => arguments.run(&mut out),
        Family::Train(arguments) => arguments.run(&mut out),
        #[cfg(feature = "board")]
        Family::Watch(arguments) => arguments.run(&mut out),
    };
    // The last flush belongs to the command: an output that cannot be written is a failure.
    match result.and_then(|outcome| Ok(out.flush().map(|()| outcome)?)) {
        Ok(outcome) => outcome.into(),
        Err(failure) => failure.report(),
    }
}
