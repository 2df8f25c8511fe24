//! `monitored events`: commands for event files.
//!
//! All commands only read, and may be used while a training writes. An event that is being written is not yet shown.

mod list;
#[cfg(feature = "board")]
mod plot;
mod run;
mod show;

use crate::output::Result;
use clap::Subcommand;
use std::io::Write;

/// PATH is a run's folder or one event file. Points that a restarted run overwrote are left out, as in TensorBoard. Exit
/// code 1 reports damage; a file that ends in the middle of an event, as of a run that is running or was killed, is not
/// damaged.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List tags with their kind, count, first and last step.
    List(list::Arguments),
    /// Draw scalars over steps, in the terminal or as a file.
    #[cfg(feature = "board")]
    Plot(plot::Arguments),
    /// Print the values of one tag.
    Show(show::Arguments),
}

impl Command {
    /// Runs the selected command.
    pub(crate) fn run(self, out: &mut dyn Write) -> Result {
        match self {
            Command::List(arguments) => arguments.run(out),
            #[cfg(feature = "board")]
            Command::Plot(arguments) => arguments.run(out),
            Command::Show(arguments) => arguments.run(out),
        }
    }
}
