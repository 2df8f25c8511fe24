//! `monitored checkpoint`: commands for checkpoints.
//!
//! All commands but `prune` leave the folder unchanged, so they can be used while a training saves into it. A
//! checkpoint that the training deletes meanwhile causes an error, and never wrong values: files are mapped or
//! verified while they are read.

mod convert;
mod diff;
mod hash;
mod list;
mod prune;
mod row;
mod show;
mod verify;

use crate::output::Result;
use clap::Subcommand;
use std::io::Write;

/// PATH is a checkpoint's prefix, a folder (its newest checkpoint), or a `.safetensors` file.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the tensors of a checkpoint.
    List(list::Arguments),
    /// Read everything and compare all checksums; exit with 1 and the names of damaged tensors.
    Verify(verify::Arguments),
    /// Print one tensor.
    Show(show::Arguments),
    /// Write a checkpoint in another format.
    Convert(convert::Arguments),
    /// Compare two checkpoints; exit with 1 if they differ.
    Diff(diff::Arguments),
    /// Delete all but the newest checkpoints of a folder.
    Prune(prune::Arguments),
}

impl Command {
    /// Runs the selected command.
    pub(crate) fn run(self, out: &mut dyn Write) -> Result {
        match self {
            Command::List(arguments) => arguments.run(out),
            Command::Verify(arguments) => arguments.run(out),
            Command::Show(arguments) => arguments.run(out),
            Command::Convert(arguments) => arguments.run(out),
            Command::Diff(arguments) => arguments.run(out),
            Command::Prune(arguments) => arguments.run(out),
        }
    }
}
