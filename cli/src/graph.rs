//! `monitored graph`: commands for graph files.

mod pipelines;
mod saved_model;
mod show;

use crate::output::Result;
use clap::Subcommand;
use std::io::Write;

/// FILE is a meta graph (`.meta`) or a graph (`.pb`) of TensorFlow, in binary form or as text (`.pbtxt`), or the folder of a
/// SavedModel.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show signatures, nodes, op types, inputs, variables, collections, and what the embedded engine lacks.
    Show(show::Arguments),
}

impl Command {
    /// Runs the selected command.
    pub(crate) fn run(self, out: &mut dyn Write) -> Result {
        match self {
            Command::Show(arguments) => arguments.run(out),
        }
    }
}
