//! `monitored checkpoint prune`: deletes old checkpoints of a folder.
//!
//! The command is the retention of a `Saver` with another limit. It deletes only what the folder's journal lists as
//! written by a saver, and takes the folder's lock, so it cannot interfere with a running training.
//!
//! # What is kept
//!
//! The newest `--keep` checkpoints, pinned ones, and all that the state file does not list, such as those that a
//! saver preserves by time. A checkpoint of another program is therefore never deleted.

use crate::output::{Outcome, Result};
use checkpoint::{Saver, SaverOptions};
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use tensor::text::escaped;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The folder of the checkpoints.
    directory: PathBuf,
    /// The number of newest checkpoints to keep. Pinned checkpoints, and those that the state file does not
    /// list, are kept in addition.
    #[arg(long, value_name = "N")]
    keep: NonZeroUsize,
    /// The name of the state file.
    #[arg(long, default_value = "checkpoint")]
    state_file: String,
}

impl Arguments {
    /// Prunes the folder, and prints the removed and the remaining checkpoints.
    pub(crate) fn run(self, out: &mut dyn Write) -> Result {
        let options = SaverOptions::new().max_to_keep(self.keep.get()).state_file(self.state_file);
        // Removing is left to the saver, which knows the journal and takes the lock; a second implementation
        // could disagree with it.
        let saver = Saver::new(options);
        for prefix in saver.prune(&self.directory)? {
            writeln!(out, "removed {}", escaped(prefix.display()))?;
        }
        for prefix in saver.last_checkpoints() {
            writeln!(out, "kept {}", escaped(prefix.display()))?;
        }
        Ok(Outcome::Good)
    }
}
